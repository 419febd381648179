"""Evidence that travels: whoever signed what no correct replica signs is named, and nobody else; what a record proves is
said of nothing that is in no signature; files are told apart by kind and version."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, changed, get, put

from bcr.chain.history import CaughtUp, InitialHistory, LatestAnswer, Wedged
from bcr.evidence.convictions import MAX_STATEMENTS, Evidence, Unproved, convictions, demand_convicting
from bcr.evidence.evidence_files import (
    EVIDENCE,
    RECORD,
    UnreadableFile,
    WrongVersion,
    kind_of,
    packed,
    packed_record,
    unpacked,
    unpacked_record,
)
from bcr.evidence.suspicions import A_TIMER, WHY_NOT, suspicions
from bcr.evidence.verifying import MOST_CLIENTS, verify_record
from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr.signed import violations
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Checkpoint, Order, Outcome, Result
from bcr.signed.violations import DisagreeingResult, InvalidSignature, NotEnoughStatements, Notice, ProtocolViolation
from bcr.verdict.exhibits import MAX_EXHIBITS, MAX_OF_A_SIGNER, ChangeExhibits, Exhibits
from bcr.verdict.model import Model
from bcr.verdict.record import SessionAccount


def evidence(chain, accused, *statements):
    return Evidence(chain.keys_of("olympus").public, chain.issued[-1], accused, statements)


def blamed(chain, *exhibits):
    """Positions that are convicted by the chain's record with these statements beside it."""
    found = list(convictions(changed(chain.record(), exhibits=exhibits)))
    for conviction, shown in found:
        assert demand_convicting(unpacked(EVIDENCE, packed(EVIDENCE, shown), Evidence)) == conviction
    return {conviction.position for conviction, _ in found}


def lie(chain, slot, position, **fields):
    """Another result of the slot than the true one, signed by this replica."""
    return chain.sign(changed(chain.slots[slot].result(), **fields), position)


# -- who is convicted


def test_nobody_is_convicted_where_nobody_lied(chain):
    everything = [chain.wedged(position, end) for position in range(3) for end in (2, 3)][1::2]
    assert blamed(chain, *everything, *(chain.caught_up(position) for position in range(3))) == set()


@pytest.mark.parametrize(
    "second",
    [
        lambda chain: chain.sign(Order(0, 1, b"other"), 1),
        lambda chain: lie(chain, 1, 1, requests_digest=b"other"),
        lambda chain: lie(chain, 1, 1, outcomes_digest=b"other"),
    ],
    ids=["two orders", "an order and a result", "two results"],
)
def test_two_statements_on_one_slot_that_differ_convict_their_signer(chain, second):
    own = chain.orders_of(chain.slots[1], [1])
    assert blamed(chain, *own, second(chain)) == {1}


def test_two_checkpoints_of_one_slot_convict_their_signer(chain):
    one, other = (chain.sign(Checkpoint(0, 1, digest), 2) for digest in (b"one", b"other"))
    assert blamed(chain, one, other) == {2}


def test_a_result_other_than_that_of_a_quorum_convicts_if_no_more_than_t_are_faulty(chain):
    true = chain.result_proof(chain.slots[0], [0, 1])
    false = lie(chain, 0, 2, outcomes_digest=b"other")
    conviction = demand_convicting(evidence(chain, 2, false, *true))
    assert "no more than 1" in conviction.supposes
    with pytest.raises(Unproved):
        demand_convicting(evidence(chain, 2, false, true[0]))  # one other may be the liar


def test_a_running_state_other_than_that_of_a_quorum_convicts(chain):
    [one, other, _] = chain.checkpoint_proof(1)
    assert blamed(chain, one, other, chain.sign(Checkpoint(0, 1, b"other"), 2)) == {2}


def test_a_signed_slot_that_is_missing_from_the_signers_history_convicts_it(chain):
    hiding = chain.wedged(1, end=2)
    [promise] = chain.orders_of(chain.slots[2], [1])
    conviction = demand_convicting(evidence(chain, 1, promise, hiding))
    assert conviction.what == "it signed slot 2, and withheld it from the history that it gave to Olympus"
    assert blamed(chain, hiding) == {1}  # its result statement stands in the clients' answers


def test_a_slot_under_a_complete_checkpoint_is_not_withheld(chain):
    assert blamed(chain, chain.wedged(1, checkpoint=1)) == set()


def test_a_signed_slot_with_other_requests_than_in_the_signers_history_convicts_it(chain):
    promise = chain.sign(Order(0, 2, b"other"), 1)
    assert "gave Olympus a history with others" in demand_convicting(evidence(chain, 1, promise, chain.wedged(1))).what


