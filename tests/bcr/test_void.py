"""A request that was left out and the void one in its place have one number, and answers say which of the two was executed (specification, 4.8)."""

import pytest
from memory_chain import OLYMPUS_KEY, MemoryChain, append, changed, get, put

from bcr.chain.outstanding import NO_ROOM, OutstandingRequest
from bcr.chain.proofs import Vouched
from bcr.chain.void import VOID, AnswerToOther, is_void, void_instead_of
from bcr.evidence.verifying import verify_record
from bcr.signed.signing import Signed
from bcr.signed.statements import Rejection, Request, Voucher
from bcr.verdict.judge import judge
from bcr.verdict.record import RejectedRequest
from bcr_client.proof import BadProof, Proof, nonce_operation

KINDS = ["answer", "voucher"]


def void_of(chain, request, operations=None):
    """The void request in the place of one, as its client signs it now."""
    statement = request.statement
    instead = Request(statement.client, statement.number, operations or void_instead_of(statement.operations))
    return Signed.sign(instead, statement.client, chain.keys_of(f"client_{statement.client}"))


def answered(chain, request, kind):
    """What whoever sent a request has for it, that stands in the last slot: an answer of replicas, or a voucher of Olympus."""
    client, number = request.statement.client, request.statement.number
    done = chain.slots[-1]
    if kind == "answer":
        return done.answer(client, number, chain.result_proof(done))
    found = done.latest_answer(client, number)
    voucher = Voucher(done.configuration, done.slot, client, number, found.request_digest, found.outcome)
    return Vouched(Signed.sign(voucher, 0, chain.keys_of("olympus")))


def with_other_results(answer, *results):
    """The answer with results that nobody signed."""
    outcome = changed(answer.outcome, results=results)
    if isinstance(answer, Vouched):
        return Vouched(changed(answer.signed, statement=changed(answer.signed.statement, outcome=outcome)))
    return changed(answer, outcome=outcome)


def left_out_and_executed(kind, *operations, authentication="ed25519"):
    """A chain whose client 0 left out a request that was executed, and has its outcome in answer to the void one."""
    chain = MemoryChain(authentication=authentication)
    asked = chain.send(0, *operations)
    chain.order(asked)
    chain.reconfigure()
    void = void_of(chain, asked)
    chain.order(void)
    chain.take(asked, AnswerToOther(void, answered(chain, void, kind)))
    chain.serve(1, get("k"))
    return chain, asked


def verdict(chain, record=None):
    return judge(record or chain.record(), chain.workloads(), chain.client_window)


def with_first(record, **fields):
    """The record with something else about the first exchange of client 0."""
    first, *others = record.clients[0].exchanges
    return with_client(record, exchanges=(changed(first, **fields), *others))


def with_client(record, **fields):
    return changed(record, clients=(changed(record.clients[0], **fields), *record.clients[1:]))


@pytest.mark.parametrize("count", [1, 2, 3, 1_000])
def test_what_takes_the_number_of_a_request_has_another_number_of_results(count):
    instead = void_instead_of((get("k"),) * count)
    assert is_void(instead) and len(instead) != count


def test_nothing_is_void_that_asks_for_something_for_nothing_at_all_or_for_more_than_it_takes():
    assert is_void(VOID) and is_void(VOID * 2)
    assert not any(map(is_void, ((), VOID * 3, (*VOID, get("k")), (get("k"),))))


