"""Raft among liars without a network: what is counted, what a log holds, what votes show, and what is waited for (specification, 16).

Most sentences are shown at one server (tests/test_byzantine_raft_paper.py). Here are those that say of many cases what must hold of each.
"""

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sim"))

from braft_rig import (
    CLIENTS,
    KEYS,
    MEMBERS,
    SERVERS,
    append,
    asked,
    begun,
    by,
    certificate,
    chain_of,
    executed,
    place_of,
    prepared,
    signing,
    state_at,
    vote,
)
from hypothesis import given
from hypothesis import strategies as st

from bcr.braft.exchange import Decided, decided_behind, demand_valid, entries_behind
from bcr.braft.promises import Commit, Reply, StartVote
from bcr.braft.replies import Agreed, is_rejected
from bcr.braft.requests import Requests, key_of
from bcr.braft.standing import Standing, backed
from bcr.braft.tally import Tally
from bcr.braft.term_log import TermLog
from bcr.braft.term_starts import Suffix, TermVote, demand_start, demand_vote, highest_of, is_backed, start_of, vote_of
from bcr.chain.outstanding import NO_ROOM
from bcr.chain.slot_room import operations_bytes
from bcr.objects.operation import Operation
from bcr.objects.sizes import SLOT_LIMIT_BYTES
from bcr.raft.log import BEGINNING
from bcr.raft.persistent import MemoryStore
from bcr.signed.encoding import encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Outcome, Rejection, Request
from bcr.signed.violations import Equivocation, InvalidCertificate, InvalidSignature, MalformedMessage, UnknownSigner

REQUESTS = [asked(client, number, f"{client}{number}") for number in range(3) for client in range(CLIENTS)]
CHAIN = chain_of(*REQUESTS)
OTHERS = chain_of(*REQUESTS[::-1])
WINDOW = 4  # requests that a client may have outstanding


def log_of(entries, cut_at=0, snapshot=b"s", store=None):
    """The log of a server with these entries, of which a state has replaced those up to an index."""
    log = TermLog(store or MemoryStore())
    log.take(0, entries)
    if cut_at:
        log.install(place_of(entries, cut_at), snapshot)
    return log


def certain(index, entries=CHAIN, signers=(0, 1, 2)):
    """The certificate of the state behind so many entries."""
    return certificate(state_at(entries, index, WINDOW), signers)


def decided(index, entries=CHAIN, signers=(0, 1, 2), term=0):
    return certificate(Commit(term, index, entries[index - 1].digest), signers)


# -- 16.1, 16.3: who signs


@pytest.mark.parametrize("position", [-1, SERVERS])
def test_beside_the_3t_plus_1_servers_there_is_none(position):
    with pytest.raises(UnknownSigner):
        MEMBERS.server(position)


def test_a_client_signs_its_request_itself():
    with pytest.raises(UnknownSigner):
        MEMBERS.demand_client(msgspec.structs.replace(REQUESTS[0], signer=CLIENTS))
    with pytest.raises(UnknownSigner):
        MEMBERS.demand_client(msgspec.structs.replace(REQUESTS[0], signer=1))


def test_a_request_asks_for_something():
    nothing = Signed.sign(Request(0, 0, ()), 0, KEYS[SERVERS])
    with pytest.raises(MalformedMessage):
        MEMBERS.demand_client(nothing)


def test_a_leader_makes_no_entry_without_a_request():
    empty = msgspec.structs.replace(CHAIN[0], requests=())
    with pytest.raises(MalformedMessage, match="0 requests"):
        demand_valid("append", append([empty], 1), MEMBERS, 4)


# -- 16.4: a quorum of equal ones

STATEMENTS = st.builds(Commit, st.integers(0, 2), st.integers(1, 3), st.sampled_from([CHAIN[0].digest, CHAIN[1].digest]))


