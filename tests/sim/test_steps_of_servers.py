"""What a server of Raft does at each message and timer (specification, 14), beyond what the paper and the thesis say in one sentence.

Each test shows a rule at one server among others that the test speaks for (raft_rig.py).
"""

import pytest
from raft_rig import (
    HEARTBEAT_MS,
    TIMEOUT_MS,
    ChangeRig,
    Rig,
    append,
    at,
    chain,
    compacted,
    confirmed,
    elected,
    get,
    granted,
    leader,
    put,
    stored,
    vote_for,
)

from bcr.raft.changes import ADD, REMOVE, TRANSFER
from bcr.raft.log import Conflict
from bcr.raft.replication import MOST_ENTRIES, SPARE_BYTES
from bcr.raft.rpcs import (
    Appended,
    AppendEntries,
    InstallSnapshot,
    Redirect,
    RequestVote,
    Response,
    SnapshotInstalled,
    TimeoutNow,
    Vote,
)
from bcr.raft.server_status import ServerStatus
from bcr.signed.encoding import decode, encode
from bcr.state.running import RunningState


def said(rig, kind, to, since_ms=0):
    """What it said of a kind to one from then on, each with when."""
    return [(at_ms, message) for at_ms, whom, _, message in rig.said if type(message) is kind and whom == to and at_ms >= since_ms]


def looks(rig, *times_ms, at=lambda state: state.role):
    """What the server's state shows at these times, as a list that the run fills."""
    seen = []
    for at_ms in times_ms:
        rig.look(at_ms, lambda state: seen.append(at(state)))
    return seen


def answering(rig, times_ms, term, follower, match_index, round_number=1):
    for at_ms in times_ms:
        rig.hear(at_ms, confirmed(term, follower, match_index, round_number))


# -- terms and elections [14.1, 14.3]


def test_who_hears_of_a_higher_term_in_a_refused_pre_vote_adopts_it():
    rig = Rig()
    rig.hear(155, Vote(9, 1, False, True))
    state = rig.run(160)
    assert (state.current_term, state.role, rig.store.load().term) == (9, "follower", 9)


def test_a_vote_that_is_refused_keeps_no_follower_from_becoming_a_candidate():
    rig = Rig(store=stored(1, chain(1)))
    rig.hear(100, vote_for(7, []))
    state = rig.run(TIMEOUT_MS + 1)
    assert (state.current_term, rig.when(RequestVote)) == (7, [TIMEOUT_MS])


@pytest.mark.parametrize(
    ("store", "term", "log", "is_granted"),
    [
        ((0, []), 1, [], True),
        ((5, []), 6, [], True),
        ((5, []), 5, [], False),  # nobody is elected in a term that is there
        ((1, chain(1, 1)), 2, chain(1, 1), True),
        ((1, chain(1, 1)), 2, chain(1), False),
    ],
)
def test_a_pre_vote_is_granted_to_whoever_would_be_elected_where_nobody_has_heard_of_a_leader(store, term, log, is_granted):
    rig = Rig(store=stored(*store))
    rig.hear(20, vote_for(term, log, is_pre_vote=True))
    state = rig.run(40)
    assert rig.told(Vote) == [Vote(term if is_granted else store[0], 0, is_granted, True)]
    assert (state.current_term, state.voted_for) == (store[0], None)


def test_nobody_who_has_heard_of_a_leader_within_an_election_timeout_says_yes_and_later_it_does():
    rig = Rig(chance=255)  # it waits for almost two of them
    rig.hear(20, append(1, [], 1))
    for at_ms in (60, 20 + TIMEOUT_MS + 10):
        rig.hear(at_ms, vote_for(2, [], candidate=2, is_pre_vote=True))
    rig.run(200)
    assert [each.is_granted for each in rig.told(Vote, "server 2")] == [False, True]


def test_a_leader_grants_no_pre_vote():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms, vote_for(2, chain(1), is_pre_vote=True))
    rig.run(now_ms + 5)
    assert rig.told(Vote) == [Vote(1, 0, False, True)]


