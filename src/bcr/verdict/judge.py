"""The verdict on a recorded run: is what clients accepted what a correct service would have answered? (Specification, 10.3.)

Nothing here believes a log or a counter. The clients' signed requests and the replicas' signed results are checked
again, put in the order of the history, and replayed on a fresh state.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from bcr.braft.replies import Agreed
from bcr.chain.configuration import Membership, demand_issued
from bcr.chain.proofs import Answer, Vouched
from bcr.chain.void import AnswerToOther, named_in, without_void
from bcr.faults.plans import spoiled_by, struck_by
from bcr.objects.finding import DEFAULT
from bcr.objects.replicated import ReplicatedObject
from bcr.objects.sizes import DEFAULT_LIMITS, StateLimits
from bcr.raft.rpcs import Response
from bcr.signed.authentication import keys_of
from bcr.signed.signing import KEY_SEED_SIZE, Signed
from bcr.signed.statements import Order, Result, SignedRequest
from bcr.signed.violations import NotEnoughStatements, NotFinal, ProtocolViolation
from bcr.state.running import RunningState
from bcr.verdict.by_session import by_session
from bcr.verdict.exchanges import (
    Workloads,
    as_sent,
    first_reasons,
    is_clients_own,
    is_complete,
    missing_answers,
    name_of,
    wrong_order_in_time,
    wrong_request,
)
from bcr.verdict.linearizability import is_linearizable
from bcr.verdict.model import Model
from bcr.verdict.owing import why_nothing_is_owed
from bcr.verdict.record import Exchange, ReplicaReport, RunRecord, is_final
from bcr.verdict.rejected import is_rejected_by_replicas, remarks_on_rejected, with_what_took_their_numbers, wrong_rejections

Status = Literal["pass", "fail", "unknown"]


WITHOUT_OLYMPUS = "Olympus ended before the run did: the chain served on, and could not have been replaced"
MAX_SEARCHED = 12  # requests, of which every order is tried


class Judgement(msgspec.Struct, frozen=True):
    """A verdict and its reasons, at most MAX_REASONS of each kind.

    `fail`: something is wrong. `unknown`: nothing is wrong as far as the record goes, but it does not go to the end.
    """

    status: Status
    reasons: tuple[str, ...] = ()


class Hindrance(str):
    """Why a run was given up, where it was the machine's fault, as when a disk is full: nothing is owed then."""


def judge(
    record: RunRecord,
    workloads: Workloads,
    client_window: int,
    *,
    liars: Collection[int] = (),
    given_up: str | None = None,
    patience_ms: int = 0,
    limits: StateLimits = DEFAULT_LIMITS,
    replicated: ReplicatedObject[Any] | str = DEFAULT,
    session_slots: int = 0,
    leavers: Collection[int] | None = None,
) -> Judgement:
    """The verdict on a run whose client k was to have the operations `workloads[k][n]` executed as its request n.

    `replicated` is the object that they are operations of, the dictionary if not given.

    A replica that a fault struck owes no final report, and one whose state it spoiled is not held to it. `liars` are
    clients with faults of their own: nothing is owed to them and nothing that they recorded is judged. What they had
    executed may be on no record, and then the replay ends there, which the reasons say of a pass too.

    `given_up` says why the run did not go to its end, where it did not: a `fail` if a request is unanswered that
    is owed an answer (bcr.verdict.owing), and it is no Hindrance. `patience_ms` is how long faults may make a replica
    stand still before it counts as one of the t; `limits` is how large the state may become. After `session_slots` slots sessions
    end, if it is not 0; `leavers` are clients that go before their work is done, None where it is not known who those are.
    Never raises, whatever the record holds.
    """
    if any(isinstance(each.answer, Response | Agreed) for client in record.clients for each in client.exchanges):
        return Judgement("fail", ("the record holds answers of Raft, which prove nothing here",))
    record, workloads = by_session(record, as_sent(record, workloads), leavers, liars)
    record, workloads = with_what_took_their_numbers(record, workloads)
    believed = _without(record, liars)
    owed: Workloads = [() if client in liars else workload for client, workload in enumerate(workloads)]
    unreplayed: list[str] = []
    service = Model(client_window, limits, replicated, session_slots)
    if record.initial_state is not None:
        try:
            service.begin_with(record.initial_state)
        except ProtocolViolation as violation:
            return Judgement("fail", (f"the recorded initial state cannot be read: {violation}",))
    reasons = list(first_reasons(_what_is_wrong(believed, owed, service, _proved(record, liars), unreplayed)))
    if reasons:
        return Judgement("fail", tuple(reasons))
    gaps = list(first_reasons(_what_is_missing(believed, owed)))
    if isinstance(given_up, Hindrance):
        return Judgement("unknown", (given_up, *gaps))
    if given_up is not None:
        excuse = "all requests are answered" if is_complete(believed, owed) else None
        excuse = excuse or why_nothing_is_owed(believed, {k for k, each in enumerate(owed) if len(each)}, patience_ms)
        if excuse is None:
            return Judgement("fail", (f"{given_up}, and the protocol owes the answers", *gaps))
        return Judgement("unknown", (given_up, excuse, *gaps))
    remarks = [*([WITHOUT_OLYMPUS] if record.is_without_olympus else ()), *remarks_on_rejected(believed)]
    return Judgement("unknown", (*remarks, *gaps)) if gaps else Judgement("pass", (*remarks, *unreplayed))


