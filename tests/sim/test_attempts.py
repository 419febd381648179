"""Attempts at a quorum, and configurations, that follow each other: what belongs to one is nothing to the next."""

from collections import Counter
from importlib import import_module

import pytest
from msgspec.structs import replace

from bcr.chain.reconfiguration import Reconfiguration
from bcr.objects.dictionary import Operation
from bcr.scenario.reading import parse_scenario
from bcr.signed.signing import Signed
from bcr.signed.statements import Ready, ReconfigurationRequest
from bcr.signed.violations import WrongConfiguration
from bcr.state.running import RunningState
from bcr_runtime.ambient import now_s, sleep_s
from bcr_sim.observing import observe_processes
from bcr_sim.simulated_run import simulate

APPENDS = """t = 1
num_client = 1
workload[0] = put('a','x'); append('a','y'); append('a','z'); get('a'); get('a')
"""
MIDDLE = "failures[0,1] = shuttle(0,2),drop()\n"  # keeps the third request from the tail


@pytest.fixture
def replica_class():
    """`Replica`, as a simulated run has it."""
    observe_processes()
    from Replica import Replica

    return Replica


def simulated(text):
    return simulate(parse_scenario(text, "x.config")[0])


def is_middle(process):
    return (process._state.configuration_number, process._state.position) == (0, 1)


def test_a_running_state_that_a_failed_quorum_agreed_on_is_not_what_another_quorum_goes_on_from(replica_class, monkeypatch):
    """The middle gives it late, when Olympus has no other quorum; the head, which alone has a slot more, wakes up then."""
    stock_state, stock_catch_up = replica_class.on_get_running_state, replica_class.on_catch_up
    stock_expire = replica_class.expire

    def gives_late(process, signed):
        if is_middle(process):
            process._state.timers.start(("late", signed), now_s(), 5_200)
        else:
            stock_state(process, signed)

    def catches_up_once(process, signed):
        if not is_middle(process) or signed.statement.attempt == 1:
            stock_catch_up(process, signed)

    def expire(process, kind, which):
        if kind == "late":
            stock_state(process, which)
        else:
            stock_expire(process, kind, which)

    monkeypatch.setattr(replica_class, "on_get_running_state", gives_late)
    monkeypatch.setattr(replica_class, "on_catch_up", catches_up_once)
    monkeypatch.setattr(replica_class, "expire", expire)
    outcome = simulated(APPENDS + MIDDLE + "simulation = seed(7); delay(50,3000); pause(replica_0,6000,14000)\n")
    assert outcome.breaches == ()
    [report, *_] = outcome.record.reconfigurations
    assert report.quorums_tried == ((1, 2), (1, 2), (0, 2))
    assert [exchange.answer.outcome.results for exchange in outcome.record.clients[0].exchanges][2:] == [
        ("OK",), ("xyz",), ("xyz",)
    ]  # fmt: skip


@pytest.fixture
def olympus_class():
    observe_processes()
    from Olympus import Olympus

    return Olympus


def test_while_a_configuration_is_being_started_the_replicas_of_the_one_before_have_no_say_in_it(replica_class, olympus_class, monkeypatch):
    stock_catch_up, stock_enrol = replica_class.on_catch_up, olympus_class.enrol
    said = []

    def speaks_for_the_next(process, signed):
        stock_catch_up(process, signed)
        if is_middle(process):
            said.append(Signed.sign(ReconfigurationRequest(1, "spite"), 1, process._state.keys))
            said.append(Signed.sign(Ready(0), 1, process._state.keys))

    def enrol(process, *arguments):
        if process._state.number == 1:
            request, ready = said
            with pytest.raises(WrongConfiguration):
                process.on_reconfiguration_request(request)
            process.on_ready(ready)
        return stock_enrol(process, *arguments)

    def issue_configuration(process, *arguments):
        stock_issue(process, *arguments)
        assert process._state.ready == set()

    stock_issue = olympus_class.issue_configuration
    monkeypatch.setattr(replica_class, "on_catch_up", speaks_for_the_next)
    monkeypatch.setattr(olympus_class, "enrol", enrol)
    monkeypatch.setattr(olympus_class, "issue_configuration", issue_configuration)
    outcome = simulated(APPENDS + MIDDLE + "simulation = seed(7); delay(50,3000)\n")
    assert outcome.breaches == ()
    assert [report.source for report in outcome.record.reconfigurations] == [0]


