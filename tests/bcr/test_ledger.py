"""A replica's slots: executed in order, in flight until settled, cut at a checkpoint, and taken back to be caught up."""

import pytest
from memory_chain import MemoryChain, changed, get, put

from bcr.chain.ledger import Ledger
from bcr.chain.settings import Settings
from bcr.chain.slots import SettledSlot
from bcr.signed.signing import Signed
from bcr.signed.statements import Credential, SessionRequest
from bcr.signed.violations import Equivocation, MalformedMessage, Overdue, OverLimit, SecondOrder

POSITION = 1  # of the replica whose ledger this is


def ledger_of(chain, **settings):
    given = {"t": 1, "num_clients": 2, "client_window": chain.client_window, "checkpoint_interval": 2, "batch_limit": 2}
    return Ledger(Settings(**(given | settings)))


def take(ledger, chain, slot):
    """The replica extends the shuttle of a slot."""
    shuttle = chain.shuttle(slot, POSITION)
    done = ledger.execute(shuttle.configuration, slot, shuttle.requests, shuttle.request_tree)
    orders, results = chain.order_proof(done, POSITION + 1), chain.result_proof(done, range(POSITION + 1))
    ledger.keep(done, orders, results)
    return done


def settle(ledger, chain, done):
    ledger.settle(SettledSlot(done, chain.result_proof(done), chain.order_proof(done, 2)))


def served(slots, **settings):
    """A chain with so many slots of one request each, and the ledger of a replica that has executed and settled them."""
    chain = MemoryChain(client_window=8)
    ledger = ledger_of(chain, **settings)
    for slot in range(slots):
        chain.order(chain.send(0, put("k", str(slot))))
        settle(ledger, chain, take(ledger, chain, slot))
    return chain, ledger


def test_what_is_executed_is_the_state_of_the_slot_and_in_flight_until_it_is_settled():
    chain = MemoryChain()
    ledger = ledger_of(chain)
    request = chain.send(0, put("k", "v"))
    done = chain.order(request)
    mine = take(ledger, chain, 0)
    assert mine.outcomes == done.outcomes
    assert ledger.state.digest() == chain.state.digest()
    assert (ledger.next_slot, list(ledger.in_flight), list(ledger.history)) == (1, [0], [0])
    assert ledger.executed.get(0, 0) is mine
    assert ledger.cache.get(0, 0) is None
    settle(ledger, chain, mine)
    assert (ledger.next_slot, list(ledger.in_flight), list(ledger.history)) == (1, [], [0])
    assert ledger.cache.get(0, 0).answer(0, 0).outcome == done.outcomes[0]


def test_a_result_is_for_a_slot_in_flight_or_for_one_that_is_settled():
    chain = MemoryChain()
    ledger = ledger_of(chain)
    chain.order(chain.send(0, put("k", "v")))
    with pytest.raises(MalformedMessage, match="not ordered here so"):
        ledger.awaited(chain.result_shuttle(0))
    done = take(ledger, chain, 0)
    assert ledger.awaited(chain.result_shuttle(0)) is ledger.in_flight[0]
    with pytest.raises(MalformedMessage, match="not ordered here so"):
        ledger.awaited(changed(chain.result_shuttle(0), outcomes=()))
    settle(ledger, chain, done)
    assert ledger.awaited(chain.result_shuttle(0)) is None


def test_a_slot_that_is_ordered_here_holds_the_same_requests_or_the_head_equivocates():
    chain, ledger = served(1)
    ledger.demand_same(chain.shuttle(0, POSITION), 0)
    other = MemoryChain(client_window=8)
    other.order(other.send(1, get("k")))
    with pytest.raises(Equivocation) as raised:
        ledger.demand_same(other.shuttle(0, POSITION), 0)
    assert raised.value.position == 0
    assert len(raised.value.evidence) == 2


def test_the_next_slot_of_a_correct_head_is_extendable():
    chain, ledger = served(1)
    chain.order(chain.send(0, put("k", "v")), chain.send(1, get("k")))
    ledger.demand_extendable(chain.shuttle(1, POSITION), chain.configuration)


def test_two_intervals_of_settled_slots_without_a_checkpoint_are_overdue_and_those_in_flight_do_not_count():
    chain, ledger = served(3)
    chain.order(chain.send(0, put("k", "v")))
    done = take(ledger, chain, 3)
    assert not ledger.is_overdue()
    settle(ledger, chain, done)
    assert ledger.is_overdue()
    chain.order(chain.send(0, put("k", "w")))
    with pytest.raises(Overdue):
        ledger.demand_extendable(chain.shuttle(4, POSITION), chain.configuration)
    ledger.cut(1, chain.checkpoint_proof(1))
    assert not ledger.is_overdue()
    ledger.demand_extendable(chain.shuttle(4, POSITION), chain.configuration)


def test_a_slot_with_more_requests_than_the_batch_limit_is_the_heads_doing():
    chain, ledger = served(0, batch_limit=1)
    chain.order(chain.send(0, put("k", "v")), chain.send(1, get("k")))
    with pytest.raises(OverLimit, match="2 requests") as raised:
        ledger.demand_extendable(chain.shuttle(0, POSITION), chain.configuration)
    assert raised.value.position == 0


