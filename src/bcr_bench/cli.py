"""Measures: what the protocol must cost here, and what others take for the same work."""

import argparse
from collections.abc import Sequence

from bcr_bench.baselines import against_raft
from bcr_bench.costs import measure, print_costs
from bcr_runtime.processes import PROJECT


def main(arguments: Sequence[str]) -> int:
    """`bcr bench`: 0 when everything could be measured."""
    parser = argparse.ArgumentParser(prog="bcr bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("costs", help="what signatures, hashes and hops cost here, and what an operation must cost then")
    raft = commands.add_parser("raft", help="perform900 against DistAlgo's raft example, in turn")
    raft.add_argument("--times", type=int, default=5, help="runs of each (default: 5)")
    options = parser.parse_args(arguments)
    if options.command == "costs":
        print_costs(measure())
        return 0
    return against_raft(PROJECT / "config" / "perform900.config", options.times)
