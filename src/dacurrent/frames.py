"""Frames: what is written to a connection together, in several pieces each with the code of `handshake.Seal`.

    size of what follows, 4 bytes | messages, each behind its size, 4 bytes | code
"""

import logging
import struct

from da.transport import base

from dacurrent import handshake
from dacurrent.limited import LimitedLog
from dacurrent.sockets import name_of

GATHER_LIMIT_BYTES = 64 * 1024  # for each peer
FRAME_BYTES = 16 * 1024  # a frame gets no more messages when it has so many
SHORT_BYTES = 4 * 1024  # what is copied sooner than seen to
FRAME = struct.Struct(">I")  # before a frame, the size of what is in it; before each message in it, its size
FRAME_LIMIT_BYTES = FRAME_BYTES + 2 * FRAME.size  # beside its last message
SIZE_OPTION = "--message-buffer-size"
_NO_CODE = bytes(handshake.CODE_BYTES)

_log = LimitedLog(logging.getLogger("da.transport"))


def frames_of(link):
    """(messages, frames): what is to be written together, which stands in `waiting` no longer."""
    waiting, pack = link.waiting, FRAME.pack
    if len(waiting) == 1 and link.waiting_bytes <= min(SHORT_BYTES, link.limit_bytes):
        chunk = waiting.popleft()
        link.waiting_bytes = 0
        body = pack(len(chunk)) + chunk
        return [chunk], b"".join((pack(len(body)), body, link.seal.next(body)))
    chunks, parts, frames, total = [], [], [], 0
    while waiting and total < GATHER_LIMIT_BYTES:
        place, size = len(parts), 0
        parts.append(None)
        while waiting and size < FRAME_BYTES:
            chunk = waiting.popleft()
            length = len(chunk)
            link.waiting_bytes -= length
            if length > link.limit_bytes:  # it was taken before that was known
                error = too_large(length, link.limit_bytes, f"at {name_of(link.target)}")
                _log.log(logging.ERROR, "size", "A message is lost: %s", error)
                continue
            chunks.append(chunk)
            parts += pack(length), chunk
            size += FRAME.size + length
        parts[place] = pack(size)
        parts.append(_NO_CODE)
        at = total + FRAME.size
        total = at + size + handshake.CODE_BYTES
        frames.append((at, at + size))
    if not chunks:
        return [], b""
    data = bytearray().join(parts)
    for at, stop in frames:
        data[stop : stop + handshake.CODE_BYTES] = link.seal.next(data, at, stop)
    return chunks, data


def too_large(size, limit_bytes, where):
    return base.PacketSizeExceededException(
        f"a message of {size} bytes does not fit: {SIZE_OPTION} is {limit_bytes} {where}; "
        f"give all nodes {SIZE_OPTION} {size} or more"
    )
