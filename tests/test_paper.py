"""The specification sentence by sentence: each test is named after one, and quotes its paragraph of docs/protocol.md.

Two kinds: what can be decided without a network is asked of `bcr` with the statements of a chain in memory; what processes do
is read off the story of a small simulated run (bcr_sim.transcript). Each quoted text stands in its paragraph, word by word.
"""

import functools
import inspect
import pickle
import re
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from memory_chain import MemoryChain, append, changed, get, key_of, make_configuration, put, replica_author, three_slots
from test_citations import RULES, SPECIFICATION, paragraphs

from bcr.chain import limits
from bcr.chain.configuration import demand_issued
from bcr.chain.early import EarlyMessages
from bcr.chain.history import Validation, ValidHistory, validate
from bcr.chain.messages import Accusation, PublicKey, Shuttle
from bcr.chain.outstanding import OutstandingRequest
from bcr.chain.pauses import Pauses
from bcr.chain.proofs import Vouched, check_checkpoint_proof, check_result_proof
from bcr.chain.quorum import are_consistent, candidates, plan_for, withholders
from bcr.chain.reconfiguration import Reconfiguration
from bcr.chain.request_queue import RequestQueue
from bcr.chain.settings import Settings
from bcr.chain.slot_room import SlotRoom, request_bytes
from bcr.chain.slots import SeenSlot
from bcr.chain.state_proof import KeyProof
from bcr.objects import dictionary as objects
from bcr.objects import store_operations
from bcr.objects.finding import named
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES, StateLimits
from bcr.scenario import parse_scenario
from bcr.signed.authentication import sizes
from bcr.signed.encoding import decode, encode
from bcr.signed.pieces import Assembler, signed_pieces
from bcr.signed.signing import Signed
from bcr.signed.statements import Checkpoint, Order, Rejection, Request, Voucher, tree_over
from bcr.signed.violations import (
    LONGEST_WHAT,
    MAX_NOTICES_KEPT,
    BeyondLimits,
    ContradictoryOrder,
    DisagreeingResult,
    Equivocation,
    Hole,
    IncompleteProof,
    InvalidSignature,
    MalformedMessage,
    NotEnoughStatements,
    NotFinal,
    OverLimit,
    SecondOrder,
    UnknownSigner,
)
from bcr.state.running import RunningState
from bcr_runtime.places import PROJECT
from bcr_sim.simulated_run import simulate
from bcr_sim.transcript import told

MOST_SLOTS = 10

# -- runs


class Run:
    """The story of a simulated run."""

    def __init__(self, text):
        with tempfile.TemporaryDirectory() as folder:
            self.outcome, lines = told(parse_scenario(text, "paper.config")[0], Path(folder))
        assert self.outcome.breaches == ()
        found = [re.fullmatch(r" *(\d+)  (\S+) +(.*)", line) for line in lines[:-3]]
        self.lines = [(int(each[1]), each[2], each[3]) for each in found]

    def when(self, who, what):
        """The milliseconds at which this process (a pattern) did something that begins so (a pattern)."""
        return [ms for ms, name, said in self.lines if re.fullmatch(who, name) and re.match(what, said)]

    def who(self, what):
        """The processes that did it, in order."""
        return [name for _, name, said in self.lines if re.match(what, said)]

    def where(self, who, what):
        """The numbers of the lines."""
        return [i for i, (_, name, said) in enumerate(self.lines) if re.fullmatch(who, name) and re.match(what, said)]


FIXED = "t = 1\nsimulation = seed(1); delay(1000,1000)\n"
PATIENCE = "client_timeout = 100\nhead_timeout = 50\nnonhead_timeout = 50\n"
WORK = "num_client = 1\nworkload[0] = put('k','a'); append('k','b'); append('k','c'); get('k')\n"


@functools.cache
def run(more, text=FIXED + WORK):
    """The run of this scenario; one and the same for tests that look at the same one."""
    return Run(text + more)


def fault_free():
    return run("")


def crashed():
    """The middle dies while the second request is on its way."""
    return run(PATIENCE + "failures[0,1] = shuttle(0,1),crash()\n")


def slow_tail():
    """The tail sleeps, and the client does not wait so long."""
    return run("client_timeout = 20\nfailures[0,2] = shuttle(0,1),sleep(100)\n")


def checkpoints():
    return run("checkpt_interval = 2\n")


@pytest.fixture
def chain():
    return three_slots()


# -- 1. Roles


def test_every_reconfiguration_replaces_all_replicas_by_new_processes_with_new_keys():
    """[1.2] Every reconfiguration replaces all replicas by new processes with new keys and ends the old ones"""
    first, second = (signed.statement.replicas for signed in crashed().outcome.record.configurations)
    assert not {each.public_key for each in first} & {each.public_key for each in second}
    assert not {each.address for each in first} & {each.address for each in second}


def test_a_replica_never_becomes_active_again():
    """[1.2] It never becomes active again."""
    names = crashed().who("is active in configuration")
    assert len(names) == len(set(names)) == 6


def test_a_client_has_no_more_outstanding_than_its_window():
    """[1.3] none outstanding that is `client_window` or more behind the next one"""
    found = run("client_window = 2\n")
    outstanding, most = 0, 0
    for _, name, said in found.lines:
        outstanding += (name, said[:26]) == ("client_0", "sends replica_0: client_re") or 0
        outstanding -= name == "client_0" and said.startswith("accepts request")
        most = max(most, outstanding)
    assert most == 2


def test_a_process_makes_its_key_known_under_a_secret():
    """[1.4] A process makes its key known (`public_key`) under a MAC with that secret"""
    enrolled = PublicKey.enrol("replica_0", b"k" * 32, b"s" * 32)
    enrolled.demand_secret(b"s" * 32)
    for other in (changed(enrolled, key=b"l" * 32), changed(enrolled, name="replica_1")):
        with pytest.raises(InvalidSignature):
            other.demand_secret(b"s" * 32)


def test_a_configuration_is_signed_with_the_addresses_of_replicas_and_clients(chain):
    """[1.5] holds its number, t, the authenticator, the acceptance (3.6), and the public keys and
    addresses of the replicas in chain order and of the clients by number"""
    signed, keys = chain.issued[0], key_of("client_0")
    assert demand_issued(signed, key_of("olympus").public, keys).number == 0
    for members in ("replicas", "clients"):
        elsewhere = tuple(changed(each, address="elsewhere") for each in getattr(signed.statement, members))
        forged = changed(signed, statement=changed(signed.statement, **{members: elsewhere}))
        with pytest.raises(InvalidSignature):
            demand_issued(forged, key_of("olympus").public, keys)


def test_messages_are_decoded_by_a_fixed_schema_and_never_unpickled(chain):
    """[1.6] Messages are decoded by a fixed schema and never unpickled."""
    for payload in (pickle.dumps(("shuttle", 0)), encode(chain.result_shuttle(0)), encode(chain.shuttle(0, 1))[:-1]):
        with pytest.raises(MalformedMessage):
            decode(Shuttle, payload)
    sources = [path for path in (SPECIFICATION.parents[1] / "src").rglob("*") if path.suffix in (".da", ".py")]
    ours = [path for path in sources if "dacurrent" not in path.parts and path.is_file()]
    assert [path.name for path in ours if re.search(r"^\s*(?:import|from) pickle", path.read_text(), re.MULTILINE)] == []


def test_olympus_s_own_messages_are_believed_for_their_signature():
    """[1.6] What counts in a message is signed inside, Olympus's own messages included"""
    for kind in ("wedge_request", "get_running_state", "configuration"):
        found = run(f"failures[0,1] = shuttle(0,1),forge({kind})\n")
        assert found.who("is struck by") == ["replica_1"]
        assert found.who("is immutable") == []
        assert found.outcome.result["results"][0] == ["OK", "OK", "OK", "abc"]


# -- 2. Statements and proofs


