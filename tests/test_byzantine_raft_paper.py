"""Raft among liars sentence by sentence: each test is named after a sentence of the specification of the protocol (docs/protocol.md, 16).

Each shows it at one server among others that the test speaks and signs for (tests/sim/braft_rig.py): server 1 of four, which follows server 0
in term 0 and leads in term 1.
"""

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent / "sim"))

from braft_rig import (
    CIRCLE,
    CLIENTS,
    KEYS,
    MEMBERS,
    SERVERS,
    TIMEOUT_MS,
    Member,
    append,
    asked,
    begun,
    by,
    certificate,
    chain_of,
    commits,
    executed,
    kinds_of,
    place_of,
    prepared,
    signing,
    state_at,
    vote,
)
from hypothesis import given
from hypothesis import strategies as st

from bcr.braft.exchange import KINDS, Decided, demand_valid
from bcr.braft.members import Members
from bcr.braft.promises import Append, Certificate, Commit, Fetch, Prepare, Reply, Start, StartVote, StateAt, Status
from bcr.braft.proposals import Proposal
from bcr.braft.replies import Agreed, agreed_among
from bcr.braft.tally import Tally
from bcr.braft.term_starts import TermStart, TermVote, demand_start, demand_vote, start_of
from bcr.faults.braft_lies import CHAOS_BYTES, chaos
from bcr.raft.log import BEGINNING, Position, demand_chain
from bcr.scenario import parse_scenario
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Outcome
from bcr.signed.violations import (
    Equivocation,
    InvalidCertificate,
    InvalidSignature,
    MalformedMessage,
    NotEnoughStatements,
    ProtocolViolation,
    UnknownSigner,
    WrongChain,
)
from bcr_sim.simulated_run import simulate

ONE, TWO, THREE = asked(0, 0), asked(1, 0, "w"), asked(0, 1, "x")
CHAIN = chain_of(ONE, TWO, THREE)
SCENARIO = """protocol = byzantine_raft
t = 1
num_client = 1
time_unit = ms
client_timeout = 200
workload[0] = put('a','1'); append('a','2'); get('a'); uniform(3,20,3,50)
"""


def decided(rig, at_ms, count=1, entries=CHAIN, requests=(ONE, TWO, THREE)):
    """The server hears of so many entries, as of all that decides them; when it has."""
    for index in range(1, count + 1):
        rig.hear(at_ms, append(entries, index, requests[index - 1]))
        rig.hear(at_ms + 1, prepared(entries, index))
        for signed in commits(entries, index, (0, 3)):
            rig.hear(at_ms + 2, signed)
    return at_ms + 3


def votes_for(term, *highest, entries=CHAIN):
    """Votes of servers 0, 2 and 3, the first with these certificates, and the log up to there."""
    claims = [*highest, None, None, None]
    pairs = zip((0, 2, 3), claims, strict=False)
    return [vote(server, term, claim, entries[: claim.statement.index] if claim else ()) for server, claim in pairs]


# -- who takes part


@pytest.mark.parametrize("t", [1, 2, 3])
def test_n_is_3t_plus_1_and_a_quorum_2t_plus_1(t):
    members = Members(KEYS[0], t)
    assert (members.size, members.quorum) == (3 * t + 1, 2 * t + 1)
    scenario, _ = parse_scenario(SCENARIO.replace("t = 1", f"t = {t}", 1), "x.config")
    assert scenario.num_replicas == members.size


def test_the_leader_of_term_t_is_server_t_mod_n():
    assert [MEMBERS.leader(term) for term in range(6)] == [0, 1, 2, 3, 0, 1]


def test_every_message_is_signed_and_what_is_not_is_not_heard():
    outsider = Signed(Prepare(0, 1, CHAIN[0].digest), 2, bytes(64))
    forged = [
        append(CHAIN, 1, ONE, leader=3),
        msgspec.structs.replace(append(CHAIN, 1, ONE), signed=Signed(Append(0, 1, CHAIN[0].digest), 0, bytes(64))),
        Signed(Commit(0, 1, CHAIN[0].digest), 2, bytes(64)),
        msgspec.structs.replace(ONE, signature=bytes(64)),
        outsider,
    ]
    rig = Member()
    for message in forged:
        rig.hear(10, message)
    state = rig.run(20)
    assert (state.log.last_index, len(state.requests), len(state.commits)) == (0, 0, 0)
    assert kinds_of(state) == ["UnknownSigner", *["InvalidSignature"] * 4]


def test_statements_of_one_kind_are_never_those_of_another():
    fields = 1, 1, CHAIN[0].digest
    signed = {kind(*fields).signed_bytes() for kind in (Append, Prepare, Commit, Start)}
    assert len(signed) == 4
    moved = Signed(Commit(*fields), 2, by(2, Prepare(*fields)).signature)
    with pytest.raises(InvalidSignature):
        MEMBERS.demand_server(moved)


# -- a client's request


def test_a_request_goes_to_the_leader_and_the_leader_puts_it_into_the_log():
    rig = Member(0)
    rig.hear(10, ONE)
    rig.run(20)
    [proposal] = rig.told(type(append(CHAIN, 1, ONE)), "server 1")
    assert (proposal.signed.statement, proposal.entry) == (Append(0, 1, CHAIN[0].digest), CHAIN[0])


