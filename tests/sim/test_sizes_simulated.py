"""A simulated run has the limits of a real one: large values pass, and what could not be sent is a breach."""

import pytest

from bcr.chain import slot_room as room
from bcr.scenario import parse_scenario
from bcr_sim.simulated_run import simulate

LARGE = "t = 1\nnum_client = 60\nbatch_limit = 100\n" + "".join(f"workload[{k}] = uniform({k},3,100000,10)\n" for k in range(60))


def outcome_of(text):
    return simulate(parse_scenario(text, "x.config")[0])


@pytest.mark.parametrize("authentication", ["ed25519", "hmac", "crc"])
def test_large_values_and_a_large_batch_need_no_reconfiguration(authentication):
    outcome = outcome_of(LARGE + f"authentication = {authentication}\nexpect[reconfigurations] = 0\n")
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert outcome.result["operations"] == 180


def test_a_head_that_fills_slots_by_their_number_alone_is_found(monkeypatch):
    for module, name in ((room, "SLOT_LIMIT_BYTES"), (room, "SLOT_RESULTS_LIMIT_BYTES")):
        monkeypatch.setattr(module, name, 1 << 40)
    [breach, *_] = outcome_of(LARGE).breaches
    assert breach.startswith("error: replica_")
    assert breach.endswith("bytes, more than a message may have")
