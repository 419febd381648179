"""Requests that fill themselves: what waits goes together into the next, and nobody waits who need not."""

from types import SimpleNamespace

import pytest

from bcr.chain.filling import Callers, RequestFiller
from bcr.chain.slot_room import operations_bytes
from bcr.objects.operation import Operation
from bcr.objects.sizes import REQUEST_LIMIT_BYTES
from bcr.scenario import parse_scenario
from bcr.scenario.diagnostics import ScenarioError
from bcr.scenario.workload import Filled, Workload, Written
from bcr_sim.campaign import run_text


def op(number, size=1):
    return Operation("put", f"k{number}", "v" * size)


def asked(*operations, alone=False):
    return SimpleNamespace(operations=operations, is_alone=alone, is_withdrawn=False)


def names(taken):
    return [[each.key for each in one.operations] for one in taken]


def test_what_waits_goes_together_into_the_next_request_up_to_the_operations_of_one():
    filler = RequestFiller(3)
    for number in range(5):
        filler.put(asked(op(number)))
    assert names(filler.take()) == [["k0"], ["k1"], ["k2"]]
    assert names(filler.take()) == [["k3"], ["k4"]]
    assert names(filler.take()) == [] and filler.bytes == 0


def test_a_request_is_no_larger_than_one_may_be_but_one_callers_operations_go_in_any_case():
    filler = RequestFiller(100)
    half = REQUEST_LIMIT_BYTES // 2
    for number, size in enumerate((half, half, 10)):
        filler.put(asked(op(number, size)))
    assert names(filler.take()) == [["k0"]]
    assert names(filler.take()) == [["k1"], ["k2"]]


def test_who_wants_to_be_alone_is_and_who_has_gone_is_left_out():
    filler = RequestFiller(100)
    gone = asked(op(1))
    for each in (asked(op(0)), gone, asked(op(2), alone=True), asked(op(3))):
        filler.put(each)
    gone.is_withdrawn = True
    assert [names(filler.take()) for _ in range(3)] == [[["k0"]], [["k2"]], [["k3"]]]


def test_what_is_put_back_has_the_next_turns_in_its_order():
    filler = RequestFiller(2)
    filler.put(asked(op(9)))
    filler.put_back([asked(op(0)), asked(op(1))])
    assert names(filler.take()) == [["k0"], ["k1"]] and len(filler) == 1


def test_an_idle_client_sends_at_once_and_what_is_asked_meanwhile_fills_the_next():
    callers = Callers(map(op, range(10)), 4, 3)
    assert [each.key for each in next(callers)] == ["k0", "k1", "k2"]
    assert [each.key for each in next(callers)] == ["k3"]
    assert not callers.is_waiting()
    with pytest.raises(StopIteration):
        next(callers)
    callers.answered(1)
    assert [each.key for each in next(callers)] == ["k4"]
    callers.answered(3)
    assert [each.key for each in next(callers)] == ["k5", "k6", "k7"]


def test_which_operations_make_a_request_the_record_says():
    workload = Filled(Workload((Written(tuple(map(op, range(5)))),)))
    assert [[each.key for each in one] for one in workload.of_sizes([2, 1])] == [["k0", "k1"], ["k2"], ["k3", "k4"]]
    assert workload.holds((op(1), op(2))) and not workload.holds((op(2), op(1)))


BASE = "t = 1\nnum_client = 2\nworkload[0] = pseudorandom(1,200)\nworkload[1] = pseudorandom(2,90)\n"


def run(more, simulation="delay(200,1000)"):
    outcome = run_text(f"{BASE}{more}simulation = seed(1); {simulation}\n")
    assert not isinstance(outcome, str), outcome
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    return [[len(each.request.statement.operations) for each in client.exchanges] for client in outcome.record.clients]


def test_many_callers_of_one_client_share_its_signatures():
    one_by_one, shared = run("callers = 1\noperations_per_request = 20\n"), run("callers = 20\noperations_per_request = 20\n")
    assert [set(sizes) for sizes in one_by_one] == [{1}, {1}]
    assert [sum(sizes) for sizes in shared] == [200, 90] and len(shared[0]) == 10


def test_callers_are_answered_when_replicas_are_replaced_and_sessions_end():
    faults = "failures[0,1] = shuttle(0,3),drop()\nclient_timeout = 300\nhead_timeout = 300\nnonhead_timeout = 300\n"
    sizes = run(f"{faults}callers = 30\noperations_per_request = 8\nclient_window = 2\nclient_leaves[1] = 5\nclient_arrives[1] = 40\n")
    assert [sum(each) for each in sizes] == [200, 90]


def test_callers_at_a_rate_are_refused():
    with pytest.raises(ScenarioError, match="5:1: .*callers ask for the next when they are answered"):
        parse_scenario(f"{BASE}callers = 5\nclient_rate = 10\n", "x.config")


def test_a_request_is_filled_to_the_last_byte():
    half = REQUEST_LIMIT_BYTES // 2
    one, left = op(0, half), REQUEST_LIMIT_BYTES - operations_bytes([op(0, half)])
    size = left - (operations_bytes([op(1, half)]) - half)
    for other, taken in ((op(1, size), [["k0"], ["k1"]]), (op(1, size + 1), [["k0"]])):
        filler = RequestFiller(100)
        for each in (one, other):
            filler.put(asked(each))
        assert names(filler.take()) == taken


def test_who_has_gone_keeps_nobody_waiting_however_much_it_asked_for():
    filler = RequestFiller(100)
    gone = asked(op(1, REQUEST_LIMIT_BYTES))
    for each in (asked(op(0)), gone, asked(op(2))):
        filler.put(each)
    gone.is_withdrawn = True
    assert names(filler.take()) == [["k0"], ["k2"]]


def test_when_all_have_gone_nobody_waits_and_nothing_is_held():
    filler = RequestFiller(100)
    for number in range(2):
        filler.put(asked(op(number)))
    assert names(filler.clear()) == [["k0"], ["k1"]]
    assert (len(filler), filler.bytes, list(filler.take())) == (0, 0, [])