@given(st.lists(st.tuples(st.integers(0, 3), STATEMENTS), max_size=24), st.integers(0, 3))
def test_a_certificate_is_a_quorum_of_equal_ones_each_server_with_the_one_of_its_latest_term(said, dropped):
    tally, model = Tally(MEMBERS), {}
    for signer, statement in said:
        before = model.get((statement.index, signer))
        if before is not None and before.term == statement.term and before != statement:
            with pytest.raises(Equivocation):
                tally.add(by(signer, statement))
            continue
        is_old = before is not None and before.term > statement.term
        if not is_old:
            model[statement.index, signer] = statement
        found = tally.add(by(signer, statement))
        agreeing = sorted(other for (index, other), each in model.items() if index == statement.index and each == statement)
        if is_old or len(agreeing) < 3:
            assert found is None
        else:
            MEMBERS.demand_certificate(found, Commit)
            assert (found.statement, [each for each, _ in found.signatures]) == (statement, agreeing)
    for signer in range(SERVERS):
        own = sorted((index, each) for (index, other), each in model.items() if other == signer)
        assert [each.statement for each in tally.of(signer, dropped)] == [each for index, each in own if index > dropped]
    tally.drop(dropped)
    assert len(tally) == len({index for index, _ in model if index > dropped})


# -- 16.2, 16.5: the log that a term goes on with


def test_a_log_holds_what_is_in_it_and_what_a_certain_state_has_replaced_and_nothing_else():
    log = log_of(CHAIN[:4], cut_at=2)
    assert [log.holds(index, CHAIN[index - 1].digest) for index in range(1, 7)] == [True] * 4 + [False] * 2
    assert [log.holds(index, OTHERS[index - 1].digest) for index in (3, 4)] == [False, False]


def test_a_log_contradicts_what_it_holds_other_entries_than_and_not_what_it_holds_or_lacks():
    log = log_of(CHAIN[:2])
    assert not log.contradicts(0, CHAIN[:2])
    assert not log.contradicts(1, CHAIN[1:4])
    assert not log.contradicts(2, OTHERS[2:4])
    assert log.contradicts(0, OTHERS[:1])
    assert log.contradicts(0, (CHAIN[0], OTHERS[1]))


@pytest.mark.parametrize("length", range(5))
@pytest.mark.parametrize("commit_index", range(4))
@pytest.mark.parametrize("end", range(5))
def test_what_was_not_prepared_goes_and_what_is_decided_stays(length, commit_index, end):
    """What a term begins with may be older than what was decided in a later one, and fetched: it takes the place of nothing of that."""
    commit_index = min(commit_index, length)
    log = log_of(CHAIN[:length])
    assert log.continue_behind(BEGINNING, OTHERS[:end], commit_index)
    if commit_index >= end:
        assert log.entries == tuple(CHAIN[:commit_index])
    else:
        assert log.entries == tuple(OTHERS[:end])


@pytest.mark.parametrize("length", range(3))
def test_a_log_is_not_continued_behind_what_it_lacks(length):
    log = log_of(CHAIN[:length])
    assert not log.continue_behind(place_of(CHAIN, 3), CHAIN[3:4], 0)
    assert log.entries == tuple(CHAIN[:length])


class Watched(MemoryStore):
    writes = 0

    def save_entries(self, first_index, entries):
        self.writes += 1
        super().save_entries(first_index, entries)


@pytest.mark.parametrize("commit_index", range(3))
def test_of_what_must_be_remembered_only_what_has_changed_is_written(commit_index):
    log = log_of(CHAIN[:2], store=(store := Watched()))
    before = store.writes
    assert log.continue_behind(BEGINNING, CHAIN[:2], commit_index)
    assert store.writes == before


# -- 16.5: what a vote shows


def test_the_highest_certificate_counts_and_no_certificate_is_lower_than_any():
    first = vote(2, 1, prepared(CHAIN, 1), CHAIN[:1])  # of the lowest that there is
    claims = [(each.signed, each.certificate) for each in (vote(0, 1), vote(1, 1), first)]
    assert highest_of(claims) == highest_of(claims[::-1]) == claims[2]
    demand_start(start_of(signing(1), [vote(0, 1), vote(1, 1), first], MEMBERS), MEMBERS)


