"""Work, memory, time and finality in simulated runs: each property can fail, and holds where it should."""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from bcr.chain.configuration import Membership
from bcr.chain.proofs import Answer
from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.chain.request_queue import RequestQueue
from bcr.chain.slots import SettledSlot
from bcr.chain.timers import Timers
from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr.faults.vocabulary import FAILURES, OF_LINKS, SIMULATED
from bcr.objects.dictionary import Operation
from bcr.scenario.reading import parse_scenario
from bcr.scenario.values import Pause, Simulation
from bcr.signed.pieces import Assembler
from bcr.signed.signing import Signed
from bcr.signed.statements import Outcome, Request
from bcr.state.cache import LatestRequests
from bcr.state.running import RunningState
from bcr.verdict.record import ClientRecord, Exchange, RunRecord
from bcr_runtime.places import PROJECT
from bcr_sim.campaign import run_text
from bcr_sim.observing import observe_processes
from bcr_sim.oracle import Oracle
from bcr_sim.properties import Bounds, Interference, Memory, check_pauses, check_time, check_work
from bcr_sim.simulated_run import simulate

MS = 1_000_000
WORK = "t = 1\nnum_client = 1\nworkload[0] = pseudorandom(4,20)\nclient_timeout = 300\nhead_timeout = 300\nnonhead_timeout = 300\n"
QUIET = "simulation = seed(5); delay(50,300)\n"


def scenario_of(text=WORK + QUIET):
    return parse_scenario(text, "x.config")[0]


def simulated(text):
    return simulate(scenario_of(text))


def plan(failure, configuration=0, position=0, argument=None):
    return FaultPlan(configuration, position, Trigger("shuttle", 0, 0), Failure(failure, argument), f"shuttle(0,0),{failure}()")


def change(source=0, detected_ms=100, active_ms=50.0, **more):
    """A reconfiguration, as Olympus reports it."""
    return ReconfigurationReport(
        **{
            "source": source, "target": source + 1, "requested_by": "replica_1", "reason": "a reason", "blamed": None,
            "quorums_tried": ((0, 1),), "quorum": (0, 1), "why_not": (), "invalid_histories": {}, "olympus_results": (),
            "clock": "virtual", "detected_ns": detected_ms * MS, "detected_ms": float(detected_ms), "wedged_ms": 1.0,
            "caught_up_ms": 2.0, "fetched_ms": 3.0, "active_ms": active_ms,
        } | more
    )  # fmt: skip


@pytest.fixture
def replica_class():
    """`Replica`, as a simulated run has it."""
    observe_processes()
    from Replica import Replica

    return Replica


class Told(list):
    """Collects what a property tells."""

    def __call__(self, name, what):
        self.append(f"{name}: {what}")


def work_told(*reports, interference=None, bounds=None):
    told = Told()
    check_work(reports, bounds or Bounds(scenario_of(), Simulation()), interference or Interference(Simulation()), told)
    return told


# -- work


def test_a_configuration_that_is_replaced_for_nothing_is_a_breach():
    assert "configuration 0 was replaced and nothing had befallen it: replica_1 asked, a reason" in work_told(change())[0]


def test_a_fault_that_struck_excuses_the_reconfiguration_of_its_own_configuration_and_no_other():
    interference = Interference(Simulation())
    interference.struck(plan("sleep", argument=500))
    assert work_told(change(), interference=interference) == []
    [told] = work_told(change(), change(1, 300), interference=interference)
    assert "configuration 1" in told


def test_a_lost_message_excuses_the_reconfiguration_of_the_configuration_that_it_was_lost_in():
    interference = Interference(Simulation())
    interference.happened(50 * MS, "a message was lost")
    assert work_told(change(), interference=interference) == []
    [told] = work_told(change(), change(1, 300), interference=interference)
    assert "configuration 1" in told


def test_a_process_that_stands_still_excuses_what_it_overlaps():
    interference = Interference(Simulation(pauses=(Pause("replica_0", 50, 200),)))
    assert work_told(change(), change(1, 300), interference=interference) == []
    [told] = work_told(change(), change(1, 300), change(2, 500), interference=interference)
    assert "configuration 2" in told


