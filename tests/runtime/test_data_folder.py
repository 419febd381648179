"""The folder that a service keeps its disks in: what is refused, each in one clear line, before anything is started."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bcr.chain.configuration import Configuration, Member
from bcr.chain.settings import Settings
from bcr.evidence.server_backups import SERVER_FORMAT
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed, SigningKey
from bcr.signed.statements import Checkpoint
from bcr.stable.chain import DiskOwner, Stable
from bcr.stable.disk import DamagedError, DiskError
from bcr.stable.olympus_log import OlympusLog, Terms
from bcr.state.running import RunningState, Snapshot
from bcr_disk.sqlite import SqliteDisk
from bcr_disk.whole_file import write_whole_file
from bcr_runtime.data_folder import MARK, MOST_KEPT, OF_SERVERS, open_data_folder, take_up_host_folder
from bcr_runtime.server_folder import NotedService, noted

HOLDS = """
import sys
from pathlib import Path
from bcr_disk.folders import claim
claim(Path(sys.argv[1]), "bcr run first")
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path):
    return Settings(t=1, num_clients=1, durable=True, data_folder=str(tmp_path / "data"))


@pytest.fixture
def begun(settings, tmp_path):
    """A folder in which Olympus has begun."""
    disk = SqliteDisk(tmp_path / "data" / "olympus.sqlite", "Olympus")
    log = OlympusLog(disk, b"s" * 32, Terms.of(settings), "a run")
    log.burn(3)
    log.issue(Signed.sign(Configuration(3, 1, (Member(b"k", "a"),) * 3, ()), 0, SigningKey(b"s" * 32)), (), Snapshot.of({}, ()))
    disk.close()
    return tmp_path / "data" / "olympus.sqlite"


def changed(path, statement):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_new_folder_is_made_for_its_owner_alone(settings, tmp_path):
    assert open_data_folder(settings, "we") is None
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_what_olympus_has_kept_is_found(settings, begun):
    facts = open_data_folder(settings, "we")
    assert (facts.highest, facts.seed, facts.issued.configuration.statement.number) == (3, b"s" * 32, 3)


def replica(folder, position, number, has_begun=True, has_checkpoint=False):
    """The disk of a replica."""
    with contextlib.closing(SqliteDisk(folder / f"replica_{position}-configuration_{number}.sqlite", "replica")) as disk:
        stable = Stable(disk, DiskOwner(number, position, bytes(32)))
        if has_begun:
            issued = Signed.sign(Configuration(number, 1, (Member(b"k", "a"),) * 3, ()), 0, SigningKey(b"s" * 32))
            state = RunningState(1)
            stable.begin(encode(issued), state)
            if has_checkpoint:
                stable.signed_checkpoint(0, state)
                agreed = Checkpoint(number, 0, state.digest())
                stable.completed_checkpoint(agreed, (Signed.sign(agreed, 0, SigningKey(b"s" * 32)),))


def numbers_left(folder):
    return sorted({int(path.stem.rpartition("_")[2]) for path in folder.glob("replica_*.sqlite")})


def test_disks_of_the_current_configuration_and_of_the_one_before_are_kept(settings, begun):
    for number in (0, 1, 3):
        for position in (0, 1):
            replica(begun.parent, position, number)
    open_data_folder(settings, "we")
    assert numbers_left(begun.parent) == [1, 3]


def test_a_configuration_that_never_began_is_not_the_one_before(settings, begun):
    for number in (0, 1):
        for position in (0, 1):
            replica(begun.parent, position, number)
    for position in (0, 1, 2):
        replica(begun.parent, position, 2, has_begun=False)
        replica(begun.parent, position, 3, has_begun=False)
    open_data_folder(settings, "we")
    assert numbers_left(begun.parent) == [1, 2, 3]


def test_a_configuration_that_too_few_replicas_began_with_is_not_the_one_before_unless_all_signed_a_checkpoint(settings, begun):
    for position in (0, 1):
        replica(begun.parent, position, 0)
        replica(begun.parent, position, 1)
    replica(begun.parent, 0, 2)
    open_data_folder(settings, "we")
    assert numbers_left(begun.parent) == [1, 2]
    replica(begun.parent, 1, 2, has_checkpoint=True)
    begun.with_name("replica_0-configuration_2.sqlite").unlink()
    take_up_host_folder(begun.parent, b"key", 3)
    assert numbers_left(begun.parent) == [2]


