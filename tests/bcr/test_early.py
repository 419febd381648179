"""What came before the configuration is kept in its order, so many messages and bytes at the most."""

from bcr.chain.early import EarlyMessages


def test_what_was_kept_comes_out_once_in_the_order_in_which_it_came():
    early = EarlyMessages(3, 100)
    assert [early.keep(message, 10) for message in "abc"] == [True, True, True]
    assert len(early) == 3
    assert early.take_all() == ["a", "b", "c"]
    assert early.take_all() == []
    assert len(early) == 0


def test_of_too_many_messages_the_first_are_kept():
    early = EarlyMessages(2, 100)
    assert [early.keep(message, 1) for message in "abc"] == [True, True, False]
    assert early.take_all() == ["a", "b"]


def test_a_message_for_which_there_is_no_room_is_not_kept_and_a_smaller_one_behind_it_is():
    early = EarlyMessages(9, 10)
    assert early.keep("a", 6)
    assert not early.keep("b", 5)
    assert early.keep("c", 4)
    assert not early.keep("d", 1)
    assert early.take_all() == ["a", "c"]


def test_when_all_is_taken_there_is_room_again():
    early = EarlyMessages(1, 10)
    for message in "ab":
        assert not early.keep(message, 11)
        assert early.keep(message, 10)
        assert early.take_all() == [message]
