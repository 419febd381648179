"""How long a service with much state is away: when it is reconfigured, from the detection to the first new result; and when
all of it begins again from its disks, from the last replica that does."""

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from bcr.objects.sizes import STATE_LIMIT_BYTES
from bcr_bench.plans.measured import Measured
from bcr_bench.running.points import run_scenario
from bcr_bench.studies.sections import OUTAGE_HEADING, RECOVERY_HEADING, print_table, renew, section_of

LIMIT_S = 600.0
TIMES = ("ms", "step, ms")
KEYS = 100_000
VALUE_BYTES = 16
MOST_KEYS = 1_000_000
PER_REQUEST = 100
CHECKPOINT_INTERVAL = 90  # slots: 1,000 slots of operations leave ten behind the last checkpoint
KEY_BYTES = 20  # of a key, and of what says how long it and its value are
STEPS: Mapping[str, str] = {
    "wedged_ms": "histories are there",
    "caught_up_ms": "a quorum agrees on a digest",
    "fetched_ms": "running state is there",
    "active_ms": "new replicas are active",
    "first_result_ms": "first new result accepted",
}


def scenario_text(keys: int, is_crash: bool, value_bytes: int = VALUE_BYTES) -> str:
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
            f"state_limit = {_state_limit_bytes(keys, value_bytes)}",
            f"workload[0] = {_puts(keys, (full + 1) * PER_REQUEST + 1, value_bytes)}",
            f"failures[0,{int(is_crash)}] = {fault}",
            "expect[verdict] = pass",
            "expect[reconfigurations] = 1",
        ]
    )


def _puts(keys: int, count: int, value_bytes: int) -> str:
    """So many puts, of all keys in turn, again and again."""
    rounds, left = divmod(count, keys)
    sizes = [keys] * rounds + [left] * bool(left)
    return "; ".join(f"distinct({seed},{size},{value_bytes})" for seed, size in enumerate(sizes, start=1))


def _state_limit_bytes(keys: int, value_bytes: int) -> int:
    """Room for so many keys and values, which the usual limit may lack."""
    return max(STATE_LIMIT_BYTES, keys * (value_bytes + KEY_BYTES))


def measure_reconfiguration(keys: int, times: int, is_crash: bool, value_bytes: int = VALUE_BYTES, page: Path | None = None) -> int:
    """Run the system so often, and print the medians of each step in milliseconds; 1 if a run failed. Raises Interrupted.

    Where `page` is given, docs/performance.md, its section is renewed.
    """
    runs: list[Mapping[str, float]] = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            result = _run(scenario_text(keys, is_crash, value_bytes), Path(folder))
        if isinstance(result, str):
            print(f"bcr bench: {result}", file=sys.stderr)
            return 1
        [change] = result["reconfigurations"]
        runs.append({step: change[step] for step in STEPS})
        print(", ".join(f"{step.removesuffix('_ms')} {runs[-1][step]:.1f}" for step in STEPS), flush=True)
    what = "one replica gone" if is_crash else "all replicas answer"
    title = f"{keys:,} keys and values of {value_bytes} bytes, {what}: medians of {times} runs"
    rows = _rows(STEPS, runs)
    print_table(f"reconfiguration with {title}", ("since the detection", *TIMES), rows)
    if page is not None:
        command = f"reconfiguration --keys {keys} --value-bytes {value_bytes} --count {times}{' --crash' * is_crash} --docs"
        renew(page, section_of(OUTAGE_HEADING, command, f"{title}.", ("since the detection", *TIMES), rows))
    return 0


