"""The time for DistAlgo's own use, under the names of the module `time`: `time()` never goes back.

DistAlgo measures its waits by `time.time()`.  Where somebody sets the clock of the machine back, a wait of a second took
an hour; and a process id made afterwards counted as older than those before.
"""

import time as _time
from types import SimpleNamespace

from dacurrent.stock import Stock

_began_s = _time.time() - _time.monotonic()


def time() -> float:
    """Seconds since 1970 by the clock as it was set when this process, or the one that it was forked from, began."""
    return _began_s + _time.monotonic()


sleep = _time.sleep
_MODULE = SimpleNamespace(**{**vars(_time), "time": time})


def cure(module: Stock) -> None:
    """Let a module of DistAlgo that imports `time` use this one."""
    module.time = _MODULE
