"""Whether a write-ahead log of SQLite is whole, looked at before SQLite opens it (as its file format says).

SQLite takes a log up to the first frame whose checksum is wrong, and drops all behind it without a word. After a power cut that is right:
what was not synced may have come to the disk in part. But no more than one transaction is under way at a time. So where whole transactions
stand behind the first wrong frame, something that had been synced was lost, and nobody may go on from what is left.
"""

import functools
import operator
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bcr.stable.disk import DamagedError

ENDING = "-wal"  # behind the name of the database
_HEADER = struct.Struct(">8I")  # magic, format, bytes of a page, checkpoint, salt (2), checksum (2)
_FRAME = struct.Struct(">6I")  # page, pages behind a commit or 0, salt (2), checksum (2)
_MAGIC = 0x377F0682  # and 1 more where the words that are summed have the high byte first
_WORD = 0xFFFFFFFF
Sum = tuple[int, int]


def demand_whole_log(database: Path) -> None:
    """Raises DamagedError where the log of this database has lost a transaction that is not its last; OSError."""
    path = Path(f"{database}{ENDING}")
    if not path.exists():
        return
    with open(path, "rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return
        magic, _, page_bytes, _, *_ = _HEADER.unpack(head)
        order = "<>"[magic & 1]
        if magic & ~1 != _MAGIC or _sum_of(head[:24], order) != _HEADER.unpack(head)[6:]:
            raise DamagedError(f"{path} is damaged: its first {_HEADER.size} bytes are not what was written")
        lost = sum(_commits_behind_the_first_wrong_frame(file, head, order, page_bytes))
    if lost > 1:
        raise DamagedError(f"{path} is damaged: a frame is not what was written, and by that {lost} transactions are lost")


def _commits_behind_the_first_wrong_frame(file: IO[bytes], head: bytes, order: str, page_bytes: int) -> Iterator[bool]:
    """Of each frame of the same age from there on, whether it ends a transaction."""
    salt, running, is_whole = head[16:24], _HEADER.unpack(head)[6:], True
    while len(frame := file.read(_FRAME.size + page_bytes)) == _FRAME.size + page_bytes:
        _, pages, _, _, *checksum = _FRAME.unpack_from(frame)
        has_salt = frame[8:16] == salt
        if is_whole:
            running = _sum_of(frame[:8] + frame[_FRAME.size :], order, running)
            is_whole = has_salt and list(running) == checksum
        if not is_whole and has_salt:
            yield pages != 0


def _sum_of(data: bytes, order: str, start: Sum | tuple[int, ...] = (0, 0)) -> Sum:
    """SQLite's checksum of these bytes behind others, whose sum is `start`.

    For each two words x, y: a += x + b; b += y + a. That is linear, so a whole page is two products of vectors.
    """
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    of_start, firsts, seconds = _factors(len(words) // 2)
    (aa, ab), (ba, bb) = of_start
    first = aa * start[0] + ab * start[1] + sum(map(operator.mul, firsts, words))
    second = ba * start[0] + bb * start[1] + sum(map(operator.mul, seconds, words))
    return first & _WORD, second & _WORD


@functools.cache
def _factors(steps: int) -> tuple[tuple[Sum, Sum], tuple[int, ...], tuple[int, ...]]:
    """What each part of the start, and each word, counts in the first and in the second half of the sum."""
    rows = ((1, 0), (0, 1))  # of the matrix ((1, 1), (1, 2)), by which a step multiplies the sum, to the power of the steps behind
    firsts: list[int] = []
    seconds: list[int] = []
    for _ in range(steps):
        (aa, ab), (ba, bb) = rows
        # A step adds x to both halves, and y to the second.
        firsts[:0] = [(aa + ab) & _WORD, ab]
        seconds[:0] = [(ba + bb) & _WORD, bb]
        rows = (((aa + ab) & _WORD, (aa + 2 * ab) & _WORD), ((ba + bb) & _WORD, (ba + 2 * bb) & _WORD))
    return rows, tuple(firsts), tuple(seconds)
