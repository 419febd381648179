"""When injected faults strike: receipts are counted, and so are failures that strike several times."""

import pytest

from bcr.faults.injector import COUNTED, DEEDS, IGNORED, IMMEDIATE, Injector, LiarsTimers, accomplices, own_plans
from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr.faults.vocabulary import FAILURES, SERVER_FAILURES


def plan(failure, argument=None, trigger=("shuttle", 0, 0), place=(0, 1)):
    return FaultPlan(*place, Trigger(*trigger), Failure(failure, argument), f"{trigger},{failure}")


def test_a_trigger_is_met_by_the_receipt_with_its_number_and_by_no_other():
    injector = Injector([plan("drop", trigger=("shuttle", 0, 1))])
    assert [len(injector.receipt("shuttle", {client})) for client in (0, 1, 0, 0)] == [0, 0, 1, 0]


def test_every_word_is_one_that_strikes_at_once_or_waits_and_those_that_are_sorted_are_words():
    assert COUNTED | DEEDS | set(IGNORED) <= set(FAILURES)
    assert not COUNTED & IMMEDIATE
    assert IMMEDIATE - {"fail_link", "fix_link"} <= {*FAILURES, *SERVER_FAILURES}


def test_a_failure_that_waits_strikes_once():
    injector = Injector([])
    injector.arm(plan("change_result"))
    assert injector.is_armed("change_result")
    assert injector.take("change_result").failure.name == "change_result"
    assert injector.take("change_result") is None


@pytest.mark.parametrize("name", sorted(COUNTED))
def test_a_counted_failure_strikes_as_often_as_its_plans_say_together(name):
    injector = Injector([])
    first, second = plan(name, 2), plan(name, 1)
    injector.arm(first)
    injector.arm(second)
    assert injector.left(name) == 3 and injector.counting(name) == [first, second]
    assert [injector.spend(name) for _ in range(5)] == [first, first, second, None, None]
    assert injector.counting(name) == []


def test_what_is_left_of_a_counted_failure_can_be_taken_at_once():
    injector = Injector([])
    injector.arm(plan("replay_catch_up", 4))
    assert (injector.spend_all("replay_catch_up"), injector.spend_all("replay_catch_up")) == (4, 0)


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("drop_all", ["client_request", "forwarded_request", "shuttle", "result_shuttle"]),
        ("no_checkpoints", ["checkpoint"]),
        ("no_result_shuttles", ["result_shuttle"]),
    ],
)
def test_from_a_failure_on_all_messages_of_its_kinds_are_ignored(name, ignored):
    injector = Injector([])
    kinds = [*ignored, "completed_checkpoint", "wedge_request", "catch_up"]
    assert not any(map(injector.ignores, kinds))
    injector.arm(plan(name))
    assert [kind for kind in kinds if injector.ignores(kind)] == ignored


def test_a_fault_that_is_armed_has_struck_once_it_has_had_an_effect_and_is_told_of_once():
    injector = Injector([])
    first, second, other = plan("delay", 5), plan("delay", 5), plan("spin", 1)  # two that are the same
    for each in (first, second):
        injector.arm(each)
    injector.expect_effect(other)
    assert [injector.had_effect(each) for each in (first, first, second, other, other)] == [True, False, True, True, False]
    assert injector.armed("delay") == injector.take("delay") == injector.take("delay") and injector.armed("delay") is None


def test_what_strikes_at_the_start_is_known_before_it():
    injector = Injector([plan("withhold_ready", trigger=("reconfiguration", None, 2), place=(2, 0))])
    assert injector.strikes_at_start("withhold_ready", 2)
    assert not injector.strikes_at_start("withhold_ready", 1)
    assert not injector.strikes_at_start("mute_clients", 2)


def test_of_all_plans_a_replica_strikes_with_its_own_and_knows_its_accomplices():
    plans = [plan("answer_early", 1, place=place) for place in ((0, 2), (0, 0), (1, 1))] + [plan("ask", place=(0, 1))]
    assert own_plans(plans, 0, 0) == (plans[1],)
    assert accomplices(plans, 0, "answer_early") == [0, 2]
    assert accomplices(plans, 0, "ask") == [1]


def test_timers_of_faults_run_on_when_those_of_requests_stop():
    timers = LiarsTimers(10)
    timers.start(("after", 0), 0.0, 5)
    timers.start((0, 7), 0.0, 5)
    timers.start(("result shuttle", 7), 0.0, 5)
    timers.stop_all()
    assert timers.take_expired(1.0) == [("after", 0)]
