"""Simulates scenario files, which says within a second what a run of them would come to."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from bcr.scenario import Scenario, ScenarioError, read_scenario
from bcr.verdict.missed import Missed, told_of_too_many
from bcr_run.exit_status import FAIL, worst
from bcr_run.options import formerly, natural
from bcr_run.output import Terminal, complain
from bcr_run.patience import patience_ms
from bcr_run.report import EXIT_STATUS, armed_in_vain
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_sim.campaign import seeded
from bcr_sim.conformance import FIGURE_OF_THE_PAPER, conform
from bcr_sim.diagram import diagram
from bcr_sim.replaying import replay
from bcr_sim.simulated_folder import show, simulate_into
from bcr_sim.simulated_run import SimulationOutcome, demand_chain, demand_simulable, simulate
from bcr_sim.stepping import step_through, walk
from bcr_sim.transcript import told


def main(arguments: Sequence[str]) -> int:
    """`bcr sim`: 0 all pass; 1 something was violated in one; 2 nothing was, but one is unknown, or bad input."""
    parser = argparse.ArgumentParser(prog="bcr sim", description=__doc__, allow_abbrev=False)
    parser.add_argument("files", metavar="FILE", nargs="+", help="scenario files")
    parser.add_argument("--seed", type=natural, help="in place of the file's own")
    parser.add_argument("--diagram", type=Path, metavar="SVG", help="draw the messages of the run (one FILE)")
    parser.add_argument("--log-folder", type=Path, metavar="FOLDER", help="write the processes' logs (one FILE)")
    parser.add_argument("--show", type=Path, metavar="FOLDER", help="write all of the run and its page, as bcr show does (one FILE)")
    parser.add_argument("--story", action="store_true", help="tell who sent what to whom, and what each decided (one FILE)")
    parser.add_argument("--conformance", action="store_true", help="list the steps of the paper's Figure 1 that the run takes, and "
                        "whether it allows each")  # fmt: skip
    parser.add_argument("--step", action="store_true", help="walk through the run event by event, forwards and back (one FILE)")
    parser.add_argument("--bug", metavar="NAME", help="with a bug of `bcr bugs` in the source, by its name or that of the file it left")
    formerly(parser, "--log-folder", "--logs")
    options = parser.parse_args(arguments)
    if options.bug:
        return _with_bug(options.bug, arguments)
    if options.step and len(options.files) > 1:
        parser.error("--step takes one FILE")
    if len(options.files) > 1 and (options.diagram or options.log_folder or options.show or options.story):
        parser.error("--diagram, --log-folder, --show and --story take one FILE")
    if options.conformance and options.step:
        parser.error("--conformance lists the steps of a figure, and --step walks through events: give one of them")
    if options.conformance or options.step:
        for name in ("show", "story", "diagram", "log_folder"):
            if getattr(options, name):
                how = "--conformance" if options.conformance else "--step"
                parser.error(f"--{name.replace('_', '-')}: with {how} nothing but its steps is told: give it in a command of its own")
    if options.show and (options.log_folder or options.story):
        parser.error("--show writes the logs and tells the story too: give it alone")
    try:
        scenarios = [_read(find_scenario(name)) for name in options.files]
        if options.log_folder:
            options.log_folder.mkdir(parents=True)
        if options.show and options.show.exists():
            raise FileExistsError(f"{options.show}: is there already; name a folder that is yet to be made")
        if options.conformance:
            demand_chain(scenarios, FIGURE_OF_THE_PAPER)
        if options.step:
            demand_chain(scenarios, "what --step shows")
    except (ScenarioNotFound, ScenarioError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    statuses = []
    for scenario in scenarios:
        chosen = scenario if options.seed is None else seeded(scenario, options.seed)
        if options.conformance or options.step:
            statuses.append(_conform(chosen) if options.conformance else _walk(chosen))
            continue
        if options.show:
            outcome = simulate_into(options.show, chosen, Path(chosen.source), keeps_steps=options.diagram is not None)
        else:
            outcome = _simulation(chosen, options)
        statuses.append(FAIL if outcome.breaches else EXIT_STATUS[outcome.judgement.status])
        _print(chosen.name, outcome)
        if options.diagram:
            options.diagram.write_text(diagram(outcome.steps, outcome.breaches[0] if outcome.breaches else chosen.name))
        if options.show and show(options.show):
            statuses.append(2)
    return worst(statuses)


def _with_bug(name: str, arguments: Sequence[str]) -> int:
    left = list(arguments)
    at = next(index for index, argument in enumerate(left) if argument.partition("=")[0] == "--bug")
    del left[at : at + (1 if "=" in left[at] else 2)]
    try:
        return replay(name, left)
    except ValueError as error:
        complain(f"bcr sim: {error}")
        return 2


def _conform(scenario: Scenario) -> int:
    found = conform(scenario)
    for step in found.steps:
        print(step)
    if found.forbidden is not None:
        print(f"{scenario.name}: Figure 1 forbids the last of {len(found.steps):,} steps: {found.forbidden.why}")
        return FAIL
    print(f"{scenario.name}: {len(found.steps):,} steps of correct replicas and clients, and Figure 1 allows each")
    return 0


def _walk(scenario: Scenario) -> int:
    walked = walk(scenario)
    step_through(walked, input, print)
    return FAIL if walked.outcome.breaches else EXIT_STATUS[walked.outcome.judgement.status]


def _simulation(scenario: Scenario, options: argparse.Namespace) -> SimulationOutcome:
    """What came of the scenario; its story is printed where it is asked for."""
    if not options.story:
        return simulate(scenario, folder=options.log_folder, keeps_steps=options.diagram is not None)
    with nullcontext(options.log_folder) if options.log_folder else TemporaryDirectory(prefix="bcr-story-") as folder:
        outcome, lines = told(scenario, Path(folder), keeps_steps=options.diagram is not None)
    print("\n".join(lines))
    return outcome


def _read(file: Path) -> Scenario:
    """The scenario in the file, which can be simulated; says what is odd about it, as a run does."""
    scenario, warnings = read_scenario(file)
    demand_simulable(scenario)
    for warning in warnings:
        complain(str(warning))
    if scenario.data:
        complain(f"{scenario.source}: data is heeded by ./bcr run only: simulated disks are gone with their run")
    for sentence in told_of_too_many(scenario, patience_ms(scenario)):
        complain(f"{scenario.source}: {sentence}")
    return scenario


def _print(name: str, outcome: SimulationOutcome) -> None:
    console = Terminal()
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
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
    for text in armed_in_vain(outcome.result):
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
    for missed in (*outcome.result["faults_missed"], *outcome.result["words_missed"]):
        console.print(f"  {Missed(**missed)}", markup=False, highlight=False, soft_wrap=True)
    status = "violated" if outcome.breaches else outcome.judgement.status
    console.print(f"verdict: {status}", markup=False, highlight=False)