def test_no_statement_passes_for_one_of_another_kind():
    """[2.1] no statement passes for one of another kind"""
    order, checkpoint = Order(0, 1, bytes(32)), Checkpoint(0, 1, bytes(32))
    signature = Signed.sign(order, 0, replica_author(0)).signature
    author = make_configuration().replica_author(0)
    assert Signed(order, 0, signature).is_authentic(author)
    assert not Signed(checkpoint, 0, signature).is_authentic(author)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_history_is_signed_by_the_replica_whose_it_is(chain, position):
    """[2.2] | wedged | configuration, history, checkpoint proof | a replica |"""
    validate(chain.wedged(position), chain.configuration, MOST_SLOTS)
    with pytest.raises(InvalidSignature):
        validate(changed(chain.wedged(position), signer=(position + 1) % 3), chain.configuration, MOST_SLOTS)


def test_the_slot_stands_in_the_result_statement():
    """[2.3] The slot stands in the result statement"""
    chain = MemoryChain()
    first, second = chain.order(chain.send(0, get("k"))), chain.order(chain.send(0, get("k")))
    assert first.outcomes[0].results == second.outcomes[0].results
    with pytest.raises(NotEnoughStatements):
        check_result_proof(chain.result_proof(first), changed(first.result(), slot=1), chain.configuration)
    check_result_proof(chain.result_proof(first), first.result(), chain.configuration)


def test_a_proof_is_a_set_of_statements_by_distinct_replicas_of_one_configuration(chain):
    """[2.4] a set of statements by distinct replicas of one configuration"""
    done = chain.slots[0]
    [one] = chain.result_proof(done, (0,))
    with pytest.raises(NotEnoughStatements) as raised:
        check_result_proof((one, one, one), done.result(), chain.configuration)
    assert {type(each) for each in raised.value.evidence} == {UnknownSigner}


def test_an_answer_holds_its_own_outcome_and_two_paths_and_nothing_of_the_others():
    """[2.5] holds its own outcome and two paths, and nothing of the other requests of the slot"""
    chain = MemoryChain(clients=3)
    requests = [chain.send(client, put("k", f"of client {client}")) for client in range(3)]
    done = chain.order(*requests)
    answer = done.answer(1, 0, chain.result_proof(done))
    answer.check(requests[1], chain.configuration)
    assert b"of client" not in encode(answer)
    assert len(answer.request_path) == len(answer.outcome_path) == 2
    with pytest.raises(NotEnoughStatements):
        changed(answer, outcome=done.outcomes[0]).check(requests[1], chain.configuration)


def test_a_root_is_bound_to_the_number_of_leaves(chain):
    """[2.5] A root is bound to the number of leaves."""
    answer = chain.slots[0].answer(0, 0, chain.result_proof(chain.slots[0]))
    with pytest.raises((NotEnoughStatements, MalformedMessage)):
        changed(answer, size=2).check(chain.requests[0][0], chain.configuration)


def test_an_outcome_says_where_the_request_was_executed(chain):
    """[2.6] and where it was executed (configuration, slot, place in the slot)"""
    assert [done.outcomes[0].place for done in chain.slots] == [(0, 0, 0), (0, 1, 0), (0, 2, 0)]
    moved = changed(chain.slots[0].outcomes[0], slot=1)
    assert moved.digest() != chain.slots[0].outcomes[0].digest()


def test_a_history_is_without_holes_since_the_last_complete_checkpoint(chain):
    """[2.7] slot by slot without holes"""
    wedged = chain.wedged(1, checkpoint=0).statement
    assert [entry.slot for entry in wedged.history] == [1, 2]
    assert all([each.signer for each in entry.order_proof] == [0, 1] for entry in wedged.history)
    holed = chain.sign(changed(wedged, history=wedged.history[1:]), 1)
    with pytest.raises(Hole):
        validate(holed, chain.configuration, MOST_SLOTS)


def test_requests_of_a_client_that_leave_together_are_signed_together(chain):
    """[2.8] Each can be checked, passed on and held as evidence without the others, as if it were signed by itself."""
    together = Signed.sign_jointly([Request(0, number, (get("k"),)) for number in range(3)], 0, chain.keys_of("client_0"))
    for each in together:
        chain.configuration.demand_signed_by_client(each)
        with pytest.raises(InvalidSignature):
            chain.configuration.demand_signed_by_client(changed(each, statement=Request(0, 3, (get("k"),))))
    assert run("client_window = 4\n").outcome.signatures < run("").outcome.signatures


def test_messages_of_one_kind_that_leave_for_one_receiver_together_travel_as_one():
    """[2.9] Messages of one kind that leave for one receiver together travel as one"""
    found = simulate(parse_scenario(FIXED + WORK + "client_window = 4\nbatch_limit = 4\n", "x.config")[0], keeps_steps=True)
    arrived = [step.message for step in found.steps if step.kind == "arrived"]
    assert arrived.count("client_requests") == arrived.count("result_messages") == 1
    assert not {"client_request", "result_message"} & set(arrived)


# -- 3. The path without failures


def test_a_client_sends_its_request_to_the_head():
    """[3.1] It signs a request, sends it to the head, and starts a timer of `client_timeout`."""
    assert len(fault_free().when("client_0", r"sends replica_0: client_request")) == 4
    assert fault_free().when("client_0", r"sends (?!replica_0|olympus)") == []
    sent = slow_tail().when("client_0", "sends replica_0: client_request 0:1")
    assert slow_tail().when("client_0", "asks all for request 1: attempt 2") == [sent[0] + 20]


def test_a_new_request_gets_the_next_slot():
    """[3.2] A new one gets the next slot, and is executed"""
    said = [said for _, name, said in fault_free().lines if name == "replica_0" and said.startswith("executes")]
    assert said == [f"executes slot {slot}: 0:{slot}" for slot in range(4)]


def test_batch_limit_requests_at_the_most_share_a_slot_and_the_head_waits_for_them_or_for_nothing_in_flight():
    """[3.2] The head orders when that many are ready, or when no slot is in flight and there is one."""
    found = run("client_window = 8\nbatch_limit = 3\nworkload[0] = pseudorandom(1,8)\n")
    slots = [said.partition(": ")[2].split(",") for _, name, said in found.lines if name == "replica_2" and "executes" in said]
    assert [len(requests) for requests in slots] == [3, 3, 2]


def demand(shuttle, chain, position=1):
    shuttle.demand_valid(chain.configuration, position)


def test_every_request_of_a_shuttle_is_signed_by_its_client(chain):
    """[3.3] Every request must be signed by its client."""
    shuttle = chain.shuttle(0, 1)
    demand(shuttle, chain)
    [request] = shuttle.requests
    lie = Signed.sign(request.statement, 0, chain.keys_of("client_1"))
    done = changed(chain.slots[0], requests=(lie,))
    with pytest.raises(InvalidSignature):
        demand(changed(shuttle, requests=(lie,), order_proof=chain.order_proof(done, 1)), chain)


@pytest.mark.parametrize("kept", [(), (0,), (1,), (1, 0)])
def test_the_order_proof_has_the_order_of_each_predecessor_in_turn(chain, kept):
    """[3.3] The order proof must have the order of each predecessor, in turn, signed"""
    shuttle = chain.shuttle(0, 2)
    demand(shuttle, chain, 2)
    with pytest.raises(IncompleteProof):
        demand(changed(shuttle, order_proof=chain.orders_of(chain.slots[0], kept)), chain, 2)


@pytest.mark.parametrize("fields", [{"slot": 1}, {"requests_digest": bytes(32)}, {"configuration": 1}])
def test_an_order_is_for_this_configuration_and_slot_and_the_digest_of_these_requests(chain, fields):
    """[3.3] for this configuration and slot and the digest of these requests"""
    order = chain.sign(changed(chain.slots[0].order(), **fields), 0)
    with pytest.raises(ContradictoryOrder) as raised:
        demand(changed(chain.shuttle(0, 1), order_proof=(order,)), chain)
    assert raised.value.position == 0