def test_a_network_slower_than_the_timers_excuses_everything():
    slow = Bounds(scenario_of(), Simulation(delay=(50, 30_000)))
    assert slow.is_late
    assert work_told(change(), bounds=slow) == []


def test_a_replica_that_asks_for_nothing_is_found_in_a_run(replica_class, monkeypatch):
    stock = replica_class.on_completed_checkpoint

    def asks(process, shuttle):
        stock(process, shuttle)
        process.ask_for_reconfiguration("a checkpoint", None)

    monkeypatch.setattr(replica_class, "on_completed_checkpoint", asks)
    assert simulated(WORK + QUIET + "checkpt_interval = 5\n").kind == "work"


# -- pauses


@pytest.fixture
def olympus_class():
    observe_processes()
    from Olympus import Olympus

    return Olympus


def served(source, active_at_ms, served_ms, pause_ms):
    """A configuration that was asked to be replaced when it had served so long, and wedged after such a pause."""
    detected_ns = round((active_at_ms + served_ms) * MS)
    return replace(
        change(source), detected_ns=detected_ns, detected_ms=active_at_ms + served_ms, wedged_ms=pause_ms, active_ms=pause_ms + 10
    )


def test_a_configuration_that_is_wedged_before_its_pause_is_over_is_a_breach():
    told = Told()
    first = served(0, 0, 100, 0)  # the next is active at 110
    check_pauses([first, served(1, 110, 20, 31)], told)
    assert told == []
    check_pauses([first, served(1, 110, 20, 25)], told)
    assert told == ["pauses: configuration 1 was wedged 4 ms before its pause was over"]


def test_an_olympus_that_grants_no_pause_is_found_in_a_run(olympus_class, monkeypatch):
    monkeypatch.setattr(olympus_class, "await_turn", lambda process: True)
    thrice = "".join(f"failures[{number},2] = shuttle(0,{number + 2}),change_result()\n" for number in range(3))
    assert simulated(WORK + QUIET + thrice).kind == "pauses"


# -- time


def record_of(sent_ms, accepted_ms, *reports):
    answer = Answer(0, 0, 0, 1, b"", (), Outcome(0, 0, 0, ("OK",)), (), (), ())
    exchange = Exchange(Signed(Request(0, 0, ()), 0, b""), answer, sent_ms * MS, accepted_ms * MS, 1, "replica_2")
    return RunRecord(b"", (), (ClientRecord(0, "virtual", (exchange,)),), (), reconfigurations=reports)


def time_told(record, interference=None, liars=()):
    told = Told()
    check_time(record, Bounds(scenario_of(), Simulation()), interference or Interference(Simulation()), liars, told)
    return told


def test_an_answer_that_comes_late_though_nothing_hindered_it_is_a_breach():
    assert time_told(record_of(10, 500)) == []
    [told] = time_told(record_of(10, 4_000))
    assert "liveness: request 0 of client 0 was answered 3990.0 ms after nothing hindered it any more" in told


def test_what_a_client_that_lies_says_of_its_answers_is_not_looked_at():
    assert time_told(record_of(10, 4_000), liars={0}) == []


def test_a_reconfiguration_adds_to_the_time_of_a_request_what_it_took_and_the_time_to_notice():
    assert time_told(record_of(10, 4_000, change(0, 1_000, 800.0))) == []
    assert len(time_told(record_of(10, 9_000, change(0, 1_000, 800.0)))) == 1
    assert len(time_told(record_of(2_500, 6_500, change(0, 1_000, 800.0)))) == 1  # that one was over


def test_a_reconfiguration_of_which_nobody_tells_may_have_taken_as_long_as_one_may():
    assert time_told(record_of(10, 9_000, change(1, 8_900, 50.0))) == []
    assert len(time_told(record_of(10, 9_000, change(0, 8_900, 50.0)))) == 1
    assert len(time_told(record_of(10, 400_000, change(1, 3_900, 50.0)))) == 1


def test_the_time_of_a_request_begins_when_nothing_hinders_it_any_more():
    interference = Interference(Simulation(pauses=(Pause("client_0", 0, 3_500),)))
    assert time_told(record_of(10, 4_000), interference) == []
    assert len(time_told(record_of(10, 40_000), interference)) == 1


