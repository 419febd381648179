"""Turns: what attackers send goes to the target in one, and to who discards it in the next."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from bcr_fuzz.fuzz import Turn
from bcr_runtime.places import SOURCES

TURN_S = 1.0


class TurnTarget(Protocol):
    """What is attacked: where all is sent to instead, and how much it has answered to honest clients since this was asked last."""

    elsewhere: tuple[str, int] | None

    def newly_answered(self) -> int: ...


class Turns:
    """Whose turn it is: the target's, then twice that of who discards, then the target's; so what only gets more falls on both alike."""

    def __init__(self, target: TurnTarget, elsewhere: tuple[str, int]) -> None:
        self.taken: dict[bool, list[Turn]] = {True: [], False: []}  # to the target, elsewhere
        self.sent = 0  # in this turn
        self._target = target
        self._elsewhere = elsewhere
        self._began_s = time.monotonic()
        target.newly_answered()

    @property
    def is_targets(self) -> bool:
        return self._target.elsewhere is None

    def look(self) -> None:
        """The next one's turn, if it is time."""
        took_s = time.monotonic() - self._began_s
        if took_s < TURN_S:
            return
        self.taken[self.is_targets].append(Turn(took_s, self.sent, self._target.newly_answered()))
        number = sum(map(len, self.taken.values()))
        self._target.elsewhere = self._elsewhere if number % 4 in (1, 2) else None
        self._began_s, self.sent = time.monotonic(), 0


@contextlib.contextmanager
def discarding(module: str, is_wanted: bool, *arguments: str) -> Iterator[tuple[str, int] | None]:
    """The address of a process that takes what would be sent to the target, and discards it: by `discard` of the module, called with the arguments, which says at
    which port it listens, and ends when nobody wants it any more. None where it is not wanted."""
    if not is_wanted:
        yield None
        return
    process = subprocess.Popen(
        [sys.executable, "-c", f"import {module}; {module}.discard(*{arguments!r})"],
        cwd=SOURCES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield "127.0.0.1", int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()
