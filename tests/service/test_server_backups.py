"""A backup of servers of Raft, and of Raft among liars, that is taken under load, and what becomes of it when it is restored or altered."""

import contextlib

import msgspec
import pytest
from serving import bcr, served
from test_durable_service import backed_up_under_load, demand_for_its_owner_and_in_nobodys_place, demand_kept
from test_raft_service import file_of

from bcr.braft.standing import FIELDS
from bcr.evidence.backups import Kept
from bcr.evidence.server_backups import SERVER_FORMAT, ServerBackup, ServerTerms
from bcr.raft.disk_store import DiskStore, FieldRecord, Record
from bcr.raft.log import BEGINNING, Entry, Position
from bcr.signed.encoding import decode, encode
from bcr.stable.disk import DiskError, Row
from bcr.state.running import Snapshot
from bcr_disk.sqlite import SqliteDisk
from bcr_tools.backing_up import restore_main

WRITERS = 2
PROTOCOLS = ("raft", "byzantine_raft")


def text_of(protocol):
    return file_of(1, 1, "checkpt_interval = 5", kinds=("gateway",)).replace("protocol = raft", f"protocol = {protocol}")


@pytest.fixture(scope="module", params=PROTOCOLS)
def taken(request, tmp_path_factory):
    """The folder of a service that has ended, with a backup of when it ran, and what its writers had been told before that."""
    folder, text = tmp_path_factory.mktemp(request.param), text_of(request.param)
    with served(folder, "--data", folder / "data", text=text) as running:
        writers, told, _ = backed_up_under_load(running, folder, WRITERS, 12)
        assert running.ask("PUT", "/keys/after", b"1")[0] == 204
        demand_kept(running, writers)
    return folder, request.param, told


def test_a_restored_service_has_what_was_answered_before_the_backup(taken, tmp_path):
    folder, protocol, told = taken
    done = bcr("restore", folder / "backup", tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, "")
    assert "callers do not notice that" in done.stdout
    with served(tmp_path, "--data", tmp_path / "data", text=text_of(protocol)) as running:
        for number, tokens in enumerate(told):
            found = msgspec.json.decode(running.ask("GET", f"/keys/tokens{number}")[2])
            assert found[: len(tokens)] == tokens
            assert len(set(found)) == len(found)
        assert running.ask("GET", "/keys/after")[0] == 404
        assert running.ask("PUT", "/keys/anew", b"1")[0] == 204
        assert running.ask("GET", "/keys/anew")[2] == b"1"


def test_a_backup_of_servers_is_for_its_owner_alone_holds_no_key_and_takes_nobodys_place(taken):
    folder, _, _ = taken
    backup = ServerBackup.unpack((folder / "backup").read_bytes())
    assert {name for kept in backup.disks.values() for name in kept.facts} == {"server", "base"}
    demand_for_its_owner_and_in_nobodys_place(folder)


def test_a_backup_of_servers_can_be_checked_without_restoring_it(taken, tmp_path, capsys):
    folder, protocol, _ = taken
    assert restore_main([str(folder / "backup"), str(tmp_path / "data"), "--check"]) == 0
    assert f"{protocol}, t = 1" in capsys.readouterr().out
    assert not [*tmp_path.iterdir()]


# -- what is not what was written


def with_disks(backup, change, count):
    """The same with the first so many disks changed."""
    disks = {name: change(kept) if place < count else kept for place, (name, kept) in enumerate(sorted(backup.disks.items()))}
    return msgspec.structs.replace(backup, disks=disks)


def with_another_state(kept):
    (number, body), *others = kept.parts
    return msgspec.structs.replace(kept, parts=((number, body[:-1] + bytes([body[-1] ^ 1])), *others))


def with_spoiled_certificates(kept):
    """Certificates that nobody has signed, where there are some."""

    def spoiled(record):
        if not isinstance(record, FieldRecord) or record.name not in ("highest", "checkpoint"):
            return record
        found = decode(FIELDS[record.name], record.body)
        if found is None:
            return record
        wrong = msgspec.structs.replace(found, signatures=tuple((signer, bytes(64)) for signer, _ in found.signatures))
        return msgspec.structs.replace(record, body=encode(wrong))

    rows = [Row.of(row.number, encode(tuple(map(spoiled, decode(tuple[Record, ...], row.body))))) for row in kept.rows]
    return msgspec.structs.replace(kept, rows=tuple(rows))


