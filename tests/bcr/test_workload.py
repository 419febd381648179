"""Pseudorandom workloads: a pure function of (seed, n), diverse, with hits and misses, and bounded."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.encoding import encode
from bcr.object import FAIL, apply
from bcr.workload import MAX_VALUE_LENGTH, pseudorandom

SEEDS = st.integers(-(2**70), 2**70)
LONGEST_WORD = 8

GOLDEN = {
    (0, 0): "9e076ceaf246b6003d9c2680a2b4cf0bffd069805902b0b5edeebf49039fe4bd",
    (0, 100): "8b3e6adb81aff49d4d759b3f77fb450ff62bc98992dc34f4a305254ab7a90e95",
    (190, 300): "4ab498e0ea21f8f0c64c51b49bf6f3ea2fb1fbec620d127ee9e01cef729b5956",
    (-7, 50): "cc8cb7f8ffe9945e590983b5bb8a06e87c9d88ae779a1df24eed81f50b093136",
    (10**18, 1_000): "dc127472d0a03b754be8770d2528b2159523db8a765c28dcd6eb7b582ef7336e",
}


@pytest.mark.parametrize("seed, count", GOLDEN)
def test_a_workload_is_the_same_on_every_platform_and_version(seed, count):
    assert hashlib.sha256(encode(pseudorandom(seed, count))).hexdigest() == GOLDEN[seed, count]


@given(SEEDS, st.integers(0, 60), st.integers(0, 60))
def test_a_shorter_workload_is_a_prefix_of_a_longer_one(seed, one, other):
    short, long = sorted((one, other))
    assert len(pseudorandom(seed, long)) == long
    assert pseudorandom(seed, long)[:short] == pseudorandom(seed, short)


@given(SEEDS)
def test_different_seeds_give_different_workloads(seed):
    assert pseudorandom(seed, 20) != pseudorandom(seed + 1, 20)


def outcomes(seed, count):
    """Every operation with its result, on a dictionary of its own."""
    dictionary = {}
    for operation in pseudorandom(seed, count):
        yield operation, apply(dictionary, operation), dictionary


@given(SEEDS)
def test_a_workload_of_100_has_every_operation_some_on_several_keys(seed):
    operations = pseudorandom(seed, 100)
    counts = Counter(operation.name for operation in operations)
    assert set(counts) == {"put", "get", "slice", "append"}
    assert min(counts.values()) >= 5
    assert len({operation.key for operation in operations}) >= 6


@given(SEEDS)
def test_a_workload_of_300_has_hits_and_misses_of_every_kind(seed):
    seen = set()
    for operation, result, _ in outcomes(seed, 300):
        is_hit = result != (FAIL if operation.name in ("slice", "append") else "")
        seen.add((operation.name, is_hit))
    assert {(name, hit) for name in ("get", "slice", "append") for hit in (True, False)} <= seen


@given(SEEDS, st.integers(1, 1_000))
def test_values_stay_short_however_many_operations_there_are(seed, count):
    for _, _, dictionary in outcomes(seed, count):
        assert all(len(value) <= MAX_VALUE_LENGTH + LONGEST_WORD for value in dictionary.values())
