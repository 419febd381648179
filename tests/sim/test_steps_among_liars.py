"""Steps of a server of Raft among liars: when it waits, votes, repeats what others lack, and takes what is decided (specification, 16).

Each test shows a rule at one server among others that the test speaks and signs for (braft_rig.py).
"""

import msgspec
import pytest
from braft_rig import (
    CLIENTS,
    KEYS,
    MEMBERS,
    SERVERS,
    TIMEOUT_MS,
    Member,
    append,
    asked,
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

from bcr.braft.exchange import Decided
from bcr.braft.promises import Append, Certificate, Commit, Fetch, Prepare, Reply, StateAt, Status
from bcr.braft.proposals import Proposal
from bcr.braft.requests import key_of
from bcr.braft.standing import Standing
from bcr.braft.term_starts import TermStart, TermVote, demand_vote, start_of
from bcr.chain.outstanding import NO_ROOM
from bcr.chain.void import VOID
from bcr.raft.log import BEGINNING, Position
from bcr.raft.persistent import MemoryStore
from bcr.raft.server_status import ServerStatus
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Rejection, Request

ONE, TWO, THREE, FOUR = asked(0, 0), asked(1, 0, "w"), asked(0, 1, "x"), asked(1, 1, "y")
REQUESTS = [ONE, TWO, THREE, FOUR]
CHAIN = chain_of(*REQUESTS)
OTHERS = chain_of(*REQUESTS[::-1])
FAR_MS = 1_000_000  # so long that no timer ends meanwhile


def decide(rig, at_ms, index, entries=CHAIN, requests=REQUESTS, term=0, others=(0, 3)):
    """The server hears all that decides an entry, of two others: a quorum with itself."""
    rig.hear(at_ms, append(entries, index, requests[index - 1], term=term))
    rig.hear(at_ms, prepared(entries, index, term))
    for signed in commits(entries, index, others, term):
        rig.hear(at_ms, signed)


def start(term, highest=None, entries=(), checkpoint=None, voters=(0, 1, 2)):
    """How a term begins of which all votes show the same."""
    votes = [vote(server, term, highest, entries, checkpoint) for server in voters]
    return start_of(signing(term % SERVERS), votes, MEMBERS)


def voted(rig, term, at_ms, others):
    """Votes of these servers for a term."""
    for server in others:
        rig.hear(at_ms, vote(server, term))


def own_votes(rig, to):
    """When it voted for which term, as one of the others hears it."""
    return [(at_ms, message.term) for at_ms, whom, _, message in rig.said if whom == to and isinstance(message, TermVote)]


def first_votes(rig, to):
    seen = {}
    for at_ms, term in own_votes(rig, to):
        seen.setdefault(term, at_ms)
    return seen


def names_to(rig, to, at_ms):
    """What it said to one in that millisecond."""
    return sorted(name for said_ms, whom, name, _ in rig.said if (said_ms, whom) == (at_ms, to))


def certain(index, entries=CHAIN, window=1):
    return certificate(state_at(entries, index, window))


def handed_over(index, entries=CHAIN, window=1):
    """The certain state behind an entry, with nothing behind it."""
    return Decided(certain(index, entries, window), encode(executed(entries, index, window).snapshot()), index, (), None)


def fetched(index, entries=CHAIN, term=0):
    return Decided(None, b"", 0, tuple(entries[:index]), certificate(Commit(term, index, entries[index - 1].digest)))


# -- 16.3: requests


def test_what_another_server_hands_on_the_leader_puts_into_the_log():
    rig = Member(0)
    rig.hear(10, ONE, "forwarded_request")
    rig.run(20)
    assert [each.entry.requests for each in rig.told(Proposal, "server 1")] == [(ONE.statement,)]


def test_what_another_server_hands_on_is_passed_on_no_further():
    rig = Member(2)
    rig.hear(10, ONE, "forwarded_request")
    state = rig.run(20)
    assert [*state.requests] == [(0, 0)]
    assert rig.said == []


def test_the_leader_hands_nothing_on():
    rig = Member(0)
    rig.hear(10, ONE)
    rig.run(20)
    assert "forwarded_request" not in {name for _, _, name, _ in rig.said}


def test_a_request_that_was_executed_is_answered_and_not_handed_on():
    rig = Member(2)
    decide(rig, 10, 1)
    rig.hear(20, ONE)
    rig.run(30)
    assert names_to(rig, "client 0", 20) == ["reply"]
    assert names_to(rig, "server 0", 20) == []


def test_before_a_term_has_begun_a_request_is_kept_and_its_leader_hears_of_none():
    rig = Member(2, election_timeout_ms=FAR_MS)
    voted(rig, 1, 10, (0, 3))
    rig.hear(20, ONE)
    state = rig.run(30)
    assert [*state.requests] == [(0, 0)]
    assert names_to(rig, "server 1", 20) == []


def test_who_is_to_lead_a_term_puts_nothing_into_the_log_before_it_has_begun():
    rig = Member(1, election_timeout_ms=100)
    rig.hear(10, ONE)
    rig.hear(120, TWO)
    state = rig.run(200)
    assert (state.term, state.is_started) == (1, False)
    assert rig.told(Proposal) == []


def test_a_request_older_than_its_clients_window_is_dropped():
    rig = Member(2, client_window=1)
    decide(rig, 10, 1)
    decide(rig, 20, 2)
    decide(rig, 30, 3)  # the second request of client 0
    rig.hear(40, ONE)
    state = rig.run(50)
    assert [*state.requests] == []
    assert [name for at_ms, _, name, _ in rig.said if at_ms > 40] == []


@pytest.mark.parametrize(("number", "is_kept"), [(2, True), (3, True), (6, True), (7, False), (100, False)])
def test_what_is_more_than_two_windows_of_its_client_ahead_of_what_is_executed_is_dropped(number, is_kept):
    rig = Member(2, client_window=2)
    entries = chain_of(ONE, THREE, asked(0, 2))
    for index, request in enumerate((ONE, THREE, asked(0, 2)), start=1):
        decide(rig, 10, index, entries, (ONE, THREE, asked(0, 2)))
        assert key_of(request.statement) == (0, index - 1)
    rig.hear(20, asked(0, number))
    rig.run(30)
    assert names_to(rig, "server 0", 20) == (["forwarded_request"] if is_kept and number > 2 else [])


def test_an_executed_request_is_watched_no_longer():
    rig = Member(2)
    rig.hear(5, ONE)
    decide(rig, 10, 1)
    state = rig.run(10 * TIMEOUT_MS)
    assert (state.term, [*state.requests], rig.told(TermVote)) == (0, [], [])
    assert rig.statements(Status) == []


@pytest.mark.parametrize("heard", [(), (ONE,)])
def test_what_was_in_an_entry_that_is_gone_the_next_leader_puts_into_the_log(heard):
    """Also where it knows of it by that entry alone."""
    rig = Member(1)
    for request in heard:
        rig.hear(5, request)
    rig.hear(10, append(CHAIN, 1, ONE))
    voted(rig, 1, 20, (0, 2, 3))
    rig.run(30)
    again = chain_of(ONE, term=1)
    assert [(each.signed.statement, each.entry) for each in rig.told(Proposal, "server 2")] == [(Append(1, 1, again[0].digest), again[0])]


@pytest.mark.parametrize("window", [1, 2])
def test_each_request_is_executed_once_and_what_was_executed_waits_no_more_though_a_leader_orders_it_again(window):
    """With a window of 1 the request is too old to be remembered."""
    entries = chain_of(ONE, TWO, THREE, ONE)
    rig = Member(1, client_window=window)
    for index in range(1, 4):
        decide(rig, 10 * index, index)
    rig.hear(40, append(entries, 4, ONE))
    voted(rig, 1, 50, (0, 2, 3))
    state = rig.run(70)
    assert (state.term, state.is_started, state.last_applied) == (1, True, 3)
    assert rig.told(Proposal) == []


# -- 16.4: append, prepare, commit


def test_an_append_that_comes_again_is_prepared_again():
    rig = Member(2)
    for at_ms in (10, 20):
        rig.hear(at_ms, append(CHAIN, 1, ONE))
    rig.hear(30, append(CHAIN, 2, TWO))
    rig.hear(40, append(CHAIN, 1, ONE))
    rig.run(45)
    assert [each.index for each in rig.statements(Prepare, "server 0")] == [1, 1, 2, 1]


def test_the_leaders_own_prepare_is_one_of_the_quorum_as_soon_as_it_holds_the_entry():
    rig = Member(0)
    rig.hear(10, ONE)
    for server in (1, 2):
        rig.hear(10, by(server, Prepare(0, 1, CHAIN[0].digest)))
    rig.run(15)
    assert names_to(rig, "server 3", 10) == ["append", "commit", "prepare_certificate"]
    assert names_to(rig, "server 0", 10) == []  # to which it needs no message


def test_an_entry_stands_at_the_index_that_its_leader_has_signed():
    rig = Member(2)
    decide(rig, 10, 1)
    misplaced = append(CHAIN, 2, TWO)
    misplaced = msgspec.structs.replace(misplaced, signed=by(0, Append(0, 1, CHAIN[1].digest)))
    rig.hear(20, misplaced)
    state = rig.run(30)
    assert state.log.last_index == 1
    assert [each.index for each in rig.statements(Prepare)] == [1]


def test_an_entry_for_an_index_that_is_decided_convicts_nobody():
    """What the leader had sent there is not known any more, and it need not follow the last entry."""
    rig = Member(2)
    for index in (1, 2):
        decide(rig, 10, index)
    rig.hear(20, append(OTHERS, 1, FOUR))
    rig.hear(20, append(OTHERS, 2, THREE))
    state = rig.run(30)
    assert (kinds_of(state), state.term, state.log.last_index) == ([], 0, 2)


def test_before_it_holds_what_the_term_began_with_a_follower_prepares_nothing():
    """Here that is behind a state which it lacks, and a leader that lies goes on where the follower is."""
    rig = Member(3, heartbeat_ms=FAR_MS, election_timeout_ms=FAR_MS)
    for index in (1, 2):
        rig.hear(10, append(CHAIN, index, REQUESTS[index - 1]))
    rig.hear(20, start(1, prepared(OTHERS, 3), OTHERS[2:3], certain(2, OTHERS)))
    astray = chain_of(THREE, term=1, behind=place_of(CHAIN, 2))
    rig.hear(30, append([*CHAIN[:2], *astray], 3, THREE, term=1))
    state = rig.run(40)
    assert (state.term, state.is_started, state.log.last_index) == (1, True, 2)
    assert [each.term for each in rig.statements(Prepare)] == [0, 0]


def leading(*requests, **settings):
    """Server 1 as leader of term 1, and when it has so many entries."""
    rig = Member(1, **({"heartbeat_ms": FAR_MS, "election_timeout_ms": FAR_MS} | settings))
    voted(rig, 1, 10, (0, 2, 3))
    for place, request in enumerate(requests):
        rig.hear(20 + place, request)
    return rig, 30


def test_the_leader_sends_one_prepare_certificate_of_an_entry_round():
    rig, now_ms = leading(ONE)
    entries = chain_of(ONE, term=1)
    for server in (0, 2, 3):
        rig.hear(now_ms + server, by(server, Prepare(1, 1, entries[0].digest)))
    rig.run(now_ms + 10)
    assert len(rig.told(Certificate, "server 2")) == 1


def test_prepares_of_an_earlier_term_are_no_certificate_in_this_one():
    rig, now_ms = leading(ONE)
    for server in (0, 2, 3):
        rig.hear(now_ms, by(server, Prepare(0, 1, CHAIN[0].digest)))
    rig.run(now_ms + 10)
    assert rig.told(Certificate) == []


def test_a_prepare_certificate_is_for_the_leader_to_send():
    rig = Member(2)
    rig.hear(10, append(CHAIN, 1, ONE))
    for server in (0, 1, 3):
        rig.hear(20, by(server, Prepare(0, 1, CHAIN[0].digest)))
    rig.run(30)
    assert rig.told(Certificate) == []
    assert rig.statements(Commit) == []


def test_commit_is_signed_once_of_an_entry_and_the_highest_certificate_stays():
    rig = Member(2)
    for index in (1, 2):
        rig.hear(10, append(CHAIN, index, REQUESTS[index - 1]))
    for at_ms, index in ((20, 2), (30, 2), (40, 1)):
        rig.hear(at_ms, prepared(CHAIN, index))
    state = rig.run(45)
    assert [each.index for each in rig.statements(Commit, "server 0")] == [2]
    assert state.highest == prepared(CHAIN, 2)


def test_a_certificate_of_an_earlier_term_is_no_reason_to_sign_commit_in_this_one():
    rig = Member(3)
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, start(1, prepared(CHAIN, 2), CHAIN[:2]))
    rig.hear(30, prepared(CHAIN, 1))
    state = rig.run(40)
    assert rig.statements(Commit) == []
    assert state.highest == prepared(CHAIN, 2)


