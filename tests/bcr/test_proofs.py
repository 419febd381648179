"""Proofs: what they show, and whom they blame where they do not."""

from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, changed, get, make_configuration, put, replica_key

from bcr.messages import ResultShuttle
from bcr.proofs import check_checkpoint_proof, check_result_proof, demand_order_proof
from bcr.signing import Signed
from bcr.statements import MAX_REQUESTS_PER_SLOT, Checkpoint, Order
from bcr.violations import (
    ContradictoryOrder,
    DisagreeingResult,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    NotEnoughStatements,
    ProtocolViolation,
    UnknownSigner,
    WrongConfiguration,
)


def kinds(check):
    return [type(violation) for violation in check.violations]


# -- order proofs


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_an_order_proof_of_each_predecessor_in_turn_is_valid(chain, length):
    done = chain.slots[0]
    demand_order_proof(chain.order_proof(done, length), done.order(), chain.configuration, length)


@pytest.mark.parametrize("keep", [(0,), (1,), (1, 0), (0, 0), ()])
def test_an_order_proof_without_a_predecessor_s_statement_is_incomplete(chain, keep):
    done = chain.slots[0]
    proof = tuple(chain.order_proof(done, 2)[i] for i in keep)
    with pytest.raises(IncompleteProof):
        demand_order_proof(proof, done.order(), chain.configuration, 2)


def test_an_order_proof_with_a_statement_too_many_is_malformed(chain):
    done = chain.slots[0]
    with pytest.raises(MalformedMessage):
        demand_order_proof(chain.order_proof(done, 3), done.order(), chain.configuration, 2)


def test_an_order_proof_with_an_invalid_signature_blames_nobody(chain):
    done = chain.slots[0]
    first, second = chain.order_proof(done, 2)
    with pytest.raises(InvalidSignature) as caught:
        demand_order_proof((first, changed(second, signature=bytes(64))), done.order(), chain.configuration, 2)
    assert caught.value.position is None


@pytest.mark.parametrize("change", [{"slot": 7}, {"configuration": 1}, {"requests_digest": bytes(32)}])
def test_a_signed_order_of_something_else_is_provable_and_blames_its_signer(chain, change):
    done = chain.slots[0]
    lie = chain.sign(changed(done.order(), **change), 1)
    with pytest.raises(ContradictoryOrder) as caught:
        demand_order_proof((*chain.order_proof(done, 1), lie), done.order(), chain.configuration, 2)
    assert (caught.value.position, caught.value.provable) == (1, True)
    assert lie in caught.value.evidence


# -- result proofs


@given(st.permutations(range(5)), st.integers(0, 5))
def test_t_plus_1_statements_of_distinct_replicas_suffice_and_fewer_do_not(order, count):
    chain = MemoryChain(t=2)
    chain.serve(0, put("k", "v"))
    done = chain.slots[0]
    proof = chain.result_proof(done, order[:count])
    if count >= 3:
        check = check_result_proof(proof, done.result(), chain.configuration)
        assert (check.agreeing, check.violations) == (proof[:3], ())
    else:
        with pytest.raises(NotEnoughStatements, match=f"{count} result statements agree, 3 are needed"):
            check_result_proof(proof, done.result(), chain.configuration)


def bad_statements(chain):
    """What may stand in a proof beside good statements of replicas 0 and 1, and the violation that it is."""
    result = chain.slots[0].result()
    good = chain.sign(result, 2)
    return [
        (changed(good, signature=bytes(64)), InvalidSignature),
        (changed(good, signer=1), UnknownSigner),
        (changed(good, signer=3), UnknownSigner),
        (changed(good, signer=-1), UnknownSigner),
        (chain.sign(changed(result, configuration=1), 2), WrongConfiguration),
        (chain.sign(changed(result, slot=1), 2), DisagreeingResult),
        (chain.sign(changed(result, requests_digest=b""), 2), DisagreeingResult),
        (chain.sign(changed(result, outcomes_digest=b""), 2), DisagreeingResult),
        (Signed.sign(result, 2, replica_key(2, number=1)), InvalidSignature),
    ]


@pytest.mark.parametrize("which", range(9))
@pytest.mark.parametrize("at_start", [False, True])
def test_a_bad_extra_statement_is_evidence_and_not_a_reason_to_stop(chain, which, at_start):
    bad, kind = bad_statements(chain)[which]
    done = chain.slots[0]
    good = chain.result_proof(done)
    check = check_result_proof((bad, *good) if at_start else (*good, bad), done.result(), chain.configuration)
    assert check.agreeing == good
    if not at_start and bad.statement == done.result():
        kind = None  # it says what t+1 valid ones have said before it
    elif bad.signer == 1:
        kind = InvalidSignature  # in replica 1's name but not signed by it, before there is a good one
    assert kinds(check) == ([] if kind is None else [kind])


def test_what_says_the_same_as_t_plus_1_valid_statements_is_not_checked_where_signatures_convince_everybody(chain):
    done = chain.slots[0]
    bad = changed(chain.sign(done.result(), 2), signature=bytes(64))
    assert kinds(check_result_proof((*chain.result_proof(done), bad), done.result(), chain.configuration)) == []
    macs = copy(chain.configuration)
    macs.is_transferable = False
    assert kinds(check_result_proof((*chain.result_proof(done), bad), done.result(), macs)) == [InvalidSignature]


def test_what_is_known_is_not_checked_again_and_counts_first(chain):
    done = chain.slots[0]
    good = chain.result_proof(done)
    known = changed(chain.sign(done.result(), 2), signature=b"not checked")
    check = check_result_proof((*good, known), done.result(), chain.configuration, (known,))
    assert check.agreeing == (known, good[0])


