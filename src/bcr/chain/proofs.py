"""Proofs: sets of statements by distinct replicas of one configuration, and what they show (specification, 2.4)."""

from collections.abc import Container, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import Any, NoReturn

import msgspec

from bcr.chain.configuration import Membership
from bcr.signed.merkle import KnownPaths, root_above
from bcr.signed.signing import Author, Signed
from bcr.signed.statements import (
    MAX_REQUESTS_PER_SLOT,
    OUTCOMES,
    REQUESTS,
    Checkpoint,
    Order,
    Outcome,
    Result,
    SignedCheckpoint,
    SignedOrder,
    SignedRequest,
    SignedResult,
    Voucher,
)
from bcr.signed.violations import (
    ContradictoryOrder,
    DisagreeingResult,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    NotEnoughStatements,
    NotFinal,
    OfAnotherRequest,
    ProtocolViolation,
    UnknownSigner,
    WrongConfiguration,
)
from bcr.state.cache import VerifiedCache

KNOWN_RESULTS = 1000  # that a client remembers to have checked


def demand_order_proof(
    proof: Sequence[SignedOrder],
    expected: Order,
    configuration: Membership,
    length: int,
    disowned: set[int] | None = None,
) -> None:
    """Raises unless the first `length` replicas of the chain, in turn, signed the expected order (specification, 3.3).

    A statement that is validly signed but orders something else raises ContradictoryOrder. Where
    `disowned` is given, signatures that are not valid do not raise: whose they should be is added to it.
    """
    for position in range(length):
        if position >= len(proof) or proof[position].signer != position:
            raise IncompleteProof(f"slot {expected.slot}: no order statement of replica {position}", evidence=tuple(proof))
        signed = proof[position]
        if disowned is None:
            signed.demand_authentic(configuration.replica_author(position), f"replica {position}")
        elif not signed.is_authentic(configuration.replica_author(position)):
            disowned.add(position)
        if signed.statement != expected:
            raise ContradictoryOrder(
                f"replica {position} ordered otherwise than the clients' requests of slot {expected.slot}",
                position=position,
                evidence=(signed, expected),
            )
    if len(proof) > length:
        raise MalformedMessage(f"slot {expected.slot}: {len(proof)} order statements, not {length}", evidence=proof)


class ResultCheck(msgspec.Struct, frozen=True):
    """What a result proof holds: who agrees with what was expected, who else testifies to the slot, and what is wrong.

    `disagreeing` are valid statements on the slot and its requests that name another outcome, and `orders` stand in for
    result statements that are missing or invalid.
    """

    agreeing: tuple[SignedResult, ...]
    disagreeing: tuple[SignedResult, ...]
    orders: tuple[SignedOrder, ...]
    violations: tuple[ProtocolViolation, ...]


def check_result_proof(
    proof: Sequence[SignedResult],
    expected: Result,
    configuration: Membership,
    known: Container[SignedResult] = (),
    orders: Sequence[SignedOrder] = (),
    testified: AbstractSet[int] = frozenset(),
) -> ResultCheck:
    """Sort the statements of a result proof into those that agree with `expected`, others on the slot, and violations.

    Raises NotEnoughStatements, with the violations as evidence, where fewer than t+1 agree: then the result may be wrong.
    Raises NotFinal where some replica has not testified to the slot: then it may be lost (specification, 3.6).
    Beyond that a bad extra statement is evidence, not a reason to stop; one that is not needed is left
    unchecked, where a signature convinces everybody alike. What is `known` to be authentic is not checked again, and of
    the replicas in `testified` the caller has seen a valid order of this slot.
    """
    if max(len(proof), len(orders)) > len(configuration.replicas):
        raise MalformedMessage(f"slot {expected.slot}: more statements than replicas")
    agreeing: list[SignedResult] = []
    disagreeing: list[SignedResult] = []
    violations: list[ProtocolViolation] = []
    seen: set[int] = set()
    owed = configuration.needed - testified
    for signed, is_known in sorted([(signed, signed in known) for signed in proof], key=itemgetter(1), reverse=True):
        is_enough = len(agreeing) >= configuration.quorum and signed.signer not in owed
        if is_enough and configuration.is_transferable and signed.statement == expected:
            continue
        try:
            _demand_agreement(signed, expected, configuration, seen, is_known)
        except DisagreeingResult as violation:
            violations.append(violation)
            if signed.statement.requests_digest == expected.requests_digest:
                disagreeing.append(signed)
        except ProtocolViolation as violation:
            violations.append(violation)
            continue
        else:
            agreeing.append(signed)
        seen.add(signed.signer)  # only now: a forged statement must not take the place of its purported author's
    if len(agreeing) < configuration.quorum:
        raise NotEnoughStatements(
            f"slot {expected.slot}: {len(agreeing)} result statements agree, {configuration.quorum} are needed",
            evidence=tuple(violations),
        )
    owed -= {signed.signer for signed in (*agreeing, *disagreeing)}
    standing_in = _orders_of(owed, orders, expected, configuration)
    owed -= {signed.signer for signed in standing_in}
    if owed:
        raise NotFinal(f"slot {expected.slot}: no valid statement of replicas {sorted(owed)}", evidence=tuple(violations))
    return ResultCheck(tuple(agreeing), tuple(disagreeing), standing_in, tuple(violations))