def test_as_long_as_faults_make_replicas_stand_still_requests_may_take_longer():
    interference = Interference(Simulation())
    interference.struck(plan("sleep", argument=2_000))
    assert time_told(record_of(10, 4_000), interference) == []


def test_a_reconfiguration_that_takes_longer_than_all_that_olympus_waits_for_is_a_breach():
    assert time_told(record_of(10, 20, change(active_ms=50_000.0))) == []
    [told] = time_told(record_of(10, 20, change(active_ms=90_000.0)))
    assert "the reconfiguration from configuration 0 took 90000 ms" in told


def test_a_run_that_is_given_up_though_the_protocol_owes_answers_fails(replica_class, monkeypatch):
    monkeypatch.setattr(replica_class, "reply", lambda process, request, settled: None)
    outcome = simulated(WORK + QUIET)
    assert outcome.kind == "liveness"
    assert outcome.judgement.status == "fail"


def test_faults_that_never_strike_excuse_nothing_though_more_than_t_replicas_have_some_in_the_file(replica_class, monkeypatch):
    monkeypatch.setattr(replica_class, "reply", lambda process, request, settled: None)
    never = "".join(f"failures[0,{i}] = shuttle(0,5000),crash()\n" for i in range(3))
    assert simulated(WORK + QUIET + never).kind == "liveness"
    both = "".join(f"failures[0,{i}] = after(1),crash()\n" for i in range(2))
    assert simulated(WORK + QUIET + both).breaches == ()


def test_sleeping_replicas_are_not_among_the_t_that_excuse(replica_class, monkeypatch):
    monkeypatch.setattr(replica_class, "reply", lambda process, request, settled: None)
    asleep = "".join(f"failures[0,{i}] = after(1),sleep(20)\n" for i in range(3))
    assert simulated(WORK + QUIET + asleep).kind == "liveness"


def test_that_replicas_only_stand_still_is_no_excuse_for_giving_up(replica_class, monkeypatch):
    from Olympus import Olympus

    monkeypatch.setattr(Olympus, "is_hopeless", lambda process: True)
    still = "pause(replica_1,10,7000); pause(replica_2,10,7000)"
    outcome = simulated(WORK.replace("(4,20)", "(4,200)") + f"simulation = seed(5); delay(50,300); {still}\n")
    assert outcome.kind == "liveness"
    assert outcome.judgement.status == "fail"


def test_who_was_cut_off_is_owed_its_answers_when_it_is_heard_again():
    """A simulated run is not given up before everything that hinders it is over."""
    cuts = "; ".join(f"cut(client_0,replica_{i},0,900000)" for i in range(3))
    outcome = simulated(WORK + f"simulation = seed(5); {cuts}\n")
    assert outcome.breaches == ()
    assert outcome.judgement.status == "pass"
    assert outcome.virtual_s > 900


# -- memory and checkpoints


class Hashable:
    """In place of the container of a replica."""


def replica(**more):
    """A replica as the memory property sees it, active and holding nothing."""
    ledger = {"history": {}, "in_flight": {}, "cache": LatestRequests(1), "executed": LatestRequests(1), "state": RunningState(1)}
    ledger |= {name: more.pop(name) for name in ledger if name in more}
    state = {"timers": Timers(1), "mode": "active", "queue": {}, "notices": [], "arriving": Assembler(),
             "ledger": SimpleNamespace(**ledger)}  # fmt: skip
    container = Hashable()
    container.name, container.configuration = "replica_1", 0
    container.process = SimpleNamespace(_state=SimpleNamespace(**state | more))
    return container


def memory_told(container, *times_ms, interference=None, ends_ms=None):
    """What is told of a replica that handles messages at these times; its checkpoint interval is 5."""
    told = Told()
    bounds = Bounds(scenario_of(WORK + QUIET + "checkpt_interval = 5\n"), Simulation())
    memory = Memory(bounds, interference or Interference(Simulation()), told)
    for time_ms in times_ms or (1,):
        memory.handled(container, time_ms * MS)
    if ends_ms is not None:
        memory.ended(container, ends_ms * MS)
    return told


def things(count):
    return dict.fromkeys(range(count))


def test_a_replica_that_holds_nothing_holds_not_too_much():
    assert memory_told(replica(), 1, 10_000, ends_ms=20_000) == []


