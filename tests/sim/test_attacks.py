"""The attacks of config/attacks: each is stood where results take all replicas' word, and those that need it harm otherwise.

With one fixed delay a file's runs of several seeds are one and the same run. The others' order of events is drawn, and
what the files expect holds in every order: only `after(ms)` and `pause(…)`, which strike at a time, may meet another
moment of the run.
"""

import pytest

from bcr.scenario.reading import parse_scenario
from bcr_runtime.places import PROJECT
from bcr_sim.campaign import run_text, text_of

FILES = sorted((PROJECT / "config" / "attacks").iterdir())
LOSSES = [file for file in FILES if file.stem.startswith("answer_early")]
SEEDS = range(1, 6)


def stem(file):
    return file.stem


@pytest.mark.parametrize("file", FILES, ids=stem)
def test_an_attack_is_stood_whatever_the_network_does(file):
    assert parse_scenario(file.read_text(), file.name)[0].expectations
    for seed in SEEDS:
        outcome = run_text(text_of(seed, file.read_text(), None, "all"))
        assert (outcome.breaches, outcome.judgement.status) == ((), "pass"), seed


@pytest.mark.parametrize("file", FILES, ids=stem)
def test_an_attack_is_none_unless_something_strikes(file):
    scenario, warnings = parse_scenario(file.read_text(), file.name)
    assert warnings == ()
    planned = [plan.text for plan in (*scenario.failures, *scenario.client_failures)]
    options = scenario.simulation
    assert planned or options.pauses or options.holds or scenario.client_rate
    outcome = run_text(file.read_text())
    struck = {fault["fault"] for fault in outcome.result["faults_injected"]}
    # What is meant for the next configuration strikes only where there is one.
    assert struck >= {text for text in planned if not text.startswith("reconfiguration(1)")}


def test_there_are_attacks_that_lose_what_was_accepted():
    assert len(LOSSES) >= 2


@pytest.mark.parametrize("file", LOSSES, ids=stem)
def test_where_t_plus_1_are_enough_an_accepted_append_is_lost_and_said_to_be(file):
    for seed in SEEDS:
        outcome = run_text(text_of(seed, file.read_text(), None, "quorum"))
        lost = [breach for breach in outcome.breaches if breach.startswith("results: client 0, request 1: accepted")]
        assert lost, (seed, outcome.breaches)
        assert outcome.judgement.status != "pass", seed


@pytest.mark.parametrize("file", [file for file in FILES if file not in LOSSES], ids=stem)
def test_where_t_plus_1_are_enough_nothing_else_is_lost_but_a_checkpoint_that_one_lacks_can_be_the_end(file):
    for seed in SEEDS:
        outcome = run_text(text_of(seed, file.read_text(), None, "quorum"))
        if file.stem == "bounced_checkpoint_then_crash":
            first, *_ = outcome.breaches
            assert first == "liveness: no reconfiguration from configuration 0: fewer than t+1 usable answers", seed
        else:
            assert outcome.breaches == (), seed
