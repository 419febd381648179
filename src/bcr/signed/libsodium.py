"""How libsodium signs and checks (specification, 1.6).

It is called by the compiled functions of PyNaCl, or by its public ones, which copy each message twice.
"""

from collections.abc import Callable
from typing import NamedTuple

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_open
from nacl.exceptions import CryptoError


class Functions(NamedTuple):
    """`sign(key, message)` gives the signature; `is_valid(public_key, signed)` looks at a signature with its message behind it.

    `key` has both halves. What is no bytes is a TypeError; nobody but the caller looks at the length of keys.
    """

    sign: Callable[[bytes, bytes], bytes]
    is_valid: Callable[[bytes, bytes], bool]


def public_functions() -> Functions:
    """Those of every PyNaCl."""

    def is_valid(public_key: bytes, signed: bytes) -> bool:
        try:
            crypto_sign_open(signed, public_key)
        except CryptoError:
            return False
        return True

    return Functions(lambda key, message: crypto_sign(message, key)[:crypto_sign_BYTES], is_valid)


def compiled_functions() -> Functions:
    """Those that PyNaCl promises nobody. Raises ImportError or AttributeError where it has them no more."""
    from nacl._sodium import ffi, lib  # type: ignore[import-not-found]  # compiled, and without types

    sign_into, open_into, null, new, buffer = lib.crypto_sign, lib.crypto_sign_open, ffi.NULL, ffi.new, ffi.buffer

    def sign(key: bytes, message: bytes) -> bytes:
        signed = new("unsigned char[]", crypto_sign_BYTES + len(message))
        if sign_into(signed, null, message, len(message), key) != 0:
            raise RuntimeError("libsodium cannot sign")
        signature: bytes = buffer(signed, crypto_sign_BYTES)[:]
        return signature

    def is_valid(public_key: bytes, signed: bytes) -> bool:
        return bool(open_into(null, null, signed, len(signed), public_key) == 0)

    return Functions(sign, is_valid)


def best_functions() -> Functions:
    try:
        return compiled_functions()
    except (ImportError, AttributeError):
        return public_functions()


sign, is_valid = best_functions()
