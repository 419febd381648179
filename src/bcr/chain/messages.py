"""The messages between processes: what they hold, and the checks that need no more than the message itself
(specification, 1.6).

Each travels as one flat byte string, the canonical encoding, beside its name. Whoever receives one trusts nothing
about its sender: what counts is signed inside.
"""

import hmac
from collections import Counter
from typing import Self

import msgspec

from bcr.chain.configuration import Membership
from bcr.chain.proofs import Answer, ResultCheck, check_result_proof, demand_order_proof, violations_in
from bcr.chain.slot_room import operations_bytes
from bcr.objects.sizes import REQUEST_LIMIT_BYTES
from bcr.signed.encoding import digest, encode, encode_with
from bcr.signed.merkle import Tree
from bcr.signed.signing import Statement
from bcr.signed.statements import (
    MAX_OPERATIONS_PER_REQUEST,
    MAX_REQUESTS_PER_SLOT,
    Order,
    Outcome,
    Result,
    SignedCheckpoint,
    SignedOrder,
    SignedRequest,
    SignedResult,
    tree_over_encoded,
)
from bcr.signed.violations import (
    BeyondLimits,
    DisagreeingResult,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    ProtocolViolation,
    WrongConfiguration,
)
from bcr.state.cache import once

# What neighbours in the chain send each other, under a seal (specification, 7a.2), and what comes from the one before.
SEALED = frozenset({"shuttle", "result_shuttle", "checkpoint", "completed_checkpoint"})
FROM_PREDECESSOR = frozenset({"shuttle", "checkpoint"})

# What may be larger than a message and comes in signed pieces (bcr.signed.pieces).
IN_PIECES = frozenset({"inithist", "wedged", "catch_up", "caught_up", "running_state"})


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """A message of the protocol."""

    def encode(self) -> bytes:
        return encode(self)


class Shuttle(Message, frozen=True, tag="shuttle", dict=True, gc=True):
    """What travels head to tail: the requests of a slot, and both proofs as far as they have grown
    (specification, 3.3)."""

    configuration: int
    slot: int
    requests: tuple[SignedRequest, ...]
    order_proof: tuple[SignedOrder, ...]
    result_proof: tuple[SignedResult, ...]

    @once
    def encodings(self) -> tuple[bytes, ...]:
        """The canonical bytes of each request: hashed, checked, measured and passed on. Made of the requests, and never what came."""
        return tuple(map(encode, self.requests))

    def encode(self) -> bytes:
        return encode_with(self, requests=self.encodings)

    def extended(self, order_proof: tuple[SignedOrder, ...], result_proof: tuple[SignedResult, ...]) -> "Shuttle":
        """The same requests with these proofs, for the next replica."""
        further = Shuttle(self.configuration, self.slot, self.requests, order_proof, result_proof)
        further.__dict__["encodings"] = self.encodings
        return further

    def demand_valid(self, configuration: Membership, position: int) -> None:
        """Raises a ProtocolViolation unless the replica at `position` may extend this shuttle (specification, 3.3).

        Checks everything but holes and room (bcr.chain.slot_room), for which one must know what is ordered already.
        """
        demand_configuration(self.configuration, configuration)
        if position == configuration.head:
            raise MalformedMessage("a shuttle for the head, which has no predecessor", evidence=(self,))
        if not 1 <= len(self.requests) <= MAX_REQUESTS_PER_SLOT:
            raise MalformedMessage(f"a slot of {len(self.requests)} requests", evidence=(self,))
        if max(len(self.order_proof), len(self.result_proof)) > position:
            raise MalformedMessage(f"more statements than the {position} predecessors", evidence=(self,))
        expected = Order(self.configuration, self.slot, self.request_tree.root)
        demand_order_proof(self.order_proof, expected, configuration, position)
        for request, encoded in zip(self.requests, self.encodings, strict=True):
            demand_request(request, configuration, encoded)

    @once
    def request_tree(self) -> Tree:
        """The tree over the requests, whose root the order statements hold."""
        return tree_over_encoded(self.encodings)


class ResultShuttle(Message, frozen=True, tag="result_shuttle"):
    """What travels tail to head: the outcomes of a slot and the result proof (specification, 3.5)."""

    configuration: int
    slot: int
    outcomes: tuple[Outcome, ...]
    result_proof: tuple[SignedResult, ...]
    orders: tuple[SignedOrder, ...] = ()

    def check(self, expected: Result, configuration: Membership, own: SignedResult) -> ResultCheck:
        """What the proof holds for the replica whose `own` statement is known; raises where it makes nothing final.

        Its predecessors testified to the slot when they ordered it, so of theirs no more are checked than t+1 need. Each
        begins with its successor's. With `acceptance = quorum` the tail's comes last: it is told to the client, and each
        of the others is then checked by somebody.

        Where statements do not convince everybody alike, a lacking one is a violation too: t+1 that convince a replica
        may hold t that do not convince the client, but all of them hold t+1 of correct replicas.
        """
        size = len(configuration.replicas)
        tail = None if configuration.needed else configuration.tail
        proof = sorted(self.result_proof, key=lambda signed: (signed.signer == tail, (signed.signer - own.signer - 1) % size))
        # Where all are needed nobody would notice that a bit of the own one has flipped.
        known = (own,) if configuration.quorum < size else ()
        testified = frozenset(range(own.signer + 1)) if configuration.quorum < size else frozenset()
        check = check_result_proof(proof, expected, configuration, known, self.orders, testified)
        if configuration.is_transferable:
            return check
        absentees = set(range(size)) - {signed.signer for signed in self.result_proof}
        if not absentees:
            return check
        what = f"slot {self.slot}: no result statement of replicas {sorted(absentees)}"
        violations = (*check.violations, IncompleteProof(what, evidence=(self,)))
        return ResultCheck(check.agreeing, check.disagreeing, check.orders, violations)

    def check_head(self, check: ResultCheck, expected: Result, configuration: Membership, position: int) -> tuple[ProtocolViolation, ...]:
        """What is wrong with the head's statement, where the second of the chain has left it out in `check`; else nothing.

        No result depends on it; but every result statement is to be checked by some replica beside its author. The others'
        are by all before them. It is done last, when the result shuttle is on its way: the head waits for that.
        """
        if position != 1 or not configuration.needed or any(signed.signer == configuration.head for signed in check.agreeing):
            return ()
        proof = [signed for signed in self.result_proof if signed.signer == configuration.head]
        return violations_in(proof, expected, configuration)


