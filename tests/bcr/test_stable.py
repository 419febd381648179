"""What a replica finds again on its disk: rows, checkpoints, and what it is after a restart (docs/durability.md)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.chain.configuration import Configuration, Member
from bcr.chain.history import CatchUp, HistoryEntry
from bcr.chain.ledger import Ledger
from bcr.chain.settings import Settings
from bcr.objects.finding import found
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed, SigningKey
from bcr.signed.statements import Checkpoint, Request
from bcr.stable.chain import RESERVED_BYTES, SAID_AT_ONCE, Base, DiskOwner, Stable
from bcr.stable.disk import Content, DamagedError, Row, believable, sealed, unsealed
from bcr.stable.inspection import ReplicaDisk
from bcr.stable.vouched import Disagreement, vouched_state
from bcr.state.buckets import bucket_of

SETTINGS = Settings(t=1, num_clients=1, client_window=3, object_name="store")
STORE = found(SETTINGS.object_name)
OTHER_KEY = SigningKey(b"o" * 32)
STATEMENT = Configuration(0, 1, (Member(b"k", "a"),) * 3, (Member(b"c", "b"),))
CONFIGURATION = encode(Signed.sign(STATEMENT, 0, SigningKey(b"s" * 32)))
SEED = bytes(32)
KEY = SigningKey(SEED)


class MemoryDisk:
    """A disk that keeps everything at once; `unsynced` are the rows that a crash would lose."""

    name = "memory"

    def __init__(self):
        self.facts, self.parts, self.rows, self.unsynced, self.copies = {}, {}, [], [], []
        self.reserved, self.has_synced = 0, True
        self.written = {}  # the parts that the latest checkpoint gave
        self.left = "enough"

    def read(self):
        return Content(dict(self.facts), dict(self.parts), tuple(self.rows))

    def append(self, row):
        self.unsynced.append(row)
        self.has_synced = False

    def sync(self):
        self.rows += self.unsynced
        self.unsynced = []
        self.has_synced = True

    def reserve(self, size):
        self.reserved = size

    def room(self):
        return self.left

    def release(self):
        assert self.has_synced
        self.reserved = 0

    def checkpoint(self, facts, parts, first):
        self.sync()
        self.written = dict(parts)
        self.facts |= facts
        self.parts = {number: body for number, body in (self.parts | parts).items() if body}
        self.rows = [row for row in self.rows if row.number >= first]

    def cut(self, row):
        self.copies.append(row)
        self.rows.remove(row)

    def close(self):
        self.unsynced = []


class Replica:
    """As much of a replica as orders slots and keeps them."""

    def __init__(self, disk):
        self.ledger = Ledger(SETTINGS)
        self.stable = Stable(disk, DiskOwner(0, 1, SEED))
        self.stable.begin(CONFIGURATION, self.ledger.state)
        self.digests = {0: self.ledger.state.digest()}

    def order(self, value):
        slot = self.ledger.next_slot
        key = f"key{slot % 5}"
        operation = STORE.parsed("put", (key, value)) if value else STORE.parsed("delete", (key,))
        requests = (Signed.sign(Request(0, slot, (operation,)), 0, KEY),)
        done = self.ledger.execute(0, slot, requests, None)
        self.ledger.history[slot] = HistoryEntry(slot, requests, (Signed.sign(done.order(), 0, KEY),))
        self.stable.ordered(self.ledger.history[slot], done.result())
        self.digests[slot + 1] = self.ledger.state.digest()

    def sign_checkpoint(self):
        slot = self.ledger.next_slot - 1
        self.stable.signed_checkpoint(slot, self.ledger.state)
        return Checkpoint(0, slot, self.ledger.state.digest())

    def complete(self, checkpoint):
        proof = (Signed.sign(checkpoint, 0, KEY),)
        self.ledger.cut(checkpoint.slot, proof)
        self.stable.completed_checkpoint(checkpoint, proof)


def resumed(disk, configuration=CONFIGURATION):
    ledger = Ledger(SETTINGS)
    stable = Stable(disk, DiskOwner(0, 1, bytes(31) + b"x"))
    assert stable.has_restarted
    stable.resume(ledger, configuration)
    return ledger


def test_the_log_is_cut_at_a_checkpoint_however_many_later_ones_are_under_way():
    disk = MemoryDisk()
    replica = Replica(disk)
    signed = []
    for number in range(9):
        replica.order(f'"value {number}"')
        replica.stable.sync()
        signed.append(replica.sign_checkpoint())
    replica.complete(signed[0])
    assert [row.number for row in disk.rows] == list(range(1, 9))
    assert sorted(resumed(disk).history) == list(range(1, 9))


def test_how_often_a_replica_has_begun_again_is_on_its_disk_before_it_says_anything():
    disk = MemoryDisk()
    said = [Replica(disk).stable.said_before]
    for returns in range(1, 4):
        stable = Stable(disk, DiskOwner(0, 1, bytes(32)))
        assert decode(int, unsealed("returns", disk.read().facts["returns"])) == stable.returns == returns
        said.append(stable.said_before)
    assert said == [0, SAID_AT_ONCE, 2 * SAID_AT_ONCE, 3 * SAID_AT_ONCE]


def catch_up(replica, attempt=1):
    """Olympus's word on a slot that the replica lacks."""
    slot = replica.ledger.next_slot
    requests = (Signed.sign(Request(0, slot, (STORE.parsed("put", ("late", '"value"')),)), 0, KEY),)
    return Signed.sign(CatchUp(0, attempt, 1, (HistoryEntry(slot, requests, ()),)), 0, KEY)


