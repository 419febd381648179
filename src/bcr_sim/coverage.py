"""What runs of a campaign have reached: which faults struck at which places, and how often what is rare came about."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_FAULT = re.compile(r"(\w+)\(.*?\),(\w+)\(")
PLACES = ("head", "middle", "tail")

# What a run seldom comes to: what it is called -> how often it came about, in the contents of `result.json`.
RARE: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    "several quorums tried": lambda result: sum(len(each["quorums_tried"]) > 1 for each in result["reconfigurations"]),
    "a history that is not valid": lambda result: sum(bool(each["invalid_histories"]) for each in result["reconfigurations"]),
    "results sent by Olympus": lambda result: sum(len(each["olympus_results"]) for each in result["reconfigurations"]),
    "begun anew without a quorum": lambda result: sum(each["quorum"] is None for each in result["reconfigurations"]),
    "five reconfigurations in a run": lambda result: int(len(result["reconfigurations"]) >= 5),
    "a request sent again": lambda result: result["retransmissions"],
    "a client asked for a reconfiguration": lambda result: sum(each["requested_by"].startswith("client") for each in result["reconfigurations"]),
    "a fault that never met its trigger": lambda result: len(result["faults_missed"]),
}  # fmt: skip


def struck(result: Mapping[str, Any], replicas: int) -> Iterator[str]:
    """Trigger, failure and place, as one text, of each fault of a replica that struck."""
    for fault in result["faults_injected"]:
        words = _FAULT.match(fault["fault"])
        if words is not None and "position" in fault:
            position = fault["position"]
            place = "head" if position == 0 else "tail" if position == replicas - 1 else "middle"
            yield f"{words[1]} {words[2]} {place}"


def rare(result: Mapping[str, Any]) -> Counter[str]:
    """How often each of what is rare came about in a run; what did not is not in it."""
    found = Counter({name: int(count(result)) for name, count in RARE.items()})
    return +found
