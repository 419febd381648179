"""The chains of entries that servers hold at the end of a run, for somebody who was not there (specification, 14.2, 16.2)."""

from collections.abc import Iterator, Sequence

import msgspec

from bcr.raft.log import Entry, Position

SHOWN = 8  # hexadecimal digits of a digest


class KeptLog(msgspec.Struct, frozen=True, array_like=True):
    """What one server holds: entries behind `base`, of which those up to `applied` are executed."""

    position: int
    base: Position
    entries: tuple[Entry, ...]
    applied: int

    @property
    def last_index(self) -> int:
        return self.base.index + len(self.entries)

    def digest_at(self, index: int) -> bytes | None:
        """The digest of the entry at an index, made anew from what it holds; None where there is none."""
        if index == self.base.index:
            return self.base.digest
        return self.entries[index - self.base.index - 1].digest if self.base.index < index <= self.last_index else None


def shown(digest: bytes) -> str:
    """As much of a digest as anybody reads."""
    return digest.hex()[:SHOWN]


def breaks(log: KeptLog) -> Iterator[str]:
    """Where a log is no chain: an entry that does not hold the digest of the one before it."""
    before = log.base.digest
    for index, entry in enumerate(log.entries, start=log.base.index + 1):
        if entry.previous != before:
            yield f"server {log.position}, entry {index}: names {shown(entry.previous)} as the one before it, which is {shown(before)}"
        before = entry.digest


def differences(logs: Sequence[KeptLog]) -> Iterator[str]:
    """Where two servers have executed different entries at one index: the first such place of each pair."""
    for number, one in enumerate(logs):
        for other in logs[number + 1 :]:
            first = max(one.base.index, other.base.index, 1)
            for index in range(first, min(one.applied, other.applied) + 1):
                mine, theirs = one.digest_at(index), other.digest_at(index)
                if mine is not None and theirs is not None and mine != theirs:
                    yield f"servers {one.position} and {other.position}, entry {index}: {shown(mine)} against {shown(theirs)}"
                    break
