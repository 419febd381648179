"""What others take for the same number of servers, clients and requests, in the same run."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bcr.scenario import read_scenario
from bcr_tools.storm import run_text

LIMIT_S = 300.0
RAFT_TIMEOUT_MS = 3_000  # of its elections, so that none is held while it is busy


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
        raft.append(_timed(lambda: _run_raft(scenario.num_replicas, scenario.num_clients, requests)))
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


def _run_raft(servers: int, clients: int, requests: int) -> float:
    """Its processes say when they begin and end; what lies between the first request and the last answer is taken."""
    arguments = [servers, clients, requests, RAFT_TIMEOUT_MS]
    command = [sys.executable, "-m", "da", "-n", "raft", "-M", "-p", "0", "-H", "localhost", "-m", "da.examples.raft.orig"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        first_s = last_s = 0.0
        for line in process.stdout:
            if "Request" in line and "complete" in line:
                last_s = time.monotonic()
                first_s = first_s or last_s
        if process.wait(LIMIT_S) != 0:
            raise RuntimeError(f"raft ended with status {process.returncode}")
    return last_s - first_s
