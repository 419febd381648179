"""The running state: at most once, whatever is ordered again, and the same on every replica."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import append, changed, get, put

from bcr.objects.sizes import RESULTS_LIMIT_BYTES, StateLimits
from bcr.signed.encoding import decode, encode
from bcr.signed.statements import Request
from bcr.signed.violations import MalformedMessage
from bcr.state.running import RunningState, Snapshot


def request(client, number, *operations):
    return Request(client, number, operations)


REQUESTS = st.builds(
    lambda client, number, value: request(client, number, append("k", value), get("k")),
    st.integers(0, 2), st.integers(0, 4), st.sampled_from("abc"),
)  # fmt: skip
SLOTS = st.lists(st.lists(REQUESTS, min_size=1, max_size=3), max_size=8)


def executed(slots, window=2, state=None):
    state = state or RunningState(window)
    return state, [state.execute(0, slot, requests) for slot, requests in enumerate(slots)]


@given(SLOTS)
def test_a_request_executes_at_most_once(slots):
    state, _ = executed([[request(0, 0, put("k", ""))]])
    executions = {}
    for slot, requests in enumerate(slots, start=1):
        for each, outcome in zip(requests, state.execute(0, slot, requests), strict=True):
            key = each.client, each.number
            if outcome.results:
                executions.setdefault(key, outcome)
                assert executions[key] == outcome
    assert len(state.dictionary.get("k", "")) <= len(executions)


def test_a_request_that_is_ordered_again_has_its_first_outcome_and_no_effect():
    state = RunningState(1)
    [first] = state.execute(0, 0, [request(0, 0, put("k", "v"), append("k", "w"))])
    before = state.digest()
    assert state.execute(1, 7, [request(0, 0, put("k", "v"), append("k", "w"))]) == (first,)
    assert state.digest() == before
    assert first.place == (0, 0, 0)


def test_a_request_that_is_ordered_twice_in_one_slot_executes_once():
    state = RunningState(1)
    state.execute(0, 0, [request(0, 0, put("k", ""))])
    one, again = state.execute(0, 1, [request(0, 1, append("k", "x"))] * 2)
    assert one == again
    assert state.dictionary == {"k": "x"}


def test_a_stale_request_has_neither_outcome_nor_effect():
    state = RunningState(2)
    for number in (0, 1, 2):
        state.execute(0, number, [request(0, number, put("k", str(number)))])
    before = state.digest()
    assert state.is_stale(request(0, 0))
    assert [outcome.results for outcome in state.execute(0, 3, [request(0, 0, put("k", "again"))])] == [()]
    assert state.digest() == before
    assert not state.is_stale(request(0, 1))
    assert not state.is_stale(request(1, 0))


@given(SLOTS, st.integers(1, 3))
def test_no_more_than_the_window_s_outcomes_of_a_client_are_kept(slots, window):
    state, _ = executed(slots, window)
    assert all(len(latest) <= window for latest in state.outcomes.values())


@given(SLOTS)
def test_replicas_that_execute_the_same_slots_have_equal_states_and_digests(slots):
    (one, outcomes), (other, same_outcomes) = executed(slots), executed(slots)
    assert outcomes == same_outcomes
    assert one.digest() == other.digest()


@given(SLOTS, SLOTS)
def test_a_restored_state_goes_on_as_the_one_that_the_snapshot_was_taken_of(slots, more):
    state, _ = executed(slots)
    restored = RunningState.restored(decode(Snapshot, encode(state.snapshot())), 2)
    assert restored.digest() == state.digest()
    _, outcomes = executed(more, state=state)
    assert executed(more, state=restored)[1] == outcomes
    assert restored.snapshot() == state.snapshot()


@given(SLOTS, SLOTS)
def test_digests_are_equal_exactly_where_the_states_are(slots, others):
    one, other = executed(slots)[0], executed(others)[0]
    assert (one.digest() == other.digest()) == (one.snapshot() == other.snapshot())


def test_what_was_executed_for_whom_is_part_of_the_state():
    one, other = RunningState(1), RunningState(1)
    one.execute(0, 0, [request(0, 0, put("k", "v"))])
    other.execute(0, 0, [request(1, 0, put("k", "v"))])
    assert one.dictionary == other.dictionary
    assert one.digest() != other.digest()


@given(SLOTS, SLOTS)
def test_a_digest_asked_for_on_the_way_changes_nothing(slots, more):
    state, _ = executed(slots)
    state.digest()
    state.copy().execute(1, 0, [request(5, 0, put("k", "of the copy"))])
    state.digest()
    state, _ = executed(more, state=state)
    once, _ = executed(more, state=executed(slots)[0])
    assert state.digest() == once.digest() == state.snapshot().digest() == once.copy().digest()


def test_a_snapshot_does_not_change_with_the_state():
    state, _ = executed([[request(0, 0, put("k", "v"))]])
    snapshot = state.snapshot()
    RunningState.restored(snapshot, 1).apply(put("k", "w"))
    state.apply(put("k", "x"))
    assert snapshot.dictionary == {"k": "v"}
    assert state.dictionary == {"k": "x"}


def test_a_snapshot_is_readable_or_malformed():
    snapshot = executed([[request(0, 0, put("k", "v"))]])[0].snapshot()
    snapshot.demand_readable()
    for wrong in (changed(snapshot, buckets=((7, b"\xc1"),)), changed(snapshot, outcomes=b"")):
        with pytest.raises(MalformedMessage):
            wrong.demand_readable()
        assert wrong.digest() != snapshot.digest()


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 4))
def test_of_numbers_in_any_order_the_window_s_highest_are_remembered(numbers, window):
    state, kept = RunningState(window), set()
    for slot, number in enumerate(numbers):
        state.execute(0, slot, [request(0, number, get("k"))])
        kept = {each for each in kept | {number} if each > max(kept | {number}) - window}
        assert set(state.outcomes[0]) == kept


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 4))
def test_a_window_is_enforced_upwards_and_downwards_from_the_highest_number_that_was_executed(numbers, window):
    state, highest = RunningState(window), -1
    for slot, number in enumerate(numbers):
        assert state.is_beyond(request(0, number)) == (number > highest + window)
        assert state.is_stale(request(0, number)) == state.is_stale_number(0, number) == (highest - window >= number)
        if not state.is_beyond(request(0, number)):
            state.execute(0, slot, [request(0, number, get("k"))])
            highest = max(highest, number)
    restored = RunningState.restored(state.snapshot(), window)
    for number in range(20):
        assert restored.is_beyond(request(0, number)) == (number > highest + window)
        assert restored.is_stale_number(0, number) == (highest - window >= number)


def test_a_client_of_which_nothing_was_executed_begins_within_its_window():
    state = RunningState(3)
    state.execute(0, 0, [request(1, 2, get("k"))])
    assert [state.is_beyond(request(0, number)) for number in (0, 2, 3)] == [False, False, True]
    assert not state.is_stale_number(0, 0)
    assert state.is_beyond(request(1, 6)) and not state.is_beyond(request(1, 5))


def of_two_buckets():
    snapshot = executed([[request(0, 0, *(put(f"k{each}", "v") for each in range(40)))]])[0].snapshot()
    assert len(snapshot.buckets) > 1
    return snapshot


def test_a_snapshot_with_a_bucket_twice_or_elsewhere_has_another_digest():
    snapshot = of_two_buckets()
    first, second, *others = snapshot.buckets
    altered = [
        (first, *snapshot.buckets),
        (*snapshot.buckets, first),
        ((first[0], second[1]), *snapshot.buckets),  # the last of two counts when it is restored
        (second, first, *others),
        (second, *others),
        ((first[0], second[1]), (second[0], first[1]), *others),
        (*snapshot.buckets, (max(index for index, _ in snapshot.buckets) + 1, encode({}))),
    ]
    digests = {changed(snapshot, buckets=buckets).digest() for buckets in altered}
    assert len(digests) == len(altered)
    assert snapshot.digest() not in digests


def test_a_number_as_high_as_a_client_likes_takes_no_longer():
    state = RunningState(2)
    for slot, number in enumerate((0, 1, 2**62)):
        state.execute(0, slot, [request(0, number, get("k"))])
    assert list(state.outcomes[0]) == [2**62]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40), st.integers(0, 60)), max_size=60), st.integers(1, 5), st.integers(0, 60))
def test_what_a_client_may_still_get_is_what_its_requests_in_the_window_leave(sent, window, restored_after):
    limits = StateLimits(results=RESULTS_LIMIT_BYTES)
    state = RunningState(window, limits)
    for place, (client, number, size) in enumerate(sent):
        if place == restored_after:
            state = RunningState.restored(state.snapshot(), window, limits)
        request = Request(client, number, (put("k", "x" * size), get("k")))
        latest = state.outcomes.get(client, {})
        newest = max([number, *latest])
        held = sum(len(result) for each, outcome in latest.items() if each > newest - window for result in outcome.results)
        state.outcomes.setdefault(client, {})
        assert state._results_left(request) == (RESULTS_LIMIT_BYTES - held if limits.may_bind(window) else None)
        state.execute(0, place, [request])


def test_a_client_of_which_a_state_remembers_nothing_begins_as_one_that_it_does_not_know():
    restored = RunningState.restored(Snapshot.of({}, ((0, ()),)), 3)
    assert [restored.is_beyond(request(0, number)) for number in (2, 3)] == [False, True]
    assert not restored.is_stale_number(0, 0)


def test_what_stands_at_a_key_is_shown_as_it_is_and_nothing_as_an_empty_text():
    state = RunningState(1)
    state.apply(put("k", "v"))
    assert (state.shown("k"), state.shown("absent")) == ("v", "")
