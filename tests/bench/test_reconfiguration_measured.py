"""What `./bcr bench reconfiguration` runs: the service holds what was asked for, and is reconfigured once."""

from collections import defaultdict

import pytest

from bcr.scenario.reading import parse_scenario
from bcr.signed import pieces
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


@pytest.mark.parametrize("is_crash", [False, True])
def test_a_state_of_more_than_a_message_is_handed_over_in_pieces(monkeypatch, is_crash):
    counts = defaultdict(list)  # of the pieces of each message
    original = pieces.Manifest

    def noted(message, configuration, serial, size, count, *rest):
        counts[message].append(count)
        return original(message, configuration, serial, size, count, *rest)

    text = scenario_text(6_000, is_crash, value_bytes=400)
    with monkeypatch.context() as patch:
        patch.setattr(pieces, "Manifest", noted)
        outcome = simulate(parse_scenario(text, "measured")[0])
    assert outcome.breaches == () and len(outcome.result["final_state"]) == 6_000
    assert min(counts["running_state"]) > 1 and min(counts["inithist"]) > 1


def test_the_most_keys_fit_into_a_scenario_and_into_its_state():
    scenario, warnings = parse_scenario(scenario_text(MOST_KEYS, False, 400), "measured")
    assert len(scenario.workloads[0]) > MOST_KEYS
    assert warnings == ()
