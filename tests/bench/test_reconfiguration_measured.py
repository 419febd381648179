"""What `./bcr bench reconfiguration` runs: the service holds what was asked for, and is reconfigured once."""

import pytest

from bcr.scenario.reading import parse_scenario
from bcr_bench.studies.outage import MOST_KEYS, STEPS, scenario_text
from bcr_sim.simulated_run import simulate


@pytest.mark.parametrize("keys", [1, 99, 100, 350])
@pytest.mark.parametrize("is_crash", [False, True])
def test_the_state_has_all_keys_when_it_is_handed_over(keys, is_crash):
    outcome = simulate(parse_scenario(scenario_text(keys, is_crash), "measured")[0])
    assert outcome.breaches == ()
    [change] = outcome.result["reconfigurations"]
    assert len(outcome.result["final_state"]) == keys
    assert all(change[step] is not None for step in STEPS)
    assert bool(outcome.record.faults) and len(change["invalid_histories"]) == (not is_crash)


def test_the_most_keys_fit_into_a_scenario_file():
    assert parse_scenario(scenario_text(MOST_KEYS, False), "measured")[0].workloads
