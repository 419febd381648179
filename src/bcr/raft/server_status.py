"""How a server of Raft is, as it tells whoever keeps it: the fields of the paper's Figure 2, and nothing beside them (specification, 14.1)."""

from collections.abc import Mapping

import msgspec

from bcr.raft.elections import LEADER
from bcr.raft.replication import Follower

Indices = tuple[tuple[int, int], ...]  # of followers, by position


class ServerStatus(msgspec.Struct, frozen=True, array_like=True):
    """`leader` is who leads `term` as far as the server knows; `members` are those that decide, as its log has it.

    Of a leader `next_index` and `match_index` are those of its followers; of others they are empty.
    """

    position: int
    role: str
    term: int
    leader: int | None
    voted_for: int | None
    commit_index: int
    last_applied: int
    last_log_index: int
    last_log_term: int
    members: tuple[int, ...]
    next_index: Indices
    match_index: Indices
    pid: int

    @property
    def leads(self) -> bool:
        return self.role == LEADER


def indices_of(followers: Mapping[int, Follower]) -> tuple[Indices, Indices]:
    """`next_index` and `match_index` of a leader's followers: two things, and not to be told one for the other."""
    known = sorted(followers.items())
    return (
        tuple((position, follower.next_index) for position, follower in known),
        tuple((position, follower.match_index) for position, follower in known),
    )
