"""Reads a key off the disk of a replica that does not run, as of the last complete checkpoint there, with what proves it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bcr.evidence.evidence_files import READING, packed
from bcr.evidence.key_reading import NothingToRead, reading_from
from bcr.objects.finding import DEFAULT, ObjectNotFound, named
from bcr.signed.violations import ProtocolViolation
from bcr.stable.disk import Content, DiskError
from bcr_disk.folders import content_of
from bcr_disk.sqlite import ENDING
from bcr_run.output import complain

PASS, NOTHING, BAD_INPUT = 0, 1, 2


def _content_of(disk: Path) -> Content:
    """What is on the disk of this path. Raises DiskError, also where there is none."""
    if disk.exists() and (disk.is_dir() or disk.suffix != ENDING):
        raise DiskError(f"{disk}: this is no disk; those of a run with durable = on are files that end in {ENDING}")
    content = content_of(disk.parent, disk.stem) if disk.suffix == ENDING else None
    if content is None:
        raise DiskError(f"{disk}: there is no such disk; those of a run with durable = on end in {ENDING}")
    return content


def main(arguments: Sequence[str]) -> int:
    """`bcr read`: 0 when it has told what stood at the key, 1 where the disk holds nothing to show, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="bcr read", description=__doc__)
    parser.add_argument("disk", metavar="DISK", type=Path, help="of a replica: a .sqlite file of a run with durable = on")
    parser.add_argument("key", metavar="KEY", help="what is read")
    parser.add_argument("--object", default=DEFAULT, help="what is on it (default: dictionary)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="for the reading, which ./bcr verify checks (default: none)")
    options = parser.parse_args(arguments)
    try:
        named(options.object)
        content = _content_of(options.disk)
        reading, rows = reading_from(content, options.key, options.object)
        checkpoint = reading.proof.statements[0].statement
        value = reading.proof.witness.value_of(options.key, options.object)
        data = packed(READING, reading)
        if options.output is not None:
            options.output.write_bytes(data)
    except NothingToRead as why:
        complain(f"bcr read: {options.disk}: {why}")
        return NOTHING
    except (DiskError, ObjectNotFound, ProtocolViolation) as problem:
        complain(f"bcr read: {problem}")
        return BAD_INPUT
    except OSError as error:
        complain(f"bcr read: {error.filename or options.output}: {error.strerror}")
        return BAD_INPUT
    print(f"{options.key!r}: {'nothing' if value is None else repr(value)}")
    print(
        f"  as of the checkpoint of slot {checkpoint.slot} of configuration {checkpoint.configuration}; {rows} records of slots lie behind it on this disk"
    )
    if options.output is not None:
        print(f"  {options.output} ({len(data):,} bytes; ./bcr verify --olympus-key checks it)")
    return PASS
