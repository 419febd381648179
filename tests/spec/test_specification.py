"""The specification that runs, spec/Shuttle.da, by itself and beside the implementation."""

from functools import cache

import msgspec
import pytest

from bcr.scenario import parse_scenario, read_scenario
from bcr.scenario.values import Simulation
from bcr_runtime.places import SCENARIOS
from bcr_spec.alone import CrashPoint, run_alone
from bcr_spec.following import SPECIFICATION, Departure, NotSpecified, departures
from bcr_spec.measure import measurements
from bcr_spec.recording import Recorded, drawn
from bcr_spec.sensitivity import ERROR, NOT_NOTICED, NOTICED, verdict_of
from bcr_spec.spec import main as spec_main
from bcr_spec.text import specification

FAULTY = ["head_change_op", "truncate_history", "several_in_a_row", "tail_double_fail", "drop_checkpt_stmts",
          "tail_change_result", "extra_op_drop_shuttle", "get_running_state_crash", "partition_healed",
          "attacks/answer_early_bounced_checkpoint", "attacks/answer_early_late_witness",
          "attacks/bounced_checkpoint_then_crash", "attacks/replayed_catch_up", "attacks/spent_requests"]  # fmt: skip


def recorded(scenario):
    run = Recorded(scenario)
    outcome = run.outcome()
    assert not outcome.breaches
    return run


def scenario_of(t=1, clients=1, requests=12, interval=3, window=1, more=""):
    workloads = "".join(f"workload[{k}] = pseudorandom({k + 3},{requests})\n" for k in range(clients))
    text = f"t = {t}\nnum_client = {clients}\ncheckpt_interval = {interval}\nclient_window = {window}\n{workloads}{more}"
    return parse_scenario(f"test_case_name = beside\n{text}", "beside.config")[0]


@cache
def quiet():
    """A run without faults; tests change copies of what was written down of it."""
    return recorded(scenario_of(clients=2))


@cache
def reconfigured():
    """A run in which the tail crashes and is replaced."""
    return recorded(scenario_of(clients=2, more="failures[0,2] = shuttle(0,5),crash()\n"))


# -- by itself


def test_it_runs_by_itself_as_a_distalgo_program(run_da):
    done = run_da("RunShuttle.da", "1", "2", "4", "1")
    assert done.returncode == 0
    said = done.stderr + done.stdout
    assert "configuration 0 replaced by way of (" in said
    assert said.count(" gave ('OK',)") == 8
    assert "ERROR" not in said


@pytest.mark.parametrize("arguments", [("1", "2"), ("one", "2", "3", "4"), ("0", "1", "1", "0")])
def test_it_says_how_it_is_called(run_da, arguments):
    done = run_da("RunShuttle.da", *arguments)
    assert done.returncode == 2
    assert "usage: python3 -m da spec/RunShuttle.da" in done.stderr + done.stdout


@pytest.mark.parametrize("seed", range(3))
def test_what_it_answers_by_itself_is_what_one_process_after_another_would(seed):
    """Whatever the network's delays: the places that answers name are an order that explains them."""
    workloads = [list(scenario_of(clients=3).workloads[k].requests(1)) for k in range(3)]
    outcome = run_alone(1, workloads, checkpoint_interval=3, simulation=Simulation(seed=seed))
    assert outcome.hindrance is None
    executed = sorted(
        (place, results, workloads[client][number])
        for client, accepted in enumerate(outcome.accepted)
        for number, place, results in accepted
    )
    assert len(executed) == 36
    assert len({place for place, _, _ in executed}) == 36
    dictionary = {}
    for _, results, operations in executed:
        assert tuple(result_of(dictionary, operation) for operation in operations) == results


def result_of(dictionary, operation):
    """What the text of the specification says, section 8."""
    key, argument = operation.key, operation.argument
    if operation.name == "get":
        return dictionary.get(key, "")
    if operation.name == "put":
        dictionary[key] = argument
        return "OK"
    if key not in dictionary:
        return "fail"
    if operation.name == "append":
        dictionary[key] += argument
        return "OK"
    start, stop = map(int, argument.split(":"))
    if not start <= stop <= len(dictionary[key]):
        return "fail"
    dictionary[key] = dictionary[key][start:stop]
    return "OK"


@pytest.mark.parametrize(
    ("t", "failure", "crashes"),
    [(1, "", []), (2, "", []),
     (1, "failures[0,2] = shuttle(0,7),crash()\n", [CrashPoint(0, 2, "shuttle", 7)]),
     (1, "failures[0,0] = client_request(0,7),crash()\n", [CrashPoint(0, 0, "client_request", 7)]),
     (1, "failures[0,1] = result_shuttle(0,7),crash()\n", [CrashPoint(0, 1, "result_shuttle", 7)])],
)  # fmt: skip
def test_by_itself_it_orders_answers_and_reconfigures_as_the_implementation_does(t, failure, crashes):
    """With one client the workload is the schedule."""
    run = Recorded(scenario_of(t, requests=20, more=failure))
    outcome = run.outcome()
    assert not outcome.breaches
    workload = list(run.scenario.workloads[0].requests(1))
    alone = run_alone(t, [workload], checkpoint_interval=3, crashes=crashes)
    [client] = [account for account in run.accounts if account.role == "Client"]
    assert alone.hindrance is None
    assert len(client.accepted) == 20
    assert tuple((number, given[:3], given[3]) for number, given in client.accepted) == alone.accepted[0]
    assert alone.quorums == tuple(each.quorum for each in outcome.record.reconfigurations)
    assert len(alone.quorums) == len(crashes)


