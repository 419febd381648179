"""What convinces a replica need not convince Olympus where MACs are used: histories whose owners were deceived."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, changed, put, seen_by

from bcr.chain.history import HistoryEntry, Wedged, validate
from bcr.chain.proofs import check_checkpoint_proof, check_result_proof
from bcr.chain.quorum import are_consistent
from bcr.chain.reconfiguration import Reconfiguration
from bcr.signed.signing import Signed
from bcr.signed.violations import IncompleteProof, InvalidSignature, NotEnoughStatements, NotFinal

MOST_SLOTS = 10


def hear(change, wedged):
    """Olympus hears and checks a history."""
    change.add_wedged(wedged)
    while change.is_checking():
        change.check_some(1)


def make_chain(t=1, authentication="hmac", acceptance="all"):
    chain = MemoryChain(t, authentication=authentication, acceptance=acceptance)
    chain.serve(0, put("k", ""))
    for number in range(3):
        chain.serve(number % 2, append("k", str(number)))
    return chain


def deceiving(chain, signed, spoiled=(0,)):
    """The statement under codes that are wrong for the readers at these places; Olympus's is at 0."""
    keys = chain.keys_at(signed.signer)
    readers = (keys.circle.olympus, *signed.statement.readers(keys.circle, signed.signer))
    vector = keys.vector(signed.statement.signed_bytes(), readers, frozenset(spoiled))
    return changed(signed, signature=vector)


def deceived(chain, position, liars):
    """The wedged history of a replica, in which the orders of the liars do not convince Olympus."""
    honest = chain.wedged(position).statement
    entries = tuple(
        HistoryEntry(
            each.slot,
            each.requests,
            tuple(deceiving(chain, order) if order.signer in liars else order for order in each.order_proof),
        )
        for each in honest.history
    )
    return chain.sign(Wedged(honest.configuration, entries, honest.checkpoint_proof), position)


@pytest.mark.parametrize("authentication", ["ed25519", "crc"])
def test_where_everybody_is_convinced_alike_a_history_with_an_order_of_nobody_is_invalid(authentication):
    chain = make_chain(authentication=authentication)
    honest = chain.wedged(1).statement
    first = honest.history[0]
    forged = changed(first, order_proof=(changed(first.order_proof[0], signature=bytes(4)), *first.order_proof[1:]))
    wedged = chain.sign(changed(honest, history=(forged, *honest.history[1:])), 1)
    with pytest.raises(InvalidSignature, match="replica 0"):
        validate(wedged, chain.configuration, MOST_SLOTS)


def test_a_deceived_history_is_valid_and_names_whom_it_contradicts():
    chain = make_chain()
    history = validate(deceived(chain, 2, {0}), chain.configuration, MOST_SLOTS)
    assert history.disowned == {0}
    assert history.end == 4
    assert validate(chain.wedged(2), chain.configuration, MOST_SLOTS).disowned == frozenset()


def test_what_deceives_olympus_did_convince_the_replica():
    chain = make_chain()
    order = deceiving(chain, chain.order_proof(chain.slots[0], 1)[0])
    assert order.is_authentic(seen_by(chain.keys_at(2), chain.configuration.issued).replica_author(0))
    assert not order.is_authentic(chain.configuration.replica_author(0))


def test_a_replicas_own_order_must_convince_olympus():
    chain = make_chain()
    with pytest.raises(InvalidSignature, match="history of replica 1"):
        validate(deceived(chain, 1, {1}), chain.configuration, MOST_SLOTS)


def test_a_client_that_lies_to_olympus_alone_makes_histories_invalid_which_is_why_clients_must_be_honest():
    chain = make_chain()
    honest = chain.wedged(1).statement
    request = honest.history[0].requests[0]
    keys = chain.keys_of("client_0")
    vector = keys.vector(request.statement.signed_bytes(), (keys.circle.olympus, *keys.circle.replicas), frozenset({0}))
    lie = changed(request, signature=vector)
    assert lie.is_authentic(seen_by(chain.keys_at(1), chain.configuration.issued).client_key(0))
    entries = (changed(honest.history[0], requests=(lie,)), *honest.history[1:])
    with pytest.raises(InvalidSignature, match="client 0"):
        validate(chain.sign(changed(honest, history=entries), 1), chain.configuration, MOST_SLOTS)


@given(st.integers(1, 2), st.data())
def test_whatever_t_liars_deceive_the_correct_ones_make_a_quorum_and_no_quorum_holds_two_that_disown_each_other(t, data):
    chain = make_chain(t)
    positions = list(chain.positions())
    liars = data.draw(st.sets(st.sampled_from(positions), min_size=t, max_size=t))
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    for position in positions:
        # A liar may disown anybody before it; a correct replica can only have been deceived by a liar.
        could = [each for each in positions[:position] if position in liars or each in liars]
        told = data.draw(st.sets(st.sampled_from(could))) if could else set()
        hear(change, deceived(chain, position, told))
    correct = [position for position in positions if position not in liars]
    assert all(are_consistent(change.histories[one], change.histories[other]) for one, other in combinations(correct, 2))
    seen = []
    while (plan := change.next_plan()) is not None:
        for one, other in combinations(plan.quorum, 2):
            assert other not in change.histories[one].disowned
            assert one not in change.histories[other].disowned
        seen.append(plan.quorum)
        change.fail(plan, "tried")
    assert tuple(correct[: t + 1]) in seen