def test_a_history_with_a_hole_convicts_its_signer(chain):
    history = (chain.entry(0, 1), chain.entry(2, 1))
    assert blamed(chain, chain.sign(Wedged(0, history, ()), 1)) == {1}


def test_a_history_that_its_predecessors_have_not_ordered_convicts_its_signer(chain):
    entry = changed(chain.entry(0, 1), order_proof=chain.orders_of(chain.slots[0], [1]))
    assert blamed(chain, chain.sign(Wedged(0, (entry,), ()), 1)) == {1}


def test_two_accounts_of_a_state_in_one_attempt_convict_and_in_two_attempts_do_not(chain):
    assert blamed(chain, chain.caught_up(0), chain.caught_up(0, state_digest=b"other")) == {0}
    assert blamed(chain, chain.caught_up(0), chain.caught_up(0, state_digest=b"other", attempt=2)) == set()


@pytest.mark.parametrize("authentication", ["hmac", "crc"])
def test_nothing_convicts_where_statements_can_be_made_by_others(authentication):
    chain = MemoryChain(authentication=authentication)
    chain.serve(0, put("k", "a"))
    exhibits = [chain.sign(Order(0, 0, digest), 1) for digest in (b"one", b"other")]
    assert blamed(chain, *exhibits) == set()
    with pytest.raises(Unproved, match="could have made them"):
        demand_convicting(evidence(chain, 1, *exhibits))


# -- nobody else ever


def test_a_statement_in_anothers_name_convicts_nobody(chain):
    forged = changed(chain.sign(Order(0, 1, b"other"), 2), signer=1)
    assert blamed(chain, forged) == set()
    with pytest.raises(Unproved, match="invalid signature"):
        demand_convicting(evidence(chain, 1, forged, *chain.orders_of(chain.slots[1], [1])))


def test_a_statement_of_another_configuration_convicts_nobody(chain):
    before = chain.orders_of(chain.slots[1], [1])[0]
    chain.reconfigure()
    chain.serve(0, put("k", "c"))
    chain.serve(0, put("k", "d"))
    assert blamed(chain, before, *chain.orders_of(chain.slots[1], [1])) == set()
    with pytest.raises(Unproved, match="WrongConfiguration|of configuration 0"):
        demand_convicting(evidence(chain, 1, before, *chain.orders_of(chain.slots[1], [1])))


def test_evidence_of_an_olympus_that_did_not_issue_the_configuration_convicts_nobody(chain):
    contradiction = [chain.sign(Order(0, 1, digest), 1) for digest in (b"one", b"other")]
    with pytest.raises(Unproved):
        demand_convicting(changed(evidence(chain, 1, *contradiction), olympus_key=bytes(32)))
    assert demand_convicting(evidence(chain, 1, *contradiction)).position == 1


def test_who_has_begun_again_may_vouch_for_less_and_for_no_other_state(chain):
    answers = tuple(LatestAnswer(0, number, b"request", 0, Outcome(0, 0, 0, ("OK",))) for number in range(2))
    whole, shorter, other = (
        chain.sign(CaughtUp(0, 1, 3, state, vouched), 1) for state, vouched in ((b"s", answers), (b"s", answers[1:]), (b"other", answers))
    )
    assert blamed(chain, whole, shorter) == set()
    with pytest.raises(Unproved):
        demand_convicting(evidence(chain, 1, whole, shorter))
    assert demand_convicting(evidence(chain, 1, whole, other)).position == 1


def test_evidence_has_so_many_statements_and_no_more(chain):
    order = chain.sign(Order(0, 1, b"one"), 1)
    with pytest.raises(Unproved, match="statements, and"):
        demand_convicting(evidence(chain, 1, *[order] * (MAX_STATEMENTS + 1)))


DIGESTS = st.sampled_from([b"one", b"other", b"third"])


@st.composite
def false_statements(draw):
    """What a liar may sign in configuration 0, about any slot and its state."""
    kind = draw(st.sampled_from(["order", "result", "checkpoint", "wedged", "caught_up"]))
    slot = draw(st.integers(0, 3))
    if kind == "order":
        return Order(0, slot, draw(DIGESTS))
    if kind == "result":
        return Result(0, slot, draw(DIGESTS), draw(DIGESTS))
    if kind == "checkpoint":
        return Checkpoint(0, slot, draw(DIGESTS))
    if kind == "caught_up":
        return CaughtUp(0, 1, slot, draw(DIGESTS), ())
    return Wedged(0, (), ())


