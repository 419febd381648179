"""The wire format of messages and commands: plain data and names, nothing that runs.

A value is one tag byte and what the tag asks for; lengths and counts are four bytes, big-endian.  It can hold

- `None`, `bool`, `int` of any size, `float`, `str`, `bytes`, `tuple`, `list`, `set`, `frozenset`, `dict`, `range`, and
  DistAlgo's `frozenlist` and `frozendict` (what `received` hands out); types stay distinct;
- process ids; members of `Command` and `RouterCommands`;
- classes that a loaded `.da` module defines, by module and qualified name;
- enum members and instances of such classes, except of process classes.  An instance is made by `object.__new__` and
  its attributes are put into its `__dict__`: nothing of the class is called, and so it cannot be a dictionary key or
  an element of a set.

Subclasses of the plain types, functions and everything else are refused when encoding.  Decoding makes of any bytes
either a value or a `CodecError`.

The process class within a process id is only a label.  Where its module is not loaded, an empty class of the same
name stands for it, so that nodes which run different programs can know of each other.
"""

import enum
import struct
import threading
import types
from collections.abc import Callable
from typing import Any, NoReturn

from da import common, sim
from da.common import ProcessId
from da.freeze import frozendict, frozenlist

DEPTH_LIMIT = 100
PROCESS_ID_LIMIT_BYTES = 2_000
CACHE_LIMIT = 4_096
STAND_IN_LIMIT = 256
TEXT_LIMIT = 200  # characters of what is told of an error, which may quote what was sent
NAME_LIMIT = 255  # characters of each name within a process id
LONG_INT_LIMIT_BYTES = 64 * 1024
COLLISION_LIMIT = 32  # keys of one dictionary or set whose hashes are those of others in it
FEW = 64  # keys that cost nothing whatever they are

Write = Callable[[bytes], None]
Put = Callable[[Any, Write, int], None]  # of a value of one type, nested so deep
Get = Callable[[bytes, int, int], tuple[Any, int]]  # the value that begins there, nested so deep; where the rest begins

_LENGTH = struct.Struct(">I")
_INT = struct.Struct(">q")
_FLOAT = struct.Struct(">d")
_INT_TAG, _LONG_TAG = ord("i"), ord("I")
_INT_END = 1 + _INT.size  # behind the tag of an integer, and where the bytes of a long one begin
_LONG_BEGIN = 1 + _LENGTH.size
_int_at, _length_at, _int_of = _INT.unpack_from, _LENGTH.unpack_from, int.from_bytes
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_METACLASSES = (type, enum.EnumMeta)
_HOLDERS = (types.ModuleType, *_METACLASSES)


class CodecError(ValueError):
    """A value that cannot be sent, or bytes that are not an encoded value."""


# -- classes by name


def find_class(module_name: str, qualified_name: str) -> type[Any] | None:
    """The class that the loaded `.da` module `module_name` defines under this qualified name, or None."""
    if module_name == sim.__name__:
        return {"DistProcess": sim.DistProcess, "NodeProcess": sim.NodeProcess}.get(qualified_name)
    found: Any = common.modules.get(module_name)
    for part in qualified_name.split("."):
        # By `__dict__`, and without metaclasses of the module's own: a lookup must call nothing.
        found = found.__dict__.get(part) if type(found) in _HOLDERS else None
    if type(found) not in _METACLASSES or found.__module__ != module_name or found.__qualname__ != qualified_name:
        return None
    cls: type[Any] = found
    return cls


def _class_for_message(module_name: str, qualified_name: str) -> type[Any]:
    found = find_class(module_name, qualified_name)
    if found is None:
        raise CodecError(f"no loaded .da module defines a class {module_name}.{qualified_name}")
    return found


def _name_of_class(cls: Any) -> tuple[str, str]:
    name = cls.__module__, cls.__qualname__
    if find_class(*name) is not cls:
        raise CodecError(f"cannot send {cls!r}: only classes that a .da module defines at its top level")
    return name


def _has_plain_instances(cls: Any) -> bool:
    return cls.__new__ is object.__new__ and cls.__dictoffset__ != 0 and not issubclass(cls, sim.DistProcess)


_stand_ins: dict[tuple[str, str], type[Any]] = {}


def _class_of_process_id(module_name: str, qualified_name: str) -> type[Any]:
    found = find_class(module_name, qualified_name) or _stand_ins.get((module_name, qualified_name))
    if found is None:
        if len(_stand_ins) >= STAND_IN_LIMIT:
            raise CodecError(f"more than {STAND_IN_LIMIT} process classes of modules that are not loaded")
        namespace = {"__module__": module_name, "__qualname__": qualified_name}
        found = type(qualified_name.rpartition(".")[2], (sim.DistProcess,), namespace)
        _stand_ins[module_name, qualified_name] = found
    elif not issubclass(found, sim.DistProcess):
        raise CodecError(f"{module_name}.{qualified_name} is not a process class")
    return found


