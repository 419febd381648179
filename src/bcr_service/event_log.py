"""What has happened to the chain, kept for those who ask, and told to those who listen."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from bcr_service.whole_numbers import number_in

MOST_KEPT = 10_000
MOST_LISTENERS = 200


class Events:
    """The latest events, numbered; any thread may add, and listeners on an event loop hear of it.

    Numbers begin at 1 whenever the service starts, so the identity of an event has the name of that start in it.
    """

    def __init__(self, start: str) -> None:
        """`start` names this start of the service, and no other."""
        self._start = start
        self._lock = threading.Lock()
        self._kept: deque[dict[str, Any]] = deque(maxlen=MOST_KEPT)
        self._listeners: dict[object, Callable[[], object]] = {}

    def add(self, event: dict[str, Any]) -> None:
        """Keep the event, which has its number, and wake the listeners."""
        with self._lock:
            self._kept.append(event)
        self.ring()

    def ring(self) -> None:
        """Let all who listen look whether there is something."""
        with self._lock:
            listeners = list(self._listeners.values())
        for tell in listeners:
            tell()

    def after(self, number: int) -> list[dict[str, Any]]:
        """The events behind that number, as far as they are kept."""
        with self._lock:
            return [event for event in self._kept if event["number"] > number]

    def identity_of(self, number: int) -> str:
        """By what callers know the event, also where the service has started again since."""
        return f"{self._start}-{number}"

    def number_of(self, identity: str) -> int | None:
        """The number of the event that is known so; None where none is, or where what came behind it is not kept."""
        start, _, digits = identity.rpartition("-")
        with self._lock:
            first, last = (self._kept[0]["number"], self._kept[-1]["number"]) if self._kept else (1, 0)
        try:
            return number_in(digits, first - 1, last) if start == self._start else None
        except ValueError:
            return None

    def listen(self) -> "EventSubscription":
        """Somebody who is told on the running event loop. Raises OverflowError where there are too many."""
        loop, bell = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(bell.set)

        key = object()
        with self._lock:
            if len(self._listeners) >= MOST_LISTENERS:
                raise OverflowError(f"{MOST_LISTENERS} listen already")
            self._listeners[key] = tell
        return EventSubscription(self, key, bell)

    def forget(self, key: object) -> None:
        with self._lock:
            self._listeners.pop(key, None)


class EventSubscription:
    """One who listens; to be closed."""

    def __init__(self, events: Events, key: object, bell: asyncio.Event) -> None:
        self._events, self._key, self._bell = events, key, bell

    async def wait(self, limit_s: float) -> None:
        """Until something has happened, or for so long."""
        try:
            await asyncio.wait_for(self._bell.wait(), limit_s)
        except TimeoutError:
            return
        self._bell.clear()

    def close(self) -> None:
        self._events.forget(self._key)
