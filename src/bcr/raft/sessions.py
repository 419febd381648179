"""What clients are owed beyond the log: requests at most once, results in turn, reads told from writes (specification, 14.5)."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from bcr.chain.slot_room import operations_bytes
from bcr.objects.replicated import ReplicatedObject
from bcr.objects.sizes import SLOT_LIMIT_BYTES
from bcr.signed.signing import Signed
from bcr.signed.statements import Request


def unsigned(request: Request) -> Signed[Request]:
    """The request as a record has it, under no signature: here nobody asks for one."""
    return Signed(request, request.client, b"")


def only_reads(request: Request, replicated: ReplicatedObject[Any]) -> bool:
    """Whether nothing that the request does to the object can be seen later, so that it need not be in the log."""
    return all(replicated.keys(each) is not None and not replicated.changed(each) for each in request.operations)


class Waiting:
    """Requests that a leader has yet to put into its log, and those that it has put there and not applied."""

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self._keys: set[tuple[int, int]] = set()  # client and number of all

    def add(self, request: Request) -> bool:
        """Take a request; False where it is here already, because its client sent it again."""
        key = request.client, request.number
        if key in self._keys:
            return False
        self._keys.add(key)
        self._requests.append(request)
        return True

    def has(self, request: Request) -> bool:
        """Whether it is here, in the log or not."""
        return (request.client, request.number) in self._keys

    def take(self, most: int) -> list[Request]:
        """Those of the next entry, in the order in which they came: no more than so many, nor larger than a slot may be."""
        batch: list[Request] = []
        size = 0
        while self._requests and len(batch) < most:
            size += operations_bytes(self._requests[0].operations)
            if batch and size > SLOT_LIMIT_BYTES:
                break
            batch.append(self._requests.popleft())
        return batch

    def applied(self, requests: Sequence[Request]) -> None:
        self._keys.difference_update((request.client, request.number) for request in requests)

    def take_all(self) -> list[Request]:
        """All that are in no log yet, of a leader that leads no longer; it forgets the others too."""
        requests = list(self._requests)
        self._requests.clear()
        self._keys.clear()
        return requests

    def __len__(self) -> int:
        return len(self._requests)
