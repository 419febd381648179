"""Small changes to messages, which a lying replica may well send (the idea of ByzzFuzz: small, and few)."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from bcr.chain.bundles import SINGLES, Bundle, payloads_in
from bcr.chain.history import CatchUp, HistoryEntry
from bcr.chain.messages import IN_PIECES, SEALED, ResultMessage, ResultShuttle
from bcr.objects.operation import Operation
from bcr.signed.encoding import decode, encode
from bcr.signed.macs import ENTRY_SIZE, MacKeys
from bcr.signed.pieces import PIECE_OVERHEAD_BYTES, Piece, signed_pieces
from bcr.signed.signing import SEAL_SIZE, Keys, Signed
from bcr.signed.statements import Request, SignedResult, WedgeRequest
from bcr.signed.violations import MalformedMessage

_DOMAIN = b"bcr statement\0"
UNEVEN = 0.4  # of the lies under MACs are in these alone
SPOILED = 0.3  # of the entries of an uneven vector
FORGED_NUMBER = 1_000_000
MUTATED = {"shuttle", "result_shuttle", "checkpoint", "completed_checkpoint", "result_message", "error", "wedged",
           "caught_up", "running_state", "ready", "reconfiguration_request", "forwarded_request"}  # fmt: skip
LEAST, MOST = -(1 << 63), (1 << 64) - 1  # what an integer of MessagePack can be


def changed_payload(
    message_name: str, payload: bytes, change: Callable[[bytes], bytes], position: int, key: Keys, reader: bytes | None
) -> bytes:
    """The payload of a message of this name with its contents changed, under the seal or the manifest of the same replica.

    `reader` is the public key of the replica that the message is for, where it is for one. Of a bundle the last message is changed,
    behind those that are right. A payload in several pieces is left as it is.
    """
    if message_name in SINGLES:
        try:
            *others, last = payloads_in(payload)
        except MalformedMessage:  # another fault has made it unreadable already
            return payload
        return encode(Bundle((*others, change(last))))
    if message_name in SEALED and reader is not None:
        contents = change(payload[SEAL_SIZE:])
        return key.seal(contents, reader) + contents
    if message_name not in IN_PIECES:
        return change(payload)
    try:
        piece = decode(Piece, payload)
    except MalformedMessage:  # another fault has made it unreadable already
        return payload
    manifest = piece.manifest.statement
    if manifest.count > 1:
        return payload
    contents = change(piece.data)
    limit = len(contents) + PIECE_OVERHEAD_BYTES + 1
    [other] = signed_pieces(manifest.message, manifest.configuration, manifest.serial, contents, limit, position, key)
    return encode(other)


def mutated(payload: bytes, chance: random.Random, position: int, key: Keys) -> bytes:
    """The payload with one small change; half of the time whatever the replica signed in it is signed again.

    Under MACs a lie may also be that they are right for some and wrong for others.
    """
    try:
        value = msgspec.msgpack.decode(payload)
    except ValueError:  # another fault has made it unreadable already
        return payload
    found = list(places(value))
    if not found:
        return payload
    if isinstance(key, MacKeys) and chance.random() < UNEVEN:
        return _useless_to_clients(payload, position, key) or _uneven(value, chance, position, key)
    holder, index = found[int(chance.random() * len(found))]
    holder[index] = changed(holder[index], chance)
    if chance.random() < 0.5:
        sign_again(value, position, lambda message: key.sign(message, to_everybody(key)))
    return msgspec.msgpack.encode(value)


def lying_answer(payload: bytes, chance: random.Random, position: int, key: Keys) -> bytes:
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


def forged_commands(configuration: int, slot: int, key: Keys) -> list[tuple[Any, ...]]:
    """Messages that only Olympus may send, and a history of its own making in them, under a replica's signature."""
    request = Signed(Request(0, FORGED_NUMBER, (Operation("put", "forged", "forged"),)), 0, bytes(64))
    suffix = (HistoryEntry(slot, (request,), ()),)
    wedge = encode(Signed.sign(WedgeRequest(configuration, FORGED_NUMBER), 0, key))  # behind which the real ones come too late
    forged = [("wedge_request", wedge)]
    for receiver in range(len(key.circle.replicas)):
        catch_up = encode(Signed.sign(CatchUp(configuration, FORGED_NUMBER, receiver, suffix), 0, key))
        pieces = signed_pieces("catch_up", configuration, FORGED_NUMBER, catch_up, 1 << 20, 0, key)
        forged += [("catch_up", encode(piece)) for piece in pieces]
    return forged


