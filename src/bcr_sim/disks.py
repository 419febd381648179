"""Simulated disks: what is not synced is lost or torn by a crash, and they fill, slow down and flip bits.

A disk belongs to a replica's place in one configuration, and outlives its process. It goes wrong in no other way than the
interface of bcr.stable.disk allows for.
"""

import random
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from bcr.stable.disk import Content, DiskError, Room, Row

CrashKind = Literal["process", "power"]
RESERVED_BYTES = 16 << 10  # of a disk that is full


class SimDisk:
    """`sleep_ns` lets the process that syncs stand still. What has been synced survives whatever `crash` does.

    `in_sync` is called in each sync, before anything of it is on the disk and when all of it is.
    """

    def __init__(self, name: str, chance: random.Random, sleep_ns: Callable[[int], None]) -> None:
        self.name = name
        self.sync_ns = 0
        self.is_broken = False
        self._most_bytes: int | None = None  # where it is full
        self.is_spoiled = False  # something that was synced is not there any more as it was
        self.syncs = 0
        self.cuts = 0
        self.in_sync: Callable[[bool], None] = lambda is_done: None  # somebody who lets the process end there
        self._chance = chance
        self._sleep_ns = sleep_ns
        self._facts: dict[str, bytes] = {}
        self._parts: dict[int, bytes] = {}
        self._rows: dict[int, Row] = {}
        self._unsynced_rows: list[Row] = []  # written
        self._content: Content | None = None  # as it was last read, while nothing has changed

    # -- what a process asks for

    def read(self) -> Content:
        """The same object for as long as nothing has changed."""
        if self._content is None:
            rows = tuple(self._rows[number] for number in sorted(self._rows))
            self._content = Content(dict(self._facts), dict(self._parts), rows)
        return self._content

    def append(self, row: Row) -> None:
        self._unsynced_rows.append(row)
        self._demand_room()

    def sync(self) -> None:
        self._take_its_time()
        self._take_unsynced()
        self.in_sync(True)

    def checkpoint(self, facts: Mapping[str, bytes], parts: Mapping[int, bytes], first: int) -> None:
        self._take_its_time()
        self._take_unsynced()
        self._facts |= facts
        self._parts |= parts
        self._parts = {number: body for number, body in self._parts.items() if body}
        self._rows = {number: row for number, row in self._rows.items() if number >= first}
        self.in_sync(True)

    def _take_unsynced(self) -> None:
        self._content = None
        self._rows |= {row.number: row for row in self._unsynced_rows}
        self._unsynced_rows.clear()

    def cut(self, row: Row) -> None:
        self.cuts += 1
        self._content = None
        del self._rows[row.number]

    def close(self) -> None:
        self._unsynced_rows.clear()

    def reserve(self, size: int) -> None:
        pass  # there is always as much set aside, and more only before it is full

    def release(self) -> None:
        pass

    def room(self) -> Room:
        if self._most_bytes is None:
            return "enough"
        return "low" if self._most_bytes - self._bytes() >= RESERVED_BYTES // 2 else "spent"

    def _bytes(self) -> int:
        rows = sum(len(row.body) for row in (*self._rows.values(), *self._unsynced_rows))
        return rows + sum(map(len, self._facts.values())) + sum(map(len, self._parts.values()))

    def _demand_room(self) -> None:
        if self.is_broken:
            raise DiskError(f"{self.name} cannot be written")
        if self._most_bytes is not None and self._bytes() > self._most_bytes:
            raise DiskError(f"{self.name} cannot be written: no space left")

    def _take_its_time(self) -> None:
        self._demand_room()
        self.syncs += 1
        self.in_sync(False)
        if self.sync_ns:
            self._sleep_ns(self.sync_ns)
            self._demand_room()

    # -- what becomes of it

    def crash(self, kind: CrashKind) -> None:
        """The process is gone, or the power: of what was not synced all is lost, or with the power some is there, or torn."""
        written, self._unsynced_rows = self._unsynced_rows, []
        if kind == "process" or not written:
            return
        fate = self._chance.random()
        if fate < 0.4:
            return
        row = written[0]
        self._content = None
        self._rows[row.number] = row if fate < 0.6 else _torn_row(row, self._chance)

    def fill(self) -> None:
        """From now on there is no more than what was set aside."""
        self._most_bytes = self._bytes() + RESERVED_BYTES

    def tear(self) -> bool:
        """Spoil the last row; whether there is one."""
        if not self._rows:
            return False
        self.is_spoiled = True
        self._content = None
        last = max(self._rows)
        self._rows[last] = _torn_row(self._rows[last], self._chance)
        return True

    def flip(self) -> bool:
        """Turn a bit of something that is there; whether there is something."""
        places: list[tuple[str, str | int]] = [("fact", name) for name in self._facts]
        places += [("row", number) for number in self._rows]
        places += [("part", number) for number in self._parts]
        if not places:
            return False
        self.is_spoiled = True
        self._content = None
        kind, key = places[int(self._chance.random() * len(places))]
        if kind == "row":
            row = self._rows[int(key)]
            self._rows[int(key)] = msgspec.structs.replace(row, body=self._flipped_bytes(row.body))
        elif kind == "fact":
            self._facts[str(key)] = self._flipped_bytes(self._facts[str(key)])
        else:
            self._parts[int(key)] = self._flipped_bytes(self._parts[int(key)])
        return True

    def _flipped_bytes(self, data: bytes) -> bytes:
        place = int(self._chance.random() * len(data))
        return data[:place] + bytes((data[place] ^ 1 << int(self._chance.random() * 8),)) + data[place + 1 :]


def _torn_row(row: Row, chance: random.Random) -> Row:
    """The row with zeros from some byte on, as of sectors that never reached the disk."""
    kept_bytes = int(chance.random() * len(row.body))
    torn_body = row.body[:kept_bytes] + bytes(len(row.body) - kept_bytes)
    return msgspec.structs.replace(row, body=torn_body, checksum=row.checksum if torn_body != row.body else row.checksum ^ 1)
