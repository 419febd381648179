"""The replicated object: a dictionary from string to string, and the operations on it."""

from typing import Literal

import msgspec

OperationName = Literal["put", "get", "slice", "append"]

OK = "OK"
FAIL = "fail"


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


def apply(dictionary: dict[str, str], operation: Operation) -> str:
    """Execute one operation on the dictionary, in place, and return its result.

    Total: whatever a client signs has a result, so that no request can stop a replica.
    """
    key = operation.key
    if operation.name == "put":
        dictionary[key] = operation.argument
        return OK
    value = dictionary.get(key)
    if operation.name == "get":
        return "" if value is None else value
    if value is None:
        return FAIL
    if operation.name == "append":
        dictionary[key] = value + operation.argument
        return OK
    bounds = slice_bounds(operation.argument)
    if bounds is None or not bounds[0] <= bounds[1] <= len(value):
        return FAIL
    dictionary[key] = value[bounds[0] : bounds[1]]
    return OK
