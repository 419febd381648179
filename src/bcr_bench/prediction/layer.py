"""What a message costs in the layer below: DistAlgo and the sockets, measured with a server that does nothing else."""

from statistics import median

import msgspec

from bcr_bench.plans.plan_files import Point, Value
from bcr_bench.running.points import run_point

REPETITIONS = 3
ALONE: dict[str, Value] = {
    "num_client": 1, "client_window": 1, "operations_per_request": 1, "operations": 1_000, "value_bytes": 100, "read_percent": 50
}  # fmt: skip


class LayerError(Exception):
    """The layer could not be measured; the text says why."""


class Layer(msgspec.Struct, frozen=True):
    """Microseconds: from sending to being handled, of one message to an idle process; of CPU time, both sides together."""

    hop_us: float
    message_cpu_us: float


def measure_layer() -> Layer:
    """Medians of REPETITIONS runs of the unreplicated server, plain: two messages an operation. Raises LayerError."""
    alone = [run_point(Point("layer", "window 1", "unreplicated", ALONE)) for _ in range(REPETITIONS)]
    busy_load = ALONE | {"client_window": 16, "operations": 5_000}
    busy_runs = [run_point(Point("layer", "window 16", "unreplicated", busy_load)) for _ in range(REPETITIONS)]
    for run in (*alone, *busy_runs):
        if run.problem:
            raise LayerError(run.problem)
    return Layer(
        hop_us=median(run.latency_ms["p50"] for run in alone) * 1_000 / 2,
        message_cpu_us=median(sum(run.cpu_us.values()) for run in busy_runs) / 2,
    )
