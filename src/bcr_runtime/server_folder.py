"""The folder in which a service of servers with a leader keeps its disks: looked at before anything is started.

Of what a service is, no disk of a server says all; a file beside them does. Where it says that every server had its disk, one that is
missing now is lost: a server that began without it might vote twice, and forget what it has confirmed.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from bcr.chain.settings import Settings
from bcr.stable.disk import DiskError
from bcr_disk.folders import claim, demand_usable
from bcr_disk.sqlite import ENDING
from bcr_runtime.ambient import LEAVE_LIMIT_S
from bcr_runtime.data_folder import OF_SERVERS, disks_in

FORMAT = 1


def _terms(settings: Settings, protocol: str) -> dict[str, Any]:
    """What has to be the same each time that the service is started, by the words of its file."""
    return {
        "format": FORMAT,
        "protocol": protocol,
        "t": settings.t,
        "members": list(settings.first_members),
        "object": settings.object_name,
        "client_window": settings.client_window,
        "state_limit": settings.state_limit_bytes,
    }


def open_server_folder(settings: Settings, protocol: str, owner: str) -> bool:
    """Claim the folder that the settings name; returns whether there is a service in it to go on with.

    Raises DiskError, in one line, where another process uses it, where it is of another service or another version, where others
    may read it, or where a disk is lost.
    """
    folder = Path(settings.data_folder)
    claim(folder, owner, LEAVE_LIMIT_S)
    demand_usable(folder)
    return is_continued(settings, protocol)


def is_continued(settings: Settings, protocol: str) -> bool:
    """Whether there is a service in the folder to go on with; if there is nothing, it becomes one's. Raises DiskError."""
    folder = Path(settings.data_folder)
    disks, mark = disks_in(folder), folder / OF_SERVERS
    if not mark.exists():
        if disks:
            raise DiskError(f"{folder} has disks of a chain, such as {disks[0]}{ENDING}; give another folder")
        _write(mark, _terms(settings, protocol) | {"begun": False})
        return False
    try:
        found = json.loads(mark.read_text())
        is_begun = found.pop("begun")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DiskError(f"{mark} cannot be read, or does not say of which service the disks are: {error}") from error
    for name, value in _terms(settings, protocol).items():
        if found.get(name) != value:
            raise DiskError(f"{folder} is of a service with {name} = {found.get(name)} and not {value}")
    missing = [name for name in map(_server, range(settings.num_replicas)) if name not in disks]
    if is_begun and missing:
        raise DiskError(f"the disk of {missing[0]} is lost: {folder / missing[0]}{ENDING} was there when the service was last started")
    return bool(disks)


def note_begun(settings: Settings) -> None:
    """All servers have their disks now."""
    mark = Path(settings.data_folder) / OF_SERVERS
    with contextlib.suppress(OSError, ValueError):  # then it is not noticed if one is missing later
        _write(mark, json.loads(mark.read_text()) | {"begun": True})


def _server(position: int) -> str:
    return f"replica_{position}"


def _write(mark: Path, terms: dict[str, Any]) -> None:
    """All of it or nothing, for the owner alone. Raises DiskError."""
    beside = mark.with_suffix(".new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps(terms, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, mark)
    except OSError as error:
        raise DiskError(f"{mark} cannot be written: {error.strerror}") from error
