"""What in a scenario file does not fit its protocol, each with the reason: keys, faults and expectations that it has no place for."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from bcr.faults.plans import FaultPlan
from bcr.scenario.entries import ScenarioEntry
from bcr.scenario.protocols import PROTOCOLS, RAFT, SHUTTLE, Protocol

Entries = Mapping[tuple[str, tuple[str, ...]], ScenarioEntry]
Say = Callable[..., None]

OF_RECONFIGURATIONS = ("quorum_includes", "quorum_excludes", "blamed")  # expectations about one that has been
ALWAYS_NONE = ("reconfigurations", "olympus_results", "results_by_tail")  # where there is no Olympus
SLOW_MS = 5_000  # between two messages of a leader: meant in milliseconds
FIRST_CHARACTER = 0


def demand_keys(protocol: Protocol, entries: Entries, choice: Callable[[str], Any], say: Say) -> None:
    """Say which keys the protocol cannot have, and which say nothing to it."""
    for name in protocol.ignored:
        if (name, ()) in entries:
            say(entries[name, ()], f"{name} is ignored: protocol = {protocol.name} has no use for it", severity="warning")
    for name, why in protocol.keys_refused.items():
        if (name, ()) in entries:
            say(entries[name, ()], f"{name}: protocol = {protocol.name} has none: {why}")
    for name, (value, why) in protocol.refused.items():
        if choice(name) != value:
            say(entries[name, ()], f"{name}: protocol = {protocol.name} has none but {value}: {why}", FIRST_CHARACTER)
    if protocol is not SHUTTLE:
        for (name, _), entry in entries.items():
            if name == "client_failures":
                say(entry, f"client_failures: protocol = {protocol.name} trusts its clients, and has no faults for them")


def demand_times(protocol: Protocol, entries: Entries, numbers: Mapping[str, int], unread: Collection[str], unit_ms: int, say: Say) -> None:
    """Say where a leader's followers would not wait for it, and where its times are hardly meant so."""
    heartbeat, least, most = (numbers[name] for name in ("heartbeat", "election_timeout", "election_timeout_max"))
    if protocol is SHUTTLE:
        return
    if protocol is RAFT and heartbeat * 2 > least and "election_timeout" not in unread:
        text = f"election_timeout: {least} milliseconds are less than two heartbeats of {heartbeat}, so followers would not wait for their leader"
        say(entries.get(("election_timeout", ())) or entries["heartbeat", ()], text)
    if protocol is RAFT and 0 < most < least and not {"election_timeout", "election_timeout_max"} & set(unread):
        say(entries["election_timeout_max", ()], f"election_timeout_max: {most} milliseconds are less than election_timeout, {least}")
    for name in ("heartbeat", "election_timeout"):
        if unit_ms != 1 and (name, ()) in entries and numbers[name] >= SLOW_MS:
            text = f"{name}: {numbers[name]:,} milliseconds, as time_unit = s says; what is meant in milliseconds is written 0.05 there"
            say(entries[name, ()], text, FIRST_CHARACTER, severity="warning")


def why_no_fault(protocol: Protocol, plan: FaultPlan) -> str:
    """Why this fault of a server makes no sense, beyond what its failure's name says; nothing where it does."""
    if plan.configuration and not protocol.is_replaced:
        return f"no configuration {plan.configuration}: protocol = {protocol.name} has one, number 0, and no other follows"
    if plan.failure.name == "chaos" and plan.failure.argument == 0:
        return "chaos: 0 milliseconds between two messages are none; 1 is the least"
    return ""


def demand_disk(entries: Entries, failures: Sequence[FaultPlan], durable: str, say: Say) -> bool:
    """Whether there are disks: where the file says so, and where somebody is to come back from one. Says so where it contradicts itself."""
    comes_back = any(plan.failure.name == "restart" for plan in failures)
    entry = entries.get(("durable", ()))
    if comes_back and entry is not None and durable == "off":
        say(entry, "durable = off: a server that is restarted comes back from its disk, and without this line it has one", FIRST_CHARACTER)
    return durable == "on" or comes_back


def demand_expectation(protocol: Protocol, name: str, entry: ScenarioEntry, say: Say) -> None:
    """Say so where a run of the protocol can never show what is expected, or always does."""
    if protocol.is_replaced:
        return
    if name in OF_RECONFIGURATIONS:
        say(entry, f"expect[{name}]: there is no reconfiguration in protocol = {protocol.name}, whose servers stay or change one by one")
    elif name in ALWAYS_NONE:
        say(entry, f"expect[{name}] is 0 in each run: protocol = {protocol.name} has no Olympus and no tail", severity="warning")


def whose_trigger(name: str, protocol: str) -> str:
    """Of which other protocol this is a trigger, for a reason; nothing where it is of none."""
    others = [each for each in PROTOCOLS.values() if each.name != protocol and name in each.triggers]
    return f" in protocol = {protocol}: it is one of protocol = {others[0].name}" if others else ""
