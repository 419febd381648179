"""Mutates every rule of the protocol, in memory, one small change at a time, and counts those that nothing notices.

Each mutant has a process of its own, forked from one that holds the compiled sources. It goes through the unit tests,
those of the modules in tests/bcr where the mutant is in one, and tests/sim/test_checks.py; then it simulates the
scenario files of config/, of its attacks, and of tests/sim/regressions, and then seeds, until something breaks that does
not break without the mutant. Results go to a file, line by line, and what stands there for the same mutant and text is
not tried again.
"""

import argparse
import builtins
import gc
import hashlib
import json
import os
import resource
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module, machinery
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import psutil
import yaml

from bcr_sim.bugs import path_of, put_in_place
from bcr_sim.mutants import Mutant, Rules, mutants_of, probed, rules
from bcr_sim.survivors import Result, Tables, page, told

ENOUGH = 0.95  # of the mutants that are not equivalent
PASSES = (50, 400)  # seeds that all get before any gets more
CHUNK = 50  # seeds of one control
EVENTS_A_RUN = 150_000  # ten times what the longest takes without a mutant; what needs more does not end
SECONDS_A_RUN = 60  # of real time; what takes longer hangs
SILENCE_S = 300.0  # after which a process hangs that finishes no run, however loaded the machine is
BUSY_S = 20.0  # of processor time, after which it hangs as well
OUTSIDE = {signal.SIGTERM, signal.SIGKILL, signal.SIGHUP}  # by which others end a process, and no mutant does
MEMORY_BYTES = 3 << 30  # of address space
# Their scenario files take longer than all others together; only what has survived the rest is tried with them.
SLOW = ("perform900", "t3_clients20", "ten_clients_crash")
NOT_OF_RULES = ("scenario", "figures", "workload", "spool", "linearizability", "expectations")  # such unit tests
OF_PROCESSES = ("tests/sim/test_checks.py",)  # tests of what .da files check, in a run that goes on around them
CHECKS = ("raise", "demand")  # operators whose mutants are tried first, because they matter most
SHOWN = 160  # characters of what broke
EQUIVALENTS = Path(__file__).with_name("equivalents.yaml")
PACKAGES = {"bcr", "bcr_runtime", "bcr_sim", "bcr_tools"}
KEPT = {"bcr_sim", "bcr_sim.bugs", "bcr_sim.mutants", "bcr_sim.survival", "bcr_sim.survivors"}  # import no rules


class Trial(NamedTuple):
    """A mutant, or none for a control, and what it is tried with."""

    mutant: Mutant | None
    source: bytes
    scenarios: Mapping[str, str]
    seeds: range
    authentication: str
    tests: Sequence[str] = ()
    known: Result | None = None
    control: tuple[str, ...] = ()  # authenticators: of a control, which says what each of these runs comes to …
    is_probed: bool = False  # … and executes


