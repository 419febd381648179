"""Raft as the paper's Figure 2 says it, spec/Figure2.da, by itself and beside the implementation."""

import sys
from functools import cache

import msgspec
import pytest

from bcr.scenario import parse_scenario
from bcr_runtime.places import SCENARIOS
from bcr_sim.bugs import bugs, patched
from bcr_spec.following import NotSpecified
from bcr_spec.raft_following import RecordedRaft, departures_of_raft
from bcr_spec.recording import drawn
from bcr_spec.sensitivity import ELECTIONS
from bcr_spec.spec import main as spec_main


def recorded(scenario):
    run = RecordedRaft(scenario)
    assert run.outcome().breaches == ()
    return run


def scenario_of(t=1, clients=2, more=""):
    workloads = "".join(f"workload[{client}] = uniform({client + 3},12,3,30)\n" for client in range(clients))
    text = f"protocol = raft\nt = {t}\nnum_client = {clients}\ntime_unit = ms\nclient_timeout = 300\n{workloads}{more}"
    return parse_scenario(f"test_case_name = beside\n{text}", "beside.config")[0]


@cache
def quiet():
    """A run without faults; tests change copies of what was written down of it."""
    return recorded(scenario_of())


def leader_of(run):
    [position] = [position for position, steps in enumerate(run.steps) if steps[-1].view.role == "leader"]
    return position


# -- by itself


def test_it_runs_by_itself_as_a_distalgo_program(run_da):
    done = run_da("Figure2.da", "1", "2", "3")
    assert done.returncode == 0
    said = done.stderr + done.stdout
    logs = [line.partition("has committed ")[2] for line in said.splitlines() if "has committed" in line]
    whole = max(logs, key=len)
    assert len(logs) == 3
    assert all(whole.startswith(log.rstrip("]")) for log in logs)
    assert all(whole.count(f"({client}, {number})") == 1 for client in range(2) for number in range(3))
    assert "ERROR" not in said


def test_it_says_how_it_is_called(run_da):
    done = run_da("Figure2.da", "1", "none", "3")
    assert done.returncode == 2
    assert "usage: python3 -m da spec/Figure2.da" in done.stderr + done.stdout


# -- beside the implementation


@pytest.mark.parametrize(("t", "clients"), [(1, 1), (1, 4), (2, 3)])
def test_without_faults_every_server_is_step_by_step_what_the_figure_says(t, clients):
    run = recorded(scenario_of(t, clients))
    assert departures_of_raft(run) == []
    assert all(len(steps) > 10 for steps in run.steps)
    committed = max((steps[-1].view for steps in run.steps), key=lambda view: view.commit_index)
    commands = [command for _, commands in committed.log[: committed.commit_index] for command in commands]
    assert len(set(commands)) == len(commands) > 3 * clients


def test_with_a_leader_that_crashes_the_others_keep_to_the_figure():
    leader = leader_of(quiet())
    run = recorded(scenario_of(more=f"client_rate = 15\nsimulation = crash(replica_{leader},400)\n"))
    assert departures_of_raft(run) == []
    assert {steps[-1].view.role for position, steps in enumerate(run.steps) if position != leader} == {"leader", "follower"}
    assert max(steps[-1].view.term for steps in run.steps) > 1


@pytest.mark.parametrize("seed", [0, 3])
def test_with_leaders_that_are_cut_off_and_messages_lost_all_keep_to_the_figure(seed):
    run = recorded(drawn(seed, ELECTIONS))
    assert departures_of_raft(run) == []
    assert max(step.view.term for steps in run.steps for step in steps) > 1


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("failures[0,0] = append_entries(0),crash(),restart(50)\n", "begin again"),
        ("members = 0; 1\n", "not all of its servers decide"),
        ("changes = transfer(200,1)\n", "not all of its servers decide"),
        ("allow_lies = yes\n", "may lie"),
    ],
)
def test_a_run_of_which_it_says_nothing_is_refused(more, why):
    with pytest.raises(NotSpecified, match=why):
        RecordedRaft(scenario_of(more=more))


def test_a_run_in_which_a_snapshot_is_installed_is_refused():
    cuts = "cut(replica_0,replica_2,100,600); cut(replica_1,replica_2,100,600)"
    run = recorded(scenario_of(more=f"checkpt_interval = 2\nclient_rate = 30\nsimulation = {cuts}\n"))
    with pytest.raises(NotSpecified, match="a snapshot is installed"):
        departures_of_raft(run)


# -- that it notices


def altered(position, number, **fields):
    """The departures of a run without faults in which one step leaves a server otherwise."""
    run = quiet()
    steps = run.steps[position]
    stock, number = steps[number], number % len(steps)
    try:
        steps[number] = msgspec.structs.replace(stock, **fields)
        return [str(departure) for departure in departures_of_raft(run)]
    finally:
        steps[number] = stock


def test_an_entry_committed_too_early_is_noticed():
    leader = leader_of(quiet())
    view = quiet().steps[leader][-1].view
    assert departures_of_raft(quiet()) == []
    [departure] = altered(leader, -1, view=msgspec.structs.replace(view, commit_index=view.commit_index + 1))
    assert f"commit_index: {view.commit_index + 1}, and not {view.commit_index}" in departure


def test_a_second_leader_of_a_term_is_noticed():
    follower = (leader_of(quiet()) + 1) % 3
    view = quiet().steps[follower][-1].view
    found = altered(follower, -1, view=msgspec.structs.replace(view, role="leader"))
    assert any("role: leader, and not follower" in each for each in found)
    assert any("leads in term 1, as replica_" in each for each in found)


def test_a_missing_answer_is_noticed():
    follower = (leader_of(quiet()) + 1) % 3
    number = max(number for number, step in enumerate(quiet().steps[follower]) if step.said)
    [departure] = altered(follower, number, said=())
    assert "says [], and not [('appended', 1, " in departure


@pytest.mark.parametrize(
    ("name", "function", "seed"),
    [
        ("committed with one server too few", "majority_index", 0),
        ("two votes in a term", "may_vote", 3),
        ("shorter log of the same term is up to date", "is_up_to_date", 5),
    ],
)
def test_a_seeded_bug_of_one_function_is_noticed(name, function, seed, monkeypatch):
    assert departures_of_raft(quiet()) == []  # by now the servers' rules are imported
    [bug] = [each for each in bugs("raft") if each["name"] == name]
    faulty = {}
    exec(compile(patched(bug), bug["file"], "exec"), faulty)
    monkeypatch.setattr(sys.modules["Raft"], function, faulty[function])
    run = RecordedRaft(drawn(seed, ELECTIONS))
    run.outcome()
    assert departures_of_raft(run) != []


def test_a_seeded_bug_of_the_log_is_noticed(demand_noticed):
    demand_noticed("conflicting entries stay", 2, "raft")


# -- the command


def test_the_command_says_whether_a_run_is_as_the_figure_says(capsys):
    assert spec_main([str(SCENARIOS / "raft.config")]) == 0
    assert " steps of 3 servers in " in capsys.readouterr().out
