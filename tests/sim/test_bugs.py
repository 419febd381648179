"""That the oracle and the hunt can fail: some of the seeded bugs, each in a process of its own."""

import ast
import subprocess
import sys

import pytest

from bcr_sim.bugs import FILES, bugs, patched, seeds_for
from bcr_sim.replaying import bug_called

QUICK = ["hole filled with what comes", "outcomes not part of the state that is handed over", "history cut one slot too far",
         "wedged replica goes on", "slice takes one character too many", "new configuration begins empty"]  # fmt: skip


@pytest.mark.parametrize("protocol", FILES)
def test_every_seeded_bug_is_a_change_of_the_source_as_it_is_now(protocol):
    for bug in bugs(protocol):
        ast.parse(patched(bug))  # a source that cannot be read would be found by any seed


@pytest.mark.parametrize("protocol", FILES)
def test_every_seeded_bug_can_be_replayed_by_its_name(protocol):
    for bug in bugs(protocol):
        assert bug_called(f"{protocol}:{bug['name']}") == bug
    assert bug_called("history cut one slot too far") in bugs()


def test_a_name_that_two_protocols_have_a_bug_of_is_told_with_both():
    with pytest.raises(ValueError, match="there are 2: raft:vote not in the store, byzantine_raft:vote not in the store"):
        bug_called("vote-not-in-the-store")


def test_there_are_at_least_thirty_that_count():
    assert sum("masked" not in bug for bug in bugs()) >= 30


def test_a_masked_bug_is_tried_with_a_tenth_of_the_seeds():
    assert seeds_for({"name": "x"}, 5, 2_000) == range(5, 2_005)
    assert seeds_for({"name": "x", "masked": "y"}, 5, 2_000) == range(5, 205)
    assert seeds_for({"name": "x", "masked": "y"}, 5, 3) == range(5, 6)


@pytest.mark.parametrize("name", QUICK)
def test_a_seeded_bug_is_found_within_a_few_seeds(name):
    number = [bug["name"] for bug in bugs()].index(name)
    command = [sys.executable, "-m", "bcr_sim.bugs", "--one", str(number), "--count", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "found by seed" in done.stdout, done.stdout + done.stderr


def test_a_bug_that_is_tried_among_others_is_found_as_it_is_alone():
    command = [sys.executable, "-m", "bcr_sim.bugs", "--only", "wedged replica goes on", "--count", "20", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wedged replica goes on: found by seed" in done.stdout
    assert "1 of 1 seeded bugs found" in done.stdout


TWICE = """# A run of three servers in which two of them ask for votes of the same term.
test_case_name = twice
protocol = raft
t = 1
num_client = 1
time_unit = ms
client_timeout = 1000
heartbeat = 30
election_timeout = 150
workload[0] = pseudorandom(96815,1)
simulation = seed(27); delay(1000,20000)
"""
SIM = "import da, sys; from bcr_sim.sim import main; sys.exit(main(sys.argv[1:]))"  # the layer below us before its modules


def test_a_counterexample_of_another_protocols_bug_is_replayed(tmp_path):
    (tmp_path / "twice.config").write_text(TWICE)
    command = [sys.executable, "-c", SIM, "--bug", "raft:two-votes-in-a-term", str(tmp_path / "twice.config")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "election safety: replica_0 and replica_1 both lead in term 1" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


LATE = """# The keys of two replicas of three come later than Olympus waits for them, and nobody is faulty.
t = 1
num_client = 1
time_unit = ms
client_timeout = 60
head_timeout = 60
nonhead_timeout = 60
olympus_timeout = 500
workload[0] = pseudorandom(1,6)
simulation = seed(1); delay(500,4000); hold(replica_1,olympus,0,2500); hold(replica_2,olympus,0,2500)
"""


@pytest.mark.parametrize("bug", [(), ("--bug", "a-replica-that-dies-before-it-has-enrolled-ends-the-service")])
def test_an_olympus_that_gives_up_before_anything_has_begun_has_no_excuse_in_what_is_only_late(bug, tmp_path):
    (tmp_path / "late.config").write_text(LATE)
    command = [sys.executable, "-c", SIM, *bug, str(tmp_path / "late.config")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "liveness: no configuration was issued" in done.stdout) == ((1, True) if bug else (0, False)), done.stdout
