"""Merkle trees: one digest stands for a list, and a short path shows what stands at a place of it (specification, 2.5).

Pairs are hashed level by level; the last of an odd level goes up as it is. The root is bound to the length of the list,
so a path for one length proves nothing for another.
"""

from collections.abc import Sequence

from bcr.signed.encoding import DIGEST_SIZE, digest
from bcr.signed.violations import MalformedMessage


class Tree:
    """The tree over at least one digest; `domain` keeps trees of one purpose from serving another."""

    def __init__(self, domain: str, leaves: Sequence[bytes]) -> None:
        self.leaves = leaves
        self._levels = [list(leaves)]
        while len(level := self._levels[-1]) > 1:
            above = [_parent(domain, *level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
            self._levels.append(above + level[len(above) * 2 :])
        [top] = self._levels[-1]
        self.root = _root(domain, len(leaves), top)

    def path(self, index: int) -> tuple[bytes, ...]:
        """The siblings from the leaf at `index` upwards: at most log2 of the number of leaves, rounded up."""
        return tuple(level[sibling] for height, level in enumerate(self._levels[:-1]) if (sibling := (index >> height) ^ 1) < len(level))


def root_above(domain: str, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of the tree over `size` digests that has `leaf` at `index`, as its path says.

    Raises MalformedMessage where no tree of that size has such a path.
    """
    siblings = iter(path)
    node, place, width = leaf, index, size
    try:
        if not 0 <= index < size or any(len(each) != DIGEST_SIZE for each in path):
            raise StopIteration
        while width > 1:
            if place ^ 1 < width:
                sibling = next(siblings)
                node = _parent(domain, sibling, node) if place & 1 else _parent(domain, node, sibling)
            place, width = place >> 1, (width + 1) >> 1
    except StopIteration:
        raise MalformedMessage(f"not the path of {domain} {index} of {size}", evidence=(tuple(path),)) from None
    if next(siblings, None) is not None:
        raise MalformedMessage(f"a path too long for {domain} {index} of {size}", evidence=(tuple(path),))
    return _root(domain, size, node)


def _parent(domain: str, left: bytes, right: bytes) -> bytes:
    return digest(domain + " node", (left, right))


def _root(domain: str, size: int, top: bytes) -> bytes:
    return digest(domain, (size, top))
