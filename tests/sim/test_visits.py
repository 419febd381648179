"""Clients that come and go: whole simulated runs, each test named after a sentence of docs/protocol.md, section 15."""

import re

import pytest

from bcr.scenario import parse_scenario
from bcr.scenario.diagnostics import ScenarioError
from bcr_sim.campaign import run_text
from bcr_sim.seeds import scenario_text

BASE = """t = 1
num_client = 3
client_timeout = 60
head_timeout = 60
nonhead_timeout = 60
time_unit = ms
"""
WORK = "".join(f"workload[{client}] = pseudorandom({client},30)\n" for client in range(3))


def run(more, simulation="delay(200,1000)"):
    outcome = run_text(f"{BASE}{WORK}{more}simulation = seed(1); {simulation}\n")
    assert not isinstance(outcome, str), outcome
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    return outcome


def sessions(outcome, client):
    return [(each.client, each.first, each.sent) for each in outcome.record.clients[client].sessions]


def answered(outcome, client):
    return len(outcome.record.clients[client].exchanges)


def test_whoever_comes_later_gets_a_number_and_is_answered_as_any_other():
    outcome = run("client_arrives[2] = 40\n")
    assert sessions(outcome, 2) == [(2, 0, 30)] and answered(outcome, 2) == 30
    assert len(outcome.record.configurations[0].statement.clients) == 2  # a configuration names those from the start
    assert all(each.request.statement.credential.statement.holder == 2 for each in outcome.record.clients[2].exchanges)


def test_one_that_leaves_sends_nothing_more_and_waits_for_what_is_outstanding():
    outcome = run("client_leaves[1] = 20\nclient_window = 3\n")
    assert 0 < answered(outcome, 1) < 30
    assert (outcome.record.clients[1].unanswered, outcome.record.clients[1].has_left) == ((), True)
    assert answered(outcome, 0) == answered(outcome, 2) == 30


def test_one_that_comes_back_goes_on_under_a_new_key_and_number():
    outcome = run("client_leaves[1] = 20\nclient_arrives[1] = 50\n")
    (first, begun, sent), (second, behind, rest) = sessions(outcome, 1)
    assert (first, begun, behind, sent + rest) == (1, 0, sent, 30) and second >= 3
    assert answered(outcome, 1) == 30 and not outcome.record.clients[1].has_left


def test_numbers_are_never_given_twice():
    outcome = run("client_leaves[0] = 10\nclient_arrives[0] = 40\nclient_leaves[1] = 10\nclient_arrives[1] = 41\nclient_arrives[2] = 30\n")
    numbers = [number for client in range(3) for number, _, _ in sessions(outcome, client)]
    assert sorted(numbers) == [0, 1, 2, 3, 4]


def test_a_number_that_was_kept_before_olympus_began_again_may_have_been_given_and_is_kept_for_nobody_now():
    assert sessions(run("client_arrives[2] = 90\ndurable = on\n"), 2) == [(2, 0, 30)]
    restarted = run("client_arrives[2] = 90\ndurable = on\n", "delay(200,1000); restart(olympus,40)")
    assert [number for number, _, _ in sessions(restarted, 2)] == [3]


def test_clients_come_and_go_across_reconfigurations():
    faults = "failures[0,1] = shuttle(0,3),drop()\nfailures[1,2] = shuttle(0,2),change_result()\n"
    outcome = run(f"{faults}client_arrives[2] = 30\nclient_leaves[1] = 20\nclient_arrives[1] = 100\n")
    assert outcome.result["reconfigurations"] and answered(outcome, 1) == answered(outcome, 2) == 30


def answerers(outcome, client):
    return {each.answered_by for each in outcome.record.clients[client].exchanges}


def struck(outcome):
    return [each["fault"] for each in outcome.result["faults_injected"]]


def test_a_tail_that_mutes_clients_tells_nothing_to_those_that_come_later_either():
    told = answerers(run("client_arrives[2] = 40\n"), 2)
    muted = run("client_arrives[2] = 40\nfailures[0,2] = after(1),mute_clients()\n")
    assert answered(muted, 2) == 30 and struck(muted) == ["after(1),mute_clients()"]
    assert {each for each in told if "replica_2" in each} and not {each for each in answerers(muted, 2) if "replica_2" in each}


@pytest.mark.parametrize(("trigger", "position"), [("client_request", 0), ("shuttle", 1), ("result_shuttle", 0)])
def test_a_trigger_counts_what_a_client_asks_in_all_its_sessions(trigger, position):
    visit = "client_leaves[1] = 20\nclient_arrives[1] = 50\n"
    (_, _, sent), (number, _, _) = sessions(run(visit), 1)
    outcome = run(f"{visit}failures[0,{position}] = {trigger}(1,{sent + 1}),sleep(1)\n")
    assert number != 1 and struck(outcome) == [f"{trigger}(1,{sent + 1}),sleep(1)"]