# -- beside the implementation


@pytest.mark.parametrize(
    ("t", "clients", "window"), [(1, 1, 1), (1, 4, 1), (1, 3, 3), (2, 3, 2), (3, 2, 1)]
)  # fmt: skip
def test_without_faults_every_process_says_what_the_specification_says_word_for_word(t, clients, window):
    run = recorded(scenario_of(t, clients, window=window))
    assert departures(run) == []
    assert all(account.is_correct for account in run.accounts)
    replicas = [account for account in run.accounts if account.role == "Replica"]
    assert len(replicas) == 2 * t + 1
    assert all(sum(not step.has_arrived for step in account.steps) > 12 * clients for account in replicas)
    assert sum(len(account.accepted) for account in run.accounts) == 12 * clients


@pytest.mark.parametrize("name", FAULTY)
def test_with_faults_the_correct_keep_to_the_specification(name):
    run = recorded(read_scenario(SCENARIOS / f"{name}.config")[0])
    assert departures(run) == []
    followed = [account for account in run.accounts if account.is_correct]
    assert {account.role for account in followed} == {"Client", "Olympus", "Replica"}


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_hunt_makes_up_the_correct_keep_to_the_specification(seed):
    assert departures(recorded(drawn(seed))) == []


@pytest.mark.parametrize(
    ("key", "value"), [("authentication", "hmac"), ("acceptance", "quorum"), ("state_limit", 200), ("session_slots", 50)]
)
def test_a_run_of_which_it_says_nothing_is_refused(key, value):
    run = recorded(scenario_of(more=f"{key} = {value}\n"))
    with pytest.raises(NotSpecified, match=f"of {key} = .*, and not of {value}"):
        departures(run)


# -- that it notices


def altered(run, role, position, change):
    """The departures of the run with the steps and acceptances of one of its processes changed; in place, and back."""
    kept = run.accounts
    [account] = [each for each in kept if (each.role, each.position) == (role, position) and not each.configuration]
    try:
        run.accounts = [change(each) if each is account else each for each in kept]
        return [str(departure) for departure in departures(run)]
    finally:
        run.accounts = kept


def with_steps(change):
    return lambda account: msgspec.structs.replace(account, steps=tuple(change(list(account.steps))))


def said(name, change):
    """Steps in which the last message of this name that was sent is changed."""

    def changed(steps):
        [*_, index] = [i for i, each in enumerate(steps) if not each.has_arrived and each.message[0] == name]
        return [*steps[:index], *change(steps[index]), *steps[index + 1 :]]

    return with_steps(changed)


def with_message(step, *message):
    return [msgspec.structs.replace(step, message=message)]


def test_an_order_for_another_slot_is_noticed():
    change = said("shuttle", lambda step: with_message(step, "shuttle", step.message[1] + 1, *step.message[2:]))
    [departure] = altered(quiet(), "Replica", 0, change)
    assert departure.startswith("replica_0 of configuration 0: says ('shuttle', 24")


def test_a_message_too_many_is_noticed():
    [departure] = altered(quiet(), "Replica", 1, said("result_shuttle", lambda step: [step, step]))
    assert departure.startswith("replica_1 of configuration 0: says ('result_shuttle'")


def test_an_answer_that_nothing_shows_is_noticed():
    def change(account):
        (number, (c, s, i, _)) = account.accepted[5]
        accepted = (*account.accepted[:5], (number, (c, s, i, ("another",))), *account.accepted[6:])
        return msgspec.structs.replace(account, accepted=accepted)

    [departure] = altered(quiet(), "Client", 1, change)
    assert departure.startswith("client_1: accepted [(5, ")


def test_an_answer_that_is_right_and_not_final_is_noticed():
    """Without one replica's testimony, t+1 equal results or not, the specification's client goes on asking."""

    def change(steps):
        [*_, index] = [i for i, each in enumerate(steps) if each.message[0] == "result_message"]
        (name, c, s, requests, outcomes, results, orders) = steps[index].message
        results = frozenset(each for each in results if each[1][2] != 2)
        return [*steps[:index], *with_message(steps[index], name, c, s, requests, outcomes, results, orders), *steps[index + 1 :]]

    [departure] = altered(quiet(), "Client", 0, with_steps(change))
    assert departure.startswith("client_0: accepted [(11, ")


def test_a_suffix_that_lacks_a_slot_is_noticed():
    def shorter(step):
        (kind, who, (name, number, attempt, receiver, suffix)) = step.message[1]
        return with_message(step, "catch_up", (kind, who, (name, number, attempt, receiver, (*suffix, (99, ())))))

    assert departures(reconfigured()) == []
    [departure] = altered(reconfigured(), "Olympus", 0, said("catch_up", shorter))
    assert departure.startswith("olympus: has replica 1 catch up with ((99, ()),)")


