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
        if file.name == NAME and (runs / LATEST).is_dir():
            return f"{runs}: here are all runs; name the folder of one, such as {runs / LATEST}"
        if file.name == LATEST or (file.name == NAME and runs.resolve() == default_log_base().resolve()):
            return why_no_latest(runs / LATEST)
    if isinstance(error, OSError):
        return f"{error.filename or file}: {error.strerror}"
    return f"{file}: {error}"