def test_a_request_that_was_executed_is_not_ordered_again():
    chain, ledger = served(1)
    chain.order(*chain.slots[0].requests)
    with pytest.raises(SecondOrder, match="request 0 of client 0"):
        ledger.demand_extendable(chain.shuttle(1, POSITION), chain.configuration)


def test_a_request_whose_session_ends_in_its_own_slot_is_not_remembered():
    chain = MemoryChain()
    ledger = ledger_of(chain, session_slots=10)
    for slot in range(5):
        later, earlier = 9 + 2 * slot, 8 + 2 * slot  # numbers of one holder, the later one first
        requests = tuple(Signed(_session_request(client, 1), client, b"") for client in (later, earlier))
        done = ledger.execute(0, slot, requests, None)
        assert [bool(outcome.results) for outcome in done.outcomes] == [True, False]
        assert [client for client, _, _ in ledger.executed.items()] == [later]


def _session_request(client, holder):
    credential = Signed(Credential(client, holder, bytes(32), "host:1/a"), 0, b"")
    return SessionRequest(client, 0, (put("k", str(client)),), credential)


def test_a_request_stands_once_in_a_slot():
    chain, ledger = served(0)
    request = chain.send(0, put("k", "v"))
    chain.order(request, request)
    with pytest.raises(SecondOrder):
        ledger.demand_extendable(chain.shuttle(0, POSITION), chain.configuration)


def test_a_request_beyond_its_clients_window_is_not_ordered_where_all_must_answer():
    chain, ledger = served(0)
    for _ in range(8):
        chain.send(0, get("k"))
    chain.order(chain.send(0, get("k")))
    with pytest.raises(SecondOrder, match="request 8 of client 0"):
        ledger.demand_extendable(chain.shuttle(0, POSITION), chain.configuration)
    unsafe = MemoryChain(acceptance="quorum").configuration
    assert not ledger.is_beyond(chain.requests[0][8].statement, unsafe)


def test_a_completed_checkpoint_cuts_the_history_behind_its_slot():
    chain, ledger = served(3)
    proof = chain.checkpoint_proof(1)
    ledger.cut(1, proof)
    assert [entry.slot for entry in ledger.entries()] == [2]
    assert ledger.checkpoint_proof == proof


def test_a_catch_up_executes_what_is_lacking_slice_by_slice():
    chain, ledger = served(2)
    for value in "abc":
        chain.order(chain.send(1, put("k", value)))
    ledger.begin_catch_up([chain.entry(slot, 0) for slot in range(1, 5)])  # slot 1 it has already
    executed = []
    while ledger.suffix:
        for entry in ledger.some_of_suffix(2):
            executed.append(entry.slot)
            ledger.execute(0, entry.slot, entry.requests, None)
        executed.append("slice")
    assert executed == [2, 3, "slice", 4, "slice"]
    assert ledger.state.digest() == chain.state.digest()
    assert [(each.client, each.number, each.slot) for each in ledger.latest_answers()] == [
        (0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3), (1, 2, 4),
    ]  # fmt: skip


def test_each_catch_up_begins_where_the_wedge_left_off():
    chain, ledger = served(2)
    digest = ledger.state.digest()
    chain.order(chain.send(1, put("k", "other")))
    ledger.begin_catch_up([chain.entry(2, 0)])
    for entry in ledger.some_of_suffix(10):
        ledger.execute(0, entry.slot, entry.requests, None)
    assert ledger.next_slot == 3
    ledger.go_back()
    assert (ledger.next_slot, ledger.state.digest(), ledger.executed.get(1, 0), ledger.suffix) == (2, digest, None, None)


def test_a_configuration_begins_with_the_state_that_it_is_given():
    chain, _ = served(2)
    ledger = ledger_of(chain)
    ledger.begin(chain.state.snapshot())
    assert ledger.state.digest() == chain.state.digest()
    assert ledger.next_slot == 0


def test_what_the_head_has_ordered_wrongly_is_shown_by_its_own_statement_alone():
    chain, ledger = served(0)
    request = chain.send(0, put("k", "v"))
    chain.order(request, request)
    shuttle = chain.shuttle(0, 2)
    with pytest.raises(SecondOrder) as raised:
        ledger.demand_extendable(shuttle, chain.configuration)
    assert [each.signer for each in shuttle.order_proof] == [0, 1]
    assert raised.value.evidence == shuttle.order_proof[:1]


def test_the_answer_to_a_request_whose_session_has_ended_meanwhile_is_not_kept():
    chain = MemoryChain()
    ledger = ledger_of(chain, session_slots=10)
    slots = [ledger.execute(0, slot, (Signed(_session_request(8 + slot, 1), 8 + slot, b""),), None) for slot in range(2)]
    for done in slots:
        ledger.keep(done, (), ())
        ledger.settle(SettledSlot(done, (), ()))
    assert [ledger.cache.get(client, 0) is None for client in (8, 9)] == [True, False]
