"""What Olympus may have vouched for before its disk was lost: the state to which it caught up a quorum (specification, 13.4, 13.9).

What all replicas of a configuration have testified to is in the history of each of them. What a client had from Olympus alone need be in one
history only. But Olympus vouches when t+1 replicas have caught up, and each of these keeps what it was sent for that; so one of any t+1 has it.
"""

from collections.abc import Mapping

from bcr.chain.history import HistoryEntry
from bcr.chain.ledger import Ledger
from bcr.chain.settings import Settings
from bcr.stable.chain import replayed
from bcr.stable.disk import Content, believable, unsealed
from bcr.stable.inspection import ReplicaDisk
from bcr.state.running import Snapshot


class Disagreement(Exception):
    """The disks do not come to one state; the text says why."""


def vouched_state(
    settings: Settings, contents: Mapping[str, Content], disks: Mapping[str, ReplicaDisk], quorum_size: int
) -> Snapshot | None:
    """The state with all that these disks of one configuration hold, own histories and what they were sent; both by the disks' names.

    None where none was sent anything: then their histories are all there is. Raises Disagreement unless as many disks as make a quorum come
    to the same state.
    """
    sent = [disk.caught_up.statement.suffix for disk in disks.values() if disk.caught_up is not None]
    if not sent:
        return None
    ledgers = {name: _ledger(settings, contents[name], disk, name) for name, disk in disks.items()}
    entries: dict[int, HistoryEntry] = {}
    for history in [*(ledger.entries() for ledger in ledgers.values()), *sent]:
        for entry in history:
            if entries.setdefault(entry.slot, entry).requests != entry.requests:
                raise Disagreement(f"slot {entry.slot} holds other requests on one disk than on another")
    end = max(entries, default=-1) + 1
    groups: dict[bytes, list[str]] = {}
    states: dict[bytes, Snapshot] = {}
    for name, ledger in ledgers.items():
        lacking = range(ledger.next_slot, end)
        if all(slot in entries for slot in lacking):
            for slot in lacking:
                ledger.execute(disks[name].number, slot, entries[slot].requests, None)
            snapshot = ledger.state.snapshot()
            states.setdefault(snapshot.digest(), snapshot)
            groups.setdefault(snapshot.digest(), []).append(name)
    found = max(groups, key=lambda digest: len(groups[digest]), default=b"")
    if len(groups.get(found, ())) < quorum_size:
        raise Disagreement(f"of the disks {', '.join(sorted(disks))} no {quorum_size} come to the same state behind slot {end - 1}")
    return states[found]


def _ledger(settings: Settings, content: Content, disk: ReplicaDisk, name: str) -> Ledger:
    """Where the replica with this disk was. Raises DamagedError where its log does not give what it says."""
    facts = {fact: unsealed(fact, data) for fact, data in content.facts.items()}
    ledger = Ledger(settings)
    replayed(ledger, Content(facts, content.parts, believable(content.rows)), disk.number, name)
    return ledger
