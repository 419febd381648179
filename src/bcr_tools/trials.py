"""Trials: a run of its own for each, in which processes crash or stop, or the command is interrupted, at a drawn moment.

Some trials hit Olympus once the chain serves: the chain has to go on without it.

The seed alone makes a trial: who is hit, how, how many at once, and when. A trial is judged from outside: by the verdict,
by when the command ended, and by what it left behind.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import msgspec
import psutil
from rich.box import SIMPLE_HEAD
from rich.table import Table

from bcr_run.output import Terminal
from bcr_run.pools import as_completed

TRIAL_LIMIT_S = 180.0  # for a whole run, which gives itself up before that
END_LIMIT_S = 10.0  # for the command to end once there is a verdict, or it was interrupted
TICK_S = 0.02
WAIT_TICK_S = 0.5  # between two looks whether the trial is still wanted
RESULTS = "trials.jsonl"  # in the folder of the trials: what came of each that is done, a line each
INTERRUPTED = 130
MARK = "BCR_TRIAL"  # the environment's variable by which the processes of a trial are known
MOMENT_S = 3.0  # the latest moment to hit a process, from when its log is there
INTERRUPT_MOMENT_S = 6.0  # the latest moment to interrupt the command, from its start
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Who is hit in turn, by kind: so that of 200 trials of all kinds 20 stop each position of a chain of three.
TURNS = {
    "crash": ("head", "middle", "tail", "other"),
    "stop": ("head", "middle", "tail", "other"),
    "interrupt": ("command", "command"),
    "restart": ("head", "middle", "tail", "all", "olympus", "everybody"),
    "olympus": ("olympus",),
}
SIGNALS = {"crash": signal.SIGKILL, "stop": signal.SIGSTOP, "restart": signal.SIGKILL, "olympus": signal.SIGKILL}
TIMEOUT_MS = 400
OLYMPUS_TIMEOUT_MS = 2_000  # at the least: a run without Olympus, or without a client, is given up after five of these and more
NUM_CLIENTS = 2
TEXT = """test_case_name = trial{seed}
t = {t}
num_client = 2
client_timeout = {timeout}
head_timeout = {timeout}
nonhead_timeout = {timeout}
olympus_timeout = {olympus_timeout}
client_rate = 40
client_window = 2
checkpt_interval = 10
workload[0] = pseudorandom({seed},160)
workload[1] = pseudorandom({other},160)
"""


class GivenUp(Exception):
    """The trial is not wanted any more; nothing of it is left."""


class OtherTrials(Exception):
    """The folder has results of other trials; the text says of which."""


@dataclass(frozen=True)
class Trial:
    """Who is hit by which signal, and how many seconds after its log, or the command, is there.

    `victims` are names of logs; those of replicas lack their configuration, which is the latest at that moment. None of
    them: the command itself is hit.
    """

    seed: int
    kind: str
    role: str
    t: int
    victims: tuple[str, ...]
    number: signal.Signals
    moment_s: float
    timeout_ms: int = TIMEOUT_MS

    @property
    def text(self) -> str:
        """The scenario file."""
        timers = {"timeout": self.timeout_ms, "olympus_timeout": max(OLYMPUS_TIMEOUT_MS, 2 * self.timeout_ms)}
        text = TEXT.format(seed=self.seed, other=self.seed + 1, t=self.t, **timers)
        return text + "durable = on\n" if self.kind == "restart" else text

    @property
    def spares_service(self) -> bool:
        """Whether the run has to pass: at most t replicas are hit, or only processes that have disks, or Olympus when the chain serves."""
        return bool(self.victims) and (self.kind in ("restart", "olympus") or all(each.startswith("replica_") for each in self.victims))

    def __str__(self) -> str:
        whom = ", ".join(self.victims) or "the command"
        return f"seed {self.seed}: {self.number.name} to {whom}, t = {self.t}, after {self.moment_s:.2f} s"


@dataclass
class TrialResult:
    """What came of a trial: times are seconds, `ended_s` from the verdict or the interrupt, None where there was neither."""

    trial: Trial
    status: int | None = None  # None: it had not ended within TRIAL_LIMIT_S
    verdict: str | None = None
    hit: int = 0  # processes that were there to be hit
    took_s: float = 0.0
    ended_s: float | None = None
    left: list[str] = field(default_factory=list)
    output: str = ""

    @property
    def outcome(self) -> str:
        if self.status is None:
            return "hang"
        if self.verdict is None and self.hit and not self.trial.victims:
            return "interrupted"
        return self.verdict or "no verdict"

    def faults(self) -> list[str]:
        """What is wrong with it, a line each; none where it is as it should be."""
        found = [f"left behind: {each}" for each in self.left]
        if self.status is None:
            found.append(f"not ended within {TRIAL_LIMIT_S:g} s")
        if self.ended_s is not None and self.ended_s > END_LIMIT_S:
            found.append(f"ended {self.ended_s:.1f} s after its {'verdict' if self.trial.victims else 'interrupt'}")
        if "Traceback" in self.output and self.trial.role == "command":
            found.append("a traceback at an interrupt")
        return found + self._wrong_verdict()

    def __str__(self) -> str:
        ended = "" if self.ended_s is None else f", ended {self.ended_s:.1f} s after the {'verdict' if self.trial.victims else 'interrupt'}"
        return f"{self.trial}: {self.outcome if self.hit else f'{self.outcome}, nobody was there to be hit'}{ended}, {self.took_s:.1f} s in all"

    def _wrong_verdict(self) -> list[str]:
        told = f"verdict {self.verdict}, status {self.status}"
        if not self.trial.victims:
            # It may have come to its verdict before the interrupt, or have died of it before it had begun anything.
            allowed = {128 + self.trial.number, -self.trial.number} if self.hit else {0}
            allowed |= {0} if self.verdict == "pass" else set()
            return [] if self.status in allowed else [f"{told}, to be {' or '.join(map(str, sorted(allowed)))}"]
        if self.trial.spares_service:
            return [] if (self.verdict, self.status) == ("pass", 0) else [f"{told}, to be pass, 0"]
        # Without Olympus or a client nobody can promise an answer; a wrong one nobody may give.
        return [told] if self.verdict == "fail" or self.status not in (0, 2, None) else []


def trial_of(seed: int, kinds: Sequence[str]) -> Trial:
    """The trial of a seed, of the given kinds in turn."""
    turns = [(kind, role) for kind in kinds for role in TURNS[kind]]
    kind, role = turns[seed % len(turns)]
    chance = random.Random(f"trial {seed}")
    if role == "command":
        return Trial(seed, kind, role, 1, (), chance.choice(INTERRUPTS), chance.uniform(0, INTERRUPT_MOMENT_S))
    if role == "olympus":
        return Trial(seed, kind, role, chance.choice((1, 1, 2)), (role,), SIGNALS[kind], chance.uniform(0, MOMENT_S))
    if role == "other":
        victims: tuple[str, ...] = (chance.choice(("olympus", "client_0", "client_1")),)
        t = 1
    else:
        t = chance.choice((1, 1, 1, 2))
        last = 2 * t
        if role in ("all", "everybody"):
            victims = tuple(f"replica_{position}" for position in range(last + 1))
            victims += ("olympus",) if role == "everybody" else ()
            return Trial(seed, kind, role, t, victims, SIGNALS[kind], chance.uniform(0, MOMENT_S))
        first = {"head": 0, "middle": chance.randrange(1, last), "tail": last}[role]
        others = [position for position in range(last + 1) if position != first]
        more = chance.sample(others, chance.randint(0, t - 1))
        victims = tuple(f"replica_{position}" for position in (first, *more))
    return Trial(seed, kind, role, t, victims, SIGNALS[kind], chance.uniform(0, MOMENT_S))


def perform(trial: Trial, folder: Path, is_given_up: Callable[[], bool] = lambda: False) -> TrialResult:
    """Run the trial, with its files below `folder`; no process of it is left when this returns. Raises GivenUp."""
    temporary, logs = folder / "tmp", folder / "logs"
    temporary.mkdir(parents=True)
    file = folder / "trial.config"
    file.write_text(trial.text)
    mark = f"{os.getpid()}-{trial.seed}-{time.monotonic_ns()}"
    account = TrialResult(trial)
    began_s = time.monotonic()
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bcr_tools.cli", "run", str(file), "--log-folder", str(logs)],
            env={**os.environ, MARK: mark, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            family, hit_s = _hit(trial, account, process, logs, mark, is_given_up)
            while account.status is None and time.monotonic() < began_s + TRIAL_LIMIT_S:
                _demand_wanted(is_given_up)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    account.status = process.wait(WAIT_TICK_S)
            ended = time.time()
            account.took_s = time.monotonic() - began_s
            if account.hit and not trial.victims:
                account.ended_s = time.monotonic() - hit_s
            account.left = _remains(mark, temporary, logs, family)
        finally:
            _kill_all(mark)
            process.wait()
    account.output = (folder / "output").read_text(errors="replace")
    _read_result(account, logs, ended)
    return account


def _hit(
    trial: Trial, account: TrialResult, process: "subprocess.Popen[bytes]", logs: Path, mark: str, is_given_up: Callable[[], bool]
) -> tuple[dict[int, psutil.Process], float]:
    """Send the signal at its moment to those who are there; returns the family of the run at that moment, and when it was. Raises GivenUp."""
    if trial.victims:
        _await(process, lambda: all(_pid_of(logs, victim) for victim in trial.victims), is_given_up)
    if trial.kind == "olympus":
        _await(process, lambda: _is_serving(logs), is_given_up)
    _await(process, _after(trial.moment_s), is_given_up)
    family = {member.pid: member for member in marked(mark)}
    hit_s = time.monotonic()
    if process.poll() is None and not trial.victims:
        process.send_signal(trial.number)
        account.hit = 1
    for victim in trial.victims:
        pid = _pid_of(logs, victim)
        if pid in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                family[pid].send_signal(trial.number)  # psutil makes sure that it is still the same process
                account.hit += 1
    return family, hit_s


def _after(moment_s: float) -> Callable[[], bool]:
    at_s = time.monotonic() + moment_s
    return lambda: time.monotonic() >= at_s


def _await(process: "subprocess.Popen[bytes]", is_there: Callable[[], bool], is_given_up: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + TRIAL_LIMIT_S
    while process.poll() is None and not is_there() and time.monotonic() < deadline_s:
        _demand_wanted(is_given_up)
        time.sleep(TICK_S)


def _demand_wanted(is_given_up: Callable[[], bool]) -> None:
    if is_given_up():
        raise GivenUp


def _is_serving(logs: Path) -> bool:
    """Whether every client has been answered: then all of them know the chain."""
    return all(any("accepted" in file.read_text() for file in logs.glob(f"*/client_{client}.log")) for client in range(NUM_CLIENTS))


def _pid_of(logs: Path, name: str) -> int | None:
    """The process that a log says it is of; of a replica's, that of the latest configuration."""
    files = sorted(logs.glob(f"*/{name}.log")) + sorted(logs.glob(f"*/{name}-configuration_*.log"), key=_configuration)
    for file in reversed(files):
        with contextlib.suppress(OSError):
            found = re.search(r"\bpid=(\d+)\b", file.read_text(errors="replace")[:4_096])
            if found:
                return int(found[1])
    return None