@given(liar=st.integers(0, 2), lies=st.lists(false_statements(), max_size=6), cut=st.integers(0, 3), checkpoint=st.booleans())
def test_whatever_one_replica_signs_it_alone_is_ever_convicted(liar, lies, cut, checkpoint):
    chain = MemoryChain()
    for value in ("a", "b", "c"):
        chain.serve(0, put("k", value))
    correct = [position for position in range(3) if position != liar]
    honest = [chain.wedged(position, checkpoint=1 if checkpoint else None) for position in correct]
    honest += [chain.caught_up(position) for position in range(3)]
    honest += chain.checkpoint_proof(1)
    told = [chain.sign(each, liar) for each in lies] + [chain.wedged(liar, end=cut)]
    in_others_names = [changed(each, signer=position) for each in told for position in correct]
    found = blamed(chain, *honest, *told, *in_others_names)
    assert found <= {liar}
    # It signed the results of all three slots, which stand in the clients' answers.
    if cut < 3 or any(isinstance(each, Order | Result) and each.slot < 3 for each in lies):
        assert found == {liar}


# -- what is kept of what was found wrong


def test_statements_of_a_violation_are_put_away_with_those_of_the_violations_in_it(chain):
    exhibits = Exhibits()
    [one, other] = chain.result_proof(chain.slots[0], [0, 1])
    inner = DisagreeingResult("other", position=0, evidence=(one, one.statement))
    exhibits.take(NotEnoughStatements("too few", evidence=(inner, (other,))))
    assert exhibits.all() == (one, other)


def test_what_an_invalid_signature_carries_is_not_put_away(chain):
    exhibits = Exhibits()
    exhibits.take(InvalidSignature("bad", evidence=chain.result_proof(chain.slots[0])))
    assert exhibits.all() == ()


def test_a_signer_takes_no_more_room_than_its_own(chain):
    exhibits = Exhibits()
    exhibits.take([chain.sign(Order(0, slot, b"x"), 1) for slot in range(3 * MAX_OF_A_SIGNER)])
    exhibits.take(chain.orders_of(chain.slots[0], [2]))
    assert [each.signer for each in exhibits.all()] == [1] * MAX_OF_A_SIGNER + [2]
    for signer in range(3, 3 + MAX_EXHIBITS):
        exhibits.take([Signed(Order(0, 0, b"x"), signer, b"")])
    assert len(exhibits.all()) == MAX_EXHIBITS

    class Unsearched(tuple):
        def __iter__(self):
            raise AssertionError("searched although nothing more is taken")

    exhibits.take(Unsearched())


def test_a_checkpoint_on_which_all_agree_is_not_put_away_and_another_is(chain):
    exhibits = Exhibits()
    exhibits.compare(chain.checkpoint_proof(1))
    assert exhibits.all() == ()
    odd = (*chain.checkpoint_proof(1)[:2], chain.sign(Checkpoint(0, 1, b"other"), 2))
    exhibits.compare(odd)
    assert exhibits.all() == odd


def test_of_a_reconfiguration_the_same_statement_is_kept_once_and_so_much_at_the_most(chain, monkeypatch):
    monkeypatch.setattr("bcr.verdict.exhibits.MAX_CHANGE_BYTES", 2 * len(encode(chain.wedged(0))))
    exhibits = ChangeExhibits()
    for position in (0, 0, 1, 2):
        exhibits.take(chain.wedged(position))
    assert chain.wedged(0) in exhibits.all()
    assert len(exhibits.all()) < 3


# -- suspicions


def test_every_kind_of_violation_has_a_reason_why_a_notice_of_it_proves_nothing():
    kinds = {each.__name__ for each in vars(violations).values()
             if isinstance(each, type) and issubclass(each, ProtocolViolation) and each is not ProtocolViolation}  # fmt: skip
    assert set(WHY_NOT) == kinds


def test_a_notice_of_somebody_who_is_not_convicted_is_told_once_and_that_it_proves_nothing(chain):
    notices = (Notice("Hole", "slot 3 before 2", 1, "shuttle"), Notice("Hole", "slot 4 before 2", 1, "shuttle"))
    record = changed(chain.record(), replicas=(chain.report(2, notices=notices),))
    [told] = suspicions(record, set())
    assert (told.by, told.position, told.why_not) == ("replica_2", 1, WHY_NOT["Hole"])
    assert list(suspicions(record, {(0, 1)})) == []
    assert A_TIMER


# -- what a record proves


def test_a_record_proves_its_results_and_what_no_signature_covers_is_said_not_to_be_proved(chain):
    found = verify_record(chain.record(), chain.keys_of("olympus").public)
    assert not found.refused
    assert any("3 results" in each for each in found.proved)
    assert any(each.startswith("times") for each in found.unproved)
    assert "no more than t" in found.supposed[0]


