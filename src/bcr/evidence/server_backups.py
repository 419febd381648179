"""The backup of a service of servers with a leader in a file, and what a service that is restored begins with
(specification, 14.8, 16.5, 16.8).

The disks are read one after the other, while their servers may go on. So they are never taken together for what the servers were at
one moment: whoever had voted, and forgot it, could help to undo what was confirmed. One log is chosen instead, by the rule of an
election, and all servers of the restored service begin with it. What was confirmed before the first disk was read is in it.

- Raft: an entry that was confirmed was on the disks of a majority, and each disk was read later. So the log whose last entry is the latest, by
  term and then by index, has it: whoever leads a term has in his log all that was confirmed before (paper, 5.4).
- Raft among liars: 2t+1 servers had a certificate at least as high as that of the entry before it was confirmed, and of each 2t+1 disks one is that of a
  correct one among them. So the log of the highest certificate has it, as at the beginning of a term (16.5). Only what 2t+1 servers have
  signed is believed, and up to t disks may be missing or hold anything.

Keys of servers are not in the file, and are made anew: what an old one signed after its disk was read is void in the restored service.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from bcr.braft.members import Members
from bcr.braft.promises import Certificate, Commit, Prepare, StateAt, rank_of
from bcr.braft.standing import Standing, backed, standing_of
from bcr.braft.term_log import TermLog
from bcr.braft.term_starts import TermVote, vote_of
from bcr.evidence.backups import Kept
from bcr.evidence.evidence_files import SERVER_BACKUP, UnreadableFile, packed, unpacked
from bcr.raft.disk_store import DiskStore, demand_server, stored_on
from bcr.raft.log import BEGINNING, Entry, Position, demand_chain
from bcr.raft.persistent import MemoryStore, Stored
from bcr.signed.encoding import decode
from bcr.signed.signing import KEY_SEED_SIZE, Keyring, Signed, SigningKey
from bcr.signed.violations import ProtocolViolation
from bcr.stable.disk import DamagedError, DiskError
from bcr.state.running import Snapshot

SERVER_FORMAT = 1  # of a folder of disks of servers
SIGNING = "byzantine_raft"  # the protocol whose servers have keys


class ServerTerms(msgspec.Struct, frozen=True):
    """What a service of servers is, in the words of its file: whoever goes on with its disks has to say the same."""

    format: int
    protocol: str
    t: int
    members: tuple[int, ...]
    object: str
    client_window: int
    state_limit: int

    @property
    def num_servers(self) -> int:
        return (3 if self.protocol == SIGNING else 2) * self.t + 1

    def difference(self, other: "ServerTerms") -> str:
        """Where the other ones are not these, in words; empty where they are."""
        names = [name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)]
        return ", ".join(f"{name} = {getattr(self, name)} and not {getattr(other, name)}" for name in names)


class RestoredLog(msgspec.Struct, frozen=True):
    """What every server of a restored service begins with: a state, the log behind it, and a term that is no lower than any in it.

    `base` is where the log begins, which may be before the state of `snapshot_at`. `trusted` says what it rests on, a sentence each.
    """

    term: int
    base: Position
    entries: tuple[Entry, ...]
    snapshot_at: Position
    snapshot: bytes
    members: tuple[int, ...]
    trusted: tuple[str, ...]

    @property
    def last(self) -> Position:
        """Of the log."""
        if not self.entries:
            return self.base
        return Position(self.base.index + len(self.entries), self.entries[-1].term, self.entries[-1].digest)

    def put_into(self, store: DiskStore, standing: Standing | None) -> None:
        """Make it what a server finds there. Raises DiskError."""
        if standing is None:
            store.save_vote(self.term, None)
        else:
            store.save_standing(standing)
        if self.snapshot_at.index:
            store.save_snapshot(self.snapshot_at, self.snapshot, self.base, self.entries, self.members)
        elif self.entries:
            store.save_entries(1, self.entries)
        store.sync()

    def standing(self, keys: Sequence[SigningKey]) -> Standing:
        """What servers with these keys, among liars, remember of it: it is prepared and certain, as all of them sign, and they vote for the next term."""
        if not self.last.index:
            return Standing()
        prepared = _signed_by_all(Prepare(self.term, self.last.index, self.last.digest), keys)
        certain = None
        if self.snapshot_at.index:
            certain = _signed_by_all(StateAt(self.snapshot_at, decode(Snapshot, self.snapshot).digest()), keys)
        return Standing(self.term + 1, False, prepared, None, certain)


def _signed_by_all(statement: Prepare | StateAt, keys: Sequence[SigningKey]) -> Certificate:
    return Certificate(statement, tuple((place, Signed.sign(statement, place, key).signature) for place, key in enumerate(keys)))


class ServerBackup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup of servers holds: the terms of the service, the servers' public keys if they sign, and their disks by name.

    `taken` is when the disks were read, in UTC.
    """

    terms: ServerTerms
    keys: tuple[bytes, ...]
    taken: str
    disks: dict[str, Kept]

    def pack(self) -> bytes:
        """The file."""
        return packed(SERVER_BACKUP, self)

    @classmethod
    def unpack(cls, data: bytes) -> "ServerBackup":
        """Raises DiskError where this is no backup, one of another version, or a damaged one."""
        try:
            return unpacked(SERVER_BACKUP, data, cls)
        except UnreadableFile as error:
            raise DiskError(f"no backup that could be used: {error}") from error

    def check(self) -> RestoredLog:
        """What a service that is restored begins with, and what that rests on.

        Raises DiskError where a disk of Raft is missing or not what was written, and where too few of a service among liars hold what
        their servers have signed.
        """
        terms = self.terms
        if terms.format != SERVER_FORMAT or terms.protocol not in ("raft", SIGNING):
            raise DiskError(f"a backup of disks of {terms.protocol[:40]}, of format {terms.format}, which this program does not read")
        if len(self.keys) != (terms.num_servers if terms.protocol == SIGNING else 0):
            raise DamagedError(f"a backup with {len(self.keys)} keys of servers with protocol = {terms.protocol}, t = {terms.t}")
        return self._highest() if terms.protocol == SIGNING else self._latest()

    # -- Raft

    def _latest(self) -> RestoredLog:
        disks: dict[int, Stored] = {}
        for position in range(self.terms.num_servers):
            if _name(position) not in self.disks:
                raise DiskError(f"the disk of {_name(position)} is missing")
            disks[position] = self._stored(position)
        states: dict[Position, tuple[int, bytes]] = {}
        for position, stored in disks.items():
            if stored.snapshot:
                digest = decode(Snapshot, stored.snapshot).digest()
                other, expected = states.setdefault(stored.snapshot_at, (position, digest))
                if digest != expected:
                    raise DamagedError(f"replica_{other} and replica_{position} have two states at entry {stored.snapshot_at.index}")
        chosen = max(disks, key=lambda position: (_last(disks[position]).term, _last(disks[position]).index))
        stored = disks[chosen]
        return RestoredLog(
            max(each.term for each in disks.values()), stored.base, stored.entries, stored.snapshot_at, stored.snapshot, stored.members,
            (f"the log of replica_{chosen}, which goes up to entry {_last(stored).index}, of term {_last(stored).term}, is the latest",
             "nothing is signed in Raft: that the disks are those of the service is the word of whoever made the backup"),
        )  # fmt: skip

    def _stored(self, position: int) -> Stored:
        """What is on a disk. Raises DamagedError unless it is a state and a chain of entries, as far as can be seen."""
        name = _name(position)
        content = self.disks[name].content
        demand_server(content, position, name)
        stored = stored_on(content, name)
        try:
            demand_chain(stored.base, stored.entries)
            if stored.snapshot:
                decode(Snapshot, stored.snapshot)
        except ProtocolViolation as violation:
            raise DamagedError(f"{name} is not what was written: {violation.what}") from violation
        if _at(stored, stored.snapshot_at.index) != stored.snapshot_at:
            raise DamagedError(f"{name} has a log that its snapshot, of entry {stored.snapshot_at.index}, is not of")
        return stored

    # -- Raft among liars

    def _highest(self) -> RestoredLog:
        members = Members(SigningKey(bytes(KEY_SEED_SIZE)).among(Keyring(b"", self.keys, ())), self.terms.t)
        claims: list[tuple[int, TermVote]] = []
        states: dict[Position, bytes] = {BEGINNING: b""}
        doubts = []
        for position in range(self.terms.num_servers):
            if _name(position) not in self.disks:
                doubts.append(f"missing: {_name(position)}")
                continue
            try:
                vote, state = self._claim(position, members)
            except (ProtocolViolation, DiskError) as problem:
                doubts.append(f"not trusted: {_name(position)}: {problem}")
                continue
            claims.append((position, vote))
            states.update([state] if state is not None else [])
        if len(claims) < members.quorum:
            raise DiskError("; ".join([f"{len(claims)} disks can be used, and it takes {members.quorum} to go on from", *doubts]))
        chosen, vote = max(claims, key=lambda claim: (rank_of(claim[1].certificate), len(claim[1].log.entries)))
        latest = max(states, key=lambda place: place.index)
        if latest.index > vote.signed.statement.index:
            place, entries = latest, tuple[Entry, ...]()
            what = f"the certain state behind entry {latest.index}"
        else:
            place, entries = _behind_a_state(vote, states)
            what = f"the log of replica_{chosen} up to entry {vote.signed.statement.index}, which has the highest certificate"
        term = max(rank_of(vote.certificate)[0], place.term)
        return RestoredLog(
            term, place, entries, place, states[place], (),
            (f"{what}, as {members.quorum} of the servers that the backup names have signed",
             f"no more than {self.terms.t} of the {members.size} disks are missing, or hold less than was once on them", *doubts),
        )  # fmt: skip

    def _claim(self, position: int, members: Members) -> tuple[TermVote, tuple[Position, bytes] | None]:
        """What a server would vote with, and the certain state that it has.

        Raises DiskError or a ProtocolViolation unless certificates show all of it.
        """
        stored = self._stored(position)
        log = TermLog(_holding(stored))
        found = standing_of(stored)
        if found.highest is not None:
            members.demand_certificate(found.highest, Prepare, Commit)
        if found.begun is not None and found.begun.log.checkpoint is not None:
            members.demand_certificate(found.begun.log.checkpoint, StateAt)
        standing = backed(found, log)
        state = None
        if standing.checkpoint is not None:
            members.demand_certificate(standing.checkpoint, StateAt)
            statement = standing.checkpoint.statement
            assert isinstance(statement, StateAt)
            if (statement.position, statement.state_digest) != (stored.snapshot_at, decode(Snapshot, stored.snapshot).digest()):
                raise DamagedError("it has another state than its certificate is of")
            state = stored.snapshot_at, stored.snapshot
        elif stored.snapshot:
            raise DamagedError("it has a state without a certificate")
        begun = None if standing.begun is None else standing.begun.log
        vote = vote_of(_unsigned, standing.term, standing.highest, standing.checkpoint, log, begun)
        vote.log.demand_valid(members, vote.signed.statement.index, vote.signed.statement.digest)
        return vote, state


