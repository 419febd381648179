"""How Ed25519 signatures are made and checked: by which library (specification, 1.6).

libsodium signs, called by the compiled functions of PyNaCl or by its public ones, which copy each message twice. Signatures are checked by
ed25519-dalek where the package solders is installed, which takes three quarters of libsodium's time, and by libsodium elsewhere.

Processes may differ in this, because both accept the same signatures: keys and points of small order, points that are not in their
shortest form and numbers beyond the order of the group included, which a liar could use to convince some and not others.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_open
from nacl.exceptions import CryptoError

Check = Callable[[bytes, bytes, bytes], bool]


class Functions(NamedTuple):
    """`sign(key, message)` gives the signature; `is_valid(public_key, message, signature)` says whether it is the key's for the message.

    `key` has both halves. What is no bytes is a TypeError; nobody but the caller looks at the length of keys and signatures.
    """

    sign: Callable[[bytes, bytes], bytes]
    is_valid: Check


def public_functions() -> Functions:
    """Those of every PyNaCl."""

    def is_valid(public_key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            crypto_sign_open(signature + message, public_key)
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

    def is_valid(public_key: bytes, message: bytes, signature: bytes) -> bool:
        signed = signature + message
        return bool(open_into(null, null, signed, len(signed), public_key) == 0)

    return Functions(sign, is_valid)


def check_by_dalek() -> Check:
    """ed25519-dalek's strict check. Raises ImportError where solders, an optional package, is not installed."""
    from solders.pubkey import Pubkey
    from solders.signature import Signature

    key_of, signature_of = Pubkey.from_bytes, Signature.from_bytes

    def is_valid(public_key: bytes, message: bytes, signature: bytes) -> bool:
        return signature_of(signature).verify(key_of(public_key), message)

    return is_valid


@cache
def functions() -> Functions:
    """The fastest of those that are installed; found when they are first asked for, because solders takes 30 MiB of address space and
    20 ms to load. Processes that are forked later inherit them."""
    return best_functions()


def best_functions() -> Functions:
    """The same, looked for anew."""
    try:
        best = compiled_functions()
    except (ImportError, AttributeError):
        best = public_functions()
    try:
        return best._replace(is_valid=check_by_dalek())
    except ImportError:
        return best