def test_what_a_client_proves_of_a_configuration_is_not_held_against_the_next_one(olympus_class, monkeypatch):
    """An accusation that arrives when that configuration is gone and the next one is not there yet."""
    stock_accusation, stock_enrol = olympus_class.on_accusation, olympus_class.enrol
    on_their_way = []

    def arrives_late(process, accusation):
        on_their_way.append(accusation)

    def enrol(process, *arguments):
        if process._state.number == 1:
            assert on_their_way
            for accusation in on_their_way:
                stock_accusation(process, accusation)
        return stock_enrol(process, *arguments)

    monkeypatch.setattr(olympus_class, "on_accusation", arrives_late)
    monkeypatch.setattr(olympus_class, "enrol", enrol)
    lie = "failures[0,2] = shuttle(0,2),change_result()\n"
    outcome = simulated(APPENDS + lie + "simulation = seed(7); delay(50,3000)\n")
    assert outcome.breaches == ()
    assert [report.source for report in outcome.record.reconfigurations] == [0]


def test_olympus_waits_on_for_a_correct_replica_that_is_late_more_often_than_it_has_chances(replica_class, monkeypatch):
    """The tail lies about its digest. The middle is correct, and needs longer than Olympus's limit the first five times."""
    stock_catch_up, stock_transmit = replica_class.on_catch_up, replica_class.transmit_large
    times = []

    def stands_still(process, signed):
        if is_middle(process):
            times.append(signed.statement.attempt)
            if len(times) <= 5:
                sleep_s(1.1)
        stock_catch_up(process, signed)

    def lies(process, name, message):
        if name == "caught_up" and (process._state.configuration_number, process._state.position) == (0, 2):
            statement = replace(message.statement, state_digest=bytes(32))
            message = Signed.sign(statement, 2, process._state.keys)
        stock_transmit(process, name, message)

    monkeypatch.setattr(replica_class, "on_catch_up", stands_still)
    monkeypatch.setattr(replica_class, "transmit_large", lies)
    lie = "failures[0,2] = shuttle(0,2),change_result()\n"
    outcome = simulated(APPENDS + lie + "olympus_timeout = 500\nsimulation = seed(7); delay(50,3000)\n")
    assert outcome.breaches == ()
    assert len(times) > 5


# -- histories that are checked in slices, and running states that nobody agreed on


def test_a_long_history_is_checked_a_slice_at_a_time_and_no_slice_too_many(olympus_class, monkeypatch):
    module = import_module("Olympus")
    monkeypatch.setattr(module, "SLICE_REQUESTS", 1)
    stock, checked = Reconfiguration.check_some, []

    def check_some(change, requests):
        checked.append((requests, change.is_checking()))
        stock(change, requests)

    monkeypatch.setattr(Reconfiguration, "check_some", check_some)
    outcome = simulated(APPENDS + MIDDLE + "simulation = seed(7); delay(50,3000)\n")
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert checked == [(1, True)] * len(checked)
    assert len(checked) > 3
    [report] = outcome.record.reconfigurations
    assert report.wedged_ms < report.caught_up_ms < report.fetched_ms < report.active_ms


def gives_another_state(process, stock, signed):
    """Answer with a state that is not the one whose digest was agreed on, properly signed."""
    state = process._state
    other = RunningState(state.settings.client_window)
    other.apply(Operation("put", "a", "another"))
    kept, state.ledger.state = state.ledger.state, other
    try:
        stock(process, signed)
    finally:
        state.ledger.state = kept


