"""Proofs: what they show, and whom they blame where they do not."""

import re
from collections import Counter
from copy import copy
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_chain import Counting, MemoryChain, append, changed, get, make_configuration, put, replica_author

from bcr.chain import proofs
from bcr.chain.messages import ResultShuttle
from bcr.chain.proofs import KnownResults, Vouched, check_checkpoint_proof, check_result_proof, demand_order_proof
from bcr.chain.slots import ExecutedSlot
from bcr.signed import merkle
from bcr.signed.encoding import digest
from bcr.signed.signing import Signed
from bcr.signed.statements import MAX_REQUESTS_PER_SLOT, Checkpoint, Order, Result, Voucher
from bcr.signed.violations import (
    ContradictoryOrder,
    DisagreeingResult,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    NotEnoughStatements,
    NotFinal,
    OfAnotherRequest,
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
    assert (caught.value.position, caught.value.provable) == (1, False)
    assert lie in caught.value.evidence


# -- result proofs


def one_slot(t=1, acceptance="all"):
    """A chain whose first slot holds one request."""
    chain = MemoryChain(t, acceptance=acceptance)
    chain.serve(0, put("k", "v"))
    return chain


RESULTS_OF_A_REPLICA = ("none", "agreeing", "agreeing", "agreeing", "disagreeing", "of other requests", "forged",
                        "of another slot", "of another configuration", "another's")  # fmt: skip
ORDERS_OF_A_REPLICA = ("none", "valid", "valid", "forged", "of other requests", "of another slot", "another's")


def signed_as(kind, chain, position, honest, statements):
    """The statement of this kind, else the honest one, signed by the replica; or forged, or another's in its name."""
    signed = chain.sign(statements.get(kind, honest), position)
    if kind == "forged":
        return changed(signed, signature=bytes(64))
    if kind == "another's":
        return changed(chain.sign(honest, (position + 1) % len(chain.positions())), signer=position)
    return signed


def result_of(chain, position, kind):
    """What a replica of this kind has in the result proof of the first slot."""
    honest = chain.slots[0].result()
    statements = {
        "disagreeing": changed(honest, outcomes_digest=bytes([position]) * 32),
        "of other requests": changed(honest, requests_digest=bytes(32)),
        "of another slot": changed(honest, slot=1),
        "of another configuration": changed(honest, configuration=1),
    }
    return signed_as(kind, chain, position, honest, statements)


def order_of(chain, position, kind):
    honest = chain.slots[0].order()
    statements = {
        "of other requests": changed(honest, requests_digest=bytes(32)),
        "of another slot": changed(honest, slot=1),
    }
    return signed_as(kind, chain, position, honest, statements)


@st.composite
def drawn_testimonies(draw):
    """t, acceptance, and for every replica what it has in the result proof and among the orders, in some order."""
    t = draw(st.integers(1, 3))
    n = 2 * t + 1
    results = [draw(st.sampled_from(RESULTS_OF_A_REPLICA)) for _ in range(n)]
    orders = [draw(st.sampled_from(ORDERS_OF_A_REPLICA)) for _ in range(n)]
    if draw(st.booleans()):  # mostly right, or nothing would ever be final
        results = [each if draw(st.integers(0, 3)) == 0 else "agreeing" for each in results]
        orders = [each if draw(st.integers(0, 3)) == 0 else "valid" for each in orders]
    testified = draw(st.sets(st.integers(0, n - 1), max_size=t))
    return t, draw(st.sampled_from(["all", "all", "quorum"])), results, orders, frozenset(testified), draw(st.permutations(range(n)))


@given(drawn_testimonies())
def test_a_result_is_final_exactly_where_t_plus_1_agree_and_every_replica_has_testified_to_the_slot(drawn):
    t, acceptance, results, orders, testified, turn = drawn
    chain = one_slot(t, acceptance)
    done = chain.slots[0]
    proof = [result_of(chain, i, results[i]) for i in turn if results[i] != "none"]
    beside = [order_of(chain, i, orders[i]) for i in turn if orders[i] != "none"]
    agreeing = {i for i in chain.positions() if results[i] == "agreeing"}
    witnesses = agreeing | {i for i in chain.positions() if results[i] == "disagreeing" or orders[i] == "valid"} | testified

    def check():
        return check_result_proof(proof, done.result(), chain.configuration, (), beside, testified)

    if len(agreeing) <= t:
        with pytest.raises(NotEnoughStatements):
            check()
        return
    if acceptance == "all" and witnesses < set(chain.positions()):
        missing = sorted(set(chain.positions()) - witnesses)
        with pytest.raises(NotFinal, match=re.escape(f"no valid statement of replicas {missing}")):
            check()
        return
    found = check()
    assert len(found.agreeing) > t
    assert {each.signer for each in found.agreeing} <= agreeing
    assert all(each.statement == done.result() for each in found.agreeing)
    if acceptance == "all":
        named = {each.signer for each in (*found.agreeing, *found.disagreeing, *found.orders)}
        assert named | testified == set(chain.positions())
        # What it rests on is enough by itself, and for whoever has seen the same.
        again = check_result_proof(found.agreeing + found.disagreeing, done.result(), chain.configuration, (), found.orders, testified)
        assert (again.agreeing, again.disagreeing, again.orders) == (found.agreeing, found.disagreeing, found.orders)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_t_plus_1_equal_results_are_not_final_while_one_replica_has_not_testified(t):
    chain = one_slot(t)
    done = chain.slots[0]
    for silent in chain.positions():
        proof = chain.result_proof(done, [i for i in chain.positions() if i != silent])
        with pytest.raises(NotFinal, match=rf"\[{silent}\]"):
            check_result_proof(proof, done.result(), chain.configuration)
        standing_in = chain.orders_of(done, [silent])
        found = check_result_proof(proof, done.result(), chain.configuration, orders=standing_in)
        assert (found.orders, found.violations) == (standing_in, ())


@pytest.mark.parametrize("t", [1, 2, 3])
def test_orders_alone_show_no_result_to_be_right(t):
    chain = one_slot(t)
    done = chain.slots[0]
    proof = chain.result_proof(done, range(t))
    with pytest.raises(NotEnoughStatements, match=f"{t} result statements agree, {t + 1} are needed"):
        check_result_proof(proof, done.result(), chain.configuration, orders=chain.orders_of(done, chain.positions()))


@pytest.mark.parametrize("t", [1, 2, 3])
def test_t_replicas_that_name_another_outcome_testify_and_are_evidence_and_no_reason_to_stop(t):
    chain = one_slot(t)
    done = chain.slots[0]
    lies = tuple(result_of(chain, i, "disagreeing") for i in range(t))
    found = check_result_proof((*lies, *chain.result_proof(done, range(t, 2 * t + 1))), done.result(), chain.configuration)
    assert set(found.disagreeing) == set(lies)
    assert kinds(found) == [DisagreeingResult] * t


@pytest.mark.parametrize("kind", ["forged", "of other requests", "of another slot", "another's"])
def test_an_order_that_is_none_of_this_slot_and_its_replica_stands_in_for_nothing(kind):
    chain = one_slot()
    done = chain.slots[0]
    proof = chain.result_proof(done, [0, 1])
    wrong = order_of(chain, 2, kind)
    with pytest.raises(NotFinal):
        check_result_proof(proof, done.result(), chain.configuration, orders=[wrong])
    right = order_of(chain, 2, "valid")
    for orders in ([wrong, right], [right, wrong]):
        assert check_result_proof(proof, done.result(), chain.configuration, orders=orders).orders == (right,)


@pytest.mark.parametrize("what", ["results", "orders"])
def test_more_statements_than_replicas_are_not_looked_at(what):
    chain = one_slot()
    done = chain.slots[0]
    proof, orders = chain.result_proof(done), chain.orders_of(done, chain.positions())
    with pytest.raises(MalformedMessage, match="more statements than replicas"):
        check_result_proof(proof + proof[: what == "results"], done.result(), chain.configuration, (), orders + orders[: what == "orders"])


def test_with_checksums_a_result_takes_the_statements_of_all_whatever_orders_there_are():
    chain = MemoryChain(authentication="crc")
    chain.serve(0, put("k", "v"))
    done = chain.slots[0]
    with pytest.raises(NotEnoughStatements):
        check_result_proof(chain.result_proof(done, [0]), done.result(), chain.configuration, (), chain.orders_of(done, [0, 1]))
    assert len(check_result_proof(chain.result_proof(done), done.result(), chain.configuration).agreeing) == 2


@given(st.permutations(range(5)), st.integers(0, 5))
def test_with_acceptance_quorum_t_plus_1_statements_of_distinct_replicas_suffice_and_fewer_do_not(order, count):
    chain = MemoryChain(t=2, acceptance="quorum")
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
        (chain.sign(changed(result, slot=1), 2), WrongConfiguration),
        (chain.sign(changed(result, requests_digest=b""), 2), DisagreeingResult),
        (chain.sign(changed(result, outcomes_digest=b""), 2), DisagreeingResult),
        (Signed.sign(result, 2, replica_author(2, number=1)), InvalidSignature),
    ]


