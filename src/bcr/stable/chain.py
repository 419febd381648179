"""What a replica has on its disk, and what it is after a restart (specification, 13.2, 13.3, 13.4, 13.5).

Three rules make a replica keep its promises. Its key is beside its log, in one file, so a key without its log
cannot exist. What it orders is on the disk before any word of it leaves. And a replica that reads an old log never orders again in that
configuration: it is immutable, tells Olympus what it has, and is replaced. So no replica ever signs two things for one slot
because it forgot the first.

The state stands as of the last completed checkpoint, and the log goes on from there. Executing the log again has to give
the results whose digests stand in it, or the replica stops.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.history import CatchUp, HistoryEntry
from bcr.chain.ledger import Ledger
from bcr.signed.encoding import decode, digest, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Checkpoint, Result, SignedCheckpoint
from bcr.signed.violations import ProtocolViolation
from bcr.stable.disk import Content, DamagedError, Disk, Room, Row, believable, sealed, unsealed
from bcr.state.running import RunningState, Snapshot

T = TypeVar("T")

RESERVED_BYTES = 16 << 20  # on a disk for the log of two intervals, and for being wedged
SAID_AT_ONCE = 1 << 40  # to the start-up, between two beginnings: more than anybody says in years
STATES_RESERVED = 2  # and as many times the state: that of the next checkpoint, or of the next configuration


class DiskOwner(msgspec.Struct, frozen=True, array_like=True):
    """Whose disk it is: a place in a configuration, and the random bytes that its keys are made of."""

    configuration: int
    position: int
    seed: bytes


class Base(msgspec.Struct, frozen=True, array_like=True):
    """Where the log goes on: the next slot, the state's digest there, and the proof of the checkpoint, if it is one.

    `outcomes` are the encoded outcomes of that state; its buckets are the disk's parts.
    """

    next_slot: int
    state_digest: bytes
    proof: tuple[SignedCheckpoint, ...]
    outcomes: bytes


class SlotRecord(msgspec.Struct, frozen=True, tag="slot", array_like=True):
    """A slot that was ordered and executed: its requests and order proof, and the digest of the own result."""

    entry: HistoryEntry
    result_digest: bytes


class WedgedRecord(msgspec.Struct, frozen=True, tag="wedged", array_like=True):
    """The history was told to Olympus, from this slot on, which is behind the checkpoint with this proof."""

    first: int
    proof: tuple[SignedCheckpoint, ...]


class CatchUpRecord(msgspec.Struct, frozen=True, tag="catch_up", array_like=True):
    """What Olympus sent, and signed, of which this replica lacked in its history: for who makes another log of Olympus."""

    command: Signed[CatchUp]


Record = SlotRecord | WedgedRecord | CatchUpRecord
_RECORDS: Any = tuple[Record, ...]


def digest_of_result(result: Result) -> bytes:
    """What a slot's record holds of the own result."""
    return digest("own result", result)


