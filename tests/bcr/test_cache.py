"""What is remembered: what was checked, and of each client the latest requests."""

from hypothesis import given
from hypothesis import strategies as st

from bcr.state.cache import LatestRequests, VerifiedCache

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