@pytest.mark.parametrize("acceptance", ["all", "quorum"])
@pytest.mark.parametrize("which", range(9))
@pytest.mark.parametrize("at_start", [False, True])
def test_a_bad_extra_statement_is_evidence_and_not_a_reason_to_stop(which, at_start, acceptance):
    chain = one_slot(acceptance=acceptance)
    bad, kind = bad_statements(chain)[which]
    done = chain.slots[0]
    good = chain.result_proof(done, [0, 1])
    proof = (bad, *good) if at_start else (*good, bad)
    check = check_result_proof(proof, done.result(), chain.configuration, orders=chain.orders_of(done, [2]))
    assert check.agreeing == good
    is_owed = acceptance == "all" and 0 <= bad.signer <= 2
    if not at_start and bad.statement == done.result() and not is_owed:
        kind = None  # it says what t+1 valid ones have said before it
    elif bad.signer == 1 and at_start:
        kind = InvalidSignature  # in replica 1's name but not signed by it, before there is a good one
    assert kinds(check) == ([] if kind is None else [kind])


def test_what_says_the_same_as_t_plus_1_valid_statements_is_not_checked_where_signatures_convince_everybody(chain):
    done = chain.slots[0]
    bad = changed(chain.sign(done.result(), 2), signature=bytes(64))
    proof = (*chain.result_proof(done, [0, 1]), bad)
    # Of replica 2 the caller has seen an order already; else it would be checked, for all must testify.
    assert kinds(check_result_proof(proof, done.result(), chain.configuration, testified=frozenset({2}))) == []
    with pytest.raises(NotFinal):
        check_result_proof(proof, done.result(), chain.configuration)
    macs = copy(chain.configuration)
    macs.is_transferable = False
    found = check_result_proof(proof, done.result(), macs, testified=frozenset({2}))
    assert kinds(found) == [InvalidSignature]