def test_before_a_term_has_begun_nothing_is_signed_in_it():
    rig = Member(3, election_timeout_ms=FAR_MS)
    rig.hear(10, append(CHAIN, 1, ONE))
    voted(rig, 1, 20, (0, 2))
    rig.hear(30, prepared(CHAIN, 1, term=1))
    rig.hear(30, append([*CHAIN[:1], *chain_of(TWO, term=1, behind=place_of(CHAIN, 1))], 2, TWO, term=1))
    state = rig.run(40)
    assert (state.term, state.is_started, state.highest) == (1, False, None)
    assert rig.statements(Commit) == []
    assert [each.term for each in rig.statements(Prepare)] == [0]


def test_what_is_decided_stays_decided_whatever_commits_come_late():
    rig = Member(2)
    for index in (1, 2):
        decide(rig, 10, index)
    for index in (1, 2):
        for signed in commits(CHAIN, index, (0, 1, 3)):
            rig.hear(20, signed)
    state = rig.run(30)
    assert (state.commit_index, state.last_applied) == (2, 2)
    assert len(rig.statements(Reply)) == 2


AHEAD = 256  # entries behind what is decided


def two_of(server, index):
    return [by(server, Commit(0, index, CHAIN[place].digest)) for place in (0, 1)]


@pytest.mark.parametrize(("index", "is_kept"), [(1, False), (2, False), (3, True), (2 + AHEAD, True), (2 + AHEAD + 1, False)])
def test_of_commits_is_kept_what_is_not_decided_and_256_entries_ahead(index, is_kept):
    """Two of one server that say different things tell whether the first was kept. Who hears of one that is further ahead is behind."""
    rig = Member(2)
    for place in (1, 2):
        decide(rig, 10, place)
    for signed in two_of(3, index):
        rig.hear(20, signed)
    state = rig.run(40)
    assert kinds_of(state) == (["Equivocation"] if is_kept else [])
    assert state.is_behind == (index > 2 + AHEAD)


