"""Lines that somebody else can provoke, said by a function of the caller's: of each kind few at a time, so that none hides what is of another."""

import logging
from collections.abc import Callable, Hashable

from dacurrent.limited import LimitedLog


class LimitedLines:
    """Passes on as many lines of each kind as a log of the layer does, and then how many it left out."""

    def __init__(self, say: Callable[[str], object]) -> None:
        logger = logging.Logger("")  # of nobody else, and with no parent
        logger.addHandler(_Sayer(say))
        self._log = LimitedLog(logger)

    def tell(self, kind: Hashable, text: str) -> None:
        """Say the line, unless there were too many of this kind of late."""
        self._log.log(logging.WARNING, kind, "%s", text)


class _Sayer(logging.Handler):
    def __init__(self, say: Callable[[str], object]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())