def _name(position: int) -> str:
    return f"replica_{position}"


def _unsigned(statement: Any) -> Signed[Any]:
    """A vote that nobody casts."""
    return Signed(statement, 0, b"")


def _holding(stored: Stored) -> MemoryStore:
    """A store with the same log."""
    store = MemoryStore()
    store.save_snapshot(stored.snapshot_at, stored.snapshot, stored.base, stored.entries, stored.members)
    return store


def _last(stored: Stored) -> Position:
    """Of the log."""
    return _at(stored, stored.base.index + len(stored.entries))


def _at(stored: Stored, index: int) -> Position:
    """The place of an index in the log, or where it begins."""
    place = index - stored.base.index
    if not 0 < place <= len(stored.entries):
        return stored.base
    entry = stored.entries[place - 1]
    return Position(index, entry.term, entry.digest)


def _behind_a_state(vote: TermVote, states: Mapping[Position, bytes]) -> tuple[Position, tuple[Entry, ...]]:
    """The last place on the log of the vote whose state is known, and the entries behind it. Raises DiskError where there is none."""
    first, entries = vote.log.first, vote.log.entries

    def places() -> Iterator[tuple[Position, tuple[Entry, ...]]]:
        yield first, entries
        for count, entry in enumerate(entries, start=1):
            yield Position(first.index + count, entry.term, entry.digest), entries[count:]

    known = [(place, behind) for place, behind in places() if place in states]
    if not known:
        raise DiskError(f"no disk has a state that the log up to entry {vote.signed.statement.index} goes on from")
    return known[-1]
