"""What a run took: latency, rate, and each process's CPU time and memory, from what the processes measured themselves."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.verdict.record import RunRecord
from bcr.verdict.samples import Sample

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}


def elapsed_s(record: RunRecord) -> float:
    """From the first request sent to the last result accepted; clients on other clocks are measured apart."""
    longest_ns = 0
    for clock in {client.clock for client in record.clients}:
        exchanges = [each for client in record.clients if client.clock == clock for each in client.exchanges]
        if exchanges:
            first_ns = min(each.sent_ns for each in exchanges)
            longest_ns = max(longest_ns, max(each.accepted_ns for each in exchanges) - first_ns)
    return round(longest_ns / 1e9, 6)


def first_result_ms(record: RunRecord, change: ReconfigurationReport) -> float | None:
    """From the detection to the first result of the new configuration that a client accepted.

    None where there is none, or where client and Olympus have no clock in common.
    """
    accepted_ns = [
        exchange.accepted_ns
        for client in record.clients
        if client.clock == change.clock
        for exchange in client.exchanges
        if exchange.answer.configuration == change.target
    ]
    return round((min(accepted_ns) - change.detected_ns) / 1e6, 3) if accepted_ns else None


def rate_of(record: RunRecord) -> float:
    """Operations answered a second, over `elapsed_s`."""
    operations = sum(len(each.request.statement.operations) for client in record.clients for each in client.exchanges)
    seconds = elapsed_s(record)
    return round(operations / seconds, 1) if seconds else 0.0


def latency_ms(record: RunRecord) -> dict[str, float]:
    """PERCENTILES and mean of the requests' latencies, milliseconds; empty where nothing was answered.

    A latency counts from when a request was to be sent: one that had to wait behind slow ones counts that too.
    """
    latencies = sorted(exchange.latency_ns for client in record.clients for exchange in client.exchanges)
    if not latencies:
        return {}
    percentiles = {name: percentile(latencies, percent) for name, percent in PERCENTILES.items()}
    percentiles["mean"] = sum(latencies) / len(latencies)
    return {name: round(value / 1e6, 4) for name, value in percentiles.items()}


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the sorted values that so many percent of them do not exceed (nearest rank)."""
    return values[max(0, ceil(len(values) * percent / 100) - 1)]


def processes(record: RunRecord) -> dict[str, dict[str, Any]]:
    """Of every process by name: CPU seconds while it worked, and samples `[seconds, MiB resident, work done]`.

    The seconds of a process count from its first sample: a client's and a replica's are taken when its work begins.
    """
    return {
        name: {
            "cpu_s": round(samples[-1].cpu_s - samples[0].cpu_s, 6),
            "samples": [
                [round((each.at_ns - samples[0].at_ns) / 1e9, 3), round(each.resident_bytes / 2**20, 2), each.done] for each in samples
            ],
        }
        for name, samples in _samples(record)
        if samples
    }


def _samples(record: RunRecord) -> Iterator[tuple[str, tuple[Sample, ...]]]:
    for client in record.clients:
        yield f"client_{client.client}", client.samples
    for signed in record.replicas:
        report = signed.statement
        suffix = f"-configuration_{report.configuration}" if report.configuration else ""
        yield f"replica_{report.position}{suffix}", report.samples
    yield "olympus", record.olympus_samples
    yield "harness", record.harness_samples
