"""A client's request that waits for its answer."""

import pytest
from memory_chain import MemoryChain, get, make_configuration, replica_author

from bcr.chain.outstanding import NO_ROOM, OutstandingRequest
from bcr.chain.void import VOID
from bcr.objects.finding import named
from bcr.signed.signing import Signed
from bcr.signed.statements import Rejection, Request
from bcr.state.running import RunningState


def test_the_patience_of_a_client_doubles_with_every_try_up_to_16_timeouts():
    waiting = OutstandingRequest(MemoryChain().send(0, get("k")), 0)
    patience = []
    for waiting.attempts in range(1, 8):
        patience.append(waiting.patience())
    assert patience == [1, 2, 4, 8, 16, 16, 16]


def rejection(waiting, replica, why="too much", configuration=0, request_digest=None):
    digest = waiting.signed.statement.digest() if request_digest is None else request_digest
    return Signed.sign(Rejection(configuration, 0, 0, digest, why), replica, replica_author(replica))


@pytest.mark.parametrize("t", [1, 2])
def test_a_request_is_rejected_by_t_plus_1_replicas_and_by_no_fewer(t):
    waiting = OutstandingRequest(MemoryChain().send(0, get("k")), 0)
    configuration = make_configuration(t)
    assert [waiting.add_rejection(rejection(waiting, replica), configuration) for replica in range(t + 1)] == [False] * t + [True]


def test_with_checksums_one_rejection_is_enough_once_all_were_asked_three_times():
    waiting = OutstandingRequest(MemoryChain().send(0, get("k")), 0)
    configuration, liars = make_configuration(2, authentication="crc"), make_configuration(2)
    found = []
    for waiting.attempts in range(1, 7):
        found.append(waiting.add_rejection(rejection(waiting, 1), configuration))
        assert not waiting.add_rejection(rejection(waiting, 1), liars)
    assert found == [False] * 4 + [True] * 2


def test_of_rejections_those_of_one_replica_of_other_words_configurations_and_requests_do_not_add_up():
    waiting = OutstandingRequest(MemoryChain().send(0, get("k")), 0)
    others = [
        rejection(waiting, 0),
        rejection(waiting, 0),
        rejection(waiting, 1, why="too little"),
        rejection(waiting, 2, request_digest=bytes(32)),
    ]
    assert not any(waiting.add_rejection(each, make_configuration(2)) for each in others)
    assert not waiting.add_rejection(rejection(waiting, 3, configuration=1), make_configuration(2, number=1))
    assert not waiting.add_rejection(rejection(waiting, 4), make_configuration(2))
    assert waiting.add_rejection(rejection(waiting, 1), make_configuration(2))


@pytest.mark.parametrize("name", ["dictionary", "store"])
def test_what_takes_the_number_of_a_rejected_request_changes_no_object(name):
    state = RunningState(1, replicated=name)
    before = state.snapshot().values(named(name))
    [outcome] = state.execute(0, 0, [Request(0, 0, VOID)])
    assert len(outcome.results) == 1
    assert state.snapshot().values(named(name)) == before


def test_where_a_request_that_was_left_out_was_ordered_all_the_same_the_answer_to_it_is_the_one_that_counts():
    chain = MemoryChain()
    asked, void = chain.send(0, get("k")), chain.send(0, VOID[0])
    waiting = OutstandingRequest(void, 0, left_out=asked, why=NO_ROOM)
    assert waiting.asked() is waiting.named(asked.statement.digest()) is waiting.named(asked.digest()) is asked
    assert waiting.named(void.statement.digest()) is waiting.named(bytes(32)) is void
    assert (waiting.signed, waiting.left_out) == (void, asked)  # that an answer names it shows nothing yet
    waiting.heed(void)
    assert (waiting.signed, waiting.left_out) == (void, asked)
    waiting.heed(asked)
    assert (waiting.signed, waiting.left_out, waiting.asked()) == (asked, None, asked)


def test_replicas_that_reject_another_request_reject_not_this_one_and_take_nothing_back():
    waiting = OutstandingRequest(MemoryChain().send(0, get("k")), 0)
    configuration = make_configuration(1)
    for replica in (0, 1):
        assert not waiting.add_rejection(rejection(waiting, replica, request_digest=bytes(32)), configuration)
    assert not waiting.add_rejection(rejection(waiting, 0), configuration)
    assert not waiting.add_rejection(rejection(waiting, 0, request_digest=bytes(32)), configuration)
    assert waiting.add_rejection(rejection(waiting, 1), configuration)