def test_a_replica_executes_nothing_that_its_predecessor_ordered_otherwise_than_the_client_asked():
    """[3.3] Otherwise the replica executes the requests, adds its own order and result, keeps the order proof in its history"""
    found = run("failures[0,0] = client_request(0,1),change_operation()\n")
    assert len(found.when("replica_1", "notices ContradictoryOrder in shuttle, blames replica 0")) == 1
    assert not found.when("replica_[12]", "executes slot 1")
    assert found.outcome.result["results"][0] == ["OK", "OK", "OK", "abc"]


def hole():
    """The tail ignores a shuttle, and gets the next one."""
    return run(PATIENCE + "client_window = 2\nfailures[0,2] = shuttle(0,1),drop()\n")


def test_every_lower_slot_is_ordered_here():
    """[3.3] Every lower slot must be ordered here."""
    [noticed] = hole().where("replica_2", "notices Hole in shuttle")
    assert not [i for i in hole().where("replica_2", "executes slot 2") if i < noticed + 2]


def test_a_shuttle_of_a_slot_that_is_ordered_already_is_ignored():
    """[3.3] If the slot is ordered here already, it must have the same requests, and the shuttle is ignored."""
    found = run("failures[0,0] = client_request(0,1),duplicate()\n")
    assert len(found.when("replica_1", "ignores shuttle slot 1")) == 1
    assert len(found.when("replica_1", "executes slot 1")) == 1
    assert found.outcome.result["reconfigurations"] == []


def test_a_replica_does_not_check_the_results_of_the_others(chain):
    """[3.3] It does not check the results of the others: it executes by itself."""
    wrong = tuple(changed(each, signature=bytes(64)) for each in chain.result_proof(chain.slots[0], (0,)))
    demand(changed(chain.shuttle(0, 1), result_proof=wrong), chain)


def test_the_tail_answers_the_client_first_and_then_the_result_shuttle_leaves():
    """[3.4] Then the **result shuttle** leaves for its predecessor"""
    answers = fault_free().where("replica_2", "sends client_0: result_message")
    assert len(answers) == 4
    assert fault_free().where("replica_2", "sends replica_1: result_shuttle") == [i + 1 for i in answers]


def test_the_result_shuttle_goes_from_tail_to_head_once():
    """[3.5] and passes the result shuttle on"""
    senders = [name for _, name, said in fault_free().lines if re.match(r"sends \w+: result_shuttle slot 2", said)]
    assert senders == ["replica_2", "replica_1"]


def test_a_replica_fills_up_what_is_missing_with_what_went_by(chain):
    """[3.5] Each replica fills up what is missing with the statements that went by on the way to the tail"""
    done, complete = chain.slots[0], chain.result_shuttle(0)
    seen = SeenSlot(done, chain.order_proof(done, 2), chain.result_proof(done, (0, 1)))
    left = changed(complete, result_proof=complete.result_proof[2:], orders=())
    with pytest.raises(NotEnoughStatements):
        left.check(done.result(), chain.configuration, seen.own_result)
    seen.filled_up(left).check(done.result(), chain.configuration, seen.own_result)


def final(chain, results, orders=(), acceptance="all", slot=0):
    """Checks a result proof of these replicas' results, and orders beside it."""
    done = chain.slots[slot]
    configuration = chain.configuration if acceptance == "all" else make_configuration(chain.t, acceptance=acceptance)
    proof = results if results and isinstance(results[0], Signed) else chain.result_proof(done, results)
    return check_result_proof(proof, done.result(), configuration, (), chain.orders_of(done, orders))


@pytest.mark.parametrize("t", [1, 2, 3])
def test_a_result_is_right_where_t_plus_1_distinct_replicas_have_signed_one_and_the_same(t):
    """[3.6] It is *right* where t+1 distinct replicas of the current configuration have signed one and the same result"""
    chain = MemoryChain(t)
    chain.serve(0, put("k", "a"))
    with pytest.raises(NotEnoughStatements):
        final(chain, tuple(range(t)), range(2 * t + 1))
    final(chain, tuple(range(t + 1)), range(2 * t + 1))


@pytest.mark.parametrize("t", [1, 2, 3])
def test_a_result_is_final_where_every_replica_has_testified_to_the_slot(t):
    """[3.6] every one of the 2t+1 replicas has testified to the slot"""
    chain = MemoryChain(t)
    chain.serve(0, put("k", "a"))
    for silent in range(2 * t + 1):
        others = tuple(i for i in range(2 * t + 1) if i != silent)
        with pytest.raises(NotFinal):
            final(chain, others, others)
    final(chain, tuple(range(2 * t + 1)))


def test_an_order_stands_in_for_a_result_that_is_missing_or_invalid(chain):
    """[3.6] An order stands in for a result that is missing or invalid"""
    assert [each.signer for each in final(chain, (0, 2), (1,)).orders] == [1]
    first, middle, last = chain.result_proof(chain.slots[0])
    spoiled = (first, changed(middle, signature=bytes(64)), last)
    with pytest.raises(NotFinal):
        final(chain, spoiled)
    assert [each.signer for each in final(chain, spoiled, (1,)).orders] == [1]


def test_a_replica_testifies_whatever_outcome_it_names_and_what_is_bad_is_evidence_and_no_reason_to_stop(chain):
    """[3.6] A bad statement that is not needed is evidence, and no reason to stop"""
    other = chain.sign(changed(chain.slots[0].result(), outcomes_digest=bytes(32)), 2)
    check = final(chain, (*chain.result_proof(chain.slots[0], (0, 1)), other))
    assert [each.signer for each in check.disagreeing] == [2]
    assert [(type(each), each.position) for each in check.violations] == [(DisagreeingResult, 2)]


def test_an_order_of_another_slot_or_of_other_requests_testifies_to_nothing(chain):
    """[3.6] a valid statement of its own, order or result, that names (configuration, slot, digest of the requests)"""
    done = chain.slots[0]
    proof = chain.result_proof(done, (0, 1))
    for order in (chain.slots[1].order(), changed(done.order(), requests_digest=bytes(32))):
        with pytest.raises(NotFinal):
            check_result_proof(proof, done.result(), chain.configuration, (), (chain.sign(order, 2),))


def test_an_order_that_somebody_else_signed_testifies_to_nothing(chain):
    """[3.6] a valid statement of its own, order or result"""
    done = chain.slots[0]
    forged = changed(chain.sign(done.order(), 1), signer=2)
    with pytest.raises(NotFinal):
        check_result_proof(chain.result_proof(done, (0, 1)), done.result(), chain.configuration, (), (forged,))


def test_acceptance_quorum_leaves_the_second_half_out(chain):
    """[3.6] `acceptance = quorum` leaves out the second half"""
    with pytest.raises(NotFinal):
        final(chain, (0, 1))
    final(chain, (0, 1), acceptance="quorum")


def test_a_client_asks_everybody_at_once_where_a_proof_is_not_complete():
    """[3.6] a client asks everybody at once"""
    found = run(PATIENCE + "failures[0,1] = shuttle(0,1),answer_early(1)\n")
    [noticed] = found.when("client_0", "notices NotFinal in result_message")[:1]
    assert found.when("client_0", "asks all for request 1")[0] == noticed


def test_a_request_that_has_an_outcome_gives_it_again_and_has_no_effect():
    """[3.7] A request that has an outcome there gives it again and has no effect, also in a later configuration."""
    state = RunningState(2)
    state.execute(0, 0, [Request(0, 0, (put("k", "a"),))])
    request = Request(0, 1, (append("k", "b"),))
    [outcome] = state.execute(0, 1, [request])
    later = RunningState.restored(state.snapshot(), 2)
    assert later.execute(1, 0, [request, request]) == (outcome, outcome)
    assert later.dictionary["k"] == "ab"


