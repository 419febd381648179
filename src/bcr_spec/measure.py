"""What queries over history cost where handlers keep what they need: specification and implementation side by side.

Both are run in virtual time on the same workload of one client, in turn, so that other work of the machine disturbs both
alike. For each size two things are measured, each in a run of its own: the processor time, and the most memory that is held.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence

import msgspec

from bcr.objects.operation import Operation
from bcr.scenario import parse_scenario
from bcr_sim.simulated_run import simulate
from bcr_spec.alone import run_alone

CHECKPOINT_INTERVAL = 20
SIZES = (50, 100, 200, 400)
MEBIBYTE = 1 << 20


class Measurement(msgspec.Struct, frozen=True):
    """One size of workload: milliseconds of processor time a request, and MiB that were held at the most."""

    requests: int
    implementation_ms: float
    specification_ms: float
    implementation_mib: float
    specification_mib: float


def measurements(sizes: Sequence[int] = SIZES) -> list[Measurement]:
    """One measurement for each count of requests, in order. Raises ValueError where the two disagree on the results."""
    _demand_equal(sizes[0])  # and everything is compiled
    return [_measurement(size) for size in sizes]


def _scenario_text(requests: int) -> str:
    return (f"test_case_name = measured\nt = 1\nnum_client = 1\ncheckpt_interval = {CHECKPOINT_INTERVAL}\n"
            f"workload[0] = pseudorandom(7,{requests})\n")  # fmt: skip


def _implementation(requests: int) -> list[tuple[int, tuple[str, ...]]]:
    scenario, _ = parse_scenario(_scenario_text(requests), "measured.config")
    [client] = simulate(scenario).record.clients
    return [(each.request.statement.number, each.answer.outcome.results) for each in client.exchanges]


def _specification(requests: int) -> list[tuple[int, tuple[str, ...]]]:
    scenario, _ = parse_scenario(_scenario_text(requests), "measured.config")
    workload: list[tuple[Operation, ...]] = list(scenario.workloads[0].requests(1))
    outcome = run_alone(1, [workload], checkpoint_interval=CHECKPOINT_INTERVAL)
    if outcome.hindrance is not None:
        raise ValueError(outcome.hindrance)
    return [(number, results) for number, _, results in outcome.accepted[0]]


def _demand_equal(requests: int) -> None:
    if _implementation(requests) != _specification(requests):
        raise ValueError(f"the two give different results of {requests} requests")


def _measurement(requests: int) -> Measurement:
    implementation_ms, specification_ms = _cpu_ms(_implementation, requests), _cpu_ms(_specification, requests)
    return Measurement(
        requests,
        round(implementation_ms / requests, 3),
        round(specification_ms / requests, 3),
        round(_peak_mib(_implementation, requests), 1),
        round(_peak_mib(_specification, requests), 1),
    )


def _cpu_ms(run: Callable[[int], object], requests: int) -> float:
    gc.collect()
    began_s = time.process_time()
    run(requests)
    return (time.process_time() - began_s) * 1_000


def _peak_mib(run: Callable[[int], object], requests: int) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        run(requests)
        return tracemalloc.get_traced_memory()[1] / MEBIBYTE
    finally:
        tracemalloc.stop()
