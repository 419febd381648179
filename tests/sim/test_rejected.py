"""A request beyond the limits is rejected by all replicas alike, and its client goes on behind it (specification, 4.8)."""

import msgspec
import pytest

from bcr.scenario import parse_scenario
from bcr_sim.simulated_run import simulate

GET = "get('a'); "
TEXT = """t = 1
num_client = 2
client_window = 1
simulation = seed(1)
workload[0] = {}
workload[1] = pseudorandom(1,8)
"""


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