AHEAD = certain(2)
RIGHT = [
    vote(2, 1),
    vote(2, 1, prepared(CHAIN, 3), CHAIN[:3]),
    vote(2, 1, prepared(CHAIN, 3), CHAIN[2:3], AHEAD),
    vote(2, 1, prepared(CHAIN, 2), (), AHEAD),
    vote(2, 1, prepared(CHAIN, 1), (), AHEAD),  # the state is further on than what is prepared
    vote(2, 1, None, (), AHEAD),
]
WRONG = [
    (vote(2, 1, prepared(CHAIN, 3), CHAIN[2:3], certain(2, signers=(0, 1))), InvalidCertificate),
    (vote(2, 1, prepared(CHAIN, 3), CHAIN[2:3], prepared(CHAIN, 2)), InvalidCertificate),
    (vote(2, 1, prepared(CHAIN, 2), ()), MalformedMessage),
    (vote(2, 1, prepared(CHAIN, 1), CHAIN[2:3], AHEAD), MalformedMessage),
    (vote(2, 1, prepared(OTHERS, 2), (), AHEAD), MalformedMessage),
    (vote(2, 1, prepared(CHAIN, 3), (CHAIN[0], CHAIN[0], CHAIN[2])), MalformedMessage),
    (msgspec.structs.replace(vote(2, 1), signed=by(2, StartVote(1, 0, 2, CHAIN[1].digest)), log=Suffix(None, tuple(CHAIN[:2]))), InvalidCertificate),
    (msgspec.structs.replace(vote(2, 1), signed=Signed(vote(2, 1).signed.statement, 2, bytes(64))), InvalidSignature),
]  # fmt: skip


@pytest.mark.parametrize("shown", RIGHT)
def test_a_vote_shows_the_highest_prepare_certificate_and_the_log_behind_the_last_certain_state(shown):
    demand_vote(shown, MEMBERS)


@pytest.mark.parametrize(("shown", "kind"), WRONG)
def test_a_vote_shows_all_that_it_claims(shown, kind):
    with pytest.raises(kind):
        demand_vote(shown, MEMBERS)


HIGHEST = prepared(CHAIN, 2)
VOTES = [vote(0, 1, HIGHEST, CHAIN[:2]), vote(2, 1), vote(3, 1)]
FORGED = msgspec.structs.replace(VOTES[1], signed=Signed(VOTES[1].signed.statement, 2, bytes(64)))


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (begun(1, [*VOTES, VOTES[2]], 2, CHAIN[1].digest, CHAIN[:2]), InvalidCertificate),  # one voter twice, beside a quorum
        (begun(1, [VOTES[0], FORGED, VOTES[2]], 2, CHAIN[1].digest, CHAIN[:2]), InvalidSignature),
        (begun(1, VOTES, 1, CHAIN[0].digest, CHAIN[:2]), MalformedMessage),  # it says another entry than its log ends with
        (begun(1, VOTES, 2, CHAIN[1].digest, (), certain(3)), MalformedMessage),  # behind what its votes do not know
        (begun(1, VOTES, 2, CHAIN[1].digest, CHAIN[:2], certain(3, signers=(0, 1))), InvalidCertificate),
    ],
)
def test_a_term_begins_with_a_quorum_of_votes_and_the_log_that_they_ask_for(start, kind):
    with pytest.raises(kind):
        demand_start(start, MEMBERS)


def test_the_leader_signs_how_its_term_begins():
    start = begun(1, VOTES, 2, CHAIN[1].digest, CHAIN[:2])
    demand_start(start, MEMBERS)
    with pytest.raises(InvalidSignature):
        demand_start(msgspec.structs.replace(start, signed=Signed(start.signed.statement, 1, bytes(64))), MEMBERS)


LATER = begun(2, [vote(server, 2, prepared(CHAIN, 4, term=1), CHAIN[2:4], AHEAD) for server in (0, 1, 3)], 4, CHAIN[3].digest, CHAIN[2:4], AHEAD)  # fmt: skip


@pytest.mark.parametrize(
    ("highest", "log", "begun_log", "is_shown"),
    [
        (None, log_of(()), None, True),
        (prepared(CHAIN, 2), log_of(CHAIN[:2]), None, True),
        (prepared(CHAIN, 3), log_of(CHAIN[:2]), None, False),
        (prepared(CHAIN, 3), log_of(OTHERS[:3]), None, False),
        (prepared(CHAIN, 1), log_of(CHAIN[:3], cut_at=2), None, True),  # the certain state is further on
        (prepared(CHAIN, 2), log_of(CHAIN[:3], cut_at=2), None, True),
        (prepared(OTHERS, 2), log_of(CHAIN[:3], cut_at=2), None, False),  # another than the state is behind
        (prepared(CHAIN, 4, term=1), log_of(OTHERS[:4]), LATER.log, True),  # what the term began with, before it is held
        (prepared(CHAIN, 4, term=1), log_of(()), Suffix(AHEAD, tuple(CHAIN[2:3])), False),
    ],
)
def test_a_server_goes_by_a_certificate_whose_log_it_can_show(highest, log, begun_log, is_shown):
    assert is_backed(highest, log, begun_log) == is_shown


