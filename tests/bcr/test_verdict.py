"""The verdict: it passes every correct run, fails every altered record, and does not know what was cut short."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from memory_chain import OLYMPUS_KEY, MemoryChain, append, changed, client_key, get, put, replica_author

from bcr.chain.proofs import Vouched
from bcr.chain.slots import ExecutedSlot
from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr.objects.dictionary import Operation
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Outcome, Request
from bcr.signed.violations import MalformedMessage
from bcr.state.running import RunningState, Snapshot
from bcr.verdict.exchanges import MAX_REASONS
from bcr.verdict.judge import Hindrance, judge
from bcr.verdict.record import RunRecord

# -- altering records


def with_exchange(record, client, place, change):
    """The record with `change` applied to one exchange of a client."""
    mine = list(record.clients[client].exchanges)
    mine[place] = change(mine[place])
    return with_exchanges(record, client, mine)


def with_exchanges(record, client, exchanges):
    clients = list(record.clients)
    clients[client] = changed(clients[client], exchanges=tuple(exchanges))
    return changed(record, clients=tuple(clients))


def with_answer(exchange, **fields):
    return changed(exchange, answer=changed(exchange.answer, **fields))


def with_other_results(exchange, *results):
    """The exchange with other results, which the replicas did not sign."""
    return with_answer(exchange, outcome=changed(exchange.answer.outcome, results=results))


def resigned(exchange, slot=None, results=None, signers=(0, 1, 2)):
    """The exchange as replicas would have signed it that agree on a lie."""
    answer = exchange.answer
    outcome = answer.outcome
    place = answer.slot if slot is None else slot
    outcome = Outcome(outcome.configuration, place, outcome.index, outcome.results if results is None else results)
    done = ExecutedSlot(answer.configuration, place, [exchange.request], [outcome])
    proof = [Signed.sign(done.result(), i, replica_author(i, answer.configuration)) for i in signers]
    statement = exchange.request.statement
    return changed(exchange, answer=done.answer(statement.client, statement.number, proof))


def verdict(chain, record=None):
    return judge(record or chain.record(), chain.workloads(), chain.client_window)


def struck(position, failure, configuration=0):
    """A fault that struck a replica, in the words of a scenario file."""
    return FaultPlan(configuration, position, Trigger("shuttle", 0, 0), Failure(failure), f"shuttle(0,0),{failure}()")


def fails(judgement, *words):
    """Whether the verdict is fail for a reason that has these words."""
    assert judgement.status == "fail", judgement
    assert any(all(word in reason for word in words) for reason in judgement.reasons), judgement.reasons
    return True


# -- a run as it happened


def test_a_correct_run_is_judged_pass(chain):
    assert verdict(chain).status == "pass"


@pytest.mark.parametrize("authentication", ["hmac", "crc"])
def test_a_run_with_another_authenticator_is_judged_as_well(authentication):
    chain = MemoryChain(authentication=authentication)
    chain.serve(0, put("k", "a"))
    chain.serve(1, append("k", "b"))
    chain.reconfigure()
    chain.serve(0, get("k"))
    assert verdict(chain).status == "pass"
    lie = with_exchange(chain.record(), 0, 1, lambda each: with_other_results(each, "a lie"))
    assert fails(verdict(chain, lie), "client 0, request 1")


def test_a_run_with_macs_cannot_be_checked_without_olympus_s_secret():
    chain = MemoryChain(authentication="hmac")
    chain.serve(0, put("k", "a"))
    assert fails(verdict(chain, changed(chain.record(), olympus_secret=b"")), "not Olympus's")
    assert fails(verdict(chain, changed(chain.record(), olympus_secret=bytes(32))), "not Olympus's")


@pytest.mark.parametrize("wrong, is_enough", [((0,), True), ((0, 1), True), ((0, 1, 2), False)])
def test_with_macs_one_statement_that_olympus_can_check_is_enough_of_those_that_convinced_the_client(wrong, is_enough):
    chain = MemoryChain(authentication="hmac")
    chain.serve(0, put("k", "a"))

    def spoil(exchange):
        proof = [changed(each, signature=bytes(len(each.signature))) if each.signer in wrong else each
                 for each in exchange.answer.proof]  # fmt: skip
        return with_answer(exchange, proof=tuple(proof))

    judgement = verdict(chain, with_exchange(chain.record(), 0, 0, spoil))
    assert judgement.status == "pass" if is_enough else fails(judgement, "NotEnoughStatements")


@pytest.mark.parametrize("acceptance", ["all", "quorum"])
def test_with_macs_too_the_client_s_answer_must_hold_a_statement_of_every_replica(acceptance):
    chain = MemoryChain(authentication="hmac", acceptance=acceptance)
    chain.serve(0, put("k", "a"))
    done = chain.slots[0]
    spoiled = tuple(changed(each, signature=bytes(len(each.signature))) for each in chain.orders_of(done, [2]))
    proof = chain.result_proof(done, [0, 1])
    covered = with_exchange(chain.record(), 0, 0, lambda each: with_answer(each, proof=proof, orders=spoiled))
    assert verdict(chain, covered).status == "pass"  # it did convince the client, as far as Olympus can tell
    of_other_requests = tuple(changed(each, statement=changed(each.statement, requests_digest=bytes(32))) for each in spoiled)
    for orders in ((), of_other_requests, tuple(changed(each, signer=1) for each in spoiled)):
        lacking = with_exchange(chain.record(), 0, 0, lambda each: with_answer(each, proof=proof, orders=orders))  # noqa: B023
        judgement = verdict(chain, lacking)
        assert judgement.status == "pass" if acceptance == "quorum" else fails(judgement, "NotFinal", "client 0, request 0")


# -- what makes a result final


@pytest.mark.parametrize("t", [1, 2, 3])
@pytest.mark.parametrize("acceptance", ["all", "quorum"])
def test_an_answer_without_the_testimony_of_a_replica_is_judged_fail_and_with_acceptance_quorum_pass(t, acceptance):
    chain = MemoryChain(t, acceptance=acceptance)
    chain.serve(0, put("k", "a"))
    done = chain.slots[0]
    for silent in chain.positions():
        others = chain.result_proof(done, [i for i in chain.positions() if i != silent])
        record = with_exchange(chain.record(), 0, 0, lambda each: with_answer(each, proof=others))  # noqa: B023
        judgement = verdict(chain, record)
        if acceptance == "quorum":
            assert judgement.status == "pass"
        else:
            assert fails(judgement, "client 0, request 0", "NotFinal", f"[{silent}]")
        standing_in = chain.orders_of(done, [silent])
        record = with_exchange(record, 0, 0, lambda each: with_answer(each, orders=standing_in))  # noqa: B023
        assert verdict(chain, record).status == "pass"


def test_an_answer_with_fewer_than_t_plus_1_equal_results_is_judged_fail_whatever_orders_stand_beside():
    chain = MemoryChain(t=2)
    chain.serve(0, put("k", "a"))
    done = chain.slots[0]
    proof, orders = chain.result_proof(done, [0, 1]), chain.orders_of(done, chain.positions())
    record = with_exchange(chain.record(), 0, 0, lambda each: with_answer(each, proof=proof, orders=orders))
    assert fails(verdict(chain, record), "NotEnoughStatements")


# -- what Olympus vouched for


def vouched_run(authentication="ed25519", **changes):
    """A run in which Olympus answers the second of three requests, when their configuration is replaced."""
    chain = MemoryChain(client_window=2, authentication=authentication)
    chain.serve(0, put("k", "a"))
    request = chain.send(0, append("k", "b"))
    done = chain.order(request)
    chain.reconfigure()
    chain.vouch(request, done, **changes)
    chain.serve(1, get("k"))
    return chain


@pytest.mark.parametrize("authentication", ["ed25519", "hmac", "crc"])
def test_a_run_in_which_olympus_vouched_for_an_answer_is_judged_pass(authentication):
    chain = vouched_run(authentication)
    assert chain.exchanges[0][1].answer.signed.statement.configuration == 0
    assert verdict(chain).status == "pass"
    assert decode(RunRecord, encode(chain.record())) == chain.record()


VOUCHERS = {
    "another outcome": ({"outcome": Outcome(0, 1, 0, ("fail",))}, "returned ('fail',), a replay gives ('OK',)"),
    "too many results": ({"outcome": Outcome(0, 1, 0, ("OK", "OK"))}, "too few or too many results"),
    "another number": ({"number": 0}, "a voucher for another request"),
    "another client": ({"client": 1}, "a voucher for another request"),
    "another digest": ({"request_digest": bytes(32)}, "a voucher for another request"),
    "a slot before its execution": ({"slot": 0}, "vouched for in slot 0, executed at configuration 0, slot 1"),
    "another's place": ({"outcome": Outcome(0, 0, 0, ("OK",))}, "executed at the place of another request"),
}


@pytest.mark.parametrize("alteration", VOUCHERS)
def test_a_voucher_that_is_wrong_is_judged_fail_though_olympus_signed_it(alteration):
    changes, words = VOUCHERS[alteration]
    assert fails(verdict(vouched_run(**changes)), "client 0, request 1", words)


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_a_voucher_that_olympus_did_not_sign_is_judged_fail(authentication):
    chain = vouched_run(authentication)

    def forge(exchange):
        signed = exchange.answer.signed
        return changed(exchange, answer=Vouched(Signed.sign(signed.statement, 0, chain.keys_at(0))))

    assert fails(verdict(chain, with_exchange(chain.record(), 0, 1, forge)), "client 0, request 1", "InvalidSignature")


def test_of_a_voucher_of_a_configuration_that_is_not_on_record_nothing_is_known():
    chain = vouched_run()
    assert verdict(chain, changed(chain.record(), configurations=chain.record().configurations[1:])).status == "unknown"


def test_with_macs_a_request_that_is_ordered_again_has_another_digest_and_is_the_same_one():
    chain = MemoryChain(authentication="hmac")
    first, second = chain.send(0, put("k", "a")), chain.send(1, append("k", "b"))
    chain.order(first, second)
    chain.accept(second)
    chain.reconfigure()
    again = Signed.sign(first.statement, 0, chain.keys_of("client_0"))
    chain.order(again)
    chain.accept(again)
    assert again.digest() != first.digest()
    assert verdict(chain).status == "pass"


def test_a_recorded_run_is_judged_pass(recorded_run):
    record, workloads = recorded_run
    assert judge(record, workloads, 1).status == "pass"
    assert sum(len(client.exchanges) for client in record.clients) == 17


EXCHANGE_ALTERATIONS = {
    "a result was altered": lambda each: with_other_results(each, "something else"),
    "a result was altered and its digests left": lambda each: with_answer(
        each, outcome=changed(each.answer.outcome, results=("something else",))
    ),
    "a statement was dropped from the proof": lambda each: with_answer(each, proof=each.answer.proof[1:]),
    "the proof is empty": lambda each: with_answer(each, proof=()),
    "one statement stands twice in the proof": lambda each: with_answer(each, proof=each.answer.proof[:1] * 2),
    "a statement has another signer": lambda each: with_answer(
        each, proof=(changed(each.answer.proof[0], signer=2), *each.answer.proof[1:])
    ),
    "a statement has no such signer": lambda each: with_answer(
        each, proof=(changed(each.answer.proof[0], signer=99), *each.answer.proof[1:])
    ),
    "a signature was altered": lambda each: with_answer(
        each, proof=(changed(each.answer.proof[0], signature=bytes(64)), *each.answer.proof[1:])
    ),
    "the slot of the answer was altered": lambda each: with_answer(each, slot=each.answer.slot + 1),
    "the place of the execution was altered": lambda each: with_answer(
        each, outcome=changed(each.answer.outcome, slot=each.answer.outcome.slot + 1)
    ),
    "the request was altered": lambda each: changed(
        each, request=changed(each.request, statement=changed(each.request.statement, operations=(get("other"),)))
    ),
    "the request's signature was altered": lambda each: changed(each, request=changed(each.request, signature=bytes(64))),
    "the request is another client's": lambda each: changed(each, request=changed(each.request, signer=1 - each.request.signer)),
}


@pytest.mark.parametrize("alteration", EXCHANGE_ALTERATIONS)
@pytest.mark.parametrize("client, place", [(0, 0), (0, -1), (1, 0), (1, -1)])
def test_a_recorded_run_is_judged_fail_where(recorded_run, alteration, client, place):
    record, workloads = recorded_run
    altered = with_exchange(record, client, place, EXCHANGE_ALTERATIONS[alteration])
    assert altered != record
    assert judge(altered, workloads, 1).status == "fail"


def test_two_swapped_slots_of_a_recorded_run_are_judged_fail(recorded_run):
    record, workloads = recorded_run
    one, other = record.clients[0].exchanges[:2]
    swapped = [changed(one, answer=other.answer), changed(other, answer=one.answer)]
    altered = with_exchanges(record, 0, [*swapped, *record.clients[0].exchanges[2:]])
    assert fails(judge(altered, workloads, 1), "client 0, request 0", "another request")


def test_a_statement_of_another_slot_in_a_proof_is_judged_fail(recorded_run):
    record, workloads = recorded_run
    borrowed = record.clients[0].exchanges[1].answer.proof
    altered = with_exchange(record, 0, 0, lambda each: with_answer(each, proof=borrowed))
    assert fails(judge(altered, workloads, 1), "NotEnoughStatements")


def test_another_final_state_of_a_recorded_run_is_judged_fail(recorded_run):
    record, workloads = recorded_run
    other = Snapshot.of(record.final_state.dictionary | {"zz": "intruder"}, ())
    snapshot = changed(other, outcomes=record.final_state.outcomes)
    assert fails(judge(changed(record, final_state=snapshot), workloads, 1), "recorded final state")


def test_a_forged_report_of_a_recorded_run_is_judged_fail(recorded_run):
    record, workloads = recorded_run
    forged = changed(record.replicas[1], statement=changed(record.replicas[1].statement, state_digest=bytes(32)))
    altered = changed(record, replicas=(record.replicas[0], forged, record.replicas[2]))
    assert fails(judge(altered, workloads, 1), "replica 1", "not signed by it")


def test_a_configuration_that_olympus_did_not_sign_is_judged_fail(recorded_run):
    record, workloads = recorded_run
    assert fails(judge(changed(record, olympus_key=bytes(32)), workloads, 1), "not Olympus's")


# -- lies that are properly signed


def test_an_altered_result_that_a_quorum_signed_is_judged_fail(chain):
    altered = with_exchange(chain.record(), 0, 1, lambda each: resigned(each, results=("a",)))
    assert fails(verdict(chain, altered), "client 0, request 1", "returned ('a',), a replay gives ('ab',)")


def test_two_swapped_slots_that_a_quorum_signed_are_judged_fail(chain):
    record = chain.record()
    altered = with_exchange(record, 0, 1, lambda each: resigned(each, slot=1))
    altered = with_exchange(altered, 1, 0, lambda each: resigned(each, slot=2))
    judgement = verdict(chain, altered)
    assert fails(judgement, "a replay gives ('a',)")
    assert fails(judgement, "was answered before client 0, request 1 was sent, but stands behind it")


def test_an_operation_that_returned_before_another_was_sent_but_stands_later_is_judged_fail():
    chain = MemoryChain()
    first = chain.send(0, put("one", "1"))
    chain.now_ns += 10
    second = chain.send(1, put("other", "2"))
    chain.order(second)
    chain.order(first)
    chain.accept(second)
    chain.accept(first)
    assert verdict(chain).status == "pass"  # both were under way
    early = with_exchange(chain.record(), 0, 0, lambda each: changed(each, accepted_ns=each.sent_ns + 1))
    assert fails(verdict(chain, early), "client 0, request 0 was answered before client 1, request 0 was sent")


def test_times_of_different_clocks_are_not_compared():
    chain = MemoryChain()
    first, second = chain.send(0, put("one", "1")), chain.send(1, put("other", "2"))
    chain.order(second, first)
    chain.accept(second)
    chain.accept(first)
    record = with_exchange(chain.record(), 0, 0, lambda each: changed(each, sent_ns=-9, accepted_ns=-8))
    assert verdict(chain, record).status == "fail"
    clients = (changed(record.clients[0], clock="another"), record.clients[1])
    assert verdict(chain, changed(record, clients=clients)).status == "pass"


def test_two_results_of_one_slot_are_judged_fail():
    chain = MemoryChain()
    one, other = chain.send(0, put("k", "1")), chain.send(1, put("q", "2"))
    done = chain.order(one, other)
    chain.accept(one)
    forged = chain.send(1, put("q", "2"))  # fills the place of `one` in what client 1 is told
    other_slot = ExecutedSlot(0, 0, [forged, other], done.outcomes)
    chain.requests[1].pop()
    chain.accept(other, other_slot)
    assert fails(verdict(chain), "slot 0 of configuration 0 has two results")


def test_an_answer_from_before_the_execution_is_judged_fail(chain):
    def from_slot_0(exchange):
        outcome = exchange.answer.outcome
        done = ExecutedSlot(0, 0, [exchange.request], [outcome])
        return changed(exchange, answer=done.answer(0, 1, chain.result_proof(done)))

    altered = with_exchange(chain.record(), 0, 1, from_slot_0)
    assert fails(verdict(chain, altered), "answered in slot 0, executed at configuration 0, slot 2")


def test_an_execution_in_a_slot_that_holds_another_request_is_judged_fail_though_the_run_was_cut_short(chain):
    def executed_in_slot_0(exchange):
        outcome = changed(exchange.answer.outcome, slot=0)
        done = ExecutedSlot(0, 2, [exchange.request], [outcome])
        return changed(exchange, answer=done.answer(0, 1, chain.result_proof(done)))

    altered = with_exchange(chain.record(), 0, 1, executed_in_slot_0)
    chain.requests[1].append(chain.requests[1][0])  # one more was to come
    assert verdict(chain).status == "unknown"
    assert fails(verdict(chain, altered), "client 0, request 1", "where another request stands")


def test_two_requests_executed_at_one_place_are_judged_fail(chain):
    altered = with_exchange(chain.record(), 1, 0, lambda each: resigned(each, slot=0))
    assert fails(verdict(chain, altered), "executed at the place of another request")


def test_a_request_that_is_not_in_the_workload_is_judged_fail(chain):
    workloads = chain.workloads()
    chain.serve(0, put("k", "uncalled for"))
    assert fails(judge(chain.record(), workloads, 1), "client 0, request 2", "the workload has 2 requests")


def test_a_request_that_its_client_signed_but_was_not_to_send_is_judged_fail(chain):
    workloads = chain.workloads()
    workloads[1] = [(put("k", "something else"),)]
    assert fails(judge(chain.record(), workloads, 1), "client 1, request 0", "not those of the workload")


def test_a_request_that_stands_in_the_record_twice_is_judged_fail(chain):
    record = chain.record()
    twice = with_exchanges(record, 0, [*record.clients[0].exchanges, record.clients[0].exchanges[0]])
    assert fails(verdict(chain, twice), "stands in the record twice")


@pytest.mark.parametrize("client", [-1, 2, 99])
def test_a_client_that_the_scenario_has_not_is_judged_fail(chain, client):
    stranger = changed(chain.record().clients[1], client=client)
    altered = changed(chain.record(), clients=(chain.record().clients[0], stranger))
    assert fails(verdict(chain, altered), "stands in the record of client")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_replica_s_changed_state_is_judged_fail(chain, position):
    reports = [chain.report(i, **({"state_digest": bytes(32)} if i == position else {})) for i in chain.positions()]
    altered = changed(chain.record(), replicas=tuple(reports))
    assert fails(verdict(chain, altered), f"replica {position} of", "final state is not the one that a replay")


def test_a_faulty_replica_s_report_does_not_count(chain):
    reports = (chain.report(0, state_digest=bytes(32)), chain.report(1), chain.report(2))
    altered = changed(chain.record(), replicas=reports)
    assert verdict(chain, changed(altered, faults=(struck(0, "extra_op"),))).status == "pass"
    assert verdict(chain, changed(altered, faults=(struck(0, "extra_op", configuration=1),))).status == "fail"


def test_a_replica_whose_faults_do_not_touch_its_state_is_held_to_it(chain):
    reports = (chain.report(0, state_digest=bytes(32)), chain.report(1), chain.report(2))
    altered = changed(chain.record(), replicas=reports, faults=(struck(0, "sleep"),))
    assert fails(verdict(chain, altered), "replica 0 of", "final state is not the one that a replay")


def test_a_replica_that_a_fault_struck_owes_no_final_report(chain):
    without = changed(chain.record(), replicas=(chain.report(0), chain.report(1)))
    assert verdict(chain, without).status == "unknown"
    assert verdict(chain, changed(without, faults=(struck(2, "pause"),))).status == "pass"
    assert verdict(chain, changed(without, faults=(struck(2, "fail_link"),))).status == "unknown"


def test_the_account_of_a_wedged_replica_is_no_final_report(chain):
    reports = (chain.report(0, state_digest=None), chain.report(1), chain.report(2))
    assert verdict(chain, changed(chain.record(), replicas=reports)).status == "unknown"


def test_all_replicas_in_one_wrong_state_are_judged_fail(chain):
    chain.state.apply(put("a", "a"))
    assert fails(verdict(chain), "final state is not the one that a replay")


def test_replicas_in_different_states_behind_one_slot_are_judged_fail_though_the_run_was_cut_short(chain):
    chain.requests[1].append(chain.requests[1][0])  # one more was to come
    assert verdict(chain).status == "unknown"
    altered = changed(chain.record(), replicas=(chain.report(0, state_digest=bytes(32)), chain.report(1)))
    assert fails(verdict(chain, altered), "not that of another replica behind the same slot")


@pytest.mark.parametrize("position", [-1, 3, 99])
def test_a_report_of_a_replica_that_is_not_there_is_judged_fail(chain, position):
    forged = chain.report(0, position=position)
    altered = changed(chain.record(), replicas=(*chain.record().replicas, forged))
    assert fails(verdict(chain, altered), "not signed by it")


def test_two_configurations_of_one_number_are_judged_fail(chain):
    other = MemoryChain(t=2)
    altered = changed(chain.record(), configurations=(*chain.issued, *other.issued))
    assert fails(verdict(chain, altered), "two configurations 0")


def test_a_proof_of_another_configuration_is_judged_fail(chain):
    chain.reconfigure()
    request = chain.serve(1, get("k"))
    borrowed = [Signed.sign(chain.slots[0].result(), i, replica_author(i, 0)) for i in range(2)]
    altered = with_exchange(chain.record(), 1, 1, lambda each: with_answer(each, proof=tuple(borrowed)))
    assert request.statement.number == 1
    assert verdict(chain).status == "pass"
    assert fails(verdict(chain, altered), "NotEnoughStatements")


def test_a_request_executed_again_by_the_next_configuration_is_judged_fail():
    chain = MemoryChain()
    chain.serve(0, put("k", "a"))
    request = chain.serve(0, append("k", "b"))
    chain.reconfigure()
    chain.state = RunningState.restored(chain.state.snapshot(), 1)
    chain.state.outcomes.clear()  # the table of what was executed did not come along
    chain.order(request)
    chain.serve(0, get("k"))
    assert fails(verdict(chain), "returned ('abb',), a replay gives ('ab',)")


def test_reasons_are_bounded(chain):
    workloads = [[]]
    for number in range(3 * MAX_REASONS):
        chain.serve(1, put("k", str(number)))
    assert len(judge(chain.record(), workloads, 1).reasons) == MAX_REASONS + 1


# -- what was cut short


@st.composite
def truncations(draw, record):
    """The record without some of what it holds."""

    def some(items):
        return tuple(each for each in items if draw(st.booleans()))

    clients = tuple(changed(client, exchanges=some(client.exchanges)) for client in some(record.clients))
    return changed(
        record,
        configurations=some(record.configurations),
        clients=clients,
        replicas=some(record.replicas),
        final_state=draw(st.sampled_from([None, record.final_state])),
    )


@given(data=st.data())
def test_a_truncated_record_is_unknown_and_never_fail(recorded_run, data):
    record, workloads = recorded_run
    truncated = data.draw(truncations(record))
    assume(truncated != record)
    assert judge(truncated, workloads, 1).status == "unknown"


def test_a_record_of_nothing_is_unknown():
    judgement = judge(RunRecord(b"", (), (), ()), [[(get("k"),)]], 1)
    assert judgement.status == "unknown"
    assert "client 0: 0 of 1 requests answered" in judgement.reasons


def test_the_first_slot_s_request_may_be_the_one_that_is_missing():
    chain = MemoryChain()
    chain.serve(0, put("k", "a"))
    chain.serve(1, get("k"))
    record = with_exchanges(chain.record(), 0, [])
    assert verdict(chain, record).status == "unknown"


def test_an_answer_from_a_later_slot_does_not_tell_the_size_of_the_slot_of_the_execution():
    chain = MemoryChain(client_window=2)
    one, other, third = chain.send(0, put("k", "a")), chain.send(1, append("k", "b")), chain.send(0, get("k"))
    chain.order(one, other)
    chain.order(third)
    chain.order(one)
    for request in (one, other, third):
        chain.accept(request)
    assert verdict(chain).status == "pass"
    assert verdict(chain, with_exchanges(chain.record(), 1, [])).status == "unknown"


# -- any interleaving

OPERATIONS = st.one_of(
    st.builds(lambda key, value: Operation("put", key, value), st.sampled_from("pq"), st.sampled_from(["", "x", "yz"])),
    st.builds(lambda key, value: Operation("append", key, value), st.sampled_from("pq"), st.sampled_from(["u", "vw"])),
    st.builds(lambda key: Operation("get", key), st.sampled_from("pqr")),
    st.builds(lambda key, bounds: Operation("slice", key, bounds), st.sampled_from("pq"), st.sampled_from(["0:1", "1:9"])),
)


@st.composite
def correct_runs(draw, steps=40):
    """A run without failures: windows, batches, requests ordered twice, late answers, reconfigurations, vouchers."""
    window, batch = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    clients = draw(st.integers(1, 3))
    chain = MemoryChain(draw(st.integers(1, 2)), clients, window)
    arrived, unanswered = [], {}  # what the head has yet to order; (client, number) -> request
    for _ in range(draw(st.integers(1, steps))):
        step = draw(st.sampled_from(["send", "send", "order", "order", "accept", "accept", "again", "reconfigure"]))
        if step == "send":
            client = draw(st.integers(0, clients - 1))
            oldest = min((number for mine, number in unanswered if mine == client), default=len(chain.requests[client]))
            if len(chain.requests[client]) < oldest + window:
                request = chain.send(client, *draw(st.lists(OPERATIONS, min_size=1, max_size=3)))
                arrived.append(request)
                unanswered[client, request.statement.number] = request
        elif step == "order" and arrived:
            chain.order(*arrived[:batch])
            del arrived[:batch]
        elif step == "accept":
            answerable = [(request, slot) for request in unanswered.values() for slot in all_slots(chain) if request in slot.requests]
            if answerable:
                request, slot = draw(st.sampled_from(answerable))
                chain.accept(request, slot)
                del unanswered[request.statement.client, request.statement.number]
        elif step == "again" and unanswered:
            arrived.append(draw(st.sampled_from(list(unanswered.values()))))
        elif step == "reconfigure" and draw(st.booleans()):
            ended = chain.slots
            chain.retired = [*all_slots(chain)]
            chain.reconfigure()
            for key, request in list(unanswered.items()):
                done = next((slot for slot in reversed(ended) if request in slot.requests), None)
                if done is not None and draw(st.booleans()):
                    chain.vouch(request, done)
                    del unanswered[key]
    return chain


def all_slots(chain):
    """The slots of this and of earlier configurations, in order."""
    return [*getattr(chain, "retired", []), *chain.slots]


def finish(chain):
    """Order and answer whatever has been sent."""
    answered = {(k, each.request.statement.number) for k, mine in chain.exchanges.items() for each in mine}
    for client, mine in chain.requests.items():
        for request in mine:
            if (client, request.statement.number) not in answered:
                chain.order(request)
                chain.accept(request)


@given(correct_runs())
def test_any_failure_free_interleaving_is_judged_pass(chain):
    cut_short = verdict(chain)
    assert cut_short.status in ("pass", "unknown"), cut_short
    finish(chain)
    finished = verdict(chain)
    assert finished.status == "pass", finished


@given(correct_runs(), st.data())
def test_any_failure_free_interleaving_with_a_truncated_record_is_not_judged_fail(chain, data):
    assert verdict(chain, data.draw(truncations(chain.record()))).status != "fail"


@given(correct_runs(), st.data())
def test_any_signed_lie_about_a_result_is_judged_fail(chain, data):
    finish(chain)
    record = chain.record()
    with_answers = [client.client for client in record.clients if client.exchanges]
    assume(with_answers)
    client = data.draw(st.sampled_from(with_answers))
    place = data.draw(st.integers(0, len(record.clients[client].exchanges) - 1))
    exchange = record.clients[client].exchanges[place]
    results = exchange.answer.outcome.results
    lie = resigned_in_place(exchange, (*results[:-1], results[-1] + "!"))
    assert verdict(chain, with_exchange(record, client, place, lambda _: lie)).status == "fail"


def resigned_in_place(exchange, results):
    """The exchange with other results, signed by all replicas, or by Olympus, in the slot where it stands."""
    if isinstance(exchange.answer, Vouched):
        honest = exchange.answer.signed.statement
        lie = changed(honest, outcome=changed(honest.outcome, results=results))
        return changed(exchange, answer=Vouched(Signed.sign(lie, 0, OLYMPUS_KEY)))
    lie = with_other_results(exchange, *results)
    number = lie.answer.configuration
    signers = range(len(exchange.answer.proof))
    proof = tuple(Signed.sign(lie.answer.result(), i, replica_author(i, number)) for i in signers)
    return with_answer(lie, proof=proof)


# -- any bytes


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_record_with_a_flipped_byte_is_malformed_or_judged_and_never_an_error(recorded_run, place, flip):
    record, workloads = recorded_run
    data = bytearray(encode(record))
    data[place % len(data)] ^= flip
    try:
        altered = decode(RunRecord, bytes(data))
    except MalformedMessage:
        return
    assert judge(altered, workloads, 1).status in ("pass", "fail", "unknown")


def test_a_record_reads_back_as_it_was_written(chain):
    record = chain.record()
    assert decode(RunRecord, encode(record)) == record


def test_a_request_number_out_of_turn_is_judged_fail(chain):
    request = Signed.sign(Request(0, 7, (get("k"),)), 0, client_key(0))
    chain.sent_ns[0, 7] = chain.now_ns
    chain.order(request)
    chain.accept(request)
    assert fails(verdict(chain), "client 0, request 7", "the workload has 2 requests")


# -- a run that was given up


def given_up(chain, record=None, **more):
    return judge(record or chain.record(), chain.workloads(), chain.client_window, given_up="nothing moved", **more)


@pytest.fixture
def stalled(chain):
    """A run in which one request was sent and never answered, though all clients and replicas accounted for themselves."""
    chain.requests[1].append(chain.requests[1][0])
    return chain


def test_a_run_that_was_given_up_though_answers_are_owed_is_judged_fail(stalled):
    assert verdict(stalled).status == "unknown"
    assert fails(given_up(stalled), "nothing moved, and the protocol owes the answers")
    assert fails(given_up(stalled), "client 1: 1 of 2 requests answered")


def test_a_full_disk_leaves_nothing_owed(stalled):
    full = Hindrance("client_1: the log cannot be written: No space left on device")
    judgement = judge(stalled.record(), stalled.workloads(), stalled.client_window, given_up=full)
    assert judgement.status == "unknown"
    assert judgement.reasons[0] == full


def test_t_faults_are_no_excuse_and_more_are(stalled):
    one, both = (struck(2, "crash"),), (struck(2, "crash"), struck(1, "change_result"))
    assert fails(given_up(stalled, changed(stalled.record(), faults=one)), "owes")
    judgement = given_up(stalled, changed(stalled.record(), faults=both))
    assert judgement.status == "unknown"
    assert "more than t = 1 replicas of configuration 0 were faulty or gave no account: 1, 2" in judgement.reasons


def test_faults_of_different_configurations_are_not_added_up(stalled):
    stalled.reconfigure()
    faults = (struck(2, "crash"), struck(1, "change_result", configuration=1))
    assert fails(given_up(stalled, changed(stalled.record(), faults=faults)), "owes")


def test_who_only_slept_is_not_faulty_unless_it_slept_to_the_end(stalled):
    asleep = tuple(changed(struck(i, "sleep"), failure=Failure("sleep", 900)) for i in range(3))
    record = changed(stalled.record(), faults=asleep)
    assert fails(given_up(stalled, record, patience_ms=900), "owes")
    assert given_up(stalled, record, patience_ms=899).status == "unknown"
    twice = changed(record, faults=asleep * 2)
    assert given_up(stalled, twice, patience_ms=900).status == "unknown"


def test_who_gave_no_account_may_have_been_killed(stalled):
    one, two = stalled.record().replicas[1:], stalled.record().replicas[2:]
    assert fails(given_up(stalled, changed(stalled.record(), replicas=one)), "owes")
    judgement = given_up(stalled, changed(stalled.record(), replicas=two))
    assert judgement.status == "unknown"
    assert any("gave no account: 0, 1" in reason for reason in judgement.reasons)


def test_a_client_that_did_not_live_to_the_end_is_owed_nothing(stalled):
    without_one = changed(stalled.record(), clients=stalled.record().clients[:1])
    judgement = given_up(stalled, without_one)
    assert judgement.status == "unknown"
    assert "client 1 did not live to the end" in judgement.reasons


def test_a_service_that_did_not_begin_owes_nothing():
    judgement = judge(RunRecord(b"", (), (), ()), [[(get("k"),)]], 1, given_up="no node")
    assert judgement.status == "unknown"
    assert judgement.reasons[:2] == ("no node", "the service did not begin")


def test_a_run_that_was_given_up_when_all_was_answered_is_unknown(chain):
    assert given_up(chain).status == "unknown"


# -- clients that lie


def chain_with_a_liar():
    """Client 0 is honest; client 1 has put something in between that is not in its workload."""
    chain = MemoryChain()
    chain.serve(0, put("k", "a"))
    chain.serve(1, append("k", "!"))
    chain.serve(0, get("k"))
    return chain


def judged_with_a_liar(chain, record=None):
    workloads = [chain.workloads()[0], [(get("something else"),)]]
    return judge(record or chain.record(), workloads, chain.client_window, liars={1})


def test_what_a_lying_client_had_executed_and_recorded_with_its_proof_is_replayed():
    chain = chain_with_a_liar()
    assert judge(chain.record(), [chain.workloads()[0], []], 1).status == "fail"
    assert judged_with_a_liar(chain) == judge(chain.record(), chain.workloads(), 1)  # a pass without reservations
    lie = with_exchange(chain.record(), 0, 1, lambda each: resigned(each, results=("a",)))
    assert fails(judged_with_a_liar(chain, lie), "client 0, request 1", "returned ('a',), a replay gives ('a!',)")


def test_what_a_lying_client_keeps_from_the_record_ends_the_replay_and_the_pass_says_so():
    chain = chain_with_a_liar()
    silent = with_exchanges(chain.record(), 1, [])
    judgement = judged_with_a_liar(chain, silent)
    assert judgement.status == "pass"
    assert judgement.reasons == ("1 of 2 results replayed, and not the final state: what else was executed only clients know that lie",)


def test_a_result_behind_the_end_of_the_replay_has_to_be_that_of_the_final_state():
    chain = chain_with_a_liar()
    silent = with_exchanges(chain.record(), 1, [])
    lie = with_exchange(silent, 0, 1, lambda each: resigned(each, results=("a",)))
    assert fails(judged_with_a_liar(chain, lie), "client 0, request 1: accepted as", "the final state holds")


def test_an_accepted_result_that_the_final_state_has_lost_is_judged_fail():
    chain = chain_with_a_liar()
    chain.state.outcomes.pop(0)
    silent = with_exchanges(chain.record(), 1, [])
    assert fails(judged_with_a_liar(chain, silent), "client 0, request 1: accepted, and not in the recorded final state")


@pytest.mark.parametrize("alteration", EXCHANGE_ALTERATIONS)
def test_nothing_that_a_lying_client_recorded_makes_a_run_fail(alteration):
    chain = chain_with_a_liar()
    altered = with_exchange(chain.record(), 1, 0, EXCHANGE_ALTERATIONS[alteration])
    assert altered != chain.record()
    assert judged_with_a_liar(chain, altered).status == "pass"


def test_a_final_state_that_is_explained_does_not_hide_that_a_liar_s_request_is_missing_before_it():
    chain = MemoryChain()
    chain.serve(1, put("k", "!"))
    chain.serve(0, get("k"))
    chain.serve(1, put("m", "later"))
    chain.serve(0, put("k", "over"))
    first_left_out = with_exchanges(chain.record(), 1, chain.record().clients[1].exchanges[1:])
    assert judged_with_a_liar(chain, first_left_out).status == "pass"
    assert judged_with_a_liar(chain).status == "pass"


def test_requests_of_a_lying_client_with_one_number_do_not_stand_in_each_other_s_place():
    chain = chain_with_a_liar()
    again = chain.record().clients[1].exchanges[0]
    twice = with_exchanges(chain.record(), 1, [again, again])
    assert judged_with_a_liar(chain, twice).status == "pass"


def test_a_lying_client_that_did_nothing_leaves_nothing_unchecked(chain):
    workloads = [*chain.workloads(), [(get("k"),)]]
    assert judge(chain.record(), workloads, chain.client_window, liars={2}) == verdict(chain)
    chain.state.apply(put("a", "a"))
    final = changed(chain.record(), final_state=chain.state.snapshot())
    judgement = judge(final, workloads, chain.client_window, liars={2})
    assert judgement.status == "pass"  # it may have put that there, for all that anybody knows
    assert "3 of 3 results replayed, and not the final state" in judgement.reasons[0]
