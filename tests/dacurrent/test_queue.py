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
    """Puts the item when the `place`-th line of `pop` is about to run, and where it has fewer lines, when it waits."""
    queue = common.WaitableQueue()
    popped, lines = [], []

    def trace(frame, event, _argument):
        if frame.f_code.co_name == "pop" and event == "line":
            lines.append(frame.f_lineno)
            if len(lines) == place + 1:
                queue.append("item")
        return trace

    def read():
        sys.settrace(trace)
        popped.append(queue.pop())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(PAUSE_S)
    if reader.is_alive() and len(lines) <= place:
        queue.append("item")
    reader.join(LIMIT_S)
    assert popped == ["item"] and len(queue) == 0


def test_an_empty_queue_says_so_when_it_must_not_block():
    queue = common.WaitableQueue([1, 2])
    assert [queue.pop(block=False), queue.pop(timeout=0), len(queue)] == [1, 2, 0]
    for options in ({"block": False}, {"timeout": 0}, {"timeout": -1}, {"timeout": 0.001}):
        with pytest.raises(common.QueueEmpty):
            queue.pop(**options)
