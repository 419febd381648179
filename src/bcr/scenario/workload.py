"""Workloads: the operations that a client has executed, written out or generated (specification, 9.3).

A generated workload is held and sent as its description, so that a million operations take no more memory than one.
"""

import hashlib
from collections.abc import Iterator
from itertools import chain, islice

import msgspec

from bcr.objects.dictionary import Operation

MAX_VALUE_LENGTH = 24
MAX_WORD_LENGTH = 8
KEYS = 12
UNIFORM_KEYS = 100
PERCENT = 100
_HEX_DIGITS = 2 * hashlib.sha256().digest_size


class Written(msgspec.Struct, frozen=True, array_like=True, tag="written"):
    """Operations as they stand in the scenario file."""

    operations: tuple[Operation, ...]

    @property
    def count(self) -> int:
        return len(self.operations)

    def from_place(self, place: int) -> Iterator[Operation]:
        """The operations from the one at this place on."""
        return islice(self.operations, place, None)


class Pseudorandom(msgspec.Struct, frozen=True, array_like=True, tag="pseudorandom"):
    """`pseudorandom(seed, count)`."""

    seed: int
    count: int

    def from_place(self, place: int) -> Iterator[Operation]:
        return islice(_operations(_Stream(self.seed)), place, self.count)


class Uniform(msgspec.Struct, frozen=True, array_like=True, tag="uniform"):
    """`uniform(seed, count, value_bytes, read_percent)`: puts and gets, each key as likely as another.

    Values have exactly `value_bytes` bytes. Each operation is a pure function of the seed and its place.
    """

    seed: int
    count: int
    value_bytes: int
    read_percent: int

    def from_place(self, place: int) -> Iterator[Operation]:
        return map(self._operation, range(place, self.count))

    def _operation(self, place: int) -> Operation:
        drawn = hashlib.sha256(b"bcr uniform/%d/%d" % (self.seed, place)).hexdigest()
        key = f"key{int(drawn[:8], 16) * UNIFORM_KEYS >> 32}"
        if int(drawn[8:16], 16) * PERCENT >> 32 < self.read_percent:
            return Operation("get", key)
        return Operation("put", key, (drawn * (1 + self.value_bytes // _HEX_DIGITS))[: self.value_bytes])


class Workload(msgspec.Struct, frozen=True, array_like=True):
    """What one client is to do, in order; as long as its operations are many, and iterating gives them."""

    parts: tuple[Written | Pseudorandom | Uniform, ...] = ()

    def __len__(self) -> int:
        return sum(part.count for part in self.parts)

    def __iter__(self) -> Iterator[Operation]:
        return chain.from_iterable(part.from_place(0) for part in self.parts)

    def requests(self, size: int) -> Iterator[tuple[Operation, ...]]:
        """The operations in requests of `size`, the last of which may have fewer."""
        operations = iter(self)
        while request := tuple(islice(operations, size)):
            yield request


class Requests:
    """A workload's requests of `size` operations by number, in any order; quick where the numbers rise."""

    def __init__(self, workload: Workload, size: int) -> None:
        self._workload = workload
        self._size = size
        self._next = 0
        self._coming = workload.requests(size)

    def __len__(self) -> int:
        return (len(self._workload) + self._size - 1) // self._size

    def __getitem__(self, number: int, /) -> tuple[Operation, ...]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        if number < self._next:
            self._coming, self._next = self._workload.requests(self._size), 0
        request = next(islice(self._coming, number - self._next, None))
        self._next = number + 1
        return request


def due_after_ns(number: int, operations_per_request: int, client_rate: int) -> int:
    """How long after the first request number `number` is due, where a client sends `client_rate` operations a second."""
    return number * operations_per_request * 1_000_000_000 // client_rate


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
    return "".join("abcdefghijklmnopqrstuvwxyz"[stream.below(26)] for _ in range(1 + stream.below(MAX_WORD_LENGTH)))