def test_a_stale_request_has_neither_outcome_nor_effect():
    """[3.7] is *stale*: it has neither"""
    state = RunningState(2)
    state.execute(0, 0, [Request(0, number, (put("k", str(number)),)) for number in (1, 2, 3)])
    old = Request(0, 1, (put("k", "old"),))
    assert state.is_stale(old) and not state.is_stale(Request(0, 2, ()))
    assert state.execute(0, 1, [old])[0].results == ()
    assert state.dictionary["k"] == "3"


def test_the_outcomes_are_part_of_the_state_s_digest():
    """[3.7] are part of the replicated running state and of its digest"""
    states = [RunningState(2), RunningState(2)]
    for number, state in enumerate(states):
        state.execute(0, 0, [Request(0, number, (put("k", "a"),))])
    assert states[0].dictionary == states[1].dictionary
    assert states[0].digest() != states[1].digest()


# -- 4. Retransmission


def test_a_client_whose_timer_expires_sends_to_all_and_waits_again_for_longer():
    """[4.1] it sends the request, under the same number, to all replicas, and waits again, for 2, 4 …"""
    found = run("client_timeout = 20\nfailures[0,2] = shuttle(0,1),sleep(900)\n")
    [first] = found.when("client_0", "sends replica_0: client_request 0:1")
    times = found.when("client_0", "sends all replicas: client_request 0:1")
    waits = [later - earlier for earlier, later in pairwise([first, *times])]
    assert waits == [20, 40, 80, 160, 320]


def test_whoever_keeps_the_final_answer_replies_with_it():
    """[4.2] Whoever gets a request whose final answer it keeps replies with it, in every mode."""
    [cached] = slow_tail().where("replica_2", "case cached for 0:1")[:1]
    assert slow_tail().lines[cached + 1][2].startswith("sends client_0: result_message 0:1")


def test_an_immutable_replica_that_has_no_answer_replies_with_a_signed_error():
    """[4.3] An immutable replica that has no answer replies with a signed *error*."""
    [refused] = crashed().where("replica_0", "case immutable for 0:2")
    assert crashed().lines[refused + 1][1:] == ("replica_0", "sends client_0: error 0:2")


def test_another_than_the_head_forwards_and_answers_when_the_result_shuttle_comes():
    """[4.4] The result shuttle stops it, and the replica then answers the client."""
    [forwarded] = slow_tail().where("replica_1", "case forward for 0:1")[:1]
    assert slow_tail().lines[forwarded + 1][2] == "sends replica_0: forwarded_request 0:1"
    [answered] = slow_tail().where("replica_1", "case answered in time for 0:1")
    assert slow_tail().lines[answered + 1][2].startswith("sends client_0: result_message 0:1")


def test_a_request_that_is_in_progress_is_not_ordered_again():
    """[4.5] A request that waits to be ordered, or whose result shuttle is not back, starts a timer of `head_timeout`"""
    assert slow_tail().when("replica_0", "case in progress for 0:1")
    assert len(slow_tail().when("replica_0", "case new for 0:1")) == 1
    [seen] = crashed().when("replica_0", "case in progress for 0:1")[:1]
    assert seen + 50 in crashed().when("replica_0", "has waited in vain for the result of 0:1")


def test_a_replica_whose_timer_expires_asks_for_reconfiguration():
    """[4.6] it asks for reconfiguration (5.3)"""
    for name in ("replica_0", "replica_2"):
        [expired] = crashed().where(name, "has waited in vain for")[:1]
        assert crashed().lines[expired + 1][2].startswith("sends olympus: reconfiguration_request")


def test_a_slot_in_flight_is_missed_though_no_client_complains():
    """[4.6] each replica runs one for the oldest slot in flight, of `client_timeout` and its own timeout together"""
    found = run(PATIENCE + "failures[0,1] = shuttle(0,1),drop()\nsimulation = seed(1); delay(1000,1000); pause(client_0,27,500)\n")
    [sent] = found.when("replica_0", "sends replica_1: shuttle slot 1")
    assert found.when("replica_0", "has waited in vain for the result shuttle of slot 1") == [sent + 150]
    assert not [ms for ms in found.when("client_0", "asks all") if ms < sent + 150]


def test_a_client_that_gets_an_error_asks_for_the_configuration_and_sends_the_same_request_to_the_new_head():
    """[4.7] it sends what is outstanding to the new head, under the same numbers"""
    [refused] = crashed().when("replica_0", "sends client_0: error 0:2")
    assert crashed().when("client_0", "sends olympus: configuration_query known 0") == [refused + 1]
    [configured] = crashed().when("client_0", "is in configuration 1")
    assert crashed().when("client_0", "sends replica_0: client_request 0:2")[-1] == configured


def test_t_plus_1_rejections_that_agree_say_for_all_replicas_that_a_request_is_never_ordered(chain):
    """[4.8] One of t+1 rejections that agree is a correct replica's, so they speak for all replicas."""
    request = chain.send(0, *[get("k")] * 1_001)
    with pytest.raises(BeyondLimits):
        demand(
            changed(chain.shuttle(0, 1), requests=(request,), order_proof=(chain.sign(Order(0, 0, tree_over((request,)).root), 0),)), chain
        )
    said = Rejection(0, 0, request.statement.number, request.statement.digest(), "a request of 1,001 operations")
    waiting = OutstandingRequest(request, 0)
    assert [waiting.add_rejection(chain.sign(said, replica), chain.configuration) for replica in (2, 0)] == [False, True]


# -- 5. Misbehaviour


def valid(chain, position, end=None, checkpoint=None):
    return validate(chain.wedged(position, end, checkpoint), chain.configuration, MOST_SLOTS)


def test_an_order_that_is_missing_from_its_signer_s_own_history_is_provable(chain):
    """[5.1] an order that is missing from its signer's own wedged history"""
    assert withholders({0: valid(chain, 0), 1: valid(chain, 1), 2: valid(chain, 2)}) == set()
    assert withholders({0: valid(chain, 0, 2), 1: valid(chain, 1), 2: valid(chain, 2)}) == {0}


def test_an_invalid_signature_shows_nothing_about_the_author_that_it_names(chain):
    """[5.1] An invalid signature shows nothing about the author that it names."""
    spoiled = (changed(chain.order_proof(chain.slots[0], 1)[0], signature=bytes(64)),)
    with pytest.raises(InvalidSignature) as raised:
        demand(changed(chain.shuttle(0, 1), order_proof=spoiled), chain)
    assert raised.value.position is None and not raised.value.provable
    assert all(each.provable for each in (Equivocation, DisagreeingResult))


def test_an_order_beside_other_requests_shows_nobody_else_who_lies(chain):
    """[5.1] whoever passed them on may have put others there."""
    passed_on = changed(chain.shuttle(0, 1), requests=chain.shuttle(1, 1).requests)  # the head is correct, and its order is
    with pytest.raises(ContradictoryOrder) as raised:
        demand(passed_on, chain)
    assert not raised.value.provable


def test_a_hole_is_a_reason_to_ask_at_once():
    """[5.2] A hole is such a reason: links keep their order, so the shuttle that is missing will not come."""
    [noticed] = hole().when("replica_2", "notices Hole in shuttle")
    assert hole().when("replica_2", "sends olympus: reconfiguration_request reason Hole")[0] == noticed


def test_a_replica_repeats_its_request_after_longer_and_longer():
    """[5.3] It repeats the request after 1, 2, 4 … 16 times `nonhead_timeout`, for as long as it is active."""
    found = run(PATIENCE + "failures[0,1] = shuttle(0,1),drop()\nsimulation = seed(1); delay(1000,1000); hold(olympus,replica_0,30,600)\n")
    times = found.when("replica_0", "sends olympus: reconfiguration_request")
    assert [later - earlier for earlier, later in pairwise(times)][:3] == [50, 100, 200]
    [wedged] = found.when("replica_0", "is immutable")
    assert max(times) < wedged


