"""What the digests stand for."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bcr.objects.dictionary import Operation
from bcr.signed.signing import Keyring
from bcr.signed.statements import (
    Checkpoint,
    Order,
    Outcome,
    Refusal,
    Rejection,
    Request,
    Result,
    Stale,
    Voucher,
    tree_of_outcomes,
    tree_of_requests,
)

DIGESTS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4)


@given(DIGESTS)
def test_digests_of_requests_and_of_outcomes_are_never_taken_for_each_other(digests):
    assert tree_of_requests(digests).root != tree_of_outcomes(digests).root


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_an_outcome_s_digest_says_where_it_was_executed(slot, index, other_slot, other_index):
    assume((slot, index) != (other_slot, other_index))
    assert Outcome(0, slot, index, ("OK",)).digest() != Outcome(0, other_slot, other_index, ("OK",)).digest()


def test_results_are_not_joined_in_an_outcome_s_digest():
    assert Outcome(0, 0, 0, ("ab", "")).digest() != Outcome(0, 0, 0, ("a", "b")).digest()


CIRCLE = Keyring(b"olympus", (b"replica 0", b"replica 1", b"replica 2"), (b"client 0", b"client 1", b"client 2"))


@pytest.mark.parametrize(("statement", "readers"), [
    (Request(1, 0, (Operation("get", "k"),)), CIRCLE.replicas),
    (Order(0, 0, bytes(32)), CIRCLE.clients + CIRCLE.replicas),
    (Result(0, 0, bytes(32), bytes(32)), CIRCLE.clients + CIRCLE.replicas),
    (Checkpoint(0, 0, bytes(32)), CIRCLE.replicas),
    (Refusal(0, 1, 0), (b"client 1",)),
    (Rejection(0, 1, 0, bytes(32), "too large"), (b"client 1",)),
    (Stale(0, 1, 0), (b"client 1",)),
    (Voucher(0, 0, 1, 0, bytes(32), Outcome(0, 0, 0, ("OK",))), (b"client 1",)),
])  # fmt: skip
def test_a_statement_is_signed_for_those_who_are_to_be_convinced_of_it_and_nobody_else(statement, readers):
    assert tuple(statement.readers(CIRCLE, 0)) == tuple(readers)
