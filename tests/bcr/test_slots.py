"""A slot from its ordering until its result shuttle is back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, get, put
from msgspec.structs import replace

from bcr.chain.history import LatestAnswer
from bcr.chain.proofs import ResultCheck, Vouched
from bcr.chain.slots import Digests, ExecutedSlot, SeenSlot, SettledSlot
from bcr.signed.signing import Signed
from bcr.signed.statements import Outcome, Voucher, tree_of_requests
from bcr.signed.violations import MalformedMessage, NotEnoughStatements, NotFinal, ProtocolViolation


def slot_of_two():
    chain = MemoryChain()
    one, other = chain.send(0, put("k", "v")), chain.send(1, append("k", "w"), get("k"))
    return chain, one, other, chain.order(one, other)


def test_order_and_result_are_for_the_slot_and_the_same_requests():
    _, _, _, done = slot_of_two()
    assert (done.order().configuration, done.order().slot) == (done.result().configuration, done.result().slot) == (0, 0)
    assert done.order().requests_digest == done.result().requests_digest


def test_every_request_of_the_slot_has_its_answer():
    chain, one, other, done = slot_of_two()
    settled = SettledSlot(done, chain.result_proof(done, [1, 2]), chain.order_proof(done, 1))
    for request, results in (one, ("OK",)), (other, ("OK", "vw")):
        answer = settled.answer(request.statement.client, request.statement.number)
        assert answer.outcome.results == results
        check = answer.check(request, chain.configuration)
        assert ([each.signer for each in check.agreeing], [each.signer for each in check.orders]) == ([1, 2], [0])


def test_a_request_that_the_slot_has_not_has_no_answer():
    _, _, _, done = slot_of_two()
    with pytest.raises(KeyError):
        done.answer(0, 1, ())


def test_what_others_agreed_on_takes_the_place_of_the_own_outcomes():
    _, _, _, done = slot_of_two()
    others = [Outcome(0, 0, 0, ("other",)), Outcome(0, 0, 1, ("other", "too"))]
    agreed = done.agreed(others)
    assert agreed.outcomes == tuple(others)
    assert agreed.order() == done.order()
    assert agreed.result() != done.result()
    assert done.agreed(list(done.outcomes)) == done


def test_the_order_of_requests_in_a_slot_shows_in_what_is_signed():
    chain = MemoryChain()
    one, other = chain.send(0, put("k", "v")), chain.send(1, put("k", "v"))
    first, second = chain.order(one, other), chain.order(other, one)
    assert first.order().requests_digest != second.order().requests_digest


def test_what_olympus_is_told_of_a_request_is_its_digest_slot_and_outcome_and_no_result_statement():
    chain, _, other, done = slot_of_two()
    chain.order(chain.send(0, get("k")))
    told = done.latest_answer(1, 0)
    assert told == LatestAnswer(1, 0, other.statement.digest(), 0, done.outcomes[1])
    with pytest.raises(KeyError):
        done.latest_answer(0, 1)


# -- what a liar leaves out of a result shuttle


def seen_by_replica(chain, position):
    """The first slot as the replica at this position has it in flight."""
    done = chain.slots[0]
    return SeenSlot(done, chain.order_proof(done, position + 1), chain.result_proof(done, range(position + 1)))


@given(st.integers(1, 3), st.data())
def test_what_a_liar_leaves_out_is_filled_in_where_it_was_seen(t, data):
    chain = MemoryChain(t)
    chain.serve(0, put("k", "v"))
    whole = chain.result_shuttle(0)
    position = data.draw(st.integers(0, 2 * t - 1))
    seen = seen_by_replica(chain, position)
    left = data.draw(st.sets(st.integers(0, position)))  # what its successors said it has not seen
    kept = data.draw(st.sets(st.sampled_from(sorted(left)))) if left else set()
    fewer = replace(
        whole,
        result_proof=tuple(each for each in whole.result_proof if each.signer not in left),
        orders=tuple(each for each in whole.orders if each.signer not in left - kept),
    )
    complete = seen.filled_up(fewer)
    found = complete.check(chain.slots[0].result(), chain.configuration, seen.own_result)
    assert found.violations == ()
    assert {each.signer for each in complete.result_proof} == set(chain.positions())
    # Whoever gets what is passed on and has seen nothing is convinced too, the client.
    answer = chain.slots[0].answer(0, 0, complete.result_proof, complete.orders)
    answer.check(chain.requests[0][0], chain.configuration)


def test_a_seen_order_takes_the_place_of_a_forged_one():
    chain = MemoryChain()
    chain.serve(0, put("k", "v"))
    whole, seen = chain.result_shuttle(0), seen_by_replica(chain, 1)
    forged = tuple(replace(each, signature=bytes(64)) for each in whole.orders)
    bad = tuple(replace(each, signature=bytes(64)) if each.signer == 0 else each for each in whole.result_proof)
    complete = seen.filled_up(replace(whole, orders=forged, result_proof=bad))
    assert complete.orders == seen.orders
    answer = chain.slots[0].answer(0, 0, complete.result_proof, complete.orders)
    check = answer.check(chain.requests[0][0], chain.configuration)
    assert [each.signer for each in check.orders] == [0]


def test_a_result_statement_in_the_name_of_another_is_covered_by_the_order_that_was_seen():
    chain = MemoryChain(t=2)
    chain.serve(0, put("k", "v"))
    whole, seen = chain.result_shuttle(0), seen_by_replica(chain, 2)
    lies = tuple(chain.sign(replace(each.statement, outcomes_digest=bytes(32)), each.signer) if each.signer == 1 else each
                 for each in whole.result_proof)  # fmt: skip
    complete = seen.filled_up(replace(whole, result_proof=lies))
    found = complete.check(chain.slots[0].result(), chain.configuration, seen.own_result)
    assert {each.signer for each in found.agreeing} >= {2, 3, 4}


@pytest.mark.parametrize(("t", "acceptance", "position", "checked"), [
    (1, "all", 0, {1, 2}),  # all behind it, for they have not testified to it yet
    (1, "all", 1, {2}),
    (2, "all", 0, {1, 2, 3, 4}),
    (2, "all", 2, {3, 4}),
    (2, "all", 3, {4, 0}),  # with its own these are t+1
    (1, "quorum", 0, {1}),  # the tail has told the client of its own
    (1, "quorum", 1, {0}),
    (2, "quorum", 1, {2, 3}),
    (2, "quorum", 2, {3, 0}),
    (2, "quorum", 3, {0, 1}),
])  # fmt: skip
def test_of_a_whole_result_shuttle_no_more_is_checked_than_it_takes_beginning_with_the_successors(t, acceptance, position, checked):
    chain = MemoryChain(t, acceptance=acceptance)
    chain.serve(0, put("k", "v"))
    whole, own = chain.result_shuttle(0), seen_by_replica(chain, position).own_result
    noticed = set()
    for liar in set(range(2 * t + 1)) - {position}:
        forged = tuple(replace(each, signature=bytes(64)) if each.signer == liar else each for each in whole.result_proof)
        try:
            found = replace(whole, result_proof=forged).check(chain.slots[0].result(), chain.configuration, own)
        except ProtocolViolation:
            noticed.add(liar)
        else:
            noticed |= {liar} if found.violations else set()
    assert noticed == checked
    known = replace(whole, result_proof=tuple(each for each in whole.result_proof if each.signer != position), orders=())
    assert known.check(chain.slots[0].result(), chain.configuration, own).violations == ()


def test_a_result_shuttle_that_lacks_the_statement_of_a_successor_makes_nothing_final():
    chain = MemoryChain()
    chain.serve(0, put("k", "v"))
    whole, own = chain.result_shuttle(0), seen_by_replica(chain, 0).own_result
    fewer = replace(whole, result_proof=tuple(each for each in whole.result_proof if each.signer != 1), orders=())
    with pytest.raises(NotFinal):
        fewer.check(chain.slots[0].result(), chain.configuration, own)


@pytest.mark.parametrize("liar", [0, 1])
def test_where_all_are_needed_a_flipped_bit_is_noticed_in_ones_own_statement_too(liar):
    chain = MemoryChain(authentication="crc")
    chain.serve(0, put("k", "v"))
    whole, own = chain.result_shuttle(0), seen_by_replica(chain, 0).own_result
    whole.check(chain.slots[0].result(), chain.configuration, own)
    flipped = tuple(
        replace(each, signature=bytes([each.signature[0] ^ 1]) + each.signature[1:]) if each.signer == liar else each
        for each in whole.result_proof
    )
    own = next(each for each in flipped if each.signer == 0)
    with pytest.raises(NotEnoughStatements):
        replace(whole, result_proof=flipped).check(chain.slots[0].result(), chain.configuration, own)


@pytest.mark.parametrize(("t", "acceptance", "position", "is_noticed"), [
    (1, "all", 0, False), (1, "all", 1, True), (2, "all", 2, False), (1, "quorum", 1, False),
])  # fmt: skip
def test_the_second_of_the_chain_checks_the_heads_statement_where_nothing_else_does(t, acceptance, position, is_noticed):
    chain = MemoryChain(t, acceptance=acceptance)
    chain.serve(0, put("k", "v"))
    whole, own = chain.result_shuttle(0), seen_by_replica(chain, position).own_result
    expected = chain.slots[0].result()
    others = tuple(each for each in whole.result_proof if each.signer)
    forged = replace(whole, result_proof=(*(replace(each, signature=bytes(64)) for each in whole.result_proof if not each.signer), *others))
    check = replace(whole, result_proof=others).check(expected, chain.configuration, own) if position else None
    check = check or ResultCheck(others, (), (), ())
    assert bool(forged.check_head(check, expected, chain.configuration, position)) == is_noticed
    seen = ResultCheck(whole.result_proof, (), (), ())
    assert forged.check_head(seen, expected, chain.configuration, position) == ()


@pytest.mark.parametrize(("statements", "is_filled"), [(84, True), (85, False)])
def test_what_is_filled_up_holds_no_more_statements_than_four_for_each_of_21_replicas(statements, is_filled):
    chain = MemoryChain()
    chain.serve(0, put("k", "v"))
    whole, seen = chain.result_shuttle(0), seen_by_replica(chain, 0)
    [another] = [each for each in whole.result_proof if each.signer == 1]
    flood = replace(whole, result_proof=(another,) * statements, orders=())
    assert (seen.filled_up(flood) != flood) == is_filled


def test_a_result_shuttle_with_more_statements_than_there_ever_are_is_not_filled_up():
    chain = MemoryChain()
    chain.serve(0, put("k", "v"))
    whole, seen = chain.result_shuttle(0), seen_by_replica(chain, 0)
    flood = replace(whole, result_proof=whole.result_proof * 100, orders=())
    assert seen.filled_up(flood) == flood
    with pytest.raises(MalformedMessage):
        flood.check(chain.slots[0].result(), chain.configuration, seen.own_result)


def test_where_the_outcomes_are_those_that_others_say_the_slot_is_the_same():
    _, _, _, done = slot_of_two()
    assert done.agreed(done.outcomes) is done


def test_a_tree_over_the_requests_that_somebody_has_made_is_not_made_again():
    _, _, _, done = slot_of_two()
    known = tree_of_requests([bytes(32), bytes(32)])
    assert ExecutedSlot(0, 0, done.requests, done.outcomes, known).order().requests_digest == known.root


def test_a_log_tells_slots_apart_by_the_digests_of_what_was_asked_for_and_given_but_not_what_olympus_vouches_for():
    chain, _, _, done = slot_of_two()
    told = f"{done.result().requests_digest.hex()[:16]}:{done.result().outcomes_digest.hex()[:16]}"
    assert str(Digests(done)) == str(Digests(done.answer(1, 0, chain.result_proof(done)))) == told
    voucher = Voucher(0, 0, 1, 0, bytes(32), done.outcomes[1])
    assert str(Digests(Vouched(Signed(voucher, 0, b"")))) == ""


def test_orders_that_were_not_seen_here_are_passed_on_as_they_came():
    chain = MemoryChain(t=2)
    chain.serve(0, put("k", "v"))
    complete = seen_by_replica(chain, 1).filled_up(chain.result_shuttle(0))
    assert [each.signer for each in complete.orders] == [0, 1, 2, 3]
