"""What of `result.json` is shown, and what it looks like there: a file that holds something else is told, with the place in it."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from bcr.signed.authentication import Authentication

MOST = 1 << 62  # of whatever is counted: a time on a clock fits, and what is larger no clock says
Number = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Duration = Annotated[float, msgspec.Meta(ge=0, le=MOST)]


class _Settings(msgspec.Struct):
    t: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    num_clients: Number
    authentication: Authentication
    acceptance: str = ""


class _Fault(msgspec.Struct):
    fault: str
    configuration: Number | UnsetType = UNSET
    position: Number | UnsetType = UNSET
    client: Number | UnsetType = UNSET


class _Missed(msgspec.Struct):
    text: str
    who: str
    why: str


class _Notice(msgspec.Struct):
    by: str
    what: str
    configuration: Number | None = None
    blamed: int | None = None


class _Change(msgspec.Struct):
    source: Number = msgspec.field(name="from")
    target: Number = msgspec.field(name="to")
    requested_by: str
    detected_ns: Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]
    clock: str
    blamed: int | None = None
    invalid_histories: dict[str, str] = {}
    why_not: list[tuple[list[Number], str]] = []
    quorum: list[Number] | None = None
    olympus_results: list[Any] = []
    wedged_ms: Duration | None = None
    caught_up_ms: Duration | None = None
    fetched_ms: Duration | None = None
    active_ms: Duration | None = None


class _Latency(msgspec.Struct):
    p50: Duration | UnsetType = UNSET
    p99: Duration | UnsetType = UNSET
    max: Duration | UnsetType = UNSET


class _Simulation(msgspec.Struct):
    mutations: list[tuple[Number, Any]] = []
    amnesias: list[tuple[Number, Any]] = []
    twins: list[Number] = []
    free: list[Number] = []


class _Clock(msgspec.Struct):
    name: str
    origin_ns: Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]


class _Result(msgspec.Struct):
    scenario: str = ""
    protocol: str = ""
    verdict: str = ""
    reasons: list[str] = []
    breaches: list[str] = []
    operations: Number = 0
    retransmissions: Number = 0
    elapsed_s: Duration = 0
    operations_per_second: Duration = 0
    settings: _Settings | UnsetType = UNSET
    faults_injected: list[_Fault] = []
    faults_armed: list[_Fault] = []
    faults_missed: list[_Missed] = []
    words_missed: list[_Missed] = []
    notices: list[_Notice] = []
    reconfigurations: list[_Change] = []
    latency_ms: _Latency = msgspec.field(default_factory=_Latency)
    simulation: _Simulation = msgspec.field(default_factory=_Simulation)
    clock: _Clock | UnsetType = UNSET


def demand_shape(result: Any) -> None:
    """Raises msgspec.ValidationError, which says where something else was expected, unless it is what a run leaves."""
    read = msgspec.convert(result, _Result)
    for place, fault in enumerate(read.faults_injected):
        if (fault.position is UNSET) != (fault.configuration is UNSET):
            raise msgspec.ValidationError(f"Expected configuration and position, or a client - at `$.faults_injected[{place}]`")
    latency = read.latency_ms
    if result.get("latency_ms") and UNSET in (latency.p50, latency.p99, latency.max):
        raise msgspec.ValidationError("Expected p50, p99 and max - at `$.latency_ms`")
