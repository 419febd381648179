"""What is remembered: what was checked, and of each client the latest requests."""

from hypothesis import given
from hypothesis import strategies as st

from bcr.state.cache import HeldSizes, LatestRequests, VerifiedCache, drop_fallen

PUTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers()), max_size=30)


@given(PUTS, st.integers(1, 4))
def test_each_client_s_latest_requests_are_remembered_and_no_others(puts, window):
    cache, model = LatestRequests(window), {}
    for client, number, value in puts:
        cache.put(client, number, value)
        model[client, number] = value
        newest = max(other for mine, other in model if mine == client)
        model = {key: kept for key, kept in model.items() if key[0] != client or key[1] > newest - window}
    assert {(client, number): value for client, number, value in cache.items()} == model
    assert all(cache.get(*key) == value for key, value in model.items())


@given(PUTS)
def test_items_come_by_client_and_number(puts):
    cache = LatestRequests(3)
    for client, number, value in puts:
        cache.put(client, number, value)
    keys = [(client, number) for client, number, _ in cache.items()]
    assert keys == sorted(set(keys))


def test_one_client_does_not_push_out_another_s():
    cache = LatestRequests(1)
    cache.put(0, 5, "mine")
    cache.put(1, 900, "yours")
    assert cache.get(0, 5) == "mine"
    assert cache.get(0, 4) is cache.get(7, 0) is None


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=9), st.integers(1, 5))
def test_the_latest_things_that_were_found_right_are_known(batches, limit):
    known, latest = VerifiedCache(limit), []
    for batch in batches:
        known.add(batch)
        for thing in batch:
            latest = [*(each for each in latest if each != thing), thing]
    assert {thing for thing in range(10) if thing in known} == set(latest[-limit:])


def test_of_whom_nothing_is_remembered_any_more_any_number_is_again():
    cache = LatestRequests(2)
    for number in (0, 7):
        cache.put(0, number, number)
    cache.forget(0)
    cache.put(0, 1, "again")
    assert list(cache.items()) == [(0, 1, "again")]


# -- what falls out of the window

RISES = st.lists(st.tuples(st.one_of(st.just(1), st.integers(-4, 9)), st.integers(0, 50)), max_size=25)


@given(RISES, st.integers(1, 4))
def test_what_falls_out_of_the_window_is_forgotten_and_not_counted_however_the_numbers_rise(rises, window):
    remembered, latest, held, newest = {}, {}, HeldSizes({}), 5
    for rise, size in rises:
        number, before = newest + rise, newest
        if number <= newest - window or number in remembered:
            continue
        remembered = {each: kept for each, kept in remembered.items() if each > number - window or number < newest}
        assert held.without_fallen(before, number, window) == sum(remembered.values())
        newest = max(newest, number)
        remembered[number] = latest[number] = size
        held.put(number, size)
        held.drop_fallen(before, number, window)
        drop_fallen(latest, before, number, window)
        assert latest == remembered
        assert held.without_fallen(newest, newest, window) == sum(remembered.values())


@given(st.dictionaries(st.integers(-9, 30), st.integers(0, 50)), st.integers(0, 9), st.integers(-3, 12), st.integers(1, 9))
def test_what_falls_out_of_the_window_is_what_was_in_it_and_is_no_more(sizes, before, rise, window):
    newest = before + rise
    fallen = {number for number in sizes if before - window < number <= min(before, newest - window)}
    left = {number: size for number, size in sizes.items() if number not in fallen}
    held, latest = HeldSizes(dict(sizes)), dict(sizes)
    assert held.without_fallen(before, newest, window) == sum(left.values())
    held.drop_fallen(before, newest, window)
    drop_fallen(latest, before, newest, window)
    assert (latest, held._sizes, held._total_bytes) == (left, left, sum(left.values()))


@given(st.integers(0, 9), st.one_of(st.just(1), st.integers(0, 10**9)), st.integers(1, 9))
def test_however_far_the_numbers_rise_no_more_is_looked_for_than_the_window_has(before, rise, window):
    asked = []

    class Asked(dict):
        def pop(self, number, _):
            asked.append(number)

    drop_fallen(Asked(), before, before + rise, window)
    assert len(asked) == min(rise, window)
