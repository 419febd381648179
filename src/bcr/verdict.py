"""The verdict on a recorded run: is what the clients accepted what a correct service would have answered?

Nothing here believes a log or a counter. The clients' signed requests and the replicas' signed results are checked
again, put in the order of the history, and replayed on a fresh state.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from bcr.configuration import Configuration, demand_issued
from bcr.object import Operation
from bcr.record import ClientRecord, Exchange, RunRecord
from bcr.state import RunningState
from bcr.violations import ProtocolViolation

Status = Literal["pass", "fail", "unknown"]

MAX_REASONS = 20


class Judgement(msgspec.Struct, frozen=True):
    """A verdict and its reasons, at most MAX_REASONS of each kind.

    `fail`: something is wrong. `unknown`: nothing is wrong as far as the record goes, but it does not go to the end.
    """

    status: Status
    reasons: tuple[str, ...] = ()


def judge(
    record: RunRecord,
    workloads: Sequence[Sequence[Operation]],
    client_window: int,
    faulty: Collection[tuple[int, int]] = (),
) -> Judgement:
    """The verdict on a run whose client k was to have the operations `workloads[k]` executed in order.

    `faulty` names the replicas, by configuration and position, that were made to misbehave: what these report of
    themselves at the end does not count.
    """
    wrong = list(_first(_what_is_wrong(record, workloads, client_window, faulty)))
    if wrong:
        return Judgement("fail", tuple(wrong))
    missing = list(_first(_what_is_missing(record, workloads, faulty)))
    if missing:
        return Judgement("unknown", tuple(missing))
    return Judgement("pass")


def _first(reasons: Iterator[str]) -> Iterator[str]:
    for count, reason in enumerate(reasons):
        if count == MAX_REASONS:
            yield "and more of the kind"
            return
        yield reason


def _what_is_wrong(
    record: RunRecord,
    workloads: Sequence[Sequence[Operation]],
    client_window: int,
    faulty: Collection[tuple[int, int]],
) -> Iterator[str]:
    configurations: dict[int, Configuration] = {}
    try:
        for signed in record.configurations:
            configurations[signed.statement.number] = demand_issued(signed, record.olympus_key)
    except ProtocolViolation as violation:
        yield f"a configuration is not Olympus's: {violation}"
        return
    yield from _wrong_exchanges(record, workloads, configurations)
    history = sorted(
        (exchange for client in record.clients for exchange in client.exchanges),
        key=lambda exchange: exchange.answer.outcome.place,
    )
    is_complete = _is_complete(record, workloads)
    replayed = RunningState(client_window)
    yield from _wrong_replay(history if is_complete else _known_prefix(history), replayed)
    yield from _wrong_order_in_time(record.clients)
    yield from _wrong_final_states(record, configurations, replayed if is_complete else None, faulty)


def _wrong_exchanges(
    record: RunRecord, workloads: Sequence[Sequence[Operation]], configurations: Mapping[int, Configuration]
) -> Iterator[str]:
    """Requests that the client did not sign or that are not its workload, and results without a valid proof."""
    for client in record.clients:
        remaining = iter(workloads[client.client])
        for number, exchange in enumerate(client.exchanges):
            request = exchange.request.statement
            name = f"client {client.client}, request {number}"
            if (request.client, request.number) != (client.client, number):
                yield f"{name}: the record holds request {request.number} of client {request.client}"
                return  # what follows is out of step
            if any(operation != next(remaining, None) for operation in request.operations):
                yield f"{name}: the operations are not those of the workload"
            configuration = configurations.get(exchange.answer.configuration)
            if configuration is None:
                yield f"{name}: answered in configuration {exchange.answer.configuration}, which was never issued"
                continue
            try:
                configuration.demand_signed_by_client(exchange.request)
                exchange.answer.check(exchange.request, configuration)
            except ProtocolViolation as violation:
                yield f"{name}: {violation.kind}: {violation}"


def _known_prefix(history: Sequence[Exchange]) -> Sequence[Exchange]:
    """The history up to the first place whose request is not on record.

    In a run that was cut short a request may have been executed whose answer nobody accepted; what comes behind it
    may show its effect, so a replay without it says nothing.
    """
    slot = index = size = 0
    for known, exchange in enumerate(history):
        place = exchange.answer.outcome.place
        if place not in ((0, slot, index), (0, slot + 1, 0) if index == size else None):
            return history[:known]
        slot, index = place[1], place[2] + 1
        size = len(exchange.answer.request_digests)
    return history


def _wrong_replay(history: Sequence[Exchange], state: RunningState) -> Iterator[str]:
    """Results that replaying the history, on `state`, does not give; two requests executed at one place."""
    previous = None
    for exchange in history:
        request, outcome = exchange.request.statement, exchange.answer.outcome
        name = f"client {request.client}, request {request.number}"
        if outcome.place == previous:
            yield f"{name}: executed at the place of another request, {_place(outcome.place)}"
        previous = outcome.place
        configuration, slot, index = outcome.place
        expected = state.execute_at(configuration, slot, index, request)
        if expected.results != outcome.results:
            yield f"{name}, {_place(outcome.place)}: returned {outcome.results}, a replay gives {expected.results}"


def _wrong_order_in_time(clients: Sequence[ClientRecord]) -> Iterator[str]:
    """Operations that returned before another was sent and yet stand behind it in the history."""
    for clock in sorted({client.clock for client in clients}):
        exchanges = [exchange for client in clients if client.clock == clock for exchange in client.exchanges]
        by_return = iter(sorted(exchanges, key=lambda exchange: exchange.accepted_ns))
        returned = next(by_return, None)
        latest: Exchange | None = None
        for sent in sorted(exchanges, key=lambda exchange: exchange.sent_ns):
            while returned is not None and returned.accepted_ns < sent.sent_ns:
                if latest is None or returned.answer.outcome.place > latest.answer.outcome.place:
                    latest = returned
                returned = next(by_return, None)
            if latest is not None and latest.answer.outcome.place > sent.answer.outcome.place:
                before, after = latest.request.statement, sent.request.statement
                yield (
                    f"client {before.client}, request {before.number} returned before client {after.client}, request "
                    f"{after.number} was sent, but stands behind it: {_place(latest.answer.outcome.place)} against "
                    f"{_place(sent.answer.outcome.place)}"
                )


def _wrong_final_states(
    record: RunRecord,
    configurations: Mapping[int, Configuration],
    replayed: RunningState | None,
    faulty: Collection[tuple[int, int]],
) -> Iterator[str]:
    """Final reports that are not the replica's, and states that differ from the replayed one.

    Where the history is not known to its end, `replayed` is None, and replicas may still differ in what was on its way.
    """
    expected = None if replayed is None else replayed.digest()
    digests: dict[int, bytes] = {}
    for signed in record.replicas:
        report = signed.statement
        if (report.configuration, report.position) in faulty:
            continue
        configuration = configurations.get(report.configuration)
        name = f"replica {report.position} of configuration {report.configuration}"
        if configuration is None or not signed.is_authentic(configuration.replica_key(report.position)):
            yield f"{name}: its final report is not signed by it"
            continue
        digests[report.position] = report.state_digest
        if expected is not None and report.state_digest != expected:
            yield f"{name}: its final state is not the one that a replay of the history gives"
    if record.final_state is not None and digests and record.final_state.digest() not in digests.values():
        yield "the recorded final state is that of no replica"


def _what_is_missing(
    record: RunRecord, workloads: Sequence[Sequence[Operation]], faulty: Collection[tuple[int, int]]
) -> Iterator[str]:
    recorded = {client.client: client for client in record.clients}
    for client, workload in enumerate(workloads):
        answered = _operations(recorded[client]) if client in recorded else 0
        if answered < len(workload):
            yield f"client {client}: {answered} of {len(workload)} operations answered"
    if not record.configurations:
        yield "no configuration was issued"
        return
    last = record.configurations[-1].statement
    reported = {signed.statement.position for signed in record.replicas}
    for position in range(len(last.replicas)):
        if position not in reported and (last.number, position) not in faulty:
            yield f"replica {position} of configuration {last.number}: no final report"
    if record.final_state is None:
        yield "no replica gave its final state"


def _is_complete(record: RunRecord, workloads: Sequence[Sequence[Operation]]) -> bool:
    return sum(map(_operations, record.clients)) == sum(map(len, workloads))


def _operations(client: ClientRecord) -> int:
    return sum(len(exchange.request.statement.operations) for exchange in client.exchanges)


def _place(place: tuple[int, int, int]) -> str:
    configuration, slot, index = place
    return f"configuration {configuration}, slot {slot}" + (f", request {index} in it" if index else "")
