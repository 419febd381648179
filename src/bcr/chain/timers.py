"""Deadlines by name, as values: whoever has a clock asks which have passed (specification, 4.1, 4.6)."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """A set of running timers; times are seconds on one monotonic clock, durations milliseconds."""

    def __init__(self, patience_ms: int) -> None:
        """`patience_ms` is the shortest duration that any timer of this set will have (see `wait_s`)."""
        self._patience_s = patience_ms / 1000
        self._deadlines: dict[K, float] = {}

    def start(self, name: K, now_s: float, duration_ms: float) -> None:
        """Start a timer; one that runs already keeps its deadline."""
        self._deadlines.setdefault(name, now_s + duration_ms / 1000)

    def stop(self, name: K) -> bool:
        """Stop a timer and say whether it was running."""
        return self._deadlines.pop(name, None) is not None

    def stop_those_of(self, owner: object) -> None:
        """Stop the timers whose name is a pair that begins with `owner`."""
        for name in [each for each in self._deadlines if isinstance(each, tuple) and each[0] == owner]:
            del self._deadlines[name]

    def is_running(self, name: K) -> bool:
        return name in self._deadlines

    def stop_all(self) -> None:
        self._deadlines.clear()

    def wait_s(self, now_s: float) -> float:
        """How long nothing can expire: the time to the earliest deadline, and never more than the patience.

        A timer that is started during the wait expires no earlier than its end, so the wait need not be cut short.
        """
        deadline = min(self._deadlines.values(), default=now_s + self._patience_s)
        return max(0.0, min(deadline - now_s, self._patience_s))

    def take_expired(self, now_s: float) -> list[K]:
        """Stop and return the timers whose deadline has passed, earliest first."""
        passed = [name for name, deadline in self._deadlines.items() if deadline <= now_s]
        passed.sort(key=lambda name: self._deadlines[name])
        for name in passed:
            del self._deadlines[name]
        return passed

    def __len__(self) -> int:
        return len(self._deadlines)