def test_who_comes_back_keeps_the_certificate_of_what_its_term_began_with():
    standing = Standing(2, True, prepared(CHAIN, 4, term=1), LATER, None)
    assert backed(standing, log_of(())) == standing
    assert backed(msgspec.structs.replace(standing, begun=None), log_of(())).highest is None


@pytest.mark.parametrize(
    ("highest", "checkpoint", "log", "begun_log"),
    [
        (None, None, log_of(CHAIN[:2]), None),
        (prepared(CHAIN, 2), None, log_of(CHAIN[:3]), None),
        (prepared(CHAIN, 3), AHEAD, log_of(CHAIN[:4], cut_at=2), None),
        (prepared(CHAIN, 2), AHEAD, log_of(CHAIN[:2], cut_at=2), None),
        (prepared(CHAIN, 2), AHEAD, log_of(CHAIN[:4], cut_at=2), Suffix(None, ())),
        (prepared(CHAIN, 1), AHEAD, log_of(CHAIN[:4], cut_at=2), Suffix(None, ())),
        (prepared(CHAIN, 3), AHEAD, log_of(CHAIN[:4], cut_at=2), Suffix(None, ())),
        (prepared(CHAIN, 4, term=1), None, log_of(OTHERS[:4]), LATER.log),
        (prepared(CHAIN, 4, term=1), None, log_of(()), LATER.log),
        (prepared(OTHERS, 2), AHEAD, log_of(CHAIN[:4], cut_at=2), Suffix(None, tuple(OTHERS[:2]))),  # another than was decided
    ],
)
def test_every_vote_of_a_correct_server_is_one(highest, checkpoint, log, begun_log):
    cast = vote_of(signing(2), 2, highest, checkpoint, log, begun_log)
    demand_vote(cast, MEMBERS)
    assert (cast.certificate, cast.term, cast.voter) == (highest, 2, 2)


# -- 16.3: requests that wait


@given(st.lists(st.tuples(st.sampled_from(["add", "ordered", "reordered", "settle"]), st.integers(0, len(REQUESTS) - 1)), max_size=20))
def test_a_request_waits_until_it_is_executed_whether_it_was_heard_or_is_in_the_log(steps):
    requests, waiting, logged = Requests(), [], set()
    for step, place in steps:
        request, key = REQUESTS[place], key_of(REQUESTS[place].statement)
        if step == "add":
            requests.add(request)
            waiting += [] if request in waiting else [request]
        elif step == "settle":
            requests.settle(key)
            waiting = [each for each in waiting if each is not request]
            logged.discard(key)
        elif step == "ordered":
            requests.ordered([key])
            logged.add(key)
        else:
            gone = logged - {key, *(key_of(each.statement) for each in waiting)}
            assert requests.reordered([key]) == gone
            logged = {key}
    known = {key_of(each.statement) for each in waiting} | logged
    assert {*requests} == known
    assert len(requests) == len([*requests]) == len(known)
    assert bool(requests) == bool(known)
    assert [requests.has(key_of(each.statement)) for each in REQUESTS] == [key_of(each.statement) in known for each in REQUESTS]
    assert requests.batch(9, 0) == [each for each in waiting if key_of(each.statement) not in logged]


