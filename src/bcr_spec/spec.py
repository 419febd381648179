"""Holds simulated runs of scenario files against the specifications that run: spec/Shuttle.da, of Raft spec/Figure2.da, and of Raft among
liars spec/AmongLiars.da.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from rich.table import Table

from bcr.scenario import Scenario, ScenarioError, read_scenario
from bcr_run.options import formerly, natural
from bcr_run.output import Terminal
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_spec.braft_following import RecordedBraft, departures_of_braft
from bcr_spec.following import Departure, NotSpecified, demand_specified, departures
from bcr_spec.measure import measurements
from bcr_spec.raft_following import RecordedRaft, departures_of_raft
from bcr_spec.recording import Recorded, drawn


def main(arguments: Sequence[str]) -> int:
    """`bcr spec`: 0 all runs are the specification's; 1 one is not; 2 bad input."""
    parser = argparse.ArgumentParser(prog="bcr spec", description=__doc__)
    parser.add_argument("files", metavar="FILE", nargs="*", help="scenario files to simulate")
    parser.add_argument("--count", type=natural, default=0, metavar="SEEDS", help="also the scenarios of the hunt's first SEEDS seeds")
    parser.add_argument("--measure", action="store_true", help="what queries over history cost: a table of time and memory")
    formerly(parser, "--count", "--seeds")
    options = parser.parse_args(arguments)
    if not (options.files or options.count or options.measure):
        parser.error("give FILE, --count or --measure")
    try:
        scenarios = [read_scenario(find_scenario(name))[0] for name in options.files]
        status = max((_status_of(scenario) for scenario in (*scenarios, *_seeded(options.count))), default=0)
        if options.measure:
            _print_measurements()
    except (ScenarioNotFound, ScenarioError, NotSpecified) as error:
        print(error, file=sys.stderr)
        return 2
    return status


def _seeded(seeds: int) -> Iterator[Scenario]:
    for seed in range(seeds):
        yield drawn(seed)


def _status_of(scenario: Scenario) -> int:
    if scenario.protocol == "raft":
        raft = RecordedRaft(scenario)
        raft.outcome()
        terms = max(step.view.term for steps in raft.steps for step in steps)
        steps = sum(map(len, raft.steps))
        return _told(scenario, departures_of_raft(raft), f"{steps:,} steps of {scenario.num_replicas} servers in {terms} terms")
    if scenario.protocol == "byzantine_raft":
        braft = RecordedBraft(scenario)
        braft.outcome()
        all_steps = [step for steps in braft.steps.values() for step in steps]
        what = f"{len(all_steps):,} steps of {len(braft.steps)} of {scenario.num_replicas} servers in {max(step.view.term for step in all_steps) + 1} terms"
        return _told(scenario, departures_of_braft(braft), what)
    demand_specified(scenario)
    run = Recorded(scenario)
    outcome = run.outcome()
    correct_count = sum(account.is_correct for account in run.accounts)
    messages = sum(len(account.steps) for account in run.accounts)
    what = f"{messages:,} messages, {correct_count} of {len(run.accounts)} processes correct, {len(outcome.record.reconfigurations)} reconfigurations"
    return _told(scenario, departures(run), what)


def _told(scenario: Scenario, found: Sequence[Departure], what: str) -> int:
    console = Terminal()
    is_error = any(departure.is_error_of_specification for departure in found)
    verdict = "error in the specification" if is_error else "violated" if found else "as specified"
    for line in (f"{scenario.name}: {verdict}; {what}", *(f"  {departure}" for departure in found)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 1 if found else 0


def _print_measurements() -> None:
    table = Table("requests", "ms a request", "specification", "ratio", "MiB", "specification", "ratio")
    for each in measurements():
        table.add_row(
            f"{each.requests:,}",
            f"{each.implementation_ms:.2f}", f"{each.specification_ms:.2f}",
            f"{each.specification_ms / each.implementation_ms:.1f}",
            f"{each.implementation_mib:.1f}", f"{each.specification_mib:.1f}",
            f"{each.specification_mib / each.implementation_mib:.1f}",
        )  # fmt: skip
    Terminal().print(table)
