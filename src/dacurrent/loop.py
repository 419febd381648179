"""Who waits for a process's sockets, in place of `da.transport.mesgloop.SelectorLoop`.

A message that arrives on a thread of its own costs a wake-up of another thread, which takes longer than all else that is
done with it.  So a process that has nothing to do waits for its sockets itself (`wait_until`), and the network thread
stands by: it takes over when that process has been busy with something else for STANDBY_S, or says that it will be.
"""

import collections
import heapq
import itertools
import logging
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from dacurrent import forks
from dacurrent.limited import LimitedLog

TICK_S = 1.0
STOP_LIMIT_S = 2.0
STANDBY_S = 0.02
WAKE_BYTES = 4_096
WAKE = b"\xff"  # no signal's number

_log = LimitedLog(logging.getLogger("da.transport"))


Timer = tuple[float, int, Callable[..., object], tuple[Any, ...]]  # when, a number, what to call


def _nothing_to_flush() -> None:
    pass


class SelectorLoop:
    """Waits for sockets and calls back, and does what other threads ask of it.

    Only who holds the turn touches the selector.  A callback that fails costs its own socket and nothing else.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._jobs: collections.deque[tuple[Callable[..., object], tuple[Any, ...]]] = collections.deque()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._thread: threading.Thread | None = None
        self.has_stopped = False
        self._turn = threading.Lock()
        self.turning: set[int] = set()  # the threads that take turns; while one of them runs, none of them waits for sockets
        self._is_wanted = False  # the turn, by the process's own thread
        self._turns_wanted = 0
        self.is_signalled = False
        self._wakes_at_signals = False
        self._take_over = threading.Event()
        self._next_tick_s = 0.0
        self.ticks: list[Callable[[], object]] = []  # called every TICK_S
        self._timers: list[Timer] = []  # a heap of (when, number, function, arguments)
        self._numbers = itertools.count()
        self.flush = _nothing_to_flush  # writes what the process has sent and what still waits to go together
        self._selector.register(self._woken, selectors.EVENT_READ, self._wake_up)

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="da-network", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and close what the loop itself holds; the sockets registered are their owners'."""
        self._let_signals_be()
        self.has_stopped = True
        self._take_over.set()
        self.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_LIMIT_S)
        if self._thread is None:
            self._close()

    def abandon(self) -> None:
        """In a forked child: close the copies of the parent's descriptors, and touch nothing that is shared."""
        self._let_signals_be()
        self._close()

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Let the loop's thread call `function(*arguments)`, soon and in order."""
        self._jobs.append((function, arguments))
        self.wake()

    def later(self, pause_s: float, function: Callable[..., object], *arguments: Any) -> None:
        """Let the loop's thread call `function(*arguments)` when so many seconds have passed."""
        self.call(self._set_timer, (time.monotonic() + pause_s, next(self._numbers), function, arguments))

    # -- on the loop's thread

    def _set_timer(self, timer: Timer) -> None:
        heapq.heappush(self._timers, timer)

    def _do_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, _, function, arguments = heapq.heappop(self._timers)
            self._attempt(function, arguments)

    def watch(self, sock: socket.socket, callback: Callable[[int], object], is_writing: bool = False) -> None:
        """Call `callback(events)` when `sock` can be read, or with `is_writing` also when it can be written."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if is_writing else 0)
        if sock.fileno() in self._selector.get_map():  # of a socket that is not in it, the text of the error is made too
            self._selector.modify(sock, events, callback)
        else:
            self._selector.register(sock, events, callback)

    def forget(self, sock: socket.socket) -> None:
        """Watch `sock` no more, if it was watched at all."""
        number = sock.fileno()
        try:
            self._selector.unregister(sock if number < 0 else number)
        except (KeyError, ValueError):
            pass

    def discard(self, sock: socket.socket) -> None:
        """Watch `sock` no more, and close it."""
        self.forget(sock)
        sock.close()

    def _run(self) -> None:
        self.turning.add(threading.get_ident())
        while not self.has_stopped:
            with self._turn:
                self.flush()
                while not (self.has_stopped or self._is_wanted):
                    self._take_turn(TICK_S)
            self._stand_by()
        with self._turn:
            self._do_jobs()
            self._close()

    def _stand_by(self) -> None:
        """Until the process's own thread has let the sockets be for a while."""
        while not self.has_stopped:
            seen = self._turns_wanted
            if self._take_over.wait(STANDBY_S):
                self._take_over.clear()
                return
            if self._turns_wanted == seen and not self._turn.locked():
                return

    def _take_turn(self, limit_s: float) -> None:
        if self._timers:
            limit_s = max(0.0, min(limit_s, self._timers[0][0] - time.monotonic()))
        ready = self._selector.select(limit_s)
        with forks.gate:
            for key, events in ready:
                self._call_back(key, events)
            if self._jobs:
                self._do_jobs()
            if self._timers:
                self._do_timers()
            if time.monotonic() >= self._next_tick_s:
                self._next_tick_s = time.monotonic() + TICK_S
                for tick in self.ticks:
                    self._attempt(tick, ())

    # -- on the process's own thread

    def wait_until(self, is_done: Callable[[], object], limit_s: float | None) -> None:
        """See to the sockets until `is_done()`, for at most `limit_s` seconds (None: for ever; 0: those ready now)."""
        deadline_s = None if limit_s is None else time.monotonic() + limit_s
        self._turns_wanted += 1
        if limit_s is not None and limit_s <= 0 and self._turn.locked():
            return  # the network thread sees to them
        try:
            self._is_wanted = True
            if self._turn.locked():
                self.wake()
            # By `with`, and not by `acquire`: nothing that a signal raises comes between having it and giving it back.
            with self._turn:
                self._is_wanted = False
                while not is_done() and not self.has_stopped:
                    if self.is_signalled:
                        return
                    left_s = TICK_S if deadline_s is None else min(TICK_S, deadline_s - time.monotonic())
                    self._take_turn(max(left_s, 0))
                    if left_s <= 0:
                        return
        finally:
            self._is_wanted = False

    def end_waits_at_signals(self) -> None:
        """Let a signal end this thread's waiting, also one that comes just before it; for the main thread only."""
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._wakes_at_signals = True

    def _let_signals_be(self) -> None:
        """Before the descriptor that signals are written to is closed; only the main thread can say so."""
        if self._wakes_at_signals and threading.current_thread() is threading.main_thread():
            ours = self._waker.fileno()
            before = signal.set_wakeup_fd(-1)
            if before not in (-1, ours):
                signal.set_wakeup_fd(before, warn_on_full_buffer=False)
            self._wakes_at_signals = False

    def heed_signals(self) -> None:
        """On the main thread: run the handlers of signals that have come.

        Python 3.13 does not by itself in a process that another thread than the main one has forked: what a signal sets
        there is looked at only when a call of the system was interrupted, or by a function that asks, as this one does.
        """
        self.is_signalled = False
        signal.pthread_kill(threading.get_ident(), 0)

    def hand_over(self) -> None:
        """This thread will wait for something that needs the network thread."""
        self._take_over.set()

    def _call_back(self, key: selectors.SelectorKey, events: int) -> None:
        try:
            key.data(events)
        except Exception as error:
            _log.log(logging.ERROR, "callback", "A connection is closed: %r", error, exc_info=True)
            assert isinstance(key.fileobj, socket.socket)  # nothing else is watched
            self.discard(key.fileobj)

    def _do_jobs(self) -> None:
        while self._jobs:
            self._attempt(*self._jobs.popleft())

    def _attempt(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        except Exception as error:
            _log.log(logging.ERROR, "job", "On the network thread: %r", error, exc_info=True)

    def wake(self) -> None:
        """End the waiting of whoever has the turn."""
        try:
            self._waker.send(WAKE)
        except OSError:
            pass  # full, so it will wake up anyway; or closed

    def _wake_up(self, _events: int) -> None:
        if self._woken.recv(WAKE_BYTES).strip(WAKE):
            self.is_signalled = True  # that was the number of one, see `end_waits_at_signals`

    def _close(self) -> None:
        self.has_stopped = True
        self._selector.close()
        if not self._wakes_at_signals:  # else a signal would find them closed; they go with the process
            self._woken.close()
            self._waker.close()
