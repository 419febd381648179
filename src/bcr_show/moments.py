"""What happened in a run beside its routine, each in a sentence."""

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from bcr_run.log_lines import Line
from bcr_show.run_reading import RecordedRun, first_request_ns

_REPLICA = re.compile(r"replica_(\d+)-configuration_(\d+)(-twin)?")
_PLACE = re.compile(r"replica_(\d+)|client_(\d+)")


class Moment(msgspec.Struct, frozen=True):
    """Something that happened: its kind, a key of KINDS, who it happened to, and a sentence that tells it.

    `number` counts the moments of the run in order of time.
    """

    number: int
    kind: str
    line: Line
    text: str

    @property
    def anchor(self) -> str:
        return f"moment-{self.number}"

    @property
    def evidence(self) -> str:
        """Where the page has what shows it, for those that are violations."""
        return f"evidence-{self.number}"


# Kind -> its sign in the diagram, and what it is called in the legend.
KINDS: Mapping[str, tuple[str, str]] = {
    "fault": ("⚡", "a fault strikes, or what a liar does"),
    "violation": ("!", "somebody notices misbehaviour"),
    "breach": ("✗", "a property does not hold"),
    "asked": ("?", "Olympus is asked for reconfiguration"),
    "wedge": ("■", "a replica becomes immutable"),
    "quorum": ("Q", "Olympus tries a quorum, or one fails"),
    "configuration": ("▶", "a configuration begins for somebody"),
    "timer": ("◷", "a timer expires"),
    "other": ("·", "anything else"),
}
SHOWN_AS_VIOLATION = ("violation", "breach")
_HIDDEN = frozenset({"settings", "finished", "final_dictionary"})
_DEEDS = frozenset({"hidden", "forgot", "answered_from_the_past", "withheld", "forged", "replayed", "impersonated", "passed_on",
                    "outlives_its_end"})  # fmt: skip


def person(process: str) -> str:
    """A process as sentences call it."""
    match = _REPLICA.fullmatch(process)
    if match:
        return f"replica {match[1]} of configuration {match[2]}{' (its twin)' if match[3] else ''}"
    match = _PLACE.fullmatch(process)
    if match:
        return f"client {match[2]}" if match[2] else f"replica {match[1]}"
    return "Olympus" if process == "olympus" else process


def configuration_of(process: str) -> int | None:
    """The configuration that a replica belongs to; None for others."""
    match = _REPLICA.fullmatch(process)
    return int(match[2]) if match else None


def moments_of(run: RecordedRun) -> list[Moment]:
    """The moments of the run in order."""
    lines = [line for line in run.moments if line.event not in _HIDDEN]
    return [Moment(number, *_words_of(line)) for number, line in enumerate(lines)]


def _words_of(line: Line) -> tuple[str, Line, str]:
    teller = _TELLERS.get(line.event)
    who = person(line.process)
    if teller is not None:
        kind, tell = teller
        return kind, line, tell(who, line.values)
    kind = "fault" if line.event in _DEEDS else "other"
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in line.values.items())
    return kind, line, f"{who}: {line.event.replace('_', ' ')}{': ' if about else ''}{about}"


Values = Mapping[str, str]


def _blamed(values: Values) -> str:
    return f"; blames replica {values['blamed']}" if values.get("blamed") else ""


