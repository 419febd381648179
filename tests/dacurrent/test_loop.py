"""Who sees to the sockets: the process's own thread while it waits, and the network thread while it does not."""

import os
import signal
import socket
import sys
import threading

import pytest

from dacurrent.loop import SelectorLoop

LIMIT_S = 5


@pytest.fixture
def loop():
    made = SelectorLoop()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def pair(loop):
    """What is read at one end of a connection whose other end is returned, with the thread that read it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    read = []
    came = threading.Event()

    def take(_events):
        read.append((ours.recv(100), threading.current_thread()))
        came.set()

    loop.call(loop.watch, ours, take)
    yield theirs, read, came
    loop.call(loop.discard, ours)
    theirs.close()


def test_a_process_that_waits_sees_to_its_sockets_itself(loop, pair):
    theirs, read, _ = pair
    loop.wait_until(lambda: True, LIMIT_S)  # from now on the network thread stands by
    threading.Timer(0, theirs.send, [b"x"]).start()
    loop.wait_until(lambda: read, LIMIT_S)
    assert read == [(b"x", threading.current_thread())]


def test_the_network_thread_takes_over_from_a_process_that_is_busy(loop, pair):
    theirs, read, came = pair
    loop.wait_until(lambda: True, LIMIT_S)
    theirs.send(b"x")
    assert came.wait(LIMIT_S)
    assert read[0][1] is not threading.current_thread()


def test_the_turn_goes_to_and_fro(loop, pair):
    theirs, read, came = pair
    for count in range(1, 20):
        came.clear()
        theirs.send(b"x")
        if count % 2:
            loop.hand_over()
            assert came.wait(LIMIT_S)
        else:
            loop.wait_until(came.is_set, LIMIT_S)
        assert len(read) == count


def test_a_wait_ends_at_its_limit_and_a_look_at_once(loop):
    loop.wait_until(lambda: False, 0.01)
    loop.wait_until(lambda: False, 0)


def test_another_thread_s_job_is_done_while_the_process_waits(loop):
    done = []
    threading.Timer(0, loop.call, [done.append, 1]).start()
    loop.wait_until(lambda: done, LIMIT_S)
    assert done == [1]


def test_a_wait_ends_when_the_loop_stops(loop):
    threading.Timer(0, loop.stop).start()
    loop.wait_until(lambda: False, LIMIT_S)
    assert loop.has_stopped


def test_what_was_sent_is_flushed_when_the_network_thread_takes_over(loop):
    flushed = threading.Event()
    loop.flush = flushed.set
    loop.wait_until(lambda: True, LIMIT_S)
    loop.hand_over()
    assert flushed.wait(LIMIT_S)


def test_a_signal_after_the_loop_has_ended_is_written_nowhere(loop):
    loop.end_waits_at_signals()
    loop.stop()
    assert signal.set_wakeup_fd(-1) == -1


def test_a_loop_that_another_thread_ends_leaves_signals_somewhere_to_go(loop):
    loop.end_waits_at_signals()
    thread = threading.Thread(target=loop.stop)
    thread.start()
    thread.join(LIMIT_S)
    loop._thread.join(LIMIT_S)
    descriptor = signal.set_wakeup_fd(-1)
    os.fstat(descriptor)  # it is open still
    loop._woken.close()
    loop._waker.close()


def test_a_function_is_called_when_its_time_has_come(loop):
    called = []
    for number in (3, 1, 2):
        loop.later(number / 100, called.append, number)
    loop.wait_until(lambda: len(called) == 3, LIMIT_S)
    assert called == [1, 2, 3]


class Signalled(BaseException):
    """What a signal's handler raises, wherever the process is."""


@pytest.mark.parametrize("place", range(12))  # more lines than a wait has
@pytest.mark.parametrize("limit_s", [None, 0, 0.01])
def test_whatever_a_signal_interrupts_the_sockets_are_seen_to_afterwards(loop, pair, place, limit_s):
    lines = []

    def trace(frame, event, _argument):
        if frame.f_code.co_name != "wait_until":
            return None
        if event == "line":
            lines.append(frame.f_lineno)
            if len(lines) == place + 1:
                raise Signalled
        return trace

    done = iter([False, True])
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        loop.wait_until(lambda: next(done, True), limit_s)
    except Signalled:
        pass
    finally:
        sys.settrace(before)
    theirs, _, came = pair
    theirs.send(b"x")
    assert came.wait(LIMIT_S)


def test_a_signal_ends_a_wait_and_its_handler_is_run(loop):
    handled = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: handled.append(number))
    loop.end_waits_at_signals()
    try:
        threading.Timer(0, os.kill, [os.getpid(), signal.SIGUSR1]).start()
        loop.wait_until(lambda: False, None)
        assert loop.is_signalled
        loop.heed_signals()
        assert handled == [signal.SIGUSR1] and not loop.is_signalled
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, before)
