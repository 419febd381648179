"""The replicated object: a dictionary from string to string, and the operations on it (specification, 8.1)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES, bytes_of, may_exceed

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


def execute(dictionary: dict[str, str], operations: Sequence[Operation]) -> tuple[str, ...]:
    """Execute the operations of a request in order, in place, and return their results.

    What they get together is bounded: a value that does not fit behind those before it is TOO_LARGE instead.
    """
    results = [apply(dictionary, operation) for operation in operations]
    if may_exceed(sum(map(len, results)), RESULTS_LIMIT_BYTES):
        return tuple(_as_many_as_fit(operations, results))
    return tuple(results)


def _as_many_as_fit(operations: Iterable[Operation], results: Iterable[str]) -> Iterator[str]:
    left = RESULTS_LIMIT_BYTES
    for operation, result in zip(operations, results, strict=True):
        if operation.name == "get":
            size = bytes_of(result)
            if size > left:
                yield TOO_LARGE
                continue
            left -= size
        yield result


def apply(dictionary: dict[str, str], operation: Operation) -> str:
    """Execute one operation on the dictionary, in place, and return its result.

    Total: whatever a client signs has a result, so that no request can stop a replica. What would make a value larger
    than VALUE_LIMIT_BYTES fails, and changes nothing.
    """
    key = operation.key
    if operation.name == "put":
        argument = operation.argument
        if may_exceed(len(argument), VALUE_LIMIT_BYTES) and bytes_of(argument) > VALUE_LIMIT_BYTES:
            return FAIL
        dictionary[key] = operation.argument
        return OK
    value = dictionary.get(key)
    if operation.name == "get":
        return "" if value is None else value
    if value is None:
        return FAIL
    if operation.name == "append":
        longer = value + operation.argument
        if may_exceed(len(longer), VALUE_LIMIT_BYTES) and bytes_of(longer) > VALUE_LIMIT_BYTES:
            return FAIL
        dictionary[key] = longer
        return OK
    bounds = slice_bounds(operation.argument)
    if bounds is None or not bounds[0] <= bounds[1] <= len(value):
        return FAIL
    dictionary[key] = value[bounds[0] : bounds[1]]
    return OK