def test_it_takes_a_majority_of_pre_votes_to_begin_a_term():
    rig = Rig(servers=5)
    rig.hear(155, granted(1, 1, is_pre_vote=True))
    rig.hear(160, granted(1, 2, is_pre_vote=True))
    seen = looks(rig, 158, 163)
    rig.run(165)
    assert seen == ["pre-candidate", "candidate"]


def test_nobody_speaks_to_itself():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.run(now_ms + 2 * HEARTBEAT_MS)
    assert {whom for _, whom, _, _ in rig.said} == {"server 1", "server 2"}


# -- leaders [14.4]


def test_a_leader_that_a_majority_hears_goes_on_and_one_that_is_not_heard_any_more_does_not():
    rig = Rig()
    now_ms = elected(rig, 1)
    answering(rig, range(now_ms, now_ms + 3 * TIMEOUT_MS, 40), 1, 1, 1)
    seen = looks(rig, now_ms + 3 * TIMEOUT_MS, now_ms + 5 * TIMEOUT_MS)
    rig.run(now_ms + 5 * TIMEOUT_MS)
    assert (seen[0], seen[1] == "leader") == ("leader", False)


def test_who_leads_no_longer_becomes_a_candidate_after_an_election_timeout():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.run(now_ms + 2 * TIMEOUT_MS + 5)
    assert rig.when(RequestVote)[-1] == now_ms - 1 + 2 * TIMEOUT_MS


def elected_again(rig, now_ms):
    """Let another lead in term 2, and the server in term 3, soon after; when it does."""
    rig.hear(now_ms + 20, append(2, [], 1))
    rig.hear(now_ms + 25, TimeoutNow(2, 1))
    rig.hear(now_ms + 27, granted(3, 1))
    rig.hear(now_ms + 27, granted(3, 2))
    return now_ms + 28


def test_a_leader_that_led_before_has_an_election_timeout_to_hear_a_majority_and_no_more():
    rig, now_ms = leader()
    again_ms = elected_again(rig, now_ms)
    seen = looks(rig, again_ms, again_ms + TIMEOUT_MS - 5, again_ms + TIMEOUT_MS + 5)
    rig.run(again_ms + TIMEOUT_MS + 5)
    assert seen == ["leader", "leader", "follower"]


def test_a_leader_that_was_sends_no_heartbeats_and_names_the_one_that_it_follows():
    rig = Rig()
    now_ms = elected(rig, 1)
    for later_ms in (10, 100, 180, 2 * TIMEOUT_MS):
        rig.hear(now_ms + later_ms, append(2, [], 1))
    for number, later_ms in enumerate((2 * HEARTBEAT_MS, TIMEOUT_MS + HEARTBEAT_MS + 5, TIMEOUT_MS + 2 * HEARTBEAT_MS)):
        rig.hear(now_ms + later_ms, put(0, number))
    rig.run(2 * now_ms + TIMEOUT_MS)
    assert rig.told(Redirect) == [Redirect(0, number, 1, 2) for number in range(3)]
    assert max(rig.when(AppendEntries)) < now_ms + 10


def test_answers_to_a_leader_of_an_older_term_commit_nothing_in_a_newer_one():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms + 2, Vote(2, 1, False, False))
    now_ms = elected(rig, 3, at_ms=now_ms + 2 + TIMEOUT_MS + 5)
    rig.hear(now_ms, confirmed(1, 1, 2))
    rig.hear(now_ms + 5, confirmed(3, 1, 2))
    seen = looks(rig, now_ms + 3, now_ms + 8, at=lambda state: (state.role, state.log.last_index, state.commit_index))
    rig.run(now_ms + 10)
    assert seen == [("leader", 2, 0), ("leader", 2, 2)]


def test_answers_to_who_leads_no_longer_commit_nothing():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms + TIMEOUT_MS + 10, confirmed(1, 1, 1))
    state = rig.run(now_ms + TIMEOUT_MS + 15)
    assert (state.role, state.current_term, state.commit_index) == ("follower", 1, 0)