def test_a_member_that_gives_another_state_than_it_signed_for_is_passed_over_at_once(replica_class, monkeypatch):
    stock, asked = replica_class.on_get_running_state, []

    def lies(process, signed):
        asked.append((process._state.position, now_s()))
        if len(asked) == 1:
            gives_another_state(process, stock, signed)
        else:
            stock(process, signed)

    monkeypatch.setattr(replica_class, "on_get_running_state", lies)
    outcome = simulated(APPENDS + MIDDLE + "simulation = seed(7); delay(50,3000)\n")
    assert outcome.judgement.status == "pass"
    [report] = outcome.record.reconfigurations
    assert report.quorums_tried == (report.quorum,)
    assert [position for position, _ in asked] == list(report.quorum)
    [first, second] = [time for _, time in asked]
    assert second - first < 0.1  # and not after Olympus's timeout


def test_a_quorum_of_which_no_member_gives_the_state_that_it_signed_for_has_failed(replica_class, monkeypatch):
    stock, liars = replica_class.on_get_running_state, set()

    def lies(process, signed):
        if len(liars | {process._state.position}) <= 2 and process._state.position not in liars:
            liars.add(process._state.position)
            gives_another_state(process, stock, signed)
        else:
            stock(process, signed)

    monkeypatch.setattr(replica_class, "on_get_running_state", lies)
    outcome = simulated(APPENDS + MIDDLE + "simulation = seed(7); delay(50,3000)\n")
    assert outcome.judgement.status == "pass"
    report = outcome.record.reconfigurations[0]
    assert len(report.quorums_tried) >= 2
    assert (report.quorums_tried[0], "no member gives a running state with the digest that it signed") in report.why_not


# -- replicas that do not become active in time


def does_not_hear(monkeypatch, replica_class, deaf):
    """Replicas of places (configuration, position) that take no notice of so many of the configurations that they are sent."""
    stock, heard = replica_class.on_configuration, Counter()

    def on_configuration(process, signed):
        place = process._state.configuration_number, process._state.position
        heard[place] += 1
        if heard[place] > deaf.get(place, 0):
            stock(process, signed)

    monkeypatch.setattr(replica_class, "on_configuration", on_configuration)
    return heard


def test_who_is_not_active_in_time_is_told_the_configuration_again_and_nobody_else_is(replica_class, olympus_class, monkeypatch):
    heard = does_not_hear(monkeypatch, replica_class, {(0, 2): 1})
    outcome = simulated(APPENDS + "simulation = seed(7); delay(50,3000)\n")
    assert outcome.judgement.status == "pass"
    assert outcome.record.reconfigurations == ()
    assert heard == {(0, 0): 1, (0, 1): 1, (0, 2): 2}


def test_where_more_than_t_never_become_active_the_first_configuration_is_given_up(replica_class, monkeypatch):
    does_not_hear(monkeypatch, replica_class, {(0, 1): 99, (0, 2): 99})
    outcome = simulated(APPENDS + "simulation = seed(7); delay(50,3000)\n")
    assert outcome.judgement.status != "pass"
    assert "start-up: not active of replica_1, replica_2" in outcome.result["reasons"]


# A correct replica's key comes too late, and whoever else could ask for the next configuration crashes.
LATE_KEY = """t = 1
num_client = 1
client_timeout = 60
head_timeout = 60
nonhead_timeout = 60
olympus_timeout = 500
wedge_grace = 20
workload[0] = put('k','a')
"""
CHECKSUMS = "authentication = crc\n"
UNSAFE = "acceptance = quorum\n"
KEPT = "failures[0,{position}] = shuttle(0,0),drop()\n"
HELD = "simulation = seed(1); delay(50,300); hold(replica_1,olympus,{since},2400); crash(replica_0,{crash})\n"
NOBODY_ASKS = {
    "nobody has become active": CHECKSUMS + KEPT.format(position=1) + HELD.format(since=15, crash=407),
    "nobody has become active in the first": CHECKSUMS + HELD.format(since=0, crash=300),
    "who was active has crashed": CHECKSUMS + HELD.format(since=0, crash=530),
    # With checksums all are needed whatever answers are accepted.
    "nobody has become active, quorum": CHECKSUMS + UNSAFE + KEPT.format(position=1) + HELD.format(since=15, crash=407),
    "nobody has become active in the first, quorum": CHECKSUMS + UNSAFE + HELD.format(since=0, crash=300),
    "who was active has crashed, quorum": CHECKSUMS + UNSAFE + HELD.format(since=0, crash=530),
    # Here one is active. But the only client has its answer from Olympus, and asks for nothing any more.
    "no client waits": KEPT.format(position=2) + HELD.format(since=15, crash=407),
}


