"""Of a long run the parts that matter are drawn whole, and nothing is left out silently."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bcr_show.windows import MOST_LINES, Window, choose, is_in, lines_in, united

TIMES = st.lists(st.integers(0, 10**12), max_size=60).map(sorted)


@given(times=TIMES, moments=TIMES)
def test_a_short_run_is_in_one_window_with_all_that_happened(times, moments):
    windows = choose(times, moments)
    assert len(windows) == bool(times or moments)
    assert all(is_in(windows, at_ns) for at_ns in (*times, *moments))


def test_of_a_long_run_every_moment_and_the_beginning_and_the_end_are_drawn_within_the_budget():
    times = list(range(0, 10**12, 10**7))
    moments = [123_456_789, 5 * 10**11, 9 * 10**11]
    windows = choose(times, moments)
    assert len(times) > 10 * MOST_LINES
    assert all(is_in(windows, at_ns) for at_ns in (*moments, times[0], times[-1]))
    assert lines_in(windows, times) <= MOST_LINES
    assert windows == united(windows)


def test_with_too_many_moments_some_are_drawn_and_the_budget_holds():
    times = list(range(0, 10**10, 10**4))
    moments = list(range(0, 10**10, 10**6))
    windows = choose(times, moments)
    assert 0 < lines_in(windows, times) <= MOST_LINES
    assert sum(is_in(windows, at_ns) for at_ns in moments) > 2


def test_what_is_asked_for_is_what_is_drawn():
    assert choose(list(range(10**5)), [], Window(5, 9)) == [Window(5, 9)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)).map(lambda pair: Window(pair[0], sum(pair)))))
def test_windows_that_touch_become_one_and_hold_the_same(windows):
    found = united(windows)
    held = {at for window in windows for at in range(window.since_ns, window.until_ns + 1)}
    assert {at for at in range(70) if is_in(found, at)} == held
    assert all(sooner.until_ns < later.since_ns for sooner, later in itertools.pairwise(found))
