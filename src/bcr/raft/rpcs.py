"""The messages of Raft, with the fields of the paper's Figures 2 and 13 (specification, 14.1). Nothing is signed: nobody lies here."""

import msgspec

from bcr.raft.log import Conflict, Entry, Position
from bcr.signed.statements import Outcome, Request


class RequestVote(msgspec.Struct, frozen=True, array_like=True):
    """A candidate asks for a vote in `term`; in a pre-vote, whether it would get one (thesis, 9.6)."""

    term: int
    candidate: int
    last: Position
    is_pre_vote: bool


class Vote(msgspec.Struct, frozen=True, array_like=True):
    """The answer: `term` is the voter's, or that of the pre-vote which it grants."""

    term: int
    voter: int
    is_granted: bool
    is_pre_vote: bool


class AppendEntries(msgspec.Struct, frozen=True, array_like=True):
    """Entries behind `previous`; none: a heartbeat. `round` counts the leader's messages to all, for who answers to tell."""

    term: int
    leader: int
    previous: Position
    entries: tuple[Entry, ...]
    leader_commit: int
    round: int


class Appended(msgspec.Struct, frozen=True, array_like=True):
    """The answer: the log matches the leader's up to `match_index`, or there is a conflict. `has_room` says whether for more (14.12)."""

    term: int
    follower: int
    match_index: int
    conflict: Conflict | None
    round: int
    has_room: bool = True


class InstallSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a snapshot that replaces the log up to `last`, where `members` decide: the bytes from `offset` on."""

    term: int
    leader: int
    last: Position
    members: tuple[int, ...]
    offset: int
    data: bytes
    is_done: bool
    round: int


class SnapshotInstalled(msgspec.Struct, frozen=True, array_like=True):
    """The answer: so many bytes of the snapshot that ends at `last_index` are there, or all of it is in place."""

    term: int
    follower: int
    last_index: int
    offset: int
    is_done: bool
    round: int


class TimeoutNow(msgspec.Struct, frozen=True, array_like=True):
    """The leader of a term asks a server that holds its log to be elected in its place, at once (thesis, 3.10)."""

    term: int
    leader: int


class Response(msgspec.Struct, frozen=True, array_like=True, tag="raft_response"):
    """What a client's request gave, and where in the log; `term` is that of the server that answers.

    To whoever judges a run it is what the chain's `Answer` is: the outcome, and the place by which results are ordered.
    """

    client: int
    number: int
    outcome: Outcome
    term: int

    @property
    def configuration(self) -> int:
        return self.outcome.configuration

    @property
    def slot(self) -> int:
        return self.outcome.slot


class Redirect(msgspec.Struct, frozen=True, array_like=True):
    """This server does not lead; `leader` is who does, as far as it knows, in `term` (paper, 8)."""

    client: int
    number: int
    leader: int | None
    term: int


class NoRoom(msgspec.Struct, frozen=True, array_like=True):
    """The leader of `term` puts this request into no log, for too few servers have room for it (specification, 14.12)."""

    client: int
    number: int
    term: int


KINDS = {
    "request_vote": RequestVote,
    "vote": Vote,
    "append_entries": AppendEntries,
    "appended": Appended,
    "install_snapshot": InstallSnapshot,
    "snapshot_installed": SnapshotInstalled,
    "timeout_now": TimeoutNow,
    "client_request": Request,
    "response": Response,
    "redirect": Redirect,
    "no_room": NoRoom,
}
