"""The three authenticators, and what each takes and promises (paper, section 4.1; specification, section 11)."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from bcr.checksums import ChecksumKeys
from bcr.macs import MacKeys
from bcr.signing import Circle, Keys, SigningKey

Authentication = Literal["ed25519", "hmac", "crc"]

KINDS: Mapping[str, type[SigningKey] | type[MacKeys] | type[ChecksumKeys]] = {
    "ed25519": SigningKey,
    "hmac": MacKeys,
    "crc": ChecksumKeys,
}

# What holds, and what does not, with at most t replicas of a configuration faulty.
PROMISES: Mapping[str, str] = {
    "ed25519": "whatever faulty replicas and clients do; whoever has the record can check it",
    "hmac": "whatever faulty replicas do, as long as clients are honest about their vectors: one that makes them right for "
    "some and wrong for others can force reconfigurations, and with a wrong one for Olympus end the service; the record "
    "can be checked, and forged, by whoever holds Olympus's secret",
    "crc": "against crashes, bit flips on the way, and lost, late or repeated messages; against no lie and no wrong state",
}


class Sizes(msgspec.Struct, frozen=True):
    """How many replicas a configuration has, how many equal statements make a result or a checkpoint certain, and how
    many histories Olympus goes on from."""

    replicas: int
    statements: int
    histories: int


def sizes(t: int, authentication: Authentication) -> Sizes:
    """What it takes to survive t faulty replicas.

    Replicas that lie must be outvoted, by t+1 of 2t+1. Those that do not lie may all be needed for a result: then each
    one that is left knows of every result that a client has.
    """
    if authentication == "crc":
        return Sizes(replicas=t + 1, statements=t + 1, histories=1)
    return Sizes(replicas=2 * t + 1, statements=t + 1, histories=t + 1)


def keys_of(authentication: Authentication, seed: bytes, olympus: bytes = b"") -> Keys:
    """The keys, made of KEY_SEED_SIZE random bytes, of a process that knows Olympus by its public key, or is Olympus."""
    keys = KINDS[authentication](seed)
    return keys.among(Circle(olympus or keys.public))
