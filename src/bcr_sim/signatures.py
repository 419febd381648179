"""A stand-in for Ed25519 that costs a hash: nobody inside the simulation can forge it, for nobody there holds a seed.

The registry below is the simulator's, like the laws of nature; a process reaches it only by signing with its own key
and by verifying.
"""

import hashlib
import hmac


class StandIn:
    """A scheme for `bcr.signed.signing.use`: one object knows the keys of one run."""

    def __init__(self) -> None:
        self._seeds: dict[bytes, bytes] = {}
        self.signatures = 0  # that were made so far

    def public_key(self, seed: bytes) -> bytes:
        public = hashlib.blake2b(seed, digest_size=32, person=b"bcr public key").digest()
        self._seeds[public] = seed
        return public

    def sign(self, seed: bytes, message: bytes) -> bytes:
        self.signatures += 1
        return hashlib.blake2b(message, digest_size=64, key=seed).digest()

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        seed = self._seeds.get(public_key)
        return seed is not None and hmac.compare_digest(hashlib.blake2b(message, digest_size=64, key=seed).digest(), signature)

    def shared_secret(self, seed: bytes, public_key: bytes) -> bytes | None:
        other = self._seeds.get(public_key)
        return None if other is None else b"".join(sorted((seed, other)))
