"""A server's store on a disk: term, vote and log as rows, in the order in which they changed; the snapshot as parts
(specification, 14.8).

What the store was told waits until `sync`, and no message that rests on it leaves before that. A row holds all that was synced
at once. With a snapshot come a row with all that is left of the log, and the end of all rows before it. Room is set aside as for a
replica of the chain (specification, 13.10), so that what is under way is not lost when somebody else fills the disk.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from bcr.raft.log import BEGINNING, Entry, Position
from bcr.raft.persistent import Stored
from bcr.signed.encoding import decode, encode
from bcr.signed.violations import ProtocolViolation
from bcr.stable.chain import reserved_for
from bcr.stable.disk import Content, DamagedError, Disk, Room, Row, believable, sealed, unsealed

PART_BYTES = 64 * 1024


class VoteRecord(msgspec.Struct, frozen=True, tag="vote", array_like=True):
    """The term, and for whom the server voted in it."""

    term: int
    voted_for: int | None


class EntriesRecord(msgspec.Struct, frozen=True, tag="entries", array_like=True):
    """Entries from an index on, in place of all that were there."""

    first_index: int
    entries: tuple[Entry, ...]


class SnapshotRecord(msgspec.Struct, frozen=True, tag="snapshot", array_like=True):
    """What else is in the row holds with the snapshot of this index: where the disk has another one, the two did not get there together."""

    index: int


class FieldRecord(msgspec.Struct, frozen=True, tag="field", array_like=True):
    """What a field is now of what a server among liars must remember besides."""

    name: str
    body: bytes


class LogBase(msgspec.Struct, frozen=True, array_like=True):
    """Where the log on the disk begins, where the snapshot was taken, how many bytes that has, and who decided there.

    `snapshot_digest` is that of the snapshot's bytes, for a bit that the disk flips in them makes another state; disks of before have none.
    """

    log: Position = BEGINNING
    snapshot_at: Position = BEGINNING
    snapshot_bytes: int = 0
    members: tuple[int, ...] = ()
    snapshot_digest: bytes = b""


Record = VoteRecord | EntriesRecord | SnapshotRecord | FieldRecord
RECORDS = tuple[Record, ...]  # in a row; made once, for that takes longer than to read most rows


def stored_on(content: Content, name: str) -> Stored:
    """What a server finds on the disk called `name`. Raises DamagedError where that is not what was written."""
    try:
        base = decode(LogBase, unsealed("base", content.facts["base"])) if "base" in content.facts else LogBase()
        vote, entries, standing = VoteRecord(0, None), list[Entry](), dict[str, bytes]()
        for row in believable(content.rows):
            for record in decode(RECORDS, row.body):
                if isinstance(record, SnapshotRecord):
                    if record.index != base.snapshot_at.index:
                        break
                elif isinstance(record, VoteRecord):
                    vote = record
                elif isinstance(record, FieldRecord):
                    standing[record.name] = record.body
                else:
                    kept = record.first_index - base.log.index - 1
                    if not 0 <= kept <= len(entries):
                        raise DamagedError(f"{name} has no entry before index {record.first_index}")
                    entries[kept:] = record.entries
    except ProtocolViolation as violation:
        raise DamagedError(f"{name} holds what nobody wrote there: {violation.what}") from violation
    snapshot = b"".join(content.parts[number] for number in sorted(content.parts))
    if len(snapshot) != base.snapshot_bytes:
        raise DamagedError(f"{name} holds {len(snapshot)} bytes of a snapshot of {base.snapshot_bytes}")
    if base.snapshot_digest not in (b"", sha256(snapshot).digest()):
        raise DamagedError(f"{name} holds another snapshot than was written there")
    return Stored(vote.term, vote.voted_for, base.log, tuple(entries), base.snapshot_at, snapshot, standing or None, base.members)


def facts_of_server(position: int, seed: bytes | None = None) -> dict[str, bytes]:
    """What says whose disk it is, with the seed of the server's key where it signs what it says."""
    owner = {"server": sealed("server", encode(position))}
    return owner if seed is None else {**owner, "key": sealed("key", seed)}


