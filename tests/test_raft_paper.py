"""The paper sentence by sentence: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", extended version.

Each test is named after a sentence of Figure 2 or of the paper, sections 5 to 8, in their order, and shows it at one server among others that
the test speaks for (tests/sim/raft_rig.py). "thesis" is Ongaro's, of 2014.
"""

import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "sim"))

from raft_rig import (
    HEARTBEAT_MS,
    TIMEOUT_MS,
    Rig,
    append,
    at,
    chain,
    compacted,
    confirmed,
    elected,
    get,
    granted,
    put,
    stored,
    vote_for,
)

from bcr.raft.elections import drawn_timeout_ms, is_up_to_date
from bcr.raft.log import BEGINNING, Conflict, Log
from bcr.raft.replication import SPARE_BYTES, majority_index
from bcr.raft.rpcs import (
    Appended,
    AppendEntries,
    InstallSnapshot,
    Redirect,
    RequestVote,
    Response,
    SnapshotInstalled,
    Vote,
)
from bcr.signed.encoding import encode
from bcr.state.running import RunningState

# -- Figure 2, RequestVote RPC; 5.2, 5.4.1


def test_reply_false_to_a_vote_if_term_is_less_than_current_term():
    rig = Rig(store=stored(5, []))
    rig.hear(20, vote_for(4, []))
    state = rig.run(40)
    assert rig.told(Vote) == [Vote(5, 0, False, False)]
    assert state.voted_for is None


def test_if_voted_for_is_null_or_candidate_id_and_the_log_is_at_least_as_up_to_date_grant_vote():
    rig = Rig()
    rig.hear(20, vote_for(1, []))
    rig.hear(30, vote_for(1, []))
    state = rig.run(40)
    assert rig.told(Vote, "server 1") == [Vote(1, 0, True, False)] * 2
    assert (state.current_term, state.voted_for) == (1, 1)


def test_each_server_will_vote_for_at_most_one_candidate_in_a_given_term():
    rig = Rig()
    rig.hear(20, vote_for(1, [], candidate=1))
    rig.hear(30, vote_for(1, [], candidate=2))
    rig.run(40)
    assert rig.told(Vote, "server 1") == [Vote(1, 0, True, False)]
    assert rig.told(Vote, "server 2") == [Vote(1, 0, False, False)]


def test_a_vote_is_updated_on_stable_storage_before_responding():
    rig = Rig()
    rig.hear(20, vote_for(3, [], candidate=2))
    rig.run(40)
    assert (rig.store.load().term, rig.store.load().voted_for) == (3, 2)
    again = Rig(store=rig.store)
    again.hear(20, vote_for(3, [], candidate=1))
    again.run(40)
    assert again.told(Vote) == [Vote(3, 0, False, False)]


def test_the_voter_denies_its_vote_if_its_own_log_is_more_up_to_date():
    own = chain(1, 2)
    for others, is_granted in ((chain(1, 1, 1), False), (chain(1), False), (chain(1, 2), True), (chain(3), True)):
        rig = Rig(store=stored(3, own))
        rig.hear(20, vote_for(4, others))
        rig.run(40)
        assert rig.told(Vote) == [Vote(4, 0, is_granted, False)]


def test_if_the_logs_have_last_entries_with_different_terms_the_later_term_is_more_up_to_date():
    assert is_up_to_date(at(chain(1, 3), 2), at(chain(1, 2, 2), 3))
    assert not is_up_to_date(at(chain(1, 2, 2), 3), at(chain(1, 3), 2))


def test_if_the_logs_end_with_the_same_term_whichever_is_longer_is_more_up_to_date():
    assert is_up_to_date(at(chain(1, 2, 2), 3), at(chain(1, 2), 2))
    assert not is_up_to_date(at(chain(1, 2), 2), at(chain(1, 2, 2), 3))


# -- Figure 2, AppendEntries RPC; 5.3


def test_reply_false_to_entries_if_term_is_less_than_current_term():
    entries = chain(1)
    rig = Rig(store=stored(5, []))
    rig.hear(20, append(4, entries, 1))
    state = rig.run(40)
    assert rig.told(Appended) == [Appended(5, 0, 0, None, 1)]
    assert state.log.last_index == 0


