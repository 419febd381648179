"""What `./bcr inspect` tells, and `./bcr olympus recover` makes, of folders that are put together here."""

import contextlib
import sqlite3

import pytest

from bcr.chain.configuration import Configuration, Member
from bcr.chain.history import CatchUp, HistoryEntry
from bcr.chain.ledger import Ledger
from bcr.chain.settings import Settings
from bcr.objects.operation import Operation
from bcr.raft.disk_store import DiskStore
from bcr.raft.log import Entry, Position
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed, SigningKey
from bcr.signed.statements import Request
from bcr.stable.chain import DiskOwner, Stable
from bcr.stable.olympus_log import OlympusLog, Terms
from bcr.state.running import RunningState
from bcr_disk.sqlite import SqliteDisk
from bcr_runtime.data_folder import open_data_folder
from bcr_tools import inspecting, recovering

OLYMPUS = SigningKey(b"o" * 32)
FILE = """t = 1
num_client = 1
workload[0] =
durable = on
data = data
"""
SETTINGS = Settings(t=1, num_clients=1)
BEGINNING = RunningState(1).snapshot()


def issued(number):
    return Signed.sign(Configuration(number, 1, (Member(b"k", "host:1/a"),) * 3, (Member(b"c", "host:2/b"),)), 0, OLYMPUS)


@pytest.fixture
def settings(tmp_path):
    return Settings(t=1, num_clients=1, durable=True, data_folder=str(tmp_path / "data"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "service.config"
    path.write_text(FILE)
    return path


def request(slot, value="v"):
    return Signed.sign(Request(0, slot, (Operation("put", f"k{slot}", value),)), 0, OLYMPUS)


def replica(folder, position, number, slots=0, has_begun=True, caught_up_to=0, by=OLYMPUS, value="v"):
    """The disk of a replica that has executed so many slots, and was caught up by the Olympus with this key."""
    disk = SqliteDisk(folder / "data" / f"replica_{position}-configuration_{number}.sqlite", "replica")
    stable = Stable(disk, DiskOwner(number, position, bytes(32)))
    if has_begun:
        stable.begin(encode(issued(number)), RunningState(1))
    ledger = Ledger(SETTINGS)
    for slot in range(slots):
        done = ledger.execute(number, slot, (request(slot),), None)
        stable.ordered(HistoryEntry(slot, (request(slot),), ()), done.result())
    suffix = tuple(HistoryEntry(slot, (request(slot, value),), ()) for slot in range(slots, caught_up_to))
    stable.catches_up(Signed.sign(CatchUp(number, 1, position, suffix), 0, by))
    stable.sync()
    disk.close()


def olympus(folder, settings):
    disk = SqliteDisk(folder / "data" / "olympus.sqlite", "Olympus")
    log = OlympusLog(disk, b"o" * 32, Terms.of(settings), "a run")
    log.burn(4)
    log.issue(issued(4), ("replica_2",), BEGINNING)
    disk.close()


def test_each_disk_is_told_of_in_words(tmp_path, settings, capsys):
    olympus(tmp_path, settings)
    replica(tmp_path, 1, 4, slots=3)
    replica(tmp_path, 0, 4, has_begun=False)
    assert inspecting.main([str(tmp_path / "data")]) == 0
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if not line.startswith(" ")] == [
        "olympus:", "replica_0-configuration_4:", "replica_1-configuration_4:"
    ]  # fmt: skip
    assert "began once; the highest number that a configuration was given is 4" in told
    assert "replica 2, at host:1/a, key 6b… (it has no key)" in told
    assert "it has a key, and had not begun" in told
    assert "its log holds slots 0 to 2, in 1 row" in told


def test_a_disk_that_cannot_be_read_is_told_and_the_others_are_told_of(tmp_path, settings, capsys):
    replica(tmp_path, 0, 4)
    replica(tmp_path, 1, 4, slots=1)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "replica_0-configuration_4.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE fact SET body = X'00' WHERE name = 'base'")
    assert inspecting.main([str(tmp_path / "data")]) == 1
    told = capsys.readouterr().out
    assert "the fact 'base' is not what was written" in told
    assert "its log holds slots 0 to 0, in 1 row" in told


def server(folder, entries):
    """The disk of a server of Raft that has voted, with a snapshot behind entry 1 and these entries in its log."""
    folder.mkdir()
    with contextlib.closing(SqliteDisk(folder / "replica_1.sqlite", "server")) as disk:
        store = DiskStore(disk, 1)
        store.save_vote(3, 2)
        first = Position(1, 2, entries[0].digest)
        store.save_snapshot(first, encode(BEGINNING), first, entries[1:], (0, 1))
        store.sync()


