"""What others can provoke is said in few lines, and how much was left out is said too."""

import logging

import pytest

from dacurrent.limited import BURST, LINES, PAUSE_S, PERIOD_S, Allowance, LimitedLog


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def said(caplog):
    return [record.getMessage() for record in caplog.records]


def logs(clock, count):
    """So many logs with one allowance."""
    allowance = Allowance(clock)
    return [LimitedLog(logging.getLogger("limited"), clock, allowance) for _ in range(count)], allowance


def test_a_kind_has_five_lines_in_ten_seconds_and_then_says_how_many_there_were(clock, caplog):
    log = LimitedLog(logging.getLogger("limited"), clock)
    for number in range(3 * LINES):
        log.log(logging.WARNING, "kind", "line %d", number)
    clock.now_s = PERIOD_S
    log.log(logging.WARNING, "kind", "the next")
    assert said(caplog) == [*(f"line {number}" for number in range(LINES)), "(10 more lines like the next were left out)", "the next"]


def test_warnings_of_however_many_kinds_and_logs_share_one_allowance(clock, caplog):
    several, _ = logs(clock, 3)
    for number in range(10_000):
        clock.now_s += 0.01  # 100 s in all
        several[number % 3].log(logging.WARNING, number % 70, "line")
    assert said(caplog).count("line") <= BURST + 10_000 * 0.01 / PAUSE_S
    assert len(caplog.records) <= BURST + 2 * (10_000 * 0.01 / PAUSE_S)


def test_what_was_left_out_is_counted_to_the_last(clock, caplog):
    several, allowance = logs(clock, 2)
    for number in range(1_000):
        several[number % 2].log(logging.WARNING, number % 40, "line")
    allowance.tell(logging.getLogger("limited"))
    allowance.tell(logging.getLogger("limited"))
    assert said(caplog) == [*["line"] * BURST, f"({1_000 - BURST} more lines that others provoked were left out)"]


def test_an_error_is_told_whatever_others_have_provoked(clock, caplog):
    [log], _ = logs(clock, 1)
    for number in range(1_000):
        log.log(logging.WARNING, number, "line")
    log.log(logging.ERROR, "broken", "it is broken")
    assert said(caplog)[-1] == "it is broken"
