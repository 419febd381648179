"""Workloads: the operations that a client has executed, written out or generated (specification, 9.3).

A generated workload is held and sent as its description, so that a million operations take no more memory than one.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import msgspec

from bcr.objects import dictionary_workload
from bcr.objects.finding import DEFAULT, found
from bcr.objects.operation import Operation
from bcr.objects.replicated import ReplicatedObject

UNIFORM_KEYS = 100
PERCENT = 100
_HEX_DIGITS = 2 * hashlib.sha256().digest_size


class Written(msgspec.Struct, frozen=True, array_like=True, tag="written"):
    """Operations as they stand in the scenario file."""

    operations: tuple[Operation, ...]

    @property
    def count(self) -> int:
        return len(self.operations)

    def from_place(self, place: int, replicated: ReplicatedObject[Any]) -> Iterator[Operation]:
        """The operations from the one at this place on."""
        return islice(self.operations, place, None)


class Pseudorandom(msgspec.Struct, frozen=True, array_like=True, tag="pseudorandom"):
    """`pseudorandom(seed, count)`: which operations these are is the object's to say."""

    seed: int
    count: int

    def from_place(self, place: int, replicated: ReplicatedObject[Any]) -> Iterator[Operation]:
        return islice(replicated.drawn(self.seed), place, self.count)


class Uniform(msgspec.Struct, frozen=True, array_like=True, tag="uniform"):
    """`uniform(seed, count, value_bytes, read_percent)`: puts and gets of a dictionary, each key as likely as another.

    Values have exactly `value_bytes` bytes. Each operation is a pure function of the seed and its place.
    """

    seed: int
    count: int
    value_bytes: int
    read_percent: int

    def from_place(self, place: int, replicated: ReplicatedObject[Any]) -> Iterator[Operation]:
        return map(self._operation, range(place, self.count))

    def _operation(self, place: int) -> Operation:
        digits = hashlib.sha256(b"bcr uniform/%d/%d" % (self.seed, place)).hexdigest()
        key = f"key{int(digits[:8], 16) * UNIFORM_KEYS >> 32}"
        if int(digits[8:16], 16) * PERCENT >> 32 < self.read_percent:
            return Operation("get", key)
        return Operation("put", key, _repeated(digits, self.value_bytes))


class Distinct(msgspec.Struct, frozen=True, array_like=True, tag="distinct"):
    """`distinct(seed, count, value_bytes)`: puts of a dictionary, each of another key, `key0` first.

    Values have exactly `value_bytes` bytes, and are others for another seed. Each operation is a pure function of seed and place.
    """

    seed: int
    count: int
    value_bytes: int

    def from_place(self, place: int, replicated: ReplicatedObject[Any]) -> Iterator[Operation]:
        return map(self._operation, range(place, self.count))

    def _operation(self, place: int) -> Operation:
        digits = hashlib.sha256(b"bcr distinct/%d/%d" % (self.seed, place)).hexdigest()
        return Operation("put", f"key{place}", _repeated(digits, self.value_bytes))


def _repeated(digits: str, size: int) -> str:
    return (digits * (1 + size // _HEX_DIGITS))[:size]


Part = Written | Pseudorandom | Uniform | Distinct


class Workload(msgspec.Struct, frozen=True, array_like=True):
    """What one client is to do, in order; as long as its operations are many, and iterating gives them."""

    parts: tuple[Part, ...] = ()

    def __len__(self) -> int:
        return sum(part.count for part in self.parts)

    def __iter__(self) -> Iterator[Operation]:
        return self.operations()

    def operations(self, replicated: ReplicatedObject[Any] | str = DEFAULT) -> Iterator[Operation]:
        """All of them in order, on this object; of a dictionary if it is not given."""
        object_ = found(replicated)
        return chain.from_iterable(part.from_place(0, object_) for part in self.parts)

    def requests(self, size: int, replicated: ReplicatedObject[Any] | str = DEFAULT) -> Iterator[tuple[Operation, ...]]:
        """The operations in requests of `size`, the last of which may have fewer."""
        operations = self.operations(replicated)
        while request := tuple(islice(operations, size)):
            yield request


class RequestSequence:
    """A workload's requests of `size` operations by number, in any order; quick where the numbers rise."""

    def __init__(self, workload: Workload, size: int, replicated: ReplicatedObject[Any] | str = DEFAULT) -> None:
        self._workload = workload
        self._size = size
        self._replicated = replicated
        self._next = 0
        self._coming = workload.requests(size, replicated)

    def __len__(self) -> int:
        return (len(self._workload) + self._size - 1) // self._size

    def __getitem__(self, number: int, /) -> tuple[Operation, ...]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        if number < self._next:
            self._coming, self._next = self._workload.requests(self._size, self._replicated), 0
        request = next(islice(self._coming, number - self._next, None))
        self._next = number + 1
        return request


class Filled:
    """A workload whose client fills requests with what waits: only the client knows which operations make one.

    As long as that is not known it has one request, with all of them.
    """

    def __init__(self, workload: Workload, replicated: ReplicatedObject[Any] | str = DEFAULT) -> None:
        self._workload = workload
        self._replicated = replicated
        self._operations: tuple[Operation, ...] | None = None

    def _all(self) -> tuple[Operation, ...]:
        if self._operations is None:
            self._operations = tuple(self._workload.operations(self._replicated))
        return self._operations

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int, /) -> tuple[Operation, ...]:
        if number:
            raise IndexError(number)
        return self._all()

    def of_sizes(self, sizes: Iterable[int]) -> list[tuple[Operation, ...]]:
        """Requests of these sizes, and, where operations are left, one more with them."""
        coming = iter(self._all())
        requests = [tuple(islice(coming, size)) for size in sizes]
        left = tuple(coming)
        return [*requests, left] if left else requests

    def holds(self, operations: tuple[Operation, ...]) -> bool:
        """Whether these follow one another in it."""
        everything, count = self._all(), len(operations)
        places = (place for place, each in enumerate(everything) if each == operations[0])
        return any(everything[place : place + count] == operations for place in places)


def due_after_ns(number: int, operations_per_request: int, client_rate: int) -> int:
    """How long after the first request number `number` is due, where a client sends `client_rate` operations a second."""
    return number * operations_per_request * 1_000_000_000 // client_rate


def pseudorandom(seed: int, count: int) -> tuple[Operation, ...]:
    """`count` operations on a dictionary.

    A pure function of (seed, count), the same on every platform and Python version, and a prefix of what the seed
    gives for a larger count.
    """
    return tuple(islice(dictionary_workload.drawn(seed), count))