def test_a_known_statement_that_disagrees_is_evidence_all_the_same(chain):
    done = chain.slots[0]
    lie = chain.sign(changed(done.result(), outcomes_digest=bytes(32)), 2)
    check = check_result_proof((*chain.result_proof(done), lie), done.result(), chain.configuration, (lie,))
    assert kinds(check) == [DisagreeingResult]


@pytest.mark.parametrize("t", [1, 2, 3])
def test_each_replica_s_statement_but_the_tail_s_is_checked_by_some_replica_that_the_result_comes_back_to(t):
    chain = MemoryChain(t=t)
    chain.serve(0, put("k", "v"))
    done = chain.slots[0]
    proof = chain.result_proof(done, range(2 * t + 1))
    for bad in range(2 * t):
        spoiled = tuple(changed(each, signature=bytes(64)) if each.signer == bad else each for each in proof)
        shuttle = ResultShuttle(0, 0, done.outcomes, spoiled)
        noticed = [
            position
            for position in range(2 * t)
            if position != bad and kinds(shuttle.check(done.result(), chain.configuration, proof[position]))
        ]
        assert noticed


@pytest.mark.parametrize("which", range(9))
def test_a_bad_statement_does_not_count(chain, which):
    bad, _ = bad_statements(chain)[which]
    done = chain.slots[0]
    with pytest.raises(NotEnoughStatements) as caught:
        check_result_proof((chain.sign(done.result(), 1), bad), done.result(), chain.configuration)
    assert len(caught.value.evidence) == 1


def test_a_signed_result_that_disagrees_is_provable_and_blames_its_signer(chain):
    done = chain.slots[0]
    lie = chain.sign(changed(done.result(), outcomes_digest=bytes(32)), 2)
    [violation] = check_result_proof((*chain.result_proof(done), lie), done.result(), chain.configuration).violations
    assert (violation.position, violation.provable) == (2, True)


# -- checkpoint proofs


@given(st.lists(st.tuples(st.integers(-1, 5), st.sampled_from("ab"), st.booleans()), max_size=8))
def test_a_checkpoint_is_complete_exactly_where_t_plus_1_replicas_validly_signed_the_same(votes):
    chain = MemoryChain(t=2)
    proof = []
    for position, state, is_valid in votes:
        signed = Signed.sign(Checkpoint(0, 1, state.encode()), position, replica_key(position))
        proof.append(signed if is_valid else changed(signed, signature=bytes(64)))
    supporters = {
        state: {position for position, mine, is_valid in votes if mine == state and is_valid and 0 <= position < 5}
        for state in "ab"
    }
    agreed = [state for state in "ab" if len(supporters[state]) >= 3]
    if agreed:
        assert check_checkpoint_proof(proof, chain.configuration).state_digest in [each.encode() for each in agreed]
    else:
        with pytest.raises(NotEnoughStatements):
            check_checkpoint_proof(proof, chain.configuration)


def test_checkpoint_statements_of_another_configuration_do_not_count(chain):
    proof = chain.checkpoint_proof(1)
    with pytest.raises(NotEnoughStatements):
        check_checkpoint_proof(proof, make_configuration(number=1))
    assert check_checkpoint_proof(proof, chain.configuration).slot == 1


# -- answers


def batch():
    """A slot of two clients' requests, and the answer to the second."""
    chain = MemoryChain()
    one, other = chain.send(0, put("k", "v")), chain.send(1, append("k", "w"), get("k"))
    done = chain.order(one, other)
    return chain, one, other, done.answer(1, 0, chain.result_proof(done))


def test_each_client_can_check_its_request_in_a_slot_without_the_others():
    chain, _, request, answer = batch()
    assert len(answer.check(request, chain.configuration).agreeing) == 2
    assert answer.outcome.results == ("OK", "vw")


ALTERED = {
    "another configuration": {"configuration": 1},
    "another slot": {"slot": 1},
    "another place": {"index": 0},
    "a place beyond the slot": {"index": 2},
    "a place before the slot": {"index": -1},
    "a slot of no requests": {"size": 0},
    "a slot of more requests than it may have": {"size": MAX_REQUESTS_PER_SLOT + 1},
    "a slot of fewer requests": {"size": 1},
    "no paths": {"request_path": (), "outcome_path": ()},
    "the path of another": {"request_path": (bytes(32),)},
    "paths of what are no digests": {"outcome_path": (b"",)},
    "no proof": {"proof": ()},
}


@pytest.mark.parametrize("alteration", ALTERED)
def test_an_altered_answer_is_refused(alteration):
    chain, _, request, answer = batch()
    with pytest.raises(ProtocolViolation):
        changed(answer, **ALTERED[alteration]).check(request, chain.configuration)


@pytest.mark.parametrize(
    "change", [{"results": ("OK", "other")}, {"results": ("OK",)}, {"slot": 1}, {"index": 0}, {"configuration": 1}]
)
def test_an_answer_with_another_outcome_is_refused(change):
    chain, _, request, answer = batch()
    with pytest.raises((MalformedMessage, NotEnoughStatements)):
        changed(answer, outcome=changed(answer.outcome, **change)).check(request, chain.configuration)


def test_an_answer_to_another_request_is_refused():
    chain, other, _, answer = batch()
    with pytest.raises(MalformedMessage, match="another request"):
        answer.check(other, chain.configuration)


def test_an_order_is_for_one_slot_of_one_configuration():
    orders = {Order(c, s, d) for c in (0, 1) for s in (0, 1) for d in (b"a", b"b")}
    assert len(orders) == 8
