"""What both specifications that run are tested by: as programs of their own, and with a seeded bug beside them."""

import subprocess
import sys

import pytest

from bcr_runtime.places import PROJECT


@pytest.fixture
def run_da():
    """`run_da(file, *arguments)`: a specification by itself, as a DistAlgo program."""

    def run(file, *arguments):
        command = [sys.executable, "-m", "da", str(PROJECT / "spec" / file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def demand_noticed():
    """`demand_noticed(bug, seeds, *protocol)`: in a process of its own, which has the seeded bug."""

    def demand(bug, seeds, *protocol):
        command = [sys.executable, "-m", "bcr_spec.sensitivity", bug, str(seeds), *protocol]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "noticed at seed" in done.stdout

    return demand
