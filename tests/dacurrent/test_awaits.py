"""Time limits of `await`; section "Its language" of what was found out about DistAlgo."""

import re
import subprocess
import sys
import time
from pathlib import Path

from da import common, sim
from running import run_da

from dacurrent import clock

PROGRAMS = Path(__file__).parent / "programs"
SAMPLE = PROGRAMS / "time_limits.da"


def test_a_time_limit_counts_from_the_await_that_it_stands_in():
    run = subprocess.run([sys.executable, "-m", "da", str(SAMPLE)], capture_output=True, text=True, timeout=60, check=True)
    said = re.findall(r"OUTPUT: (.*)", run.stderr)
    assert said[0] == "satisfied"
    waits = {what: int(tenths) for what, tenths in (line.rsplit(" ", 1) for line in said[1:])}
    assert set(waits) == {"after a pause", "after a branch that returned"}
    # Uncured, both end at once: a limit that has run since the last await, and one that was expired to begin with.
    assert all(tenths >= 2 for tenths in waits.values()), waits


def test_a_time_limit_is_what_it_says_where_the_clock_is_set_back(tmp_path):
    done = run_da(tmp_path, PROGRAMS / "set_back.da", limit_s=30)
    assert done.returncode == 0, done.stdout
    assert "expired again" in done.stdout


def test_distalgo_s_clock_never_goes_back(monkeypatch):
    before = clock.time()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert before <= clock.time() < before + 60
    assert common.time.time() >= before and sim.time.time() >= before
    one = common.ProcessId.gen_uid("host", 1)
    assert common.ProcessId.gen_uid("host", 1) > one > before * 1000
