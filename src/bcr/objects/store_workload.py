"""Operations on the store that nobody has written out: conditions that hold and that do not, lists, strings and numbers
(specification, 9.3).
"""

from collections.abc import Iterator

from bcr.objects import store_operations
from bcr.objects.drawing import Stream
from bcr.objects.operation import Operation
from bcr.objects.store_operations import ABSENT, Condition

FOLDERS = ("a/", "b/", "")
KEYS = 4  # of a folder
SLOTS = 16  # of which a drawn version is one, so that some are those that are there
WORD = 6
LIMIT_BYTES = 64  # of key and text of an operation


def drawn(seed: int) -> Iterator[Operation]:
    """Operations without end, a pure function of the seed. What is there is made short again from time to time."""
    stream = Stream(seed, "store")
    while True:
        key = f"{FOLDERS[stream.below(len(FOLDERS))]}key{stream.below(KEYS)}"
        kind = stream.below(100)
        if kind < 25:
            yield store_operations.put(key, _value(stream), _condition(stream))
        elif kind < 50:
            yield store_operations.get(key)
        elif kind < 75:
            yield store_operations.append(key, _value(stream), _condition(stream) if stream.below(4) == 0 else None)
        elif kind < 88:
            yield store_operations.delete(key, _condition(stream))
        else:
            prefix = FOLDERS[stream.below(len(FOLDERS))]
            after = f"{prefix}key{stream.below(KEYS)}" if stream.below(2) else ""
            yield store_operations.keys(prefix, after, 1 + stream.below(6))


def _condition(stream: Stream) -> Condition:
    kind = stream.below(10)
    if kind < 6:
        return None
    return ABSENT if kind < 9 else (0, stream.below(SLOTS), 0)


def _value(stream: Stream) -> str:
    kind = stream.below(4)
    if kind == 0:
        return f'"{stream.word(WORD)}"'
    if kind == 1:
        return str(stream.below(1_000))
    if kind == 2:
        return f'["{stream.word(WORD)}",{stream.below(10)}]'
    return f'{{"{stream.word(WORD)}":{stream.below(10)}}}'
