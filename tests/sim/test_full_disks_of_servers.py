"""Servers of Raft, and of Raft among liars, whose disks are full (specification, 13.10, 14.12, 16.12)."""

import pytest

from bcr.chain.void import is_void
from bcr.scenario import parse_scenario
from bcr_sim.braft_run import BraftRun
from bcr_sim.raft_run import RaftRun
from bcr_sim.simulated_run import simulate

REQUESTS = 40
CLIENTS = 3
SERVERS = {"raft": 3, "byzantine_raft": 4}
FULL_MS = {"raft": 260, "byzantine_raft": 40}  # somewhere in the middle of the work
RUNS = {"raft": RaftRun, "byzantine_raft": BraftRun}
ALL = [(protocol, position) for protocol, count in SERVERS.items() for position in range(count)]


def run(protocol, positions, more="", workloads=None, **keys):
    workloads = workloads or [f"pseudorandom({client},{REQUESTS})" for client in range(CLIENTS)]
    words = "; ".join(f"disk(replica_{position},full,{FULL_MS[protocol]})" for position in positions)
    lines = [f"protocol = {protocol}", "t = 1", f"num_client = {len(workloads)}", "time_unit = ms", "durable = on", "client_window = 2"]
    known = {"client_timeout": 300, "checkpt_interval": 3}
    lines += [f"{name} = {value}" for name, value in (known | keys).items()]
    lines += [f"workload[{client}] = {workload}" for client, workload in enumerate(workloads)]
    return simulate(parse_scenario("\n".join([*lines, f"simulation = seed(1); {words}{more}\n"]), "full.config")[0])


def refused(outcome):
    assert not any(client.unanswered for client in outcome.record.clients)
    return [each.request.statement for client in outcome.record.clients for each in client.rejected]


@pytest.mark.parametrize(("protocol", "position"), ALL)
def test_for_the_full_disk_of_one_server_nothing_is_refused_and_nobody_ends(protocol, position):
    outcome = run(protocol, [position])
    assert (outcome.breaches, refused(outcome), outcome.result["faults_injected"]) == ((), [], [])
    assert outcome.result["operations"] == CLIENTS * REQUESTS


@pytest.mark.parametrize("protocol", SERVERS)
def test_a_server_that_has_used_up_what_was_set_aside_is_silent_and_the_others_go_on(protocol):
    outcome = run(protocol, [1], workloads=["uniform(1,150,200,0)", "uniform(2,150,200,0)"], checkpt_interval=1_000)
    assert (outcome.breaches, refused(outcome), outcome.result["faults_injected"]) == ((), [], [])
    assert outcome.result["operations"] == 300


def test_where_a_majority_lacks_room_a_leader_that_has_some_refuses_all_the_same():
    outcomes = [run("raft", pair) for pair in ((0, 1), (0, 2), (1, 2))]  # whoever leads
    assert all(refused(outcome) for outcome in outcomes)


@pytest.mark.parametrize("protocol", SERVERS)
def test_where_all_disks_are_full_what_is_new_is_refused_for_good_and_nobody_ends(protocol):
    outcome = run(protocol, range(SERVERS[protocol]))
    left_out, answered = refused(outcome), outcome.result["operations"]
    assert answered > 0 and len(left_out) == CLIENTS * REQUESTS - answered > 0
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert outcome.result["faults_injected"] == []
    numbers = {(exchange.request.statement.client, exchange.request.statement.number)
               for client in outcome.record.clients for exchange in client.exchanges}  # fmt: skip
    assert not numbers & {(each.client, each.number) for each in left_out}
    assert not any(is_void(each.operations) for each in left_out)  # the record has what was asked for


@pytest.mark.parametrize("protocol", SERVERS)
def test_what_was_refused_is_not_there_and_what_was_answered_is(protocol):
    keys = [f"key{number}" for number in range(300)]  # of a client that puts each once, in requests that may come twice
    outcome = run(protocol, range(SERVERS[protocol]), "; duplicate(400); until(5000)", workloads=[f"distinct(1,{len(keys)},3)"])
    assert outcome.result["words_missed"] == []
    missing = {keys[each.number] for each in refused(outcome)}
    assert 0 < len(missing) < len(keys)
    assert outcome.result["final_state"].keys() == {*keys} - missing


@pytest.mark.parametrize(
    ("more", "borne"), [("", 2), ("protocol = byzantine_raft\n", 0), ("members = 0; 1; 2\nchanges = remove(0,2)\n", 0)]
)
def test_a_leader_that_refuses_although_a_majority_has_room_is_noticed(more, borne):
    """With Raft as many disks may be full as servers may be gone; among liars each without room says so for itself."""
    protocol = "" if "protocol" in more else "protocol = raft\n"
    scenario, _ = parse_scenario(f"{protocol}{more}t = 2\nnum_client = 1\nworkload[0] = get('a')\ndurable = on\n", "full.config")
    assert RUNS[scenario.protocol](scenario, None, False).full_disks_borne == borne


def test_what_is_refused_for_one_full_disk_of_three_is_a_failure(monkeypatch):
    stock = RaftRun.__init__
    monkeypatch.setattr(RaftRun, "__init__", lambda run, *rest: (stock(run, *rest), setattr(run, "full_disks_borne", 3))[0])
    outcome = run("raft", range(3))
    assert outcome.breaches == ("liveness: requests were rejected for want of room, and disks that were full: 3",)
