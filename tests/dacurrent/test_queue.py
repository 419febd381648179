"""The queue that processes wait at."""

import sys
import threading

import pytest
from da import common

LIMIT_S = 20
PAUSE_S = 0.1
LINES = 12  # more than `pop` has before it waits


@pytest.mark.parametrize("place", range(LINES))
def test_an_item_that_comes_at_any_moment_of_a_pop_is_found(place):
    """Puts the item when the `place`-th line of `pop`, or of what it waits by, is about to run, and where it has fewer lines, when it waits."""
    queue = common.WaitableQueue()
    popped, lines, put = [], [], []

    def put_once():
        if not put:
            put.append(True)
            queue.append("item")

    def trace(frame, event, _argument):
        if frame.f_code.co_name in ("pop", "_wait") and event == "line":
            lines.append(frame.f_lineno)
            if len(lines) == place + 1:
                put_once()
        return trace

    def read():
        sys.settrace(trace)
        popped.append(queue.pop())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(PAUSE_S)
    if reader.is_alive() and len(lines) <= place:
        put_once()
    reader.join(LIMIT_S)
    assert popped == ["item"] and len(queue) == 0


def test_an_empty_queue_says_so_when_it_must_not_block():
    queue = common.WaitableQueue([1, 2])
    assert [queue.pop(block=False), queue.pop(timeout=0), len(queue)] == [1, 2, 0]
    for options in ({"block": False}, {"timeout": 0}, {"timeout": -1}, {"timeout": 0.001}):
        with pytest.raises(common.QueueEmpty):
            queue.pop(**options)


def test_a_time_limit_that_passes_at_once_ends_the_wait():
    """With the C queue of the standard library one of so many such waits, on a busy machine, has no end."""
    done = []

    def read():
        for _ in range(100_000):
            with pytest.raises(common.QueueEmpty):
                common.WaitableQueue().pop(timeout=1e-6)
        done.append(True)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(LIMIT_S)
    assert done


def test_items_of_many_threads_all_come_and_each_thread_s_in_its_order():
    queue = common.WaitableQueue()
    writers = [threading.Thread(target=lambda name=name: [queue.append((name, each)) for each in range(5_000)]) for name in range(4)]
    for writer in writers:
        writer.start()
    found = [queue.pop(timeout=LIMIT_S) for _ in range(20_000)]
    for writer in writers:
        writer.join()
    assert len(queue) == 0
    for name in range(4):
        assert [each for own, each in found if own == name] == list(range(5_000))
