"""Directories that are there after a power cut: what is made in one is on the disk only once that one has been synced."""

import os
from pathlib import Path


def make_directory(path: Path) -> None:
    """Make it, and those above it that are missing, for their owner alone; what is there stays. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True, mode=0o700)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
