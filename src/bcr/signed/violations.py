"""What a peer can do wrong, one class a kind, each carrying the evidence (specification, 5).

A violation is raised where it is found and is what the log, the reconfiguration request and the verdict speak of.
`provable` says whether the evidence convinces somebody who was not there. A valid signature under invalid or contradictory
content does. A bad signature does not, because anybody could have sent that.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

MAX_NOTICES_KEPT = 100  # by one process; a lying peer must not fill its memory
LONGEST_WHAT = 200  # characters


def shortened(what: str) -> str:
    """What went wrong in no more than LONGEST_WHAT characters: a peer has a say in the text, and it is sent and kept."""
    return what if len(what) <= LONGEST_WHAT else f"{what[: LONGEST_WHAT - 1]}…"


class ProtocolViolation(Exception):
    """A peer's misbehaviour.

    `what` is cut behind LONGEST_WHAT characters; `position` is the chain position of the replica to blame, or None where
    nobody can be named; `evidence` the messages or statements that show it.
    """

    provable: ClassVar[bool] = False

    def __init__(self, what: str, *, position: int | None = None, evidence: Sequence[Any] = ()) -> None:
        self.what = shortened(what)
        super().__init__(self.what)
        self.position = position
        self.evidence = tuple(evidence)

    @property
    def kind(self) -> str:
        return type(self).__name__


class MalformedMessage(ProtocolViolation):
    """The bytes do not decode, or the parts of the message do not fit together."""


class BeyondLimits(MalformedMessage):
    """A request that is larger than any may be, by limits that are the same for all replicas."""


class InvalidSignature(ProtocolViolation):
    """A signature does not verify; proves nothing about its purported author."""


class UnknownSigner(ProtocolViolation):
    """A statement names a signer that the configuration does not have, or names one twice."""


class WrongConfiguration(ProtocolViolation):
    """A statement or message belongs to another configuration."""


class Hole(ProtocolViolation):
    """A slot arrived before a lower one: links are FIFO, so the missing shuttle will not come."""


class IncompleteProof(ProtocolViolation):
    """A proof lacks the statement of a replica that must be in it."""


class InvalidCertificate(ProtocolViolation):
    """A certificate of fewer servers than a quorum, of one counted twice, of something else, or with a signature that does not verify."""


class WrongChain(ProtocolViolation):
    """A leader signed an entry that does not follow the one which it signed before it."""

    provable = True


class ContradictoryOrder(ProtocolViolation):
    """An order that a replica signed stands beside requests that it does not order.

    Whoever has it knows that somebody lies. Who it is, it shows to nobody else: nobody has signed that they stood together.
    """


class Equivocation(ProtocolViolation):
    """A replica signed two different order statements for one slot, or a server two of a kind for one index and term."""

    provable = True


class DisagreeingResult(ProtocolViolation):
    """A replica signed a result that differs from the one that t+1 replicas signed."""

    provable = True


class NotEnoughStatements(ProtocolViolation):
    """Fewer than t+1 valid statements agree."""


class NotFinal(ProtocolViolation):
    """Some replica has not testified to a slot, so what it gave may yet be lost."""


class OfAnotherRequest(MalformedMessage):
    """Replicas testify to a request that its client did not sign so; with codes for readers, somebody has changed that of another."""


class SecondOrder(ProtocolViolation):
    """A head ordered a request twice in one configuration, or one that no correct head orders."""


class Overdue(ProtocolViolation):
    """A checkpoint that should have come has not: the history must not grow without bound."""


class OverLimit(ProtocolViolation):
    """More than the protocol ever needs at once."""


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """That a process noticed misbehaviour: the kind of violation, what it was, whom it blames, and in which message."""

    kind: str
    what: str
    blamed: int | None
    message: str

    @classmethod
    def of(cls, violation: ProtocolViolation, message_name: str) -> "Notice":
        return cls(violation.kind, violation.what, violation.position, message_name)
