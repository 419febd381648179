"""An object's values, spread over buckets that are encoded and hashed each by itself (specification, 8.2).

So a digest costs what was written since the last one and not the whole object, and an object that arrives encoded is
read as far as operations name its keys.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from bcr.objects.finding import DEFAULT, found
from bcr.objects.operation import Operation
from bcr.objects.replicated import LimitedObject, Place, ReplicatedObject
from bcr.objects.room import Room
from bcr.objects.sizes import STATE_LIMIT_BYTES, encoded_bytes
from bcr.signed.encoding import decode, encode
from bcr.state.guard import Guarded
from bcr.state.tree import BUCKETS, EMPTY_BUCKET, BucketTree

MAX_UNSORTED = 100  # requests that are held until it is noted what they wrote
FEW_BUCKETS = BUCKETS // 100  # buckets that are sorted in less time than all places are looked through

_Values = dict[str, Any]


def bucket_of(key: str) -> int:
    """Where the key belongs: the same on every platform, which Python's own hash of a string is not.

    Who chooses keys of one bucket makes digests slow and proofs long, and never wrong.
    """
    return crc32(key.encode()) % BUCKETS


def _bytes_of_bucket(encoded: bytes) -> int:
    """How many bytes the bucket's keys and values have, without what says how many they are: of no bucket, any number."""
    return len(encoded) - {b"\xde": 3, b"\xdf": 5}.get(encoded[:1], 1)