def test_without_a_key_from_elsewhere_it_is_not_proved_whose_record_it_is(chain):
    assert any("the Olympus you mean" in each for each in verify_record(chain.record()).unproved)
    assert "another Olympus" in verify_record(chain.record(), bytes(32)).refused[0]


def test_the_state_that_a_configuration_begins_with_is_proved_by_those_before_it(chain):
    digest = chain.state.digest()
    told = tuple(chain.caught_up(position) for position in (0, 1))
    chain.reconfigure()
    chain.serve(0, put("k", "c"))
    beginning = Signed.sign(InitialHistory(1, digest), 0, chain.keys_of("olympus"))
    record = changed(chain.record(), exhibits=(*told, beginning))
    assert any("replicas [0, 1] of configuration 0" in each for each in verify_record(record).proved)
    lacking = verify_record(changed(record, exhibits=(told[0], beginning)))
    assert not any("began with" in each for each in lacking.proved)


@pytest.mark.parametrize("number", [-1, MOST_CLIENTS, 1 << 40, 1 << 62])
def test_a_number_that_no_run_gives_a_client_or_a_session_is_refused(chain, number):
    record = chain.record()
    numbered = changed(record.clients[-1], client=number)
    assert any("with the number" in each for each in verify_record(changed(record, clients=(record.clients[0], numbered))).refused)
    with_session = changed(record.clients[-1], sessions=(SessionAccount(number, 0, 1),))
    assert any("with the number" in each for each in verify_record(changed(record, clients=(record.clients[0], with_session))).refused)


def test_a_configuration_of_another_line_is_refused(chain):
    other = MemoryChain(clients=3)
    other.reconfigure()
    record = changed(chain.record(), configurations=(chain.issued[0], other.issued[1]))
    assert any("other clients" in each for each in verify_record(record).refused)


def test_a_configuration_before_another_that_it_follows_is_refused(chain):
    chain.reconfigure()
    record = changed(chain.record(), configurations=tuple(reversed(chain.issued)))
    assert any("stands behind" in each for each in verify_record(record).refused)


def test_an_answer_of_a_configuration_that_is_not_there_is_refused(chain):
    chain.reconfigure()
    chain.serve(0, put("k", "c"))
    record = changed(chain.record(), configurations=tuple(chain.issued[:1]))
    assert any("not in the record" in each for each in verify_record(record).refused)


def test_a_result_that_nobody_signed_is_refused(chain):
    record = chain.record()
    exchange = record.clients[0].exchanges[0]
    answer = changed(exchange.answer, outcome=changed(exchange.answer.outcome, results=("lie",)))
    mine = changed(record.clients[0], exchanges=(changed(exchange, answer=answer), *record.clients[0].exchanges[1:]))
    assert verify_record(changed(record, clients=(mine, *record.clients[1:]))).refused


def test_a_report_that_a_replica_did_not_sign_is_left_out_and_said_to_be(chain):
    record = chain.record()
    forged = changed(record.replicas[0], signature=bytes(64))
    found = verify_record(changed(record, replicas=(forged, *record.replicas[1:])))
    assert not found.refused
    assert any("did not sign it" in each for each in found.unproved)


@pytest.mark.parametrize(("authentication", "who"), [("hmac", "Olympus's secret"), ("crc", "anybody")])
def test_where_others_could_have_made_it_nothing_is_proved_and_it_is_said_who(authentication, who):
    chain = MemoryChain(authentication=authentication)
    chain.serve(0, put("k", "a"))
    found = verify_record(chain.record())
    assert (found.proved, found.refused, found.claims) == ((), (), frozenset())
    assert who in found.unproved[0]


