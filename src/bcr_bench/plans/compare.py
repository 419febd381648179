"""Two runs of plans, point by point: ratios of medians, each with an interval in which it lies with 95 % confidence.

The intervals are bootstrapped: runs are drawn from those that were made, with replacement, and the ratio is taken again.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec
from rich.table import Table

from bcr_run.output import Terminal, complain

RESAMPLES = 2_000
CONFIDENCE = 0.95
LEAST_RUNS = 3  # of each, for an interval
SEED = 1
HARDWARE = ("processor", "cores", "memory")  # where these differ, a ratio says nothing of the software


class ComparedRun(msgspec.Struct, frozen=True):
    """A run of a `bench.json`, as far as it is compared."""

    problem: str
    rate: float
    latency_ms: dict[str, float]
    cpu_us: dict[str, float]


class ComparedPoint(msgspec.Struct, frozen=True):
    """A point of it."""

    sweep: str
    label: str
    system: str
    settings: dict[str, int | str]
    runs: list[ComparedRun]
    faults: dict[str, str] = {}

    @property
    def good(self) -> list[ComparedRun]:
        """The runs that count."""
        return [run for run in self.runs if not run.problem]

    @property
    def failed(self) -> list[ComparedRun]:
        """Those that do not."""
        return [run for run in self.runs if run.problem]


class Compared(msgspec.Struct, frozen=True):
    """All of it: points, and the machine."""

    points: list[ComparedPoint]
    machine: dict[str, str] = {}

    @property
    def by_name(self) -> dict[tuple[str, str, str], ComparedPoint]:
        """By sweep, label and system."""
        return {(point.sweep, point.label, point.system): point for point in self.points}


# What is compared: heading, and the value of a run, None where it has none.
VALUES: Mapping[str, Callable[[ComparedRun], float | None]] = {
    "ops/s": lambda run: run.rate or None,
    "p50": lambda run: run.latency_ms.get("p50"),
    "p99": lambda run: run.latency_ms.get("p99"),
    "CPU": lambda run: sum(run.cpu_us.values()) or None,
}  # fmt: skip


class NotComparable(Exception):
    """The folders hold nothing that could be compared; the text says what is missing."""


class Ratio(msgspec.Struct, frozen=True):
    """New by old, and between what it lies; without an interval where there are too few runs."""

    value: float
    interval: tuple[float, float] | None

    @property
    def is_shown(self) -> bool:
        """Whether a difference is shown: the interval does not hold 1."""
        return self.interval is not None and not self.interval[0] <= 1.0 <= self.interval[1]

    def __str__(self) -> str:
        if self.interval is None:
            return f"{self.value:.2f} (too few runs)"
        return f"{self.value:.2f} ({self.interval[0]:.2f} to {self.interval[1]:.2f})" + (" *" if self.is_shown else "")


def ratio_of(old: Sequence[float], new: Sequence[float]) -> Ratio:
    """The ratio of the medians, of values above 0, at least one of each."""
    value = median(new) / median(old)
    if min(len(old), len(new)) < LEAST_RUNS:
        return Ratio(value, None)
    chance = random.Random(SEED)
    drawn = sorted(median(chance.choices(new, k=len(new))) / median(chance.choices(old, k=len(old))) for _ in range(RESAMPLES))
    beyond = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Ratio(value, (drawn[beyond], drawn[-1 - beyond]))


def read_compared(path: Path) -> Compared:
    """A `bench.json`, or that of a folder. Raises NotComparable."""
    file = path / "bench.json" if path.is_dir() else path
    try:
        return msgspec.json.decode(file.read_bytes(), type=Compared)
    except OSError as error:
        raise NotComparable(f"{file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise NotComparable(f"{file}: not what ./bcr bench has written: {error}") from error


def compare(old: Path, new: Path) -> int:
    """Print a table of all points that both have; 1 where a point has no run that counts, or the machines are not alike, which is told.

    Raises NotComparable where there is no such point.
    """
    ours, theirs = read_compared(old), read_compared(new)
    before, after = ours.by_name, theirs.by_name
    both = [key for key in before if key in after]
    if not both:
        raise NotComparable(f"{old} and {new} have no point in common")
    table = Table(title=f"{new} by {old}: ratios of medians, 95 % intervals; * a difference is shown", title_justify="left")
    for heading in ("sweep", "point", *VALUES):
        table.add_column(heading, justify="left" if heading in ("sweep", "point") else "right")
    for key in both:
        sweep, label, system = key
        table.add_row(sweep, label if label == system else f"{label} ({system})", *_cells(before[key], after[key]))
    console = Terminal()
    console.print(table)
    for path, points, others in ((old, before, after), (new, after, before)):
        alone = [f"{sweep}: {label} ({system})" for sweep, label, system in points if (sweep, label, system) not in others]
        if alone:
            console.print(f"only in {path}: {', '.join(alone)}", markup=False, highlight=False, soft_wrap=True)
    compared = [(path, points[key]) for key in both for path, points in ((old, before), (new, after))]
    for path, point in compared:
        if point.failed or not point.runs:
            why = point.failed[0].problem if point.failed else "not run"
            count = f"{len(point.good)} of {len(point.runs)} runs count"
            complain(f"bcr bench compare: {path}: {point.sweep}: {point.label} ({point.system}): {count}: {why}")
    differing = list(_differing(ours.machine, theirs.machine))
    for name, one, other in differing:
        complain(f"bcr bench compare: measured with another {name}: {one or 'nothing said'}, and {other or 'nothing said'}")
    return 1 if not all(point.good for _, point in compared) or any(name in HARDWARE for name, _, _ in differing) else 0


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """What the machines do not have in common, hardware and software, but for how busy they were."""
    for name in dict.fromkeys([*one, *other]):
        values = one.get(name, ""), other.get(name, "")
        if values[0] != values[1] and not name.startswith("load"):
            yield name, *values


def _cells(before: ComparedPoint, after: ComparedPoint) -> list[str]:
    other = sorted(key for key in before.settings | after.settings if before.settings.get(key) != after.settings.get(key))
    other += ["faults"] * (before.faults != after.faults)
    if other:
        return [f"not the same {', '.join(other)}", *[""] * (len(VALUES) - 1)]
    cells = []
    for value_of in VALUES.values():
        values = [[value for run in point.good if (value := value_of(run))] for point in (before, after)]
        cells.append(str(ratio_of(*values)) if all(values) else "")
    return cells
