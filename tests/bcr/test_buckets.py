"""The dictionary in buckets: a digest that costs what was written, and is that of the contents alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import append, get, put

from bcr.objects.dictionary import Operation, apply
from bcr.objects.store import Item
from bcr.objects.store_operations import delete
from bcr.objects.store_operations import put as put_json
from bcr.signed.encoding import decode, encode
from bcr.signed.merkle import Tree
from bcr.signed.violations import MalformedMessage
from bcr.state import tree
from bcr.state.buckets import BUCKETS, FEW_BUCKETS, MAX_UNSORTED, Buckets, _bytes_of_bucket, bucket_of
from bcr.state.running import RunningState, Snapshot

KEYS = st.sampled_from(["a", "b", "plumless", "buckeroo", "ü", ""])  # the third and fourth are of one bucket
OPERATIONS = st.builds(Operation, st.sampled_from(["put", "get", "append", "slice"]), KEYS, st.sampled_from(["", "x", "yz", "0:1"]))
BATCHES = st.lists(st.lists(OPERATIONS, max_size=4).map(tuple), max_size=6)
STEPS = st.lists(st.tuples(st.sampled_from(["root", "encoded", "copy", "values", "send"]), st.integers(0, 5)))


def after(batches):
    buckets = Buckets()
    for operations in batches:
        buckets.execute(operations)
    return buckets


def test_the_place_of_a_key_is_the_same_on_every_platform():
    assert [bucket_of(key) for key in ("", "a", "key1", "ü")] == [0, 15939, 9296, 10709]
    assert bucket_of("plumless") == bucket_of("buckeroo")
    assert all(0 <= bucket_of(str(number)) < BUCKETS for number in range(100))


@given(BATCHES, STEPS)
def test_whatever_is_asked_in_between_it_is_the_dictionary_that_the_operations_make(batches, steps):
    """`send` goes on with what somebody makes of the encoding; the batch at the number is executed next."""
    plain, buckets = {}, Buckets()
    for step, number in steps:
        if step == "copy":
            buckets.copy().execute((put("a", "of the copy"),))
            buckets = buckets.copy()
        elif step == "send":
            buckets = Buckets(buckets.encoded())
        else:
            getattr(buckets, step)()
        for operations in batches[number : number + 1]:
            assert buckets.execute(operations) == tuple(apply(plain, each) for each in operations)
    assert buckets.values() == plain
    fresh = Buckets.of(plain)
    assert (buckets.encoded(), buckets.root()) == (fresh.encoded(), fresh.root())


@given(BATCHES, BATCHES)
def test_digests_are_equal_exactly_where_the_dictionaries_are(batches, others):
    one, other = after(batches), after(others)
    assert (one.root() == other.root()) == (one.values() == other.values())
    assert (one.encoded() == other.encoded()) == (one.values() == other.values())


def test_the_order_in_which_keys_were_written_leaves_no_trace():
    pairs = [(f"key{number}", str(number)) for number in range(3 * BUCKETS)]
    one, other = after([tuple(put(*pair) for pair in pairs)]), after([(put(*pair),) for pair in reversed(pairs)])
    assert one.encoded() == other.encoded()
    assert list(one.encoded()) == sorted(one.encoded())
    assert one.root() == other.root()


def test_reading_and_failing_leave_the_digests_as_they_are():
    buckets = after([(put("k", "v"),)])
    before = buckets.root()
    buckets.execute((get("k"), get("absent"), append("absent", "x"), Operation("slice", "k", "7:9")))
    assert buckets.root() == before


def test_an_encoding_that_is_none_is_malformed_only_for_who_reads_it():
    buckets = Buckets({bucket_of("a"): b"\xc1", **after([(put("k", "v"),)]).encoded()})
    assert buckets.execute((get("k"),)) == ("v",)
    with pytest.raises(MalformedMessage):
        buckets.execute((get("a"),))
    with pytest.raises(MalformedMessage):
        buckets.values()


@pytest.mark.parametrize("is_read", [False, True])
def test_the_values_of_keys_are_those_of_the_keys_that_have_one_in_their_order(is_read):
    buckets = Buckets(after([(put("a", "1"), put("b", "2"), put("plumless", "3"))]).encoded())
    if is_read:
        assert [buckets.value_of(key) for key in ("a", "b", "plumless")] == ["1", "2", "3"]
    assert buckets.values_of(["b", "none", "a", "buckeroo"]) == ["2", "1"]


def test_what_was_written_is_noted_before_too_much_of_it_is_held():
    buckets = Buckets()
    for _ in range(3 * MAX_UNSORTED):
        buckets.execute((put("k", "v"),))
        assert len(buckets._unnoted_operations) <= MAX_UNSORTED


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 70_000])
def test_what_a_bucket_holds_is_counted_without_reading_it(count):
    values = {f"{number}": "v" for number in range(count)}
    encoded = encode(values) if values else b""
    assert _bytes_of_bucket(encoded) == sum(len(encode(key)) + len(encode(value)) for key, value in values.items()) - (not values)


@pytest.mark.parametrize("count", [0, 1, FEW_BUCKETS, 3 * FEW_BUCKETS])
def test_few_buckets_and_many_are_told_in_order(count):
    buckets = Buckets.of({str(key): "value" for key in range(count)})
    before = buckets.pairs()
    buckets.execute([put("another", "value")])
    assert before == tuple(sorted(before)) and len({bucket_of(str(key)) for key in range(count)}) == len(before)
    assert buckets.pairs() == tuple(sorted(buckets.pairs())) == tuple(sorted(buckets.encoded().items()))


def test_the_buckets_of_a_large_object_follow_what_is_written_and_removed():
    buckets = Buckets.of({str(key): Item("1", 0, 0, 0) for key in range(3 * FEW_BUCKETS)}, "store")
    buckets.pairs()
    lonely = next(
        str(key)
        for key in range(3 * FEW_BUCKETS)
        if [bucket_of(str(each)) for each in range(3 * FEW_BUCKETS)].count(bucket_of(str(key))) == 1
    )
    for operation in (delete(lonely), put_json("another", "2"), put_json("0", "3")):
        buckets.execute((operation,), place=(0, 1, 0))
        assert buckets.pairs() == Buckets.of(buckets.values(), "store").pairs()


def test_the_tree_over_buckets_holds_nothing_of_those_that_are_empty_and_is_the_tree_over_all():
    made = tree.BucketTree()
    made.set(0, b"alike")
    made.set(1, b"alike")
    empty = tree.digest_of_bucket(tree.EMPTY_BUCKET)
    assert made.root() == Tree(tree.DOMAIN, [tree.digest_of_bucket(b"alike")] * 2 + [empty] * (BUCKETS - 2)).root
    for index in (0, 1):
        made.set(index, None)
    assert made.root() == tree.BucketTree().root()
    assert not any(made._nodes)


def test_a_copy_and_who_goes_on_from_a_snapshot_hash_no_more_than_was_written_since(monkeypatch):
    state = RunningState(1)
    for number in range(50):
        state.apply(put(f"key{number}", "v"))
    received = decode(Snapshot, encode(state.snapshot()))
    received.digest()
    hashed, stock = [], tree.digest_of_bucket
    monkeypatch.setattr(tree, "digest_of_bucket", lambda encoded: hashed.append(encoded) or stock(encoded))
    copy = state.copy()
    copy.apply(put("key0", "w"))
    copy.digest()
    assert len(hashed) == 1
    assert RunningState.restored(received, 1).digest() == state.digest()
    assert len(hashed) == 1
