"""What a server must not forget: its term, its vote, its log, and the snapshot that the log stands on (specification, 14.8)."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from bcr.raft.log import BEGINNING, Entry, Position
from bcr.stable.disk import Room


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """What a server finds when it starts. `snapshot` is empty where there is none; the log's entries follow `base`.

    `members` are the servers that decided where the snapshot was taken, or empty where nothing has changed that.
    `standing` is what else a server among liars must remember (bcr.braft.standing), and None before it has anything; from a disk it is
    each of its fields, encoded, by name.
    """

    term: int = 0
    voted_for: int | None = None
    base: Position = BEGINNING
    entries: tuple[Entry, ...] = ()
    snapshot_at: Position = BEGINNING
    snapshot: bytes = b""
    standing: Any = None
    members: tuple[int, ...] = ()


class StableStorage(Protocol):
    """Where it is put. What the methods have taken is found again by `load` once `sync` has returned, whenever the server stops."""

    @property
    def is_dirty(self) -> bool:
        """Whether there is something to sync."""

    def sync(self) -> None:
        """Return when all that was taken is there to stay."""

    def load(self) -> Stored:
        """What a server finds that starts with it."""

    def save_vote(self, term: int, voted_for: int | None) -> None: ...

    def save_entries(self, first_index: int, entries: Sequence[Entry]) -> None:
        """These entries from that index on, in place of all that were there."""

    def save_snapshot(
        self, snapshot_at: Position, snapshot: bytes, base: Position, entries: Sequence[Entry], members: tuple[int, ...]
    ) -> None:
        """A snapshot with who decided there, and the log that is left."""

    def save_standing(self, standing: msgspec.Struct) -> None:
        """What a server among liars must remember besides."""

    def room(self) -> Room:
        """How much is left for what it is told."""


class MemoryStore:
    """One that lasts as long as whoever holds it: all that a run has whose servers do not come back."""

    is_dirty = False

    def __init__(self) -> None:
        self._vote: tuple[int, int | None] = (0, None)
        self._base = BEGINNING
        self._entries: list[Entry] = []
        self._snapshot: tuple[Position, bytes] = (BEGINNING, b"")
        self._members: tuple[int, ...] = ()
        self._standing: Any = None

    def load(self) -> Stored:
        return Stored(*self._vote, self._base, tuple(self._entries), *self._snapshot, self._standing, self._members)

    def save_vote(self, term: int, voted_for: int | None) -> None:
        self._vote = term, voted_for

    def save_entries(self, first_index: int, entries: Sequence[Entry]) -> None:
        del self._entries[first_index - self._base.index - 1 :]
        self._entries += entries

    def sync(self) -> None:
        pass

    def save_snapshot(
        self, snapshot_at: Position, snapshot: bytes, base: Position, entries: Sequence[Entry], members: tuple[int, ...]
    ) -> None:
        self._snapshot = snapshot_at, snapshot
        self._members = members
        self._base = base
        self._entries = list(entries)

    def save_standing(self, standing: msgspec.Struct) -> None:
        self._standing = standing

    def room(self) -> Room:
        return "enough"
