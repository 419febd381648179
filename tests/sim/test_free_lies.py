"""What free liars tell in place of what they hold: lies that nothing but the rules stand against."""

import random

import pytest
from memory_chain import MemoryChain, append, put

from bcr.chain.history import CaughtUp, LatestAnswer, RunningStateHandover, Wedged, WithState, validate
from bcr.chain.messages import CompletedCheckpoint, ResultMessage, Shuttle
from bcr.chain.proofs import check_checkpoint_proof
from bcr.faults.forgery import FORGED_STATE
from bcr.signed.encoding import encode
from bcr.signed.statements import Checkpoint, Outcome
from bcr.signed.violations import MalformedMessage, ProtocolViolation
from bcr.state.running import Snapshot
from bcr_sim import strategies
from bcr_sim.campaign import run_text, text_of
from bcr_sim.free_lies import Lore, told_falsely

LIAR = 1
START = "t = 1\nnum_client = 2\nworkload[0] = pseudorandom(1,8)\nworkload[1] = pseudorandom(2,8)\ncheckpt_interval = 2\n"
SHORT = "client_timeout = 250\nhead_timeout = 250\nnonhead_timeout = 250\nolympus_timeout = 500\nwedge_grace = 20\n"


@pytest.fixture
def chain():
    chain = MemoryChain()
    chain.serve(0, put("k", ""))
    for number in range(4):
        chain.serve(number % 2, append("k", str(number)))
    return chain


def lies(chain, name, honest, count=60):
    """What the liar tells in place of this, by so many chances."""
    known, done = chain.slots[-1].requests[0], chain.slots[0]
    [(client, number)] = done.keys()
    answered = ResultMessage(client, number, done.answer(client, number, (), ()))

    def sign(statement):
        return chain.sign(statement, LIAR)

    def sign_order(order):
        return (sign(order),)

    lore = Lore(known, answered, sign, sign_order)
    return [told_falsely(name, encode(honest), lore, random.Random(seed)) for seed in range(count)]


def validity(told, chain):
    try:
        validate(told, chain.configuration, 100)
    except ProtocolViolation as violation:
        return type(violation).__name__
    return "valid"


def test_a_false_history_is_cut_or_longer_or_has_another_request_under_its_orders(chain):
    honest = chain.wedged(LIAR)
    told = lies(chain, "wedged", honest)
    assert all(each.statement.history != honest.statement.history and each.signer == LIAR for each in told)
    lengths = {len(each.statement.history) - len(honest.statement.history) for each in told}
    assert min(lengths) < 0 and {0, 1} <= lengths
    # One that is cut anybody may have who has heard no more; the others show themselves to whoever looks.
    of_lengths = {(validity(each, chain), (len(each.statement.history) > 4) - (len(each.statement.history) < 5)) for each in told}
    assert {verdict for verdict, is_more in of_lengths if is_more < 0} == {"valid"}
    assert "valid" not in {validity(each, chain) for each in told if len(each.statement.history) >= len(honest.statement.history)}


def test_of_nothing_a_false_history_makes_something(chain):
    told = lies(chain, "wedged", chain.sign(Wedged(0, (), ()), LIAR))
    assert all([entry.slot for entry in each.statement.history] == [0] for each in told)


def test_who_says_falsely_that_it_has_caught_up_lies_about_answers_or_about_its_state(chain):
    answers = (LatestAnswer(0, 0, b"digest", 0, Outcome(0, 0, 0, ("OK",))),)
    honest = CaughtUp(0, 1, 5, b"state", answers)
    told = [each.statement for each in lies(chain, "caught_up", chain.sign(honest, LIAR))]
    assert {each.state_digest for each in told if each.answers == answers} == {FORGED_STATE.digest()}
    of_answers = {each.answers[0].outcome.results for each in told if each.state_digest == b"state"}
    assert of_answers == {("a lie",)}
    silent = lies(chain, "caught_up", chain.sign(CaughtUp(0, 1, 5, b"state", ()), LIAR))
    assert {each.statement.state_digest for each in silent} == {FORGED_STATE.digest()}


