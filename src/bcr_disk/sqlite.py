"""A disk as one SQLite file: key and log together, so that neither can be there without the other.

Parts stand each in a row of its own, so that a checkpoint writes what has changed. Where most of them change at once, as in a
new configuration, they are written packed together, which takes a fraction of the time to write and to read; rows of single
parts are newer than what is packed, and an empty one says that the part is gone.

WAL and synchronous=FULL: a transaction that has been committed survives a power cut. One connection only, opened by the
process that writes, behind a lock file that names it. A process that is forked off it inherits neither.

The WAL has its length from the start, and is written over and over: a sync of a file that grows syncs the file system's own
journal too, which takes twice the time, and more while others sync beside us.
"""

import contextlib
import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

from bcr.signed.encoding import decode, encode
from bcr.signed.violations import ProtocolViolation
from bcr.stable.disk import Content, DamagedError, DiskError, Room, Row
from bcr_disk.directories import make_directory, sync_directory
from bcr_disk.reserve import ENDING as RESERVE_ENDING
from bcr_disk.reserve import MARK_BYTES, Reserve, free_bytes
from bcr_disk.wal import ENDING as WAL_ENDING
from bcr_disk.wal import demand_whole_log

FORMAT = 2
UNPACKED_FORMAT = 1  # the format before it, in which all parts stood in rows: it is taken and made the present one
APPLICATION = 0x62637231  # "bcr1", by which the file is known to be ours
ENDING = ".sqlite"
SHARED_ENDING = "-shm"
LOCK_PAUSE_S = 0.02
COPIES = 2  # of what is written: in the WAL, and where it belongs
PAGES_BYTES = 64 << 10  # for the pages that change with it
WAL_BYTES = 1 << 20  # its length, if nothing larger is written
SPILLING_PAGES = 10  # of SQLite's cache: a transaction that is larger goes to the WAL before it ends
MANY_PARTS = 2_048  # so many, and half of all that are there, are packed
PACK_BYTES = 16 << 20  # of a row of packed parts, or of the single part that is larger
RIGHTS_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
LOOKS = 3  # at a log that seems damaged while somebody may write it: a frame that is half written is whole the next time

_TABLES = """
CREATE TABLE fact (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE part (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE log (number INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL);
"""
_PACK = "CREATE TABLE pack (number INTEGER PRIMARY KEY, body BLOB NOT NULL);"


_open_disks: "WeakSet[SqliteDisk]" = WeakSet()
_inherited_connections: list[sqlite3.Connection] = []  # which a forked process may neither use nor close


def _disinherit() -> None:
    """In a process just forked: its parent's disks are none of its own, and their locks end with the parent."""
    for disk in list(_open_disks):
        disk.leave_to_parent()
    _open_disks.clear()


os.register_at_fork(after_in_child=_disinherit)