@pytest.mark.parametrize(("index", "is_kept"), [(1, False), (2, False), (3, True), (2 + AHEAD, True), (2 + AHEAD + 1, False)])
def test_of_states_is_kept_what_is_behind_the_certain_one_and_256_entries_ahead(index, is_kept):
    rig = Member(2, checkpoint_interval=2)
    for place in (1, 2):
        decide(rig, 10, place)
    for server in (0, 1):
        rig.hear(20, by(server, state_at(CHAIN, 2)))
    for digest in (bytes(32), bytes([1]) * 32):
        rig.hear(30, by(3, StateAt(Position(index, 0, CHAIN[0].digest), digest)))
    state = rig.run(40)
    assert state.log.snapshot_at == place_of(CHAIN, 2)
    assert kinds_of(state) == (["Equivocation"] if is_kept else [])


@pytest.mark.parametrize("ahead", [AHEAD, AHEAD + 1])
def test_a_log_goes_no_further_than_256_entries_behind_what_is_decided(ahead):
    requests = [asked(0, number) for number in range(ahead)]
    entries = chain_of(*requests)
    store = MemoryStore()
    store.save_entries(1, entries[:-1])
    rig = Member(2, client_window=2 * ahead, heartbeat_ms=FAR_MS, election_timeout_ms=FAR_MS)
    rig.store = store
    rig.hear(10, append(entries, ahead, requests[-1]))
    assert rig.run(20).log.last_index == AHEAD


# -- 16.5: when it votes


def waits(rig):
    return first_votes(rig, "server 0")


def test_the_timer_of_a_term_runs_when_a_quorum_is_in_it_or_in_a_higher_one():
    rig = Member(3, election_timeout_ms=100)
    voted(rig, 1, 10, (0, 2))
    rig.run(1_000)
    assert waits(rig) == {1: 10, 2: 210}  # and then it is alone


def test_one_that_is_in_a_higher_term_is_one_of_the_quorum():
    rig = Member(3, election_timeout_ms=100)
    rig.hear(5, ONE)
    rig.hear(120, vote(0, 5))
    rig.hear(130, vote(2, 1))
    rig.run(1_000)
    assert waits(rig) == {1: 105, 2: 330}


def test_two_servers_of_four_are_no_quorum_to_wait_with():
    rig = Member(3, election_timeout_ms=100)
    rig.hear(5, ONE)
    rig.hear(120, vote(2, 1))
    rig.run(1_000)
    assert waits(rig) == {1: 105}


def test_those_in_lower_terms_are_none_of_the_quorum():
    rig = Member(3, election_timeout_ms=100)
    voted(rig, 1, 10, (0, 1, 2))
    state = rig.run(2_000)
    assert waits(rig) == {1: 10, 2: 210}
    assert (state.term, state.is_started) == (2, False)


def test_timers_double_with_each_term_that_failed_up_to_64_times():
    expected, now_ms = {1: 110}, 110
    for failed in range(1, 10):
        now_ms += 5 + 100 * 2 ** min(failed, 6)
        expected[failed + 1] = now_ms
    rig = Member(3, election_timeout_ms=100)
    rig.hear(10, ONE)
    for term, at_ms in expected.items():
        voted(rig, term, at_ms + 5, (0, 1, 2) if term % SERVERS != 3 else (0, 1))
    rig.run(expected[10] + 50)
    assert waits(rig) == expected


