"""Where the microseconds of an operation go, part by part, in all processes that take part in it.

It is taken from profiles of whole runs (bcr_runtime.profiling). budget.yaml says which function belongs to which part. What is not in it
is `other`, so the parts cover all of a profile. The table also shows that the profile is complete: it gives the sum of the profile over
the CPU time of runs that were not profiled. The two kinds of runs take turns.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import median

import msgspec
import yaml
from rich.table import Table

from bcr_bench.plans.measured import Measured
from bcr_bench.plans.plan_files import Plan, Point, Value, read_plan
from bcr_bench.running.points import run_point
from bcr_run.output import Terminal
from bcr_runtime.profiling import PROFILE_FOLDER

HERE = Path(__file__).parent
PLAN = HERE.parent / "plans" / "plan.yaml"
OTHER = "other"
HEADING = "## Where the microseconds go"
BEHIND = "## What an operation must cost"  # the section before it
WIDEST_GAP = 0.1  # between the sum of the parts and what is measured
_ONE: dict[str, Value] = {"operations": 6_000}
_FIFTY: dict[str, Value] = {"num_client": 2, "client_window": 16, "operations_per_request": 50, "operations": 120_000}
_ALONE: dict[str, Value] = {"num_client": 1, "client_window": 1, "batch_limit": 1, "operations": 6_000}
COLUMNS: Mapping[str, dict[str, Value]] = {
    "ed25519": _ONE,
    "hmac": _ONE | {"authentication": "hmac"},
    "crc": _ONE | {"authentication": "crc"},
    "ed25519, one at a time": _ALONE,
    "crc, one at a time": _ALONE | {"authentication": "crc"},
    "ed25519, 50 a request": _FIFTY,
    "crc, 50 a request": _FIFTY | {"authentication": "crc"},
}


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of an operation: the functions that are it, in processes of this role, or of any."""

    part: str
    of: tuple[str, ...]
    role: str = ""


class Column(msgspec.Struct, frozen=True):
    """What one workload takes: microseconds of an operation by part, and in all where nobody profiled."""

    name: str
    parts: dict[str, float]
    measured_us: float

    @property
    def sum_us(self) -> float:
        return sum(self.parts.values())


@cache
def parts() -> tuple[Part, ...]:
    """The parts in the order of the table."""
    return msgspec.convert(yaml.safe_load((HERE / "budget.yaml").read_text(encoding="utf-8")), tuple[Part, ...])


def role_of(stacks: Iterable[str]) -> str:
    """Whose profile it is: `client`, `replica`, or none of those that an operation passes."""
    text = "\n".join(stacks)
    return "client" if "Client:Client." in text else "replica" if "Replica:Replica." in text else ""


def part_of(stack: str, role: str) -> str:
    """The part that a stack, functions outermost first, belongs to."""
    for function in reversed(stack.split(";")):
        found = _part_of_function(function, role)
        if found is not None:
            return found
    return OTHER


@cache
def _part_of_function(function: str, role: str) -> str | None:
    """The part of the longest name that stands for this function."""
    named = [(len(name), part.part) for part in parts() if part.role in ("", role) for name in part.of if _stands_for(name, function)]
    return max(named, key=lambda each: each[0])[1] if named else None


def _stands_for(name: str, function: str) -> bool:
    if name[-1] in ".:*":
        return function.startswith(name.rstrip("*"))
    return function == name or function.startswith(f"{name}.<locals>")


