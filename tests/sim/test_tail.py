"""The tail settles a slot on the orders that it checked and on what it executed itself (docs/safety.md)."""

from importlib import import_module

import pytest
from msgspec.structs import replace

from bcr_sim import distalgo
from bcr_sim.campaign import run_text

SCENARIO = """t = {t}
num_client = 2
client_timeout = 100
head_timeout = 100
nonhead_timeout = 100
checkpt_interval = 4
workload[0] = pseudorandom(1,12)
workload[1] = pseudorandom(2,12)
failures[0,{liar}] = shuttle(0,0),sleep(1)
simulation = seed({seed})
"""


def spoiled(signed):
    return replace(signed, signature=bytes(each ^ 0xFF for each in signed.signature))


@pytest.fixture
def forwards(monkeypatch):
    """Lets a faulty replica forward every shuttle with its result statements changed so."""
    distalgo.set_options()
    import_module("RunSystem")
    liars = import_module("Adversary").AdversarialReplica
    stock = liars.transmit_sealed

    def use(change):
        def transmit_sealed(self, message_name, message, neighbour):
            if message_name == "shuttle":
                message = replace(message, result_proof=change(message.result_proof))
            stock(self, message_name, message, neighbour)

        monkeypatch.setattr(liars, "transmit_sealed", transmit_sealed)

    return use


@pytest.mark.parametrize("t", [1, 2])
@pytest.mark.parametrize("change", [lambda proof: (), lambda proof: tuple(map(spoiled, proof))], ids=["left out", "spoiled"])
def test_a_liar_that_spoils_its_predecessors_result_statements_costs_neither_the_answer_nor_its_rightness(forwards, change, t):
    forwards(change)
    outcome = run_text(SCENARIO.format(t=t, liar=2 * t - 1, seed=t))
    assert outcome.breaches == ()
    assert outcome.judgement.status == "pass"
    assert outcome.result["operations"] == 24
    rejected = [notice for notice in outcome.result["notices"] if notice["by"].startswith("client_")]
    assert rejected  # what the tail answered did not convince the clients: the lie was there


BATCHED = """t = 1
num_client = 3
client_timeout = 300
head_timeout = 300
nonhead_timeout = 300
batch_limit = 10
workload[0] = put('a','0'); get('a'); get('a')
workload[1] = get('a'); get('a'); get('a')
workload[2] = get('a'); get('a'); get('a')
failures[0,2] = shuttle(1,0),change_result()
simulation = seed(1); delay(500,500)
"""


def test_where_a_slot_has_several_requests_the_tails_lie_is_in_the_predecessors_copy_too(monkeypatch):
    """[9] at the tail both of these hit the client's copy and the predecessor's"""
    distalgo.set_options()
    import_module("RunSystem")
    chain = import_module("ChainProcess").ChainProcess
    stock, told = chain.transmit_sealed, []

    def transmit_sealed(self, message_name, message, neighbour):
        if message_name == "result_shuttle" and self._state.position == 2 and self._state.configuration_number == 0:
            told.append({signed.statement.outcomes_digest for signed in message.result_proof})
        stock(self, message_name, message, neighbour)

    monkeypatch.setattr(chain, "transmit_sealed", transmit_sealed)
    outcome = run_text(BATCHED)
    assert outcome.judgement.status == "pass"
    assert [len(digests) for digests in told].count(2) == 1