def places(value: Any) -> Iterator[tuple[list[Any], int]]:
    """Every place in nested lists but the first, which names the kind."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            if not isinstance(each, str) or index:
                yield value, index
            yield from places(each)


def changed(value: Any, chance: random.Random) -> Any:
    """Another value of the kind, near the first."""
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, int):
        near = value + (1 if chance.random() < 0.5 else -1)
        return near if LEAST <= near <= MOST else 2 * value - near
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
    return [*value[:place], value[place], *value[place:]]


def sign_again(value: Any, position: int, sign: Callable[[bytes], bytes]) -> None:
    """Renew the signatures under the replica's own statements, innermost first."""
    for signed in _signed_values(value):
        if signed[1] == position and signed[0][0] != "request":
            signed[2] = sign(_DOMAIN + msgspec.msgpack.encode(signed[0]))


def _signed_values(value: Any) -> Iterator[list[Any]]:
    """Every statement with its signer and signature, innermost first."""
    if isinstance(value, list):
        for each in value:
            yield from _signed_values(each)
        has_parts = len(value) == 3 and isinstance(value[0], list) and isinstance(value[2], bytes)
        if has_parts and value[0] and isinstance(value[0][0], str):
            yield value


def signed_to_everybody(keys: Keys, message: bytes) -> Any:
    """The message, signed so that it convinces whoever the keys can convince."""
    return keys.sign(message, to_everybody(keys))


def to_everybody(key: Keys) -> tuple[bytes, ...]:
    """All clients and replicas that the holder of the keys knows, as readers."""
    return key.circle.clients + key.circle.replicas


def _unevenly(key: MacKeys, chance: random.Random) -> Callable[[bytes], bytes]:
    """Makes vectors that are wrong for some, always the same."""
    readers = (key.circle.olympus, *to_everybody(key))
    spoiled = frozenset(place for place in range(len(readers)) if chance.random() < SPOILED)
    return lambda message: key.vector(message, readers, spoiled)


def _uneven(value: Any, chance: random.Random, position: int, key: MacKeys) -> bytes:
    """The message with vectors that are wrong for some: the replica's own, or somebody's that it passes on."""
    if chance.random() < 0.6:
        sign_again(value, position, _unevenly(key, chance))
    else:
        _spoil_entry(value, int(chance.random() * (1 + len(to_everybody(key)))), chance)
    return msgspec.msgpack.encode(value)


def _useless_to_clients(payload: bytes, position: int, key: MacKeys) -> bytes | None:
    """A result with t+1 statements, which convince the replicas; but the replica's own convinces no client.

    Only of every other slot, so that what the tail tells the client and what it tells the chain go together.
    """
    try:
        shuttle = decode(ResultShuttle, payload)
        proof = _useless(shuttle.result_proof, position, key)
        return encode(replace(shuttle, result_proof=proof)) if shuttle.slot % 2 else None
    except MalformedMessage:
        pass
    try:
        message = decode(ResultMessage, payload)
    except MalformedMessage:
        return None
    proof = _useless(message.answer.proof, position, key)
    return encode(replace(message, answer=replace(message.answer, proof=proof))) if message.answer.slot % 2 else None


def _useless(proof: tuple[SignedResult, ...], position: int, key: MacKeys) -> tuple[SignedResult, ...]:
    readers = (key.circle.olympus, *to_everybody(key))
    spoiled = frozenset(range(1, 1 + len(key.circle.clients)))
    own = [
        replace(signed, signature=key.vector(signed.statement.signed_bytes(), readers, spoiled))
        for signed in proof
        if signed.signer == position
    ]
    others = [signed for signed in proof if signed.signer != position]
    return tuple([*own, *others][: len(key.circle.replicas) // 2 + 1])


def _spoil_entry(value: Any, place: int, chance: random.Random) -> None:
    """Make the MAC at one place wrong in some vectors, whoever made them."""
    for signed in _signed_values(value):
        last = (place + 1) * ENTRY_SIZE - 1
        if last < len(signed[2]) and chance.random() < 0.5:
            signed[2] = signed[2][:last] + bytes((signed[2][last] ^ 1,)) + signed[2][last + 1 :]
