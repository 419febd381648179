"""The Merkle tree over all buckets of a state, of which only what is not empty is held (specification, 8.2).

It is the tree of bcr.signed.merkle over the digests of all buckets in order, so a path in it is checked there. But it costs only
what has changed since it was last asked, and not the whole.
"""

import hashlib
from collections.abc import Iterable
from hashlib import sha256

from bcr.signed.encoding import digest, encode
from bcr.signed.merkle import root_above

DOMAIN = "buckets"
DEPTH = 14
# Of a million keys a bucket has 61, so that one proves what stands at a key in a few kB.
BUCKETS = 1 << DEPTH
SPARSE = BUCKETS // 16  # buckets, up to which the nodes above them are made in less time than a look at all places takes

_BUCKET = b"bcr bucket\0"
_NODE = b"bcr digest/" + DOMAIN.encode() + b" node\0\x92\xc4\x20"  # as `digest` has it: an array of two times 32 bytes
_BETWEEN = b"\xc4\x20"


def digest_of_bucket(encoded: bytes) -> bytes:
    """The leaf that stands for a bucket."""
    return hashlib.sha256(_BUCKET + encoded).digest()


EMPTY_BUCKET = encode({})


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + _BETWEEN + right).digest()


def _empty_digests() -> list[bytes]:
    """The node over nothing but empty buckets, by its height."""
    nodes = [digest_of_bucket(EMPTY_BUCKET)]
    for _ in range(DEPTH):
        nodes.append(_parent(nodes[-1], nodes[-1]))
    return nodes


_EMPTY_DIGESTS = _empty_digests()


class BucketTree:
    """The leaves are set by index, and the nodes above are made when the root or a path is asked for."""

    def __init__(self) -> None:
        self._nodes: list[dict[int, bytes]] = [{} for _ in range(DEPTH + 1)]  # by height, those that are not empty
        self._stale_indexes: set[int] = set()  # indexes of leaves that were set, and the nodes above not made anew

    @classmethod
    def over(cls, buckets: Iterable[tuple[int, bytes]]) -> "BucketTree":
        """The tree over these buckets, none of which is empty, and nothing else: of many all at once, in less time than one by one."""
        tree = cls()
        leaves = {index: sha256(_BUCKET + encoded).digest() for index, encoded in buckets}
        if len(leaves) <= SPARSE:
            tree._nodes[0], tree._stale_indexes = leaves, set(leaves)
            return tree
        level = [leaves.get(index, _EMPTY_DIGESTS[0]) for index in range(BUCKETS)]
        tree._nodes[0] = leaves
        for height, empty in enumerate(_EMPTY_DIGESTS[1:], start=1):
            pairs = zip(level[::2], level[1::2], strict=True)
            if len(leaves) == BUCKETS:
                level = [sha256(_NODE + left + _BETWEEN + right).digest() for left, right in pairs]
                tree._nodes[height] = dict(enumerate(level))
            else:
                below = _EMPTY_DIGESTS[height - 1]
                level = [empty if left is right is below else _parent(left, right) for left, right in pairs]
                tree._nodes[height] = {index: node for index, node in enumerate(level) if node is not empty}
        return tree

    def set(self, index: int, encoded: bytes | None) -> None:
        """The bucket at the index is this one, or an empty one."""
        if encoded is None:
            self._nodes[0].pop(index, None)
        else:
            self._nodes[0][index] = digest_of_bucket(encoded)
        self._stale_indexes.add(index)

    def root(self) -> bytes:
        """What stands for all buckets."""
        self._renew()
        return digest(DOMAIN, (BUCKETS, self._nodes[DEPTH].get(0, _EMPTY_DIGESTS[DEPTH])))

    def path(self, index: int) -> tuple[bytes, ...]:
        """The siblings from the bucket at `index` upwards."""
        self._renew()
        return tuple(self._nodes[height].get((index >> height) ^ 1, _EMPTY_DIGESTS[height]) for height in range(DEPTH))

    def copy(self) -> "BucketTree":
        """The same tree, which goes its own way from here."""
        tree = BucketTree()
        tree._nodes = [dict(nodes) for nodes in self._nodes]
        tree._stale_indexes = set(self._stale_indexes)
        return tree

    def _renew(self) -> None:
        indexes = self._stale_indexes
        for height in range(DEPTH):
            nodes, above, empty = self._nodes[height], self._nodes[height + 1], _EMPTY_DIGESTS[height]
            indexes = {index >> 1 for index in indexes}
            for index in indexes:
                left, right = nodes.get(2 * index, empty), nodes.get(2 * index + 1, empty)
                if left == right == empty:
                    above.pop(index, None)
                else:
                    above[index] = _parent(left, right)
        self._stale_indexes = set()


def root_over(index: int, encoded: bytes, path: tuple[bytes, ...]) -> bytes:
    """The root of the tree in which this bucket has this path. Raises MalformedMessage where no tree has such a path."""
    return root_above(DOMAIN, digest_of_bucket(encoded), index, BUCKETS, path)