def violations_in(proof: Sequence[SignedResult], expected: Result, configuration: Membership) -> tuple[ProtocolViolation, ...]:
    """What is wrong with statements that may be missing: those that are invalid, or disagree with `expected`."""
    violations: list[ProtocolViolation] = []
    for signed in proof[: len(configuration.replicas)]:
        try:
            _demand_agreement(signed, expected, configuration, set(), False)
        except ProtocolViolation as violation:
            violations.append(violation)
    return tuple(violations)


def _orders_of(owed: AbstractSet[int], orders: Sequence[SignedOrder], result: Result, configuration: Membership) -> tuple[SignedOrder, ...]:
    """One valid order statement on the slot of `result` for each of these replicas that has one among `orders`."""
    expected = Order(result.configuration, result.slot, result.requests_digest)
    found: dict[int, SignedOrder] = {}
    for signed in orders:
        is_wanted = signed.signer in owed and signed.signer not in found and signed.statement == expected
        if is_wanted and signed.is_authentic(configuration.replica_author(signed.signer)):
            found[signed.signer] = signed
    return tuple(found.values())


def _demand_agreement(signed: SignedResult, expected: Result, configuration: Membership, seen: set[int], is_known: bool) -> None:
    position = signed.signer
    if position in seen:
        raise UnknownSigner(f"two result statements of replica {position} in one proof", evidence=(signed,))
    if (signed.statement.configuration, signed.statement.slot) != (configuration.number, expected.slot):
        raise WrongConfiguration(
            f"result statement of configuration {signed.statement.configuration}, slot {signed.statement.slot}, not "
            f"{configuration.number}, {expected.slot}",
            evidence=(signed,),
        )
    if not is_known and not signed.is_authentic(configuration.replica_author(position)):
        raise InvalidSignature(f"result with an invalid signature of replica {position}", evidence=(signed,))
    if signed.statement != expected:
        raise DisagreeingResult(
            f"replica {position} signed another result of slot {expected.slot}",
            position=position,
            evidence=(signed, expected),
        )


