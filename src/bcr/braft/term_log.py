"""The log of a server among liars (specification, 15.2)."""

from collections.abc import Sequence

from bcr.raft.log import Entry, Position
from bcr.raft.stored_log import StoredLog


class TermLog(StoredLog):
    """A log that a new term continues: what was not prepared in an earlier one goes."""

    def stands(self, index: int, digest: bytes) -> bool:
        """Whether the entry with this digest is at that index: then everything before it is the same too."""
        place = self.at(index)
        return place is not None and place.digest == digest

    def contradicts(self, index: int, entries: Sequence[Entry]) -> bool:
        """Whether this log holds another entry than one of these, which stand behind that index."""
        places = ((self.at(place), entry) for place, entry in enumerate(entries, start=index + 1))
        return any(place is not None and place.digest != entry.digest for place, entry in places)

    def between(self, first: int, last: int) -> tuple[Entry, ...]:
        """The entries from that index to that one."""
        return tuple(self.entry(index) for index in range(first, last + 1))

    def continue_behind(self, first: Position, entries: Sequence[Entry]) -> bool:
        """Hold these entries behind `first`, and nothing behind them; False, and nothing done, where this log does not hold `first`."""
        if first.index >= self.base.index and not self.stands(first.index, first.digest):
            return False
        if first.index + len(entries) < self.base.index:
            return False
        self.take(first.index, entries)
        end = first.index + len(entries)
        if self.last_index > end:
            del self._entries[end - self.base.index :]
            self._store.save_entries(end + 1, ())
        return True