def test_an_accusation_holds_two_validly_signed_results_that_contradict_each_other(chain):
    """[5.4] an answer in which two validly signed results of one slot contradict each other"""
    done, request = chain.slots[0], chain.requests[0][0]
    honest = chain.result_proof(done)
    other = chain.sign(changed(done.result(), outcomes_digest=bytes(32)), 2)
    proved = Accusation(request, done.answer(0, 0, (*honest[:2], other))).demand_proved(chain.configuration)
    assert proved.position == 2
    for proof in (honest, (*honest[:2], changed(other, signature=bytes(64)))):
        with pytest.raises(MalformedMessage):
            Accusation(request, done.answer(0, 0, proof)).demand_proved(chain.configuration)


def test_text_about_misbehaviour_is_cut_and_notices_are_counted():
    """[5.5] is cut at 200 characters, and a process keeps the latest 100 notices"""
    assert (LONGEST_WHAT, MAX_NOTICES_KEPT) == (200, 100)
    assert len(InvalidSignature("x" * 999).what) == 200


def liar():
    """A client that accuses and complains without a reason."""
    return run("", FIXED + "num_client = 2\nworkload[0] = put('k','a'); get('k')\nworkload[1] = get('k')\n"
               "client_failures[1] = after(9),accuse_falsely(1)\n")  # fmt: skip


def test_where_everybody_can_check_everything_no_complaint_is_heeded():
    """[5.6] With `hmac` alone"""
    assert len(liar().when("olympus", "ignores complaint")) == 1
    assert liar().when("olympus", "is asked by") == []


# -- 6. Checkpoints


def test_a_checkpoint_shuttle_follows_the_shuttle_of_every_interval_th_slot():
    """[6.1] follows the shuttle of every `checkpt_interval`-th slot on the same links"""
    for name in ("replica_0", "replica_1"):
        sent = checkpoints().where(name, r"sends \w+: checkpoint slot")
        assert [checkpoints().lines[i][2][-1] for i in sent] == ["1", "3"]
        for i, slot in zip(sent, (1, 3), strict=True):
            assert max(checkpoints().where(name, rf"sends \w+: shuttle slot {slot}")) < i


def test_the_tail_turns_a_checkpoint_round_and_it_goes_to_the_head():
    """[6.2] it goes from tail to head with all statements"""
    assert checkpoints().who("cuts its history at slot 1") == ["replica_2", "replica_1", "replica_0"]


def test_t_plus_1_equal_statements_do_not_complete_a_checkpoint_without_statements_of_all(chain):
    """[6.3] valid statements of all 2t+1 replicas for its slot, whatever digest the others name"""
    proof = chain.checkpoint_proof(1)
    other = chain.sign(changed(proof[2].statement, state_digest=bytes(32)), 2)
    assert check_checkpoint_proof((*proof[:2], other), chain.configuration) == proof[0].statement
    with pytest.raises(NotFinal):
        check_checkpoint_proof(proof[:2], chain.configuration)
    with pytest.raises(NotFinal):
        check_checkpoint_proof((*proof[:2], chain.checkpoint_proof(0)[2]), chain.configuration)
    with pytest.raises(NotEnoughStatements):
        check_checkpoint_proof((proof[0], other), chain.configuration)


def test_a_replica_cuts_its_history_at_a_complete_checkpoint_and_at_nothing_else():
    """[6.4] A replica cuts its history at a complete checkpoint and at nothing else"""
    found = run(PATIENCE + "checkpt_interval = 2\nfailures[0,2] = completed_checkpoint(0),drop_checkpt_stmts()\n")
    assert found.when("replica_1", "notices NotEnoughStatements in completed_checkpoint")
    assert found.who("cuts its history at slot 1")[0] == "replica_2"
    assert not {"replica_0", "replica_1"} & set(found.who("cuts its history at slot 1"))


def test_what_is_cut_is_what_the_checkpoint_covers_and_its_proof_is_where_the_rest_begins():
    """[6.4] it keeps the proof and passes it on"""
    found = run(PATIENCE + "checkpt_interval = 2\nfailures[0,2] = shuttle(0,3),drop()\n")
    left = [said for _, name, said in found.lines if name == "replica_0" and said.startswith("cuts its history at slot 1")]
    assert left == ["cuts its history at slot 1: 1 left"]  # the head has ordered slot 2 by then
    [change] = found.outcome.result["reconfigurations"]
    assert change["invalid_histories"] == {}
    assert found.when("replica_1", "is immutable, with 4 slots executed and 2 in its history")


def test_an_overdue_checkpoint_is_a_reason_to_ask():
    """[6.5] the replica adds no slot, and asks for reconfiguration"""
    found = run("", FIXED + PATIENCE + "num_client = 1\nworkload[0] = pseudorandom(1,20)\ncheckpt_interval = 2\n"
                "failures[0,2] = reconfiguration(0),no_checkpoints()\n")  # fmt: skip
    assert found.when("replica_1", "sends olympus: reconfiguration_request reason Overdue")
    [wedged] = found.where("replica_1", "is immutable")
    assert found.where("replica_1", "executes slot 3")
    assert min(found.where("replica_1", "executes slot 4")) > wedged  # to catch up, and not before


# -- 7. Reconfiguration


def waiting():
    """Two of three stand still for longer than Olympus waits for anything."""
    return run("olympus_timeout = 300\nwedge_grace = 100\nsimulation = seed(1); delay(1000,1000); pause(replica_0,40,900); "
               "pause(replica_1,40,900)\n" + PATIENCE,
               "t = 1\nnum_client = 1\nworkload[0] = pseudorandom(1,12)\n")  # fmt: skip


def test_olympus_wedges_all_and_a_later_turn_is_heeded_again():
    """[7.1] It carries a turn, which rises when Olympus asks again; only rising ones are heeded."""
    assert waiting().when("olympus", "sends 3 replicas: wedge_request turn 1")
    again = [said for _, name, said in waiting().lines if name == "olympus" and "wedge_request turn 2" in said]
    assert again


def test_a_wedged_replica_signs_no_order_result_or_checkpoint_any_more():
    """[7.2] From then on it signs no order, result or checkpoint."""
    for found in (crashed(), hole(), waiting()):
        for name in ("replica_0", "replica_1", "replica_2"):
            for wedged in found.where(name, "is immutable")[:1]:
                later = [said for _, who, said in found.lines[wedged:] if who == name]
                assert not [said for said in later if re.match(r"sends \w+: (?:shuttle|checkpoint|result_shuttle)", said)]


def test_a_valid_history_begins_at_slot_0_or_behind_a_complete_checkpoint(chain):
    """[7.3] beginning at slot 0 or behind a complete checkpoint"""
    assert valid(chain, 1).start == 0
    assert valid(chain, 1, checkpoint=0).start == 1
    behind = chain.wedged(1, checkpoint=0).statement
    with pytest.raises(Hole):
        validate(chain.sign(changed(behind, checkpoint_proof=()), 1), chain.configuration, MOST_SLOTS)
    with pytest.raises(NotFinal):
        incomplete = changed(behind, checkpoint_proof=behind.checkpoint_proof[:2])
        validate(chain.sign(incomplete, 1), chain.configuration, MOST_SLOTS)


def test_in_a_valid_history_no_request_is_ordered_twice():
    """[7.3] every request signed by its client, none ordered twice"""
    chain = MemoryChain()
    request = chain.serve(0, put("k", "a"))
    chain.order(request)
    with pytest.raises(SecondOrder):
        valid(chain, 1)


@pytest.mark.parametrize("kept", [1, 0])
def test_in_a_valid_history_every_slot_is_ordered_by_the_replica_and_by_each_of_its_predecessors(chain, kept):
    """[7.3] every slot ordered by the replica and by each of its predecessors"""
    statement = chain.wedged(1).statement
    first = changed(statement.history[0], order_proof=(statement.history[0].order_proof[kept],))
    with pytest.raises(IncompleteProof):
        forged = changed(statement, history=(first, *statement.history[1:]))
        validate(chain.sign(forged, 1), chain.configuration, MOST_SLOTS)


