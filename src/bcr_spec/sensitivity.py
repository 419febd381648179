"""Does the specification notice bugs? Runs one seeded bug of `bcr_sim.bugs` beside it, seed by seed, until it does.

An OS process of its own has the bug, which must be there before anything of it is imported:
`python3 -m bcr_spec.sensitivity "suffix not executed" 40`.
"""

import sys
from pathlib import Path

from bcr_runtime.places import PROJECT
from bcr_sim.bugs import bugs, seed_bug

MOST_MESSAGES = 6_000  # of a run that is looked at: the specification takes the longer the longer a run is


def main(arguments: list[str]) -> int:
    """0 where the specification departs from a run with the bug, 1 where it does not within so many seeds."""
    name, seeds = arguments[0], int(arguments[1])
    [bug] = [each for each in bugs() if each["name"] == name]
    seed_bug(bug)
    from bcr_spec.following import departures
    from bcr_spec.recording import Recorded, drawn

    base = bug.get("scenario")
    if base is not None and "\n" not in base:
        base = Path(PROJECT / base).read_text()
    for seed in range(seeds):
        run = Recorded(drawn(seed, base))
        run.outcome()
        if sum(len(account.steps) for account in run.accounts) > MOST_MESSAGES:
            continue
        for departure in departures(run):
            print(f"noticed at seed {seed}: {departure}"[:300])
            return 0
    print(f"not noticed in {seeds} seeds")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
