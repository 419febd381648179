"""Waiting for a pool: each future once, and a signal has its effect whichever thread it reaches."""

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from polling import until_within

from bcr_run.pools import as_completed

LIMIT_S = 30


def is_waiting(thread):
    frame = sys._current_frames()[thread]
    while frame is not None and frame.f_code is not as_completed.__code__:
        frame = frame.f_back
    return frame is not None


def test_each_future_comes_once_it_has_ended_and_one_that_was_cancelled_too():
    first, second = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        late, early, third = pool.submit(second.wait, LIMIT_S), pool.submit(first.wait, LIMIT_S), pool.submit(int)
        assert third.cancel()
        coming = as_completed([late, early, third])
        assert next(coming) is third
        first.set()
        assert next(coming) is early
        second.set()
        assert list(coming) == [late]


def test_a_signal_that_reaches_another_thread_ends_the_waiting():
    """As one does that comes just before the main thread begins to wait: Python notes it, and nobody wakes who waits."""
    main, is_over = threading.get_ident(), threading.Event()

    def interrupt():
        until_within(LIMIT_S)(lambda: is_waiting(main))
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        is_over.wait(LIMIT_S)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                list(as_completed([running]))
            assert not running.done()
            is_over.set()
    finally:
        signal.signal(signal.SIGTERM, before)
