"""The folder in which a service of servers with a leader keeps its disks: looked at before anything is started.

Of what a service is, no disk of a server says all; a file beside them does. Where it says that every server had its disk, one that is
missing now is lost: a server that began without it might vote twice, and forget what it has confirmed.

Servers that sign have their keys on their disks, each its own, so that who has lost the one has lost the other. They are made with the
disks, before any server begins, and the file names the public ones: a disk with another key is that of another service.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from bcr.chain.settings import Settings
from bcr.raft.disk_store import demand_server, facts_of_server, seed_on
from bcr.signed.signing import KEY_SEED_SIZE, public_keys
from bcr.stable.disk import DiskError
from bcr_disk.folders import claim, content_of, demand_usable
from bcr_disk.sqlite import ENDING, SqliteDisk
from bcr_runtime.ambient import LEAVE_LIMIT_S, random_bytes
from bcr_runtime.data_folder import OF_SERVERS, disks_in

FORMAT = 1
NAMES = {"format", "protocol", "t", "members", "object", "client_window", "state_limit", "begun"}
SIGNING = ("byzantine_raft",)  # protocols whose servers have keys


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
        _deal_keys(settings, protocol)
        return False
    found = noted(folder) or {}
    is_begun, keys = found.get("begun"), found.get("keys")
    for name, value in _terms(settings, protocol).items():
        if found.get(name) != value:
            raise DiskError(f"{folder} is of a service with {name} = {found.get(name)} and not {value}")
    missing = [name for name in map(_server, range(settings.num_replicas)) if name not in disks]
    if is_begun and missing:
        raise DiskError(f"the disk of {missing[0]} is lost: {folder / missing[0]}{ENDING} was there when the service was last started")
    if protocol in SIGNING and is_begun:
        _demand_keys(settings, keys)
    elif protocol in SIGNING:
        _deal_keys(settings, protocol)  # whoever began it ended before any server was there
        return False
    return bool(disks)


def noted(folder: Path) -> dict[str, Any] | None:
    """What the file in the folder says of the service; None where there is none. Raises DiskError where it says something else."""
    mark = folder / OF_SERVERS
    if not mark.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(mark.read_text())
        missing = NAMES - found.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise DiskError(f"{mark} cannot be read: {error}") from error
    if missing:
        raise DiskError(f"{mark} does not say of which service the disks are: it has no {min(missing)}")
    return found


def _deal_keys(settings: Settings, protocol: str) -> None:
    """Make the disks of servers that sign, each with its key, and note the public ones. Raises DiskError."""
    if protocol in SIGNING:
        folder = Path(settings.data_folder)
        for position in range(settings.num_replicas):
            with contextlib.closing(SqliteDisk(_path(folder, position), "whoever deals keys")) as disk:
                if "key" not in disk.read().facts:
                    disk.checkpoint(facts_of_server(position, random_bytes(KEY_SEED_SIZE)), {}, 0)
        public, _ = public_keys(server_seeds(settings), settings.num_replicas)
        _write(folder / OF_SERVERS, _terms(settings, protocol) | {"begun": True, "keys": [key.hex() for key in public]})


def _demand_keys(settings: Settings, keys: Any) -> None:
    """Raises DiskError unless each disk has the key that the file names."""
    public, _ = public_keys(server_seeds(settings), settings.num_replicas)
    for position, key in enumerate(public):
        if not isinstance(keys, list) or len(keys) != len(public) or keys[position] != key.hex():
            path = _path(Path(settings.data_folder), position)
            raise DiskError(f"{path} is of another service: its key is {key.hex()[:16]}…, which {path.parent / OF_SERVERS} does not name")


def server_seeds(settings: Settings) -> tuple[bytes, ...]:
    """The seeds of the servers' keys, by position, of a folder that was opened. Raises DiskError."""
    seeds = []
    for position in range(settings.num_replicas):
        path = _path(Path(settings.data_folder), position)
        content = content_of(path.parent, path.stem)
        if content is None:
            raise DiskError(f"there is no disk {path}")
        demand_server(content, position, str(path))
        seeds.append(seed_on(content, str(path)))
    return tuple(seeds)


def note_begun(settings: Settings) -> None:
    """All servers have their disks now."""
    mark = Path(settings.data_folder) / OF_SERVERS
    with contextlib.suppress(OSError, ValueError):  # then it is not noticed if one is missing later
        _write(mark, json.loads(mark.read_text()) | {"begun": True})


def _server(position: int) -> str:
    return f"replica_{position}"


def _path(folder: Path, position: int) -> Path:
    return folder / f"{_server(position)}{ENDING}"


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
