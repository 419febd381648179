"""Proofs: sets of statements by distinct replicas of one configuration, and what they show (paper, section 3.1)."""

from collections.abc import Container, Sequence

import msgspec

from bcr.configuration import View
from bcr.merkle import root_above
from bcr.statements import (
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
)
from bcr.violations import (
    ContradictoryOrder,
    DisagreeingResult,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    NotEnoughStatements,
    ProtocolViolation,
    UnknownSigner,
    WrongConfiguration,
)


def demand_order_proof(
    proof: Sequence[SignedOrder],
    expected: Order,
    configuration: View,
    length: int,
    disowned: set[int] | None = None,
) -> None:
    """Raises unless the first `length` replicas of the chain, in turn, signed the expected order (section 3.2).

    A statement that is validly signed but orders something else raises ContradictoryOrder, which is provable. Where
    `disowned` is given, signatures that are not valid do not raise: whose they should be is added to it.
    """
    for position in range(length):
        if position >= len(proof) or proof[position].signer != position:
            raise IncompleteProof(
                f"slot {expected.slot}: no order statement of replica {position}", evidence=tuple(proof)
            )
        signed = proof[position]
        if disowned is None:
            signed.demand_authentic(configuration.replica_key(position), f"replica {position}")
        elif not signed.is_authentic(configuration.replica_key(position)):
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
    """What a result proof holds: the statements that agree with what was expected, and what is wrong with the rest."""

    agreeing: tuple[SignedResult, ...]
    violations: tuple[ProtocolViolation, ...]


def check_result_proof(
    proof: Sequence[SignedResult], expected: Result, configuration: View, known: Container[SignedResult] = ()
) -> ResultCheck:
    """Sort the statements of a result proof into those that agree with `expected` and violations.

    Raises NotEnoughStatements, with the violations as evidence, where fewer than t+1 agree. Beyond that a bad extra
    statement is evidence, not a reason to stop (section 3.2); one that says the same is left unchecked, where a signature
    convinces everybody alike. What is `known` to be authentic is not checked again.
    """
    agreeing: list[SignedResult] = []
    violations: list[ProtocolViolation] = []
    seen: set[int] = set()
    for signed in sorted(proof, key=lambda signed: signed not in known):
        if len(agreeing) >= configuration.quorum and configuration.is_transferable and signed.statement == expected:
            continue
        try:
            _demand_agreement(signed, expected, configuration, seen, signed in known)
        except ProtocolViolation as violation:
            violations.append(violation)
        else:
            agreeing.append(signed)
            seen.add(signed.signer)  # only now: a forged statement must not take the place of its purported author's
    if len(agreeing) < configuration.quorum:
        raise NotEnoughStatements(
            f"slot {expected.slot}: {len(agreeing)} result statements agree, {configuration.quorum} are needed",
            evidence=tuple(violations),
        )
    return ResultCheck(tuple(agreeing), tuple(violations))


def _demand_agreement(
    signed: SignedResult, expected: Result, configuration: View, seen: set[int], is_known: bool
) -> None:
    position = signed.signer
    if position in seen:
        raise UnknownSigner(f"two result statements of replica {position} in one proof", evidence=(signed,))
    if signed.statement.configuration != configuration.number:
        raise WrongConfiguration(
            f"result statement of configuration {signed.statement.configuration}, not {configuration.number}",
            evidence=(signed,),
        )
    if not is_known and not signed.is_authentic(configuration.replica_key(position)):
        raise InvalidSignature(f"result with an invalid signature of replica {position}", evidence=(signed,))
    if signed.statement != expected:
        raise DisagreeingResult(
            f"replica {position} signed another result of slot {expected.slot}",
            position=position,
            evidence=(signed, expected),
        )


def check_checkpoint_proof(
    proof: Sequence[SignedCheckpoint], configuration: View, disowned: set[int] | None = None
) -> Checkpoint:
    """The checkpoint that t+1 distinct replicas of the configuration validly signed, equal among them (section 4.2).

    Raises NotEnoughStatements where there is none. Where `disowned` is given, signatures that are not valid are counted
    all the same, and whose they should be is added to it.
    """
    support = checkpoint_support(proof, configuration, disowned is None)
    if disowned is not None:
        authors = ((signed, configuration.replica_key(signed.signer)) for signed in support)
        disowned |= {signed.signer for signed, author in authors if not signed.is_authentic(author)}
    return support[0].statement


def checkpoint_support(
    proof: Sequence[SignedCheckpoint], configuration: View, is_checked: bool = True
) -> tuple[SignedCheckpoint, ...]:
    """The equal statements of t+1 or more distinct replicas in the proof, validly signed where that is checked.

    Raises NotEnoughStatements where there are none.
    """
    supporters: dict[Checkpoint, dict[int, SignedCheckpoint]] = {}
    for signed in proof:
        checkpoint, position = signed.statement, signed.signer
        if (
            checkpoint.configuration == configuration.number
            and 0 <= position <= configuration.tail
            and position not in supporters.get(checkpoint, ())
            and (not is_checked or signed.is_authentic(configuration.replica_key(position)))
        ):
            supporters.setdefault(checkpoint, {})[position] = signed
    for positions in supporters.values():
        if len(positions) >= configuration.quorum:
            return tuple(positions.values())
    most = max(map(len, supporters.values()), default=0)
    raise NotEnoughStatements(
        f"{most} checkpoint statements agree, {configuration.quorum} are needed", evidence=tuple(proof)
    )


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a client gets for a request: its outcome, its place in the slot, and the proof (section 3.2, step 5).

    The request stands at `index` among the `size` of the slot; the paths lead from its digest, and from that of its
    outcome, to the two digests that the replicas signed. A client needs nothing else of the slot.
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

    def result(self) -> Result:
        """The statement that the replicas must have signed for this answer to be right.

        Raises MalformedMessage where its paths are none in a slot of that size.
        """
        if not 1 <= self.size <= MAX_REQUESTS_PER_SLOT:
            raise MalformedMessage(f"an answer from a slot of {self.size} requests", evidence=(self,))
        requests = root_above(REQUESTS, self.request_digest, self.index, self.size, self.request_path)
        outcomes = root_above(OUTCOMES, self.outcome.digest(), self.index, self.size, self.outcome_path)
        return Result(self.configuration, self.slot, requests, outcomes)

    def check(
        self, request: SignedRequest, configuration: View, known: Container[SignedResult] = ()
    ) -> ResultCheck:
        """The replicas' agreement on this answer to `request`; raises a ProtocolViolation where there is none."""
        if self.configuration != configuration.number:
            raise WrongConfiguration(
                f"answer from configuration {self.configuration}, not {configuration.number}", evidence=(self,)
            )
        if self.request_digest != request.digest():
            raise MalformedMessage("an answer to another request", evidence=(self, request))
        if len(self.outcome.results) != len(request.statement.operations):
            raise MalformedMessage("an answer with too few or too many results", evidence=(self, request))
        return check_result_proof(self.proof, self.result(), configuration, known)
