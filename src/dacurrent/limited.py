"""Log lines that somebody else can provoke, so that they cannot fill a disk."""

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any

LINES = 5
PERIOD_S = 10.0
KIND_LIMIT = 100
_OTHERS = object()


class LimitedLog:
    """Passes at most `LINES` lines of each kind in `PERIOD_S` on to a logger, and then says how many it left out."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
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
                kind = _OTHERS
        start, lines = self._periods.get(kind, (now, 0))
        left_out = 0
        if now - start >= PERIOD_S:
            left_out = max(0, lines - LINES)
            start, lines = now, 0
        self._periods[kind] = (start, lines + 1)
        if left_out:
            self._logger.log(level, "(%d more lines like the next were left out)", left_out)
        if lines < LINES:
            self._logger.log(level, message, *arguments, **options)
