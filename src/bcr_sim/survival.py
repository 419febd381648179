"""Mutates every rule of the protocol, in memory, one small change at a time, and counts those that nothing notices.

Each mutant has a process of its own, forked from one that has everything imported. It is tried with what executes the changed place,
and with nothing else. First come unit tests (of tests/bcr, and those of tests/sim that simulate): those of its own module
before others, and the quick before the slow. Then come the scenario files of config/, of its attacks, and of
tests/sim/regressions, simulated. Then come seeds, until something breaks that does not break without the mutant. Every mutant is
tried a little before any is tried more. Results go to a file, line by line, and what stands there for the same text of a function
is not tried again.
"""

import argparse
import hashlib
import math
import os
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from bcr_run.options import above_zero, formerly, positive
from bcr_sim.attempt import (
    IMPORTED,
    KEPT_MODULES,
    KNOWN,
    SHOWN_CHARACTERS,
    MutantTrial,
    attempts,
    is_reached,
    number_of,
    prepare_probes,
    run_name,
    warm,
    with_collected,
)
from bcr_sim.bugs import FILES, path_of
from bcr_sim.campaign_folder import measured_on
from bcr_sim.kept_lines import add_line, lines_of_type
from bcr_sim.mutants import Mutant, Rules, mutants_of, rules
from bcr_sim.survivors import PAGES, MutantResult, Tables, page, told
from bcr_sim.unit_tests import Learned, unit_of

ENOUGH = 0.95  # of the mutants that are not equivalent
# What all get before any gets more: so many seconds, of processor time without a mutant, of tests, as many of scenario files,
# and so many seeds.
PASSES = ((0.8, 0.5, 3), (3.0, 3.0, 30), (20.0, 20.0, 400))
SLOW = ("perform900", "t3_clients20", "ten_clients_crash")  # scenario files that take longer than all others together
CHUNK = 10  # seeds of one control
CONTROL_S = 7_200.0  # of real time
BUSY_S = 120.0  # of processor time, for what one control does without telling
NOT_OF_RULES = (
    "scenario",
    "figures",
    "workload",
    "spool",
    "linearizability",
    "expectations",
    "verdict",
    "evidence",
    "missed",
    "injector",
    "forgery",
)  # unit tests
OF_PROCESSES = tuple(
    f"tests/sim/test_{name}.py"
    for name in ("checks", "steps_of_olympus", "steps_of_clients", "steps_of_replicas", "clients", "attempts", "tail", "disks", "visits", "open_loop", "leaving_together", "properties")
)  # fmt: skip
# Of another protocol than the chain: the tests of its rules and processes.
OF_PROTOCOLS = {
    "raft": (
        "tests/bcr/test_logs_of_servers.py",
        "tests/bcr/test_books_of_leaders.py",
        "tests/bcr/test_changes_of_servers.py",
        "tests/disks/test_raft_store.py",
        "tests/test_raft_paper.py",
        "tests/test_raft_thesis.py",
        "tests/sim/test_steps_of_servers.py",
        "tests/sim/test_room_of_servers.py",
    ),
    "byzantine_raft": (
        "tests/bcr/test_rules_among_liars.py",
        "tests/disks/test_raft_store.py",
        "tests/test_byzantine_raft_paper.py",
        "tests/sim/test_steps_among_liars.py",
    ),
}
CHECKS = ("raise", "demand")  # operators whose mutants are tried first, because they matter most
EQUIVALENTS = Path(__file__).with_name("equivalents.yaml")


