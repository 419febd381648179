"""Backs up a service into a file, also while it runs, and makes a new service of such a file."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from bcr.evidence.backups import Backup
from bcr.evidence.evidence_files import SERVER_BACKUP, WrongVersion, kind_of
from bcr.evidence.server_backups import RestoredLog, ServerBackup
from bcr.stable.disk import DiskError
from bcr.stable.recovery import Recovery
from bcr_run import output
from bcr_run.plain_files import contents
from bcr_runtime.data_folder import OF_SERVERS, back_up, restore
from bcr_runtime.server_folder import back_up_servers, restore_servers

DONE, BAD_INPUT = 0, 2
RESTORING = """Makes the folder of a new service of a backup, once everything in it is checked: the signatures of Olympus and of the
replicas, and the digests of the states. The new service has a key of Olympus of its own, so that nobody takes what it says for what
the other one, which may have gone on, has said: callers have to be told the new key. A backup of servers of Raft has no signatures
to check, and their callers do not notice that the service is another one; servers among liars get new keys."""
NO_OLYMPUS = "--olympus-key: servers of {} have no Olympus, and nothing in their backup is signed by one"


def main(arguments: Sequence[str]) -> int:
    """`bcr backup`: 0 when the file is there and holds what it should, 2 where that cannot be."""
    parser = argparse.ArgumentParser(
        prog="bcr backup", description=__doc__, epilog="FILE holds private keys of replicas, and is for its owner alone."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="to be written; it must not be there yet")
    parser.add_argument("folders", type=Path, nargs="*", default=[Path("data")], metavar="FOLDER",
                        help="of the service's disks; of a service over several hosts that of Olympus and those of t+1 hosts at least (default: data)")  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        if any((folder / OF_SERVERS).exists() for folder in options.folders):
            return _back_up_servers(options.folders, options.file)
        backup, recovery = back_up(options.folders)
        _write(options.file, backup.pack())
    except (DiskError, OSError) as error:
        output.complain(f"bcr backup: {error}")
        return BAD_INPUT
    print(f"{options.file}: {_summary(backup, recovery)}")
    for sentence in recovery.trusted:
        if sentence.startswith("not trusted: "):
            print(sentence)
    print(f"the key of its Olympus is {backup.olympus_key.hex()}")
    return DONE


def _back_up_servers(folders: Sequence[Path], file: Path) -> int:
    """Raises DiskError and OSError."""
    if len(folders) != 1:
        raise DiskError(f"servers have all their disks in one folder, and {len(folders)} are given")
    backup, restored = back_up_servers(folders[0])
    _write(file, backup.pack())
    print(f"{file}: {_told_of_servers(backup, restored)}")
    return DONE


def restore_main(arguments: Sequence[str]) -> int:
    """`bcr restore`: 0 when the folder is there, 2 where the backup is none that could be used, and nothing was made."""
    parser = argparse.ArgumentParser(prog="bcr restore", description=RESTORING)
    parser.add_argument("file", type=Path, metavar="FILE", help="of ./bcr backup")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to be made, for ./bcr serve --data")
    parser.add_argument("--olympus-key", type=bytes.fromhex, metavar="KEY", help="refuse a backup of a service with another one")
    parser.add_argument("--check", action="store_true", help="check the backup, and make nothing")
    options = parser.parse_args(arguments)
    try:
        data = contents(options.file)
        if _kind_of(data) == SERVER_BACKUP:
            return _restore_servers(ServerBackup.unpack(data), options)
        backup = Backup.unpack(data)
        if options.olympus_key not in (None, backup.olympus_key):
            raise DiskError(f"a backup of another service: the key of its Olympus is {backup.olympus_key.hex()}")
        if options.check:
            print(f"{options.file}: {_summary(backup, backup.check())}")
            return DONE
        recovery, key = restore(backup, options.folder, f"bcr restore {options.file.name}")
    except (DiskError, OSError) as error:
        output.complain(f"bcr restore: {options.file}: {error}")
        return BAD_INPUT
    print(f"{options.folder}: {_summary(backup, recovery)}")
    for sentence in recovery.trusted:
        print(f"trusted: {sentence}")
    if options.olympus_key is None:
        print("not checked: whether it is of the service that you mean, for which there is --olympus-key")
    print("what was written after the backup is not there")
    print(f"the key of Olympus is now {key.hex()}")
    return DONE


def _kind_of(data: bytes) -> str:
    try:
        return kind_of(data)
    except WrongVersion:  # of a record, which is no backup either
        return ""


def _restore_servers(backup: ServerBackup, options: argparse.Namespace) -> int:
    """Raises DiskError and OSError."""
    if options.olympus_key is not None:
        raise DiskError(NO_OLYMPUS.format(backup.terms.protocol))
    if options.check:
        print(f"{options.file}: {_told_of_servers(backup, backup.check())}")
        return DONE
    restored = restore_servers(backup, options.folder, f"bcr restore {options.file.name}")
    print(f"{options.folder}: {_told_of_servers(backup, restored)}")
    for sentence in restored.trusted:
        print(f"trusted: {sentence}")
    print("what was written after the backup is not there, and callers do not notice that: end the other service, or tell them")
    return DONE


def _told_of_servers(backup: ServerBackup, restored: RestoredLog) -> str:
    terms = backup.terms
    return (f"as of {backup.taken}, {terms.protocol}, t = {terms.t}, object {terms.object}, {len(backup.disks)} disks of servers, "
            f"up to entry {restored.last.index}, of term {restored.last.term}")  # fmt: skip


def _summary(backup: Backup, recovery: Recovery) -> str:
    issued = recovery.configuration
    return f"as of {backup.taken}, configuration {issued.number}, t = {issued.t}, object {backup.terms.object}, {len(backup.disks)} disks of replicas"


def _write(path: Path, data: bytes) -> None:
    """A new file for its owner alone, whole and synced. Raises OSError, and then there is none."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.close(descriptor)
    try:
        with open(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        path.unlink()
        part.unlink(missing_ok=True)
        raise
