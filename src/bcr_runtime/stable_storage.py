"""How replicas, servers and Olympus keep what they must not forget: on their disks, or, where nothing is to be durable, nowhere.

Whatever goes wrong with a disk ends the process at once: who cannot keep its word says nothing more.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from bcr.chain.ledger import Ledger
from bcr.chain.settings import Settings
from bcr.raft.disk_store import DiskStore
from bcr.raft.persistent import StableStorage
from bcr.signed.authentication import Authentication, keys_of
from bcr.signed.signing import KEY_SEED_SIZE, Keys
from bcr.stable.chain import DiskOwner, Stable
from bcr.stable.disk import Content, Disk, DiskError, Room, Row
from bcr.stable.olympus_log import NoOlympusLog, OlympusLog, Terms
from bcr.state.running import RunningState
from bcr_runtime import ambient
from bcr_runtime.places import DISKS_VARIABLE
from bcr_runtime.processes import run_folder

FOLDER = "disks"  # below a run's logs, where no folder is given
OLYMPUS = "olympus"


def disk_folder(settings: Settings) -> Path:
    """Where the disks of a run are: in the folder that was given for them, on this host or all, or beside its logs."""
    given = os.environ.get(DISKS_VARIABLE)
    if given:
        return Path(given)
    return Path(settings.data_folder) if settings.data_folder else run_folder(settings) / FOLDER


class _OrEnd:
    """An error of a disk ends the process: nothing is tried twice. No generator, for a process looks for room after each message."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> Literal[False]:
        if isinstance(error, DiskError):
            ambient.end_at_once(str(error))
        return False


_or_end = _OrEnd()


class _StrictDisk:
    """A disk that whoever writes to it does not outlive when it fails."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.name = disk.name

    def read(self) -> Content:
        with _or_end:
            return self._disk.read()

    def append(self, row: Row) -> None:
        with _or_end:
            self._disk.append(row)

    def sync(self) -> None:
        with _or_end:
            self._disk.sync()

    def checkpoint(self, facts: Mapping[str, bytes], parts: Mapping[int, bytes], first: int) -> None:
        with _or_end:
            self._disk.checkpoint(facts, parts, first)

    def cut(self, row: Row) -> None:
        with _or_end:
            self._disk.cut(row)

    def reserve(self, size: int) -> None:
        with _or_end:
            self._disk.reserve(size)

    def release(self) -> None:
        with _or_end:
            self._disk.release()

    def room(self) -> Room:
        with _or_end:
            return self._disk.room()

    def close(self) -> None:
        self._disk.close()


class OnDisk(Stable):
    """What a durable replica keeps; the process ends where its disk fails, or holds another thing than was written."""

    def keys(self, authentication: Authentication, olympus_key: bytes) -> Keys:
        """The replica's own: those that it had, where it had some."""
        return keys_of(authentication, self.identity.seed, olympus_key)

    def begin(self, configuration: bytes, state: RunningState) -> None:
        with _or_end:
            super().begin(configuration, state)

    def resume(self, ledger: Ledger, configuration: bytes) -> None:
        with _or_end:
            super().resume(ledger, configuration)


class Nowhere:
    """What a replica keeps whose run is not durable: nothing, and its keys are new."""

    has_restarted = has_begun = is_dirty = False
    said_before = 0

    def keys(self, authentication: Authentication, olympus_key: bytes) -> Keys:
        return keys_of(authentication, ambient.random_bytes(KEY_SEED_SIZE), olympus_key)

    def nothing(self, *_: Any) -> None:
        pass

    begin = ordered = wedged = catches_up = sync = signed_checkpoint = completed_checkpoint = nothing


def open_stable(settings: Settings, name: str, position: int, configuration: int) -> OnDisk | Nowhere:
    """What the replica called `name`, at this place of a configuration, keeps; it is made where there is none yet."""
    if not settings.durable:
        return Nowhere()
    path = disk_folder(settings) / f"{name}-configuration_{configuration}"
    seed = ambient.random_bytes(KEY_SEED_SIZE)
    with _or_end:
        disk = _StrictDisk(ambient.open_disk(path, f"{name} of configuration {configuration}"))
        return OnDisk(disk, DiskOwner(configuration, position, seed))


def open_server_store(settings: Settings, name: str, position: int) -> StableStorage:
    """Where the server of Raft called `name` finds what it must not forget, and puts it."""
    if not settings.durable:
        return ambient.open_store(name)
    with _or_end:
        return DiskStore(_StrictDisk(ambient.open_disk(disk_folder(settings) / name, name)), position)


def open_olympus_log(settings: Settings) -> OlympusLog | NoOlympusLog:
    """What Olympus keeps; it is made where there is none yet."""
    seed = ambient.random_bytes(KEY_SEED_SIZE)
    if not settings.durable:
        return NoOlympusLog(seed)
    with _or_end:
        disk = _StrictDisk(ambient.open_disk(disk_folder(settings) / OLYMPUS, "Olympus"))
        return OlympusLog(disk, seed, Terms.of(settings), settings.run_name)