@pytest.mark.parametrize(("answered", "wait_ms"), [((TWO,), 200), ((ONE, TWO), 100)])
def test_timers_stay_doubled_until_all_that_waits_is_answered(answered, wait_ms):
    """After a term that failed two requests wait in the next one; then comes a third. Of those that wait the timer began before."""
    rig = Member(3, election_timeout_ms=100, client_window=2)
    rig.hear(10, ONE)
    rig.hear(10, TWO)
    rig.hear(120, start(1))
    entries = chain_of(*answered, term=1)
    for index in range(1, len(answered) + 1):
        decide(rig, 130, index, entries, answered, term=1, others=(0, 1))
    rig.hear(200, THREE)
    rig.run(1_000)
    assert waits(rig)[2] == (320 if wait_ms == 200 else 300)


def test_when_a_term_begins_the_timers_of_what_waits_begin_anew():
    rig = Member(3, election_timeout_ms=100)
    rig.hear(10, ONE)
    rig.hear(60, start(1))
    rig.run(500)
    assert waits(rig) == {2: 160}


def test_what_waits_is_waited_for_in_a_term_whose_log_cannot_be_continued_yet():
    rig = Member(3, election_timeout_ms=100)
    rig.hear(10, ONE)
    rig.hear(60, start(1, prepared(CHAIN, 3), CHAIN[2:3], certain(2)))
    rig.run(500)
    assert waits(rig) == {2: 160}


def test_what_was_executed_in_a_state_that_was_fetched_is_waited_for_no_more():
    rig = Member(3, election_timeout_ms=100)
    rig.hear(10, ONE)
    rig.hear(20, handed_over(2))
    rig.run(1_000)
    assert waits(rig) == {}


@pytest.mark.parametrize("executed", [(3, 3), (2, 4), (4, 2), (0, 2), (1, 0)])
def test_a_request_waits_until_it_is_executed_whoever_has_executed_it(executed):
    requests = [asked(client, number) for client, count in enumerate(executed) for number in range(count)]
    entries = chain_of(*requests)
    rig = Member(3, client_window=2, heartbeat_ms=FAR_MS, election_timeout_ms=FAR_MS)
    for client in range(CLIENTS):
        for number in range(4):
            rig.hear(10, asked(client, number))
    rig.hear(20, handed_over(len(entries), entries, 2))
    state = rig.run(30)
    assert {*state.requests} == {(client, number) for client in range(CLIENTS) for number in range(executed[client], 4)}


def test_two_requests_whose_timers_end_together_are_one_reason_to_vote():
    rig = Member(3, election_timeout_ms=100)
    rig.hear(10, ONE)
    rig.hear(10, TWO)
    state = rig.run(1_000)
    assert (waits(rig), state.term) == ({1: 110}, 1)


def behind(server, committed=5, term=0):
    """The word of a server that has more decided."""
    return by(server, Status(term, True, committed, committed, committed, 0))


@pytest.mark.parametrize("others", [(), (0, 2)])
def test_that_nothing_came_of_a_fetch_is_no_reason_to_vote(others):
    """Neither in a term that has begun nor in one that has not, in which it would wait for very long."""
    rig = Member(3, election_timeout_ms=FAR_MS)
    voted(rig, 1, 5, others)
    rig.hear(10, behind(0))
    state = rig.run(1_000)
    assert rig.statements(Fetch) == [Fetch(0)]
    assert state.term == (1 if others else 0)


def test_a_late_vote_of_an_earlier_term_takes_nothing_back():
    rig = Member(3)
    rig.hear(10, vote(0, 5))
    rig.hear(20, vote(0, 3))
    rig.hear(30, vote(2, 5))
    assert rig.run(40).term == 5


def test_of_two_votes_of_a_server_for_a_term_the_first_counts():
    rig = Member(1)
    rig.hear(10, vote(0, 1))
    rig.hear(10, vote(2, 1))
    rig.hear(10, vote(0, 1, prepared(CHAIN, 1), CHAIN[:1]))
    rig.run(40)
    [made] = rig.told(TermStart, "server 3")
    assert made.index == 0
    late = Member(1, election_timeout_ms=FAR_MS)
    late.hear(10, vote(0, 5))
    late.hear(20, vote(0, 5, prepared(CHAIN, 1), CHAIN[:1]))
    late.hear(30, vote(2, 5))
    late.run(40)
    [made] = late.told(TermStart, "server 3")
    assert made.index == 0


def test_the_leader_begins_a_term_once():
    rig = Member(1)
    voted(rig, 1, 10, (0, 2))
    rig.hear(20, vote(3, 1, prepared(CHAIN, 1), CHAIN[:1]))
    state = rig.run(40)
    assert len(rig.told(TermStart, "server 3")) == 1
    assert kinds_of(state) == []


def test_a_server_in_a_later_term_does_not_go_back_to_one_that_begins_late():
    rig = Member(3, election_timeout_ms=FAR_MS)
    voted(rig, 2, 10, (0, 2))
    rig.hear(20, start(1))
    state = rig.run(30)
    assert (state.term, state.is_started) == (2, False)


def test_a_term_that_begins_behind_nothing_prepares_nothing():
    rig = Member(3)
    rig.hear(10, start(1))
    decide(rig, 20, 1, chain_of(ONE, term=1), term=1, others=(0, 1))
    rig.hear(30, start(2, prepared(chain_of(ONE, term=1), 1, term=1), chain_of(ONE, term=1)))
    rig.run(40)
    assert [(each.term, each.index) for each in rig.statements(Prepare)] == [(1, 1)]


def test_the_next_leader_puts_what_waits_into_the_log_as_its_term_begins():
    rig = Member(1)
    rig.hear(5, ONE)
    voted(rig, 1, 10, (0, 2, 3))
    rig.run(20)
    assert [each.signed.statement.term for each in rig.told(Proposal, "server 3")] == [1]


def test_who_has_yet_to_fetch_what_a_term_began_behind_shows_that_in_its_vote():
    rig = Member(3, election_timeout_ms=FAR_MS)
    rig.hear(10, append(OTHERS, 1, FOUR))
    rig.hear(20, start(1, prepared(CHAIN, 3), CHAIN[2:3], certain(2)))
    voted(rig, 2, 30, (0, 1))
    rig.run(40)
    cast = rig.told(TermVote, "server 0")[-1]
    demand_vote(cast, MEMBERS)
    assert (cast.term, cast.certificate) == (2, prepared(CHAIN, 3))


