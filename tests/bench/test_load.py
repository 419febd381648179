"""The load of what the system is compared with: never more than the window, each at its time, latency from then."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from bcr_bench.baselines.load import Load, Pacer, latencies_ms


def load(**changes):
    return Load(**{"num_client": 1, "client_window": 2, "operations_per_request": 1, "operations": 6, "value_bytes": 3, "read_percent": 50} | changes)  # fmt: skip


def taken(pacer, now_ns):
    """The numbers of all requests that are sent now."""
    numbers = []
    while (request := pacer.take(now_ns)) is not None:
        numbers.append(request[0])
    return numbers


@given(st.integers(1, 5), st.integers(1, 20), st.randoms())
def test_a_closed_loop_keeps_the_window_full_and_never_fuller(window, operations, chance):
    pacer = Pacer(load(client_window=window, operations=operations), 0)
    pacer.start(0)
    outstanding = taken(pacer, 0)
    answered = 0
    while outstanding:
        assert len(outstanding) == min(window, operations - answered)
        pacer.answered(outstanding.pop(chance.randrange(len(outstanding))), 1, answered)
        answered += 1
        outstanding += taken(pacer, answered)
    assert pacer.is_finished()
    assert (answered, pacer.operations, len(pacer.latencies_ns)) == (operations, operations, operations)


def test_at_a_rate_each_request_has_its_time_and_what_waits_counts_it():
    pacer = Pacer(load(client_window=1, client_rate=1_000, operations=3), 0)
    pacer.start(5_000_000)
    assert taken(pacer, 4_999_999) == []
    assert taken(pacer, 5_000_000) == [0]
    assert pacer.due_ns() == inf  # the window is full
    pacer.answered(0, 1, 7_500_000)
    assert taken(pacer, 7_500_000) == [1]  # due at 6 ms
    pacer.answered(1, 1, 8_000_000)
    assert pacer.latencies_ns == [2_500_000, 2_000_000]
    assert pacer.due_ns() == 7_000_000


def test_a_second_answer_does_not_count():
    pacer = Pacer(load(), 0)
    taken(pacer, 1)
    pacer.answered(0, 1, 2)
    pacer.answered(0, 1, 3)
    assert (pacer.operations, len(pacer.latencies_ns)) == (1, 1)


def test_percentiles_are_those_of_result_json():
    found = latencies_ms([each * 1_000_000 for each in range(1, 101)])
    assert (found["p50"], found["p99"], found["max"], found["mean"]) == (50, 99, 100, 50.5)