def test_what_the_disk_of_a_server_of_raft_holds_is_told_in_words(tmp_path, capsys):
    entries = [Entry(bytes(32), 2, ())]
    entries.append(Entry(entries[0].digest, 3, ()))
    server(tmp_path / "data", entries)
    assert inspecting.main([str(tmp_path / "data")]) == 0
    told = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert told[:3] == [
        "replica_1:",
        "a server of Raft in term 3, in which it has voted for server 2",
        "at the snapshot the servers at 0, 1 decided",
    ]
    assert told[3].startswith("the state as of entry 1, of term 2: ")
    assert told[4:] == ["its log holds entries 2 to 2, the last one of term 3"]


def test_of_a_server_a_log_that_is_no_chain_is_told(tmp_path, capsys):
    server(tmp_path / "data", [Entry(bytes(32), 2, ()), Entry(bytes(32), 3, ())])
    assert inspecting.main([str(tmp_path / "data")]) == 1
    assert "entries behind index 1 that are no chain" in capsys.readouterr().out


def test_a_folder_without_disks_is_told(tmp_path, capsys):
    assert inspecting.main([str(tmp_path)]) == 2
    assert "has no disks, which are files with names as olympus.sqlite" in capsys.readouterr().err


def recover(file, *options):
    return recovering.main(["recover", str(file), *options])


def test_the_last_configuration_that_enough_replicas_hold_is_gone_on_from(tmp_path, settings, file, capsys):
    for position in range(3):
        replica(tmp_path, position, 4, slots=position)
    replica(tmp_path, 0, 5)
    assert recover(file) == 0
    told = capsys.readouterr().out
    assert "configuration 5 is passed over: replica 0 holds it, and it takes 2 to go on from" in told
    assert "replicas 0, 1, 2 hold the same, and whether Olympus signed that was not checked" in told
    facts = open_data_folder(settings, "a run")
    assert (facts.issued.configuration.statement, facts.highest) == (issued(4).statement, 1005)


def test_what_the_lost_key_did_not_sign_is_not_trusted(tmp_path, settings, file, capsys):
    replica(tmp_path, 0, 4)
    replica(tmp_path, 1, 4)
    assert recover(file, "--was", SigningKey(b"x" * 32).public.hex()) == 2
    assert "replica_0-configuration_4 has a configuration that the lost key did not sign" in capsys.readouterr().err
    assert not (tmp_path / "data" / "olympus.sqlite").exists()


def test_too_few_disks_and_a_log_that_is_there_are_refused(tmp_path, settings, file, capsys):
    replica(tmp_path, 0, 4)
    assert recover(file) == 2
    assert "configuration 4 is passed over: replica 0 holds it, and it takes 2 to go on from" in capsys.readouterr().err
    olympus(tmp_path, settings)
    assert recover(file) == 2
    assert "olympus.sqlite is there: nothing is lost" in capsys.readouterr().err


def test_what_the_lost_olympus_may_have_vouched_for_is_gone_on_from(tmp_path, settings, file, capsys):
    replica(tmp_path, 1, 4, slots=1)
    replica(tmp_path, 2, 4, slots=1, caught_up_to=3)
    assert recover(file, "--was", OLYMPUS.public.hex()) == 0
    assert "configuration 4 was being replaced: the next one begins with all that its disks hold" in capsys.readouterr().out
    facts = open_data_folder(settings, "a run")
    assert facts.decided.vouchers == ()
    ledger = Ledger(SETTINGS)
    ledger.begin(facts.state)
    assert ledger.state.dictionary == {"k0": "v", "k1": "v", "k2": "v"}


def test_what_the_lost_olympus_did_not_send_is_not_gone_on_from(tmp_path, file, capsys):
    replica(tmp_path, 0, 4, slots=1)
    replica(tmp_path, 1, 4, slots=1)
    replica(tmp_path, 2, 4, slots=1, caught_up_to=3, by=SigningKey(b"x" * 32))
    assert recover(file, "--was", OLYMPUS.public.hex()) == 0
    told = capsys.readouterr().out
    assert "not trusted: replica_2-configuration_4 has a catch-up that the lost key did not sign" in told
    assert "was being replaced" not in told


def test_where_disks_come_to_no_common_state_it_is_said_that_what_was_vouched_for_may_be_lost(tmp_path, settings, file, capsys):
    replica(tmp_path, 0, 4, slots=1)
    replica(tmp_path, 1, 4, caught_up_to=1, value="another")
    assert recover(file) == 0
    assert (
        "not trusted: what Olympus caught replicas up with, and may have vouched for: slot 0 holds other requests"
        in capsys.readouterr().out
    )
    assert open_data_folder(settings, "a run").decided is None


def test_a_log_that_was_emptied_is_made_anew(tmp_path, settings, file):
    replica(tmp_path, 0, 4)
    replica(tmp_path, 1, 4)
    (tmp_path / "data" / "olympus.sqlite").touch(mode=0o600)
    assert recover(file) == 0
    assert open_data_folder(settings, "a run").highest == 1004


def test_a_file_without_a_folder_is_refused(file, capsys):
    file.write_text(FILE.replace("data = data\n", ""))
    assert recover(file) == 2
    assert "names no folder: data = FOLDER, with durable = on" in capsys.readouterr().err