def test_a_history_that_is_longer_than_a_correct_replica_s_ever_is_is_not_valid(chain):
    """[7.3] no longer than a correct replica's ever is"""
    validate(chain.wedged(1), chain.configuration, 3)
    with pytest.raises(OverLimit):
        validate(chain.wedged(1), chain.configuration, 2)


def forked():
    """Two chains with one first slot and different second ones."""
    one, other = MemoryChain(), MemoryChain()
    for chain, value in ((one, "b"), (other, "c")):
        chain.serve(0, put("k", "a"))
        chain.serve(1, put("k", value))
    return one, other


def test_members_are_consistent_where_both_have_the_slot():
    """[7.3] the same order wherever both have the slot"""
    one, other = forked()
    assert are_consistent(valid(one, 0), valid(one, 1))
    assert are_consistent(valid(one, 0), valid(other, 1, 1))
    assert not are_consistent(valid(one, 0), valid(other, 1))
    assert isinstance(plan_for([valid(one, 0), valid(other, 1)]), str)


def test_who_ends_before_the_longest_begins_cannot_be_caught_up(chain):
    """[7.3] who ends before LH begins cannot be caught up, and such a quorum fails"""
    assert isinstance(plan_for([valid(chain, 0, checkpoint=1), valid(chain, 1, 1)]), str)
    assert not isinstance(plan_for([valid(chain, 0, checkpoint=1), valid(chain, 1, 2)]), str)


def test_each_member_gets_the_part_of_the_longest_history_behind_its_own_end(chain):
    """[7.4] Each member gets `catch_up` with the part of LH behind its own end, perhaps none."""
    plan = plan_for([valid(chain, 0), valid(chain, 1, 1), valid(chain, 2, 2)])
    assert plan.slots == 3
    assert {i: [entry.slot for entry in plan.suffixes[i]] for i in range(3)} == {0: [], 1: [1, 2], 2: [2]}


def test_a_catch_up_counts_for_one_receiver_in_one_attempt():
    """[7.4] Catch-ups name their receiver and the attempt; only rising attempts are heeded"""
    found = run(PATIENCE + "failures[0,1] = shuttle(0,1),drop(); wedge_request(0),replay_catch_up(3)\n")
    assert len(found.when("replica_[02]", "(?:ignores|drops) catch_up")) == 6
    assert found.outcome.result["final_state"] == {"k": "abc"}


def agreed(chain, digests):
    """What Olympus makes of two members that sign these digests."""
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    for position in (0, 1):
        change.add_wedged(chain.wedged(position))
        change.check_some(MOST_SLOTS)
    plan = change.next_plan()
    for position, digest in zip(plan.quorum, digests, strict=True):
        change.add_caught_up(chain.caught_up(position, state_digest=digest, attempt=change.attempt))
    return change, plan


def test_all_digests_of_the_quorum_must_be_equal(chain):
    """[7.5] All digests of the quorum must be equal, otherwise the quorum fails."""
    change, plan = agreed(chain, (None, None))
    assert change.settle_digests(plan) == chain.state.digest()
    change, plan = agreed(chain, (None, bytes(32)))
    assert change.settle_digests(plan) is None
    assert plan.quorum in change.failed


def test_who_is_silent_at_catching_up_fails_the_quorum():
    """[7.5] Who is silent for `olympus_timeout` between two steps of progress fails it too."""
    found = run(PATIENCE + "olympus_timeout = 200\nfailures[0,1] = shuttle(0,1),drop(); catch_up(0),drop()\n")
    [asked, _] = found.when("olympus", "sends replica_0: catch_up")
    [given_up] = found.when("olympus", r"gives quorum \(0, 1\) up: replica 1 did not catch up in time")
    assert given_up == asked + 200 + 200  # replica 0 made a step in the first 200
    assert found.who("is active in configuration 1") == [f"replica_{i}/1" for i in range(3)]


def test_answers_of_an_earlier_attempt_count_for_nothing(chain):
    """[7.5] Answers of an earlier attempt count for nothing."""
    change, plan = agreed(chain, (None, None))
    assert change.lacking(plan) == []
    change.add_wedged(chain.wedged(2))
    change.check_some(MOST_SLOTS)
    change.fail(plan, "for the test")
    second = change.next_plan()
    for position in second.quorum:
        change.add_caught_up(chain.caught_up(position, attempt=1))
    assert change.lacking(second) == list(second.quorum)


def test_olympus_vouches_for_what_all_of_the_quorum_gave(chain):
    """[7.6] Olympus vouches to each client for the outcome that all of the quorum gave to its request"""
    change, plan = agreed(chain, (None, None))
    assert {(each.client, each.number) for each in change.vouchers(plan)} == {(0, 0), (0, 1), (1, 0)}
    change, plan = agreed(chain, (None, None))
    answers = change._caught_up[1].answers
    lie = changed(answers[0], outcome=changed(answers[0].outcome, results=("lie",)))
    change._caught_up[1] = changed(change._caught_up[1], answers=(lie, *answers[1:]))
    assert {(each.client, each.number) for each in change.vouchers(plan)} == {(0, 1), (1, 0)}


def test_a_client_accepts_a_voucher_of_olympus_for_its_request(chain):
    """[7.6] A client accepts it for a request that is outstanding."""
    request, found = chain.requests[0][0], chain.slots[0].latest_answer(0, 0)
    voucher = Voucher(0, 0, 0, 0, found.request_digest, found.outcome)

    def take(signer, **fields):
        signed = Signed.sign(changed(voucher, **fields), 0, chain.keys_of(signer))
        Vouched(signed).demand_for(request, chain.configuration.olympus)

    take("olympus")
    with pytest.raises(InvalidSignature):
        take("replica_0 of 0")
    with pytest.raises(MalformedMessage):
        take("olympus", request_digest=bytes(32))


def test_a_running_state_is_taken_only_with_the_digest_that_was_agreed_on(chain):
    """[7.7] takes a `running_state` only if its digest is the one agreed on"""
    change, plan = agreed(chain, (None, None))
    digest = change.settle_digests(plan)
    assert not change.add_running_state(chain.running_state(0, slots=1), digest)
    assert change.snapshot is None
    assert change.add_running_state(chain.running_state(1), digest)
    assert change.snapshot.digest() == digest


def test_silence_of_a_member_fails_the_quorum_and_another_is_tried():
    """[7.7] Silence fails the quorum"""
    found = run(PATIENCE + "olympus_timeout = 200\nfailures[0,1] = shuttle(0,1),drop(); get_running_state(0),crash()\n"
                "failures[0,0] = get_running_state(0),drop()\n", FIXED.replace("t = 1", "t = 2") + WORK)  # fmt: skip
    assert found.when("olympus", r"gives quorum \(0, 1, 2\) up: .* did not give its running state in time")
    assert found.who("is active in configuration 1") == [f"replica_{i}/1" for i in range(5)]


def test_a_replica_becomes_active_only_behind_the_state_that_olympus_signed():
    """[7.8] Olympus signs its digest (`inithist`), and a replica becomes active with the configuration only behind it."""
    [handed] = crashed().when("olympus", "sends 3 replicas: inithist")
    assert crashed().when("replica_./1", "is active in configuration 1") == [handed + 1] * 3
    assert crashed().outcome.result["final_state"] == {"k": "abc"}
    assert crashed().outcome.result["results"][0] == ["OK", "OK", "OK", "abc"]


def test_quorums_without_who_hides_orders_come_first_and_then_those_with_a_longest_history():
    """[7.9] those without replicas that are proved to hide orders first, then those that hold one of the longest histories"""
    histories = {i: ValidHistory(i, None, ()) for i in range(3)}
    assert list(candidates(histories, 2, set())) == [(0, 1), (0, 2), (1, 2)]
    assert list(candidates(histories, 2, {0})) == [(1, 2), (0, 1), (0, 2)]
    chain = MemoryChain()
    chain.serve(0, put("k", "a"))
    longest = histories | {2: valid(chain, 2)}
    assert list(candidates(longest, 2, set())) == [(0, 2), (1, 2), (0, 1)]


