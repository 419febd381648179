"""Log lines that somebody else can provoke, so that they cannot fill a disk."""

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any

LINES = 5
PERIOD_S = 10.0
KIND_LIMIT = 100
BURST = 30
PAUSE_S = 20.0
_OTHERS = object()
_LEFT_OUT = "(%d more lines that others provoked were left out)"


class Allowance:
    """How many warnings of all kinds together this OS process may still give: BURST at once, and one more every PAUSE_S."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines = float(BURST)
        self._since_s = clock()
        self.left_out = 0

    def takes(self) -> bool:
        """Whether one more may be given now; otherwise it is counted."""
        now_s = self._clock()
        self._lines = min(float(BURST), self._lines + (now_s - self._since_s) / PAUSE_S)
        self._since_s = now_s
        if self._lines < 1:
            self.left_out += 1
            return False
        self._lines -= 1
        return True

    def tell(self, logger: logging.Logger) -> None:
        """Say in a line how many there were of which nothing was said, and count anew."""
        left_out, self.left_out = self.left_out, 0
        if left_out:
            logger.warning(_LEFT_OUT, left_out)


PROVOKED = Allowance()  # what is said of messages that are not taken: anybody may send them without end


class LimitedLog:
    """Passes at most `LINES` lines of each kind in `PERIOD_S` on to a logger, and then says how many it left out.

    Below errors these are also no more than `allowance` has for all kinds of several such logs together.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic, allowance: Allowance | None = None) -> None:
        self._logger = logger
        self._clock = clock
        self._allowance = allowance
        self._periods: dict[Hashable, tuple[float, int]] = {}  # kind -> start of the period, lines in it

    def log(self, level: int, kind: Hashable, message: str, *arguments: object, **options: Any) -> None:
        """Log `message % arguments`, unless there were too many of this kind (any hashable) of late."""
        now = self._clock()
        # Without a lock: two threads at once may miscount a line, but a forked child cannot hang here.
        if kind not in self._periods and len(self._periods) >= KIND_LIMIT:
            # Kinds that somebody else can make up must not begin anew for each: those beyond the limit are one.
            for each, (start, _) in list(self._periods.items()):
                if now - start >= PERIOD_S:
                    self._periods.pop(each, None)
            if len(self._periods) >= KIND_LIMIT:
                kind = (_OTHERS, level)  # errors are not to be hidden by warnings
        start, lines = self._periods.get(kind, (now, 0))
        left_out = 0
        if now - start >= PERIOD_S:
            left_out = max(0, lines - LINES)
            start, lines = now, 0
        self._periods[kind] = (start, lines + 1)
        allowance = self._allowance if level < logging.ERROR else None
        if allowance is not None:
            if lines >= LINES:
                allowance.left_out += 1
            elif allowance.takes():
                allowance.tell(self._logger)
                self._logger.log(level, message, *arguments, **options)
            return
        if left_out:
            self._logger.log(level, "(%d more lines like the next were left out)", left_out)
        if lines < LINES:
            self._logger.log(level, message, *arguments, **options)