@pytest.mark.parametrize("why", NOBODY_ASKS)
def test_a_configuration_in_which_nothing_becomes_final_is_replaced_though_nobody_asks(why):
    outcome = simulated(LATE_KEY + NOBODY_ASKS[why])
    assert outcome.judgement.status == "pass"
    assert [each.requested_by for each in outcome.record.reconfigurations].count("olympus") == 1


def test_where_somebody_never_enrols_each_configuration_is_replaced_unasked_after_twice_the_time():
    patient = LATE_KEY.replace("client_timeout = 60", "client_timeout = 40000").replace("put('k','a')", "put('k','a'); get('k'); get('k')")
    outcome = simulated(patient + "simulation = seed(1); delay(50,300); cut(replica_2,olympus,0,9000)\n")
    assert outcome.judgement.status == "pass"
    active_ms, served_ms = 0.0, []
    for each in outcome.record.reconfigurations:
        served_ms.append(round(each.detected_ms - active_ms, -1))
        active_ms = each.detected_ms + each.active_ms
    assert served_ms == [500, 1000, 2000]
    assert {each.requested_by for each in outcome.record.reconfigurations} == {"olympus"}


def test_a_later_configuration_is_waited_for_however_many_are_late(replica_class, monkeypatch):
    heard = does_not_hear(monkeypatch, replica_class, {(1, 1): 3, (1, 2): 3})
    outcome = simulated(APPENDS + MIDDLE + "simulation = seed(7); delay(50,3000)\n")
    assert outcome.judgement.status == "pass"
    assert heard[1, 0] == 1
    assert heard[1, 1] == heard[1, 2] == 4


# -- waiting for what is there already


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_where_nothing_is_late_every_step_is_over_when_its_messages_are_there(authentication):
    """A message takes 3 ms at the most, and every timer is a hundred times as long."""
    lie = f"authentication = {authentication}\nfailures[0,2] = shuttle(0,2),change_result()\n"
    outcome = simulated(APPENDS + lie + "simulation = seed(7); delay(50,3000)\n")
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    [report] = outcome.record.reconfigurations
    steps = (0.0, report.wedged_ms, report.caught_up_ms, report.fetched_ms, report.active_ms)
    longest_ms = (7, 13, 7, 37)  # there and back; with two slices or pieces; there and back; keys, configuration, state, ready
    assert all(0 < later - sooner <= longest for sooner, later, longest in zip(steps, steps[1:], longest_ms, strict=False))
    exchanges = outcome.record.clients[0].exchanges
    assert exchanges[0].sent_ns < 40_000_000
    assert max(each.accepted_ns - each.sent_ns for each in exchanges) < 100_000_000


def test_a_member_that_never_gives_its_running_state_costs_its_quorum(replica_class, monkeypatch):
    stock, silent = replica_class.on_get_running_state, []

    def keeps_silent(process, signed):
        silent.append(process._state.position)
        if process._state.position != silent[0]:
            stock(process, signed)

    monkeypatch.setattr(replica_class, "on_get_running_state", keeps_silent)
    outcome = simulated(APPENDS + MIDDLE + "simulation = seed(7); delay(50,3000)\n")
    assert outcome.judgement.status == "pass"
    report = outcome.record.reconfigurations[0]
    first, *_ = report.quorums_tried
    assert silent[0] in first
    assert silent[0] not in report.quorum
    assert (first, f"replica {silent[0]} did not give its running state in time") in report.why_not
