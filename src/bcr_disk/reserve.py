"""Room that is set aside beside a disk (specification, 13.10), in a file of nothing, which gives it back piece by piece.

Others may fill the file system, but they have to leave this room. When nothing else is left, a piece of it is given back, and what must
be written goes there. Another program may take that piece first, and nobody can prevent this. So only a little is given back at a time.
"""

import errno
import os
from pathlib import Path

from bcr.stable.disk import Room

ENDING = ".reserve"
MARK_BYTES = 16 << 20  # free beside what is set aside: with less there is little left
MARGIN_BYTES = 1 << 20  # that are free before anything is written
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def free_bytes(folder: Path) -> int:
    """What whoever asks may still write in this folder. Raises OSError."""
    statistics = os.statvfs(folder)
    return statistics.f_bavail * statistics.f_frsize


class Reserve:
    """The file at `path`, of what was set aside there before; it is made when something is. All methods raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wanted_bytes = 0
        self._size = path.stat().st_size if path.exists() else 0
        self._largest_size = self._size  # that it ever was

    def take(self, wanted_bytes: int) -> None:
        """Have so much set aside, or as much of it as leaves others the mark."""
        self._wanted_bytes = wanted_bytes
        size = min(wanted_bytes, self._size + free_bytes(self._path.parent) - MARK_BYTES)
        if size > self._size:
            file = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(file, 0, size)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
            finally:
                self._size = os.fstat(file).st_size
                os.close(file)
        self._largest_size = max(self._largest_size, self._size)

    def make_room(self, needed_bytes: int) -> None:
        """Give back as much as lets so many bytes be written, where that is there."""
        lacking_bytes = needed_bytes + MARGIN_BYTES - free_bytes(self._path.parent) if self._size else 0
        if lacking_bytes > 0:
            self._size = max(0, self._size - lacking_bytes)
            os.truncate(self._path, self._size)

    def give_back(self) -> None:
        """All of it."""
        self._path.unlink(missing_ok=True)
        self._size = self._wanted_bytes = self._largest_size = 0

    def room(self) -> Room:
        """Takes back what was given, as soon as there is twice the mark."""
        free_space = free_bytes(self._path.parent)
        if self._size < self._wanted_bytes and free_space >= 2 * MARK_BYTES:
            self.take(self._wanted_bytes)
        if 2 * self._size < self._largest_size:
            return "spent"
        return "enough" if self._size >= self._wanted_bytes and free_space >= MARK_BYTES else "low"
