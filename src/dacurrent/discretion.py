"""The arguments of `setup` in no log: among them may be a secret that start-up gives to a process."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from dacurrent.stock import Stock

if TYPE_CHECKING:
    from da.common import ProcessId


class _Untold(tuple[Any, ...]):
    """Arguments of which a log says only how many they are."""

    def __repr__(self) -> str:
        return f"<{len(self)} arguments>"


def cure_sim(sim: Stock) -> None:
    """Patch the command by which processes are set up."""
    stock = sim.DistProcess._cmd_Setup

    @functools.wraps(stock)
    def _cmd_Setup(self: Any, source: ProcessId, arguments: Any) -> Any:
        number, values = arguments
        return stock(self, source, (number, _Untold(values)))

    sim.DistProcess._cmd_Setup = sim.internal(_cmd_Setup)
