"""A client's record as one payload of frames: its exchanges, one by one, and at the end the account without them.

So a client can put each exchange away as it happens, and need not hold them all.
"""

from collections.abc import Iterator

import msgspec

from bcr.signed.encoding import decode, encode
from bcr.signed.violations import MalformedMessage
from bcr.verdict.record import ClientRecord, Exchange

_LENGTH_BYTES = 4


def frame(value: Exchange | ClientRecord) -> bytes:
    """The value, encoded, behind its length."""
    payload = encode(value)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


def record_of(payload: bytes) -> ClientRecord:
    """The record that the frames make, its exchanges in request order. Raises MalformedMessage where they make none."""
    frames = list(_frames(payload))
    if not frames:
        raise MalformedMessage("a client's record without a frame", evidence=())
    account = decode(ClientRecord, frames.pop())
    exchanges = [decode(Exchange, each) for each in frames]
    exchanges.sort(key=lambda exchange: (exchange.request.statement.client, exchange.request.statement.number))
    return msgspec.structs.replace(account, exchanges=tuple(exchanges))


def _frames(payload: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(payload):
        start = place + _LENGTH_BYTES
        place = start + int.from_bytes(payload[start - _LENGTH_BYTES : start], "big")
        if place > len(payload):
            raise MalformedMessage("a client's record that ends within a frame", evidence=())
        yield payload[start:place]
