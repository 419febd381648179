"""Fault plans: what a scenario file says that goes wrong, and what is left of whoever it befalls (specification, 9)."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from bcr.faults.vocabulary import FAILURES, OF_LINKS, Effect, effect_of


class Trigger(msgspec.Struct, frozen=True, array_like=True):
    """When: the `count`-th receipt, from 0, of a kind of message, and from which client where that matters.

    For the trigger `after`, `count` is milliseconds.
    """

    name: str
    client: int | None
    count: int


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """What: a failure and its argument where it takes one: a number of entries or milliseconds, a kind of message.

    Failures of links are `fail_link` and `fix_link`, whose argument is the receiver's position, or None for all.
    """

    name: str
    argument: int | str | None = None


class FaultPlan(msgspec.Struct, frozen=True, array_like=True):
    """One `trigger,failure` pair of a file, for a replica of a configuration; `text` is the file's own."""

    configuration: int
    position: int
    trigger: Trigger
    failure: Failure
    text: str

    @property
    def is_of_a_link(self) -> bool:
        """Whether a link has the fault, and the replica at this end of it is as correct as before."""
        return self.failure.name in OF_LINKS

    @property
    def effect(self) -> Effect:
        """What is left of the replica's correctness once the fault has struck; of an unknown failure the worst."""
        return effect_of(self.failure.name)

    @property
    def spoils_state(self) -> bool:
        """Whether the replica that has the fault may hold a wrong running state, or one that others have long left."""
        word = FAILURES.get(self.failure.name)
        return self.effect == "state" or (word is not None and word.leaves_behind)


class ClientFaultPlan(msgspec.Struct, frozen=True, array_like=True):
    """One `trigger,failure` pair of a file for a client; `text` is the file's own."""

    client: int
    trigger: Trigger
    failure: Failure
    text: str


def struck_by(faults: Iterable[FaultPlan]) -> set[tuple[int, int]]:
    """Configuration and position of the replicas that have one of these faults: who knows what they still say."""
    return {(fault.configuration, fault.position) for fault in faults if not fault.is_of_a_link}


def spoiled_by(faults: Iterable[FaultPlan]) -> set[tuple[int, int]]:
    """Configuration and position of the replicas whose own running state one of these faults may have made wrong."""
    return {(fault.configuration, fault.position) for fault in faults if fault.spoils_state}


def faulty_by(faults: Iterable[FaultPlan], patience_ms: int) -> dict[int, set[int]]:
    """By configuration, the positions whose faults count among its t.

    A replica that was only late, or had something repeated, is as correct as any in an asynchronous network, unless it
    stood still for longer than `patience_ms` in all: who does not answer for so long is as good as crashed.
    """
    late_ms: Counter[tuple[int, int]] = Counter()
    positions: dict[int, set[int]] = {}
    for fault in faults:
        place = fault.configuration, fault.position
        if fault.effect == "timing" and not fault.is_of_a_link:
            late_ms[place] += fault.failure.argument if isinstance(fault.failure.argument, int) else 0
        if fault.effect != "timing" or late_ms[place] > patience_ms:
            positions.setdefault(fault.configuration, set()).add(fault.position)
    return positions


def ends_of_failed_links(faults: Iterable[FaultPlan]) -> set[int]:
    """The positions at both ends of the links that have failed and were not fixed, of faults in the order in which they struck."""
    failed: set[tuple[int, int]] = set()
    for fault in faults:
        receiver = fault.failure.argument
        if fault.failure.name == "fail_link" and isinstance(receiver, int):
            failed.add((fault.position, receiver))
        elif fault.failure.name == "fix_link":
            failed = {link for link in failed if link[0] != fault.position or receiver not in (None, link[1])}
    return {end for link in failed for end in link}


def keeps_clients_waiting(faults: Iterable[FaultPlan]) -> bool:
    """Whether a server of Raft may lead, hear of clients and answer none: nobody but clients misses anything, so that it leads on."""
    return any(fault.failure.name == "mute_clients" for fault in faults)


def spoiled_in_raft(faults: Iterable[FaultPlan]) -> set[tuple[int, int]]:
    """The same as `spoiled_by` for a server of Raft: what it missed it hears again, and so only a lie spoils its state."""
    return {(fault.configuration, fault.position) for fault in faults if fault.effect in ("lie", "state")}
