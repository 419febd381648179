"""Who said it: keys, and values that carry what their author has put below them (specification, 1.6, 2.2, 2.8).

What is passed on has a signature, a vector of MACs or a checksum below each statement (bcr.signed.authentication says which, and what
each holds against). Whoever checks a statement need not know which it is: an `Author` says, for the process that asks, whether a message
is the author's.

One signature may stand for several statements (`Signed.sign_jointly`): what each carries then is the signature on the root of a Merkle
tree over them all, with its path there. Nobody needs the others to check one.

A message between two replicas also has a seal. It shows the receiver alone that the other sent the message, and costs next to nothing.
"""

import hashlib
import hmac
from collections.abc import Collection, Sequence
from copy import copy
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Generic, Protocol, Self, TypeVar

import msgspec
from nacl.bindings import (
    crypto_scalarmult,
    crypto_sign_BYTES,
    crypto_sign_ed25519_pk_to_curve25519,
    crypto_sign_ed25519_sk_to_curve25519,
    crypto_sign_PUBLICKEYBYTES,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import CryptoError

from bcr.signed import ed25519
from bcr.signed.encoding import decode, digest, digest_of, encode
from bcr.signed.merkle import KnownPaths, Tree, root_above
from bcr.signed.violations import InvalidSignature, MalformedMessage

KEY_SEED_SIZE = 32
SEAL_SIZE = 16  # bytes
KEYS_KEPT = 8192  # of seals, made of others
MOST_JOINT = 256  # statements under one signature
_DOMAIN = b"bcr statement\0"
_JOINT = "signed jointly"
_JOINT_DOMAIN = b"bcr joint statements\0"


class Scheme(Protocol):
    """A way to sign; keys are made from KEY_SEED_SIZE random bytes."""

    def __hash__(self) -> int: ...

    def public_key(self, seed: bytes) -> bytes: ...

    def sign(self, seed: bytes, message: bytes) -> bytes: ...

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool: ...

    def shared_secret(self, seed: bytes, public_key: bytes) -> bytes | None:
        """What the holders of this seed and of that public key alone can compute; None where that is no public key."""


class Ed25519:
    """The scheme of every real run."""

    def public_key(self, seed: bytes) -> bytes:
        return crypto_sign_seed_keypair(seed)[0]

    def sign(self, seed: bytes, message: bytes) -> bytes:
        return ed25519.functions().sign(_signing_key(seed), message)

    def is_valid(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            if len(public_key) != crypto_sign_PUBLICKEYBYTES or len(signature) != crypto_sign_BYTES:
                return False
            return ed25519.functions().is_valid(public_key, message, signature)
        except TypeError:
            return False

    def shared_secret(self, seed: bytes, public_key: bytes) -> bytes | None:
        """That of the X25519 keys which belong to the Ed25519 keys."""
        try:
            x25519_key = crypto_sign_ed25519_pk_to_curve25519(public_key)
            return crypto_scalarmult(crypto_sign_ed25519_sk_to_curve25519(_signing_key(seed)), x25519_key)
        except (CryptoError, ValueError, TypeError, RuntimeError):
            return None


@lru_cache(maxsize=64)
def _signing_key(seed: bytes) -> bytes:
    """Both halves of the key, as libsodium wants them to sign."""
    return crypto_sign_seed_keypair(seed)[1]


_scheme: Scheme = Ed25519()


def use(scheme: Scheme) -> None:
    """Sign and verify with `scheme` from now on; all that shall understand each other must use the same."""
    global _scheme
    _scheme = scheme


class Keyring(msgspec.Struct, frozen=True):
    """The public keys of all who take part: Olympus's, the replicas' by position, the clients' by number."""

    olympus: bytes = b""
    replicas: tuple[bytes, ...] = ()
    clients: tuple[bytes, ...] = ()


def public_keys(seeds: Sequence[bytes], servers: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The public keys that belong to these seeds: those of so many servers, and of the clients behind them."""
    keys = tuple(_scheme.public_key(seed) for seed in seeds)
    return keys[:servers], keys[servers:]


class Author(Protocol):
    """A process as another one sees it, which checks what the first has signed."""

    def is_valid(self, message: bytes, signature: bytes) -> bool:
        """Whether the author signed the message so; False, never an error, whatever the bytes."""

    def is_sealed(self, message: bytes, seal: bytes) -> bool:
        """Whether the author sealed the message so for the process that asks; False, never an error."""


class Keys:
    """A process's own keys, made from KEY_SEED_SIZE random bytes; the private half never leaves the process.

    `circle` is whom the process knows. `is_transferable` says whether what convinces one process convinces every other;
    `disclosed` holds what somebody must be told to check in this process's place, where that takes a secret.
    """

    authentication: ClassVar[str]
    signs_jointly: ClassVar[bool] = False  # whether one signature with a path takes less than one for each statement
    is_transferable = True
    disclosed = b""

    def __init__(self, seed: bytes, public: bytes) -> None:
        self.seed = seed
        self.public = public
        self.circle = Keyring()

    def among(self, circle: Keyring) -> Self:
        """The same keys, of a process that knows these others."""
        keys = copy(self)
        keys.circle = circle
        return keys

    def sign(self, message: bytes, readers: Sequence[bytes] = ()) -> bytes:
        """What Olympus, and the holders of the public keys `readers`, can check to be this process's."""
        raise NotImplementedError

    def seal(self, message: bytes, reader: bytes) -> bytes:
        """SEAL_SIZE bytes that tell the holder of the public key `reader`, and nobody else, who sent it this message."""
        raise NotImplementedError

    def author(self, public_key: bytes) -> Author:
        """The holder of `public_key`, as this process sees it; any bytes will do, and nobody may hold them."""
        raise NotImplementedError


def seal_under(key: bytes | None, message: bytes) -> bytes:
    """The seal under a key of two processes; one that nobody takes for right where there is no such key."""
    if key is None:
        return bytes(SEAL_SIZE)
    # SHA-256 first: processors have instructions for it, and messages may be long.
    hashed = _EMPTY.copy()
    hashed.update(message)
    seal = _keyed(key).copy()
    seal.update(hashed.digest())
    return seal.digest()


_EMPTY = hashlib.sha256()  # to be copied, which takes less than to make another


@lru_cache(maxsize=KEYS_KEPT)
def _keyed(key: bytes) -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=SEAL_SIZE, key=key)


def is_seal(key: bytes | None, message: bytes, seal: bytes) -> bool:
    return key is not None and hmac.compare_digest(seal_under(key, message), seal)


def direction_key(secret: bytes | None, author: bytes, reader: bytes) -> bytes | None:
    """The key for what `author` says to `reader`: another one each way, or what one says could be sent back to it."""
    if secret is None:
        return None
    return hashlib.blake2b(secret + author + reader, digest_size=32, person=b"bcr seal").digest()


@lru_cache(maxsize=KEYS_KEPT)
def _seal_key(scheme: Any, seed: bytes, peer: bytes, author: bytes, reader: bytes) -> bytes | None:
    secret: bytes | None = scheme.shared_secret(seed, peer)
    return direction_key(secret, author, reader)


class SigningKey(Keys):
    """A key pair whose signatures everybody can check: Ed25519, unless `use` said otherwise."""

    authentication = "ed25519"
    signs_jointly = True

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed, _scheme.public_key(seed))

    def sign(self, message: bytes, readers: Sequence[bytes] = ()) -> bytes:
        return _scheme.sign(self.seed, message)

    def seal(self, message: bytes, reader: bytes) -> bytes:
        return seal_under(_seal_key(_scheme, self.seed, reader, self.public, reader), message)

    def author(self, public_key: bytes) -> Author:
        return Signer(public_key, self)


class Signer:
    """The author whose signatures fit a public key, whoever asks; `reader` is whom its seals are for."""

    def __init__(self, public_key: bytes, reader: Keys) -> None:
        self.public_key = public_key
        self._reader = reader

    def is_sealed(self, message: bytes, seal: bytes) -> bool:
        reader = self._reader
        return is_seal(_seal_key(_scheme, reader.seed, self.public_key, self.public_key, reader.public), message, seal)

    def is_valid(self, message: bytes, signature: bytes) -> bool:
        if message.startswith(_JOINT_DOMAIN):
            return _is_valid_jointly(_scheme, self.public_key, message, signature)
        return _scheme.is_valid(self.public_key, message, signature)


@lru_cache(maxsize=512)  # it comes again with each of the statements
def _is_valid_jointly(scheme: Scheme, public_key: bytes, message: bytes, signature: bytes) -> bool:
    return scheme.is_valid(public_key, message, signature)


class JointSignature(msgspec.Struct, frozen=True, array_like=True, tag="joint", gc=False):
    """What stands below one of `size` statements that were signed together: the signature on all, and its path among them."""

    index: int
    size: Annotated[int, msgspec.Meta(ge=2, le=MOST_JOINT)]
    path: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=MOST_JOINT.bit_length() - 1)]
    signature: bytes

    def is_valid(self, author: Author, message: bytes) -> bool:
        """Whether the author signed the message, among others, so."""
        try:
            root = root_above(_JOINT, digest_of(_JOINT, message), self.index, self.size, self.path, _known_paths)
        except MalformedMessage:
            return False
        return author.is_valid(_JOINT_DOMAIN + root, self.signature)


