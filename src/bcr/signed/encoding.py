"""The canonical encoding: one value, one sequence of bytes, on every platform and Python version
(specification, 2.1).

Everything that is signed, hashed or sent goes through here. The encoding is MessagePack; structures are arrays that
start with the name of their kind, so bytes of one kind never decode as another, and `digest` and `Statement` put a
domain in front, so a digest or signature made for one purpose never serves another.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from bcr.signed.violations import MalformedMessage

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}

T = TypeVar("T")

DIGEST_SIZE = hashlib.sha256().digest_size


# The canonical bytes of a value made of this package's structures and plain data.
encode: Callable[[Any], bytes] = _encoder.encode


def decode(kind: type[T], data: bytes) -> T:
    """The value of type `kind` that `data` encodes.

    Raises MalformedMessage, with the bytes as evidence, where it encodes none, or where a peer sent no bytes at all.
    """
    if not isinstance(data, bytes):
        raise MalformedMessage(f"a payload of type {type(data).__name__}, not bytes", evidence=(data,))
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        value: T = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"not a {getattr(kind, '__name__', kind)}: {error}", evidence=(data,)) from error
    return value


def encode_with(value: msgspec.Struct, **parts: Sequence[bytes]) -> bytes:
    """The canonical bytes of an array-like structure; of the fields in `parts` these are the encodings of the items."""
    fields = [[msgspec.Raw(each) for each in parts[name]] if name in parts else getattr(value, name) for name in value.__struct_fields__]
    return encode([value.__struct_config__.tag, *fields])


def digest(domain: str, value: Any) -> bytes:
    """SHA-256 over the domain and the canonical bytes of the value; 32 bytes."""
    begun = _begun(domain).copy()
    begun.update(encode(value))
    return begun.digest()


def digest_of(domain: str, encoded: bytes) -> bytes:
    """The same of a value that is encoded so."""
    begun = _begun(domain).copy()
    begun.update(encoded)
    return begun.digest()


@lru_cache(maxsize=64)
def _begun(domain: str) -> "hashlib._Hash":
    """The hash with the domain in it, to be copied: OpenSSL takes longer to make a new one than to hash what is short."""
    return hashlib.sha256(b"bcr digest/" + domain.encode() + b"\0")
