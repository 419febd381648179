"""Tries a mutant in an OS process of its own, forked from one that has all imported and all tests collected."""

import builtins
import gc
import json
import os
import resource
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module, machinery
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import msgspec
import psutil

from bcr_sim.bugs import path_of, put_in_place
from bcr_sim.mutants import Mutant, Rules, probed
from bcr_sim.survivors import MutantResult
from bcr_sim.swapping import Holders, exchange, holders
from bcr_sim.unit_tests import Learned, Plugin, learn, with_tests

EVENTS_A_RUN = 150_000  # ten times what the longest takes without a mutant; what needs more does not end
SECONDS_A_RUN = 600  # of real time, however loaded the machine is; what hangs is noticed by its processor time
SILENCE_S = 600.0  # of real time, after which a process hangs that finishes neither a run nor a test
OUTSIDE = {signal.SIGTERM, signal.SIGKILL, signal.SIGHUP}  # by which others end a process, and no mutant does
KINDS_OF_SEEDS = ("any", "ed25519", "hmac", "crc")  # of the chain, by their authenticator; any other is the name of a protocol
MEMORY_BYTES = 3 << 30  # of address space
SHOWN_CHARACTERS = 160  # characters of what broke
PACKAGES = {"bcr", "bcr_disk", "bcr_run", "bcr_runtime", "bcr_sim", "bcr_spec", "bcr_tools"}
KEPT_MODULES = {"bcr_sim"} | {
    f"bcr_sim.{name}" for name in ("bugs", "mutants", "attempt", "survival", "survivors", "swapping", "unit_tests")
}  # import no rules


class MutantTrial(NamedTuple):
    """A mutant, or none for a control, and what it is tried with."""

    mutant: Mutant | None
    source: bytes
    scenarios: Mapping[str, str]
    seeds: range
    authentication: str
    tests: Sequence[str] = ()  # names; of a control the files whose tests it is to run
    busy_s: float = 20.0  # of processor time: a process hangs that finishes neither a run nor a test in so much
    known: MutantResult | None = None
    control: tuple[str, ...] = ()  # authenticators: of a control, which says what each run and test executes


def attempts(trials: Iterable[MutantTrial], jobs: int, limit_s: float) -> Iterator[tuple[MutantTrial, dict[str, Any]]]:
    """Try each in a process of its own, `jobs` at a time; what came of each, as it comes."""
    trials_left = iter(trials)
    running: dict[int, _Attempt] = {}
    selector = selectors.DefaultSelector()
    try:
        while True:
            while len(running) < jobs and (trial := next(trials_left, None)) is not None:
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

    def __init__(self, trial: MutantTrial, limit_s: float) -> None:
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
        busy_s = self.trial.busy_s
        return silence_s > SILENCE_S or (silence_s > busy_s and self._cpu_s() - self.heard_cpu_s > busy_s)

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
            return came | {"what": f"no run or test finished in {self.trial.busy_s:.0f} s"}
        return came | {"outcome": "alive", "by": "", "differs": None}


# -- in the process of a mutant

# What the forked processes have from their parent: of each test and run what it executes, as the numbers of probes, what it
# takes, and its trace; those numbers by file and line, and those that importing executes; the sources with probes, and the
# code of the sources, by file; the functions that hold it; and the tests, where they are collected.
KNOWN: dict[str, Learned] = {}
IMPORTED: set[int] = set()
_numbers: dict[tuple[str, int], int] = {}
_probed: dict[str, bytes] = {}
_codes: dict[str, CodeType] = {}
_held: Holders = {}
_tests: list[Plugin] = []


def number_of(mutant: Mutant) -> int | None:
    """The probe without which the mutant does what the original does; None where there is none."""
    return _numbers.get((mutant.file, mutant.probe))


def is_reached(mutant: Mutant, name: str) -> bool:
    """Whether a run executes what is mutated; where it does not, it is the run without the mutant."""
    number = number_of(mutant)
    return number is None or number in IMPORTED or name not in KNOWN or number in KNOWN[name].reached


def run_name(seed: int, authentication: str) -> str:
    """What the run of a seed is called among runs."""
    return f"seed {seed} {authentication}"


def prepare_probes(declared: Rules) -> None:
    """Make the sources that tell what a run executes."""

    def numbered(file: str, line: int) -> int:
        return _numbers.setdefault((file, line), len(_numbers))

    for file in declared.files:
        _probed[file] = probed(file, path_of({"file": file}).read_bytes(), numbered)
        _code_of(file, _probed[file])  # which keeps it