def test_who_does_not_lead_hands_a_request_on_to_the_leader():
    rig = Member(2)
    rig.hear(10, ONE)
    rig.run(20)
    assert [(name, message) for _, whom, name, message in rig.said if whom == "server 0"] == [("forwarded_request", ONE)]


@pytest.mark.parametrize(("number", "whose", "is_taken"), [(7 * CLIENTS + 1, 1, True), (7 * CLIENTS + 1, 0, False), (-1, 1, False)])
def test_in_another_session_a_client_has_another_number_and_the_same_key(number, whose, is_taken):
    request = msgspec.structs.replace(ONE.statement, client=number)
    rig = Member(0)
    rig.hear(10, Signed.sign(request, number, KEYS[SERVERS + whose]))
    rig.run(20)
    assert [proposal.entry.requests for proposal in rig.told(Proposal, "server 1")] == ([(request,)] if is_taken else [])


@pytest.mark.parametrize(("number", "is_taken"), [(1, True), (3, True), (4, False)])
def test_the_leader_takes_a_request_up_to_two_windows_ahead_for_others_may_have_answered_what_it_has_yet_to_execute(number, is_taken):
    rig = Member(0, client_window=2)
    rig.hear(10, asked(0, number))
    rig.run(20)
    assert [proposal.entry.requests for proposal in rig.told(Proposal, "server 1")] == ([(asked(0, number).statement,)] if is_taken else [])


def test_by_the_clients_timer_a_request_goes_to_all():
    text = SCENARIO + "election_timeout = 1000\nsimulation = seed(1); crash(replica_0,40)\n"
    outcome = simulate(parse_scenario(text, "x.config")[0], keeps_steps=True)
    asked_of = {step.receiver for step in outcome.steps if step.kind == "arrived" and step.message == "client_request"}
    assert outcome.breaches == ()
    assert {"replica_1", "replica_2", "replica_3"} <= asked_of


def test_a_request_that_was_executed_is_answered_again_and_not_executed_again():
    rig = Member()
    now_ms = decided(rig, 10)
    rig.hear(now_ms, ONE)
    state = rig.run(now_ms + 10)
    first, second = rig.statements(Reply, "client 0")
    assert first == second
    assert state.log.last_index == 1


# -- append and prepare


def test_a_follower_answers_an_append_with_a_signed_prepare():
    rig = Member()
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.run(20)
    assert rig.statements(Prepare, "server 0") == [Prepare(0, 1, CHAIN[0].digest)]
    assert rig.statements(Prepare, "server 2") == []


OTHER_TERM = chain_of(ONE, term=4)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (append(OTHER_TERM, 1, ONE, term=4), None),  # whose term it is not
        (append(CHAIN, 1, ONE, leader=2), "UnknownSigner"),  # not the leader
        (append(CHAIN, 1, TWO), "InvalidSignature"),  # another client's signature
        (msgspec.structs.replace(append(CHAIN, 1, ONE), entry=CHAIN[1]), "MalformedMessage"),  # not what the leader signed
        (msgspec.structs.replace(append(CHAIN, 1, ONE), signatures=()), "MalformedMessage"),
        (append(chain_of(ONE, behind=place_of(CHAIN, 2)), 1, ONE), "WrongChain"),
        (append(CHAIN, 2, TWO), None),  # an entry is missing
    ],
)
def test_a_follower_checks_term_leader_chain_and_every_clients_signature(message, kind):
    rig = Member()
    rig.hear(10, message)
    state = rig.run(20)
    assert rig.statements(Prepare) == []
    assert kinds_of(state) == ([kind] if kind else [])


def test_the_previous_hash_is_part_of_what_is_prepared():
    elsewhere = chain_of(TWO, TWO)
    again = chain_of(TWO, behind=place_of(elsewhere, 1))
    assert again[0].requests == CHAIN[1].requests
    assert again[0].digest != CHAIN[1].digest
    with pytest.raises(MalformedMessage):
        demand_chain(BEGINNING, (CHAIN[0], again[0]))


def test_an_entry_holds_no_more_requests_than_a_batch_may():
    both = (ONE.statement, TWO.statement)
    entry = msgspec.structs.replace(CHAIN[0], requests=both)
    with pytest.raises(MalformedMessage, match="2 requests"):
        demand_valid("append", append([entry], 1, ONE, TWO), MEMBERS, 1)
    demand_valid("append", append([entry], 1, ONE, TWO), MEMBERS, 2)


def test_requests_that_come_while_an_entry_is_undecided_share_the_next_and_a_full_one_does_not_wait():
    rig = Member(0, batch_limit=2, client_window=9)
    for number in range(4):
        rig.hear(10 + number, asked(0, number))
    rig.look(20, lambda state: looked.append([len(entry.requests) for entry in state.log.entries]))
    first = chain_of(asked(0, 0))
    rig.hear(21, by(1, Prepare(0, 1, first[0].digest)))
    rig.hear(21, by(2, Prepare(0, 1, first[0].digest)))
    for signed in commits(first, 1, (1, 2)):
        rig.hear(22, signed)
    rig.look(25, lambda state: looked.append([len(entry.requests) for entry in state.log.entries]))
    rig.hear(26, asked(0, 4))
    looked = []
    state = rig.run(30)
    assert looked == [[1, 2], [1, 2]]
    assert (state.commit_index, [len(entry.requests) for entry in state.log.entries]) == (1, [1, 2, 2])


