"""The store of a server of Raft on a disk (specification, 14.8): what was synced is found again, whatever the rest."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.raft.disk_store import PART_BYTES, DiskStore
from bcr.raft.log import BEGINNING, Entry, Position
from bcr.raft.persistent import MemoryStore
from bcr.raft.stored_log import StoredLog
from bcr.signed.encoding import encode
from bcr.signed.statements import Request
from bcr.stable.disk import DamagedError, DiskError, Row
from bcr_disk.sqlite import SqliteDisk
from bcr_sim.disks import SimDisk


def sim_disk(seed=0):
    return SimDisk("disk", random.Random(seed), lambda ns: None)


def request(number):
    return Request(0, number, (("put", "k", str(number)),))


class Both:
    """A log on a disk and in memory at once, told the same."""

    def __init__(self, disk):
        self.stores = DiskStore(disk, 1), MemoryStore()
        self.logs = [StoredLog(store) for store in self.stores]
        self.term = 0

    def vote(self, chosen):
        self.term += 1
        for store in self.stores:
            store.save_vote(self.term, chosen)

    def append(self, count):
        for log in self.logs:
            for number in range(count):
                log.append(self.term, (request(number),))

    def overwrite(self, kept):
        """Another leader's entry takes the place of all behind the first `kept` that are there."""
        [place, other] = [log.at(min(log.base.index + kept, log.last_index)) for log in self.logs]
        assert place == other
        self.term += 1
        for log in self.logs:
            log.take(place.index, (Entry(place.digest, self.term, (request(99),)),))

    def snapshot(self, size):
        if self.logs[0].last_index > self.logs[0].snapshot_at.index:
            for log in self.logs:
                log.replace(log.last_index, bytes(size), 2)

    def install(self, ahead):
        last = Position(self.logs[0].last_index + ahead, self.term, bytes([ahead]) * 32)
        for log in self.logs:
            log.install(last, b"state")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("vote"), st.sampled_from((None, 0, 1, 2))),
        st.tuples(st.just("append"), st.integers(1, 3)),
        st.tuples(st.just("overwrite"), st.integers(0, 3)),
        st.tuples(st.just("snapshot"), st.sampled_from((1, PART_BYTES, 2 * PART_BYTES + 1))),
        st.tuples(st.just("install"), st.integers(1, 3)),
        st.tuples(st.just("sync"), st.none()),
    ),
    max_size=25,
)


@given(STEPS, st.integers(0, 50), st.sampled_from(("process", "power")))
def test_a_server_that_comes_back_finds_what_it_had_synced(steps, seed, kind):
    disk = sim_disk(seed)
    both = Both(disk)
    synced = both.stores[1].load()
    for name, argument in steps:
        if name == "sync":
            both.stores[0].sync()
        else:
            getattr(both, name)(argument)
        if not both.stores[0].is_dirty:
            synced = both.stores[1].load()
    newest = both.stores[1].load()
    disk.crash(kind)
    found = DiskStore(disk, 1).load()
    # With the power some of what was not synced may be there all the same, and all of one row or nothing is.
    assert encode(found) == encode(synced) or (kind == "power" and encode(found) == encode(newest))


@given(STEPS)
def test_what_is_on_the_disk_after_a_sync_is_all_that_it_was_told(steps):
    disk = sim_disk()
    both = Both(disk)
    for name, argument in steps:
        if name != "sync":
            getattr(both, name)(argument)
    both.stores[0].sync()
    assert not both.stores[0].is_dirty
    assert encode(DiskStore(disk, 1).load()) == encode(both.stores[1].load())


def test_a_store_of_another_server_is_refused():
    disk = sim_disk()
    DiskStore(disk, 1)
    with pytest.raises(DamagedError, match="not that of server 2"):
        DiskStore(disk, 2)


def test_a_snapshot_of_another_length_is_damage():
    disk = sim_disk()
    both = Both(disk)
    both.append(3)
    both.snapshot(100)
    disk._parts[0] = disk._parts[0][:-1]
    with pytest.raises(DamagedError, match="99 bytes of a snapshot of 100"):
        DiskStore(disk, 1)


def test_entries_behind_a_gap_are_damage():
    disk = sim_disk()
    store = DiskStore(disk, 1)
    store.save_entries(5, (Entry(BEGINNING.digest, 1, ()),))
    store.sync()
    with pytest.raises(DamagedError, match="no entry before index 5"):
        DiskStore(disk, 1)


def test_a_row_that_is_whole_and_makes_no_sense_is_damage():
    disk = sim_disk()
    DiskStore(disk, 1)
    disk.append(Row.of(0, b"\xc1"))
    disk.sync()
    with pytest.raises(DamagedError, match="what nobody wrote"):
        DiskStore(disk, 1)


def test_a_disk_that_takes_nothing_is_told_at_the_sync():
    disk = sim_disk()
    store = DiskStore(disk, 1)
    disk.is_broken = True
    store.save_vote(1, 1)
    with pytest.raises(DiskError, match="cannot be written"):
        store.sync()


def test_the_store_survives_in_a_sqlite_file(tmp_path):
    path = tmp_path / "server.sqlite"
    disk = SqliteDisk(path, "replica_1")
    both = Both(disk)
    both.vote(2)
    both.append(5)
    both.snapshot(PART_BYTES + 1)
    both.append(2)
    both.stores[0].sync()
    both.append(1)
    disk.close()
    again = DiskStore(SqliteDisk(path, "replica_1"), 1)
    assert encode(again.load().entries) == encode(both.stores[1].load().entries[:-1])
    assert (again.load().term, again.load().voted_for) == (1, 2)
