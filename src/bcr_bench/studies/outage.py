"""How long a service with much state is away when it is reconfigured: from the detection to the first new result."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from bcr_bench.plans.measured import Measured
from bcr_bench.running.points import run_scenario
from bcr_run.output import Terminal

LIMIT_S = 600.0
KEYS = 100_000
MOST_KEYS = 200_000  # a scenario file holds no more of them
PER_REQUEST = 100
CHECKPOINT_INTERVAL = 90  # slots: 1,000 slots of operations leave ten behind the last checkpoint
VALUE = "v{:015d}"
STEPS: Mapping[str, str] = {
    "wedged_ms": "histories are there",
    "caught_up_ms": "a quorum agrees on a digest",
    "fetched_ms": "running state is there",
    "active_ms": "new replicas are active",
    "first_result_ms": "first new result accepted",
}


def scenario_text(keys: int, is_crash: bool) -> str:
    """A client puts so many keys, and some of them again in two more requests, the first of which the fault strikes.

    The head's order is not validly signed, which its successor sees at once; or the successor is gone.
    """
    full = -(-keys // PER_REQUEST)
    fault = f"client_request(0,{full}),invalid_order_sig()" if not is_crash else f"shuttle(0,{full}),crash()"
    return "\n".join(
        [
            "test_case_name = reconfiguration",
            "t = 1",
            "num_client = 1",
            f"operations_per_request = {PER_REQUEST}",
            f"checkpt_interval = {CHECKPOINT_INTERVAL}",
            f"workload[0] = {'; '.join(_puts(keys, (full + 1) * PER_REQUEST + 1))}",
            f"failures[0,{int(is_crash)}] = {fault}",
            "expect[verdict] = pass",
            "expect[reconfigurations] = 1",
        ]
    )


def _puts(keys: int, count: int) -> Iterator[str]:
    for number in range(count):
        yield f"put('key{number % keys:06d}','{VALUE.format(number)}')"


def measure_reconfiguration(keys: int, times: int, is_crash: bool) -> int:
    """Run the system so often, and print the medians of each step in milliseconds; 1 if a run failed. Raises Interrupted."""
    runs: list[Mapping[str, float]] = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            result = _run(scenario_text(keys, is_crash), Path(folder))
        if isinstance(result, str):
            print(f"bcr bench: {result}", file=sys.stderr)
            return 1
        [change] = result["reconfigurations"]
        runs.append({step: change[step] for step in STEPS})
        print(", ".join(f"{step.removesuffix('_ms')} {runs[-1][step]:.1f}" for step in STEPS), flush=True)
    what = "one replica gone" if is_crash else "all replicas answer"
    table = Table(title=f"reconfiguration with {keys:,} keys, {what}: medians of {times} runs", title_justify="left")
    for heading in ("since the detection", "ms", "step, ms"):
        table.add_column(heading, justify="right" if "ms" in heading else "left")
    before = 0.0
    for step, name in STEPS.items():
        reached = median(run[step] for run in runs)
        table.add_row(name, f"{reached:.1f}", f"{reached - before:.1f}")
        before = reached
    Terminal().print(table)
    return 0


def _run(text: str, folder: Path) -> Mapping[str, Any] | str:
    """What one run leaves, or what is wrong with it."""
    result = run_scenario(text, "reconfiguration", folder, LIMIT_S)
    if isinstance(result, Measured):
        return result.problem
    return result if result["verdict"] == "pass" else f"{result['verdict']}: {'; '.join(result['reasons'])}"
