"""Runs a command so that nothing of it is left behind, however it ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from bcr_run.output import complain

TICK_S = 0.2
PATIENCE_S = 10.0  # for the command to end when it is asked to
BUSY = (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)  # on a processor or waiting for one, or for a disk
KILL_LIMIT_S = 10.0  # for what was killed to be gone
# For the command to end when all that was wanted of it is there: so long nobody of it may have anything to do, and so much
# CPU time may they take. On a busy machine what is about to end waits for its turn, and does not stand still.
OVER_LIMIT_S = 6.0


PR_SET_PDEATHSIG = 1  # of prctl(2)
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


class Interrupted(Exception):
    """A signal asked this process to end; what it ran has been ended. `status` is what a shell makes of it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.status = 128 + number


class TimeLimitReached(Exception):
    """The command had not ended within its limit; it has been ended."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"not finished within {limit_s:g} s; ended")


class StoodStill(Exception):
    """The command had done what was wanted of it and did not end; it has been ended. Names what still was there."""

    def __init__(self, limit_s: float, family: Sequence[str]) -> None:
        super().__init__(f"did not end within {limit_s:g} s of its verdict, and was ended: {', '.join(family)}")


def end_with_us() -> None:
    """In a child, before it is the command: it is asked to end when the thread that made it has ended, however that was.

    Only Linux has that. It calls nothing that a thread which is not there any more could have locked.
    """
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def supervise(
    command: Sequence[str],
    folder: Path | None,
    limit_s: float,
    ending: signal.Signals = signal.SIGTERM,
    output: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    is_over: Callable[[], bool] = lambda: False,
    ends_with_us: bool = True,
    given: IO[bytes] | None = None,
    descriptors: Sequence[int] = (),
) -> int:
    """Run `command` in `folder`, None for our own; returns its exit status, negative when a signal ended it.

    What it prints goes to `output`, or to where our own goes; `environment` takes the place of our own, and `given` that of
    our own standard input. Of our other open files it has `descriptors`, under their numbers.

    Raises TimeLimitReached, StoodStill, where the command does not end although `is_over` has become true, what `is_over` raises,
    and, in the main thread, which alone is told of signals, Interrupted (Ctrl-C, SIGTERM, SIGHUP); `ending` is the signal by which the command is then asked to end, before it is
    killed. In every case its descendants have ended too. Where we are killed ourselves the command is asked
    to end, unless it sees to that itself (`ends_with_us`).
    """
    with noted_signals() as noted:
        deadline_s = time.monotonic() + limit_s
        ending_of: _Ending | None = None
        process = subprocess.Popen(
            command, cwd=folder, start_new_session=True, stdin=given, stdout=output, stderr=output, env=environment, pass_fds=descriptors, preexec_fn=end_with_us if ends_with_us else None  # noqa: PLW1509 - see there
        )  # fmt: skip
        family: set[psutil.Process] = set()
        try:
            while True:
                family |= _descendants(process.pid)
                status = None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(timeout=TICK_S)
                if noted:
                    raise Interrupted(noted[0])
                if status is not None:
                    return status
                if ending_of is None and is_over():
                    ending_of = _Ending()
                if ending_of is not None and ending_of.has_taken_too_long({psutil.Process(process.pid), *family}):
                    raise StoodStill(OVER_LIMIT_S, _described({psutil.Process(process.pid), *family}))
                if time.monotonic() > deadline_s:
                    raise TimeLimitReached(limit_s)
        finally:
            _end(process, family, ending)


@contextlib.contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """Signals that ask to end are noted, not raised, so that a second one cannot disturb the ending."""
    noted: list[signal.Signals] = []
    with heeded_signals(noted.append):
        yield noted


@contextlib.contextmanager
def heeded_signals(heed: Callable[[signal.Signals], object]) -> Iterator[None]:
    """Within it `heed` is called with each signal that asks to end; of signals the main thread alone is told.

    What is ignored stays so: SIGHUP under nohup, SIGINT in a shell's background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asking = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    earlier_handlers = {number: signal.signal(number, lambda each, _: heed(signal.Signals(each))) for number in asking}
    try:
        yield
    finally:
        for number, handler in earlier_handlers.items():
            signal.signal(number, handler)


class _Ending:
    """How long a family stood still, and what CPU time it took, since it had done what was wanted of it."""

    def __init__(self) -> None:
        self._looked_s = time.monotonic()
        self._still_s = 0.0
        self._before_s: dict[psutil.Process, float] = {}
        self._taken_s: dict[psutil.Process, float] = {}

    def has_taken_too_long(self, family: set[psutil.Process]) -> bool:
        now_s, is_busy = time.monotonic(), False
        for member in family:
            with contextlib.suppress(psutil.Error):
                is_busy |= member.status() in BUSY
                cpu_times = member.cpu_times()
                taken_s = cpu_times.user + cpu_times.system
                self._taken_s[member] = taken_s - self._before_s.setdefault(member, taken_s)
        if not is_busy:
            self._still_s += now_s - self._looked_s
        self._looked_s = now_s
        return self._still_s > OVER_LIMIT_S or sum(self._taken_s.values()) > OVER_LIMIT_S


def _described(family: set[psutil.Process]) -> list[str]:
    """The processes that are there, those that stand still first."""
    found = []
    for member in family:
        with contextlib.suppress(psutil.Error):
            if _is_alive(member):
                is_stopped = member.status() == psutil.STATUS_STOPPED
                found.append((not is_stopped, member.pid, "stopped" if is_stopped else member.status()))
    return [f"process {pid} ({status})" for _, pid, status in sorted(found)]


def _descendants(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def _end(process: "subprocess.Popen[bytes]", family: set[psutil.Process], ending: signal.Signals) -> None:
    """End the command, its process group, and what else was seen of its family: gently, then not."""
    if process.poll() is None:
        family |= _descendants(process.pid)
        _signal_group(process.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=PATIENCE_S)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()  # psutil makes sure that it is still the same process
    for _ in range(round(KILL_LIMIT_S / TICK_S)):
        family = {member for member in family if _is_alive(member)}
        if not family:
            return
        psutil.wait_procs(family, timeout=TICK_S)
    complain(f"bcr: could not end {', '.join(str(member.pid) for member in family)}")


def _is_alive(process: psutil.Process) -> bool:
    """Not a zombie: these are for their parent to remove, which in a container may be one that never does."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
