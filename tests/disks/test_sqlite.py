"""A disk as a SQLite file: what survives, and what is refused."""

import os
import sqlite3
import subprocess
import sys

import pytest

from bcr.stable.disk import DamagedError, DiskError, Row
from bcr_disk import sqlite
from bcr_disk.sqlite import FORMAT, MANY_PARTS, SqliteDisk, content_beside

KEEPS_OPEN = """
import sys
from pathlib import Path
from bcr.stable.disk import Row
from bcr_disk.sqlite import SqliteDisk
disk = SqliteDisk(Path(sys.argv[1]), "replica_7 of configuration 3")
disk.append(Row.of(0, b"synced"))
disk.sync()
disk.append(Row.of(1, b"not synced"))
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "disks" / "replica.sqlite"


@pytest.fixture
def holder(path):
    """Another process that has the disk open, with one row synced and one not."""
    process = subprocess.Popen([sys.executable, "-c", KEEPS_OPEN, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "there\n"
    with process:
        yield process
        process.kill()


def test_what_was_written_is_read_back(path):
    disk = SqliteDisk(path, "replica_0")
    disk.append(Row.of(0, b"first"))
    disk.append(Row.of(1, b"second"))
    disk.checkpoint({}, {4: b"goes", 5: b"is replaced"}, 0)
    disk.checkpoint({"base": b"fact"}, {4: b"", 5: b"part"}, 1)
    disk.append(Row.of(2, b"third"))
    disk.sync()
    disk.close()
    content = SqliteDisk(path, "replica_0").read()
    assert content.facts == {"base": b"fact"}
    assert content.parts == {5: b"part"}
    assert content.rows == (Row.of(1, b"second"), Row.of(2, b"third"))


MANY = {number: b"%d" % number for number in range(MANY_PARTS)}


def rows_of_parts(disk):
    return disk._connection.execute("SELECT count(*) FROM part").fetchone()[0]


def test_parts_that_are_written_together_are_packed_and_later_ones_count(path):
    disk = SqliteDisk(path, "replica_0")
    disk.checkpoint({}, {1: b"before", 99_999: b"stays"}, 0)
    disk.checkpoint({}, MANY, 0)
    assert (rows_of_parts(disk), disk.read().parts) == (0, MANY | {99_999: b"stays"})
    disk.checkpoint({}, {3: b"changed", 4: b"", 5: b""}, 0)
    disk.checkpoint({}, {5: b"again"}, 0)
    disk.close()
    again = SqliteDisk(path, "replica_0")
    left = {number: body for number, body in MANY.items() if number != 4} | {3: b"changed", 5: b"again", 99_999: b"stays"}
    assert again.read().parts == left == content_beside(path).parts
    again.checkpoint({}, dict.fromkeys(MANY, b""), 0)
    assert again.read().parts == {99_999: b"stays"}


def test_few_of_many_parts_are_written_by_themselves(path):
    disk = SqliteDisk(path, "replica_0")
    disk.checkpoint({}, dict.fromkeys(range(2 * MANY_PARTS + 1), b"x"), 0)
    disk.checkpoint({}, MANY, 0)
    assert rows_of_parts(disk) == MANY_PARTS
    assert disk.read().parts == dict.fromkeys(range(2 * MANY_PARTS + 1), b"x") | MANY


def test_packed_parts_may_be_more_than_a_row_holds(path, monkeypatch):
    monkeypatch.setattr(sqlite, "PACK_BYTES", 1_000)
    disk = SqliteDisk(path, "replica_0")
    disk.checkpoint({}, MANY | {7: bytes(5_000)}, 0)
    assert disk._connection.execute("SELECT count(*) FROM pack").fetchone()[0] > 5
    assert disk.read().parts == MANY | {7: bytes(5_000)}


def test_packed_parts_that_are_not_what_was_written_are_damage(path):
    disk = SqliteDisk(path, "replica_0")
    disk.checkpoint({}, MANY, 0)
    disk._connection.execute("UPDATE pack SET body = x'00'")
    with pytest.raises(DamagedError, match="packed parts are not what was written"):
        disk.read()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE fact SET body = 1.5",
        "UPDATE fact SET name = CAST(x'ff' AS TEXT)",
        "UPDATE part SET body = 'text'",
        "UPDATE log SET checksum = x'00'",
    ],
)
def test_a_value_of_another_type_is_damage(path, damage):
    disk = SqliteDisk(path, "replica_0")
    disk.append(Row.of(0, b"row"))
    disk.checkpoint({"base": b"fact"}, {4: b"part"}, 0)
    disk._connection.execute(damage)
    with pytest.raises(DiskError, match="other types than were written|Could not decode"):
        disk.read()


def test_a_disk_of_the_format_before_is_read_and_made_the_present_one(path):
    disk = SqliteDisk(path, "replica_0")
    disk.checkpoint({"base": b"fact"}, {4: b"part"}, 0)
    disk.close()
    with sqlite3.connect(path) as connection:
        connection.executescript(f"DROP TABLE pack; PRAGMA user_version = {FORMAT - 1}")
    connection.close()
    assert content_beside(path).parts == {4: b"part"}
    again = SqliteDisk(path, "replica_0")
    again.checkpoint({}, MANY, 0)
    assert again.read().parts == {**MANY, 4: b"4"}


def test_a_killed_process_loses_what_it_had_not_synced_and_nothing_else(path, holder):
    holder.kill()
    holder.wait()
    assert SqliteDisk(path, "replica_0").read().rows == (Row.of(0, b"synced"),)


@pytest.mark.usefixtures("holder")
def test_a_second_process_is_refused_and_told_of_the_first(path):
    with pytest.raises(DiskError, match=r"replica.sqlite is in use by replica_7 of configuration 3, process \d+"):
        SqliteDisk(path, "replica_0")


def test_a_file_is_its_owners_alone(path):
    SqliteDisk(path, "replica_0").close()
    assert path.stat().st_mode & 0o777 == 0o600
    os.chmod(path, 0o640)
    with pytest.raises(DiskError, match="others may read it .*chmod 600"):
        SqliteDisk(path, "replica_0")


def test_an_unknown_format_is_refused_by_name(path):
    SqliteDisk(path, "replica_0").close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 6}")
    connection.close()
    with pytest.raises(DiskError, match=f"of format {FORMAT + 6}, and this version reads and writes format {FORMAT}"):
        SqliteDisk(path, "replica_0")


def test_a_file_of_somebody_else_is_refused(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    path.chmod(0o600)
    with pytest.raises(DiskError, match="not a file of this project"):
        SqliteDisk(path, "replica_0")


def test_a_broken_file_is_damage(path):
    disk = SqliteDisk(path, "replica_0")
    disk.checkpoint({"identity": b"x" * 20_000}, {}, 0)
    disk.close()
    data = bytearray(path.read_bytes())
    data[100:4_096] = b"\xff" * 3_996
    path.write_bytes(data)
    with pytest.raises(DamagedError, match="damaged"):
        SqliteDisk(path, "replica_0").read()


def test_a_row_that_is_cut_is_kept_beside(path):
    disk = SqliteDisk(path, "replica_0")
    disk.append(Row.of(0, b"torn"))
    disk.sync()
    disk.cut(Row.of(0, b"torn"))
    assert disk.read().rows == ()
    assert path.with_suffix(".torn-0").read_bytes() == b"torn"


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "disks").write_text("a file")
    with pytest.raises(DiskError, match="cannot be opened"):
        SqliteDisk(tmp_path / "disks" / "replica.sqlite", "replica_0")


def test_every_commit_is_synced(path):
    disk = SqliteDisk(path, "replica_0")
    assert disk._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert disk._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
