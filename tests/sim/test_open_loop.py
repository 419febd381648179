"""Clients that send at a rate, in virtual time: each request at its time, and latency that leaves no waiting out."""

import pytest

from bcr.scenario import parse_scenario
from bcr_sim.simulated_run import simulate

RATE = 100  # operations a second
INTERVAL_NS = 1_000_000_000 // RATE


def exchanges_of(more, count=40):
    """What a client got that sends at the rate; the run has no breach."""
    text = f"t = 1\nnum_client = 1\nclient_rate = {RATE}\nclient_timeout = 60000\nworkload[0] = uniform(1,{count},10,50)\n{more}"
    outcome = simulate(parse_scenario(text, "x.config")[0])
    assert outcome.breaches == ()
    [client] = outcome.record.clients
    assert len(client.exchanges) * outcome.result["settings"]["operations_per_request"] == count
    return client.exchanges


def test_each_request_leaves_at_its_time_where_answers_are_quick():
    exchanges = exchanges_of("client_window = 8\nsimulation = seed(1); delay(50,500)\n")
    for number, each in enumerate(exchanges):
        assert each.due_ns == exchanges[0].due_ns + number * INTERVAL_NS
        assert 0 <= each.sent_ns - each.due_ns < 1_000_000


def test_a_rate_is_of_operations_however_many_a_request_has():
    exchanges = exchanges_of("operations_per_request = 4\nsimulation = seed(1); delay(50,500)\n")
    assert exchanges[1].due_ns - exchanges[0].due_ns == 4 * INTERVAL_NS


@pytest.mark.parametrize("window", [1, 3])
def test_what_the_window_holds_up_is_late_and_its_latency_counts_that(window):
    """With answers that take longer than the interval the queue grows, and so does latency."""
    slow = "simulation = seed(2); delay(15000,15001)\n"
    exchanges = exchanges_of(f"client_window = {window}\n{slow}")
    lateness = [each.sent_ns - each.due_ns for each in exchanges]
    assert min(lateness) >= 0
    assert lateness[-1] > 10 * INTERVAL_NS
    assert exchanges[-1].latency_ns == exchanges[-1].accepted_ns - exchanges[-1].due_ns > lateness[-1]
    # None waits longer than it must: as soon as the window allows and it is due.
    for number, each in enumerate(exchanges[window:], start=window):
        freed_ns = max(before.accepted_ns for before in exchanges[: number - window + 1])
        assert each.sent_ns - max(each.due_ns, freed_ns) < 1_000_000


def test_a_pause_of_a_replica_is_in_the_latency_of_all_that_were_due_in_it():
    exchanges = exchanges_of("client_window = 1\nsimulation = seed(1); delay(50,500); pause(replica_1,200,300)\n")
    waited = [each for each in exchanges if each.latency_ns > 20_000_000]
    assert len(waited) >= 6


def test_without_a_rate_nothing_is_due():
    text = "t = 1\nnum_client = 1\nworkload[0] = pseudorandom(1,5)\n"
    outcome = simulate(parse_scenario(text, "x.config")[0])
    assert [each.due_ns for each in outcome.record.clients[0].exchanges] == [None] * 5


@pytest.mark.parametrize("window", [1, 2])
def test_the_slowest_rate_is_one_a_second_and_each_request_leaves_at_its_time_all_the_same(window):
    text = f"t = 1\nnum_client = 1\nclient_rate = 1\nclient_window = {window}\nclient_timeout = 60000\nworkload[0] = uniform(1,4,10,50)\n"
    outcome = simulate(parse_scenario(text + "simulation = seed(1); delay(50,500)\n", "x.config")[0])
    assert outcome.breaches == ()
    exchanges = outcome.record.clients[0].exchanges
    assert len(exchanges) == 4
    for number, each in enumerate(exchanges):
        assert each.due_ns == exchanges[0].due_ns + number * 1_000_000_000
        assert 0 <= each.sent_ns - each.due_ns < 1_000_000