def test_who_fetches_what_a_term_began_behind_goes_on_in_it():
    rig = Member(3)
    rig.hear(10, start(1, prepared(CHAIN, 3), CHAIN[2:3], certain(2)))
    rig.hear(20, handed_over(2))
    state = rig.run(30)
    assert (state.is_ready, state.log.last_index) == (True, 3)
    assert rig.statements(Prepare, "server 1") == [Prepare(1, 3, CHAIN[2].digest)]


def test_who_comes_back_in_a_term_that_is_gone_from_its_log_waits_for_no_request_that_was_in_it():
    """What an entry held that the term does not go on with nobody waits for there; its client asks again."""
    store = MemoryStore()
    store.save_entries(1, CHAIN[:1])
    rig = Member(3, election_timeout_ms=100)
    rig.store = store
    rig.hear(10, start(1))
    state = rig.run(1_000)
    assert (state.log.last_index, state.term) == (0, 1)
    assert waits(rig) == {}


# -- 16.7: what is decided, fetched


@pytest.mark.parametrize(("committed", "is_sent"), [(0, True), (1, True), (2, False), (3, False)])
def test_who_has_not_more_decided_sends_nothing(committed, is_sent):
    rig = Member(2, heartbeat_ms=FAR_MS)
    for index in (1, 2):
        decide(rig, 10, index)
    rig.hear(20, by(3, Fetch(committed)))
    rig.run(30)
    assert names_to(rig, "server 3", 20) == (["state"] if is_sent else [])


def test_without_a_certificate_of_its_state_a_server_shows_it_to_nobody():
    """A disk that gives back less than was synced."""
    store = MemoryStore()
    store.save_snapshot(place_of(CHAIN, 2), encode(executed(CHAIN, 2).snapshot()), place_of(CHAIN, 2), (), ())
    rig = Member(2)
    rig.store = store
    rig.hear(20, by(3, Fetch(0)))
    rig.run(30)
    assert names_to(rig, "server 3", 20) == []


def test_who_is_behind_asks_one_at_a_time_and_then_another():
    rig = Member(3, election_timeout_ms=FAR_MS)
    heard = [(10, 2), (20, 0), (70, 2), (80, 0), (90, 1), (140, 2)]
    for at_ms, server in heard:
        rig.hear(at_ms, behind(server))
    rig.run(200)
    asked_of = [(at_ms, whom) for at_ms, whom, name, _ in rig.said if name == "fetch"]
    assert asked_of == [(10, "server 2"), (80, "server 0"), (140, "server 2")]


def test_a_state_that_is_no_further_on_is_not_taken():
    rig = Member(3)
    for index in (1, 2):
        decide(rig, 10, index, others=(0, 1))
    rig.hear(20, handed_over(2))
    rig.hear(25, handed_over(1))
    rig.hear(30, by(0, Fetch(0)))
    state = rig.run(40)
    assert (state.commit_index, state.log.base) == (2, BEGINNING)
    [sent] = rig.told(Decided, "server 0")
    assert (sent.checkpoint, len(sent.entries)) == (None, 2)


@pytest.mark.parametrize(
    "late",
    [
        fetched(1),
        fetched(2),
        Decided(None, b"", 3, tuple(CHAIN[3:4]), certificate(Commit(0, 4, CHAIN[3].digest))),  # behind what is not there
        Decided(None, b"", 3, tuple(CHAIN[:4]), certificate(Commit(0, 4, CHAIN[3].digest))),
        handed_over(1),
        Decided(None, b"", 0, (), None),
    ],
)
def test_of_what_is_decided_already_or_behind_what_is_lacking_nothing_is_taken(late):
    rig = Member(3)
    for index in (1, 2):
        decide(rig, 10, index, others=(0, 1))
    rig.hear(20, late)
    state = rig.run(40)
    assert (state.commit_index, state.last_applied, state.log.last_index, state.highest) == (2, 2, 2, prepared(CHAIN, 2))
    assert kinds_of(state) == []


def test_what_is_prepared_in_a_later_term_stays_the_highest_beside_an_older_decision():
    rig = Member(3)
    highest = prepared(CHAIN, 2, term=4)
    rig.hear(10, start(5, highest, CHAIN[:2]))
    rig.hear(20, fetched(1))
    state = rig.run(30)
    assert (state.commit_index, state.highest) == (1, highest)


def test_a_leader_that_fetches_what_it_has_prepared_shows_its_prepare_certificate_as_before():
    rig, now_ms = leading(ONE)
    entries = chain_of(ONE, term=1)
    for server in (0, 2):
        rig.hear(now_ms, by(server, Prepare(1, 1, entries[0].digest)))
    rig.hear(now_ms + 1, fetched(1, entries, term=1))
    rig.hear(now_ms + 5, status(1, True, 1, 0, 1))
    state = rig.run(now_ms + 10)
    assert state.commit_index == 1
    assert names_to(rig, "server 2", now_ms + 5) == ["prepare_certificate"]
    MEMBERS.demand_certificate(rig.told(Certificate, "server 2")[-1], Prepare)


def test_who_does_not_hold_what_the_term_began_with_was_not_led_astray():
    """What its log held before that the leader of this term has not sent."""
    rig = Member(3, election_timeout_ms=FAR_MS)
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, start(1, prepared(OTHERS, 3), OTHERS[2:3], certain(2, OTHERS)))
    rig.hear(30, fetched(3, OTHERS, term=1))
    state = rig.run(40)
    assert (state.commit_index, state.term, state.is_started, state.is_ready) == (3, 1, True, True)


def test_who_fetches_what_its_leader_sent_too_stays_in_the_term():
    rig = Member(3)
    rig.hear(10, append(CHAIN, 1, ONE))
    rig.hear(20, fetched(2))
    state = rig.run(30)
    assert (state.commit_index, state.term, state.is_started) == (2, 0, True)


def cast_after(rig, at_ms, term=2):
    """The vote that a server casts for a term when two others are there."""
    voted(rig, term, at_ms, (0, 1))
    state = rig.run(at_ms + 10)
    cast = rig.told(TermVote, "server 0")[-1]
    demand_vote(cast, MEMBERS)
    return state, cast


