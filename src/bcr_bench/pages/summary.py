"""The table of a run of a plan."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from bcr_bench.prediction.costs import Costs
from bcr_bench.prediction.layer import Layer
from bcr_bench.prediction.predicted import FORETOLD_LINKS_MS, foretold
from bcr_run.output import Terminal

COLUMNS = ("ops/s", "ratio", "p50 ms", "p99 ms", "CPU µs/op", "runs")


def print_summary(contents: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """A table for each sweep: medians, and the rate as a ratio to that of the sweep's first point."""
    console = Terminal()
    for name, title in titles.items():
        points = [point for point in contents["points"] if point["sweep"] == name]
        if not points:
            console.print(f"{title}: not measured", highlight=False)
            continue
        table = Table(title=title, title_justify="left")
        table.add_column("", no_wrap=True)
        for heading in COLUMNS:
            table.add_column(heading, justify="right")
        for row in rows_of(points):
            table.add_row(*row)
        console.print(table)


def rows_of(points: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Label, rate, ratio to the first point, p50, p99, CPU of all processes, runs that count of those made."""
    first = next((point["median"]["rate"] for point in points if point["median"]["rate"]), 0.0)
    rows = []
    for point in points:
        median, runs = point["median"], point["runs"]
        good = f"{sum(not run['problem'] for run in runs)} of {len(runs)}"
        if median["problem"]:
            rows.append([point["label"], median["problem"], "", "", "", "", good])
            continue
        latency = median["latency_ms"]
        numbers = [f"{median['rate']:,.0f}", f"{median['rate'] / first:.2f}"]
        numbers += [f"{latency['p50']:.2f}", f"{latency['p99']:.2f}"] if latency else ["", ""]
        cpu_us = sum(median["cpu_us"].values())
        rows.append([point["label"], *numbers, f"{cpu_us:,.0f}" if cpu_us else "", good])
    return rows


def print_foretold(costs: Costs, layer: Layer, cores: int) -> None:
    """What the model says, by t, batch and authenticator."""
    console = Terminal()
    table = Table(title=f"predicted, {cores} cores, 16 clients with 16 requests outstanding", title_justify="left")
    table.add_column("t, batch, authenticator", no_wrap=True)
    for what in ("a second", "ms alone"):
        for link_ms in FORETOLD_LINKS_MS:
            table.add_column(f"{what},\nlinks\n{link_ms} ms", justify="right")
    for row in foretold(costs, layer, cores):
        table.add_row(*row)
    console.print(table)
    text = f"a DistAlgo message: {layer.message_cpu_us:.0f} µs of CPU time, {layer.hop_us:.0f} µs to an idle process"
    console.print(text, highlight=False)
