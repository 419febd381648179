"""The store: versions, conditions, transactions, listings, and a second implementation that says the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.chain.slot_room import operations_bytes
from bcr.objects import store as store_module
from bcr.objects import store_model, store_operations
from bcr.objects.finding import named
from bcr.objects.operation import Operation
from bcr.objects.ordered import Ordered
from bcr.objects.replicated import BadOperation, has_own_model
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES, bytes_of
from bcr.objects.store import Item, Store
from bcr.objects.store_operations import ABSENT, DEPTH_LIMIT, append, delete, get, keys, put
from bcr.objects.store_workload import LIMIT_BYTES, drawn
from bcr.scenario import ScenarioError, parse_scenario
from bcr.signed.statements import Request
from bcr.state.buckets import Buckets
from bcr.state.running import RunningState
from bcr.verdict.model import Model

STORE = named("store")
KEYS = st.sampled_from(["a/1", "a/2", "b", "plumless", "buckeroo", "é", "k" * 1_024, "k" * 1_025, ""])
VALUES = st.sampled_from(
    ["1", '"x"', "[]", "[ ]", "[1, 2]", ' {"a": [1]} ', "null", '"\\ud83d"', '"\\ude00"', "NaN", "nonsense", "", "[" * 64 + "]" * 64,
     "[" * 63 + "]" * 63, "[" * 65 + "]" * 65, '{"a":' * 70 + "1" + "}" * 70, '{"a":[[[1]]],"a":1}', "9" * 5_000, "1e999", '"a\nb"', '"ü"', "\u00a05"]
)  # fmt: skip
CONDITIONS = st.sampled_from(["*", ABSENT, "0.0.0", "0.1.0", "0.2.0", "0.-1.0", "x", "", "٣.0.0", "0.1"])
OPERATIONS = st.one_of(
    st.builds(lambda name, key, condition, value: Operation(name, key, f"{condition} {value}"),
              st.sampled_from(["put", "append"]), KEYS, CONDITIONS, VALUES),
    st.builds(Operation, st.sampled_from(["get", "delete", "slice", "put"]), KEYS, CONDITIONS),
    st.builds(lambda prefix, limit, after: Operation("keys", prefix, f"{limit} {after}"),
              st.sampled_from(["", "a/", "b"]), st.sampled_from(["1", "2", "1000", "1001", "0", "x", "٣"]), KEYS),
    st.builds(Operation, st.just("keys"), KEYS, st.sampled_from(["", "5", "5 "])),
)  # fmt: skip
GOOD = st.one_of(
    st.builds(put, KEYS.filter(lambda key: 0 < len(key) < 9), st.sampled_from(["1", '"x"', "[1]"])),
    st.builds(append, KEYS.filter(lambda key: 0 < len(key) < 9), st.sampled_from(["1", '"x"'])),
    st.builds(delete, KEYS.filter(lambda key: 0 < len(key) < 9)),
    st.builds(keys, st.sampled_from(["", "a/"])),
)
BATCHES = st.lists(st.lists(st.one_of(OPERATIONS, GOOD, GOOD), max_size=4).map(tuple), max_size=8)
STEPS = st.lists(st.tuples(st.sampled_from(["root", "encoded", "copy", "values", "send"]), st.integers(0, 7)))


def executed(*requests, state=None):
    """What each of the requests gives, one a slot, as JSON is read."""
    state = state or RunningState(1, replicated=STORE)
    results = []
    for slot, operations in enumerate(requests):
        number = max(state.outcomes.get(0, {-1: None})) + 1
        [outcome] = state.execute(0, slot, [Request(0, number, operations)])
        results.append([json.loads(result) for result in outcome.results])
    return state, results


# -- each operation


def test_a_value_has_the_version_of_the_request_that_wrote_it():
    state = RunningState(1, replicated=STORE)
    requests = [Request(0, 0, (put("k", '{"a": 1}'),)), Request(1, 0, (get("k"), get("l")))]
    first, second = state.execute(3, 7, requests)
    assert first.results == ('{"version":[3,7,0]}',)
    assert second.results == ('{"value":{"a": 1},"version":[3,7,0]}', "null")


@pytest.mark.parametrize(
    "before, more, after",
    [(None, "1", [1]), ("[]", "1", [1]), ("[ ]", "[2]", [[2]]), ("[1, 2]", '"x"', [1, 2, "x"]), ('"ab"', '"c"', "abc"), ('""', '""', "")],
)
def test_what_is_appended_stands_at_the_end(before, more, after):
    requests = [(put("k", before),)] if before else []
    state, _ = executed(*requests, (append("k", more),))
    assert json.loads(state.values["k"].text) == after


@pytest.mark.parametrize("before, more", [("5", "1"), ('"ab"', "1"), ('{"a":1}', '"c"'), ("null", "1")])
def test_what_cannot_be_appended_to_is_left_alone(before, more):
    state, results = executed((put("k", before),), (append("k", more),))
    assert results[1] == [{"error": "kind"}]
    assert state.values == {"k": Item(before, 0, 0, 0)}


def test_what_is_deleted_is_gone_and_can_be_made_again():
    state, results = executed((put("k", "1"),), (delete("k"),), (get("k"),), (delete("k"),), (put("k", "2", ABSENT),))
    assert results[1:] == [[{"version": [0, 0, 0]}], [None], [None], [{"version": [0, 4, 0]}]]
    assert state.values == {"k": Item("2", 0, 4, 0)}


def test_a_condition_on_the_version_holds_for_that_version_alone():
    _, results = executed(
        (put("k", "1", ABSENT),), (put("k", "2", ABSENT),), (put("k", "3", (0, 1, 0)),), (put("k", "4", (0, 0, 0)),),
        (get("k", (0, 0, 0)),), (append("l", "1", (0, 0, 0)),), (delete("k", (0, 3, 0)),),
    )  # fmt: skip
    there = {"error": "condition", "version": [0, 0, 0]}
    assert results == [
        [{"version": [0, 0, 0]}], [there], [there], [{"version": [0, 3, 0]}], [there | {"version": [0, 3, 0]}],
        [there | {"version": None}], [{"version": [0, 3, 0]}],
    ]  # fmt: skip


def test_a_request_whose_condition_fails_does_nothing_at_all():
    state, results = executed((put("k", "1"),), (put("l", "2"), delete("k"), get("k"), put("m", "3", (9, 9, 9)), put("n", "4")))
    aborted = {"error": "aborted"}
    assert results[1] == [aborted, aborted, aborted, {"error": "condition", "version": None}, aborted]
    assert state.values == {"k": Item("1", 0, 0, 0)}


def test_an_operation_sees_what_those_before_it_in_the_request_have_done():
    _, results = executed((put("k", "1"), get("k"), delete("k"), keys(), put("l", "2"), put("k", "3", ABSENT), keys()))
    assert results[0][1] == {"value": 1, "version": [0, 0, 0]}
    assert [each["keys"] for each in (results[0][3], results[0][6])] == [[], ["k", "l"]]


def test_keys_are_listed_by_prefix_behind_a_key_and_no_more_than_asked_for():
    names = ["a", "a/1", "a/2", "a/3", "b", "é"]
    state, _ = executed(tuple(put(name, "1") for name in reversed(names)))

    def listed(*about):
        [[result]] = executed((keys(*about),), state=RunningState.restored(state.snapshot(), 1, replicated=STORE))[1]
        return result["keys"], result["more"]

    assert listed() == (names, False)
    assert listed("a/") == (["a/1", "a/2", "a/3"], False)
    assert listed("a/", "a/1", 1) == (["a/2"], True)
    assert listed("a/", "a/2", 1) == (["a/3"], False)
    assert listed("", "b") == (["é"], False)
    assert listed("c") == ([], False)


@pytest.mark.parametrize("text", ["NaN", "", "nonsense", "[1", '"a\nb"', "'x'", "[" * 65 + "]" * 65])
def test_what_is_no_json_is_malformed_and_nothing_happens(text):
    state, results = executed((put("a", "1"), put("k", text)))
    assert results == [[{"error": "aborted"}, {"error": "malformed"}]]
    assert state.values == {}


def test_lists_stand_within_each_other_as_deep_as_the_limit_also_when_they_are_appended():
    deepest = "[" * (DEPTH_LIMIT - 1) + "]" * (DEPTH_LIMIT - 1)
    _, results = executed(
        (put("k", f"[{deepest}]"),), (append("k", deepest),), (append("k", f"[{deepest}]"),), (put("k", f"[[{deepest}]]"),)
    )
    assert [next(iter(result)) for [result] in results] == ["version", "version", "error", "error"]


def test_brackets_in_strings_are_no_depth():
    _, results = executed((put("k", json.dumps(['[{"\\' * 200])),))
    assert results == [[{"version": [0, 0, 0]}]]


# -- limits


def test_a_value_may_be_as_large_as_the_limit_and_no_byte_larger():
    largest = json.dumps("x" * (VALUE_LIMIT_BYTES - 2))
    state, results = executed((put("k", largest),), (append("k", '"y"'),), (put("k", largest[:-1] + 'y"'),), (get("k"),))
    assert results[1:3] == [[{"error": "too large"}]] * 2
    assert results[3] == [{"value": "x" * (VALUE_LIMIT_BYTES - 2), "version": [0, 0, 0]}]
    assert state.values == {"k": Item(largest, 0, 0, 0)}


def test_a_request_that_would_get_more_than_it_may_does_nothing():
    half = json.dumps("x" * (RESULTS_LIMIT_BYTES // 2))
    state, results = executed((put("k", half),), (put("l", "1"), get("k"), get("k"), get("k")))
    assert results[1] == [{"error": "aborted"}, {"error": "aborted"}, {"error": "too large"}, {"error": "aborted"}]
    assert set(state.values) == {"k"}


@given(BATCHES)
def test_what_a_request_gets_is_never_more_than_is_counted_for_it(batches):
    values = Ordered()
    for slot, operations in enumerate(batches):
        sizes = {key: STORE.size(item) for key, item in values.items()}
        most, after = STORE.most_results(operations, sizes.get)
        results = STORE.execute(values, operations, (10**18, slot, 10**18))
        assert sum(map(bytes_of, results)) <= most <= RESULTS_LIMIT_BYTES
        assert all(STORE.size(item) <= (sizes | after)[key] for key, item in values.items())


# -- twice


@given(BATCHES, STEPS)
def test_whatever_is_asked_in_between_it_is_the_store_that_its_model_is(batches, steps):
    """`send` goes on with what somebody makes of the encoding; the batch at the number is executed next."""
    model, buckets = STORE.model(), Buckets(replicated=STORE)
    for slot, (step, number) in enumerate(steps):
        if step == "copy":
            buckets.copy().execute((put("a/1", "9"), delete("b")))
            buckets = buckets.copy()
        elif step == "send":
            buckets = Buckets(buckets.encoded(), replicated=STORE)
        else:
            getattr(buckets, step)()
        for operations in batches[number : number + 1]:
            assert buckets.execute(operations, place=(0, slot, 0)) == model.execute(operations, (0, slot, 0))
    assert buckets.values() == model.values
    fresh = Buckets.of(model.values, STORE)
    assert (buckets.encoded(), buckets.root()) == (fresh.encoded(), fresh.root())


@pytest.mark.parametrize("seed", range(20))
def test_drawn_requests_give_the_same_twice_and_something_of_everything(seed):
    model, state = Model(1, replicated=STORE), RunningState(1, replicated=STORE)
    coming = drawn(seed)
    told = set()
    for slot in range(200):
        request = Request(0, slot, tuple(next(coming) for _ in range(1 + slot % 3)))
        outcome = state.execute_at(0, slot, 0, request)
        assert model.execute((0, slot, 0), request) == (outcome.place, outcome.results)
        told |= {next(iter(result)) if result else None for result in map(json.loads, outcome.results)}
        assert all(len(each.key) + len(each.argument) <= LIMIT_BYTES for each in request.operations)
    assert model.difference(state) == ""
    assert told == {"value", "version", "keys", "error", None}


@pytest.fixture
def small(monkeypatch):
    """Limits that short texts reach."""
    for module in (store_module, store_model):
        monkeypatch.setattr(module, "RESULTS_LIMIT_BYTES", 60)
    monkeypatch.setattr(store_operations, "VALUE_LIMIT_BYTES", 9)
    monkeypatch.setattr(store_model, "VALUE_LIMIT_BYTES", 9)


@pytest.mark.parametrize("seed", range(10))
def test_both_say_the_same_of_what_is_too_large(small, seed):
    model, values, coming = STORE.model(), Ordered(), drawn(seed)
    told = set()
    for slot in range(150):
        operations = tuple(next(coming) for _ in range(1 + slot % 4))
        results = STORE.execute(values, operations, (0, slot, 0))
        assert results == model.execute(operations, (0, slot, 0))
        told.update(results)
    assert '{"error":"too large"}' in told
    assert model.values == values


def test_the_store_has_a_model_of_its_own():
    assert has_own_model(Store())


# -- scenario files

START = "t = 1\nnum_client = 1\nobject = store\n"


def operations(text):
    scenario, warnings = parse_scenario(f"{START}workload[0] = {text}\n", "x.config")
    assert warnings == ()
    return list(scenario.workloads[0].operations(scenario.replicated))


def test_a_scenario_has_operations_of_the_store():
    written = """put('k','"luke"'); put(k, 5, absent); append('k','[1,2]',0.3.1); get('k'); delete(k,0.0.0); keys(''); keys('a/','a/b',7)"""
    assert operations(written) == [
        put("k", '"luke"'), put("k", "5", ABSENT), append("k", "[1,2]", (0, 3, 1)), get("k"), delete("k", (0, 0, 0)), keys(""),
        keys("a/", "a/b", 7),
    ]  # fmt: skip
    assert operations("pseudorandom(3,9)") == [each for each, _ in zip(drawn(3), range(9), strict=False)]


@pytest.mark.parametrize(
    "text, why",
    [
        ("put('k',luke)", "put: expected JSON such as"),
        ("put('k','5',yesterday)", "put: expected a condition such as absent"),
        ("put('','5')", "put: a key of 0 bytes"),
        ("keys('','',1001)", "keys: expected a limit from 1 to 1,000"),
        ("get()", "get takes 2 arguments, not 0"),
        ("uniform(1,2,3,4)", "no operation uniform"),
    ],
)
def test_what_is_no_operation_of_the_store_is_refused_with_its_place(text, why):
    with pytest.raises(ScenarioError) as caught:
        operations(text)
    [error] = caught.value.diagnostics
    assert error.text.startswith(why)
    assert (error.line, error.column) == (4, 15)


def test_drawn_operations_are_no_larger_than_they_are_said_to_be():
    assert max(operations_bytes([each]) for each, _ in zip(drawn(1), range(3_000), strict=False)) <= LIMIT_BYTES + 32


def test_a_value_that_is_larger_than_one_may_be_is_told_before_it_is_read():
    with pytest.raises(BadOperation, match="1,048,579 bytes, more than a value may have"):
        STORE.parsed("put", ("k", f'"{"x" * 1_048_577}"'))


@pytest.mark.parametrize("key", ["", "k" * 1_025, "é" * 513])
def test_an_operation_on_a_key_that_the_store_may_not_have_fails_whichever_it_is(key):
    for operation in (get(key), put(key, "1"), append(key, "1"), delete(key)):
        state, [[result]] = executed((operation,))
        assert result["error"] == "malformed", operation
        assert state.dictionary == {}
    assert executed((get("é" * 512),))[1] == [[None]]


@pytest.mark.parametrize(("text", "is_possible"), [
    ("[" * 64 + "]" * 64, True),
    ("[" * 65 + "]" * 65, False),
    ("[" + ",".join(["[]"] * 200) + "]", True),  # beside each other
    ("[" + "[]," * 40 + "[" * 63 + "]" * 64, True),
    ("[" + "[]," * 40 + "[" * 64 + "]" * 65, False),
    ('{"[[[":' * 64 + '"]"' + "}" * 64, True),  # those in strings do not count
    ('{"]]]":' * 65 + '"]"' + "}" * 65, False),
])  # fmt: skip
def test_how_deep_a_value_is_counts_those_within_each_other_and_no_others(text, is_possible):
    _, [[result]] = executed((put("k", text),))
    assert ("error" in result) == (not is_possible)


def test_a_listing_names_a_prefix_and_may_name_where_it_begins_and_how_many():
    listing = {rest: STORE.parsed("keys", ("p", *rest)) for rest in ((), ("p/1",), ("p/1", "7"))}
    assert {each.argument for each in listing.values()} == {"100 ", "100 p/1", "7 p/1"}


# -- what it says of its operations


@pytest.mark.parametrize(("operations", "most", "sizes"), [
    ((), 0, {}),
    ((get("k"),), 138, {}),
    ((get("absent"),), 128, {}),
    ((delete("k"),), 128, {}),
    ((put("k", "1"), get("k")), 266, {"k": 10}),  # for it may not happen
    ((put("l", "12345"), get("l")), 263, {"l": 7}),
    ((append("k", "1"), get("k")), 397, {"k": 141}),
    ((keys("", "", 2),), 12_422, {}),
    ((Operation("keys", "", "all"),), 128, {}),
])  # fmt: skip
def test_what_operations_get_is_at_most_128_bytes_each_and_the_values_and_keys_in_it(operations, most, sizes):
    assert STORE.most_results(operations, {"k": 10}.get) == (most, sizes)


def test_an_operation_names_its_key_and_a_listing_all_and_what_only_reads_changes_none():
    assert STORE.keys_of([get("a"), put("b", "1")]) == ["a", "b"]
    assert STORE.keys_of([get("a"), keys()]) is None
    assert list(STORE.changed_by([[get("a"), keys(), delete("b")], [put("c", "1"), append("d", "1")]])) == ["b", "c", "d"]


def test_what_only_reads_and_deletes_makes_the_store_no_larger():
    assert STORE.most_growth((get("k"), delete("k"), keys())) == 0
    assert STORE.most_growth((delete("k"), put("k", "1"))) > 0


@pytest.mark.parametrize("operation", [
    Operation("get", "k", "* 1"), Operation("delete", "k", "* 1"), Operation("increment", "k", "* 1"),
])  # fmt: skip
def test_a_value_where_none_belongs_and_a_name_that_nobody_knows_are_malformed(operation):
    state, results = executed((put("k", "1"),), (operation,))
    assert results[1] == [{"error": "malformed"}]
    assert state.values == {"k": Item("1", 0, 0, 0)}


def test_a_listing_has_up_to_1000_keys():
    assert executed((keys("", "", 1_000),))[1] == [[{"keys": [], "more": False}]]
