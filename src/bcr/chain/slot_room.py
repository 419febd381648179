"""What fits into a slot: requests by their own size, and by that of what they will get (specification, 8.3)."""

from collections.abc import Iterable, Sequence

from bcr.objects.dictionary import Operation
from bcr.objects.sizes import (
    OPERATION_OVERHEAD_BYTES,
    REQUEST_OVERHEAD_BYTES,
    RESULTS_LIMIT_BYTES,
    SLOT_LIMIT_BYTES,
    SLOT_RESULTS_LIMIT_BYTES,
    VALUE_LIMIT_BYTES,
    bytes_of,
    may_exceed,
)
from bcr.signed.statements import Request, SignedRequest
from bcr.state.running import RunningState


def operations_bytes(operations: Iterable[Operation]) -> int:
    """What operations add to a request; REQUEST_LIMIT_BYTES is the most of a valid one."""
    size = 0
    for each in operations:
        size += bytes_of(each.key) + bytes_of(each.argument) + OPERATION_OVERHEAD_BYTES
    return size


def is_small(operations: Sequence[Operation], limit_bytes: int) -> bool:
    """Whether operations fit into so many bytes however many each character has: mostly so, and then nobody need count."""
    characters = 0
    for each in operations:
        characters += len(each.key) + len(each.argument)
    return not may_exceed(characters, limit_bytes - len(operations) * OPERATION_OVERHEAD_BYTES)


def request_bytes(request: SignedRequest) -> int:
    """What a signed request adds to a slot."""
    return operations_bytes(request.statement.operations) + len(request.signature) + REQUEST_OVERHEAD_BYTES


class SlotRoom:
    """The room that is left in the slot which is executed next on a running state.

    A head fills slots by it, and the others let no slot pass that it would not have let a head make. A request alone
    always fits. Nothing is executed, so what requests will get is an upper bound: of a value that is cut down, the size
    before. Which it is depends on the state alone, so correct replicas agree.
    """

    def __init__(self, state: RunningState) -> None:
        self._state = state
        self._requests_left = SLOT_LIMIT_BYTES
        self._results_left = SLOT_RESULTS_LIMIT_BYTES
        self._sizes: dict[str, int | None] = {}  # of values, by what the slot's requests will have made of them
        self._first: SignedRequest | None = None  # as long as it is alone, and so fits
        self._is_empty = True

    def takes(self, request: SignedRequest) -> bool:
        """Whether the request fits behind those that were taken; it is taken then."""
        if self._is_empty:
            self._first, self._is_empty = request, False
            return True
        if self._first is not None:
            self._take(*self._sizes_of(self._first))
            self._first = None
        size, results, sizes = self._sizes_of(request)
        if size > self._requests_left or results > self._results_left:
            return False
        self._take(size, results, sizes)
        return True

    def _sizes_of(self, request: SignedRequest) -> tuple[int, int, dict[str, int | None]]:
        return request_bytes(request), *self._results_of(request.statement)

    def _take(self, size: int, results: int, sizes: dict[str, int | None]) -> None:
        self._requests_left -= size
        self._results_left -= results
        self._sizes.update(sizes)

    def takes_all(self, requests: Iterable[SignedRequest]) -> bool:
        """Whether all fit, in this order."""
        return all(map(self.takes, requests))

    def _results_of(self, request: Request) -> tuple[int, dict[str, int | None]]:
        """At most how many bytes the request gets, and how large the values will be that it writes."""
        recorded = self._state.outcomes.get(request.client, {}).get(request.number)
        if recorded is not None:
            return sum(map(bytes_of, recorded.results)), {}
        sizes: dict[str, int | None] = {}
        got = 0
        for operation in request.operations:
            key = operation.key
            before = sizes[key] if key in sizes else self._size_of(key)
            if operation.name == "get":
                got += before or 0
            elif operation.name == "put":
                size = bytes_of(operation.argument)
                sizes[key] = before if size > VALUE_LIMIT_BYTES else size
            elif operation.name == "append" and before is not None:
                size = before + bytes_of(operation.argument)
                sizes[key] = before if size > VALUE_LIMIT_BYTES else size
        return min(got, RESULTS_LIMIT_BYTES), sizes

    def _size_of(self, key: str) -> int | None:
        return self._sizes[key] if key in self._sizes else self._state.size_of(key)
