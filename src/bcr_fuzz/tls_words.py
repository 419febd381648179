"""What a caller may send to a port that speaks TLS before, and instead of, what belongs there: beginnings of TLS, and what is none."""

import random
import struct

from bcr_fuzz.fuzz import changed_bytes

HANDSHAKE, ALERT, APPLICATION_DATA = 22, 21, 23  # kinds of records (RFC 8446, 5.1)
RECORD_KINDS = (HANDSHAKE, ALERT, APPLICATION_DATA, 20, 0, 255)
_CIPHERS = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F)
_X25519, _ECDSA_P256, _ED25519 = 0x001D, 0x0403, 0x0807
_SUPPORTED_GROUPS, _SIGNATURE_ALGORITHMS, _SUPPORTED_VERSIONS, _KEY_SHARE = 10, 13, 43, 51


def client_hello(chance: random.Random) -> bytes:
    """A handshake's beginning as a client of TLS 1.3 sends it (RFC 8446, 4.1.2), with a key that nobody has."""
    key = struct.pack(">HH", _X25519, 32) + chance.randbytes(32)
    extensions = b"".join(
        struct.pack(">HH", kind, len(body)) + body
        for kind, body in (
            (_SUPPORTED_GROUPS, struct.pack(">HH", 2, _X25519)),
            (_SIGNATURE_ALGORITHMS, struct.pack(">3H", 4, _ECDSA_P256, _ED25519)),
            (_SUPPORTED_VERSIONS, b"\x04\x03\x04\x03\x03"),
            (_KEY_SHARE, struct.pack(">H", len(key)) + key),
        )
    )
    ciphers = struct.pack(f">H{len(_CIPHERS)}H", 2 * len(_CIPHERS), *_CIPHERS)
    body = b"\x03\x03" + chance.randbytes(32) + b"\x20" + chance.randbytes(32) + ciphers + b"\x01\0" + struct.pack(">H", len(extensions))
    body += extensions
    return record(HANDSHAKE, b"\x01" + len(body).to_bytes(3, "big") + body)


def record(kind: int, body: bytes) -> bytes:
    return bytes((kind, 3, 1)) + struct.pack(">H", len(body)) + body


def no_tls(chance: random.Random) -> bytes:
    """Bytes that are none of TLS, or only its outside."""
    forms = (
        lambda: chance.randbytes(chance.choice((1, 5, 200, 20_000))),
        lambda: record(chance.choice(RECORD_KINDS), chance.randbytes(chance.choice((0, 1, 2, 100, 16_384)))),
        lambda: bytes((chance.choice(RECORD_KINDS), 3, chance.randrange(5), 255, 255)) + chance.randbytes(100),  # longer than any
        lambda: record(HANDSHAKE, b"\x01\xff\xff\xff" + bytes(100)) * chance.choice((1, 50)),  # of a hello of 16 MiB
        lambda: record(HANDSHAKE, b"") * 500,
        lambda: record(ALERT, b"\x01\0") + client_hello(chance),
        lambda: client_hello(chance) * chance.choice((2, 20)),
    )
    return chance.choice(forms)()


def beginning(chance: random.Random) -> bytes:
    """A hello, whole or changed."""
    hello = client_hello(chance)
    return changed_bytes(hello, chance) if chance.random() < 0.5 else hello
