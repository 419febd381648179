"""What one run measured, and what several runs of the same make together."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `problem` says why it does not count; the other fields are empty then.

    Of each process by name: `cpu_us` microseconds of CPU time for an operation of the run, and `memory` samples
    `[seconds, MiB resident, work done]`.
    """

    problem: str = ""
    operations: int = 0
    rate: float = 0.0
    latency_ms: dict[str, float] = {}
    cpu_us: dict[str, float] = {}
    memory: dict[str, list[list[float]]] = {}

    @classmethod
    def of_result(cls, result: Mapping[str, Any]) -> "Measured":
        """From the contents of `result.json`; a run that did not pass does not count."""
        if result["verdict"] != "pass":
            return cls(problem=f"{result['verdict']}: {'; '.join(result['reasons'][:2])}")
        if result["retransmissions"] or result["reconfigurations"]:
            return cls(problem=f"{result['retransmissions']} requests sent again: timers expired under load")
        processes = result["processes"]
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
        )


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
    )


def _medians(values: Iterable[Mapping[str, float]]) -> dict[str, float]:
    each = list(values)
    return {name: median(one[name] for one in each if name in one) for name in each[0]}
