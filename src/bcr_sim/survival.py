"""Mutates every rule of the protocol, in memory, one small change at a time, and counts those that nothing notices.

Each mutant has a process of its own, forked from one that holds the compiled sources. It goes through the unit tests,
those of the modules in tests/bcr where the mutant is in one, and tests/sim/test_checks.py; then it simulates the
scenario files of config/, of its attacks, and of tests/sim/regressions, and then seeds, until something breaks that does
not break without the mutant. Results go to a file, line by line, and what stands there for the same mutant and text is
not tried again.
"""

import argparse
import hashlib
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import msgspec
import yaml

from bcr_run.options import above_zero, formerly, positive
from bcr_sim.attempt import (
    REACHED_BY,
    TRACES,
    Trial,
    attempts,
    prepare_probes,
    run_name,
    warm,
)  # fmt: skip
from bcr_sim.bugs import path_of
from bcr_sim.mutants import Mutant, Rules, mutants_of, rules
from bcr_sim.survivors import Result, Tables, page, told

ENOUGH = 0.95  # of the mutants that are not equivalent
PASSES = (50, 400)  # seeds that all get before any gets more
CHUNK = 50  # seeds of one control
# Their scenario files take longer than all others together; only what has survived the rest is tried with them.
SLOW = ("perform900", "t3_clients20", "ten_clients_crash")
NOT_OF_RULES = ("scenario", "figures", "workload", "spool", "linearizability", "expectations", "verdict")  # unit tests
OF_PROCESSES = ("tests/sim/test_checks.py",)  # tests of what .da files check, in a run that goes on around them
CHECKS = ("raise", "demand")  # operators whose mutants are tried first, because they matter most
EQUIVALENTS = Path(__file__).with_name("equivalents.yaml")


def main(arguments: Sequence[str]) -> int:
    """`bcr bugs --all`: 0 when at least 95 % of the mutants that are not equivalent are noticed, 1 otherwise."""
    from bcr_runtime.places import PROJECT

    parser = argparse.ArgumentParser(prog="bcr bugs --all", description=__doc__)
    parser.add_argument("--count", type=positive, metavar="SEEDS", default=2_000, help="at most, for each mutant (default: 2000)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only mutants with this in their id")
    parser.add_argument("--file", metavar="FILE", help="only those of this file, such as Replica.da or bcr/chain/proofs.py")
    parser.add_argument("--output", type=Path, metavar="FILE", default=PROJECT / "logs" / "mutants.jsonl",
                        help="what to go on from and to add to (default: logs/mutants.jsonl)")  # fmt: skip
    parser.add_argument("--limit", type=above_zero, metavar="SECONDS", default=900.0, help="for each mutant (default: 900)")
    parser.add_argument("--for", dest="minutes", type=above_zero, metavar="MINUTES", help="begin none after so long")
    parser.add_argument("--no-tests", action="store_true", help="simulate only")
    parser.add_argument("--list", action="store_true", help="only print the mutants, with what is known of each")
    parser.add_argument("--docs", action="store_true", help="write docs/mutants.md")
    formerly(parser, "--count", "--seeds")
    formerly(parser, "--output", "--results")
    options = parser.parse_args(arguments)
    declared = rules()
    if options.file is not None and options.file not in declared.files:
        parser.error(f"--file {options.file}: mutants are made of {', '.join(declared.files)}")
    chosen = [
        (mutant, source) for mutant, source in all_mutants(declared) if options.only in mutant.id and options.file in (None, mutant.file)
    ]
    known = results_in(options.output)
    if options.list:
        for mutant, source in chosen:
            result = known.get((mutant.id, mutant.digest(source)))
            print(f"{mutant.id} (line {mutant.line}): {told(result)}")
        return 0
    began_s = time.monotonic()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with open(options.output, "a", encoding="utf-8") as file:
        try:
            _Campaign(chosen, declared, known, options, file).run()
        except KeyboardInterrupt:
            print("broken off; the same command goes on from here", flush=True)
    tables = Tables(chosen, known, equivalents())
    print("\n".join(tables.lines()))
    print(f"{time.monotonic() - began_s:.0f} s; results in {options.output}")
    if options.docs:
        (PROJECT / "docs" / "mutants.md").write_text(page(tables))
    return 0 if tables.share >= ENOUGH and not tables.wrong else 1


def all_mutants(declared: Rules) -> Iterator[tuple[Mutant, bytes]]:
    """Every mutant of the declared files, with the source of its file."""
    for file in declared.files:
        source = path_of({"file": file}).read_bytes()
        for mutant in mutants_of(file, source, declared):
            yield mutant, source


def equivalents() -> dict[str, str]:
    """Id of each mutant that nobody can tell from the original -> why."""
    return yaml.safe_load(EQUIVALENTS.read_text()) or {}