def nothings(count):
    return [None] * count


def many_timers(count):
    timers = Timers(1)
    for number in range(count):
        timers.start((0, number), 0.0, 1)
    return timers


def many_latest(count):
    latest = LatestRequests(count)
    for number in range(count):
        latest.put(0, number, None)
    return latest


@pytest.mark.parametrize(
    ("field", "make", "most"),
    [
        ("history", things, 12),
        ("in_flight", things, 2),
        ("queue", things, 3),
        ("timers", many_timers, 8),
        ("arriving", things, 8),
        ("cache", many_latest, 1),
        ("executed", many_latest, 1),
        ("notices", nothings, 100),
        ("anything_else", things, 84),
    ],
)
def test_what_a_replica_holds_is_bounded(field, make, most):
    quiet = [1] * 32  # so that everything is looked at
    faulty = Interference(Simulation())
    faulty.struck(plan("drop", position=2))  # another replica's fault is no excuse
    assert memory_told(replica(**{field: make(most)}), *quiet, interference=faulty) == []
    assert [each for each in memory_told(replica(**{field: make(most + 1)}), *quiet) if each.startswith("memory")] != []


def test_a_checkpoint_is_overdue_behind_two_intervals_where_nothing_hindered_it():
    interference = Interference(Simulation())
    assert memory_told(replica(history=things(10))) == []
    assert memory_told(replica(history=things(11)))[0].startswith("checkpoints: replica_1 of configuration 0: 11 slots")
    interference.struck(plan("drop", position=2))
    assert memory_told(replica(history=things(11)), interference=interference) == []


def test_a_slot_stays_in_flight_no_longer_than_a_path_takes():
    stays = replica(in_flight={7: None})
    assert memory_told(stays, 1, 30) == []
    assert "slot 7 in flight for 99.0 ms" in memory_told(stays, 1, 100)[0]
    lost = Interference(Simulation())
    lost.happened(50 * MS, "a message was lost")
    assert memory_told(stays, 1, 100, interference=lost) == []


def test_nothing_is_in_flight_or_queued_when_all_is_quiet():
    assert "slot 7 is in flight at the end" in memory_told(replica(in_flight={7: None}), 1, ends_ms=100)[0]
    assert "1 requests in progress at the end" in memory_told(replica(queue={(0, 1): None}), 1, ends_ms=100)[0]


def test_result_shuttles_that_the_middle_keeps_are_found_in_a_run(replica_class, monkeypatch):
    stock = replica_class.to_predecessor

    def keeps(process, name, message):
        if name != "result_shuttle" or process._state.position != 1:
            stock(process, name, message)

    monkeypatch.setattr(replica_class, "to_predecessor", keeps)
    assert simulated(WORK + QUIET).kind == "memory"


# -- what a client accepted


def test_an_answer_that_not_all_correct_replicas_hold_is_found_in_a_run(replica_class, monkeypatch):
    stock = replica_class.to_successor

    def answers_early(process, name, message):
        state = process._state
        if name == "shuttle" and state.position == state.configuration.t:
            settled = SettledSlot(state.ledger.in_flight[message.slot].done, message.result_proof, message.order_proof)
            for request in message.requests:
                process.reply(request, settled)
        stock(process, name, message)

    stock_view = Membership.__init__

    def believes(view, *arguments):
        stock_view(view, *arguments)
        view.needed = frozenset()  # else the client would not accept it

    monkeypatch.setattr(Membership, "__init__", believes)
    monkeypatch.setattr(replica_class, "to_successor", answers_early)
    outcome = simulated(WORK + QUIET)
    assert outcome.kind == "final"
    assert "which replica_2 does not hold" in outcome.breaches[0]


# -- who is correct


@pytest.mark.parametrize("failure", ["sleep(20)", "pause(20)", "delay(1)", "duplicate()"])
def test_a_replica_that_was_only_late_is_held_to_its_state(failure, replica_class, monkeypatch):
    stock = replica_class.extend

    def spoils(process, shuttle):
        if process._state.position == 1 and shuttle.slot == 12:
            process._state.ledger.state.apply(Operation("put", "intruder", "x"))
        stock(process, shuttle)

    monkeypatch.setattr(replica_class, "extend", spoils)
    assert simulated(WORK + QUIET + f"failures[0,1] = shuttle(0,1),{failure}\n").kind in ("replay", "agreement")


