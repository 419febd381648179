"""The folder in which a service keeps its disks from one run to the next: looked at before anything is started."""

import contextlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.settings import Settings
from bcr.evidence.backups import Backup, DisksApart, Kept
from bcr.signed.authentication import keys_of
from bcr.signed.encoding import decode
from bcr.signed.signing import KEY_SEED_SIZE, Signed
from bcr.signed.violations import ProtocolViolation
from bcr.stable.chain import RESERVED_BYTES, base_of
from bcr.stable.disk import Content, DamagedError, DiskError, unsealed
from bcr.stable.inspection import ReplicaDisk
from bcr.stable.olympus_log import OlympusFacts, OlympusLog, Terms
from bcr.stable.recovery import Recovery, recovered
from bcr_disk.folders import claim, claimed, claims, content_of, demand_usable
from bcr_disk.reserve import MARK_BYTES, free_bytes
from bcr_disk.sqlite import ENDING, SqliteDisk, content_beside, contents_beside
from bcr_disk.whole_file import write_whole_file
from bcr_runtime import ambient
from bcr_runtime.ambient import LEAVE_LIMIT_S
from bcr_runtime.stable_storage import OLYMPUS, disk_folder

MOST_READINGS = 100  # of disks that are written meanwhile, for a backup, until they are of moments that lie close enough
OF_SERVERS = "servers"  # the file that says that disks are those of servers with a leader, and of which service
MOST_KEPT = 5  # configurations before the current one, where it cannot be told whether the last one is on enough disks
MARK = "service"  # the file that says, in a host's folder of disks, of which service they are: the key of its Olympus


def open_data_folder(settings: Settings, owner: str) -> OlympusFacts | None:
    """Claim the folder that the settings name; returns what Olympus has kept there, None where it has not begun yet.

    Raises DiskError, in one line, where another process uses it, where it is of another service or another version, where others
    may read its keys, or where it is damaged.
    """
    folder = Path(settings.data_folder)
    claim(folder, owner, LEAVE_LIMIT_S)
    demand_usable(folder)
    if (folder / OF_SERVERS).exists():
        raise DiskError(f"{folder} has disks of another protocol, as {folder / OF_SERVERS} says; give another folder")
    content = content_of(folder, OLYMPUS)
    if content is None or not content.facts:
        # Its first facts are there before any replica is made; so one that has none beside others was emptied, and not begun just now.
        others = [name for name in disks_in(folder) if name != OLYMPUS]
        if others:
            lost = f"no {OLYMPUS}{ENDING}" if content is None else f"an {OLYMPUS}{ENDING} with nothing in it"
            raise DiskError(f"{folder} has {others[0]}{ENDING} and {lost}: the disk of Olympus is lost; "
                            "./bcr olympus recover FILE makes another")  # fmt: skip
        return None
    facts = OlympusFacts.read(content, str(folder / OLYMPUS))
    difference = facts.terms.difference(Terms.of(settings))
    if difference:
        raise DiskError(f"{folder} is of a service with {difference}")
    if facts.issued is not None:
        _remove_outdated(folder, facts.issued.configuration.statement.number)
    return facts


def claim_host_folder(folder: Path, owner: str) -> None:
    """Claim the folder where a host keeps the disks of its replicas. Raises DiskError, as `open_data_folder` does."""
    claim(folder, owner, LEAVE_LIMIT_S)
    demand_usable(folder)


def take_up_host_folder(folder: Path, olympus_key: bytes, current: int) -> str | None:
    """Make a host's folder one of the service whose Olympus has this public key; why it is none, where it is of another.

    Disks of replicas that were replaced before configuration `current` began are removed, but for the last ones that one could go on from.
    """
    mark = folder / MARK
    try:
        if not mark.exists() or not (mark.read_bytes() or disks_in(folder)):  # an empty one, of who ended as it wrote it
            write_whole_file(mark, olympus_key.hex())
        said = mark.read_bytes()
        if re.fullmatch(rb"(?:[0-9a-f]{2})*", said) is None:
            return f"{mark} is damaged: it does not say of which service the disks are; give another folder, or empty this one"
        if said != olympus_key.hex().encode():
            return f"{folder} has disks of another service, as {mark} says; give another folder, or empty it"
        _remove_outdated(folder, current)
    except OSError as error:
        return f"{folder} cannot be used: {error.strerror}"
    return None