def test_a_quorum_that_has_failed_is_not_tried_again_unless_it_failed_by_silence(chain):
    """[7.9] A quorum that has failed is not tried again, unless it failed by silence alone and that is over"""
    change, plan = agreed(chain, (None, None))
    change.fail(plan, "its digests differ")
    assert change.next_plan() is None
    change, plan = agreed(chain, (None, None))
    change.fail(plan, "replica 1 was late", [1])
    assert change.next_plan() is None
    change.add_wedged(chain.wedged(1))
    assert change.next_plan().quorum == plan.quorum


def test_where_no_quorum_can_be_had_yet_olympus_wedges_again_and_waits_on():
    """[7.10] If no quorum can be had *yet*, Olympus wedges those again who owe an answer, and waits on"""
    assert waiting().when("olympus", "waiting on")
    assert waiting().outcome.judgement.status == "pass"
    assert waiting().who("is active in configuration 1")


def nobody_asks(crash_ms):
    """Of the two replicas the key of one comes too late, and the other crashes before any client has sent it anything."""
    return run("olympus_timeout = 300\nwedge_grace = 100\nauthentication = crc\n"
               f"simulation = seed(1); delay(1000,1000); hold(replica_1,olympus,0,900); crash(replica_0,{crash_ms})\n" + PATIENCE,
               "t = 1\nnum_client = 1\nworkload[0] = pseudorandom(1,3)\n")  # fmt: skip


def test_a_configuration_in_which_nothing_becomes_final_is_replaced_unasked():
    """[7.11] So Olympus replaces it unasked."""
    for crash_ms, who_was_active in ((400, ["replica_0"]), (200, [])):
        found = nobody_asks(crash_ms)
        assert found.outcome.judgement.status == "pass"
        assert found.who("is active in configuration 0") == who_was_active
        assert found.when("olympus", "is asked by olympus to replace configuration 0")
        assert not found.when("olympus", "is asked by replica")


# -- 7a. What anybody may do to it


def test_what_a_liar_or_a_client_says_without_a_proof_costs_no_reconfiguration():
    """[7a.1] A message of nobody, or of a client, never costs a reconfiguration"""
    assert len(liar().when("olympus", "ignores accusation")) == 1
    assert liar().outcome.result["reconfigurations"] == []


def test_what_has_no_seal_or_cannot_be_read_is_dropped_and_counted():
    """[7a.2] shows nothing about anybody: it is dropped and counted"""
    found = run("failures[0,2] = shuttle(0,0),garbage(2)\n")
    assert len(found.when("replica_[01]", "drops shuttle")) == 4
    assert found.outcome.result["reconfigurations"] == []


def test_pieces_are_kept_by_signer_and_signed_as_a_whole():
    """[7a.3] Pieces are kept by signer, of a member one payload at a time, the latest"""
    payload, author, arriving = b"x" * 5_000, key_of("olympus").author(key_of("replica_0").public), Assembler()
    older, newer = (list(signed_pieces("wedged", 0, serial, payload, 1_500, 0, key_of("replica_0"))) for serial in (1, 2))
    assert len(newer) > 2
    with pytest.raises(InvalidSignature):
        forged = signed_pieces("wedged", 0, 1, payload, 1_500, 0, key_of("replica_1"))
        arriving.add(next(forged), author, "replica 0")
    arriving.add(older[0], author, "replica 0")
    assert [arriving.add(piece, author, "replica 0") for piece in newer][-1] == payload
    assert [arriving.add(piece, author, "replica 0") for piece in older] == [None] * len(older)


def test_what_comes_before_the_configuration_is_kept_within_limits():
    """[7a.4] is kept, within 64 MiB and a number of messages"""
    assert limits.MAX_EARLY_BYTES == 64 << 20
    early = EarlyMessages(2, 10)
    assert [early.keep(message, size) for message, size in (("a", 6), ("b", 5), ("c", 4), ("d", 0))] == [True, False, True, False]
    assert early.take_all() == ["a", "c"]


@pytest.mark.parametrize(("clients", "window", "interval"), [(1, 1, 1), (3, 4, 100)])
def test_a_history_has_at_most_two_intervals_and_what_is_in_flight(clients, window, interval):
    """[7a.5] A history has at most two checkpoint intervals and what is in flight"""
    settings = Settings(t=1, num_clients=clients, client_window=window, checkpoint_interval=interval)
    assert limits.most_in_flight(settings) == 2 * window * clients
    assert limits.most_slots_of_a_history(settings) == 2 * interval + 2 * window * clients


def test_the_head_takes_of_each_client_in_turn_its_share_of_a_slot():
    """[7a.6] The head takes of each client in turn its share of a slot"""
    queue = RequestQueue(4)
    for client, number in ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)):
        queue.add(client, number, (client, number))
    assert queue.take(3) == [(0, 0), (1, 0), (2, 0)]
    assert queue.take(6) == [(0, 1), (0, 2), (2, 1)]


def test_a_stale_request_is_answered_stale_and_one_beyond_the_window_is_dropped():
    """[7a.6] A request that is stale (3.7) is answered `stale`, signed, and not executed."""
    late = "client_timeout = 20\nfailures[0,2] = shuttle(0,1),sleep(100)\nworkload[0] = pseudorandom(1,30)\n"
    stale = run(late + "simulation = seed(1); delay(1000,1000); hold(client_0,replica_1,40,160)\n")
    assert stale.when("replica_1", "sends client_0: stale 0:1")
    assert len(stale.when("replica_1", r"executes slot \d+: 0:1$")) == 1
    two = "num_client = 2\nworkload[0] = pseudorandom(1,9)\nworkload[1] = get('k')\n"
    beyond = run("client_failures[1] = reconfiguration(0),future()\n", FIXED + two)
    dropped = beyond.where("replica_0", r"case beyond for 1:\d{19}")
    assert dropped and not beyond.when("replica_.", r"executes slot \d+: 1:\d{19}")
    assert beyond.outcome.result["reconfigurations"] == []


def test_a_head_that_orders_a_request_twice_misbehaves():
    """[7a.7] A head that orders a request twice in a configuration"""
    found = run("failures[0,0] = client_request(0,2),spin(5)\n")
    assert found.when("replica_1", "notices SecondOrder in shuttle, blames replica 0")
    assert found.outcome.result["final_state"] == {"k": "abc"}


def test_a_configuration_that_is_replaced_soon_makes_the_next_one_owe_a_pause():
    """[7a.8] 50 ms, doubled each time, 3200 ms at the most. One that has served four times its pause owes none."""
    pauses = Pauses()
    assert [pauses.owed_ms(0) for _ in range(9)] == [0, 50, 100, 200, 400, 800, 1600, 3200, 3200]
    assert pauses.owed_ms(4 * 3200 + 1) == 0


def test_a_history_is_checked_a_slice_at_a_time(chain):
    """[7a.9] A history is checked 1,000 requests at a time, and a suffix executed 2,000 at a time"""
    validation = Validation(chain.wedged(1), chain.configuration, MOST_SLOTS)
    assert [validation.advance(1) is None for _ in range(3)] == [True, True, False]
    fault_free()
    assert (sys.modules["Olympus"].SLICE_REQUESTS, sys.modules["Replica"].CATCH_UP_SLICE_REQUESTS) == (1_000, 2_000)


def test_a_configuration_in_which_nobody_is_faulty_and_nothing_late_is_not_replaced():
    """[7a.10] A configuration is not replaced if nobody in it is faulty and nothing is late."""
    for found in (fault_free(), checkpoints(), slow_tail()):
        assert found.when("olympus", "is asked by") == []
        assert found.outcome.result["reconfigurations"] == []


# -- 8. The object


