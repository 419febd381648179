"""Reads scenario files, and service files, and says what is wrong with them; runs nothing."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from bcr.scenario import Diagnostic, Scenario, ScenarioError, read_scenario
from bcr.scenario.protocols import PROTOCOLS
from bcr.scenario.sizing import sizes_of
from bcr.signed.authentication import PROMISES
from bcr.verdict.missed import told_of_too_many
from bcr_run.output import complain
from bcr_run.patience import patience_ms
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_service.access import Unusable, demand_usable
from bcr_service.service_files import is_service, read_service


def main(arguments: list[str]) -> int:
    """`bcr check`: 0 all can be read, 2 some cannot."""
    parser = argparse.ArgumentParser(prog="bcr check", description=__doc__)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="scenario files; one that names a gateway or another listener is read as a service file"
    )
    return max(_check(name) for name in parser.parse_args(arguments).files)


def _check(name: str) -> int:
    """The exit status of one file, of which it is told."""
    try:
        path = find_scenario(name)
        if is_service(path):
            lines, warnings = _service(name, path)
        else:
            scenario, warnings = read_scenario(path)
            lines = list(_told(name, scenario))
    except (ScenarioNotFound, ScenarioError, Unusable, OSError) as error:
        complain(str(error))
        return 2
    for warning in warnings:
        complain(str(warning))
    print("\n".join(lines))
    return 0


def _told(name: str, scenario: Scenario) -> Iterator[str]:
    operations = sum(map(len, scenario.workloads))
    yield (
        f"{name}: t = {scenario.t}, {scenario.num_clients} clients, {operations:,} operations, "
        f"{len(scenario.failures)} faults, {len(scenario.expectations)} expectations"
    )
    yield _servers(scenario)
    yield from (f"  {sentence}" for sentence in told_of_too_many(scenario, patience_ms(scenario)))
    yield from (f"  {sentence}" for sentence in sizes_of(scenario).told(scenario))


def _servers(scenario: Scenario) -> str:
    promise = PROTOCOLS[scenario.protocol].promise
    servers = f"servers of {PROTOCOLS[scenario.protocol].title}" if promise else f"replicas, authentication = {scenario.authentication}"
    holds = promise or PROMISES[scenario.authentication]
    return f"  {scenario.num_replicas} {servers}: with up to {scenario.borne} of them faulty it holds {holds}"


def _service(name: str, path: Path) -> tuple[list[str], Sequence[Diagnostic]]:
    """What is told of a service file, read as `serve` reads it. Raises ScenarioError, Unusable and OSError."""
    service = read_service(path)
    demand_usable(service.files)
    listeners = ", ".join(f"{each.kind}[{each.number}] = {each.address}" for each in service.listeners)
    disks = "on disk" if service.scenario.durable else "in memory only"
    first = f"{name}: a service, for ./bcr serve: t = {service.scenario.t}, protocol = {service.protocol}, {disks}; {listeners}"
    return [first, _servers(service.scenario)], service.warnings