def demand_server(content: Content, position: int, name: str) -> None:
    """Raises DamagedError unless this is the disk of the server there."""
    if content.facts.get("server") != facts_of_server(position)["server"]:
        raise DamagedError(f"{name} is not that of server {position}")


def seed_on(content: Content, name: str) -> bytes:
    """The seed of the server's key. Raises DamagedError where there is none."""
    if "key" not in content.facts:
        raise DamagedError(f"{name} has no key")
    return unsealed("key", content.facts["key"])


class DiskStore:
    """The store of the server at `position`, on a disk of its own; `is_dirty` says whether something waits to be synced."""

    def __init__(self, disk: Disk, position: int) -> None:
        """Reads what is there. Raises DiskError; DamagedError where it is not what was written, or another server's."""
        self._disk = disk
        self._waiting: list[Record] = []
        self._is_syncing = False
        self._vote: VoteRecord | None = None
        self._standing: msgspec.Struct | None = None  # as it was last told
        content = disk.read()
        if not content.facts:
            disk.checkpoint(facts_of_server(position), {}, 0)
        else:
            demand_server(content, position, disk.name)
        self._stored = stored_on(content, disk.name)
        rows = believable(content.rows)
        for torn in content.rows[len(rows) :]:
            disk.cut(torn)
        self._next_row = rows[-1].number + 1 if rows else 0
        self._parts = len(content.parts)
        self._vote = VoteRecord(self._stored.term, self._stored.voted_for)
        self._fields: dict[str, bytes] = dict(self._stored.standing or {})
        disk.reserve(reserved_for(content.parts))

    @property
    def is_dirty(self) -> bool:
        return bool(self._waiting) or self._is_syncing

    def load(self) -> Stored:
        """What was there when it was opened."""
        return self._stored

    def save_vote(self, term: int, voted_for: int | None) -> None:
        self._vote = VoteRecord(term, voted_for)
        self._waiting.append(self._vote)

    def save_entries(self, first_index: int, entries: Sequence[Entry]) -> None:
        self._waiting.append(EntriesRecord(first_index, tuple(entries)))

    def save_standing(self, standing: msgspec.Struct) -> None:
        for name in standing.__struct_fields__:
            value = getattr(standing, name)
            if self._standing is None or value is not getattr(self._standing, name):
                self._fields[name] = encode(value)
                self._waiting.append(FieldRecord(name, self._fields[name]))
        self._standing = standing

    def sync(self) -> None:
        """Return when all that it was told will survive a power cut. Raises DiskError."""
        if self._waiting:
            self._append()
            self._is_syncing = True
            self._disk.sync()
            self._is_syncing = False

    def _append(self) -> None:
        self._disk.append(Row.of(self._next_row, encode(tuple(self._waiting))))
        self._next_row += 1
        self._waiting.clear()

    def save_snapshot(
        self, snapshot_at: Position, snapshot: bytes, base: Position, entries: Sequence[Entry], members: tuple[int, ...]
    ) -> None:
        # The row says all that those before it said, so that they can go.
        assert self._vote is not None
        fields = [FieldRecord(name, body) for name, body in self._fields.items()]
        self._waiting = [SnapshotRecord(snapshot_at.index), self._vote, EntriesRecord(base.index + 1, tuple(entries)), *fields]
        self._append()
        parts = {place: snapshot[place * PART_BYTES : (place + 1) * PART_BYTES] for place in range(-(-len(snapshot) // PART_BYTES))}
        former_parts = dict.fromkeys(range(len(parts), self._parts), b"")
        fact = sealed("base", encode(LogBase(base, snapshot_at, len(snapshot), members, sha256(snapshot).digest())))
        self._disk.checkpoint({"base": fact}, parts | former_parts, self._next_row - 1)
        self._parts = len(parts)
        self._disk.reserve(reserved_for(parts))

    def room(self) -> Room:
        """How much is left on the disk. Raises DiskError."""
        return self._disk.room()
