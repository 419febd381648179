"""The verdict on a recorded run of Raft: are the clients' results those of one service, which took requests in the order of its log?
(Specification, 14.9.)

Nothing is signed, so the record is believed on who said what. Checked is whether it fits together. Results are put in the order
of the log, replayed on a model, and compared with their order in real time. On short runs there is a second check, which knows nothing of logs.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from bcr.faults.plans import ends_of_failed_links, faulty_by, keeps_clients_waiting, spoiled_in_raft, struck_by
from bcr.objects.finding import DEFAULT
from bcr.objects.replicated import ReplicatedObject
from bcr.objects.sizes import DEFAULT_LIMITS, StateLimits
from bcr.raft.log import BEGINNING
from bcr.raft.reads import AMONG_READS
from bcr.verdict.exchanges import MAX_REASONS, Workloads, is_complete, missing_answers, name_of, wrong_order_in_time, wrong_request
from bcr.verdict.judge import MAX_SEARCHED, Hindrance, Judgement
from bcr.verdict.linearizability import is_linearizable
from bcr.verdict.model import Model
from bcr.verdict.record import Exchange, RunRecord
from bcr.verdict.rejected import remarks_on_rejected, with_what_took_their_numbers


def judge_raft(
    record: RunRecord,
    workloads: Workloads,
    client_window: int,
    *,
    given_up: str | None = None,
    patience_ms: int = 0,
    limits: StateLimits = DEFAULT_LIMITS,
    replicated: ReplicatedObject[Any] | str = DEFAULT,
    per_fault: int = 2,
    is_answered_by_leader: bool = True,
    deciding: Collection[int] | None = None,
) -> Judgement:
    """The verdict on a run whose client k was to have `workloads[k][n]` executed as its request n. Never raises.

    `fail`: results or states do not fit together, or a run was given up (`given_up` says why) although no more than a minority had
    faults. `unknown`: nothing is wrong as far as the record goes, but it does not go to the end. A faulty server takes `per_fault`
    others to bear. Where clients are answered by the leader alone (`is_answered_by_leader`), a faulty one may keep them waiting. A final
    report is owed by the servers that are `deciding`; where that is not known, by all up to the last that gave one.
    """
    record, workloads = with_what_took_their_numbers(record, workloads)
    reasons = list(_what_is_wrong(record, workloads, Model(client_window, limits, replicated)))[: MAX_REASONS + 1]
    if reasons:
        return Judgement("fail", tuple(reasons))
    gaps = tuple(_what_is_missing(record, workloads, deciding))
    if given_up is None:
        return Judgement("unknown" if gaps else "pass", (*remarks_on_rejected(record), *gaps))
    faulty_servers = faulty_by(record.faults, patience_ms).get(0, set())
    if deciding:  # else as many as are known of
        has_majority = per_fault * len(faulty_servers.intersection(deciding)) < len(deciding)
    else:
        servers = {signed.statement.position for signed in record.replicas} | faulty_servers
        has_majority = per_fault * len(faulty_servers) < max(len(servers), per_fault + 1)
    is_promised = has_majority and not (is_answered_by_leader and keeps_clients_waiting(record.faults))
    if isinstance(given_up, Hindrance) or not is_promised or is_complete(record, workloads):
        return Judgement("unknown", (given_up, *gaps))
    return Judgement("fail", (f"{given_up}, and a majority of the servers owes the answers", *gaps))


def _what_is_wrong(record: RunRecord, workloads: Workloads, model: Model) -> Iterator[str]:
    yield from _wrong_requests(record, workloads)
    exchanges = [exchange for client in record.clients for exchange in client.exchanges]
    history = sorted(exchanges, key=lambda exchange: exchange.answer.outcome.place)
    yield from _wrong_places(history)
    yield from wrong_order_in_time(record.clients, _place)
    is_whole = is_complete(record, workloads)
    if is_whole:
        # What was executed and not answered may show in the answers of others: without a log only a whole history can be replayed.
        unused_model = model.copy()
        yield from _wrong_replay(history, model)
        is_short = len(history) <= MAX_SEARCHED and len({client.clock for client in record.clients}) == 1
        if is_short and not is_linearizable(history, unused_model):
            yield "no order of the operations explains their results"
    else:
        yield from _wrong_by_log(record, history, model)
    yield from _wrong_final_states(record, model if is_whole else None, last_answered(history))


def _wrong_requests(record: RunRecord, workloads: Workloads) -> Iterator[str]:
    """Requests that are not of the client's workload, or stand there twice, and answers to others."""
    requests: set[tuple[int, int]] = set()
    for client in record.clients:
        for exchange in client.exchanges:
            yield from wrong_request(exchange, client.client, workloads, requests)


