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
from bcr_bench.plans.plan_files import NAME, Aim, Point, Sweep
from bcr_bench.prediction.costs import Costs
from bcr_bench.prediction.counted import Counts
from bcr_bench.prediction.layer import Layer
from bcr_bench.prediction.predicted import Prediction, Shape, predict
from bcr_bench.prediction.slow_links import SlowLink
from bcr_bench.running.measuring import Series, offered


class Basis(msgspec.Struct, frozen=True):
    """What the figures stand on: the machine, the costs of the parts on it, and latency over slow links."""

    machine: dict[str, str]
    costs: Costs
    layer: Layer
    links: list[SlowLink]


class Begun(msgspec.Struct, frozen=True):
    """A run of a plan as far as it has got: when it began, on what its figures stand, what is measured, and by which commands."""

    began: str
    basis: Basis
    counted: list[Counts]
    series: list[Series]
    sweeps: list[Sweep] = []
    command: str = ""
    page: str = ""


class WrittenPoint(Point, frozen=True, kw_only=True):
    """A point as `bench.json` has it."""

    runs: list[Measured]
    median: Measured
    prediction: Prediction | None = None


class Contents(msgspec.Struct, frozen=True):
    """What a `bench.json` holds. `left_out` are the sweeps of its plan that were not to be measured."""

    began: str
    command: str
    machine: dict[str, str]
    costs: Costs
    layer: Layer
    links: list[SlowLink]
    sweeps: list[Sweep]
    points: list[WrittenPoint]
    page: str = "performance"
    title: str = "Performance"
    counts: list[Counts] = []
    left_out: list[str] = []
    aims: list[Aim] = []


def read_contents(folder: Path) -> dict[str, Any]:
    """What the folder's `bench.json` has. Raises OSError where there is none, and ValueError where it is none of `./bcr bench`."""
    return _read(folder)[0]


def _read(folder: Path) -> tuple[dict[str, Any], Contents]:
    data = (folder / "bench.json").read_bytes()
    try:
        plain = json.loads(data.decode(), parse_constant=_no_number)
        contents = msgspec.convert(plain, Contents)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"bench.json: not what ./bcr bench has written: {error}") from error
    names = [sweep.name for sweep in contents.sweeps]
    for point in contents.points:
        if point.sweep not in names:
            raise ValueError(f"bench.json: not what ./bcr bench has written: a point of {point.sweep!r}, which is no sweep of it")
    for name in (contents.page, *names):
        if not NAME.fullmatch(name):  # files are called so
            raise ValueError(f"bench.json: not what ./bcr bench has written: a page or a sweep called {name!r}")
    return plain, contents


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def read_begun(folder: Path) -> Begun:
    """What the folder's `bench.json` has. Raises OSError where there is none, and ValueError where it is of another form or machine."""
    _, contents = _read(folder)
    here = describe()
    differing = [name for name in here if name != LOAD and here[name] != contents.machine.get(name)]
    if differing:
        raise ValueError(f"measured where these were not what they are here: {', '.join(differing)}")
    basis = Basis(contents.machine, contents.costs, contents.layer, contents.links)
    series = [Series(Point(*(getattr(each, field) for field in Point.__struct_fields__)), each.runs) for each in contents.points]
    return Begun(contents.began, basis, contents.counts, series, contents.sweeps, contents.command, contents.page)


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
    """The command as anybody would give it: where its files went, and that some were there before, is nobody else's business."""
    kept: list[str] = []
    for before, word in pairwise(("", *command)):
        if not word.startswith("--output=") and "--output" not in (before, word) and word != "--resume":
            kept.append(word)
    return kept


def both_commands(earlier: str, command: str) -> str:
    """By which commands figures were made of which one has gone on with what another had."""
    commands = earlier.split("; ") if earlier else []
    return earlier if command in commands else "; ".join([*commands, command])


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
