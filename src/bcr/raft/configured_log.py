"""A log whose entries say which servers decide (specification, 14.10; thesis, 4.1): the latest such entry counts, committed or not."""

from collections.abc import Sequence

from bcr.raft.log import Entry, Position
from bcr.raft.persistent import StableStorage
from bcr.raft.stored_log import StoredLog
from bcr.signed.statements import Request


class ConfiguredLog(StoredLog):
    """A log with the configurations in it; up to the first of them `first` decide, or who did where its snapshot was taken."""

    def __init__(self, store: StableStorage, first: tuple[int, ...]) -> None:
        super().__init__(store)
        self.snapshot_members = self.snapshot_members or first
        self._configurations = [(self.snapshot_at.index, self.snapshot_members)]  # with the indices from which they count
        self._note(self.base.index + 1, self.entries)

    @property
    def members(self) -> tuple[int, ...]:
        """The servers that decide, by position."""
        return self._configurations[-1][1]

    @property
    def members_index(self) -> int:
        """The index of the entry that says so, or of the snapshot that does."""
        return self._configurations[-1][0]

    def _note(self, first_index: int, entries: Sequence[Entry]) -> None:
        for index, entry in enumerate(entries, start=first_index):
            if entry.members is not None and index > self.members_index:
                self._configurations.append((index, entry.members))

    def _forget_from(self, index: int) -> None:
        first, *behind = self._configurations
        self._configurations = [first, *(each for each in behind if each[0] < index)]

    def append(self, term: int, requests: Sequence[Request], members: tuple[int, ...] | None = None) -> Entry:
        entry = super().append(term, requests, members)
        self._note(self.last_index, (entry,))
        return entry

    def take(self, previous_index: int, entries: Sequence[Entry]) -> int | None:
        changed = super().take(previous_index, entries)
        if changed is not None:
            self._forget_from(changed)
            self._note(changed, entries[changed - previous_index - 1 :])
        return changed

    def replace(self, index: int, snapshot: bytes, kept: int) -> None:
        before = [members for began, members in self._configurations if began <= index]
        self._begin_with(index, before[-1], keeps_more=True)
        super().replace(index, snapshot, kept)

    def install_with(self, last: Position, snapshot: bytes, members: tuple[int, ...]) -> None:
        """As `install`, of a snapshot in which these servers decide."""
        self._begin_with(last.index, members, keeps_more=self.at(last.index) == last)
        self.install(last, snapshot)

    def _begin_with(self, index: int, members: tuple[int, ...], keeps_more: bool) -> None:
        behind = [each for each in self._configurations if each[0] > index] if keeps_more else []
        self.snapshot_members = members
        self._configurations = [(index, members), *behind]

    def forget(self, count: int) -> None:
        super().forget(count)
        self._forget_from(self.last_index + 1)
