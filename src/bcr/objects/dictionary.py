"""The default object: a dictionary from string to string, and the operations on it (specification, 8.1)."""

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from typing import ClassVar

from bcr.objects import dictionary_workload
from bcr.objects.dictionary_model import DictionaryModel
from bcr.objects.long_text import LONG, LongText
from bcr.objects.operation import Operation
from bcr.objects.replicated import FAIL, BadOperation, LimitedObject, Place, SizeOf, Sizes
from bcr.objects.room import Room
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES, as_encoded, bytes_of, encoded_bytes, may_exceed

OK = "OK"
TOO_LARGE = "too large"  # in place of a value that does not fit into the answer
_SLICE = re.compile(r"[+-]?\d{1,18}\s*:\s*[+-]?\d{1,18}")


class Dictionary(LimitedObject[str]):
    """put, get, slice and append; `argument` is the value of put and append, the range ``i:j`` of slice, and empty for get."""

    name = "dictionary"
    value_type = str
    forms: ClassVar[Mapping[str, Sequence[str]]] = {
        "put": ("'k'", "'v'"),
        "get": ("'k'",),
        "slice": ("'k'", "'i:j'"),
        "append": ("'k'", "'v'"),
    }
    result_limit_bytes = RESULTS_LIMIT_BYTES
    drawn_limit_bytes = len(f"key{dictionary_workload.KEYS - 1}") + dictionary_workload.MAX_WORD_LENGTH
    is_trusted = True

    def parsed(self, name: str, arguments: Sequence[str]) -> Operation:
        if name == "slice" and not _SLICE.fullmatch(arguments[1].strip()):
            raise BadOperation(f"expected a range such as '0:4', found {arguments[1]!r}", 1)
        key, *rest = arguments
        argument = "".join(rest)
        if name == "slice":
            argument = "".join(argument.split())
        if bytes_of(argument) > VALUE_LIMIT_BYTES:
            raise BadOperation(f"{bytes_of(argument):,} bytes, and a value has at most {VALUE_LIMIT_BYTES:,}", 1)
        return Operation(name, key, argument)

    def changed(self, operation: Operation) -> Sequence[str]:
        return () if operation.name == "get" else (operation.key,)

    def keys_of(self, operations: Sequence[Operation]) -> Iterable[str]:
        return [operation.key for operation in operations]

    def changed_by(self, requests: Iterable[Sequence[Operation]]) -> Iterable[str]:
        return [each.key for operations in requests for each in operations if each.name != "get"]

    def execute(self, values: MutableMapping[str, str], operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        return execute(values, operations)

    def execute_within(
        self,
        values: MutableMapping[str, str],
        operations: Sequence[Operation],
        place: Place,
        room: Room,
        results_left: int | None,
    ) -> tuple[str, ...]:
        return execute(values, operations, room, results_left)

    def size(self, value: str) -> int:
        return bytes_of(value)

    def most_results(self, operations: Sequence[Operation], size_of: SizeOf) -> tuple[int, Sizes]:
        """Of a value that is cut down, the size before; of what is no value, nothing: its request is larger."""
        sizes: dict[str, int | None] = {}
        size_of = size_of if len(operations) == 1 else cache(size_of)
        got = 0
        for operation in operations:
            key = operation.key
            before = sizes[key] if key in sizes else size_of(key)
            if operation.name == "get":
                got += before or 0
            elif operation.name == "put":
                size = bytes_of(operation.argument)
                sizes[key] = before if size > VALUE_LIMIT_BYTES else size
            elif operation.name == "append" and before is not None:
                # What stood before may be smaller than it counts as, and then what does not fit behind that does fit.
                sizes[key] = min(before + bytes_of(operation.argument), VALUE_LIMIT_BYTES)
        return min(got, RESULTS_LIMIT_BYTES), sizes

    def read_by(self, operations: Sequence[Operation]) -> Sequence[str] | None:
        if "append" in [each.name for each in operations]:
            return None
        return [each.key for each in operations if each.name == "get"]

    def drawn(self, seed: int) -> Iterator[Operation]:
        return dictionary_workload.drawn(seed)

    def stray(self) -> Operation:
        return Operation("put", "a", "a")

    def model(self) -> DictionaryModel:
        return DictionaryModel()

    def shown(self, value: str) -> str:
        return value


def slice_bounds(text: str) -> tuple[int, int] | None:
    """The bounds (i, j) that the range ``i:j`` names, or None where it is not two decimal numbers."""
    start, _, stop = text.partition(":")
    if not (start.isascii() and start.isdigit() and stop.isascii() and stop.isdigit()):
        return None
    if len(start) > 18 or len(stop) > 18:  # no string is that long, and int() of a huge text is slow
        return None
    return int(start), int(stop)


def execute(
    dictionary: MutableMapping[str, str],
    operations: Sequence[Operation],
    room: Room | None = None,
    results_left: int | None = None,
) -> tuple[str, ...]:
    """Execute the operations of a request in order, in place, and return their results.

    What they get together is bounded by RESULTS_LIMIT_BYTES, and by `results_left` where that is less: a value that does not
    fit behind those before it is TOO_LARGE instead.
    """
    left = RESULTS_LIMIT_BYTES if results_left is None else min(RESULTS_LIMIT_BYTES, results_left)
    results: list[str] = []
    long: dict[str, LongText] = {}  # of the keys of long values what operations have made of these so far
    for operation in operations:
        value = dictionary.get(operation.key)
        if value is None or len(value) <= LONG or len(operations) == 1:
            result = apply(dictionary, operation, room)
            size = bytes_of(result)
        else:
            text = long.get(operation.key) or long.setdefault(operation.key, LongText(value))
            result, size = _apply_to_long(text, operation, room, left)
        if operation.name == "get":
            if size > left:
                result = TOO_LARGE
            else:
                left -= size
        results.append(result)
    for key, text in long.items():
        dictionary[key] = text.text()
    return tuple(results)


def _apply_to_long(text: LongText, operation: Operation, room: Room | None, left: int) -> tuple[str, int]:
    """Execute one operation on a long value, and return its result and the bytes of that; nothing is read that is too large."""
    argument = operation.argument
    if operation.name == "get":
        return text.text() if text.bytes <= left else TOO_LARGE, text.bytes
    result = FAIL
    if operation.name == "put" and _fits(bytes_of(argument), text.bytes, room):
        text.keep(0, 0)
        text.append(argument)
        result = OK
    elif operation.name == "append" and _fits(text.bytes + bytes_of(argument), text.bytes, room):
        text.append(argument)
        result = OK
    elif operation.name == "slice":
        bounds = slice_bounds(argument)
        if bounds is not None and bounds[0] <= bounds[1] <= text.characters:
            before = text.bytes
            text.keep(*bounds)
            _fits(text.bytes, before, room)
            result = OK
    return result, len(result)


def _fits(after: int, before: int, room: Room | None) -> bool:
    """Whether a value may have so many bytes after so many before; the object counts as grown, or shrunk, by that then."""
    return after <= VALUE_LIMIT_BYTES and (room is None or room.takes(as_encoded(after) - as_encoded(before)))


def apply(dictionary: MutableMapping[str, str], operation: Operation, room: Room | None = None) -> str:
    """Execute one operation on the dictionary, in place, and return its result.

    Total: whatever a client signs has a result, so that no request can stop a replica. What would make a value larger
    than VALUE_LIMIT_BYTES, or the dictionary larger than there is room for, fails, and changes nothing.
    """
    value = dictionary.get(operation.key)
    if operation.name == "get":
        return "" if value is None else value
    if operation.name == "put":
        return _write(dictionary, operation.key, value, operation.argument, room)
    if value is None:
        return FAIL
    if operation.name == "append":
        return _write(dictionary, operation.key, value, value + operation.argument, room)
    bounds = slice_bounds(operation.argument) if operation.name == "slice" else None
    if bounds is None or not bounds[0] <= bounds[1] <= len(value):
        return FAIL
    return _write(dictionary, operation.key, value, value[bounds[0] : bounds[1]], room)


def _write(dictionary: MutableMapping[str, str], key: str, before: str | None, after: str, room: Room | None) -> str:
    # What takes the place of as much fits, and takes no room: seen at once where each character is a byte, and then nobody counts.
    if before is not None and len(before) == len(after) and before.isascii() and after.isascii():
        dictionary[key] = after
        return OK
    if may_exceed(len(after), VALUE_LIMIT_BYTES) and bytes_of(after) > VALUE_LIMIT_BYTES:
        return FAIL
    if room is not None:
        growth = encoded_bytes(after) + (encoded_bytes(key) if before is None else -encoded_bytes(before))
        if not room.takes(growth):
            return FAIL
    dictionary[key] = after
    return OK
