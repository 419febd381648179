"""What a plan's figures are to come to, and what they come to."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from bcr_bench.pages.blocks import Block, Heading, Table, Text
from bcr_bench.plans.plan_files import DEFAULTS, Aim
from bcr_bench.prediction.costs import Costs
from bcr_bench.prediction.predicted import Shape, cryptographic_bound

HEADINGS = ("", "aim", "here", "reached")


def held_against(contents: Mapping[str, Any]) -> Iterator[Block]:
    """A table of the plan's aims, and why those are not reached that are not; nothing where the plan has none."""
    aims = msgspec.convert(contents.get("aims", []), list[Aim])
    if not aims:
        return
    points = {(point["sweep"], point["label"]): point for point in contents["points"]}
    found = [(aim, ratio_of(aim, points, contents)) for aim in aims]
    yield Heading("Aims")
    yield Text("What this project set out for, as ratios of figures of this run, and what they are here.")
    yield Table(HEADINGS, [[aim.says, f"{'<=' if aim.is_most else '>='} {aim.aim:g}", *_told(aim, ratio)] for aim, ratio in found])
    reasons = dict.fromkeys(aim.why for aim, ratio in found if aim.why and not is_reached(aim, ratio))
    yield from (Text(why) for why in reasons)


def is_reached(aim: Aim, ratio: float | None) -> bool:
    """Whether the ratio, None where it was not measured, is what the aim asks for."""
    return ratio is not None and (ratio <= aim.aim if aim.is_most else ratio >= aim.aim)


def ratio_of(aim: Aim, points: Mapping[tuple[str, str], Mapping[str, Any]], contents: Mapping[str, Any]) -> float | None:
    """What the aim is about, from the points by sweep and label; None where one of them was not measured, or has no run that counts."""
    of, over = points.get(aim.of), points.get(aim.over or aim.of)
    if of is None or over is None or of["median"]["problem"] or over["median"]["problem"]:
        return None
    if aim.figure == "rate":
        return float(of["median"]["rate"] / over["median"]["rate"])
    if aim.figure == "replica":
        return _busiest_us(over, "server") / _busiest_us(of, "replica_")
    if aim.figure == "away":
        return float(of["median"]["away_ms"]) / int({**DEFAULTS, **of["settings"]}["election_timeout"])
    costs = msgspec.convert(contents["costs"], Costs)
    if aim.figure == "bound":
        return float(of["median"]["rate"]) / cryptographic_bound(costs, Shape.of(of["settings"]), int(contents["machine"]["cores"]))
    return float(of["median"]["latency_ms"]["p50"] / of["prediction"]["latency_ms"])


def _busiest_us(point: Mapping[str, Any], kind: str) -> float:
    return max(float(each) for name, each in point["median"]["cpu_us"].items() if name.startswith(kind))


def _told(aim: Aim, ratio: float | None) -> tuple[str, str]:
    return ("-", "not measured") if ratio is None else (f"{ratio:.2f}", "yes" if is_reached(aim, ratio) else "no")