class SqliteDisk:
    """The file at `path`, made with its folder if need be; `owner` is who opens it, for whoever is refused.

    A process that ended just now may take a moment to let go of it: that is waited for, `patience_s` at the most.

    Raises DiskError where another process has it open, others could read it, it is of another format or no such file;
    DamagedError where SQLite says that it is broken.
    """

    def __init__(self, path: Path, owner: str, patience_s: float = 0.0) -> None:
        self.name = str(path)
        self._path = path
        with self._errors("cannot be opened"):
            make_directory(path.parent)
            self._lock = locked(path.with_suffix(".lock"), owner, self.name, patience_s)
            self._reserve = Reserve(path.with_suffix(RESERVE_ENDING))
        try:
            self._open()
        except BaseException:
            os.close(self._lock)
            raise
        _open_disks.add(self)

    def _open(self) -> None:
        path = self._path
        is_new = not path.exists()
        if is_new:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _demand_private(path)
        with self._errors("cannot be opened"):
            demand_whole_log(path)
            # Transactions are begun and ended here, not by the library.
            self._connection = sqlite3.connect(path, isolation_level=None)
            try:
                self._prepare(is_new)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, is_new: bool) -> None:
        if is_new or self._is_empty():
            self._be_durable()
            self._make()
        else:
            self._demand_known()
            self._be_durable()
        if free_bytes(self._path.parent) >= 2 * MARK_BYTES + Path(f"{self._path}{WAL_ENDING}").stat().st_size:
            self._lay_out_wal()

    def _be_durable(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")

    def _lay_out_wal(self) -> None:
        """By a transaction that is not done in the end: it leaves nothing but the length.

        It begins the log anew: what a torn transaction has left there is none of the frames of now.
        """
        self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        [page_bytes] = self._connection.execute("PRAGMA page_size").fetchone()
        [cache_size] = self._connection.execute("PRAGMA cache_size").fetchone()
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES // page_bytes}")
        self._connection.execute(f"PRAGMA cache_size = {SPILLING_PAGES}")
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO fact VALUES ('', zeroblob(?))", (WAL_BYTES,))
        self._connection.execute("ROLLBACK")
        self._connection.execute(f"PRAGMA cache_size = {cache_size}")

    def _is_empty(self) -> bool:
        return bool(self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,))

    def _make(self) -> None:
        self._connection.executescript(
            f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; {_TABLES} {_PACK} COMMIT;"
        )
        sync_directory(self._path.parent)  # that the file is there has to be on the disk too

    def _demand_known(self) -> None:
        if _demand_format(self._connection, self.name) == UNPACKED_FORMAT:
            self._connection.executescript(f"BEGIN; PRAGMA user_version = {FORMAT}; {_PACK} COMMIT;")
        [verdict] = self._connection.execute("PRAGMA quick_check").fetchone()
        if verdict != "ok":
            raise DamagedError(f"{self.name} is damaged: {verdict}")

    def _errors(self, what: str) -> contextlib.AbstractContextManager[None]:
        return _errors_of(self.name, what)

    def read(self) -> Content:
        with self._errors("cannot be read"):
            return _content_of(self._connection)

    def append(self, row: Row) -> None:
        with self._errors("cannot be written"):
            self._make_room(len(row.body))
            self._begin()
            self._connection.execute("INSERT INTO log VALUES (?, ?, ?)", (row.number, row.body, row.checksum))

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def _make_room(self, size: int) -> None:
        self._reserve.make_room(COPIES * size + PAGES_BYTES)

    def sync(self) -> None:
        with self._errors("cannot be synced"):
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def checkpoint(self, facts: Mapping[str, bytes], parts: Mapping[int, bytes], first: int) -> None:
        with self._errors("cannot be written"):
            packed_parts = self._to_pack(parts)
            written = parts if packed_parts is None else packed_parts
            self._make_room(sum(map(len, facts.values())) + sum(map(len, written.values())))
            self._begin()
            self._connection.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts.items())
            if packed_parts is None:
                self._connection.executemany("INSERT OR REPLACE INTO part VALUES (?, ?)", parts.items())
            else:
                self._connection.execute("DELETE FROM part")
                self._connection.execute("DELETE FROM pack")
                self._connection.executemany("INSERT INTO pack VALUES (?, ?)", enumerate(_packs(packed_parts)))
            self._connection.execute("DELETE FROM log WHERE number < ?", (first,))
        self.sync()

    def _to_pack(self, parts: Mapping[int, bytes]) -> dict[int, bytes] | None:
        """All parts as they will be, where most of them change; None where these few are written by themselves."""
        if len(parts) < MANY_PARTS:
            return None
        there = _parts_of(self._connection)
        if 2 * len(parts) < len(there):
            return None
        there.update(parts)
        return {number: there[number] for number in sorted(there) if there[number]}

    def cut(self, row: Row) -> None:
        with self._errors("cannot be cut"):
            copy = os.open(self._path.with_suffix(f".torn-{row.number}"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with open(copy, "wb") as file:
                file.write(row.body)
                os.fsync(copy)
            self._begin()
            self._connection.execute("DELETE FROM log WHERE number = ?", (row.number,))
        self.sync()

    def reserve(self, size: int) -> None:
        with self._errors("cannot have room set aside"):
            self._reserve.take(size)

    def release(self) -> None:
        with self._errors("cannot give back what is set aside"):
            self._reserve.give_back()

    def room(self) -> Room:
        with self._errors("cannot be asked for its room"):
            return self._reserve.room()

    def leave_to_parent(self) -> None:
        """In a forked process: let go of it without touching the file."""
        _inherited_connections.append(self._connection)
        os.close(self._lock)

    def close(self) -> None:
        _open_disks.discard(self)
        self._connection.close()
        os.close(self._lock)


@contextlib.contextmanager
def _errors_of(name: str, what: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise DamagedError(f"{name} is damaged: {error}") from error
    except sqlite3.DatabaseError as error:
        is_broken = type(error) is sqlite3.DatabaseError
        kind = DamagedError if is_broken else DiskError
        raise kind(f"{name} {'is damaged' if is_broken else what}: {error}") from error
    except OSError as error:
        raise DiskError(f"{name} {what}: {error.strerror}") from error


def _files_of(path: Path) -> tuple[Path, ...]:
    """The disk's file, and those that SQLite has beside it."""
    return path, *(Path(f"{path}{ending}") for ending in (WAL_ENDING, SHARED_ENDING))


def _demand_files(path: Path) -> None:
    for each in _files_of(path):
        if each.exists() and not each.is_file():  # who opened a pipe would wait for ever
            raise DiskError(f"{each} is no file, and disks are files: a folder, a pipe or the like has its name")


def _demand_private(path: Path) -> None:
    """Of the file and what SQLite has beside it, which holds the same."""
    for each in (*_files_of(path), *path.parent.glob(f"{path.stem}.torn-*")):
        with contextlib.suppress(FileNotFoundError):
            mode = each.stat().st_mode
            if mode & RIGHTS_OF_OTHERS:
                raise DiskError(f"{each} holds a key, and others may read it ({stat.filemode(mode)}): chmod 600 it")


def _demand_format(connection: sqlite3.Connection, name: str) -> int:
    """Returns the format. Raises DiskError where it is none that this version reads."""
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise DiskError(f"{name} is not a file of this project")
    if version not in (UNPACKED_FORMAT, FORMAT):
        raise DiskError(f"{name} is of format {version}, and this version reads and writes format {FORMAT}")
    return int(version)


def demand_ours(path: Path) -> None:
    """Raises DiskError where others may read this disk, which nobody has open, or it is of another format."""
    with _errors_of(str(path), "cannot be opened"):
        _demand_files(path)
        _demand_private(path)
        with contextlib.closing(_connection_beside(path)) as connection:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                _demand_format(connection, str(path))


def content_beside(path: Path) -> Content:
    """What is on a disk as of one moment, also while somebody has it open: who only reads disturbs nobody.

    Raises DiskError where it is of another format or no such file, DamagedError where SQLite says that it is broken.
    """
    [content] = contents_beside([path])
    return content


def contents_beside(paths: Sequence[Path]) -> list[Content]:
    """The same of several disks, as of moments that lie close together: all are looked at before the first is read."""
    for path in paths:
        with _errors_of(str(path), "cannot be read"):
            _demand_files(path)
            _demand_whole_log_beside(path)
    with contextlib.ExitStack() as stack:
        held = []
        for path in paths:
            with _errors_of(str(path), "cannot be read"):
                connection = stack.enter_context(contextlib.closing(_connection_beside(path)))
                connection.execute("BEGIN")
                held.append((path, connection, connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)))
        contents = []
        for path, connection, is_empty in held:
            with _errors_of(str(path), "cannot be read"):
                contents.append(Content({}, {}, ()) if is_empty else _content_beside(connection, path))
        return contents


def _demand_whole_log_beside(path: Path) -> None:
    for look in range(1, LOOKS + 1):
        try:
            return demand_whole_log(path)
        except DamagedError:
            if look == LOOKS:
                raise
    return None


def _connection_beside(path: Path) -> sqlite3.Connection:
    """One that changes nothing, not even when it is closed."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _content_beside(connection: sqlite3.Connection, path: Path) -> Content:
    is_packed = _demand_format(connection, str(path)) != UNPACKED_FORMAT
    return _content_of(connection, is_packed)


def _content_of(connection: sqlite3.Connection, is_packed: bool = True) -> Content:
    facts = dict(_typed(connection.execute("SELECT name, body FROM fact"), str, bytes))
    rows = _typed(connection.execute("SELECT number, body, checksum FROM log ORDER BY number"), int, bytes, int)
    parts = _parts_of(connection, is_packed)
    return Content(facts, {number: body for number, body in parts.items() if body}, tuple(Row(*row) for row in rows))


def _typed(rows: Iterable[tuple[Any, ...]], *types: type) -> Iterator[tuple[Any, ...]]:
    """The rows, each of whose values SQLite itself says is of a type. Raises DamagedError where it is of another."""
    for row in rows:
        if any(type(value) is not kind for value, kind in zip(row, types, strict=True)):
            raise DamagedError("a row has values of other types than were written")
        yield row


def _parts_of(connection: sqlite3.Connection, is_packed: bool = True) -> dict[int, bytes]:
    """The parts by number, empty ones where they are gone. Raises DamagedError."""
    parts: dict[int, bytes] = {}
    try:
        for (body,) in _typed(connection.execute("SELECT body FROM pack ORDER BY number"), bytes) if is_packed else ():
            parts.update(decode(tuple[tuple[int, bytes], ...], body))
    except ProtocolViolation as violation:
        raise DamagedError(f"packed parts are not what was written: {violation}") from violation
    parts.update(_typed(connection.execute("SELECT number, body FROM part"), int, bytes))
    return parts


def _packs(parts: Mapping[int, bytes]) -> Iterator[bytes]:
    """The parts packed together, in rows of no more than PACK_BYTES of them."""
    if sum(map(len, parts.values())) <= PACK_BYTES:
        yield encode(tuple(parts.items()))
        return
    pack: list[tuple[int, bytes]] = []
    size = 0
    for number, body in parts.items():
        if pack and size + len(body) > PACK_BYTES:
            yield encode(tuple(pack))
            pack, size = [], 0
        pack.append((number, body))
        size += len(body)
    yield encode(tuple(pack))


class SlowedDisk(SqliteDisk):
    """The same where a sync takes longer by so many milliseconds, to measure what another machine's disk would cost."""

    added_ms = 0.0

    def sync(self) -> None:
        super().sync()
        time.sleep(self.added_ms / 1_000)


def _is_locked(file: int, patience_s: float) -> bool:
    """Whether the file could be locked within that time."""
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(LOCK_PAUSE_S)


def locked(path: Path, owner: str, what: str, patience_s: float) -> int:
    """An open lock file with the owner in it. Raises DiskError, naming the owner of `what` it is for, where somebody else has it."""
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    if not _is_locked(file, patience_s):
        holder = os.pread(file, 200, 0).decode(errors="replace").strip()
        os.close(file)
        raise DiskError(f"{what} is in use by {holder or 'another process'}")
    os.ftruncate(file, 0)
    os.pwrite(file, f"{owner}, process {os.getpid()}\n".encode(), 0)
    return file