def test_a_replica_is_held_to_its_state_until_a_lie_of_its_own_strikes(replica_class, monkeypatch):
    stock = replica_class.extend

    def spoils(process, shuttle):
        if process._state.position == 1 and shuttle.slot == 2 and process._state.configuration_number == 0:
            process._state.ledger.state.apply(Operation("put", "intruder", "x"))
        stock(process, shuttle)

    monkeypatch.setattr(replica_class, "extend", spoils)
    later, before = (f"failures[0,1] = shuttle(0,{number}),extra_op()\n" for number in (9, 1))
    assert simulated(WORK + QUIET + later).kind in ("replay", "agreement")
    assert simulated(WORK + QUIET + before).kind == ""


def test_every_failure_is_said_to_go_so_far():
    assert {plan(name).effect for name in OF_LINKS} == {"timing"}
    assert {name: plan(name).effect for name in (*FAILURES, *SIMULATED)} == {
        name: word.effect for name, word in (*FAILURES.items(), *SIMULATED.items())
    }
    assert plan("no such failure").effect == "state"


# -- clients that lie


def test_what_a_lying_client_signed_is_legal_and_what_another_did_not_is_not():
    executed = SimpleNamespace(statement=Request(0, 99, ()), signer=0, is_authentic=lambda key: True)
    container = SimpleNamespace(process=SimpleNamespace(_state=SimpleNamespace(
        configuration=SimpleNamespace(client_key=lambda client: "its key", is_transferable=True, clients=(None,)), keys=None)))  # fmt: skip
    for liars, breaches in (((), 1), ((0,), 0)):
        oracle = Oracle([[()]], 1, lambda _: True, liars)
        oracle._check_validity(container, "replica_0", 3, [executed])
        assert len(oracle.breaches) == breaches
    oracle = Oracle([[()]], 1, lambda _: True, (0,))
    unsigned = SimpleNamespace(statement=Request(0, 99, ()), signer=0, is_authentic=lambda key: False)
    oracle._check_validity(container, "replica_0", 3, [unsigned])
    assert len(oracle.breaches) == 1


@pytest.mark.parametrize(("is_transferable", "is_convinced", "breaches"), [(False, True, 0), (False, False, 1), (True, True, 1)])
def test_a_request_whose_code_for_a_replica_is_spoiled_is_one_if_it_convinces_olympus(is_transferable, is_convinced, breaches):
    unconvincing = SimpleNamespace(statement=Request(0, 0, ()), signer=0, is_authentic=lambda key: False)
    container = SimpleNamespace(process=SimpleNamespace(_state=SimpleNamespace(
        configuration=SimpleNamespace(client_key=lambda client: "its key", is_transferable=is_transferable, clients=(None,)), keys=None)))  # fmt: skip
    oracle = Oracle([[()]], 1, lambda _: True, ())
    oracle.convinces_olympus = lambda request: is_convinced and request is unconvincing
    oracle._check_validity(container, "replica_0", 3, [unconvincing])
    assert len(oracle.breaches) == breaches


@pytest.mark.parametrize("name", ["first_run", "head_change_op", "tail_double_fail"])
def test_a_scenario_of_the_project_keeps_all_bounds_also_at_a_small_checkpoint_interval(name):
    text = (PROJECT / "config" / f"{name}.config").read_text()
    scenario = replace(parse_scenario(text, name)[0], checkpoint_interval=1, expectations=())
    assert simulate(scenario).breaches == ()
    assert not isinstance(run_text(text), str)


def test_of_one_holder_no_more_wait_than_may_be_in_flight_whatever_their_sessions():
    """As the queue has it: it asks the holder, and not the number of a session."""
    scenario = scenario_of(f"{WORK}client_window = 3\nsession_slots = 1\n{QUIET}")
    queue = RequestQueue(most_in_flight=6)
    for number in range(100):
        queue.add(0, (number // 4, number % 4), Signed(Request(0, number % 4, ()), 0, b""))
        queue.take(100)
    assert len(queue) == Bounds(scenario, Simulation()).in_progress == 12