# -- encoding


def encode(value: Any) -> bytes:
    """The bytes that stand for `value`.  Raises CodecError naming the type that cannot be sent."""
    parts: list[bytes] = []
    try:
        _put(value, parts.append, 0)
    except RecursionError:
        raise CodecError("cannot send a value that is nested so deeply") from None
    return b"".join(parts)


def _put(value: Any, write: Write, depth: int) -> None:
    kind = type(value)
    put = _PUT.get(kind)
    if put is not None:
        put(value, write, depth)
    elif isinstance(value, type):
        _put_sized(b"k", encode(_name_of_class(value)), write)
    elif issubclass(kind, enum.Enum):
        _put_sized(b"m", encode((*_name_of_class(kind), value.name)), write)
    elif find_class(kind.__module__, kind.__qualname__) is kind and _has_plain_instances(kind):
        _put_sized(b"o", encode(_name_of_class(kind)), write)
        _put_dict(vars(value), write, depth)
    else:
        raise CodecError(
            f"cannot send a {kind.__module__}.{kind.__qualname__}: messages are plain data, process ids, and classes "
            "of .da modules and their plain instances"
        )


def _put_sized(tag: bytes, data: bytes, write: Write) -> None:
    write(tag + _LENGTH.pack(len(data)))
    write(data)


def _put_int(value: Any, write: Write, depth: int) -> None:
    if _INT_MIN <= value <= _INT_MAX:
        write(b"i" + _INT.pack(value))
    elif value.bit_length() // 8 < LONG_INT_LIMIT_BYTES:
        _put_sized(b"I", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True), write)
    else:
        raise CodecError(f"cannot send an int of more than {LONG_INT_LIMIT_BYTES} bytes")


def _put_str(value: Any, write: Write, depth: int) -> None:
    _put_sized(b"s", value.encode("utf-8", "surrogatepass"), write)


def _put_bytes(value: Any, write: Write, depth: int) -> None:
    write(b"b" + _LENGTH.pack(len(value)))
    write(value)


def _check_depth(depth: int) -> None:
    if depth >= DEPTH_LIMIT:
        raise CodecError(f"cannot send a value nested more than {DEPTH_LIMIT} deep")


def _put_items(tag: bytes) -> Put:
    def put(value: Any, write: Write, depth: int) -> None:
        _check_depth(depth)
        write(tag + _LENGTH.pack(len(value)))
        depth += 1
        for item in value:
            _put(item, write, depth)

    return put


def _put_mapping(tag: bytes) -> Put:
    def put(value: Any, write: Write, depth: int) -> None:
        _check_depth(depth)
        write(tag + _LENGTH.pack(len(value)))
        for key, item in value.items():
            _put(key, write, depth + 1)
            _put(item, write, depth + 1)

    return put


def _put_range(value: Any, write: Write, depth: int) -> None:
    _put_sized(b"R", encode((value.start, value.stop, value.step)), write)


_encoded_ids: dict[ProcessId, bytes] = {}


def _put_process_id(value: Any, write: Write, depth: int) -> None:
    encoded = _encoded_ids.get(value)
    if encoded is None:
        label = (value.pcls.__module__, value.pcls.__qualname__)
        body = encode((value.uid, value.seqno, label, *value[3:]))
        if len(body) > PROCESS_ID_LIMIT_BYTES:
            raise CodecError(f"the names within {value!r} are too long: {len(body)} bytes")
        encoded = b"p" + _LENGTH.pack(len(body)) + body
        if len(_encoded_ids) >= CACHE_LIMIT:
            _encoded_ids.clear()
        _encoded_ids[value] = encoded
    write(encoded)


_put_dict = _put_mapping(b"d")
_PUT: dict[type[Any], Put] = {
    type(None): lambda value, write, depth: write(b"N"),
    bool: lambda value, write, depth: write(b"T" if value else b"F"),
    int: _put_int,
    float: lambda value, write, depth: write(b"f" + _FLOAT.pack(value)),
    str: _put_str,
    bytes: _put_bytes,
    tuple: _put_items(b"t"),
    list: _put_items(b"l"),
    set: _put_items(b"S"),
    frozenset: _put_items(b"Z"),
    frozenlist: _put_items(b"L"),
    dict: _put_dict,
    frozendict: _put_mapping(b"D"),
    range: _put_range,
    ProcessId: _put_process_id,
    sim.Command: lambda value, write, depth: write(bytes((ord("c"), value.value))),
    sim.RouterCommands: lambda value, write, depth: write(bytes((ord("r"), value.value))),
}