class Buckets:
    """An object's values by key, made of the canonical encodings of its buckets, by their index.

    Keys and values, as encoded, are to come to at most `limit_bytes`. An encoding that is none raises MalformedMessage when
    it is read. `tree` is the one over these buckets, where somebody has made it already.
    """

    def __init__(
        self,
        encoded: Mapping[int, bytes] | None = None,
        limit_bytes: int = STATE_LIMIT_BYTES,
        replicated: ReplicatedObject[Any] | str = DEFAULT,
        tree: BucketTree | None = None,
    ) -> None:
        self.replicated = found(replicated)
        self._limited_object = self.replicated if isinstance(self.replicated, LimitedObject) else None
        self._kind: Any = dict[str, self.replicated.value_type]  # type: ignore[name-defined]
        self._encoded = dict(encoded or {})  # index -> as it was when last asked for; no bucket is empty
        self._tree = tree  # over the buckets, once it has been asked for
        # By index those that are not empty, as a snapshot has them, once one was asked for: so it sorts nothing.
        self._pairs: list[tuple[int, bytes] | None] | None = None
        self._unread_indexes = set(self._encoded)  # indexes of which `_values` has nothing yet
        self._values: _Values = self.replicated.new_values()
        self._room = Room(limit_bytes - sum(map(_bytes_of_bucket, self._encoded.values())))
        self._unnoted_operations: list[Sequence[Operation]] = []  # of which `_written_keys` knows nothing yet
        # Keys that `_encoded` may have other values of; in the order of writing, in which memory is read faster.
        self._written_keys: dict[str, None] = {}

    @classmethod
    def of(cls, values: Mapping[str, Any], replicated: ReplicatedObject[Any] | str = DEFAULT) -> "Buckets":
        """The same values in buckets."""
        buckets = cls(replicated=replicated)
        buckets._values.update(values)
        buckets._written_keys = dict.fromkeys(values)
        buckets._room.left -= buckets._bytes_at(values)
        return buckets

    @property
    def room_bytes(self) -> int:
        """How many bytes the object may still grow by."""
        return self._room.left

    def execute(self, operations: Sequence[Operation], results_left: int | None = None, place: Place = (0, 0, 0)) -> tuple[str, ...]:
        """Execute the operations in order, in place, and return their results, of at most so many bytes."""
        if self._unread_indexes:
            self._read_for(operations)
        self._unnoted_operations.append(operations)
        if len(self._unnoted_operations) > MAX_UNSORTED:
            self._note_written()
        if self._limited_object is not None:
            return self._limited_object.execute_within(self._values, operations, place, self._room, results_left)
        replicated = self.replicated
        if replicated.is_refused(operations, self.size_of, self._room.left, results_left):
            return (replicated.refusal,) * len(operations)
        keys = set(replicated.changed_by([operations]))
        before = self._bytes_at(keys)
        values: Any = self._values if replicated.is_trusted else Guarded(self._values, replicated, operations)
        results = replicated.execute(values, operations, place)
        self._room.left -= self._bytes_at(keys) - before
        return results

    def size_of(self, key: str) -> int | None:
        """What the value of a key counts for (`ReplicatedObject.size`), or None where it has none."""
        value = self.value_of(key)
        return None if value is None else self.replicated.size(value)

    def _bytes_at(self, keys: Iterable[str]) -> int:
        """What these keys and their values come to, as encoded."""
        pairs = ((key, self._values.get(key)) for key in keys)
        return sum(encoded_bytes(key) + len(encode(value)) for key, value in pairs if value is not None)

    def value_of(self, key: str) -> Any:
        """The value of a key, or None where it has none."""
        if self._unread_indexes:
            self._read({bucket_of(key)} & self._unread_indexes)
        return self._values.get(key)

    def values_of(self, keys: Iterable[str]) -> list[Any]:
        """The values of these keys, as far as they have some."""
        if self._unread_indexes:
            return [value for value in map(self.value_of, keys) if value is not None]
        return [self._values[key] for key in keys if key in self._values]

    def values(self) -> Mapping[str, Any]:
        """All values by key. Whoever looks at them changes nothing, not even what has been read so far."""
        if not self._unread_indexes:
            return self._values
        buckets = [decode(self._kind, self._encoded[index]) for index in self._unread_indexes]
        return dict(self._values) | {key: value for values in buckets for key, value in values.items()}

    def encoded(self) -> dict[int, bytes]:
        """Index and canonical encoding of each bucket that is not empty, in order."""
        return dict(self.pairs())

    def pairs(self) -> tuple[tuple[int, bytes], ...]:
        """The same as pairs. Costs what was written since they were last asked for, and a step for each bucket."""
        self._renew()
        if self._pairs is None:
            if len(self._encoded) <= FEW_BUCKETS:
                return tuple(sorted(self._encoded.items()))
            self._pairs = [None] * BUCKETS
            for index, encoded in self._encoded.items():
                self._pairs[index] = index, encoded
        return tuple(filter(None, self._pairs))

    def root(self) -> bytes:
        """The root of the Merkle tree over all buckets: equal exactly where the values are."""
        return self._current_tree().root()

    def witness(self, key: str) -> tuple[bytes, tuple[bytes, ...]]:
        """The encoding of the key's bucket, whether it has a value or not, and the bucket's path to the root."""
        tree, index = self._current_tree(), bucket_of(key)
        return self._encoded.get(index, EMPTY_BUCKET), tree.path(index)

    def _current_tree(self) -> BucketTree:
        self._renew()
        if self._tree is None:
            self._tree = BucketTree.over(self._encoded.items())
        return self._tree

    def copy(self) -> "Buckets":
        """The same object, which goes its own way from here."""
        self._note_written()
        copy = Buckets(replicated=self.replicated)
        copy._encoded = dict(self._encoded)
        copy._room = Room(self._room.left)
        copy._pairs = None if self._pairs is None else self._pairs.copy()
        copy._tree = None if self._tree is None else self._tree.copy()
        copy._unread_indexes = set(self._unread_indexes)
        copy._values = self._values.copy()
        copy._written_keys = dict(self._written_keys)
        return copy

    def _read_for(self, operations: Sequence[Operation]) -> None:
        keys = self.replicated.keys_of(operations)
        self._read(list(self._unread_indexes) if keys is None else {bucket_of(key) for key in keys} & self._unread_indexes)

    def _read(self, indexes: Iterable[int]) -> None:
        for index in indexes:
            self._values.update(decode(self._kind, self._encoded[index]))
            self._unread_indexes.discard(index)

    def _note_written(self) -> None:
        self._written_keys.update(dict.fromkeys(self.replicated.changed_by(self._unnoted_operations)))
        self._unnoted_operations.clear()

    def _renew(self) -> None:
        """Encode anew where something was written; whatever was written has been read before."""
        self._note_written()
        changes: defaultdict[int, _Values] = defaultdict(dict)
        for key in self._written_keys:
            changes[bucket_of(key)][key] = self._values.get(key)
        self._written_keys.clear()
        for index, values in changes.items():
            before = self._encoded.get(index)
            bucket = (decode(self._kind, before) if before is not None else {}) | values
            content = {key: value for key, value in bucket.items() if value is not None}  # None: removed, or never there
            if content:
                self._encoded[index] = encode(content)
            else:
                self._encoded.pop(index, None)
            if self._pairs is not None:
                self._pairs[index] = (index, self._encoded[index]) if content else None
            if self._tree is not None:
                self._tree.set(index, self._encoded.get(index))
