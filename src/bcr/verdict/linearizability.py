"""Is there any order of some operations that explains their results? By trying them (Wing and Gong's search;
specification, 10.3).

Independent of slots, proofs and the verdict, and so a check of these on short histories: the time it takes is
exponential in the number of operations.
"""

from collections.abc import Sequence

from bcr.objects.dictionary import Operation, slice_bounds
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES
from bcr.verdict.record import Exchange

State = tuple[tuple[str, str], ...]


def is_linearizable(exchanges: Sequence[Exchange]) -> bool:
    """Whether some order keeps apart what was apart in time, and gives each its results.

    A request may take effect anywhere between the times when it was sent and when its answer was accepted.
    """
    visited: set[tuple[int, State]] = set()

    def search(done: int, state: State) -> bool:
        if done == (1 << len(exchanges)) - 1:
            return True
        if (done, state) in visited:
            return False
        visited.add((done, state))
        left = [index for index in range(len(exchanges)) if not done >> index & 1]
        first_return_ns = min(exchanges[index].accepted_ns for index in left)
        for index in left:
            exchange = exchanges[index]
            if exchange.sent_ns <= first_return_ns:
                results, after = _effect(state, exchange.request.statement.operations)
                if results == exchange.answer.outcome.results and search(done | 1 << index, after):
                    return True
        return False

    return search(0, ())


def _size_after(operation: Operation, value: str | None) -> int:
    """The bytes of the value that a put or an append makes."""
    before = (value or "") if operation.name == "append" else ""
    return len((before + operation.argument).encode()) if operation.name != "slice" else 0


def _effect(state: State, operations: Sequence[Operation]) -> tuple[tuple[str, ...], State]:
    dictionary = dict(state)
    results = []
    got = 0
    for operation in operations:
        value = dictionary.get(operation.key)
        result = "OK"
        if operation.name == "get":
            result = value or ""
            got += len(result.encode())
            if got > RESULTS_LIMIT_BYTES:
                got -= len(result.encode())
                result = "too large"
        elif _size_after(operation, value) > VALUE_LIMIT_BYTES:
            result = "fail"
        elif operation.name == "put":
            dictionary[operation.key] = operation.argument
        elif value is None:
            result = "fail"
        elif operation.name == "append":
            dictionary[operation.key] = value + operation.argument
        else:
            bounds = slice_bounds(operation.argument)
            if bounds is not None and bounds[0] <= bounds[1] <= len(value):
                dictionary[operation.key] = value[slice(*bounds)]
            else:
                result = "fail"
        results.append(result)
    return tuple(results), tuple(sorted(dictionary.items()))