def test_a_false_running_state_mostly_fits_what_is_signed_of_it(chain):
    state = Snapshot.of({"k": "v"}, ())
    honest = WithState(chain.sign(RunningStateHandover(0, state.digest()), LIAR), state)
    told = lies(chain, "running_state", honest)
    assert all(each.snapshot == FORGED_STATE for each in told)
    fitting = sum(each.snapshot.digest() == each.signed.statement.state_digest for each in told)
    assert len(told) / 2 < fitting < len(told)


def test_a_false_shuttle_has_another_request_or_lacks_the_orders_of_those_before(chain):
    done = chain.slots[-1]
    orders = tuple(chain.sign(done.order(), position) for position in range(2))
    honest = Shuttle(0, done.slot, done.requests, orders, ())
    told = lies(chain, "shuttle", honest)
    assert {len(each.order_proof) for each in told if each.requests == honest.requests} == {1}
    others = [each for each in told if each.requests != honest.requests]
    assert {each.order_proof == orders for each in others} == {True, False}
    assert all(each.order_proof[0] == orders[0] for each in others)
    for each in told:
        with pytest.raises(ProtocolViolation):
            each.demand_valid(chain.configuration, 2)


def test_a_false_checkpoint_names_another_state_first_and_is_completed_all_the_same(chain):
    statement = Checkpoint(0, 2, b"state")
    honest = CompletedCheckpoint(0, 2, tuple(chain.sign(statement, position) for position in range(3)))
    [told] = lies(chain, "completed_checkpoint", honest, 1)
    assert (told.proof[0].signer, told.proof[0].statement.state_digest) == (LIAR, FORGED_STATE.digest())
    assert check_checkpoint_proof(told.proof, chain.configuration) == statement


def test_a_false_answer_is_one_to_another_request_or_has_a_result_that_nobody_signed(chain):
    done = chain.slots[-1]
    [(client, number)] = done.keys()
    honest = ResultMessage(client, number, done.answer(client, number, (), ()))
    told = lies(chain, "result_message", honest)
    assert {(each.client, each.number) for each in told} == {(client, number)}
    assert {(each.answer.slot, each.answer.outcome.results == ("a lie",)) for each in told} == {(0, False), (done.slot, True)}
    [(client, number)] = chain.slots[0].keys()
    same = ResultMessage(client, number, chain.slots[0].answer(client, number, (), ()))
    assert None in lies(chain, "result_message", same)


def test_of_a_shuttle_without_orders_and_of_a_checkpoint_without_statements_there_is_no_lie(chain):
    assert lies(chain, "shuttle", Shuttle(0, 0, (), (), ()), 1) == [None]
    assert lies(chain, "completed_checkpoint", CompletedCheckpoint(0, 0, ()), 1) == [None]


def test_what_is_no_handover_is_told_as_it_is_and_what_is_not_whole_cannot_be_changed(chain):
    assert lies(chain, "ready", chain.wedged(LIAR), 1) == [None]
    with pytest.raises(MalformedMessage):
        told_falsely("wedged", encode(chain.wedged(LIAR))[:-5], Lore(None, None, None, None), random.Random(1))


@pytest.mark.parametrize("words", ["free(0); mutate(0,1)", "free(0)"])
def test_free_liars_whose_messages_are_to_be_changed_hand_over_lies_and_the_others_stand_it(words, monkeypatch):
    monkeypatch.setattr(strategies, "RETICENCE", (0.0,))  # what they keep back is that in whose place they tell something else
    text = f"{START}{SHORT}failures[0,0] = client_request(0,2),ask()\nsimulation = seed(1); delay(200,4000); {words}\n"
    handed_over = set()
    for seed in range(24):
        outcome = run_text(text_of(seed, text), keeps_steps=True)
        assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
        kept_back = {step.message.removeprefix("keeps back ") for step in outcome.steps if step.kind == "befell"}
        handed_over |= kept_back & {"wedged", "caught_up", "running_state"}
    assert handed_over == ({"wedged", "caught_up", "running_state"} if "mutate" in words else set())
