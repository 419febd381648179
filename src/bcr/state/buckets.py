"""The object's dictionary, spread over buckets that are encoded and hashed each by itself (specification, 8.2).

So a digest costs what was written since the last one and not the whole dictionary, and a dictionary that arrives encoded
is read as far as somebody asks for it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

from bcr.objects.dictionary import Operation, Room, execute
from bcr.objects.sizes import STATE_LIMIT_BYTES, encoded_bytes
from bcr.signed.encoding import decode, encode

# Of 100,000 keys a bucket has 25. Who chooses keys of one bucket makes digests slow, and never wrong.
BUCKETS = 4_096
MAX_UNSORTED = 100  # requests that are held until it is noted what they wrote

_DOMAIN = b"bcr bucket\0"
_Values = dict[str, str]


def bucket_of(key: str) -> int:
    """Where the key belongs: the same on every platform, which Python's own hash of a string is not."""
    return crc32(key.encode()) % BUCKETS


def digest_of_bucket(encoded: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + encoded).digest()


def _bytes_of_bucket(encoded: bytes) -> int:
    """How many bytes the bucket's keys and values have, without what says how many they are: of no bucket, any number."""
    return len(encoded) - {0xDE: 3, 0xDF: 5}.get(encoded[0] if encoded else 0, 1)


class Buckets:
    """A dictionary from string to string, made of the canonical encodings of its buckets, by their index.

    Its keys and values, as encoded, are to come to at most `limit_bytes`. An encoding that is none raises MalformedMessage
    when it is read.
    """

    def __init__(self, encoded: Mapping[int, bytes] | None = None, limit_bytes: int = STATE_LIMIT_BYTES) -> None:
        self._encoded = dict(encoded or {})  # index -> as it was when last asked for; no bucket is empty
        self._digests: dict[int, bytes] = {}  # index -> of the encoding, where it is known
        self._unread = set(self._encoded)  # indexes of which `_values` has nothing yet
        self._values: _Values = {}
        self._room = Room(limit_bytes - sum(map(_bytes_of_bucket, self._encoded.values())))
        self._executed: list[Sequence[Operation]] = []  # of which `_written` knows nothing yet
        # Keys that `_encoded` may have other values of; in the order of writing, in which memory is read faster.
        self._written: dict[str, None] = {}

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Buckets":
        """The same dictionary in buckets."""
        buckets = cls()
        buckets._values.update(values)
        buckets._written = dict.fromkeys(values)
        buckets._room.left -= sum(encoded_bytes(key) + encoded_bytes(value) for key, value in values.items())
        return buckets

    @property
    def room_bytes(self) -> int:
        """How many bytes the dictionary may still grow by."""
        return self._room.left

    def execute(self, operations: Sequence[Operation], results_left: int | None = None) -> tuple[str, ...]:
        """Execute the operations in order, in place, and return their results: see `bcr.object.execute`."""
        if self._unread:
            self._read({bucket_of(operation.key) for operation in operations} & self._unread)
        self._executed.append(operations)
        if len(self._executed) > MAX_UNSORTED:
            self._note_written()
        return execute(self._values, operations, self._room, results_left)

    def value_of(self, key: str) -> str | None:
        """The value of a key, or None where it has none."""
        if self._unread:
            self._read({bucket_of(key)} & self._unread)
        return self._values.get(key)

    def values_of(self, keys: Iterable[str]) -> list[str]:
        """The values of these keys, as far as they have some."""
        if self._unread:
            return [value for value in map(self.value_of, keys) if value is not None]
        return [self._values[key] for key in keys if key in self._values]

    def values(self) -> Mapping[str, str]:
        """The dictionary, all of it. Whoever looks at it changes nothing, not even what has been read so far."""
        if not self._unread:
            return self._values
        unread = [decode(_Values, self._encoded[index]) for index in self._unread]
        return self._values | {key: value for values in unread for key, value in values.items()}

    def encoded(self) -> dict[int, bytes]:
        """Index and canonical encoding of each bucket that is not empty, in order."""
        self._renew()
        return dict(sorted(self._encoded.items()))

    def digests(self) -> dict[int, bytes]:
        """Index and digest of each bucket that is not empty, in order."""
        self._renew()
        for index in self._encoded.keys() - self._digests.keys():
            self._digests[index] = digest_of_bucket(self._encoded[index])
        return dict(sorted(self._digests.items()))

    def copy(self) -> "Buckets":
        """The same dictionary, which goes its own way from here."""
        self._note_written()
        other = Buckets(self._encoded)
        other._digests = dict(self._digests)
        other._unread = set(self._unread)
        other._values = dict(self._values)
        other._written = dict(self._written)
        other._room = Room(self._room.left)
        return other

    def _read(self, indexes: Iterable[int]) -> None:
        for index in indexes:
            self._values.update(decode(_Values, self._encoded[index]))
            self._unread.discard(index)

    def _note_written(self) -> None:
        keys = [each.key for operations in self._executed for each in operations if each.name != "get"]
        self._written.update(dict.fromkeys(keys))
        self._executed.clear()

    def _renew(self) -> None:
        """Encode anew where something was written; whatever was written has been read before."""
        self._note_written()
        changes: defaultdict[int, _Values] = defaultdict(dict)
        for key in self._written:
            value = self._values.get(key)
            if value is not None:  # a slice or append of an absent key writes nothing
                changes[bucket_of(key)][key] = value
        self._written.clear()
        for index, changed in changes.items():
            before = self._encoded.get(index)
            self._encoded[index] = encode(changed if before is None else decode(_Values, before) | changed)
            self._digests.pop(index, None)
