"""DistAlgo's raft example, as it is: its clients send one request after the other, without any object behind it."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

from bcr.scenario import read_scenario
from bcr_bench.plans.measured import Measured
from bcr_run.command import run_text

LIMIT_S = 300.0
RAFT_TIMEOUT_MS = 3_000  # of its elections, so that none is held while it is busy
LOOK_EVERY = 50  # answers between two looks at the processes' CPU time


def against_raft(file: Path, times: int) -> int:
    """Run the scenario and DistAlgo's raft example in turn, and print medians and their ratio; 1 if a run failed."""
    scenario, _ = read_scenario(file)
    requests = len(scenario.workloads[0])
    size = f"{scenario.num_replicas} servers, {scenario.num_clients} clients, {requests} requests each"
    print(f"{file.stem} and DistAlgo's raft example: {size}; {times} runs of each in turn", flush=True)
    ours: list[tuple[float, float]] = []
    raft: list[tuple[float, float]] = []
    for _ in range(times):
        ours.append(_timed(lambda: _run_scenario(file)))
        raft.append(_timed(lambda: _raft_s(scenario.num_replicas, scenario.num_clients, requests)))
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
    return done.operations / done.rate


def run_raft(servers: int, clients: int, requests: int) -> Measured:
    """One run: rate and CPU time; of single requests it tells nothing.

    Its processes say when a request is complete; what lies between the first and the last of these is taken.
    """
    arguments = [servers, clients, requests, RAFT_TIMEOUT_MS]
    command = [sys.executable, "-m", "da", "-n", "raft", "-M", "-p", "0", "-H", "localhost", "-m", "da.examples.raft.orig"]
    complete = 0
    first_s = last_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        before: dict[int, float] = {}
        cpu_s, counted = before, 0
        for line in process.stdout:
            if "Request" in line and "complete" in line:
                last_s = time.monotonic()
                complete += 1
                if complete == 1:
                    first_s, before = last_s, _cpu_s(process.pid)
                elif complete % LOOK_EVERY == 0:
                    cpu_s, counted = _cpu_s(process.pid), complete - 1
        status = process.wait(LIMIT_S)
    if status != 0 or complete < clients * requests:
        return Measured(problem=f"raft ended with status {status}, {complete} of {clients * requests} requests complete")
    used = [cpu_s.get(pid, began_s) - began_s for pid, began_s in before.items()]
    cpu_us = {f"process {index}": each / max(1, counted) * 1e6 for index, each in enumerate(used)}
    return Measured(operations=complete, rate=(complete - 1) / (last_s - first_s), cpu_us=cpu_us)


def _cpu_s(pid: int) -> dict[int, float]:
    """CPU seconds so far of each process below this one."""
    found = {}
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                times = child.cpu_times()
                found[child.pid] = times.user + times.system
    return found
