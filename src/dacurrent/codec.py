"""How messages and commands travel between processes: plain data, tagged byte by byte, and never a pickle.

Decoding builds values and calls nothing of anybody's: None, booleans, numbers, strings, bytes, tuples, lists, sets,
frozensets, dictionaries and ranges; DistAlgo's process ids and commands; and classes that a loaded `.da` module
defines, by name, with plain instances of those that are not processes. An allow-list over pickle would not do: its
BUILD overwrites attributes of whatever class it is let near.
"""

import struct
import sys
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 64
MAX_CACHED_IDS = 10_000

_DOUBLE = struct.Struct(">d")
_LENGTH = struct.Struct(">I")


class CodecError(ValueError):
    """A value that cannot travel, or bytes that are no value."""


# -- encoding

_id_bytes: dict[Any, bytes] = {}
_known_ids: dict[tuple[Any, ...], Any] = {}  # (uid, seqno, hostname, transports) -> the process id


def encode(value: Any) -> bytes:
    """The bytes of a value; raises CodecError where it holds what must not travel."""
    parts: list[bytes] = []
    _encode(value, parts.append, 0)
    return b"".join(parts)


def _encode(value: Any, put: Callable[[bytes], None], depth: int) -> None:
    encoder = _ENCODERS.get(type(value))
    if encoder is not None and depth < MAX_DEPTH:
        encoder(value, put, depth + 1)
    elif depth >= MAX_DEPTH:
        raise CodecError(f"nested more than {MAX_DEPTH} deep")
    else:
        _encode_other(value, put, depth + 1)


def _length(tag: bytes, length: int) -> bytes:
    return tag + _LENGTH.pack(length)