def main(arguments: Sequence[str]) -> int:
    """`bcr bugs --all`: 0 when at least 95 % of the mutants that are not equivalent are noticed, 1 otherwise."""
    from bcr_runtime.processes import PROJECT

    parser = argparse.ArgumentParser(prog="bcr bugs --all", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="at most, for each mutant (default: 2000)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", metavar="TEXT", default="", help="only mutants with this in their id")
    parser.add_argument("--file", metavar="FILE", help="only those of this file, such as Replica.da or bcr/proofs.py")
    parser.add_argument("--results", type=Path, metavar="FILE", default=PROJECT / "logs" / "mutants.jsonl",
                        help="what to go on from and to add to (default: logs/mutants.jsonl)")  # fmt: skip
    parser.add_argument("--limit", type=float, metavar="SECONDS", default=900.0, help="for each mutant (default: 900)")
    parser.add_argument("--for", dest="minutes", type=float, metavar="MINUTES", help="begin none after so long")
    parser.add_argument("--no-tests", action="store_true", help="simulate only")
    parser.add_argument("--list", action="store_true", help="only print the mutants, with what is known of each")
    parser.add_argument("--docs", action="store_true", help="write docs/mutants.md")
    options = parser.parse_args(arguments)
    declared = rules()
    if options.file is not None and options.file not in declared.files:
        parser.error(f"--file {options.file}: mutants are made of {', '.join(declared.files)}")
    chosen = [
        (mutant, source)
        for mutant, source in all_mutants(declared)
        if options.only in mutant.id and options.file in (None, mutant.file)
    ]
    known = results_in(options.results)
    if options.list:
        for mutant, source in chosen:
            result = known.get((mutant.id, mutant.digest(source)))
            print(f"{mutant.id} (line {mutant.line}): {told(result)}")
        return 0
    began_s = time.monotonic()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with open(options.results, "a", encoding="utf-8") as file:
        try:
            _Campaign(chosen, declared, known, options, file).run()
        except KeyboardInterrupt:
            print("broken off; the same command goes on from here", flush=True)
    tables = Tables(chosen, known, equivalents())
    print("\n".join(tables.lines()))
    print(f"{time.monotonic() - began_s:.0f} s; results in {options.results}")
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
        seeds = range(min(PASSES[0], self.options.seeds))
        plain = self._control(Trial(None, b"", scenarios, seeds, "", tests, control=("any",)))
        for name, what in plain["unsound"].items():
            print(f"{name} fails without a mutant, and is left out: {what}", flush=True)
            scenarios.pop(name, None)
            tests = [each for each in tests if each != name]
        _traces.update(plain["traces"])
        prepare_probes(self.declared)
        probed = self._control(Trial(None, b"", scenarios, seeds, "", control=("any",), is_probed=True))
        self._learn(probed)
        slow = {name: text for name, text in scenarios.items() if Path(name).stem in SLOW}
        quick = {name: text for name, text in scenarios.items() if name not in slow}
        first, *more = sorted({min(each, self.options.seeds) for each in (*PASSES, self.options.seeds)})
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
            if _traces.setdefault(name, control["traces"][name]) == control["traces"][name]:
                _reached[name] = frozenset(reached)

    def _learn_seeds(self, trials: Iterable[Trial]) -> None:
        """Know of all seeds of these trials what they execute."""
        wanted = {(trial.authentication, seed) for trial in trials for seed in trial.seeds}
        unknown = sorted(place for place in wanted if run_name(place[1], place[0]) not in _reached)
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
            is_module = mutant.file.endswith(".py")
            units = [name for name in tests if name not in had and (is_module or name in OF_PROCESSES)]
            if files or units or begin < seeds:
                authentication = self.declared.files[mutant.file]
                units.sort(key=lambda name: Path(mutant.file).stem not in name)
                trials.append(
                    Trial(mutant, source, files, range(begin, max(begin, seeds)), authentication, units, known)
                )
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
    from bcr_runtime.processes import PROJECT

    hashed = hashlib.sha256()
    for folder, pattern in (("src", "*.da"), ("src/bcr", "**/*.py"), ("src/bcr_sim", "*.py"), ("config", "*.config")):
        for path in sorted((PROJECT / folder).glob(pattern)):
            hashed.update(path.name.encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()[:16]


def scenario_texts() -> dict[str, str]:
    """The scenario files that every mutant is tried with, name -> text; those that can be read."""
    from bcr.scenario import ScenarioError, read_scenario
    from bcr_runtime.processes import PROJECT

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
    from bcr_runtime.processes import PROJECT

    try:
        import hypothesis  # noqa: F401 - imported here, so that no process of a mutant has to
        import pytest  # noqa: F401
    except ImportError:
        print("no unit tests: pytest and hypothesis are not installed", flush=True)
        return []
    found = [path.relative_to(PROJECT).as_posix() for path in sorted((PROJECT / "tests" / "bcr").glob("test_*.py"))]
    of_processes = [name for name in OF_PROCESSES if (PROJECT / name).exists()]
    return [name for name in found if not any(each in name for each in NOT_OF_RULES)] + of_processes


def attempts(trials: Iterable[Trial], jobs: int, limit_s: float) -> Iterator[tuple[Trial, dict[str, Any]]]:
    """Try each in a process of its own, `jobs` at a time; what came of each, as it comes."""
    waiting = iter(trials)
    running: dict[int, _Attempt] = {}
    selector = selectors.DefaultSelector()
    try:
        while True:
            while len(running) < jobs and (trial := next(waiting, None)) is not None:
                attempt = _Attempt(trial, limit_s)
                running[attempt.pid] = attempt
                selector.register(attempt.reader, selectors.EVENT_READ, attempt)
            if not running:
                return
            for key, _ in selector.select(timeout=1.0):
                key.data.read()
            for attempt in [each for each in running.values() if each.is_over()]:
                selector.unregister(attempt.reader)
                del running[attempt.pid]
                yield attempt.trial, attempt.conclude()
    finally:
        for attempt in running.values():
            attempt.conclude()
        selector.close()


class _Attempt:
    """A forked process that tries one mutant: it writes a letter for each run, and in the end what came of it."""

    def __init__(self, trial: Trial, limit_s: float) -> None:
        self.trial = trial
        self.began_s = self.heard_s = time.monotonic()
        self.heard_cpu_s = 0.0  # its processor time when it was last heard
        self.limit_s = limit_s
        self.reader, writer = os.pipe()
        self.said = b""
        self.is_at_end = False
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.reader)
                _try(trial, writer, int(limit_s) + 1)
            finally:
                os._exit(0)
        os.close(writer)

    def read(self) -> None:
        read = os.read(self.reader, 1 << 16)
        self.is_at_end = not read
        self.said += read
        self.heard_s, self.heard_cpu_s = time.monotonic(), self._cpu_s()

    def _cpu_s(self) -> float:
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)

    def is_over(self) -> bool:
        return self.is_at_end or self._hangs() or time.monotonic() - self.began_s > self.limit_s

    def _hangs(self) -> bool:
        silence_s = time.monotonic() - self.heard_s
        return silence_s > SILENCE_S or silence_s > BUSY_S and self._cpu_s() - self.heard_cpu_s > BUSY_S

    def conclude(self) -> dict[str, Any]:
        """End the process, if it has not ended, and say what came of it."""
        hangs = not self.is_at_end and self._hangs()
        if not self.is_at_end:
            os.kill(self.pid, signal.SIGKILL)  # of our own child, which nobody has waited for yet
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self.reader)
        cpu_s = usage.ru_utime + usage.ru_stime
        runs, _, said = self.said.partition(b"\n")
        if said.endswith(b"\n"):
            return {**json.loads(said), "cpu_s": cpu_s}
        seeds = self.trial.seeds.start + runs.count(b"s")
        came: dict[str, Any] = {"outcome": "killed", "by": "hang", "what": "", "seeds": seeds, "cpu_s": cpu_s}
        came |= {"differs": True, "had": (), "runs": len(runs)}
        if self.is_at_end and os.WIFSIGNALED(status) and os.WTERMSIG(status) in OUTSIDE:
            return came | {"outcome": "ended", "differs": None}
        if self.is_at_end:
            return came | {"by": "death", "what": f"its process died with status {status}"}
        if hangs:
            return came | {"what": f"no run finished in {BUSY_S:.0f} s"}
        return came | {"outcome": "alive", "by": "", "differs": None}


