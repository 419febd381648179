"""Ongaro's thesis sentence by sentence, where it goes beyond the paper: servers that come and go (chapter 4), and leadership transfer (3.10).

Each test shows one sentence at one server among others that the test speaks for (tests/sim/raft_rig.py).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "sim"))

from raft_rig import TIMEOUT_MS, ChangeRig, append, at, chain, confirmed, elected, granted, leader, put, stored, vote_for

from bcr.raft.changes import ADD, MOST_ROUNDS, REMOVE, TRANSFER, CatchUpRounds
from bcr.raft.configured_log import ConfiguredLog
from bcr.raft.elections import Ballot
from bcr.raft.log import Entry
from bcr.raft.persistent import MemoryStore
from bcr.raft.rpcs import AppendEntries, InstallSnapshot, Redirect, RequestVote, Response, TimeoutNow, Vote
from bcr.signed.encoding import encode
from bcr.state.running import RunningState


def with_members(entry, members):
    return Entry(entry.previous, entry.term, entry.requests, members)


def configured(*members):
    """A chain of term 1 whose entries say that these decide, one after the other; None says nothing."""
    entries, before = [], chain(1)[0].previous
    for each in members:
        entries.append(Entry(before, 1, (), each))
        before = entries[-1].digest
    return entries


# -- 4.1, safety


def test_each_server_adopts_a_configuration_as_soon_as_it_is_in_its_log_whether_or_not_it_is_committed():
    rig = ChangeRig()
    rig.hear(20, append(1, configured(None, (0, 1, 2, 3)), 1, commit=1))
    state = rig.run(30)
    assert (state.commit_index, state.log.members, state.log.members_index) == (1, (0, 1, 2, 3), 2)


def test_a_server_falls_back_to_the_previous_configuration_if_the_entry_is_removed_from_its_log():
    rig = ChangeRig()
    rig.hear(20, append(1, configured(None, (0, 1, 2, 3)), 1))
    rig.hear(30, append(2, [*configured(None), chain(2, behind=at(configured(None), 1))[0]], 2))
    assert rig.run(40).log.members == (0, 1, 2)


def test_a_leader_begins_no_change_before_the_one_before_it_is_committed():
    rig, now_ms = leader()
    rig.ask(now_ms, REMOVE, 2)
    rig.ask(now_ms + 10, REMOVE, 1)
    state = rig.run(now_ms + 20)
    assert (state.log.last_index, state.log.members) == (2, (0, 1))


def test_a_leader_begins_no_change_before_it_has_committed_an_entry_of_its_own_term():
    rig = ChangeRig(store=stored(1, chain(1)))
    now_ms = elected(rig, 2)
    rig.ask(now_ms, REMOVE, 2)
    assert rig.run(now_ms + 10).log.members == (0, 1, 2)


def test_a_configuration_is_committed_by_a_majority_of_the_servers_in_it():
    rig, now_ms = leader(first_members=(0, 1, 2, 3))
    rig.hear(now_ms, confirmed(1, 2, 1))
    rig.ask(now_ms + 5, REMOVE, 3)
    rig.hear(now_ms + 10, confirmed(1, 3, 2))  # it has the entry, and is no longer one of those that decide
    rig.look(now_ms + 15, lambda state: seen.append(state.commit_index))
    rig.hear(now_ms + 20, confirmed(1, 2, 2))
    rig.look(now_ms + 25, lambda state: seen.append(state.commit_index))
    rig.ask(now_ms + 30, REMOVE, 3)
    seen = []
    rig.run(now_ms + 40)
    assert seen == [1, 2]
    assert rig.made() == [(REMOVE, 3)]


def test_votes_of_servers_that_do_not_decide_do_not_count():
    ballot = Ballot(1, 0, (0, 1, 2), is_pre_vote=False)
    ballot.count(3)
    ballot.count(4)
    assert not ballot.is_won
    ballot.count(1)
    assert ballot.is_won


def test_a_candidate_that_does_not_decide_has_no_vote_of_its_own():
    ballot = Ballot(1, 0, (1, 2, 3), is_pre_vote=False)
    ballot.count(1)
    assert not ballot.is_won


def test_a_server_answers_requests_for_votes_and_entries_of_servers_that_are_not_in_its_configuration():
    rig = ChangeRig(first_members=(1, 2))
    rig.hear(20, vote_for(1, [], candidate=3))
    rig.hear(30, append(2, chain(2), 1, leader=4))
    state = rig.run(40)
    assert rig.told(Vote, "server 3") == [Vote(1, 0, True, False)]
    assert state.log.last_index == 1


# -- 4.2.1, catching up new servers


def test_a_new_server_is_sent_the_log_and_decides_nothing_until_it_has_caught_up():
    rig, now_ms = leader()
    rig.ask(now_ms, ADD, 3)
    rig.look(now_ms + 5, lambda state: seen.append((state.log.members, state.log.last_index)))
    rig.hear(now_ms + 10, confirmed(1, 3, 1))
    rig.look(now_ms + 15, lambda state: seen.append((state.log.members, state.log.last_index)))
    rig.hear(now_ms + 20, confirmed(1, 3, 2))
    rig.hear(now_ms + 25, confirmed(1, 1, 2))
    rig.ask(now_ms + 30, ADD, 3)
    seen = []
    state = rig.run(now_ms + 40)
    assert rig.told(AppendEntries, "server 3")[0].entries == ()  # the leader asks what it holds
    assert seen == [((0, 1, 2), 1), ((0, 1, 2, 3), 2)]
    assert state.commit_index == 2  # of four servers three
    assert rig.made() == [(ADD, 3)]


def test_rounds_go_on_until_one_takes_less_than_an_election_timeout():
    arriving = CatchUpRounds(3, 10, 0.0)
    assert not arriving.reached(9, 20, 0.1, 0.15)
    assert not arriving.reached(10, 20, 0.2, 0.15)  # the first round took too long; the second goes to 20
    assert not arriving.reached(19, 25, 0.3, 0.15)
    assert arriving.reached(20, 25, 0.3, 0.15)


def test_a_server_that_is_too_slow_or_does_not_answer_is_not_added():
    arriving = CatchUpRounds(3, 10, 0.0)
    for number in range(MOST_ROUNDS):
        assert not arriving.is_hopeless(number, number, 0.15)
        assert not arriving.reached(10, 10, number + 1.0, 0.15)
    assert arriving.is_hopeless(MOST_ROUNDS, MOST_ROUNDS, 0.15)
    assert CatchUpRounds(3, 10, 0.0).is_hopeless(1.0, 0.6, 0.15)


def test_a_leader_gives_up_a_server_that_does_not_answer_and_may_be_asked_again():
    rig, now_ms = leader()
    rig.ask(now_ms, ADD, 3)
    for later_ms in range(0, 2 * TIMEOUT_MS + 100, 50):
        rig.hear(now_ms + later_ms, confirmed(1, 1, 1))
    state = rig.run(now_ms + 2 * TIMEOUT_MS + 100)
    assert (state.role, state.arriving, sorted(state.followers)) == ("leader", None, [1, 2])


# -- 4.2.2, removing the current leader


def removed():
    """A leader that is asked to leave, and has not committed that."""
    rig, now_ms = leader()
    rig.ask(now_ms, REMOVE, 0)
    return rig, now_ms + 5


def test_a_leader_that_is_removed_does_not_count_itself_in_majorities():
    rig, now_ms = removed()
    rig.hear(now_ms, confirmed(1, 1, 2))
    state = rig.run(now_ms + 5)
    assert (state.role, state.commit_index, state.log.members) == ("leader", 1, (1, 2))


def test_a_leader_that_is_removed_steps_down_once_the_new_configuration_is_committed():
    rig, now_ms = removed()
    rig.hear(now_ms, confirmed(1, 1, 2))
    rig.hear(now_ms + 5, confirmed(1, 2, 2))
    state = rig.run(now_ms + 3 * TIMEOUT_MS)
    assert (state.role, state.commit_index) == ("follower", 2)
    assert len(rig.told(RequestVote)) == 2 * 4  # those by which it was elected


def test_who_is_not_in_its_own_latest_configuration_starts_elections_as_long_as_that_is_not_committed():
    rig = ChangeRig()
    rig.hear(20, append(1, configured(None, (1, 2)), 1, commit=1))
    rig.run(3 * TIMEOUT_MS)
    assert rig.told(RequestVote)[0].is_pre_vote


def test_who_does_not_decide_starts_no_election():
    rig = ChangeRig(first_members=(1, 2))
    rig.run(5 * TIMEOUT_MS)
    assert rig.told(RequestVote) == []


# -- 4.4, 5.1: what is kept


def snapshot(members):
    state = RunningState(1)
    state.execute(0, 3, (put(0, 0),))
    return InstallSnapshot(2, 1, at(chain(1, 1, 2), 3), members, 0, encode(state.snapshot()), True, 1)


def test_a_snapshot_holds_the_configuration_of_its_last_entry():
    rig = ChangeRig()
    rig.hear(20, snapshot((1, 2, 4)))
    state = rig.run(30)
    assert (state.log.members, state.log.members_index) == ((1, 2, 4), 3)
    assert rig.store.load().members == (1, 2, 4)


def test_a_server_that_restarts_finds_its_configuration_in_its_store():
    store = MemoryStore()
    log = ConfiguredLog(store, (0, 1, 2))
    log.take(0, configured(None, (0, 1), None, (0, 1, 3)))
    assert ConfiguredLog(store, (0, 1, 2)).members == (0, 1, 3)
    log.replace(3, b"state", 1)
    assert (log.members, log.snapshot_members) == ((0, 1, 3), (0, 1))
    again = ConfiguredLog(store, (0, 1, 2))
    assert (again.members, again.members_index, again.snapshot_members) == ((0, 1, 3), 4, (0, 1))
    log.replace(4, b"state", 0)
    assert ConfiguredLog(store, (0, 1, 2)).members == (0, 1, 3)


def test_the_digest_of_an_entry_stands_for_the_configuration_in_it_too():
    [entry] = chain(1)
    assert len({each.digest for each in (entry, with_members(entry, (0, 1)), with_members(entry, (0, 2)))}) == 3


# -- 3.10, leadership transfer


def test_the_prior_leader_stops_accepting_client_requests():
    rig, now_ms = leader()
    rig.ask(now_ms, TRANSFER, 2)
    rig.hear(now_ms + 5, put(0, 0))
    state = rig.run(now_ms + 10)
    assert state.log.last_index == 1
    assert rig.told(Redirect, "client 0") == [Redirect(0, 0, None, 1)]


def test_the_prior_leader_brings_the_log_of_the_target_up_to_date_before_it_sends_timeout_now():
    rig, now_ms = leader()
    rig.ask(now_ms, TRANSFER, 2)
    rig.look(now_ms + 5, lambda _: seen.append(rig.told(TimeoutNow)))
    rig.hear(now_ms + 10, confirmed(1, 2, 1))
    seen = []
    rig.run(now_ms + 15)
    assert seen == [[]]
    assert rig.told(TimeoutNow) == rig.told(TimeoutNow, "server 2") == [TimeoutNow(1, 0)]


def test_the_target_starts_a_new_election_at_once_whoever_leads_and_without_a_pre_vote():
    rig = ChangeRig()
    rig.hear(20, append(3, chain(3), 1))
    rig.hear(25, TimeoutNow(3, 1))
    rig.hear(30, granted(4, 2))
    state = rig.run(40)
    assert [(each.term, each.is_pre_vote) for each in rig.told(RequestVote, "server 1")] == [(4, False)]
    assert (state.role, state.current_term) == ("leader", 4)


def test_the_word_of_a_leader_of_an_older_term_starts_no_election():
    rig = ChangeRig()
    rig.hear(20, append(3, chain(3), 1))
    rig.hear(25, TimeoutNow(2, 2))
    rig.run(40)
    assert rig.told(RequestVote) == []


def test_if_the_transfer_does_not_complete_after_an_election_timeout_the_prior_leader_resumes_accepting_requests():
    rig, now_ms = leader()
    rig.ask(now_ms, TRANSFER, 2)
    for later_ms in range(50, TIMEOUT_MS + 100, 50):
        rig.hear(now_ms + later_ms, confirmed(1, 1, 1))
    rig.hear(now_ms + TIMEOUT_MS + 20, put(0, 0))
    rig.hear(now_ms + TIMEOUT_MS + 30, confirmed(1, 1, 2))
    rig.run(now_ms + TIMEOUT_MS + 50)
    assert len(rig.told(Response, "client 0")) == 1


def test_clients_do_not_wait_for_a_target_that_is_silent_however_often_an_operator_asks():
    rig, now_ms = leader()
    for later_ms in range(50, 2 * TIMEOUT_MS, 50):
        rig.hear(now_ms + later_ms, confirmed(1, 1, 1))
    rig.ask(now_ms + TIMEOUT_MS + 10, TRANSFER, 2)
    rig.hear(now_ms + TIMEOUT_MS + 20, put(0, 0))
    rig.hear(now_ms + TIMEOUT_MS + 30, confirmed(1, 1, 2))
    rig.run(now_ms + TIMEOUT_MS + 50)
    assert len(rig.told(Response, "client 0")) == 1


def test_who_leads_as_it_was_asked_to_tells_so():
    rig, now_ms = leader()
    rig.ask(now_ms, TRANSFER, 0)
    rig.run(now_ms + 5)
    assert rig.made() == [(TRANSFER, 0)]
