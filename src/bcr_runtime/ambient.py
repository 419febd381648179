"""The one door through which processes reach the machine: time, randomness, files, consumption, processes they started.

The `.da` files ask nowhere else. So whoever installs another source here, as the simulator does, controls all of it.
"""

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import platform
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol, TextIO

import psutil

from bcr.raft.persistent import MemoryStore, StableStorage
from bcr.stable.disk import Disk
from bcr_disk.sqlite import ENDING, SlowedDisk, SqliteDisk
from dacurrent import logfiles, waiting

STOPPED_LIMIT_S = 1.0  # for children that the operating system has stopped: these end only if somebody lets them go on
CHILD_LOOK_S = 0.2  # between two looks at those that have not ended
LEAVE_LIMIT_S = 6.0  # for a process that ended, or whose parent did, to let go of its disk
ADDED_SYNC_MS = "BCR_ADDED_SYNC_MS"  # the environment's variable by which ./bcr bench disks makes syncs take longer
DISK_STATUS = 74  # of a process that could not write what it had to


class Source(Protocol):
    """What stands behind the functions of this module."""

    def monotonic_ns(self) -> int: ...

    def wall_clock_ns(self) -> int: ...

    def random_bytes(self, count: int) -> bytes: ...

    def clock_name(self) -> str: ...

    def sleep_s(self, duration_s: float) -> None: ...

    def open_log(self, path: Path) -> TextIO: ...

    def open_spool(self, folder: Path) -> BinaryIO: ...

    def open_store(self, name: str) -> StableStorage: ...

    def consumption(self) -> tuple[float, int]: ...

    def gone(self, children: Sequence[Any]) -> list[Any]: ...

    def fallen_children(self, children: Sequence[Any]) -> list[Any]: ...

    def replaced(self, child: Any) -> None: ...

    def end_children(self, limit_s: float) -> None: ...

    def open_disk(self, path: Path, owner: str) -> Disk: ...

    def before_waiting(self, callback: Callable[[], None]) -> None: ...

    def end_at_once(self, why: str) -> NoReturn: ...


def _for_its_owner(path: str, flags: int) -> int:
    """Open a file that nobody else may read: it tells what clients wrote and read."""
    return os.open(path, flags, 0o600)


class LogFile:
    """A file to append lines to that never raises: `problem` says why it could not be written, once it could not.

    From then on nothing is written, and the rest of the last line that was may be missing.
    """

    def __init__(self, open_file: Callable[[], TextIO], path: Path) -> None:
        self.name = str(path)
        self.problem: str | None = None
        self._file: TextIO | None = None
        try:
            self._file = open_file()
        except OSError as error:
            self._give_up(error)

    @property
    def closed(self) -> bool:
        return self._file is None or self._file.closed

    def write(self, text: str) -> None:
        if self._file is not None:
            try:
                self._file.write(text)
            except OSError as error:
                self._give_up(error)
            logfiles.write_before_messages(self)

    def flush(self) -> None:
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()

    def _give_up(self, error: OSError) -> None:
        self.problem = f"{self.name} cannot be written: {error.strerror}"
        if self._file is not None:
            # What waits to be written would be tried again at the end of the process, and fail again.
            with contextlib.suppress(OSError, ValueError):
                with open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), self._file.fileno())
                self._file.close()
            self._file = None


