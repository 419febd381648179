"""What disks cost: the same work with and without them, in turn, beside the cost of a sync measured in between.

How long a sync takes is the machine's doing, and changes for minutes. So it is measured before each pair of runs, in the
way in which a replica does it, and printed with them.
"""

import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from bcr.stable.disk import Row
from bcr_bench.plans.measured import Measured, together
from bcr_bench.plans.plan_files import Point, Value
from bcr_bench.running.points import run_point
from bcr_bench.studies.sections import DISKS_HEADING, print_table, renew, section_of
from bcr_disk.sqlite import SqliteDisk
from bcr_runtime.ambient import ADDED_SYNC_MS

SYNCS = 100
PAUSE_S = 0.002  # between two syncs of a replica that is asked for one thing after the other; without, disk and processor stay awake
ROW_BYTES = 2_048  # of a slot with one request, at t = 1
REPLICAS = 3  # at t = 1: a sync in each, one after the other
SHARE_MORE = 0.15
ALONE = "one at a time"
HEADINGS = ("workload", "added ms", "p50 ms without", "with", "aim", "a second without", "with", "ratio")
TEXT = (
    "The aim of a request alone is that without disks, a sync in each of the three replicas, and 15 % more; of the other workloads, 0.8 of the rate. "
    "`added` is by how much a sync was made longer, as on another machine's disk."
)
BASE: Mapping[str, Value] = {
    "t": 1, "value_bytes": 100, "read_percent": 50, "checkpt_interval": 100, "log_level": "quiet", "client_timeout": 60_000,
    "head_timeout": 60_000, "nonhead_timeout": 60_000,
}  # fmt: skip
WORKLOADS: Mapping[str, Mapping[str, Value]] = {
    ALONE: {"num_client": 1, "client_window": 1, "batch_limit": 1, "operations_per_request": 1, "operations": 500},
    "window 4, batch 16": {"num_client": 4, "client_window": 4, "batch_limit": 16, "operations_per_request": 1, "operations": 2_000},
    "50 a request": {"num_client": 2, "client_window": 16, "batch_limit": 16, "operations_per_request": 50, "operations": 60_000},
}  # fmt: skip


def sync_ms() -> float:
    """The median time in which a row of a slot's size is written and synced here, each after a pause, milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        disk = SqliteDisk(Path(folder) / "sync.sqlite", "bench")
        taken = []
        for number in range(SYNCS):
            time.sleep(PAUSE_S)
            began_s = time.perf_counter()
            disk.append(Row.of(number, bytes(ROW_BYTES)))
            disk.sync()
            taken.append(time.perf_counter() - began_s)
        disk.close()
    return statistics.median(taken) * 1_000


@contextlib.contextmanager
def _slowed(added_ms: float) -> Iterator[None]:
    """Runs that are started in it have disks that take longer to sync."""
    if added_ms:
        os.environ[ADDED_SYNC_MS] = str(added_ms)
    try:
        yield
    finally:
        os.environ.pop(ADDED_SYNC_MS, None)


def measure_disks(times: int, added_ms: Sequence[float], page: Path | None = None) -> int:
    """`bcr bench disks`: print what each workload comes to, with so much added to a sync; 1 where one has no run that counts.

    Where `page` is given, docs/performance.md, its section is renewed, unless something has no run that counts.
    """
    runs: dict[tuple[str, float | None], list[Measured]] = {(name, added): [] for name in WORKLOADS for added in (None, *added_ms)}
    syncs: list[float] = []
    for repetition in range(times):
        for name, settings in WORKLOADS.items():
            syncs.append(sync_ms())
            for added in (None, *added_ms):
                kept = "off" if added is None else "on"
                label = f"{name}, durable = {kept}" + (f", a sync {added:g} ms longer" if added else "")
                point = Point("disks", label, "bcr", {**BASE, **settings, "durable": kept})
                with _slowed(added or 0):
                    done = run_point(point)
                runs[name, added].append(done)
                said = done.problem or f"{done.rate:,.0f} a second, p50 {done.latency_ms.get('p50', 0):.2f} ms"
                print(f"run {repetition + 1}: {point.label}: {said}; a sync {syncs[-1]:.2f} ms", file=sys.stderr, flush=True)
    medians = {key: together(each) for key, each in runs.items()}
    rows = [_row(name, added, medians[name, None], medians[name, added], syncs) for name, added in product(WORKLOADS, added_ms)]
    said = f"a sync of {ROW_BYTES:,} bytes: median {statistics.median(syncs):.2f} ms, from {min(syncs):.2f} to {max(syncs):.2f}"
    print_table("With disks, and without", HEADINGS, rows)
    print(said)
    is_bad = any(each.problem for each in medians.values())
    if page is not None and not is_bad:
        lengths = ",".join(f"{each:g}" for each in added_ms)
        text = f"{times} runs of each in turn, t = 1, all replicas on one disk; {said}. {TEXT}"
        renew(page, section_of(DISKS_HEADING, f"disks --count {times} --added {lengths} --docs", text, HEADINGS, rows))
    return int(is_bad)


def _row(name: str, added_ms: float, without: Measured, durable: Measured, syncs: Sequence[float]) -> list[str]:
    if without.problem or durable.problem:
        return [name, f"{added_ms:g}", without.problem or durable.problem, *[""] * (len(HEADINGS) - 3)]
    before, after = (each.latency_ms["p50"] for each in (without, durable))
    aim = aim_ms(before, statistics.median(syncs) + added_ms)
    return [name, f"{added_ms:g}", f"{before:.2f}", f"{after:.2f}", f"{aim:.2f}" if name == ALONE else "", f"{without.rate:,.0f}",
            f"{durable.rate:,.0f}", f"{durable.rate / without.rate:.2f}"]  # fmt: skip


def aim_ms(without_ms: float, sync_ms: float) -> float:
    """How long a request alone may take with disks: as without, a sync in each replica in turn, and a share more."""
    return (without_ms + REPLICAS * sync_ms) * (1 + SHARE_MORE)