def test_what_a_replica_was_caught_up_with_is_synced_and_counts_for_nothing_when_it_begins_again():
    disk = MemoryDisk()
    replica = Replica(disk)
    replica.order('"value"')
    replica.stable.wedged(replica.ledger)
    replica.stable.sync()
    command = catch_up(replica)
    replica.stable.catches_up(command)
    assert replica.stable.is_dirty  # so nothing leaves before it is synced
    replica.stable.sync()
    assert ReplicaDisk.read(disk.read(), "memory").caught_up == command
    assert (resumed(disk).next_slot, sorted(resumed(disk).history)) == (1, [0])


def test_where_little_room_is_left_what_a_replica_is_caught_up_with_is_not_kept():
    disk = MemoryDisk()
    replica = Replica(disk)
    disk.left = "low"
    replica.stable.catches_up(catch_up(replica))
    assert not replica.stable.is_dirty


def disks_of(*slots, caught_up=()):
    """The contents and what they say of disks with so many slots each, of which these positions were caught up with one more."""
    contents = {}
    for place, count in enumerate(slots):
        disk = MemoryDisk()
        replica = Replica(disk)
        for number in range(count):
            replica.order(f'"value {number}"')
        if place in caught_up:
            replica.stable.catches_up(catch_up(replica))
        replica.stable.sync()
        contents[f"disk {place}"] = disk.read()
    return contents, {name: ReplicaDisk.read(content, name) for name, content in contents.items()}


def test_disks_of_which_none_was_caught_up_with_anything_have_no_other_state_than_their_histories():
    assert vouched_state(SETTINGS, *disks_of(2, 3), 2) is None


def test_of_what_one_replica_was_caught_up_with_as_many_as_make_a_quorum_come_to_one_state():
    contents, disks = disks_of(1, 2, caught_up=[1])
    state = vouched_state(SETTINGS, contents, disks, 2)
    ledger = Ledger(SETTINGS)
    ledger.begin(state)
    assert ledger.state.dictionary.keys() >= {"key0", "key1", "late"}
    with pytest.raises(Disagreement, match="no 3 come to the same state behind slot 2"):
        vouched_state(SETTINGS, contents, disks, 3)


