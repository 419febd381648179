"""What the head has to order: each client in its turn, and none more than its share (specification, 7a.6)."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from bcr.signed.statements import SignedRequest


class RequestQueue:
    """Requests that wait to be ordered, by client, and those that are ordered and whose results are not back.

    A client whose `most_in_flight` are in flight waits; the others have their turns meanwhile. No more than that wait either,
    the highest: whoever keeps its window never has so many. The number of a request is whatever it is known by among those
    of its client, and can be compared.
    """

    def __init__(self, most_in_flight: int) -> None:
        self._most_in_flight = most_in_flight
        self._waiting: OrderedDict[int, OrderedDict[Any, SignedRequest]] = OrderedDict()  # in the order of turns
        self._in_progress: set[tuple[int, Any]] = set()  # client and number of what waits or is in flight
        self._in_flight: dict[int, int] = {}  # how many of a client's, where there are some
        self._ready = 0

    def has(self, client: int, number: Any) -> bool:
        """Whether the request waits, or is in flight."""
        return (client, number) in self._in_progress

    def add(self, client: int, number: Any, request: SignedRequest) -> None:
        """Let a request wait for its client's turn."""
        self._in_progress.add((client, number))
        waiting = self._waiting.setdefault(client, OrderedDict())
        self._ready += len(waiting) < self._room_of(client)
        waiting[number] = request
        if len(waiting) > self._most_in_flight:
            self.settled(client, min(waiting))

    def ready(self) -> int:
        """How many may be ordered now."""
        return self._ready

    def take(self, most: int, fits: Callable[[SignedRequest], bool] = lambda _: True) -> list[SignedRequest]:
        """At most so many of those that may be ordered now, each client's share of that in turn; they are in flight from now on.

        What a client has of them stands together as far as can be: the paths of its answers then have the most in common. Behind what
        does not fit nothing is taken; where that is the first of its client in this turn, the client keeps the turn.
        """
        taken: list[SignedRequest] = []
        while self._ready and len(taken) < most:
            share = max(1, (most - len(taken)) // len(self._waiting))
            for client in tuple(self._waiting):
                if not self._take_of(client, min(share, most - len(taken)), fits, taken):
                    return taken
                if len(taken) == most:
                    break
        return taken

    def _take_of(self, client: int, most: int, fits: Callable[[SignedRequest], bool], taken: list[SignedRequest]) -> bool:
        """Take at most so many of a client's, and its turn with any of them; returns whether all that was looked at fits."""
        waiting = self._waiting[client]
        wanted = min(most, len(waiting), self._room_of(client))
        count = 0
        while count < wanted and fits(next(iter(waiting.values()))):
            taken.append(waiting.popitem(last=False)[1])
            count += 1
        if count:
            self._in_flight[client] = self._in_flight.get(client, 0) + count
            self._ready -= count
        if not waiting:
            del self._waiting[client]
        elif count or not wanted:
            self._waiting.move_to_end(client)
        return count == wanted

    def settled(self, client: int, number: Any) -> None:
        """The result of a request is back, or it will not be ordered after all."""
        if (client, number) not in self._in_progress:
            return
        self._in_progress.discard((client, number))
        waiting: dict[Any, SignedRequest] = self._waiting.get(client, {})
        if number in waiting:
            self._ready -= len(waiting) <= self._room_of(client)
            del waiting[number]
            if not waiting:
                del self._waiting[client]
        else:
            self._ready += len(waiting) > self._room_of(client)
            self._in_flight[client] -= 1
            if not self._in_flight[client]:
                del self._in_flight[client]

    def _room_of(self, client: int) -> int:
        """How many more of this client's may be in flight."""
        return self._most_in_flight - self._in_flight.get(client, 0)

    def __len__(self) -> int:
        """How many wait, or are in flight."""
        return len(self._in_progress)
