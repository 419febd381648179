"""Finds the steps of the paper's Figure 1 in the logs of a run, in the order of time, and takes them in it.

Only what correct processes wrote counts. A replica does not count any more when a fault that makes it lie has struck it, and nobody
need hold what a faulty client accepts. A line is written before any message that follows from it leaves, so no log
is behind what others have heard. Logs of other hosts have other clocks, and are not used.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from bcr.evidence.figure import Figure, Forbidden, Step
from bcr.faults.vocabulary import FAILURES
from bcr.signed.authentication import sizes
from bcr_run.log_lines import Clock, Line, event_of, parse

MOST_KEPT = 10_000  # steps, to be shown
MOST_TAKEN = 5_000_000

_REPLICA = re.compile(r"replica_(\d+)(?:-configuration_(\d+))?")
_CLIENT = re.compile(r"client_(\d+)")
_FAILURE = re.compile(r", (\w+)\(")
_HARMLESS = {"crash", "pause"}  # of what befalls a simulated process: it stops, and does nothing wrong
_EVENTS = frozenset({"settings", "issued", "trying", "quorum_failed", "active", "executed", "completed_checkpoint", "immutable",
                     "went_back", "caught_up", "accepted", "fault_injected", "fault_armed", "resumed", "came_back", "befell", "changed", "made_up", "admitted"})  # fmt: skip


class Followed(msgspec.Struct, frozen=True):
    """How many steps were found in the logs, the first of them, and which the figure forbids, with the reason; if any.

    `unknown` says why none were looked for, where that is so, or whose logs could not be.
    """

    taken: int
    steps: tuple[Step, ...] = ()
    forbidden: Step | None = None
    why: str = ""
    unknown: str = ""

    def sentence(self) -> str:
        """What came of it."""
        if self.forbidden is not None:
            return f"Figure 1 forbids the last of {self.taken:,} steps: {self.forbidden}: {self.why}"
        if not self.taken:
            return f"no steps of Figure 1: {self.unknown}"
        return f"{self.taken:,} steps of correct processes, and Figure 1 allows each" + (f" ({self.unknown})" if self.unknown else "")

    def told(self) -> dict[str, Any]:
        """What `result.json` holds of it."""
        forbidden = None if self.forbidden is None else f"{self.forbidden}: {self.why}"
        return {"steps": self.taken, "forbidden": forbidden, "unknown": self.unknown}

    def reason(self) -> str | None:
        """Why the run is not right, if it is not."""
        return None if self.forbidden is None else f"figure: Figure 1 of the paper forbids {self.forbidden}: {self.why}"


def follow(folder: Path, result: Mapping[str, Any], liars: Collection[int] = (), most_kept: int = MOST_KEPT) -> Followed:
    """The steps that the logs in the folder tell of; of clients that are `liars` nothing counts. `result` is that of `result.json`."""
    readers = {file.stem: _Reader(file) for file in sorted(folder.glob("*.log")) if file.is_file()}
    strangers = sorted(name for name, reader in readers.items() if not reader.has_common_clock)
    if "olympus" not in readers or "olympus" in strangers:
        return Followed(0, unknown="the log of Olympus is not here, or has another clock")
    lines = merge(*(reader.lines() for name, reader in readers.items() if name not in strangers), key=lambda each: each[:3])
    walk = _Walk(result["settings"], liars, _distrusted_members(result.get("simulation", {})))
    kept: list[Step] = []
    try:
        for _, _, _, line in lines:
            for step in walk.steps_of(line):
                if len(kept) < most_kept:
                    kept.append(step)
                walk.figure.take(step)
            if walk.figure.taken >= MOST_TAKEN:
                return Followed(walk.figure.taken, tuple(kept), unknown=f"no more than {MOST_TAKEN:,} steps are looked for")
    except Forbidden as forbidden:
        return Followed(walk.figure.taken + 1, tuple(kept), forbidden.step, forbidden.why)
    unknown = f"{', '.join(strangers)}: other clocks" if strangers else ""
    if not walk.figure.taken:
        unknown = "the logs hold no steps, for their level is quiet"
    return Followed(walk.figure.taken, tuple(kept), unknown=unknown)


class _Reader:
    """One log, and whether its times can be compared with those of the others."""

    def __init__(self, file: Path) -> None:
        self._file = file
        replica, client = _REPLICA.fullmatch(file.stem), _CLIENT.fullmatch(file.stem)
        # At one and the same microsecond: the old chain, Olympus, the new one, clients.
        configuration = float(replica[2] or 0) if replica else float("inf") if client else None
        self._rank = (configuration, float(replica[1]) if replica else 0.0)
        with open(file, encoding="utf-8", errors="replace") as lines:
            first = next(islice(lines, 1), "")
        self.has_common_clock = "has_common_clock=true" in first or event_of(first) != "settings"

    def lines(self) -> Iterator[tuple[int, tuple[float, float], int, Line]]:
        """Those that tell of steps, to be merged with others."""
        clock = Clock()
        with open(self._file, encoding="utf-8", errors="replace") as lines:
            for place, text in enumerate(lines):
                if event_of(text) not in _EVENTS:
                    continue
                at_ns = clock.read(text)
                line = None if at_ns is None else parse(text.rstrip("\n"), at_ns, self._file.stem, place)
                if line is not None:
                    configuration, position = self._rank
                    if configuration is None:
                        configuration = int(line.values.get("configuration", 0)) - 0.5
                    yield line.at_ns, (configuration, position), place, line


class _Walk:
    """Tells the steps of each line, given those before it."""

    def __init__(self, settings: Mapping[str, Any], liars: Collection[int], distrusted: Collection[int]) -> None:
        self.figure = Figure(sizes(settings["t"], settings["authentication"]).histories)
        self._learns = settings.get("acceptance", "all") == "all"
        self._lies = settings["authentication"] != "crc"  # no accident makes a replica say or hold what is wrong
        self._liars = liars
        self._distrusted_members = distrusted
        self._gone_members: set[tuple[int, int]] = set()
        self._immutable: set[tuple[int, int]] = set()
        self._quorum: tuple[int, ...] = ()
        self._acts_as: dict[int, int] = {}  # client of the run -> its number in the session that it is in (specification, 15)

    def steps_of(self, line: Line) -> Iterator[Step]:
        """Raises nothing: a line whose values are not as we write them tells of no step."""
        replica, client = _REPLICA.fullmatch(line.process), _CLIENT.fullmatch(line.process)
        try:
            if replica is not None and replica[2] is not None:
                if line.event == "settings" and line.place:  # it began again: what it had not told anybody it may have forgotten
                    self._forget((int(replica[2]), int(replica[1])))
                yield from self._of_replica(int(replica[2]), int(replica[1]), line.event, line.values)
            elif client is not None:
                yield from self._of_client(int(client[1]), line.event, line.values)
            elif line.process == "olympus":
                yield from self._of_olympus(line.event, line.values)
            else:
                self._befell(line.event, line.values)
        except (KeyError, ValueError):
            return

    def _of_olympus(self, event: str, values: Mapping[str, str]) -> Iterator[Step]:
        if event == "trying":
            self._quorum = tuple(map(int, re.findall(r"\d+", values["quorum"])))
        elif event == "quorum_failed":
            self._quorum = ()
        elif event in ("issued", "resumed"):
            number, digest = int(values["configuration"]), bytes.fromhex(values["digest"])
            if event == "resumed" and self.figure.is_issued(number):
                return  # else it ended between issuing it, on its disk, and telling its log
            if event == "resumed" and values["decided"] == "true":
                return  # another run's log tells how that came about; this one's begins with the next configuration
            yield Step("issue", number)
            yield Step("begin", number, digest=digest, members=self._quorum)
            self._quorum = ()

    def _of_replica(self, number: int, position: int, event: str, values: Mapping[str, str]) -> Iterator[Step]:
        place = (number, position)
        if (
            event in ("fault_injected", "fault_armed") and self._lies and _is_unsound(values["fault"])
        ) or position in self._distrusted_members:
            self._forget(place)
        if place in self._gone_members:
            return
        if event == "came_back":  # to what another run's log may tell
            self._forget(place)
        elif event == "active":
            yield Step("become active", number, position, digest=bytes.fromhex(values["digest"]))
        elif event == "executed" and "requests" in values:
            kind = "catch up command" if place in self._immutable else "order command"
            digest, outcome = map(bytes.fromhex, values["digest"].split(":"))
            yield Step(kind, number, position, int(values["slot"]), digest, outcome, _commands(values["requests"]))
        elif event == "completed_checkpoint":
            yield Step("checkpoint", number, position, int(values["slot"]))
        elif event == "immutable" and place not in self._immutable:
            self._immutable.add(place)
            yield Step("become immutable", number, position)
        elif event == "went_back":
            yield Step("go back", number, position, int(values["slots"]))
        elif event == "caught_up":
            yield Step("catch up", number, position, int(values["slots"]), bytes.fromhex(values["digest"]))

    def _of_client(self, client: int, event: str, values: Mapping[str, str]) -> Iterator[Step]:
        if event == "admitted":
            self._acts_as[client] = int(values["client"])
        elif event == "accepted" and values.get("digest") and self._learns and client not in self._liars:
            digest, outcome = map(bytes.fromhex, values["digest"].split(":"))
            commands = ((self._acts_as.get(client, client), int(values["number"])),)
            yield Step("learn", int(values["configuration"]), None, int(values["slot"]), digest, outcome, commands)

    def _befell(self, event: str, values: Mapping[str, str]) -> None:
        """What the simulator did to a replica, which is not to be held against it."""
        who = _REPLICA.fullmatch(values.get("who", values.get("from", "")))
        if who is None or (event == "befell" and values.get("what") in _HARMLESS):
            return
        members = self.figure.members() if who[2] is None else [(int(who[2]), int(who[1]))]
        for place in members:
            if place[1] == int(who[1]):
                self._forget(place)

    def _forget(self, place: tuple[int, int]) -> None:
        self._gone_members.add(place)
        self.figure.forget(*place)


def _distrusted_members(simulation: Mapping[str, Any]) -> set[int]:
    """The positions of replicas that the simulator had say, or hold, what is wrong."""
    changed_positions = [position for name in ("mutations", "amnesias") for position, _ in simulation.get(name, ())]
    return {*simulation.get("twins", ()), *simulation.get("free", ()), *changed_positions}


def _commands(text: str) -> tuple[tuple[int, int], ...]:
    return tuple((int(client), int(number)) for client, _, number in (each.partition(":") for each in text.split(",")))


def _is_unsound(fault: str) -> bool:
    """Whether the fault makes what the replica says, or holds, wrong."""
    failure = _FAILURE.search(fault)
    word = None if failure is None else FAILURES.get(failure[1])
    return word is None or word.effect in ("lie", "state")
