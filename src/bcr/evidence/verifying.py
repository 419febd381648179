"""What a record proves to a third party, checked offline (specification, 10.3): by whom each thing is said, and what nobody has shown.

It is sound in this sense: however somebody changes a record, what the changed one proves the first one proved too, as long as the
key of Olympus is the same. What no signature covers is never called proved.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from bcr.chain.configuration import Membership, demand_issued
from bcr.chain.history import CaughtUp, InitialHistory
from bcr.chain.proofs import Answer
from bcr.chain.void import without_void
from bcr.evidence.convictions import WHO_COULD_FORGE
from bcr.objects.finding import BUILT_IN
from bcr.objects.operation import Operation
from bcr.signed.authentication import keys_of
from bcr.signed.encoding import digest
from bcr.signed.signing import KEY_SEED_SIZE, Keys, Signed
from bcr.signed.statements import Checkpoint, Order, Result, SignedRequest
from bcr.signed.violations import ProtocolViolation
from bcr.verdict.by_session import by_session
from bcr.verdict.exchanges import first_reasons
from bcr.verdict.judge import is_proved, judge
from bcr.verdict.record import Exchange, ReplicaReport, RunRecord
from bcr.verdict.rejected import remarks_on_rejected

OLYMPUS = 0  # as the signer of its statements
MOST_CLIENTS = 1 << 20  # that a run numbers; what says so of more than that was not written by one
Claim = tuple[Any, ...]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What came of checking a record.

    `refused` says what is wrong, and is empty where nothing is; `proved` what signatures show, and whose; `supposed` what
    that rests on; `unproved` what the record says and nobody can check, or what is missing. `claims` are the facts proved.
    """

    refused: tuple[str, ...] = ()
    proved: tuple[str, ...] = ()
    supposed: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()
    claims: frozenset[Claim] = frozenset()


class _Recorded(Sequence[Sequence[Operation]]):
    """A client's requests as they stand in the record: what it signed is what it wanted."""

    def __init__(self, requests: Sequence[SignedRequest]) -> None:
        self._operations: Mapping[int, Sequence[Operation]] = {each.statement.number: each.statement.operations for each in requests}

    def __len__(self) -> int:
        # A record may have any numbers: what is beyond this is none of the workload's.
        return max(0, min(max(self._operations, default=-1) + 1, sys.maxsize))

    def __getitem__(self, number: Any) -> Any:
        return self._operations.get(number, ())


def verify_record(record: RunRecord, olympus_key: bytes | None = None) -> Verification:
    """What the record shows; `olympus_key`, where it is given, is the one that Olympus is known by."""
    if olympus_key is not None and olympus_key != record.olympus_key:
        return _refusal(f"the record is of another Olympus: its key is {record.olympus_key.hex()}")
    if record.authentication not in ("ed25519", "hmac", "crc"):
        return _refusal(f"statements under {record.authentication}, of which nothing is known")
    if record.object_name not in BUILT_IN:
        # To find it is to import, and so to run, what a stranger's file names.
        what = f"everything: it is of the object {record.object_name[:80]!r}, a program that is not run for a file's sake"
        return Verification(unproved=(what,))
    seed = record.olympus_secret if len(record.olympus_secret) == KEY_SEED_SIZE else bytes(KEY_SEED_SIZE)
    if record.authentication == "hmac" and len(record.olympus_secret) != KEY_SEED_SIZE:
        return Verification(unproved=("everything: MACs can be checked only by who has Olympus's secret, and it is not here",))
    keys = keys_of(record.authentication, seed)
    views: list[Membership] = []
    reasons = list(first_reasons(_wrong_numbers(record))) or list(_configurations(record, keys, views))
    if not reasons:
        reasons += first_reasons(_wrong_statements(record, {view.number: view for view in views}))
    if reasons:
        return Verification(refused=tuple(reasons))
    liars = set(record.faulty_clients)
    signed_reports = tuple(each for each in record.replicas if _is_own(each, views))
    unsigned = [each.statement for each in record.replicas if each not in signed_reports]
    record = msgspec.structs.replace(record, replicas=signed_reports)
    record, _ = by_session(record, [()] * (1 + max((each.client for each in record.clients), default=0)), None, liars)
    judgement = judge(record, _workloads(record), record.client_window, liars=liars, limits=record.limits, replicated=record.object_name,
                      session_slots=record.session_slots)  # fmt: skip
    if judgement.status == "fail":
        return Verification(refused=judgement.reasons)
    unsigned_reports = [
        f"the report of replica {each.position} of configuration {each.configuration}: it did not sign it" for each in unsigned
    ]
    rejections = [*remarks_on_rejected(record)]
    reasons = [each for each in judgement.reasons if each not in rejections]
    unproved = [*reasons, *unsigned_reports, *_unproved(record, liars, olympus_key is not None)]
    handed_over = {view.number: _signers_of_beginning(record, before, view) for before, view in pairwise(views)}
    exchanges = list(_shown(record, views, liars))
    is_whole = judgement.status == "pass" and not reasons and _is_end_signed(record, views[-1])
    if not is_whole:
        unproved.append(
            f"that these were all requests, and the state at the end: a replay does not come to a state that t+1 replicas of "
            f"configuration {views[-1].number} signed"
        )
    conclusions = list(_proved(exchanges, views, handed_over, is_whole))
    conclusions += [f"by more than t replicas, who signed it: {each}" for each in rejections if each in judgement.reasons]
    if record.authentication != "ed25519":
        forgers = WHO_COULD_FORGE[record.authentication]
        if record.authentication == "hmac":
            forgers += ", and this record holds that secret"
        fitting = tuple(f"though it fits together: {each}" for each in conclusions)
        return Verification(unproved=(f"under {record.authentication} nothing is: {forgers}", *fitting, *unproved))
    supposed = [f"no more than t replicas of a configuration are faulty (t = {views[0].t}), and Olympus is honest"]
    if record.initial_state is not None:
        supposed.append(f"the run began with the state that is recorded, {record.initial_state.digest().hex()[:16]}…, which nobody signed")
    return Verification(
        proved=tuple(conclusions), supposed=tuple(supposed), unproved=tuple(unproved), claims=_claims(record, exchanges, is_whole)
    )


