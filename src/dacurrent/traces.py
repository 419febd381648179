"""Cures of recording (-T), replaying (-Y) and printing (-P) the trace of a run."""

import functools
import pickle

from dacurrent.stock import Stock

# A trace holds two pickle streams behind each other, the header's and the items', and `-P` reads both with one
# unpickler.  Its memo then starts too late for protocol 4, which counts; protocol 3, Python 3.7's default, names
# each entry by number.
_PROTOCOL = 3


def cure_common(module: Stock) -> None:
    module.ObjectDumper = functools.partial(pickle.Pickler, protocol=_PROTOCOL)
    # `ReplayQueue.pop` refers to its own module by name.
    module.common = module


def cure_sim(module: Stock) -> None:
    """`ReplayQueue.pop` raises at the end of its trace what only `da.sim` defines."""
    module.common.TraceEndedException = module.TraceEndedException
