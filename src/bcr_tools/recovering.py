"""Makes another log for an Olympus whose disk is lost, from the disks of its replicas; it has another key then.

What clients know as the key of Olympus has to be replaced: the new one is printed. Everything else goes on with the next run.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bcr.scenario import Scenario, ScenarioError, read_scenario
from bcr.stable.disk import DiskError
from bcr_run import output
from bcr_run.launch import settings_of
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_runtime.data_folder import recover


def main(arguments: Sequence[str]) -> int:
    """`bcr olympus`: 0 when it is done, 2 where it cannot be."""
    parser = argparse.ArgumentParser(prog="bcr olympus", description="What can be done for an Olympus that has a disk.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    recovering = commands.add_parser("recover", help="make another log where the disk of Olympus is lost", description=__doc__)
    recovering.add_argument("file", metavar="FILE", help="the scenario file, with durable = on and data")
    recovering.add_argument("--was", metavar="KEY", type=bytes.fromhex, default=b"",
                            help="the lost public key, in hex, as clients know it: the signature of the configuration is checked against it")  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        scenario = _scenario(options.file)
        settings = settings_of(scenario, data_folder=scenario.data)
        recovery, key = recover(settings, options.was, f"bcr olympus recover {Path(options.file).name}")
    except (ScenarioError, ScenarioNotFound, DiskError, OSError) as error:
        output.complain(f"bcr olympus recover: {error}")
        return 2
    for sentence in recovery.trusted:
        print(sentence if sentence.startswith("not trusted") else f"trusted: {sentence}")
    print(f"the next configuration has a number above {recovery.highest}")
    print(f"the key of Olympus is now {key.hex()}")
    return 0


def _scenario(name: str) -> Scenario:
    scenario, _ = read_scenario(find_scenario(name))
    if not scenario.data:
        raise DiskError(f"{scenario.source} names no folder: data = FOLDER, with durable = on")
    return scenario
