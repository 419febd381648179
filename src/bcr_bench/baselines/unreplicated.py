"""What the processes of Unreplicated.da are told, and what they tell."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bcr.verdict.samples import Sample
from bcr_bench.baselines.load import Load, latencies_ms
from bcr_bench.plans.measured import Measured


class LoadTask(msgspec.Struct, frozen=True, array_like=True):
    """The load, and whether requests and answers are signed and checked."""

    load: Load
    is_signed: bool


class LoadReport(msgspec.Struct, frozen=True, array_like=True):
    """What a process did: the latencies of a client's requests, the operations, when its first and last was."""

    name: str
    latencies_ns: tuple[int, ...]
    operations: int
    began_ns: int
    last_ns: int
    samples: tuple[Sample, ...]


def conclude(result_file: str, load: Load, accounts: Sequence[LoadReport]) -> None:
    """Write what the accounts make together."""
    Path(result_file).write_text(json.dumps(msgspec.to_builtins(measured(load, accounts))), encoding="utf-8")


def measured(load: Load, accounts: Sequence[LoadReport]) -> Measured:
    """The run as one: a problem where not everything was answered."""
    clients = [each for each in accounts if each.latencies_ns]
    operations = sum(each.operations for each in clients)
    expected = sum(len(load.workload(client)) for client in range(load.num_client))
    if operations != expected:
        return Measured(problem=f"{operations} of {expected} operations answered")
    elapsed_s = (max(each.last_ns for each in clients) - min(each.began_ns for each in clients)) / 1e9
    return Measured(
        operations=operations,
        rate=operations / elapsed_s,
        latency_ms=latencies_ms([latency for each in clients for latency in each.latencies_ns]),
        cpu_us={each.name: (each.samples[-1].cpu_s - each.samples[0].cpu_s) / operations * 1e6 for each in accounts if each.samples},
    )
