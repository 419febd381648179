"""Does the specification notice bugs? Runs one seeded bug of `bcr_sim.bugs` beside it, seed by seed, until it does.

An OS process of its own has the bug, which must be there before anything of it is imported:
`python3 -m bcr_spec.sensitivity "suffix not executed" 40`; a third argument `raft` or `byzantine_raft` takes the bug from those of that protocol.
"""

import importlib
import sys
from pathlib import Path

from bcr_runtime.places import PROJECT
from bcr_sim.bugs import Bug, apart, bugs, seed_bug

ALL = "all"  # in place of a name
MOST_MESSAGES = 6_000  # of a run that is looked at: the specification takes the longer the longer a run is


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
simulation = delay(100,9000); lose(50); until(900); """ + "; ".join(
    f"cut(replica_{one},replica_{other},{since},{since + 250})"
    for since, away in ((100, 0), (250, 1), (400, 2), (550, 0))
    for one in range(3)
    for other in range(3)
    if one != other and away in (one, other)
)

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
simulation = delay(100,6000); lose(80); until(900); """ + "; ".join(
    f"cut(replica_{one},replica_{other},{since},{since + 250})"
    for since, away in ((100, 0), (300, 2), (500, 3))
    for one in range(4)
    for other in range(4)
    if one != other and away in (one, other)
)


def main(arguments: list[str]) -> int:
    """0 where the specification departs from a run with the bug, or with one of all that it can notice; 1 where it does not within so
    many seeds."""
    name, seeds, protocol = arguments[0], int(arguments[1]), (arguments[2:] or ["shuttle"])[0]
    if name == ALL:
        chosen = [bug for bug in bugs(protocol) if not bug.get("durable")]
        noticed = 0
        for bug, said in apart(chosen, 1, lambda bug: noticing(bug, seeds, protocol)):
            noticed += said.startswith("noticed")
            print(f"{bug['name']}: {said}", flush=True)
        print(f"{noticed} of {len(chosen)} noticed")
        return 0 if noticed else 1
    [bug] = [each for each in bugs(protocol) if each["name"] == name]
    said = noticing(bug, seeds, protocol)
    print(said)
    return 0 if said.startswith("noticed") else 1


def noticing(bug: Bug, seeds: int, protocol: str) -> str:
    """The first seed at which a run with the bug departs, and how; in an OS process that has nothing imported which could have it."""
    importlib.import_module("da")  # which imports the layer below us, not the other way round
    seed_bug(bug)
    from bcr_spec.braft_following import RecordedBraft, departures_of_braft
    from bcr_spec.following import Departure, NotSpecified, departures
    from bcr_spec.raft_following import RecordedRaft, departures_of_raft
    from bcr_spec.recording import Recorded, drawn

    base = bug.get("scenario", {"raft": ELECTIONS, "byzantine_raft": LIARS}.get(protocol))
    if base is not None and "\n" not in base:
        base = Path(PROJECT / base).read_text()
    why = ""
    for seed in range(seeds):
        found: list[Departure] = []
        scenario = drawn(seed, base)
        try:
            if protocol == "raft":
                raft = RecordedRaft(scenario)
                raft.outcome()
                found = departures_of_raft(raft)
            elif protocol == "byzantine_raft":
                braft = RecordedBraft(scenario)
                braft.outcome()
                found = departures_of_braft(braft)
            else:
                run = Recorded(scenario)
                run.outcome()
                if sum(len(account.steps) for account in run.accounts) <= MOST_MESSAGES:
                    found = departures(run)
        except NotSpecified as not_specified:
            why = f": {not_specified}"
        for departure in found:
            return f"noticed at seed {seed}: {departure}"[:300]
    return f"not noticed in {seeds} seeds{why}"[:300]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
