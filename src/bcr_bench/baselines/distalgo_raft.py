"""DistAlgo's raft example, as it is: its clients send one request after the other, without any object behind it.

It commits an entry only when another one is behind it in the log. So a client that is alone, as the last one is at the end of a run,
waits for its timer with each request. What is measured ends where the first client is done: until then all of them ask.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from threading import Timer

import psutil

from bcr.scenario import read_scenario
from bcr_bench.plans.measured import Measured
from bcr_run.command import run_text

LIMIT_S = 300.0
RAFT_TIMEOUT_MS = 3_000  # of its elections, so that none is held while it is busy
LOOK_EVERY = 50  # answers between two looks at the processes' CPU time
COMPLETE = re.compile(r"Request (\d+) complete")


def against_raft(file: Path, times: int) -> int:
    """Run the scenario and DistAlgo's raft example in turn, and print medians and their ratio; 1 if a run failed."""
    scenario, _ = read_scenario(file)
    requests = len(scenario.workloads[0])
    size = f"{scenario.num_replicas} servers, {scenario.num_clients} clients, {requests} requests each"
    print(f"{file.stem} and DistAlgo's raft example: {size}; {times} runs of each in turn", flush=True)
    ours: list[tuple[float, float]] = []
    raft: list[tuple[float, float]] = []
    for _ in range(times):
        try:
            ours.append(_timed(lambda: _run_scenario(file)))
            raft.append(_timed(lambda: _raft_s(scenario.num_replicas, scenario.num_clients, requests)))
        except RuntimeError as problem:
            print(f"bcr bench raft: {problem}", file=sys.stderr)
            return 1
        print(f"  {ours[-1][0]:.2f} s against {raft[-1][0]:.2f} s (whole commands {ours[-1][1]:.2f} and {raft[-1][1]:.2f})", flush=True)
    for kind, which in (("protocol, first request to last result", 0), ("whole command", 1)):
        one, other = (median(each[which] for each in runs) for runs in (ours, raft))
        print(f"{kind}: {one:.2f} s, raft {other:.2f} s: raft takes {other / one:.1f} times as long")
    return 0


def _timed(run: Callable[[], float]) -> tuple[float, float]:
    """Seconds of the protocol, as the run tells them, and of the whole command."""
    began_s = time.monotonic()
    protocol_s = run()
    return protocol_s, time.monotonic() - began_s


def _run_scenario(file: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        status, result, _ = run_text(file.read_text(), Path(folder), file.stem)
        if status != 0 or result is None:
            raise RuntimeError(f"{file.name} ended with status {status}")
        return float(result["elapsed_s"])


def _raft_s(servers: int, clients: int, requests: int) -> float:
    done = run_raft(servers, clients, requests)
    if done.problem:
        raise RuntimeError(done.problem)
    return clients * requests / done.rate


def run_raft(servers: int, clients: int, requests: int) -> Measured:
    """One run: rate and CPU time; of single requests it tells nothing.

    Its processes say when a request is complete; what lies between the first of these and the last request of the first client to be
    done is taken. Where it is done with the first of all answers, nothing lies between.
    """
    arguments = [servers, clients, requests, RAFT_TIMEOUT_MS]
    command = [sys.executable, "-m", "da", "-n", "raft", "-M", "-p", "0", "-H", "localhost", "-m", "da.examples.raft.orig"]
    complete = 0
    first_s = last_s = 0.0
    before: dict[int, float] = {}
    cpu_s, counted, furthest = before, 0, 0
    with tempfile.TemporaryDirectory() as folder, _started([*command, *map(str, arguments)], folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = COMPLETE.search(line)
            if found is None:
                continue
            last_s = time.monotonic()
            complete += 1
            furthest = max(furthest, int(found[1]))
            if complete == 1:
                first_s, before = last_s, _cpu_s(process.pid)
            elif complete % LOOK_EVERY == 0 or furthest == requests:
                cpu_s, counted = _cpu_s(process.pid), complete - 1
            if furthest == requests:
                break
    if furthest < requests:
        return Measured(problem=f"raft ended with status {process.returncode}, no client with all of its {requests} requests complete")
    if last_s <= first_s:
        return Measured(
            problem=f"raft is measured from its first answer on, and a client was done with that one, of {requests} requests each"
        )
    used = [cpu_s.get(pid, began_s) - began_s for pid, began_s in before.items()]
    cpu_us = {f"process {index}": each / max(1, counted) * 1e6 for index, each in enumerate(used)}
    return Measured(operations=complete, rate=(complete - 1) / (last_s - first_s), cpu_us=cpu_us)


@contextlib.contextmanager
def _started(command: list[str], folder: str) -> Iterator[subprocess.Popen[str]]:
    """What it says is to be read; it is ended behind that, and after LIMIT_S in any case, so that whoever reads comes to an end."""
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        timer = Timer(LIMIT_S, _end, (process,))
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End it and what it has started, which are a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _cpu_s(pid: int) -> dict[int, float]:
    """CPU seconds so far of each process below this one."""
    found = {}
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                times = child.cpu_times()
                found[child.pid] = times.user + times.system
    return found
