"""How two processes prove to each other that they hold the same cookie; bytes in, bytes out.

    sender -> receiver   HELLO  magic, port it listens on, size of message it takes, nonce
    receiver -> sender   HELLO  of its own
    sender -> receiver   PROOF  HMAC-SHA-256(cookie, "sender", both HELLOs)
    receiver -> sender   PROOF  HMAC-SHA-256(cookie, "receiver", both HELLOs), or REFUSED

The sender proves first: whoever listens gives nothing to strangers that could be tried against guessed cookies.
"""

import hashlib
import hmac
import os
import struct

MAGIC = b"da\x00\x02dac1"
NONCE_BYTES = 16

_HELLO = struct.Struct(f">8sII{NONCE_BYTES}s")
HELLO_BYTES = _HELLO.size
PROOF_BYTES = hashlib.sha256().digest_size
REFUSED = bytes(PROOF_BYTES)


class HandshakeError(Exception):
    """The other side is no process of this layer, or has another cookie; the text says which."""


def hello(port, limit_bytes):
    """The first message of either side."""
    return _HELLO.pack(MAGIC, port, limit_bytes, os.urandom(NONCE_BYTES))


def read_hello(data):
    """The port and the size limit that the other side's HELLO names.  Raises HandshakeError."""
    magic, port, limit_bytes, _nonce = _HELLO.unpack(data)
    if magic != MAGIC:
        raise HandshakeError("it does not speak this protocol")
    return port, limit_bytes


def is_beginning(data):
    """Whether these first bytes may become a HELLO."""
    return data[: len(MAGIC)] == MAGIC[: len(data)]


def proof(cookie, role, senders_hello, receivers_hello):
    """What the side in the role b"sender" or b"receiver" proves its cookie with."""
    return hmac.digest(cookie, role + b"\x00" + senders_hello + receivers_hello, "sha256")


def is_proof(given, cookie, role, senders_hello, receivers_hello):
    return hmac.compare_digest(given, proof(cookie, role, senders_hello, receivers_hello))
