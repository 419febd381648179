"""What `bcr grade` runs apart, on another's sources: simulates scenarios, one line of JSON for each, or makes one of them small."""

import json
import resource
import sys

import da  # noqa: F401 - before the modules of the layer

from bcr_sim.campaign import prepare, run_text
from bcr_sim.shrink import shrunk

SHRINKING_RUNS = 60


def kind_of(text: str) -> str:
    """By what the scenario's run fails; empty where it does not."""
    return _breach(text).partition(":")[0]


def _breach(text: str) -> str:
    outcome = run_text(text)
    if isinstance(outcome, str):
        return outcome
    return outcome.breaches[0] if outcome.breaches else ""


def main() -> None:
    """Read a task from standard input: `memory_bytes`, and `scenarios`, each a name and a text, or one `shrink`.
    With `most` it ends when so many have failed."""
    task = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (task["memory_bytes"], task["memory_bytes"]))
    told = sys.stdout
    sys.stdout = sys.stderr  # what is compiled says so
    prepare()
    if "shrink" in task:
        text = task["shrink"]
        print(json.dumps({"text": shrunk(text, kind_of(text), kind_of, SHRINKING_RUNS)}), file=told, flush=True)
        return
    found = 0
    for name, text in task["scenarios"]:
        print(json.dumps({"began": name}), file=told, flush=True)
        breach = _breach(text)
        print(json.dumps({"name": name, "breach": breach}), file=told, flush=True)
        found += bool(breach)
        if found == task.get("most"):
            return


if __name__ == "__main__":
    main()
