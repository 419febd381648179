"""Merkle trees: what a path shows, and what none can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.signed.merkle import Tree, root_above
from bcr.signed.violations import MalformedMessage

LEAVES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


@given(LEAVES, LEAVES)
def test_a_root_stands_for_its_leaves_in_their_order(one, other):
    assert (Tree("d", one).root == Tree("d", other).root) == (one == other)


@given(LEAVES)
def test_every_leaf_s_path_leads_to_the_root(leaves):
    tree = Tree("d", leaves)
    for index, leaf in enumerate(leaves):
        assert root_above("d", leaf, index, len(leaves), tree.path(index)) == tree.root


@given(LEAVES)
def test_a_path_is_as_long_as_the_tree_is_high_or_shorter(leaves):
    tree = Tree("d", leaves)
    assert max(len(tree.path(index)) for index in range(len(leaves))) == (len(leaves) - 1).bit_length()
    assert sum(len(tree.path(index)) for index in range(len(leaves))) <= len(leaves) * (len(leaves) - 1).bit_length()


@given(LEAVES, st.data())
def test_no_path_shows_a_leaf_at_another_place_or_in_a_list_of_another_length(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    place, size = data.draw(st.integers(-2, 50)), data.draw(st.integers(-2, 50))
    tree = Tree("d", leaves)
    if (place, size) == (index, len(leaves)) or (0 <= place < len(leaves) == size and leaves[place] == leaves[index]):
        return
    try:
        assert root_above("d", leaves[index], place, size, tree.path(index)) != tree.root
    except MalformedMessage:
        pass


@pytest.mark.parametrize("path", [(), (bytes(32),), (bytes(32),) * 3, (bytes(31), bytes(32))])
def test_a_path_of_another_length_or_of_no_digests_is_refused(path):
    with pytest.raises(MalformedMessage, match="path"):
        root_above("d", bytes(32), 1, 4, path)


def test_trees_of_one_purpose_do_not_serve_another():
    assert Tree("d", [bytes(32)] * 3).root != Tree("e", [bytes(32)] * 3).root


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_behind_the_last_leaf_there_is_none(size):
    tree = Tree("d", [bytes([each]) * 32 for each in range(size)])
    with pytest.raises(MalformedMessage):
        root_above("d", bytes(32), size, size, tree.path(size - 1))
    with pytest.raises(MalformedMessage):
        root_above("d", bytes(32), size, size, ())
