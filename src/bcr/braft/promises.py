"""What servers sign, and the certificates that quorums of equal statements make (specification, 16.2, 16.3)."""

import msgspec

from bcr.raft.log import Position
from bcr.signed.signing import Signed, Statement
from bcr.signed.statements import Outcome


class Append(Statement, frozen=True, tag="append"):
    """The leader of `term` puts the entry with this digest at that index."""

    term: int
    index: int
    digest: bytes


class Prepare(Statement, frozen=True, tag="prepare"):
    """A server holds this entry there, and all before it, and takes no other in this term."""

    term: int
    index: int
    digest: bytes


class Commit(Statement, frozen=True, tag="commit"):
    """A server has seen a prepare certificate of this entry, and shows it to whoever begins a later term."""

    term: int
    index: int
    digest: bytes


class StateAt(Statement, frozen=True, tag="state_at"):
    """A server's state behind that entry."""

    position: Position
    state_digest: bytes

    @property
    def index(self) -> int:
        return self.position.index

    @property
    def term(self) -> int:
        """All terms are one: nobody may sign two states behind one entry."""
        return 0


class StartVote(Statement, frozen=True, tag="start_vote"):
    """A server gives up every earlier term for this one; the highest entry that it knows to be prepared is this, of `prepared_term`."""

    term: int
    prepared_term: int
    index: int
    digest: bytes


class Start(Statement, frozen=True, tag="start_term"):
    """The leader begins a term: the log goes on behind this entry."""

    term: int
    index: int
    digest: bytes


class Status(Statement, frozen=True, tag="status"):
    """How far a server is: its term, and the indices of what is decided, prepared in this term, last in the log, and certain as a state."""

    term: int
    is_started: bool
    committed: int
    prepared: int
    last: int
    stable: int


class Fetch(Statement, frozen=True, tag="fetch"):
    """A server asks for what is decided behind that index."""

    committed: int


class Reply(Statement, frozen=True, tag="reply"):
    """What a request gave, and where in the log, as one server says it; `term` is that server's."""

    client: int
    number: int
    term: int
    outcome: Outcome


class Certificate(msgspec.Struct, frozen=True, array_like=True):
    """One statement under the signatures of several servers: signer and signature of each."""

    statement: Prepare | Commit | StateAt
    signatures: tuple[tuple[int, bytes], ...]

    @property
    def rank(self) -> tuple[int, int]:
        """By which certificates of prepared entries are compared: the term counts before the index."""
        return self.statement.term, self.statement.index


NO_RANK = (0, 0)  # of no certificate


def rank_of(certificate: Certificate | None) -> tuple[int, int]:
    return NO_RANK if certificate is None else certificate.rank


SignedPrepare = Signed[Prepare]
SignedCommit = Signed[Commit]
SignedState = Signed[StateAt]
