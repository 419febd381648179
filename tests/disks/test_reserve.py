"""Room that is set aside, and given back where nothing else is left (specification, 13.10)."""

import pytest

from bcr.chain.settings import Settings
from bcr.stable.disk import DiskError, Row
from bcr_disk import reserve
from bcr_disk.reserve import MARGIN_BYTES, MARK_BYTES, Reserve
from bcr_disk.sqlite import SqliteDisk
from bcr_runtime import data_folder
from bcr_runtime.data_folder import demand_room

MIB = 1 << 20


class Machine:
    """A file system of a size, with what others have written to it and what is set aside."""

    def __init__(self, monkeypatch, path, size):
        self.path, self.size, self.others = path, size, 0
        monkeypatch.setattr(reserve, "free_bytes", lambda folder: self.free())

    def free(self):
        return max(0, self.size - self.others - self.set_aside())

    def set_aside(self):
        return self.path.stat().st_size if self.path.exists() else 0


@pytest.fixture
def machine(monkeypatch, tmp_path):
    return Machine(monkeypatch, tmp_path / "a.reserve", 200 * MIB)


def test_room_is_enough_until_others_leave_less_than_the_mark(machine):
    ours = Reserve(machine.path)
    ours.take(32 * MIB)
    assert (machine.set_aside(), ours.room()) == (32 * MIB, "enough")
    machine.others = machine.size - 32 * MIB - MARK_BYTES + 1
    assert ours.room() == "low"
    machine.others = 0
    assert ours.room() == "enough"


def test_what_is_set_aside_is_given_back_only_as_it_is_needed_and_taken_again_when_there_is_room(machine):
    ours = Reserve(machine.path)
    ours.take(32 * MIB)
    machine.others = machine.size - 32 * MIB
    ours.make_room(2 * MIB)
    assert (machine.free(), ours.room()) == (2 * MIB + MARGIN_BYTES, "low")
    machine.others += machine.free()
    ours.make_room(15 * MIB)
    assert ours.room() == "spent"
    machine.others = 0
    assert (ours.room(), machine.set_aside()) == ("enough", 32 * MIB)


def test_nothing_is_given_back_while_there_is_room(machine):
    ours = Reserve(machine.path)
    ours.take(32 * MIB)
    ours.make_room(100 * MIB)
    assert machine.set_aside() == 32 * MIB


def test_who_begins_where_little_is_left_takes_less_and_is_low_and_not_spent(machine):
    machine.others = machine.size - MARK_BYTES - 5 * MIB
    ours = Reserve(machine.path)
    ours.take(32 * MIB)
    assert (machine.set_aside(), ours.room()) == (5 * MIB, "low")


def test_the_successors_have_what_was_set_aside_when_it_is_over(machine):
    ours = Reserve(machine.path)
    ours.take(32 * MIB)
    ours.give_back()
    assert (machine.set_aside(), machine.free()) == (0, 200 * MIB)


def test_a_disk_writes_into_what_it_has_set_aside(machine):
    disk = SqliteDisk(machine.path.with_suffix(".sqlite"), "us")
    disk.reserve(32 * MIB)
    machine.others = machine.size - 32 * MIB
    disk.append(Row.of(0, bytes(MIB)))
    disk.sync()
    assert machine.free() > MARGIN_BYTES and disk.room() == "low"
    disk.release()
    assert machine.set_aside() == 0
    disk.close()


def test_where_disks_would_have_no_room_nothing_begins(monkeypatch, tmp_path):
    settings = Settings(t=1, num_clients=1, client_window=1, durable=True, data_folder=str(tmp_path / "not" / "there"))
    monkeypatch.setattr(data_folder, "free_bytes", lambda folder: 80 * MIB - 1)
    with pytest.raises(DiskError, match="has room for 79 MiB, and disks for t = 1 begin with 80 MiB"):
        demand_room(settings)
    monkeypatch.setattr(data_folder, "free_bytes", lambda folder: 80 * MIB)
    demand_room(settings)
    monkeypatch.setattr(data_folder, "free_bytes", lambda folder: 64 * MIB)
    demand_room(settings, has_olympus=False)  # as many disks as servers of Raft have
