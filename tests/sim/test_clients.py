"""Clients that misbehave: the others are served, nobody waits for the liar, and what it signed is a request."""

import pytest

from bcr.faults.vocabulary import CLIENT_FAILURES, MESSAGES
from bcr_sim.campaign import run_text

WORK = "t = 1\nnum_client = 2\nworkload[0] = pseudorandom(1,12)\nworkload[1] = pseudorandom(2,6)\n"
SHORT = "client_timeout = 200\nhead_timeout = 200\nnonhead_timeout = 200\nolympus_timeout = 500\n"
ARGUMENTS = {"number": "5", "message": "shuttle"}
# Others' names that start-up's own messages are sent in are nobody's to check yet.
KINDS = [kind for kind in MESSAGES if kind not in ("control", "voucher", "stale", "complaint")]


def run(pairs, more="", seed=1):
    return run_text(f"{WORK}{SHORT}client_failures[1] = {pairs}\n{more}simulation = seed({seed}); delay(200,1000)\n")


def struck(outcome):
    return [fault["fault"] for fault in outcome.result["faults_injected"] if fault.get("client") == 1]


def answered(outcome, client):
    return len(outcome.record.clients[client].exchanges)


@pytest.mark.parametrize("failure", CLIENT_FAILURES)
@pytest.mark.parametrize("trigger", ["reconfiguration(0)", "after(6)"])
def test_whatever_a_client_does_the_others_are_answered(failure, trigger):
    arguments = ",".join(ARGUMENTS[kind] for kind in CLIENT_FAILURES[failure].arguments)
    authentication = "hmac" if failure == "uneven_macs" else "ed25519"
    outcome = run(f"{trigger},{failure}({arguments})", f"authentication = {authentication}\n")
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert struck(outcome) == [f"{trigger},{failure}({arguments})"]
    assert answered(outcome, 0) == 12


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_client_forges_the_others_are_answered(kind, authentication):
    outcome = run(f"after(6),forge({kind})", f"authentication = {authentication}\n")
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert struck(outcome) == [f"after(6),forge({kind})"]


def test_an_accusation_before_anybody_has_enrolled_is_nothing_to_olympus():
    outcome = run("after(0),accuse_early()")
    assert (outcome.breaches, struck(outcome)) == ((), ["after(0),accuse_early()"])
    assert any("before the first configuration" in notice["what"] for notice in outcome.result["notices"])


def test_a_run_is_over_when_the_correct_clients_are_and_waits_for_no_other():
    pairs = "; ".join(f"after({5 * n}),flood(50)" for n in range(1, 20))
    outcome = run_text(f"t = 1\nnum_client = 2\nworkload[0] = put('a','b')\nworkload[1] = pseudorandom(1,5000)\n"
                       f"client_failures[1] = {pairs}\nsimulation = seed(1); delay(200,1000)\n")  # fmt: skip
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert outcome.virtual_s < 1
    assert answered(outcome, 0) == 1 and answered(outcome, 1) < 5_000


def test_where_every_client_is_faulty_nothing_is_owed_and_the_run_ends_all_the_same():
    outcome = run_text("t = 1\nnum_client = 1\nworkload[0] = put('a','b'); get('a')\nclient_failures[0] = after(5),double(2)\n"
                       "simulation = seed(1); delay(200,1000)\n")  # fmt: skip
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert answered(outcome, 0) >= 2


def test_what_a_faulty_client_signed_is_executed_and_no_breach_of_validity():
    outcome = run("reconfiguration(0),flood(6)")
    assert outcome.breaches == ()
    assert outcome.record.final_state.dictionary["client_1"] == "flood"


def test_of_two_operations_under_one_number_one_is_executed():
    outcome = run("reconfiguration(0),double(3)")
    assert outcome.breaches == ()
    assert outcome.record.final_state.dictionary["client_1"].startswith("at replica ")


def test_a_client_that_has_handed_over_its_record_signs_nothing_more():
    """It would stand in no record, and the final state would not be what a replay of the record gives."""
    work = "t = 1\nnum_client = 2\nworkload[0] = put('a','b'); get('a')\nworkload[1] = put('x','y')\n"
    for seed in (0, 1, 2, 4):  # in which it learns of configuration 1 when all is over
        outcome = run_text(f"{work}{SHORT}failures[0,1] = shuttle(0,1),ask()\nclient_failures[1] = reconfiguration(1),flood(30)\n"
                           f"simulation = seed({seed}); delay(1000,30000)\n")  # fmt: skip
        assert outcome.breaches == (), seed
