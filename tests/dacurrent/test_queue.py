"""The queue that processes wait at."""

import threading

import pytest
from da import common

ROUND_TRIPS = 20_000
LIMIT_S = 20


def test_no_item_is_put_without_waking_up_who_waits():
    there, back = common.WaitableQueue(), common.WaitableQueue()

    def answer():
        for _ in range(ROUND_TRIPS):
            back.append(there.pop(timeout=LIMIT_S))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    for number in range(ROUND_TRIPS):
        there.append(number)
        assert back.pop(timeout=LIMIT_S) == number
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_an_empty_queue_says_so_when_it_must_not_block():
    queue = common.WaitableQueue([1, 2])
    assert [queue.pop(block=False), queue.pop(timeout=0), len(queue)] == [1, 2, 0]
    for options in ({"block": False}, {"timeout": 0}, {"timeout": -1}, {"timeout": 0.001}):
        with pytest.raises(common.QueueEmpty):
            queue.pop(**options)
