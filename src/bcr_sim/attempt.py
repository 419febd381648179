"""Tries a mutant in an OS process of its own, forked from one that holds the compiled sources: the tests, then runs."""

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
from typing import Any, NamedTuple

import psutil

from bcr_sim.bugs import path_of, put_in_place
from bcr_sim.mutants import Mutant, Rules, probed
from bcr_sim.survivors import Result

EVENTS_A_RUN = 150_000  # ten times what the longest takes without a mutant; what needs more does not end
SECONDS_A_RUN = 60  # of real time; what takes longer hangs
SILENCE_S = 300.0  # after which a process hangs that finishes no run, however loaded the machine is
BUSY_S = 20.0  # of processor time, after which it hangs as well
OUTSIDE = {signal.SIGTERM, signal.SIGKILL, signal.SIGHUP}  # by which others end a process, and no mutant does
MEMORY_BYTES = 3 << 30  # of address space
SHOWN = 160  # characters of what broke
PACKAGES = {"bcr", "bcr_disk", "bcr_run", "bcr_runtime", "bcr_sim", "bcr_tools"}
KEPT = {"bcr_sim", "bcr_sim.bugs", "bcr_sim.mutants", "bcr_sim.attempt", "bcr_sim.survival", "bcr_sim.survivors"}  # import no rules


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
        return silence_s > SILENCE_S or (silence_s > BUSY_S and self._cpu_s() - self.heard_cpu_s > BUSY_S)

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
TRACES: dict[str, str] = {}
REACHED_BY: dict[str, frozenset[int]] = {}
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
    except BaseException as error:
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
    run: Any = import_module("bcr_sim.simulated_run")
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
        return number is None or name not in REACHED_BY or number in REACHED_BY[name]

    def noticed(by: str, what: str, seeds: int) -> dict[str, Any]:
        works = any(not breach("", seed_text(0, kind), False) for kind in ("ed25519", "hmac", "crc"))
        said = _noticed("killed", by, what, seeds) if works else _noticed("broken", "everything", what, seeds)
        return said | {"runs": len(traces)}

    for first in range(0, len(trial.tests), 4):
        if what := _failed(trial.tests[first : first + 4], tell):
            return _noticed("killed", f"test {what.partition('::')[0]}", what, trial.seeds.start) | {"runs": len(traces)}
    for name, text in trial.scenarios.items():
        if is_reached(name) and (what := breach(name, text, True)):
            return noticed(name, what, 0)
    for seed in trial.seeds:
        name = run_name(seed, trial.authentication)
        if is_reached(name) and (what := breach(name, seed_text(seed, trial.authentication), False)):
            return noticed(f"seed {seed}", what, seed + 1)
    differs = any(traces[name] != TRACES[name] for name in traces if name in TRACES)
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

    from bcr_runtime.places import PROJECT

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
