"""The storm takes protocols from their declarations, and refuses what is not of one, with the reason."""

import pytest

from bcr.faults.plans import keeps_clients_waiting
from bcr.scenario import parse_scenario
from bcr.scenario.protocols import PROTOCOLS
from bcr_tools import storm


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_seed_of_a_storm_is_a_file_that_nobody_objects_to(protocol):
    words, positions = set(), set()
    for seed in range(200):
        scenario, warnings = parse_scenario(storm.scenario_text(seed, protocol), "storm.config")
        assert not warnings and scenario.protocol == protocol
        words |= {plan.failure.name for plan in scenario.failures}
        positions |= {plan.position for plan in scenario.failures if scenario.t == 1}
    assert words <= set(PROTOCOLS[protocol].failures) and len(words) > 5
    assert positions == set(range(PROTOCOLS[protocol].servers(1, "ed25519")))
    assert ("chaos" in words, "restart" in words) == (protocol == "byzantine_raft", protocol != "shuttle")


def test_no_storm_has_a_fault_with_which_its_protocol_promises_no_answers():
    drawn = {protocol: set() for protocol in PROTOCOLS}
    for protocol, words in drawn.items():
        for seed in range(300):
            scenario, _ = parse_scenario(storm.scenario_text(seed, protocol), "storm.config")
            words |= {plan.failure.name for plan in scenario.failures}
            if protocol == "raft":
                assert not keeps_clients_waiting(scenario.failures), seed
    assert not drawn["raft"] & set(PROTOCOLS["raft"].unpromised)
    assert "mute_clients" in drawn["shuttle"] & drawn["byzantine_raft"]  # who do owe answers then


@pytest.mark.parametrize(
    ("command", "arguments", "why"),
    [(storm, ["--trials", "crash"], "they expect the chain to replace"), (storm, ["--restarts"], "they expect")],
)
def test_what_is_not_of_a_protocol_is_refused_with_the_reason(command, arguments, why, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["--protocol", "raft", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "not of protocol = raft: " in said and why in said
