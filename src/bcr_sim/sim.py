"""Simulates scenario files, which says within a second what a run of them would come to."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bcr.scenario import ScenarioError, read_scenario
from bcr_sim.campaign import seeded
from bcr_sim.diagram import diagram
from bcr_sim.run import Outcome, demand_simulable, simulate
from bcr_tools.run import ScenarioNotFound, find_scenario


def main(arguments: Sequence[str]) -> int:
    """`bcr sim`: 0 when nothing was violated in any of the runs, 1 otherwise, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="bcr sim", description=__doc__)
    parser.add_argument("files", metavar="FILE", nargs="+")
    parser.add_argument("--seed", type=int, help="in place of the file's own")
    parser.add_argument("--diagram", type=Path, metavar="SVG", help="draw the messages of the run (one FILE)")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="write the processes' logs (one FILE)")
    options = parser.parse_args(arguments)
    if len(options.files) > 1 and (options.diagram or options.logs):
        parser.error("--diagram and --logs take one FILE")
    try:
        scenarios = [read_scenario(find_scenario(name))[0] for name in options.files]
        for scenario in scenarios:
            demand_simulable(scenario)
        if options.logs:
            options.logs.mkdir(parents=True)
    except (ScenarioNotFound, ScenarioError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    has_failed = False
    for scenario in scenarios:
        chosen = scenario if options.seed is None else seeded(scenario, options.seed)
        outcome = simulate(chosen, folder=options.logs, keeps_steps=options.diagram is not None)
        has_failed |= bool(outcome.breaches)
        _print(chosen.name, outcome)
        if options.diagram:
            options.diagram.write_text(diagram(outcome.steps, outcome.breaches[0] if outcome.breaches else chosen.name))
    return int(has_failed)


def _print(name: str, outcome: Outcome) -> None:
    console = Console()
    table = Table(title=name, title_justify="left", show_header=False)
    for label, value in (
        ("operations answered", f"{outcome.result['operations']:,}"),
        ("reconfigurations", f"{len(outcome.result['reconfigurations']):,}"),
        ("faults injected", f"{len(outcome.result['faults_injected']):,}"),
        ("virtual seconds", f"{outcome.virtual_s:.3f}"),
        ("events", f"{outcome.events:,}"),
        ("trace", outcome.trace[:16]),
    ):
        table.add_row(label, value)
    console.print(table)
    for text in outcome.breaches or outcome.judgement.reasons:
        console.print(f"  {text}", markup=False, highlight=False)
    status = "violated" if outcome.breaches else outcome.judgement.status
    console.print(f"verdict: {status}", markup=False, highlight=False)
