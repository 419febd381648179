"""The log of a server among liars (specification, 16.2)."""

from collections.abc import Sequence

from bcr.raft.log import Entry, Position
from bcr.raft.stored_log import StoredLog


class TermLog(StoredLog):
    """A log that a new term continues: what was not prepared in an earlier one goes."""

    def stands(self, index: int, digest: bytes) -> bool:
        """Whether the entry with this digest is at that index: then everything before it is the same too."""
        place = self.at(index)
        return place is not None and place.digest == digest

    def is_of_leader(self, term: int, begun: bytes | None) -> bool:
        """Whether the leader of that term made the last entry, or began the term with it: `begun` is the digest of what it began with.

        Any other came here as something decided, perhaps in a later term: what does not follow it shows nothing about that leader.
        """
        return self.last.term == term or self.last.digest == begun

    def contradicts(self, index: int, entries: Sequence[Entry | Position]) -> bool:
        """Whether this log holds another entry than one of these, or than one at such a position, which stand behind that index."""
        places = ((self.at(place), entry) for place, entry in enumerate(entries, start=index + 1))
        return any(place is not None and place.digest != entry.digest for place, entry in places)

    def between(self, first: int, last: int) -> tuple[Entry, ...]:
        """The entries from that index to that one."""
        return tuple(self.entry(index) for index in range(first, last + 1))

    def holds(self, index: int, digest: bytes) -> bool:
        """Whether the entry with this digest is there, or was, before a certain state took its place."""
        return index <= self.base.index or self.stands(index, digest)

    def continue_behind(self, first: Position, entries: Sequence[Entry], commit_index: int) -> bool:
        """Hold these entries behind `first`, and nothing behind them; False, and nothing done, where this log does not hold `first`.

        What is decided, up to `commit_index`, stays, for what a term begins with can be older than what was decided in it since.
        """
        end = first.index + len(entries)
        if commit_index < end:
            if not self.holds(first.index, first.digest):
                return False
            self.take(first.index, entries)
        end = max(end, commit_index)
        if self.last_index > end:
            del self._entries[end - self.base.index :]
            self._store.save_entries(end + 1, ())
        return True