def _without(record: RunRecord, liars: Collection[int]) -> RunRecord:
    """The record without what these clients recorded."""
    if not liars:
        return record
    return msgspec.structs.replace(record, clients=tuple(each for each in record.clients if each.client not in liars))


def _proved(record: RunRecord, liars: Collection[int]) -> list[Exchange] | None:
    """What liars recorded of slots in which their request was executed; None where nobody lies.

    Its proofs are yet to be checked. An answer from another slot does not show what was executed there: a liar gives several
    requests one number.
    """
    if not liars:
        return None
    recorded = (each for client in record.clients if client.client in liars for each in client.exchanges)
    return [each for each in recorded if _is_of_its_slot(_recorded(each))]


def _recorded(exchange: Exchange) -> Answer | Vouched | AnswerToOther:
    """What the client has on record, in a record of which `judge` has seen that it is of the chain."""
    assert not isinstance(exchange.answer, Response | Agreed)
    return exchange.answer


def _answer(exchange: Exchange) -> Answer | Vouched:
    """What the client was answered, be it to the void request in the place of its own."""
    return without_void(_recorded(exchange))


def _is_of_its_slot(answer: Answer | Vouched | AnswerToOther) -> bool:
    if isinstance(answer, AnswerToOther):
        return False  # there the void one stands
    index = answer.index if isinstance(answer, Answer) else answer.outcome.index
    return answer.outcome.place == (answer.configuration, answer.slot, index)


def _what_is_wrong(
    record: RunRecord,
    workloads: Workloads,
    service: Model,
    recorded_by_liars: Sequence[Exchange] | None,
    unreplayed: list[str],
) -> Iterator[str]:
    """Everything that is wrong with a record of clients that do not lie.

    `service` is the model of it that nothing has been executed on. `recorded_by_liars` is None where all clients are such; `unreplayed` gets a word on results that no replay reached.
    """
    # With Olympus's eyes, where that takes a secret; otherwise with anybody's.
    seed = record.olympus_secret if len(record.olympus_secret) == KEY_SEED_SIZE else bytes(KEY_SEED_SIZE)
    keys = keys_of(record.authentication, seed)
    configurations: dict[int, Membership] = {}
    for signed in record.configurations:
        try:
            issued = demand_issued(signed, record.olympus_key, keys)
        except ProtocolViolation as violation:
            yield f"a configuration is not Olympus's: {violation}"
            return
        if configurations.setdefault(issued.number, issued).issued != issued.issued:
            yield f"there are two configurations {issued.number}"
            return
    yield from _wrong_exchanges(record, workloads, configurations)
    yield from wrong_rejections(record.clients, partial(is_rejected_by_replicas, configurations=configurations))
    history = sorted(
        (exchange for client in record.clients for exchange in client.exchanges),
        key=lambda exchange: exchange.answer.outcome.place,
    )
    yield from _wrong_slots(history, is_resigned=not keys.is_transferable)
    losses = sum(len(client.lost) for client in record.clients)
    is_answered = is_complete(record, workloads)
    is_whole = is_answered and not losses
    if recorded_by_liars is not None:
        exchanges_by_place = {each.answer.outcome.place: each for each in recorded_by_liars if is_proved(each, configurations)}
        unjudged = {each.request.statement.client for each in exchanges_by_place.values()}
        history = sorted((*history, *exchanges_by_place.values()), key=lambda exchange: exchange.answer.outcome.place)
        is_whole = is_whole and _has_every_slot(history, record) and _explains(history, record, service)
    else:
        unjudged = set()
    replayed = service.copy()
    replayable = history if is_whole else _known_prefix(history)
    yield from _wrong_replay(replayable, replayed, unjudged)
    if recorded_by_liars is not None and not is_whole:
        judged = [each.request.statement.client not in unjudged for each in history]
        unreplayed.append(
            f"{sum(judged[: len(replayable)])} of {sum(judged)} results replayed, and not the final state: "
            "what else was executed only clients know that lie"
        )
    if losses and not is_whole:
        unreplayed.append(f"of {losses} requests nobody knows whether they were executed: their sessions had ended when they asked")
    yield from wrong_order_in_time(record.clients, _place)
    anew = Model(service.client_window, service.limits, service.replicated)  # which takes requests in any order, whoever is in session
    if record.initial_state is not None:
        anew.begin_with(record.initial_state)
    if is_whole and not unjudged and _can_be_searched(record) and not is_linearizable(history, anew):
        yield "no order of the operations explains their results"
    yield from _wrong_final_states(record, configurations, replayed if is_whole else None)
    yield from _wrong_final_outcomes(record, service, is_answered)