def missing(backup, count):
    return msgspec.structs.replace(backup, disks=dict(sorted(backup.disks.items())[count:]))


def refused(folder, tmp_path, data, capsys):
    """What is said of a backup that is none; nothing is made of it."""
    (tmp_path / "backup").write_bytes(data if isinstance(data, bytes) else data.pack())
    assert restore_main([str(tmp_path / "backup"), str(tmp_path / "data")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert not [*tmp_path.glob("data/*")]
    return said.err


def test_a_damaged_file_and_one_of_more_liars_than_t_are_refused(taken, tmp_path, capsys):
    folder, protocol, _ = taken
    data = (folder / "backup").read_bytes()
    backup = ServerBackup.unpack(data)
    middle = len(data) // 2
    assert "damaged" in refused(folder, tmp_path, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], capsys)
    terms = msgspec.structs.replace(backup.terms, t=2)
    said = "replica_3 is missing" if protocol == "raft" else "4 keys of servers"
    assert said in refused(folder, tmp_path, msgspec.structs.replace(backup, terms=terms), capsys)
    too_many = 1 if protocol == "raft" else 2  # disks that may not be missing or hold something else
    said = "is missing" if protocol == "raft" else "it takes 3 to go on from"
    assert said in refused(folder, tmp_path, missing(backup, too_many), capsys)
    if protocol == "byzantine_raft":
        for change in (with_another_state, with_spoiled_certificates):
            assert said in refused(folder, tmp_path, with_disks(backup, change, too_many), capsys)


@pytest.mark.parametrize("taken", ["byzantine_raft"], indirect=True)
@pytest.mark.parametrize("change", [with_another_state, with_spoiled_certificates])
def test_what_t_servers_among_liars_have_on_their_disks_is_not_believed_without_the_signatures_of_others(taken, change):
    folder, _, _ = taken
    restored = with_disks(ServerBackup.unpack((folder / "backup").read_bytes()), change, 1).check()
    assert [sentence for sentence in restored.trusted if sentence.startswith("not trusted: replica_0")]
    assert restored.last.index > 0


# -- which log is the one to go on with


def entries_of(*terms, behind=BEGINNING):
    found, before = [], behind.digest
    for term in terms:
        found.append(Entry(before, term, ()))
        before = found[-1].digest
    return tuple(found)


def backup_of(folder, *logs, states=()):
    """Of servers of Raft with these logs, each in the term of its last entry, but the first: in term 9; and states behind entry 1."""
    disks = {}
    for position, entries in enumerate(logs):
        with contextlib.closing(SqliteDisk(folder / f"replica_{position}.sqlite", "a test")) as disk:
            store = DiskStore(disk, position)
            store.save_vote(9 if position == 0 else entries[-1].term, None)
            if position < len(states):
                place = Position(1, entries[0].term, entries[0].digest)
                store.save_snapshot(place, encode(states[position]), BEGINNING, entries, ())
            else:
                store.save_entries(1, entries)
            store.sync()
            disks[f"replica_{position}"] = Kept.of(disk.read())
    return ServerBackup(ServerTerms(SERVER_FORMAT, "raft", 1, (), "store", 64, 1 << 20), (), "now", disks)


def test_of_raft_the_log_of_the_latest_term_counts_and_of_these_the_longest(tmp_path):
    longer = entries_of(1, 1, 1, 1)
    newer = entries_of(1, 2)
    restored = backup_of(tmp_path, longer, newer[:1], newer).check()
    assert (restored.entries, restored.term) == (newer, 9)


def test_of_raft_a_log_that_is_no_chain_is_refused(tmp_path):
    broken = (entries_of(1)[0], entries_of(1)[0])
    with pytest.raises(DiskError, match="entries behind index 0 that are no chain"):
        backup_of(tmp_path, broken, entries_of(1), entries_of(1)).check()


@pytest.mark.parametrize("values", [("1", "1"), ("1", "2")])
def test_of_raft_two_states_behind_one_entry_are_refused(tmp_path, values):
    states = [Snapshot.of({"a": value}, {}) for value in values]
    backup = backup_of(tmp_path, *[entries_of(1, 1)] * 3, states=states)
    if values[0] == values[1]:
        assert backup.check().snapshot == encode(states[0])
    else:
        with pytest.raises(DiskError, match="replica_0 and replica_1 have two states at entry 1"):
            backup.check()