def test_the_next_entry_leaves_before_the_last_is_answered_and_each_once():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms, confirmed(1, 1, 1))
    rig.hear(now_ms + 5, put(0, 0))
    rig.hear(now_ms + 10, put(1, 0))
    rig.run(now_ms + HEARTBEAT_MS + 5)
    to_1, to_2 = (said(rig, AppendEntries, f"server {each}", now_ms) for each in (1, 2))
    # Of the other, which has not answered yet, it is not known what it holds: one message is under way, and another at each heartbeat.
    assert [(at_ms, message.previous.index, len(message.entries)) for at_ms, message in to_1] == [
        (now_ms + 5, 1, 1), (now_ms + 10, 2, 1), (now_ms - 1 + HEARTBEAT_MS, 3, 0)]  # fmt: skip
    assert [(at_ms, message.previous.index, len(message.entries)) for at_ms, message in to_2] == [(now_ms - 1 + HEARTBEAT_MS, 0, 3)]
    assert rig.told(InstallSnapshot) == []


def test_who_answers_is_sent_what_comes_next_and_nobody_else_is():
    count = 3 * MOST_ENTRIES + 10
    rig = Rig(servers=5, store=stored(1, chain(*[1] * count)))
    rig.hear(155, granted(2, 2, is_pre_vote=True))
    rig.hear(157, granted(2, 2))
    now_ms = elected(rig, 2)
    rig.hear(now_ms, Appended(2, 3, 0, Conflict(None, 1), 1))
    rig.hear(now_ms + 2, confirmed(2, 3, MOST_ENTRIES))
    for later_ms, follower in ((4, 1), (6, 2), (8, 2)):
        rig.hear(now_ms + later_ms, confirmed(2, follower, count + 1))
    state = rig.run(now_ms + 10)
    assert state.commit_index == count + 1
    sent = [
        (at_ms - now_ms, message.previous.index, len(message.entries)) for at_ms, message in said(rig, AppendEntries, "server 3", now_ms)
    ]
    assert sent == [(0, 0, MOST_ENTRIES), (2, MOST_ENTRIES, MOST_ENTRIES), (6, 2 * MOST_ENTRIES, MOST_ENTRIES)]


# -- clients [14.5, 14.6]


def test_only_the_leader_answers_what_has_been_executed():
    rig = Rig()
    rig.hear(20, append(1, chain(1, requests=(put(0, 0, "star"),)), 1, commit=1))
    state = rig.run(40)
    assert (state.last_applied, state.state.dictionary, rig.told(Response)) == (1, {"k": "star"}, [])


def test_what_is_older_than_the_window_of_its_client_is_neither_put_into_the_log_nor_answered():
    rig = Rig(client_window=1)
    now_ms = elected(rig, 1)
    for number in range(2):
        rig.hear(now_ms + 10 * number, put(0, number))
        rig.hear(now_ms + 10 * number + 5, confirmed(1, 1, number + 2))
    rig.hear(now_ms + 20, put(0, 0))
    state = rig.run(now_ms + 25)
    assert state.log.last_index == 3
    assert [each.number for each in rig.told(Response)] == [0, 1]


def test_a_request_is_under_way_until_it_is_executed():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms, put(0, 0))
    rig.hear(now_ms + 5, confirmed(1, 1, 2))
    seen = looks(rig, now_ms + 3, now_ms + 8, at=lambda state: state.waiting.has(put(0, 0)))
    rig.run(now_ms + 10)
    assert seen == [True, False]


def test_a_leader_of_the_first_term_reads_nothing_either_before_an_entry_of_its_own_is_committed():
    rig = Rig()
    now_ms = elected(rig, 1)
    rig.hear(now_ms, get(0, 0))
    rig.hear(now_ms + 5, Appended(1, 1, 0, Conflict(None, 1), 9))
    rig.hear(now_ms + 10, confirmed(1, 1, 1, 1))
    seen = looks(rig, now_ms + 8, now_ms + 13, at=lambda _: len(rig.told(Response)))
    rig.hear(now_ms + 15, confirmed(1, 1, 1, 9))
    rig.run(now_ms + 20)
    assert (seen, len(rig.told(Response))) == ([0, 0], 1)