# -- in the process of a mutant

# What the forked processes have from their parent: of each run its trace without a mutant, and what it executes, as the
# numbers of probes; those numbers by file and line; and the sources with probes by file.
_traces: dict[str, str] = {}
_reached: dict[str, frozenset[int]] = {}
_numbers: dict[tuple[str, int], int] = {}
_probed: dict[str, bytes] = {}


def run_name(seed: int, authentication: str) -> str:
    """What the run of a seed is called among runs."""
    return f"seed {seed} {authentication}"


def prepare_probes(declared: Rules) -> None:
    """Make the sources that tell what a run executes."""

    def number_of(file: str, line: int) -> int:
        return _numbers.setdefault((file, line), len(_numbers))

    for file in declared.files:
        _probed[file] = probed(file, path_of({"file": file}).read_bytes(), number_of)


def warm() -> None:
    """Compile and keep what every mutant's process imports, so that it executes it only."""
    compiled: dict[tuple[str, bytes], Any] = {}
    import_module("da")  # which imports the other, not the other way round
    from dacurrent.importer import DistAlgoLoader

    for loader in (machinery.SourceFileLoader, DistAlgoLoader):
        _keep_code(loader, compiled)
    import_module("bcr_sim.campaign")
    forget_project()  # what was imported before is compiled once more, and kept
    import_module("bcr_sim.campaign").prepare()
    gc.freeze()  # what is there now is shared with all of them


def _keep_code(loader: Any, compiled: dict[tuple[str, bytes], Any]) -> None:
    stock: Callable[..., Any] = loader.source_to_code

    def source_to_code(self: Any, data: Any, path: Any, **options: Any) -> Any:
        key = str(path), bytes(data)
        if key not in compiled:
            compiled[key] = stock(self, data, path, **options)
        return compiled[key]

    loader.source_to_code = source_to_code


def forget_project() -> None:
    """Let this OS process import all modules of the project, but the layer below them, anew."""
    ours = {path.stem for path in SOURCES.glob("*.da")} | PACKAGES
    for name in [name for name in sys.modules if name.partition(".")[0] in ours and name not in KEPT]:
        del sys.modules[name]


SOURCES = path_of({"file": "Replica.da"}).parent


def _try(trial: Trial, writer: int, limit_s: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))  # should the parent be gone
    try:
        said = _tried(trial, lambda letter: os.write(writer, letter))
    except BaseException as error:  # noqa: BLE001 - whatever a mutant does to its process, it is noticed
        said = _noticed("broken", "import", repr(error), trial.seeds.start)
    os.write(writer, b"\n" + json.dumps(said).encode() + b"\n")


def _noticed(outcome: str, by: str, what: str, seeds: int) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "by": by,
        "what": " ".join(what.split())[:SHOWN],
        "seeds": seeds,
        "differs": True,
        "runs": 0,
    }