def test_the_operations_do_as_the_table_says():
    """[8.1] `fail` and no change if k is absent or not 0 ≤ i ≤ j ≤ length"""
    dictionary = {}
    does = functools.partial(objects.apply, dictionary)
    assert [does(append("k", "x")), does(objects.Operation("slice", "k", "0:0")), does(get("k"))] == ["fail", "fail", ""]
    assert [does(put("k", "abcd")), does(append("k", "ef")), does(get("k"))] == ["OK", "OK", "abcdef"]
    assert [does(objects.Operation("slice", "k", each)) for each in ("2:7", "3:2", "-1:2", "x")] == ["fail"] * 4
    assert [does(objects.Operation("slice", "k", "1:3")), does(get("k"))] == ["OK", "bc"]


def test_a_digest_is_the_same_however_the_state_was_come_to():
    """[8.2] Its digest is over two things: the root of a Merkle tree (2.5) of 16,384 buckets"""
    slow, quick = RunningState(9), RunningState(9)
    requests = [Request(0, number, (put(f"k{number}", "v"),)) for number in range(9)]
    for slot, request in enumerate(requests):
        slow.execute(0, slot, [request])
        slow.digest()
        quick.execute(0, slot, [request])
    assert slow.digest() == quick.digest() == quick.snapshot().digest()


def test_a_bucket_and_the_statements_of_a_checkpoint_prove_what_stands_at_a_key(chain):
    """[8.2] prove what stands at a key, or that nothing does"""
    state = RunningState(9)
    state.execute(0, 0, [Request(0, 0, (put("k", "v"),))])
    statement = Checkpoint(chain.configuration.number, 0, state.digest())
    proof = tuple(chain.sign(statement, position) for position in range(3))
    values = [KeyProof.of(key, state, proof).check(key, chain.configuration)[1] for key in ("k", "absent")]
    assert values == ["v", None]


def test_an_operation_with_two_keys_finds_both_in_a_state_that_was_handed_over():
    """[8.2] It is read bucket by bucket, as operations name keys."""
    bank = named(f"{PROJECT}/examples/bank/bank:Bank")
    state = RunningState(9, replicated=bank)
    state.execute(0, 0, [Request(0, 0, tuple(objects.Operation("deposit", name, "5") for name in ("alice", "bob")))])
    later = RunningState.restored(state.snapshot(), 9, replicated=bank)
    moved, total = objects.Operation("transfer", "alice", "bob 5"), objects.Operation("total", "")
    assert later.execute(1, 0, [Request(0, 1, (moved, total))])[0].results == ("OK", "10")


def test_of_a_request_of_the_store_all_happens_or_nothing():
    """[8.4] where one fails, or together they get more than 8.3 allows, none has happened, and each result says so"""
    state = RunningState(9, replicated="store")
    operations = (store_operations.put("k", "1"), store_operations.get("l", (0, 0, 0)))
    [outcome] = state.execute(0, 0, [Request(0, 0, operations)])
    assert outcome.results == ('{"error":"aborted"}', '{"error":"condition","version":null}')
    assert state.values == {}


def test_of_another_object_nothing_is_executed_that_may_write_more_than_there_is_room_for():
    """[8.3] With another object, nothing is executed of a request that may write, or get, more than there is room for."""
    state = RunningState(9, StateLimits(dictionary=120), "store")
    puts = [Request(0, number, (store_operations.put(f"k{number}", "1"),)) for number in range(9)]
    results = [state.execute(0, slot, [request])[0].results[0] for slot, request in enumerate(puts)]
    assert results[0] == '{"version":[0,0,0]}'
    assert results[-1] == '{"error":"too large"}'


def test_what_would_make_a_value_too_large_fails_and_what_does_not_fit_is_too_large():
    """[8.3] what would make one larger gives `fail` and changes nothing"""
    assert (VALUE_LIMIT_BYTES, RESULTS_LIMIT_BYTES) == (1_048_576, 1_052_672)
    dictionary = {"k": "x" * 1_048_576}
    assert objects.apply(dictionary, append("k", "y")) == "fail"
    assert len(dictionary["k"]) == 1_048_576
    assert objects.execute(dictionary, (get("k"), get("k")))[1] == "too large"


def test_a_request_alone_always_fits_into_a_slot():
    """[8.3] A request alone always fits into a slot."""
    state, chain = RunningState(9), MemoryChain(clients=3)
    large = [chain.send(client, put("k", "x" * 1_048_576)) for client in range(3)]
    assert [SlotRoom(state).takes(request) for request in large] == [True] * 3
    assert not SlotRoom(state).takes_all(large, map(request_bytes, large))


# -- 11. Two further authenticators


@pytest.mark.parametrize("t", [1, 2, 3])
def test_with_crc_a_result_needs_all_of_t_plus_1_and_a_reconfiguration_one_that_is_left(t):
    """[11.3] t+1 replicas; a result needs all of them, and a reconfiguration needs one that is left."""
    found = sizes(t, "crc")
    assert (found.replicas, found.statements, found.histories) == (t + 1, t + 1, 1)
    for name in ("ed25519", "hmac"):
        found = sizes(t, name)
        assert (found.replicas, found.statements, found.histories) == (2 * t + 1, t + 1, t + 1)


def test_with_hmac_what_convinced_anybody_convinces_olympus():
    """[11.2] what an honest author made convinces Olympus if it convinced anybody"""
    chain = MemoryChain(authentication="hmac")
    chain.serve(0, put("k", "a"))
    [signed] = chain.result_proof(chain.slots[0], (1,))
    readers = [chain.keys_of(name) for name in ("olympus", "client_0", "replica_0 of 0", "replica_2 of 0")]
    author = chain.keys_at(1).public
    assert all(signed.is_authentic(reader.author(author)) for reader in readers)
    for spoiled in range(len(signed.signature)):
        flipped = bytearray(signed.signature)
        flipped[spoiled] ^= 1
        other = changed(signed, signature=bytes(flipped))
        convinced = [other.is_authentic(reader.author(author)) for reader in readers]
        assert convinced[0] or not any(convinced)


def test_with_ed25519_signatures_convince_everybody_alike(chain):
    """[11.1] signatures that convince everybody alike"""
    [signed] = chain.result_proof(chain.slots[0], (1,))
    for spoil in (signed, changed(signed, signature=bytes(64))):
        readers = [key_of(name) for name in ("olympus", "client_0", "client_1", "replica_2 of 0", "a stranger")]
        assert len({spoil.is_authentic(reader.author(replica_author(1).public)) for reader in readers}) == 1


# -- this page


def quotations():
    """Name -> (paragraph, quoted text) of each test of a sentence."""
    found = {}
    for name, test in inspect.getmembers(sys.modules[__name__], inspect.isfunction):
        quoted = re.fullmatch(r"(?s)\[(\d+a?\.\d+)\] (.*)", (test.__doc__ or "").strip())
        if name.startswith("test_") and quoted:
            found[name] = quoted[1], quoted[2]
    return found


def paragraph(number):
    text = SPECIFICATION.read_text()
    start = text.index(f"\n**{number} ")
    end = re.search(r"\n(?:\*\*\d+a?\.\d+ |## )", text[start + 1 :])
    return " ".join(text[start : start + 1 + end.start()].split())


def is_quoted(quoted, text):
    """Whether the text has the quotation; where bold letters end does not matter."""
    return " ".join(quoted.split()).replace("*", "") in text.replace("*", "")


def test_each_quotation_stands_in_its_paragraph():
    found = quotations()
    assert len(found) >= 60
    assert {name: number for name, (number, quoted) in found.items() if not is_quoted(quoted, paragraph(number))} == {}


def test_each_paragraph_of_rules_has_a_test():
    tested = {number for number, _ in quotations().values()}
    # Disks, sessions, Raft and Raft among liars are not this paper's: tests/sim/test_disks.py, tests/bcr/test_client_sessions.py,
    # tests/test_raft_paper.py and tests/test_byzantine_raft_paper.py have theirs.
    sections = RULES - {"13", "14", "15", "16"}
    owed = {number for number in paragraphs(SPECIFICATION.read_text()) if number.partition(".")[0] in sections}
    assert owed - tested == {"1.1"}  # that Olympus is one process, and trusted, is nothing that a run could show