def test_a_host_where_it_cannot_be_told_keeps_some_configurations_and_not_all(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(9):
        replica(tmp_path / "data", 0, number)
    take_up_host_folder(tmp_path / "data", b"key", 8)
    assert numbers_left(tmp_path / "data") == list(range(7 - MOST_KEPT + 1, 9))


def test_a_host_folder_is_of_the_service_that_took_it_up_first(tmp_path):
    assert take_up_host_folder(tmp_path, b"key", 0) is None
    assert take_up_host_folder(tmp_path, b"key", 0) is None
    assert "has disks of another service" in take_up_host_folder(tmp_path, b"another", 0)


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00", b"k", b"6b65 9", "é".encode()])
def test_a_damaged_mark_is_refused_as_that_of_another_service_is(tmp_path, damage):
    (tmp_path / MARK).write_bytes(damage)
    assert take_up_host_folder(tmp_path, b"key", 0).startswith(f"{tmp_path / MARK} is damaged")
    assert (tmp_path / MARK).read_bytes() == damage


def test_a_mark_that_a_power_cut_left_empty_is_written_anew_where_there_are_no_disks(tmp_path):
    (tmp_path / MARK).touch()
    assert take_up_host_folder(tmp_path, b"key", 0) is None
    assert (tmp_path / MARK).read_text() == b"key".hex()
    (tmp_path / MARK).write_text("")
    replica(tmp_path, 0, 0)
    assert "has disks of another service" in take_up_host_folder(tmp_path, b"key", 0)


def test_what_a_folder_is_of_is_synced_before_it_has_its_name_and_its_name_too(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, Path.replace

    def noted_sync(descriptor):
        done.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        sync(descriptor)

    def noted_rename(path, target):
        done.append(("rename", path.name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_rename)
    folder = tmp_path / "folder"
    folder.mkdir()
    write_whole_file(folder / "mark", "text")
    assert done == [("sync", ".mark.draft"), ("rename", ".mark.draft"), ("sync", "folder")]
    assert (folder / "mark").read_text() == "text"


def test_the_second_process_is_refused_and_the_first_named(settings, tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "data")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout.readline() == "there\n"
        with pytest.raises(DiskError, match=rf"data is in use by bcr run first, process {first.pid}$"):
            open_data_folder(settings, "we")
        first.stdin.close()


def test_a_version_that_is_not_known_is_named(settings, begun):
    changed(begun, "PRAGMA user_version = 9")
    with pytest.raises(DiskError, match=r"olympus.sqlite is of format 9, and this version reads and writes format 2"):
        open_data_folder(settings, "we")


def test_a_key_that_others_may_read_is_refused(settings, begun):
    begun.chmod(0o640)
    with pytest.raises(DiskError, match=r"olympus.sqlite holds a key, and others may read it \(-rw-r-----\): chmod 600 it"):
        open_data_folder(settings, "we")


def test_another_service_is_refused_with_what_is_other(tmp_path, begun):
    other = Settings(t=2, num_clients=1, durable=True, client_window=4, data_folder=str(tmp_path / "data"))
    with pytest.raises(DiskError, match=r"is of a service with t = 1 and not 2, client_window = 1 and not 4$"):
        open_data_folder(other, "we")


def test_replicas_without_their_olympus_are_no_new_service(settings, begun):
    begun.rename(begun.with_name("replica_0-configuration_4.sqlite"))
    with pytest.raises(DiskError, match=r"has replica_0-configuration_4.sqlite and no olympus.sqlite: the disk of Olympus is lost"):
        open_data_folder(settings, "we")


@pytest.mark.parametrize("emptied", [lambda path: path.write_bytes(b""), lambda path: changed(path, "DELETE FROM fact")])
def test_replicas_beside_an_empty_disk_of_olympus_are_no_new_service(settings, begun, emptied):
    SqliteDisk(begun.with_name("replica_0-configuration_3.sqlite"), "replica_0").close()
    emptied(begun)
    with pytest.raises(
        DiskError, match=r"has replica_0-configuration_3.sqlite and an olympus.sqlite with nothing in it: the disk of Olympus"
    ):
        open_data_folder(settings, "we")


def test_an_empty_disk_of_olympus_alone_is_a_service_that_has_not_begun(settings, begun):
    begun.write_bytes(b"")
    assert open_data_folder(settings, "we") is None


def test_damage_is_told(settings, begun):
    changed(begun, "UPDATE fact SET body = X'00000000' WHERE name = 'highest'")
    with pytest.raises(DamagedError, match="the fact 'highest' is not what was written"):
        open_data_folder(settings, "we")


@pytest.mark.parametrize("keys", [["zz"], ["abc"], [3]])
def test_a_note_of_servers_with_keys_that_are_none_is_damage(tmp_path, keys):
    values = [SERVER_FORMAT, "byzantine_raft", 1, [], "dictionary", 1, 1, True, ["00" * 32]]
    whole = dict(zip(NotedService.__struct_fields__, values, strict=True))
    (tmp_path / OF_SERVERS).write_text(json.dumps(whole))
    assert noted(tmp_path).keys == ("00" * 32,)
    (tmp_path / OF_SERVERS).write_text(json.dumps({**whole, "keys": keys}))
    with pytest.raises(DiskError, match="does not say of which service"):
        noted(tmp_path)