def test_disks_that_contradict_each_other_come_to_no_state():
    with pytest.raises(Disagreement, match="slot 1 holds other requests on one disk than on another"):
        vouched_state(SETTINGS, *disks_of(1, 2, caught_up=[0]), 2)


def test_what_is_set_aside_grows_with_the_state_and_is_there_for_others_when_that_it_is_wedged_is_synced():
    disk = MemoryDisk()
    replica = Replica(disk)
    assert disk.reserved == RESERVED_BYTES + 2 * sum(map(len, disk.parts.values()))
    before = disk.reserved
    replica.order('"value"')
    replica.complete(replica.sign_checkpoint())
    assert disk.reserved == RESERVED_BYTES + 2 * sum(map(len, disk.parts.values())) > before
    replica.order('"another"')
    replica.stable.sync()
    assert disk.reserved > before
    replica.stable.wedged(replica.ledger)
    assert disk.reserved > 0
    replica.stable.sync()
    assert disk.reserved == 0


STEPS = st.lists(st.sampled_from(("order", "order", "sync", "sign", "complete", "crash")), max_size=40)


@given(STEPS, st.booleans())
def test_after_a_restart_a_replica_is_where_its_last_sync_left_it(steps, ends_with_sync):
    disk = MemoryDisk()
    replica = Replica(disk)
    signed, synced = [], 0
    for number, step in enumerate([*steps, *(["sync"] if ends_with_sync else [])]):
        if step == "order":
            replica.order("" if number % 3 == 0 else f'"value {number}"')
        elif step == "sync":
            replica.stable.sync()
            synced = replica.ledger.next_slot
        elif step == "sign" and replica.ledger.next_slot:
            signed.append(replica.sign_checkpoint())
        elif step == "complete" and signed and signed[-1].slot in replica.ledger.history:
            replica.complete(signed[-1])
            synced = replica.ledger.next_slot  # what waited goes with it
    disk.close()
    again = resumed(disk)
    assert again.next_slot == synced
    assert again.state.digest() == replica.digests[synced]
    assert again.checkpoint_proof == replica.ledger.checkpoint_proof
    kept = {slot: entry for slot, entry in replica.ledger.history.items() if slot < synced}
    assert again.history == kept


def test_the_key_is_that_of_the_log_and_not_the_new_one():
    disk = MemoryDisk()
    Replica(disk)
    assert Stable(disk, DiskOwner(0, 1, b"another seed".ljust(32))).identity.seed == SEED


def test_the_disk_of_another_replica_is_refused_by_name():
    disk = MemoryDisk()
    Replica(disk)
    with pytest.raises(DamagedError, match="that of replica 1 of configuration 0"):
        Stable(disk, DiskOwner(0, 2, SEED))


def test_another_configuration_of_the_same_number_is_refused():
    disk = MemoryDisk()
    Replica(disk)
    with pytest.raises(DamagedError, match="another configuration 0"):
        resumed(disk, encode(Signed.sign(msgspec.structs.replace(STATEMENT, t=2), 0, OTHER_KEY)))


def test_the_same_configuration_signed_by_an_olympus_that_lost_its_key_will_do():
    disk = MemoryDisk()
    Replica(disk)
    assert resumed(disk, encode(Signed.sign(STATEMENT, 0, OTHER_KEY))).next_slot == 0


def test_a_replica_that_had_not_begun_has_its_key_and_no_log():
    disk = MemoryDisk()
    Stable(disk, DiskOwner(0, 1, SEED))
    again = Stable(disk, DiskOwner(0, 1, bytes(32)))
    assert (again.has_restarted, again.has_begun) == (True, False)