CUT_OFF = "delay(200,1000); " + "; ".join(f"cut(client_1,replica_{place},60,400)" for place in range(3))


def test_whoever_comes_with_a_session_that_has_ended_is_told_so_and_begins_another():
    outcome = run("session_slots = 5\nworkload[0] = pseudorandom(0,300)\n", CUT_OFF)
    [lost] = outcome.record.clients[1].lost
    (_, _, sent), (number, first, _) = sessions(outcome, 1)
    assert (lost.statement.client, lost.statement.number, first) == (1, sent - 1, sent) and number >= 3
    assert answered(outcome, 1) == 29
    assert "nobody knows whether they were executed" in outcome.judgement.reasons[0]


def test_a_client_that_olympus_has_forgotten_shows_its_credential_and_is_told_of_the_next_configuration():
    outcome = run("client_arrives[2] = 20\ndurable = on\nworkload[0] = pseudorandom(0,300)\nworkload[2] = pseudorandom(2,300)\n",
                  "delay(200,1000); restart(olympus,100); cut(olympus,client_2,90,600)")  # fmt: skip
    assert outcome.result["reconfigurations"] and answered(outcome, 2) == 300


def test_what_olympus_vouched_for_to_a_client_that_it_has_forgotten_the_client_asks_for_again():
    for sync in range(3, 6):
        outcome = run("client_arrives[2] = 20\ndurable = on\nfailures[0,1] = shuttle(2,2),drop()\n",
                      f"delay(200,1000); end_in_sync(olympus,{sync})")  # fmt: skip
        assert outcome.result["reconfigurations"] and answered(outcome, 2) == 30
        assert outcome.result["words_missed"] == [], sync


def test_a_session_that_is_used_often_enough_does_not_end():
    outcome = run("session_slots = 1000\nworkload[0] = pseudorandom(0,300)\n", CUT_OFF)
    assert sessions(outcome, 1) == [] and answered(outcome, 1) == 30


def test_a_file_that_says_nothing_of_it_has_no_sessions_and_one_that_does_has_a_thousand_slots():
    assert parse_scenario(BASE + WORK, "x.config")[0].session_slots == 0
    assert parse_scenario(f"{BASE}{WORK}client_leaves[1] = 5\n", "x.config")[0].session_slots == 1_000


@pytest.mark.parametrize(
    ("lines", "line", "what"),
    [
        ("client_arrives[3] = 5", 10, "client_arrives: no client 3, clients are 0 to 2"),
        ("client_arrives = 5", 10, "expected client_arrives[k] with whole numbers"),
        ("client_arrives[x] = 5", 10, "expected client_arrives[k] with whole numbers"),
        ("client_leaves[1] = soon", 10, "client_leaves[1]: expected a whole number, found 'soon'"),
        ("client_leaves[1] = -5", 10, "is not from 0 to"),
        ("client_arrives[1] = 5", 10, "client 2 is there from the start: clients that come later have the highest numbers"),
        ("client_arrives[0] = 5\nclient_arrives[1] = 5\nclient_arrives[2] = 5", 10, "no client is there from the start"),
        ("client_arrives[2] = 5\nclient_leaves[2] = 5", 10, "client 2 leaves at the same moment"),
        ("client_leaves[2] = 5\nsession_slots = 0", 10, "session_slots = 0 says that none does"),
        ("client_leaves[1] = 5\nauthentication = hmac", 10, "authentication = hmac has no credentials"),
        ("session_slots = 5\nauthentication = hmac", 10, "session_slots: authentication = hmac has no credentials"),
        ("data = here\nsession_slots = 5\ndurable = on", 10, "cannot go on with the disks of another"),
        ("client_leaves[1] = 5\nprotocol = raft", 10, "client_leaves: protocol = raft has the clients that it begins with"),
        ("client_arrives[2] = 5\nclient_failures[2] = after(3),flood(2)", 10, "client 2 has faults of its own"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(lines, line, what):
    with pytest.raises(ScenarioError) as refused:
        parse_scenario(f"{BASE}{WORK}{lines}\n", "x.config")
    [told] = [each for each in refused.value.diagnostics if each.severity == "error"]
    assert told.line == line and what in told.text


def test_the_hunt_draws_clients_that_come_and_go_and_all_else_stays_the_same():
    for seed in range(40):
        text, drawn = scenario_text(seed), scenario_text(seed, sessions=True)
        ours = ("session_slots", "client_arrives", "client_leaves")
        same = re.sub(r"; after\(\d+\),identities\(\d+\)", "", drawn)
        assert [line for line in same.splitlines() if not line.startswith(ours)] == text.splitlines()
        assert "session_slots" in drawn and "session_slots" not in text
    texts = "".join(scenario_text(seed, sessions=True) for seed in range(200))
    assert all(word in texts for word in ("client_arrives", "client_leaves", "identities"))


def test_a_seed_is_the_same_run_each_time():
    text = scenario_text(3, sessions=True)
    assert run_text(text).trace == run_text(text).trace
