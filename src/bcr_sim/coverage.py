"""What runs of a campaign have reached: which faults struck at which places, and how often what is rare came about."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bcr.scenario.protocols import PROTOCOLS

_FAULT = re.compile(r"(\w+)\(.*?\),(\w+)\(")
# Protocol -> the places that its faults are told apart by. Where servers take turns at leading, who leads first can do most; in Raft chance says who.
PLACES: Mapping[str, Sequence[str]] = {
    "shuttle": ("head", "middle", "tail"),
    "raft": ("any server",),
    "byzantine_raft": ("who leads first", "another server"),
}

# What a run seldom comes to: what it is called -> how often it came about, in the contents of `result.json`.
RARE: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    "several quorums tried": lambda result: sum(len(each["quorums_tried"]) > 1 for each in result["reconfigurations"]),
    "a history that is not valid": lambda result: sum(bool(each["invalid_histories"]) for each in result["reconfigurations"]),
    "results sent by Olympus": lambda result: sum(len(each["olympus_results"]) for each in result["reconfigurations"]),
    "begun anew without a quorum": lambda result: sum(each["quorum"] is None for each in result["reconfigurations"]),
    "five reconfigurations in a run": lambda result: int(len(result["reconfigurations"]) >= 5),
    "a request sent again": lambda result: result["retransmissions"],
    "a client asked for a reconfiguration": lambda result: sum(each["requested_by"].startswith("client") for each in result["reconfigurations"]),
    "a fault that was armed and had no effect": lambda result: len(result["faults_armed"]),
    "a fault that never met its trigger": lambda result: len(result["faults_missed"]),
}  # fmt: skip


def struck(result: Mapping[str, Any]) -> Iterator[str]:
    """Protocol, trigger, failure and place, as one text, of each fault of a replica that struck."""
    protocol, settings = result["protocol"], result["settings"]
    last = PROTOCOLS[protocol].servers(settings["t"], settings["authentication"]) - 1
    for fault in result["faults_injected"]:
        words = _FAULT.match(fault["fault"])
        if words is not None and "position" in fault:
            yield f"{protocol}: {words[1]} {words[2]} {_place(protocol, fault['position'], last)}"


def _place(protocol: str, position: int, last: int) -> str:
    places = PLACES[protocol]
    return places[0] if position == 0 else places[-1] if position == last or len(places) < 3 else places[1]


def parts_of(key: str, protocol: str) -> tuple[str, str, str, str]:
    """Protocol, trigger, failure and place of a text of `struck`; those of an earlier version do not say of which protocol they are."""
    known, colon, rest = key.rpartition(": ")
    trigger, failure, place = rest.split(" ", 2)
    return known if colon else protocol, trigger, failure, place


def rare(result: Mapping[str, Any]) -> Counter[str]:
    """How often each of what is rare came about in a run; what did not is not in it."""
    found = Counter({name: int(count(result)) for name, count in RARE.items()})
    return +found
