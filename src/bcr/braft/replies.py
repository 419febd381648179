"""What a client takes for true: what t+1 servers say alike (specification, 16.6)."""

from collections.abc import Iterable

import msgspec

from bcr.braft.members import Members
from bcr.braft.promises import Reply
from bcr.signed.signing import Signed
from bcr.signed.statements import Outcome, Rejection, SignedRequest
from bcr.signed.violations import NotEnoughStatements


class Agreed(msgspec.Struct, frozen=True, array_like=True, tag="agreed"):
    """A result with the servers' statements that it rests on; what the chain's `Answer` is to whoever judges a run."""

    outcome: Outcome
    replies: tuple[Signed[Reply], ...]

    @property
    def configuration(self) -> int:
        return self.outcome.configuration

    @property
    def slot(self) -> int:
        return self.outcome.slot

    @property
    def term(self) -> int:
        """One that a correct server was in, or a later one than that."""
        return min(each.statement.term for each in self.replies)

    def demand_for(self, request: SignedRequest, members: Members) -> None:
        """Raises a ProtocolViolation unless t+1 servers, each counted once, have signed this outcome of the request."""
        asked = request.statement
        for each in self.replies:
            members.demand_server(each)
        outcomes = {(each.statement.client, each.statement.number, each.statement.outcome) for each in self.replies}
        signers = {each.signer for each in self.replies}
        if outcomes != {(asked.client, asked.number, self.outcome)} or len(signers) <= members.t:
            raise NotEnoughStatements(
                f"{len(signers)} servers say what request {asked.number} gave, {members.t + 1} are needed", evidence=self.replies
            )


def is_rejected(rejections: Iterable[Signed[Rejection]], request: SignedRequest, t: int) -> bool:
    """Whether more than t of these, one of each server, say that it has no room for this request: one of them is correct."""
    asked = request.statement
    about = asked.client, asked.number, asked.digest()
    said = [each.statement for each in rejections]
    return sum((each.client, each.number, each.request_digest) == about for each in said) > t


def agreed_among(replies: Iterable[Signed[Reply]], t: int) -> Agreed | None:
    """The outcome that more than t of these name, which are of one request, and one of each server; None where there is none yet."""
    by_outcome: dict[Outcome, list[Signed[Reply]]] = {}
    for each in replies:
        by_outcome.setdefault(each.statement.outcome, []).append(each)
    return next((Agreed(outcome, tuple(found)) for outcome, found in by_outcome.items() if len(found) > t), None)
