"""What a replica remembers of each client's latest requests (paper, section 3.3)."""

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class LatestRequests(Generic[V]):
    """A value for each of a client's latest requests, at most `client_window` a client.

    A client numbers its requests in turn and has at most that many outstanding, so a request that falls out of the
    window has been answered. With answers as values this is the result cache.
    """

    def __init__(self, client_window: int) -> None:
        self.client_window = client_window
        self._latest: dict[int, dict[int, V]] = {}

    def put(self, client: int, number: int, value: V) -> None:
        latest = self._latest.setdefault(client, {})
        latest[number] = value
        oldest_kept = max(latest) - self.client_window + 1
        for old in [old for old in latest if old < oldest_kept]:
            del latest[old]

    def get(self, client: int, number: int) -> V | None:
        return self._latest.get(client, {}).get(number)

    def copy(self) -> "LatestRequests[V]":
        """The same memory, which goes its own way from here."""
        other = LatestRequests[V](self.client_window)
        other._latest = {client: dict(latest) for client, latest in self._latest.items()}
        return other

    def items(self) -> Iterator[tuple[int, int, V]]:
        """Client, request number and value of everything that is remembered."""
        for client, latest in sorted(self._latest.items()):
            for number, value in sorted(latest.items()):
                yield client, number, value
