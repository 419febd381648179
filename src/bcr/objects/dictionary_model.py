"""The dictionary once more, for whoever checks the replicas (specification, 8.1 and 10.3), and not from their code.

What is checked must not be what it is checked with: a wrong operation in `bcr.objects.dictionary` would be wrong in all
replicas and in a replay of theirs alike.
"""

import re
import sys
from collections.abc import Mapping, Sequence

import msgspec

from bcr.objects.operation import Operation
from bcr.objects.replicated import Place
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES


class DictionaryModel:
    """The dictionary as one process has it."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._bytes = 0  # of keys and values, as encoded

    def begin_with(self, values: Mapping[str, str]) -> None:
        """Hold these values, as if they had been put."""
        self.values = dict(values)
        self._bytes = sum(_encoded(key) + _encoded(value) for key, value in values.items())

    def copy(self) -> "DictionaryModel":
        other = DictionaryModel()
        other.values, other._bytes = dict(self.values), self._bytes
        return other

    def execute(self, operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        """What the operations of a request give, one after the other, where there is room for whatever they write."""
        return self.execute_within(operations, place, sys.maxsize, RESULTS_LIMIT_BYTES)

    def execute_within(self, operations: Sequence[Operation], place: Place, limit_bytes: int, results_left: int) -> tuple[str, ...]:
        """The same in a dictionary of at most so many bytes, by a request that gets no more than is left."""
        results: list[str] = []
        got = 0  # bytes
        for operation in operations:
            result = self._result(operation, limit_bytes)
            if operation.name == "get" and got + len(result.encode()) > results_left:
                result = "too large"
            elif operation.name == "get":
                got += len(result.encode())
            results.append(result)
        return tuple(results)

    def _fits(self, key: str, value: str, limit_bytes: int) -> bool:
        """Whether the dictionary may have this value of the key; it has then."""
        if len(value.encode()) > VALUE_LIMIT_BYTES:
            return False
        before = self.values.get(key)
        size = self._bytes + _encoded(value) - (-_encoded(key) if before is None else _encoded(before))
        if size > max(limit_bytes, self._bytes):
            return False
        self._bytes = size
        self.values[key] = value
        return True

    def _result(self, operation: Operation, limit_bytes: int) -> str:
        key, argument = operation.key, operation.argument
        if operation.name == "get":
            return self.values.get(key, "")
        value = self.values.get(key)
        if operation.name == "put":
            value = argument
        elif value is None:
            return "fail"
        elif operation.name == "append":
            value += argument
        elif operation.name == "slice":
            bounds = re.fullmatch("([0-9]{1,18}):([0-9]{1,18})", argument)
            first, last = (int(bounds[1]), int(bounds[2])) if bounds else (1, 0)
            if not 0 <= first <= last <= len(value):
                return "fail"
            value = "".join(value[index] for index in range(first, last))
        else:
            return "fail"
        return "OK" if self._fits(key, value, limit_bytes) else "fail"


def _encoded(text: str) -> int:
    return len(msgspec.msgpack.encode(text))
