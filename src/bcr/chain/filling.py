"""Requests that fill themselves: what waits while a client's window is full goes together into the next (specification, 1.3).

Nothing waits that need not: as soon as the window is open, whatever is there is sent, even if it is only one operation.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from bcr.chain.slot_room import operations_bytes
from bcr.objects.operation import Operation
from bcr.objects.sizes import REQUEST_LIMIT_BYTES


class Asked(Protocol):
    """Operations of one caller, which happen together or not at all; `is_alone` keeps others' out of the request."""

    @property
    def operations(self) -> Sequence[Operation]: ...

    @property
    def is_alone(self) -> bool: ...

    @property
    def is_withdrawn(self) -> bool: ...


W = TypeVar("W", bound=Asked)


class RequestFiller(Generic[W]):
    """What callers have asked for and nobody has sent yet, in their order.

    A request takes as much of it as `most_operations` and the size of a request allow, and one caller's in any case.
    """

    def __init__(self, most_operations: int) -> None:
        self._most_operations = most_operations
        self._waiting: deque[tuple[W, int]] = deque()  # with what each adds to a request, in bytes
        self.bytes = 0

    def put(self, asked: W) -> None:
        """Let it wait for its turn."""
        size = operations_bytes(asked.operations)
        self._waiting.append((asked, size))
        self.bytes += size

    def put_back(self, asked: Sequence[W]) -> None:
        """Let these wait once more, before all others."""
        for each in reversed(asked):
            size = operations_bytes(each.operations)
            self._waiting.appendleft((each, size))
            self.bytes += size

    def take(self) -> Iterator[W]:
        """What goes into the next request; nothing where nobody waits."""
        operations, left = 0, REQUEST_LIMIT_BYTES
        while self._waiting:
            asked, size = self._waiting[0]
            fits = not asked.is_alone and operations + len(asked.operations) <= self._most_operations and size <= left
            if operations and not fits and not asked.is_withdrawn:
                return
            self._waiting.popleft()
            self.bytes -= size
            if asked.is_withdrawn:
                continue
            operations += len(asked.operations)
            left -= size
            yield asked
            if asked.is_alone:
                return

    def clear(self) -> list[W]:
        """Nobody waits any more; returns who did."""
        asked = [each for each, _ in self._waiting]
        self._waiting.clear()
        self.bytes = 0
        return asked

    def __len__(self) -> int:
        return len(self._waiting)


class _Single:
    """One operation of one caller."""

    is_alone = is_withdrawn = False

    def __init__(self, operation: Operation) -> None:
        self.operations = (operation,)


class Callers:
    """So many callers of one client, each with one operation outstanding, who share out a workload as they are answered."""

    def __init__(self, operations: Iterable[Operation], callers: int, most_operations: int) -> None:
        self._coming = iter(operations)
        self._filler = RequestFiller[_Single](most_operations)
        self.answered(callers)

    def answered(self, count: int) -> None:
        """So many callers have nothing outstanding, and ask for what comes next."""
        for operation in islice(self._coming, count):
            self._filler.put(_Single(operation))

    def is_waiting(self) -> bool:
        """Whether somebody has asked for something that is not sent yet."""
        return len(self._filler) > 0

    def __iter__(self) -> "Callers":
        return self

    def __next__(self) -> tuple[Operation, ...]:
        """The operations of the next request. Raises StopIteration where nobody waits."""
        operations = tuple(operation for each in self._filler.take() for operation in each.operations)
        if not operations:
            raise StopIteration
        return operations
