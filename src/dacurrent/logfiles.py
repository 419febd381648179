"""Log files of a process's own, written before its messages leave: what anybody got from it, its log tells of.

A line at a time would cost a call of the system each. So the lines that a handler writes go together, when it is done;
a process that is killed loses at most those of the handler that it was in, and nothing of what that sent has left.
"""

import logging
import os
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


_files: list[LineFile] = []


def write_before_messages(file: LineFile) -> None:
    """Flush `file`, which the process writes to, whenever messages are about to leave."""
    _files.append(file)


def flush() -> None:
    """Write what waits; what cannot be written is told in DistAlgo's log, and the process goes on."""
    for file in _files:
        if not file.closed:
            try:
                file.flush()
            except OSError as error:
                _log.log(logging.ERROR, file.name, "%s cannot be written: %s", file.name, error)


os.register_at_fork(before=flush)  # what waits would be written by the parent, and by the child again