def main(arguments: Sequence[str]) -> int:
    """`bcr bugs --all`: 0 when at least 95 % of the mutants that are not equivalent are noticed, 1 otherwise, 2 for bad input."""
    from bcr_runtime.places import PROJECT

    parser = argparse.ArgumentParser(prog="bcr bugs --all", description=__doc__)
    parser.add_argument("--count", type=positive, metavar="SEEDS", default=2_000, help="at most, for each mutant (default: 2000)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only mutants with this in their id")
    parser.add_argument("--file", metavar="FILE", help="only those of this file, such as Replica.da or bcr/chain/proofs.py")
    parser.add_argument("--output", type=Path, metavar="FILE",
                        help="what to go on from and to add to (default: logs/mutants.jsonl, and of a protocol logs/mutants-PROTOCOL.jsonl)")  # fmt: skip
    parser.add_argument("--limit", type=above_zero, metavar="SECONDS", default=900.0, help="for each mutant (default: 900)")
    parser.add_argument("--for", dest="minutes", type=above_zero, metavar="MINUTES", help="begin none after so long")
    parser.add_argument("--protocol", choices=tuple(FILES), default="shuttle", help="whose rules (default: shuttle)")
    parser.add_argument("--again", action="store_true", help="try those that are alive with everything, not only with what is new")
    parser.add_argument("--alive", action="store_true", help="try only those that are alive so far, and none that was not tried")
    parser.add_argument("--no-tests", action="store_true", help="simulate only")
    parser.add_argument("--list", action="store_true", help="only print the mutants, with what is known of each")
    parser.add_argument("--docs", action="store_true", help="write docs/mutants.md; of Raft docs/mutants_raft.md, of Raft among "
                        "liars docs/mutants_braft.md")  # fmt: skip
    formerly(parser, "--count", "--seeds")
    formerly(parser, "--output", "--results")
    options = parser.parse_args(arguments)
    if options.output is None:
        options.output = PROJECT / "logs" / ("mutants.jsonl" if options.protocol == "shuttle" else f"mutants-{options.protocol}.jsonl")
    declared = rules(options.protocol)
    if options.file is not None and options.file not in declared.files:
        parser.error(f"--file {options.file}: mutants are made of {', '.join(declared.files)}")
    chosen = [
        (mutant, source) for mutant, source in all_mutants(declared) if options.only in mutant.id and options.file in (None, mutant.file)
    ]
    if not chosen:
        parser.error(f"--only {options.only}: no mutant{f' of {options.file}' if options.file else ''} has this in its id")
    try:
        known = results_in(options.output)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    wanted = chosen
    if options.alive:
        alive = {key for key, result in known.items() if result.outcome == "alive"}
        wanted = [(mutant, source) for mutant, source in chosen if (mutant.id, mutant.digest(source)) in alive]
    if options.again:
        known = {key: result for key, result in known.items() if result.outcome != "alive"}
    if options.list:
        for mutant, source in chosen:
            result = known.get((mutant.id, mutant.digest(source)))
            print(f"{mutant.id} (line {mutant.line}): {told(result)}")
        return 0
    began_s = time.monotonic()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        _Campaign(wanted, declared, known, options).run()
    except KeyboardInterrupt:
        print("broken off; the same command goes on from here", flush=True)
    tables = Tables(chosen, known, equivalents())
    print("\n".join(tables.lines()))
    print(f"{time.monotonic() - began_s:.0f} s; results in {options.output}")
    if options.docs:
        (PROJECT / "docs" / PAGES[options.protocol]).write_text(page(tables, measured_on(), options.protocol))
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


def results_in(path: Path) -> dict[tuple[str, str], MutantResult]:
    """The latest result of each mutant and text in a file of results; none where there is no file. Raises ValueError where it is another's."""
    return {(result.id, result.hash): result for result in lines_of_type(path, MutantResult, "results of mutants")}


# -- the processes


