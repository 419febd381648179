"""The log with the snapshot that it stands on, both in the store before anybody hears of them (specification, 14.8)."""

from collections.abc import Sequence

from bcr.raft.log import Entry, Log, Position
from bcr.raft.persistent import StableStorage
from bcr.signed.statements import Request


class StoredLog(Log):
    """A log that puts into its store whatever changes in it, before it returns.

    `snapshot_at` is where the latest snapshot was taken, `snapshot` its bytes, `snapshot_members` who decided there. The log may go back further than that: for followers
    that are a little behind.
    """

    def __init__(self, store: StableStorage) -> None:
        stored = store.load()
        super().__init__(stored.base, stored.entries)
        self.snapshot_at, self.snapshot, self.snapshot_members = stored.snapshot_at, stored.snapshot, stored.members
        self._store = store
        if self.last_index < self.snapshot_at.index:  # a disk has lost entries that were synced: the snapshot stands for them
            self.reset(self.snapshot_at)
            self._save()

    def append(self, term: int, requests: Sequence[Request], members: tuple[int, ...] | None = None) -> Entry:
        entry = super().append(term, requests, members)
        self._store.save_entries(self.last_index, (entry,))
        return entry

    def take(self, previous_index: int, entries: Sequence[Entry]) -> int | None:
        changed = super().take(previous_index, entries)
        if changed is not None:
            self._store.save_entries(changed, entries[changed - previous_index - 1 :])
        return changed

    def replace(self, index: int, snapshot: bytes, kept: int) -> None:
        """A snapshot takes the place of the entries up to that index; the last `kept` of these stay for a while."""
        place = self.at(index)
        assert place is not None
        self.snapshot_at, self.snapshot = place, snapshot
        self.cut(max(self.base.index, index - kept))
        self._save()

    def install(self, last: Position, snapshot: bytes) -> None:
        """A snapshot that came from the leader: what the log holds behind it stays if it holds its last entry, and nothing else."""
        if self.at(last.index) == last:
            self.cut(last.index)
        else:
            self.reset(last)
        self.snapshot_at, self.snapshot = last, snapshot
        self._save()

    def forget(self, count: int) -> None:
        super().forget(count)
        self._store.save_entries(self.last_index + 1, ())

    def _save(self) -> None:
        self._store.save_snapshot(self.snapshot_at, self.snapshot, self.base, self.entries, self.snapshot_members)
