"""A small file beside disks that says what they are: after a power cut it is there as it was before, or as it is to be."""

import os
from pathlib import Path

from bcr_disk.directories import sync_directory


def write_whole_file(path: Path, text: str) -> None:
    """Write the file, all of it or nothing, for its owner alone; when this returns it survives a power cut. Raises OSError."""
    draft = path.with_name(f".{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)