def test_a_state_that_takes_the_place_of_another_entry_which_was_prepared_takes_that_of_its_certificate():
    """Else its vote would be none: an entry at the index of the state, and another than the state is behind."""
    rig = Member(3, election_timeout_ms=FAR_MS)
    for index in (1, 2):
        rig.hear(10, append(OTHERS, index, REQUESTS[4 - index]))
    rig.hear(20, prepared(OTHERS, 2))
    rig.hear(30, handed_over(2))
    state, cast = cast_after(rig, 40)
    assert (state.highest, cast.certificate, cast.log.first) == (None, None, place_of(CHAIN, 2))


def test_a_certificate_whose_entry_is_gone_is_gone_from_the_store_too():
    rig = Member(3, election_timeout_ms=FAR_MS)
    for index in (1, 2, 3):
        rig.hear(10, append(OTHERS, index, REQUESTS[4 - index]))
    rig.hear(20, prepared(OTHERS, 3))
    rig.hear(30, handed_over(2))
    state = rig.run(40)
    assert (state.highest, rig.store.load().standing.highest, rig.store.load().standing.checkpoint) == (None, None, certain(2))


def test_what_is_prepared_behind_a_state_that_was_fetched_stays_prepared():
    rig = Member(3, election_timeout_ms=FAR_MS)
    for index in (1, 2, 3):
        rig.hear(10, append(CHAIN, index, REQUESTS[index - 1]))
    rig.hear(20, prepared(CHAIN, 3))
    rig.hear(30, handed_over(2))
    _, cast = cast_after(rig, 40)
    assert (cast.certificate, cast.log.entries) == (prepared(CHAIN, 3), (CHAIN[2],))


def test_what_a_term_began_with_stays_prepared_when_a_state_before_it_is_fetched():
    rig = Member(3, election_timeout_ms=FAR_MS)
    rig.hear(10, start(1, prepared(CHAIN, 4), CHAIN[3:4], certain(3)))
    rig.hear(20, handed_over(2))
    state, cast = cast_after(rig, 30)
    assert (state.log.base, cast.certificate) == (place_of(CHAIN, 2), prepared(CHAIN, 4))


class Ending(MemoryStore):
    """A store in which nothing more arrives after so many words of it."""

    left = 1_000

    def save_entries(self, first_index, entries):
        self.left -= 1
        if self.left >= 0:
            super().save_entries(first_index, entries)

    def save_snapshot(self, *what):
        self.left -= 1
        if self.left >= 0:
            super().save_snapshot(*what)

    def save_standing(self, standing):
        self.left -= 1
        if self.left >= 0:
            super().save_standing(standing)


@pytest.mark.parametrize("words", range(12))
def test_the_store_holds_no_state_without_its_certificate_whenever_the_server_ends(words):
    rig = Member(3)
    rig.store = Ending()
    rig.store.left = words
    for index in (1, 2):
        rig.hear(10, append(OTHERS, index, REQUESTS[4 - index]))
    rig.hear(20, prepared(OTHERS, 1))
    rig.hear(30, handed_over(2))
    rig.run(40)
    kept = rig.store.load()
    if kept.snapshot:
        assert kept.standing.checkpoint == certain(2)
    again = Member(3)
    again.store = rig.store
    again.store.left = 1_000
    cast_after(again, 10)


# -- 16.8: who comes back


def back(standing=None, entries=(), position=3, **settings):
    """A server that finds this in its store."""
    rig = Member(position, **settings)
    if standing is not None:
        rig.store.save_standing(standing)
    rig.store.save_entries(1, entries)
    return rig


@pytest.mark.parametrize("count", [1, 2])
def test_who_comes_back_waits_for_each_request_of_an_entry_that_it_does_not_know_to_be_decided(count):
    rig = back(entries=CHAIN[:count], election_timeout_ms=100)
    rig.look(50, lambda state: seen.extend(state.requests))
    seen = []
    state = rig.run(500)
    assert seen == sorted((each.statement.client, each.statement.number) for each in REQUESTS[:count])
    assert (waits(rig), state.term) == ({1: 100}, 1)


def test_who_comes_back_alone_in_a_term_that_has_not_begun_waits_for_others_and_tells_them_of_its_vote():
    rig = back(Standing(1, False), CHAIN[:1], election_timeout_ms=100)
    rig.hear(200, by(2, Status(0, True, 0, 0, 0, 0)))
    state = rig.run(1_000)
    assert (state.term, state.is_started) == (1, False)
    assert "start_vote" in names_to(rig, "server 2", 200)
    assert {each.term for each in rig.told(TermVote)} == {1}


def test_the_vote_that_a_server_finds_in_its_store_is_one_of_the_quorum():
    rig = back(Standing(5, False), position=1)
    voted(rig, 5, 10, (0, 2))
    rig.run(20)
    assert [each.term for each in rig.told(TermStart, "server 3")] == [5]


def test_who_comes_back_in_a_term_that_has_not_begun_prepares_nothing_in_it():
    rig = back(Standing(1, False), CHAIN[:1])
    entries = [*CHAIN[:1], *chain_of(TWO, term=1, behind=place_of(CHAIN, 1))]
    rig.hear(10, append(entries, 2, TWO, term=1))
    state = rig.run(20)
    assert (state.log.last_index, rig.statements(Prepare)) == (1, [])


HELD = start(1, prepared(CHAIN, 2), CHAIN[:2])


def test_who_comes_back_continues_the_log_as_the_term_began():
    rig = back(Standing(1, True, prepared(CHAIN, 2), HELD), OTHERS[:3])
    state = rig.run(20)
    assert (state.log.entries, state.is_ready) == (tuple(CHAIN[:2]), True)
    assert rig.statements(Prepare, "server 1") == [Prepare(1, 2, CHAIN[1].digest)]


def test_who_comes_back_keeps_what_it_has_prepared_behind_what_the_term_began_with():
    entries = [*CHAIN[:2], *chain_of(THREE, term=1, behind=place_of(CHAIN, 2))]
    rig = back(Standing(1, True, prepared(CHAIN, 2), HELD), entries)
    rig.hear(20, append(entries, 3, THREE, term=1))
    state = rig.run(30)
    assert (state.log.entries, state.is_ready) == (tuple(entries), True)
    assert rig.statements(Prepare, "server 1") == [Prepare(1, 3, entries[2].digest)]