# -- snapshots [14.7]


def snapshot_of(value, index, entries, term=2, is_done=True):
    state = RunningState(1)
    state.execute(0, index, (put(0, 0, value),))
    data = encode(state.snapshot())
    return InstallSnapshot(term, 1, at(entries, index), (0, 1, 2), 0, data if is_done else data[:10], is_done, 1)


def test_a_snapshot_of_an_older_term_is_not_taken():
    rig = Rig(store=stored(5, []))
    rig.hear(20, snapshot_of("new", 3, chain(1, 1, 2), term=4))
    state = rig.run(40)
    assert rig.told(SnapshotInstalled) == [SnapshotInstalled(5, 0, 3, 0, False, 1)]
    assert (state.last_applied, state.leader) == (0, None)


def test_who_is_sent_a_snapshot_hears_of_its_leader():
    rig = Rig()
    rig.hear(100, snapshot_of("new", 3, chain(1, 1, 2), is_done=False))
    seen = looks(rig, 110, at=lambda state: (state.current_term, state.leader))
    rig.run(300)
    assert seen == [(2, 1)]
    assert rig.when(RequestVote) == [100 + TIMEOUT_MS]


def test_a_snapshot_of_what_a_follower_knows_to_be_committed_is_in_place_and_takes_nothing_back():
    entries = chain(1, 1, 2, requests=(put(0, 0, "newest"),))
    rig = Rig()
    rig.hear(20, append(2, entries, 1, commit=3))
    rig.hear(30, snapshot_of("old", 3, entries, is_done=False))
    rig.hear(40, snapshot_of("old", 2, entries))
    state = rig.run(50)
    assert rig.told(SnapshotInstalled) == [SnapshotInstalled(2, 0, index, 0, True, 1) for index in (3, 2)]
    assert (state.last_applied, state.commit_index, state.state.dictionary) == (3, 3, {"k": "newest"})


def test_a_leader_goes_on_with_a_snapshot_where_the_follower_is_and_behind_it_with_the_log():
    rig, now_ms = compacted(message_limit_bytes=SPARE_BYTES + 10)  # it is sending one up to index 4
    for later_ms, last_index, offset, is_done in (
        (1, 4, 10, False),
        (2, 4, 10, False),  # the same answer once more
        (3, 3, 20, False),  # about another snapshot
        (HEARTBEAT_MS, 8, 0, True),  # it has got a later one meanwhile
        (HEARTBEAT_MS + 2, 4, 10, False),  # one that was late
    ):
        rig.hear(now_ms + later_ms, SnapshotInstalled(1, 2, last_index, offset, is_done, 1))
    heartbeat_ms = 157 + 2 * HEARTBEAT_MS
    assert now_ms < heartbeat_ms < now_ms + HEARTBEAT_MS
    state = rig.run(now_ms + HEARTBEAT_MS + 3)
    sent = [(at_ms, message.offset) for at_ms, message in said(rig, InstallSnapshot, "server 2", now_ms)]
    assert sent == [(now_ms + 1, 10), (heartbeat_ms, 10)]  # a piece may be lost: once more with each heartbeat
    [(at_ms, message)] = said(rig, AppendEntries, "server 2", now_ms)
    assert (at_ms, message.previous.index, len(message.entries)) == (now_ms + HEARTBEAT_MS, 8, 1)
    assert state.followers[2].match_index == 8


def test_the_first_piece_leaves_once_and_then_with_each_heartbeat():
    rig, now_ms = compacted(message_limit_bytes=SPARE_BYTES + 10)
    rig.run(now_ms)
    times = [at_ms for at_ms, _ in said(rig, InstallSnapshot, "server 2")]
    assert times
    assert len(times) <= 1 + sum(at_ms >= times[0] for at_ms in range(157, now_ms, HEARTBEAT_MS))


