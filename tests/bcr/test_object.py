"""The replicated dictionary, operation by operation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import append, get, put

from bcr.objects.dictionary import FAIL, OK, Operation, apply, slice_bounds
from bcr.objects.finding import found
from bcr.objects.replicated import BadOperation

KEYS = st.sampled_from(["a", "b", ""])
TEXTS = st.text(max_size=6)
OPERATIONS = st.builds(Operation, st.sampled_from(["put", "get", "slice", "append"]), KEYS, TEXTS)


def cut(key, bounds):
    return Operation("slice", key, bounds)


def after(dictionary, operation):
    """The result, and the dictionary afterwards."""
    copy = dict(dictionary)
    return apply(copy, operation), copy


@given(st.dictionaries(KEYS, TEXTS), KEYS, TEXTS)
def test_put_sets_and_get_returns_what_was_put(dictionary, key, value):
    result, changed = after(dictionary, put(key, value))
    assert (result, changed) == (OK, dictionary | {key: value})
    assert after(changed, get(key)) == (value, changed)


def test_get_of_an_absent_key_is_empty_and_makes_none():
    assert after({}, get("a")) == ("", {})


@given(TEXTS, TEXTS)
def test_append_adds_to_the_end(value, more):
    assert after({"a": value}, append("a", more)) == (OK, {"a": value + more})


def test_append_to_an_absent_key_fails_and_changes_nothing():
    assert after({}, append("a", "x")) == (FAIL, {})


@given(TEXTS, st.integers(0, 8), st.integers(0, 8))
def test_slice_cuts_within_the_value_and_fails_beyond_it(value, start, stop):
    if start <= stop <= len(value):
        assert after({"a": value}, cut("a", f"{start}:{stop}")) == (OK, {"a": value[start:stop]})
    else:
        assert after({"a": value}, cut("a", f"{start}:{stop}")) == (FAIL, {"a": value})


def test_slice_of_an_absent_key_fails_and_changes_nothing():
    assert after({}, cut("a", "0:0")) == (FAIL, {})


@pytest.mark.parametrize("bounds", ["", ":", "1", "1:", ":1", "-1:2", "+0:1", "0:1:2", "a:b", " 0:1", "²:³", "٠:١", "9" * 5000 + ":1"])
def test_a_range_that_is_not_two_decimal_numbers_fails_and_changes_nothing(bounds):
    assert slice_bounds(bounds) is None
    assert after({"a": "value"}, cut("a", bounds)) == (FAIL, {"a": "value"})


@given(st.dictionaries(KEYS, TEXTS), OPERATIONS)
def test_every_operation_has_a_result_and_touches_no_other_key(dictionary, operation):
    result, changed = after(dictionary, operation)
    assert isinstance(result, str)
    others = {key: value for key, value in dictionary.items() if key != operation.key}
    assert {key: value for key, value in changed.items() if key != operation.key} == others


def test_an_operation_reads_as_it_is_called():
    assert [str(each) for each in (get("k"), put("k", "v"), cut("k", "0:1"))] == [
        "get('k')", "put('k', 'v')", "slice('k', '0:1')",
    ]  # fmt: skip


def test_a_bound_has_eighteen_digits_at_the_most():
    first, second = "1".zfill(18), "2".zfill(18)
    assert slice_bounds(f"{first}:{second}") == (1, 2)
    assert slice_bounds(f"0{first}:{second}") is None
    assert slice_bounds(f"{first}:0{second}") is None


@pytest.mark.parametrize("bounds", ["", "0", "0:", ":4", "a:b", "0:4:1"])
def test_what_is_no_range_is_no_slice_and_the_second_argument_is_to_blame(bounds):
    with pytest.raises(BadOperation, match="expected a range such as '0:4'") as raised:
        found("dictionary").parsed("slice", ("k", bounds))
    assert raised.value.argument == 1
    assert found("dictionary").parsed("slice", ("k", " 0 : 4 ")) == cut("k", "0:4")


def test_a_get_changes_nothing_and_whatever_else_there_is_its_key():
    for operation, changed in ((get("k"), ()), (put("k", "v"), ("k",)), (append("k", "v"), ("k",)), (cut("k", "0:1"), ("k",))):
        assert tuple(found("dictionary").changed(operation)) == changed


@pytest.mark.parametrize("bounds", ["0:\u0663", "\u0660:3", "0:\u00b2"])
def test_a_range_has_digits_that_everybody_reads_alike(bounds):
    assert slice_bounds(bounds) is None


def test_what_is_read_of_a_key_without_a_value_counts_for_nothing():
    assert found("dictionary").most_results((get("k"), get("l")), {"l": 3}.get)[0] == 3
