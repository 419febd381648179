"""Elections: votes with what is prepared, and the one log that a quorum of them lets a term go on with (specification, 16.5)."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bcr.braft.members import Members
from bcr.braft.promises import Certificate, Commit, Prepare, Start, StartVote, StateAt, rank_of
from bcr.braft.term_log import TermLog
from bcr.raft.log import BEGINNING, Entry, Position, demand_chain
from bcr.signed.signing import Signed
from bcr.signed.violations import InvalidCertificate, MalformedMessage, UnknownSigner

Sign = Callable[[Any], Signed[Any]]


class Suffix(msgspec.Struct, frozen=True, array_like=True):
    """Entries behind a certain state, whose certificate is `checkpoint`; behind nothing where there is none."""

    checkpoint: Certificate | None
    entries: tuple[Entry, ...]

    @property
    def first(self) -> Position:
        """The place that the entries stand behind."""
        if self.checkpoint is None:
            return BEGINNING
        assert isinstance(self.checkpoint.statement, StateAt)
        return self.checkpoint.statement.position

    def holds(self, index: int, digest: bytes) -> bool:
        """Whether the last of its entries is that one."""
        last = self.entries[-1].digest if self.entries else self.first.digest
        return (self.first.index + len(self.entries), last) == (index, digest)

    def demand_valid(self, members: Members, index: int, digest: bytes) -> None:
        """Raises a ProtocolViolation unless this is a log that ends with that entry, or there is a certain state behind it."""
        if self.checkpoint is not None:
            members.demand_certificate(self.checkpoint, StateAt)
        if self.first.index > index and not self.entries:
            return
        demand_chain(self.first, self.entries)
        if not self.holds(index, digest):
            raise MalformedMessage(f"a log that does not end with the prepared entry {index}", evidence=(self,))


class TermVote(msgspec.Struct, frozen=True, array_like=True):
    """A vote as it travels: with the certificate of what it calls prepared, and the log up to there."""

    signed: Signed[StartVote]
    certificate: Certificate | None
    log: Suffix

    @property
    def term(self) -> int:
        return self.signed.statement.term

    @property
    def voter(self) -> int:
        return self.signed.signer


def is_backed(highest: Certificate | None, log: TermLog, begun: Suffix | None) -> bool:
    """Whether a server can show the log up to what it calls prepared; `begun` is that of the term which it is in."""
    if highest is None:
        return True
    statement = highest.statement
    assert isinstance(statement, Prepare | Commit)
    is_in_log = statement.index < log.base.index or log.stands(statement.index, statement.digest)
    return is_in_log or (begun is not None and begun.holds(statement.index, statement.digest))


def vote_of(
    sign: Sign, term: int, highest: Certificate | None, checkpoint: Certificate | None, log: TermLog, begun: Suffix | None
) -> TermVote:
    """A server's vote; `begun` is the log of the term that it is in, for where it does not hold that itself yet.

    Where a disk has lost the certificate of its state it claims nothing, for it could show nothing.
    """
    first = Suffix(checkpoint, ()).first.index
    if highest is None or first < log.base.index:
        return TermVote(sign(StartVote(term, 0, 0, BEGINNING.digest)), None, Suffix(checkpoint, ()))
    statement = highest.statement
    assert isinstance(statement, Prepare | Commit)
    signed = sign(StartVote(term, *highest.rank, statement.digest))
    if first > statement.index or log.stands(statement.index, statement.digest) or begun is None:
        return TermVote(signed, highest, Suffix(checkpoint, log.between(first + 1, statement.index)))
    return TermVote(signed, highest, begun)


def demand_claim(signed: Signed[StartVote], certificate: Certificate | None, members: Members) -> None:
    """Raises a ProtocolViolation unless the signer's claim is shown: that this is the highest entry it knows to be prepared."""
    members.demand_server(signed)
    vote = signed.statement
    if certificate is None:
        if (vote.prepared_term, vote.index, vote.digest) != (0, 0, BEGINNING.digest):
            raise InvalidCertificate(f"a vote for term {vote.term} that shows no certificate of index {vote.index}", evidence=(signed,))
        return
    members.demand_certificate(certificate, Prepare, Commit)
    statement = certificate.statement
    assert isinstance(statement, Prepare | Commit)
    if (statement.term, statement.index, statement.digest) != (vote.prepared_term, vote.index, vote.digest):
        raise InvalidCertificate(f"a vote for term {vote.term} with the certificate of another entry", evidence=(signed, certificate))
    if statement.term >= vote.term:
        raise MalformedMessage(f"a vote for term {vote.term} with a certificate of term {statement.term}", evidence=(signed,))


def demand_vote(vote: TermVote, members: Members) -> None:
    """Raises a ProtocolViolation unless the vote shows all that it claims."""
    demand_claim(vote.signed, vote.certificate, members)
    vote.log.demand_valid(members, vote.signed.statement.index, vote.signed.statement.digest)


Claim = tuple[Signed[StartVote], Certificate | None]


class TermStart(msgspec.Struct, frozen=True, array_like=True):
    """How a term begins: its leader's word, the votes that let it, and the log that they make it go on with."""

    signed: Signed[Start]
    votes: tuple[Claim, ...]
    log: Suffix

    @property
    def term(self) -> int:
        return self.signed.statement.term

    @property
    def index(self) -> int:
        return self.signed.statement.index

    @property
    def digest(self) -> bytes:
        return self.signed.statement.digest


def highest_of(claims: Sequence[Claim]) -> Claim:
    """The claim of the highest certificate: everybody who has these votes comes to the same entry."""
    return max(claims, key=lambda claim: rank_of(claim[1]))


def start_of(sign: Sign, votes: Sequence[TermVote], members: Members) -> TermStart:
    """How a leader begins the term that a quorum of these votes is for."""
    quorum_votes = sorted(votes, key=lambda vote: vote.signed.signer)[: members.quorum]
    highest = max(quorum_votes, key=lambda vote: (rank_of(vote.certificate), len(vote.log.entries)))
    statement = highest.signed.statement
    claims = tuple((vote.signed, vote.certificate) for vote in quorum_votes)
    return TermStart(sign(Start(statement.term, statement.index, statement.digest)), claims, highest.log)


def demand_start(start: TermStart, members: Members) -> None:
    """Raises a ProtocolViolation unless a quorum has voted for the term, and the log is the one that follows from these votes."""
    signed, term = start.signed, start.term
    if signed.signer != members.leader(term):
        raise UnknownSigner(f"term {term} begun by server {signed.signer}, and not by its leader", evidence=(signed,))
    members.demand_server(signed)
    voters = {vote.signer for vote, _ in start.votes}
    if len(voters) != len(start.votes) or len(voters) < members.quorum:
        what = f"{len(voters)} servers in {len(start.votes)} votes, {members.quorum} are needed"
        raise InvalidCertificate(f"term {term} begun with votes of {what}", evidence=(signed,))
    for vote, certificate in start.votes:
        if vote.statement.term != term:
            raise InvalidCertificate(f"term {term} begun with a vote for term {vote.statement.term}", evidence=(signed, vote))
        demand_claim(vote, certificate, members)
    highest = highest_of(start.votes)[0].statement
    if signed.statement != Start(term, highest.index, highest.digest):
        raise MalformedMessage(f"term {term} begun with another log than its votes ask for", position=signed.signer, evidence=(signed,))
    start.log.demand_valid(members, highest.index, highest.digest)
    if start.log.first.index > highest.index:
        raise MalformedMessage(f"term {term} begun behind a state that its votes do not know", evidence=(signed,))
