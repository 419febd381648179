"""Which file a command is to read, and why it cannot."""

from pathlib import Path

from bcr_run.run_folder import LATEST, why_no_latest
from bcr_runtime.places import default_log_base

NAME = "record.msgpack"  # of the record in a run's folder


def found(path: Path) -> Path:
    """The file that a path names: itself, or the record in the folder of a run."""
    return path / NAME if path.is_dir() else path


def why_unread(file: Path, error: Exception) -> str:
    """What to tell of a file that cannot be opened or holds something else; the file that could not be written comes first."""
    if isinstance(error, FileNotFoundError):
        runs = file.parent
        there = [each for each in (runs / LATEST, *sorted(runs.glob(f"*/{NAME}"), reverse=True)) if each.exists()]
        if file.name in (NAME, LATEST) and there:
            run = there[0] if there[0].name == LATEST else there[0].parent
            return f"{runs}: here are runs; name the folder of one, such as {run}"
        if file.name in (NAME, LATEST) and runs.resolve() == default_log_base().resolve():
            return why_no_latest(runs / LATEST)
    if isinstance(error, OSError):
        return f"{error.filename or file}: {error.strerror}"
    return f"{file}: {error}"
