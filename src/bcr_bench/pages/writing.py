"""The figures of a run of a plan as JSON, and as CSV one line a run."""

import csv
import json
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from bcr.scenario.protocols import PROTOCOLS
from bcr_bench.pages.machine import LOAD, describe
from bcr_bench.plans.measured import Measured
from bcr_bench.plans.plan_files import Point, Sweep
from bcr_bench.prediction.costs import Costs
from bcr_bench.prediction.counted import Counts
from bcr_bench.prediction.layer import Layer
from bcr_bench.prediction.predicted import Shape, predict
from bcr_bench.prediction.slow_links import SlowLink
from bcr_bench.running.measuring import Series, offered


class Basis(msgspec.Struct, frozen=True):
    """What the figures stand on: the machine, the costs of the parts on it, and latency over slow links."""

    machine: dict[str, str]
    costs: Costs
    layer: Layer
    links: list[SlowLink]


class Begun(msgspec.Struct, frozen=True):
    """A run of a plan as far as it has got: when it began, on what its figures stand, and what is measured."""

    began: str
    basis: Basis
    counted: list[Counts]
    series: list[Series]


def read_begun(folder: Path) -> Begun:
    """What the folder's `bench.json` has. Raises OSError where there is none, and ValueError where it is of another machine."""
    contents = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    here = describe()
    differing = [name for name in here if name != LOAD and here[name] != contents["machine"].get(name)]
    if differing:
        raise ValueError(f"measured where these were not what they are here: {', '.join(differing)}")
    series = [
        Series(msgspec.convert(_only(each, Point), Point), msgspec.convert(each["runs"], list[Measured])) for each in contents["points"]
    ]
    return Begun(
        contents["began"], msgspec.convert(_only(contents, Basis), Basis), msgspec.convert(contents["counts"], list[Counts]), series
    )


def _only(contents: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    return {field: contents[field] for field in kind.__struct_fields__}


FIELDS = ("p50", "p90", "p99", "p99_9", "max", "mean")


def as_json(command: Sequence[str], began: str, basis: Basis, sweeps: Sequence[Sweep], series: Sequence[Series]) -> dict[str, Any]:
    """Everything that was measured: `points`, each with its settings, its `runs`, their `median`, and its `prediction`."""
    return {
        "began": began,
        "command": shlex.join(_without_output(command)),
        **msgspec.to_builtins(basis),
        "sweeps": msgspec.to_builtins(sweeps),
        "points": [
            msgspec.to_builtins(each.point)
            | {
                "runs": msgspec.to_builtins(each.runs),
                "median": msgspec.to_builtins(each.median),
                "prediction": _prediction(basis, each),
            }
            for each in series
        ],
    }


def _without_output(command: Sequence[str]) -> list[str]:
    """The command as anybody would give it: where its files went is nobody else's business."""
    kept: list[str] = []
    for before, word in pairwise(("", *command)):
        if not word.startswith("--output=") and "--output" not in (before, word):
            kept.append(word)
    return kept


def _prediction(basis: Basis, series: Series) -> Any:
    point = series.point
    is_predicted = "bench prediction" not in PROTOCOLS[str(point.settings.get("protocol", "shuttle"))].without
    if point.system != "bcr" or point.faults or not is_predicted:
        return None
    shape = Shape.of(series.point.settings)
    return msgspec.to_builtins(predict(basis.costs, basis.layer, shape, int(basis.machine["cores"])))


def write(folder: Path, contents: Mapping[str, Any], series: Sequence[Series]) -> None:
    """`bench.json` and `runs.csv` in the folder."""
    unfinished = folder / "bench.json.part"
    unfinished.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(folder / "bench.json")  # at once: who goes on with it finds it whole
    settings = sorted({key for each in series for key in each.point.settings})
    with open(folder / "runs.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = ("sweep", "label", "system", *settings, "run", "problem", "offered_per_s", "operations_per_s")
        writer.writerow([*columns, *(f"{name}_ms" for name in FIELDS), "cpu_us_per_operation"])
        for each in series:
            own = [each.point.settings.get(key, "") for key in settings]
            for number, run in enumerate(each.runs):
                row: list[object] = [each.point.sweep, each.point.label, each.point.system, *own, number, run.problem]
                row += [offered(each.point) or "", run.rate, *(run.latency_ms.get(name, "") for name in FIELDS)]
                writer.writerow([*row, round(sum(run.cpu_us.values()), 1)])
