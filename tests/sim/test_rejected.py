"""A request beyond the limits is rejected by all replicas alike, and its client goes on behind it (specification, 4.8)."""

from pathlib import Path

import msgspec
import pytest

from bcr.chain.void import AnswerToOther
from bcr.scenario import parse_scenario, read_scenario
from bcr_sim.simulated_run import simulate

GET = "get('a'); "
TEXT = """t = 1
num_client = 2
client_window = 1
simulation = seed(1)
workload[0] = {}
workload[1] = pseudorandom(1,8)
"""

# The disks of all replicas are full, and the void request is executed in configuration 0, of which its client hears nothing. A liar of
# configuration 1 passes on the request itself, which the client has sent to configuration 0.
REPLAYED = """t = 1
num_client = 1
client_timeout = 200
head_timeout = 3000
nonhead_timeout = 3000
client_window = 1
client_rate = 10
durable = on
workload[0] = put('a','1'); put('b','1'); put('c','1'); put('d','1'); get('d'); put('e','1')
failures[0,2] = after(1500),ask()
failures[1,1] = after(100),replay_old(client_request)
simulation = seed(1); disk(replica_0,full,150); disk(replica_1,full,150); disk(replica_2,full,150); hold(replica_0,replica_1,320,700); \
cut(replica_0,client_0,600,1600); cut(replica_1,client_0,600,1600); cut(replica_2,client_0,600,1600); cut(olympus,client_0,1400,1545); \
cut(client_0,replica_2,400,1550); hold(client_0,replica_0,1552,1900); hold(client_0,replica_2,320,1540)
""".replace("\\\n", "")


def run_of(workload, operations_per_request, authentication="ed25519"):
    """A run of a client whose file a reader would refuse: it puts more into a request than any may have."""
    scenario, _ = parse_scenario(TEXT.format(workload) + f"authentication = {authentication}\n", "rejected.config")
    return simulate(msgspec.structs.replace(scenario, operations_per_request=operations_per_request))


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_who_sends_too_many_operations_at_once_is_told_and_goes_on_behind_it(authentication):
    outcome = run_of("put('a','b'); " + 1_000 * GET + "append('a','c'); get('a')", 1_001, authentication)
    assert set(outcome.breaches) == {f"liveness: {reason}" for reason in outcome.judgement.reasons}  # it is told, and no answer
    [first, second] = outcome.record.clients
    assert [(each.request.statement.number, each.answer.outcome.results) for each in first.exchanges] == [(1, ("fail", ""))]
    assert len(second.exchanges) == 1
    assert outcome.judgement.status == "unknown"
    assert "client 0: request 0 is rejected by all replicas: a request of 1,001 operations" in outcome.judgement.reasons


def test_who_sends_too_many_bytes_at_once_is_told_and_goes_on_behind_it():
    large = f"append('a','{'x' * 600_000}'); "
    outcome = run_of(f"put('b','c'); get('b'); {large}{large}get('b'); get('a')", 2)
    assert set(outcome.breaches) == {f"liveness: {reason}" for reason in outcome.judgement.reasons}
    assert [each.request.statement.number for each in outcome.record.clients[0].exchanges] == [0, 2]
    assert "client 0: request 1 is rejected by all replicas: a request of more than 1,052,672 bytes" in outcome.judgement.reasons


def test_a_request_that_comes_again_where_the_void_one_was_executed_in_its_place_is_refused_for_good():
    outcome = simulate(parse_scenario(REPLAYED, "replayed.config")[0])
    assert outcome.breaches == ()
    [client] = outcome.record.clients
    assert [(each.request.statement.number, each.instead.answer.outcome.results) for each in client.rejected] == [(3, ("fail", "fail"))]
    assert [(each.request.statement.number, each.answer.outcome.results) for each in client.exchanges[3:]] == [(4, ("",)), (5, ("OK",))]


@pytest.mark.parametrize("answered_with", ["what-the-request-that-was-left-out-gave", "another-number-of-results"])
def test_a_request_that_was_executed_before_the_void_one_is_answered_by_the_answer_to_that(answered_with):
    scenario, _ = read_scenario(Path(__file__).parent / "regressions" / f"the-void-one-is-answered-with-{answered_with}.config")
    outcome = simulate(scenario)
    [client] = outcome.record.clients
    [told] = [each for each in client.exchanges if isinstance(each.answer, AnswerToOther)]
    assert (told.request.statement.operations[0].name, told.answer.outcome.results[0], client.rejected) == ("put", "OK", ())
    assert outcome.result["final_state"]["d"] == "1"