@pytest.mark.parametrize("acceptance", ["all", "quorum"])
def test_what_is_known_is_not_checked_again_and_counts_first(acceptance):
    chain = one_slot(acceptance=acceptance)
    done = chain.slots[0]
    good = chain.result_proof(done, [0, 1])
    known = changed(chain.sign(done.result(), 2), signature=b"not checked")
    check = check_result_proof((*good, known), done.result(), chain.configuration, (known,))
    assert check.agreeing == ((known, *good) if acceptance == "all" else (known, good[0]))


def test_a_known_statement_that_disagrees_is_evidence_all_the_same(chain):
    done = chain.slots[0]
    lie = chain.sign(changed(done.result(), outcomes_digest=bytes(32)), 2)
    proof = (*chain.result_proof(done, [0, 1]), lie)
    check = check_result_proof(proof, done.result(), chain.configuration, (lie,))
    assert kinds(check) == [DisagreeingResult]


@pytest.mark.parametrize("t", [1, 2, 3])
def test_the_client_checks_each_replica_s_statement(t):
    chain = one_slot(t)
    done = chain.slots[0]
    orders = chain.orders_of(done, chain.positions())
    for bad in chain.positions():
        spoiled = [changed(each, signature=bytes(64)) if each.signer == bad else each for each in chain.result_proof(done)]
        found = done.answer(0, 0, spoiled, orders).check(chain.requests[0][0], chain.configuration)
        assert kinds(found) == [InvalidSignature]
        assert [each.signer for each in found.orders] == [bad]


@pytest.mark.parametrize("t", [1, 2, 3])
def test_with_acceptance_quorum_each_replica_s_statement_but_the_tail_s_is_checked_by_some_replica_it_comes_back_to(t):
    chain = one_slot(t, "quorum")
    done = chain.slots[0]
    proof = chain.result_proof(done)
    for bad in range(2 * t):
        spoiled = tuple(changed(each, signature=bytes(64)) if each.signer == bad else each for each in proof)
        shuttle = ResultShuttle(0, 0, done.outcomes, spoiled, chain.order_proof(done, 2 * t))
        noticed = [
            position
            for position in range(2 * t)
            if position != bad and kinds(shuttle.check(done.result(), chain.configuration, proof[position]))
        ]
        assert noticed


