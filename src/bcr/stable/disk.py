"""What a disk is asked for, and what it may give back (specification, 13.1, 13.6): facts, parts of a state, rows of a log.

A disk holds three things. *Facts* are few and have names, as the key and the last checkpoint. *Parts* have numbers, as the
buckets of a running state. The *log* is rows, numbered in turn; a row holds all that was synced at once. Nothing here says
what the bytes mean: bcr.stable.chain does.

What was appended is on the disk when `sync` or `checkpoint` has returned, and not before. Both raise DiskError if they
cannot promise that. Then nobody may ask again: what a disk says after a failed sync means nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol
from zlib import crc32

import msgspec

# Of a disk: nothing is wrong; what is set aside does not stand whole, or little else is left; or half of that is gone.
Room = Literal["enough", "low", "spent"]


class DiskError(Exception):
    """A disk cannot be opened, read, written or synced. The text says which, what, and why."""


class DamagedError(DiskError):
    """What is on a disk is not what was written there. Whoever wrote it has lost it, and never speaks for it again."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A row of a log as it was read: its number, what it says, and a checksum of both."""

    number: int
    body: bytes
    checksum: int

    @classmethod
    def of(cls, number: int, body: bytes) -> "Row":
        return cls(number, body, checksum_of(str(number), body))

    def is_whole(self) -> bool:
        return self.checksum == checksum_of(str(self.number), self.body)


def checksum_of(name: str, body: bytes) -> int:
    """Against accidents, of what stands on a disk under a name."""
    return crc32(body, crc32(name.encode()))


def sealed(name: str, body: bytes) -> bytes:
    """A fact as it is written: with a checksum in front."""
    return checksum_of(name, body).to_bytes(4, "big") + body


def unsealed(name: str, data: bytes) -> bytes:
    """What was sealed under this name. Raises DamagedError where it is something else by now."""
    if data != sealed(name, data[4:]):
        raise DamagedError(f"the fact {name!r} is not what was written")
    return data[4:]


class Content(msgspec.Struct, frozen=True):
    """All that is on a disk. `rows` are in the order of their numbers."""

    facts: Mapping[str, bytes]
    parts: Mapping[int, bytes]
    rows: tuple[Row, ...]


def believable(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows of a log without a torn last one. Raises DamagedError where something is wrong before that.

    A crash may tear the last row, and nothing proves that it had been synced. A bad row with another behind it is damage:
    the later one was begun when the earlier one had been synced.
    """
    bad = next((i for i, row in enumerate(rows) if not row.is_whole() or row.number != rows[0].number + i), len(rows))
    if bad < len(rows) - 1 or (bad < len(rows) and rows[bad].is_whole()):
        raise DamagedError(f"row {bad + 1} of {len(rows)} in the log is not what was written")
    return tuple(rows[:bad])


class Disk(Protocol):
    """One process's own disk. All methods raise DiskError."""

    @property
    def name(self) -> str:
        """What errors call it."""

    def read(self) -> Content:
        """Everything that is there."""

    def append(self, row: Row) -> None:
        """Put a row behind the others, at the latest when `sync` is called."""

    def sync(self) -> None:
        """Return when everything that was appended will survive a power cut."""

    def checkpoint(self, facts: Mapping[str, bytes], parts: Mapping[int, bytes], first: int) -> None:
        """Put facts and parts in place of those of the same name or number, and drop the rows before number `first`.

        A part without any bytes is taken away.

        All of it happens or nothing does, and it is synced when this returns. So are the rows that were appended before.
        """

    def cut(self, row: Row) -> None:
        """Take the last row away, and keep a copy of it beside."""

    def reserve(self, size: int) -> None:
        """Have so many bytes set aside, or what there is room for: what is written goes there when nothing else is left."""

    def release(self) -> None:
        """Set nothing aside any more: others may have the room."""

    def room(self) -> Room:
        """How much is left."""

    def close(self) -> None:
        """Let go of the disk; what was not synced is lost."""
