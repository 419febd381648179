"""What a scenario file says of servers of Raft that come, go and hand over their lead: `members = …` and `changes = …` (specification, 9.2)."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from bcr.raft.changes import ADD, FEWEST, REMOVE, TRANSFER, ScheduledChange
from bcr.scenario.diagnostics import ValueProblem
from bcr.scenario.entries import ScenarioEntry
from bcr.scenario.grammar import Call, Cursor, ParsingContext, Tell, Warn, demand_count, items, known, milliseconds, whole_number

KINDS = (ADD, REMOVE, TRANSFER)


def parse_servers(
    entries: Mapping[tuple[str, tuple[str, ...]], ScenarioEntry],
    reading: ParsingContext,
    warner: Callable[[ScenarioEntry], Warn],
    teller: Callable[[ScenarioEntry], Tell],
) -> dict[str, Any]:
    """Of a scenario, from what its file says by key: `first_members` that decide at first, empty where all do, and the `changes`."""
    members_entry, changes_entry = (entries.get((name, ())) for name in ("members", "changes"))
    members = _members(members_entry.value, reading, warner(members_entry), teller(members_entry)) if members_entry is not None else ()
    deciding = members or tuple(range(reading.replicas))
    changes = (
        _changes(changes_entry.value, deciding, reading, warner(changes_entry), teller(changes_entry)) if changes_entry is not None else ()
    )
    return {"first_members": members, "changes": changes}


def _members(text: str, reading: ParsingContext, warn: Warn, tell: Tell) -> tuple[int, ...]:
    """The servers that decide at first, by position; `tell` gets what is wrong."""

    def item(cursor: Cursor) -> int:
        cursor.skip_blanks()
        place = cursor.place
        number = cursor.match(re.compile(r"\d{1,9}"))
        position = int(number) - reading.indices_start_at if number else -1
        if not 0 <= position < reading.replicas:
            raise ValueProblem(f"members: expected servers, which are {reading.positions_are}, separated by ;", place)
        return position

    problems: list[ValueProblem] = []
    positions = items(text, item, "members", warn, problems.append)
    twice = sorted({each + reading.indices_start_at for each in positions if positions.count(each) > 1})
    if twice:
        problems.append(ValueProblem(f"members: server {twice[0]} stands there more than once", 0))
    if not problems and len(positions) < FEWEST:
        problems.append(ValueProblem(f"members: {FEWEST} different servers are the fewest", 0))
    for problem in problems:
        tell(problem)
    return tuple(sorted(positions)) if not problems else ()


def _changes(text: str, members: tuple[int, ...], reading: ParsingContext, warn: Warn, tell: Tell) -> tuple[ScheduledChange, ...]:
    """What is asked for, in the order in which it is, of servers of which `members` decide at first; `tell` gets what is wrong."""

    def item(cursor: Cursor) -> tuple[Call, ScheduledChange]:
        call = known(cursor.call(), KINDS, "change", warn)
        demand_count(call, 2, f"{call.name}(ms,i)")
        server = whole_number(call, 1) - reading.indices_start_at
        if not 0 <= server < reading.replicas:
            raise ValueProblem(f"{call.name}: no server {call.arguments[1]}, servers are {reading.positions_are}", call.offsets[1])
        return call, ScheduledChange(milliseconds(call, 0, reading.unit_ms), call.name, server)

    changes = sorted(items(text, item, "changes", warn, tell), key=lambda each: each[1].at_ms)
    for call, change in changes:
        try:
            members = change.applied_to(members)
        except ValueError as error:
            tell(ValueProblem(f"{call.name}: server {call.arguments[1]} {error}", call.offset))
    return tuple(change for _, change in changes)