def test_reply_false_if_the_log_does_not_contain_an_entry_that_matches_the_previous_one():
    entries = chain(1, 1, 2)
    rig = Rig(store=stored(2, chain(1)))
    rig.hear(20, append(2, entries, 3))
    state = rig.run(40)
    assert rig.told(Appended) == [Appended(2, 0, 0, Conflict(None, 2), 1)]
    assert state.log.last_index == 1


def test_if_an_existing_entry_conflicts_with_a_new_one_delete_it_and_all_that_follow_it():
    old, new = chain(1, 1, 1), chain(1, 2)
    rig = Rig(store=stored(1, old))
    rig.hear(20, append(2, new, 2))
    state = rig.run(40)
    assert (state.log.last_index, state.log.last) == (2, at(new, 2))
    assert list(rig.store.load().entries) == new


def test_append_any_new_entries_not_already_in_the_log():
    entries = chain(1, 1, 1)
    rig = Rig(store=stored(1, entries))
    rig.hear(20, append(1, entries[:2], 1))  # an old message: what is behind its entries stays
    state = rig.run(40)
    assert state.log.last == at(entries, 3)
    assert rig.told(Appended) == [Appended(1, 0, 2, None, 1)]


@pytest.mark.parametrize(("leader_commit", "committed"), [(1, 1), (2, 2), (9, 2)])
def test_set_commit_index_to_the_lesser_of_leader_commit_and_the_index_of_the_last_new_entry(leader_commit, committed):
    entries = chain(1, 1, 1)
    rig = Rig(store=stored(1, chain(1, 1, 1)))
    rig.hear(20, append(1, entries[:2], 1, commit=leader_commit))
    assert rig.run(40).commit_index == committed


def test_the_follower_can_include_the_term_of_the_conflicting_entry_and_the_first_index_it_stores_for_it():
    held = Log(BEGINNING, chain(1, 2, 2, 2))
    assert held.conflict_at(4) == Conflict(2, 2)
    leaders = Log(BEGINNING, chain(1, 1, 3, 3))
    assert leaders.next_index(Conflict(2, 2)) == 2
    assert leaders.next_index(Conflict(1, 1)) == 3
    assert leaders.next_index(Conflict(None, 1)) == 1


def test_if_two_entries_have_the_same_index_and_term_the_logs_are_identical_in_all_entries_up_to_there():
    entries = chain(1, 1)
    forged = chain(2, behind=at(chain(7), 1))  # of a log that began otherwise
    rig = Rig(store=stored(1, entries))
    rig.hear(20, AppendEntries(2, 1, at(entries, 2), tuple(forged), 0, 1))
    state = rig.run(40)
    assert state.log.last == at(entries, 2)
    assert [notice.kind for notice in state.notices] == ["MalformedMessage"]


# -- Figure 2, rules for all servers; 5.1


def test_if_commit_index_exceeds_last_applied_apply_the_log_to_the_state_machine():
    entries = chain(1, 1, requests=(put(0, 0, "star"),))
    rig = Rig()
    rig.hear(20, append(1, entries, 1, commit=1))
    rig.look(30, lambda state: looked.append((state.last_applied, dict(state.state.dictionary))))
    rig.hear(40, append(1, entries, 3, commit=2))
    looked = []
    state = rig.run(60)
    assert looked == [(1, {})]
    assert (state.last_applied, state.state.dictionary) == (2, {"k": "star"})


@pytest.mark.parametrize("message", [append(7, [], 1), vote_for(7, []), Vote(7, 1, False, False), confirmed(7, 1, 0)])
def test_if_rpc_request_or_response_contains_a_higher_term_set_current_term_and_convert_to_follower(message):
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.look(now_ms, lambda state: looked.append(state.role))
    rig.hear(now_ms + 2, message)
    looked = []
    state = rig.run(now_ms + 4)
    assert looked == ["leader"]
    assert (state.role, state.current_term, rig.store.load().term) == ("follower", 7, 7)


