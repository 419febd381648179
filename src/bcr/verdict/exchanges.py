"""What the judge of any protocol asks of the exchanges on record (specification, 10.3): whose they are, whether all, what to call them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from bcr.chain.messages import demand_within_limits
from bcr.objects.operation import Operation
from bcr.scenario.workload import Filled
from bcr.signed.violations import BeyondLimits
from bcr.verdict.record import ClientRecord, Exchange, RunRecord

MAX_REASONS = 20

Place = tuple[int, int, int]  # in the history: configuration, slot or index, and which there


class RequestsOfClient(Protocol):
    """What a client was to send: how many requests, and by number the operations of each."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Sequence[Operation]: ...


Workloads = Sequence[RequestsOfClient]  # by client


def first_reasons(reasons: Iterator[str]) -> Iterator[str]:
    """As many of them as anybody reads, and a word where there are more."""
    for count, reason in enumerate(reasons):
        if count == MAX_REASONS:
            yield "and more of the kind"
            return
        yield reason


def name_of(exchange: Exchange) -> str:
    """Whose request it is, and which, for a reason."""
    return f"client {exchange.request.statement.client}, request {exchange.request.statement.number}"


def as_sent(record: RunRecord, workloads: Workloads) -> Workloads:
    """The workloads, and in place of those whose requests filled themselves the requests that their clients have on record."""
    sizes: dict[int, dict[tuple[int, int], int]] = {}  # of requests, by client and, in the order of sending, client number and number
    for client in record.clients:
        sizes_of_client = sizes.setdefault(client.client, {})
        for signed in (*(exchange.request for exchange in client.exchanges), *client.without_answer, *client.lost):
            request = signed.statement
            sizes_of_client[request.client, request.number] = len(request.operations)
    return [
        each.of_sizes([size for _, size in sorted(sizes.get(client, {}).items())]) if isinstance(each, Filled) else each
        for client, each in enumerate(workloads)
    ]


def is_clients_own(exchange: Exchange, client: int, workloads: Workloads) -> bool:
    """Whether a request in the record of this client names it, and there is such a client."""
    return exchange.request.statement.client == client and 0 <= client < len(workloads)


def wrong_request(exchange: Exchange, client: int, workloads: Workloads, seen: set[tuple[int, int]]) -> Iterator[str]:
    """What is wrong with a request in the record of a client, of which the requests `seen` stand before it; they grow by it."""
    request, name = exchange.request.statement, name_of(exchange)
    if not is_clients_own(exchange, client, workloads):
        yield f"{name}: stands in the record of client {client}, of {len(workloads)} clients"
        return
    if (request.client, request.number) in seen:
        yield f"{name}: stands in the record twice"
    seen.add((request.client, request.number))
    if not 0 <= request.number < len(workloads[client]):
        yield f"{name}: the workload has {len(workloads[client])} requests"
    elif request.operations != tuple(workloads[client][request.number]):
        yield f"{name}: the operations are not those of the workload"


def _answered(record: RunRecord) -> set[tuple[int, int]]:
    """Client and number of every request that has an answer on record."""
    statements = (exchange.request.statement for client in record.clients for exchange in client.exchanges)
    return {(statement.client, statement.number) for statement in statements}


def _settled(record: RunRecord) -> set[tuple[int, int]]:
    """The same, and of those whose answer nobody is owed any more: their sessions have ended, or there was no room for them."""
    others = (signed.statement for client in record.clients for signed in (*client.lost, *(each.request for each in client.rejected)))
    return _answered(record) | {(statement.client, statement.number) for statement in others}


def is_complete(record: RunRecord, workloads: Workloads) -> bool:
    """Whether every request of the workloads has an answer on record, or is on record as lost."""
    counts = _settled_counts(record, workloads)
    return all(counts[client] == len(workload) for client, workload in enumerate(workloads))


def _settled_counts(record: RunRecord, workloads: Workloads) -> Counter[int]:
    """How many requests of its workload each client has settled. Numbers are counted and not tried: a record may have any."""
    return Counter(client for client, number in _settled(record) if 0 <= client < len(workloads) and 0 <= number < len(workloads[client]))


def missing_answers(record: RunRecord, workloads: Workloads) -> Iterator[str]:
    """Of each client that has not all answers, how many it has; and which of its requests no replica ever executes."""
    counts = _settled_counts(record, workloads)
    for client, workload in enumerate(workloads):
        if counts[client] < len(workload):
            yield f"client {client}: {counts[client]} of {len(workload)} requests answered"
    for request in (each for client in record.clients for each in client.unanswered):
        try:
            demand_within_limits(request)
        except BeyondLimits as violation:
            yield f"client {request.statement.client}: request {request.statement.number} is rejected by all replicas: {violation.what}"


def wrong_order_in_time(clients: Sequence[ClientRecord], name_of_place: Callable[[Place], str]) -> Iterator[str]:
    """Requests that were answered before another was sent, on one clock, and yet stand behind it in the history."""
    for clock in sorted({client.clock for client in clients}):
        exchanges = [exchange for client in clients if client.clock == clock for exchange in client.exchanges]
        by_answer = iter(sorted(exchanges, key=lambda exchange: exchange.accepted_ns))
        earlier_answer = next(by_answer, None)
        latest: Exchange | None = None
        for sent in sorted(exchanges, key=lambda exchange: exchange.sent_ns):
            while earlier_answer is not None and earlier_answer.accepted_ns < sent.sent_ns:
                if latest is None or earlier_answer.answer.outcome.place > latest.answer.outcome.place:
                    latest = earlier_answer
                earlier_answer = next(by_answer, None)
            if latest is not None and latest.answer.outcome.place > sent.answer.outcome.place:
                yield (
                    f"{name_of(latest)} was answered before {name_of(sent)} was sent, but stands behind it: "
                    f"{name_of_place(latest.answer.outcome.place)} against {name_of_place(sent.answer.outcome.place)}"
                )
