"""Who may become leader: terms, votes, and how long a follower waits (specification, 14.3; paper, 5.2)."""

from collections.abc import Collection

from bcr.raft.log import Position

# What a server is; a pre-candidate asks whether it would be elected, and changes nobody's term.
FOLLOWER = "follower"
PRE_CANDIDATE = "pre-candidate"
CANDIDATE = "candidate"
LEADER = "leader"

DRAWN_BYTES = 2  # of chance in an election timeout


def majority_of(servers: int) -> int:
    """How many of so many servers are a majority."""
    return servers // 2 + 1


def is_up_to_date(candidate: Position, voter: Position) -> bool:
    """The election restriction: whether the candidate's log, which ends there, is at least as up to date as the voter's (5.4.1).

    The log with the later last term is; of two with the same last term the longer one.
    """
    return (candidate.term, candidate.index) >= (voter.term, voter.index)


def may_vote(term: int, candidate: int, current_term: int, voted_for: int | None) -> bool:
    """Whether a server that is in `current_term` still has its vote of the term to give, or gave it to this candidate (5.2)."""
    return term == current_term and voted_for in (None, candidate)


def drawn_timeout_ms(least_ms: int, most_ms: int, chance: bytes) -> float:
    """An election timeout from `least_ms` to `most_ms`, by DRAWN_BYTES bytes of chance (5.2)."""
    share = int.from_bytes(chance[:DRAWN_BYTES], "big") / (1 << 8 * DRAWN_BYTES)
    return least_ms + (most_ms - least_ms) * share


class Ballot:
    """The votes that a candidate has got in a term, its own first; in a pre-vote nobody's term changes (thesis, 9.6)."""

    def __init__(self, term: int, candidate: int, members: Collection[int], is_pre_vote: bool) -> None:
        self.term = term
        self.is_pre_vote = is_pre_vote
        self._members = frozenset(members)
        self._granted = {candidate}

    def count(self, voter: int) -> None:
        """A vote for the candidate; of each server that decides one counts."""
        self._granted.add(voter)

    @property
    def is_won(self) -> bool:
        return len(self._granted & self._members) >= majority_of(len(self._members))