def results_in(path: Path) -> dict[tuple[str, str], Result]:
    """The latest result of each mutant and text in a file of results; none where there is no file."""
    if not path.exists():
        return {}
    found = (msgspec.json.decode(line, type=Result) for line in path.read_bytes().splitlines() if line.strip())
    return {(result.id, result.hash): result for result in found}


# -- the processes


class _Campaign:
    """Tries mutants in so many processes at a time, in passes, and keeps what came of each."""

    def __init__(
        self, chosen: Sequence[tuple[Mutant, bytes]], declared: Rules, known: dict[tuple[str, str], Result],
        options: argparse.Namespace, file: IO[str],
    ) -> None:  # fmt: skip
        self.chosen = chosen
        self.declared = declared
        self.known = known
        self.options = options
        self.file = file
        self.unsound: set[tuple[str, int]] = set()  # (authentication, seed) that fails without any mutant too
        self.sound: set[tuple[str, int]] = set()
        self.sources = sources_digest()
        self.ends_s = None if options.minutes is None else time.monotonic() + 60 * options.minutes

    def run(self) -> None:
        if self._is_late():
            return
        warm()
        scenarios = scenario_texts()
        tests = [] if self.options.no_tests else test_files()
        seeds = range(min(PASSES[0], self.options.count))
        plain = self._control(Trial(None, b"", scenarios, seeds, "", tests, control=("any",)))
        for name, what in plain["unsound"].items():
            print(f"{name} fails without a mutant, and is left out: {what}", flush=True)
            scenarios.pop(name, None)
            tests = [each for each in tests if each != name]
        TRACES.update(plain["traces"])
        prepare_probes(self.declared)
        probed = self._control(Trial(None, b"", scenarios, seeds, "", control=("any",), is_probed=True))
        self._learn(probed)
        slow = {name: text for name, text in scenarios.items() if Path(name).stem in SLOW}
        quick = {name: text for name, text in scenarios.items() if name not in slow}
        first, *more = sorted({min(each, self.options.count) for each in (*PASSES, self.options.count)})
        self._pass(first, quick, tests)
        for upto in more or [first]:
            self._pass(upto, slow, tests)

    def _control(self, trial: Trial) -> dict[str, Any]:
        [(_, said)] = attempts([trial], 1, self.options.limit)
        if said["outcome"] != "control":
            raise RuntimeError(f"what is to be mutated does not run without a mutant: {said['what']}")
        return said

    def _learn(self, control: dict[str, Any]) -> None:
        """Take from a control with probes what each run executes; where a probe changes a run, that run teaches nothing."""
        for name, reached in control["reached"].items():
            if TRACES.setdefault(name, control["traces"][name]) == control["traces"][name]:
                REACHED_BY[name] = frozenset(reached)

    def _learn_seeds(self, trials: Iterable[Trial]) -> None:
        """Know of all seeds of these trials what they execute."""
        wanted = {(trial.authentication, seed) for trial in trials for seed in trial.seeds}
        unknown = sorted(place for place in wanted if run_name(place[1], place[0]) not in REACHED_BY)
        controls = [
            Trial(None, b"", {}, range(seed, seed + CHUNK), "", control=(authentication,), is_probed=True)
            for authentication, seed in sorted({(place[0], place[1] // CHUNK * CHUNK) for place in unknown})
        ]
        for _, said in attempts(controls, self.options.jobs, self.options.limit):
            if said["outcome"] == "control":
                self._learn(said)

    def _is_late(self) -> bool:
        return self.ends_s is not None and time.monotonic() >= self.ends_s

    def _pass(self, seeds: int, scenarios: Mapping[str, str], tests: Sequence[str]) -> None:
        """Give every mutant that is not noticed what it has not had yet of these."""
        trials: deque[Trial] = deque()
        for mutant, source in self.chosen:
            known = self.known.get((mutant.id, mutant.digest(source)))
            if known is not None and known.outcome != "alive":
                continue
            begin, had = (0, ()) if known is None else (known.seeds, known.had)
            files = {name: text for name, text in scenarios.items() if name not in had}
            units = [name for name in tests if name not in had and is_test_of(mutant.file, name)]
            if files or units or begin < seeds:
                authentication = self.declared.files[mutant.file]
                units.sort(key=lambda name: Path(mutant.file).stem not in name)
                trials.append(Trial(mutant, source, files, range(begin, max(begin, seeds)), authentication, units, known))

        # Otherwise in an order that has nothing to do with the files, so that what is known so far tells of the whole.
        def turn(trial: Trial) -> tuple[bool, str]:
            assert trial.mutant is not None
            return trial.mutant.operator not in CHECKS, trial.mutant.digest(trial.source)

        trials = deque(sorted(trials, key=turn))
        if not trials or self._is_late():
            return
        self._learn_seeds(trials)
        total, done, began_s = len(trials), 0, time.monotonic()
        what = f"{len(scenarios)} scenario files, {len(tests)} files of unit tests, seeds up to {seeds}"
        print(f"{what}: {total} of {len(self.chosen)} mutants to try", flush=True)

        def queue() -> Iterator[Trial]:
            while trials and not self._is_late():
                yield trials.popleft()

        for trial, said in attempts(queue(), self.options.jobs, self.options.limit):
            if self._is_unsound(trial, said):
                trials.append(trial._replace(scenarios={}, tests=(), seeds=range(said["seeds"], seeds)))
                continue
            done += 1
            if said["outcome"] == "ended":
                print(f"{done}/{total} {trial.mutant.id if trial.mutant else ''}: ended from outside", flush=True)
                continue
            result = self._result(trial, said)
            self.known[result.id, result.hash] = result
            self.file.write(msgspec.json.encode(result).decode() + "\n")
            self.file.flush()
            rate = done / (time.monotonic() - began_s) * 60
            print(f"{done}/{total} ({rate:.0f} a minute) {result.id}: {told(result)}", flush=True)

    def _is_unsound(self, trial: Trial, said: dict[str, Any]) -> bool:
        """Whether the seed that noticed the mutant fails without it as well."""
        if said["outcome"] != "killed" or not said["by"].startswith("seed "):
            return False
        seed = int(said["by"].removeprefix("seed "))
        place = trial.authentication, seed
        if place not in self.sound | self.unsound:
            control = Trial(None, b"", {}, range(seed, seed + 1), trial.authentication)
            [(_, checked)] = attempts([control], 1, self.options.limit)  # as a trial without a mutant
            (self.unsound if checked["outcome"] == "killed" else self.sound).add(place)
            if place in self.unsound:
                print(f"seed {seed} fails without a mutant, and does not count", flush=True)
        return place in self.unsound

    def _result(self, trial: Trial, said: dict[str, Any]) -> Result:
        assert trial.mutant is not None
        before = trial.known
        differs = said["differs"]
        if before is not None and before.differs is not None:
            differs = before.differs or bool(differs)
        return Result(
            id=trial.mutant.id, hash=trial.mutant.digest(trial.source), sources=self.sources, outcome=said["outcome"],
            by=said["by"], what=said["what"], seeds=said["seeds"], differs=differs,
            runs=said["runs"] + (0 if before is None else before.runs),
            had=(*(() if before is None else before.had), *(said["had"] if said["outcome"] == "alive" else ())),
            cpu_s=round(said["cpu_s"] + (0.0 if before is None else before.cpu_s), 2),
        )  # fmt: skip


def sources_digest() -> str:
    """Stands for everything that a mutant is tried with."""
    from bcr_runtime.places import PROJECT

    hashed = hashlib.sha256()
    for folder, pattern in (("src", "*.da"), ("src/bcr", "**/*.py"), ("src/bcr_sim", "*.py"), ("config", "*.config")):
        for path in sorted((PROJECT / folder).glob(pattern)):
            hashed.update(path.name.encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()[:16]


@cache
def is_test_of(file: str, test: str) -> bool:
    """Whether a file of tests is about a source: about processes, or a module that it imports from."""
    from bcr_runtime.places import PROJECT

    return test in OF_PROCESSES or f"{Path(file).with_suffix('').as_posix().replace('/', '.')} import" in (PROJECT / test).read_text()


def scenario_texts() -> dict[str, str]:
    """The scenario files that every mutant is tried with, name -> text; those that can be read."""
    from bcr.scenario import ScenarioError, read_scenario
    from bcr_runtime.places import PROJECT

    found = {}
    for folder in ("config", "config/attacks", "tests/sim/regressions"):
        for path in sorted((PROJECT / folder).glob("*.config")):
            try:
                read_scenario(path)
            except ScenarioError:
                continue  # a file that is there to be refused
            found[path.relative_to(PROJECT).as_posix()] = path.read_text()
    return found


def test_files() -> list[str]:
    """The unit tests of the modules that are mutated, then those of processes; none where pytest is not installed."""
    from bcr_runtime.places import PROJECT

    try:
        import hypothesis  # noqa: F401 - imported here, so that no process of a mutant has to
        import pytest  # noqa: F401
    except ImportError:
        print("no unit tests: pytest and hypothesis are not installed", flush=True)
        return []
    found = [path.relative_to(PROJECT).as_posix() for path in sorted((PROJECT / "tests" / "bcr").glob("test_*.py"))]
    of_processes = [name for name in OF_PROCESSES if (PROJECT / name).exists()]
    return [name for name in found if not any(each in name for each in NOT_OF_RULES)] + of_processes
