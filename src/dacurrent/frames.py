"""Frames: what is written to a connection together, in pieces that `handshake.Seal` has closed.

size of what follows, 4 bytes | messages, each behind its size, 4 bytes, closed | code
size, with its highest bit set | one message, closed                            | code
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING

from da.transport import base

from dacurrent.limited import LimitedLog
from dacurrent.sockets import name_of

if TYPE_CHECKING:
    from dacurrent.link import Link

GATHER_LIMIT_BYTES = 64 * 1024  # for each peer
FRAME_BYTES = 16 * 1024  # a frame gets no more messages when it has so many
SHORT_BYTES = 4 * 1024  # what is copied sooner than written in pieces
FRAME = struct.Struct(">I")  # before a frame, the size of what is in it; before each message in it, its size
FRAME_LIMIT_BYTES = FRAME_BYTES + 2 * FRAME.size  # beside its last message
SIZE_OPTION = "--message-buffer-size"
ONE = 1 << 31  # in the size of a frame: it is one message, without a size of its own

_log = LimitedLog(logging.getLogger("da.transport"))


def frames_of(link: Link) -> tuple[list[bytes], list[bytes]]:
    """(messages, buffers): what is to be written together, which stands in `waiting` no longer."""
    waiting, pack, seal = link.waiting, FRAME.pack, link.seal
    assert seal is not None  # there is a connection
    short = min(FRAME_BYTES, link.limit_bytes)
    chunks: list[bytes] = []
    buffers: list[bytes] = []
    total = 0
    while waiting and total < GATHER_LIMIT_BYTES:
        chunk = waiting.popleft()
        length = len(chunk)
        link.waiting_bytes -= length
        if length > link.limit_bytes:  # it was taken before that was known
            error = too_large(length, link.limit_bytes, f"at {name_of(link.target)}")
            _log.log(logging.ERROR, "size", "A message is lost: %s", error)
            continue
        chunks.append(chunk)
        if length > short or not waiting or len(waiting[0]) > short:
            buffers += pack(length | ONE), seal.close(chunk, kind=1)
        else:
            parts = [pack(length), chunk]
            while waiting and length < FRAME_BYTES and len(waiting[0]) <= short:
                chunk = waiting.popleft()
                link.waiting_bytes -= len(chunk)
                length += FRAME.size + len(chunk)
                chunks.append(chunk)
                parts += pack(len(chunk)), chunk
            body = b"".join(parts)
            buffers += pack(len(body)), seal.close(body)
        total += length
    return chunks, buffers


def too_large(size: int, limit_bytes: int, where: str) -> base.PacketSizeExceededException:
    return base.PacketSizeExceededException(
        f"a message of {size} bytes does not fit: {SIZE_OPTION} is {limit_bytes} {where}; give all nodes {SIZE_OPTION} {size} or more"
    )