def by_part(profiles: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Seconds by part of the profiles of one run, all parts among them. Processes that an operation does not pass are left out."""
    found = dict.fromkeys([*(part.part for part in parts()), OTHER], 0.0)
    for stacks in profiles:
        role = role_of(stacks)
        for stack, seconds in stacks.items() if role else ():
            found[part_of(stack, role)] += seconds
    return found


# -- runs


def profiled(point: Point) -> tuple[dict[str, float], Measured]:
    """Microseconds of an operation by part, and what the run measured of itself. Raises Interrupted."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[PROFILE_FOLDER] = folder
        try:
            measured = run_point(point)
        finally:
            del os.environ[PROFILE_FOLDER]
        found = by_part(json.loads(file.read_text()) for file in Path(folder).glob("*.json"))
    return {part: seconds / max(1, measured.operations) * 1e6 for part, seconds in found.items()}, measured


def cpu_us(measured: Measured) -> float:
    """Of clients and replicas."""
    return sum(each for name, each in measured.cpu_us.items() if name.startswith(("client_", "replica_")))


class BudgetError(Exception):
    """A run did not count; the text says why."""


def measure_budget(times: int, names: Sequence[str] = tuple(COLUMNS), plan: Plan | None = None) -> list[Column]:
    """Medians of `times` runs with and without a profile, in turn, of each workload. Raises BudgetError and Interrupted."""
    if sys.version_info >= (3, 13):
        raise BudgetError("Python 3.13 heeds no signals in the processes of a run, and the profile is taken by them; try PYTHON=python3.12")
    base = (plan or read_plan(PLAN)).base
    columns = []
    for name in names:
        point = Point("budget", name, "bcr", base | COLUMNS[name])
        with_profile, without = [], []
        for _ in range(times):
            found, one = profiled(point)
            other = run_point(point)
            for run in (one, other):
                if run.problem:
                    raise BudgetError(f"{name}: {run.problem}")
            with_profile.append(found)
            without.append(cpu_us(other))
        each = {part: median(run[part] for run in with_profile) for part in with_profile[0]}
        columns.append(Column(name, each, median(without)))
    return columns


# -- what is told of it


def rows_of(columns: Sequence[Column]) -> Iterator[list[str]]:
    """A row a part, then the sum, what is measured, and how far one is from the other."""
    for part in columns[0].parts:
        yield [part, *(f"{column.parts[part]:,.{_digits(column)}f}" for column in columns)]
    yield ["sum", *(f"{column.sum_us:,.{_digits(column)}f}" for column in columns)]
    yield ["measured", *(f"{column.measured_us:,.{_digits(column)}f}" for column in columns)]
    yield ["sum / measured", *(f"{column.sum_us / column.measured_us:.2f}" for column in columns)]


def _digits(column: Column) -> int:
    return 2 if column.sum_us < 100 else 0


TEXT = (
    "CPU microseconds of an operation by part, in clients and replicas together, t = 1, by `./bcr bench budget`: from whole runs "
    "whose stacks are looked at at every tick of the system (src/bcr_bench/studies/budget.yaml says which function is which part). "
    "`measured` is the CPU time of runs that nobody looked at, taken in turn with those. `rules` is what the roles do of their own "
    "between the other parts, `workload` the making of the operations, which is the bench's own, `seal` what neighbours in the "
    "chain put around messages, `match` DistAlgo's way from a message to its handler."
)


def print_budget(columns: Sequence[Column]) -> None:
    table = Table(title="CPU µs of an operation by part", title_justify="left")
    for heading in ("part", *(column.name for column in columns)):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for row in rows_of(columns):
        table.add_row(*row)
    Terminal().print(table)


def gaps(columns: Sequence[Column]) -> list[str]:
    """What is wrong with the table: sums that are too far from what was measured."""
    return [
        f"{column.name}: the parts come to {column.sum_us:.1f} µs, and {column.measured_us:.1f} were measured"
        for column in columns
        if abs(column.sum_us / column.measured_us - 1) > WIDEST_GAP
    ]


def section_of(columns: Sequence[Column], began: str) -> str:
    """The section of docs/performance.md."""
    lines = [["", *(column.name for column in columns)], *rows_of(columns)]
    table = ["| " + " | ".join(line) + " |" for line in lines]
    table.insert(1, "|---|" + "---:|" * len(columns))
    return f"{HEADING}\n\nMeasured {began}. {TEXT}\n\n" + "\n".join(table) + "\n"


def found_section(page: str, heading: str = HEADING) -> str | None:
    """The section of this heading as it stands in the page."""
    start = page.find(f"{heading}\n")
    end = page.find("\n## ", start + 1)
    return None if start < 0 else page[start:] if end < 0 else page[start:end]


def with_section(page: str, section: str) -> str:
    """The page with this section in place of the one with its heading, or behind what an operation must cost."""
    before = found_section(page, section.partition("\n")[0])
    if before is not None:
        return page.replace(before, section)
    place = page.find("\n## ", page.index(BEHIND) + 1)
    return f"{page}\n{section}" if place < 0 else f"{page[:place]}\n{section}{page[place:]}"
