"""What fits into a slot: requests by their own size, and by that of what they will get (specification, 8.3)."""

from collections.abc import Iterable, Sequence

from bcr.objects.operation import Operation
from bcr.objects.replicated import Sizes
from bcr.objects.sizes import (
    BYTES_OF_A_CHARACTER,
    RESULTS_LIMIT_BYTES,
    SLOT_LIMIT_BYTES,
    SLOT_RESULTS_LIMIT_BYTES,
    bytes_of,
)
from bcr.signed.encoding import encode
from bcr.signed.statements import Request, SignedRequest
from bcr.state.running import RunningState


def operations_bytes(operations: Sequence[Operation]) -> int:
    """What operations add to a request; REQUEST_LIMIT_BYTES is the most of a valid one."""
    return len(encode(operations))


def request_bytes(request: SignedRequest) -> int:
    """What a signed request adds to a slot."""
    return len(encode(request))


class SlotRoom:
    """The room that is left in the slot which is executed next on a running state.

    A head fills slots by it, and the others let no slot pass that it would not have let a head make. A request alone
    always fits. Nothing is executed, so what requests will get is an upper bound: of a value that is cut down, the size
    before. Which it is depends on the state alone, so correct replicas agree.

    That bound takes a step for each operation. As long as a coarser one fits, which takes less, it need not be known.
    """

    def __init__(self, state: RunningState) -> None:
        self._state = state
        self._first: SignedRequest | None = None  # as long as it is alone, and so fits
        self._is_empty = True

    def _begin_to_count(self) -> None:
        self._requests_left = SLOT_LIMIT_BYTES
        self._results_left = SLOT_RESULTS_LIMIT_BYTES
        self._sizes: dict[str, int | None] = {}  # of values, by what the slot's requests will have made of them
        self._uncounted: list[Request] = []  # of which only the coarser bound is known
        self._uncounted_bytes = 0
        self._written_bytes = 0  # at least those of the longest argument in the slot
        self._is_coarse = True  # as long as the object says so of each request

    def takes(self, request: SignedRequest, size: int | None = None) -> bool:
        """Whether the request, of `size` bytes where that is known, fits behind those that were taken; it is taken then.

        One that is stale takes nothing: a head leaves it out, and what it would have done to a value must not be counted.
        """
        if self._state.is_stale(request.statement):
            return True
        if self._is_empty:
            self._first, self._is_empty = request, False
            return True
        if self._first is not None:
            self._begin_to_count()
            self._requests_left -= request_bytes(self._first)
            self._has_room_for_results(self._first.statement, is_first=True)
            self._first = None
        size = request_bytes(request) if size is None else size
        if size > self._requests_left or not self._has_room_for_results(request.statement):
            return False
        self._requests_left -= size
        return True

    def _has_room_for_results(self, request: Request, is_first: bool = False) -> bool:
        most = self._most_results_of(request)
        if most is not None and self._uncounted_bytes + most <= self._results_left:
            self._uncounted.append(request)
            self._uncounted_bytes += most
            return True
        for each in self._uncounted:
            self._take(*self._results_of(each))
        self._uncounted, self._uncounted_bytes = [], 0
        results, sizes = self._results_of(request)
        if results > self._results_left and not is_first:
            return False
        self._take(results, sizes)
        return True

    def _take(self, results: int, sizes: Sizes) -> None:
        self._results_left -= results
        self._sizes.update(sizes)

    def _most_results_of(self, request: Request) -> int | None:
        """No fewer bytes than `_results_of`, as if each read got the value before the slot and the longest of the slot too.

        None where values may become longer than that, or the object does not say what is read (`ReplicatedObject.read_by`).
        """
        operations = request.operations
        arguments = [each.argument for each in operations]
        longest = max(map(len, arguments), default=0)
        is_ascii = all(map(str.isascii, arguments))
        self._written_bytes = max(self._written_bytes, longest if is_ascii else longest * BYTES_OF_A_CHARACTER)
        read = self._state.replicated.read_by(operations) if self._is_coarse else None
        self._is_coarse = read is not None
        if read is None or self._state.outcomes.get(request.client, {}).get(request.number) is not None:
            return None
        return min(self._state.bytes_of_values(read) + len(read) * self._written_bytes, RESULTS_LIMIT_BYTES)

    def takes_all(self, requests: Iterable[SignedRequest], sizes: Iterable[int]) -> bool:
        """Whether all fit, of these sizes in this order."""
        return all(map(self.takes, requests, sizes))

    def _results_of(self, request: Request) -> tuple[int, Sizes]:
        """At most how many bytes the request gets, and how large the values will be that it writes."""
        recorded = self._state.outcomes.get(request.client, {}).get(request.number)
        if recorded is not None:
            return sum(map(bytes_of, recorded.results)), {}
        return self._state.replicated.most_results(request.operations, self._size_of)

    def _size_of(self, key: str) -> int | None:
        return self._sizes[key] if key in self._sizes else self._state.size_of(key)
