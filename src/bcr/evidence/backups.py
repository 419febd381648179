"""The backup of a service in a file: its replicas' disks, and what has to be right with them before anybody goes on from it
(specification, 13.5, 13.9).

The disk of a replica has the state of its last completed checkpoint, with the proof of that, and its log from there on. What a caller
was told is on all of the disks (specification, 3.6, 13.5). Olympus's own key is not in the backup. A service that is restored has another key, so
that no caller takes it by mistake for the one that it knew.
"""

from collections.abc import Sequence
from itertools import combinations

import msgspec

from bcr.chain.configuration import SignedConfiguration, demand_issued
from bcr.chain.proofs import check_checkpoint_proof
from bcr.evidence.evidence_files import BACKUP, UnreadableFile, packed, unpacked
from bcr.signed.authentication import keys_of, sizes
from bcr.signed.signing import KEY_SEED_SIZE
from bcr.signed.violations import ProtocolViolation
from bcr.stable.chain import base_of
from bcr.stable.disk import Content, DamagedError, DiskError, Row
from bcr.stable.inspection import ReplicaDisk
from bcr.stable.olympus_log import Terms
from bcr.stable.recovery import Recovery, recovered


class DisksApart(DiskError):
    """Disks of one configuration that were not read at one moment, while much was written."""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What is on a disk, in the form of messages: the parts with their numbers, in order."""

    facts: dict[str, bytes]
    parts: tuple[tuple[int, bytes], ...]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, content: Content) -> "Kept":
        return cls(dict(content.facts), tuple(sorted(content.parts.items())), content.rows)

    @property
    def content(self) -> Content:
        return Content(self.facts, dict(self.parts), self.rows)


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds: the public key of the service's Olympus, its terms, and its replicas' disks by name.

    `highest` is the highest number that a configuration had been given, `taken` when the disks were read, in UTC.
    """

    olympus_key: bytes
    terms: Terms
    highest: int
    taken: str
    disks: dict[str, Kept]

    def pack(self) -> bytes:
        """The file."""
        return packed(BACKUP, self)

    @classmethod
    def unpack(cls, data: bytes) -> "Backup":
        """Raises DiskError where this is no backup, one of another version, or a damaged one."""
        try:
            return unpacked(BACKUP, data, cls)
        except UnreadableFile as error:
            raise DiskError(f"no backup that could be used: {error}") from error

    def check(self) -> Recovery:
        """What a service that is restored begins with, and what that rests on.

        Raises DiskError where a disk is not what was written, where Olympus has not signed the configuration, where a checkpoint is
        not proved, or where fewer than t+1 replicas hold one; DisksApart where no t+1 of them could be brought to one state.
        """
        if self.terms.authentication != "ed25519":
            raise DiskError(f"the disks are of a service with authentication = {self.terms.authentication}, which proves nothing to others")
        disks = [self._checked(name, disk.content) for name, disk in sorted(self.disks.items())]
        recovery = recovered(disks, self.highest, is_checked=True)
        mine = [disk for disk in disks if disk.number == recovery.configuration.number and disk.configuration is not None]
        _demand_joined(mine, recovery)
        return _with_doubt(mine, recovery)

    def _checked(self, name: str, content: Content) -> ReplicaDisk:
        disk = ReplicaDisk.read(content, name)
        if disk.configuration is None:
            return disk
        try:
            is_proved = _is_proved(content, disk, disk.configuration, self.olympus_key)
        except ProtocolViolation as violation:
            raise DamagedError(f"{name} does not prove what it says: {violation}") from violation
        if not is_proved:
            raise DamagedError(f"{name} has another state than its checkpoint")
        return disk


def _demand_joined(disks: Sequence[ReplicaDisk], recovery: Recovery) -> None:
    """Raises DisksApart unless the logs of some t+1 have a slot in common, or follow each other: what one lacks another has then."""
    quorum_size = sizes(recovery.configuration.t, recovery.configuration.authentication).histories
    for some in combinations(disks, quorum_size):
        if max(disk.first for disk in some) <= min(disk.end for disk in some):
            return
    extents = ", ".join(f"replica {disk.position}: {disk.first} to {disk.end - 1}" for disk in disks)
    raise DisksApart(f"the disks are of moments that lie too far apart, and their logs do not join ({extents})")


def _with_doubt(disks: Sequence[ReplicaDisk], recovery: Recovery) -> Recovery:
    """The same, and where Olympus was catching replicas of that configuration up, that this is not gone on from."""
    if all(disk.caught_up is None for disk in disks):
        return recovery
    number = recovery.configuration.number
    what = f"configuration {number} was being replaced as the disks were read; an answer that Olympus alone vouched for in that may not be there"
    return recovery.beside([f"not trusted: {what}: make another backup"])


def _is_proved(content: Content, disk: ReplicaDisk, configuration: SignedConfiguration, olympus_key: bytes) -> bool:
    """Whether the state is that of the checkpoint, if there is one.

    Raises a ProtocolViolation unless Olympus has signed the configuration, and its replicas the checkpoint.
    """
    view = demand_issued(configuration, olympus_key, keys_of("ed25519", bytes(KEY_SEED_SIZE)))
    base = base_of(content)
    return not disk.first or check_checkpoint_proof(base.proof, view).state_digest == base.state_digest
