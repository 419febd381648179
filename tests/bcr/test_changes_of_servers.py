"""Who decides among the servers of Raft once changes of them are made, of whom that is known, and who has caught up (specification, 14.10)."""

import pytest

from bcr.raft.changes import ADD, REMOVE, TRANSFER, CatchUpRounds, ScheduledChange, surely_deciding

TO_2, WITHOUT_2, WITH_0 = ScheduledChange(1, TRANSFER, 2), ScheduledChange(2, REMOVE, 2), ScheduledChange(3, ADD, 0)
PLANNED = (TO_2, WITHOUT_2, WITH_0)


def test_changes_that_are_made_are_known_to_be():
    assert surely_deciding((1, 2, 3), PLANNED, PLANNED) == {0, 1, 3}
    assert surely_deciding((1, 2, 3), (), ()) == {1, 2, 3}


def test_of_a_server_whose_change_nobody_saw_made_it_is_not_known_whether_it_decides():
    assert surely_deciding((1, 2, 3), PLANNED, (TO_2,)) == {1, 3}
    assert surely_deciding((1, 2, 3), PLANNED, ()) == {1, 3}


def test_members_change_by_one_server_at_a_time():
    assert ScheduledChange(0, ADD, 4).applied_to((0, 5)) == (0, 4, 5)
    assert ScheduledChange(0, REMOVE, 4).applied_to((0, 4, 5)) == (0, 5)
    assert ScheduledChange(0, TRANSFER, 4).applied_to((0, 4)) == (0, 4)


def test_two_members_are_the_fewest():
    with pytest.raises(ValueError, match="is one of the last 2"):
        ScheduledChange(0, REMOVE, 4).applied_to((0, 4))


@pytest.mark.parametrize("kind", [REMOVE, TRANSFER])
def test_who_does_not_decide_can_neither_be_removed_nor_lead(kind):
    with pytest.raises(ValueError, match="does not decide then"):
        ScheduledChange(0, kind, 4).applied_to((0, 1, 2))


def test_who_decides_cannot_be_added():
    with pytest.raises(ValueError, match="decides already then"):
        ScheduledChange(0, ADD, 1).applied_to((0, 1, 2))


def test_a_round_has_to_take_less_than_an_election_timeout():
    assert not CatchUpRounds(3, 10, 0.0).reached(10, 10, 0.25, 0.25)
    assert CatchUpRounds(3, 10, 0.0).reached(10, 10, 0.249, 0.25)


def test_a_server_is_given_up_after_ten_rounds():
    arriving = CatchUpRounds(3, 0, 0.0)
    for number in range(1, 11):
        assert not arriving.is_hopeless(float(number), float(number), 0.25)
        assert not arriving.reached(10, 10, float(number), 0.25)  # this round took too long
    assert arriving.is_hopeless(10.0, 10.0, 0.25)


def test_a_server_is_given_up_without_an_answer_for_two_election_timeouts():
    arriving = CatchUpRounds(3, 0, 0.0)
    assert not arriving.is_hopeless(0.49, 0.0, 0.25)
    assert arriving.is_hopeless(0.51, 0.0, 0.25)
