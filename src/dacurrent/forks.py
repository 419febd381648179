"""Forking a process whose other threads are at work.

A child inherits every lock as it stands, and the thread that would release it stays behind. So network threads hold
the gate while they handle a message, and a fork waits until none does: no child is born with one of their locks. The
locks that other threads of a node may hold are made anew in the child, and nothing is imported on a network thread.
"""

import os
import threading
from types import ModuleType

gate = threading.RLock()

# What the standard library imports lazily, and network threads and child processes use.
_IMPORTED_LATE = (
    "encodings.idna",
    "hashlib",
    "hmac",
    "json",
    "multiprocessing.connection",
    "multiprocessing.popen_fork",
    "multiprocessing.reduction",
    "multiprocessing.resource_tracker",
    "multiprocessing.util",
    "selectors",
    "stringprep",
    "traceback",
)


def cure_common(common: ModuleType) -> None:
    """Import early, and keep forks and network threads apart. Once a process: `da.common` is executed once."""
    for name in _IMPORTED_LATE:
        __import__(name)

    def renew() -> None:
        gate.release()
        common.ProcessId._lock = threading.Lock()

    os.register_at_fork(before=gate.acquire, after_in_parent=gate.release, after_in_child=renew)
