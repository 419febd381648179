"""Wedged histories: which are valid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, changed, get, put, replica_author

from bcr.chain.history import InitialHistory, RunningStateHandover, Validation, ValidHistory, WithState, validate
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import MAX_REQUESTS_PER_SLOT
from bcr.signed.violations import (
    ContradictoryOrder,
    Hole,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    NotEnoughStatements,
    NotFinal,
    OverLimit,
    ProtocolViolation,
    SecondOrder,
    WrongConfiguration,
)

MOST_SLOTS = 10


@pytest.fixture
def wedging():
    chain = MemoryChain()
    chain.serve(0, put("k", ""))
    for number in range(5):
        chain.serve(number % 2, append("k", str(number)))
    return chain


def altered(chain, change, position=1, checkpoint=None):
    """The replica's wedged, properly signed, with `change` applied to its history."""
    statement = chain.wedged(position, checkpoint=checkpoint).statement
    return chain.sign(changed(statement, history=tuple(change(list(statement.history)))), position)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("end", [0, 1, 6])
def test_a_correct_replica_s_history_is_valid(wedging, position, end):
    history = validate(wedging.wedged(position, end), wedging.configuration, MOST_SLOTS)
    assert (history.position, history.start, history.end, history.checkpoint) == (position, 0, end, None)
    assert list(history.orders()) == list(range(end))
    assert all(history.orders()[slot] == wedging.slots[slot].order() for slot in range(end))


@pytest.mark.parametrize("checkpoint", [0, 3, 5])
def test_a_history_starts_behind_its_completed_checkpoint(wedging, checkpoint):
    history = validate(wedging.wedged(2, checkpoint=checkpoint), wedging.configuration, MOST_SLOTS)
    assert (history.start, history.end) == (checkpoint + 1, 6)
    assert history.checkpoint.slot == checkpoint


def test_a_history_with_a_hole_is_not_valid(wedging):
    with pytest.raises(Hole) as caught:
        validate(altered(wedging, lambda entries: entries[:2] + entries[3:]), wedging.configuration, MOST_SLOTS)
    assert caught.value.position == 1


@pytest.mark.parametrize(
    "change",
    [lambda entries: entries[1:], lambda entries: [entries[1], entries[0]], lambda entries: entries[:1] * 2],
    ids=["without its start", "out of order", "a slot twice"],
)
def test_a_history_out_of_turn_is_not_valid(wedging, change):
    with pytest.raises(Hole):
        validate(altered(wedging, change), wedging.configuration, MOST_SLOTS)


def test_a_history_that_starts_elsewhere_than_behind_its_checkpoint_is_not_valid(wedging):
    statement = wedging.wedged(1).statement
    signed = wedging.sign(changed(statement, checkpoint_proof=wedging.checkpoint_proof(2)), 1)
    with pytest.raises(Hole):
        validate(signed, wedging.configuration, MOST_SLOTS)


def test_a_checkpoint_that_fewer_than_t_plus_1_signed_is_not_valid(wedging):
    statement = wedging.wedged(1, checkpoint=2).statement
    signed = wedging.sign(changed(statement, checkpoint_proof=statement.checkpoint_proof[:1]), 1)
    with pytest.raises(NotEnoughStatements):
        validate(signed, wedging.configuration, MOST_SLOTS)


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("acceptance", ["all", "quorum"])
def test_a_history_rests_on_a_checkpoint_that_every_replica_signed_and_with_acceptance_quorum_on_one_that_t_plus_1_signed(
    missing, acceptance
):
    chain = MemoryChain(acceptance=acceptance)
    for number in range(3):
        chain.serve(0, put("k", str(number)))
    statement = chain.wedged(1, checkpoint=1).statement
    proof = tuple(each for each in statement.checkpoint_proof if each.signer != missing)
    signed = chain.sign(changed(statement, checkpoint_proof=proof), 1)
    if acceptance == "quorum":
        assert validate(signed, chain.configuration, MOST_SLOTS).start == 2
    else:
        with pytest.raises(NotFinal, match=rf"checkpoint of slot 1: no valid statement of replicas \[{missing}\]"):
            validate(signed, chain.configuration, MOST_SLOTS)


