"""Does the hunt find bugs? Puts known ones into the source, in memory, one at a time, and counts the seeds until it does."""

import argparse
import importlib.machinery
import importlib.util
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import yaml

from bcr_run.options import formerly, natural, positive
from bcr_run.output import complain
from bcr_runtime.places import PROJECT, SOURCES

MASKED_PART = 10  # of so many seeds a masked bug is tried with one
PACKAGES = Path(__file__).resolve().parents[1]
Bug = dict[str, Any]


FILES = {"shuttle": "bugs.yaml", "raft": "raft_bugs.yaml", "byzantine_raft": "braft_bugs.yaml"}  # beside this one, by protocol


def bugs(protocol: str = "shuttle") -> list[Bug]:
    """All seeded bugs of a protocol, from its data file."""
    loaded: list[Bug] = yaml.safe_load((Path(__file__).parent / FILES[protocol]).read_text())
    return loaded


def no_such_bug(text: str, protocol: str = "shuttle") -> str:
    """What to tell whoever asks for bugs with this in their name where there is none."""
    from bcr.scenario.diagnostics import nearest  # which imports what may have to have a bug first

    return f"no bug has {text!r} in its name; {nearest(text, [bug['name'] for bug in bugs(protocol)])}"


def scenario_of(bug: Bug, default: str | None = None) -> str | None:
    """The text of the scenario by which the bug is looked for, where it names one, or the file `default` of the project."""
    from bcr_sim.campaign import located_text  # which imports what may have to have a bug first

    base: str | None = bug.get("scenario", default)
    return base if base is None or "\n" in base else located_text(PROJECT / base)


def path_of(bug: Bug) -> Path:
    """The file that the bug is put into. Raises FileNotFoundError where there is none, as outside of a checkout."""
    for folder in (PACKAGES, SOURCES):
        if (folder / bug["file"]).exists():
            return folder / str(bug["file"])
    raise FileNotFoundError(f"{bug['file']} is neither in {PACKAGES} nor in {SOURCES}")


def patched(bug: Bug) -> bytes:
    """The source of the bug's file with the bug in it. Raises ValueError where the data file has fallen behind."""
    text = path_of(bug).read_text()
    if text.count(bug["old"]) != 1:
        raise ValueError(f"{bug['name']}: {bug['file']} has {text.count(bug['old'])} times {bug['old']!r}")
    return text.replace(bug["old"], bug["new"]).encode()


def seed_bug(bug: Bug) -> None:
    """From now on this OS process imports the bug's file with the bug; what it is in must not be imported yet."""
    put_in_place(path_of(bug), patched(bug))


def put_in_place(target: Path, source: bytes) -> None:
    """From now on this OS process imports the file `target` as if it held `source`; it must not be imported yet."""
    bytecode = importlib.util.cache_from_source(str(target)).rpartition(".pyc")[0]
    stock = importlib.machinery.SourceFileLoader.get_data

    def get_data(self: Any, path: str) -> bytes:
        if Path(path) == target:
            return source
        if path.startswith(bytecode):
            raise FileNotFoundError(path)
        return stock(self, path)

    importlib.machinery.SourceFileLoader.get_data = get_data  # type: ignore[method-assign]
    sys.dont_write_bytecode = True


def main(arguments: Sequence[str]) -> int:
    """`bcr bugs`: 0 when at least 95 % are found, 1 otherwise, 2 for bad input."""
    if "--all" in arguments:
        from bcr_sim.survival import main as try_all

        return try_all([argument for argument in arguments if argument != "--all"])
    parser = argparse.ArgumentParser(prog="bcr bugs", description=__doc__)
    parser.add_argument("--protocol", choices=tuple(FILES), default="shuttle", help="whose bugs (default: shuttle)")
    parser.add_argument(
        "--count",
        type=positive,
        metavar="SEEDS",
        default=2_000,
        help="at most, for each bug; a tenth of them where it is masked (default: 2000)",
    )
    parser.add_argument("--seed", type=natural, default=0, help="the first of them (default: 0)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only bugs with this in their name")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write a small scenario for each that is found")
    parser.add_argument("--conformance", action="store_true", help="count the seeds until a step that Figure 1 of the paper forbids")
    parser.add_argument("--all", action="store_true", help="mutate every rule of the protocol instead, a change at a time; "
                        "`bcr bugs --all --help` tells more")  # fmt: skip
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    formerly(parser, "--count", "--seeds")
    formerly(parser, "--seed", "--first")
    formerly(parser, "--output", "--keep")
    options = parser.parse_args(arguments)
    if options.conformance and options.protocol != "shuttle":
        parser.error(f"--conformance: Figure 1 of the paper is of the chain, and --protocol is {options.protocol}")
    if options.conformance and options.output:
        parser.error("--output: with --conformance seeds are only counted, and no scenario is made small")
    if options.one is not None:
        said = _searched(bugs(options.protocol)[options.one], options)
        print(said)
        return 0 if said.startswith("found") else 1
    chosen = [bug for bug in bugs(options.protocol) if options.only in bug["name"]]
    if not chosen:
        complain(f"bcr bugs: {no_such_bug(options.only, options.protocol)}")
        return 2
    for bug in chosen:
        patched(bug)
    began_s = time.monotonic()
    found_count = 0
    for bug, said in apart(chosen, options.jobs, lambda bug: _searched(bug, options)):
        found_count += said.startswith("found") and "masked" not in bug
        print(f"{bug['name']}: {said}" + (f" (masked: {bug['masked']})" if "masked" in bug else ""), flush=True)
    bug_count = sum("masked" not in bug for bug in chosen)
    share = found_count / bug_count if bug_count else 0.0
    print(f"{found_count} of {bug_count} seeded bugs found ({share:.0%}) in {time.monotonic() - began_s:.0f} s")
    return 0 if share >= 0.95 else 1