_JOINT_BEGINNING = b"\x95\xa5joint"  # an array of five, the tag first: no signature of one statement begins so
_known_paths: KnownPaths = {}


def _is_valid(author: Author, message: bytes, signature: bytes) -> bool:
    if not signature.startswith(_JOINT_BEGINNING):
        return author.is_valid(message, signature)
    try:
        joint = decode(JointSignature, signature)
    except MalformedMessage:
        return False
    # Other bytes with the same meaning are no signature: anybody could make them, and a request is known by its signature too.
    return encode(joint) == signature and joint.is_valid(author, message)


class Statement(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Something that a process signs.

    The encoding starts with the name of the kind, so one kind of statement never passes for another.
    """

    def signed_bytes(self) -> bytes:
        return _DOMAIN + encode(self)

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        """The public keys of those who must be able to check this statement of `signer`, besides Olympus.

        Each kind says so for itself, with as few as will do, and clients before replicas (bcr.signed.macs says why).
        """
        return ()


S = TypeVar("S", bound=Statement)


class Signed(msgspec.Struct, Generic[S], frozen=True, array_like=True, gc=False):
    """A statement with its signer, a chain position or client number, and signature."""

    statement: S
    signer: int
    signature: bytes

    @classmethod
    def sign(cls, statement: S, signer: int, keys: Keys, clients: Collection[int] | None = None) -> Self:
        """The statement under these keys; of the clients only `clients`, by default all, will have to check it."""
        circle = keys.circle
        if keys.is_transferable:
            return cls(statement, signer, keys.sign(statement.signed_bytes()))
        if clients is not None:
            client_keys = tuple(key for client, key in enumerate(circle.clients) if client in clients)
            circle = Keyring(circle.olympus, circle.replicas, client_keys)
        return cls(statement, signer, keys.sign(statement.signed_bytes(), statement.readers(circle, signer)))

    @classmethod
    def sign_jointly(cls, statements: Sequence[S], signer: int, keys: Keys) -> list[Self]:
        """The statements, up to MOST_JOINT of them under one signature of these keys.

        Each under its own where what signs is no signature but codes or a checksum: they take less than a path.
        """
        most = MOST_JOINT if keys.signs_jointly else 1
        signed: list[Self] = []
        for begin in range(0, len(statements), most):
            some = statements[begin : begin + most]
            if len(some) == 1:
                signed += [cls.sign(each, signer, keys) for each in some]
                continue
            tree = Tree(_JOINT, [digest_of(_JOINT, each.signed_bytes()) for each in some])
            signature = keys.sign(_JOINT_DOMAIN + tree.root)
            for index, each in enumerate(some):
                signed.append(cls(each, signer, encode(JointSignature(index, len(some), tree.path(index), signature))))
        return signed

    def is_authentic(self, author: Author, encoded: bytes | None = None) -> bool:
        """Whether the author signed this. `encoded` are its canonical bytes, for who has them and spares making those of the statement."""
        message = self.statement.signed_bytes() if encoded is None else self._signed_bytes_in(encoded)
        return _is_valid(author, message, self.signature)

    def _signed_bytes_in(self, encoded: bytes) -> bytes:
        # The statement stands behind the byte that begins an array, and before the two other fields.
        return _DOMAIN + encoded[1 : 1 - len(encode((self.signer, self.signature)))]

    def demand_authentic(self, author: Author, name: str, encoded: bytes | None = None) -> None:
        """Raises InvalidSignature unless `author`, whom the error calls `name`, signed this; `encoded` as for `is_authentic`."""
        if not self.is_authentic(author, encoded):
            kind = type(self.statement).__name__.lower()
            raise InvalidSignature(f"{kind} with an invalid signature of {name}", evidence=(self,))

    def digest(self) -> bytes:
        return digest("signed", self)
