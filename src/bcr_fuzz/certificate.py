"""A certificate of one's own, with its key: for services that are attacked, whose callers trust nothing else.

Both are Ed25519, in PEM, and written out here, as nothing that running needs makes them: RFC 8410 has the key and the algorithm, RFC 5280
the certificate.
"""

import base64
import secrets
import time
from pathlib import Path

from bcr.signed.signing import KEY_SEED_SIZE, Ed25519

HOST = "127.0.0.1"
_ED25519 = b"\x06\x03\x2b\x65\x70"  # the algorithm's name, 1.3.101.112
_COMMON_NAME = b"\x06\x03\x55\x04\x03"  # 2.5.4.3
_ALTERNATIVE_NAME = b"\x06\x03\x55\x1d\x11"  # 2.5.29.17
_INTEGER, _BITS, _BYTES, _TEXT, _TIME, _SEQUENCE, _SET = 0x02, 0x03, 0x04, 0x0C, 0x18, 0x30, 0x31
_VERSION, _EXTENSIONS, _IP_ADDRESS = 0xA0, 0xA3, 0x87


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Make `own.pem`, for HOST and for this day and the next, and `own.key`, which only its owner may read; returns both."""
    seed = secrets.token_bytes(KEY_SEED_SIZE)
    certificate, private = folder / "own.pem", folder / "own.key"
    certificate.write_text(_pem("CERTIFICATE", _certificate(seed)))
    private.touch(0o600)
    # Version 0, the algorithm, and the seed as bytes within bytes.
    body = _der(_INTEGER, b"\0") + _der(_SEQUENCE, _ED25519) + _der(_BYTES, _der(_BYTES, seed))
    private.write_text(_pem("PRIVATE KEY", _der(_SEQUENCE, body)))
    return certificate, private


def _certificate(seed: bytes) -> bytes:
    algorithm = _der(_SEQUENCE, _ED25519)
    name = _der(_SEQUENCE, _der(_SET, _der(_SEQUENCE, _COMMON_NAME + _der(_TEXT, HOST.encode()))))
    times = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + shift_s)).encode() for shift_s in (-86_400, 86_400)]
    address = bytes(map(int, HOST.split(".")))
    alternative = _der(_SEQUENCE, _ALTERNATIVE_NAME + _der(_BYTES, _der(_SEQUENCE, _der(_IP_ADDRESS, address))))
    parts = (
        _der(_VERSION, _der(_INTEGER, b"\2")),
        _der(_INTEGER, b"\1" + secrets.token_bytes(8)),
        algorithm,
        name,
        _der(_SEQUENCE, b"".join(_der(_TIME, each) for each in times)),
        name,
        _der(_SEQUENCE, algorithm + _der(_BITS, b"\0" + Ed25519().public_key(seed))),
        _der(_EXTENSIONS, _der(_SEQUENCE, alternative)),
    )
    signed = _der(_SEQUENCE, b"".join(parts))
    return _der(_SEQUENCE, signed + algorithm + _der(_BITS, b"\0" + Ed25519().sign(seed, signed)))


def _der(tag: int, body: bytes) -> bytes:
    """A value as DER has it: tag, length, content."""
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def _pem(kind: str, data: bytes) -> str:
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join((f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""))
