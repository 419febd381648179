"""What one run measured, and what several runs of the same make together."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bcr.evidence.evidence_files import unpacked_record

BIN_NS = 10_000_000


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `problem` says why it does not count; the other fields are empty then.

    Of each process by name: `cpu_us` microseconds of CPU time for an operation of the run, and `memory` samples
    `[seconds, MiB resident, work done]`. Where it is wanted, `timeline` has a row for each 10 ms from the first request on:
    `[its beginning in ms, operations answered in it, their median latency in ms]`, and `away_ms` is the longest time without any.
    """

    problem: str = ""
    operations: int = 0
    rate: float = 0.0
    latency_ms: dict[str, float] = {}
    cpu_us: dict[str, float] = {}
    memory: dict[str, list[list[float]]] = {}
    timeline: list[list[float]] = []
    away_ms: float = 0.0

    @classmethod
    def of_result(cls, result: Mapping[str, Any], is_timed: bool = False) -> "Measured":
        """From the contents of `result.json`; a run that did not pass does not count.

        With `is_timed` it may be reconfigured, and its record is read for how it went with time.
        """
        if result["verdict"] != "pass":
            return cls(problem=f"{result['verdict']}: {'; '.join(result['reasons'][:2])}")
        again = _sent_again(result) if result["retransmissions"] else 0
        if not is_timed and (again or result["reconfigurations"]):
            return cls(problem=f"{again} requests sent again: timers expired under load")
        processes = result["processes"]
        timeline, away_ms = over_time(Path(result["log_folder"]) / "record.msgpack") if is_timed else ([], 0.0)
        return cls(
            operations=result["operations"],
            rate=result["operations_per_second"],
            latency_ms=result["latency_ms"],
            cpu_us={
                name: each["cpu_s"] / result["operations"] * 1e6
                for name, each in processes.items()
                if name != "harness"  # which waits, and then judges
            },
            memory={name: each["samples"] for name, each in processes.items()},
            timeline=timeline,
            away_ms=away_ms,
        )


def _sent_again(result: Mapping[str, Any]) -> int:
    """How many requests were sent again, but for those of Raft that the server asked first has sent on to the leader.

    Those were sent before their client had any answer, and had theirs before its timer expired.
    """
    if result["protocol"] != "raft":
        return int(result["retransmissions"])
    patience_ns = result["settings"]["client_timeout_ms"] * 1e6
    again = 0
    for client in unpacked_record((Path(result["log_folder"]) / "record.msgpack").read_bytes()).clients:
        first_ns = min((each.accepted_ns for each in client.exchanges), default=0)
        again += sum(
            each.attempts > 1 and (each.sent_ns > first_ns or each.accepted_ns - each.sent_ns >= patience_ns) for each in client.exchanges
        )
    return again


def over_time(file: Path) -> tuple[list[list[float]], float]:
    """Timeline and longest time without an answer, as in Measured, from the record of a run whose clients share a clock."""
    clients = unpacked_record(file.read_bytes()).clients
    done = sorted(
        (each.accepted_ns, each.latency_ns, len(each.request.statement.operations)) for client in clients for each in client.exchanges
    )
    if not done:
        return [], 0.0
    first_ns = min(each.sent_ns for client in clients for each in client.exchanges)
    bins: list[list[tuple[int, int]]] = [[] for _ in range((done[-1][0] - first_ns) // BIN_NS + 1)]
    for accepted_ns, latency_ns, operations in done:
        bins[(accepted_ns - first_ns) // BIN_NS].append((latency_ns, operations))
    rows = [
        [
            place * BIN_NS / 1e6,
            float(sum(operations for _, operations in each)),
            median(latency for latency, _ in each) / 1e6 if each else 0.0,
        ]
        for place, each in enumerate(bins)
    ]
    return rows, max((later[0] - sooner[0] for sooner, later in pairwise(done)), default=0) / 1e6


def together(runs: Sequence[Measured]) -> Measured:
    """The medians of the runs that count; a problem where there are none."""
    good = [run for run in runs if not run.problem]
    if not good:
        return Measured(problem=runs[0].problem if runs else "not run")
    return Measured(
        operations=good[0].operations,
        rate=median(run.rate for run in good),
        latency_ms=_medians(run.latency_ms for run in good),
        cpu_us=_medians(run.cpu_us for run in good),
        memory=good[0].memory,
        timeline=good[0].timeline,
        away_ms=median(run.away_ms for run in good),
    )


def _medians(values: Iterable[Mapping[str, float]]) -> dict[str, float]:
    each = list(values)
    return {name: median(one[name] for one in each if name in one) for name in each[0]}