def test_what_waits_behind_an_entry_is_ordered_when_that_is_decided():
    rig = Member(0, batch_limit=3, client_window=9)
    for number in range(3):
        rig.hear(10, asked(0, number))
    first = chain_of(asked(0, 0))
    rig.hear(21, by(1, Prepare(0, 1, first[0].digest)))
    rig.hear(21, by(2, Prepare(0, 1, first[0].digest)))
    for signed in commits(first, 1, (1, 2)):
        rig.hear(22, signed)
    state = rig.run(30)
    assert [len(entry.requests) for entry in state.log.entries] == [1, 2]


def test_q_prepares_are_a_prepare_certificate_which_the_leader_sends_round():
    rig = Member(0)
    rig.hear(10, ONE)
    rig.hear(20, by(1, Prepare(0, 1, CHAIN[0].digest)))
    rig.look(25, lambda _: looked.append(rig.told(Certificate)))
    rig.hear(30, by(2, Prepare(0, 1, CHAIN[0].digest)))
    looked = []
    rig.run(40)
    assert looked == [[]]
    [sent] = rig.told(Certificate, "server 3")
    MEMBERS.demand_certificate(sent, Prepare)
    assert [signer for signer, _ in sent.signatures] == [0, 1, 2]


def test_one_signer_counts_once():
    rig = Member(0)
    rig.hear(10, ONE)
    for at_ms in (20, 30, 40):
        rig.hear(at_ms, by(1, Prepare(0, 1, CHAIN[0].digest)))
    rig.run(50)
    assert rig.told(Certificate) == []


def test_prepares_of_different_entries_are_no_certificate():
    rig = Member(0)
    rig.hear(10, ONE)
    rig.hear(20, by(1, Prepare(0, 1, CHAIN[0].digest)))
    rig.hear(20, by(2, Prepare(0, 1, CHAIN[1].digest)))
    rig.hear(20, by(3, Prepare(0, 1, CHAIN[2].digest)))
    rig.run(30)
    assert rig.told(Certificate) == []


STATEMENT = Prepare(0, 1, CHAIN[0].digest)


@pytest.mark.parametrize(
    "wrong",
    [
        certificate(STATEMENT, ()),
        certificate(STATEMENT, (0, 1)),
        certificate(STATEMENT, (0, 1, 1)),
        certificate(STATEMENT, (0, 1, 2, 2)),
        certificate(Commit(0, 1, CHAIN[0].digest)),
        msgspec.structs.replace(certificate(STATEMENT), statement=Prepare(0, 1, CHAIN[1].digest)),
        msgspec.structs.replace(certificate(STATEMENT), signatures=((0, bytes(64)), *certificate(STATEMENT, (1, 2)).signatures)),
    ],
)
def test_an_empty_map_is_no_certificate_nor_is_anything_else_of_fewer_than_q_signatures(wrong):
    rig = Member()
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, wrong)
    state = rig.run(30)
    assert kinds_of(state) == ["InvalidCertificate"]
    assert rig.statements(Commit) == []
    with pytest.raises(InvalidCertificate) as found:
        MEMBERS.demand_certificate(wrong, Prepare)
    assert found.value.evidence == (wrong,)


@given(st.lists(st.integers(0, 3), max_size=6))
def test_a_certificate_is_valid_exactly_with_q_different_signers(signers):
    made = certificate(STATEMENT, signers)
    try:
        MEMBERS.demand_certificate(made, Prepare)
        is_valid = True
    except InvalidCertificate:
        is_valid = False
    assert is_valid == (len(set(signers)) == len(signers) >= 3)


# -- commit


def test_a_server_that_has_the_prepare_certificate_signs_commit():
    rig = Member()
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.look(15, lambda _: looked.append(rig.statements(Commit)))
    rig.hear(20, prepared(CHAIN, 1))
    looked = []
    state = rig.run(30)
    assert looked == [[]]
    for server in (0, 2, 3):
        assert rig.statements(Commit, f"server {server}") == [Commit(0, 1, CHAIN[0].digest)]
    assert state.highest == prepared(CHAIN, 1)


def test_q_commits_decide_the_entry_and_every_server_answers_the_client():
    rig = Member()
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, prepared(CHAIN, 1))
    rig.hear(30, commits(CHAIN, 1, (0,))[0])
    rig.look(35, lambda state: looked.append((state.last_applied, rig.statements(Reply))))
    rig.hear(40, commits(CHAIN, 1, (2,))[0])
    looked = []
    state = rig.run(50)
    assert looked == [(0, [])]
    assert (state.last_applied, state.state.dictionary) == (1, {"k": "v"})
    assert rig.statements(Reply, "client 0") == [Reply(0, 0, 0, Outcome(0, 1, 0, ("OK",)))]


