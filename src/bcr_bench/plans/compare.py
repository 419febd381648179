"""Two runs of plans, point by point: ratios of medians, each with an interval in which it lies with 95 % confidence.

The intervals are bootstrapped: runs are drawn from those that were made, with replacement, and the ratio is taken again.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.table import Table

from bcr_run.output import Terminal

RESAMPLES = 2_000
CONFIDENCE = 0.95
LEAST_RUNS = 3  # of each, for an interval
SEED = 1
# What is compared: heading, and the value of a run, None where it has none.
VALUES: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = {
    "ops/s": lambda run: run["rate"] or None,
    "p50": lambda run: run["latency_ms"].get("p50"),
    "p99": lambda run: run["latency_ms"].get("p99"),
    "CPU": lambda run: sum(run["cpu_us"].values()) or None,
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


def read_points(path: Path) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """The points of a `bench.json`, or of the folder that holds it, by sweep, label and system. Raises NotComparable."""
    file = path / "bench.json" if path.is_dir() else path
    try:
        points = json.loads(file.read_text(encoding="utf-8"))["points"]
        return {(point["sweep"], point["label"], point["system"]): point for point in points}
    except OSError as error:
        raise NotComparable(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NotComparable(f"{file}: not what ./bcr bench has written: {error}") from error


def compare(old: Path, new: Path) -> int:
    """Print a table of all points that both have; 0. Raises NotComparable where there is none."""
    before, after = read_points(old), read_points(new)
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
    return 0


def _cells(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    if before["settings"] != after["settings"]:
        other = sorted(key for key in before["settings"] | after["settings"] if before["settings"].get(key) != after["settings"].get(key))
        return [f"not the same {', '.join(other)}", *[""] * (len(VALUES) - 1)]
    cells = []
    for value_of in VALUES.values():
        values = [[value for run in point["runs"] if not run["problem"] and (value := value_of(run))] for point in (before, after)]
        cells.append(str(ratio_of(*values)) if all(values) else "")
    return cells
