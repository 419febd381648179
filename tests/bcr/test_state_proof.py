"""One key, or its absence, proved against a checkpoint: right for every state, wrong for every change, and small."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_chain import MemoryChain, changed, get, put, replica_author

from bcr.chain.state_proof import KeyProof
from bcr.objects.finding import named
from bcr.objects.store import Item
from bcr.objects.store_operations import delete
from bcr.objects.store_operations import put as put_json
from bcr.signed.encoding import decode, encode
from bcr.signed.merkle import Tree, root_above
from bcr.signed.signing import Signed
from bcr.signed.statements import Checkpoint, Request
from bcr.signed.violations import MalformedMessage, NotEnoughStatements, NotFinal, ProtocolViolation
from bcr.state.buckets import bucket_of
from bcr.state.running import RunningState, Snapshot
from bcr.state.tree import BUCKETS, DEPTH, DOMAIN, EMPTY_BUCKET, SPARSE, BucketTree, digest_of_bucket, root_over

KEYS = ["a", "b", "plumless", "buckeroo", "ü", "", "key1"]
VALUES = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["", "x", "y" * 50]))
INDEXES = st.one_of(st.integers(0, BUCKETS - 1), st.sampled_from([0, 1, 2, BUCKETS // 2, BUCKETS - 1]))


def state_of(values, replicated="dictionary"):
    state = RunningState(1, replicated=replicated)
    if values:
        state.execute(0, 0, [Request(0, 0, tuple(put(key, value) for key, value in values.items()))])
    return state


def checkpoint_of(state, configuration, slot=7):
    """The statements of all replicas on this state."""
    statement = Checkpoint(configuration.number, slot, state.digest())
    return tuple(Signed.sign(statement, position, replica_author(position)) for position in range(len(configuration.replicas)))


CONFIGURATION = MemoryChain().configuration


# -- the tree


@settings(max_examples=25)
@given(st.lists(st.tuples(INDEXES, st.sampled_from([None, b"one", b"two"])), max_size=12))
def test_the_tree_that_is_kept_is_the_tree_over_all_buckets(steps):
    kept, buckets = BucketTree(), {}
    for number, (index, encoded) in enumerate(steps):
        kept.set(index, encoded)
        buckets[index] = encoded
        if number % 3 == 0:
            kept.root()  # and go on from there
            kept = kept.copy()
    leaves = [digest_of_bucket(EMPTY_BUCKET)] * BUCKETS
    for index, encoded in buckets.items():
        leaves[index] = digest_of_bucket(EMPTY_BUCKET if encoded is None else encoded)
    whole = Tree(DOMAIN, leaves)
    assert kept.root() == whole.root
    there = [(index, encoded) for index, encoded in buckets.items() if encoded is not None]
    at_once = BucketTree.over(there)
    assert at_once.root() == whole.root and at_once._nodes == kept._nodes
    for index in [*buckets, 0, 12_345]:
        assert kept.path(index) == whole.path(index)
        assert root_above(DOMAIN, leaves[index], index, BUCKETS, kept.path(index)) == whole.root


def test_the_tree_over_buckets_none_of_which_is_empty_is_the_one_that_is_made_step_by_step():
    buckets = [(index, b"%d" % index) for index in range(BUCKETS)]
    kept = BucketTree()
    for index, encoded in buckets:
        kept.set(index, encoded)
    assert kept.root() == BucketTree.over(buckets).root()
    assert kept._nodes == BucketTree.over(buckets)._nodes


def test_the_tree_over_a_few_buckets_takes_a_few_steps_and_not_one_for_each_place():
    calls = []
    sys.setprofile(lambda _frame, event, _what: calls.append(event) if event.endswith("call") else None)
    try:
        BucketTree.over([(7, b"x"), (8, b"y"), (16_000, b"z")]).root()
    finally:
        sys.setprofile(None)
    assert len(calls) < BUCKETS // 16


@pytest.mark.parametrize("count", [SPARSE - 1, SPARSE, SPARSE + 1])
def test_whether_the_tree_is_made_at_once_or_step_by_step_it_is_the_same(count):
    buckets = [(index * 15, b"%d" % index) for index in range(count)]
    kept = BucketTree()
    for index, encoded in buckets:
        kept.set(index, encoded)
    at_once = BucketTree.over(buckets)
    assert at_once.root() == kept.root() and at_once._nodes == kept._nodes


def test_a_copy_of_a_tree_goes_its_own_way():
    tree = BucketTree()
    tree.set(3, b"x")
    before = tree.root()
    other = tree.copy()
    other.set(3, b"y")
    other.set(4, b"z")
    assert (tree.root(), tree.copy().root()) == (before, before)
    other.set(4, None)
    other.set(3, b"x")
    assert other.root() == before


def test_a_path_of_another_length_is_none():
    assert len(BucketTree().path(0)) == DEPTH
    for path in (BucketTree().path(0)[1:], (*BucketTree().path(0), bytes(32)), (bytes(31),) * DEPTH):
        with pytest.raises(MalformedMessage):
            root_over(0, EMPTY_BUCKET, path)


# -- the digest of a state


@given(VALUES, VALUES)
def test_digests_of_states_and_of_their_snapshots_are_equal_exactly_where_the_states_are(one, other):
    first, second = state_of(one), state_of(other)
    assert first.digest() == first.snapshot().digest() == RunningState.restored(first.snapshot(), 1).digest()
    assert (first.digest() == second.digest()) == (first.snapshot() == second.snapshot())


def test_buckets_in_another_form_than_a_correct_replica_has_them_have_another_digest():
    snapshot = state_of({"a": "x", "b": "y"}).snapshot()
    first, second = snapshot.buckets
    empty = next(index for index in range(BUCKETS) if index not in (first[0], second[0]))
    forms = [
        (second, first), (first, first, second), (first, second, second), ((first[0], b"other"), first, second),
        tuple(sorted([first, second, (empty, EMPTY_BUCKET)])), (first, second, (BUCKETS, first[1])), ((-1, first[1]), first, second),
        (first,), (),
    ]  # fmt: skip
    digests = {Snapshot(buckets, snapshot.outcomes).digest() for buckets in forms}
    assert len(digests) == len(forms)
    assert snapshot.digest() not in digests


# -- proofs


@given(VALUES, st.sampled_from(KEYS), st.booleans())
def test_what_stands_at_a_key_and_that_nothing_does_is_proved_against_a_checkpoint(values, key, is_restored):
    state = state_of(values)
    statements = checkpoint_of(state, CONFIGURATION)
    if is_restored:
        state = RunningState.restored(state.snapshot(), 1)
    proof = decode(KeyProof, encode(KeyProof.of(key, state, statements)))
    checkpoint, value = proof.check(key, CONFIGURATION)
    assert (checkpoint.slot, value) == (7, values.get(key))


@given(VALUES, VALUES, st.sampled_from(KEYS))
def test_no_proof_of_another_state_passes_for_one_of_the_checkpoint(values, other, key):
    state, lie = state_of(values), state_of(other)
    proof = KeyProof.of(key, lie, checkpoint_of(state, CONFIGURATION))
    if lie.digest() == state.digest():
        assert proof.check(key, CONFIGURATION)[1] == values.get(key)
    else:
        with pytest.raises(MalformedMessage, match="not the checkpoint's"):
            proof.check(key, CONFIGURATION)


@given(VALUES, st.sampled_from(KEYS), st.data())
def test_a_proof_with_any_bit_of_its_witness_changed_is_none(values, key, data):
    proof = KeyProof.of(key, state_of(values), checkpoint_of(state_of(values), CONFIGURATION))
    encoded = bytearray(encode(proof.witness))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProtocolViolation):
        witness = decode(type(proof.witness), bytes(encoded))
        changed(proof, witness=witness).check(key, CONFIGURATION)


def test_a_proof_of_one_key_is_none_of_another_also_of_the_same_bucket():
    state = state_of({"plumless": "x"})
    proof = KeyProof.of("plumless", state, checkpoint_of(state, CONFIGURATION))
    assert bucket_of("plumless") == bucket_of("buckeroo")
    with pytest.raises(MalformedMessage, match="not at 'buckeroo'"):
        proof.check("buckeroo", CONFIGURATION)
    assert changed(proof, key="buckeroo").check("buckeroo", CONFIGURATION)[1] is None  # and that is true
    with pytest.raises(MalformedMessage):
        changed(proof, key="a").check("a", CONFIGURATION)


def test_too_few_statements_prove_nothing():
    state = state_of({"a": "x"})
    statements = checkpoint_of(state, CONFIGURATION)
    with pytest.raises(NotEnoughStatements):
        KeyProof.of("a", state, statements[:1]).check("a", CONFIGURATION)
    with pytest.raises(NotFinal):
        KeyProof.of("a", state, statements[:2]).check("a", CONFIGURATION)
    forged = tuple(changed(each, signature=bytes(64)) for each in statements)
    with pytest.raises(NotEnoughStatements):
        KeyProof.of("a", state, forged).check("a", CONFIGURATION)


def test_a_value_of_the_store_is_proved_with_its_version_and_a_deleted_key_is_proved_absent():
    store = named("store")
    state = RunningState(2, replicated=store)
    state.execute(0, 0, [Request(0, 0, (put_json("k", "[1]"), put_json("gone", "1"))), Request(0, 1, (delete("gone"),))])
    statements = checkpoint_of(state, CONFIGURATION, slot=0)
    assert KeyProof.of("k", state, statements).check("k", CONFIGURATION, store)[1] == Item("[1]", 0, 0, 0)
    assert KeyProof.of("gone", state, statements).check("gone", CONFIGURATION, store)[1] is None


@pytest.mark.parametrize("t, most", [(1, 1_800), (10, 4_500)])
def test_a_proof_from_a_hundred_thousand_keys_takes_a_few_kilobytes(t, most):
    configuration = MemoryChain(t=t).configuration
    state = RunningState(1)
    for number in range(100):
        puts = tuple(put(f"key{number}/{each}", "x" * 100) for each in range(1_000))
        state.execute(0, number, [Request(0, number, puts)])
    statements = checkpoint_of(state, configuration)
    sizes = [len(encode(KeyProof.of(f"key7/{each}", state, statements))) for each in range(100)]
    assert sum(sizes) / len(sizes) < most
    assert KeyProof.of("key7/7", state, statements).check("key7/7", configuration)[1] == "x" * 100
    assert KeyProof.of("absent", state, statements).check("absent", configuration)[1] is None


def test_reading_changes_no_digest():
    state = state_of({"a": "x"})
    before = state.digest()
    state.witness("b")
    assert (state.apply(get("a")), state.digest()) == ("x", before)