def test_a_value_is_not_acknowledged_and_no_entry_applied_because_an_append_succeeded():
    rig = Member(0)
    rig.hear(10, ONE)
    for server in (1, 2, 3):
        rig.hear(20, by(server, Prepare(0, 1, CHAIN[0].digest)))
    state = rig.run(30)
    assert (state.log.last_index, state.last_applied) == (1, 0)
    assert rig.statements(Reply) == []


def test_decided_entries_are_executed_in_order():
    rig = Member()
    for index, request in enumerate((ONE, TWO), start=1):
        rig.hear(10, append(CHAIN, index, request))
        rig.hear(20, prepared(CHAIN, index))
    for signed in commits(CHAIN, 2, (0, 2)):
        rig.hear(30, signed)  # of the second alone: it stands for everything before it
    rig.run(40)
    assert [reply.outcome.place for reply in rig.statements(Reply)] == [(0, 1, 0), (0, 2, 0)]


def test_reads_go_through_the_log():
    outcome = simulate(parse_scenario(SCENARIO.replace("put('a','1')", "get('a')"), "x.config")[0])
    places = [exchange.answer.outcome.place for client in outcome.record.clients for exchange in client.exchanges]
    assert outcome.breaches == ()
    assert len(set(places)) == len(places) == 23  # each operation has an index of its own, a read too


def test_the_next_index_is_never_told_as_that_which_is_held():
    rig = Member()
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, append(CHAIN, 3, THREE))
    state = rig.run(200)
    assert state.log.last_index == 1
    assert {status.last for status in rig.statements(Status)} <= {1}
    assert {statement.index for statement in rig.statements(Prepare)} == {1}


# -- results


def told(server, results, number=0, term=0):
    return by(server, Reply(0, number, term, Outcome(0, 1, 0, results)))


def test_a_client_takes_a_result_from_t_plus_1_equal_signed_ones():
    assert agreed_among([told(0, ("OK",))], 1) is None
    assert agreed_among([told(0, ("OK",)), told(1, ("no",))], 1) is None
    agreed = agreed_among([told(0, ("no",)), told(1, ("OK",)), told(2, ("OK",), term=3)], 1)
    assert (agreed.outcome.results, [each.signer for each in agreed.replies]) == (("OK",), [1, 2])
    agreed.demand_for(ONE, MEMBERS)


@pytest.mark.parametrize(
    "replies",
    [
        (told(1, ("OK",)),),
        (told(1, ("OK",)), told(1, ("OK",))),
        (told(1, ("OK",)), told(2, ("no",))),
        (told(1, ("OK",)), told(2, ("OK",), 1)),
    ],
)
def test_a_result_of_fewer_is_proved_to_nobody(replies):
    with pytest.raises(NotEnoughStatements):
        Agreed(Outcome(0, 1, 0, ("OK",)), replies).demand_for(ONE, MEMBERS)


def test_a_client_is_not_deceived_by_a_server_that_tells_another_result():
    outcome = simulate(parse_scenario(SCENARIO + "failures[0,0] = append(0),change_result(); after(40),change_result()\n", "x.config")[0])
    assert outcome.breaches == ()
    assert outcome.result["results"][0][:3] == ["OK", "OK", "12"]


# -- equivocation


def test_prepared_entries_are_never_overwritten_without_a_higher_certificate():
    others = chain_of(TWO, ONE)
    rig = Member()
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, prepared(CHAIN, 1))
    rig.hear(30, append(others, 1, TWO))
    rig.hear(40, begun(1, votes_for(1)[:2], 0, BEGINNING.digest))  # a term that no quorum has voted for
    state = rig.run(50)
    assert state.log.stands(1, CHAIN[0].digest)
    assert state.highest == prepared(CHAIN, 1)


def test_a_server_signs_one_prepare_for_an_index_in_a_term():
    others = chain_of(TWO)
    rig = Member()
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, append(others, 1, TWO))
    rig.run(30)
    assert rig.statements(Prepare) == [Prepare(0, 1, CHAIN[0].digest)]


@pytest.mark.parametrize(
    ("messages", "kind"),
    [
        ((append(CHAIN, 1, ONE), append(chain_of(TWO), 1, TWO)), "Equivocation"),
        ((append(CHAIN, 1, ONE), prepared(chain_of(TWO), 1)), "Equivocation"),
        ((append(CHAIN, 1, ONE), append(chain_of(TWO, TWO), 2, TWO)), "WrongChain"),
    ],
)
def test_a_server_that_sees_contradictory_signed_messages_of_the_leader_signs_start_vote(messages, kind):
    rig = Member(2)
    for at_ms, message in zip((10, 20), messages, strict=True):
        rig.hear(at_ms, message)
    state = rig.run(30)
    assert kinds_of(state) == [kind]
    assert (state.term, state.is_started) == (1, False)
    assert [each.term for each in (message.signed.statement for message in rig.told(type(vote(2, 1)), "server 0"))] == [1]