# -- followers and candidates; 5.2


def test_if_election_timeout_elapses_without_append_entries_or_granting_a_vote_convert_to_candidate():
    rig = Rig()
    rig.hear(100, append(1, [], 1))
    rig.hear(200, vote_for(2, []))
    rig.run(400)
    assert rig.when(RequestVote)[0] == 200 + TIMEOUT_MS


def test_followers_respond_to_rpcs_from_candidates_and_leaders_and_issue_none():
    rig = Rig()
    for at_ms in range(10, 400, 50):
        rig.hear(at_ms, append(1, [], 1))
    rig.run(420)
    assert {type(message) for _, _, _, message in rig.said} == {Appended}


def test_on_conversion_to_candidate_increment_current_term_vote_for_self_and_send_request_vote_to_all():
    rig = Rig()
    rig.hear(155, granted(1, 1, is_pre_vote=True))
    state = rig.run(160)
    assert (state.role, state.current_term, state.voted_for) == ("candidate", 1, 0)
    asked = [message for message in rig.told(RequestVote) if not message.is_pre_vote]
    assert asked == [RequestVote(1, 0, BEGINNING, False)] * 2
    assert (rig.store.load().term, rig.store.load().voted_for) == (1, 0)


def test_who_is_cut_off_does_not_increment_its_term_until_a_majority_would_vote_for_it():
    """Thesis, 9.6."""
    rig = Rig()
    state = rig.run(5_000)
    assert (state.role, state.current_term) == ("pre-candidate", 0)
    assert len(rig.when(RequestVote)) > 20


def test_a_pre_vote_is_refused_while_a_leader_is_heard():
    """Thesis, 9.6 and 4.2.3."""
    rig = Rig()
    rig.hear(20, append(1, [], 1))
    rig.hear(60, vote_for(2, [], candidate=2, is_pre_vote=True))
    state = rig.run(80)
    assert rig.told(Vote) == [Vote(1, 0, False, True)]
    assert state.current_term == 1


def test_if_votes_are_received_from_a_majority_become_leader():
    rig = Rig(servers=5)
    for voter in (1, 2):
        rig.hear(155, granted(1, voter, is_pre_vote=True))
    rig.hear(160, granted(1, 1))
    rig.hear(162, granted(1, 1))  # the same vote, twice
    rig.look(164, lambda state: looked.append(state.role))
    rig.hear(166, granted(1, 3))
    looked = []
    assert rig.run(170).role == "leader"
    assert looked == ["candidate"]


def test_if_append_entries_is_received_from_the_new_leader_convert_to_follower():
    rig = Rig()
    rig.hear(155, granted(1, 1, is_pre_vote=True))
    rig.look(157, lambda state: looked.append(state.role))
    rig.hear(158, append(1, [], 1))
    looked = []
    state = rig.run(160)
    assert (looked, state.role, state.leader) == (["candidate"], "follower", 1)


def test_votes_of_an_earlier_election_do_not_count():
    rig = Rig(store=stored(3, []))
    rig.hear(155, granted(4, 1, is_pre_vote=True))
    rig.hear(158, granted(3, 1))
    assert rig.run(160).role == "candidate"


def test_election_timeouts_are_chosen_randomly_from_a_fixed_interval():
    assert drawn_timeout_ms(150, 300, b"\0\0") == 150
    assert 299 < drawn_timeout_ms(150, 300, b"\xff\xff") < 300
    assert drawn_timeout_ms(150, 170, b"\x80\0") == 160


# -- leaders; 5.3, 5.4.2


def test_upon_election_send_initial_heartbeats_and_repeat_during_idle_periods():
    rig = Rig()
    now_ms = elected(rig, 1)
    for at_ms in range(now_ms, now_ms + 400, 40):
        rig.hear(at_ms, confirmed(1, 1, 1, 99))
    rig.run(now_ms + 300)
    times = rig.when(AppendEntries)
    assert times[0] <= now_ms
    assert max(later - earlier for earlier, later in pairwise(times)) <= HEARTBEAT_MS + 1