class CheckpointShuttle(Message, frozen=True, tag="checkpoint"):
    """What travels head to tail behind the shuttle of its slot: the checkpoint statements so far (specification, 6.1)."""

    configuration: int
    slot: int
    proof: tuple[SignedCheckpoint, ...]


class CompletedCheckpoint(Message, frozen=True, tag="completed_checkpoint"):
    """What travels tail to head: the checkpoint statements of all replicas (specification, 6.2)."""

    configuration: int
    slot: int
    proof: tuple[SignedCheckpoint, ...]


class ResultMessage(Message, frozen=True, tag="result_message"):
    """A replica's answer to a client."""

    client: int
    number: int
    answer: Answer


class Accusation(Statement, frozen=True, tag="accusation"):
    """A client's proof that a replica lies: an answer to its request in which two replicas contradict each other."""

    request: SignedRequest
    answer: Answer

    def demand_proved(self, configuration: Membership) -> DisagreeingResult:
        """The contradiction; raises a ProtocolViolation where the answer shows none (specification, 5.4).

        Two validly signed result statements for one slot of one configuration that differ cannot both be true.
        """
        demand_configuration(self.answer.configuration, configuration)
        if len(self.answer.proof) > len(configuration.replicas):
            raise MalformedMessage("an accusation with more statements than replicas", evidence=(self,))
        demand_request(self.request, configuration)
        valid = [
            signed
            for signed in self.answer.proof
            if 0 <= signed.signer <= configuration.tail  # a stranger's name must not hide what the others show
            and (signed.statement.configuration, signed.statement.slot) == (configuration.number, self.answer.slot)
            and signed.is_authentic(configuration.replica_author(signed.signer))
        ]
        votes = Counter(signed.statement for signed in valid)
        if len(votes) < 2:
            raise MalformedMessage("an accusation without a contradiction", evidence=(self,))
        [(_, most), (_, next_most), *_] = votes.most_common()
        minority = votes.most_common()[-1][0]
        accused = next(signed for signed in valid if signed.statement == minority)
        return DisagreeingResult(
            f"result statements of slot {self.answer.slot} contradict each other",
            position=accused.signer if most > next_most else None,
            evidence=tuple(valid),
        )


ENROLMENT_SECRET_SIZE = 32  # bytes


class PublicKey(Message, frozen=True, tag="public_key"):
    """A process's public key, with a MAC under the secret that start-up gave to that process and to Olympus."""

    name: str
    key: bytes
    mac: bytes

    @classmethod
    def enrol(cls, name: str, key: bytes, secret: bytes) -> Self:
        """The message with which the process of this name, which holds the secret, makes its key known."""
        return cls(name, key, _enrolment_mac(name, key, secret))

    def demand_secret(self, secret: bytes) -> None:
        """Raises InvalidSignature unless the sender holds the secret of the process that it says it is."""
        if not hmac.compare_digest(self.mac, _enrolment_mac(self.name, self.key, secret)):
            raise InvalidSignature(f"public key of {self.name} without its enrolment secret", evidence=(self,))


def _enrolment_mac(name: str, key: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, digest("enrolment", (name, key)), "sha256")


def demand_configuration(number: int, configuration: Membership) -> None:
    """Raises WrongConfiguration unless the number is that of the configuration."""
    if number != configuration.number:
        raise WrongConfiguration(f"message of configuration {number}, not {configuration.number}")


def demand_request(request: SignedRequest, configuration: Membership, encoded: bytes | None = None) -> None:
    """Raises a ProtocolViolation unless this is a request within the limits that its client signed.

    `encoded` are its canonical bytes, for who has them. It is BeyondLimits where all replicas find so, whoever signed it: then the
    signature has not been looked at.
    """
    if encoded is None:
        encoded = encode(request)  # once for the size and for the signature: it may be long
    demand_within_limits(request, encoded)
    if request.statement.number < 0:
        raise MalformedMessage("a request with a number below 0", evidence=(request,))
    configuration.demand_signed_by_client(request, encoded)


def demand_within_limits(request: SignedRequest, encoded: bytes | None = None) -> None:
    """Raises BeyondLimits where the request is larger than any may be; `encoded` are its canonical bytes, for who has them."""
    operations = request.statement.operations
    if not 1 <= len(operations) <= MAX_OPERATIONS_PER_REQUEST:
        raise BeyondLimits(f"a request of {len(operations):,} operations", evidence=(request,))
    may_be_larger = encoded is None or len(encoded) > REQUEST_LIMIT_BYTES  # the operations are most of it, and never more
    if may_be_larger and operations_bytes(operations) > REQUEST_LIMIT_BYTES:
        raise BeyondLimits(f"a request of more than {REQUEST_LIMIT_BYTES:,} bytes", evidence=(request,))
