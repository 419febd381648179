"""Messages that came before there was a configuration to judge them by, kept within limits (specification, 7a.4)."""

from typing import Generic, TypeVar

T = TypeVar("T")


class EarlyMessages(Generic[T]):
    """At most so many messages, of so many bytes in all: the first that came, in their order.

    Nobody can be told from anybody yet, so whoever fills it can make others' be lost, which they notice later.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: list[T] = []

    def keep(self, message: T, size: int) -> bool:
        """Keep a message of so many bytes, and say whether there was room for it."""
        if len(self._kept) >= self._most or self._bytes + size > self._most_bytes:
            return False
        self._kept.append(message)
        self._bytes += size
        return True

    def take_all(self) -> list[T]:
        """What was kept; nothing is any more."""
        kept, self._kept, self._bytes = self._kept, [], 0
        return kept

    def __len__(self) -> int:
        return len(self._kept)
