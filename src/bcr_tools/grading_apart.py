"""Runs what judges another's sources in a process of its own, of which nothing is left, and hears what came of each thing that is tried."""

import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bcr_run.supervision import StoodStill, TimeLimitReached, supervise

START_FACTOR = 5  # so many times what one thing may take, for all that is imported and compiled before the first
BYTES_AT_ONCE = 1 << 20  # that are heard; what says more is heard at the next look
ENDED = ("its time", "the process ended")  # how the reason begins where whoever judges did not come to a verdict


class Limits(msgspec.Struct, frozen=True):
    """Of a part of the suite and of one thing in it, in seconds of real time, and of the memory of one process."""

    seconds: float
    seconds_each: float
    memory_bytes: int


class Said(msgspec.Struct, frozen=True):
    """A line: what began, what came of what (no breach where all is well), a text, or why nothing can be tried."""

    began: str = ""
    name: str = ""
    breach: str = ""
    text: str = ""
    broken: str = ""


class _TookTooLong(Exception):
    """One thing, or all that comes before the first, was not over within its limit."""


class _Hearing:
    """Reads the lines that begin with a word. All others, and what is no message, are somebody else's and are passed over."""

    def __init__(self, descriptor: int, word: str, expected: int, limit_s: float) -> None:
        self._descriptor, self._word, self._expected = descriptor, f"{word} ".encode(), expected
        self._limit_s, self._began_s, self._may_take_s = limit_s, time.monotonic(), START_FACTOR * limit_s
        self._rest = b""
        self.said: list[Said] = []

    def is_over(self) -> bool:
        """Whether all that was expected has been said. Raises _TookTooLong."""
        self.listen()
        if time.monotonic() - self._began_s > self._may_take_s:
            raise _TookTooLong(f"its time is over, {self._may_take_s:g} s")
        return sum(1 for each in self.said if each.name or each.text) >= self._expected

    def listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._rest += os.read(self._descriptor, BYTES_AT_ONCE)
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            if line.startswith(self._word):
                with contextlib.suppress(msgspec.DecodeError):
                    self.said.append(msgspec.json.decode(line[len(self._word) :], type=Said))
                    self._began_s, self._may_take_s = time.monotonic(), self._limit_s
        if len(self._rest) > BYTES_AT_ONCE:
            self._rest = b""


def heard(
    checkout: Path, task: Mapping[str, object], limits: Limits, limit_s: float, expected: int, sources: Path | None = None
) -> tuple[list[Said], str]:
    """What the process said of its task within so many seconds, and how it ended; it judges what is in `sources`, by default the checkout's."""
    word = secrets.token_hex(16)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    hearing = _Hearing(reading, word, expected, limits.seconds_each)
    environment = os.environ | {"PYTHONPATH": str(sources or checkout / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        with tempfile.TemporaryFile() as given, open(os.devnull, "r+b") as nowhere:
            more = {"memory_bytes": limits.memory_bytes, "word": word, "results": writing}
            given.write(json.dumps({**task, **more}).encode())
            given.seek(0)
            try:
                status = supervise(
                    [sys.executable, "-P", "-m", "bcr_sim.grading"], checkout, max(1.0, limit_s), signal.SIGKILL, nowhere, environment,
                    hearing.is_over, given=given, descriptors=(writing,),
                )  # fmt: skip
                ending = f"the process ended with status {status}"
            except TimeLimitReached:
                ending = "its time is over"
            except (_TookTooLong, StoodStill) as problem:
                ending = str(problem)
        hearing.listen()
    finally:
        os.close(reading)
        os.close(writing)
    return hearing.said, ending


def tried(
    checkout: Path, names: Sequence[str], task: Callable[[Sequence[str]], Mapping[str, object]], limits: Limits,
    most: int | None = None, sources: Path | None = None,
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """Each name of which `task` makes something to be judged and which does not come out well, of all or the first so many, and why.

    One that is not said to be well is not. One that ends the process, or for which its time does not suffice, takes no other with it;
    where nothing can be tried, or the time of all is over, all that are left are lost.
    """
    left, found = list(dict.fromkeys(names)), 0
    ends_s = time.monotonic() + limits.seconds
    while left:
        said, ending = heard(checkout, task(left), limits, ends_s - time.monotonic(), len(left), sources)
        began = broken = ""
        for each in said:
            if each.began:
                began = each.began
            elif each.broken:
                broken = each.broken
            elif each.name in left:
                left.remove(each.name)
                if each.breach:
                    yield each.name, each.breach
                    found += 1
                    if found == most:
                        return
        if not left:
            return
        if not any(each.began for each in said) or time.monotonic() >= ends_s:
            yield from ((name, broken or ending) for name in left)
            return
        lost = began if began in left else left[0]
        left.remove(lost)
        yield lost, broken or ending
        found += 1
        if found == most:
            return