def _tried(trial: Trial, tell: Callable[[bytes], Any]) -> dict[str, Any]:
    forget_project()
    if trial.mutant is not None:
        put_in_place(path_of({"file": trial.mutant.file}), trial.mutant.patched(trial.source))
    reach: Any = import_module("bcr_sim.reach")
    if trial.is_probed:
        vars(builtins)["note_reached"] = reach.note_reached
        for file, source in _probed.items():
            put_in_place(path_of({"file": file}), source)
    campaign: Any = import_module("bcr_sim.campaign")
    campaign.SECONDS_A_SEED = SECONDS_A_RUN
    run: Any = import_module("bcr_sim.run")
    run.LIMIT_EVENTS = EVENTS_A_RUN
    gc.set_threshold(100_000, 50, 50)  # processor time matters more here than memory
    traces: dict[str, str] = {}

    def breach(name: str, text: str, must_pass: bool) -> str:
        outcome = campaign.run_text(text)
        tell(b"f" if must_pass else b"s")
        if isinstance(outcome, str):
            return outcome
        traces[name] = outcome.trace
        if outcome.breaches:
            return str(outcome.breaches[0])
        return "" if not must_pass or outcome.judgement.status == "pass" else f"verdict: {outcome.judgement.status}"

    def seed_text(seed: int, authentication: str) -> str:
        text: str = campaign.text_of(seed, None, authentication)
        return text

    if trial.control:
        return _controlled(trial, breach, seed_text, traces, reach.REACHED, tell)
    number = None if trial.mutant is None else _numbers.get((trial.mutant.file, trial.mutant.probe))

    def is_reached(name: str) -> bool:
        """Whether the run executes what is mutated; where it does not, it is the run without the mutant."""
        return number is None or name not in _reached or number in _reached[name]

    def noticed(by: str, what: str, seeds: int) -> dict[str, Any]:
        works = any(not breach("", seed_text(0, kind), False) for kind in ("ed25519", "hmac", "crc"))
        said = _noticed("killed", by, what, seeds) if works else _noticed("broken", "everything", what, seeds)
        return said | {"runs": len(traces)}

    for first in range(0, len(trial.tests), 4):
        if what := _failed(trial.tests[first : first + 4], tell):
            return _noticed("killed", f"test {what.partition('::')[0]}", what, trial.seeds.start) | {
                "runs": len(traces)
            }
    for name, text in trial.scenarios.items():
        if is_reached(name) and (what := breach(name, text, True)):
            return noticed(name, what, 0)
    for seed in trial.seeds:
        name = run_name(seed, trial.authentication)
        if is_reached(name) and (what := breach(name, seed_text(seed, trial.authentication), False)):
            return noticed(f"seed {seed}", what, seed + 1)
    differs = any(traces[name] != _traces[name] for name in traces if name in _traces)
    had = [*trial.scenarios, *trial.tests]
    return {"outcome": "alive", "by": "", "what": "", "seeds": trial.seeds.stop, "differs": differs, "had": had,
            "runs": len(traces)}  # fmt: skip


def _controlled(
    trial: Trial, breach: Callable[[str, str, bool], str], seed_text: Callable[[int, str], str], traces: dict[str, str],
    reached: set[int], tell: Callable[[bytes], Any],
) -> dict[str, Any]:  # fmt: skip
    """What a control says: which files fail without any mutant, and of each run the trace and, with probes, the numbers."""
    runs = [(name, text, True) for name, text in trial.scenarios.items()]
    for authentication in trial.control:
        runs += [(run_name(seed, authentication), seed_text(seed, authentication), False) for seed in trial.seeds]
    unsound: dict[str, str] = {}
    numbers: dict[str, list[int]] = {}
    for name, text, must_pass in runs:
        reached.clear()
        what = breach(name, text, must_pass)
        if what and must_pass:
            unsound[name] = what
        elif not what and trial.is_probed:
            numbers[name] = sorted(reached)
    unsound |= {name: what for name in trial.tests if (what := _failed([name], tell))}
    return {"outcome": "control", "unsound": unsound, "traces": traces, "reached": numbers}


def _failed(files: Sequence[str], tell: Callable[[bytes], Any]) -> str:
    """The first unit test of these files that fails, or what else went wrong with them; nothing where all pass."""
    import hypothesis
    import pytest

    from bcr_runtime.processes import PROJECT

    # The same examples for every mutant, and none kept; how small a failing one can be made nobody asks here.
    hypothesis.settings.register_profile(
        "mutants", database=None, derandomize=True, deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )  # fmt: skip
    hypothesis.settings.load_profile("mutants")
    failures: list[str] = []

    class Listener:
        @staticmethod
        def pytest_runtest_logreport(report: Any) -> None:
            tell(b"t")
            if report.failed:
                failures.append(report.nodeid)

    os.chdir(PROJECT)
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is imported already
    options = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", *quiet]
    status = pytest.main([*options, *files], plugins=[Listener()])
    return failures[0] if failures else "" if status == 0 else f"{files[0]}::pytest ended with status {int(status)}"
