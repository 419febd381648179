"""The replicated object: a dictionary from string to string, and the operations on it (specification, 8.1)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES, bytes_of, encoded_bytes, may_exceed

OperationName = Literal["put", "get", "slice", "append"]

OK = "OK"
FAIL = "fail"
TOO_LARGE = "too large"  # in place of a value that does not fit into the answer


class Operation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One operation on the dictionary.

    ``argument`` is the value of ``put`` and ``append``, the range ``i:j`` of ``slice``, and empty for ``get``.
    """

    name: OperationName
    key: str
    argument: str = ""

    def __str__(self) -> str:
        arguments = [self.key] if self.name == "get" else [self.key, self.argument]
        return f"{self.name}({', '.join(map(repr, arguments))})"


def slice_bounds(text: str) -> tuple[int, int] | None:
    """The bounds (i, j) that the range ``i:j`` names, or None where it is not two decimal numbers."""
    start, colon, stop = text.partition(":")
    if not (colon and start.isascii() and start.isdigit() and stop.isascii() and stop.isdigit()):
        return None
    if len(start) > 18 or len(stop) > 18:  # no string is that long, and int() of a huge text is slow
        return None
    return int(start), int(stop)


class Room:
    """The bytes that a dictionary may grow by, keys and values as encoded; what it loses it may grow by again."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def takes(self, growth: int) -> bool:
        """Whether the dictionary may grow by so much, or shrink where that is below 0; it counts as grown then."""
        if growth > 0 and growth > self.left:
            return False
        self.left -= growth
        return True


def execute(
    dictionary: dict[str, str], operations: Sequence[Operation], room: Room | None = None, results_left: int | None = None
) -> tuple[str, ...]:
    """Execute the operations of a request in order, in place, and return their results.

    What they get together is bounded by RESULTS_LIMIT_BYTES, and by `results_left` where that is less: a value that does not
    fit behind those before it is TOO_LARGE instead.
    """
    limit = RESULTS_LIMIT_BYTES if results_left is None else min(RESULTS_LIMIT_BYTES, results_left)
    results = [apply(dictionary, operation, room) for operation in operations]
    if may_exceed(sum(map(len, results)), limit):
        return tuple(_as_many_as_fit(operations, results, limit))
    return tuple(results)


def _as_many_as_fit(operations: Iterable[Operation], results: Iterable[str], left: int) -> Iterator[str]:
    for operation, result in zip(operations, results, strict=True):
        if operation.name == "get":
            size = bytes_of(result)
            if size > left:
                yield TOO_LARGE
                continue
            left -= size
        yield result


def apply(dictionary: dict[str, str], operation: Operation, room: Room | None = None) -> str:
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
    bounds = slice_bounds(operation.argument)
    if bounds is None or not bounds[0] <= bounds[1] <= len(value):
        return FAIL
    return _write(dictionary, operation.key, value, value[bounds[0] : bounds[1]], room)


def _write(dictionary: dict[str, str], key: str, before: str | None, after: str, room: Room | None) -> str:
    if may_exceed(len(after), VALUE_LIMIT_BYTES) and bytes_of(after) > VALUE_LIMIT_BYTES:
        return FAIL
    # What takes the place of as much takes no room: seen at once where each character is a byte, and then nobody counts.
    is_as_large = before is not None and len(before) == len(after) and before.isascii() and after.isascii()
    if room is not None and not is_as_large:
        growth = encoded_bytes(after) + (encoded_bytes(key) if before is None else -encoded_bytes(before))
        if not room.takes(growth):
            return FAIL
    dictionary[key] = after
    return OK
