"""What an object says of itself, so that replicas can execute, hash, copy and hand it over without knowing what it is
(specification, 8).

An object is a mapping from keys to values and operations on it. Everything else follows from which keys an operation
names: the state arrives encoded, and is read only as far as operations ask for it (bcr.state.buckets).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from bcr.objects.operation import Operation
from bcr.objects.room import Room
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, bytes_of

V = TypeVar("V")

GROWTH_OVERHEAD_BYTES = 64  # of what an operation writes beside its key and text
FAIL = "fail"  # the result of what is no operation of the object, or cannot be done

Place = tuple[int, int, int]  # configuration, slot, index in the slot: where a request is executed
SizeOf = Callable[[str], int | None]  # key -> what `size` says of its value, or None where it has none
Sizes = Mapping[str, int | None]


class BadOperation(ValueError):
    """What is wrong with an operation of a scenario file, and in which of its arguments, counted from 0."""

    def __init__(self, text: str, argument: int | None = None) -> None:
        super().__init__(text)
        self.argument = argument


class ObjectModel(Protocol):
    """The object once more, to check results with: the values by key, and what operations give and do.

    With a method `begin_with(values)` it checks runs too that go on with what an earlier one has left.
    """

    @property
    def values(self) -> dict[str, Any]: ...

    def execute(self, operations: Sequence[Operation], place: Place) -> tuple[str, ...]: ...

    def copy(self) -> "ObjectModel": ...


class ReplicatedObject(ABC, Generic[V]):
    """One kind of object. It holds no state of its own: `execute` is given the values.

    `value_type` is the type of what stands at a key: plain data, or structures of msgspec made of such. `forms` are the
    operations, by name, with examples of their arguments; the last `optional[name]` of these may be left out.
    """

    name: ClassVar[str]
    value_type: ClassVar[Any]
    forms: ClassVar[Mapping[str, Sequence[str]]]
    optional: ClassVar[Mapping[str, int]] = {}
    result_limit_bytes: ClassVar[int]  # what no operation's result exceeds; of `most_results` the default needs it
    drawn_limit_bytes: ClassVar[int] = 256  # the most that key and argument of an operation that `drawn` gives have
    refusal: ClassVar[str] = FAIL  # the result of each operation of a request for which there is no room
    is_ordered: ClassVar[bool] = False  # whether `execute` is given bcr.objects.ordered.Ordered
    # Whether it is given the values themselves, and may touch what it has not named; it keeps to RESULTS_LIMIT_BYTES then.
    is_trusted: ClassVar[bool] = False

    # -- operations

    @abstractmethod
    def parsed(self, name: str, arguments: Sequence[str]) -> Operation:
        """The operation that stands in a scenario file as `name(argument, …)`; their number fits the form.

        Raises BadOperation where the arguments make no sense.
        """

    def keys(self, operation: Operation) -> Sequence[str] | None:
        """Every key that the operation may read or write; None for all that there are."""
        return (operation.key,)

    def changed(self, operation: Operation) -> Sequence[str]:
        """The keys whose values the operation may change, make or remove; of an operation on all keys none."""
        return self.keys(operation) or ()

    @abstractmethod
    def execute(self, values: MutableMapping[str, V], operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        """Execute the operations of a request in order, in place, and return their results, as many.

        Total, and a function of its arguments alone: whatever a client signs has a result, and on every replica the same.
        """

    # -- many operations at once, for objects that can do it faster

    def keys_of(self, operations: Sequence[Operation]) -> Iterable[str] | None:
        """Every key that the operations may touch, or None for all."""
        keys_so_far: list[str] = []
        for operation in operations:
            keys = self.keys(operation)
            if keys is None:
                return None
            keys_so_far += keys
        return keys_so_far

    def changed_by(self, requests: Iterable[Sequence[Operation]]) -> Iterable[str]:
        """Every key whose value the operations of these requests may change, in their order."""
        return (key for operations in requests for each in operations for key in self.changed(each))

    # -- sizes

    def size(self, value: V) -> int:
        """What the value counts for in `most_results`, as bytes."""
        return 0

    def most_results(self, operations: Sequence[Operation], size_of: SizeOf) -> tuple[int, Sizes]:
        """At most how many bytes the results come to, and the sizes of values that the operations change, without executing.

        Depends on the state alone, so that correct replicas agree on what fits into a slot.
        """
        return len(operations) * self.result_limit_bytes, {}

    def read_by(self, operations: Sequence[Operation]) -> Sequence[str] | None:
        """The keys whose values, which are strings, are what the operations get and nothing else, each as often as it is got.

        None where that is not so, or where an operation makes a value longer than its own text. A bound on results that takes
        less to know than `most_results`, which need not be asked then.
        """
        return None

    def most_growth(self, operations: Sequence[Operation]) -> int:
        """At most how many bytes keys and values grow by, as encoded; 0 where they do not."""
        return sum(bytes_of(each.key) + bytes_of(each.argument) + GROWTH_OVERHEAD_BYTES for each in operations if self.changed(each))

    def is_refused(self, operations: Sequence[Operation], size_of: SizeOf, room_bytes: int, results_left: int | None) -> bool:
        """Whether there may not be room for what a request writes, or gets; then nothing of it is executed."""
        growth = self.most_growth(operations)
        if growth and growth > room_bytes:
            return True
        left = RESULTS_LIMIT_BYTES if results_left is None else min(results_left, RESULTS_LIMIT_BYTES)
        if self.is_trusted and left == RESULTS_LIMIT_BYTES:
            return False
        most, _ = self.most_results(operations, size_of)
        return most > left

    # -- workloads, faults, and what is checked and shown

    def drawn(self, seed: int) -> Iterator[Operation]:
        """Operations without end: a pure function of the seed, the same on every platform.

        Raises BadOperation where the object has none.
        """
        raise BadOperation(f"{self.name} has no pseudorandom operations")

    def stray(self) -> Operation:
        """An operation that changes the state, for a faulty replica that executes one which nobody has ordered."""
        return next(self.drawn(0))

    def model(self) -> ObjectModel:
        """The empty object by an implementation that shares nothing with `execute`; the default has none, and is that again."""
        return Itself(self)

    def shown(self, value: V) -> str:
        """A value as results and logs of a run show it."""
        return str(value)

    def new_values(self) -> "dict[str, V]":
        """The empty object, for `execute`."""
        if self.is_ordered:
            from bcr.objects.ordered import Ordered

            return Ordered()
        return {}


class LimitedModel(ObjectModel, Protocol):
    """The model of an object that keeps to limits operation by operation."""

    def execute_within(self, operations: Sequence[Operation], place: Place, limit_bytes: int, results_left: int) -> tuple[str, ...]: ...


class LimitedObject(ReplicatedObject[V]):
    """An object that keeps to limits itself, operation by operation, and so is never refused a request as a whole."""

    @abstractmethod
    def execute_within(
        self,
        values: MutableMapping[str, V],
        operations: Sequence[Operation],
        place: Place,
        room: Room,
        results_left: int | None,
    ) -> tuple[str, ...]:
        """As `execute`, within the room, and of results no more bytes than are left where that is a number."""

    def model(self) -> LimitedModel:
        """As of any object; the model keeps to the same limits."""
        return Itself(self)


class Itself:
    """An object in place of the model that it does not bring along: what is wrong in it is wrong here too."""

    def __init__(self, replicated: ReplicatedObject[Any]) -> None:
        self._replicated = replicated
        self._values: dict[str, Any] = replicated.new_values()
        self._room: Room | None = None  # of an object that keeps to limits itself, once it is known

    @property
    def values(self) -> dict[str, Any]:
        """What stands at each key."""
        return self._values

    def begin_with(self, values: Mapping[str, Any]) -> None:
        """Hold these values."""
        self._values.update(values)

    def execute(self, operations: Sequence[Operation], place: Place) -> tuple[str, ...]:
        return self._replicated.execute(self._values, operations, place)

    def execute_within(self, operations: Sequence[Operation], place: Place, limit_bytes: int, results_left: int) -> tuple[str, ...]:
        """The same of an object that keeps to limits itself."""
        assert isinstance(self._replicated, LimitedObject)
        self._room = self._room or Room(limit_bytes)
        return self._replicated.execute_within(self._values, operations, place, self._room, results_left)

    def copy(self) -> "Itself":
        other = Itself(self._replicated)
        other._room = None if self._room is None else Room(self._room.left)
        other._values = self._values.copy()
        return other


def has_own_model(replicated: ReplicatedObject[Any]) -> bool:
    """Whether what the object gives is checked by anything but itself."""
    return not isinstance(replicated.model(), Itself)
