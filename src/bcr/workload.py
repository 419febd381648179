"""Workloads: the operations that a client has executed, written out or pseudorandom."""

import hashlib
from collections.abc import Iterator

from bcr.object import Operation

MAX_VALUE_LENGTH = 24
KEYS = 12


class _Stream:
    """Bits that are a pure function of the seed on every platform: SHA-256 in counter mode."""

    def __init__(self, seed: int) -> None:
        self._prefix = f"bcr workload/{seed}/".encode()
        self._counter = 0
        self._bits = 0
        self._left = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 to bound - 1; bound is at most 65,536."""
        if self._left < 32:
            block = hashlib.sha256(self._prefix + str(self._counter).encode()).digest()
            self._bits, self._left, self._counter = int.from_bytes(block, "big"), 256, self._counter + 1
        drawn = self._bits & 0xFFFFFFFF
        self._bits >>= 32
        self._left -= 32
        return drawn * bound >> 32


def pseudorandom(seed: int, count: int) -> tuple[Operation, ...]:
    """`count` operations, diverse over put, get, slice and append, with hits and misses.

    A pure function of (seed, count), the same on every platform and Python version, and a prefix of what the seed
    gives for a larger count. Values stay short however many operations there are: a value that has grown beyond
    MAX_VALUE_LENGTH characters is cut by a slice or replaced by a put before anything is appended.
    """
    return tuple(operation for operation, _ in zip(_operations(_Stream(seed)), range(count), strict=False))


def _operations(stream: _Stream) -> Iterator[Operation]:
    lengths: dict[str, int] = {}  # what this client alone would have made of each key
    while True:
        key = f"key{stream.below(KEYS)}"
        kind = stream.below(100)
        length = lengths.get(key)
        if kind < 30:
            value = _word(stream)
            lengths[key] = len(value)
            yield Operation("put", key, value)
        elif kind < 55:
            yield Operation("get", key)
        elif kind < 80 and (length is None or length <= MAX_VALUE_LENGTH):
            value = _word(stream)
            if length is not None:
                lengths[key] = length + len(value)
            yield Operation("append", key, value)
        else:
            start = stream.below(4)
            stop = start + stream.below(8)
            if length is not None and stop <= length:
                lengths[key] = stop - start
            yield Operation("slice", key, f"{start}:{stop}")


def _word(stream: _Stream) -> str:
    return "".join("abcdefghijklmnopqrstuvwxyz"[stream.below(26)] for _ in range(1 + stream.below(8)))
