"""Who decides among the servers of Raft once changes of them are made, and of whom that is known."""

from bcr.raft.changes import ADD, REMOVE, TRANSFER, ScheduledChange, surely_deciding

TO_2, WITHOUT_2, WITH_0 = ScheduledChange(1, TRANSFER, 2), ScheduledChange(2, REMOVE, 2), ScheduledChange(3, ADD, 0)
PLANNED = (TO_2, WITHOUT_2, WITH_0)


def test_changes_that_are_made_are_known_to_be():
    assert surely_deciding((1, 2, 3), PLANNED, PLANNED) == {0, 1, 3}
    assert surely_deciding((1, 2, 3), (), ()) == {1, 2, 3}


def test_of_a_server_whose_change_nobody_saw_made_it_is_not_known_whether_it_decides():
    assert surely_deciding((1, 2, 3), PLANNED, (TO_2,)) == {1, 3}
    assert surely_deciding((1, 2, 3), PLANNED, ()) == {1, 3}
