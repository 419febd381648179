"""The network thread of a process, in place of `da.transport.mesgloop.SelectorLoop`."""

import collections
import logging
import selectors
import socket
import threading
import time

from dacurrent import forks
from dacurrent.limited import LimitedLog

TICK_S = 1.0
STOP_LIMIT_S = 2.0
WAKE_BYTES = 4_096

_log = LimitedLog(logging.getLogger("da.transport"))


class SelectorLoop:
    """One thread that waits for sockets and calls back, and does what other threads ask of it.

    Only this thread touches the selector.  A callback that fails costs its own socket and nothing else.
    """

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._jobs = collections.deque()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._thread = None
        self._is_stopping = False
        self.ticks = []  # called every TICK_S
        self._selector.register(self._woken, selectors.EVENT_READ, self._wake_up)

    def start(self):
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="da-network", daemon=True)
            self._thread.start()

    def stop(self):
        """End the thread and close what the loop itself holds; the sockets registered are their owners'."""
        self._is_stopping = True
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_LIMIT_S)
        if self._thread is None:
            self._close()

    def abandon(self):
        """In a forked child: close the copies of the parent's descriptors, and touch nothing that is shared."""
        self._close()

    def call(self, function, *arguments):
        """Let the loop's thread call `function(*arguments)`, soon and in order."""
        self._jobs.append((function, arguments))
        self._wake()

    # -- on the loop's thread

    def watch(self, sock, callback, is_writing=False):
        """Call `callback(events)` when `sock` can be read, or with `is_writing` also when it can be written."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if is_writing else 0)
        if sock in self._selector.get_map():
            self._selector.modify(sock, events, callback)
        else:
            self._selector.register(sock, events, callback)

    def forget(self, sock):
        """Watch `sock` no more, if it was watched at all."""
        try:
            self._selector.unregister(sock)
        except (KeyError, ValueError):
            pass

    def discard(self, sock):
        """Watch `sock` no more, and close it."""
        self.forget(sock)
        sock.close()

    def _run(self):
        next_tick_s = time.monotonic() + TICK_S
        while not self._is_stopping:
            ready = self._selector.select(TICK_S)
            with forks.gate:
                for key, events in ready:
                    self._call_back(key, events)
                self._do_jobs()
                if time.monotonic() >= next_tick_s:
                    next_tick_s = time.monotonic() + TICK_S
                    for tick in self.ticks:
                        self._attempt(tick, ())
        self._do_jobs()
        self._close()

    def _call_back(self, key, events):
        try:
            key.data(events)
        except Exception as error:  # noqa: BLE001 - a stranger's bytes must not end the thread
            _log.log(logging.ERROR, "callback", "A connection is closed: %r", error, exc_info=True)
            self.discard(key.fileobj)

    def _do_jobs(self):
        while self._jobs:
            self._attempt(*self._jobs.popleft())

    def _attempt(self, function, arguments):
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - as above
            _log.log(logging.ERROR, "job", "On the network thread: %r", error, exc_info=True)

    def _wake(self):
        try:
            self._waker.send(b"x")
        except OSError:
            pass  # full, so it will wake up anyway; or closed

    def _wake_up(self, _events):
        self._woken.recv(WAKE_BYTES)

    def _close(self):
        self._selector.close()
        self._woken.close()
        self._waker.close()