@pytest.mark.parametrize("kind", [Equivocation, InvalidCertificate, WrongChain])
def test_equivocation_wrong_chains_and_invalid_certificates_are_typed_violations(kind):
    assert issubclass(kind, ProtocolViolation)
    assert kind.provable == (kind is not InvalidCertificate)  # who puts signatures together signs nothing


def test_whoever_signs_two_things_for_one_index_and_term_is_convicted_by_them():
    tally = Tally(MEMBERS)
    one, other = by(2, Commit(0, 1, CHAIN[0].digest)), by(2, Commit(0, 1, CHAIN[1].digest))
    tally.add(one)
    with pytest.raises(Equivocation) as found:
        tally.add(other)
    assert (found.value.position, found.value.evidence) == (2, (one, other))
    tally.add(by(2, Commit(3, 1, CHAIN[1].digest)))  # in a later term it may be another one


# -- election


def test_a_server_whose_timer_for_a_request_expires_signs_start_vote():
    rig = Member(2)
    rig.hear(10, ONE)
    rig.look(10 + TIMEOUT_MS - 5, lambda state: looked.append(state.term))
    looked = []
    state = rig.run(10 + TIMEOUT_MS + 60)
    assert looked == [0]
    assert (state.term, state.is_started) == (1, False)
    assert rig.told(type(vote(2, 1)), "server 3")[0] == vote(2, 1)


def test_a_vote_has_the_highest_prepare_certificate_and_the_log_behind_the_last_checkpoint():
    rig = Member(2, checkpoint_interval=1)
    now_ms = decided(rig, 10)
    for signer in (0, 1):
        rig.hear(now_ms, by(signer, state_at(CHAIN, 1)))
    rig.hear(now_ms + 5, append(CHAIN, 2, TWO))
    rig.hear(now_ms + 10, prepared(CHAIN, 2))
    rig.hear(now_ms + 15, append(CHAIN, 3, THREE))  # which is not prepared
    rig.run(now_ms + 20 + TIMEOUT_MS + 60)
    sent = rig.told(type(vote(2, 1)), "server 3")[0]
    assert sent.signed.statement == StartVote(1, 0, 2, CHAIN[1].digest)
    assert (sent.certificate, sent.log.entries) == (prepared(CHAIN, 2), (CHAIN[1],))
    assert sent.log.first == place_of(CHAIN, 1)
    demand_vote(sent, MEMBERS)


def test_q_votes_start_the_term_and_its_leaders_first_message_carries_them():
    rig = Member()
    for at_ms, cast in zip((10, 20, 30), votes_for(1, prepared(CHAIN, 1)), strict=True):
        rig.hear(at_ms, cast)
    state = rig.run(40)
    start = rig.told(TermStart, "server 3")[0]
    assert (state.term, state.is_started, start.signed.signer) == (1, True, 1)
    assert len({cast.signer for cast, _ in start.votes}) == 3
    demand_start(start, MEMBERS)


def test_fewer_than_q_votes_start_no_term():
    rig = Member()
    rig.hear(10, votes_for(1)[0])
    state = rig.run(40)
    assert state.term == 0
    assert rig.told(TermStart) == []


def test_the_log_that_must_be_continued_is_the_one_with_the_highest_certificate():
    older, higher = prepared(CHAIN, 3), prepared(chain_of(TWO, term=1), 1, term=1)
    votes = [vote(0, 2, older, CHAIN), vote(1, 2, higher, chain_of(TWO, term=1)), vote(3, 2)]
    start = start_of(signing(2), votes, MEMBERS)
    assert (start.index, start.digest) == (1, chain_of(TWO, term=1)[0].digest)
    rig = Member(3)
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, start)
    state = rig.run(30)
    assert (state.log.last_index, state.log.last.digest, state.highest) == (1, start.digest, higher)
    assert rig.statements(Prepare, "server 2") == [Prepare(2, 1, start.digest)]


HIGHEST = prepared(CHAIN, 2)


@pytest.mark.parametrize(
    "start",
    [
        begun(1, votes_for(1, HIGHEST), 0, BEGINNING.digest),
        begun(1, votes_for(1, HIGHEST), 1, CHAIN[0].digest, CHAIN[:1]),
        begun(1, votes_for(1, HIGHEST), 2, CHAIN[1].digest, CHAIN[:1]),
        begun(1, votes_for(1, HIGHEST), 2, CHAIN[1].digest, chain_of(TWO, TWO)),
        begun(1, votes_for(1, HIGHEST)[:2], 2, CHAIN[1].digest, CHAIN[:2]),
        begun(1, [*votes_for(1, HIGHEST)[:2]] * 2, 2, CHAIN[1].digest, CHAIN[:2]),
        begun(1, votes_for(2, HIGHEST), 2, CHAIN[1].digest, CHAIN[:2]),
        begun(1, [], 0, BEGINNING.digest),
    ],
)
def test_followers_compute_the_same_choice_and_refuse_another(start):
    rig = Member(3)
    rig.hear(10, start)
    state = rig.run(20)
    assert (state.term, state.begun) == (0, None)
    assert kinds_of(state)[0] in ("MalformedMessage", "InvalidCertificate")