def _rows(steps: Mapping[str, str], runs: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """Of each step when it was reached, and how long it took by itself: medians, in milliseconds."""
    rows = []
    before = 0.0
    for step, name in steps.items():
        reached = median(run[step] for run in runs)
        rows.append([name, f"{reached:.1f}", f"{reached - before:.1f}"])
        before = reached
    return rows


def _run(text: str, folder: Path) -> Mapping[str, Any] | str:
    """What one run leaves, or what is wrong with it."""
    result = run_scenario(text, "reconfiguration", folder, LIMIT_S)
    if isinstance(result, Measured):
        return result.problem
    return result if result["verdict"] == "pass" else f"{result['verdict']}: {'; '.join(result['reasons'])}"


# -- after a power cut

BUDGET = (
    "The aim is a second with 100,000 keys. Of the CPU time that has to be spent in turn, the digest over all buckets is the most: 25 ms in each replica that "
    "comes back, in Olympus, and in each new replica. Reading a disk back takes 25 ms, writing the state and reading that back 35 ms, making "
    "replicas 40 ms, handing the state over 20 ms each way, and what Olympus writes before it goes on 35 ms. Replicas work at once, where "
    "there are processors for them. Nothing waits for a time limit."
)
RECOVERY: Mapping[str, str] = {
    "asked_ms": "a replica is back, and asks to be replaced",
    "wedged_ms": "histories are there",
    "caught_up_ms": "a quorum agrees on a digest",
    "fetched_ms": "running state is there",
    "active_ms": "new replicas are active",
    "first_result_ms": "first new result accepted",
}


def recovery_text(keys: int, is_after: bool) -> str:
    """What a run puts on its disks before all of it is gone; and what one asks that goes on with them.

    The operations leave ten slots behind the last checkpoint, which are executed again.
    """
    full = -(-keys // PER_REQUEST)
    work = "get('key0')" if is_after else _puts(keys, full * PER_REQUEST, VALUE_BYTES)
    return "\n".join(
        [
            "test_case_name = recovery",
            "t = 1",
            "num_client = 1",
            "durable = on",
            "data = data",
            f"operations_per_request = {PER_REQUEST}",
            f"checkpt_interval = {CHECKPOINT_INTERVAL}",
            f"state_limit = {_state_limit_bytes(keys, VALUE_BYTES)}",
            f"workload[0] = {work}",
            "expect[verdict] = pass",
            *["expect[reconfigurations] = 1"] * is_after,
        ]
    )


def measure_recovery(keys: int, times: int, page: Path | None = None) -> int:
    """Let a run begin with the disks of one that has put so many keys, so often; print the medians of each step. Raises Interrupted.

    Every process of the first run is gone, as after a power cut; what counts begins when the last replica has begun again.
    Where `page` is given, docs/performance.md, its section is renewed.
    """
    runs: list[Mapping[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        before = _run(recovery_text(keys, is_after=False), folder)
        for _ in range(times if not isinstance(before, str) else 0):
            # Each goes on with the same disks: a run that has recovered leaves others.
            again = folder / "again"
            shutil.copytree(folder / "data", again / "data")
            result = _run(recovery_text(keys, is_after=True), again)
            if isinstance(result, str):
                before = result
                break
            runs.append(recovery_steps(result))
            print(", ".join(f"{step.removesuffix('_ms')} {each:.1f}" for step, each in runs[-1].items()), flush=True)
            shutil.rmtree(again)
    if isinstance(before, str):
        print(f"bcr bench: {before}", file=sys.stderr)
        return 1
    title = f"{keys:,} keys: medians of {times} runs"
    rows = _rows(RECOVERY, runs)
    print_table(f"recovery from disks with {title}", ("since the last replica began", *TIMES), rows)
    if page is not None:
        command = f"recovery --keys {keys} --count {times} --docs"
        renew(page, section_of(RECOVERY_HEADING, command, f"Disks with {title}. {BUDGET}", ("since the last replica began", *TIMES), rows))
    return 0


def recovery_steps(result: Mapping[str, Any]) -> Mapping[str, float]:
    """When each step was reached, in milliseconds since the last replica of the old configuration began."""
    folder = Path(result["log_folder"])
    [change] = result["reconfigurations"]
    began = max(_first_line(file, "event=settings") for file in folder.glob(f"replica_*-configuration_{change['from']}.log"))
    asked = _first_line(folder / "olympus.log", "event=reconfiguration_requested")
    asked_ms = (asked - began).total_seconds() * 1_000
    return {"asked_ms": asked_ms, **{step: asked_ms + change[step] for step in RECOVERY if step != "asked_ms"}}


def _first_line(log: Path, what: str) -> datetime:
    """The time of the first line of a log that says this."""
    with open(log, encoding="utf-8") as lines:
        line = next(line for line in lines if what in line)
    return datetime.fromisoformat(line.partition(" ")[0].removeprefix("time="))
