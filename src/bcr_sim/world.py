"""A world of tasks on one virtual clock: whatever happens is an event, and events happen one after another.

Knows nothing of DistAlgo. A task is a greenlet that leaves whenever it would block; the world goes on to the next event
of its queue, and time passes only there. One seed decides everything that is left to chance.
"""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000

# A wait takes at least so long: with nothing, a poll would go round for ever at one instant.
SHORTEST_WAIT_NS = MICROSECOND_NS


class World:
    """The clock, what is going to happen, and chance."""

    def __init__(self, seed: int) -> None:
        self.now_ns = 0
        self.events = 0  # that have happened
        self.random = random.Random(seed)
        self.hub = getcurrent()  # where tasks leave to: never to one another, not even to the one that spawned them
        self._agenda: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = 0  # breaks ties: of two events at one time the one that was planned first comes first
        self._tasks: list[Task] = []
        self._is_over: Callable[[], bool] = lambda: False
        self._limit_ns = self._limit_events = 0

    def at(self, time_ns: int, action: Callable[..., object], *arguments: Any) -> None:
        """Let `action(*arguments)` happen at that time, or now if that has passed."""
        self._count += 1
        heappush(self._agenda, (max(self.now_ns, time_ns), self._count, action, arguments))

    def spawn(self, name: str, function: Callable[[], None]) -> "Task":
        """A task that begins with the next events."""
        task = Task(self, name, function)
        self._tasks.append(task)
        self.at(self.now_ns, task.begin)
        return task

    def run(self, is_over: Callable[[], bool], limit_ns: int, limit_events: int) -> str | None:
        """Let events happen until `is_over()`; what kept it from being over, or None. Ends all tasks."""
        agenda = self._agenda
        self._is_over, self._limit_ns, self._limit_events = is_over, limit_ns, limit_events
        try:
            while not is_over():
                if not agenda:
                    return "everybody waits and nothing is going to happen"
                if self.events >= limit_events:
                    return f"no end after {limit_events} events"
                time_ns, _, action, arguments = heappop(agenda)
                if time_ns > limit_ns:
                    return f"no end within {limit_ns // SECOND_NS} virtual seconds"
                self.now_ns = time_ns
                self.events += 1
                action(*arguments)
            return None
        finally:
            self.end()

    def pass_by(self, duration_ns: int) -> None:
        """Let so much time pass, and everything happen that is due in it; for who steers a world step by step."""
        until_ns = self.now_ns + duration_ns
        while self._agenda and self._agenda[0][0] <= until_ns:
            self.now_ns, _, action, arguments = heappop(self._agenda)
            self.events += 1
            action(*arguments)
        self.now_ns = until_ns

    def end(self) -> None:
        """End all tasks; nothing happens any more."""
        self._agenda.clear()
        for task in self._tasks:
            task.kill()
        self._tasks.clear()

    def passes(self, time_ns: int) -> bool:
        """Whether what would happen at that time is what happens next; then it is that time, and it has happened.

        For a task that would leave only to be the next to go on.
        """
        if (self._agenda and self._agenda[0][0] <= time_ns) or time_ns > self._limit_ns:
            return False
        if self.events >= self._limit_events or self._is_over():
            return False
        self.now_ns = time_ns
        self.events += 1
        return True


class _Greenlet(greenlet):
    task: "Task"


def current_task() -> "Task":
    """The task that runs. Raises AttributeError where none does."""
    running: _Greenlet = getcurrent()
    return running.task


class Task:
    """Something that runs until it waits. It may be paused, and killed."""

    def __init__(self, world: World, name: str, function: Callable[[], None]) -> None:
        self.world = world
        self.name = name
        self.is_dead = False
        self._function = function
        self._greenlet = _Greenlet(self._main, world.hub)
        self._greenlet.task = self
        self._waits = 0
        self._is_waiting = False
        self._paused_until_ns = 0

    def _main(self) -> None:
        try:
            self._function()
        except GreenletExit:
            pass
        finally:
            self.is_dead = True

    def begin(self) -> None:
        if not self.is_dead:
            self._greenlet.switch()

    def wait(self, timeout_ns: int | None = None) -> bool:
        """By the task itself: leave until somebody wakes it, True, or the time has passed, False."""
        world = self.world
        if timeout_ns is not None:
            ends_ns = world.now_ns + (max(SHORTEST_WAIT_NS, timeout_ns))
            if ends_ns >= self._paused_until_ns and world.passes(ends_ns):
                return False
            world.at(ends_ns, self._resume, self._waits + 1, False)
        self._waits += 1
        self._is_waiting = True
        return bool(world.hub.switch())

    def sleep(self, duration_ns: int) -> None:
        """By the task itself: leave for so long, whoever calls."""
        world = self.world
        ends_ns = world.now_ns + (max(SHORTEST_WAIT_NS, duration_ns))
        if ends_ns >= self._paused_until_ns and world.passes(ends_ns):
            return
        self._waits += 1
        world.at(ends_ns, self._resume_sleeper, self._waits)
        world.hub.switch()

    def wake(self) -> None:
        """End the task's wait, if it waits."""
        if self._is_waiting:
            self._resume(self._waits, True)

    def pause(self, until_ns: int) -> None:
        """Let it stand still until then; what would have made it go on before makes it go on then."""
        self._paused_until_ns = max(self._paused_until_ns, until_ns)

    def kill(self) -> None:
        """End it wherever it is."""
        if not self.is_dead:
            self.is_dead = True
            self._greenlet.throw(GreenletExit)

    def _resume(self, wait: int, value: bool) -> None:
        if self._is_waiting and wait == self._waits and not self.is_dead:
            if self.world.now_ns < self._paused_until_ns:
                self.world.at(self._paused_until_ns, self._resume, wait, value)
                return
            self._is_waiting = False
            self._greenlet.switch(value)

    def _resume_sleeper(self, wait: int) -> None:
        if wait == self._waits and not self.is_dead:
            if self.world.now_ns < self._paused_until_ns:
                self.world.at(self._paused_until_ns, self._resume_sleeper, wait)
                return
            self._greenlet.switch()