@pytest.mark.parametrize("t", [1, 2, 3])
@pytest.mark.parametrize("lie", [{"signature": bytes(64)}, {"statement": Result(0, 0, bytes(32), bytes(32))}])
def test_each_replica_s_statement_is_checked_by_some_replica_it_comes_back_to_the_head_s_by_the_second_at_last(t, lie):
    chain = one_slot(t)
    done = chain.slots[0]
    proof = chain.result_proof(done)
    for bad in range(2 * t):
        spoiled = tuple(changed(each, **lie) if each.signer == bad else each for each in proof)
        shuttle = ResultShuttle(0, 0, done.outcomes, spoiled, chain.order_proof(done, 2 * t))
        noticed = set()
        for position in set(range(2 * t)) - {bad}:
            check = shuttle.check(done.result(), chain.configuration, proof[position])
            late = shuttle.check_head(check, done.result(), chain.configuration, position)
            noticed |= {position} if check.violations or late else set()
            assert position == 1 or not late
        assert noticed >= ({1} if bad == 0 else set(range(bad)))


@pytest.mark.parametrize("t", [1, 2, 3])
def test_what_the_second_of_the_chain_finds_right_about_the_head_is_no_violation(t):
    chain = one_slot(t)
    done = chain.slots[0]
    shuttle = ResultShuttle(0, 0, done.outcomes, chain.result_proof(done), chain.order_proof(done, 2 * t))
    check = shuttle.check(done.result(), chain.configuration, chain.result_proof(done)[1])
    assert shuttle.check_head(check, done.result(), chain.configuration, 1) == ()


@pytest.mark.parametrize("t", [1, 2, 3])
def test_every_replica_that_the_result_comes_back_to_demands_what_the_tail_signed(t):
    chain = one_slot(t)
    done = chain.slots[0]
    proof = chain.result_proof(done)
    forged = (*proof[:-1], changed(proof[-1], signature=bytes(64)))
    shuttle = ResultShuttle(0, 0, done.outcomes, forged, chain.order_proof(done, 2 * t))
    for position in range(2 * t):
        with pytest.raises(NotFinal, match=rf"\[{2 * t}\]"):
            shuttle.check(done.result(), chain.configuration, proof[position])


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
    proof = (*chain.result_proof(done, [0, 1]), lie)
    [violation] = check_result_proof(proof, done.result(), chain.configuration).violations
    assert (violation.position, violation.provable) == (2, True)


# -- checkpoint proofs


VOTES = st.tuples(st.integers(-1, 5), st.integers(1, 2), st.sampled_from("ab"), st.booleans())
AGREEING = st.permutations(range(5)).map(lambda order: [(position, 1, "a", True) for position in order])


@given(st.one_of(st.lists(VOTES, max_size=6), AGREEING), st.data(), st.sampled_from(["all", "quorum"]))
def test_a_checkpoint_is_complete_exactly_where_t_plus_1_replicas_validly_signed_the_same_and_all_signed_for_its_slot(
    votes, data, acceptance
):
    chain = MemoryChain(t=2, acceptance=acceptance)
    for _ in range(data.draw(st.integers(0, 2))):
        if votes:
            votes = list(votes)
            votes[data.draw(st.integers(0, len(votes) - 1))] = data.draw(VOTES)
    proof = []
    for position, slot, state, is_valid in votes:
        signed = Signed.sign(Checkpoint(0, slot, state.encode()), position, replica_author(position))
        proof.append(signed if is_valid else changed(signed, signature=bytes(64)))
    valid = {(slot, state, position) for position, slot, state, is_valid in votes if is_valid and 0 <= position < 5}
    groups = Counter((slot, state) for slot, state, _ in valid)
    agreed = [group for group, count in groups.items() if count >= 3]
    if len(votes) > 5:
        expected = MalformedMessage
    elif not agreed:
        expected = NotEnoughStatements
    elif acceptance == "all" and len({position for slot, _, position in valid if slot == agreed[0][0]}) < 5:
        expected = NotFinal
    else:
        [(slot, state)] = agreed
        assert check_checkpoint_proof(proof, chain.configuration) == Checkpoint(0, slot, state.encode())
        return
    with pytest.raises(expected):
        check_checkpoint_proof(proof, chain.configuration)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_who_names_another_digest_at_a_checkpoint_testifies_that_it_was_there(t):
    chain = one_slot(t)
    proof = chain.checkpoint_proof(0)
    lies = tuple(chain.sign(changed(each.statement, state_digest=bytes(32)), each.signer) for each in proof[:t])
    assert check_checkpoint_proof((*lies, *proof[t:]), chain.configuration) == proof[0].statement
    with pytest.raises(NotFinal):
        check_checkpoint_proof((*lies[1:], *proof[t:]), chain.configuration)
    elsewhere = chain.sign(changed(proof[0].statement, slot=1), 0)  # for another slot it says nothing of this one
    with pytest.raises(NotFinal):
        check_checkpoint_proof((elsewhere, *lies[1:], *proof[t:]), chain.configuration)


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
    assert len(answer.check(request, chain.configuration).agreeing) == 3
    assert answer.outcome.results == ("OK", "vw")