def warm(declared: Rules) -> None:
    """Compile and keep what a mutant's process may import, and import it."""
    compile_once()
    for file in declared.files:
        _codes[file] = _code_of(file, path_of({"file": file}).read_bytes())


def compile_once() -> None:
    """Compile what runs need, import it, and keep the code for this OS process and those that are forked from it."""
    compiled: dict[tuple[str, bytes], Any] = {}
    import_module("da")  # which imports the other, not the other way round
    from dacurrent.importer import DistAlgoLoader

    for loader in (machinery.SourceFileLoader, DistAlgoLoader):
        _keep_code(loader, compiled)
    import_module("bcr_sim.campaign")
    forget_project()  # what was imported before is compiled once more, and kept
    import_module("bcr_sim.campaign").prepare()


def _code_of(file: str, source: bytes) -> CodeType:
    from dacurrent.importer import DistAlgoLoader

    path = str(path_of({"file": file}))
    loader = DistAlgoLoader if file.endswith(".da") else machinery.SourceFileLoader
    code: CodeType = loader(Path(file).stem, path).source_to_code(source, path)
    return code


def with_collected(files: Sequence[str], then: Callable[[], None]) -> None:
    """Do something while the tests of these files are collected, for the processes of mutants to run."""

    def begin(plugin: Plugin | None) -> None:
        global _held
        _held = holders()
        _tests[:] = [plugin] if plugin else []
        gc.freeze()  # what is there now is shared with all of them
        then()

    if files:
        with_tests(files, lambda _: None, begin)
    else:
        begin(None)


def _keep_code(loader: Any, compiled: dict[tuple[str, bytes], Any]) -> None:
    stock: Callable[..., Any] = loader.source_to_code

    def source_to_code(self: Any, data: Any, path: Any, **options: Any) -> Any:
        key = str(path), bytes(data)
        if key not in compiled:
            compiled[key] = stock(self, data, path, **options)
        return compiled[key]

    loader.source_to_code = source_to_code


def forget_project() -> None:
    """Let this OS process import all modules of the project, its tests and its examples, but the layer below them, anew."""
    ours = {path.stem for path in SOURCES.glob("*.da")} | PACKAGES
    others = tuple(str(SOURCES.parent / folder) for folder in ("tests", "examples"))
    for name, module in list(sys.modules.items()):
        is_ours = name.partition(".")[0] in ours and name not in KEPT_MODULES
        if is_ours or (getattr(module, "__file__", None) or "").startswith(others):
            del sys.modules[name]


SOURCES = path_of({"file": "Replica.da"}).parent


def _try(trial: MutantTrial, writer: int, limit_s: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))  # should the parent be gone
    try:
        said = _result_of(trial, lambda letter: os.write(writer, letter))
    except BaseException as error:
        said = _notice("broken", "import", repr(error), trial.seeds.start)
    os.write(writer, b"\n" + json.dumps(said).encode() + b"\n")


def _notice(outcome: str, by: str, what: str, seeds: int) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "by": by,
        "what": " ".join(what.split())[:SHOWN_CHARACTERS],
        "seeds": seeds,
        "differs": True,
        "runs": 0,
    }


def _result_of(trial: MutantTrial, tell: Callable[[bytes], Any]) -> dict[str, Any]:
    mutant = trial.mutant
    is_exchanged = mutant is None or _is_exchanged(mutant, trial.source)
    if not is_exchanged and mutant is not None:
        forget_project()
        put_in_place(path_of({"file": mutant.file}), mutant.patched(trial.source))
    if trial.control:
        return _controlled(trial, tell)
    if trial.tests and (what := _failure(trial.tests, is_exchanged, tell)):
        return _notice("killed", f"test {what.partition('::')[0]}", what, trial.seeds.start)
    runs = _Runs(tell)

    def noticed(by: str, what: str, seeds: int) -> dict[str, Any]:
        works = any(not runs.breach("", runs.text(0, kind), False) for kind in ("ed25519", "hmac", "crc"))
        said = _notice("killed", by, what, seeds) if works else _notice("broken", "everything", what, seeds)
        return said | {"runs": len(runs.traces)}

    for name, text in trial.scenarios.items():
        if what := runs.breach(name, text, True):
            return noticed(name, what, 0)
    for seed in trial.seeds:
        name = run_name(seed, trial.authentication)
        is_other = mutant is None or is_reached(mutant, name)
        if is_other and (what := runs.breach(name, runs.text(seed, trial.authentication), False)):
            return noticed(f"seed {seed}", what, seed + 1)
    compared = [runs.traces[name] != KNOWN[name].trace for name in runs.traces if name in KNOWN]
    return {"outcome": "alive", "by": "", "what": "", "seeds": trial.seeds.stop, "differs": any(compared) if compared else None,
            "had": [*trial.scenarios, *trial.tests], "runs": len(runs.traces)}  # fmt: skip