class Stable:
    """A replica's disk. `has_restarted` says whether there was a log already, so that it is immutable from now on.

    What it is told waits until `sync`; `is_dirty` says whether something does.
    """

    def __init__(self, disk: Disk, identity: DiskOwner) -> None:
        """Reads what is there, or writes the identity. Raises DiskError; DamagedError where the log is lost."""
        self._disk = disk
        self._waiting: list[Record] = []
        self._pending: dict[int, tuple[Snapshot, bytes]] = {}  # checkpoints that wait for their proof, by slot, and their digests
        self._kept: dict[int, bytes] = {}  # the buckets as they are on the disk
        self._last_slots: dict[int, int] = {}  # number of a row -> the last slot in it
        self._next_row = 0
        self._content: Content | None = None
        self._is_over = False  # it orders nothing more, and its successors need the room
        self.has_begun = False
        self.returns = 0  # how often whoever had this disk has begun again
        content = disk.read()
        self.has_restarted = bool(content.facts)
        if self.has_restarted:
            self._read(content, identity)
            disk.checkpoint({"returns": sealed("returns", encode(self.returns))}, {}, 0)
        else:
            self.identity = identity
            disk.checkpoint({"identity": sealed("identity", encode(identity))}, {}, 0)

    def _read(self, content: Content, expected: DiskOwner) -> None:
        rows = believable(content.rows)
        for torn in content.rows[len(rows) :]:
            self._disk.cut(torn)
        facts = {name: unsealed(name, data) for name, data in content.facts.items()}
        self.identity = _decoded(DiskOwner, facts.get("identity", b""))
        if (self.identity.configuration, self.identity.position) != (expected.configuration, expected.position):
            raise DamagedError(f"{self._disk.name} is that of replica {self.identity.position} of configuration "
                               f"{self.identity.configuration}")  # fmt: skip
        self.has_begun = "base" in facts
        self.returns = _decoded(int, facts.get("returns", encode(0))) + 1
        self._next_row = rows[-1].number + 1 if rows else 0
        self._content = Content(facts, content.parts, rows)

    @property
    def said_before(self) -> int:
        """Above all that an earlier process has counted up to in what it told the start-up, whatever its clock said: how often it has
        begun again is on the disk before it says anything.
        """
        return self.returns * SAID_AT_ONCE

    @property
    def is_dirty(self) -> bool:
        return bool(self._waiting)

    # -- before it speaks

    def begin(self, configuration: bytes, state: RunningState) -> None:
        """The replica is about to say that it is ready: what it begins with is on the disk, and was read back."""
        snapshot = state.snapshot()
        base = Base(0, snapshot.digest(), (), snapshot.outcomes)
        self._checkpoint({"configuration": configuration, "base": encode(base)}, snapshot, 0)
        content = self._disk.read()
        if content.parts != dict(snapshot.buckets) or base_of(content) != base:
            raise DamagedError(f"{self._disk.name} gives back another state than was written")
        self.has_begun = True

    def ordered(self, entry: HistoryEntry, own_result: Result) -> None:
        """A slot was ordered, and executed with this result."""
        self._waiting.append(SlotRecord(entry, digest_of_result(own_result)))

    def wedged(self, ledger: Ledger) -> None:
        """The replica is about to tell its history, and tells the same whenever it is asked again."""
        self._waiting.append(WedgedRecord(min(ledger.history, default=ledger.next_slot), ledger.checkpoint_proof))
        self._is_over = True

    def catches_up(self, command: Signed[CatchUp]) -> None:
        """The replica is about to say that it has caught up: what Olympus vouches for then is on the disks of t+1 (specification, 13.4).

        Where little room is left, that goes to its successors.
        """
        if command.statement.suffix and self._disk.room() == "enough":
            self._waiting.append(CatchUpRecord(command))

    def room(self) -> Room:
        """How much is left on the disk."""
        return self._disk.room()

    def sync(self) -> None:
        """Return when all that it was told will survive a power cut."""
        if self._waiting:
            self._append()
            self._disk.sync()
            if self._is_over:
                self._disk.release()

    def _append(self) -> None:
        slots = [each.entry.slot for each in self._waiting if isinstance(each, SlotRecord)]
        self._last_slots[self._next_row] = max(slots, default=-1)
        self._disk.append(Row.of(self._next_row, encode(tuple(self._waiting))))
        self._next_row += 1
        self._waiting.clear()

    # -- checkpoints

    def signed_checkpoint(self, slot: int, state: RunningState) -> None:
        """The replica signs a checkpoint of this slot, with this state; it is kept until its proof is there, or that of a later one.

        So there are no more of them than slots in a history: as many may be under way at once.
        """
        snapshot = state.snapshot()
        self._pending[slot] = (snapshot, snapshot.digest())

    def completed_checkpoint(self, agreed: Checkpoint, proof: tuple[SignedCheckpoint, ...]) -> None:
        """The proof of a checkpoint is there: with it go the state of that slot, and the rows before, at once.

        Where the replica did not sign it, or another state, the log stays as it is.
        """
        slot = agreed.slot
        mine = self._pending.get(slot)
        self._pending = {each: waiting for each, waiting in self._pending.items() if each > slot}
        if mine is None or mine[1] != agreed.state_digest:
            return
        (snapshot, state_digest) = mine
        if self._waiting:
            self._append()
        base = Base(slot + 1, state_digest, proof, snapshot.outcomes)
        first = next((row for row, last in sorted(self._last_slots.items()) if last > slot), self._next_row)
        self._checkpoint({"base": encode(base)}, snapshot, first)
        self._last_slots = {row: last for row, last in self._last_slots.items() if row >= first}

    def _checkpoint(self, facts: dict[str, bytes], snapshot: Snapshot, first: int) -> None:
        changed = {index: encoded for index, encoded in snapshot.buckets if self._kept.get(index) != encoded}
        present = dict(snapshot.buckets)
        changed |= dict.fromkeys(self._kept.keys() - present.keys(), b"")  # all of whose keys are gone
        self._disk.checkpoint({name: sealed(name, body) for name, body in facts.items()}, changed, first)
        self._kept = present
        self._disk.reserve(reserved_for(present))

    # -- after a restart

    def resume(self, ledger: Ledger, configuration: bytes) -> None:
        """Put the replica where its disk says it was, in the configuration that it was active in.

        Raises DamagedError where that was another, or the log does not give what it says: another version of the code, or a
        broken machine.
        """
        content = self._content
        assert content is not None
        # Of one that another Olympus had signed, whose key was lost, all else is the same.
        mine, given = (_decoded(SignedConfiguration, each) for each in (content.facts.get("configuration", b""), configuration))
        if mine.statement != given.statement:
            raise DamagedError(f"{self._disk.name} is of another configuration {self.identity.configuration}")
        self._kept = replayed(ledger, content, self.identity.configuration, self._disk.name)
        self._content = None


