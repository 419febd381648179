"""Files of a process where there is no room: what could not be written is told once, and nothing is half done."""

import errno
import io
from pathlib import Path

import pytest

from bcr_runtime.ambient import LogFile, Spool
from bcr_runtime.journal import Journal


class Small(io.BytesIO):
    """A file on a disk with so many bytes left; like a real one it writes what it can and then complains."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, data):
        fits = bytes(data[: self.room - self.tell()])
        if data and not fits:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(fits)


def test_a_write_that_does_not_fit_leaves_the_spool_as_it_was():
    file = Small(10)
    spool = Spool(lambda: file, "a file")
    spool.write(b"12345")
    with pytest.raises(OSError) as caught:
        spool.write(b"678901234")
    assert spool.problem(caught.value) == "a file cannot be written: No space left on device"
    spool.write(b"678")
    assert b"".join(piece for _, _, piece in spool.pieces(100, b"")) == b"12345678"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize("written", [b"", b"1", b"123456"])
@pytest.mark.parametrize("tail", [b"x", b"xyz12"])
def test_the_pieces_are_the_spool_and_behind_it_the_tail(size, written, tail):
    spool = Spool(io.BytesIO, "a file")
    spool.write(written)
    pieces = list(spool.pieces(size, tail))
    assert b"".join(piece for _, _, piece in pieces) == written + tail
    assert [index for index, _, _ in pieces] == list(range(len(pieces)))
    assert {count for _, count, _ in pieces} == {len(pieces)}
    assert all(len(piece) == size for _, _, piece in pieces[:-1])


def test_a_spool_that_cannot_be_made_is_told_when_something_is_to_be_written():
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = Spool(full, "a file")
    with pytest.raises(OSError):
        spool.write(b"1")
    assert [piece for _, _, piece in spool.pieces(10, b"tail")] == [b"tail"]


def test_a_log_that_cannot_be_made_hinders_nobody_and_is_told_once(tmp_path):
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "process.log", "human")
    journal.step("happened")
    journal.close()
    assert journal.take_problem() == f"{tmp_path / 'file' / 'process.log'} cannot be written: File exists"
    assert journal.take_problem() is None


def test_a_log_on_a_full_disk_is_told_with_its_name(tmp_path):
    full = Path("/dev/full")
    file = LogFile(lambda: full.open("a"), tmp_path / "process.log")
    file.write("a line\n")
    assert file.problem is None
    file.flush()
    assert file.problem == f"{tmp_path / 'process.log'} cannot be written: No space left on device"
    file.write("another\n")
    file.close()
    assert file.closed
