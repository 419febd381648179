"""The write-ahead log of a disk: what is lost of it is told, but for what a power cut may take."""

import contextlib
import hashlib
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.stable.disk import DamagedError, DiskError, Row
from bcr_disk import directories
from bcr_disk.folders import content_of
from bcr_disk.sqlite import WAL_BYTES, SqliteDisk, content_beside
from bcr_disk.wal import _sum_of, demand_whole_log

ROWS = tuple(Row.of(number, b"%d" % number * (400 * number)) for number in range(1, 9))
HEADER_BYTES, FRAME_BYTES = 32, 24 + 4_096


def log_of(path):
    return Path(f"{path}-wal").read_bytes()


def after_a_power_cut(path, at):
    """The files of a disk as they are now, at another place."""
    at.mkdir()
    for ending in ("", "-wal"):
        with open(f"{at / path.name}{ending}", "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as copy:
            copy.write(Path(f"{path}{ending}").read_bytes())
    return at / path.name


@pytest.fixture(scope="module")
def synced(tmp_path_factory):
    """The database and its log, of a disk that has synced each row by itself, and how much of the log is of that."""
    folder = tmp_path_factory.mktemp("synced")
    disk = SqliteDisk(folder / "server.sqlite", "we")
    for row in ROWS:
        disk.append(row)
        disk.sync()
    cut = after_a_power_cut(folder / "server.sqlite", folder / "cut")
    disk.close()
    log = log_of(cut)
    return cut.read_bytes(), log, HEADER_BYTES + FRAME_BYTES * _frames(log)


def _frames(log):
    """Up to the last that ends a transaction, of those that are as old as the header."""
    frames = [log[at : at + 24] for at in range(HEADER_BYTES, len(log) - FRAME_BYTES + 1, FRAME_BYTES)]
    return 1 + max(place for place, each in enumerate(frames) if each[8:16] == log[16:24] and any(each[4:8]))


def disk_of(folder, database, log):
    path = folder / "server.sqlite"
    for ending, content in (("", database), ("-wal", log)):
        with open(f"{path}{ending}", "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
    (folder / "server.sqlite-shm").unlink(missing_ok=True)
    return path


@given(words=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=40).filter(lambda words: len(words) % 2 == 0),
       start=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)))  # fmt: skip
def test_the_sum_is_that_of_sqlite_s_description(words, start):
    first, second = start
    for x, y in zip(words[::2], words[1::2], strict=True):
        first = (first + x + second) % 2**32
        second = (second + y + first) % 2**32
    assert _sum_of(b"".join(word.to_bytes(4, "little") for word in words), "<", start) == (first, second)


@given(data=st.data())
def test_a_bit_that_flips_in_the_log_is_told_or_costs_the_last_transaction_at_the_most(tmp_path_factory, synced, data):
    database, log, length = synced
    place = data.draw(st.integers(0, 8 * length - 1))
    flipped = bytearray(log)
    flipped[place // 8] ^= 1 << place % 8
    path = disk_of(tmp_path_factory.mktemp("flipped"), database, bytes(flipped))
    with contextlib.suppress(DamagedError):
        assert content_beside(path).rows in (ROWS, ROWS[:-1])


@pytest.mark.parametrize("place", [3, 20, HEADER_BYTES + 9, HEADER_BYTES + 24 + 17, HEADER_BYTES + 5 * FRAME_BYTES + 100])
def test_a_log_that_has_lost_what_was_synced_is_opened_by_nobody_and_stays_as_it_is(tmp_path, synced, place):
    database, log, _ = synced
    flipped = log[:place] + bytes([log[place] ^ 4]) + log[place + 1 :]
    path = disk_of(tmp_path, database, flipped)
    for opening in (lambda: SqliteDisk(path, "we"), lambda: content_beside(path), lambda: SqliteDisk(path, "we")):
        with pytest.raises(DamagedError, match="server.sqlite-wal is damaged: "):
            opening()
    assert (path.read_bytes(), log_of(path)) == (database, flipped)


@given(data=st.data())
def test_what_a_power_cut_has_left_of_the_last_transaction_is_no_damage(tmp_path_factory, synced, data):
    """Of what is written and not yet synced any part may be on the disk, and any other not."""
    database, log, length = synced
    last = HEADER_BYTES + FRAME_BYTES * (1 + max(_ends(log[:length])[:-1]))
    torn = bytearray(log[:length])
    for at in range(last, length, 512):
        if data.draw(st.booleans()):
            torn[at : at + 512] = bytes(len(torn[at : at + 512]))
    torn = torn[: data.draw(st.integers(last, length))]
    path = disk_of(tmp_path_factory.mktemp("torn"), database, bytes(torn))
    assert content_beside(path).rows in (ROWS, ROWS[:-1])


def _ends(log):
    return [place for place in range((len(log) - HEADER_BYTES) // FRAME_BYTES) if any(log[HEADER_BYTES + place * FRAME_BYTES + 4 :][:4])]


def test_a_disk_that_is_opened_again_after_a_power_cut_begins_its_log_anew(tmp_path, synced):
    """So that a torn transaction of before is never taken for one that was lost."""
    database, log, _ = synced
    path = disk_of(tmp_path, database, log)
    disk = SqliteDisk(path, "we")
    assert disk.read().rows == ROWS
    disk.append(Row.of(9, b""))
    disk.sync()
    now = log_of(path)
    assert now[16:24] != log[16:24]
    assert _frames(now) < _frames(log)
    demand_whole_log(path)


def test_the_log_does_not_grow_while_rows_are_written(tmp_path):
    disk = SqliteDisk(tmp_path / "server.sqlite", "we")
    lengths = set()
    for number in range(40):
        disk.append(Row.of(number, bytes(700)))
        disk.sync()
        lengths.add(os.path.getsize(f"{disk.name}-wal"))
    [length] = lengths
    assert abs(length - WAL_BYTES) < WAL_BYTES / 8


def test_who_looks_at_a_disk_changes_nothing_of_it(tmp_path, synced):
    path = disk_of(tmp_path, *synced[:2])
    assert content_of(tmp_path, "server").rows == ROWS
    assert (path.read_bytes(), log_of(path)) == synced[:2]


def test_the_database_of_another_program_is_refused_as_it_was(tmp_path):
    path = tmp_path / "app.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")
    path.chmod(0o600)
    before = hashlib.sha256(path.read_bytes()).digest()
    for opening in (lambda: SqliteDisk(path, "we"), lambda: content_of(tmp_path, "app")):
        with pytest.raises(DiskError, match="is not a file of this project"):
            opening()
    assert hashlib.sha256(path.read_bytes()).digest() == before


@pytest.mark.parametrize("beside", ["server.sqlite-wal", "server.sqlite-shm", "server.torn-7"])
def test_what_stands_beside_a_disk_is_its_owner_s_alone_too(tmp_path, synced, beside):
    path = disk_of(tmp_path, *synced[:2])
    (tmp_path / beside).touch()
    (tmp_path / beside).chmod(0o644)
    with pytest.raises(DiskError, match=f"{beside} holds a key, and others may read it .*chmod 600"):
        SqliteDisk(path, "we")


def test_each_directory_that_is_made_for_a_disk_is_there_after_a_power_cut(tmp_path, monkeypatch):
    synced_directories = []
    monkeypatch.setattr(directories, "sync_directory", synced_directories.append)
    directories.make_directory(tmp_path / "one" / "two")
    directories.make_directory(tmp_path / "one" / "two")
    assert synced_directories == [tmp_path, tmp_path / "one"]
    assert (tmp_path / "one" / "two").stat().st_mode & 0o777 == 0o700
