"""HMAC Shuttle (specification, 11.2): below a statement stand message authentication codes, one a reader.

Every process makes an X25519 key pair. Two processes derive from it a secret that only they know, and from that a key
for each direction. A MAC is HMAC-SHA256 under the key from the author to the reader, cut to 16 bytes.

A MAC convinces its reader and nobody else, so a liar can make a statement that holds for one reader and not for another.
What readers pass on to each other is safe all the same if its author is honest. Every MAC of a vector covers those
before it: Olympus's stands first, then the clients', then the replicas'. Whoever finds its own MAC right knows that the MACs
before it are as the author made them, and that nobody on the way has spoiled them. If a replica's history then holds a statement
of another that Olympus cannot check, one of the two lies. Olympus goes on from no quorum that holds both (bcr.chain.history,
bcr.chain.quorum).
"""

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Self

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import CryptoError

from bcr.signed.signing import Author, Keys, is_seal, seal_under

MAC_SIZE = 16
HINT_SIZE = 2  # bytes of the reader's public key, which spare the reader to try every entry
ENTRY_SIZE = HINT_SIZE + MAC_SIZE
MAX_ENTRIES = 256
_BLOCK_SIZE = 64  # bytes, of SHA-256; no key is longer
_SEAL = b"bcr seal\0"


class MacKeys(Keys):
    """A key pair for MACs. Whoever is told the private half can check what was made for its holder, and forge it."""

    authentication = "hmac"
    is_transferable = False

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed, crypto_scalarmult_base(seed))
        self.disclosed = seed

    def sign(self, message: bytes, readers: Sequence[bytes] = ()) -> bytes:
        return self.vector(message, (self.circle.olympus or self.public, *readers))

    def vector(self, message: bytes, readers: Sequence[bytes], spoiled_places: frozenset[int] = frozenset()) -> bytes:
        """An entry for each reader, in this order; those at `spoiled_places`, as only a liar makes them, are wrong."""
        digest = hashlib.sha256(message).digest()
        entries = b""
        for place, reader in enumerate(readers):
            key = _key_between(self.seed, reader, self.public, reader)
            # To a reader whose public key is none, nobody can say anything.
            mac = bytes(MAC_SIZE) if key is None else _mac(key, digest, entries)
            if place in spoiled_places:
                mac = bytes(each ^ 0xFF for each in mac)
            entries += reader[:HINT_SIZE].ljust(HINT_SIZE, b"\0") + mac
        return entries

    def seal(self, message: bytes, reader: bytes) -> bytes:
        return seal_under(_key_between(self.seed, reader, self.public, reader), _SEAL + message)

    def author(self, public_key: bytes) -> Author:
        return MacAuthor(self, public_key)


class _LiarsMacKeys(MacKeys):
    """The keys of a process that signs as no correct one does."""

    @classmethod
    def of(cls, keys: Keys) -> Self:
        """The same keys, put to bad use."""
        liar_keys = cls(keys.seed)
        liar_keys.circle = keys.circle
        return liar_keys


class UnevenMacKeys(_LiarsMacKeys):
    """The keys of a liar: what it signs convinces Olympus and every second of the other readers, the first among them."""

    def sign(self, message: bytes, readers: Sequence[bytes] = ()) -> bytes:
        places = frozenset(range(2, 1 + len(readers), 2))
        return self.vector(message, (self.circle.olympus or self.public, *readers), places)


class UselessMacKeys(_LiarsMacKeys):
    """The keys of a liar: what it signs convinces Olympus and all replicas, and no client."""

    def sign(self, message: bytes, readers: Sequence[bytes] = ()) -> bytes:
        everybody = (self.circle.olympus or self.public, *readers)
        places = frozenset(place for place, reader in enumerate(everybody) if reader in self.circle.clients)
        return self.vector(message, everybody, places)


class MacAuthor:
    """An author as the holder of a key pair sees it."""

    def __init__(self, reader: Keys, public_key: bytes) -> None:
        self._reader = reader
        self._public_key = public_key
        self._hint = reader.public[:HINT_SIZE]

    def is_valid(self, message: bytes, signature: bytes) -> bool:
        if len(signature) % ENTRY_SIZE or not 0 < len(signature) <= ENTRY_SIZE * MAX_ENTRIES:
            return False
        key = _key_between(self._reader.seed, self._public_key, self._public_key, self._reader.public)
        if key is None:
            return False
        digest = hashlib.sha256(message).digest()
        return any(
            signature.startswith(self._hint, place)
            and hmac.compare_digest(signature[place + HINT_SIZE : place + ENTRY_SIZE], _mac(key, digest, signature[:place]))
            for place in range(0, len(signature), ENTRY_SIZE)
        )

    def is_sealed(self, message: bytes, seal: bytes) -> bool:
        key = _key_between(self._reader.seed, self._public_key, self._public_key, self._reader.public)
        return is_seal(key, _SEAL + message, seal)


def _mac(key: bytes, digest: bytes, before: bytes) -> bytes:
    begun_inner, begun_outer = _begun(key)
    inner, outer = begun_inner.copy(), begun_outer.copy()
    inner.update(digest + before)
    outer.update(inner.digest())
    return outer.digest()[:MAC_SIZE]


@lru_cache(maxsize=8192)  # to be copied: to begin takes longer than all the rest
def _begun(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """The two hashes of HMAC-SHA256 with the key in them (RFC 2104)."""
    block = key.ljust(_BLOCK_SIZE, b"\0")
    return hashlib.sha256(bytes(each ^ 0x36 for each in block)), hashlib.sha256(bytes(each ^ 0x5C for each in block))


@lru_cache(maxsize=8192)
def _key_between(secret: bytes, peer: bytes, author: bytes, reader: bytes) -> bytes | None:
    """The key for what `author` says to `reader`, one of whom holds `secret`, and the other is `peer`.

    A key of its own for each direction: else what one says could be held against the other. None where `peer` is no
    public key.
    """
    secret_of_both = _shared_secret(secret, peer)
    if secret_of_both is None:
        return None
    return hashlib.blake2b(secret_of_both + author + reader, digest_size=32, person=b"bcr hmac shuttle").digest()


@lru_cache(maxsize=4096)  # both directions have one, and it takes a hundred times as long as a key
def _shared_secret(secret: bytes, peer: bytes) -> bytes | None:
    try:
        return crypto_scalarmult(secret, peer)
    except (CryptoError, ValueError, TypeError, RuntimeError):
        return None