def test_the_program_that_a_record_names_is_not_run(chain, tmp_path, monkeypatch):
    (tmp_path / "harmful.py").write_text("raise SystemExit('run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = verify_record(changed(chain.record(), object_name="harmful:Object"))
    assert (found.proved, found.refused) == ((), ())
    assert "is not run" in found.unproved[0]


def test_macs_without_the_secret_cannot_be_checked():
    chain = MemoryChain(authentication="hmac")
    chain.serve(0, put("k", "a"))
    found = verify_record(changed(chain.record(), olympus_secret=b""))
    assert found.proved == ()
    assert "only by who has Olympus's secret" in found.unproved[0]


@given(change=st.integers(0, 10**6), kind=st.sampled_from(["signer", "digest", "drop", "swap", "window"]))
def test_nothing_that_a_changed_record_proves_was_not_proved_before(change, kind):
    chain = MemoryChain()
    for client, operation in ((0, put("k", "a")), (1, append("k", "b")), (0, get("k"))):
        chain.serve(client, operation)
    record = chain.record()
    mine = list(record.clients[0].exchanges)
    at = change % len(mine)
    if kind == "signer":
        mine[at] = changed(mine[at], request=changed(mine[at].request, signer=1))
    elif kind == "digest":
        mine[at] = changed(mine[at], answer=changed(mine[at].answer, request_digest=bytes(32)))
    elif kind == "drop":
        del mine[at]
    elif kind == "swap":
        mine[0], mine[1] = (changed(mine[0], answer=mine[1].answer), changed(mine[1], answer=mine[0].answer))
    clients = (changed(record.clients[0], exchanges=tuple(mine)), *record.clients[1:])
    altered = changed(record, clients=clients, client_window=change if kind == "window" else 1)
    assert verify_record(altered).claims <= verify_record(record).claims


WHOLE = "by replaying all requests in the order that was signed: every result, and the state at the end"


@pytest.mark.parametrize("are_reports_dropped", [True, False])
def test_a_state_at_the_end_that_no_replicas_signed_is_not_proved_whatever_faults_are_made_up(chain, are_reports_dropped):
    """A client's account is dropped, the state is that of the others, and invented faults excuse what replicas reported."""
    for client, operation in ((0, put("k", "a")), (1, put("hidden", "b")), (0, get("k"))):
        chain.serve(client, operation)
    record = chain.record()
    assert WHOLE in verify_record(record).proved
    without, others = Model(record.client_window, record.limits), changed(record, clients=record.clients[:1])
    for exchange in others.clients[0].exchanges:
        without.execute(exchange.answer.outcome.place, exchange.request.statement)
    faults = tuple(FaultPlan(0, position, Trigger("after", None, 1), Failure("increment_slot"), "made up") for position in range(3))
    reports = () if are_reports_dropped else record.replicas
    found = verify_record(changed(others, final_state=without.snapshot(), faults=faults, replicas=reports))
    assert WHOLE not in found.proved
    assert found.claims <= verify_record(record).claims


@pytest.mark.parametrize("number", [-5, 1 << 40, 1 << 63])
def test_any_number_of_a_request_is_told_of_in_words(chain, number):
    """None has its place in a list, and nobody counts up to it."""
    chain.serve(0, put("k", "a"))
    record = chain.record()
    exchange = record.clients[0].exchanges[-1]
    odd = changed(exchange, request=changed(exchange.request, statement=changed(exchange.request.statement, number=number)))
    clients = (changed(record.clients[0], exchanges=(*record.clients[0].exchanges[:-1], odd)), *record.clients[1:])
    assert f"client 0, request {number}: " in verify_record(changed(record, clients=clients)).refused[0]


def test_statements_that_nobody_signed_do_not_hide_two_that_somebody_did(chain):
    """Each pair of them would be checked otherwise, for minutes."""
    chain.serve(0, put("k", "a"))
    forged = [Signed(Order(0, 1, b"%d" % number), 1, bytes(64)) for number in range(2_000)]
    assert blamed(chain, *forged, *(chain.sign(Order(0, 1, digest), 1) for digest in (b"one", b"other"))) == {1}


# -- files


def test_a_record_comes_back_from_its_file(chain):
    assert unpacked_record(packed_record(chain.record())) == chain.record()
    assert kind_of(packed_record(chain.record())) == RECORD


def test_a_record_from_before_there_were_versions_is_refused_by_its_version(chain):
    with pytest.raises(WrongVersion, match="version 1; this program reads version 3"):
        unpacked_record(encode(chain.record()))


@pytest.mark.parametrize("version", [1, 2, 99])
def test_another_version_is_refused_by_its_version_whatever_it_holds(version):
    later = msgspec.msgpack.encode({"format": RECORD, "version": version, "seal": [1, 2, {"new": "things"}]})
    with pytest.raises(WrongVersion, match=f"version {version}; this program reads version 3"):
        unpacked_record(later)


def test_a_file_of_another_kind_is_no_record(chain):
    with pytest.raises(UnreadableFile, match="bcr evidence"):
        unpacked_record(packed(EVIDENCE, evidence(chain, 1)))
    assert kind_of(b"hello") == ""


@given(at=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_a_file_with_a_flipped_bit_is_refused(at, bit):
    chain = MemoryChain()
    chain.serve(0, put("k", "a"))
    data = bytearray(packed_record(chain.record()))
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(UnreadableFile):
        unpacked_record(bytes(data))
