"""Raft among liars as queries say it, spec/AmongLiars.da, by itself and beside the implementation."""

from functools import cache

import msgspec
import pytest

from bcr.scenario import parse_scenario
from bcr_runtime.places import SCENARIOS
from bcr_spec.braft_following import RecordedBraft, departures_of_braft
from bcr_spec.following import NotSpecified
from bcr_spec.recording import drawn
from bcr_spec.sensitivity import LIARS
from bcr_spec.spec import main as spec_main


def recorded(scenario):
    run = RecordedBraft(scenario)
    assert run.outcome().breaches == ()
    return run


def scenario_of(more="", t=1):
    text = f"""protocol = byzantine_raft
t = {t}
num_client = 2
time_unit = ms
client_timeout = 200
election_timeout = 150
checkpt_interval = 4
workload[0] = uniform(1,6,3,20)
workload[1] = uniform(2,6,3,20)
"""
    return parse_scenario(text + more, "beside.config")[0]


@cache
def quiet():
    """A run without faults; tests change copies of what was written down of it."""
    return recorded(scenario_of())


# -- by itself


def test_it_runs_by_itself_as_a_distalgo_program(run_da):
    done = run_da("AmongLiars.da", "1", "2", "2")
    said = done.stderr + done.stdout
    logs = [line.partition("has decided ")[2] for line in said.splitlines() if "has decided" in line]
    whole = max(logs, key=len)
    assert (done.returncode, len(logs)) == (0, 4), said
    assert all(whole.startswith(log.rstrip("]")) for log in logs)
    assert all(whole.count(f"({client}, {number})") == 1 for client in range(2) for number in range(2))
    assert "ERROR" not in said


# -- beside the implementation


@pytest.mark.parametrize("t", [1, 2])
def test_without_faults_every_server_does_what_the_specification_says(t):
    run = quiet() if t == 1 else recorded(scenario_of(t=2))
    assert departures_of_braft(run) == []
    assert sorted(run.steps) == list(range(3 * t + 1))
    assert all(len({request for _, requests in steps[-1].view.log for request in requests}) == 12 for steps in run.steps.values())


@pytest.mark.parametrize(
    "lies",
    [
        "failures[0,0] = client_request(0,2),equivocate()\n",
        "failures[0,0] = client_request(0,2),forge_request(); client_request(1,2),break_chain()\n",
        "failures[0,0] = client_request(0,2),crash()\n",
        "failures[0,2] = after(10),chaos(4)\n",
    ],
)
def test_with_a_liar_the_others_do_what_the_specification_says(lies):
    run = recorded(scenario_of(lies + "client_rate = 30\nsimulation = seed(5); lose(50); until(300)\n"))
    assert departures_of_braft(run) == []
    assert len(run.steps) == 3


def test_where_leaders_lie_and_are_cut_off_all_others_keep_to_it_through_terms():
    run = recorded(drawn(1, LIARS))
    assert departures_of_braft(run) == []
    assert max(step.view.term for steps in run.steps.values() for step in steps) > 1


def test_a_state_that_is_fetched_is_what_the_specification_takes():
    cuts = "; ".join(f"cut(replica_{one},replica_{two},50,600)" for one, two in ((0, 3), (1, 3), (2, 3), (3, 0), (3, 1), (3, 2)))
    run = recorded(scenario_of(f"client_rate = 30\nsimulation = seed(2); {cuts}\n"))
    assert any(step.heard is not None and step.heard[:1] == ("state",) and step.heard[1] is not None for step in run.steps[3])
    assert departures_of_braft(run) == []


@pytest.mark.parametrize("more", ["failures[0,0] = append(0),restart(50)\n", "simulation = crash(replica_0,5); restart(replica_0,9)\n"])
def test_servers_that_come_back_are_refused(more):
    with pytest.raises(NotSpecified, match="begin again"):
        RecordedBraft(scenario_of(more))


# -- that it notices


def altered(position, number, **fields):
    """The departures of a run without faults in which one step is another."""
    run = quiet()
    steps = run.steps[position]
    number %= len(steps)
    stock = steps[number]
    try:
        steps[number] = msgspec.structs.replace(stock, **fields)
        return [str(departure) for departure in departures_of_braft(run)]
    finally:
        steps[number] = stock


def test_what_is_decided_without_a_quorum_is_noticed():
    number, step = next((n, step) for n, step in enumerate(quiet().steps[1]) if step.view.log and not step.view.commit_index)
    found = altered(1, number, view=msgspec.structs.replace(step.view, commit_index=1))
    assert "commit_index: 1, and not 0" in found[0]


def test_a_second_prepare_of_an_index_is_noticed():
    number, step = next((n, step) for n, step in enumerate(quiet().steps[2]) if step.said and step.said[0][0] == "prepare")
    (name, (signed, who, (kind, term, index, upto))) = step.said[0]
    other = (name, (signed, who, (kind, term, index, (*upto[:-1], (term, ())))))
    assert "may not" in altered(2, number, said=(*step.said, other))[0]


def test_a_commit_of_what_is_not_prepared_is_noticed():
    number, step = next((n, step) for n, step in enumerate(quiet().steps[2]) if step.said and step.said[0][0] == "prepare")
    (_, (signed, who, (_, *rest))) = step.said[0]
    found = altered(2, number, said=(*step.said, ("commit", (signed, who, ("commit", *rest)))))
    assert "says ('commit'" in found[0] and "may not" in found[0]


def test_a_seeded_bug_is_noticed(demand_noticed):
    demand_noticed("quorum of one server too few", 2, "byzantine_raft")


# -- the command


def test_the_command_says_whether_a_run_is_as_specified(capsys):
    assert spec_main([str(SCENARIOS / "byzantine_raft_liar.config")]) == 0
    assert "of 3 of 4 servers in 2 terms" in capsys.readouterr().out