def demand_room(settings: Settings, *, has_olympus: bool = True) -> None:
    """Raises DiskError, in one line, where there is less room for disks than replicas and Olympus, if any, set aside when they begin."""
    folder = disk_folder(settings)
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    needed_bytes, free_space = (settings.num_replicas + has_olympus) * RESERVED_BYTES + MARK_BYTES, free_bytes(there)
    if free_space < needed_bytes:
        raise DiskError(f"{folder} has room for {free_space >> 20} MiB, and disks for t = {settings.t} begin with {needed_bytes >> 20} MiB")


def descriptors() -> tuple[int, ...]:
    """What holds the claims of this process: for another program that it starts, and that is to hold them too."""
    return claims()


def _remove_outdated(folder: Path, current: int) -> None:
    """Remove the disks of replicas that were replaced, but for those of the last configurations from which one could still go on.

    The current one may have issued a state that none of its replicas has yet. Where Olympus's disk is lost with that, it takes the disks of
    t+1 replicas of one before to make another log (specification, 13.9); a number that was burnt, or that few began with, is no such one.
    """
    paths_by_number: dict[int, list[Path]] = {}
    for path in folder.iterdir():
        if found := re.match(r"replica_\d+-configuration_(\d+)\.", path.name):
            paths_by_number.setdefault(int(found[1]), []).append(path)
    kept = 0  # configurations before the current one that have begun here
    for number in sorted((each for each in paths_by_number if each < current), reverse=True):
        if kept == MOST_KEPT:
            for path in paths_by_number[number]:
                path.unlink()
            continue
        begun = _begun(path for path in paths_by_number[number] if path.suffix == ENDING)
        kept += bool(begun)
        if _is_on_enough(begun):
            kept = MOST_KEPT


def _begun(paths: Iterable[Path]) -> list[Content]:
    """What is on those of the disks whose replicas had begun, as far as it can be read."""
    contents = []
    for path in paths:
        with contextlib.suppress(DiskError):
            contents.append(content_beside(path))
    return [content for content in contents if {"base", "configuration"} <= content.facts.keys()]


def _is_on_enough(begun: Sequence[Content]) -> bool:
    """Whether t+1 of these have begun, or one has a checkpoint that all have signed."""
    for content in begun:
        with contextlib.suppress(DiskError, ProtocolViolation):
            issued = decode(SignedConfiguration, unsealed("configuration", content.facts["configuration"])).statement
            if base_of(content).proof or len(begun) > issued.t:
                return True
    return False


def disks_in(folder: Path) -> list[str]:
    """The names of the disks in a folder: Olympus first, then replicas by configuration and position."""
    return sorted((path.stem for path in folder.glob(f"*{ENDING}")), key=lambda name: (name != OLYMPUS, *_place(name)))


def _place(name: str) -> tuple[int, ...]:
    return tuple(map(int, reversed(re.findall(r"\d+", name))))


def read_disk(folder: Path, name: str) -> Content:
    """What is on a disk of the folder. Raises DiskError, also where somebody uses it."""
    content = content_of(folder, name)
    if content is None:
        raise DiskError(f"{folder} has no disk {name}")
    return content


def back_up(folders: Sequence[Path]) -> tuple[Backup, Recovery]:
    """The backup of a service whose disks are in these folders, as it was or is just now; and what a restored one begins with.

    What all replicas had testified to before this was called is in it; what Olympus alone had vouched for is, once the next configuration has
    begun. Raises DiskError where the disks do not hold enough, or are damaged.
    """
    of_olympus = [folder for folder in folders if OLYMPUS in disks_in(folder)]
    if len(of_olympus) != 1:
        raise DiskError(f"one of the folders has to have {OLYMPUS}{ENDING}, and {len(of_olympus)} have: {', '.join(map(str, folders))}")
    for _ in range(MOST_READINGS - 1):
        with contextlib.suppress(DisksApart):
            return _read_once(folders, of_olympus[0])
    return _read_once(folders, of_olympus[0])


def _read_once(folders: Sequence[Path], of_olympus: Path) -> tuple[Backup, Recovery]:
    """Raises DiskError, and DisksApart where more was written meanwhile than is good."""
    # Olympus first: of what it has issued after that nothing has been answered yet, or the disks have it as well.
    facts = OlympusFacts.read(content_beside(of_olympus / f"{OLYMPUS}{ENDING}"), str(of_olympus / OLYMPUS))
    names = [(folder, name) for folder in folders for name in disks_in(folder) if name != OLYMPUS]
    read = contents_beside([folder / f"{name}{ENDING}" for folder, name in names])
    contents = dict(zip((name for _, name in names), read, strict=True))
    disks = {name: Kept.of(content) for name, content in contents.items() if content.facts}  # the others are being made just now
    moment = ambient.wall_clock().isoformat(timespec="seconds")
    highest_place = max([facts.highest, *(_place(name)[0] for name in disks)])
    backup = Backup(keys_of(facts.terms.authentication, facts.seed).public, facts.terms, highest_place, moment, disks)
    return backup, backup.check()


