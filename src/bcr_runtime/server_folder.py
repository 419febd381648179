"""The folder in which a service of servers with a leader keeps its disks: looked at before anything is started.

Of what a service is, no disk of a server says all; a file beside them does. Where it says that every server had its disk, one that is
missing now is lost: a server that began without it might vote twice, and forget what it has confirmed.

Servers that sign have their keys on their disks, each its own, so that who has lost the one has lost the other. They are made with the
disks, before any server begins, and the file names the public ones: a disk with another key is that of another service.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from bcr.chain.settings import Settings
from bcr.evidence.backups import Kept
from bcr.evidence.server_backups import SERVER_FORMAT, SIGNING, RestoredLog, ServerBackup, ServerTerms
from bcr.raft.disk_store import DiskStore, demand_server, facts_of_server, seed_on
from bcr.signed.signing import KEY_SEED_SIZE, SigningKey, public_keys
from bcr.stable.disk import DiskError
from bcr_disk.folders import claim, claimed, content_of, demand_usable
from bcr_disk.sqlite import ENDING, SqliteDisk, content_beside
from bcr_disk.whole_file import write_whole_file
from bcr_runtime.ambient import LEAVE_LIMIT_S, random_bytes, wall_clock
from bcr_runtime.data_folder import OF_SERVERS, disks_in


class NotedService(ServerTerms, frozen=True):
    """What the file says: the terms, whether every server has had its disk, and the public keys of those that sign, in hexadecimal."""

    begun: bool
    keys: tuple[Annotated[str, msgspec.Meta(pattern="^(?:[0-9a-f]{2})*$")], ...] = ()

    @property
    def terms(self) -> ServerTerms:
        return ServerTerms(*(getattr(self, name) for name in ServerTerms.__struct_fields__))


def _terms(settings: Settings, protocol: str) -> ServerTerms:
    return ServerTerms(SERVER_FORMAT, protocol, settings.t, settings.first_members, settings.object_name, settings.client_window,
                       settings.state_limit_bytes)  # fmt: skip


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
    disks = disks_in(folder)
    found = noted(folder)
    if found is None:
        if disks:
            raise DiskError(
                f"{folder} has disks of a chain, or of a restore that was interrupted, such as {disks[0]}{ENDING}; give another folder"
            )
        _note(folder, _terms(settings, protocol), is_begun=False)
        _deal_keys(settings, protocol)
        return False
    difference = found.terms.difference(_terms(settings, protocol))
    if difference:
        raise DiskError(f"{folder} is of a service with {difference}")
    missing_names = [name for name in map(_server, range(settings.num_replicas)) if name not in disks]
    if found.begun and missing_names:
        raise DiskError(
            f"the disk of {missing_names[0]} is lost: {folder / missing_names[0]}{ENDING} was there when the service was last started"
        )
    if protocol == SIGNING and found.begun:
        _demand_keys(settings, found.keys)
    elif protocol == SIGNING:
        _deal_keys(settings, protocol)  # whoever began it ended before any server was there
        return False
    return bool(disks)


def noted(folder: Path) -> NotedService | None:
    """What the file in the folder says of the service; None where there is none. Raises DiskError where it says something else."""
    mark = folder / OF_SERVERS
    if not mark.exists():
        return None
    if not mark.is_file():
        raise DiskError(f"{mark} is no file, and so does not say of which service the disks are")
    try:
        return msgspec.json.decode(mark.read_bytes(), type=NotedService)
    except OSError as error:
        raise DiskError(f"{mark} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DiskError(f"{mark} does not say of which service the disks are: {error}") from error


def _deal_keys(settings: Settings, protocol: str) -> None:
    """Make the disks of servers that sign, each with its key, and note the public ones. Raises DiskError."""
    if protocol == SIGNING:
        folder = Path(settings.data_folder)
        for position in range(settings.num_replicas):
            with contextlib.closing(SqliteDisk(_path(folder, position), "whoever deals keys")) as disk:
                if "key" not in disk.read().facts:
                    disk.checkpoint(facts_of_server(position, random_bytes(KEY_SEED_SIZE)), {}, 0)
        public, _ = public_keys(server_seeds(settings), settings.num_replicas)
        _note(folder, _terms(settings, protocol), is_begun=True, keys=public)


def _demand_keys(settings: Settings, keys: Sequence[str]) -> None:
    """Raises DiskError unless each disk has the key that the file names."""
    public, _ = public_keys(server_seeds(settings), settings.num_replicas)
    for position, key in enumerate(public):
        if position >= len(keys) or keys[position] != key.hex():
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
    folder = Path(settings.data_folder)
    with contextlib.suppress(DiskError):  # then it is not noticed if one is missing later
        found = noted(folder)
        if found is not None and not found.begun:
            _note(folder, found.terms, is_begun=True)


def back_up_servers(folder: Path) -> tuple[ServerBackup, RestoredLog]:
    """The backup of a service whose disks are in the folder, as it was or is just now; and what a restored one begins with.

    What was answered before this was called is in it. Raises DiskError where the disks do not hold enough, or are damaged.
    """
    found = noted(folder)
    if found is None:
        raise DiskError(f"{folder} has no disks of a service")
    if not found.begun:
        raise DiskError(f"{folder} is of a service whose servers have not all begun, which has answered nobody yet")
    moment = wall_clock().isoformat(timespec="seconds")
    paths = {position: _path(folder, position) for position in range(found.terms.num_servers)}
    disks = {_server(position): Kept.of(content_beside(path)) for position, path in paths.items() if path.exists()}
    for kept in disks.values():
        kept.facts.pop("key", None)  # keys are made anew
    backup = ServerBackup(found.terms, tuple(bytes.fromhex(key) for key in found.keys), moment, disks)
    return backup, backup.check()


def restore_servers(backup: ServerBackup, folder: Path, owner: str) -> RestoredLog:
    """Make a folder of disks of a backup, under new keys where servers sign; what that rests on.

    Raises DiskError, and then there is no service in the folder.
    """
    restored, terms = backup.check(), backup.terms
    with claimed(folder, owner):
        if disks_in(folder) or (folder / OF_SERVERS).exists():
            raise DiskError(f"{folder} has disks already, and what is on them would be gone: give a folder that is empty, or not there")
        seeds = [random_bytes(KEY_SEED_SIZE) for _ in backup.keys]
        keys = [SigningKey(seed) for seed in seeds]
        standing = restored.standing(keys) if keys else None
        for position in range(terms.num_servers):
            with contextlib.closing(SqliteDisk(_path(folder, position), owner)) as disk:
                disk.checkpoint(facts_of_server(position, seeds[position] if keys else None), {}, 0)
                restored.put_into(DiskStore(disk, position), standing)
        # Only now: without it the disks are no service's, and nobody begins with some of them.
        _note(folder, terms, is_begun=True, keys=[key.public for key in keys])
    return restored


def _server(position: int) -> str:
    return f"replica_{position}"


def _path(folder: Path, position: int) -> Path:
    return folder / f"{_server(position)}{ENDING}"


def _note(folder: Path, terms: ServerTerms, *, is_begun: bool, keys: Sequence[bytes] = ()) -> None:
    """Write the file: all of it or nothing, for the owner alone. Raises DiskError."""
    found = NotedService(**msgspec.structs.asdict(terms), begun=is_begun, keys=tuple(key.hex() for key in keys))
    mark = folder / OF_SERVERS
    try:
        write_whole_file(mark, msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")
    except OSError as error:
        raise DiskError(f"{mark} cannot be written: {error.strerror}") from error
