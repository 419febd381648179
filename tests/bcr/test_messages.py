"""Messages: what they show by themselves, before anything is known of the slot."""

import pytest
from memory_chain import MemoryChain, append, changed, client_key, get, make_configuration, put, seen_by

from bcr.chain import messages
from bcr.chain.descriptions import contents, identify
from bcr.chain.messages import Accusation, PublicKey, ResultMessage, demand_request
from bcr.chain.proofs import ResultCheck
from bcr.chain.slots import ExecutedSlot
from bcr.signed.signing import Signed
from bcr.signed.statements import MAX_OPERATIONS_PER_REQUEST, MAX_REQUESTS_PER_SLOT, Request
from bcr.signed.violations import (
    ContradictoryOrder,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    ProtocolViolation,
    UnknownSigner,
    WrongConfiguration,
)

# -- shuttles


@pytest.mark.parametrize("position", [1, 2])
def test_a_shuttle_from_correct_predecessors_is_valid(chain, position):
    chain.shuttle(1, position).demand_valid(chain.configuration, position)


@pytest.mark.parametrize("position, sent_for", [(1, 0), (2, 1), (2, 0)])
def test_a_shuttle_without_a_predecessor_s_statement_is_incomplete(chain, position, sent_for):
    with pytest.raises(IncompleteProof):
        chain.shuttle(1, sent_for).demand_valid(chain.configuration, position)


def test_a_shuttle_with_more_result_statements_than_predecessors_is_malformed(chain):
    for position in (1, 2):
        shuttle = chain.shuttle(1, position)
        more = chain.shuttle(1, position + 1).result_proof if position == 1 else (*shuttle.result_proof, shuttle.result_proof[0])
        assert len(more) == position + 1
        with pytest.raises(MalformedMessage, match=f"more statements than the {position} predecessors"):
            changed(shuttle, result_proof=more).demand_valid(chain.configuration, position)


def test_a_shuttle_of_another_configuration_is_refused(chain):
    with pytest.raises(WrongConfiguration):
        changed(chain.shuttle(1, 1), configuration=1).demand_valid(chain.configuration, 1)


@pytest.mark.parametrize("count", [0, MAX_REQUESTS_PER_SLOT + 1])
def test_a_shuttle_with_no_requests_or_too_many_is_malformed(chain, count):
    shuttle = chain.shuttle(1, 1)
    with pytest.raises(MalformedMessage):
        changed(shuttle, requests=shuttle.requests[:1] * count).demand_valid(chain.configuration, 1)


def test_a_shuttle_whose_order_contradicts_the_client_s_signed_request_blames_who_ordered(chain):
    other = Signed.sign(Request(1, 0, (get("x"),)), 1, client_key(1))
    with pytest.raises(ContradictoryOrder) as caught:
        changed(chain.shuttle(1, 2), requests=(other,)).demand_valid(chain.configuration, 2)
    assert caught.value.position == 0


def test_a_shuttle_with_a_request_that_its_client_did_not_sign_is_refused(chain):
    shuttle = chain.shuttle(1, 1)
    forged = changed(shuttle.requests[0], statement=Request(1, 0, (put("k", "forged"),)))
    with pytest.raises(ContradictoryOrder):
        changed(shuttle, requests=(forged,)).demand_valid(chain.configuration, 1)
    lie = ExecutedSlot(0, 1, (forged,), chain.slots[1].outcomes)  # which the head has ordered all the same
    with pytest.raises(InvalidSignature, match="client 1"):
        changed(shuttle, requests=(forged,), order_proof=chain.order_proof(lie, 1)).demand_valid(chain.configuration, 1)