LATER = chain_of(*REQUESTS[:3], term=2)


def decided_later():
    """A server in term 0 has fetched what was decided in term 2; then it hears how term 1 began, with another entry."""
    rig = Member(3, election_timeout_ms=FAR_MS)
    rig.hear(10, handed_over(1, LATER))
    rig.hear(20, fetched(3, LATER, term=2))
    rig.hear(30, start(1, prepared(OTHERS, 1), OTHERS[:1]))
    return rig


def test_a_term_that_began_otherwise_than_was_decided_since_takes_nothing_back_and_can_be_left():
    """What its leader had prepared at the index of the certain state the vote shows with the log that the term began with."""
    state, cast = cast_after(decided_later(), 40)
    assert (state.commit_index, state.log.last) == (3, place_of(LATER, 3))
    assert (cast.certificate, cast.log.entries) == (prepared(OTHERS, 1), (OTHERS[0],))


def test_who_comes_back_keeps_what_was_decided_in_a_later_term_than_it_is_in():
    before = decided_later()
    before.run(40)
    again = Member(3, election_timeout_ms=FAR_MS)
    again.store = before.store
    state, cast = cast_after(again, 10)
    assert (state.log.last, cast.certificate) == (place_of(LATER, 3), prepared(OTHERS, 1))


def test_who_comes_back_lacking_what_the_term_began_behind_prepares_nothing():
    lacking = start(1, prepared(OTHERS, 3), OTHERS[2:3], certain(2, OTHERS))
    rig = back(Standing(1, True, prepared(OTHERS, 3), lacking), CHAIN[:2], election_timeout_ms=FAR_MS)
    astray = chain_of(THREE, term=1, behind=place_of(CHAIN, 2))
    rig.hear(10, append([*CHAIN[:2], *astray], 3, THREE, term=1))
    state = rig.run(20)
    assert (state.log.last_index, rig.statements(Prepare)) == (2, [])


# -- 16.9: repair


def told_at(rig, to="server 0"):
    """When it said of itself how far it is."""
    return [at_ms for at_ms, whom, name, _ in rig.said if (whom, name) == (to, "status")]


SLOWER = [100, 200, 400, 800, 1_600, 2_400, 3_200]


def test_a_server_that_does_not_get_on_tells_all_and_less_and_less_often_up_to_sixteen_times():
    rig = Member(2, election_timeout_ms=FAR_MS)
    rig.hear(10, ONE)
    rig.run(3_300)
    assert told_at(rig) == told_at(rig, "server 1") == told_at(rig, "server 3") == SLOWER


def test_when_it_gets_on_it_is_silent_and_begins_anew():
    rig = Member(2, election_timeout_ms=FAR_MS)
    rig.hear(10, ONE)
    rig.hear(500, append(CHAIN, 1, ONE))
    rig.run(1_300)
    assert told_at(rig) == [100, 200, 400, 850, 950, 1_150]


def test_who_has_nothing_to_wait_for_is_silent():
    rig = Member(2)
    decide(rig, 10, 1)
    rig.run(3_000)
    assert told_at(rig) == []


def entry_twice(rig):
    """An entry is undecided, and its request executed."""
    entries = chain_of(ONE, ONE)
    rig.hear(10, append(entries, 2, ONE))  # too early
    rig.hear(11, append(entries, 1, ONE))
    rig.hear(12, append(entries, 2, ONE))
    rig.hear(13, prepared(entries, 1))
    for signed in commits(entries, 1, (0, 3)):
        rig.hear(14, signed)


def term_not_begun(rig):
    voted(rig, 1, 10, (0, 3))


def log_not_continued(rig):
    rig.hear(10, start(1, prepared(CHAIN, 3), CHAIN[2:3], certain(2)))


def state_not_certain(rig):
    rig.settings = msgspec.structs.replace(rig.settings, checkpoint_interval=1)
    decide(rig, 10, 1)


@pytest.mark.parametrize("lacking", [entry_twice, term_not_begun, log_not_continued, state_not_certain])
def test_a_server_should_get_on_while_something_is_undecided_or_not_begun_or_not_certain(lacking):
    rig = Member(2, election_timeout_ms=FAR_MS)
    lacking(rig)
    rig.run(3_300)
    assert told_at(rig) == SLOWER


@pytest.mark.parametrize("heard", [commits(CHAIN, 2, (0, 1, 3)), [by(0, Commit(0, 1_000, CHAIN[0].digest))]])
def test_who_hears_that_more_is_decided_than_it_has_says_so_at_the_next_beat(heard):
    rig = Member(2)
    for signed in heard:
        rig.hear(10, signed)
    rig.run(1_000)
    assert told_at(rig) == [50]


def status(term, is_started, committed, prepared_index, last, stable=0):
    return by(2, Status(term, is_started, committed, prepared_index, last, stable))


def second_decided(rig):
    """A leader of term 1 that has three entries, of which the first is decided, and the second is prepared."""
    entries = chain_of(ONE, TWO, THREE, term=1)
    for place, request in enumerate((ONE, TWO, THREE)):
        rig.hear(20 + place, request)
    for index in (1, 2):
        for server in (0, 3):
            rig.hear(30, by(server, Prepare(1, index, entries[index - 1].digest)))
    for signed in commits(entries, 1, (0, 3), 1):
        rig.hear(31, signed)


@pytest.mark.parametrize(
    ("heard", "names"),
    [
        (status(1, True, 1, 2, 3), ["commit"]),
        (status(1, True, 2, 2, 3), ["fetch"]),
        (status(1, True, 0, 2, 3), ["commit", "status"]),
        (status(1, True, 0, 0, 0), ["append", "append", "commit", "prepare_certificate", "status"]),  # what is decided it fetches
        (status(1, True, 1, 2, 2), ["append", "commit"]),
        (status(1, True, 1, 1, 3), ["commit", "prepare_certificate"]),
        (status(1, False, 1, 0, 1), ["commit", "start_term"]),
        (status(0, True, 1, 0, 1), ["commit", "start_term"]),
        (status(0, False, 1, 0, 1), ["commit", "start_term"]),
        (status(2, True, 1, 0, 1), ["commit"]),
        (status(2, False, 1, 0, 1), ["commit"]),
    ],
)
def test_a_leader_sends_each_what_it_has_and_the_other_lacks(heard, names):
    rig, _ = leading(batch_limit=1, client_window=3)
    second_decided(rig)
    rig.hear(50, heard)
    state = rig.run(60)
    assert (state.commit_index, state.highest.statement.index, state.log.last_index) == (1, 2, 3)
    assert names_to(rig, "server 2", 50) == names
    if "append" in names:
        assert [each.signed.statement.index for each in rig.told(Proposal, "server 2")][3:] == [*range(4 - names.count("append"), 4)]


