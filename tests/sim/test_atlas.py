"""The atlas is every trigger with every failure, and what each protocol prescribes comes out of it."""

from itertools import product

import pytest

from bcr.scenario.protocols import BRAFT_SYNONYMS, PROTOCOLS, WORDS
from bcr_tools.atlas import ATLASES, main, simulated
from bcr_tools.atlas_cells import name_of, prescribed

CHAIN, RAFT, BRAFT = (ATLASES[name] for name in ("shuttle", "raft", "byzantine_raft"))
POSSIBLE = [call for call in CHAIN.failures if not WORDS[name_of(call)].not_simulated]
# A trigger that is met, by position; of the chain one that is met by its middle and its tail.
MET = {"head": "reconfiguration", "middle": "shuttle", "tail": "shuttle"}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_atlas_has_every_trigger_and_every_failure_of_a_file_of_the_protocol(name):
    atlas, protocol = ATLASES[name], PROTOCOLS[name]
    assert [*atlas.triggers] == [each for each in protocol.triggers if name != "byzantine_raft" or each not in BRAFT_SYNONYMS]
    assert [name_of(call) for call in atlas.failures] == [each for each in protocol.failures if each in WORDS]


@pytest.mark.parametrize(("atlas", "good"), [
    (CHAIN, {"masked", "reconfigured", "not met"}),
    (RAFT, {"masked", "another leader", "not met", "unknown"}),
    (BRAFT, {"masked", "another leader", "not met"}),
])  # fmt: skip
def test_the_protocol_prescribes_an_outcome_for_every_cell_and_never_a_wrong_one(atlas, good):
    rules = atlas.rules()
    for cell in atlas.cells((1, 2), atlas.triggers, [name_of(call) for call in atlas.failures]):
        rule = prescribed(cell, rules)
        assert rule["reason"]
        assert set(rule["outcome"]) <= good
        assert "unknown" not in rule["outcome"] or cell.failure_name == "mute_clients"


def comes_out_as_prescribed(atlas, trigger, failure, position):
    cell = atlas.cell(1, trigger, failure, position)
    outcome = simulated(cell)[1]
    assert outcome.kind in prescribed(cell, atlas.rules())["outcome"], outcome
    assert outcome.kind != "not met"


@pytest.mark.parametrize("failure", POSSIBLE)
@pytest.mark.parametrize("position", CHAIN.positions)
def test_a_failure_of_a_replica_comes_out_as_prescribed(failure, position):
    comes_out_as_prescribed(CHAIN, MET[position], failure, position)


@pytest.mark.parametrize("failure", RAFT.failures)
@pytest.mark.parametrize(("trigger", "position"), [("appended", "leader"), ("after", "leader"), ("append_entries", "follower")])
def test_a_failure_of_a_server_of_raft_comes_out_as_prescribed(trigger, failure, position):
    comes_out_as_prescribed(RAFT, trigger, failure, position)


@pytest.mark.parametrize("failure", BRAFT.failures)
@pytest.mark.parametrize(("trigger", "position"), [("commit", "leader"), ("append", "follower")])
def test_a_failure_of_a_liar_comes_out_as_prescribed(trigger, failure, position):
    comes_out_as_prescribed(BRAFT, trigger, failure, position)


@pytest.mark.parametrize(("atlas", "trigger", "position"), [
    (RAFT, "install_snapshot", "leader"),
    (RAFT, "install_snapshot", "follower"),
    (RAFT, "snapshot_installed", "leader"),
    (RAFT, "timeout_now", "follower"),
    (RAFT, "first_leader", "leader"),
    *((BRAFT, trigger, "leader") for trigger in ("forwarded_request", "start_term", "status", "state")),
    *((BRAFT, trigger, "follower") for trigger in ("start_vote", "start_term", "status", "state", "checkpoint")),
])  # fmt: skip
def test_what_is_seldom_met_is_met_in_the_atlas(atlas, trigger, position):
    comes_out_as_prescribed(atlas, trigger, "duplicate()", position)


def test_a_crash_of_the_leader_costs_an_election_and_one_of_a_follower_nothing():
    for atlas, (position, kind) in product((RAFT, BRAFT), (("leader", "another leader"), ("follower", "masked"))):
        assert simulated(atlas.cell(1, "after", "crash()", position))[1].kind == kind


def test_the_rafts_have_no_real_atlas_and_say_why(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--protocol", "raft"])
    assert ended.value.code == 2
    assert "links are cut for a while" in capsys.readouterr().err


def test_a_trigger_of_another_protocol_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--protocol", "raft", "--simulated", "--trigger", "shuttle"])
    assert ended.value.code == 2
    assert "invalid choice: 'shuttle' (choose from client_request, request_vote" in capsys.readouterr().err