# -- decoding

_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError, MemoryError, struct.error)
_met = threading.local()


def decode(data: bytes, named: list[ProcessId] | None = None) -> Any:
    """The value that the bytes `data` stand for.  Raises CodecError, and nothing else.

    The process ids within it that have a name are appended to the list `named`: a process id is not made known by
    name only because somebody sent it.
    """
    _met.named = named
    try:
        return _get_whole(data)
    except CodecError:
        raise
    except RecursionError:
        raise CodecError("malformed: nested too deeply") from None
    except _MALFORMED as error:
        raise CodecError(f"malformed: {error!r:.{TEXT_LIMIT}}") from None


def _get_whole(data: bytes) -> Any:
    value, end = _GET[data[0]](data, 1, 0)
    if end != len(data):
        raise CodecError(f"malformed: {len(data) - end} bytes behind the value")
    return value


def _get_sized(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 4 + _LENGTH.unpack_from(data, at)[0]
    if end > len(data):
        raise CodecError("malformed: cut short")
    return data[at + 4 : end], end


def _get_bytes(data: bytes, at: int, depth: int) -> tuple[bytes, int]:
    return _get_sized(data, at)


def _get_int(data: bytes, at: int, depth: int) -> tuple[int, int]:
    return _INT.unpack_from(data, at)[0], at + 8


def _get_long(data: bytes, at: int, depth: int) -> tuple[int, int]:
    body, end = _get_sized(data, at)
    if len(body) > LONG_INT_LIMIT_BYTES:
        raise CodecError(f"malformed: an int of {len(body)} bytes")
    return int.from_bytes(body, "big", signed=True), end


def _get_float(data: bytes, at: int, depth: int) -> tuple[float, int]:
    return _FLOAT.unpack_from(data, at)[0], at + 8


def _get_str(data: bytes, at: int, depth: int) -> tuple[str, int]:
    body, end = _get_sized(data, at)
    return body.decode("utf-8", "surrogatepass"), end


def _get_count(data: bytes, at: int, depth: int) -> tuple[int, int]:
    count = _LENGTH.unpack_from(data, at)[0]
    if depth >= DEPTH_LIMIT or count > len(data) - at:
        raise CodecError("malformed: nested too deeply, or cut short")
    return count, at + 4


def _get_list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    count, at = _get_count(data, at, depth)
    depth += 1
    items: list[Any] = []
    whole = len(data)
    for _ in range(count):
        tag = data[at]
        # Many numbers in one list are what is cheapest to send and dearest to read, so these are read without a call for each.
        if tag == _INT_TAG:
            item, at = _int_at(data, at + 1)[0], at + _INT_END
        elif tag == _LONG_TAG:
            begin, at = at + _LONG_BEGIN, at + _LONG_BEGIN + _length_at(data, at + 1)[0]
            if at - begin > LONG_INT_LIMIT_BYTES or at > whole:
                raise CodecError(f"malformed: an int of {at - begin} bytes, or cut short")
            item = _int_of(data[begin:at], "big", signed=True)
        else:
            item, at = _GET[tag](data, at + 1, depth)
        items.append(item)
    return items, at


def _get_items(make: Callable[[list[Any]], Any]) -> Get:
    def get(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        items, at = _get_list(data, at, depth)
        return make(items), at

    return get


def _get_hashed(make: Callable[[list[Any]], Any]) -> Get:
    def get(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        items, at = _get_list(data, at, depth)
        _check_keys(items)
        return make(items), at

    return get


def _get_dict(data: bytes, at: int, depth: int) -> tuple[dict[Any, Any], int]:
    count, at = _get_count(data, at, depth)
    depth += 1
    keys, values = [], []
    for _ in range(count):
        key, at = _GET[data[at]](data, at + 1, depth)
        value, at = _GET[data[at]](data, at + 1, depth)
        keys.append(key)
        values.append(value)
    _check_keys(keys)
    return dict(zip(keys, values, strict=True)), at


def _check_keys(keys: list[Any]) -> None:
    """Raises CodecError unless a dictionary or set of these is made without code of a `.da` module, and quickly.

    Of keys that all have one hash, each is compared with all before it: that is a second for some thousands.
    """
    for key in keys:
        _checked_key(key)
    if len(keys) > FEW and len(keys) - len(set(map(hash, keys))) > COLLISION_LIMIT:
        raise CodecError("malformed: too many keys of one hash")


def _checked_key(value: Any) -> Any:
    """`value`, if hashing and comparing it runs no code of a `.da` module."""
    kind = type(value)
    if kind in (tuple, frozenset, frozenlist):
        for item in value:
            _checked_key(item)
    elif kind is frozendict:
        for item in value.values():
            _checked_key(item)
    elif kind not in _PUT and kind not in _METACLASSES and not isinstance(value, enum.Enum):
        raise CodecError(f"an instance of {kind!r} cannot be a key or an element of a set")
    return value


def _get_frozendict(data: bytes, at: int, depth: int) -> tuple[frozendict, int]:
    items, at = _get_dict(data, at, depth)
    return frozendict(items), at


def _get_range(data: bytes, at: int, depth: int) -> tuple[range, int]:
    body, end = _get_sized(data, at)
    return range(*_get_whole(body)), end


_decoded_ids: dict[bytes, ProcessId] = {}


def _get_process_id(data: bytes, at: int, depth: int) -> tuple[ProcessId, int]:
    body, end = _get_sized(data, at)
    found = _decoded_ids.get(body)
    if found is None:
        found = _process_id(body)
        if len(_decoded_ids) >= CACHE_LIMIT:
            _decoded_ids.clear()
        _decoded_ids[body] = found
    if found.name and _met.named is not None:
        _met.named.append(found)
    return found, end


def _is_name(text: object) -> bool:
    """Whether it may be a name: names stand in logs, and on terminals."""
    return type(text) is str and len(text) <= NAME_LIMIT and text.isprintable()


def _process_id(body: bytes) -> ProcessId:
    if len(body) > PROCESS_ID_LIMIT_BYTES:
        raise CodecError(f"malformed: a process id of {len(body)} bytes")
    uid, seqno, (module_name, class_name), *texts, transports = _get_whole(body)
    if type(uid) is not int or type(seqno) is not int or len(texts) != 3 or type(transports) is not tuple:
        raise CodecError("malformed: a process id")
    if not all(map(_is_name, (module_name, class_name, *texts))):
        raise CodecError("malformed: the names of a process id")
    if any(port is not None and (type(port) is not int or not 0 <= port <= 65_535) for port in transports):
        raise CodecError("malformed: the ports of a process id")
    # Not `ProcessId(...)`, which would make the name known at once.
    fields = (uid, seqno, _class_of_process_id(module_name, class_name), *texts, transports)
    return tuple.__new__(ProcessId, fields)


def _get_class(data: bytes, at: int, depth: int) -> tuple[type[Any], int]:
    body, end = _get_sized(data, at)
    module_name, qualified_name = _get_whole(body)
    return _class_for_message(module_name, qualified_name), end


def _get_enum_member(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    body, end = _get_sized(data, at)
    module_name, qualified_name, member = _get_whole(body)
    found = _class_for_message(module_name, qualified_name)
    if type(found) is not enum.EnumMeta:
        raise CodecError(f"{found!r} is not an enum")
    return found._member_map_[member], end


def _get_instance(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    body, at = _get_sized(data, at)
    found = _class_for_message(*_get_whole(body))
    if type(found) is not type or not _has_plain_instances(found) or data[at] != ord("d"):
        raise CodecError(f"malformed: an instance of {found!r}")
    attributes, at = _get_dict(data, at + 1, depth)
    if any(type(name) is not str for name in attributes):
        raise CodecError("malformed: the attributes of an instance")
    value = object.__new__(found)
    object.__getattribute__(value, "__dict__").update(attributes)
    return value, at


def _refuse(data: bytes, at: int, depth: int) -> NoReturn:
    raise CodecError(f"malformed: unknown tag {data[at - 1]}")


_COMMANDS = {command.value: command for command in sim.Command}
_ROUTER_COMMANDS = {command.value: command for command in sim.RouterCommands}
_READERS: dict[str, Get] = {
    "N": lambda data, at, depth: (None, at),
    "T": lambda data, at, depth: (True, at),
    "F": lambda data, at, depth: (False, at),
    "i": _get_int,
    "I": _get_long,
    "f": _get_float,
    "s": _get_str,
    "b": _get_bytes,
    "t": _get_items(tuple),
    "l": _get_list,
    "L": _get_items(frozenlist),
    "S": _get_hashed(set),
    "Z": _get_hashed(frozenset),
    "d": _get_dict,
    "D": _get_frozendict,
    "R": _get_range,
    "p": _get_process_id,
    "c": lambda data, at, depth: (_COMMANDS[data[at]], at + 1),
    "r": lambda data, at, depth: (_ROUTER_COMMANDS[data[at]], at + 1),
    "k": _get_class,
    "m": _get_enum_member,
    "o": _get_instance,
}
_GET = [_READERS.get(chr(tag), _refuse) for tag in range(256)]
