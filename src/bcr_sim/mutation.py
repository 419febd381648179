"""Small changes to messages, which a lying replica may well send (the idea of ByzzFuzz: small, and few)."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from bcr.encoding import decode, encode
from bcr.history import CatchUp, HistoryEntry
from bcr.messages import ResultMessage
from bcr.object import Operation
from bcr.signing import Signed, SigningKey
from bcr.statements import Request, WedgeRequest
from bcr.violations import MalformedMessage

_DOMAIN = b"bcr statement\0"
SIGNATURE_BYTES = 64
FORGED_NUMBER = 1_000_000


def mutated(payload: bytes, chance: random.Random, position: int, key: SigningKey) -> bytes:
    """The payload with one small change; half of the time whatever the replica signed in it is signed again."""
    try:
        value = msgspec.msgpack.decode(payload)
    except ValueError:  # another fault has made it unreadable already
        return payload
    places = list(_places(value))
    if not places:
        return payload
    holder, index = places[int(chance.random() * len(places))]
    holder[index] = _changed(holder[index], chance)
    if chance.random() < 0.5:
        _sign_again(value, position, key)
    return msgspec.msgpack.encode(value)


def lying_answer(payload: bytes, chance: random.Random, position: int, key: SigningKey) -> bytes:
    """A result message with another result, which the replica has signed.

    The other statements of its proof are left, or replaced by more of its own, or by forged ones.
    """
    try:
        message = decode(ResultMessage, payload)
    except MalformedMessage:  # another fault has made it unreadable already
        return payload
    answer = message.answer
    outcome = replace(answer.outcome, results=(*answer.outcome.results[:-1], "a lie"))
    answer = replace(answer, outcome=outcome)
    own = Signed.sign(answer.result(), position, key)
    kind = chance.random()
    if kind < 0.4:
        proof = (own, *(signed for signed in answer.proof if signed.signer != position))
    elif kind < 0.6:
        proof = (own,) * len(answer.proof)
    elif kind < 0.8:
        proof = tuple(replace(own, signer=signed.signer) for signed in answer.proof)
    else:
        proof = (own,)
    return encode(replace(message, answer=replace(answer, proof=proof)))


def forged_commands(configuration: int, slot: int, key: SigningKey) -> list[tuple[Any, ...]]:
    """Messages that only Olympus may send, and a history of its own making in them, under a replica's signature."""
    request = Signed(Request(0, FORGED_NUMBER, (Operation("put", "forged", "forged"),)), 0, bytes(SIGNATURE_BYTES))
    suffix = (HistoryEntry(slot, (request,), ()),)
    commands = Signed.sign(WedgeRequest(configuration), 0, key), Signed.sign(CatchUp(configuration, 1, suffix), 0, key)
    return [("wedge_request", encode(commands[0])), ("catch_up", FORGED_NUMBER, 0, 1, encode(commands[1]))]


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
