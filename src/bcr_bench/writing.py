"""The figures of a run of a plan as JSON, and as CSV one line a run."""

import csv
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bcr_bench.running import Series, offered

FIELDS = ("p50", "p90", "p99", "p99_9", "max", "mean")


def as_json(machine: Mapping[str, str], command: Sequence[str], began: str, series: Sequence[Series]) -> dict[str, Any]:
    """Everything that was measured: `points`, each with its settings, its `runs` and their `median`."""
    return {
        "began": began,
        "command": shlex.join(command),
        "machine": dict(machine),
        "points": [
            msgspec.to_builtins(each.point)
            | {"runs": msgspec.to_builtins(each.runs), "median": msgspec.to_builtins(each.median)}
            for each in series
        ],
    }


def write(folder: Path, contents: Mapping[str, Any], series: Sequence[Series]) -> None:
    """`bench.json` and `runs.csv` in the folder."""
    (folder / "bench.json").write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    settings = sorted({key for each in series for key in each.point.settings})
    with open(folder / "runs.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = ("sweep", "label", "system", *settings, "run", "problem", "offered_per_s", "operations_per_s")
        writer.writerow([*columns, *(f"{name}_ms" for name in FIELDS), "cpu_us_per_operation"])
        for each in series:
            own = [each.point.settings.get(key, "") for key in settings]
            for number, run in enumerate(each.runs):
                row = [each.point.sweep, each.point.label, each.point.system, *own, number, run.problem]
                row += [offered(each.point) or "", run.rate, *(run.latency_ms.get(name, "") for name in FIELDS)]
                writer.writerow([*row, round(sum(run.cpu_us.values()), 1)])
