"""How two processes prove to each other that they hold the same cookie, and who they are; the key of their connection.

    sender -> receiver   HELLO  magic, purpose, size of message it takes, its own address and the one that it connects
                                to, its identity, a nonce
    receiver -> sender   HELLO  of its own, with its own address and the sender's
    sender -> receiver   PROOF  HMAC-SHA-256(greeting, "sender")
    receiver -> sender   PROOF  HMAC-SHA-256(key, "receiver"), or REFUSED

The *greeting* is HMAC-SHA-256(cookie, both HELLOs): of this connection between these two alone.  So nobody in between
can pass on what one of them says to a third (the addresses are others) or back to its author (the identity is its own),
and a proof of another connection proves nothing (the nonces are others).

An identity is a public key of X25519, made anew for each transport.  The *key* is HMAC-SHA-256(greeting, the secret that
the two identities share): who has the cookie and says another's identity does not get it.  Under the key every frame is
encrypted, and has a code, which counts: a frame that is altered, left out, repeated, or of another connection or process is none.

The sender proves first: whoever listens gives nothing to strangers that could be tried against guessed cookies, and
computes no shared secret for them.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

# The public functions of PyNaCl check and copy for ten times as long as the code of a small frame takes to compute.
from nacl._sodium import ffi, lib  # type: ignore[import-not-found]  # compiled, and without types
from nacl.bindings import crypto_box_keypair, crypto_scalarmult

if TYPE_CHECKING:
    from dacurrent.sockets import Address

TLS_FOLDER_VARIABLE = "DA_TLS_FOLDER"  # where it names a folder, connections are TLS below the handshake (see `tls`)
MAGIC = b"da\x00\x02dac4"
NONCE_BYTES = 16
IDENTITY_BYTES = 32
FINGERPRINT_BYTES = 16
MESSAGES, PROBE = 0, 1  # purposes: to send messages; only to see whether somebody is there

_HELLO = struct.Struct(f">8sBI4sH4sH{IDENTITY_BYTES}s{NONCE_BYTES}s")
HELLO_BYTES = _HELLO.size
REFUSED_HELLO = bytes(HELLO_BYTES)  # in place of one, from who does not take the certificate of the other's host
PROOF_BYTES = 32
REFUSED = bytes(PROOF_BYTES)
CODE_BYTES = lib.crypto_aead_aegis128l_abytes()
_KEY_BYTES = lib.crypto_aead_aegis128l_keybytes()
_COUNTER = struct.Struct("<QQ")

_encrypt, _decrypt = lib.crypto_aead_aegis128l_encrypt, lib.crypto_aead_aegis128l_decrypt
_NULL, _nonce = ffi.NULL, _COUNTER.pack
_ROOM_BYTES = 4_096
_new = ffi.new_allocator(should_clear_after_alloc=False)  # all of a room is written before anybody reads it
_bytes_at = ffi.from_buffer

if lib.sodium_init() < 0:
    raise ImportError("libsodium cannot be used here")


class HandshakeError(Exception):
    """The other side is no process of this layer, or has another cookie; the text says which."""


class Identity:
    """Who a transport is: a public key, which its HELLOs carry, and the private one, which stays in its OS process."""

    def __init__(self) -> None:
        self._private: bytes | None
        self.public, self._private = crypto_box_keypair()

    def shared_with(self, public: bytes) -> bytes:
        """The secret bytes that only the two of them can compute.  Raises HandshakeError for what is no identity."""
        try:
            assert self._private is not None  # it is this OS process's
            return crypto_scalarmult(self._private, public)
        except RuntimeError:  # a point from which every key makes the same
            raise HandshakeError("its identity is none") from None

    def forget(self) -> None:
        """Another OS process is this from now on: one that was forked, or the one that forked."""
        self._private = None


def fingerprint(public: bytes) -> int:
    """The number, of FINGERPRINT_BYTES, by which the ids of a transport's processes name its identity."""
    return int.from_bytes(hashlib.blake2b(public, digest_size=FINGERPRINT_BYTES).digest(), "big")


