"""Another log for an Olympus whose disk is lost, from what the replicas of its last configuration hold (specification, 13.9)."""

from collections.abc import Mapping, Sequence

import msgspec

from bcr.chain.configuration import Configuration, SignedConfiguration
from bcr.chain.settings import Settings
from bcr.signed.authentication import sizes
from bcr.stable.disk import Content, DiskError
from bcr.stable.inspection import ReplicaDisk
from bcr.stable.vouched import Disagreement, vouched_state
from bcr.state.running import Snapshot

JUMP = 1_000  # numbers that are left out: the lost log may have given some that no disk tells of


class Recovery(msgspec.Struct, frozen=True):
    """What a new log of Olympus begins with, and what that rests on, a sentence each.

    `state` is what the configuration began with or, where that `is_decided`, what the next one begins with.
    """

    configuration: Configuration
    state: Snapshot
    highest: int
    trusted: tuple[str, ...]
    is_decided: bool = False

    def beside(self, doubts: Sequence[str]) -> "Recovery":
        """The same, with what was not trusted."""
        return msgspec.structs.replace(self, trusted=(*self.trusted, *doubts))

    def with_vouched(self, settings: Settings, contents: Mapping[str, Content], disks: Mapping[str, ReplicaDisk]) -> "Recovery":
        """The same, or with the state to which Olympus was catching replicas up, where it was; the disks are all that are trusted, by name.

        Where they do not come to one state the configuration is replaced as any other, and it is said what may be lost. Raises DamagedError.
        """
        found = self.configuration
        if found.authentication != "ed25519":
            return self  # it has vouched for nothing
        mine = {name: disk for name, disk in disks.items() if disk.number == found.number and disk.configuration is not None}
        try:
            state = vouched_state(settings, contents, mine, sizes(found.t, found.authentication).histories)
        except Disagreement as disagreement:
            return self.beside([f"not trusted: what Olympus caught replicas up with, and may have vouched for: {disagreement}"])
        if state is None:
            return self
        went_on = f"configuration {found.number} was being replaced: the next one begins with all that its disks hold"
        return msgspec.structs.replace(self, state=state, is_decided=True, trusted=(*self.trusted, went_on))


def recovered(disks: Sequence[ReplicaDisk], highest_seen: int, is_checked: bool) -> Recovery:
    """The last configuration of which enough disks are there; `highest_seen` is the highest number that any file is named after.

    `is_checked` says that all of them have a configuration that Olympus has signed, as far as they have one.

    What all replicas of a configuration have testified to all of them have on disk, and so have t+1 if no more than t disks are lost with
    Olympus's. A configuration that fewer hold has answered nobody. For what Olympus vouched for see `Recovery.with_vouched`.
    Raises DiskError where no configuration is held by enough.
    """
    disks_by_position: dict[int, dict[int, ReplicaDisk]] = {}
    issued: dict[int, list[SignedConfiguration]] = {}
    for disk in disks:
        if disk.configuration is not None:
            disks_by_position.setdefault(disk.number, {})[disk.position] = disk
            issued.setdefault(disk.number, []).append(disk.configuration)
    passed_over = []
    for number in sorted(disks_by_position, reverse=True):
        [first, *others] = (signed.statement for signed in issued[number])
        if any(other != first for other in others):
            raise DiskError(f"the replicas of configuration {number} hold different ones: replicas "
                            f"{', '.join(map(str, sorted(disks_by_position[number])))}")  # fmt: skip
        quorum_size = sizes(first.t, first.authentication).histories
        if len(disks_by_position[number]) < quorum_size:
            passed_over.append(
                f"configuration {number} is passed over: {_told(disks_by_position[number])} it, and it takes {quorum_size} to go on from"
            )
            continue
        if first.authentication == "hmac":
            raise DiskError(f"configuration {number} is under hmac, and its histories can be checked only with the key that is lost")
        return Recovery(first, _beginning(list(disks_by_position[number].values())), max(highest_seen, number) + JUMP, (
            *passed_over,
            f"configuration {number} is the last one that counts: {_told(disks_by_position[number])} the same, "
            + ("signed by the lost key" if is_checked else "and whether Olympus signed that was not checked"),
            f"no more than {first.t} of its {len(first.replicas)} replicas have lost their disks",
        ))  # fmt: skip
    raise DiskError("; ".join(passed_over) or "no replica's disk holds a configuration")


def _told(disks: dict[int, ReplicaDisk]) -> str:
    names = [str(position) for position in sorted(disks)]
    return f"replica {names[0]} holds" if len(names) == 1 else f"replicas {', '.join(names)} hold"


def _beginning(disks: Sequence[ReplicaDisk]) -> Snapshot:
    """The state that the configuration began with, as one has it that is before its first checkpoint.

    Where all are behind one, whoever had not begun cannot be caught up anyhow, and any state will do for it.
    """
    first_disk = min(disks, key=lambda disk: disk.first)
    assert first_disk.state is not None
    return first_disk.state