def test_a_leader_commits_a_blank_no_op_entry_at_the_start_of_its_term():
    """Paper, section 8."""
    rig = Rig()
    now_ms = elected(rig, 1)
    state = rig.run(now_ms)
    assert state.log.last_index == 1
    assert state.log.entry(1).requests == ()


def test_if_a_command_is_received_append_it_and_respond_after_it_is_applied():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms, put(0, 0))
    rig.hear(now_ms + 5, confirmed(1, 1, 1))
    rig.look(now_ms + 8, lambda _: looked.append(rig.told(Response)))
    rig.hear(now_ms + 10, confirmed(1, 1, 2))
    looked = []
    rig.run(now_ms + 15)
    assert looked == [[]]
    [response] = rig.told(Response, "client 0")
    assert (response.number, response.outcome.place, response.outcome.results) == (0, (0, 2, 0), ("OK",))


def test_requests_that_come_while_an_entry_is_under_way_share_the_next_and_a_full_one_does_not_wait():
    rig = Rig(batch_limit=3, client_window=9)
    now_ms = elected(rig, 1)
    rig.hear(now_ms, confirmed(1, 1, 1))
    for number in range(7):
        rig.hear(now_ms + 5 + number, put(0, number))
        rig.look(now_ms + 5 + number + 0.5, lambda state: looked.append([len(entry.requests) for entry in state.log.entries[1:]]))
    rig.hear(now_ms + 20, confirmed(1, 1, 3))
    looked = []
    state = rig.run(now_ms + 25)
    assert looked == [[1], [1], [1], [1, 3], [1, 3], [1, 3], [1, 3, 3]]
    assert state.commit_index == 3


def test_what_waits_behind_an_entry_is_ordered_when_that_is_committed():
    rig = Rig(batch_limit=3, client_window=9)
    now_ms = elected(rig, 1)
    rig.hear(now_ms, confirmed(1, 1, 1))
    for number in range(3):
        rig.hear(now_ms + 5, put(0, number))
    rig.hear(now_ms + 10, confirmed(1, 1, 2))
    state = rig.run(now_ms + 15)
    assert [len(entry.requests) for entry in state.log.entries[1:]] == [1, 2]


def test_if_append_entries_fails_because_of_log_inconsistency_decrement_next_index_and_retry():
    own = chain(1, 1, 2)
    rig = Rig(store=stored(2, own))
    now_ms = elected(rig, 3)
    rig.hear(now_ms, Appended(3, 2, 0, Conflict(None, 2), 1))
    rig.run(now_ms + 5)
    retried = [message for message in rig.told(AppendEntries, "server 2") if message.previous.index == 1]
    assert retried
    assert [entry.term for entry in retried[0].entries] == [1, 2, 3]


def test_only_log_entries_from_the_leaders_current_term_are_committed_by_counting_replicas():
    """Paper, section 5.4.2 and Figure 8."""
    rig = Rig(store=stored(2, chain(1, 2)))
    now_ms = elected(rig, 3)
    rig.hear(now_ms, confirmed(3, 1, 2))
    rig.look(now_ms + 3, lambda state: looked.append(state.commit_index))
    rig.hear(now_ms + 5, confirmed(3, 1, 3))
    looked = []
    assert rig.run(now_ms + 8).commit_index == 3
    assert looked == [0]


def test_an_entry_is_committed_once_it_is_on_a_majority_of_the_servers():
    assert majority_index([5, 3, 1]) == 3
    assert majority_index([5, 5, 3, 2, 1]) == 3
    assert majority_index([5, 1, 1]) == 1


def test_a_leader_never_overwrites_or_deletes_entries_in_its_log():
    own = chain(1, 1, 2)
    rig = Rig(store=stored(2, own))
    now_ms = elected(rig, 3)
    rig.hear(now_ms, append(2, chain(1, 2), 1))  # of a leader that was
    state = rig.run(now_ms + 3)
    assert state.log.at(3) == at(own, 3)
    assert state.role == "leader"


