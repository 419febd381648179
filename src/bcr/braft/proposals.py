"""What a leader puts into the log, and what followers ask of it (specification, 16.3, 16.4)."""

from collections.abc import Sequence

import msgspec

from bcr.braft.members import Members
from bcr.braft.promises import Append
from bcr.raft.log import Entry
from bcr.raft.replication import MOST_UNCOMMITTED
from bcr.signed.signing import Signed
from bcr.signed.statements import SignedRequest
from bcr.signed.violations import MalformedMessage, UnknownSigner

MOST_AHEAD = 4 * MOST_UNCOMMITTED  # entries behind what is decided here, of which anything is kept
MOST_DOUBLINGS = 6  # of the time that a server waits, a term after the other
MOST_BACKOFF = 4  # doublings of the time between two beats, while nothing moves that should


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """An entry as its leader sends it, with the signatures of the clients below its requests."""

    signed: Signed[Append]
    entry: Entry
    signatures: tuple[bytes, ...]

    def requests(self) -> tuple[SignedRequest, ...]:
        pairs = zip(self.entry.requests, self.signatures, strict=True)
        return tuple(Signed(request, request.client, signature) for request, signature in pairs)


def proposed(signed: Signed[Append], entry: Entry, requests: Sequence[SignedRequest]) -> Proposal:
    return Proposal(signed, entry, tuple(each.signature for each in requests))


def demand_proposal(proposal: Proposal, members: Members, batch_limit: int) -> None:
    """Raises a ProtocolViolation unless the leader of its term proposes there what clients have signed."""
    signed, entry = proposal.signed, proposal.entry
    statement = signed.statement
    if signed.signer != members.leader(statement.term):
        raise UnknownSigner(f"an entry of term {statement.term} by server {signed.signer}, which does not lead in it", evidence=(signed,))
    members.demand_server(signed)
    if (entry.digest, entry.term) != (statement.digest, statement.term):
        raise MalformedMessage(f"another entry than the leader signed for index {statement.index}", evidence=(signed, entry))
    if not 0 < len(entry.requests) == len(proposal.signatures) <= batch_limit:
        what = f"{len(entry.requests)} requests under {len(proposal.signatures)} signatures in an entry, where {batch_limit} may be"
        raise MalformedMessage(what, evidence=(signed, entry))
    for request in proposal.requests():
        members.demand_client(request)
