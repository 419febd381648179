"""Of a fault that was armed and had nothing to strike nobody says that it struck; who has it is excused all the same."""

import pytest

from bcr.scenario import parse_scenario
from bcr_run.report import armed_in_vain
from bcr_sim.coverage import rare, struck
from bcr_sim.simulated_run import simulate

BASE = """protocol = {}
t = 1
num_client = 1
checkpt_interval = 2
workload[0] = put('a','1'); append('a','2'); get('a'); put('b','3')
failures[0,{}] = {}
simulation = seed(1)
"""


def result_of(protocol, position, pairs, more=""):
    outcome = simulate(parse_scenario(BASE.format(protocol, position, "; ".join(pairs)) + more, "armed.config")[0])
    assert (outcome.judgement.status, outcome.breaches) == ("pass", ())
    return outcome.result


def told(result):
    return [{each["fault"] for each in result[key]} for key in ("faults_injected", "faults_armed")]


CASES = [
    # A follower sends no append, and nobody votes where the first leader stays.
    ("byzantine_raft", 2, (), ["append(0),break_chain()", "append(0),increment_slot()", "append(0),spin(2)", "append(0),forge_request()",
                               "append(0),truncate_history(1)", "append(0),change_operation()", "append(0),drop_checkpt_stmts()"]),
    ("byzantine_raft", 0, ["client_request(0,0),forge_request()"], ["client_request(0,0),truncate_history(1)"]),
    ("byzantine_raft", 0, ["client_request(0,1),spin(2)"], ["client_request(0,1),drop_checkpt_stmts()"]),
    ("byzantine_raft", 1, ["append(0),stall()"], []),
    ("byzantine_raft", 1, ["append(0),change_result()", "append(0),duplicate()", "append(1),no_checkpoints()", "append(0),answer_early(1)",
                           "append(0),equivocate()", "append(0),corrupt()", "append(0),delay(20)", "append(0),replay()",
                           "append(1),drop()", "append(0),garbage(1)", "append(2),chaos(20)"], ["append(0),forge_request()"]),
    ("shuttle", 0, [], ["client_request(0,0),truncate_history(1)", "client_request(0,0),change_result()", "client_request(0,0),mute_clients()",
                        "client_request(0,0),withhold_ready()", "client_request(0,0),lie_caught_up(1)"]),
    ("shuttle", 1, ["shuttle(0,0),delay(1)", "shuttle(0,1),garbage(1)"], ["shuttle(0,0),increment_slot()", "shuttle(0,0),spin(1)",
                                                                          "shuttle(0,0),truncate_history(0)", "shuttle(0,0),replay_old(shuttle)"]),
    ("shuttle", 2, ["shuttle(0,0),change_result()", "shuttle(0,0),truncate_history(1)"], ["shuttle(0,0),lie_caught_up(1)"]),
    ("shuttle", 0, ["client_request(0,0),drop_all()"], []),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "position", "effective", "idle"), CASES)
def test_what_was_armed_and_had_no_effect_is_told_apart_from_what_struck(protocol, position, effective, idle):
    result = result_of(protocol, position, [*effective, *idle])
    assert told(result) == [set(effective), set(idle)]
    assert result["faults_missed"] == []


def test_a_server_of_raft_that_answers_nobody_and_forgets_nothing_has_not_lied():
    forgetting = ["append_entries(0),truncate_history(1)", "append_entries(0),change_result()"]
    result = result_of("raft", 1, ["append_entries(1),delay(1)", *forgetting], "simulation = seed(1); clock(0,3000)\nallow_lies = yes\n")
    assert told(result) == [{"append_entries(1),delay(1)"}, set(forgetting)]


def test_hunts_count_what_struck_and_how_often_something_was_armed_in_vain():
    result = result_of("byzantine_raft", 2, ["append(0),break_chain()", "append(0),duplicate()"])
    assert list(struck(result)) == ["byzantine_raft: append duplicate another server"]
    assert rare(result)["a fault that was armed and had no effect"] == 1
    assert armed_in_vain(result) == ["armed, and had no effect: append(0),break_chain() of server 2"]


def test_of_raft_what_never_struck_is_told_of_a_server():
    result = result_of("raft", 1, ["append_entries(1000000),crash()"])
    assert [each["who"] for each in result["faults_missed"]] == ["server 1"]