def test_a_leader_steps_down_if_an_election_timeout_elapses_without_a_round_to_a_majority():
    """Thesis, 6.2."""
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms + 10, put(0, 0))
    state = rig.run(now_ms + 3 * TIMEOUT_MS)
    assert state.role != "leader"
    assert all(at_ms <= now_ms + TIMEOUT_MS + HEARTBEAT_MS for at_ms in rig.when(AppendEntries))


# -- 7, log compaction


def test_once_a_server_completes_writing_a_snapshot_it_may_delete_all_log_entries_up_through_the_last_included_index():
    rig, now_ms = compacted()
    state = rig.run(now_ms)
    assert state.last_applied == 9
    assert state.log.base.index >= 5
    assert len(state.log) <= 2 * 2 + 1
    assert rig.store.load().snapshot_at.index == state.log.snapshot_at.index >= 7


def test_the_leader_must_occasionally_send_snapshots_to_followers_that_lag_behind():
    rig, now_ms = compacted()
    rig.hear(now_ms, Appended(1, 2, 0, Conflict(None, 1), 1))  # it has nothing at all
    state = rig.run(now_ms + 5)
    piece = rig.told(InstallSnapshot, "server 2")[-1]
    assert 0 < piece.last.index <= state.log.snapshot_at.index
    assert (piece.offset, piece.is_done, piece.term) == (0, True, 1)


def test_a_follower_that_begins_anew_amid_a_snapshot_gets_it_from_its_first_piece():
    """Whose pieces are in memory only; what it has it tells with each answer (7: a chunk has an offset)."""
    rig, now_ms = compacted(message_limit_bytes=SPARE_BYTES + 10)  # to whom it is sending one
    for later_ms, offset in ((1, 10), (2, 20), (3, 0), (4, 10)):
        rig.hear(now_ms + later_ms, SnapshotInstalled(1, 2, 4, offset, False, 1))
    rig.run(now_ms + 6)
    pieces = rig.told(InstallSnapshot, "server 2")
    assert {each.last.index for each in pieces} == {4}
    assert [each.offset for each in pieces][-5:] == [0, 10, 20, 0, 10]


def snapshot_of(value, index, entries):
    state = RunningState(1)
    state.execute(0, index, (put(0, 0, value),))
    return InstallSnapshot(2, 1, at(entries, index), (0, 1, 2), 0, encode(state.snapshot()), True, 1)


def test_if_the_snapshot_contains_new_information_the_follower_discards_its_entire_log():
    entries = chain(1, 1, 2)
    rig = Rig(store=stored(1, chain(1, 1)))
    rig.hear(20, snapshot_of("new", 3, entries))
    state = rig.run(40)
    assert (len(state.log), state.log.base, state.last_applied) == (0, at(entries, 3), 3)
    assert state.state.dictionary == {"k": "new"}
    assert rig.told(SnapshotInstalled) == [SnapshotInstalled(2, 0, 3, 0, True, 1)]


def test_if_an_existing_entry_has_the_snapshots_last_index_and_term_retain_the_entries_following_it():
    entries = chain(1, 1, 1)
    rig = Rig(store=stored(1, entries))
    rig.hear(20, snapshot_of("new", 2, entries))
    state = rig.run(40)
    assert (state.log.base, state.log.last) == (at(entries, 2), at(entries, 3))


def test_a_chunk_of_a_snapshot_is_written_at_its_offset_and_more_are_awaited_until_done():
    entries = chain(1, 1, 2)
    whole = snapshot_of("new", 3, entries)
    first = InstallSnapshot(2, 1, whole.last, whole.members, 0, whole.data[:10], False, 1)
    second = InstallSnapshot(2, 1, whole.last, whole.members, 10, whole.data[10:], True, 1)
    rig = Rig()
    for at_ms, piece in ((20, second), (30, first), (40, first), (50, second)):
        rig.hear(at_ms, piece)
    state = rig.run(60)
    assert [(each.offset, each.is_done) for each in rig.told(SnapshotInstalled)] == [(0, False), (10, False), (10, False), (0, True)]
    assert state.last_applied == 3


