"""What processes remember: what they have checked, and of each client the latest requests (specification, 3.7, 4.2)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class once(Generic[V]):
    """A property that is computed when it is first asked for.

    As `functools.cached_property`, which before Python 3.12 takes a lock and three times as long.
    """

    def __init__(self, compute: Callable[[Any], V]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Any, _owner: Any) -> V:
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


class VerifiedCache(Generic[V]):
    """Things that were found right, the latest `limit` of them, so that none is checked twice."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._things: dict[V, None] = {}

    def add(self, things: Iterable[V]) -> None:
        for thing in things:
            self._things.pop(thing, None)
            self._things[thing] = None
        while len(self._things) > self.limit:
            del self._things[next(iter(self._things))]

    def __contains__(self, thing: object) -> bool:
        return thing in self._things


def drop_fallen(latest: dict[int, V], before: int, newest: int, client_window: int) -> None:
    """Drop from what is kept by request number what falls out of the window when the newest number rises from `before`.

    Takes at most `client_window` steps, however far a client lets its numbers rise.
    """
    for number in _fallen_numbers(before, newest, client_window):
        latest.pop(number, None)


def _fallen_numbers(before: int, newest: int, client_window: int) -> Sequence[int]:
    if newest == before + 1:  # nearly always
        return (newest - client_window,)
    return range(before - client_window + 1, min(before, newest - client_window) + 1)


class HeldSizes:
    """What is remembered of a client's latest requests, in bytes by number; in all without adding it up each time."""

    def __init__(self, sizes: dict[int, int]) -> None:
        self._sizes = sizes
        self._total_bytes = sum(sizes.values())

    def without_fallen(self, before: int, newest: int, client_window: int) -> int:
        """In all, but for what falls out of the window when the newest number rises from `before`."""
        left_bytes = self._total_bytes
        for number in _fallen_numbers(before, newest, client_window):
            left_bytes -= self._sizes.get(number, 0)
        return left_bytes

    def put(self, number: int, size: int) -> None:
        """What is remembered of one more request."""
        self._sizes[number] = size
        self._total_bytes += size

    def drop_fallen(self, before: int, newest: int, client_window: int) -> None:
        """As the function of this name."""
        for number in _fallen_numbers(before, newest, client_window):
            self._total_bytes -= self._sizes.pop(number, 0)


class LatestRequests(Generic[V]):
    """A value for each of a client's latest requests, at most `client_window` a client.

    A client numbers its requests in turn and has at most that many outstanding, so a request that falls out of the
    window has been answered. With answers as values this is the result cache.
    """

    def __init__(self, client_window: int) -> None:
        self.client_window = client_window
        self._values_by_client: dict[int, dict[int, V]] = {}
        self._newest_numbers: dict[int, int] = {}

    def put(self, client: int, number: int, value: V) -> None:
        newest = self._newest_numbers.setdefault(client, number)
        if number <= newest - self.client_window:
            return
        latest = self._values_by_client.setdefault(client, {})
        latest[number] = value
        if number > newest:
            self._newest_numbers[client] = number
            drop_fallen(latest, newest, number, self.client_window)

    def get(self, client: int, number: int) -> V | None:
        return self._values_by_client.get(client, {}).get(number)

    def forget(self, client: int) -> None:
        """Remember nothing of this client."""
        self._values_by_client.pop(client, None)
        self._newest_numbers.pop(client, None)

    def copy(self) -> "LatestRequests[V]":
        """The same memory, which goes its own way from here."""
        other = LatestRequests[V](self.client_window)
        other._values_by_client = {client: dict(latest) for client, latest in self._values_by_client.items()}
        other._newest_numbers = dict(self._newest_numbers)
        return other

    def items(self) -> Iterator[tuple[int, int, V]]:
        """Client, request number and value of everything that is remembered."""
        for client, latest in sorted(self._values_by_client.items()):
            for number, value in sorted(latest.items()):
                yield client, number, value
