"""Holds an object to what its operations say of themselves: which keys they touch, and which they change
(specification, 8)."""

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

from bcr.objects.operation import Operation
from bcr.objects.replicated import ReplicatedObject


class Undeclared(RuntimeError):
    """An object has touched a key that its operations do not name, and so would find or leave it as it is not."""


class Guarded(MutableMapping[str, Any]):
    """The values as operations may use them. None is no value: it would be taken for a key that has been removed.

    State is read only as far as operations name it, and hashed anew only where they say that they change it. An object
    that is mistaken in this would lose what it wrote at the next reconfiguration, and on some replicas only.
    """

    def __init__(self, values: dict[str, Any], replicated: ReplicatedObject[Any], operations: Sequence[Operation]) -> None:
        self._values = values
        keys = replicated.keys_of(operations)
        self._keys = None if keys is None else frozenset(keys)
        self._changed_keys = frozenset(replicated.changed_by([operations]))

    def _demand(self, key: str) -> None:
        if self._keys is not None and key not in self._keys:
            raise Undeclared(f"the operations use {key!r}, and say of their keys that these are {sorted(self._keys)}")

    def _demand_changed(self, key: str) -> None:
        self._demand(key)
        if key not in self._changed_keys:
            raise Undeclared(f"the operations change {key!r}, and say that they change {sorted(self._changed_keys)}")

    def __getitem__(self, key: str) -> Any:
        self._demand(key)
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._demand_changed(key)
        if value is None:
            raise Undeclared(f"None as the value of {key!r}: remove the key instead")
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        self._demand_changed(key)
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        # Sorted: the order in which keys came to be here, or were read, is another one on every replica.
        return iter(sorted(self._values if self._keys is None else self._keys & self._values.keys()))

    def __len__(self) -> int:
        return len(self._values if self._keys is None else self._keys & self._values.keys())

    def keys_after(self, prefix: str, after: str) -> Iterator[str]:
        """As bcr.objects.ordered.Ordered has it, for objects that are so; only of operations that name all keys."""
        if self._keys is not None:
            raise Undeclared(f"the operations list keys, and say that they use only {sorted(self._keys)}")
        listed: Iterator[str] = self._values.keys_after(prefix, after)  # type: ignore[attr-defined]
        return listed