def test_a_server_restarts_from_what_is_on_its_stable_storage():
    rig, now_ms = compacted()
    before = rig.run(now_ms)
    again = Rig(store=rig.store, checkpoint_interval=2)
    state = again.run(20)
    assert (state.current_term, state.log.last) == (before.current_term, before.log.last)
    assert state.last_applied == before.log.snapshot_at.index
    assert state.state.dictionary == {"k": str(before.log.snapshot_at.index - 2)}


# -- 8, client interaction


def test_if_the_clients_first_choice_is_not_the_leader_the_server_supplies_the_leader_it_has_heard_from():
    rig = Rig()
    rig.hear(20, put(0, 0))
    rig.hear(30, append(4, [], 1, leader=2))
    rig.hear(40, put(1, 0))
    rig.run(60)
    assert rig.told(Redirect, "client 0") == [Redirect(0, 0, None, 0)]
    assert rig.told(Redirect, "client 1") == [Redirect(1, 0, 2, 4)]


def test_if_the_serial_number_has_already_been_executed_it_responds_without_executing_again():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms, put(0, 0))
    rig.hear(now_ms + 5, confirmed(1, 1, 2))
    rig.hear(now_ms + 10, put(0, 0))
    state = rig.run(now_ms + 15)
    first, second = rig.told(Response, "client 0")
    assert first == second
    assert state.log.last_index == 2


def test_read_only_operations_are_handled_without_writing_anything_into_the_log():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms, confirmed(1, 1, 1, 1))
    rig.hear(now_ms + 5, get(0, 0))
    rig.look(now_ms + 8, lambda _: looked.append(rig.told(Response)))
    rig.hear(now_ms + 10, confirmed(1, 1, 1, 2))
    looked = []
    state = rig.run(now_ms + 15)
    assert looked == [[]]
    assert [response.outcome.results for response in rig.told(Response)] == [("",)]
    assert state.log.last_index == 1


def test_a_leader_must_have_the_latest_information_on_which_entries_are_committed_before_it_reads():
    rig = Rig(store=stored(1, chain(1)))
    now_ms = elected(rig, 2)
    rig.hear(now_ms, get(0, 0))
    rig.hear(now_ms + 5, confirmed(2, 1, 1, 9))  # the no-op of its term is not committed
    rig.look(now_ms + 8, lambda _: looked.append(rig.told(Response)))
    rig.hear(now_ms + 10, confirmed(2, 1, 2, 1))
    rig.hear(now_ms + 15, confirmed(2, 1, 2, 2))
    looked = []
    rig.run(now_ms + 20)
    assert looked == [[]]
    assert len(rig.told(Response)) == 1


def test_a_leader_must_check_whether_it_has_been_deposed_before_it_reads():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms, confirmed(1, 1, 1, 1))
    rig.hear(now_ms + 5, get(0, 0))
    rig.hear(now_ms + 10, confirmed(1, 1, 1, 1))  # an answer to what left before the read came
    rig.hear(now_ms + 15, Appended(2, 1, 0, None, 2))
    rig.run(now_ms + 20)
    assert rig.told(Response) == []
    assert rig.told(Redirect, "client 0") == [Redirect(0, 0, None, 2)]


# -- what was found here


def test_a_leader_that_steps_down_sends_no_more_heartbeats_though_both_timers_end_together():
    """A hunt found it: of timers that ended at once, as behind a pause, the second went on as if nothing had happened."""
    rig = Rig(election_timeout_ms=TIMEOUT_MS, heartbeat_ms=75)
    now_ms = elected(rig, 1)
    rig.look(now_ms, lambda state: [state.timers.stop("heartbeat"), state.timers.start("heartbeat", state.heard_s, 0)])
    rig.look(now_ms, lambda state: [state.timers.stop("quorum"), state.timers.start("quorum", state.heard_s, 0)])
    rig.look(now_ms, lambda state: [setattr(each, "heard_s", -9.0) for each in state.followers.values()])
    rig.look(now_ms, lambda state: state.timers._deadlines.update(quorum=0.0, heartbeat=0.001))
    state = rig.run(now_ms + 300)
    assert state.role != "leader"
    assert max(rig.when(AppendEntries)) <= now_ms + 2
