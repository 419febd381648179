"""Files to which a line of JSON is added whenever something is known, and which whoever writes them may be killed in the middle of."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def lines_of_type(path: Path, kind: type[T], what: str) -> list[T]:
    """What stands in the file, if there is one; a line that is cut off is passed over.

    Raises ValueError where another line is none of this type, for the file is then another's; `what` says which were expected.
    """
    found: list[T] = []
    if not path.exists():
        return found
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            found.append(msgspec.json.decode(line, type=kind))
        except msgspec.DecodeError as error:
            is_cut_off = line[:1] in (b"{", b"[") and not isinstance(error, msgspec.ValidationError)
            if line.strip() and not is_cut_off:
                raise ValueError(f"{path}: not {what}: line {number}: {error}") from error
    return found


def add_line(path: Path, line: bytes) -> None:
    """Add a line, in its own line also where the last one is cut off."""
    with open(path, "ab") as file:
        file.write(b"\n" * is_cut_off(path) + line + b"\n")


def is_cut_off(path: Path) -> bool:
    """Whether the file's last line is without its end."""
    if not path.exists() or not path.stat().st_size:
        return False
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"
