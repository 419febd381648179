"""A folder of disks that one run uses at a time: claimed, and looked at before anything is started."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bcr.stable.disk import Content, DiskError
from bcr_disk.directories import make_directory
from bcr_disk.sqlite import ENDING, content_beside, demand_ours, locked

_claims: list[int] = []  # of this process and, for as long as they live, of those that it starts


def claim(folder: Path, owner: str, patience_s: float = 0.0) -> None:
    """Make the folder ours, for its owner alone, until we and all that we started have ended; it is made if need be.

    Raises DiskError where another has it, whom the text names. One that has ended and whose processes end just now is
    waited for, `patience_s` at the most.
    """
    _claims.append(_lock_descriptor(folder, owner, patience_s))


@contextlib.contextmanager
def claimed(folder: Path, owner: str, patience_s: float = 0.0) -> Iterator[None]:
    """The same for as long as it takes. Raises DiskError."""
    lock = _lock_descriptor(folder, owner, patience_s)
    try:
        yield
    finally:
        os.close(lock)


def _lock_descriptor(folder: Path, owner: str, patience_s: float) -> int:
    lock = folder / "lock"
    try:
        make_directory(folder)
        return locked(lock, owner, str(folder), 0.0 if _is_held_by_somebody_living(lock) else patience_s)
    except OSError as error:
        raise DiskError(f"{folder} cannot be used: {error.strerror}") from error


def claims() -> tuple[int, ...]:
    """The descriptors of the claims that this process has made."""
    return tuple(_claims)


def _is_held_by_somebody_living(lock: Path) -> bool:
    """Whether the process that the lock names is there; where that cannot be known it is taken to be."""
    if not lock.exists() or not Path("/proc/self").exists():
        return True
    return Path("/proc", lock.read_text(errors="replace").strip().rpartition("process ")[2] or "0").is_dir()


def demand_usable(folder: Path) -> None:
    """Raises DiskError where a disk in the folder has another format, or is for others to read."""
    for path in sorted(folder.glob(f"*{ENDING}")):
        demand_ours(path)


def content_of(folder: Path, name: str) -> Content | None:
    """What is on the disk of this name; None where there is none. It is not touched. Raises DiskError."""
    path = (folder / name).with_suffix(ENDING)
    if not path.exists():
        return None
    demand_ours(path)
    return content_beside(path)
