"""Merkle trees: what a path shows, and what none can."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.signed import merkle
from bcr.signed.encoding import digest
from bcr.signed.merkle import MOST_KNOWN, Tree, root_above
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


def siblings_above(level, place):
    """The path from a place of a level, and the node at the top, as specification 2.5 says them."""
    if len(level) == 1:
        return (), level[0]
    above = [digest("d node", tuple(level[at : at + 2])) if at + 1 < len(level) else level[at] for at in range(0, len(level), 2)]
    path, top = siblings_above(above, place // 2)
    sibling = place - 1 if place % 2 else place + 1
    return (level[sibling], *path) if sibling < len(level) else path, top


@given(LEAVES)
def test_a_path_holds_the_siblings_from_the_leaf_upwards_and_a_last_one_without_has_none_there(leaves):
    tree = Tree("d", leaves)
    for index in range(len(leaves)):
        path, top = siblings_above(leaves, index)
        assert (tree.path(index), tree.root) == (path, digest("d", (len(leaves), top)))


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


# -- what earlier paths came to

LEAF = [bytes([each]) * 32 for each in range(3)]
EDITS = (
    "none",
    "none",
    "none",
    "none",
    "no digest",
    "shorter",
    "longer",
    "other sibling",
    "other place",
    "other size",
    "other leaf",
    "as a list",
)


@cache
def some_tree(size, which):
    return Tree("d", [LEAF[(place * place + which) % 3] for place in range(size)])


@st.composite
def drawn_paths(draw):
    """A leaf, its place, the size, and a path, mostly right; what is wrong is wrong in one respect."""
    size, which = draw(st.sampled_from([1, 2, 3, 5, 6, 8])), draw(st.integers(0, 1))
    place = draw(st.integers(0, size - 1))
    leaf, path, edit = some_tree(size, which).leaves[place], some_tree(size, which).path(place), draw(st.sampled_from(EDITS))
    at = draw(st.integers(0, max(0, len(path) - 1)))
    if edit == "no digest":
        path = (*path[:at], draw(st.sampled_from([b"", bytes(31), bytes(33)])), *path[at + 1 :])
    elif edit == "shorter":
        path = path[:at]
    elif edit == "longer":
        path = (*path, draw(st.sampled_from([bytes(32), b""])))
    elif edit == "other sibling":
        path = (*path[:at], bytes(32), *path[at + 1 :])
    elif edit == "other place":
        place = draw(st.integers(-1, 9))
    elif edit == "other size":
        size = draw(st.integers(-1, 9))
    elif edit == "other leaf":
        leaf = draw(st.sampled_from(LEAF))
    elif edit == "as a list":
        path = list(path)
    return leaf, place, size, path


def outcome_of(arguments, known=None):
    """The root, or the words and the evidence with which there is none."""
    try:
        return root_above("d", *arguments, known)
    except MalformedMessage as error:
        return str(error), error.evidence


@given(st.lists(drawn_paths(), max_size=25), st.sampled_from([0, 3, 10, 4096]))
def test_whatever_paths_were_seen_before_right_or_wrong_a_path_comes_to_what_it_comes_to_by_itself(paths, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merkle, "MOST_KNOWN", most)
        known = {}
        for each in paths:
            assert outcome_of(each, known) == outcome_of(each)
            assert len(known) <= most + 1 + 3  # and a path of the largest of these trees


def test_of_paths_without_end_no_more_is_remembered_than_the_limit_and_a_path():
    known = {}
    for number in range(2 * MOST_KNOWN):
        root_above("d", bytes(32), number % 256, 256, [bytes([number % 251]) * 32] * 8, known)
        assert len(known) <= MOST_KNOWN + 8
    for size in range(2, 2 * MOST_KNOWN):  # each at places of its own
        root_above("d", bytes(32), size - 1, size, [bytes(32)] * len(path_to_last(size)), known)
        assert len(known) <= MOST_KNOWN + 13


def path_to_last(size):
    """A sibling for each level at which the last of so many has one."""
    siblings, place, width = [], size - 1, size
    while width > 1:
        siblings += [width] * (place ^ 1 < width)
        place, width = place >> 1, (width + 1) >> 1
    return siblings


def test_what_paths_have_in_common_is_computed_once(monkeypatch):
    tree = Tree("d", [bytes([each]) * 32 for each in range(64)])
    hashed = []
    monkeypatch.setattr(merkle, "digest", lambda domain, value: hashed.append(value) or digest(domain, value))
    known = {}
    costs = []
    for index, leaf in enumerate(tree.leaves):
        before = len(hashed)
        assert root_above("d", leaf, index, 64, tree.path(index), known) == tree.root
        costs.append(len(hashed) - before)
    # The first goes all the way to the root, and whoever comes next to where one has been, or the sibling of one.
    assert (costs[0], costs[1], costs[2], costs[3], costs[32]) == (7, 0, 1, 0, 5)
    assert sum(costs) == 64
    assert [root_above("d", leaf, index, 64, tree.path(index), known) for index, leaf in enumerate(tree.leaves)] == [tree.root] * 64
    assert len(hashed) == sum(costs)


@pytest.mark.parametrize("size, index, cost", [(64, 0, 7), (64, 63, 7), (5, 4, 2), (6, 4, 3)])
def test_a_path_that_comes_again_costs_nothing_though_none_of_its_siblings_has_come(monkeypatch, size, index, cost):
    tree = Tree("d", [bytes([each]) * 32 for each in range(size)])
    hashed = []
    monkeypatch.setattr(merkle, "digest", lambda domain, value: hashed.append(value) or digest(domain, value))
    known = {}
    for _ in range(3):
        assert root_above("d", tree.leaves[index], index, size, tree.path(index), known) == tree.root
        assert len(hashed) == cost


def test_what_fills_the_memory_of_paths_to_its_limit_is_kept_and_what_is_over_it_makes_room_for_all(monkeypatch):
    monkeypatch.setattr(merkle, "MOST_KNOWN", 3)
    tree, known, counts = Tree("d", [bytes([each]) * 32 for each in range(8)]), {}, []
    for index in (0, 4, 2):
        root_above("d", tree.leaves[index], index, 8, tree.path(index), known)
        counts.append(len(known))
    assert counts == [3, 6, 2]


def test_the_paths_of_a_tree_are_made_once():
    tree = Tree("d", [bytes(32)] * 5)
    assert all(tree.path(index) is tree.path(index) for index in range(5))
