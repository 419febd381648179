"""Replicas whose own signatures convict them (specification, 5.1): pure functions over signed statements.

A conviction is a set of signed statements that no correct replica can have made together. It rests on nobody's word but
Olympus's, which says whose key it is. A log, a notice or a badly signed message convicts nobody, because anybody can make one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import msgspec

from bcr.chain.configuration import Membership, SignedConfiguration, demand_issued
from bcr.chain.history import CaughtUp, Validation, Wedged
from bcr.chain.proofs import Answer, check_checkpoint_proof
from bcr.chain.void import without_void
from bcr.signed.authentication import keys_of
from bcr.signed.signing import KEY_SEED_SIZE, Statement
from bcr.signed.statements import Checkpoint, Order, Result
from bcr.signed.violations import MalformedMessage, OverLimit, ProtocolViolation
from bcr.verdict.exhibits import Exhibit
from bcr.verdict.record import RunRecord

MAX_STATEMENTS = 100  # in a file of evidence
MANY_AT_A_PLACE = 8  # statements of one kind on one slot by one replica: all are looked at only if they are its own
NO_LIMIT = 1 << 62  # on the length of a history: how long one may be is in no statement


class Unproved(Exception):
    """The statements convict nobody; says why not."""


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is accused, in which configuration, and the statements that convict it: what a file of evidence holds."""

    olympus_key: bytes
    configuration: SignedConfiguration
    accused: int
    statements: tuple[Exhibit, ...]


class Conviction(msgspec.Struct, frozen=True):
    """What evidence shows. `supposes` says what it rests on beside signatures, and is empty where it rests on nothing else."""

    configuration: int
    position: int
    what: str
    supposes: str = ""


def demand_convicting(evidence: Evidence) -> Conviction:
    """What the statements show of the accused; raises Unproved where they show nothing.

    Each of them is checked again, and it is for this function, not for whoever made the file, to find what they show.
    """
    issued = evidence.configuration.statement
    if issued.authentication != "ed25519":
        raise Unproved(f"statements under {issued.authentication} convict nobody: {WHO_COULD_FORGE[issued.authentication]}")
    if len(evidence.statements) > MAX_STATEMENTS:
        raise Unproved(f"{len(evidence.statements)} statements, and {MAX_STATEMENTS} are enough for everything")
    try:
        keys = keys_of("ed25519", bytes(KEY_SEED_SIZE))
        view = demand_issued(evidence.configuration, evidence.olympus_key, keys)
        for signed in evidence.statements:
            _demand_of(signed, view)
    except ProtocolViolation as violation:
        raise Unproved(f"{violation.kind}: {violation}") from violation
    accused = [signed for signed in evidence.statements if signed.signer == evidence.accused]
    others = [signed for signed in evidence.statements if signed.signer != evidence.accused]
    return _shown(evidence.accused, accused, others, view)


WHO_COULD_FORGE = {
    "hmac": "whoever has been told Olympus's secret, and who checks them has, could have made them all",
    "crc": "anybody could have made them, for a checksum needs no secret",
}


def _demand_of(signed: Exhibit, view: Membership) -> None:
    if signed.statement.configuration != view.number:
        raise MalformedMessage(f"a statement of configuration {signed.statement.configuration}, not {view.number}")
    signed.demand_authentic(view.replica_author(signed.signer), f"replica {signed.signer}")


def _shown(position: int, accused: Sequence[Exhibit], others: Sequence[Exhibit], view: Membership) -> Conviction:
    number = view.number
    for signed in accused:
        if isinstance(signed.statement, Wedged):
            why = _why_no_history(signed, view)
            if why is not None:
                return Conviction(number, position, f"it signed a history that no correct replica has: {why}")
    for one, other in combinations([signed.statement for signed in accused], 2):
        what = contradiction(one, other, view)
        if what is not None:
            return Conviction(number, position, what)
    for signed in accused:
        signers_by_statement: dict[Statement, set[int]] = defaultdict(set)
        for each in others:
            if _is_of_same(signed.statement, each.statement):
                signers_by_statement[each.statement].add(each.signer)
        for statement, signers in signers_by_statement.items():
            if statement != signed.statement and len(signers) >= view.quorum:
                kind = "result" if isinstance(statement, Result) else "running state"
                what = f"it signed another {kind} for slot {_slot(statement)} than replicas {sorted(signers)}"
                return Conviction(number, position, what, f"no more than {view.t} of configuration {number} are faulty")
    raise Unproved("the statements do not contradict each other")