def _wrong_places(history: Sequence[Exchange]) -> Iterator[str]:
    """Two requests that were executed at one place of the log; reads stand together behind an entry."""
    for before, exchange in pairwise(history):
        place = exchange.answer.outcome.place
        if place == before.answer.outcome.place and place[2] != AMONG_READS:
            yield f"{name_of(exchange)}: executed at the place of {name_of(before)}, {_place(place)}"


def _wrong_replay(history: Sequence[Exchange], model: Model) -> Iterator[str]:
    for exchange in history:
        request, outcome = exchange.request.statement, exchange.answer.outcome
        is_read = outcome.index == AMONG_READS
        expected = model.read(request) if is_read else model.execute(outcome.place, request)[1]
        if expected != outcome.results:
            yield f"{name_of(exchange)}, {_place(outcome.place)}: returned {outcome.results}, a replay gives {expected}"


def _wrong_by_log(record: RunRecord, history: Sequence[Exchange], model: Model) -> Iterator[str]:
    """Answers that the log does not explain: for where not all is answered, and one server that does not lie holds its log from the beginning."""
    spoiled = {position for _, position in spoiled_in_raft(record.faults)}
    whole_logs = [log for log in record.logs if log.base == BEGINNING and log.position not in spoiled]
    if not whole_logs:
        return
    log = max(whole_logs, key=lambda each: each.applied)
    executed_index = 0
    for exchange in history:
        request, outcome = exchange.request.statement, exchange.answer.outcome
        if outcome.slot > log.applied:
            return  # nobody says what is behind that
        for index in range(executed_index + 1, outcome.slot + 1):
            for among, each in enumerate(log.entries[index - 1].requests):
                model.execute((0, index, among), each)
        executed_index = outcome.slot
        if outcome.index == AMONG_READS:
            expected = model.read(request)
        else:
            place, expected = model.executed.get((request.client, request.number), ((0, 0, 0), ()))
            if place != outcome.place:
                yield f"{name_of(exchange)}: answered from {_place(outcome.place)}, which is not where the log of server {log.position} has it"
                continue
        if expected != outcome.results:
            yield f"{name_of(exchange)}, {_place(outcome.place)}: returned {outcome.results}, the log of server {log.position} gives {expected}"


def last_answered(history: Iterable[Exchange]) -> int:
    """The index behind which nothing that was answered changes the state any more."""
    return max((each.answer.outcome.slot for each in history), default=0)


def _wrong_final_states(record: RunRecord, replayed: Model | None, last_index: int) -> Iterator[str]:
    """States of servers that have applied equally much and differ, or that differ from what a whole history gives.

    What stands in the log behind the last answer are requests that came again, and changes nothing.
    """
    spoiled = {position for _, position in spoiled_in_raft(record.faults)}
    digests: dict[int, bytes] = {}
    reports = [signed.statement for signed in record.replicas if signed.statement.position not in spoiled]
    expected = None if replayed is None else replayed.snapshot().digest()
    for report in reports:
        if report.state_digest is None:
            continue
        if digests.setdefault(report.slots, report.state_digest) != report.state_digest:
            yield f"server {report.position}: its state is not that of another server behind index {report.slots}"
        elif report.slots >= last_index and expected not in (None, report.state_digest):
            yield f"server {report.position}: its final state is not the one that a replay of the log gives"


def _what_is_missing(record: RunRecord, workloads: Workloads, deciding: Collection[int] | None) -> Iterator[str]:
    yield from missing_answers(record, workloads)
    if record.final_state is None:
        yield "no server gave its final state"
    last_index = last_answered(exchange for client in record.clients for exchange in client.exchanges)
    if all(signed.statement.slots < last_index for signed in record.replicas):
        yield f"no server told of a state behind index {last_index}, from which there is an answer"
    yield from _who_is_behind(record, deciding or (), last_index)
    reported = {signed.statement.position for signed in record.replicas}
    struck = {position for _, position in struck_by(record.faults)}
    owing = set(range(max(reported, default=-1) + 1)) if deciding is None else set(deciding)
    for position in sorted(owing - reported - struck):
        yield f"server {position}: no final report"


def _who_is_behind(record: RunRecord, deciding: Collection[int], last_index: int) -> Iterator[str]:
    """Servers that decide, that no fault keeps from it, and that have not applied at the end what was answered.

    Who has begun again from its disk owes what everybody owes; not so who is at an end of a link that has failed.
    """
    excused = {position for _, position in struck_by(fault for fault in record.faults if fault.failure.name != "restart")}
    excused |= ends_of_failed_links(record.faults)
    for report in (signed.statement for signed in record.replicas):
        if report.position in deciding and report.position not in excused and report.slots < last_index:
            yield f"server {report.position}: it has caught up to index {report.slots} only, and there is an answer from index {last_index}"


def _place(place: tuple[int, int, int]) -> str:
    _, index, among = place
    where = ", among the reads behind it" if among == AMONG_READS else f", request {among} in it" if among else ""
    return f"index {index}{where}"
