"""A slot from its ordering until its result shuttle is back."""

import pytest
from memory_chain import MemoryChain, append, get, put

from bcr.slots import SettledSlot
from bcr.statements import Outcome


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
    settled = SettledSlot(done, chain.result_proof(done))
    for request, results in (one, ("OK",)), (other, ("OK", "vw")):
        answer = settled.answer(request.statement.client, request.statement.number)
        assert answer.outcome.results == results
        assert len(answer.check(request, chain.configuration).agreeing) == 2


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