def _configuration(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])


def marked(mark: str) -> Iterator[psutil.Process]:
    """The processes that have this mark and run; what is a zombie has ended."""
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if each.environ().get(MARK) == mark and each.status() != psutil.STATUS_ZOMBIE:
                yield each


def _remains(mark: str, temporary: Path, logs: Path, family: dict[int, psutil.Process]) -> list[str]:
    """Processes, sockets that take connections, and temporary files and folders that are left of the run."""
    found = {each.pid: f"process {each.pid}" for each in marked(mark)}
    found |= {pid: f"process {pid}" for pid, member in family.items() if _is_there(member)}
    files = [str(each) for each in temporary.rglob("*")] + [str(each) for each in logs.rglob("*.draft")]
    return sorted(found.values()) + files


def _is_there(process: psutil.Process) -> bool:
    """Whether it runs, and with it the sockets that it listens on; psutil tells it from another with its number."""
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _kill_all(mark: str) -> None:
    family = list(marked(mark))
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(family, timeout=END_LIMIT_S)


def _read_result(account: TrialResult, logs: Path, ended: float) -> None:
    """Take the verdict; and, unless the command was interrupted, how long before the end it was there."""
    for file in logs.glob("*/result.json"):
        with contextlib.suppress(OSError, ValueError):
            account.verdict = json.loads(file.read_text())["verdict"]
            if account.trial.victims:
                account.ended_s = max(0.0, ended - file.stat().st_mtime)


