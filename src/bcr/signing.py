"""Who said it: keys, and values that carry their author's signature."""

from functools import lru_cache
from typing import Generic, Protocol, Self, TypeVar

import msgspec
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.signing import SigningKey as _Ed25519Key
from nacl.signing import VerifyKey as _Ed25519VerifyKey

from bcr.encoding import digest, encode
from bcr.violations import InvalidSignature

KEY_SEED_SIZE = 32
_DOMAIN = b"bcr statement\0"


class Scheme(Protocol):
    """A way to sign; keys are made from KEY_SEED_SIZE random bytes."""

    def public_key(self, seed: bytes) -> bytes: ...

    def sign(self, seed: bytes, message: bytes) -> bytes: ...

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool: ...


class Ed25519:
    """The scheme of every real run."""

    def public_key(self, seed: bytes) -> bytes:
        return bytes(_key(seed).verify_key)

    def sign(self, seed: bytes, message: bytes) -> bytes:
        return _key(seed).sign(message).signature

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            _verify_key(public_key).verify(message, signature)
        except (BadSignatureError, CryptoError, ValueError, TypeError):
            return False
        return True


@lru_cache(maxsize=64)
def _key(seed: bytes) -> _Ed25519Key:
    return _Ed25519Key(seed)


@lru_cache(maxsize=1024)
def _verify_key(public_key: bytes) -> _Ed25519VerifyKey:
    return _Ed25519VerifyKey(public_key)


_scheme: Scheme = Ed25519()


def use(scheme: Scheme) -> None:
    """Sign and verify with `scheme` from now on; all that shall understand each other must use the same."""
    global _scheme
    _scheme = scheme


class SigningKey:
    """A key pair, made from KEY_SEED_SIZE random bytes; the private half never leaves the process."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.public = _scheme.public_key(seed)

    def sign(self, message: bytes) -> bytes:
        return _scheme.sign(self._seed, message)


def is_valid_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of `public_key` signed `message`; False, never an error, whatever the bytes."""
    return _scheme.is_valid(public_key, message, signature)


class Statement(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Something that a process signs.

    The encoding starts with the name of the kind, so one kind of statement never passes for another.
    """

    def signed_bytes(self) -> bytes:
        return _DOMAIN + encode(self)


S = TypeVar("S", bound=Statement)


class Signed(msgspec.Struct, Generic[S], frozen=True, array_like=True):
    """A statement with its signer, a chain position or client number, and signature."""

    statement: S
    signer: int
    signature: bytes

    @classmethod
    def sign(cls, statement: S, signer: int, key: SigningKey) -> Self:
        return cls(statement, signer, key.sign(statement.signed_bytes()))

    def is_authentic(self, public_key: bytes) -> bool:
        return is_valid_signature(public_key, self.statement.signed_bytes(), self.signature)

    def demand_authentic(self, public_key: bytes, author: str) -> None:
        """Raises InvalidSignature unless the holder of `public_key` signed this; `author` names it in the error."""
        if not self.is_authentic(public_key):
            kind = type(self.statement).__name__.lower()
            raise InvalidSignature(f"{kind} with an invalid signature of {author}", evidence=(self,))

    def digest(self) -> bytes:
        return digest("signed", self)