def _encode_int(value: int, put: Callable[[bytes], None], _depth: int) -> None:
    data = value.to_bytes((value.bit_length() + 8) // 8, "big", signed=True)
    put(_length(b"i", len(data)) + data)


def _encode_str(value: str, put: Callable[[bytes], None], _depth: int) -> None:
    data = value.encode("utf-8", "surrogatepass")
    put(_length(b"s", len(data)) + data)


def _encode_bytes(value: bytes, put: Callable[[bytes], None], _depth: int) -> None:
    put(_length(b"b", len(value)))
    put(value)


def _items(tag: bytes) -> Callable[[Any, Callable[[bytes], None], int], None]:
    def encode_items(value: Any, put: Callable[[bytes], None], depth: int) -> None:
        put(_length(tag, len(value)))
        for item in value:
            _encode(item, put, depth)

    return encode_items


def _encode_dict(value: dict[Any, Any], put: Callable[[bytes], None], depth: int) -> None:
    put(_length(b"d", len(value)))
    for key, item in value.items():
        _encode(key, put, depth)
        _encode(item, put, depth)


_ENCODERS: dict[type, Callable[[Any, Callable[[bytes], None], int], None]] = {
    type(None): lambda value, put, depth: put(b"N"),
    bool: lambda value, put, depth: put(b"T" if value else b"F"),
    int: _encode_int,
    float: lambda value, put, depth: put(b"f" + _DOUBLE.pack(value)),
    complex: lambda value, put, depth: put(b"c" + _DOUBLE.pack(value.real) + _DOUBLE.pack(value.imag)),
    str: _encode_str,
    bytes: _encode_bytes,
    bytearray: lambda value, put, depth: (put(_length(b"y", len(value))), put(bytes(value))),  # type: ignore[dict-item]
    tuple: _items(b"("),
    list: _items(b"["),
    set: _items(b"{"),
    frozenset: _items(b"z"),
    dict: _encode_dict,
    range: lambda value, put, depth: (put(b"r"), _encode((value.start, value.stop, value.step), put, depth)),  # type: ignore[dict-item]
}


def _encode_other(value: Any, put: Callable[[bytes], None], depth: int) -> None:
    """Process ids, commands, and what the program's own `.da` modules define."""
    common, sim = sys.modules["da.common"], sys.modules["da.sim"]
    if isinstance(value, common.ProcessId):
        data = _id_bytes.get(value)
        if data is None:
            parts: list[bytes] = []
            for field in tuple(value):
                _encode(field, parts.append, depth)
            data = b"p" + b"".join(parts)
            if len(_id_bytes) >= MAX_CACHED_IDS:
                _id_bytes.clear()
            _id_bytes[value] = data
            _known_ids.setdefault((value.uid, value.seqno, value.hostname, value.transports), value)
        put(data)
    elif isinstance(value, sim.Command):
        put(b"C" + bytes([value.value]))
    elif isinstance(value, sim.RouterCommands):
        put(b"R" + bytes([value.value]))
    elif isinstance(value, type):
        put(b"k")
        _encode(_name_of(value), put, depth)
    elif _is_plain_class(type(value)):
        put(b"o")
        _encode(_name_of(type(value)), put, depth)
        _encode(dict(vars(value)), put, depth)
    else:
        raise CodecError(f"a {type(value).__module__}.{type(value).__qualname__} cannot be sent: messages are plain data")


# -- classes by name


def _name_of(cls: type) -> tuple[str, str]:
    name = cls.__module__, cls.__qualname__
    if _class_called(*name) is not cls:
        raise CodecError(f"the class {cls.__module__}.{cls.__qualname__} cannot be sent: it is of no loaded .da module")
    return name


def _class_called(module_name: Any, qualified_name: Any) -> type | None:
    """The class of this name, if a loaded `.da` module defines it; DistAlgo's own two process classes count."""
    common, sim = sys.modules["da.common"], sys.modules["da.sim"]
    if module_name == "da.sim":
        return {"DistProcess": sim.DistProcess, "NodeProcess": sim.NodeProcess}.get(qualified_name)
    found = common.modules.get(module_name)
    for part in str(qualified_name).split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    is_own = isinstance(found, type) and (found.__module__, found.__qualname__) == (module_name, qualified_name)
    return found if is_own else None


def _is_plain_class(cls: type) -> bool:
    """Whether instances are made of attributes alone: a class of a `.da` module that is no process and no builtin's."""
    sim = sys.modules["da.sim"]
    return (
        cls.__new__ is object.__new__
        and not issubclass(cls, sim.DistProcess)
        and cls.__module__ in sys.modules["da.common"].modules
    )


# -- decoding


class _Reader:
    """Steps through bytes; every step checks that there are as many as it wants."""

    __slots__ = ("data", "place")

    def __init__(self, data: Any) -> None:
        self.data = bytes(data)
        self.place = 0

    def take(self, count: int) -> bytes:
        end = self.place + count
        if end > len(self.data):
            raise CodecError("the bytes end in the middle of a value")
        taken = self.data[self.place : end]
        self.place = end
        return taken

    def length(self) -> int:
        """A length; what it counts takes a byte each at least, so it cannot be more than what is left."""
        (length,) = _LENGTH.unpack(self.take(4))
        if length > len(self.data) - self.place:
            raise CodecError("a length beyond the end of the bytes")
        return int(length)

    def value(self, depth: int = 0) -> Any:
        decoder = _DECODERS.get(self.take(1))
        if decoder is None or depth >= MAX_DEPTH:
            raise CodecError("no value begins like this")
        return decoder(self, depth + 1)

    def values(self, depth: int) -> list[Any]:
        return [self.value(depth) for _ in range(self.length())]


def decode(data: Any) -> Any:
    """The value that the bytes encode; raises CodecError for every other sequence of bytes."""
    reader = _Reader(data)
    try:
        value = reader.value()
    except CodecError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:  # unhashable key, bad UTF-8, zero step
        raise CodecError(f"not a value: {error}") from error
    if reader.place != len(reader.data):
        raise CodecError("bytes behind the value")
    return value


def _decode_command(kind: str) -> Callable[[_Reader, int], Any]:
    return lambda reader, depth: getattr(sys.modules["da.sim"], kind)(reader.take(1)[0])


def _decode_class(reader: _Reader, depth: int) -> type:
    cls = _class_called(*_pair(reader.value(depth)))
    if cls is None:
        raise CodecError("a class of no loaded .da module")
    return cls


def _pair(value: Any) -> tuple[str, str]:
    if type(value) is tuple and len(value) == 2 and all(type(part) is str for part in value):
        return value
    raise CodecError("not the name of a class")


def _decode_object(reader: _Reader, depth: int) -> Any:
    cls = _class_called(*_pair(reader.value(depth)))
    attributes = reader.value(depth)
    if cls is None or not _is_plain_class(cls) or type(attributes) is not dict:
        raise CodecError("an object of no plain class of a loaded .da module")
    if any(type(name) is not str or name.startswith("__") for name in attributes):
        raise CodecError("an object with attributes that no program sets")
    value = object.__new__(cls)
    vars(value).update(attributes)
    return value


def _decode_id(reader: _Reader, depth: int) -> Any:
    uid, seqno = reader.value(depth), reader.value(depth)
    if reader.take(1) != b"k":
        raise CodecError("a process id without a class")
    # A process of another program is known by its id all the same; its class is only part of its name.
    cls = _class_called(*_pair(reader.value(depth))) or sys.modules["da.sim"].DistProcess
    name, nodename, hostname, transports = (reader.value(depth) for _ in range(4))
    texts = (name, nodename, hostname)
    if type(uid) is not int or type(seqno) is not int or any(type(text) is not str for text in texts):
        raise CodecError("a process id with fields of other kinds")
    if type(transports) is not tuple or any(not (each is None or type(each) is int) for each in transports):
        raise CodecError("a process id with other transports")
    common = sys.modules["da.common"]
    return known_id(common, (uid, seqno, cls, name, nodename, hostname, transports))


def known_id(common: Any, fields: tuple[Any, ...]) -> Any:
    """The process id with these fields, entered under its name where it has one.

    Exactly these fields: the stock constructor gives the newest process of the same name instead, so the node of
    another run that happens to have the same name would take the place of one's own.
    """
    uid, seqno, _, _, _, hostname, transports = fields
    # One object for one process: where its class is not loaded its id has another one in that place, and would be
    # another id.
    process_id = _known_ids.get((uid, seqno, hostname, transports))
    if process_id is None:
        if len(_known_ids) >= MAX_CACHED_IDS:
            _known_ids.clear()
        process_id = tuple.__new__(common.ProcessId, fields)
        _known_ids[uid, seqno, hostname, transports] = process_id
    if not process_id.name:
        return process_id
    full_name = (process_id.name, process_id.nodename)
    own_node = common.pid_of_node()
    with common.ProcessId._lock:
        entry = common.ProcessId._named.get(full_name)
        is_newer = entry is None or (entry != own_node and entry.uid < process_id.uid)
        callbacks = common.ProcessId._callbacks.pop(full_name, ()) if is_newer else ()
        if is_newer:
            common.ProcessId._named[full_name] = process_id
    for callback in callbacks:
        callback(process_id)
    return process_id


def _decode_dict(reader: _Reader, depth: int) -> dict[Any, Any]:
    return {reader.value(depth): reader.value(depth) for _ in range(reader.length())}


_DECODERS: dict[bytes, Callable[[_Reader, int], Any]] = {
    b"N": lambda reader, depth: None,
    b"T": lambda reader, depth: True,
    b"F": lambda reader, depth: False,
    b"i": lambda reader, depth: int.from_bytes(reader.take(reader.length()), "big", signed=True),
    b"f": lambda reader, depth: _DOUBLE.unpack(reader.take(8))[0],
    b"c": lambda reader, depth: complex(_DOUBLE.unpack(reader.take(8))[0], _DOUBLE.unpack(reader.take(8))[0]),
    b"s": lambda reader, depth: reader.take(reader.length()).decode("utf-8", "surrogatepass"),
    b"b": lambda reader, depth: reader.take(reader.length()),
    b"y": lambda reader, depth: bytearray(reader.take(reader.length())),
    b"(": lambda reader, depth: tuple(reader.values(depth)),
    b"[": lambda reader, depth: reader.values(depth),
    b"{": lambda reader, depth: set(reader.values(depth)),
    b"z": lambda reader, depth: frozenset(reader.values(depth)),
    b"d": _decode_dict,
    b"r": lambda reader, depth: range(*reader.value(depth)),
    b"C": _decode_command("Command"),
    b"R": _decode_command("RouterCommands"),
    b"k": _decode_class,
    b"o": _decode_object,
    b"p": _decode_id,
}


def decode_envelope(data: Any) -> tuple[Any, Any, Any]:
    """A message as the router takes it: source, destination and content. Raises CodecError for anything else."""
    envelope = decode(data)
    common, sim = sys.modules["da.common"], sys.modules["da.sim"]
    if type(envelope) is not tuple or len(envelope) != 3:
        raise CodecError("not a message")
    source, destination, content = envelope
    if not all(each is None or isinstance(each, common.ProcessId) for each in (source, destination)):
        raise CodecError("a message of or to what is no process")
    kind = sim.RouterCommands if destination is None else sim.Command
    if type(content) is not tuple or len(content) != 2 or not isinstance(content[0], kind):
        raise CodecError("a message without a command")
    return envelope