def replayed(ledger: Ledger, content: Content, configuration: int, name: str) -> dict[int, bytes]:
    """Put a new ledger where the disk called `name`, of a replica of this configuration, says it was; returns the buckets of its state there.

    The facts of the content are unsealed, and its rows are believable. What Olympus caught the replica up with counts for nothing: whoever is
    asked again tells the same history. Raises DamagedError.
    """
    base = base_of(content, is_sealed=False)
    snapshot = Snapshot(tuple(sorted(content.parts.items())), base.outcomes)
    if snapshot.digest() != base.state_digest:
        raise DamagedError(f"the state on {name} is not what was written")
    ledger.begin(snapshot)
    ledger.next_slot = base.next_slot
    ledger.checkpoint_proof = base.proof
    for row in content.rows:
        for record in _decoded(_RECORDS, row.body):
            _replay(ledger, record, configuration, name)
    return dict(snapshot.buckets)


def _replay(ledger: Ledger, record: Record, configuration: int, name: str) -> None:
    if isinstance(record, WedgedRecord):
        ledger.cut(record.first - 1, record.proof)
    if not isinstance(record, SlotRecord):
        return
    entry = record.entry
    if entry.slot < ledger.next_slot:
        return  # of the row that the checkpoint fell into
    if entry.slot > ledger.next_slot:
        raise DamagedError(f"{name} lacks slot {ledger.next_slot}")
    done = ledger.execute(configuration, entry.slot, entry.requests, None)
    if digest_of_result(done.result()) != record.result_digest:
        raise DamagedError(f"slot {entry.slot} on {name} gives another result than when it was written")
    ledger.history[entry.slot] = entry


def reserved_for(parts: Mapping[int, bytes]) -> int:
    """How many bytes a disk with this state sets aside."""
    return RESERVED_BYTES + STATES_RESERVED * sum(map(len, parts.values()))


def base_of(content: Content, is_sealed: bool = True) -> Base:
    """Where the log of a replica's disk goes on. Raises DamagedError."""
    data = content.facts.get("base", b"")
    return _decoded(Base, unsealed("base", data) if is_sealed else data)


def _decoded(kind: type[T], data: bytes) -> T:
    try:
        return decode(kind, data)
    except ProtocolViolation as violation:
        raise DamagedError(f"what is on the disk is not what was written: {violation}") from violation
