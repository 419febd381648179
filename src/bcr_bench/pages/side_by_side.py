"""What only a page with several protocols has: what each system promises, what an operation takes, how long none is answered."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from bcr.scenario.protocols import PROTOCOLS
from bcr_bench.pages import plots
from bcr_bench.pages.blocks import Block, Heading, Plot, Table, Text
from bcr_bench.plans.plan_files import PROTOCOL_OF
from bcr_bench.prediction.counted import UNREPLICATED, VALUE_BYTES

# System -> its name on the page, servers, what it bears, why a client believes an answer.
PROMISES: Mapping[str, tuple[str, str, str, str]] = {
    "bcr": ("chain", "2t+1, and Olympus", "t replicas that lie or crash; Olympus, which replaces them, is trusted",
            "the replicas have signed it, which can be proved to others"),
    "bcr-raft": ("Raft", "2t+1", "t servers that crash and come back, lost messages; no lie", "the leader says so"),
    "bcr-byzantine-raft": ("Raft among liars", "3t+1", "t servers that lie or crash; nobody is trusted", "t+1 servers have signed the same"),
    "unreplicated": ("one server", "1", "nothing", "the server says so"),
    "pysyncobj-nodes": ("PySyncObj", "2t+1", "t servers that crash; no lie; nothing is on disk", "the leader says so"),
    "raft": ("DistAlgo's example", "2t+1", "t servers that crash; no lie; no object is behind it", "the leader says so"),
}  # fmt: skip
HEADINGS = ("", "servers", "bears", "an answer is right because")


def named(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The points with the names that their systems have on the page."""
    found = []
    for point in points:
        system, label = point["system"], point["label"]
        name = PROMISES[system][0]
        is_of_system = label == system or label.startswith(f"{system}, ")
        found.append({**point, "system": name, "label": name + label.removeprefix(system) if is_of_system else label})
    return found


def promises(systems: Collection[str]) -> Iterator[Block]:
    """What each of these systems bears, and what for."""
    yield Heading("What each system promises")
    yield Text(
        "Two kinds are side by side, and a figure of one kind is no fault of the other. Raft, PySyncObj and DistAlgo's example bear servers "
        "that stop; whoever breaks into one of them may answer whatever he likes. The chain and Raft among liars bear that too, and sign for "
        "it. The chain needs fewer servers for that, and Olympus, a process that nobody may break into; Raft among liars needs no such process."
    )
    yield Table(HEADINGS, [PROMISES[system] for system in PROMISES if system in systems], of_words=True)
    yield Text(
        "The same clients send the same operations to the same object, a dictionary, all in memory. They begin when the servers are there: the "
        "chain has its configuration, Raft and PySyncObj have their leader. Of Raft a request may be sent again when the server that was asked "
        "first is not the leader; that is no fault of the run. DistAlgo's example is measured from its first answer until its first client is "
        "done, its CPU time from outside."
    )


def counted(counts: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """The table of signatures, messages and bytes."""
    yield Heading("What an operation takes")
    yield Text(
        f"Counted, not measured: simulated runs without faults, for one operation in all processes, one at a time, half of them reads, with "
        f"values of {VALUE_BYTES} bytes. There are signatures that are made, messages of the protocol, and their bytes. Heartbeats and "
        "checkpoints are not in it. A read of Raft is not in the log, but the leader asks a majority whether it still leads. Messages inside "
        "PySyncObj and DistAlgo's example are not counted."
    )
    rows = [
        [f"{NAMES[each['protocol']]}, t = {each['t']}" if each["t"] else NAMES[each["protocol"]], str(each["servers"]),
         *(f"{each[name]:,.1f}".removesuffix(".0") for name in ("signatures", "messages", "payload_bytes"))]
        for each in counts
    ]  # fmt: skip
    yield Table(("", "servers", "signatures", "messages", "bytes"), rows)


# Protocol -> what a page calls it.
NAMES: Mapping[str, str] = {PROTOCOL_OF[system]: PROMISES[system][0] for system in PROTOCOL_OF} | {
    UNREPLICATED: PROMISES["unreplicated"][0]
}
assert NAMES.keys() >= PROTOCOLS.keys()


def outages(name: str, points: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """How long no client was answered, by system and t, and how a run of each goes with the smallest t."""
    sizes = sorted({int(point["settings"]["t"]) for point in points})
    systems = list(dict.fromkeys(point["system"] for point in points))
    away = {(point["system"], int(point["settings"]["t"])): point["median"]["away_ms"] for point in plots.good(points)}
    rows = [[system, *(f"{away[system, t]:,.0f}" if (system, t) in away else "-" for t in sizes)] for system in systems]
    yield Text("Milliseconds without service: the longest time between two answers to any client.")
    yield Table(("", *(f"t = {t}" for t in sizes)), rows)
    yield Plot(name, plots.away(points), "milliseconds without service, by system and faults tolerated")
    smallest = [point for point in points if int(point["settings"]["t"]) == sizes[0]]
    yield Plot(f"{name}-over-time", plots.over_time(smallest), f"throughput and latency over time, t = {sizes[0]}, one run of each")