def _slot(statement: Statement) -> int | None:
    return statement.slot if isinstance(statement, Order | Result | Checkpoint) else None


def _is_of_same(one: Statement, other: Statement) -> bool:
    """Whether two replicas that are correct must have signed the same here: what comes of the same requests in a slot."""
    if isinstance(one, Result) and isinstance(other, Result):
        return (one.slot, one.requests_digest) == (other.slot, other.requests_digest)
    return isinstance(one, Checkpoint) and isinstance(other, Checkpoint) and one.slot == other.slot


def contradiction(one: Statement, other: Statement, view: Membership) -> str | None:
    """Why no correct replica signs both of these in one configuration, or None where one may.

    A correct replica takes part in a slot once and keeps it in its history until the checkpoint behind it is complete; when
    it is wedged it takes part in no other; and it answers each attempt at a quorum once (specification, 3.3, 6.3, 7.2, 7.4).
    """
    for first, second in ((one, other), (other, one)):
        what = _contradiction(first, second, view)
        if what is not None:
            return what
    return None


def _contradiction(one: Statement, other: Statement, view: Membership) -> str | None:
    if isinstance(other, Wedged) and isinstance(one, Order | Result):
        return _withheld(one, other, view)
    if isinstance(one, CaughtUp) and isinstance(other, CaughtUp):
        # What it has to vouch for may be less when it has begun again: answers before the state on its disk are gone.
        is_contradicted = one.attempt == other.attempt and (one.slots, one.state_digest) != (other.slots, other.state_digest)
        return f"it signed two accounts of its state in attempt {one.attempt}" if is_contradicted else None
    if _slot(one) is None or _slot(one) != _slot(other):
        return None
    slot = _slot(one)
    if isinstance(one, Order | Result) and isinstance(other, Order | Result):
        if one.requests_digest != other.requests_digest:
            return f"it signed that slot {slot} holds certain requests, and that it holds others"
        if isinstance(one, Result) and isinstance(other, Result) and one != other:
            return f"it signed two different results of slot {slot}"
    if isinstance(one, Checkpoint) and isinstance(other, Checkpoint) and one != other:
        return f"it signed two different running states after slot {slot}"
    return None


def _withheld(promise: Order | Result, wedged: Wedged, view: Membership) -> str | None:
    """What a history lacks that its author has signed; None where a checkpoint stands for it, or that cannot be told."""
    try:
        start = check_checkpoint_proof(wedged.checkpoint_proof, view).slot + 1 if wedged.checkpoint_proof else 0
    except ProtocolViolation:
        return None
    if promise.slot < start:
        return None
    held = next((entry for entry in wedged.history if entry.slot == promise.slot), None)
    if held is None:
        return f"it signed slot {promise.slot}, and withheld it from the history that it gave to Olympus"
    if held.order(view.number).requests_digest != promise.requests_digest:
        return f"it signed that slot {promise.slot} holds certain requests, and gave Olympus a history with others"
    return None


def _why_no_history(signed: Exhibit, view: Membership) -> str | None:
    """Why no correct replica has this history; None where one may, or where that hangs on what is in no statement."""
    try:
        Validation(signed, view, NO_LIMIT).advance()  # type: ignore[arg-type]
    except OverLimit:
        return None
    except ProtocolViolation as violation:
        return violation.what
    return None


# -- looking for them in a record


def convictions(record: RunRecord) -> Iterator[tuple[Conviction, Evidence]]:
    """Every replica that statements in the record convict, each once, with the smallest evidence that was found."""
    if record.authentication != "ed25519":
        return
    keys = keys_of("ed25519", bytes(KEY_SEED_SIZE))
    exhibits = _by_author(record)
    for signed in record.configurations:
        try:
            view = demand_issued(signed, record.olympus_key, keys)
        except ProtocolViolation:
            continue
        for position in range(len(view.replicas)):
            for statements in _candidates(position, exhibits[view.number], view):
                evidence = Evidence(record.olympus_key, signed, position, tuple(statements))
                try:
                    conviction = demand_convicting(evidence)
                except Unproved:
                    continue
                yield conviction, evidence
                break


