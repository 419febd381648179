"""What a leader of Raft keeps in mind of followers, requests and reads, and a follower of a snapshot (specification, 14.4 to 14.7)."""

from hypothesis import given
from hypothesis import strategies as st

from bcr.chain.slot_room import operations_bytes
from bcr.objects.dictionary import Operation
from bcr.objects.finding import found
from bcr.objects.sizes import SLOT_LIMIT_BYTES
from bcr.raft.elections import DRAWN_BYTES, drawn_timeout_ms
from bcr.raft.log import Position
from bcr.raft.reads import Reads
from bcr.raft.replication import MOST_UNACKNOWLEDGED, MOST_UNCOMMITTED, Follower, may_order
from bcr.raft.rpcs import InstallSnapshot
from bcr.raft.sessions import Waiting, only_reads
from bcr.raft.snapshots import Arriving
from bcr.signed.statements import Request


def request(client, number, text=""):
    return Request(client, number, (Operation("put", "k", text),))


# -- 14.3


def test_each_chance_draws_another_timeout():
    timeouts = [drawn_timeout_ms(0, 1 << 16, chance.to_bytes(DRAWN_BYTES, "big")) for chance in (0, 1, 255, 256, 65_535)]
    assert timeouts == [0, 1, 255, 256, 65_535]


# -- 14.4


def test_the_next_entry_leaves_before_the_last_is_answered_but_only_so_many():
    follower = Follower(9, 0.0)
    follower.matched(9)
    count = 0
    while follower.may_be_sent() and count < 2 * MOST_UNACKNOWLEDGED:
        follower.sent(1)
        count += 1
    assert (count, follower.next_index) == (MOST_UNACKNOWLEDGED, 10 + MOST_UNACKNOWLEDGED)
    follower.matched(10)
    assert follower.may_be_sent()


def test_while_its_log_is_being_looked_for_one_message_is_under_way_at_a_time():
    follower = Follower(9, 0.0)
    assert (follower.next_index, follower.may_be_sent()) == (10, True)
    follower.sent(0)
    assert (follower.next_index, follower.may_be_sent()) == (10, False)
    follower.refused(4)
    assert (follower.next_index, follower.may_be_sent()) == (4, True)
    follower.sent(6)
    assert (follower.next_index, follower.may_be_sent()) == (4, False)  # it may refuse these too
    follower.matched(6)
    assert (follower.next_index, follower.match_index, follower.may_be_sent()) == (7, 6, True)


def test_an_old_refusal_takes_back_nothing_that_the_follower_has_confirmed_since():
    follower = Follower(9, 0.0)
    follower.matched(6)
    follower.refused(3)
    assert (follower.next_index, follower.match_index) == (7, 6)


def test_a_refusal_never_leads_ahead():
    follower = Follower(9, 0.0)
    follower.refused(4)
    follower.refused(8)
    assert follower.next_index == 4


def test_whoever_refuses_what_it_has_confirmed_is_asked_again_with_the_heartbeat_only():
    follower = Follower(9, 0.0)
    follower.refused(4)
    follower.sent(1)
    follower.refused(4)
    assert not follower.may_be_sent()
    follower.matched(6)
    follower.sent(3)
    assert follower.next_index == 10
    follower.refused(2)
    follower.sent(1)
    follower.refused(2)
    assert (follower.next_index, follower.may_be_sent()) == (7, False)


def test_an_old_answer_takes_back_nothing():
    follower = Follower(9, 0.0)
    follower.matched(6)
    follower.heard(1.0, 5)
    follower.matched(4)
    follower.heard(2.0, 3)
    assert (follower.next_index, follower.match_index, follower.round, follower.heard_s) == (10, 6, 5, 2.0)


def test_behind_a_snapshot_the_log_goes_on():
    follower = Follower(9, 0.0)
    follower.refused(1)
    follower.begin_snapshot(Position(5, 1, bytes(32)), (0, 1, 2), b"state")
    assert follower.offset == 0
    follower.offset = 5
    follower.end_snapshot(5)
    assert (follower.snapshot, follower.match_index, follower.next_index) == (None, 5, 6)
    follower.begin_snapshot(Position(7, 1, bytes(32)), (0, 1, 2), b"other")
    assert follower.offset == 0


def test_an_entry_is_ordered_when_it_is_full_or_none_is_uncommitted_and_one_request_waits():
    assert not may_order(0, 3, 0)
    assert may_order(1, 3, 0)
    assert not may_order(2, 3, 1)
    assert may_order(3, 3, 1)
    assert may_order(3, 3, MOST_UNCOMMITTED - 1)
    assert not may_order(9, 3, MOST_UNCOMMITTED)


# -- 14.5


KEYS = st.tuples(st.integers(0, 1), st.integers(0, 3))


def test_an_entry_holds_as_many_requests_as_it_may_and_no_more():
    waiting = Waiting()
    for number in range(5):
        waiting.add(request(0, number))
    assert [[each.number for each in waiting.take(2)] for _ in range(4)] == [[0, 1], [2, 3], [4], []]


