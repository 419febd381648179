"""What a server of Raft does where its disk, or those of others, have no room for more (specification, 14.12).

Each test shows a rule at one server among others that the test speaks for (raft_rig.py), on a disk of which it says how much is left.
"""

from raft_rig import (
    TIMEOUT_MS,
    ChangeRig,
    append,
    chain,
    confirmed,
    elected,
    get,
    leader,
    put,
)

from bcr.chain.void import VOID
from bcr.raft.rpcs import Appended, NoRoom, Redirect, RequestVote, Response, TimeoutNow
from bcr.signed.statements import Request


def room(rig, at_ms, level):
    """So much is left on its disk from then on."""
    rig.world.at(int(at_ms * 1_000_000), lambda: setattr(rig.disk, "level", level))


def lacks_room(follower, match_index, round_number=1):
    return Appended(1, follower, match_index, None, round_number, has_room=False)


def leading(**more):
    return leader(durable=True, **more)


def test_a_server_says_with_each_answer_whether_it_has_room():
    rig = ChangeRig(durable=True)
    for number in range(6):
        rig.hear(20 + 10 * number, append(1, [], 1))
    room(rig, 25, "low")
    room(rig, 45, "enough")
    rig.run(80)
    # It looks when there is nothing to do, and so says it the time after.
    assert [each.has_room for each in rig.told(Appended)] == [True, True, False, False, True, True]


def test_a_server_that_has_used_up_what_was_set_aside_hears_and_says_nothing_until_there_is_room_again():
    rig = ChangeRig(durable=True)
    rig.hear(10, append(1, [], 1))
    room(rig, 15, "spent")
    rig.hear(20, append(1, [], 1))
    rig.hear(30, append(1, chain(1), 1))
    seen = []
    rig.look(12 * TIMEOUT_MS, lambda state: seen.append((state.log.last_index, state.role, rig.when(RequestVote))))
    room(rig, 12 * TIMEOUT_MS + 1, "enough")
    state = rig.run(15 * TIMEOUT_MS)
    assert seen == [(0, "follower", [])]
    assert len(rig.told(Appended)) == 2
    assert state.role == "pre-candidate"  # it goes on as it was: the timer that ended then begins anew
    assert 12 * TIMEOUT_MS < rig.when(RequestVote)[0] <= 14 * TIMEOUT_MS


def test_a_server_that_has_room_again_hears_what_comes():
    rig = ChangeRig(durable=True)
    rig.hear(10, append(1, [], 1))
    room(rig, 15, "spent")
    rig.hear(20, append(1, [], 1))
    room(rig, 25, "low")  # which is enough for what is under way
    rig.hear(2 * TIMEOUT_MS + 30, append(1, chain(1), 1))
    state = rig.run(2 * TIMEOUT_MS + 40)
    assert state.log.last_index == 1
    assert rig.told(Appended)[-1].has_room is False


def test_a_leader_with_room_leads_on():
    rig, now_ms = leading()
    rig.hear(now_ms, confirmed(1, 2, 1))
    rig.hear(now_ms + 5, put(0, 0))
    rig.hear(now_ms + 10, confirmed(1, 2, 2))
    rig.run(now_ms + 15)
    assert (rig.told(TimeoutNow), rig.told(Redirect), len(rig.told(Response))) == ([], [], 1)


def test_a_leader_without_room_lets_one_lead_that_has_said_that_it_has_some_and_sends_clients_on():
    rig, now_ms = leading()
    room(rig, now_ms + 5, "low")
    rig.hear(now_ms + 10, confirmed(1, 1, 1))
    rig.hear(now_ms + 15, put(0, 0))
    state = rig.run(now_ms + 20)
    assert rig.told(TimeoutNow) == rig.told(TimeoutNow, "server 1") == [TimeoutNow(1, 0)]
    assert (rig.told(Redirect), state.log.last_index) == ([Redirect(0, 0, None, 1)], 1)


def test_a_leader_hands_over_to_nobody_of_whom_it_does_not_know_whether_it_has_room():
    rig = ChangeRig(durable=True)
    room(rig, 100, "low")
    now_ms = elected(rig, 1)  # and nobody has answered yet
    rig.hear(now_ms, put(0, 0))
    rig.hear(now_ms + 2, get(1, 0))
    seen = []
    rig.look(now_ms + 5, lambda state: seen.append((state.role, state.heir)))
    rig.hear(now_ms + 10, confirmed(1, 2, 1, 9))
    state = rig.run(now_ms + 15)
    assert seen == [("leader", None)]
    assert rig.told(TimeoutNow) == rig.told(TimeoutNow, "server 2") == [TimeoutNow(1, 0)]
    assert rig.told(Redirect) == [Redirect(0, 0, None, 1)]  # who only reads needs no room
    assert (state.heir, state.log.last_index) == (2, 1)


def test_a_follower_without_room_names_the_leader():
    rig = ChangeRig(durable=True)
    room(rig, 5, "low")
    rig.hear(10, append(1, [], 1))
    rig.hear(20, put(0, 0))
    rig.run(30)
    assert rig.told(Redirect) == [Redirect(0, 0, 1, 1)]


def test_a_leader_stays_one_where_no_majority_has_room():
    rig, now_ms = leading()
    rig.hear(now_ms, lacks_room(2, 1))
    room(rig, now_ms + 5, "low")
    rig.hear(now_ms + 10, confirmed(1, 1, 1))
    rig.hear(now_ms + 15, put(0, 0))
    state = rig.run(now_ms + 20)
    assert (rig.told(TimeoutNow), state.heir, state.log.last_index) == ([], None, 1)
    assert rig.told(NoRoom) == [NoRoom(0, 0, 1)]


def test_if_no_majority_has_room_each_request_is_refused_that_is_not_under_way_does_not_only_read_and_is_not_void():
    rig, now_ms = leading(client_window=4)
    rig.hear(now_ms, put(0, 0))
    rig.hear(now_ms + 2, confirmed(1, 1, 2))
    rig.hear(now_ms + 4, put(0, 1))  # under way
    for follower in (1, 2):
        rig.hear(now_ms + 6, lacks_room(follower, 2))
    for number, request in enumerate((put(0, 0), put(0, 1), get(0, 2), Request(0, 3, VOID), put(0, 4), put(1, 0))):
        rig.hear(now_ms + 8 + number, request)
    state = rig.run(now_ms + 20)
    assert rig.told(NoRoom) == [NoRoom(0, 4, 1), NoRoom(1, 0, 1)]
    assert [each.number for each in rig.told(Response)] == [0, 0]  # it had been executed
    assert [[each.number for each in entry.requests] for entry in state.log.entries] == [[], [0], [1], [3]]
    assert (len(state.reads), rig.told(Redirect)) == (1, [])
