"""When clients come and go, and who calls them: what a scenario file says of that, and what makes no sense (specification, 9.2, 15.6)."""

from collections.abc import Callable, Mapping

from bcr.chain.settings import ALWAYS, Visit
from bcr.scenario.entries import ScenarioEntry
from bcr.scenario.grammar import ParsingContext
from bcr.scenario.values import SESSION_SLOTS
from bcr.signed.authentication import Authentication

Moments = Mapping[int, tuple[ScenarioEntry, int]]  # client -> where it is said, and milliseconds
Say = Callable[[ScenarioEntry, str, int | None], None]


def parse_visits(moments: Mapping[str, Moments], reading: ParsingContext, say: Say) -> tuple[Visit, ...]:
    """For each client when it comes and goes, or nothing where all are there all the time; `say` is told what is wrong."""
    arrivals, departures = moments["client_arrives"], moments["client_leaves"]
    if not arrivals and not departures:
        return ()
    visits = []
    for client in range(reading.clients):
        entry, arrives_ms = arrivals.get(client, (None, None))
        _, leaves_ms = departures.get(client, (None, None))
        if entry is not None and arrives_ms == leaves_ms:
            say(entry, f"{entry.key}: client {client + reading.indices_start_at} leaves at the same moment", 0)
        visits.append(Visit(arrives_ms, leaves_ms))
    first = next((client for client, visit in enumerate(visits) if visit.comes_later), reading.clients)
    behind = [client for client in range(first, reading.clients) if not visits[client].comes_later]
    if first == 0:
        say(arrivals[0][0], f"{arrivals[0][0].key}: no client is there from the start, and the first configuration has to name one", None)
    elif behind:
        here, there = (client + reading.indices_start_at for client in (first, behind[0]))
        what = f"client {there} is there from the start: clients that come later have the highest numbers"
        say(arrivals[first][0], f"{arrivals[first][0].key}: client {here} comes later, and {what}", None)
    return tuple(visits) if any(visit != ALWAYS for visit in visits) else ()


def slots_of_sessions(
    session_slots: int,
    moments: Mapping[str, Moments],
    entries: Mapping[str, ScenarioEntry | None],
    authentication: Authentication,
    say: Say,
) -> int:
    """After how many slots sessions end, where the file's number, or its default, is `session_slots`.

    `entries` is where the file has what concerns sessions; `say` is told where it cannot have them.
    """
    visit = next((entry for named in moments.values() for entry, _ in named.values()), None)
    if visit is not None and entries["session_slots"] is None:
        session_slots = SESSION_SLOTS
    elif visit is not None and not session_slots:
        say(visit, "clients that come and go have sessions, which end at some time: session_slots = 0 says that none does", None)
    first = visit or entries["session_slots"]
    if session_slots and first is not None and authentication == "hmac":
        say(first, f"{first.key}: authentication = hmac has no credentials: its codes convince only whom Olympus knows already", None)
    if session_slots and entries["data"] is not None:
        what = "data: a run in which clients come and go cannot go on with the disks of another, whose sessions would be open"
        say(entries["data"], what, None)
    return session_slots


def callers_of(numbers: Mapping[str, int], entry: ScenarioEntry | None, has_callers: bool, say: Say) -> int:
    """How many callers each client has, where the protocol has some; `say` is told where they make no sense."""
    if entry is not None and numbers["callers"] and numbers["client_rate"]:
        say(
            entry,
            "callers ask for the next when they are answered, and client_rate is a rate at which somebody asks whatever comes back",
            None,
        )
    return numbers["callers"] if has_callers else 0
