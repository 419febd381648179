"""Histories of one register, judged by zones, as trying every order judges them."""

import itertools
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.verdict.registers import RegisterOperation, why_no_register


def some_order_explains(calls):
    """By trying them all; writes that nobody knows of may be left out."""
    unknown = [call for call in calls if call.ended == inf]
    for count in range(len(unknown) + 1):
        for left_out in itertools.combinations(unknown, count):
            for order in itertools.permutations([call for call in calls if call not in left_out]):
                if follows_time(order) and is_of_a_register(order):
                    return True
    return False


def follows_time(order):
    return not any(later.ended < earlier.began for earlier, later in itertools.combinations(order, 2))


def is_of_a_register(order):
    value = None
    for call in order:
        if call.is_write:
            value = call.value
        elif call.value != value:
            return False
    return True


@st.composite
def histories(draw):
    """Up to five calls with moments of their own."""
    count = draw(st.integers(1, 5))
    moments = draw(st.permutations(range(2 * count)))
    calls = []
    for number in range(count):
        began, ended = sorted(moments[2 * number : 2 * number + 2])
        if draw(st.booleans()):
            calls.append(RegisterOperation(True, f"v{number}", began, inf if draw(st.integers(0, 3)) == 0 else ended))
        else:
            written = [call.value for call in calls if call.is_write]
            calls.append(RegisterOperation(False, draw(st.sampled_from([None, *written])), began, ended))
    return calls


@given(histories())
def test_zones_judge_as_trying_every_order_does(calls):
    assert (why_no_register(calls) is None) == some_order_explains(calls)


def write(value, began, ended):
    return RegisterOperation(True, value, began, ended)


def read(value, began, ended):
    return RegisterOperation(False, value, began, ended)


@pytest.mark.parametrize(
    ("calls", "what"),
    [
        ([write("a", 0, 1), read(None, 2, 3)], "stood there"),  # a write that is lost
        ([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)], "stood there"),  # an old value
        ([write("a", 0, 1), read("b", 2, 3)], "nobody wrote it"),
        ([read("a", 0, 1), write("a", 2, 3)], "before it was written"),
        ([write("a", 0, 9), read("a", 1, 2), read(None, 3, 4)], "stood there"),  # what is there, and is not, and may be
        ([write("a", 0, inf), read("a", 1, 2), write("b", 3, 4), read("a", 5, 6)], "written while"),
    ],
)
def test_what_no_register_does_is_told(calls, what):
    assert what in why_no_register(calls)


def test_a_write_that_nobody_knows_of_may_have_happened_and_may_not():
    unknown = write("a", 0, inf)
    assert why_no_register([unknown, read(None, 5, 6)]) is None
    assert why_no_register([unknown, read(None, 5, 6), read("a", 7, 8)]) is None


def test_ten_thousand_calls_are_judged_at_once():
    calls = [each for i in range(5_000) for each in (write(str(i), 4 * i, 4 * i + 1), read(str(i), 4 * i + 2, 4 * i + 3))]
    assert why_no_register(calls) is None
    assert why_no_register([*calls, read("17", 19_000, 19_001)]) is not None