def test_an_order_that_olympus_cannot_check_makes_nobody_a_suspect():
    chain = make_chain()
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    hear(change, deceived(chain, 2, {0}))
    hear(change, chain.wedged(0, end=1))
    assert change.suspects() == set()
    other = Reconfiguration(chain.configuration, MOST_SLOTS)
    hear(other, chain.wedged(2))
    hear(other, chain.wedged(0, end=1))
    assert other.suspects() == {0}


def test_a_checkpoint_that_olympus_cannot_check_counts_and_names_whom_it_contradicts():
    chain = make_chain()
    honest = chain.wedged(1, checkpoint=1).statement
    proof = tuple(deceiving(chain, each) if each.signer == 2 else each for each in honest.checkpoint_proof)
    history = validate(chain.sign(changed(honest, checkpoint_proof=proof), 1), chain.configuration, MOST_SLOTS)
    assert (history.start, history.disowned) == (2, {2})
    with pytest.raises(NotFinal):
        validate(chain.sign(changed(honest, checkpoint_proof=proof[1:]), 1), chain.configuration, MOST_SLOTS)
    with pytest.raises(NotEnoughStatements):
        validate(chain.sign(changed(honest, checkpoint_proof=proof[2:]), 1), chain.configuration, MOST_SLOTS)


def test_a_replica_counts_of_a_checkpoint_only_what_convinces_it():
    proof = make_chain().checkpoint_proof(1)
    spoiled = changed(proof[2], signature=bytes(len(proof[2].signature)))
    for acceptance, is_complete in (("all", False), ("quorum", True)):
        chain = make_chain(acceptance=acceptance)
        view = seen_by(chain.keys_at(0), chain.configuration.issued)
        assert check_checkpoint_proof(proof, view).slot == 1
        if is_complete:
            assert check_checkpoint_proof((*proof[:2], spoiled), view).slot == 1
        else:
            with pytest.raises(NotFinal, match=r"\[2\]"):
                check_checkpoint_proof((*proof[:2], spoiled), view)


def test_a_result_shuttle_lacks_nobody_where_what_convinces_a_replica_need_not_convince_a_client():
    chain, signatures = make_chain(), make_chain(authentication="ed25519")
    for each, expected in ((chain, [IncompleteProof]), (signatures, [])):
        shuttle = each.result_shuttle(0)
        view = seen_by(each.keys_at(0), each.configuration.issued)
        assert shuttle.check(each.slots[0].result(), view, shuttle.result_proof[0]).violations == ()
        fewer = changed(shuttle, result_proof=shuttle.result_proof[1:])
        found = fewer.check(each.slots[0].result(), view, shuttle.result_proof[0]).violations
        assert [type(violation) for violation in found] == expected


def test_where_all_statements_are_needed_a_replica_checks_its_own_too():
    chain = make_chain(authentication="crc")
    shuttle, view = chain.result_shuttle(0), seen_by(chain.keys_at(0), chain.configuration.issued)
    own = changed(shuttle.result_proof[0], signature=bytes(4))
    flipped = changed(shuttle, result_proof=(own, *shuttle.result_proof[1:]))
    with pytest.raises(NotEnoughStatements):
        flipped.check(chain.slots[0].result(), view, own)
    assert shuttle.check(chain.slots[0].result(), view, shuttle.result_proof[0]).violations == ()


@pytest.mark.parametrize("acceptance", ["all", "quorum"])
def test_what_convinces_a_replica_may_not_convince_the_client(acceptance):
    chain = make_chain(acceptance=acceptance)
    done = chain.slots[0]
    own = Signed.sign(done.result(), 2, chain.keys_at(2), done.clients())
    lie = deceiving(chain, own, spoiled=(1, 2))
    proof = (chain.result_proof(done, [1])[0], lie)
    orders = chain.order_proof(done, 1)
    replica = seen_by(chain.keys_at(0), chain.configuration.issued)
    client = seen_by(chain.keys_of("client_0"), chain.configuration.issued)
    assert len(check_result_proof(proof, done.result(), replica, orders=orders).agreeing) == 2
    with pytest.raises(NotEnoughStatements):
        check_result_proof(proof, done.result(), client, orders=orders)


def test_an_order_that_a_replica_can_check_and_a_client_cannot_covers_its_signer_for_the_replica_alone():
    chain = make_chain()
    done = chain.slots[0]
    proof = chain.result_proof(done, [1, 2])
    order = deceiving(chain, Signed.sign(done.order(), 0, chain.keys_at(0), done.clients()), spoiled=(1, 2))
    replica = seen_by(chain.keys_at(1), chain.configuration.issued)
    client = seen_by(chain.keys_of("client_0"), chain.configuration.issued)
    assert check_result_proof(proof, done.result(), replica, orders=(order,)).orders == (order,)
    with pytest.raises(NotFinal, match=r"\[0\]"):
        check_result_proof(proof, done.result(), client, orders=(order,))