@pytest.mark.parametrize("operations", [(put("k", "a"),), (put("k", "a"), get("k"))])
def test_whichever_of_the_two_an_answer_names_its_results_tell_which_was_executed(operations):
    chain = MemoryChain()
    asked = chain.send(0, *operations)
    void = void_of(chain, asked)
    waiting = OutstandingRequest(void, 0, left_out=asked, why=NO_ROOM)
    for named in (asked, void):
        assert waiting.executed(named, len(operations)) is asked
        assert waiting.executed(named, len(void.statement.operations)) is void
        assert waiting.executed(named, 7) is named  # which has not as many either, and so that is no answer
    assert OutstandingRequest(asked, 0).executed(asked, len(void.statement.operations)) is asked


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_to_the_void_one_that_is_the_outcome_of_the_other_is_taken_for_that(kind):
    chain = MemoryChain()
    asked = chain.send(0, put("k", "a"))
    chain.order(asked)
    chain.reconfigure()
    void = void_of(chain, asked)
    chain.order(void)
    waiting, answer = OutstandingRequest(void, 0, left_out=asked, why=NO_ROOM), answered(chain, void, kind)
    assert waiting.taken(void, answer) == AnswerToOther(void, answer)
    assert (waiting.signed, waiting.left_out) == (asked, None)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_to_the_one_that_was_left_out_that_is_the_outcome_of_the_void_one_is_a_refusal(kind):
    chain = MemoryChain()
    asked = chain.send(0, put("k", "a"))
    void = void_of(chain, asked)
    chain.order(void)
    chain.reconfigure()
    chain.order(asked)  # which a liar has passed on
    waiting = OutstandingRequest(void, 0, left_out=asked, why=NO_ROOM)
    waiting.taken(asked, answered(chain, asked, kind))
    assert (waiting.signed, waiting.left_out) == (void, asked)


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operations", [(put("k", "a"),), (put("k", "a"), get("k"))])
def test_what_an_answer_to_the_void_one_tells_is_judged_as_any_other(kind, operations, authentication):
    chain, _ = left_out_and_executed(kind, *operations, authentication=authentication)
    assert verdict(chain).status == "pass"
    recorded = chain.record().clients[0].exchanges[0].answer
    lie = changed(recorded, answer=with_other_results(recorded.answer, *["a lie"] * len(operations)))
    assert verdict(chain, with_first(chain.record(), answer=lie)).status == "fail"


@pytest.mark.parametrize("kind", KINDS)
def test_verify_takes_it_for_what_it_is(kind):
    chain, _ = left_out_and_executed(kind, put("k", "a"))
    verification = verify_record(chain.record(), OLYMPUS_KEY.public)
    assert verification.refused == ()
    by = "replicas: 2 results" if kind == "answer" else "Olympus: 1 results"
    assert any(by in each for each in verification.proved), verification.proved


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "forge",
    [
        lambda chain, asked: void_of(chain, asked, VOID),  # which has as many results as the one that was left out
        lambda chain, asked: void_of(chain, asked, (append("k", "b"), get("k"))),
        lambda chain, asked: changed(void_of(chain, asked), signature=bytes(64)),
        lambda chain, asked: void_of(chain, chain.send(0, get("k"))),  # of another number
        lambda chain, asked: void_of(chain, chain.send(1, get("k"))),  # of another client
    ],
)
def test_an_answer_that_names_what_does_not_take_the_place_of_the_request_is_none(kind, forge):
    chain, asked = left_out_and_executed(kind, put("k", "a"))
    record, workloads = chain.record(), chain.workloads()
    void = forge(chain, asked)
    forged = AnswerToOther(void, record.clients[0].exchanges[0].answer.answer)
    assert judge(with_first(record, answer=forged), workloads, chain.client_window).status == "fail"


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_of_it_holds_and_an_altered_one_does_not(kind):
    chain, asked = left_out_and_executed(kind, put("k", "a"), nonce_operation("once"))
    recorded = chain.record().clients[0].exchanges[0].answer
    shown = Proof.of(chain.issued[-1], asked, recorded, "once").check(OLYMPUS_KEY.public)
    assert (shown.results, shown.place) == (("OK", ""), (0, 0, 0))
    for other in (recorded.answer, AnswerToOther(void_of(chain, asked, VOID * 2), recorded.answer)):
        with pytest.raises(BadProof):
            Proof.of(chain.issued[-1], asked, other, "once").check(OLYMPUS_KEY.public)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_void_executed", [True, False])
def test_who_takes_a_request_for_rejected_that_was_executed_is_found_wrong(kind, is_void_executed):
    chain = MemoryChain()
    asked = chain.send(0, put("k", "a"))
    void = void_of(chain, asked)
    said = [Rejection(0, 0, 0, asked.statement.digest(), NO_ROOM)] * 2
    rejections = tuple(chain.sign(each, position) for position, each in enumerate(said))
    chain.order(void if is_void_executed else asked)
    chain.reconfigure()
    chain.order(asked)  # which a liar has passed on
    chain.take(asked, AnswerToOther(asked, answered(chain, asked, kind)))
    record = chain.record()
    instead = changed(record.clients[0].exchanges[0], request=void)
    record = with_client(record, exchanges=(), rejected=(RejectedRequest(asked, rejections, instead),))
    assert verdict(chain, record).status == ("pass" if is_void_executed else "fail")
