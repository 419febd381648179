"""What the head has to order: each client in its turn, none more than its share (specification, 7a)."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import client_key, get

from bcr.chain.limits import most_in_flight, most_in_flight_of_a_client, most_settled, most_slots_of_a_history
from bcr.chain.request_queue import RequestQueue
from bcr.chain.settings import Settings
from bcr.signed.signing import Signed
from bcr.signed.statements import Request


def request(client, number):
    return Signed(Request(client, number, (get("k"),)), client, b"")


def key(signed):
    return signed.statement.client, signed.statement.number


def filled(*counts, most_in_flight=100):
    """A queue in which client k has `counts[k]` requests waiting; client 0's were all there before the others'."""
    queue = RequestQueue(most_in_flight)
    for client, count in enumerate(counts):
        for number in range(count):
            queue.add(client, number, request(client, number))
    return queue


class Model:
    """The same, as one would say it: lists, counted anew each time."""

    def __init__(self, most_in_flight):
        self.most_in_flight = most_in_flight
        self.waiting = []  # in the order of arrival
        self.flying = []

    def has(self, client, number):
        return (client, number) in self.waiting + self.flying

    def room(self, client):
        return self.most_in_flight - sum(mine == client for mine, _ in self.flying)

    def ready(self):
        clients = {client for client, _ in self.waiting}
        return sum(min(sum(mine == client for mine, _ in self.waiting), self.room(client)) for client in clients)

    def taken(self, keys):
        for each in keys:
            self.waiting.remove(each)
            self.flying.append(each)

    def added(self, client, number):
        self.waiting.append((client, number))
        mine = [each for each in self.waiting if each[0] == client]
        if len(mine) > self.most_in_flight:
            self.waiting.remove(min(mine))

    def settled(self, client, number):
        for each in (self.waiting, self.flying):
            if (client, number) in each:
                each.remove((client, number))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(0, 6)),
        st.tuples(st.just("settle"), st.integers(0, 2), st.integers(0, 6)),
        st.tuples(st.just("take"), st.integers(0, 5), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 3))
def test_the_queue_does_as_a_list_would_that_is_gone_through_each_time(steps, most_in_flight):
    queue, model = RequestQueue(most_in_flight), Model(most_in_flight)
    for step, one, other in steps:
        if step == "add" and not model.has(one, other):
            queue.add(one, other, request(one, other))
            model.added(one, other)
        elif step == "settle":
            queue.settled(one, other)
            model.settled(one, other)
        elif step == "take":
            ready = model.ready()
            before = [list(model.waiting), {client: model.room(client) for client in range(3)}]
            taken = [key(each) for each in queue.take(one)]
            assert len(taken) == min(one, ready)
            demand_turns(taken, *before)
            model.taken(taken)
        assert queue.ready() == model.ready()
        assert len(queue) == len(model.waiting) + len(model.flying)
        assert all(queue.has(c, n) == model.has(c, n) for c in range(3) for n in range(7))
        assert all(model.room(client) >= 0 for client in range(3))


def demand_turns(taken, waiting, room):
    """Of each client what waited longest, and of no client two more than of another one that had some left to take."""
    counts = Counter(client for client, _ in taken)
    for client in range(3):
        mine = [each for each in waiting if each[0] == client]
        assert [each for each in taken if each[0] == client] == mine[: counts[client]]
        has_more = min(len(mine), room[client]) > counts[client]
        assert not has_more or all(counts[other] <= counts[client] + 1 for other in range(3))


def test_a_client_with_very_many_requests_does_not_keep_another_waiting():
    queue = filled(1000, 1, 1, most_in_flight=1000)
    assert [key(each) for each in queue.take(4)] == [(0, 0), (1, 0), (2, 0), (0, 1)]


def test_turns_go_on_from_one_slot_to_the_next():
    queue = filled(3, 3, 3)
    taken = [key(queue.take(1)[0])[0] for _ in range(9)]
    assert taken == [0, 1, 2] * 3


@pytest.mark.parametrize("share", [1, 2, 5])
def test_a_client_whose_share_is_in_flight_waits_and_the_others_have_their_turns(share):
    queue = filled(share, 1, most_in_flight=share)
    assert Counter(key(each)[0] for each in queue.take(100)) == {0: share, 1: 1}
    queue.add(0, share, request(0, share))
    assert queue.ready() == 0
    queue.settled(0, 0)
    assert [key(each) for each in queue.take(100)] == [(0, share)]


def test_no_more_wait_than_may_be_in_flight_and_those_are_the_highest():
    queue = RequestQueue(2)
    for session, number in ((3, 0), (1, 0), (2, 5), (2, 4), (3, 1)):  # as one client of many names asks: under the last one first
        queue.add(0, (session, number), request(session, number))
    assert (queue.ready(), len(queue)) == (2, 2)
    assert [key(each) for each in queue.take(9)] == [(3, 0), (3, 1)]


def test_what_will_not_be_ordered_after_all_makes_room():
    queue = filled(1, most_in_flight=1)
    queue.take(1)
    queue.add(0, 1, request(0, 1))
    queue.settled(0, 1)
    assert (queue.ready(), len(queue)) == (0, 1)
    queue.settled(0, 0)
    assert (queue.ready(), len(queue)) == (0, 0)


def test_what_nobody_asked_for_is_settled_without_effect():
    queue = filled(1, most_in_flight=1)
    queue.settled(5, 5)
    queue.settled(0, 1)
    assert (queue.ready(), len(queue)) == (1, 1)


def test_a_request_that_was_settled_may_come_again():
    queue = filled(1)
    queue.take(1)
    queue.settled(0, 0)
    assert not queue.has(0, 0)
    queue.add(0, 0, request(0, 0))
    assert [key(each) for each in queue.take(1)] == [(0, 0)]


# -- limits


@pytest.mark.parametrize("clients, window, interval", [(1, 1, 1), (3, 16, 100), (40, 2, 7)])
def test_a_history_holds_at_most_two_intervals_and_what_is_in_flight(clients, window, interval):
    settings = Settings(t=1, num_clients=clients, client_window=window, checkpoint_interval=interval)
    assert most_in_flight_of_a_client(settings) == 2 * window
    assert most_in_flight(settings) == 2 * window * clients
    assert most_settled(settings) == 2 * interval
    assert most_slots_of_a_history(settings) == 2 * interval + 2 * window * clients


def test_signed_requests_are_kept_as_they_came():
    signed = Signed.sign(Request(0, 0, (get("k"),)), 0, client_key(0))
    queue = RequestQueue(1)
    queue.add(0, 0, signed)
    assert queue.take(1) == [signed]


def test_of_a_client_whose_share_is_in_flight_nothing_is_taken_in_the_turn_of_another():
    queue = filled(1, 0, most_in_flight=1)
    queue.take(1)
    for client in (0, 1):
        queue.add(client, 1, request(client, 1))
    assert [key(each) for each in queue.take(9)] == [(1, 1)]


def test_of_two_that_wait_where_both_may_be_ordered_one_is_left_when_the_other_will_not_be():
    queue = filled(2, most_in_flight=2)
    queue.settled(0, 0)
    assert queue.ready() == 1


def test_a_client_that_has_nothing_left_to_be_ordered_or_in_flight_is_forgotten():
    queue = filled(1, 1)
    queue.settled(0, 0)
    assert [key(each) for each in queue.take(9)] == [(1, 0)]
    queue.settled(1, 0)
    assert (queue._waiting, queue._in_flight) == ({}, {})


def test_of_whom_nothing_fits_nothing_is_in_flight():
    queue = filled(1)
    assert queue.take(9, lambda _: False) == []
    assert queue._in_flight == {}


def test_a_client_that_has_nothing_left_to_be_ordered_has_no_share_of_the_next_slot():
    queue = filled(1, 4, 4)
    queue.settled(0, 0)
    assert [key(each)[0] for each in queue.take(4)] == [1, 1, 2, 2]


# -- each client's share of a slot


class Turns:
    """What is taken, as one would say it: a round gives each client in turn its share of what is left, until there is nothing."""

    def __init__(self, most_in_flight):
        self.most_in_flight = most_in_flight
        self.waiting = {}  # client -> numbers, in the order of turns
        self.flying = Counter()

    def take(self, most, fitting=100):
        """Of what is looked at so many fit, and no more."""
        taken = []
        while len(taken) < most and any(self.free(client) for client in self.waiting):
            share = max(1, (most - len(taken)) // len(self.waiting))
            for client in list(self.waiting):
                wanted = min(share, self.free(client), most - len(taken))
                mine = self.waiting[client][: min(wanted, fitting - len(taken))]
                taken += [(client, number) for number in mine]
                self.flying[client] += len(mine)
                if wanted and not mine:
                    return taken  # its turn is still to come
                left = self.waiting.pop(client)[len(mine) :]
                if left:
                    self.waiting[client] = left  # behind the others
                if len(taken) == most or len(mine) < wanted:
                    return taken
        return taken

    def free(self, client):
        return min(len(self.waiting[client]), self.most_in_flight - self.flying[client])


COUNTS = st.lists(st.integers(0, 12), min_size=1, max_size=4)


@given(COUNTS, st.integers(1, 9), st.lists(st.integers(0, 10), max_size=12), st.data())
def test_a_slot_holds_of_each_client_in_its_turn_its_share_together(counts, most_in_flight, slots, data):
    counts = [min(count, most_in_flight) for count in counts]  # more do not wait
    queue, turns = filled(*counts, most_in_flight=most_in_flight), Turns(most_in_flight)
    turns.waiting = {client: list(range(count)) for client, count in enumerate(counts) if count}
    for most in slots:
        taken = [key(each) for each in queue.take(most)]
        assert taken == turns.take(most)
        for client, number in data.draw(st.lists(st.sampled_from(taken), unique=True) if taken else st.just([])):
            queue.settled(client, number)
            turns.flying[client] -= 1


def test_what_a_client_has_in_a_slot_stands_together():
    queue = filled(10, 10, 10)
    clients = [key(each)[0] for each in queue.take(12)]
    assert clients == [0] * 4 + [1] * 4 + [2] * 4


def test_what_a_client_cannot_use_of_its_share_the_others_share():
    queue = filled(9, 1, 9)
    assert [key(each)[0] for each in queue.take(9)] == [0] * 3 + [1] + [2] * 3 + [0, 2]


def test_the_slot_after_begins_with_the_client_whose_turn_it_is():
    queue = filled(9, 9)
    assert [[key(each)[0] for each in queue.take(3)] for _ in range(4)] == [[0, 1, 0], [1, 0, 1], [0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7])
def test_nobody_is_left_out_for_longer_than_a_round_of_turns(most):
    clients = 5
    queue = filled(*[40] * clients)
    slots = [Counter(key(each)[0] for each in queue.take(most)) for _ in range(20)]
    for begin in range(20 - clients + 1):
        round_of_slots = sum(slots[begin : begin + clients], Counter())
        assert set(round_of_slots) == set(range(clients))
    total = sum(slots, Counter())
    assert max(total.values()) - min(total.values()) <= 2


def first(count):
    """Says of so many that they fit, and of none behind them."""
    left = iter([True] * count)
    return lambda _: next(left, False)


SLOTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), SLOTS)
def test_behind_what_does_not_fit_nothing_is_taken_and_whose_first_it_is_keeps_its_turn(counts, slots):
    queue, turns = filled(*counts), Turns(100)
    turns.waiting = {client: list(range(count)) for client, count in enumerate(counts) if count}
    for most, fitting in slots:
        assert [key(each) for each in queue.take(most, first(fitting))] == turns.take(most, fitting)
        assert queue.ready() == sum(map(len, turns.waiting.values()))


@pytest.mark.parametrize("fitting, behind", [(0, (0, 0)), (1, (1, 0)), (2, (1, 0)), (3, (1, 0)), (4, (0, 3)), (5, (0, 3))])
def test_who_has_got_something_in_a_turn_has_had_it(fitting, behind):
    queue = filled(6, 6)
    assert len(queue.take(6, first(fitting))) == fitting
    [taken] = queue.take(1)
    assert key(taken) == behind


def test_who_can_use_nothing_of_its_turn_has_had_it_and_is_behind_those_who_have_not():
    queue = filled(1, 1, 1, most_in_flight=1)
    assert [key(each)[0] for each in queue.take(3)] == [0, 1, 2]
    for client in range(3):
        queue.add(client, 1, request(client, 1))
    for client in (1, 2):
        queue.settled(client, 0)
    assert [key(each)[0] for each in queue.take(1)] == [1]  # for what client 0 has in flight is its share
    queue.settled(0, 0)
    assert [key(each)[0] for each in queue.take(2)] == [2, 0]
