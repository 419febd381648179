"""Timers: a clock asks which have passed; nothing expires early, nothing is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from bcr.chain.timers import Timers

STEPS = st.lists(st.tuples(st.sampled_from(["start", "stop", "wait"]), st.integers(0, 3), st.integers(1, 50)), max_size=30)


@given(STEPS)
def test_each_timer_expires_once_and_never_before_its_time(steps):
    timers, deadlines, now_s = Timers(1), {}, 0.0
    for step, name, duration_ms in steps:
        if step == "start":
            timers.start(name, now_s, duration_ms)
            deadlines.setdefault(name, now_s + duration_ms / 1000)
        elif step == "stop":
            assert timers.stop(name) == (deadlines.pop(name, None) is not None)
        else:
            now_s += duration_ms / 1000
            expired = timers.take_expired(now_s)
            assert set(expired) == {each for each, deadline in deadlines.items() if deadline <= now_s}
            taken = [deadlines.pop(each) for each in expired]
            assert taken == sorted(taken)
        assert len(timers) == len(deadlines)


def test_a_timer_that_runs_keeps_its_deadline():
    timers = Timers(10)
    timers.start("a", 0.0, 100)
    timers.start("a", 0.05, 100)
    assert timers.take_expired(0.1) == ["a"]
    assert timers.take_expired(9.9) == []


def test_the_earliest_comes_first():
    timers = Timers(10)
    timers.start("late", 0.0, 30)
    timers.start("early", 0.0, 20)
    assert timers.take_expired(1.0) == ["early", "late"]


def test_one_waits_to_the_earliest_deadline_and_no_longer_than_the_patience():
    timers = Timers(patience_ms=100)
    assert round(timers.wait_s(5.0), 9) == 0.1
    timers.start("a", 5.0, 30)
    assert round(timers.wait_s(5.0), 9) == 0.03
    assert timers.wait_s(9.0) == 0.0
    timers.stop("a")
    timers.start("b", 5.0, 5_000)
    assert round(timers.wait_s(5.0), 9) == 0.1


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_a_timer_that_is_started_during_the_wait_expires_no_earlier_than_its_end(patience_ms, more_ms):
    timers = Timers(patience_ms)
    wait_s = timers.wait_s(0.0)
    timers.start("during", 0.0, patience_ms + more_ms)
    assert timers.take_expired(wait_s - 1e-9) == []


def test_stop_all_stops_all():
    timers = Timers(10)
    timers.start("a", 0.0, 1)
    timers.start("b", 0.0, 1)
    timers.stop_all()
    assert (len(timers), timers.take_expired(9.0), timers.stop("a")) == (0, [], False)


def test_a_timer_runs_until_it_is_stopped_or_has_expired():
    timers = Timers(10)
    assert not timers.is_running("a")
    timers.start("a", 0.0, 1)
    assert timers.is_running("a") and not timers.is_running("b")
    timers.stop("a")
    assert not timers.is_running("a")


def test_of_one_owner_all_timers_are_stopped_and_nobody_else_s():
    timers = Timers(10)
    for name in ((0, 1), (0, 2), (1, 0), (1, 2), 0, "0", ("0", 0)):
        timers.start(name, 0.0, 1)
    timers.stop_those_of(0)
    assert timers.take_expired(1.0) == [(1, 0), (1, 2), 0, "0", ("0", 0)]