def test_a_quorum_of_which_one_has_not_been_heard_is_noticed():
    def unheard(steps):
        return [each for each in steps if not (each.message[0] == "wedged" and each.message[1][1] == ("replica", 0, 1))]

    found = altered(reconfigured(), "Olympus", 0, with_steps(unheard))
    assert found[0] == "olympus: would go on from (0, 1), and may not"


def test_a_beginning_on_which_the_quorum_does_not_agree_is_noticed():
    def another(step):
        (kind, who, (name, number, _)) = step.message[1]
        return with_message(step, "inithist", (kind, who, (name, number, bytes(32))), step.message[2])

    def change(steps):
        return [new for each in steps for new in (another(each) if each.message[0] == "inithist" else [each])]

    found = altered(reconfigured(), "Olympus", 0, with_steps(change))
    assert found[0] == "olympus: begins configuration 1 with a running state on which (0, 1) do not agree"


def test_a_reconfiguration_for_which_nobody_has_asked_is_noticed():
    def unasked(steps):
        return [each for each in steps if each.message[0] != "reconfiguration_request"]

    found = altered(reconfigured(), "Olympus", 0, with_steps(unasked))
    assert found[0] == "olympus: replaces configuration 0, and nobody has asked for it"


def test_a_voucher_that_the_quorum_does_not_give_is_noticed():
    def another(step):
        (kind, who, what) = step.message[1]
        return with_message(step, "voucher", (kind, who, (*what[:6], (0, 0, 0, ("another",)))))

    found = altered(reconfigured(), "Olympus", 0, said("voucher", another))
    assert any(each.startswith("olympus: vouches for") for each in found)


@pytest.mark.parametrize(
    "name", ["suffix not executed", "hole filled with what comes", "wedged replica goes on",
             "one history is enough for a quorum"]
)  # fmt: skip
def test_a_seeded_bug_is_noticed(demand_noticed, name):
    demand_noticed(name, 10)


@pytest.mark.parametrize(("process", "rule"), [("Replica", "is_extendable"), ("Client", "finish"), ("Olympus", "is_valid")])
def test_an_error_in_the_specification_is_nobodys_departure(process, rule, monkeypatch):
    """In a handler, or in a query that is asked from outside; the same run is the specification's where it has none."""

    def fails(*_):
        raise KeyError("a rule that is wrong itself")

    run = reconfigured()
    assert departures(run) == []
    monkeypatch.setattr(getattr(specification(), process), rule, fails)
    found = departures(run)
    assert "a rule that is wrong itself" in next(each.what for each in found if each.is_error_of_specification)
    assert verdict_of([found]).startswith(f"{ERROR} at seed 0")


def test_a_bug_is_noticed_by_a_run_in_which_the_specification_comes_to_no_error():
    error, honest = Departure(SPECIFICATION, "KeyError(1)"), Departure("replica_0", "says too much")
    assert verdict_of([[], [honest]]) == f"{NOTICED} at seed 1: replica_0: says too much"
    assert verdict_of([[error, honest], [], [honest]]) == f"{NOTICED} at seed 2: replica_0: says too much"
    assert verdict_of([[], [error, honest], []]) == f"{ERROR} at seed 1: KeyError(1)"
    assert verdict_of([[], []]) == f"{NOT_NOTICED} in 2 seeds"


# -- the command


def test_the_command_says_whether_a_run_is_as_specified(capsys):
    assert spec_main([str(SCENARIOS / "truncate_history.config")]) == 0
    assert "truncate_history: as specified; " in capsys.readouterr().out


def test_the_command_refuses_what_it_says_nothing_about(capsys):
    assert spec_main([str(SCENARIOS / "hmac_lying_middle.config")]) == 2
    assert "the specification is of authentication = ed25519, and not of hmac" in capsys.readouterr().err


def test_queries_over_history_cost_more_the_longer_the_history():
    """What docs/handlers-and-queries.md says, in counts that hold on any machine: they grow with the square."""
    [short, long] = measurements((30, 240))
    assert long.specification_ms > 2 * short.specification_ms
    assert long.specification_ms / short.specification_ms > 1.5 * long.implementation_ms / short.implementation_ms


@pytest.mark.parametrize("name", ["raft_restart", "byzantine_raft_restart"])
def test_the_command_refuses_what_no_specification_speaks_of_before_it_runs_it(name, capsys):
    assert spec_main([str(SCENARIOS / f"{name}.config")]) == 2
    assert "begin again" in capsys.readouterr().err


def test_the_command_says_where_the_specification_itself_comes_to_an_error(monkeypatch, capsys):
    monkeypatch.setattr(specification().Replica, "is_extendable", lambda *_: 1 // 0)
    assert spec_main([str(SCENARIOS / "truncate_history.config")]) == 1
    assert "truncate_history: error in the specification; " in capsys.readouterr().out
