"""What a message costs any DistAlgo program: with the layer of this project, and with DistAlgo's own run time.

The stock run time gets of the layer only what it takes to load on a current Python: the compiler and the importer.
"""

import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from statistics import median

import msgspec
from rich.table import Table

from bcr_run.output import Terminal
from bcr_run.supervision import TimeLimitReached, supervise

PROGRAM = Path(__file__).parent / "Messages.da"
MESSAGES = 20_000
SIZES = (100, 3_000, 16_000)
LIMIT_S = 60.0
ATTEMPTS = 4  # at a run of the stock run time, which hangs now and then
RUN_STOCK = """
import runpy, sys
from dacurrent import hook
kept = ("dacurrent.compiler", "dacurrent.startup", "dacurrent.traces", "dacurrent.awaits")
hook.AFTER = {name: tuple(each for each in entries if each.startswith(kept)) for name, entries in hook.AFTER.items()}
sys.argv[0] = "da"
runpy.run_module("da", run_name="__main__", alter_sys=True)
"""


class MessageCost(msgspec.Struct, frozen=True):
    """Microseconds: a round trip of two messages; the CPU time that one message takes its sender and its receiver."""

    round_trip_us: float
    send_cpu_us: float
    receive_cpu_us: float

    @property
    def cpu_us(self) -> float:
        return self.send_cpu_us + self.receive_cpu_us


def compare_messages(times: int) -> int:
    """Measure both in turn and print medians and their ratio; 1 if neither attempt at a run came to its end."""
    table = Table(title=f"one DistAlgo message: medians of {times} runs in turn", title_justify="left")
    for heading in ("bytes", "run time", "round trip, µs", "send CPU, µs", "receive CPU, µs", "CPU, stock / this"):
        table.add_column(heading, justify="right")
    for size in SIZES:
        ours, stock = [], []
        for _ in range(times):
            ours.append(message_cost(size, is_stock=False))
            stock.append(message_cost(size, is_stock=True))
        if None in ours or None in stock:
            print(f"bcr bench: no run with messages of {size} bytes came to its end", file=sys.stderr)
            return 1
        one, other = _together(ours), _together(stock)
        for name, cost, ratio in (("stock", other, ""), ("this", one, f"{other.cpu_us / one.cpu_us:.1f}")):
            figures = (cost.round_trip_us, cost.send_cpu_us, cost.receive_cpu_us)
            table.add_row(str(size), name, *(f"{figure:.1f}" for figure in figures), ratio)
    Terminal().print(table)
    return 0


def _together(costs: list[MessageCost | None]) -> MessageCost:
    fields = MessageCost.__struct_fields__
    return MessageCost(*(median(getattr(cost, field) for cost in costs if cost is not None) for field in fields))


def message_cost(size: int, is_stock: bool, messages: int = MESSAGES) -> MessageCost | None:
    """What messages of `size` bytes cost; None where no attempt ended within its limit. Raises Interrupted."""
    start = [sys.executable, "-c", RUN_STOCK] if is_stock else [sys.executable, "-m", "da"]
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory() as folder:
            port = _free_port()
            file = Path(folder) / "cost.json"
            options = ["-L", "error", "-M", "-n", "messages", "-H", "localhost", "-p", port, "--message-buffer-size", "200000"]
            command = [*start, *options, str(PROGRAM), str(messages), str(size), str(file)]
            try:
                with open(os.devnull, "wb") as nowhere:
                    supervise(command, Path(folder), LIMIT_S, output=nowhere)
                return MessageCost(**json.loads(file.read_text()))
            except (TimeLimitReached, OSError):
                continue
    return None


def _free_port() -> str:
    with socket.create_server(("localhost", 0)) as server:
        return str(server.getsockname()[1])
