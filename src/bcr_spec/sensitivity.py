"""Does the specification notice bugs? Runs one seeded bug of `bcr_sim.bugs` beside it, seed by seed, until it does.

An OS process of its own has the bug, which must be there before anything of it is imported:
`python3 -m bcr_spec.sensitivity "suffix not executed" 40`; a third argument `raft` takes the bug from those of Raft.
"""

import sys
from pathlib import Path

from bcr_runtime.places import PROJECT
from bcr_sim.bugs import bugs, seed_bug

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


def main(arguments: list[str]) -> int:
    """0 where the specification departs from a run with the bug, 1 where it does not within so many seeds."""
    name, seeds, protocol = arguments[0], int(arguments[1]), (arguments[2:] or ["shuttle"])[0]
    [bug] = [each for each in bugs(protocol) if each["name"] == name]
    seed_bug(bug)
    from bcr_spec.following import Departure, departures
    from bcr_spec.raft_following import RecordedRaft, departures_of_raft
    from bcr_spec.recording import Recorded, drawn

    base = bug.get("scenario", ELECTIONS if protocol == "raft" else None)
    if base is not None and "\n" not in base:
        base = Path(PROJECT / base).read_text()
    for seed in range(seeds):
        found: list[Departure] = []
        if protocol == "raft":
            raft = RecordedRaft(drawn(seed, base))
            raft.outcome()
            found = departures_of_raft(raft)
        else:
            run = Recorded(drawn(seed, base))
            run.outcome()
            if sum(len(account.steps) for account in run.accounts) <= MOST_MESSAGES:
                found = departures(run)
        for departure in found:
            print(f"noticed at seed {seed}: {departure}"[:300])
            return 0
    print(f"not noticed in {seeds} seeds")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