def large(number, size):
    """A request whose operations have so many bytes."""
    value = "v" * (size - operations_bytes((Operation("put", "k", "v" * 70_000),)) + 70_000)
    request = Request(0, number, (Operation("put", "k", value),))
    assert operations_bytes(request.operations) == size
    return Signed(request, 0, bytes(64))


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ((SLOT_LIMIT_BYTES // 2, SLOT_LIMIT_BYTES // 2), 2),
        ((SLOT_LIMIT_BYTES // 2, SLOT_LIMIT_BYTES // 2 + 1), 1),
        ((SLOT_LIMIT_BYTES + 1, 80_000), 1),
    ],
)
def test_an_entry_is_no_larger_than_a_slot_may_be_unless_it_has_one_request(sizes, taken):
    requests = Requests()
    for number, size in enumerate(sizes):
        requests.add(large(number, size))
    assert [each.statement.number for each in requests.batch(9, 0)] == [*range(taken)]


# -- 16.6, 16.12: what a client goes by


def test_what_t_plus_1_have_signed_alike_each_has_signed_itself():
    outcome = Outcome(0, 1, 0, ("OK",))
    replies = [by(server, Reply(0, 0, 0, outcome)) for server in (1, 2)]
    Agreed(outcome, tuple(replies)).demand_for(REQUESTS[0], MEMBERS)
    with pytest.raises(InvalidSignature):
        Agreed(outcome, (replies[0], Signed(replies[1].statement, 2, bytes(64)))).demand_for(REQUESTS[0], MEMBERS)


def rejection(server, request=REQUESTS[0], digest=None):
    statement = request.statement
    return by(server, Rejection(0, statement.client, statement.number, digest or statement.digest(), NO_ROOM))


@pytest.mark.parametrize(
    ("rejections", "is_out"),
    [
        ((), False),
        ((rejection(1),), False),
        ((rejection(1), rejection(2)), True),
        ((rejection(1), rejection(2), rejection(3)), True),
        ((rejection(1), rejection(2, REQUESTS[1])), False),
        ((rejection(1), rejection(2, digest=bytes(32))), False),
    ],
)
def test_with_t_plus_1_rejections_a_client_leaves_the_request_out(rejections, is_out):
    assert is_rejected(rejections, REQUESTS[0], 1) == is_out


# -- 16.7: who is behind fetches what is decided


def take_over(log, commit_index, message):
    """What a server with this log does with what it fetched; how far it is then."""
    demand_valid("state", message, MEMBERS, 4)
    if message.position is not None and message.position.index > commit_index:
        log.install(message.position, message.snapshot)
        commit_index = message.position.index
    if message.certificate is not None and message.previous <= commit_index < message.certificate.statement.index:
        lacking = entries_behind(message, log, commit_index)
        log.take(commit_index, lacking)
        return message.certificate.statement.index
    return commit_index


@given(st.integers(0, 5), st.integers(0, 6), st.integers(0, 6), st.booleans())
def test_who_is_behind_gets_a_certain_state_or_entries_whose_last_one_has_a_commit_certificate(base, end, index, has_certificate):
    """Of a server which has `end` decided, behind a state at `base` from where its log goes on; its own certificate it has where it has more."""
    if not base <= end or index > end or (end == 0):
        return
    has_certificate = has_certificate or base < end
    log = log_of(CHAIN[:end], cut_at=base, snapshot=encode(executed(CHAIN, base, WINDOW).snapshot()))
    message = decided_behind(index, end, decided(end) if has_certificate else None, certain(base) if base else None, log)
    if message is None:
        assert index == end or (not has_certificate and base == 0)
        return
    assert index < end
    assert (message.checkpoint is None) == (has_certificate and index >= base)
    other = log_of(CHAIN[:index])
    assert take_over(other, index, message) == end
    assert other.last == place_of(CHAIN, end)


def test_who_has_nothing_to_show_sends_nothing():
    assert decided_behind(0, 0, None, None, log_of(())) is None


@pytest.mark.parametrize(
    ("entries", "last"),
    [
        ((), decided(3)),
        (CHAIN[:2], decided(3)),
        (CHAIN[:4], decided(3)),
        ((CHAIN[0], OTHERS[1], CHAIN[2]), decided(3)),
        (OTHERS[:3], decided(3)),
    ],
)
def test_entries_are_a_chain_whose_last_one_has_the_certificate(entries, last):
    with pytest.raises(MalformedMessage):
        entries_behind(Decided(None, b"", 0, tuple(entries), last), log_of(CHAIN[:1]), 1)


def test_a_vote_that_is_not_what_it_says_is_no_message():
    with pytest.raises(InvalidSignature):
        demand_valid("start_vote", TermVote(Signed(StartVote(1, 0, 0, BEGINNING.digest), 2, bytes(64)), None, Suffix(None, ())), MEMBERS, 4)