@pytest.mark.parametrize("acceptance", ["all", "quorum"])
def test_an_answer_rests_on_what_makes_it_final_and_on_no_more(acceptance):
    chain = MemoryChain(acceptance=acceptance)
    request = chain.serve(0, put("k", "v"))
    done = chain.slots[0]
    lie = chain.sign(changed(done.result(), outcomes_digest=bytes(32)), 2)
    forged = changed(chain.sign(done.result(), 1), signature=bytes(64))
    answers = [
        (chain.result_proof(done), chain.orders_of(done, range(3)), (3, 0)),
        ((*chain.result_proof(done, [0, 1]), lie), (), (3, 0)),
        ((*chain.result_proof(done, [0, 2]), forged), chain.orders_of(done, range(3)), (2, 1)),
    ]
    for proof, orders, (statements, standing_in) in answers:
        answer = done.answer(0, 0, proof, orders)
        resting = answer.resting_on(answer.check(request, chain.configuration), chain.configuration)
        sizes = (len(resting.proof), len(resting.orders))
        assert sizes == ((statements, standing_in) if acceptance == "all" else (2, 0))
        resting.check(request, chain.configuration)


# -- vouchers


def voucher(chain, **changes):
    done = chain.slots[0]
    found = done.latest_answer(0, 0)
    honest = Voucher(0, 0, 0, 0, found.request_digest, found.outcome)
    return Vouched(Signed.sign(changed(honest, **changes), 0, chain.keys_of("olympus")))


def test_a_voucher_for_a_request_is_olympus_s_word_on_its_outcome():
    chain = one_slot()
    vouched = voucher(chain)
    vouched.demand_for(chain.requests[0][0], chain.configuration.olympus)
    assert (vouched.configuration, vouched.slot, vouched.outcome.results) == (0, 0, ("OK",))


def test_a_voucher_that_olympus_did_not_sign_is_refused():
    chain = one_slot()
    signed = voucher(chain).signed
    for forged in (changed(signed, signature=bytes(64)), chain.sign(signed.statement, 0)):
        with pytest.raises(InvalidSignature):
            Vouched(forged).demand_for(chain.requests[0][0], chain.configuration.olympus)


@pytest.mark.parametrize("change", [{"client": 1}, {"number": 1}, {"request_digest": bytes(32)}])
def test_a_voucher_for_another_request_is_refused(change):
    chain = one_slot()
    with pytest.raises(MalformedMessage, match="another request"):
        voucher(chain, **change).demand_for(chain.requests[0][0], chain.configuration.olympus)


@pytest.mark.parametrize("results", [(), ("OK", "OK")])
def test_a_voucher_with_too_few_or_too_many_results_is_refused(results):
    chain = one_slot()
    outcome = changed(chain.slots[0].outcomes[0], results=results)
    with pytest.raises(MalformedMessage, match="too few or too many"):
        voucher(chain, outcome=outcome).demand_for(chain.requests[0][0], chain.configuration.olympus)


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


@pytest.mark.parametrize("size", [-1, 0, MAX_REQUESTS_PER_SLOT + 1, 1 << 60])
def test_an_answer_from_a_slot_of_a_size_that_none_has_is_refused_for_that(size):
    _, _, _, answer = batch()
    with pytest.raises(MalformedMessage, match=f"a slot of {size} requests"):
        changed(answer, size=size).result()