@pytest.mark.parametrize("authentication, violations", [("ed25519", 0), ("hmac", 1)])
def test_a_result_statement_that_is_missing_is_misbehaviour_where_codes_may_be_uneven(authentication, violations):
    """An order stands in for it, and t+1 agree; yet the client may not be convinced by those that convince a replica."""
    chain = MemoryChain(authentication=authentication)
    chain.serve(0, put("k", "a"))
    shuttle, done = chain.result_shuttle(0), chain.slots[0]
    view = seen_by(chain.keys_of("replica_1 of 0"), chain.configuration.issued)
    own = shuttle.result_proof[1]
    assert shuttle.check(done.result(), view, own).violations == ()
    without_the_head = changed(shuttle, result_proof=shuttle.result_proof[1:])
    found = without_the_head.check(done.result(), view, own).violations
    assert [str(each) for each in found] == ["slot 0: no result statement of replicas [0]"] * violations


# -- requests


READ = get("k")


def signed_request(client=0, number=0, operations=(READ,), signer=None):
    signer = client if signer is None else signer
    return Signed.sign(Request(client, number, tuple(operations)), signer, client_key(signer))


def test_a_request_that_its_client_signed_is_valid(configuration):
    demand_request(signed_request(), configuration)
    demand_request(signed_request(operations=[get("k")] * MAX_OPERATIONS_PER_REQUEST), configuration)


@pytest.mark.parametrize(
    "request_, violation",
    [
        (signed_request(number=-1), MalformedMessage),
        (signed_request(operations=()), MalformedMessage),
        (signed_request(operations=[get("k")] * (MAX_OPERATIONS_PER_REQUEST + 1)), MalformedMessage),
        (signed_request(client=0, signer=1), MalformedMessage),
        (signed_request(client=2), UnknownSigner),
        (signed_request(client=-1), UnknownSigner),
        (changed(signed_request(), signature=bytes(64)), InvalidSignature),
    ],
)
def test_a_request_beyond_the_limits_or_not_its_client_s_is_refused(configuration, request_, violation):
    with pytest.raises(violation):
        demand_request(request_, configuration)


# -- accusations


def accusation(chain, *lies, t_plus_1=True):
    """Client 0's accusation over an answer to its first request in which these replicas signed another result."""
    done = chain.slots[0]
    honest = [i for i in chain.positions() if i not in lies]
    proof = chain.result_proof(done, honest)
    proof += tuple(chain.sign(changed(done.result(), outcomes_digest=bytes([i]) * 32), i) for i in lies)
    return Accusation(chain.requests[0][0], done.answer(0, 0, proof))


@pytest.mark.parametrize("liar", [0, 1, 2])
def test_an_accusation_names_the_one_who_contradicts_the_others(chain, liar):
    found = accusation(chain, liar).demand_proved(chain.configuration)
    assert (found.position, found.provable) == (liar, True)


def test_where_two_contradict_each_other_alone_nobody_can_be_named(chain):
    both = accusation(chain, 2)
    both = changed(both, answer=changed(both.answer, proof=both.answer.proof[1:]))
    assert both.demand_proved(chain.configuration).position is None


def test_an_accusation_without_a_contradiction_is_refused(chain):
    with pytest.raises(MalformedMessage, match="without a contradiction"):
        accusation(chain).demand_proved(chain.configuration)


def test_a_forged_statement_is_no_contradiction(chain):
    forged = accusation(chain, 2)
    proof = (*forged.answer.proof[:2], changed(forged.answer.proof[2], signature=bytes(64)))
    with pytest.raises(MalformedMessage, match="without a contradiction"):
        changed(forged, answer=changed(forged.answer, proof=proof)).demand_proved(chain.configuration)


def test_statements_of_different_slots_are_no_contradiction(chain):
    proof = (*chain.result_proof(chain.slots[0], [0, 1]), chain.sign(chain.slots[1].result(), 2))
    accused = accusation(chain)
    with pytest.raises(MalformedMessage, match="without a contradiction"):
        changed(accused, answer=changed(accused.answer, proof=proof)).demand_proved(chain.configuration)


@pytest.mark.parametrize("signer", [-1, 3])
def test_an_accusation_of_a_replica_that_is_not_there_is_a_violation_and_no_error(chain, signer):
    accused = accusation(chain, 2)
    proof = (*accused.answer.proof[:2], changed(accused.answer.proof[2], signer=signer))
    with pytest.raises(ProtocolViolation):
        changed(accused, answer=changed(accused.answer, proof=proof)).demand_proved(chain.configuration)