@pytest.mark.parametrize(
    ("heard", "names"),
    [
        (by(0, Status(0, True, 0, 0, 2, 0)), ["prepare"]),
        (by(0, Status(0, True, 0, 1, 2, 0)), ["prepare"]),
        (by(0, Status(0, True, 0, 2, 2, 0)), []),
        (by(0, Status(0, True, 0, 0, 0, 0)), ["prepare"]),
        (by(1, Status(0, True, 0, 0, 0, 0)), []),
        (by(0, Status(0, False, 0, 0, 0, 0)), []),  # the first term has begun from the start, and there is nothing to show of that
        (by(0, Status(1, True, 0, 0, 0, 0)), []),
    ],
)
def test_a_follower_sends_its_prepare_again_to_a_leader_that_lacks_it(heard, names):
    rig = Member(2, heartbeat_ms=FAR_MS, election_timeout_ms=FAR_MS)
    for index in (1, 2):
        rig.hear(10, append(CHAIN, index, REQUESTS[index - 1]))
    rig.hear(50, heard)
    rig.run(60)
    assert [(name, whom) for at_ms, whom, name, _ in rig.said if at_ms == 50] == [(name, "server 0") for name in names]


@pytest.mark.parametrize(
    ("heard", "names"),
    [
        (status(0, True, 0, 0, 0), ["start_vote"]),
        (status(1, False, 0, 0, 0), ["start_vote"]),
        (status(1, True, 0, 0, 0), []),
        (status(2, True, 0, 0, 0), []),
        (status(2, False, 0, 0, 0), []),
    ],
)
def test_a_server_whose_term_has_not_begun_sends_its_vote_again(heard, names):
    rig = Member(3, heartbeat_ms=FAR_MS, election_timeout_ms=FAR_MS)
    rig.hear(5, append(CHAIN, 1, ONE))
    voted(rig, 1, 10, (0, 1))
    for server in (1, 2):
        rig.hear(50, msgspec.structs.replace(heard, signer=server, signature=by(server, heard.statement).signature))
    rig.run(60)
    assert names_to(rig, "server 2", 50) == names_to(rig, "server 1", 50) == names


@pytest.mark.parametrize(("stable", "names"), [(0, ["checkpoint", "checkpoint"]), (1, ["checkpoint"]), (2, [])])
def test_a_server_sends_its_words_of_states_again_to_who_has_none_that_is_certain(stable, names):
    rig = Member(3, heartbeat_ms=FAR_MS, checkpoint_interval=1)
    for index in (1, 2):
        decide(rig, 10, index, others=(0, 1))
    rig.hear(50, status(0, True, 2, 2, 2, stable))
    rig.run(60)
    assert names_to(rig, "server 2", 50) == names


def test_what_is_said_of_who_leads_is_true():
    """In the words of Raft, for whoever keeps the service."""
    rig, _ = leading(ONE)
    rig.command(2, "status_query")
    voted(rig, 2, 40, (0, 2))
    rig.command(30, "status_query")
    rig.command(50, "status_query")
    rig.run(60)
    said = [decode(ServerStatus, parts[0]) for parts in rig.told_operator("server_status")]
    assert [(each.role, each.term, each.leader, each.last_log_index) for each in said] == [
        ("follower", 0, 0, 0),
        ("leader", 1, 1, 1),
        ("follower", 2, None, 1),
    ]


# -- 16.12: full disks


def full(rig, at_ms, level="low"):
    """So much is left on its disk from then on."""
    rig.world.at(at_ms * 1_000_000, lambda: setattr(rig.disk, "level", level))
    rig.hear(at_ms, by(0, Fetch(9)))  # which it looks at its disk behind


def rejected(rig, to):
    return rig.statements(Rejection, to)


def test_without_room_a_server_rejects_what_is_new_and_passes_it_on_to_nobody():
    rig = Member(2, durable=True, election_timeout_ms=FAR_MS, heartbeat_ms=FAR_MS, client_window=3)
    rig.hear(5, TWO)  # under way
    decide(rig, 10, 1)
    full(rig, 15)
    rig.hear(20, THREE)
    rig.hear(30, TWO)
    rig.hear(40, ONE)
    void = Signed.sign(Request(0, 1, VOID), 0, KEYS[SERVERS])
    rig.hear(50, void)
    state = rig.run(60)
    assert rejected(rig, "client 0") == [Rejection(0, 0, 1, THREE.statement.digest(), NO_ROOM)]
    assert rejected(rig, "client 1") == []
    assert [names_to(rig, "server 0", at_ms) for at_ms in (20, 30, 40, 50)] == [[], ["forwarded_request"], [], ["forwarded_request"]]
    assert names_to(rig, "client 0", 40) == ["reply"]
    assert {*state.requests} == {(1, 0), (0, 1)}


def test_with_room_again_a_server_takes_what_is_new():
    rig = Member(2, durable=True, election_timeout_ms=FAR_MS, heartbeat_ms=FAR_MS)
    full(rig, 15)
    full(rig, 25, "enough")
    rig.hear(30, ONE)
    rig.run(40)
    assert (rejected(rig, "client 0"), names_to(rig, "server 0", 30)) == ([], ["forwarded_request"])


def test_what_is_in_the_log_is_under_way_though_the_request_was_not_heard():
    """As after an end: the log alone tells of it."""
    rig = Member(2, durable=True, election_timeout_ms=FAR_MS, heartbeat_ms=FAR_MS)
    rig.hear(5, append(CHAIN, 1, ONE))
    full(rig, 15)
    rig.hear(30, ONE)
    rig.run(40)
    assert (rejected(rig, "client 0"), names_to(rig, "server 0", 30)) == ([], ["forwarded_request"])
