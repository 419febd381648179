"""Values by key that can be listed in the order of their keys (specification, 8.4)."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from bcr.objects.sorted_keys import SortedKeys

V = TypeVar("V")


class Ordered(dict[str, V]):
    """A dictionary with the order of its keys, by code points, which is that of their bytes in UTF-8.

    The order is made when it is first asked for, and kept from then on; what changes the dictionary is what stands here.
    """

    def __init__(self, values: Mapping[str, V] | None = None) -> None:
        super().__init__(values or {})
        self._order: SortedKeys | None = None

    def __setitem__(self, key: str, value: V) -> None:
        if self._order is not None and key not in self:
            self._order.add(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        if self._order is not None:
            self._order.remove(key)

    def pop(self, key: str, default: Any = None) -> Any:
        """As of any dictionary; nothing is wrong with a key that is not there."""
        value = self.get(key, default)
        if key in self:
            del self[key]
        return value

    def update(self, *values: Any, **more: V) -> None:
        """As of any dictionary; the order is made anew when it is asked for."""
        super().update(*values, **more)
        self._order = None

    def copy(self) -> "Ordered[V]":
        return Ordered(self)

    def keys_after(self, prefix: str, after: str) -> Iterator[str]:
        """The keys that begin with `prefix` and are greater than `after`, in order; nothing may change meanwhile.

        All of them where `after` is empty.
        """
        return self._sorted().following(prefix, after)

    def order(self) -> SortedKeys:
        """The keys in order, to go on from."""
        return self._sorted().copy()

    def _sorted(self) -> SortedKeys:
        if self._order is None:
            self._order = SortedKeys(self)
        return self._order
