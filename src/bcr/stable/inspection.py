"""What the disk of a replica holds (specification, 13.5), as whoever looks at it from outside can tell: without its code being run again."""

import msgspec

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.history import CatchUp
from bcr.signed.encoding import decode
from bcr.signed.signing import Signed
from bcr.signed.violations import ProtocolViolation
from bcr.stable.chain import Base, CatchUpRecord, DiskOwner, Record, SlotRecord, WedgedRecord
from bcr.stable.disk import Content, DamagedError, believable, unsealed
from bcr.state.running import Snapshot


class ReplicaDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A replica's disk. Its log goes from slot `first` up to `end`, which is not in it; `state` is the one before `first`.

    `configuration` and `state` are None where the replica had not begun. `wedged_from` is the first slot of the history that it
    told Olympus, None where it told none. `caught_up` is the latest that Olympus sent of what it lacked there. `torn` rows at the end
    of the log would be cut.
    """

    number: int
    position: int
    configuration: SignedConfiguration | None
    state: Snapshot | None
    first: int
    end: int
    rows: int
    torn: int
    wedged_from: int | None
    caught_up: Signed[CatchUp] | None

    @classmethod
    def read(cls, content: Content, name: str) -> "ReplicaDisk":
        """Raises DamagedError where it is not what was written; that the log gives the digests in it is not checked."""
        facts = {fact: unsealed(fact, data) for fact, data in content.facts.items()}
        rows = believable(content.rows)
        try:
            identity = decode(DiskOwner, facts.get("identity", b""))
            base = decode(Base, facts["base"]) if "base" in facts else None
            configuration = decode(SignedConfiguration, facts["configuration"]) if "configuration" in facts else None
            records = [record for row in rows for record in decode(tuple[Record, ...], row.body)]
        except ProtocolViolation as violation:
            raise DamagedError(f"{name} is not what was written: {violation}") from violation
        first = base.next_slot if base else 0
        slots = [record.entry.slot for record in records if isinstance(record, SlotRecord) and record.entry.slot >= first]
        if slots != list(range(first, first + len(slots))):
            raise DamagedError(f"{name}: its log does not go on from slot {first} without a gap")
        commands = [record.command for record in records if isinstance(record, CatchUpRecord)]
        first_slots = [record.first for record in records if isinstance(record, WedgedRecord)]
        return cls(
            number=identity.configuration,
            position=identity.position,
            configuration=configuration,
            state=_state(content, base, name),
            first=first,
            end=first + len(slots),
            rows=len(rows),
            torn=len(content.rows) - len(rows),
            wedged_from=first_slots[-1] if first_slots else None,
            caught_up=commands[-1] if commands else None,
        )


def _state(content: Content, base: Base | None, name: str) -> Snapshot | None:
    if base is None:
        return None
    snapshot = Snapshot(tuple(sorted(content.parts.items())), base.outcomes)
    if snapshot.digest() != base.state_digest:
        raise DamagedError(f"the state on {name} is not what was written")
    return snapshot