@pytest.mark.parametrize("change", [{"results": ("OK", "other")}, {"results": ("OK",)}, {"slot": 1}, {"index": 0}, {"configuration": 1}])
def test_an_answer_with_another_outcome_is_refused(change):
    chain, _, request, answer = batch()
    with pytest.raises((MalformedMessage, NotEnoughStatements)):
        changed(answer, outcome=changed(answer.outcome, **change)).check(request, chain.configuration)


def test_an_answer_without_the_results_is_refused_whoever_signed_it():
    """As to a request that is too old to be executed: nobody remembers what it gave."""
    chain = one_slot()
    done = chain.slots[0]
    stale = ExecutedSlot(0, 0, done.requests, tuple(changed(outcome, results=()) for outcome in done.outcomes))
    answer = stale.answer(0, 0, chain.result_proof(stale, chain.positions()))
    with pytest.raises(MalformedMessage, match="too few or too many"):
        answer.check(chain.requests[0][0], chain.configuration)


def test_an_answer_to_another_request_is_refused():
    chain, other, _, answer = batch()
    with pytest.raises(MalformedMessage, match="another request"):
        answer.check(other, chain.configuration)


def test_an_order_is_for_one_slot_of_one_configuration():
    orders = {Order(c, s, d) for c in (0, 1) for s in (0, 1) for d in (b"a", b"b")}
    assert len(orders) == 8


def test_a_checkpoint_that_names_another_configuration_is_none_whoever_signed_it():
    chain = one_slot()
    checkpoint = Checkpoint(1, 0, bytes(32))
    proof = [Signed.sign(checkpoint, position, replica_author(position)) for position in chain.positions()]
    with pytest.raises(NotEnoughStatements, match="0 checkpoint statements agree"):
        check_checkpoint_proof(proof, chain.configuration)


def test_who_signs_a_result_of_other_requests_has_not_testified_to_these():
    chain = one_slot()
    done = chain.slots[0]
    proof = (*chain.result_proof(done, [0, 1]), result_of(chain, 2, "of other requests"))
    with pytest.raises(NotFinal, match=r"\[2\]"):
        check_result_proof(proof, done.result(), chain.configuration)
    standing_in = chain.orders_of(done, [2])
    found = check_result_proof(proof, done.result(), chain.configuration, orders=standing_in)
    assert (found.disagreeing, found.orders, kinds(found)) == ((), standing_in, [DisagreeingResult])


def test_of_two_valid_orders_of_one_replica_the_first_stands_in():
    chain = MemoryChain(authentication="hmac")
    chain.serve(0, put("k", "v"))
    done = chain.slots[0]
    one, other = (Signed.sign(done.order(), 2, chain.keys_at(2), clients) for clients in ((), (0,)))
    assert one.signature != other.signature
    for first, second in ((one, other), (other, one)):
        found = check_result_proof(chain.result_proof(done, [0, 1]), done.result(), chain.configuration, orders=[first, second])
        assert found.orders == (first,)


def test_a_slot_may_have_as_many_requests_as_the_limit_says():
    _, _, _, answer = batch()
    with pytest.raises(MalformedMessage, match=f"not the path of requests 1 of {MAX_REQUESTS_PER_SLOT}"):
        changed(answer, size=MAX_REQUESTS_PER_SLOT).result()


def test_of_a_slot_that_requests_share_a_client_checks_no_statement_twice_and_remembers_none_of_a_request_alone(monkeypatch):
    monkeypatch.setattr(proofs, "KNOWN_RESULTS", 3)
    chain = MemoryChain(client_window=3)
    one, other, third = (chain.send(0, put("k", str(number))) for number in range(3))
    shared, alone = chain.order(one, other), chain.order(third)
    view, known = copy(chain.configuration), KnownResults()
    view._replicas = [Counting(view.replica_author(position)) for position in chain.positions()]

    def checked(request, done):
        before = sum(each.times for each in view._replicas)
        known.check(done.answer(0, request.statement.number, chain.result_proof(done)), request, view)
        return sum(each.times for each in view._replicas) - before

    assert [checked(one, shared), checked(third, alone), checked(other, shared)] == [3, 3, 0]
    # Nor where they stand in another proof of it.
    before = sum(each.times for each in view._replicas)
    proof = chain.result_proof(shared)[::-1]
    assert len(known.check(shared.answer(0, one.statement.number, proof), one, view).agreeing) == 3
    assert sum(each.times for each in view._replicas) == before


