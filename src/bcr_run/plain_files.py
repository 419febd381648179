"""Files that a command is given to read: what is none of a file's kind is told, and not waited for."""

import errno
from pathlib import Path

NO_FILE = "a pipe, a socket or a device, and no file"


def is_to_be_read(path: Path) -> bool:
    """Whether nobody waits without end who reads this: a file, what a shell gives a command below /dev, or nothing at all."""
    return path.is_file() or path.is_dir() or not path.exists() or path.is_relative_to("/dev")


def contents(path: Path) -> bytes:
    """What is in the file. Raises OSError, also where it is a pipe, into which perhaps nobody ever writes."""
    if not is_to_be_read(path):
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    return path.read_bytes()