def test_the_leader_of_another_term_begins_none():
    start = begun(1, votes_for(1), 0, BEGINNING.digest)
    with pytest.raises(UnknownSigner):
        demand_start(msgspec.structs.replace(start, signed=by(2, start.signed.statement)), MEMBERS)


@pytest.mark.parametrize(
    "wrong",
    [
        msgspec.structs.replace(vote(2, 1), signed=by(2, StartVote(1, 0, 2, CHAIN[1].digest))),  # without its certificate
        vote(2, 1, prepared(CHAIN, 2, signers=(0, 1)), CHAIN[:2]),
        vote(2, 1, prepared(CHAIN, 2), CHAIN[:1]),
        vote(2, 1, prepared(CHAIN, 2), (CHAIN[1], CHAIN[0])),
        vote(2, 1, prepared(CHAIN, 1, term=1), CHAIN[:1]),  # of the term that is yet to begin
        msgspec.structs.replace(vote(2, 1, prepared(CHAIN, 1), CHAIN[:1]), certificate=prepared(CHAIN, 2)),
    ],
)
def test_a_vote_that_does_not_show_what_it_claims_does_not_count(wrong):
    with pytest.raises(ProtocolViolation):
        demand_vote(wrong, MEMBERS)


def test_a_term_that_begins_with_two_logs_is_given_up():
    votes = votes_for(1, HIGHEST)
    one = start_of(signing(1), votes, MEMBERS)
    other = start_of(signing(1), [*votes_for(1)[1:], vote(1, 1)], MEMBERS)
    rig = Member(3)
    rig.hear(10, one)
    rig.hear(20, other)
    state = rig.run(30)
    assert kinds_of(state) == ["Equivocation"]
    assert (state.term, state.is_started) == (2, False)


def test_a_server_follows_t_plus_1_others_into_a_higher_term():
    rig = Member(3)
    rig.hear(10, vote(0, 5))
    rig.look(15, lambda state: looked.append(state.term))
    rig.hear(20, vote(1, 4))
    looked = []
    state = rig.run(30)
    assert looked == [0]
    assert (state.term, state.is_started) == (4, False)


def test_a_server_doubles_its_timer_each_time():
    rig = Member(3)
    rig.hear(10, ONE)
    expected = [10 + TIMEOUT_MS]
    for term in (1, 2):
        for server in (0, 1, 2):
            rig.hear(expected[-1] + 1, vote(server, term))  # and so a quorum is in it, which never begins
        expected.append(expected[-1] + 1 + TIMEOUT_MS * 2**term)
    rig.run(expected[-1] + 1)
    voted = [(at_ms, message.term) for at_ms, whom, _, message in rig.said if whom == "server 0" and isinstance(message, TermVote)]
    assert [min(at_ms for at_ms, of_term in voted if of_term == term) for term in (1, 2, 3)] == expected


def test_alone_it_waits_for_others_and_goes_no_further():
    rig = Member(3)
    rig.hear(10, ONE)
    assert rig.run(5_000).term == 1


def test_who_gave_a_term_up_signs_nothing_more_in_it():
    rig = Member(3)
    rig.hear(10, vote(0, 1))
    rig.hear(10, vote(2, 1))
    rig.hear(20, append(CHAIN, 1, ONE))
    rig.hear(30, prepared(CHAIN, 1))
    rig.run(40)
    assert rig.statements(Prepare) == rig.statements(Commit) == []


def test_a_vote_is_not_forgotten_at_restart():
    rig = Member(3)
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, prepared(CHAIN, 1))
    rig.hear(30, vote(0, 1))
    rig.hear(30, vote(2, 1))
    before = rig.run(40)
    again = Member(3)
    again.store = rig.store
    again.hear(10, append(CHAIN, 2, TWO))
    state = again.run(20)
    assert (
        (state.term, state.is_started, state.highest) == (1, False, prepared(CHAIN, 1)) == (before.term, before.is_started, before.highest)
    )
    assert again.statements(Prepare) == []


def test_a_server_that_comes_back_prepares_no_other_entry_in_its_term():
    rig = Member(3)
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.run(20)
    again = Member(3)
    again.store = rig.store
    again.hear(10, append(chain_of(TWO), 1, TWO))
    state = again.run(20)
    assert state.log.stands(1, CHAIN[0].digest)
    assert again.statements(Prepare) == []


def test_what_was_decided_in_a_term_stays_when_its_beginning_is_heard_late():
    """A hunt found it: the log was cut to what the term began with."""
    votes = votes_for(1, prepared(CHAIN, 1))
    start = start_of(signing(1), votes, MEMBERS)
    more = [*CHAIN[:1], *chain_of(TWO, term=1, behind=place_of(CHAIN, 1))]
    shown = certificate(Commit(1, 2, more[1].digest))
    rig = Member(3)
    rig.hear(10, Decided(None, b"", 0, tuple(more), shown))
    rig.hear(20, start)
    state = rig.run(30)
    assert (state.term, state.commit_index, state.log.last_index, state.highest) == (1, 2, 2, shown)


# -- checkpoints