@pytest.mark.parametrize("most", [0, 3, 5, 6, 7])
def test_a_history_longer_than_a_correct_replica_s_ever_is_is_its_owner_s_misbehaviour(wedging, most):
    if most >= 6:
        assert validate(wedging.wedged(1), wedging.configuration, most).end == 6
        return
    with pytest.raises(OverLimit, match=f"6 slots, and never has to have more than {most}") as caught:
        validate(wedging.wedged(1), wedging.configuration, most)
    assert caught.value.position == 1


@pytest.mark.parametrize("in_one_slot", [True, False])
def test_a_history_that_orders_a_request_twice_is_not_valid(in_one_slot):
    chain = MemoryChain(client_window=2)
    request = chain.send(0, put("k", "v"))
    other = chain.send(1, get("k"))
    if in_one_slot:
        chain.order(other, request, request)
    else:
        chain.order(request)
        chain.order(other, request)
    with pytest.raises(SecondOrder, match="orders request 0 of client 0 twice") as caught:
        validate(chain.wedged(2), chain.configuration, MOST_SLOTS)
    assert caught.value.position == 2


def test_a_request_that_two_clients_gave_the_same_number_is_not_ordered_twice(wedging):
    assert validate(wedging.wedged(2), wedging.configuration, MOST_SLOTS).end == 6


# -- a few slots at a time

SPOILINGS = {
    "nothing": lambda entries: entries,
    "a hole": lambda entries: entries[:2] + entries[3:],
    "out of order": lambda entries: [entries[1], entries[0], *entries[2:]],
    "a slot twice": lambda entries: [*entries, entries[-1]],
    "an empty slot": lambda entries: [*entries[:3], changed(entries[3], requests=()), *entries[4:]],
    "too few statements": lambda entries: [changed(entries[0], order_proof=()), *entries[1:]],
    "too many": lambda entries: entries * 4,
    "a forged request": lambda entries: [
        *entries[:4],
        changed(entries[4], requests=(changed(entries[4].requests[0], signature=bytes(64)), *entries[4].requests[1:])),
    ],
}


def what_comes_of(validation, sizes):
    """The history, or the kind and words of what is wrong with it, when so many requests are checked at a time."""
    try:
        for size in sizes:
            history = validation.advance(size)
            if history is not None:
                return history
        return validation.advance()
    except ProtocolViolation as violation:
        return violation.kind, violation.what, violation.position


@given(
    st.sampled_from(sorted(SPOILINGS)),
    st.lists(st.integers(1, 4), max_size=8),
    st.sampled_from([None, 1]),
    st.sampled_from(["ed25519", "hmac"]),
)
def test_a_history_checked_a_few_slots_at_a_time_is_judged_as_at_once(spoiling, sizes, checkpoint, authentication):
    chain = MemoryChain(client_window=9, authentication=authentication)
    for number in range(8):
        chain.order(*(chain.send(client, append("k", str(number))) for client in range(1 + number % 2)))
    wedged = altered(chain, SPOILINGS[spoiling], 1, checkpoint)
    at_once = what_comes_of(Validation(wedged, chain.configuration, MOST_SLOTS), [])
    in_slices = what_comes_of(Validation(wedged, chain.configuration, MOST_SLOTS), sizes)
    assert in_slices == at_once
    assert isinstance(at_once, ValidHistory) == (spoiling == "nothing")


def test_a_slice_ends_with_the_slot_that_holds_its_last_request():
    chain = MemoryChain(client_window=9)
    for _ in range(3):
        chain.order(chain.send(0, get("k")), chain.send(1, get("k")))
    validation = Validation(chain.wedged(2), chain.configuration, MOST_SLOTS)
    assert validation.advance(1) is None
    assert validation.advance(3) is not None  # two slots of two


def test_a_history_of_no_slots_is_there_at_once():
    chain = MemoryChain()
    assert Validation(chain.wedged(0), chain.configuration, MOST_SLOTS).advance(1).end == 0


def test_what_a_replica_did_not_sign_is_not_even_begun_with(wedging):
    with pytest.raises(InvalidSignature):
        Validation(changed(wedging.wedged(1), signature=bytes(64)), wedging.configuration, MOST_SLOTS)


def with_entry(change):
    return lambda entries: [*entries[:-1], change(entries[-1])]


