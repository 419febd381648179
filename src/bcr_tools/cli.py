"""The command line: `./bcr COMMAND …`."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

from bcr.scenario.diagnostics import nearest
from bcr_tools.supervising import Interrupted

# Command -> the module whose `main(arguments)` does it and returns the exit status, and what it is for.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("bcr_tools.run", "run scenario files, each to a verdict; without FILE config/first_run.config"),
    "check": ("bcr_tools.checking", "read scenario files and say what is wrong with them"),
    "scenarios": ("bcr_tools.scenarios", "run all scenarios of config/ and hold testing.txt against them"),
    "atlas": ("bcr_tools.atlas", "run every fault, and hold its outcome against what the protocol prescribes"),
    "storm": ("bcr_tools.storm", "run many scenarios with random faults, each from a seed"),
    "sim": ("bcr_sim.sim", "simulate scenario files in virtual time, under an oracle"),
    "hunt": ("bcr_sim.hunt", "simulate many seeds on all cores, and make small scenarios of what fails"),
    "fuzz": ("bcr_fuzz.fuzz", "send what nobody should send, as a stranger and as an insider, and say what came of it"),
    "bugs": ("bcr_sim.bugs", "put known bugs into the source, in memory, and count the seeds until the hunt finds them"),
    "bench": ("bcr_bench.cli", "measure what an operation must cost, and compare with others"),
    "test": ("bcr_tools.testing", "run all checks of the project; arguments go to pytest"),
    "matrix": ("bcr_tools.matrix", "run the tests on every Python at hand"),
    "soak": ("bcr_tools.soak", "start DistAlgo's examples many times, under load, and count hangs"),
    "lock": ("bcr_tools.lock", "renew requirements.lock"),
}


def usage() -> str:
    """What `--help` prints."""
    lines = [f"  {name:<10}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ./bcr COMMAND [ARGUMENT …]",
            "",
            "Byzantine chain replication: the Shuttle protocol, run and checked.",
            "",
            *lines,
            "",
            "Each command has its own --help. Exit status: 0 pass, 1 fail, 2 unknown or bad input.",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "help"):
        print(usage())
        return 0
    if name not in COMMANDS:
        print(f"bcr: no command {name}; {nearest(name, COMMANDS)}", file=sys.stderr)
        return 2
    command: Callable[[list[str]], int] = import_module(COMMANDS[name][0]).main
    try:
        return command(rest)
    except Interrupted as interruption:
        return interruption.status
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
