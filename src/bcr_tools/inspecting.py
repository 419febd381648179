"""Tells in words what a folder of disks holds: that of a run, or of a service."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from bcr.signed.authentication import keys_of
from bcr.stable.disk import DiskError
from bcr.stable.inspection import ReplicaDisk
from bcr.stable.olympus_log import OlympusFacts
from bcr.state.running import Snapshot
from bcr_run import output
from bcr_runtime.data_folder import disks_in, read_disk
from bcr_runtime.stable_storage import OLYMPUS


def main(arguments: Sequence[str]) -> int:
    """`bcr inspect`: 0 when all disks could be read, 1 when one could not, 2 where there are none."""
    parser = argparse.ArgumentParser(prog="bcr inspect", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder that `data` names, or `disks` of a run's logs")
    folder: Path = parser.parse_args(arguments).folder
    names = disks_in(folder)
    if not names:
        output.complain(
            f"bcr inspect: {folder} has no disks, which are files with names as olympus.sqlite; give the folder that data names"
        )
        return 2
    problems = 0
    for name in names:
        print(f"{name}:")
        try:
            lines = list(told_of_olympus(folder) if name == OLYMPUS else told_of_replica(folder, name))
        except DiskError as error:
            problems += 1
            lines = [str(error)]
        print("\n".join(f"    {line}" for line in lines))
    return int(problems > 0)


def told_of_olympus(folder: Path) -> Iterator[str]:
    """What Olympus's disk says, a line each. Raises DiskError."""
    content = read_disk(folder, OLYMPUS)
    if not content.facts:
        yield "nothing yet"
        return
    facts = OlympusFacts.read(content, str(folder / OLYMPUS))
    terms = facts.terms
    yield f"Olympus of a service with {', '.join(f'{name} = {getattr(terms, name)}' for name in terms.__struct_fields__)}"
    yield f"public key {keys_of(terms.authentication, facts.seed).public.hex()}"
    yield f"began {_times(facts.era + 1)}; the highest number that a configuration was given is {facts.highest}"
    if facts.issued is None:
        yield "no configuration was issued"
        return
    issued = facts.issued.configuration.statement
    yield f"the last configuration that it signed is number {issued.number}, in {facts.issued.run}"
    for kind, members in (("replica", issued.replicas), ("client", issued.clients)):
        for number, member in enumerate(members):
            mute = " (it has no key)" if f"{kind}_{number}" in facts.issued.mute else ""
            yield f"    {kind} {number}, at {member.address}, key {member.public_key.hex()[:16]}…{mute}"
    assert facts.state is not None
    if facts.decided is None:
        yield f"it began with {_told_of_state(facts.state)}"
    else:
        yield f"it is decided what the next one begins with: {_told_of_state(facts.state)}, and {_count(len(facts.decided.vouchers), 'voucher')}"


def told_of_replica(folder: Path, name: str) -> Iterator[str]:
    """What a replica's disk says, a line each. Raises DiskError."""
    content = read_disk(folder, name)
    if not content.facts:
        yield "nothing yet"
        return
    disk = ReplicaDisk.read(content, str(folder / name))
    yield f"replica {disk.position} of configuration {disk.number}"
    if disk.state is None:
        yield "it has a key, and had not begun"
        return
    behind = f"as of the completed checkpoint of slot {disk.first - 1}" if disk.first else "that it began with"
    yield f"the state {behind}: {_told_of_state(disk.state)}"
    slots = f"slots {disk.first} to {disk.end - 1}" if disk.end > disk.first else "no slot"
    yield f"its log holds {slots}, in {_count(disk.rows, 'row')}"
    if disk.torn:
        yield "behind these a row is torn, and will be cut"
    if disk.wedged_from is not None:
        yield f"it was wedged, and told Olympus its history from slot {disk.wedged_from} on"


def _told_of_state(state: Snapshot) -> str:
    size = sum(len(bucket) for _, bucket in state.buckets)
    return f"{size:,} bytes in {_count(len(state.buckets), 'bucket')}, digest {state.digest().hex()[:16]}…"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"