class _Campaign:
    """Tries mutants in so many processes at a time, in passes, and keeps what came of each."""

    def __init__(
        self, chosen: Sequence[tuple[Mutant, bytes]], declared: Rules, known: dict[tuple[str, str], MutantResult],
        options: argparse.Namespace,
    ) -> None:  # fmt: skip
        self.chosen = chosen
        self.declared = declared
        self.known = known
        self.options = options
        self.sound: dict[str, bool] = {}  # whether a test or run passes without any mutant, by itself
        self.sources = sources_digest()
        self.scenarios: dict[str, str] = {}
        self.tests: list[str] = []  # names
        self.kept = _Kept(options.output.with_suffix(".reach"), self.sources)
        self.ends_s = None if options.minutes is None else time.monotonic() + 60 * options.minutes

    def run(self) -> None:
        if self._is_late() or not any(self._is_wanted(mutant, source) for mutant, source in self.chosen):
            return
        warm(self.declared)
        prepare_probes(self.declared)
        files = [] if self.options.no_tests else test_files(self.options.protocol)
        self.scenarios = scenario_texts(self.options.protocol)
        self._learn_tests(files)
        self._learn(MutantTrial(None, b"", self.scenarios, range(0), "", control=("",), busy_s=BUSY_S), "scenarios")
        with_collected(files, self._passes)

    def _passes(self) -> None:
        most = self.options.count
        for tests_s, scenarios_s, seeds in [*PASSES, (math.inf, math.inf, most)]:
            self._pass(_Much(tests_s, 0.0, 0), f"{tests_s:g} s of tests")
            upto = min(seeds, most)
            self._pass(_Much(0.0, scenarios_s, upto), f"{scenarios_s:g} s of scenario files, {upto} seeds")

    def _control(self, trial: MutantTrial) -> dict[str, Any]:
        [(_, report)] = attempts([trial], 1, CONTROL_S)
        if report["outcome"] != "control":
            raise RuntimeError(f"what is to be mutated does not run without a mutant: {report['what'] or report['outcome']}")
        return report

    def _learn_tests(self, files: Sequence[str]) -> None:
        """Know what the tests of these files execute."""
        for file in files:
            self._learn(MutantTrial(None, b"", {}, range(0), "", (file,), BUSY_S, control=("",)), self.kept.key_of(file))

    def _learn(self, trial: MutantTrial, key: str) -> None:
        """Know what the runs of a control execute."""
        if key not in self.kept.found:
            self.kept.add(key, self._control(trial))
        self._take(self.kept.found[key])

    def _take(self, report: dict[str, Any]) -> None:
        for name, what in report["unsound"].items():
            print(f"{name} fails without a mutant, and is left out: {what}", flush=True)
            self.scenarios.pop(name, None)
        IMPORTED.update(report["imported"])
        learned = {name: msgspec.convert(each, Learned) for name, each in report["learned"].items() if name not in report["unsound"]}
        KNOWN.update(learned)
        self.tests += [name for name in learned if "::" in name]

    def _learn_seeds(self, trials: Iterable[MutantTrial]) -> None:
        """Know of all seeds of these trials what they execute."""
        wanted = {(trial.authentication, seed // CHUNK * CHUNK) for trial in trials for seed in trial.seeds}
        for authentication, first in sorted(wanted):
            if run_name(first, authentication) not in KNOWN:
                name = run_name(first, authentication)
                self._learn(MutantTrial(None, b"", {}, range(first, first + CHUNK), "", control=(authentication,), busy_s=BUSY_S), name)

    def _is_late(self) -> bool:
        return self.ends_s is not None and time.monotonic() >= self.ends_s

    def _is_wanted(self, mutant: Mutant, source: bytes) -> bool:
        known = self.known.get((mutant.id, mutant.digest(source)))
        return known is None or known.outcome == "alive"

    def _more(self, trial: MutantTrial, much: "_Much") -> MutantTrial:
        """The trial with what the mutant has not had of so much; it says itself what it has had."""
        mutant, known = trial.mutant, trial.known
        assert mutant is not None
        begin, had = (0, frozenset()) if known is None else (known.seeds, frozenset(known.had))
        tests = _within(much.tests_s, self._tests_of(mutant), had)
        files = _within(much.scenarios_s, [name for name in self.scenarios if is_reached(mutant, name)], had)
        longest_s = max((KNOWN[name].cpu_s for name in (*tests, *files)), default=0.0)
        return trial._replace(
            tests=tests, scenarios={name: self.scenarios[name] for name in files}, seeds=range(begin, max(begin, much.seeds)),
            busy_s=1.5 + 5 * longest_s,
        )  # fmt: skip

    def _tests_of(self, mutant: Mutant) -> list[str]:
        """Those that execute what is mutated; where nobody can tell, those of files that are about its module."""
        number = number_of(mutant)
        is_told = number is not None and number not in IMPORTED
        found = [name for name in self.tests if (is_reached(mutant, name) if is_told else is_test_of(mutant.file, name.partition("::")[0]))]
        own = "test_checks.py" if mutant.file.endswith(".da") else f"test_{Path(mutant.file).stem}.py"
        return sorted(found, key=lambda name: (own not in name, KNOWN[name].cpu_s))

    def _pass(self, much: "_Much", what: str) -> None:
        """Give every mutant that is not noticed what it has not had yet of these."""
        trials: deque[MutantTrial] = deque()
        for mutant, source in self.chosen:
            if self._is_wanted(mutant, source):
                known = self.known.get((mutant.id, mutant.digest(source)))
                trial = self._more(MutantTrial(mutant, source, {}, range(0), self.declared.files[mutant.file], known=known), much)
                if trial.tests or trial.scenarios or trial.seeds:
                    trials.append(trial)

        # In an order that has nothing to do with the files, so that what is known so far tells of the whole.
        def turn(trial: MutantTrial) -> tuple[bool, str]:
            assert trial.mutant is not None
            return trial.mutant.operator not in CHECKS, trial.mutant.digest(trial.source)

        trials = deque(sorted(trials, key=turn))
        if not trials or self._is_late():
            return
        self._learn_seeds(trials)
        total, done, began_s = len(trials), 0, time.monotonic()
        print(f"{what}: {total} of {len(self.chosen)} mutants to try", flush=True)

        def queue() -> Iterator[MutantTrial]:
            while trials and not self._is_late():
                yield trials.popleft()

        for trial, report in attempts(queue(), self.options.jobs, self.options.limit):
            if self._is_unsound(trial, report):
                trials.append(self._without(trial, report))
                continue
            done += 1
            if report["outcome"] == "ended":
                print(f"{done}/{total} {trial.mutant.id if trial.mutant else ''}: ended from outside", flush=True)
                continue
            result = self._result(trial, report)
            self.known[result.id, result.hash] = result
            add_line(self.options.output, msgspec.json.encode(result))
            rate = done / (time.monotonic() - began_s) * 60
            print(f"{done}/{total} ({rate:.0f} a minute) {result.id}: {told(result)}", flush=True)

    def _is_unsound(self, trial: MutantTrial, report: dict[str, Any]) -> bool:
        """Whether what noticed the mutant fails without it as well, by itself."""
        if report["outcome"] != "killed" or report["by"] in ("hang", "death"):
            return False
        if report["by"].startswith("test "):
            name = _unit_in(trial, report["what"])
            if not name:
                return False  # pytest itself could not begin with them
            control = MutantTrial(None, b"", {}, range(0), "", (name,), trial.busy_s)
        elif report["by"].startswith("seed "):
            seed = int(report["by"].removeprefix("seed "))
            name = run_name(seed, trial.authentication)
            control = MutantTrial(None, b"", {}, range(seed, seed + 1), trial.authentication, busy_s=trial.busy_s)
        else:
            name = report["by"]
            control = MutantTrial(None, b"", {name: trial.scenarios[name]}, range(0), "", busy_s=trial.busy_s)
        if name not in self.sound:
            [(_, checked)] = attempts([control], 1, self.options.limit)  # as a trial without a mutant
            self.sound[name] = checked["outcome"] == "alive"
            if not self.sound[name]:
                print(f"{name} fails without a mutant, and does not count", flush=True)
        return not self.sound[name]

    def _without(self, trial: MutantTrial, report: dict[str, Any]) -> MutantTrial:
        """The trial with what is behind that which does not count."""
        tests, files = list(trial.tests), list(trial.scenarios)
        if report["by"].startswith("test "):
            return trial._replace(tests=tests[tests.index(_unit_in(trial, report["what"])) + 1 :])
        if report["by"].startswith("seed "):
            return trial._replace(scenarios={}, tests=(), seeds=range(report["seeds"], trial.seeds.stop))
        behind = files[files.index(report["by"]) + 1 :]
        return trial._replace(tests=(), scenarios={name: trial.scenarios[name] for name in behind})

    def _result(self, trial: MutantTrial, report: dict[str, Any]) -> MutantResult:
        assert trial.mutant is not None
        before = trial.known
        differs = report["differs"]
        if before is not None and before.differs is not None:
            differs = before.differs or bool(differs)
        return MutantResult(
            id=trial.mutant.id, hash=trial.mutant.digest(trial.source), sources=self.sources, outcome=report["outcome"],
            by=report["by"], what=report["what"], seeds=report["seeds"], differs=differs,
            runs=report["runs"] + (0 if before is None else before.runs),
            had=(*(() if before is None else before.had), *(report["had"] if report["outcome"] == "alive" else ())),
            cpu_s=round(report["cpu_s"] + (0.0 if before is None else before.cpu_s), 2),
        )  # fmt: skip


def _within(most_s: float, names: Sequence[str], had: Collection[str]) -> list[str]:
    """As many of these from the first as take so long, and the first however long it takes; without those that were had."""
    found: list[str] = []
    used_s = 0.0
    for name in names if most_s else ():
        if used_s and used_s + KNOWN[name].cpu_s > most_s:
            break
        used_s += KNOWN[name].cpu_s
        if name not in had:
            found.append(name)
    return found


def _unit_in(trial: MutantTrial, failed: str) -> str:
    """Which of the trial's tests failed, by what was said of it; nothing where none is."""
    return next((name for name in trial.tests if unit_of(failed) == name[:SHOWN_CHARACTERS]), "")


class _Much(NamedTuple):
    """What all mutants get before any gets more: seconds of tests and of scenario files, without a mutant; and seeds."""

    tests_s: float
    scenarios_s: float
    seeds: int


class _Kept:
    """A file beside the results, with what controls have said, for the next time with the same sources."""

    def __init__(self, path: Path, sources: str) -> None:
        self.path = path
        self.sources = sources
        entries = lines_of_type(path, tuple[str, str, dict[str, Any]], "what controls have said")
        self.found: dict[str, dict[str, Any]] = {key: report for of_sources, key, report in entries if of_sources == sources}

    def key_of(self, file: str) -> str:
        """A file of tests, as it is now."""
        from bcr_runtime.places import PROJECT

        return f"{file} {hashlib.sha256((PROJECT / file).read_bytes()).hexdigest()[:16]}"

    def add(self, key: str, report: dict[str, Any]) -> None:
        self.found[key] = report
        add_line(self.path, msgspec.json.encode([self.sources, key, report]))


def sources_digest() -> str:
    """Stands for everything that a mutant is tried with but its tests."""
    from bcr_runtime.places import PROJECT

    digest = hashlib.sha256()
    for folder, pattern in (("src", "*.da"), ("src/bcr", "**/*.py"), ("src/bcr_sim", "*.py"), ("config", "**/*.config")):
        for path in sorted((PROJECT / folder).glob(pattern)):
            if f"bcr_sim.{path.stem}" not in KEPT_MODULES:
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def is_test_of(file: str, test: str) -> bool:
    """Whether a file of tests is about a source: about processes, or a module that it imports from."""
    from bcr_runtime.places import PROJECT

    return test in OF_PROCESSES or f"{Path(file).with_suffix('').as_posix().replace('/', '.')} import" in (PROJECT / test).read_text()


def scenario_texts(protocol: str = "shuttle") -> dict[str, str]:
    """The scenario files that every mutant is tried with, name -> text; those that can be read. Of another protocol than the chain its own."""
    from bcr.scenario import ScenarioError, read_scenario
    from bcr_runtime.places import PROJECT

    found = {}
    for folder in ("config", "config/attacks", "tests/sim/regressions"):
        for path in sorted((PROJECT / folder).glob("*.config")):
            try:
                scenario, _ = read_scenario(path)
            except ScenarioError:
                continue  # a file that is there to be refused
            if path.stem not in SLOW and protocol in ("shuttle", scenario.protocol):
                found[path.relative_to(PROJECT).as_posix()] = path.read_text()
    return found


def test_files(protocol: str) -> list[str]:
    """The unit tests of the modules that are mutated, then those of processes; none where pytest is not installed."""
    from bcr_runtime.places import PROJECT

    try:
        import hypothesis  # noqa: F401 - imported here, so that no process of a mutant has to
        import pytest  # noqa: F401
    except ImportError:
        print("no unit tests: pytest and hypothesis are not installed", flush=True)
        return []
    if protocol != "shuttle":
        return [name for name in OF_PROTOCOLS[protocol] if (PROJECT / name).exists()]
    found = [path.relative_to(PROJECT).as_posix() for path in sorted((PROJECT / "tests" / "bcr").glob("test_*.py"))]
    of_processes = [name for name in OF_PROCESSES if (PROJECT / name).exists()]
    return [name for name in found if not any(each in name for each in NOT_OF_RULES)] + of_processes
