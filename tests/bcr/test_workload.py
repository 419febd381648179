"""Generated workloads: pure functions of what describes them; pseudorandom ones diverse, with hits and misses, bounded."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import get, put

from bcr.objects.dictionary import FAIL, apply
from bcr.objects.dictionary_workload import MAX_VALUE_LENGTH
from bcr.scenario.workload import (
    UNIFORM_KEYS,
    Distinct,
    Pseudorandom,
    RequestSequence,
    Uniform,
    Workload,
    Written,
    pseudorandom,
)
from bcr.signed.encoding import decode, encode

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


# -- uniform


def test_a_uniform_workload_is_the_same_on_every_platform_and_version():
    drawn = encode(tuple(Workload((Uniform(5, 200, 70, 40),))))
    assert hashlib.sha256(drawn).hexdigest() == "57b08bdb3271f8faaba59236fa018f467627294a1bfe1563061f94cea3b5c0f9"


@given(SEEDS, st.integers(0, 300))
def test_values_of_a_uniform_workload_have_exactly_so_many_bytes(seed, size):
    assert {len(operation.argument.encode()) for operation in Workload((Uniform(seed, 20, size, 0),))} == {size}


@pytest.mark.parametrize("percent", [0, 100])
def test_a_uniform_workload_of_one_kind_has_no_other(percent):
    [name] = {operation.name for operation in Workload((Uniform(1, 200, 10, percent),))}
    assert name == {0: "put", 100: "get"}[percent]


def test_a_uniform_workload_reads_as_often_as_it_says_on_many_keys():
    operations = list(Workload((Uniform(3, 2_000, 10, 75),)))
    assert 0.7 < sum(operation.name == "get" for operation in operations) / len(operations) < 0.8
    assert len({operation.key for operation in operations}) == UNIFORM_KEYS


# -- distinct


def test_a_distinct_workload_is_the_same_on_every_platform_and_version():
    drawn = encode(tuple(Workload((Distinct(5, 200, 70),))))
    assert hashlib.sha256(drawn).hexdigest() == "8578adf0e9bcb4d6fdae5718ed8d72a10a67d49b6e532c13f9fb0c01dc040ee2"


@given(SEEDS, st.integers(0, 300))
def test_a_distinct_workload_puts_each_key_once_with_values_of_so_many_bytes(seed, size):
    operations = list(Workload((Distinct(seed, 20, size),)))
    assert [(each.name, each.key, len(each.argument)) for each in operations] == [("put", f"key{place}", size) for place in range(20)]


def test_distinct_workloads_of_two_seeds_have_the_same_keys_and_other_values():
    one, other = (list(Workload((Distinct(seed, 50, 40),))) for seed in (1, 2))
    assert all(each.key == twin.key and each.argument != twin.argument for each, twin in zip(one, other, strict=True))


# -- a workload of parts, and its requests

WORKLOADS = st.lists(
    st.one_of(
        st.builds(Written, st.lists(st.sampled_from([get("a"), put("b", "c")]), max_size=4).map(tuple)),
        st.builds(Pseudorandom, st.integers(0, 9), st.integers(0, 9)),
        st.builds(Uniform, st.integers(0, 9), st.integers(0, 9), st.just(3), st.just(50)),
        st.builds(Distinct, st.integers(0, 9), st.integers(0, 9), st.just(3)),
    ),
    max_size=4,
).map(lambda parts: Workload(tuple(parts)))


@given(WORKLOADS, st.integers(1, 5), st.randoms())
def test_requests_by_number_are_those_in_turn_in_whatever_order_they_are_asked_for(workload, size, chance):
    in_turn = list(workload.requests(size))
    requests = RequestSequence(workload, size)
    numbers = [*range(len(requests)), *range(len(requests))]
    chance.shuffle(numbers)
    assert [operation for request in in_turn for operation in request] == list(workload)
    assert len(in_turn) == len(requests)
    assert all(requests[number] == in_turn[number] for number in numbers)
    for number in (-1, len(requests)):
        with pytest.raises(IndexError):
            requests[number]


@given(WORKLOADS)
def test_a_workload_arrives_as_it_was_sent(workload):
    assert decode(Workload, encode(workload)) == workload


def test_a_million_operations_are_sent_as_their_description():
    assert len(encode(Workload((Uniform(1, 1_000_000, 100, 50), Pseudorandom(1, 1_000_000))))) < 100