def is_proved(exchange: Exchange, configurations: Mapping[int, Membership]) -> bool:
    """Whether replicas have shown that they executed this request at its place, whoever recorded that."""
    configuration = configurations.get(exchange.answer.configuration)
    if configuration is None:
        return False
    try:
        named, answer = _demand_signed(exchange, configuration), _answer(exchange)
        if isinstance(answer, Answer):
            answer.check(named, configuration, executed=exchange.request)
        else:
            answer.demand_for(named, configuration.olympus, exchange.request)
    except ProtocolViolation:
        return False
    return True


def _has_every_slot(history: Sequence[Exchange], record: RunRecord) -> bool:
    """Whether there is a request for every place of every slot that replicas say they have executed."""
    indices: dict[tuple[int, int], set[int]] = {}  # places, by configuration and slot
    sizes: dict[tuple[int, int], int] = {}
    for exchange in history:
        answer = _answer(exchange)
        configuration, slot, index = answer.outcome.place
        indices.setdefault((configuration, slot), set()).add(index)
        if isinstance(answer, Answer):
            indices.setdefault((answer.configuration, answer.slot), set()).add(answer.index)
            sizes[answer.configuration, answer.slot] = answer.size
    slots_by_configuration: dict[int, int] = {}  # by configuration, slots that somebody says it has executed
    for report in (signed.statement for signed in record.replicas):
        slots_by_configuration[report.configuration] = max(report.slots, slots_by_configuration.get(report.configuration, 0))
    places = (
        (configuration, slot) for configuration, slots in slots_by_configuration.items() for slot in range(min(slots, len(indices) + 1))
    )
    return all(len(indices.get(place, ())) == sizes.get(place) for place in places)


def _explains(history: Sequence[Exchange], record: RunRecord, service: Model) -> bool:
    """Whether these requests and no others give the recorded final state, so that none is missing among them."""
    model = service.copy()
    for exchange in history:
        model.execute(exchange.answer.outcome.place, exchange.request.statement)
    return record.final_state is not None and record.final_state.digest() == model.snapshot().digest()


def _can_be_searched(record: RunRecord) -> bool:
    """Whether a second opinion, which knows nothing of slots and proofs, can be had: few requests, all on one clock."""
    is_short = sum(len(client.exchanges) for client in record.clients) <= MAX_SEARCHED
    return is_short and len({client.clock for client in record.clients}) == 1


def _wrong_exchanges(record: RunRecord, workloads: Workloads, configurations: Mapping[int, Membership]) -> Iterator[str]:
    """Requests that the client did not sign or that are not its workload, and results without a valid proof."""
    requests: set[tuple[int, int]] = set()
    for client in record.clients:
        for exchange in client.exchanges:
            name = name_of(exchange)
            yield from wrong_request(exchange, client.client, workloads, requests)
            if not is_clients_own(exchange, client.client, workloads):
                continue
            configuration = configurations.get(exchange.answer.configuration)
            if configuration is None:
                continue  # cannot be checked, which counts as missing
            try:
                _demand_answer(exchange, configuration)
            except ProtocolViolation as violation:
                yield f"{name}: {violation.kind}: {violation}"


def _demand_signed(exchange: Exchange, configuration: Membership) -> SignedRequest:
    """The request that the answer names; raises a ProtocolViolation unless the client signed that and its own."""
    configuration.demand_signed_by_client(exchange.request)
    return named_in(_recorded(exchange), exchange.request, configuration)


