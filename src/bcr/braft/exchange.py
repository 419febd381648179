"""How a server that is behind gets what is decided, and the messages by the names that they travel under (specification, 16.7, 16.9)."""

from typing import Any

import msgspec

from bcr.braft.members import Members
from bcr.braft.promises import Certificate, Commit, Fetch, Prepare, Reply, StateAt, Status
from bcr.braft.proposals import Proposal, demand_proposal
from bcr.braft.term_log import TermLog
from bcr.braft.term_starts import TermStart, TermVote, demand_start, demand_vote
from bcr.raft.log import Entry, Position, demand_chain
from bcr.signed.encoding import decode
from bcr.signed.signing import Signed
from bcr.signed.statements import Rejection, SignedRequest
from bcr.signed.violations import MalformedMessage
from bcr.state.running import Snapshot


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """What is decided behind index `previous`: entries, and the commit certificate of the last of them.

    Where the sender's log does not go back so far, a state comes first, with the certificate of its digest, which `previous` is behind.
    """

    checkpoint: Certificate | None
    snapshot: bytes
    previous: int
    entries: tuple[Entry, ...]
    certificate: Certificate | None

    @property
    def position(self) -> Position | None:
        """Of the state, if there is one."""
        if self.checkpoint is None:
            return None
        assert isinstance(self.checkpoint.statement, StateAt)
        return self.checkpoint.statement.position


def decided_behind(
    index: int, commit_index: int, decided: Certificate | None, checkpoint: Certificate | None, log: TermLog
) -> Decided | None:
    """What to send to a server which has what is decided up to `index`; None where there is nothing to show, or it has all."""
    if index >= commit_index:
        return None
    if index >= log.base.index and decided is not None:
        return Decided(None, b"", index, log.between(index + 1, commit_index), decided)
    if checkpoint is None:
        return None
    first = log.snapshot_at.index
    return Decided(checkpoint, log.snapshot, first, log.between(first + 1, commit_index), decided)


def demand_decided(message: Decided, members: Members) -> None:
    """Raises a ProtocolViolation unless the certificates are valid, and the state is the one that its certificate is of."""
    if message.checkpoint is not None:
        members.demand_certificate(message.checkpoint, StateAt)
        assert isinstance(message.checkpoint.statement, StateAt)
        if decode(Snapshot, message.snapshot).digest() != message.checkpoint.statement.state_digest:
            raise MalformedMessage("another state than its certificate is of", evidence=(message.checkpoint,))
    if message.certificate is not None:
        members.demand_certificate(message.certificate, Commit)


def entries_behind(message: Decided, log: TermLog, commit_index: int) -> tuple[Entry, ...]:
    """The entries that a log lacks behind what is decided here.

    Raises MalformedMessage unless they follow it in a chain whose end is what the certificate is of.
    """
    assert message.certificate is not None
    statement = message.certificate.statement
    assert isinstance(statement, Commit)
    lacking = message.entries[commit_index - message.previous :]
    known = log.at(commit_index)
    assert known is not None  # it is decided
    if commit_index + len(lacking) != statement.index:
        raise MalformedMessage(f"{len(message.entries)} entries behind index {message.previous}, with the certificate of {statement.index}")
    demand_chain(known, lacking)
    if lacking[-1].digest != statement.digest:
        raise MalformedMessage("other entries than their certificate is of", evidence=(message.certificate,))
    return lacking


KINDS: dict[str, Any] = {
    "client_request": SignedRequest,
    "forwarded_request": SignedRequest,
    "append": Proposal,
    "prepare": Signed[Prepare],
    "prepare_certificate": Certificate,
    "commit": Signed[Commit],
    "checkpoint": Signed[StateAt],
    "reply": Signed[Reply],
    "rejection": Signed[Rejection],
    "start_vote": TermVote,
    "start_term": TermStart,
    "status": Signed[Status],
    "fetch": Signed[Fetch],
    "state": Decided,
}

# Those that may be large, and travel in signed pieces.
IN_PIECES = ("start_vote", "start_term", "state")

SIGNED_BY_CLIENTS = ("client_request", "forwarded_request")


def demand_valid(message_name: str, message: Any, members: Members, batch_limit: int) -> None:
    """Raises a ProtocolViolation unless the message is what it says, whoever sent it: signatures, certificates, chains and limits."""
    if message_name in SIGNED_BY_CLIENTS:
        members.demand_client(message)
    elif isinstance(message, Signed):
        members.demand_server(message)
    elif isinstance(message, Certificate):
        members.demand_certificate(message, Prepare)
    elif isinstance(message, Proposal):
        demand_proposal(message, members, batch_limit)
    elif isinstance(message, TermVote):
        demand_vote(message, members)
    elif isinstance(message, TermStart):
        demand_start(message, members)
    else:
        demand_decided(message, members)
