"""Reads scenario files and says what is wrong with them; runs nothing."""

import argparse
import sys

from bcr.scenario import ScenarioError, read_scenario
from bcr.scenario.protocols import PROTOCOLS
from bcr.scenario.sizing import sizes_of
from bcr.signed.authentication import PROMISES
from bcr.verdict.missed import told_of_too_many
from bcr_run.patience import patience_ms
from bcr_run.scenario_files import ScenarioNotFound, find_scenario


def main(arguments: list[str]) -> int:
    """`bcr check`: 0 all can be read, 2 some cannot."""
    parser = argparse.ArgumentParser(prog="bcr check", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="scenario files")
    status = 0
    for name in parser.parse_args(arguments).files:
        try:
            scenario, warnings = read_scenario(find_scenario(name))
        except (ScenarioNotFound, ScenarioError, OSError) as error:
            print(error, file=sys.stderr)
            status = 2
            continue
        for warning in warnings:
            print(warning, file=sys.stderr)
        operations = sum(map(len, scenario.workloads))
        print(
            f"{name}: t = {scenario.t}, {scenario.num_clients} clients, {operations:,} operations, "
            f"{len(scenario.failures)} faults, {len(scenario.expectations)} expectations"
        )
        promise = PROTOCOLS[scenario.protocol].promise
        servers = f"servers of {PROTOCOLS[scenario.protocol].title}" if promise else f"replicas, authentication = {scenario.authentication}"
        print(
            f"  {scenario.num_replicas} {servers}: with up to {scenario.t} of them faulty it holds "
            f"{promise or PROMISES[scenario.authentication]}"
        )
        for sentence in told_of_too_many(scenario, patience_ms(scenario)):
            print(f"  {sentence}")
        for sentence in sizes_of(scenario).told(scenario):
            print(f"  {sentence}")
    return status
