"""Log files of a process's own, written before its messages leave: what anybody got from it, its log tells of.

A line at a time would cost a call of the system each. So the lines that a handler writes go together, when it is done;
a process that is killed loses at most those of the handler that it was in, and nothing of what that sent has left.
"""

import logging
import os
import threading
from typing import Protocol

from dacurrent.limited import LimitedLog

_log = LimitedLog(logging.getLogger("da.transport"))


class LineFile(Protocol):
    """What is written to by lines, and says itself where that is."""

    @property
    def name(self) -> str: ...

    @property
    def closed(self) -> bool: ...

    def flush(self) -> None: ...


_lock = threading.RLock()
_waiting: set[LineFile] = set()  # files with lines that are not written yet; a quiet process sends much and has none


def write_before_messages(file: LineFile) -> None:
    """There are new lines in `file`: flush it before the next message leaves."""
    with _lock:
        _waiting.add(file)


def flush() -> None:
    """Write what waits; what cannot be written is told in DistAlgo's log, and the process goes on."""
    if not _waiting:
        return
    with _lock:  # another thread that sends meanwhile waits until it is written
        for file in tuple(_waiting):
            if not file.closed:
                try:
                    file.flush()
                except OSError as error:
                    _log.log(logging.ERROR, file.name, "%s cannot be written: %s", file.name, error)
        _waiting.clear()


def _renew_lock() -> None:
    """In a forked child: another thread of the parent may have held it."""
    global _lock
    _lock = threading.RLock()


# What waits would be written by the parent, and by the child again.
os.register_at_fork(before=flush, after_in_child=_renew_lock)