_TELLERS: Mapping[str, tuple[str, Callable[[str, Values], str]]] = {
    "fault_injected": ("fault", lambda who, of: f"{who} is struck: {of.get('fault', '')}"),
    "fault_armed": ("other", lambda who, of: f"{who} has a fault that is armed: {of.get('fault', of.get('what', ''))}"),
    "befell": ("fault", lambda _, of: f"{person(of.get('who', ''))}: {of.get('what', '')}"),
    "misbehaviour": (
        "violation",
        lambda who, of: f"{who} notices {of.get('kind', '')} in {of.get('message', '')}: {of.get('what', '')}{_blamed(of)}",
    ),
    "breach": ("breach", lambda _, of: of.get("what", "")),
    "disproved": ("breach", lambda who, of: f"{who} accepts an answer to request {of.get('number', '')}, of which was found later: {of.get('what', '')}"),
    "reconfiguration_requested": (
        "asked",
        lambda _, of: f"{person(of.get('by', ''))} asks Olympus to replace configuration {of.get('configuration', '')}: "
        f"{of.get('reason', '')}{_blamed(of)}",
    ),
    "reconfiguring": (
        "asked", lambda _, of: f"Olympus begins to replace configuration {of.get('configuration', '')}: {of.get('reason', '')}",
    ),
    "immutable": (
        "wedge", lambda who, of: f"{who} becomes immutable; slots executed: {of.get('slots', '')}, in its history: "
        f"{of.get('history', '')}",
    ),
    "trying": ("quorum", lambda _, of: f"Olympus tries quorum {of.get('quorum', '')}, slots in its longest history: {of.get('slots', '')}"),
    "quorum_failed": ("quorum", lambda _, of: f"quorum {of.get('quorum', '')} fails: {of.get('why', '')}"),
    "no_quorum": ("quorum", lambda _, of: f"Olympus gives up, for no quorum can be had: {of.get('answered', '')} answered"),
    "waiting_on": ("quorum", lambda _, of: f"Olympus has no quorum yet and wedges again: {of.get('answered', '')} answered"),
    "running_state_refused": ("quorum", lambda _, of: f"Olympus refuses the running state of replica {of.get('replica', '')}"),
    "issued": ("configuration", lambda _, of: f"Olympus issues configuration {of.get('configuration', '')}"),
    "created": ("configuration", lambda _, of: f"Olympus creates the replicas of configuration {of.get('configuration', '')}"),
    "reconfigured": ("configuration", lambda _, of: f"Olympus has reconfigured, with quorum {of.get('quorum', '') or 'none'}"),
    "active": ("configuration", lambda who, _: f"{who} becomes active"),
    "configured": ("configuration", lambda who, of: f"{who} learns of configuration {of.get('configuration', '')}"),
    "timer_expired": (
        "timer",
        lambda who, of: f"{who} has waited in vain for "
        + (f"the result shuttle of slot {of['slot']}" if "slot" in of else f"a result of request {of.get('number', '')} of client {of.get('client', '')}"),
    ),
    "retransmission": (
        "timer", lambda who, of: f"{who} asks all replicas for request {of.get('number', '')}, the {of.get('attempt', '')}. time",
    ),
}  # fmt: skip


class Times:
    """Tells times in milliseconds since the first request, or since the first line where there was none."""

    def __init__(self, run: RecordedRun) -> None:
        first_ns = first_request_ns(run.record, run.result)
        requests = (line.at_ns for line in run.lines if line.event == "sent" and line.values.get("message") == "client_request")
        if first_ns is None:
            first_ns = next(requests, None)
        self.is_of_request = first_ns is not None
        self.zero_ns = first_ns if first_ns is not None else run.lines[0].at_ns if run.lines else 0

    def ms(self, at_ns: int) -> float:
        return (at_ns - self.zero_ns) / 1e6

    def text(self, at_ns: int) -> str:
        """Such as `46.183 ms`."""
        return f"{self.ms(at_ns):,.3f} ms"


def rough(ms: float) -> str:
    """A span of time to three digits."""
    if ms >= 10_000:
        return f"{ms / 1_000:,.1f} s"
    return f"{ms:,.0f} ms" if ms >= 100 else f"{ms:.1f} ms" if ms >= 1 else f"{ms:.3f} ms"


def cause_of(violation: Line, lines: Sequence[Line]) -> Line | None:
    """The message in which its process noticed this: the latest of that kind that it had received. `lines` are its own."""
    received = None
    for line in lines:
        if line.place >= violation.place:
            break
        if line.event == "received" and line.values.get("message") == violation.values.get("message"):
            received = line
    return received
