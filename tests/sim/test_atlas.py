"""The atlas is every trigger with every failure, and what the protocol prescribes comes out of it."""

import pytest

from bcr.faults import vocabulary
from bcr_sim.campaign import run_text
from bcr_tools.atlas import FAILURES, POSITIONS, TRIGGERS, Cell, outcome_of, prescribed, rules

POSSIBLE = [call for call in FAILURES if not vocabulary.FAILURES[call.partition("(")[0]].not_simulated]


def test_the_atlas_has_every_trigger_and_every_failure_of_the_vocabulary():
    assert [call.partition("(")[0] for call in TRIGGERS.values()] == [*vocabulary.TRIGGERS]
    assert [call.partition("(")[0] for call in FAILURES] == [*vocabulary.FAILURES]


@pytest.mark.parametrize("failure", POSSIBLE)
@pytest.mark.parametrize("position", POSITIONS)
def test_a_failure_comes_out_as_prescribed(failure, position):
    cell = Cell(1, "reconfiguration" if position == "head" else "shuttle", failure, position)
    done = run_text(cell.scenario() + "simulation = seed(3)\n")
    assert not isinstance(done, str), done
    assert done.breaches == ()
    outcome = outcome_of(cell, 0, done.result)
    assert outcome.kind in prescribed(cell, rules())["outcome"]
    assert outcome.kind != "not met"
