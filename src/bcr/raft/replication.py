"""What a leader knows of its followers, and what is committed by it (specification, 14.4; paper, Figure 2)."""

from collections.abc import Collection

from bcr.raft.elections import majority_of
from bcr.raft.log import Position

MOST_UNCOMMITTED = 64  # entries of a leader; requests that come meanwhile share the next ones
MOST_ENTRIES = 64  # of a message
SPARE_BYTES = 1_024  # of a message, for what stands beside entries, or beside a piece of a snapshot
MOST_UNACKNOWLEDGED = 256  # entries that are under way to a follower, which has not said that it holds them


def may_order(waiting: int, batch_limit: int, uncommitted: int) -> bool:
    """Whether the next entry goes into the log: a full one, as long as MOST_UNCOMMITTED allow it, and another one when none is under way.

    So requests that come meanwhile share an entry, and one that is alone does not wait; the head of the chain orders likewise (3.2).
    """
    return waiting > 0 and (uncommitted == 0 or (waiting >= batch_limit and uncommitted < MOST_UNCOMMITTED))


class Follower:
    """One follower, as its leader sees it.

    `next_index` is of the entry that is sent next, `match_index` the highest that it is known to hold. `round` is the latest
    round of messages that it answered, `heard_s` when it answered last, and `has_room` what it said of its store then, None before that.
    While its log is being looked for, `is_probed`, one message is under way at a time. While it is sent a snapshot, `snapshot` holds its place, who decides there, and its bytes, and
    `offset` how many of these it has.
    """

    def __init__(self, last_index: int, now_s: float) -> None:
        self.next_index = last_index + 1
        self.match_index = 0
        self.round = 0
        self.heard_s = now_s
        self.has_room: bool | None = None
        self.is_probed = True
        self._awaits_answer = False
        self.snapshot: tuple[Position, tuple[int, ...], bytes] | None = None
        self.offset = 0

    def may_be_sent(self) -> bool:
        """Whether more entries may be sent before it answers (pipelining; thesis, 10.2.1)."""
        if self.is_probed:
            return not self._awaits_answer
        return self.next_index - self.match_index <= MOST_UNACKNOWLEDGED

    def sent(self, entries: int) -> None:
        """So many entries have left for it, which it is taken to get."""
        if self.is_probed:
            self._awaits_answer = True
        else:
            self.next_index += entries

    def heard(self, now_s: float, round_answered: int) -> None:
        self.heard_s = now_s
        self.round = max(self.round, round_answered)

    def matched(self, index: int) -> None:
        """It holds the leader's entries up to there."""
        self.is_probed = False
        self.match_index = max(self.match_index, index)
        self.next_index = max(self.next_index, self.match_index + 1)

    def refused(self, next_index: int) -> None:
        """It does not; go on from there. An old refusal takes back nothing that it has confirmed since, and one that takes back nothing is
        no reason to send anything before the next heartbeat: whoever refuses what it has confirmed would be sent it for ever."""
        back = max(self.match_index + 1, min(next_index, self.next_index))
        if back < self.next_index:
            self.is_probed, self._awaits_answer = True, False
        self.next_index = back

    def begin_snapshot(self, position: Position, members: tuple[int, ...], data: bytes) -> None:
        self.snapshot = position, members, data
        self.offset = 0

    def end_snapshot(self, index: int) -> None:
        """It holds a snapshot up to there."""
        self.snapshot = None
        self.matched(index)


def majority_index(match_indices: Collection[int]) -> int:
    """The highest index that a majority of the servers holds; of each that decides one index is given."""
    return sorted(match_indices, reverse=True)[majority_of(len(match_indices)) - 1]
