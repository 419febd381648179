"""A load for what is not the system itself: the same operations, sent in the same manner, measured in the same way."""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import msgspec

from bcr.objects.operation import Operation
from bcr.scenario.workload import Uniform, Workload, due_after_ns
from bcr.signed.signing import Statement
from bcr_bench.plans.plan_files import DEFAULTS, SEED
from bcr_run.latencies import PERCENTILES, percentile


class Load(msgspec.Struct, frozen=True):
    """What each of the clients does; the names are those of scenario files. `client_rate` 0 is a closed loop."""

    num_client: int
    client_window: int
    operations_per_request: int
    operations: int
    value_bytes: int
    read_percent: int
    client_rate: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Load":
        """From a point's settings, and what scenario files have that do not say it."""
        known = {**DEFAULTS, **settings}
        return cls(**{field: int(known[field]) for field in cls.__struct_fields__})

    def workload(self, client: int) -> Workload:
        share = -(-self.operations // self.num_client)
        return Workload((Uniform(SEED + client, share, self.value_bytes, self.read_percent),))


class UnreplicatedReply(Statement, frozen=True, tag="reply"):
    """An unreplicated server's answer to a client's request of this number."""

    client: int
    number: int
    results: tuple[str, ...]


class Pacer:
    """One client's requests: which may be sent at a time, and how long each took. Times are nanoseconds."""

    def __init__(self, load: Load, client: int) -> None:
        workload = load.workload(client)
        self._load = load
        self._requests: Iterator[tuple[Operation, ...]] = workload.requests(load.operations_per_request)
        self._count = -(-len(workload) // load.operations_per_request)
        self._next_number = 0
        self._began: dict[int, int] = {}  # number -> when it was sent or, at a rate, due
        self._start_ns = 0
        self.latencies_ns: list[int] = []
        self.operations = 0  # answered

    def start(self, now_ns: int) -> None:
        self._start_ns = now_ns

    def is_at_a_rate(self) -> bool:
        """Whether it sends at its times, and not as answers come."""
        return self._load.client_rate > 0

    def is_finished(self) -> bool:
        return len(self.latencies_ns) == self._count

    def due_ns(self) -> float:
        """When the next request may be sent, as far as that is known: before now at once, inf behind an answer."""
        if self._next_number == self._count or len(self._began) >= self._load.client_window:
            return inf
        if self._load.client_rate == 0:
            return 0
        return self._start_ns + due_after_ns(self._next_number, self._load.operations_per_request, self._load.client_rate)

    def take(self, now_ns: int) -> tuple[int, tuple[Operation, ...]] | None:
        """The number and operations of a request to be sent now, or None."""
        due_ns = self.due_ns()
        if due_ns > now_ns:
            return None
        number = self._next_number
        self._next_number += 1
        self._began[number] = int(due_ns) or now_ns
        operations = next(self._requests)
        return number, operations

    def answered(self, number: int, count: int, now_ns: int) -> None:
        """Request `number`, of so many operations, has been answered; a second answer does not count."""
        began_ns = self._began.pop(number, None)
        if began_ns is not None:
            self.latencies_ns.append(now_ns - began_ns)
            self.operations += count


def latencies_ms(latencies_ns: list[int]) -> dict[str, float]:
    """The same percentiles as in `result.json`."""
    latencies_ns.sort()
    found = {name: percentile(latencies_ns, percent) / 1e6 for name, percent in PERCENTILES.items()}
    return found | {"mean": sum(latencies_ns) / len(latencies_ns) / 1e6}
