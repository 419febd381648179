"""What stood at a key at the last checkpoint, read off a replica's disk with what proves it (specification, 8.2, 13.5).

Nothing is ordered for it, and no replica need be there: whoever holds the state can show it, and nobody can show another. It is as
old as the checkpoint, which it names; a read that goes through the chain is the one that is never old.
"""

from typing import Any

import msgspec

from bcr.chain.configuration import SignedConfiguration, demand_issued
from bcr.chain.state_proof import KeyProof
from bcr.evidence.evidence_files import UnreadableFile
from bcr.objects.finding import BUILT_IN, DEFAULT
from bcr.signed.authentication import keys_of
from bcr.signed.encoding import decode
from bcr.signed.signing import KEY_SEED_SIZE
from bcr.signed.statements import Checkpoint
from bcr.signed.violations import MalformedMessage
from bcr.stable.chain import base_of
from bcr.stable.disk import Content, believable, unsealed
from bcr.state.running import Snapshot


class NothingToRead(Exception):
    """The disk holds no state of which anything could be shown; the text says why."""


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key, and what proves what stood there: the configuration as Olympus signed it, and the way from its checkpoint to the key."""

    configuration: SignedConfiguration
    proof: KeyProof
    object_name: str = DEFAULT


def reading_from(content: Content, key: str, object_name: str = DEFAULT) -> tuple[Reading, int]:
    """The reading of a key off a disk's content, and how many rows of slots lie behind the checkpoint there.

    Raises NothingToRead where no checkpoint was completed, DamagedError where the disk is.
    """
    if "base" not in content.facts:
        raise NothingToRead("the replica has never become active")
    base = base_of(content)
    if not base.proof:
        raise NothingToRead("no checkpoint of its configuration is complete")
    snapshot = Snapshot(tuple(sorted(content.parts.items())), base.outcomes)
    if snapshot.digest() != base.state_digest:
        raise NothingToRead("its state is not the one whose digest it signed")
    configuration = decode(SignedConfiguration, unsealed("configuration", content.facts["configuration"]))
    reading = Reading(configuration, KeyProof(key, snapshot.witness(key), base.proof), object_name)
    return reading, len(believable(content.rows))


def shown_by(reading: Reading, olympus_key: bytes) -> tuple[Checkpoint, Any]:
    """The checkpoint of a reading, and the value at its key, None where nothing stood there.

    Raises a ProtocolViolation where it shows nothing to who knows Olympus by this key, and UnreadableFile where its object is
    a program of somebody's own, which is not run for a file's sake.
    """
    if reading.object_name not in BUILT_IN:
        raise UnreadableFile(f"of the object {reading.object_name[:80]!r}, a program that is not run for a file's sake")
    issued = reading.configuration.statement
    if issued.authentication != "ed25519":
        raise MalformedMessage(f"under {issued.authentication} the statements of a checkpoint convince nobody who was not there")
    membership = demand_issued(reading.configuration, olympus_key, keys_of("ed25519", bytes(KEY_SEED_SIZE)))
    return reading.proof.check(reading.proof.key, membership, reading.object_name)
