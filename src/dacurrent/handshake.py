"""How two processes prove to each other that they hold the same cookie, and the key that this gives their connection.

    sender -> receiver   HELLO  magic, purpose, size of message it takes, its own address and the one that it connects
                                to, its identity, a nonce
    receiver -> sender   HELLO  of its own, with its own address and the sender's
    sender -> receiver   PROOF  HMAC-SHA-256(key, "sender")
    receiver -> sender   PROOF  HMAC-SHA-256(key, "receiver"), or REFUSED

The key is HMAC-SHA-256(cookie, both HELLOs): of this connection between these two alone.  So nobody in between can pass
on what one of them says to a third (the addresses are others) or back to its author (the identity is its own), and a
proof of another connection proves nothing (the nonces are others).  Under the key goes a code for every frame, which
counts: a frame that is altered, left out, repeated or of another connection is none.

The sender proves first: whoever listens gives nothing to strangers that could be tried against guessed cookies.
"""

import hmac
import itertools
import os
import socket
import struct

# The public functions of PyNaCl check and copy for ten times as long as the code of a small frame takes to compute.
from nacl._sodium import ffi, lib

MAGIC = b"da\x00\x02dac2"
NONCE_BYTES = 16
IDENTITY_BYTES = 16
MESSAGES, PROBE = 0, 1  # purposes: to send messages; only to see whether somebody is there

_HELLO = struct.Struct(f">8sBI4sH4sH{IDENTITY_BYTES}s{NONCE_BYTES}s")
HELLO_BYTES = _HELLO.size
PROOF_BYTES = 32
REFUSED = bytes(PROOF_BYTES)
CODE_BYTES = lib.crypto_aead_aegis128l_abytes()
_KEY_BYTES = lib.crypto_aead_aegis128l_keybytes()
_COUNTER = struct.Struct("<QQ")

_tag, _view, _NULL, _is_same = lib.crypto_aead_aegis128l_encrypt, ffi.from_buffer, ffi.NULL, hmac.compare_digest

if lib.sodium_init() < 0:
    raise ImportError("libsodium cannot be used here")


class HandshakeError(Exception):
    """The other side is no process of this layer, or has another cookie; the text says which."""


class Hello:
    """What one side says of itself and of the other: see the module's text.  Addresses are (IPv4 address, port)."""

    def __init__(self, own, other, identity, limit_bytes, purpose=MESSAGES, nonce=None):
        self.own, self.other = own, other
        self.identity = identity
        self.limit_bytes = limit_bytes
        self.purpose = purpose
        self.nonce = nonce or os.urandom(NONCE_BYTES)

    def encode(self):
        addresses = (part for host, port in (self.own, self.other) for part in (socket.inet_aton(host), port))
        return _HELLO.pack(MAGIC, self.purpose, self.limit_bytes, *addresses, self.identity, self.nonce)

    @classmethod
    def decode(cls, data):
        """Raises HandshakeError."""
        magic, purpose, limit_bytes, host, port, other_host, other_port, identity, nonce = _HELLO.unpack(data)
        if magic != MAGIC or purpose not in (MESSAGES, PROBE):
            raise HandshakeError("it does not speak this protocol")
        own, other = (socket.inet_ntoa(host), port), (socket.inet_ntoa(other_host), other_port)
        return cls(own, other, identity, limit_bytes, purpose, nonce)

    def demand_for(self, own, other, identity):
        """Raises HandshakeError unless this, the other side's, fits the connection as this side knows it.

        `own` is this side's address, `other` the other's, `identity` this side's.
        """
        if self.identity == identity:
            raise HandshakeError("it sends back this process's own words")
        if self.own != other:
            raise HandshakeError(f"it says that it is {_name(self.own)}, but it was met as {_name(other)}")
        if self.other != own:
            raise HandshakeError(f"it means to speak with {_name(self.other)}, and this is {_name(own)}")


def is_beginning(data):
    """Whether these first bytes may become a HELLO."""
    return data[: len(MAGIC)] == MAGIC[: len(data)]


def connection_key(cookie, senders_hello, receivers_hello):
    """The key of the connection that began with these HELLOs, as bytes."""
    return hmac.digest(cookie, senders_hello + receivers_hello, "sha256")


def proof(key, role):
    """What the side in the role b"sender" or b"receiver" proves with that it has the key."""
    return hmac.digest(key, role, "sha256")


def is_proof(given, key, role):
    return hmac.compare_digest(given, proof(key, role))


class Seal:
    """The codes of the frames of one direction of one connection: of both ends, each with a seal of its own.

    A code is the tag of AEGIS-128L over the frame, with the number of the frame as the nonce.
    """

    def __init__(self, key):
        self._key = hmac.digest(key, b"frames", "sha256")[:_KEY_BYTES]
        self._count = itertools.count()
        self._code = ffi.new("unsigned char[]", CODE_BYTES)
        self._bytes = ffi.buffer(self._code, CODE_BYTES)

    def next(self, data, at=0, stop=None, kind=0):
        """The code of the next frame, which is `data[at:stop]` of bytes and of this kind, a small number."""
        if stop is None:
            frame, size = data, len(data)
        else:
            frame, size = _view(data) + at, stop - at
        nonce = _COUNTER.pack(next(self._count), kind)
        _tag(self._code, _NULL, _NULL, 0, frame, size, _NULL, nonce, self._key)
        return self._bytes[:]

    def is_next(self, data, at, stop, kind=0):
        """Whether `data[at:stop]` is the next frame, by the code that stands behind it."""
        return _is_same(self.next(data, at, stop, kind), data[stop : stop + CODE_BYTES])


def new_identity():
    """Bytes that no other transport has."""
    return os.urandom(IDENTITY_BYTES)


def _name(address):
    return f"{address[0]}:{address[1]}"