def test_a_result_that_differs_from_the_one_on_the_disk_stops_the_replica(monkeypatch):
    disk = MemoryDisk()
    replica = Replica(disk)
    replica.order('"value"')
    replica.stable.sync()
    stock = Ledger.execute

    def execute(self, *arguments):
        done = stock(self, *arguments)
        return msgspec.structs.replace(done, outcomes=(msgspec.structs.replace(done.outcomes[0], results=("other",)),))

    monkeypatch.setattr(Ledger, "execute", execute)
    with pytest.raises(DamagedError, match="slot 0 .* another result"):
        resumed(disk)


def test_what_was_told_when_wedged_is_told_again_from_the_same_slot():
    disk = MemoryDisk()
    replica = Replica(disk)
    for _ in range(4):
        replica.order('"value"')
    # The checkpoint is complete, and this replica has not signed it: its log goes further back than its history.
    replica.complete(Checkpoint(0, 1, b"a state"))
    replica.stable.wedged(replica.ledger)
    replica.stable.sync()
    again = resumed(disk)
    assert again.entries() == replica.ledger.entries()
    assert again.checkpoint_proof == replica.ledger.checkpoint_proof


def test_a_checkpoint_of_another_state_than_its_own_does_not_cut_the_log():
    disk = MemoryDisk()
    replica = Replica(disk)
    replica.order('"value"')
    checkpoint = replica.sign_checkpoint()
    replica.stable.sync()
    replica.stable.completed_checkpoint(msgspec.structs.replace(checkpoint, state_digest=b"other"), ())
    assert resumed(disk).next_slot == 1
    assert disk.rows


@given(st.integers(1, 6), st.data())
def test_a_torn_last_row_is_cut_and_a_bad_row_before_it_is_damage(count, data):
    rows = [Row.of(7 + i, b"what it says %d" % i) for i in range(count)]
    bad = data.draw(st.integers(0, count - 1))
    rows[bad] = msgspec.structs.replace(rows[bad], body=rows[bad].body[:3])
    if bad == count - 1:
        assert believable(rows) == tuple(rows[:-1])
    else:
        with pytest.raises(DamagedError, match=f"row {bad + 1} of {count}"):
            believable(rows)


def test_a_missing_row_is_damage():
    with pytest.raises(DamagedError):
        believable([Row.of(0, b"a"), Row.of(2, b"c")])


def test_a_torn_row_is_cut_with_a_copy_kept():
    disk = MemoryDisk()
    replica = Replica(disk)
    for _ in range(2):
        replica.order('"value"')
        replica.stable.sync()
    disk.rows[-1] = msgspec.structs.replace(disk.rows[-1], body=b"torn")
    assert resumed(disk).next_slot == 1
    assert [row.body for row in disk.copies] == [b"torn"]


@given(st.binary(min_size=1), st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_in_a_fact_is_noticed(body, place, bit):
    data = sealed("identity", body)
    place %= len(data)
    flipped = data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1 :]
    assert unsealed("identity", data) == body
    with pytest.raises(DamagedError, match="identity"):
        unsealed("identity", flipped)
    with pytest.raises(DamagedError):
        unsealed("base", data)


def test_a_flipped_bit_in_the_state_is_noticed():
    disk = MemoryDisk()
    replica = Replica(disk)
    replica.order('"value"')
    replica.complete(replica.sign_checkpoint())
    [(index, body)] = disk.parts.items()
    disk.parts[index] = body.replace(b"value", b"valuf")
    with pytest.raises(DamagedError, match="the state on memory"):
        resumed(disk)


def test_facts_that_say_nothing_are_damage():
    disk = MemoryDisk()
    Replica(disk)
    disk.facts["identity"] = sealed("identity", encode("nobody"))
    with pytest.raises(DamagedError, match="not what was written"):
        resumed(disk)


