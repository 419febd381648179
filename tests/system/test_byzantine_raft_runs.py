"""Whole runs of Raft among liars: through the plain command, with servers and clients in processes of their own."""

import subprocess
import sys

from whole_runs import Run, lines, passed, perform

BRAFT = """protocol = byzantine_raft
t = 1
num_client = 2
time_unit = ms
client_timeout = 2000
election_timeout = 1500
checkpt_interval = 5
workload[0] = put('movie','star'); append('movie',' wars'); get('movie'); pseudorandom(7,9)
workload[1] = uniform(8,12,16,50)
"""


def chain_of(run, *arguments):
    command = [sys.executable, "-m", "bcr_tools.cli", "log", run.result()["log_folder"], *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_passes_and_its_chain_can_be_printed_and_followed(tmp_path):
    run = perform(tmp_path, BRAFT)
    assert passed(run)
    result = run.result()
    assert (result["protocol"], result["operations"], result["faults_injected"]) == ("byzantine_raft", 24, [])
    assert result["results"][0][:3] == ["OK", "OK", "star wars"]
    assert all(lines(log, event="snapshot") for name, log in run.all_logs().items() if name.startswith("replica"))
    verified, printed = chain_of(run, "--verify"), chain_of(run)
    assert (verified.returncode, printed.returncode) == (0, 0), verified.stdout + verified.stderr
    assert "each entry holds the digest of the one before it" in verified.stdout
    assert " behind " in printed.stdout


def test_the_first_leader_shows_others_another_entry_and_all_is_answered(tmp_path):
    with Run(tmp_path, "config/byzantine_raft_liar.config") as run:
        run.status = run.finish()
    assert passed(run)
    assert {fault["fault"] for fault in run.result()["faults_injected"]} >= {"client_request(0,5),equivocate()"}
    assert run.result()["operations"] == 63


def test_a_chaos_server_among_four_and_three_clients(tmp_path):
    with Run(tmp_path, "config/byzantine_raft_chaos.config") as run:
        run.status = run.finish()
    assert passed(run)
    assert run.result()["operations"] == 73
