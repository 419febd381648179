"""What a gateway counts, as Prometheus reads it."""

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bcr_service.access import Application, Receive, Scope, Send

if TYPE_CHECKING:
    from bcr_service.gateway import GatewayState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """Counts what is called; what stands elsewhere is read when somebody asks."""

    def __init__(self, gateway: "GatewayState") -> None:
        self._registry = CollectorRegistry()
        self._counted: dict[tuple[str, int], Counter] = {}
        self._calls = Counter(
            "bcr_http_requests",
            "Calls answered, by method (zatt has one of its own) and status; what is no call of HTTP is none",
            ["method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "bcr_ask_seconds", "From a call to the answer of those who serve", buckets=BUCKETS, registry=self._registry
        )
        self._registry.register(_Chain(gateway))

    def called(self, method: str, status: int) -> None:
        """A call has been answered so."""
        counted = self._counted.get((method, status))
        if counted is None:
            counted = self._counted[method, status] = self._calls.labels(method, str(status))
        counted.inc()

    def answered(self, seconds: float) -> None:
        """The chain has answered after so long."""
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)


def counted(app: Application, called: Callable[[str, int], object]) -> Application:
    """The application, with all that it answers counted, whoever in it does."""

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                called(scope["method"], message["status"])
            await send(message)

        await app(scope, receive, sent)

    return count


class _Chain(Collector):
    def __init__(self, gateway: "GatewayState") -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        gateway, desk = self._gateway, self._gateway.desk
        yield GaugeMetricFamily("bcr_uptime_seconds", "Since the gateway has started", value=gateway.uptime_s())
        yield GaugeMetricFamily("bcr_waiting_jobs", "Jobs that wait to be sent", value=desk.waiting())
        yield GaugeMetricFamily("bcr_outstanding_requests", "Requests sent and not answered", value=desk.outstanding())
        yield CounterMetricFamily("bcr_requests", "Requests sent to the chain", value=desk.requests)
        yield CounterMetricFamily("bcr_operations", "Operations in these", value=desk.operations)
        yield CounterMetricFamily("bcr_split_requests", "Requests that did not happen for one of several callers", value=desk.split)
        yield GaugeMetricFamily("bcr_configuration", "The configuration that is known", value=gateway.status.get("configuration", -1))
        slots = GaugeMetricFamily(
            "bcr_replica_slots", "Slots, or entries of the log, that a replica has executed", labels=["replica", "mode"]
        )
        for position, mode, executed in gateway.view.slots(gateway.status):
            slots.add_metric([str(position), mode], executed)
        yield slots