def _demand_answer(exchange: Exchange, configuration: Membership) -> None:
    """Raises a ProtocolViolation unless the client was right to accept this answer.

    Where statements do not convince everybody alike, a liar's may have convinced the client and nobody else. That of a
    correct replica, and the client's t+1 hold one, convinces Olympus too; and a statement of every replica must be there.
    """
    named, answer = _demand_signed(exchange, configuration), _answer(exchange)
    if isinstance(answer, Vouched):
        answer.demand_for(named, configuration.olympus, exchange.request)
        return
    try:
        answer.check(named, configuration, executed=exchange.request)
    except (NotEnoughStatements, NotFinal):
        if configuration.is_transferable or not _is_vouched_for(answer, configuration):
            raise


def _is_vouched_for(answer: Answer, configuration: Membership) -> bool:
    result = answer.result()
    order = Order(result.configuration, result.slot, result.requests_digest)
    witnesses = {signed.signer for signed in answer.orders if signed.statement == order}
    witnesses |= {signed.signer for signed in answer.proof if replace(signed.statement, outcomes_digest=result.outcomes_digest) == result}
    if not configuration.needed <= witnesses:
        return False
    results = [signed for signed in answer.proof if signed.statement == result]
    signers = {signed.signer for signed in results if 0 <= signed.signer <= configuration.tail}
    return len(signers) >= configuration.quorum and any(
        signed.is_authentic(configuration.replica_author(signed.signer)) for signed in results if signed.signer in signers
    )


def _wrong_slots(history: Sequence[Exchange], is_resigned: bool) -> Iterator[str]:
    """Slots of which clients accepted different things, and answers that contradict the execution they tell of.

    Where clients sign their requests anew for each configuration, as `is_resigned` says, a request is not known by its
    digest in another configuration than that of its answer.
    """
    results: dict[tuple[int, int], Result] = {}
    requests: dict[tuple[int, int, int], bytes] = {}  # place in a slot -> digest of the request that stands there
    for exchange in history:
        answer = _answer(exchange)
        if isinstance(answer, Vouched):
            if answer.outcome.place[:2] > (answer.configuration, answer.slot):
                yield f"{name_of(exchange)}: vouched for in slot {answer.slot}, executed at {_place(answer.outcome.place)}"
            continue
        try:
            result = answer.result()
        except ProtocolViolation:
            continue  # told among the wrong exchanges
        if answer.outcome.place > (answer.configuration, answer.slot, answer.index):
            yield f"{name_of(exchange)}: answered in slot {answer.slot}, executed at {_place(answer.outcome.place)}"
        if results.setdefault((answer.configuration, answer.slot), result) != result:
            yield f"{name_of(exchange)}: slot {answer.slot} of configuration {answer.configuration} has two results"
        requests[answer.configuration, answer.slot, answer.index] = answer.request_digest
    for exchange in history:
        answer = _answer(exchange)
        place = answer.outcome.place
        if isinstance(answer, Vouched) or (is_resigned and place[0] != answer.configuration):
            continue
        digest = exchange.request.digest() if isinstance(exchange.answer, AnswerToOther) else answer.request_digest
        if requests.get(place, digest) != digest:
            yield f"{name_of(exchange)}: executed at {_place(place)}, where another request stands"


def _known_prefix(history: Sequence[Exchange]) -> Sequence[Exchange]:
    """The history up to the first place whose request is not on record.

    In a run that was cut short a request may have been executed whose answer nobody accepted; what comes behind it
    may show its effect, so a replay without it says nothing.
    """
    slot, index, size = -1, 0, 0
    for length, exchange in enumerate(history):
        answer = exchange.answer
        place = answer.outcome.place
        if place not in ((0, slot, index), (0, slot + 1, 0) if index == size else None):
            return history[:length]
        slot, index = place[1], place[2] + 1
        # An answer from another slot, where the request was ordered once more, does not tell the size of this one.
        is_of_this_slot = isinstance(answer, Answer) and (answer.configuration, answer.slot) == place[:2]
        size = answer.size if isinstance(answer, Answer) and is_of_this_slot else -1
    return history