def run_trials(seeds: Sequence[int], kinds: Sequence[str], folder: Path, jobs: int, timeout_ms: int = TIMEOUT_MS) -> int:
    """Run the trials of the seeds and print what came of each, and of all; 0 if all held, 1 otherwise, 130 after an interrupt.

    `timeout_ms` is what clients and replicas wait: where processes seldom have their turn, less than that replaces one chain
    after the other. What is done is kept in the folder, and not done again. Raises OtherTrials where that is of others.
    """
    _let_signals_reach_runs()
    trials = [replace(trial_of(seed, kinds), timeout_ms=timeout_ms) for seed in seeds]
    kept = _kept(folder / RESULTS, trials)
    accounts = [kept[trial.seed] for trial in trials if trial.seed in kept]
    if accounts:
        print(f"{len(accounts)} of {len(trials)} trials are done already, in {folder}", flush=True)
    is_interrupted = threading.Event()
    telling = threading.Lock()

    def run(trial: Trial, results: IO[bytes]) -> None:
        own = folder / f"trial{trial.seed}"
        shutil.rmtree(own, ignore_errors=True)  # of one that was given up
        account = perform(trial, own, is_interrupted.is_set)
        # Here, and not where it is waited for: what has ended is written before this thread begins the next, whatever interrupts.
        with telling:
            results.write(msgspec.json.encode(account) + b"\n")
            results.flush()
            accounts.append(account)
            print(f"{len(accounts)} of {len(trials)}: {account}", flush=True)
            for line in account.faults():
                print(f"{trial}: {line}", flush=True)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # by which whoever supervises this asks it to end
    try:
        with open(folder / RESULTS, "ab") as results, ThreadPoolExecutor(jobs) as pool:
            results.write(b"\n" if results.tell() else b"")  # behind a line that was not written to its end
            running = [pool.submit(run, trial, results) for trial in trials if trial.seed not in kept]
            try:
                for done in as_completed(running):
                    done.result()
            except BaseException as error:
                is_interrupted.set()
                pool.shutdown(cancel_futures=True)
                if not isinstance(error, KeyboardInterrupt):
                    raise
    finally:
        signal.signal(signal.SIGTERM, before)
    accounts.sort(key=lambda account: account.trial.seed)
    _print(accounts)
    failed = [account.trial.seed for account in accounts if account.faults()]
    if failed:
        print(f"did not hold: seeds {', '.join(map(str, failed))}; one again: --trials {','.join(kinds)} --count 1 --seed …")
    if is_interrupted.is_set():
        print(f"bcr storm: interrupted; {len(accounts)} of {len(trials)} trials are done", file=sys.stderr)
        return INTERRUPTED
    return int(bool(failed))