def check_checkpoint_proof(proof: Sequence[SignedCheckpoint], configuration: Membership, disowned: set[int] | None = None) -> Checkpoint:
    """The checkpoint that a proof completes (specification, 6.3).

    That takes equal, valid statements of t+1 distinct replicas of the configuration, which show its digest, and valid ones
    of all of them for its slot, whatever digest they name: whoever cuts its history then knows that nobody else needs it.
    Raises NotEnoughStatements, or NotFinal, where they are not there. Where `disowned` is given, signatures that are not
    valid are counted all the same, and whose they should be is added to it.
    """
    if len(proof) > len(configuration.replicas):
        raise MalformedMessage("more checkpoint statements than replicas")
    votes: dict[Checkpoint, set[int]] = {}
    for signed in proof:
        checkpoint, position = signed.statement, signed.signer
        if checkpoint.configuration != configuration.number or not 0 <= position <= configuration.tail:
            continue
        if not signed.is_authentic(configuration.replica_author(position)):
            if disowned is None:
                continue
            disowned.add(position)
        votes.setdefault(checkpoint, set()).add(position)
    agreed = next((each for each, positions in votes.items() if len(positions) >= configuration.quorum), None)
    if agreed is None:
        most = max(map(len, votes.values()), default=0)
        raise NotEnoughStatements(f"{most} checkpoint statements agree, {configuration.quorum} are needed", evidence=tuple(proof))
    testified = {position for each, positions in votes.items() if each.slot == agreed.slot for position in positions}
    if configuration.needed - testified:
        raise NotFinal(
            f"checkpoint of slot {agreed.slot}: no valid statement of replicas {sorted(configuration.needed - testified)}",
            evidence=tuple(proof),
        )
    return agreed


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer", gc=False):
    """What a client gets for a request: its outcome, its place in the slot, and the proof (specification, 2.5, 3.4).

    The request stands at `index` among the `size` of the slot; the paths lead from its digest, and from that of its
    outcome, to the two digests that the replicas signed. A client needs nothing else of the slot. `orders` are there to
    stand in for result statements that are missing or do not hold.
    """

    configuration: int
    slot: int
    index: int
    size: int
    request_digest: bytes
    request_path: tuple[bytes, ...]
    outcome: Outcome
    outcome_path: tuple[bytes, ...]
    proof: tuple[SignedResult, ...]
    orders: tuple[SignedOrder, ...] = ()

    def result(self, known: tuple[KnownPaths, KnownPaths] | None = None) -> Result:
        """The statement that the replicas must have signed for this answer to be right.

        `known` are paths to requests, and to outcomes, as for `root_above`. Raises MalformedMessage where its paths are none in a slot of
        that size.
        """
        if not 1 <= self.size <= MAX_REQUESTS_PER_SLOT:
            raise MalformedMessage(f"an answer from a slot of {self.size} requests", evidence=(self,))
        to_requests, to_outcomes = known or (None, None)
        requests = root_above(REQUESTS, self.request_digest, self.index, self.size, self.request_path, to_requests)
        outcomes = root_above(OUTCOMES, self.outcome.digest(), self.index, self.size, self.outcome_path, to_outcomes)
        return Result(self.configuration, self.slot, requests, outcomes)

    def check(
        self,
        request: SignedRequest,
        configuration: Membership,
        executed: SignedRequest | None = None,
    ) -> ResultCheck:
        """What makes this answer to `request` final; raises a ProtocolViolation where it is not.

        `executed` is the request of the same number that gave the outcome, where it is another (bcr.chain.void).
        """
        self.demand_to(request, configuration, (), executed)
        return check_result_proof(self.proof, self.result(), configuration, (), self.orders)

    def demand_to(
        self,
        request: SignedRequest,
        configuration: Membership,
        known: Container[SignedResult] = (),
        executed: SignedRequest | None = None,
    ) -> None:
        """Raises a ProtocolViolation unless this is of `configuration` and answers `request`; `executed` as in `check`, and what is
        `known` to be authentic as in `check_result_proof`."""
        if self.configuration != configuration.number:
            raise WrongConfiguration(f"answer from configuration {self.configuration}, not {configuration.number}", evidence=(self,))
        if self.request_digest != request.digest():
            self._demand_to_another(request, configuration, known)
        _demand_as_many(self.outcome, executed or request)

    def _demand_to_another(self, request: SignedRequest, configuration: Membership, known: Container[SignedResult]) -> NoReturn:
        """Raises OfAnotherRequest where the replicas testify to it, and MalformedMessage where nobody does: anybody may have sent that."""
        kind: type[MalformedMessage] = OfAnotherRequest
        try:
            check_result_proof(self.proof, self.result(), configuration, known, self.orders)
        except ProtocolViolation:
            kind = MalformedMessage
        raise kind("an answer to another request", evidence=(self, request))

    def resting_on(self, check: ResultCheck, configuration: Membership) -> "Answer":
        """The same answer with no more of its proof than what makes it final, which `check` has found."""
        if not configuration.needed:
            return msgspec.structs.replace(self, proof=check.agreeing[: configuration.quorum], orders=())
        return msgspec.structs.replace(self, proof=check.agreeing + check.disagreeing, orders=check.orders)


class KnownResults:
    """What a client has found right, the latest of it: requests share slots, and no statement, path or proof is checked twice."""

    def __init__(self) -> None:
        self._known = VerifiedCache[SignedResult](KNOWN_RESULTS)
        self._paths: tuple[KnownPaths, KnownPaths] = ({}, {})
        self._proof: tuple[Any, ...] = ()  # the latest that was checked, with what it was held against
        self._check: ResultCheck

    def check(
        self, answer: Answer, request: SignedRequest, configuration: Membership, executed: SignedRequest | None = None
    ) -> ResultCheck:
        """As `Answer.check`."""
        if answer.size == 1:
            return answer.check(request, configuration, executed)
        answer.demand_to(request, configuration, self._known, executed)
        proof = (configuration, answer.result(self._paths), answer.proof, answer.orders)
        if proof != self._proof:
            self._check = check_result_proof(answer.proof, proof[1], configuration, self._known, answer.orders)
            self._proof = proof
            self._known.add(self._check.agreeing)
        return self._check


class Vouched(msgspec.Struct, frozen=True, array_like=True, tag="vouched"):
    """What a client gets from Olympus in place of an answer, when the request's configuration is replaced
    (specification, 7.6)."""

    signed: Signed[Voucher]

    @property
    def configuration(self) -> int:
        return self.signed.statement.configuration

    @property
    def slot(self) -> int:
        return self.signed.statement.slot

    @property
    def outcome(self) -> Outcome:
        return self.signed.statement.outcome

    def demand_for(self, request: SignedRequest, olympus: Author, executed: SignedRequest | None = None) -> None:
        """Raises a ProtocolViolation unless Olympus vouches so for the outcome of this request; `executed` as in `Answer.check`."""
        self.signed.demand_authentic(olympus, "Olympus")
        voucher, asked = self.signed.statement, request.statement
        if (voucher.client, voucher.number, voucher.request_digest) != (asked.client, asked.number, asked.digest()):
            raise MalformedMessage("a voucher for another request", evidence=(self, request))
        _demand_as_many(self.outcome, executed or request)


def _demand_as_many(outcome: Outcome, request: SignedRequest) -> None:
    if len(outcome.results) != len(request.statement.operations):
        raise MalformedMessage("an answer with too few or too many results", evidence=(outcome, request))