def _refusal(what: str) -> Verification:
    return Verification(refused=(what,))


def _configurations(record: RunRecord, keys: Keys, views: list[Membership]) -> Iterator[str]:
    """What is wrong with the descent of the configurations from the first; `views` gets them, in their order."""
    if not record.configurations:
        yield "it holds no configuration, so nobody's statement can be checked"
        return
    for signed in record.configurations:
        try:
            view = demand_issued(signed, record.olympus_key, keys)
        except ProtocolViolation as violation:
            yield f"a configuration is not Olympus's: {violation}"
            return
        if not views and view.number < 0:
            yield f"the first configuration has number {view.number}"
            return
        if views:
            yield from _wrong_descent(views[-1], view)
        views.append(view)


def _wrong_descent(before: Membership, view: Membership) -> Iterator[str]:
    # Olympus leaves numbers out where replicas did not come up, and nobody heard of those configurations.
    if view.number <= before.number:
        yield f"configuration {view.number} stands behind configuration {before.number}"
    if (view.t, view.issued.authentication, view.issued.acceptance) != (
        before.t, before.issued.authentication, before.issued.acceptance,
    ):  # fmt: skip
        yield f"configuration {view.number} has other rules than configuration {before.number}"
    if [each.public_key for each in view.clients] != [each.public_key for each in before.clients]:
        yield f"configuration {view.number} has other clients than configuration {before.number}"
    shared = set(view.circle.replicas) & set(before.circle.replicas)
    if shared:
        yield f"configuration {view.number} has keys of configuration {before.number}, whose replicas have ended"


def _wrong_numbers(record: RunRecord) -> Iterator[str]:
    """Numbers of clients and sessions that no run gives: each would have its place in a list of them all."""
    for client in record.clients:
        for number in (client.client, *(session.client for session in client.sessions)):
            if not 0 <= number < MOST_CLIENTS:
                yield f"a client with the number {number:,}; they are from 0 to {MOST_CLIENTS - 1:,}"


def _wrong_statements(record: RunRecord, views: Mapping[int, Membership]) -> Iterator[str]:
    """Exhibits that their authors did not sign, and answers of configurations that are not there."""
    for exchange in (each for client in record.clients for each in client.exchanges):
        if exchange.answer.configuration not in views:
            yield f"an answer from configuration {exchange.answer.configuration}, which is not in the record"
    for exhibit in record.exhibits:
        statement = exhibit.statement
        if isinstance(statement, Order | Result | Checkpoint):
            continue  # what somebody found wrong: whose it is shows where it is used
        if isinstance(statement, InitialHistory):
            view = next(iter(views.values()))
            if exhibit.signer != OLYMPUS or not exhibit.is_authentic(view.olympus):
                yield f"the beginning of configuration {statement.configuration} is not Olympus's"
            continue
        yield from _wrong_signature(exhibit, views, type(statement).__name__)


def _is_own(report: Signed[ReplicaReport], views: Sequence[Membership]) -> bool:
    """Whether a report is that of the replica that it is about. Where it is not nothing is wrong: a liar may report anything."""
    statement = report.statement
    view = next((each for each in views if each.number == statement.configuration), None)
    if view is None or statement.position != report.signer or not 0 <= report.signer <= view.tail:
        return False
    return report.is_authentic(view.replica_author(report.signer))


def _is_end_signed(record: RunRecord, last: Membership) -> bool:
    """Whether t+1 replicas of the last configuration report the recorded final state, which a replay has come to.

    It holds what each client's latest requests gave, so no client's account is missing then. What the record says of faults
    excuses nobody here: whoever wrote the record could have written that too.
    """
    if record.final_state is None:
        return False
    state_digest = record.final_state.digest()
    reports = [each for each in record.replicas if each.statement.configuration == last.number]
    return len({each.signer for each in reports if each.statement.state_digest == state_digest}) >= last.quorum


