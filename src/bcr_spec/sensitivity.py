"""Does the specification notice bugs? Runs one seeded bug of `bcr_sim.bugs` beside it, seed by seed, until it does.

An OS process of its own has the bug, which must be there before anything of it is imported:
`python3 -m bcr_spec.sensitivity "suffix not executed" 40`; a third argument `raft` or `byzantine_raft` takes the bug from those of that protocol.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from bcr_run.output import Terminal
from bcr_sim.bugs import Bug, apart, bugs, scenario_of, seed_bug

if TYPE_CHECKING:  # these may have the bug, and are imported once it is in its place
    from bcr.scenario import Scenario
    from bcr_spec.following import Departure, NotSpecified

ALL = "all"  # in place of a name
NOTICED, ERROR, NOT_NOTICED = VERDICTS = ("noticed", "error in the specification", "not noticed")
NO_VERDICT = "no verdict"  # where the search itself came to an error
ABSENCE_MS = 250
MOST_MESSAGES = 6_000  # of a run that is looked at: the specification takes the longer the longer a run is


def _cuts(servers: int, absences: Sequence[tuple[int, int]]) -> str:
    """Words of a simulation by which each of these servers is cut off from all others for a while, from a millisecond on."""
    return "; ".join(
        f"cut(replica_{one},replica_{other},{since_ms},{since_ms + ABSENCE_MS})"
        for since_ms, absentee in absences
        for one in range(servers)
        for other in range(servers)
        if one != other and absentee in (one, other)
    )


# Of Raft, where a bug has no scenario of its own: leaders are cut off one after the other, and messages are lost.
ELECTIONS = """protocol = raft
t = 1
num_client = 3
time_unit = ms
client_timeout = 60
heartbeat = 20
election_timeout = 60
checkpt_interval = 1000
client_window = 4
client_rate = 100
workload[0] = uniform(1,40,3,0)
workload[1] = uniform(2,40,3,0)
workload[2] = uniform(3,40,3,0)
simulation = delay(100,9000); lose(50); until(900); """ + _cuts(3, ((100, 0), (250, 1), (400, 2), (550, 0)))

# And of Raft among liars: the first leader is gone for a while, the next one lies, and messages are lost.
LIARS = """protocol = byzantine_raft
t = 1
num_client = 2
time_unit = ms
client_timeout = 60
heartbeat = 30
election_timeout = 60
checkpt_interval = 100
client_window = 4
client_rate = 100
workload[0] = uniform(1,25,3,0)
workload[1] = uniform(2,25,3,0)
failures[0,1] = append(3),equivocate(); start_vote(0),truncate_history(); after(250),chaos(20)
simulation = delay(100,6000); lose(80); until(900); """ + _cuts(4, ((100, 0), (300, 2), (500, 3)))


def main(arguments: list[str]) -> int:
    """0 where the specification departs from a run with the bug, or with one of all that it can notice; 1 where it does not within so
    many seeds."""
    name, seeds, protocol = arguments[0], int(arguments[1]), (arguments[2:] or ["shuttle"])[0]
    if name == ALL:
        chosen_bugs = [bug for bug in bugs(protocol) if not bug.get("durable")]
        counts: Counter[str] = Counter()
        for bug, said in apart(chosen_bugs, 1, lambda bug: noticing(bug, seeds, protocol)):
            counts[next((verdict for verdict in VERDICTS if said.startswith(verdict)), NO_VERDICT)] += 1
            print(f"{bug['name']}: {said}", flush=True)
        Terminal().print(_table_of(counts))
        return 0 if counts[NOTICED] else 1
    [bug] = [each for each in bugs(protocol) if each["name"] == name]
    said = noticing(bug, seeds, protocol)
    print(said)
    return 0 if said.startswith(NOTICED) else 1


def _table_of(counts: Counter[str]) -> Table:
    """How many bugs of each verdict."""
    columns = (*VERDICTS, *([NO_VERDICT] if counts[NO_VERDICT] else []))
    table = Table("bugs", *columns)
    table.add_row(str(counts.total()), *(str(counts[verdict]) for verdict in columns))
    return table


def noticing(bug: Bug, seeds: int, protocol: str) -> str:
    """The first seed at which a run with the bug departs, and how; in an OS process that has nothing imported which could have it."""
    importlib.import_module("da")  # which imports the layer below us, not the other way round
    seed_bug(bug)
    from bcr_spec.following import NotSpecified
    from bcr_spec.recording import drawn

    base = scenario_of(bug, {"raft": ELECTIONS, "byzantine_raft": LIARS}.get(protocol))
    refusal: NotSpecified | None = None

    def found_of_seeds() -> Iterator[list[Departure]]:
        nonlocal refusal
        for seed in range(seeds):
            try:
                yield _departures(drawn(seed, base))
            except NotSpecified as reason:
                refusal = reason
                yield []

    verdict = verdict_of(found_of_seeds())
    return (verdict if refusal is None or verdict.startswith(NOTICED) else f"{verdict}: {refusal}")[:300]


def _departures(scenario: Scenario) -> list[Departure]:
    """Where a run of the scenario departs, found by the specification of its protocol; a run that is too long is not looked at.
    Raises NotSpecified."""
    from bcr_spec.braft_following import RecordedBraft, departures_of_braft
    from bcr_spec.following import departures
    from bcr_spec.raft_following import RecordedRaft, departures_of_raft
    from bcr_spec.recording import Recorded

    if scenario.protocol == "raft":
        raft = RecordedRaft(scenario)
        raft.outcome()
        return departures_of_raft(raft)
    if scenario.protocol == "byzantine_raft":
        braft = RecordedBraft(scenario)
        braft.outcome()
        return departures_of_braft(braft)
    run = Recorded(scenario)
    run.outcome()
    return departures(run) if sum(len(account.steps) for account in run.accounts) <= MOST_MESSAGES else []


def verdict_of(runs: Iterable[Sequence[Departure]]) -> str:
    """One of VERDICTS, and what it is of, from what was found in the run of each seed, which is looked at only until the bug is noticed.

    A run in which the specification itself came to an error notices nothing: what else is found in it may come of that error.
    """
    seeds, first_error = 0, ""
    for seed, found in enumerate(runs):
        error = next((departure for departure in found if departure.is_error_of_specification), None)
        if found and error is None:
            return f"{NOTICED} at seed {seed}: {found[0]}"
        if error is not None:
            first_error = first_error or f"{ERROR} at seed {seed}: {error.what}"
        seeds = seed + 1
    return first_error or f"{NOT_NOTICED} in {seeds} seeds"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
