"""Small changes to messages, which a lying replica may well send (the idea of ByzzFuzz: small, and few)."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec

from bcr.signing import SigningKey

_DOMAIN = b"bcr statement\0"
SIGNATURE_BYTES = 64


def mutated(payload: bytes, chance: random.Random, position: int, key: SigningKey) -> bytes:
    """The payload with one small change; half of the time whatever the replica signed in it is signed again."""
    value = msgspec.msgpack.decode(payload)
    places = list(_places(value))
    if not places:
        return payload
    holder, index = places[int(chance.random() * len(places))]
    holder[index] = _changed(holder[index], chance)
    if chance.random() < 0.5:
        _sign_again(value, position, key)
    return msgspec.msgpack.encode(value)


def _places(value: Any) -> Iterator[tuple[list[Any], int]]:
    """Every place in nested lists but the first, which names the kind."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            if not isinstance(each, str) or index:
                yield value, index
            yield from _places(each)


def _changed(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, int):
        return value + (1 if chance.random() < 0.5 else -1)
    if isinstance(value, bytes):
        if not value:
            return b"\0"
        place = int(chance.random() * len(value))
        return value[:place] + bytes((value[place] ^ 1,)) + value[place + 1 :]
    if isinstance(value, str):
        return value + "x"
    if not value:
        return [0]
    place = int(chance.random() * len(value))
    if chance.random() < 0.5:
        return value[:place] + value[place + 1 :]
    return value[:place] + [value[place]] + value[place:]


def _sign_again(value: Any, position: int, key: SigningKey) -> None:
    """Renew the signatures under the replica's own statements, innermost first."""
    if not isinstance(value, list):
        return
    for each in value:
        _sign_again(each, position, key)
    is_signed = len(value) == 3 and isinstance(value[0], list) and value[1] == position
    if is_signed and isinstance(value[2], bytes) and len(value[2]) == SIGNATURE_BYTES and value[0][:1] != ["request"]:
        value[2] = key.sign(_DOMAIN + msgspec.msgpack.encode(value[0]))