def test_an_answer_to_a_snapshot_is_one_to_the_round_too():
    rig, now_ms = compacted()
    rig.hear(now_ms, get(1, 0))
    rig.hear(now_ms + 5, SnapshotInstalled(1, 2, 4, 0, False, 99))
    rig.run(now_ms + 8)
    assert [each.outcome.results for each in rig.told(Response, "client 1")] == [("7",)]


def test_an_answer_to_a_snapshot_is_nothing_to_who_does_not_lead():
    rig = Rig()
    rig.hear(20, append(1, [], 1))
    rig.hear(30, SnapshotInstalled(1, 2, 4, 0, True, 1))
    state = rig.run(40)
    assert (state.role, len(rig.said)) == ("follower", 1)


# -- the store [14.8]


@pytest.mark.parametrize(("more", "syncs"), [(0, 1), (1, 2)])
def test_what_came_of_all_that_was_there_to_be_handled_leaves_behind_one_sync_but_no_more_than_so_much(more, syncs):
    rig = Rig(durable=True)
    rig.run(1)  # only to have its file imported
    from RaftProcess import MOST_WAITING

    count = MOST_WAITING + more
    entries = chain(*[1] * count)
    rig = Rig(durable=True)
    rig.hear(10, append(1, [], 1))
    for number in range(count):
        rig.hear(20, append(1, entries[: number + 1], number + 1))
    rig.pause(15, 30)
    seen = looks(rig, 14, 35, at=lambda _: rig.disk.syncs)
    rig.run(40)
    assert seen[1] - seen[0] == syncs
    assert [each.match_index for each in rig.told(Appended)] == list(range(count + 1))


def test_messages_leave_in_the_order_in_which_they_were_said_also_where_a_snapshot_comes_between():
    entries = chain(1, 1)
    rig = Rig(durable=True, checkpoint_interval=2)
    rig.hear(20, append(1, entries[:1], 1))
    rig.hear(20, append(1, entries, 2, commit=2))  # now the store has all, and nothing waits for it
    rig.pause(15, 30)
    state = rig.run(40)
    assert state.log.snapshot_at.index == 2
    assert [each.match_index for each in rig.told(Appended)] == [1, 2]


# -- what it tells whoever keeps it [14.1]


def status_of(rig, at_ms):
    rig.command(at_ms, "status_query")
    rig.run(at_ms + 5)
    [(payload,)] = rig.told_operator("server_status")
    return decode(ServerStatus, payload)


def test_a_leader_tells_of_its_followers_what_figure_2_has_of_them():
    rig, now_ms = leader()
    status = status_of(rig, now_ms)
    assert (status.role, status.term, status.leader, status.commit_index, status.last_log_index) == ("leader", 1, 0, 1, 1)
    assert (status.next_index, status.match_index) == (((1, 2), (2, 1)), ((1, 1), (2, 0)))


def test_a_follower_has_none():
    rig = ChangeRig()
    rig.hear(10, append(1, [], 1))
    status = status_of(rig, 20)
    assert (status.role, status.leader, status.next_index, status.match_index) == ("follower", 1, (), ())


def test_who_led_tells_of_followers_no_more():
    rig, now_ms = leader()
    rig.hear(now_ms, append(2, [], 1))
    status = status_of(rig, now_ms + 5)
    assert (status.role, status.next_index, status.match_index) == ("follower", (), ())


# -- servers that come and go [14.10]

FOUR = {"first_members": (0, 1, 2, 3)}


def test_a_leader_begins_no_change_of_members_before_the_one_before_is_committed_and_the_next_at_once_then():
    rig, now_ms = leader(**FOUR)
    rig.hear(now_ms, confirmed(1, 2, 1))
    rig.ask(now_ms + 5, REMOVE, 3)
    rig.ask(now_ms + 10, REMOVE, 2)
    rig.hear(now_ms + 15, confirmed(1, 1, 2))
    rig.hear(now_ms + 15, confirmed(1, 2, 2))
    rig.ask(now_ms + 20, REMOVE, 2)
    seen = looks(rig, now_ms + 13, now_ms + 18, now_ms + 23, at=lambda state: (state.log.members, state.log.last_index))
    rig.run(now_ms + 25)
    assert seen == [((0, 1, 2), 2), ((0, 1, 2), 2), ((0, 1), 3)]


