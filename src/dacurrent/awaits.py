"""Time limits of `await` that count from the await they stand in.

DistAlgo keeps one timer a thread. Its generated code starts that timer at the *end* of an await with a time limit, so
the next one begins with the time that has passed since; leaves "expired" standing when a branch returns, so the next
one is over before it begins; and an await inside a handler starts the timer of the await around it anew. The cure is
in the one place that every await and label goes through: an await begins with its label, without a time limit, and
that is where its timer is reset; and what a handler did to the timer is undone when it has returned.
"""

from typing import Any

from dacurrent import clock as time
from dacurrent.stock import Stock

_LOCAL = "_DistProcess__local"


def cure_sim(sim: Stock) -> None:
    """Patch `da.sim.DistProcess._label`."""
    stock_label, label_one = sim.DistProcess._label, sim.DistProcess._DistProcess__label_one

    def do_label(self: Any, name: Any, block: Any, timeout: Any) -> None:
        # As the stock one, which looks twice at each label whether the process is to fail there.
        if self._DistProcess__properties:
            stock_label(self, name, block, timeout)
            return
        self._DistProcess__do_label(name, block, timeout)
        if self._DistProcess__jobq:
            self._DistProcess__process_jobqueue(name)

    def take_one(self: Any, name: Any, block: Any, left: float) -> None:
        # As the stock one where a process takes one event at a label: the time is known.
        if left > 0:
            self._DistProcess__process_event(block, left)
        else:
            local = getattr(self, _LOCAL)
            local.timer, local.timer_expired = None, True
        if self._DistProcess__jobq:
            self._DistProcess__process_jobqueue(name)

    def _label(self: Any, name: Any, block: Any = False, timeout: Any = None) -> None:
        local = getattr(self, _LOCAL)
        if timeout is None:
            if not block:
                local.timer, local.timer_expired = None, False
            do_label(self, name, block, timeout)
            return
        now = time.time()
        started = now if local.timer is None else local.timer
        local.timer, local.timer_expired = started, False
        if self._DistProcess__do_label.__func__ is label_one and not self._DistProcess__properties:
            take_one(self, name, block, timeout - (now - started))
        else:
            do_label(self, name, block, timeout)
        if time.time() - started < timeout:
            local.timer_expired = False  # if it says otherwise, an await nested in a handler has left that there
        if not local.timer_expired:
            local.timer = started

    # The compiler refuses process methods that are named like an internal one; it knows them by this registry.
    sim.DistProcess._label = sim.internal(_label)