def apart(chosen: Sequence[Bug], jobs: int, search: Callable[[Bug], str]) -> Iterator[tuple[Bug, str]]:
    """Each bug and what `search` says of it in a process of its own, which alone can have it, as they end.

    They are forked from one that has everything compiled, and import it anew.
    """
    from bcr_sim.attempt import compile_once, forget_project

    def tell(bug: Bug, writer: Connection) -> None:
        forget_project()
        try:
            writer.send(search(bug))
        except Exception as error:
            writer.send(f"broke the search: {error!r}")

    compile_once()
    context = get_context("fork")
    queue = deque(chosen)
    running: dict[Connection, tuple[Bug, ForkProcess]] = {}
    while queue or running:
        while queue and len(running) < jobs:
            bug = queue.popleft()
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=tell, args=(bug, writer), daemon=True)
            process.start()
            writer.close()  # so that the end of the process is the end of what it says
            running[reader] = bug, process
        ready = wait(running)
        for reader in [each for each in running if each in ready]:
            bug, process = running.pop(reader)
            try:
                said = str(reader.recv())
            except EOFError:
                said = "broke the search: its process ended"
            process.join()
            yield bug, said


def _searched(bug: Bug, options: argparse.Namespace) -> str:
    """The first seed that finds the bug, or that none does; in an OS process that has nothing imported which could have it."""
    importlib.import_module("da")  # which imports the layer below us, not the other way round
    seed_bug(bug)
    from bcr_sim.campaign import run_seeds, spare_garbage_searches
    from bcr_sim.hunt import counterexample

    base = scenario_of(bug)
    durable, sessions = bug.get("durable", False), bug.get("sessions", False)
    seeds = seeds_for(bug, options.seed, options.count)
    if options.conformance:
        return _forbidden(bug, base, seeds)
    for tried, seed in enumerate(seeds, start=1):
        tally = run_seeds([seed], base, bug.get("authentication"), None, bug.get("object"), durable, options.protocol, sessions)
        if tally.failures:
            [failure] = tally.failures
            if options.output:
                options.output.mkdir(parents=True, exist_ok=True)
                name = re.sub("[^a-z0-9]+", "-", bug["name"].lower())
                whose = "" if options.protocol == "shuttle" else f"{options.protocol}:"
                counterexample(failure, options.output / f"{name}.config", options=f"--bug {whose}{name} ")
            return f"found by seed {seed}, the {tried}. tried: {' '.join(failure.breaches[0].split())[:160]}"
        if tried == 1:
            spare_garbage_searches()
    return f"not found in {len(seeds)} seeds"


def seeds_for(bug: Bug, first: int, count: int) -> range:
    """The seeds that a bug is tried with: of one that is masked fewer, for it takes them all, and only shows that it still is."""
    return range(first, first + (count if "masked" not in bug else max(1, count // MASKED_PART)))


def _forbidden(bug: Bug, base: str | None, seeds: range) -> str:
    """The first seed whose run takes a step that Figure 1 forbids, if one does."""
    from bcr.scenario import parse_scenario
    from bcr_sim.campaign import text_of
    from bcr_sim.conformance import conform

    for tried, seed in enumerate(seeds, start=1):
        text = text_of(seed, base, bug.get("authentication"), None, bug.get("object"), bug.get("durable", False),
                       sessions=bug.get("sessions", False))  # fmt: skip
        forbidden = conform(parse_scenario(text, "seed.config")[0]).forbidden
        if forbidden is not None:
            return f"found by seed {seed}, the {tried}. tried: {forbidden}"
    return f"not found in {len(seeds)} seeds"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
