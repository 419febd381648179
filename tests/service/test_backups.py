"""A backup that is taken under load, and what becomes of it when it is restored, altered, or another one."""

import contextlib

import msgspec
import pytest
from serving import bcr, served
from test_durable_service import FILE, backed_up_under_load, demand_for_its_owner_and_in_nobodys_place

from bcr.chain.configuration import Configuration
from bcr.evidence.backups import Backup, DisksApart, _demand_joined, _with_doubt
from bcr.signed.encoding import decode, encode
from bcr.stable.chain import Base
from bcr.stable.disk import DiskError, sealed, unsealed
from bcr.stable.inspection import ReplicaDisk
from bcr.stable.recovery import Recovery
from bcr.state.running import Snapshot
from bcr_client import OutcomeUnknown, Store, UntrustedAnswer
from bcr_runtime import data_folder
from bcr_tools.backing_up import restore_main

EACH_FIVE = FILE + "checkpt_interval = 5\n"


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """The folder of a service that has ended, with a backup of when it ran, and what its writers had been told before that."""
    folder = tmp_path_factory.mktemp("backed-up")
    with served(folder, "--data", folder / "data", text=EACH_FIVE) as running:
        _, told, done = backed_up_under_load(running, folder, 3, 20)
        assert running.ask("PUT", "/keys/after", b"1")[0] == 204
        olympus_key = done.stdout.split()[-1]
        with Store(running.url, olympus_key=olympus_key) as store:
            assert store.get("tokens0")[: len(told[0])] == told[0]
    return folder, olympus_key, told


def test_a_restored_service_has_what_was_answered_before_the_backup_and_another_key(taken, tmp_path):
    folder, olympus_key, told = taken
    done = bcr("restore", folder / "backup", tmp_path / "data", "--olympus-key", olympus_key)
    assert (done.returncode, done.stderr) == (0, "")
    new_key = done.stdout.split()[-1]
    assert new_key != olympus_key
    with served(tmp_path, "--data", tmp_path / "data", text=EACH_FIVE) as running:
        with Store(running.url, olympus_key=new_key) as store:
            for number, tokens in enumerate(told):
                found = store.get(f"tokens{number}")
                assert found[: len(tokens)] == tokens
            assert store.get("after") is None
            store.put("anew", 1)
        with Store(running.url, olympus_key=olympus_key) as store, pytest.raises((UntrustedAnswer, OutcomeUnknown)):
            store.get("tokens0")


def test_a_backup_is_for_its_owner_alone_and_takes_nobodys_place(taken):
    folder, _, _ = taken
    demand_for_its_owner_and_in_nobodys_place(folder)


@pytest.mark.parametrize(
    ("extents", "are_joined"),
    [([(80, 84), (85, 87), (90, 90)], False), ([(80, 85), (85, 87), (90, 90)], True), ([(0, 3)] * 3, True), ([(5, 5), (0, 4), (0, 4)], True),
     ([(5, 7), (0, 4)], False), ([(5, 7)], False)],
)  # fmt: skip
def test_disks_of_which_no_two_could_be_brought_to_one_state_are_no_backup(extents, are_joined):
    """At t = 1: what one lacks stands in the log of another, or they hold it in a state alone, which nobody hands on."""
    disks = [
        ReplicaDisk(number=0, position=position, configuration=None, state=None, first=first, end=end, rows=0, torn=0, wedged_from=None, caught_up=None)
        for position, (first, end) in enumerate(extents)
    ]  # fmt: skip
    recovery = Recovery(Configuration(0, 1, (), ()), Snapshot.of({}, ()), 0, ())
    with contextlib.nullcontext() if are_joined else pytest.raises(DisksApart, match=r"do not join \(replica 0: "):
        _demand_joined(disks, recovery)