def test_a_change_is_made_when_it_is_committed():
    rig, now_ms = leader()
    rig.ask(now_ms, REMOVE, 2)
    rig.ask(now_ms + 5, REMOVE, 2)
    seen = looks(rig, now_ms + 8, at=lambda _: rig.made())
    rig.hear(now_ms + 10, confirmed(1, 1, 2))
    rig.ask(now_ms + 15, REMOVE, 2)
    rig.run(now_ms + 20)
    assert (seen, rig.made()) == ([[]], [(REMOVE, 2)])


def test_what_is_so_already_is_made_and_changes_nothing():
    rig, now_ms = leader()
    rig.ask(now_ms, ADD, 2)
    rig.ask(now_ms + 5, REMOVE, 4)
    state = rig.run(now_ms + 10)
    assert rig.made() == [(ADD, 2), (REMOVE, 4)]
    assert (state.log.last_index, state.arriving) == (1, None)


@pytest.mark.parametrize(("kind", "server"), [(REMOVE, 2), (ADD, 4)])
def test_while_a_server_catches_up_members_do_not_change_otherwise(kind, server):
    rig, now_ms = leader()
    rig.ask(now_ms, ADD, 3)
    rig.ask(now_ms + 5, kind, server)
    state = rig.run(now_ms + 10)
    assert (state.log.last_index, state.arriving.server, sorted(state.followers)) == (1, 3, [1, 2, 3])


@pytest.mark.parametrize(("kind", "server"), [(REMOVE, 1), (ADD, 4)])
def test_while_a_leader_hands_over_members_do_not_change(kind, server):
    rig, now_ms = leader()
    rig.ask(now_ms, TRANSFER, 2)
    rig.ask(now_ms + 5, kind, server)
    state = rig.run(now_ms + 10)
    assert (state.log.last_index, state.arriving) == (1, None)


def test_two_members_are_the_fewest():
    rig, now_ms = leader(first_members=(0, 1))
    rig.ask(now_ms, REMOVE, 1)
    state = rig.run(now_ms + 5)
    assert (state.log.members, state.log.last_index) == ((0, 1), 1)


def test_the_entry_with_the_members_leaves_at_once():
    rig, now_ms = leader()
    rig.ask(now_ms + 5, REMOVE, 2)
    rig.run(now_ms + 10)
    [(at_ms, message)] = said(rig, AppendEntries, "server 1", now_ms)
    assert (at_ms, [entry.members for entry in message.entries]) == (now_ms + 5, [(0, 1)])


def test_who_is_removed_is_told_that_this_is_committed_and_gets_nothing_more():
    rig, now_ms = leader()
    rig.hear(now_ms, confirmed(1, 2, 1))
    rig.ask(now_ms + 1, REMOVE, 2)
    rig.hear(now_ms + 3, confirmed(1, 2, 2))
    rig.hear(now_ms + 5, confirmed(1, 1, 2))
    answering(rig, range(now_ms + 10, now_ms + 3 * HEARTBEAT_MS, 20), 1, 1, 2)
    rig.run(now_ms + 3 * HEARTBEAT_MS)
    (at_ms, message) = said(rig, AppendEntries, "server 2")[-1]
    assert (at_ms, message.leader_commit) == (now_ms + 5, 2)


def test_who_is_given_up_gets_nothing_more():
    rig, now_ms = leader()
    rig.ask(now_ms, ADD, 3)
    answering(rig, range(now_ms, now_ms + 2 * TIMEOUT_MS, 50), 1, 1, 1)
    given_up_ms = now_ms + 2 * TIMEOUT_MS + 10
    rig.hear(given_up_ms, confirmed(1, 1, 1))
    rig.hear(given_up_ms + 5, confirmed(1, 3, 1))  # too late
    state = rig.run(given_up_ms + HEARTBEAT_MS + 10)
    assert (state.arriving, sorted(state.followers), state.log.members) == (None, [1, 2], (0, 1, 2))
    assert said(rig, AppendEntries, "server 3")
    assert said(rig, AppendEntries, "server 3", given_up_ms) == []