@pytest.mark.parametrize("signer", [-1, 3, 10**6])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_stranger_s_statement_beside_a_contradiction_does_not_hide_it(chain, signer, place):
    accused = accusation(chain, 2)
    honest, _, lie = accused.answer.proof
    proof = [honest, lie]
    proof.insert(place, changed(honest, signer=signer))
    found = changed(accused, answer=changed(accused.answer, proof=tuple(proof))).demand_proved(chain.configuration)
    assert set(found.evidence) == {honest, lie}


def test_an_accusation_with_more_statements_than_replicas_is_not_looked_at(chain):
    accused = accusation(chain, 2)
    proof = (*accused.answer.proof, accused.answer.proof[0])
    with pytest.raises(MalformedMessage, match="more statements than replicas"):
        changed(accused, answer=changed(accused.answer, proof=proof)).demand_proved(chain.configuration)


def test_an_accusation_from_another_configuration_is_refused(chain):
    with pytest.raises(WrongConfiguration):
        accusation(chain, 2).demand_proved(make_configuration(number=1))


def test_an_accusation_about_a_request_that_its_client_did_not_sign_is_refused(chain):
    accused = accusation(chain, 2)
    forged = changed(accused.request, statement=Request(1, 0, (READ,)), signer=1)
    with pytest.raises(InvalidSignature, match="client 1"):
        changed(accused, request=forged).demand_proved(chain.configuration)


# -- enrolment


def test_only_who_holds_the_secret_can_enrol_a_key():
    enrolled = PublicKey.enrol("replica_0", b"key", b"secret")
    enrolled.demand_secret(b"secret")
    for altered in (changed(enrolled, name="replica_1"), changed(enrolled, key=b"other"), changed(enrolled, mac=b"")):
        with pytest.raises(InvalidSignature):
            altered.demand_secret(b"secret")
    with pytest.raises(InvalidSignature):
        enrolled.demand_secret(b"another secret")


# -- in the log


def test_a_log_line_identifies_a_message_by_configuration_slot_and_requests():
    chain = MemoryChain()
    one, other = chain.send(0, put("k", "v")), chain.send(1, append("k", "w"))
    done = chain.order(one, other)
    assert identify(chain.shuttle(0, 1)) == {"configuration": 0, "slot": 0, "requests": "0:0,1:0"}
    assert identify(one) == {"client": 0, "number": 0, "signer": 0}
    message = ResultMessage(1, 0, done.answer(1, 0, ()))
    assert identify(message) == {"client": 1, "number": 0, "configuration": 0, "slot": 0}
    assert "append" in contents(other)


def test_a_shuttle_may_have_as_many_requests_as_the_limit_says(chain, monkeypatch):
    monkeypatch.setattr(messages, "MAX_REQUESTS_PER_SLOT", 1)
    chain.shuttle(1, 1).demand_valid(chain.configuration, 1)


@pytest.mark.parametrize("position", [0, 1])
def test_where_all_must_agree_the_statements_are_looked_at_beginning_with_the_successor_s(position):
    chain = MemoryChain(authentication="crc")
    chain.serve(0, put("k", "v"))
    whole, done = chain.result_shuttle(0), chain.slots[0]
    check = whole.check(done.result(), chain.configuration, whole.result_proof[position])
    assert [each.signer for each in check.agreeing] == [1 - position, position]


def test_the_second_of_the_chain_finds_fault_at_last_with_the_head_alone(chain):
    done, whole = chain.slots[0], chain.result_shuttle(0)
    forged = changed(
        whole, result_proof=tuple(changed(each, signature=bytes(64)) if each.signer == 2 else each for each in whole.result_proof)
    )
    unheeded = ResultCheck(whole.result_proof[1:], (), (), ())
    assert forged.check_head(unheeded, done.result(), chain.configuration, 1) == ()
