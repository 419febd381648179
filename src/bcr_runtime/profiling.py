"""Where a process's CPU time goes: its stack, looked at whenever the system says that it has used some more.

Only where the environment names a folder in PROFILE_FOLDER, as `./bcr bench budget` does. A look costs some microseconds,
and there are as many a second as the system has ticks, so what is measured is the process as it is.
"""

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

import msgspec

PROFILE_FOLDER = "BCR_PROFILE_FOLDER"
INTERVAL_S = 0.001  # the system makes of it the length of its tick: 1 to 10 ms


class Profiler:
    """Counts for the main thread's stack, at each signal, the CPU time of the process since the one before.

    So a signal that comes late, or comes once for two ticks, loses nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack_counts: Counter[tuple[CodeType, ...]] = Counter()
        self._since_s = 0.0

    def start(self) -> None:
        """From now on; on the main thread, which is the only one that signals interrupt."""
        self._since_s = time.process_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        now_s = time.process_time()
        stack = []
        while frame is not None:
            stack.append(frame.f_code)
            frame = frame.f_back
        self._stack_counts[tuple(reversed(stack))] += now_s - self._since_s  # type: ignore[assignment]  # a Counter takes any number
        self._since_s = now_s

    def write(self) -> None:
        """What there is so far: JSON, CPU seconds by stack, whose frames are `module:function`, outermost first."""
        stacks: dict[str, float] = {}
        for stack, seconds in list(self._stack_counts.items()):  # at once, for a look may come at any time
            text = ";".join(map(_name, stack))
            stacks[text] = stacks.get(text, 0.0) + seconds
        (self._folder / f"{os.getpid()}.json").write_bytes(msgspec.json.encode(stacks))


def _name(code: CodeType) -> str:
    return f"{Path(code.co_filename).stem}:{code.co_qualname}"


def started_profiler() -> Profiler | None:
    """One that writes where the environment says; None where it does not, or on a thread that no signal interrupts."""
    folder = os.environ.get(PROFILE_FOLDER)
    if not folder or threading.current_thread() is not threading.main_thread():
        return None
    profiler = Profiler(Path(folder))
    profiler.start()
    return profiler