def restore(backup: Backup, folder: Path, owner: str) -> tuple[Recovery, bytes]:
    """Make a folder of disks of a backup, under a new key of Olympus; what that rests on, and the public key.

    Raises DiskError, and then there is no such folder, unless it was there.
    """
    recovery = backup.check()
    with claimed(folder, owner):
        if disks_in(folder):
            raise DiskError(f"{folder} has disks already, and what is on them would be gone: give a folder that is empty, or not there")
        number = recovery.configuration.number
        for name, kept in backup.disks.items():
            if _place(name)[0] == number:
                with contextlib.closing(SqliteDisk((folder / name).with_suffix(ENDING), owner)) as disk:
                    disk.checkpoint(kept.facts, dict(kept.parts), 0)
                    for row in kept.rows:
                        disk.append(row)
                    disk.sync()
        return recovery, _begin_log(folder, recovery, backup.terms, owner)


def _begin_log(folder: Path, recovery: Recovery, terms: Terms, owner: str) -> bytes:
    """Make Olympus's log of what is known of another one; returns its new public key."""
    seed = ambient.random_bytes(KEY_SEED_SIZE)
    keys = keys_of(terms.authentication, seed)
    with contextlib.closing(SqliteDisk((folder / OLYMPUS).with_suffix(ENDING), owner)) as held:
        issued = Signed.sign(recovery.configuration, 0, keys)
        OlympusLog(held, seed, terms, "recovered").recover(issued, recovery.state, recovery.highest, recovery.is_decided)
    return keys.public


def recover(settings: Settings, was: bytes, owner: str) -> tuple[Recovery, bytes]:
    """Make a log for Olympus in a folder whose disks of replicas are all that is left; what it rests on, and its public key.

    `was` is the public key that was lost, or empty. Raises DiskError, and then nothing has changed.
    """
    folder = Path(settings.data_folder)
    if not folder.is_dir():
        raise DiskError(f"there is no folder {folder}")
    with claimed(folder, owner, LEAVE_LIMIT_S):
        return _recover(folder, settings, was, owner)


def _recover(folder: Path, settings: Settings, was: bytes, owner: str) -> tuple[Recovery, bytes]:
    demand_usable(folder)
    content = content_of(folder, OLYMPUS)
    if content is not None and content.facts:
        raise DiskError(f"{folder / OLYMPUS}{ENDING} is there: nothing is lost; if it is damaged, put it elsewhere")
    names = [name for name in disks_in(folder) if name != OLYMPUS]
    disks: dict[str, ReplicaDisk] = {}
    contents: dict[str, Content] = {}
    doubts = []
    keys = keys_of(settings.authentication, ambient.random_bytes(KEY_SEED_SIZE))
    for name in names:
        try:
            contents[name] = read_disk(folder, name)
            disk = ReplicaDisk.read(contents[name], name)
        except DamagedError as error:
            doubts.append(f"not trusted: {error}")
            continue
        signed = (("a configuration", disk.configuration), ("a catch-up", disk.caught_up))
        foreign = [what for what, each in signed if each is not None and not each.is_authentic(keys.author(was))] if was else []
        if foreign:
            doubts.append(f"not trusted: {name} has {foreign[0]} that the lost key did not sign")
        else:
            disks[name] = disk
    try:
        recovery = recovered([*disks.values()], max((_place(name)[0] for name in names), default=0), bool(was))
    except DiskError as error:
        raise DiskError("; ".join([str(error), *doubts])) from error
    found = recovery.configuration
    for what, mine, given in (("t", found.t, settings.t), ("authentication", found.authentication, settings.authentication),
                              ("acceptance", found.acceptance, settings.acceptance)):  # fmt: skip
        if mine != given:
            raise DiskError(f"{folder} is of a service with {what} = {mine} and not {given}")
    recovery = recovery.with_vouched(settings, contents, disks)
    return recovery.beside(doubts), _begin_log(folder, recovery, Terms.of(settings), owner)