class Hello:
    """What one side says of itself and of the other: see the module's text.  Addresses are (IPv4 address, port)."""

    def __init__(
        self,
        own: Address,
        other: Address,
        identity: bytes,
        limit_bytes: int,
        purpose: int = MESSAGES,
        nonce: bytes | None = None,
    ) -> None:
        self.own, self.other = own, other
        self.identity = identity
        self.limit_bytes = limit_bytes
        self.purpose = purpose
        self.nonce = nonce or os.urandom(NONCE_BYTES)

    def encode(self) -> bytes:
        addresses = (part for host, port in (self.own, self.other) for part in (socket.inet_aton(host), port))
        return _HELLO.pack(MAGIC, self.purpose, self.limit_bytes, *addresses, self.identity, self.nonce)

    @classmethod
    def decode(cls, data: bytes) -> Hello:
        """Raises HandshakeError."""
        if data == REFUSED_HELLO:
            raise HandshakeError("it does not take the certificate of this host, which is of another address")
        if len(data) != HELLO_BYTES:  # who says more before it was answered speaks another protocol
            raise HandshakeError("it does not speak this protocol")
        magic, purpose, limit_bytes, host, port, other_host, other_port, identity, nonce = _HELLO.unpack(data)
        if magic != MAGIC or purpose not in (MESSAGES, PROBE):
            raise HandshakeError("it does not speak this protocol")
        own, other = (socket.inet_ntoa(host), port), (socket.inet_ntoa(other_host), other_port)
        return cls(own, other, identity, limit_bytes, purpose, nonce)

    def demand_for(self, own: Address, other: Address, identity: bytes) -> None:
        """Raises HandshakeError unless this, the other side's, fits the connection as this side knows it.

        `own` is this side's address, `other` the other's, `identity` this side's.
        """
        if self.identity == identity:
            raise HandshakeError("it sends back this process's own words")
        if self.own != other:
            raise HandshakeError(f"it says that it is {_name(self.own)}, but it was met as {_name(other)}")
        if self.other != own:
            raise HandshakeError(f"it means to speak with {_name(self.other)}, and this is {_name(own)}")


def is_beginning(data: bytes) -> bool:
    """Whether these first bytes may become a HELLO."""
    return data[: len(MAGIC)] == MAGIC[: len(data)]


def greeting_of(cookie: bytes, senders_hello: bytes, receivers_hello: bytes) -> bytes:
    """What the connection that began with these HELLOs is known by to those who have the cookie, as bytes."""
    return hmac.digest(cookie, senders_hello + receivers_hello, "sha256")


def connection_key(greeting: bytes, shared: bytes) -> bytes:
    """The key of the connection, as bytes, of its greeting and the secret that its ends share."""
    return hmac.digest(greeting, shared, "sha256")


def proof(key: bytes, role: bytes) -> bytes:
    """What the side in the role b"sender" or b"receiver" proves with that it has the key."""
    return hmac.digest(key, role, "sha256")


def is_proof(given: bytes, key: bytes, role: bytes) -> bool:
    return hmac.compare_digest(given, proof(key, role))


class Seal:
    """The frames of one direction of one connection, as they travel: of both ends, each with a seal of its own.

    A frame is encrypted by AEGIS-128L, with its number as the nonce, and behind it stands the tag of that, its code.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"frames", "sha256")[:_KEY_BYTES]
        self._count = itertools.count()
        self._room = _room_of(_ROOM_BYTES)  # for most; what is larger gets a room of its own

    def close(self, frame: bytes, kind: int = 0) -> bytes:
        """The next frame, which is these bytes and of this kind, a small number, as it travels, with its code."""
        size = len(frame) + CODE_BYTES
        room = self._room if size <= _ROOM_BYTES else _room_of(size)
        _encrypt(room, _NULL, frame, len(frame), _NULL, 0, _NULL, _nonce(next(self._count), kind), self._key)
        closed: bytes = ffi.buffer(room, size)[:]
        return closed

    def open(self, closed: bytes | memoryview, kind: int = 0) -> bytes | None:
        """The frame that came so, with its code; None where it is not the next one."""
        size = len(closed) - CODE_BYTES
        room = self._room if size <= _ROOM_BYTES else _room_of(size)
        if type(closed) is memoryview:
            closed = _bytes_at(closed)
        if _decrypt(room, _NULL, _NULL, closed, len(closed), _NULL, 0, _nonce(next(self._count), kind), self._key) != 0:
            return None
        frame: bytes = ffi.buffer(room, size)[:]
        return frame


def _room_of(size: int) -> Any:
    return _new("unsigned char[]", size)


def _name(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