def _is_exchanged(mutant: Mutant, source: bytes) -> bool:
    """Put the mutant into the functions that are imported; False where it takes an import."""
    if mutant.function == "module" or number_of(mutant) in IMPORTED:
        return False
    return exchange(_codes[mutant.file], _code_of(mutant.file, mutant.patched(source)), mutant.line, _held)


class _Runs:
    """Simulates, and keeps the trace of each run by its name."""

    def __init__(self, tell: Callable[[bytes], Any]) -> None:
        self.tell = tell
        self.traces: dict[str, str] = {}
        campaign: Any = import_module("bcr_sim.campaign")
        self.campaign = campaign
        campaign.SECONDS_A_SEED = SECONDS_A_RUN
        run: Any = import_module("bcr_sim.simulated_run")
        run.LIMIT_EVENTS = EVENTS_A_RUN
        gc.set_threshold(100_000, 50, 50)  # processor time matters more here than memory

    def text(self, seed: int, authentication: str) -> str:
        is_of_chain = authentication in KINDS_OF_SEEDS
        text: str = self.campaign.text_of(
            seed, None, authentication if is_of_chain else None, protocol="shuttle" if is_of_chain else authentication
        )
        return text

    def breach(self, name: str, text: str, must_pass: bool) -> str:
        """What breaks in the run of a scenario's text; nothing where nothing does."""
        outcome = self.campaign.run_text(text)
        self.tell(b"f" if must_pass else b"s")
        if isinstance(outcome, str):
            return outcome
        self.traces[name] = outcome.trace
        if outcome.breaches:
            return str(outcome.breaches[0])
        return "" if not must_pass or outcome.judgement.status == "pass" else f"verdict: {outcome.judgement.status}"


def _controlled(trial: MutantTrial, tell: Callable[[bytes], Any]) -> dict[str, Any]:
    """What a control says: the files and tests that fail without any mutant, and what each run and test executes and takes."""
    forget_project()
    reach: Any = import_module("bcr_sim.reach")
    vars(builtins)["note_reached"] = reach.note_reached
    for file, source in _probed.items():
        put_in_place(path_of({"file": file}), source)
    reached: set[int] = reach.REACHED
    unsound: dict[str, str] = {}
    learned: dict[str, Learned] = {}
    imported: Sequence[int] = ()
    if trial.tests:
        learned, failed, imported = learn(trial.tests, reached, tell)
        unsound = dict.fromkeys(failed, "a test that fails")
    runs = _Runs(tell)
    named = [(name, text, True) for name, text in trial.scenarios.items()]
    for authentication in trial.control:
        named += [(run_name(seed, authentication), runs.text(seed, authentication), False) for seed in trial.seeds]
    for name, text, must_pass in named:
        reached.clear()
        began_s = time.process_time()
        what = runs.breach(name, text, must_pass)
        if what and must_pass:
            unsound[name] = what
        elif not what:
            learned[name] = Learned(frozenset(reached), round(time.process_time() - began_s, 4), runs.traces[name])
    told = {name: msgspec.to_builtins(each) for name, each in learned.items()}
    return {"outcome": "control", "unsound": unsound, "learned": told, "imported": list(imported)}


def _failure(names: Sequence[str], is_exchanged: bool, tell: Callable[[bytes], Any]) -> str:
    """The first of these tests that fails, or what else went wrong with them; nothing where all pass."""
    if is_exchanged:
        [plugin] = _tests
        plugin.tell = tell
        return plugin.first_failure(names)
    found: list[str] = []
    files = list(dict.fromkeys(name.partition("::")[0] for name in names))
    try:
        with_tests(files, tell, lambda plugin: found.append(plugin.first_failure(names)))
    except RuntimeError as error:
        return f"{files[0]}::{error}"
    return found[0]