def _wrong_replay(history: Sequence[Exchange], model: Model, unjudged: Collection[int]) -> Iterator[str]:
    """Results that replaying the history, on `model`, does not give; two requests executed at one place.

    Clients that are `unjudged` have their requests executed, and their results are not looked at.
    """
    previous = None
    for exchange in history:
        request, outcome, name = exchange.request.statement, exchange.answer.outcome, name_of(exchange)
        if outcome.place == previous:
            yield f"{name}: executed at the place of another request, {_place(outcome.place)}"
        previous = outcome.place
        _, expected = model.execute(outcome.place, request)
        if expected != outcome.results and request.client not in unjudged:
            yield f"{name}, {_place(outcome.place)}: returned {outcome.results}, a replay gives {expected}"


def _wrong_final_states(record: RunRecord, configurations: Mapping[int, Membership], replayed: Model | None) -> Iterator[str]:
    """Final reports that are not the replica's, and states that differ from the replayed one.

    Where the history is not known to its end, `replayed` is None. Replicas may then differ in what was on its way, but
    not where they have executed equally many slots.
    """
    expected = None if replayed is None else replayed.snapshot().digest()
    spoiled = spoiled_by(record.faults)
    digests: dict[tuple[int, int], bytes] = {}  # (configuration, slots executed) -> digest of the running state
    for signed in record.replicas:
        report = signed.statement
        configuration = configurations.get(report.configuration)
        if configuration is None or report.state_digest is None or (report.configuration, report.position) in spoiled:
            continue
        name = f"replica {report.position} of configuration {report.configuration}"
        if not _is_report_of_its_replica(signed, configuration):
            yield f"{name}: its final report is not signed by it"
        elif expected is not None and report.configuration == max(configurations):
            if report.state_digest != expected:
                yield f"{name}: its final state is not the one that a replay of the history gives"
        elif digests.setdefault((report.configuration, report.slots), report.state_digest) != report.state_digest:
            yield f"{name}: its final state is not that of another replica behind the same slot"
    if expected is not None and record.final_state is not None and record.final_state.digest() != expected:
        yield "the recorded final state is not the one that a replay of the history gives"


def _wrong_final_outcomes(record: RunRecord, service: Model, is_answered: bool) -> Iterator[str]:
    """Accepted results that the final state knows otherwise, or not at all where all have been answered.

    It holds the outcomes of each client's latest requests, so this needs no account of what else was executed.
    """
    if record.final_state is None:
        return
    try:
        session_slots = 0 if service.admission is None else service.admission.session_slots
        final_state = RunningState.restored(
            record.final_state, service.client_window, replicated=service.replicated, session_slots=session_slots
        )
    except ProtocolViolation as violation:
        yield f"the recorded final state cannot be read: {violation}"
        return
    for client in record.clients:
        if final_state.sessions is not None and client.client not in final_state.sessions.open_sessions():
            continue  # nothing is remembered of it
        outcomes = final_state.outcomes.get(client.client, {})
        newest = max((exchange.request.statement.number for exchange in client.exchanges), default=0)
        for exchange in client.exchanges:
            number = exchange.request.statement.number
            outcome = outcomes.get(number)
            if outcome is None:
                if is_answered and number > newest - service.client_window:
                    yield f"{name_of(exchange)}: accepted, and not in the recorded final state"
            elif outcome != exchange.answer.outcome:
                yield f"{name_of(exchange)}: accepted as {exchange.answer.outcome}, and the final state holds {outcome}"


def _is_report_of_its_replica(signed: Signed[ReplicaReport], configuration: Membership) -> bool:
    position = signed.statement.position
    return 0 <= position <= configuration.tail and signed.is_authentic(configuration.replica_author(position))


def _what_is_missing(record: RunRecord, workloads: Workloads) -> Iterator[str]:
    yield from missing_answers(record, workloads)
    if not record.configurations:
        yield "no configuration was issued"
        return
    issued = {signed.statement.number: signed.statement for signed in record.configurations}
    numbers = {exchange.answer.configuration for client in record.clients for exchange in client.exchanges}
    numbers |= {signed.statement.configuration for signed in record.replicas}
    for number in sorted(numbers - set(issued)):
        yield f"configuration {number}, of which there is an answer or a report, is not on record"
    last = issued[max(issued)]
    reports = (signed.statement for signed in record.replicas)
    reported = {(report.configuration, report.position) for report in reports if is_final(report)}
    struck = struck_by(record.faults)
    for position in range(len(last.replicas)):
        if (last.number, position) not in reported | struck:
            yield f"replica {position} of configuration {last.number}: no final report"
    if record.final_state is None:
        yield "no replica gave its final state"


def _place(place: tuple[int, int, int]) -> str:
    configuration, slot, index = place
    return f"configuration {configuration}, slot {slot}" + (f", request {index} in it" if index else "")