@pytest.mark.parametrize(("caught_up", "told"), [((None, None, None), 0), ((None, object(), None), 1)])
def test_it_is_said_where_an_answer_that_olympus_alone_vouched_for_may_not_be_in_a_backup(caught_up, told):
    disks = [
        ReplicaDisk(number=3, position=position, configuration=None, state=None, first=0, end=4, rows=0, torn=0, wedged_from=0, caught_up=each)
        for position, each in enumerate(caught_up)
    ]  # fmt: skip
    doubts = _with_doubt(disks, Recovery(Configuration(3, 1, (), ()), Snapshot.of({}, ()), 0, ())).trusted
    assert len(doubts) == told
    assert all(doubt.startswith("not trusted: configuration 3 was being replaced") for doubt in doubts)


def test_disks_that_were_written_while_they_were_read_are_read_again(tmp_path, monkeypatch):
    (tmp_path / "olympus.sqlite").touch()
    readings = []

    def read_once(folders, of_olympus):
        readings.append(of_olympus)
        if len(readings) < 3:
            raise DisksApart("apart")
        return readings

    monkeypatch.setattr(data_folder, "_read_once", read_once)
    assert data_folder.back_up([tmp_path]) == [tmp_path] * 3
    monkeypatch.setattr(data_folder, "MOST_READINGS", 2)
    readings.clear()
    with pytest.raises(DisksApart):
        data_folder.back_up([tmp_path])


def altered(folder, change):
    """A file with another backup than that of the folder."""
    other = change((folder / "backup").read_bytes())
    return other if isinstance(other, bytes) else other.pack()


def damaged(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


def with_disks(data, change):
    backup = Backup.unpack(data)
    return msgspec.structs.replace(backup, disks={name: change(disk) for name, disk in backup.disks.items()})


def of_another_olympus(data):
    return msgspec.structs.replace(Backup.unpack(data), olympus_key=bytes(32))


def with_one_disk(data):
    backup = Backup.unpack(data)
    return msgspec.structs.replace(backup, disks=dict([*backup.disks.items()][:1]))


def with_another_value(data):
    def change(disk):
        (number, body), *others = disk.parts
        return msgspec.structs.replace(disk, parts=((number, body[:-1] + bytes([body[-1] ^ 1])), *others))

    return with_disks(data, change)


def without_proof(data):
    def change(disk):
        base = decode(Base, unsealed("base", disk.facts["base"]))
        assert base.proof
        return msgspec.structs.replace(
            disk, facts={**disk.facts, "base": sealed("base", encode(msgspec.structs.replace(base, proof=base.proof[:1])))}
        )

    return with_disks(data, change)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (damaged, "damaged"),
        (lambda data: data[:-20], "backup"),
        (lambda data: b"", "not a bcr backup"),
        (of_another_olympus, "does not prove what it says"),
        (with_one_disk, "it takes 2 to go on from"),
        (with_another_value, "is not what was written"),
        (without_proof, "does not prove what it says"),
    ],
)
def test_a_backup_that_is_not_what_was_written_is_refused_and_nothing_is_made(taken, tmp_path, capsys, change, what):
    (tmp_path / "backup").write_bytes(altered(taken[0], change))
    assert restore_main([str(tmp_path / "backup"), str(tmp_path / "data")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert what in said.err
    assert not [*tmp_path.glob("data/*.sqlite")]


def test_a_backup_of_another_service_is_refused(taken, tmp_path):
    done = bcr("restore", taken[0] / "backup", tmp_path / "data", "--olympus-key", "00" * 32)
    assert done.returncode == 2
    assert "a backup of another service" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_backup_can_be_checked_without_restoring_it(taken, tmp_path):
    with contextlib.chdir(tmp_path):
        done = bcr("restore", taken[0] / "backup", "data", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 disks of replicas" in done.stdout
    assert not [*tmp_path.iterdir()]


def test_a_folder_without_olympus_is_no_service(taken, tmp_path):
    done = bcr("backup", tmp_path / "backup", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "olympus.sqlite" in done.stderr
    assert not (tmp_path / "backup").exists()
    with pytest.raises(DiskError):
        Backup.unpack(b"\x00")