def test_what_the_replicas_testify_of_another_request_is_told_from_what_anybody_may_have_sent():
    chain = MemoryChain(client_window=3)
    one, other = (chain.send(0, put("k", str(number))) for number in range(2))
    done = chain.order(one, other)
    proof = chain.result_proof(done)
    right = done.answer(0, one.statement.number, proof)
    forged = tuple(changed(each, signature=bytes(64)) for each in proof)
    for answer, kind in ((right, OfAnotherRequest), (changed(right, proof=forged), MalformedMessage)):
        for check in (answer.check, lambda *asked, answer=answer: KnownResults().check(answer, *asked)):
            with pytest.raises(MalformedMessage) as caught:
                check(other, chain.configuration)
            assert (type(caught.value), caught.value.evidence) == (kind, (answer, other))


# -- what a client has found right before


@cache
def remembered(authentication, acceptance):
    """Two configurations, and what each of their two slots holds: requests of one client, and answers to them with what may be wrong."""
    chain = MemoryChain(client_window=9, acceptance=acceptance, authentication=authentication)
    cases = []
    for _ in range(2):
        for _ in range(2):
            requests = [chain.send(0, append("k", "v"), get("k")) for _ in range(3)]
            done = chain.order(*requests)
            for request in requests:
                cases.append((chain.configuration, done, request, answers_to(chain, done, request)))
        chain.reconfigure()
    return cases


def answers_to(chain, done, request):
    """Answers to a request of the slot, right and wrong, by what they are; their proofs are taken to the answers of others too."""
    orders = chain.orders_of(done, chain.positions())
    proof = chain.result_proof(done)
    lie = chain.sign(changed(done.result(), outcomes_digest=bytes(32)), 1)
    forged = changed(proof[1], signature=bytes(len(proof[1].signature)))
    proofs_and_orders = {
        "right": (proof, ()),
        "with orders": (proof, orders),
        "with a lie": ((proof[0], lie, *proof[2:]), ()),
        "with a forged statement": ((proof[0], forged, *proof[2:]), ()),
        "with an order in place of a statement": ((proof[0], *proof[2:]), orders),
        "with a forged order in place of a statement": ((proof[0], *proof[2:]), (changed(orders[1], signature=bytes(64)),)),
        "without a statement": ((proof[0], *proof[2:]), ()),
        "with one statement": (proof[:1], orders),
        "with one statement twice": ((proof[0], proof[0]), orders),
        "with nothing": ((), ()),
        "in another order": (proof[::-1], orders),
    }
    number = request.statement.number
    answers = {name: done.answer(0, number, *each) for name, each in proofs_and_orders.items()}
    right = answers["right"]
    results = ("a lie", right.outcome.results[1])
    return answers | {
        "with another result": changed(right, outcome=changed(right.outcome, results=results)),
        "with a result too few": changed(right, outcome=changed(right.outcome, results=results[:1])),
        "of another place": changed(right, index=(right.index + 1) % 3),
        "of another slot": changed(right, slot=right.slot ^ 1),
        "of another configuration": changed(right, configuration=right.configuration ^ 1),
        "of a slot of one": changed(right, size=1),
        "of a slot of four": changed(right, size=4),
        "with another path": changed(right, outcome_path=(bytes(32), *right.outcome_path[1:])),
        "with a longer path": changed(right, request_path=(*right.request_path, bytes(32))),
    }


def verdict(check):
    """What a check came to, or the kind and the words of what it raised."""
    try:
        return check()
    except ProtocolViolation as violation:
        return type(violation), str(violation)


NAMES = sorted(remembered("ed25519", "all")[0][3])
ASKED = st.tuples(st.integers(0, 11), st.integers(0, 11), st.one_of(st.just("right"), st.sampled_from(NAMES)), st.booleans())


@settings(max_examples=60)
@given(
    st.lists(ASKED, min_size=1, max_size=12), st.sampled_from([("ed25519", "all"), ("ed25519", "quorum"), ("hmac", "all"), ("crc", "all")])
)
def test_whatever_a_client_has_checked_before_an_answer_is_taken_or_refused_as_it_would_be_by_itself(asked, kind):
    cases, known = remembered(*kind), KnownResults()
    for of_answer, of_request, name, is_its_own in asked:
        configuration, _, request, _ = cases[of_answer if is_its_own else of_request]
        demand_same_verdict(known, cases[of_answer][3][name], request, configuration)


