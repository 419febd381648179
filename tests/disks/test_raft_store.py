"""The store of a server of Raft on a disk (specification, 14.8): what was synced is found again, whatever the rest."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.braft.promises import Certificate, Prepare, StateAt
from bcr.braft.standing import Standing, backed, standing_of
from bcr.braft.term_log import TermLog
from bcr.raft.disk_store import PART_BYTES, DiskStore, demand_server, facts_of_server, seed_on
from bcr.raft.log import BEGINNING, Entry, Position
from bcr.raft.persistent import MemoryStore
from bcr.raft.stored_log import StoredLog
from bcr.signed.encoding import encode
from bcr.signed.statements import Request
from bcr.stable.chain import RESERVED_BYTES
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


def test_a_snapshot_in_which_a_bit_is_another_is_damage():
    disk = sim_disk()
    both = Both(disk)
    both.append(3)
    both.snapshot(PART_BYTES + 100)
    disk._parts[1] = b"\1" + disk._parts[1][1:]
    with pytest.raises(DamagedError, match="another snapshot than was written"):
        DiskStore(disk, 1)


def test_a_log_that_ends_before_its_snapshot_goes_on_behind_that():
    """As a disk leaves it that has lost entries which were synced."""
    disk = sim_disk()
    store = DiskStore(disk, 1)
    last = Position(6, 1, bytes(32))
    store.save_snapshot(last, b"state", BEGINNING, (Entry(BEGINNING.digest, 1, ()),), ())
    store.sync()
    log = StoredLog(DiskStore(disk, 1))
    assert (log.base, log.last, log.snapshot) == (last, last, b"state")
    log.append(2, (request(0),))
    log._store.sync()
    again = StoredLog(DiskStore(disk, 1))
    assert (again.base, again.last_index, again.entry(7).term) == (last, 7, 2)


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


def test_entries_in_place_of_what_a_snapshot_has_replaced_are_damage():
    disk = sim_disk()
    both = Both(disk)
    both.append(5)
    both.snapshot(1)
    base = both.logs[0].base
    assert base.index == 3
    both.stores[0].save_entries(base.index, (Entry(bytes(32), 1, ()),))
    both.stores[0].sync()
    with pytest.raises(DamagedError, match="no entry before index 3"):
        DiskStore(disk, 1)


def test_what_a_power_cut_left_of_a_row_is_cut_and_what_comes_behind_it_is_found():
    disk = sim_disk()
    store = DiskStore(disk, 1)
    for term in (1, 2):
        store.save_vote(term, 0)
        store.sync()
    assert disk.tear()
    again = DiskStore(disk, 1)
    assert (again.load().term, disk.cuts) == (1, 1)
    assert len(disk.read().rows) == 1
    for term in (3, 4):
        again.save_vote(term, 2)
        again.sync()
    assert (DiskStore(disk, 1).load().term, DiskStore(disk, 1).load().voted_for) == (4, 2)


def test_what_is_being_synced_is_not_there_to_stay_until_that_has_returned():
    disk = sim_disk()
    store = DiskStore(disk, 1)
    seen = []
    disk.in_sync = lambda is_done: seen.append((is_done, store.is_dirty))
    store.save_vote(1, 0)
    store.sync()
    assert seen == [(False, True), (True, True)]
    assert not store.is_dirty


def test_nothing_is_written_where_nothing_was_told():
    disk = sim_disk()
    store = DiskStore(disk, 1)
    store.save_vote(1, 0)
    store.sync()
    before = disk.read().rows, disk.syncs
    store.sync()
    assert (disk.read().rows, disk.syncs) == before


class _Reserving(SimDisk):
    """A disk that notes how much was to be set aside."""

    def __init__(self):
        super().__init__("disk", random.Random(0), lambda ns: None)
        self.reserved = []

    def reserve(self, size):
        self.reserved.append(size)


def test_room_is_set_aside_when_the_store_is_opened_and_grows_with_the_snapshot():
    disk = _Reserving()
    store = DiskStore(disk, 1)
    assert disk.reserved == [RESERVED_BYTES]
    store.save_vote(1, None)
    store.save_snapshot(Position(1, 1, bytes(32)), bytes(3 * PART_BYTES), Position(1, 1, bytes(32)), (), ())
    assert disk.reserved == [RESERVED_BYTES, RESERVED_BYTES + 2 * 3 * PART_BYTES]
    DiskStore(disk, 1)
    assert disk.reserved[2:] == disk.reserved[1:2]


def test_the_store_knows_how_much_is_left():
    disk = sim_disk()
    store = DiskStore(disk, 1)
    before = store.room()
    disk.fill()
    assert (before, store.room(), MemoryStore().room()) == ("enough", "low", "enough")


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


# -- what a server among liars must remember besides


def test_a_server_that_signs_finds_its_key_on_its_disk():
    disk = sim_disk()
    disk.checkpoint(facts_of_server(1, b"seed"), {}, 0)
    demand_server(disk.read(), 1, "disk")
    assert seed_on(disk.read(), "disk") == b"seed"


def test_a_disk_without_a_key_is_damage_to_who_signs():
    disk = sim_disk()
    DiskStore(disk, 1)  # of a server that signs nothing
    with pytest.raises(DamagedError, match="disk has no key"):
        seed_on(disk.read(), "disk")


def standing(term, index=0, digest=bytes(32)):
    """One of that term, with the certificate of a state behind that index."""
    certificate = Certificate(StateAt(Position(index, term, digest), digest), ((0, bytes(64)),)) if index else None
    prepared = Certificate(Prepare(term, index + 1, digest), ((1, bytes(64)), (2, bytes(64))))
    return Standing(term, term % 2 == 0, prepared, None, certificate)


def test_a_server_among_liars_finds_its_term_and_its_certificates_again():
    disk = sim_disk()
    store = DiskStore(disk, 1)
    assert standing_of(store.load()) == Standing()
    log = StoredLog(store)
    log.append(1, (request(0),))
    for term in (3, 4, 5):
        store.save_standing(standing(term))
    store.sync()
    assert standing_of(DiskStore(disk, 1).load()) == standing(5)
    store.save_standing(standing(6, 1))
    log.replace(1, b"state", 0)
    found = DiskStore(disk, 1)
    assert standing_of(found.load()) == standing(6, 1)
    StoredLog(found).install(Position(9, 6, bytes([9]) * 32), b"later")  # it has not changed since, and stays
    assert standing_of(DiskStore(disk, 1).load()) == standing(6, 1)


def test_what_changes_of_it_is_written_and_no_more():
    disk = sim_disk()
    store = DiskStore(disk, 1)
    first = standing(4, 3)
    store.save_standing(first)
    store.sync()
    store.save_standing(msgspec.structs.replace(first, term=5, is_started=False))
    store.sync()
    sizes = [len(row.body) for row in disk.read().rows]
    assert sizes[1] < 60 < sizes[0]
    assert standing_of(DiskStore(disk, 1).load()) == msgspec.structs.replace(first, term=5, is_started=False)


@pytest.mark.parametrize("ahead", [0, 5])
def test_a_row_that_comes_to_the_disk_without_its_snapshot_says_nothing(ahead):
    """The power fails between the two, and the row is there: term and log are those of the snapshot that is there."""
    disk = sim_disk()
    store = DiskStore(disk, 1)
    log = StoredLog(store)
    log.append(1, (request(0),))
    store.save_standing(standing(3))
    store.sync()
    store.save_standing(standing(4, 1 + ahead))
    disk.is_broken = True
    with pytest.raises(DiskError):
        if ahead:
            log.install(Position(1 + ahead, 4, bytes(32)), b"state")
        else:
            log.replace(1, b"state", 0)
    disk.is_broken = False
    disk._rows |= {row.number: row for row in disk._unsynced_rows}
    disk.crash("process")
    again = DiskStore(disk, 1)
    found = again.load()
    assert (standing_of(found), found.snapshot_at, len(found.entries)) == (standing(3), BEGINNING, 1)
    again.save_standing(standing(7))
    again.sync()
    assert standing_of(DiskStore(disk, 1).load()) == standing(7)


def test_a_certificate_of_which_the_log_shows_nothing_is_forgotten():
    store = MemoryStore()
    log = TermLog(store)
    log.append(1, (request(0),))
    shown = Standing(2, True, Certificate(Prepare(1, 1, log.last.digest), ()))
    other = Standing(2, True, Certificate(Prepare(1, 2, log.last.digest), ()))
    assert backed(shown, log) == shown
    assert backed(other, log) == Standing(2, True)
