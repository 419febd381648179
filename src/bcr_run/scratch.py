"""Temporary folders that go in any case: with the command, or, when it was killed, when the next one starts."""

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

PREFIX = "bcr-scratch-"
LOCK = "in-use"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder that is gone behind the block; before it, those are removed whose commands were killed."""
    with _ending_in_order():
        _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # The lock belongs to the open file, so it ends with this process however that ends.
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """A signal that would end this process on the spot raises SystemExit, so that what was made for a moment goes.

    That is more than our folder: Python tries out, with a file of its own, where temporary ones can be made.
    """

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    is_ours = threading.current_thread() is threading.main_thread()
    ending = [each for each in (signal.SIGTERM, signal.SIGHUP) if is_ours and signal.getsignal(each) is signal.SIG_DFL]
    for number in ending:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)


def _remove_abandoned() -> None:
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid():
        return
    # Without a lock file yet it is being made, or its maker was killed in between: nothing is in it.
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
