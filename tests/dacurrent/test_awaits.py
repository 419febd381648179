"""Time limits of `await`; section "Its language" of what was found out about DistAlgo."""

import re
import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).parent / "programs" / "time_limits.da"


def test_a_time_limit_counts_from_the_await_that_it_stands_in():
    run = subprocess.run(
        [sys.executable, "-m", "da", str(SAMPLE)], capture_output=True, text=True, timeout=60, check=True
    )
    said = re.findall(r"OUTPUT: (.*)", run.stderr)
    assert said[0] == "satisfied"
    waits = {what: int(tenths) for what, tenths in (line.rsplit(" ", 1) for line in said[1:])}
    assert set(waits) == {"after a pause", "after a branch that returned"}
    # Uncured, both end at once: a limit that has run since the last await, and one that was expired to begin with.
    assert all(tenths >= 2 for tenths in waits.values()), waits