@pytest.mark.parametrize("what", ["parts", "base"])
def test_a_disk_that_gives_back_another_state_than_was_written_is_not_begun_on(what):
    class Forgetful(MemoryDisk):
        def read(self):
            content = super().read()
            if not content.facts:
                return content
            if what == "parts":
                return msgspec.structs.replace(content, parts={3: encode({"key": ["0.0.0", "1"]})})
            other = sealed("base", encode(Base(1, b"another state", (), b"")))
            return msgspec.structs.replace(content, facts={**content.facts, "base": other})

    with pytest.raises(DamagedError, match="gives back another state than was written"):
        Replica(Forgetful())


def test_a_log_that_goes_on_behind_a_slot_that_it_lacks_is_damage():
    disk = MemoryDisk()
    replica = Replica(disk)
    for value in ("1", "2"):
        replica.order(value)
        replica.stable.sync()
    [_, second] = disk.rows
    disk.rows = [Row.of(0, second.body)]
    with pytest.raises(DamagedError, match="lacks slot 0"):
        resumed(disk)


def test_what_waited_for_the_disk_goes_there_with_a_checkpoint():
    disk = MemoryDisk()
    replica = Replica(disk)
    replica.order("1")
    checkpoint = replica.sign_checkpoint()
    replica.order("2")
    replica.complete(checkpoint)
    disk.close()  # without a sync
    assert resumed(disk).next_slot == 2
    assert not replica.stable.is_dirty


def test_rows_behind_a_restart_are_numbered_on():
    disk = MemoryDisk()
    replica = Replica(disk)
    replica.order("1")
    replica.stable.sync()
    for _ in range(2):
        ledger = Ledger(SETTINGS)
        stable = Stable(disk, DiskOwner(0, 1, SEED))
        stable.resume(ledger, CONFIGURATION)
        stable.wedged(ledger)
        stable.sync()
    assert [row.number for row in disk.rows] == [0, 1, 2]
    assert resumed(disk).next_slot == 1


def test_where_nothing_waits_a_sync_writes_nothing():
    disk = MemoryDisk()
    replica = Replica(disk)
    replica.stable.sync()
    replica.order("1")
    for _ in range(2):
        replica.stable.sync()
    assert [row.number for row in disk.rows] == [0]


def test_beside_twice_the_state_16_mib_are_set_aside():
    assert RESERVED_BYTES == 16_777_216


def test_a_log_without_any_rows_begins_with_row_0_also_after_a_restart():
    disk = MemoryDisk()
    Replica(disk)
    again = Stable(disk, DiskOwner(0, 1, SEED))
    again.wedged(Ledger(SETTINGS))
    again.sync()
    assert [row.number for row in disk.rows] == [0]


def test_a_checkpoint_is_completed_once_and_none_before_it_afterwards():
    disk = MemoryDisk()
    replica = Replica(disk)
    signed = []
    for value in "123":
        replica.order(value)
        replica.stable.sync()
        signed.append(replica.sign_checkpoint())
    replica.complete(signed[1])
    facts = dict(disk.facts)
    for late in (signed[1], signed[0]):
        replica.stable.completed_checkpoint(late, ())
        assert disk.facts == facts
    assert resumed(disk).next_slot == 3


def test_a_row_stays_until_all_of_its_slots_are_behind_a_checkpoint_and_is_forgotten_then():
    disk = MemoryDisk()
    replica = Replica(disk)
    signed = []
    for value in "1234":
        replica.order(value)
        signed.append(replica.sign_checkpoint())
    replica.stable.sync()  # one row of four slots
    for checkpoint in signed[:3]:
        replica.complete(checkpoint)
        assert resumed(disk).next_slot == 4
    replica.complete(signed[3])
    assert (disk.rows, replica.stable._last_slots) == ([], {})


def test_a_checkpoint_writes_the_buckets_that_have_changed_and_no_others():
    disk = MemoryDisk()
    replica = Replica(disk)
    for value in "12":  # under key0, and then under key1
        replica.order(value)
        replica.complete(replica.sign_checkpoint())
    assert set(disk.written) == {bucket_of("key1")} < set(disk.parts)
