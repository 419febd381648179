"""Wedged histories: which are valid."""

import pytest
from memory_chain import MemoryChain, append, changed, get, put, replica_key

from bcr.encoding import decode, encode
from bcr.history import InitialHistory, RunningStateHandover, WithState, validate
from bcr.signing import Signed
from bcr.violations import (
    ContradictoryOrder,
    Hole,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    NotEnoughStatements,
    ProtocolViolation,
    WrongConfiguration,
)


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
    history = validate(wedging.wedged(position, end), wedging.configuration)
    assert (history.position, history.start, history.end, history.checkpoint) == (position, 0, end, None)
    assert list(history.orders()) == list(range(end))
    assert all(history.orders()[slot] == wedging.slots[slot].order() for slot in range(end))


@pytest.mark.parametrize("checkpoint", [0, 3, 5])
def test_a_history_starts_behind_its_completed_checkpoint(wedging, checkpoint):
    history = validate(wedging.wedged(2, checkpoint=checkpoint), wedging.configuration)
    assert (history.start, history.end) == (checkpoint + 1, 6)
    assert history.checkpoint.slot == checkpoint


def test_a_history_with_a_hole_is_not_valid(wedging):
    with pytest.raises(Hole) as caught:
        validate(altered(wedging, lambda entries: entries[:2] + entries[3:]), wedging.configuration)
    assert caught.value.position == 1


@pytest.mark.parametrize(
    "change",
    [lambda entries: entries[1:], lambda entries: [entries[1], entries[0]], lambda entries: entries[:1] * 2],
    ids=["without its start", "out of order", "a slot twice"],
)
def test_a_history_out_of_turn_is_not_valid(wedging, change):
    with pytest.raises(Hole):
        validate(altered(wedging, change), wedging.configuration)


def test_a_history_that_starts_elsewhere_than_behind_its_checkpoint_is_not_valid(wedging):
    statement = wedging.wedged(1).statement
    signed = wedging.sign(changed(statement, checkpoint_proof=wedging.checkpoint_proof(2)), 1)
    with pytest.raises(Hole):
        validate(signed, wedging.configuration)


def test_a_checkpoint_that_fewer_than_t_plus_1_signed_is_not_valid(wedging):
    statement = wedging.wedged(1, checkpoint=2).statement
    signed = wedging.sign(changed(statement, checkpoint_proof=statement.checkpoint_proof[:1]), 1)
    with pytest.raises(NotEnoughStatements):
        validate(signed, wedging.configuration)


def with_entry(change):
    return lambda entries: [*entries[:-1], change(entries[-1])]


def test_an_entry_without_a_predecessor_s_statement_is_not_valid(wedging):
    with pytest.raises(IncompleteProof):
        validate(altered(wedging, with_entry(lambda each: changed(each, order_proof=each.order_proof[1:]))),
                 wedging.configuration)  # fmt: skip


def test_an_entry_without_the_replica_s_own_statement_is_not_valid(wedging):
    with pytest.raises(IncompleteProof):
        validate(altered(wedging, with_entry(lambda each: changed(each, order_proof=each.order_proof[:1]))),
                 wedging.configuration)  # fmt: skip


def test_an_entry_with_other_requests_than_were_ordered_is_not_valid(wedging):
    other = wedging.requests[0][0]
    with pytest.raises(ContradictoryOrder):
        validate(altered(wedging, with_entry(lambda each: changed(each, requests=(other,)))), wedging.configuration)


def test_an_entry_without_requests_is_not_valid(wedging):
    with pytest.raises(MalformedMessage):
        validate(altered(wedging, with_entry(lambda each: changed(each, requests=()))), wedging.configuration)


def test_an_entry_with_a_request_that_no_client_signed_is_not_valid(wedging):
    def forge(entry):
        forged = changed(entry.requests[0], signature=bytes(64))
        return changed(entry, requests=(forged,))

    with pytest.raises(InvalidSignature):
        validate(altered(wedging, with_entry(forge)), wedging.configuration)


def test_a_history_that_another_signed_is_not_valid(wedging):
    with pytest.raises(InvalidSignature):
        validate(changed(wedging.wedged(1), signer=0), wedging.configuration)
    statement = wedging.wedged(1).statement
    with pytest.raises(InvalidSignature):
        validate(Signed.sign(statement, 1, replica_key(2)), wedging.configuration)


def test_a_replica_cannot_hand_in_its_successor_s_history(wedging):
    statement = wedging.wedged(2).statement
    with pytest.raises(ProtocolViolation):
        validate(wedging.sign(statement, 1), wedging.configuration)


def test_a_history_of_another_configuration_is_not_valid(wedging):
    earlier = wedging.wedged(1).statement
    wedging.reconfigure()
    wedging.serve(0, get("k"))
    with pytest.raises(WrongConfiguration):
        validate(wedging.sign(earlier, 1), wedging.configuration)


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
