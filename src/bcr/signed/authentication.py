"""The three authenticators, and what each takes and promises (specification, 11.1, 11.2, 11.3).

`ed25519` holds whatever t replicas and any clients do, and its record convinces everybody. `hmac` holds against t
replicas as well. But a client whose codes are right for some and wrong for others can force reconfigurations, and with a
code that is wrong for Olympus alone it can end the service. Its record convinces only those who have Olympus's secret. `crc`
shows accidents, and goes on with one replica of t+1. It shows no lies, and no replica whose own state is wrong.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from bcr.signed.checksums import ChecksumKeys
from bcr.signed.macs import MacKeys
from bcr.signed.signing import Keyring, Keys, SigningKey

Authentication = Literal["ed25519", "hmac", "crc"]
Acceptance = Literal["all", "quorum"]  # whose testimony makes a result final: every replica's, or t+1

KINDS: Mapping[Authentication, type[SigningKey] | type[MacKeys] | type[ChecksumKeys]] = {
    "ed25519": SigningKey,
    "hmac": MacKeys,
    "crc": ChecksumKeys,
}

# What `./bcr check` says of it: with at most t replicas of a configuration faulty it holds …
PROMISES: Mapping[str, str] = {
    "ed25519": "whatever they and clients do",
    "hmac": "whatever they do, if clients are honest about their codes",
    "crc": "against crashes, bit flips, and lost, late or repeated messages, and against no lie",
}


class Sizes(msgspec.Struct, frozen=True):
    """How many replicas a configuration has, how many equal statements make a result or a checkpoint certain, how
    many histories Olympus goes on from, and of how many witnesses one tells the truth."""

    replicas: int
    statements: int
    histories: int
    witnesses: int


def sizes(t: int, authentication: Authentication) -> Sizes:
    """What it takes to survive t faulty replicas.

    Replicas that lie must be outvoted, by t+1 of 2t+1. Those that do not lie may all be needed for a result: then each
    one that is left knows of every result that a client has.
    """
    if authentication == "crc":
        return Sizes(replicas=t + 1, statements=t + 1, histories=1, witnesses=1)
    return Sizes(replicas=2 * t + 1, statements=t + 1, histories=t + 1, witnesses=t + 1)


def keys_of(authentication: Authentication, seed: bytes, olympus: bytes = b"") -> Keys:
    """The keys, made of KEY_SEED_SIZE random bytes, of a process that knows Olympus by its public key, or is Olympus."""
    keys = KINDS[authentication](seed)
    return keys.among(Keyring(olympus or keys.public))
