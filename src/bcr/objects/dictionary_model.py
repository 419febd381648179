"""The dictionary once more, from the specification and not from the replicas' code, for whoever checks them.

What is checked must not be what it is checked with: a wrong operation in `bcr.objects.dictionary` would be wrong in all
replicas and in a replay of theirs alike.
"""

import re
from collections.abc import Sequence

from bcr.objects.operation import Operation
from bcr.objects.replicated import Place
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES


class DictionaryModel:
    """The dictionary as one process has it."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def copy(self) -> "DictionaryModel":
        other = DictionaryModel()
        other.values = dict(self.values)
        return other

    def execute(self, operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        """What the operations of a request give, one after the other."""
        results: list[str] = []
        got = 0  # bytes
        for operation in operations:
            result = self._result(operation)
            if operation.name == "get" and got + len(result.encode()) > RESULTS_LIMIT_BYTES:
                result = "too large"
            elif operation.name == "get":
                got += len(result.encode())
            results.append(result)
        return tuple(results)

    def _result(self, operation: Operation) -> str:
        key, argument = operation.key, operation.argument
        if operation.name == "get":
            return self.values.get(key, "")
        if operation.name == "put":
            if len(argument.encode()) > VALUE_LIMIT_BYTES:
                return "fail"
            self.values[key] = argument
        elif key not in self.values:
            return "fail"
        elif operation.name == "append":
            if len((self.values[key] + argument).encode()) > VALUE_LIMIT_BYTES:
                return "fail"
            self.values[key] += argument
        elif operation.name == "slice":
            bounds = re.fullmatch("([0-9]{1,18}):([0-9]{1,18})", argument)
            first, last = (int(bounds[1]), int(bounds[2])) if bounds else (1, 0)
            if not 0 <= first <= last <= len(self.values[key]):
                return "fail"
            self.values[key] = "".join(self.values[key][index] for index in range(first, last))
        else:
            return "fail"
        return "OK"
