"""What takes the number of a request that was rejected, and what an answer to it says of that request (specification, 4.8).

Of the two at most one is executed, for they have one number. An outcome is remembered under that number alone, and comes as
answer to either of them. So that it says which of them gave it, the void request has another number of operations, and with
that of results.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from bcr.chain.configuration import Membership
from bcr.chain.proofs import Answer, Vouched
from bcr.objects.operation import Operation
from bcr.signed.statements import Outcome, SignedRequest
from bcr.signed.violations import MalformedMessage

_Other = TypeVar("_Other")

VOID = (Operation("void", ""),)  # whatever an object makes of it, it asks for nothing


def void_instead_of(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """What takes the number of a request with these operations: it gets another number of results."""
    return VOID * 2 if len(operations) == 1 else VOID


def is_void(operations: Sequence[Operation]) -> bool:
    """Whether they ask for nothing, and only take a number: as many as that needs."""
    return tuple(operations) in (VOID, VOID * 2)


def takes_the_place(void: SignedRequest, request: SignedRequest) -> bool:
    """Whether the one is the void request in the place of the other."""
    statement = request.statement
    return bool(void.statement == msgspec.structs.replace(statement, operations=void_instead_of(statement.operations)))


class AnswerToOther(msgspec.Struct, frozen=True, array_like=True, tag="answer_to_other"):
    """What a client has for a request of which an answer to the void one in its place tells the outcome, or for a void one the other.

    That happens where the one was executed in an earlier configuration, and the other ordered in a later.
    """

    named: SignedRequest
    answer: Answer | Vouched

    @property
    def configuration(self) -> int:
        return self.answer.configuration

    @property
    def slot(self) -> int:
        return self.answer.slot

    @property
    def outcome(self) -> Outcome:
        return self.answer.outcome


def without_void(recorded: AnswerToOther | _Other) -> Answer | Vouched | _Other:
    """The answer itself, whichever request it names."""
    return recorded.answer if isinstance(recorded, AnswerToOther) else recorded


def named_in(recorded: Answer | Vouched | AnswerToOther, request: SignedRequest, configuration: Membership) -> SignedRequest:
    """The request that must stand in the slot of what is on record as the answer to `request`: itself, or the other of its number.

    Raises a ProtocolViolation unless one is void in the place of the other, and its client, which has signed `request`, has signed both.
    """
    if not isinstance(recorded, AnswerToOther):
        return request
    if not (takes_the_place(recorded.named, request) or takes_the_place(request, recorded.named)):
        raise MalformedMessage("an answer to what is not void in the place of the request", evidence=(recorded, request))
    configuration.demand_signed_by_client(recorded.named)
    return recorded.named