def _wrong_signature(signed: Signed[Any], views: Mapping[int, Membership], name: str) -> Iterator[str]:
    number = signed.statement.configuration
    if number not in views:
        yield f"a {name} of configuration {number}, which is not in the record"
        return
    try:
        signed.demand_authentic(views[number].replica_author(signed.signer), f"replica {signed.signer}")
    except ProtocolViolation as violation:
        yield f"{name} of configuration {number}: {violation.kind}: {violation}"


def _workloads(record: RunRecord) -> list[_Recorded]:
    by_client: dict[int, list[SignedRequest]] = {}
    for client in record.clients:
        settled = (*(each.request for each in client.exchanges), *(each.request for each in client.rejected))
        by_client.setdefault(client.client, []).extend(settled)
    return [_Recorded(by_client.get(number, [])) for number in range(1 + max(by_client, default=-1))]


def _signers_of_beginning(record: RunRecord, before: Membership, view: Membership) -> list[int] | None:
    """Which replicas of the configuration before signed the state that Olympus says this one began with, if it says so."""
    beginnings = [each.statement for each in record.exhibits if isinstance(each.statement, InitialHistory)]
    digests = {each.state_digest for each in beginnings if each.configuration == view.number}
    if len(digests) != 1:
        return None
    endings = [each for each in record.exhibits if isinstance(each.statement, CaughtUp)]
    return sorted(
        {
            each.signer
            for each in endings
            if each.statement.configuration == before.number and each.statement.state_digest in digests  # type: ignore[union-attr]
        }
    )


def _shown(record: RunRecord, views: Sequence[Membership], liars: set[int]) -> Iterator[Exchange]:
    """The exchanges that hold. Those of clients that do not lie have been judged; of the others it may be some."""
    configurations = {view.number: view for view in views}
    for client in record.clients:
        for exchange in client.exchanges:
            if client.client not in liars or is_proved(exchange, configurations):
                yield exchange


def _proved(
    exchanges: Sequence[Exchange], views: Sequence[Membership], handed_over: Mapping[int, list[int] | None], is_whole: bool
) -> Iterator[str]:
    numbers = ", ".join(str(view.number) for view in views)
    yield (
        f"by Olympus: configurations {numbers} are its own, each of {len(views[0].replicas)} replicas"
        if (len(views) > 1)
        else f"by Olympus: configuration {numbers} is its own"
    )
    for before, view in pairwise(views):
        signers = handed_over[view.number]
        if signers is not None and len(signers) >= before.quorum:
            yield (
                f"by Olympus and replicas {signers} of configuration {before.number}: configuration {view.number} began with the "
                f"state in which configuration {before.number} ended"
            )
    answers = [without_void(each.answer) for each in exchanges]
    by_replicas = sum(isinstance(answer, Answer) for answer in answers)
    if by_replicas:
        quorum, size = views[0].quorum, len(views[0].replicas)
        extent = f"and all {size} testify to its slot" if views[0].needed else "which does not show that it lasts"
        yield f"by replicas: {by_replicas:,} results; at least {quorum} of {size} signed each, {extent}"
    if len(answers) - by_replicas:
        yield f"by Olympus: {len(answers) - by_replicas:,} results that it vouches for"
    if answers:
        yield f"by clients: their signed requests are what these {len(answers):,} results answer"
    if is_whole:
        yield "by replaying all requests in the order that was signed: every result, and the state at the end"


def _unproved(record: RunRecord, liars: set[int], is_pinned: bool) -> Iterator[str]:
    if not is_pinned:
        yield f"that this is the Olympus you mean: its key, {record.olympus_key.hex()}, is the record's own (--olympus-key)"
    if record.configurations[0].statement.number:
        yield f"what came before configuration {record.configurations[0].statement.number}, with which the record begins"
    for change in record.reconfigurations:
        beginnings = [each for each in record.exhibits if isinstance(each.statement, InitialHistory)]
        if not any(each.statement.configuration == change.target for each in beginnings):
            yield f"how configuration {change.target} came by its state: of that Olympus's statement is not here"
    if liars:
        yield f"what clients {sorted(liars)} say: they are recorded as faulty"
    if record.faults:
        yield "that faults struck, and which: whoever wrote the record says so, and nobody signs it"
    yield "times, counts, notices, and the limits of the state: nobody signs them, or only who tells of itself"
    yield "that nothing was left out: a record may lack clients that had answers, and the newest configurations"


def _claims(record: RunRecord, exchanges: Sequence[Exchange], is_whole: bool) -> frozenset[Claim]:
    claims: set[Claim] = {("configuration", digest("claim", each.statement)) for each in record.configurations}
    if is_whole and record.final_state is not None:
        claims.add(("end", record.final_state.digest()))
    for exchange in exchanges:
        request, answer = exchange.request.statement, exchange.answer
        claims.add(("result", request.client, request.number, request.digest(), answer.configuration, answer.slot, answer.outcome))
    for report in record.replicas:
        statement = report.statement
        claims.add(("report", statement.configuration, statement.position, statement.state_digest, statement.slots))
    for exhibit in record.exhibits:
        if not isinstance(exhibit.statement, Order | Result | Checkpoint):
            claims.add(("said", exhibit.signer, digest("claim", exhibit.statement)))
    return frozenset(claims)
