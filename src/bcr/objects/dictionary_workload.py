"""Operations on the dictionary that nobody has written out: diverse, with hits and misses (specification, 9.3)."""

from collections.abc import Iterator

from bcr.objects.drawing import Stream
from bcr.objects.operation import Operation

MAX_VALUE_LENGTH = 24
MAX_WORD_LENGTH = 8
KEYS = 12


def drawn(seed: int) -> Iterator[Operation]:
    """Operations over put, get, slice and append, without end.

    Values stay short however many operations there are: a value that has grown beyond MAX_VALUE_LENGTH characters is cut
    by a slice or replaced by a put before anything is appended.
    """
    stream = Stream(seed)
    lengths: dict[str, int] = {}  # what this client alone would have made of each key
    while True:
        key = f"key{stream.below(KEYS)}"
        kind = stream.below(100)
        length = lengths.get(key)
        if kind < 30:
            value = stream.word(MAX_WORD_LENGTH)
            lengths[key] = len(value)
            yield Operation("put", key, value)
        elif kind < 55:
            yield Operation("get", key)
        elif kind < 80 and (length is None or length <= MAX_VALUE_LENGTH):
            value = stream.word(MAX_WORD_LENGTH)
            if length is not None:
                lengths[key] = length + len(value)
            yield Operation("append", key, value)
        else:
            start = stream.below(4)
            stop = start + stream.below(8)
            if length is not None and stop <= length:
                lengths[key] = stop - start
            yield Operation("slice", key, f"{start}:{stop}")
