"""The requests that wait to be decided (specification, 16.3)."""

from collections.abc import Iterable, Iterator

from bcr.chain.slot_room import operations_bytes
from bcr.objects.sizes import SLOT_LIMIT_BYTES
from bcr.raft.replication import may_order
from bcr.signed.statements import Request, SignedRequest

Key = tuple[int, int]  # client and number of a request
WINDOWS = 2  # of a client ahead of what is executed, that are kept: it may have the answers of t+1 others


def key_of(request: Request) -> Key:
    return request.client, request.number


class Requests:
    """As their clients signed them, in the order in which they came; some of them are in the log, and not decided yet."""

    def __init__(self) -> None:
        self._waiting: dict[Key, SignedRequest] = {}
        self._ordered: set[Key] = set()

    def add(self, request: SignedRequest) -> None:
        self._waiting.setdefault(key_of(request.statement), request)

    def ordered(self, keys: Iterable[Key]) -> None:
        """These are in the log, beside those that are known to be."""
        self._ordered.update(keys)

    def reordered(self, keys: Iterable[Key]) -> set[Key]:
        """These are in the log, and no others; of which nothing is known any more."""
        before = {*self}
        self._ordered = set(keys)
        return before.difference(self)

    def settle(self, key: Key) -> None:
        """This one is decided."""
        self._waiting.pop(key, None)
        self._ordered.discard(key)

    def has(self, key: Key) -> bool:
        """Whether it waits, or is in the log."""
        return key in self._waiting or key in self._ordered

    def batch(self, most: int, undecided: int) -> list[SignedRequest]:
        """Those of the next entry, in their order: no more than so many, nor larger than a slot may be.

        None where they wait, behind so many entries that are not decided, for others to share it with.
        """
        requests: list[SignedRequest] = []
        size = 0
        for key, request in self._waiting.items():
            if key in self._ordered:
                continue
            size += operations_bytes(request.statement.operations)
            if len(requests) == most or (requests and size > SLOT_LIMIT_BYTES):
                break
            requests.append(request)
        return requests if may_order(len(requests), most, undecided) else []

    def __iter__(self) -> Iterator[Key]:
        """Of those that wait, and of those that are in the log and of which nothing else is known."""
        return iter([*self._waiting, *sorted(self._ordered - self._waiting.keys())])

    def __len__(self) -> int:
        return len(self._waiting.keys() | self._ordered)