def test_an_entry_without_a_predecessor_s_statement_is_not_valid(wedging):
    with pytest.raises(IncompleteProof):
        validate(altered(wedging, with_entry(lambda each: changed(each, order_proof=each.order_proof[1:]))),
                 wedging.configuration, MOST_SLOTS)  # fmt: skip


def test_an_entry_without_the_replica_s_own_statement_is_not_valid(wedging):
    with pytest.raises(IncompleteProof):
        validate(altered(wedging, with_entry(lambda each: changed(each, order_proof=each.order_proof[:1]))),
                 wedging.configuration, MOST_SLOTS)  # fmt: skip


def test_an_entry_with_other_requests_than_were_ordered_is_not_valid(wedging):
    other = wedging.send(0, get("k"))
    instead = altered(wedging, with_entry(lambda each: changed(each, requests=(other,))))
    with pytest.raises(ContradictoryOrder):
        validate(instead, wedging.configuration, MOST_SLOTS)


def test_an_entry_without_requests_is_not_valid(wedging):
    with pytest.raises(MalformedMessage):
        validate(altered(wedging, with_entry(lambda each: changed(each, requests=()))), wedging.configuration, MOST_SLOTS)


def test_an_entry_with_more_requests_than_a_slot_may_hold_is_not_valid(wedging):
    def fill(entry):
        return changed(entry, requests=entry.requests * (MAX_REQUESTS_PER_SLOT + 1))

    with pytest.raises(MalformedMessage, match=f"{MAX_REQUESTS_PER_SLOT + 1} requests in slot 5"):
        validate(altered(wedging, with_entry(fill)), wedging.configuration, MOST_SLOTS)


def test_an_entry_with_a_request_that_no_client_signed_is_not_valid(wedging):
    def forge(entry):
        forged = changed(entry.requests[0], signature=bytes(64))
        return changed(entry, requests=(forged,))

    with pytest.raises(InvalidSignature):
        validate(altered(wedging, with_entry(forge)), wedging.configuration, MOST_SLOTS)


def test_a_history_that_another_signed_is_not_valid(wedging):
    with pytest.raises(InvalidSignature):
        validate(changed(wedging.wedged(1), signer=0), wedging.configuration, MOST_SLOTS)
    statement = wedging.wedged(1).statement
    with pytest.raises(InvalidSignature):
        validate(Signed.sign(statement, 1, replica_author(2)), wedging.configuration, MOST_SLOTS)


def test_a_replica_cannot_hand_in_its_successor_s_history(wedging):
    statement = wedging.wedged(2).statement
    with pytest.raises(ProtocolViolation):
        validate(wedging.sign(statement, 1), wedging.configuration, MOST_SLOTS)


def test_a_history_of_another_configuration_is_not_valid(wedging):
    earlier = wedging.wedged(1).statement
    wedging.reconfigure()
    wedging.serve(0, get("k"))
    with pytest.raises(WrongConfiguration):
        validate(wedging.sign(earlier, 1), wedging.configuration, MOST_SLOTS)


def test_a_state_beside_a_statement_is_taken_only_with_the_digest_that_was_signed(wedging):
    one, other = wedging.snapshots[-1], wedging.snapshots[-2]
    signed = Signed.sign(InitialHistory(1, one.digest()), 0, wedging.keys_of("olympus"))
    WithState(signed, one).demand_fitting()
    [(index, encoded), *_] = one.buckets
    for wrong in (other, changed(one, buckets=()), changed(one, outcomes=b""), changed(one, buckets=((index, encoded[:-1]),))):
        with pytest.raises(MalformedMessage):
            WithState(signed, wrong).demand_fitting()


def test_a_state_travels_beside_a_statement_of_its_own_kind_only(wedging):
    message = encode(wedging.running_state(0))
    assert decode(WithState[RunningStateHandover], message) == wedging.running_state(0)
    with pytest.raises(MalformedMessage):
        decode(WithState[InitialHistory], message)


@pytest.mark.parametrize("state", [None, 5, [], [[], 5], [[[0]], b""], [[[0, "text"]], b""], [[["0", b""]], b""]])
def test_what_is_no_state_is_malformed(wedging, state):
    signed = encode(wedging.running_state(0).signed)
    with pytest.raises(MalformedMessage):
        decode(WithState[RunningStateHandover], b"\x92" + signed + encode(state))
