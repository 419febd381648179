"""Tells in words what a folder of disks holds: that of a run, or of a service."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from bcr.braft.standing import standing_of
from bcr.raft.disk_store import seed_on, stored_on
from bcr.raft.log import demand_chain
from bcr.raft.persistent import Stored
from bcr.signed.authentication import keys_of
from bcr.signed.encoding import decode
from bcr.signed.violations import ProtocolViolation
from bcr.stable.disk import Content, DamagedError, DiskError
from bcr.stable.inspection import ReplicaDisk
from bcr.stable.olympus_log import OlympusFacts
from bcr.state.running import Snapshot
from bcr_run import output
from bcr_runtime.data_folder import disks_in, read_disk
from bcr_runtime.server_folder import NotedService, noted
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
    try:
        for line in told_of_service(noted(folder)):
            print(line)
    except DiskError as error:
        problems += 1
        print(error)
    for name in names:
        print(f"{name}:")
        try:
            lines = list(told_of_olympus(folder) if name == OLYMPUS else told_of_disk(folder, name))
        except DiskError as error:
            problems += 1
            lines = [str(error)]
        print("\n".join(f"    {line}" for line in lines))
    return int(problems > 0)


def told_of_service(found: NotedService | None) -> Iterator[str]:
    """What the file beside the disks of servers with a leader says, a line each; nothing where there is none."""
    if found is not None:
        said = ", ".join(f"{name} = {getattr(found, name)}" for name in ("protocol", "t", "object", "client_window", "state_limit"))
        yield f"servers of a service with {said}"
        if found.members:
            yield f"at first those at {', '.join(map(str, found.members))} decided"
        yield "all of them have had their disks, so that one that is missing is lost" if found.begun else "not all of them have begun yet"


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


def told_of_disk(folder: Path, name: str) -> Iterator[str]:
    """What the disk of a replica or of a server says, a line each. Raises DiskError."""
    content = read_disk(folder, name)
    if not content.facts:
        yield "nothing yet"
    elif "server" in content.facts:
        yield from told_of_server(content, str(folder / name))
    else:
        yield from told_of_replica(content, str(folder / name))


def told_of_server(content: Content, name: str) -> Iterator[str]:
    """What the disk of a server of Raft, or of Raft among liars, says, a line each. Raises DamagedError."""
    stored = stored_on(content, name)
    try:
        demand_chain(stored.base, stored.entries)
        snapshot = decode(Snapshot, stored.snapshot) if stored.snapshot else None
        is_signing = "key" in content.facts or stored.standing is not None
        lines = list(_told_of_standing(stored) if is_signing else _told_of_vote(stored))
    except ProtocolViolation as violation:
        raise DamagedError(f"{name} holds what nobody wrote there: {violation.what}") from violation
    if "key" in content.facts:
        yield f"public key {keys_of('ed25519', seed_on(content, name)).public.hex()}"
    yield from lines
    if snapshot is None:
        yield "no snapshot"
    else:
        yield f"the state as of entry {stored.snapshot_at.index}, of term {stored.snapshot_at.term}: {_told_of_state(snapshot)}"
    first, last = stored.base.index + 1, stored.base.index + len(stored.entries)
    entries = f"entries {first} to {last}, the last one of term {stored.entries[-1].term}" if stored.entries else "no entry"
    yield f"its log holds {entries}"


def _told_of_vote(stored: Stored) -> Iterator[str]:
    voted = "voted for nobody" if stored.voted_for is None else f"voted for server {stored.voted_for}"
    yield f"a server of Raft in term {stored.term}, in which it has {voted}"
    if stored.members:
        yield f"at the snapshot the servers at {', '.join(map(str, stored.members))} decided"


def _told_of_standing(stored: Stored) -> Iterator[str]:
    standing = standing_of(stored)
    yield f"a server of Raft among liars in term {standing.term}, which {'has begun' if standing.is_started else 'it has voted for'}"
    for certificate, what in ((standing.highest, "prepared"), (standing.checkpoint, "a certain state")):
        if certificate is not None:
            statement, signers = certificate.statement, sorted(signer for signer, _ in certificate.signatures)
            yield f"entry {statement.index} is {what}, as servers {', '.join(map(str, signers))} have signed"


def told_of_replica(content: Content, name: str) -> Iterator[str]:
    """What a replica's disk says, a line each. Raises DamagedError."""
    disk = ReplicaDisk.read(content, name)
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
