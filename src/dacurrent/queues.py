"""The queue of a process and of its network thread, in place of `da.common.WaitableQueue`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dacurrent import waiting
from dacurrent.stock import Stock

if TYPE_CHECKING:
    from dacurrent.loop import SelectorLoop


def cure_common(module: Stock) -> None:
    """Replace `da.common.WaitableQueue`.

    Its `pop` looked, and only then announced that it waits: an item that arrived between the two woke nobody up.
    The C queue of the standard library has another gap: a time limit that passes at the wrong microsecond makes its
    `get` wait for ever (what is left of it is then below zero, which to the lock below means no limit).
    """

    class WaitableQueue(module.WaitableQueue):  # type: ignore[misc]  # a stock class as it is found
        """DistAlgo's queue with the interface of its own, and its recording of traces, for one reader."""

        def __init__(self, iterable: Iterable[Any] = (), maxlen: int | None = None, trace_files: Any = None) -> None:
            super().__init__(trace_files=trace_files)
            self._q = deque(iterable, maxlen)
            self._closed = threading.Lock()  # held while nothing has come since the reader last looked
            self._loop: SelectorLoop | None = None

        def see_to_sockets(self, loop: SelectorLoop | None) -> None:
            """Let this thread, the one that pops, see to the sockets of `loop` while nothing is here; None: not any more."""
            self._loop = loop
            if loop is not None:
                loop.turning.add(threading.get_ident())
                if threading.current_thread() is threading.main_thread():
                    loop.end_waits_at_signals()

        def append(self, item: Any) -> None:
            self._q.append(item)
            loop = self._loop
            if loop is not None and threading.get_ident() not in loop.turning:
                loop.wake()
            if self._closed.locked():
                try:
                    self._closed.release()
                except RuntimeError:  # another thread was as quick
                    pass

        def pop(self, block: bool = True, timeout: float | None = None) -> Any:
            """The next item. Raises QueueEmpty if there is none within `timeout` seconds (None: waits for ever)."""
            loop = self._loop
            if not self._q:
                waiting.about_to_wait()
            if loop is not None:
                loop.flush()
                if loop.is_signalled:
                    loop.heed_signals()
            if not self._q:
                if loop is not None and not loop.has_stopped:
                    loop.wait_until(self._q.__len__, timeout if block else 0)
                elif block:
                    self._wait(timeout)
            try:
                return self._q.popleft()
            except IndexError:
                raise module.QueueEmpty() from None

        def _wait(self, timeout: float | None) -> None:
            deadline = None if timeout is None else time.monotonic() + timeout
            while not self._q:
                self._closed.acquire(False)
                left = -1 if deadline is None else deadline - time.monotonic()
                if self._q or (deadline is not None and left <= 0):
                    return
                self._closed.acquire(True, left)

        def __len__(self) -> int:
            return len(self._q)

    module.WaitableQueue = WaitableQueue
