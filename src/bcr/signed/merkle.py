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
        self._paths: list[tuple[bytes, ...]] | None = None  # of all leaves: whoever wants one mostly wants the others too

    def path(self, index: int) -> tuple[bytes, ...]:
        """The siblings from the leaf at `index` upwards: at most log2 of the number of leaves, rounded up."""
        if self._paths is None:
            self._paths = self._all_paths()
        return self._paths[index]

    def _all_paths(self) -> list[tuple[bytes, ...]]:
        paths: list[tuple[bytes, ...]] = [()]
        for level in reversed(self._levels[:-1]):
            last = len(level) - 1
            paths = [(level[place ^ 1], *paths[place >> 1]) if place ^ 1 <= last else paths[place >> 1] for place in range(len(level))]
        return paths


# What paths came to: (size, width of the level, place in it) -> the node there, the path above it, the root.
KnownPaths = dict[tuple[int, int, int], tuple[bytes, Sequence[bytes], bytes]]
MOST_KNOWN = 4096  # nodes


def root_above(domain: str, leaf: bytes, index: int, size: int, path: Sequence[bytes], known: KnownPaths | None = None) -> bytes:
    """The root of the tree over `size` digests that has `leaf` at `index`, as its path says.

    Where `known` is given, with paths of this domain, what an equal rest of a path came to from an equal node is not computed again,
    and what this one comes to is added. Raises MalformedMessage where no tree of that size has such a path.
    """
    if not 0 <= index < size:
        raise MalformedMessage(f"not the path of {domain} {index} of {size}", evidence=(tuple(path),))
    node, place, width, used = leaf, index, size, 0
    passed = []
    while width > 1:
        if used >= len(path) or len(path[used]) != DIGEST_SIZE:  # where there is no sibling, a level above has one
            raise MalformedMessage(f"not the path of {domain} {index} of {size}", evidence=(tuple(path),))
        if known is not None:
            met = known.get((size, width, place))
            if met is not None and met[0] == node and met[1] == path[used:]:
                root = met[2]
                break
            passed.append(((size, width, place), node, used))
            met = known.get((size, width, place ^ 1))  # nothing where there is no sibling
            if met is not None and met[0] == path[used] and met[1] == (node, *path[used + 1 :]):
                root = met[2]  # what its sibling came to
                break
        if place ^ 1 < width:
            sibling = path[used]
            node = _parent(domain, sibling, node) if place & 1 else _parent(domain, node, sibling)
            used += 1
        place, width = place >> 1, (width + 1) >> 1
    else:
        if used < len(path):
            raise MalformedMessage(f"a path too long for {domain} {index} of {size}", evidence=(tuple(path),))
        root = _root(domain, size, node)
    if known is not None:
        if len(known) > MOST_KNOWN:
            known.clear()
        for where, at, below in passed:
            known[where] = (at, path[below:], root)
    return root


def _parent(domain: str, left: bytes, right: bytes) -> bytes:
    return digest(domain + " node", (left, right))


def _root(domain: str, size: int, top: bytes) -> bytes:
    return digest(domain, (size, top))
