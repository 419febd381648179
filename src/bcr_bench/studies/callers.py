"""Many callers on one client, each with one operation outstanding: requests that fill themselves, against one request an operation.

Beside PySyncObj with as many callbacks in its leader's own process, which no caller could outdo. All three in turn, so that what the
machine does meanwhile befalls them alike.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from bcr_bench.plans.measured import Measured, together
from bcr_bench.plans.plan_files import Point, Value
from bcr_bench.running.points import run_point
from bcr_bench.studies.sections import CALLERS_HEADING, print_table, renew, section_of

MOST_CALLERS = 1_000  # each with a request of its own: no client's window is larger
OPERATIONS = 100_000
SMALLER = 5  # times: the share of the operations that those get who are slower
BASE: Mapping[str, Value] = {
    "t": 1, "value_bytes": 100, "read_percent": 50, "checkpt_interval": 100, "log_level": "quiet", "client_timeout": 60_000,
    "head_timeout": 60_000, "nonhead_timeout": 60_000, "num_client": 1,
}  # fmt: skip
HEADINGS = ("", "operations a second", "filling: times as many", "CPU µs an operation")
TEXT = "PySyncObj tolerates crashes only, and its callers are callbacks in its leader's process; the aim is twice as many as it does."
FILLING, ALONE, PEER = "requests fill themselves", "a request each", "PySyncObj, in its leader"


def points(callers: int, operations: int) -> Mapping[str, Point]:
    """What is measured, by what it is called."""
    filling: Mapping[str, Value] = {"callers": callers, "operations_per_request": 250, "client_window": 4, "batch_limit": 4}
    alone: Mapping[str, Value] = {"operations_per_request": 1, "client_window": callers, "batch_limit": min(callers, 250)}
    peer: Mapping[str, Value] = {"num_client": callers, "operations_per_request": 1, "client_window": 1}
    less = max(callers, operations // SMALLER)
    return {
        FILLING: Point("callers", FILLING, "bcr", {**BASE, **filling, "operations": operations}),
        ALONE: Point("callers", ALONE, "bcr", {**BASE, **alone, "operations": less}),
        PEER: Point("callers", PEER, "pysyncobj-leader", {**BASE, **peer, "operations": less}),
    }


def measure_callers(callers: int, operations: int, times: int, page: Path | None = None) -> int:
    """`bcr bench callers`: print the operations a second of each, and the ratios; 1 where one has no run that counts.

    Where `page` is given, docs/performance.md, its section is renewed, unless one has no run that counts.
    """
    runs: dict[str, list[Measured]] = {name: [] for name in points(callers, operations)}
    for repetition in range(times):
        for name, point in points(callers, operations).items():
            done = run_point(point)
            runs[name].append(done)
            print(f"run {repetition + 1}: {name}: {done.problem or f'{done.rate:,.0f} a second'}", file=sys.stderr, flush=True)
    medians = {name: together(each) for name, each in runs.items()}
    rows = [_row(name, each, medians[FILLING]) for name, each in medians.items()]
    title = f"{callers:,} callers of one client, each with one operation outstanding"
    print_table(title, HEADINGS, rows)
    is_bad = any(each.problem for each in medians.values())
    if page is not None and not is_bad:
        command = f"callers --callers {callers} --operations {operations} --count {times} --docs"
        renew(page, section_of(CALLERS_HEADING, command, f"{title}, t = 1; {times} runs of each in turn. {TEXT}", HEADINGS, rows))
    return int(is_bad)


def _row(name: str, each: Measured, best: Measured) -> list[str]:
    ratio = "" if each.problem or best.problem or name == FILLING else f"{best.rate / each.rate:.1f}"
    return [name, each.problem or f"{each.rate:,.0f}", ratio, "" if each.problem else f"{sum(each.cpu_us.values()):,.0f}"]