def test_q_signed_digests_of_the_state_cut_the_log():
    rig = Member(checkpoint_interval=2)
    now_ms = decided(rig, 10, 3)
    rig.hear(now_ms, by(0, state_at(CHAIN, 2)))
    rig.look(now_ms + 5, lambda state: looked.append(state.checkpoint))
    rig.hear(now_ms + 10, by(2, state_at(CHAIN, 2)))
    looked = []
    state = rig.run(now_ms + 20)
    assert rig.statements(StateAt, "server 3") == [state_at(CHAIN, 2)]
    assert looked == [None]
    assert state.log.snapshot_at == place_of(CHAIN, 2)
    MEMBERS.demand_certificate(state.checkpoint, StateAt)


def test_another_digest_of_the_state_does_not_count():
    rig = Member(checkpoint_interval=1)
    now_ms = decided(rig, 10)
    for signer in (0, 2, 3):
        rig.hear(now_ms, by(signer, StateAt(place_of(CHAIN, 1), bytes(32))))
    assert rig.run(now_ms + 10).checkpoint is None


def handed_over(count, index, entries=CHAIN):
    """What a server sends that has decided `index` entries and the certain state behind `count` of them."""
    shown = certificate(Commit(0, index, entries[index - 1].digest)) if index > count else None
    return Decided(
        certificate(state_at(CHAIN, count)), encode(executed(entries, count).snapshot()), count, tuple(entries[count:index]), shown
    )


def test_who_is_behind_fetches_a_state_and_checks_it_against_the_certificate():
    rig = Member(3)
    rig.hear(10, by(2, Status(0, True, 3, 3, 3, 2)), "status")
    rig.hear(20, handed_over(2, 3))
    state = rig.run(30)
    assert rig.statements(Fetch, "server 2") == [Fetch(0)]
    assert (state.last_applied, state.log.base, state.checkpoint) == (3, place_of(CHAIN, 2), certificate(state_at(CHAIN, 2)))
    assert state.state.digest() == state_at(CHAIN, 3).state_digest


@pytest.mark.parametrize(
    "wrong",
    [
        msgspec.structs.replace(handed_over(2, 2), snapshot=handed_over(1, 1).snapshot),
        msgspec.structs.replace(handed_over(2, 2), checkpoint=certificate(state_at(CHAIN, 2), (0, 2))),
        msgspec.structs.replace(handed_over(2, 2), checkpoint=None, certificate=certificate(Commit(0, 2, CHAIN[1].digest), (0, 2))),
        Decided(None, b"", 0, tuple(CHAIN[:2]), certificate(Commit(0, 2, CHAIN[2].digest))),
        Decided(None, b"", 0, tuple(CHAIN[:1]), certificate(Commit(0, 2, CHAIN[1].digest))),
        Decided(None, b"", 0, (CHAIN[1], CHAIN[0]), certificate(Commit(0, 2, CHAIN[0].digest))),
    ],
)
def test_what_is_fetched_and_not_certified_is_not_taken(wrong):
    rig = Member(3)
    rig.hear(10, wrong)
    state = rig.run(20)
    assert (state.last_applied, state.log.last_index) == (0, 0)
    assert len(state.notices) == 1


def test_who_was_led_astray_by_the_leader_takes_what_was_decided_and_gives_the_term_up():
    rig = Member(3)
    rig.hear(10, append(chain_of(TWO), 1, TWO))
    rig.hear(20, Decided(None, b"", 0, tuple(CHAIN[:1]), certificate(Commit(0, 1, CHAIN[0].digest))))
    state = rig.run(30)
    assert state.log.stands(1, CHAIN[0].digest)
    assert (state.term, state.is_started) == (1, False)


def test_who_takes_over_a_state_in_place_of_what_it_has_prepared_gives_the_term_up():
    """[16.4] prepare(term, index, digest): one for an index in a term"""
    rig = Member(3)
    rig.hear(10, append(chain_of(TWO), 1, TWO))
    rig.hear(20, handed_over(1, 1))
    rig.hear(30, by(0, Status(0, True, 0, 0, 0, 0)), "status")  # whose sender lacks a prepare of the last entry
    state = rig.run(40)
    assert state.log.last.digest == CHAIN[0].digest
    assert (state.term, state.is_started) == (1, False)
    assert rig.statements(Prepare, "server 0") == [Prepare(0, 1, chain_of(TWO)[0].digest)]


def test_who_takes_over_a_state_that_its_log_leads_to_stays_in_the_term():
    rig = Member(3)
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, handed_over(1, 1))
    state = rig.run(30)
    assert (state.term, state.is_started, state.commit_index) == (0, True, 1)


LATER = chain_of(THREE, TWO, term=1)


@pytest.mark.parametrize(
    ("fetched", "late"),
    [
        (handed_over(2, 2), prepared(CHAIN, 1)),  # the log was cut behind it
        (Decided(None, b"", 0, tuple(LATER), certificate(Commit(1, 2, LATER[1].digest))), prepared(CHAIN, 1)),
        (Decided(None, b"", 0, tuple(LATER), certificate(Commit(1, 2, LATER[1].digest))), append(CHAIN, 3, THREE)),
    ],
)
def test_what_comes_late_beside_what_was_fetched_convicts_nobody(fetched, late):
    """What is decided in a later term may be other than what the leader of this one sent, who did not lie."""
    rig = Member(3)
    rig.hear(10, fetched)
    rig.hear(20, late)
    state = rig.run(30)
    assert kinds_of(state) == []
    assert (state.term, state.is_started, state.log.last_index) == (0, True, 2)


