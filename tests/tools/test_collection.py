"""What the start-up takes of what processes report."""

import pytest

from bcr.chain.settings import Settings
from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr.signed.encoding import encode
from bcr.signed.violations import MalformedMessage
from bcr_run import collection
from bcr_run.collection import Collection, RaftCollection

PLAN = FaultPlan(0, 1, Trigger("shuttle", 0, 0), Failure("drop"), "shuttle(0,0),drop()")


def test_a_replica_s_word_on_a_fault_that_it_has_is_taken():
    taken = Collection(Settings(t=1, num_clients=1), plans=(PLAN,))
    taken.add_fault(0, 1, encode(PLAN), True)
    assert taken.faults == [PLAN]
    assert taken.record(None, b"", ()).armed_faults == ()


@pytest.mark.parametrize("collected", [Collection, lambda settings, plans: RaftCollection("raft", settings, plans)])
def test_a_fault_that_is_armed_excuses_at_once_and_has_struck_when_its_effect_is_told(collected):
    taken = collected(Settings(t=1, num_clients=1), plans=(PLAN,))
    for _ in range(2):
        taken.add_fault(0, 1, encode(PLAN), False)
    records = [taken.record(None, b"", ())]
    taken.add_effect(0, 1, encode(PLAN))
    records.append(taken.record(None, b"", ()))
    assert [record.faults for record in records] == [(PLAN, PLAN)] * 2
    assert [record.armed_faults for record in records] == [(PLAN, PLAN), (PLAN,)]


@pytest.mark.parametrize(("place", "planned"), [((0, 2), (PLAN,)), ((1, 1), (PLAN,)), ((0, 1), ())])
def test_nobody_tells_of_another_s_fault_or_of_one_that_is_not_in_the_scenario(place, planned):
    """Else a liar whose state is wrong could have a correct replica's account of it left aside."""
    taken = Collection(Settings(t=1, num_clients=1), plans=planned)
    with pytest.raises(MalformedMessage, match="does not have"):
        taken.add_fault(*place, encode(PLAN), True)
    with pytest.raises(MalformedMessage, match="does not have"):
        taken.add_effect(*place, encode(PLAN))
    assert taken.faults == []


def test_a_final_state_larger_than_any_is_not_put_together(monkeypatch):
    monkeypatch.setattr(collection, "most_state_bytes", lambda settings: 10)
    taken = Collection(Settings(t=1, num_clients=1))
    taken.configurations.append(type("Signed", (), {"statement": type("Statement", (), {"number": 0})})())
    for index in range(3):
        taken.add_state_piece(0, index, 3, b"xxxx")
    assert taken._state_pieces[0].payload() is None
