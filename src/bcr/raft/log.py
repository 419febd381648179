"""The log: entries that form a chain, and what a snapshot has taken the place of (specification, 14.2).

Each entry holds the digest of the one before it. So the digest at an index stands for everything up to there, and the log matching
test compares digests where the paper compares terms: equal digests are equal logs, whatever the terms say.
"""

from collections.abc import Sequence

import msgspec

from bcr.signed.encoding import DIGEST_SIZE, digest, encode
from bcr.signed.statements import Request
from bcr.signed.violations import MalformedMessage
from bcr.state.cache import once


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A place in the log: its index, counted from 1, the term of the entry there, and the entry's digest."""

    index: int
    term: int
    digest: bytes


BEGINNING = Position(0, 0, bytes(DIGEST_SIZE))  # before the first entry


class Entry(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """Requests that were put into the log in a term, behind the entry with the digest `previous`; none: a no-op.

    With `members` the servers at these positions decide, from this entry on.
    """

    previous: bytes
    term: int
    requests: tuple[Request, ...]
    members: tuple[int, ...] | None = None

    @once
    def digest(self) -> bytes:
        members = () if self.members is None else (self.members,)
        return digest("raft entry", (self.previous, self.term, self.requests, *members))

    @once
    def size(self) -> int:
        """How many bytes it has, as it travels."""
        return len(encode(self))


class Conflict(msgspec.Struct, frozen=True, array_like=True):
    """Why a follower's log does not match: its entry there has `term`, whose first index it holds is `index` (paper, 5.3).

    Where it has no entry there `term` is None, and `index` is the first that it lacks.
    """

    term: int | None
    index: int


def demand_chain(previous: Position, entries: Sequence[Entry]) -> None:
    """Raises MalformedMessage unless each of the entries names the one before it, the first the entry at `previous`."""
    before, term = previous.digest, previous.term
    for entry in entries:
        if entry.previous != before:
            raise MalformedMessage(f"entries behind index {previous.index} that are no chain", evidence=(entry,))
        if entry.term < term:
            raise MalformedMessage(f"an entry of term {entry.term} behind one of term {term}", evidence=(entry,))
        before, term = entry.digest, entry.term


class Log:
    """Entries by index, from the one behind `base`; what is up to there a snapshot has replaced."""

    def __init__(self, base: Position = BEGINNING, entries: Sequence[Entry] = ()) -> None:
        self.base = base
        self._entries = list(entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that it holds, behind `base`."""
        return tuple(self._entries)

    @property
    def last_index(self) -> int:
        return self.base.index + len(self._entries)

    @property
    def last(self) -> Position:
        if not self._entries:
            return self.base
        entry = self._entries[-1]
        return Position(self.base.index + len(self._entries), entry.term, entry.digest)

    def entry(self, index: int) -> Entry:
        """The entry at an index behind the base, which must be there."""
        return self._entries[index - self.base.index - 1]

    def at(self, index: int) -> Position | None:
        """The place of that index; None where the log does not reach so far, or where it is cut."""
        behind_base = index - self.base.index
        if 0 < behind_base <= len(self._entries):
            entry = self._entries[behind_base - 1]
            return Position(index, entry.term, entry.digest)
        return self.base if behind_base == 0 else None

    def append(self, term: int, requests: Sequence[Request], members: tuple[int, ...] | None = None) -> Entry:
        """Put requests, or who decides from now on, behind everything, as only a leader does (paper, 5.3)."""
        entry = Entry(self.last.digest, term, tuple(requests), members)
        self._entries.append(entry)
        return entry

    def matches(self, previous: Position) -> bool:
        """The consistency check of AppendEntries: whether this log holds what the leader's does up to there.

        What a snapshot has replaced was committed, and so is in the log of every later leader.
        """
        return previous.index < self.base.index or self.at(previous.index) == previous

    def conflict_at(self, index: int) -> Conflict:
        """What to tell a leader whose entry at that index this log does not have."""
        place = self.at(index)
        if place is None:
            return Conflict(None, self.last_index + 1)
        first = index
        while first - 1 > self.base.index and self.entry(first - 1).term == place.term:
            first -= 1
        return Conflict(place.term, first)

    def next_index(self, conflict: Conflict) -> int:
        """Where a leader with this log goes on for a follower that told of a conflict (paper, end of 5.3).

        Behind its own last entry of the follower's term, if it has any; else where the follower's term begins.
        """
        if conflict.term is not None:
            for index in range(self.last_index, self.base.index, -1):
                if self.entry(index).term <= conflict.term:
                    return index + 1 if self.entry(index).term == conflict.term else conflict.index
        return conflict.index

    def take(self, previous_index: int, entries: Sequence[Entry]) -> int | None:
        """Hold these entries behind that index (paper, Figure 2, AppendEntries, 3 and 4); from where the log has changed, if it has.

        An entry that conflicts with a new one is deleted with all that follow it. What is there already stays, with what is
        behind it: the message may be an old one.
        """
        for index, entry in enumerate(entries, start=previous_index + 1):
            if index <= self.base.index:
                continue
            if index <= self.last_index and self.entry(index).digest == entry.digest:
                continue
            del self._entries[index - self.base.index - 1 :]
            self._entries += entries[index - previous_index - 1 :]
            return index
        return None

    def behind(self, index: int, most: int, most_bytes: int) -> tuple[Entry, ...]:
        """Entries from that index on, no more than so many and so large together; the first in any case."""
        entries: list[Entry] = []
        size = 0
        for place in range(index, min(self.last_index, index + most - 1) + 1):
            entry = self.entry(place)
            size += entry.size
            if entries and size > most_bytes:
                break
            entries.append(entry)
        return tuple(entries)

    def cut(self, index: int) -> None:
        """Forget the entries up to that index, which a snapshot replaces (paper, 7)."""
        place = self.at(index)
        assert place is not None
        del self._entries[: index - self.base.index]
        self.base = place

    def forget(self, count: int) -> None:
        """Lose the last entries, as only a server that lies does."""
        del self._entries[max(0, len(self._entries) - count) :]

    def reset(self, base: Position) -> None:
        """Forget everything: a snapshot up to there is all there is (paper, Figure 13, 7)."""
        self.base = base
        self._entries.clear()