class Spool:
    """What a process puts away as it happens, and reads back once, at its end; the file is made when it is needed."""

    def __init__(self, open_file: Callable[[], BinaryIO], name: str) -> None:
        self._open_file = open_file
        self._file: BinaryIO | None = None
        self._name = name
        self._size = 0

    def write(self, data: bytes) -> None:
        """Put the bytes behind the others. Raises OSError where they cannot all be, and then none are."""
        if self._file is None:
            self._file = self._open_file()
        self._file.seek(self._size)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._size += len(data)  # where that was not reached, the next write begins at the same place

    def pieces(self, size: int, tail: bytes) -> Iterator[tuple[int, int, bytes]]:
        """All bytes and behind them the tail, as (index, count, piece) with pieces of `size` bytes."""
        total = self._size + len(tail)
        count = -(-total // size)
        for index in range(count):
            start = index * size
            from_file = b""
            if start < self._size and self._file is not None:
                self._file.seek(start)
                from_file = self._file.read(min(size, self._size - start))
            behind = max(0, start - self._size)
            yield index, count, from_file + tail[behind : behind + size - len(from_file)]

    def problem(self, error: OSError) -> str:
        """What is wrong when a write has raised this."""
        return f"{self._name} cannot be written: {error.strerror}"


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
        return open(path, "a", encoding="utf-8", errors="backslashreplace", opener=_for_its_owner)

    def open_spool(self, folder: Path) -> BinaryIO:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=0)

    def open_store(self, name: str) -> StableStorage:
        return MemoryStore()

    def consumption(self) -> tuple[float, int]:
        return time.process_time(), psutil.Process().memory_info().rss

    def gone(self, children: Sequence[Any]) -> list[Any]:
        processes = [getattr(child, "dapid", None) for child in multiprocessing.active_children()]
        # Where there is none they may be threads, of which nothing is known.
        return [child for child in children if child not in processes] if processes else []

    def fallen_children(self, children: Sequence[Any]) -> list[Any]:
        from dacurrent import lifetime  # not before DistAlgo is loaded

        processes = lifetime.running()
        return [child for child in children if child not in processes]

    def replaced(self, child: Any) -> None:
        from dacurrent import lifetime  # not before DistAlgo is loaded

        lifetime.note_replaced(child)

    def end_children(self, limit_s: float) -> None:
        began_s = time.monotonic()
        children = multiprocessing.active_children()
        while children and (left_s := began_s + limit_s - time.monotonic()) > 0:
            multiprocessing.connection.wait([child.sentinel for child in children], min(left_s, CHILD_LOOK_S))
            children = [child for child in children if child.is_alive()]
            if time.monotonic() - began_s >= STOPPED_LIMIT_S and all(map(_is_stopped, children)):
                break
        for child in children:
            child.kill()
            child.join()

    def open_disk(self, path: Path, owner: str) -> Disk:
        added_ms = os.environ.get(ADDED_SYNC_MS)
        if added_ms is None:
            return SqliteDisk(path.with_suffix(ENDING), owner, LEAVE_LIMIT_S)
        disk = SlowedDisk(path.with_suffix(ENDING), owner, LEAVE_LIMIT_S)
        disk.added_ms = float(added_ms)
        return disk

    def before_waiting(self, callback: Callable[[], None]) -> None:
        def call() -> None:
            try:
                callback()
            except Exception:
                self.end_at_once(f"an error of our own: {traceback.format_exc()}")

        waiting.before_waiting(call)

    def end_at_once(self, why: str) -> NoReturn:
        logging.getLogger("da.lifetime").error("%s", why)
        logging.shutdown()
        os._exit(DISK_STATUS)


_source: Source = SystemSource()


def _is_stopped(child: multiprocessing.process.BaseProcess) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    return False


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


def open_log(path: Path) -> LogFile:
    """A file to append lines to, made with its folders if need be; what is wrong with it, it says itself."""
    return LogFile(lambda: _source.open_log(path), path)


def open_spool(folder: Path) -> Spool:
    """An empty spool, that is gone with the process."""
    return Spool(lambda: _source.open_spool(folder), f"a file in {folder}")


def open_store(name: str) -> StableStorage:
    """Where the server of this name finds what it must not forget, and puts it."""
    return _source.open_store(name)


def consumption() -> tuple[float, int]:
    """What this OS process has taken so far: CPU seconds of all its threads; and the bytes of memory it now holds."""
    return _source.consumption()


def gone(children: Sequence[Any]) -> list[Any]:
    """Those of the DistAlgo processes, all made by this OS process and on its node, that have ended."""
    return _source.gone(children)


def fallen_children(children: Sequence[Any]) -> list[Any]:
    """Those that have ended, and that whoever made them may make again here."""
    return _source.fallen_children(children)


def replaced(child: Any) -> None:
    """A DistAlgo process that this OS process made has ended, and that it was killed is no failure: another takes its place, or it goes without."""
    _source.replaced(child)


def end_children(limit_s: float) -> None:
    """Kill what has not ended within the limit of the processes that this OS process started.

    A process that stands still heeds no message, and would keep the run from ending. Where only stopped ones are left
    (SIGSTOP), these are not waited for as long.
    """
    _source.end_children(limit_s)


def open_disk(path: Path, owner: str) -> Disk:
    """The disk of the process called `owner`, in a file of this name but for its ending. Raises DiskError."""
    return _source.open_disk(path, owner)


def before_waiting(callback: Callable[[], None]) -> None:
    """Let this process call `callback` whenever it has handled all that had come, and is about to wait; that may send."""
    _source.before_waiting(callback)


def end_at_once(why: str) -> NoReturn:
    """End this process where it stands: it may not say another word."""
    _source.end_at_once(why)