@given(st.lists(st.one_of(KEYS, st.integers(1, 4), st.lists(KEYS, max_size=3), st.none()), max_size=30))
def test_requests_wait_in_the_order_in_which_they_came_and_each_once_until_it_is_applied(steps):
    waiting, queue, here = Waiting(), [], set()
    for step in steps:
        if step is None:  # it leads no longer
            assert waiting.take_all() == [request(*key) for key in queue]
            queue, here = [], set()
        elif isinstance(step, tuple):
            assert waiting.add(request(*step)) == (step not in here)
            queue += [step] if step not in here else []
            here.add(step)
        elif isinstance(step, int):
            assert waiting.take(step) == [request(*key) for key in queue[:step]]
            queue = queue[step:]
        else:
            applied = [key for key in step if key not in queue]
            waiting.applied([request(*key) for key in applied])
            here -= set(applied)
        assert len(waiting) == len(queue)
        assert [waiting.has(request(client, number)) for client in (0, 1) for number in range(4)] == [
            (client, number) in here for client in (0, 1) for number in range(4)
        ]


def test_an_entry_holds_no_more_than_a_slot_may_but_one_request_in_any_case():
    def of_size(client, size):
        made = request(client, 0, "x" * (size - operations_bytes(request(client, 0, "").operations) - 4))
        assert operations_bytes(made.operations) == size
        return made

    for sizes, taken in (
        ((SLOT_LIMIT_BYTES - 1_000_000, 1_000_000), 2),
        ((SLOT_LIMIT_BYTES - 1_000_000, 1_000_001), 1),
        ((SLOT_LIMIT_BYTES + 1, 100_000), 1),
        ((1_200_000, 1_200_000, 100_000), 1),
        ((100_000, 1_200_000, 1_200_000), 2),
    ):
        waiting = Waiting()
        for client, size in enumerate(sizes):
            waiting.add(of_size(client, size))
        assert (len(waiting.take(9)), len(waiting)) == (taken, len(sizes) - taken)


def test_what_only_reads_changes_nothing_and_an_operation_on_all_keys_is_not_taken_for_that():
    dictionary, store = found("dictionary"), found("store")
    assert only_reads(Request(0, 0, (Operation("get", "k"), Operation("get", "l"))), dictionary)
    assert not only_reads(Request(0, 0, (Operation("get", "k"), Operation("put", "k", "v"))), dictionary)
    assert only_reads(Request(0, 0, (Operation("get", "k"),)), store)
    assert not only_reads(Request(0, 0, (Operation("keys", ""),)), store)


# -- 14.6


def test_reads_that_come_while_a_round_is_under_way_wait_for_the_next():
    reads = Reads()
    assert not reads.begin(1)
    reads.add(request(0, 0))
    assert reads.begin(2)
    reads.add(request(1, 0))
    assert not reads.begin(3)
    assert len(reads) == 2
    assert reads.confirmed([3, 1, 1]) == []
    assert reads.confirmed([3, 2, 1]) == [request(0, 0)]
    assert reads.confirmed([9, 9, 9]) == []  # the other was not asked for
    assert reads.begin(4)
    assert reads.confirmed([4, 4, 3]) == [request(1, 0)]
    assert (reads.confirmed([9, 9, 9]), len(reads), reads.begin(10)) == ([], 0, False)


def test_whoever_leads_no_longer_gives_all_reads_back():
    reads = Reads()
    reads.add(request(0, 0))
    reads.begin(2)
    reads.add(request(1, 0))
    assert reads.take_all() == [request(0, 0), request(1, 0)]
    assert (reads.take_all(), len(reads), reads.confirmed([9, 9, 9])) == ([], 0, [])


# -- 14.7


def piece(index, offset, data, is_done=False):
    return InstallSnapshot(1, 1, Position(index, 1, bytes(32)), (0, 1, 2), offset, data, is_done, 1)


def test_pieces_of_a_snapshot_follow_each_other_and_another_snapshot_takes_its_place():
    arriving = Arriving()
    assert arriving.size == 0
    assert arriving.add(piece(3, 2, b"cd", True)) is None  # its first is not there
    assert arriving.size == 0
    assert arriving.add(piece(3, 0, b"ab")) is None
    assert arriving.add(piece(3, 0, b"ab")) is None
    assert arriving.size == 2
    assert arriving.add(piece(5, 2, b"xy")) is None  # of another, of which nothing is there
    assert arriving.size == 0
    assert arriving.add(piece(5, 0, b"uvw")) is None
    assert arriving.size == 3
    assert arriving.add(piece(5, 3, b"xyz", True)) == b"uvwxyz"
    assert arriving.size == 0
    assert arriving.add(piece(5, 0, b"once")) is None
    assert arriving.add(piece(5, 4, b" more", True)) == b"once more"
