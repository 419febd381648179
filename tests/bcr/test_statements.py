"""What the digests stand for, and the limits on them."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bcr.statements import (
    MAX_REQUESTS_PER_SLOT,
    Outcome,
    demand_digests,
    digest_of_outcomes,
    digest_of_requests,
)
from bcr.violations import MalformedMessage

DIGESTS = st.lists(st.binary(min_size=32, max_size=32), max_size=4)


@given(DIGESTS, DIGESTS)
def test_a_slot_s_digest_stands_for_its_requests_in_their_order(one, other):
    assert (digest_of_requests(one) == digest_of_requests(other)) == (one == other)


@given(DIGESTS)
def test_digests_of_requests_and_of_outcomes_are_never_taken_for_each_other(digests):
    assert digest_of_requests(digests) != digest_of_outcomes(digests)


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_an_outcome_s_digest_says_where_it_was_executed(slot, index, other_slot, other_index):
    assume((slot, index) != (other_slot, other_index))
    assert Outcome(0, slot, index, ("OK",)).digest() != Outcome(0, other_slot, other_index, ("OK",)).digest()


def test_results_are_not_joined_in_an_outcome_s_digest():
    assert Outcome(0, 0, 0, ("ab", "")).digest() != Outcome(0, 0, 0, ("a", "b")).digest()


@pytest.mark.parametrize("digests", [(), (b"short",), (bytes(32), bytes(33)), (bytes(32),) * (MAX_REQUESTS_PER_SLOT + 1)])
def test_what_are_not_the_digests_of_a_slot_is_refused(digests):
    with pytest.raises(MalformedMessage, match="not the digests of a slot's requests"):
        demand_digests(digests, "requests")


def test_a_slot_may_have_up_to_the_limit():
    demand_digests((bytes(32),) * MAX_REQUESTS_PER_SLOT, "requests")