def test_a_certificate_of_what_was_sent_and_cut_away_since_convicts_nobody():
    rig = Member(3)
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, handed_over(2, 2))
    rig.hear(30, prepared(CHAIN, 1))
    assert kinds_of(rig.run(40)) == []


def test_an_entry_that_does_not_follow_a_decided_one_of_the_same_term_convicts_the_leader():
    rig = Member(3)
    now_ms = decided(rig, 10, 2)
    rig.hear(now_ms, append(chain_of(ONE, ONE, THREE), 3, THREE))
    state = rig.run(now_ms + 10)
    assert kinds_of(state) == ["WrongChain"]
    assert (state.term, state.is_started) == (1, False)


def test_an_entry_that_does_not_follow_what_the_term_began_with_convicts_the_leader():
    rig = Member(3)
    votes = [vote(server, 1, prepared(CHAIN, 2), CHAIN[:2]) for server in (0, 1, 2)]
    rig.hear(10, begun(1, votes, 2, CHAIN[1].digest, CHAIN[:2]))
    rig.hear(20, append(chain_of(ONE, ONE) + chain_of(THREE, term=1, behind=place_of(chain_of(ONE, ONE), 2)), 3, THREE, term=1))
    state = rig.run(30)
    assert kinds_of(state) == ["WrongChain"]
    assert (state.term, state.is_started) == (2, False)


# -- what must never happen


def test_nothing_that_was_received_is_evaluated_or_unpickled():
    own = [*Path(__file__).parents[1].glob("src/Braft*.da"), *Path(__file__).parents[1].glob("src/bcr/braft/*.py")]
    assert len(own) > 10
    assert not [path for path in own if any(word in path.read_text() for word in ("pickle", "eval(", "exec("))]


def test_a_server_that_leads_no_longer_answers_no_read():
    cuts = "; ".join(f"cut(replica_{a},replica_{b},60,1500)" for a in range(4) for b in range(4) if 0 in (a, b) and a != b)
    text = SCENARIO.replace("num_client = 1", "num_client = 2") + "workload[1] = uniform(5,40,3,80)\nclient_rate = 40\n"
    outcome = simulate(parse_scenario(f"{text}simulation = seed(2); {cuts}\n", "x.config")[0])
    assert outcome.breaches == ()
    assert outcome.result["operations"] == 63


# -- the chaos server


@given(st.binary(min_size=CHAOS_BYTES, max_size=CHAOS_BYTES), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_a_chaos_server_says_what_is_correct_in_syntax_and_signature(chance, term, index, has_heard):
    name, message = chaos(chance, signing(2), term, Position(index, term, bytes(32)), 3, (ONE,) if has_heard else ())
    assert decode(KINDS[name], encode(message)) == message
    signed = getattr(message, "signed", message)
    if isinstance(signed, Signed) and name != "forwarded_request":
        MEMBERS.demand_server(signed)
        if not isinstance(signed.statement, StateAt | StartVote):
            assert abs(getattr(signed.statement, "term", term) - term) <= 4  # the next one in which it leads
            # A term that starts from the beginning is one for which nobody showed a certificate.
            starts_anew = isinstance(signed.statement, Start) and signed.statement.digest == BEGINNING.digest
            assert starts_anew or abs(getattr(signed.statement, "index", index) - index) <= 4


def test_the_leader_sends_entries_again_to_a_server_that_says_it_lacks_them():
    """[16.9]"""
    rig = Member(0)
    rig.hear(10, ONE, "client_request")
    rig.look(20, lambda _: seen.append(len(rig.told(Proposal, "server 2"))))
    rig.hear(30, by(2, Status(0, True, 0, 0, 0, 0)), "status")
    rig.look(40, lambda _: seen.append(len(rig.told(Proposal, "server 2"))))
    rig.hear(50, by(2, Status(0, True, 0, 0, 1, 0)), "status")
    seen = []
    rig.run(60)
    assert [*seen, len(rig.told(Proposal, "server 2"))] == [1, 2, 2]


@pytest.mark.parametrize("server", [0, 3])
def test_with_a_chaos_server_all_is_answered_and_right(server):
    outcome = simulate(parse_scenario(SCENARIO + f"failures[0,{server}] = after(10),chaos(10)\nclient_rate = 50\n", "x.config")[0])
    assert outcome.breaches == ()
    assert outcome.result["operations"] == 23


def test_the_keyring_has_everybody():
    assert (len(CIRCLE.replicas), len(CIRCLE.clients)) == (SERVERS, 2)
    assert len({*CIRCLE.replicas, *CIRCLE.clients}) == 6


def test_the_protocol_stands_on_350_lines():
    path = Path(__file__).parents[1] / "src" / "Braft.da"
    assert len(path.read_text().splitlines()) <= 350
