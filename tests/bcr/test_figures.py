"""What processes measure of themselves: samples stay few and even however long a run is."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bcr.verdict.samples import INTERVAL_S, MAX_SAMPLES, Sample, Samples


def sampled(distances_ms):
    """The samples of a process that could take one after each of these times, and the time of the last."""
    samples, now_ns = Samples(), 0
    for distance_ms in distances_ms:
        now_ns += distance_ms * 1_000_000
        if samples.is_due(now_ns):
            samples.add(Sample(now_ns, 0.0, 0, 0))
    return samples.taken(), now_ns


@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=1_000))
def test_there_are_never_too_many_and_the_first_stays(distances_ms):
    samples, _ = sampled(distances_ms)
    assert 1 <= len(samples) <= MAX_SAMPLES
    assert samples[0].at_ns == distances_ms[0] * 1_000_000


@given(st.integers(1, 20))
def test_they_reach_to_the_end_of_a_long_run_at_even_distances(times):
    samples, end_ns = sampled([100] * (MAX_SAMPLES * 10 * times))
    distances = {after.at_ns - before.at_ns for before, after in itertools.pairwise(samples)}
    assert max(distances) < 2.1 * min(distances)
    assert min(distances) >= INTERVAL_S * 1e9
    assert end_ns - samples[-1].at_ns <= max(distances)
    assert len(samples) > MAX_SAMPLES // 3