def _kept(file: Path, trials: Sequence[Trial]) -> dict[int, TrialResult]:
    """What came of trials that are done, by their seed. Raises OtherTrials where a seed stands for another trial there."""
    wanted = {trial.seed: trial for trial in trials}
    found: dict[int, TrialResult] = {}
    for line in file.read_bytes().split(b"\n")[:-1] if file.exists() else ():  # behind the last line end is what was not written to its end
        with contextlib.suppress(msgspec.DecodeError):
            account = msgspec.json.decode(line, type=TrialResult)
            seed = account.trial.seed
            if seed in wanted:
                if account.trial != wanted[seed]:
                    raise OtherTrials(
                        f"{file} has another trial of this number, {account.trial}, with timers of {account.trial.timeout_ms} ms"
                    )
                found[seed] = account
    return found


def _let_signals_reach_runs() -> None:
    """What is ignored here, as SIGHUP is under nohup, the runs would ignore too; what is handled is theirs again."""
    for number in INTERRUPTS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def _print(accounts: Sequence[TrialResult]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("trial", "whom"):
        table.add_column(heading, no_wrap=True)
    for heading in ("trials", "hit", "pass", "unknown", "other", "end, s", "left", "bad"):
        table.add_column(heading, justify="right", no_wrap=True)
    groups: dict[tuple[str, str], list[TrialResult]] = {}
    for account in accounts:
        groups.setdefault((account.trial.kind, account.trial.role), []).append(account)
    for (kind, role), group in sorted(groups.items()):
        _add_row(table, kind, role, group)
    table.add_section()
    _add_row(table, "all", "", accounts)
    Terminal().print(table)
    print(
        "hit: somebody was there to be hit; end, s: at most, from the verdict or interrupt to the command's end; left: processes and files"
    )


def _add_row(table: Table, kind: str, role: str, group: Sequence[TrialResult]) -> None:
    outcomes = Counter(account.outcome for account in group)
    others = sum(count for outcome, count in outcomes.items() if outcome not in ("pass", "unknown"))
    longest_s = max((account.ended_s for account in group if account.ended_s is not None), default=0.0)
    counts = (
        len(group),
        sum(account.hit > 0 for account in group),
        outcomes["pass"],
        outcomes["unknown"],
        others,
        f"{longest_s:.1f}",
        sum(len(account.left) for account in group),
        sum(bool(account.faults()) for account in group),
    )
    table.add_row(kind, role, *map(str, counts))
