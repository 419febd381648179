"""Forking a process whose other threads are at work.

A child inherits every lock as it stands, and the thread that would release it stays behind.  So the network thread
holds the gate while it does anything, and a fork waits until it does not; the locks that other threads may hold are
taken for the time of the fork; and what is imported late is imported early, for the lock of an import is inherited
as well.

Nor does a child look through what it inherits for garbage: its parent's modules and messages are no work of its own, and each
page that is looked at becomes the child's own copy. That costs 150 ms of CPU, and it comes when a process first holds much.
"""

import contextlib
import gc
import importlib
import logging
import os
import threading
from collections.abc import Iterator

from dacurrent.stock import Stock

gate = threading.RLock()

# What the standard library, DistAlgo and this layer import late, on whatever thread that happens.
_IMPORTED_LATE = (
    "encodings.idna",
    "hashlib",
    "hmac",
    "linecache",
    "multiprocessing.connection",
    "multiprocessing.popen_fork",
    "multiprocessing.popen_spawn_posix",
    "multiprocessing.reduction",
    "multiprocessing.resource_sharer",
    "multiprocessing.util",
    "pickle",
    "queue",
    "random",
    "selectors",
    "socket",
    "stringprep",
    "tokenize",
    "traceback",
)


def cure_common(common: Stock) -> None:
    """Import early, and keep forks apart from the other threads' locks.  `da.common` is executed once a process."""
    for name in _IMPORTED_LATE:
        importlib.import_module(name)

    held = []

    def before() -> None:
        gate.acquire()
        # A log file's own buffer has a lock that nobody renews: whoever writes to it holds its handler's.
        for handler in _handlers():
            handler.acquire()
            held.append(handler)
        common.ProcessId._lock.acquire()

    def in_parent() -> None:
        common.ProcessId._lock.release()
        while held:
            held.pop().release()
        gate.release()

    def in_child() -> None:
        common.ProcessId._lock.release()
        held.clear()  # `logging` gives the handlers new locks itself
        gate.release()
        gc.freeze()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


@contextlib.contextmanager
def let_go() -> Iterator[None]:
    """Let others fork while this thread, which holds the gate once, does something that takes long."""
    gate.release()
    try:
        yield
    finally:
        gate.acquire()


def _handlers() -> set[logging.Handler]:
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    return {handler for logger in loggers for handler in getattr(logger, "handlers", ())}