def demand_same_verdict(known, answer, request, configuration):
    found = verdict(lambda: known.check(answer, request, configuration))
    alone = verdict(lambda: answer.check(request, configuration))
    if isinstance(alone, tuple):
        assert found == alone
        return
    # What was known is looked at before what was not, so of more than is needed others may be left out.
    assert {each.statement for each in found.agreeing} == {each.statement for each in alone.agreeing} == {answer.result()}
    assert set(found.disagreeing + found.orders) <= set(answer.proof + answer.orders)
    assert verdict(lambda: answer.resting_on(found, configuration).check(request, configuration)).agreeing


MEMORY = [("with another result", NotEnoughStatements), ("with another path", NotEnoughStatements), ("with nothing", NotEnoughStatements),
          ("without a statement", NotFinal), ("with a forged order in place of a statement", NotFinal),
          ("with a longer path", MalformedMessage), ("of another slot", NotEnoughStatements),
          ("of another configuration", WrongConfiguration)]  # fmt: skip


@pytest.mark.parametrize("name, kind", MEMORY)
def test_an_answer_that_is_wrong_is_refused_behind_the_right_one_and_behind_another_of_the_slot(name, kind):
    cases = remembered("ed25519", "all")
    configuration, _, request, answers = cases[0]
    for before in ((), (0,), (1, 2), (0, 1, 2)):
        known = KnownResults()
        for each in before:
            known.check(cases[each][3]["right"], cases[each][2], configuration)
        with pytest.raises(kind):
            known.check(answers[name], request, configuration)
        assert len(known.check(answers["right"], request, configuration).agreeing) == 3


def test_what_is_wrong_in_a_proof_is_told_of_each_answer_that_has_it():
    cases, known = remembered("ed25519", "all"), KnownResults()
    for configuration, _, request, answers in cases[:3]:
        assert kinds(known.check(answers["with a lie"], request, configuration)) == [DisagreeingResult]


def test_the_orders_that_stand_in_are_those_of_this_answer():
    (configuration, _, request, answers), known = remembered("ed25519", "all")[0], KnownResults()
    name = "with an order in place of a statement"
    assert len(known.check(answers[name], request, configuration).orders) == 1
    with pytest.raises(NotFinal):
        known.check(changed(answers[name], orders=()), request, configuration)


def test_a_proof_is_held_against_a_configuration_once_and_against_each_that_asks():
    (configuration, _, request, answers), known = remembered("ed25519", "all")[0], KnownResults()
    known.check(answers["right"], request, configuration)
    other = make_configuration(2, number=configuration.number)  # of other replicas, as nobody issues it under this number
    demand_same_verdict(known, answers["right"], request, other)
    assert isinstance(verdict(lambda: known.check(answers["right"], request, other)), tuple)


def test_a_proof_that_answers_have_in_common_is_gone_through_once(monkeypatch):
    cases, known, times = remembered("ed25519", "all"), KnownResults(), []
    monkeypatch.setattr(proofs, "check_result_proof", lambda *each: times.append(each) or check_result_proof(*each))
    for place in (0, 1, 2, 0):
        configuration, _, request, answers = cases[place]
        assert len(known.check(answers["right"], request, configuration).agreeing) == 3
    assert len(times) == 1
    configuration, _, request, answers = cases[3]  # of the next slot
    known.check(answers["right"], request, configuration)
    assert len(times) == 2


def test_what_a_path_came_to_is_not_computed_again(monkeypatch):
    cases, known, hashed = remembered("ed25519", "all"), KnownResults(), []
    monkeypatch.setattr(merkle, "digest", lambda domain, value: hashed.append(domain) or digest(domain, value))
    costs = []
    for place in (0, 1, 2, 0):
        configuration, _, request, answers = cases[place]
        before = len(hashed)
        known.check(answers["right"], request, configuration)
        costs.append(len(hashed) - before)
    assert costs == [6, 0, 0, 0]  # of three requests and of three outcomes the two nodes and the root


def test_paths_to_requests_and_to_outcomes_are_remembered_apart():
    (configuration, _, request, answers), known = remembered("ed25519", "all")[0], KnownResults()
    right = answers["right"]
    known.check(right, request, configuration)
    demand_same_verdict(known, changed(right, outcome_path=right.request_path), request, configuration)