_Of = dict[int, list[Exhibit]]  # a configuration's statements, by signer


def _by_author(record: RunRecord) -> dict[int, _Of]:
    """All signed statements of replicas in a record, each once, by configuration and signer."""
    exhibits: dict[int, dict[int, dict[Exhibit, None]]] = defaultdict(lambda: defaultdict(dict))
    for signed in _statements(record):
        number = signed.statement.configuration
        exhibits[number][signed.signer][signed] = None
    return defaultdict(dict, {number: {who: list(each) for who, each in by.items()} for number, by in exhibits.items()})


def _statements(record: RunRecord) -> Iterator[Any]:
    for client in record.clients:
        for exchange in client.exchanges:
            answer = without_void(exchange.answer)
            if isinstance(answer, Answer):
                yield from answer.proof
                yield from answer.orders
        yield from client.exhibits
    exhibits = [*record.exhibits, *(each for report in record.replicas for each in report.statement.exhibits)]
    for exhibit in exhibits:
        yield exhibit
        if isinstance(exhibit.statement, Wedged):
            for entry in exhibit.statement.history:
                yield from entry.order_proof
            yield from exhibit.statement.checkpoint_proof


def _candidates(position: int, exhibits: _Of, view: Membership) -> Iterator[list[Exhibit]]:
    """Statements that may convict this replica, the least first: pairs of small ones, with others' votes, histories."""
    own = exhibits.get(position, [])
    promises = _without_forged([signed for signed in own if not isinstance(signed.statement, Wedged)], position, view)
    wedged = [signed for signed in own if isinstance(signed.statement, Wedged)]
    by_place: dict[tuple[bool, int], list[Exhibit]] = defaultdict(list)
    for signed in promises:
        statement = signed.statement
        place = statement.attempt if isinstance(statement, CaughtUp) else _slot(statement)
        by_place[isinstance(statement, CaughtUp), -1 if place is None else place].append(signed)
    for at_one_place in by_place.values():
        for one, other in combinations(at_one_place, 2):
            if _contradiction(one.statement, other.statement, view) or _contradiction(other.statement, one.statement, view):
                yield [one, other]
    yield from _outvoted(promises, exhibits, position, view)
    yield from ([signed] for signed in wedged)
    for signed in wedged:
        slots = {entry.slot for entry in signed.statement.history}  # type: ignore[union-attr]
        for promise in promises:
            is_missing = isinstance(promise.statement, Order | Result) and promise.statement.slot not in slots
            if is_missing and contradiction(promise.statement, signed.statement, view) is not None:
                yield [promise, signed]


def _without_forged(promises: Sequence[Exhibit], position: int, view: Membership) -> list[Exhibit]:
    """Of places at which there are more statements than a correct replica makes, those that it signed: a stranger's record may hold any number."""
    places = [(type(signed.statement), _slot(signed.statement)) for signed in promises]
    counts = Counter(places)
    author = view.replica_author(position)
    return [
        signed for signed, place in zip(promises, places, strict=True) if counts[place] <= MANY_AT_A_PLACE or signed.is_authentic(author)
    ]


def _outvoted(promises: Sequence[Exhibit], exhibits: _Of, position: int, view: Membership) -> Iterator[list[Exhibit]]:
    votes: dict[tuple[type, int], dict[Statement, dict[int, Exhibit]]] = defaultdict(lambda: defaultdict(dict))
    others: Iterable[Exhibit] = (each for who, statements in exhibits.items() if who != position for each in statements)
    for each in others:
        slot = _slot(each.statement)
        if slot is not None and not isinstance(each.statement, Order):
            votes[type(each.statement), slot][each.statement].setdefault(each.signer, each)
    for signed in promises:
        slot = _slot(signed.statement)
        if slot is None:
            continue
        for statement, signers in votes.get((type(signed.statement), slot), {}).items():
            is_other = statement != signed.statement and _is_of_same(signed.statement, statement)
            if is_other and len(signers) >= view.quorum:
                yield [signed, *list(signers.values())[: view.quorum]]
