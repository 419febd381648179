"""The one door through which processes reach the machine: time, randomness, files, consumption, processes they started.

The `.da` files ask nowhere else, so whoever installs another source here, as a simulator does, holds it all in hand.
"""

import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

import psutil

from dacurrent import logfiles


class Source(Protocol):
    """What stands behind the functions of this module."""

    def monotonic_ns(self) -> int: ...

    def wall_clock_ns(self) -> int: ...

    def random_bytes(self, count: int) -> bytes: ...

    def clock_name(self) -> str: ...

    def sleep_s(self, duration_s: float) -> None: ...

    def open_log(self, path: Path) -> TextIO: ...

    def open_spool(self, folder: Path) -> BinaryIO: ...

    def consumption(self) -> tuple[float, int]: ...

    def gone(self, children: Sequence[Any]) -> list[Any]: ...

    def end_children(self, limit_s: float) -> None: ...


class SystemSource:
    """The machine's own clocks and random bytes."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_clock_ns(self) -> int:
        return time.time_ns()

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def sleep_s(self, duration_s: float) -> None:
        time.sleep(duration_s)

    def clock_name(self) -> str:
        """Names the monotonic clock, which all processes since one boot of one machine share."""
        boot_id = Path("/proc/sys/kernel/random/boot_id")
        try:
            return boot_id.read_text().strip()
        except OSError:  # not Linux: a monotonic clock is then only known to be common to one process
            return f"{platform.node()}/{os.getpid()}"

    def open_log(self, path: Path) -> TextIO:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - open as long as the process
        logfiles.write_before_messages(file)
        return file

    def open_spool(self, folder: Path) -> BinaryIO:
        return tempfile.TemporaryFile(dir=folder)

    def consumption(self) -> tuple[float, int]:
        return time.process_time(), psutil.Process().memory_info().rss

    def gone(self, children: Sequence[Any]) -> list[Any]:
        alive = [getattr(child, "dapid", None) for child in multiprocessing.active_children()]
        # Where there is none they may be threads, of which nothing is known.
        return [child for child in children if child not in alive] if alive else []

    def end_children(self, limit_s: float) -> None:
        deadline_s = time.monotonic() + limit_s
        for child in multiprocessing.active_children():
            child.join(max(0.0, deadline_s - time.monotonic()))
            if child.is_alive():
                child.kill()
                child.join()


_source: Source = SystemSource()


def install(source: Source) -> None:
    """Take time and randomness from `source` from now on."""
    global _source
    _source = source


def source() -> Source:
    """What time and randomness are taken from now."""
    return _source


def monotonic_ns() -> int:
    """Nanoseconds on a clock that never goes back; comparable where `clock_name` is the same."""
    return _source.monotonic_ns()


def now_s() -> float:
    """Seconds on the same clock."""
    return _source.monotonic_ns() / 1e9


def wall_clock_ns() -> int:
    """Nanoseconds since the beginning of 1970, in UTC."""
    return _source.wall_clock_ns()


def wall_clock() -> datetime:
    """The date and time, in UTC."""
    return datetime.fromtimestamp(_source.wall_clock_ns() / 1e9, UTC)


def random_bytes(count: int) -> bytes:
    """So many random bytes, fit for keys."""
    return _source.random_bytes(count)


def clock_name() -> str:
    """The name of the monotonic clock."""
    return _source.clock_name()


def sleep_s(duration_s: float) -> None:
    """Let the process stand still for so long; only injected faults do."""
    _source.sleep_s(duration_s)


def open_log(path: Path) -> TextIO:
    """A file to append lines to, made with its folders if need be. Raises OSError where that cannot be."""
    return _source.open_log(path)


def open_spool(folder: Path) -> BinaryIO:
    """An empty file in an existing folder, to write and read back, that is gone with the process."""
    return _source.open_spool(folder)


def consumption() -> tuple[float, int]:
    """What this OS process has taken so far: CPU seconds of all its threads; and the bytes of memory it now holds."""
    return _source.consumption()


def gone(children: Sequence[Any]) -> list[Any]:
    """Those of the DistAlgo processes, all made by this OS process and on its node, that have ended."""
    return _source.gone(children)


def end_children(limit_s: float) -> None:
    """Kill what has not ended within the limit of the processes that this OS process started.

    A process that stands still heeds no message, and would keep the run from ending.
    """
    _source.end_children(limit_s)