def test_who_does_not_decide_and_is_made_one_of_those_who_do_becomes_a_candidate_without_a_leader():
    rig = ChangeRig(first_members=(1, 2))
    members = chain(1)[0]
    entry = type(members)(members.previous, 1, (), (0, 1, 2))
    rig.hear(3 * TIMEOUT_MS, append(1, [entry], 1))
    rig.run(5 * TIMEOUT_MS)
    assert rig.when(RequestVote)[0] == 4 * TIMEOUT_MS


# -- leadership transfer [14.11]


def test_what_answers_who_leads_no_longer_changes_nothing_of_whom_it_follows():
    rig = ChangeRig(first_members=(1, 2))
    rig.hear(10, append(1, [], 1))
    rig.hear(20, confirmed(1, 2, 1))
    rig.hear(30, put(0, 0))
    rig.run(40)
    assert rig.told(Redirect) == [Redirect(0, 0, 1, 1)]


def test_whoever_does_not_decide_is_not_to_lead():
    rig, now_ms = leader()
    rig.ask(now_ms, TRANSFER, 4)
    rig.hear(now_ms + 5, put(0, 0))
    state = rig.run(now_ms + 10)
    assert (state.log.last_index, rig.told(Redirect)) == (2, [])


def test_one_transfer_at_a_time():
    rig, now_ms = leader()
    rig.ask(now_ms, TRANSFER, 2)
    rig.ask(now_ms + 5, TRANSFER, 1)  # which has the whole log
    rig.run(now_ms + 10)
    assert rig.told(TimeoutNow) == []


def test_who_holds_the_whole_log_is_told_to_lead_at_once():
    rig, now_ms = leader()
    rig.ask(now_ms + 5, TRANSFER, 1)
    rig.run(now_ms + 10)
    assert said(rig, TimeoutNow, "server 1") == [(now_ms + 5, TimeoutNow(1, 0))]


def test_a_transfer_has_an_election_timeout_also_where_another_was_under_way_in_an_older_term():
    rig, now_ms = leader()
    rig.ask(now_ms, TRANSFER, 2)
    again_ms = elected_again(rig, now_ms)
    rig.ask(again_ms + 2, TRANSFER, 1)
    answering(rig, range(again_ms + 10, again_ms + TIMEOUT_MS + 30, 40), 3, 2, 2)
    rig.hear(now_ms + TIMEOUT_MS + 10, put(0, 0))
    rig.hear(again_ms + TIMEOUT_MS + 10, put(1, 0))
    state = rig.run(again_ms + TIMEOUT_MS + 15)
    assert rig.told(Redirect) == [Redirect(0, 0, None, 3)]
    assert (state.role, state.log.last_index) == ("leader", 3)


@pytest.mark.parametrize(("term", "asked"), [(3, 4), (5, 6)])
def test_who_is_told_to_lead_becomes_a_candidate_at_once_of_whatever_term_it_hears(term, asked):
    rig = ChangeRig()
    rig.hear(20, append(3, chain(3), 1))
    rig.hear(25, TimeoutNow(term, 2))
    rig.run(30)
    assert [(each.term, each.is_pre_vote) for each in rig.told(RequestVote, "server 1")] == [(asked, False)]


def test_who_is_told_to_lead_becomes_a_candidate_also_when_it_has_begun_to_ask_whether_it_would_be_elected():
    rig = ChangeRig(store=stored(3, chain(3)))
    rig.hear(TIMEOUT_MS + 5, TimeoutNow(3, 1))
    seen = looks(rig, TIMEOUT_MS + 3, TIMEOUT_MS + 8)
    state = rig.run(TIMEOUT_MS + 10)
    assert (seen, state.current_term) == (["pre-candidate", "candidate"], 4)
