"""The choice of the quorum from which Olympus goes on, against its definition (paper, section 3.3)."""

from collections import Counter
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bcr.chain.history import HistoryEntry, ValidHistory
from bcr.chain.quorum import QuorumPlan, are_consistent, candidates, choose_quorum, plan_for, withholders
from bcr.signed.signing import Signed
from bcr.signed.statements import Checkpoint, Order


def entry(slot, fork=0, signers=(0,)):
    """A slot's entry; entries of different forks order different requests."""
    order = Order(0, slot, bytes([fork]) * 32)
    return HistoryEntry(slot, (), tuple(Signed(order, signer, b"") for signer in signers))


def history(position, end, checkpoint=None, forks=None, state=0):
    """The slots behind a checkpoint up to `end`; `forks` says which slots are on another fork."""
    start = 0 if checkpoint is None else checkpoint + 1
    proved = None if checkpoint is None else Checkpoint(0, checkpoint, bytes([state]) * 32)
    entries = tuple(entry(slot, (forks or {}).get(slot, 0)) for slot in range(start, max(start, end)))
    return ValidHistory(position, proved, entries)


@st.composite
def many_histories(draw, t=None):
    """Histories of some replicas of a configuration: other ends, other checkpoints, forks."""
    t = draw(st.integers(1, 2)) if t is None else t
    found = {}
    for position in draw(st.sets(st.integers(0, 2 * t), max_size=2 * t + 1)):
        checkpoint = draw(st.sampled_from([None, None, 1, 3]))
        forks = draw(st.dictionaries(st.integers(0, 6), st.integers(1, 2), max_size=1))
        state = draw(st.sampled_from([0, 0, 0, 1]))
        found[position] = history(position, draw(st.integers(0, 7)), checkpoint, forks, state)
    return found, t + 1


def slots_of(one):
    return {entry.slot: entry.order_proof[0].statement for entry in one.entries}


def contradict(one, other):
    """By definition: two orders for one slot, or two states at one checkpoint."""
    mine, others = slots_of(one), slots_of(other)
    if any(mine[slot] != others[slot] for slot in mine.keys() & others.keys()):
        return True
    both = one.checkpoint is not None and other.checkpoint is not None
    return both and one.checkpoint.slot == other.checkpoint.slot and one.checkpoint != other.checkpoint


def is_usable(members):
    """By definition: no two contradict, and everybody can get each slot that it lacks from somebody."""
    if any(contradict(one, other) for one, other in combinations(members, 2)):
        return False
    held = set().union(*map(slots_of, members))
    longest = max(member.end for member in members)
    return all(slot in held for member in members for slot in range(member.end, longest))


@given(many_histories())
def test_a_quorum_is_found_exactly_where_the_definition_has_one(found_and_size):
    found, size = found_and_size
    usable = [quorum for quorum in combinations(sorted(found), size) if is_usable([found[i] for i in quorum])]
    plan, why_not = choose_quorum(found, size, {})
    assert (plan is not None) == bool(usable)
    assert plan is None or plan.quorum in usable
    assert not set(why_not) & set(usable)
    assert all(why_not.values())


@given(many_histories())
def test_members_that_execute_their_suffix_have_the_whole_longest_history(found_and_size):
    found, size = found_and_size
    plan, _ = choose_quorum(found, size, {})
    if plan is None:
        return
    members = [found[position] for position in plan.quorum]
    caught_up = [replace(member, entries=member.entries + plan.suffixes[member.position]) for member in members]
    assert {member.end for member in caught_up} == {plan.slots} == {max(member.end for member in members)}
    assert not any(contradict(one, other) for one, other in combinations(caught_up, 2))
    for member in caught_up:
        assert [entry.slot for entry in member.entries] == list(range(member.start, member.end))


@given(many_histories(), st.data())
def test_no_failed_quorum_is_chosen_again_and_the_search_ends(found_and_size, data):
    found, size = found_and_size
    failed, chosen = {}, []
    for _ in range(comb(len(found), size) + 1):
        plan, why_not = choose_quorum(found, size, failed, data.draw(st.sets(st.integers(0, 4))))
        if plan is None:
            break
        assert plan.quorum not in failed
        chosen.append(plan.quorum)
        failed |= why_not | {plan.quorum: "did not answer"}
    assert plan is None
    assert len(chosen) == len(set(chosen))
    assert set(chosen) == {quorum for quorum in combinations(sorted(found), size) if is_usable([found[i] for i in quorum])}


@given(many_histories(), st.sets(st.integers(0, 4)))
def test_every_quorum_is_a_candidate_once_and_those_with_fewer_suspects_come_first(found_and_size, suspects):
    found, size = found_and_size
    order = list(candidates(found, size, suspects))
    assert sorted(order) == list(combinations(sorted(found), size))
    counts = [len(suspects & set(quorum)) for quorum in order]
    assert counts == sorted(counts)


@given(many_histories())
def test_whether_histories_contradict_does_not_depend_on_who_is_asked(found_and_size):
    found, _ = found_and_size
    for one, other in combinations(found.values(), 2):
        assert are_consistent(one, other) == are_consistent(other, one) == (not contradict(one, other))


def test_there_is_no_quorum_of_fewer_than_t_plus_1_histories():
    assert choose_quorum({}, 2, {}) == (None, {})
    assert choose_quorum({0: history(0, 3)}, 2, {}) == (None, {})


def test_t_3_has_35_quorums():
    assert len(list(candidates({i: history(i, 2) for i in range(7)}, 4, set()))) == 35


def test_the_first_of_very_many_quorums_is_found_without_looking_at_the_others():
    assert choose_quorum({i: history(i, 2) for i in range(101)}, 51, {})[0].quorum == tuple(range(51))


def test_a_quorum_with_the_longest_history_comes_before_one_without():
    found = {0: history(0, 2), 1: history(1, 2), 2: history(2, 5)}
    plan, _ = choose_quorum(found, 2, {})
    assert (plan.quorum, plan.slots) == ((0, 2), 5)
    assert [each.slot for each in plan.suffixes[0]] == [2, 3, 4]
    assert plan.suffixes[2] == ()


def test_a_suspect_is_left_out_even_where_it_has_the_longest_history():
    found = {0: history(0, 2), 1: history(1, 2), 2: history(2, 5)}
    plan, _ = choose_quorum(found, 2, {}, suspects={2})
    assert plan.quorum == (0, 1)


def test_a_suspect_is_taken_where_there_is_no_other_quorum():
    plan, _ = choose_quorum({0: history(0, 2), 2: history(2, 5)}, 2, {}, suspects={2})
    assert plan.quorum == (0, 2)


def test_the_best_completed_checkpoint_fixes_where_the_longest_history_starts():
    plan = plan_for([history(0, 8, checkpoint=5), history(1, 6), history(2, 7, checkpoint=2)])
    assert isinstance(plan, QuorumPlan)
    assert plan.slots == 8
    assert [each.slot for each in plan.suffixes[1]] == [6, 7]
    assert [each.slot for each in plan.suffixes[2]] == [7]


def test_who_ends_before_the_others_checkpoint_cannot_be_caught_up():
    assert plan_for([history(0, 8, checkpoint=5), history(1, 4)]) == ("the history of replica 1 ends before a checkpoint of the others")


def test_who_ends_at_the_others_checkpoint_can_be_caught_up():
    plan = plan_for([history(0, 8, checkpoint=5), history(1, 6)])
    assert [each.slot for each in plan.suffixes[1]] == [6, 7]


def test_checkpoints_of_one_slot_with_different_states_contradict_each_other():
    why = plan_for([history(0, 4, checkpoint=3), history(1, 4, checkpoint=3, state=1)])
    assert why == "the histories of replicas 0 and 1 contradict each other"


def test_orders_that_differ_in_one_common_slot_contradict_each_other():
    why = plan_for([history(0, 4), history(2, 6, forks={2: 1})])
    assert why == "the histories of replicas 0 and 2 contradict each other"


def test_who_signed_an_order_that_its_own_history_lacks_is_a_suspect():
    whole = ValidHistory(1, None, (entry(0, signers=(0, 1)), entry(1, signers=(0, 1))))
    assert withholders({0: history(0, 1), 1: whole}) == {0}
    assert withholders({0: history(0, 2), 1: whole}) == set()
    assert withholders({1: whole}) == set()  # replica 0 has not answered, so it has hidden nothing


def test_who_signed_an_order_where_its_own_history_has_another_is_a_suspect():
    found = {0: history(0, 2, forks={1: 1}), 1: ValidHistory(1, None, (entry(0, signers=(0, 1)), entry(1, signers=(0, 1))))}
    assert withholders(found) == {0}


def test_of_two_forks_the_one_that_its_author_s_own_signatures_contradict_comes_last():
    honest = tuple(entry(slot, signers=(0, 1, 2)) for slot in range(2))
    found = {0: history(0, 2, forks={1: 1}), 3: history(3, 0), 4: history(4, 0)}
    found |= {position: ValidHistory(position, None, honest) for position in (1, 2)}
    assert choose_quorum(found, 3, {}, withholders(found))[0].quorum == (1, 2, 3)


def test_orders_below_a_replica_s_checkpoint_are_not_hidden():
    whole = ValidHistory(1, None, (entry(0, signers=(0, 1)),))
    assert withholders({0: history(0, 0, checkpoint=3), 1: whole}) == set()


def test_the_first_order_behind_a_replica_s_checkpoint_can_be_hidden():
    longer = ValidHistory(1, None, (entry(0, signers=(0, 1)), entry(1, signers=(0, 1))))
    assert withholders({0: history(0, 1, checkpoint=0), 1: longer}) == {0}


@pytest.mark.parametrize("t", [1, 2, 3, 10])
def test_one_liar_who_spoils_all_quorums_that_it_is_in_is_left_out_at_the_third(t):
    found = {position: history(position, 2) for position in range(2 * t + 1)}
    for liar in found:
        failed, blamed = {}, Counter()
        for _ in range(2):
            plan, _ = choose_quorum(found, t + 1, failed, blamed=blamed)
            if liar in plan.quorum:
                failed[plan.quorum] = "running states differ"
                blamed.update(plan.quorum)
        plan, _ = choose_quorum(found, t + 1, failed, blamed=blamed)
        assert liar not in plan.quorum


@given(st.integers(1, 5), st.data())
def test_liars_that_are_silent_cost_a_quorum_each_and_no_more(t, data):
    found = {position: history(position, 2) for position in range(2 * t + 1)}
    liars = data.draw(st.sets(st.sampled_from(sorted(found)), max_size=t))
    failed, blamed = {}, Counter()
    plan, _ = choose_quorum(found, t + 1, failed, blamed=blamed)
    while liars & set(plan.quorum):
        failed[plan.quorum] = "silent"
        blamed[min(liars & set(plan.quorum))] += 1  # whoever is asked first; the others go on as if they were correct
        plan, _ = choose_quorum(found, t + 1, failed, blamed=blamed)
    assert len(failed) <= len(liars)


def test_very_many_quorums_that_contradict_each_other_are_gone_through_in_a_moment():
    found = {position: history(position, 100, forks={5: position}) for position in range(13)}
    plan, why_not = choose_quorum(found, 7, {})
    assert plan is None
    assert len(why_not) == comb(13, 7)


@given(many_histories(), st.data())
def test_quorums_that_were_forgiven_come_behind_all_others_and_are_tried_all_the_same(found_and_size, data):
    found, size = found_and_size
    everyone = list(combinations(sorted(found), size))
    forgiven = data.draw(st.sets(st.sampled_from(everyone))) if everyone else set()
    suspects = data.draw(st.sets(st.integers(0, 4)))
    failed, chosen = {}, []
    while (answer := choose_quorum(found, size, failed, suspects, forgiven))[0] is not None:
        plan, why_not = answer
        chosen.append(plan.quorum)
        failed |= why_not | {plan.quorum: "did not answer"}
    usable = [quorum for quorum in everyone if is_usable([found[i] for i in quorum])]
    assert sorted(chosen) == usable
    was_forgiven = [quorum in forgiven for quorum in chosen]
    assert was_forgiven == sorted(was_forgiven)
    for turn in (True, False):
        counts = [len(suspects & set(quorum)) for quorum in chosen if (quorum in forgiven) == turn]
        assert counts == sorted(counts)


def test_who_is_late_again_and_again_does_not_keep_a_quorum_of_others_waiting():
    found = {position: history(position, 2) for position in range(3)}
    assert choose_quorum(found, 2, {}, forgiven={(0, 1)})[0].quorum == (0, 2)
    assert choose_quorum(found, 2, {(0, 2): "", (1, 2): ""}, forgiven={(0, 1)})[0].quorum == (0, 1)


@pytest.mark.parametrize("whose", [0, 1])
def test_of_two_histories_neither_goes_with_the_other_where_one_disowns_what_the_other_signed(whose):
    one, other, third = (history(position, 2) for position in range(3))
    if whose == 0:
        one = replace(one, disowned=frozenset({1}))
    else:
        other = replace(other, disowned=frozenset({0}))
    assert not are_consistent(one, other)
    assert are_consistent(one, third) and are_consistent(third, other)
    assert plan_for([one, other]) == "the histories of replicas 0 and 1 contradict each other"


def test_who_was_blamed_for_nothing_has_its_turn_as_who_is_not_named():
    assert next(candidates({position: history(position, 2) for position in range(3)}, 2, set(), {0: 0})) == (0, 1)


class Asked(frozenset):
    """Suspects who count how often somebody asks which of them a quorum holds."""

    times = 0

    def __and__(self, others):
        self.times += 1
        assert self.times < 100
        return super().__and__(others)


def test_a_quorum_without_suspects_is_found_without_looking_at_those_with_some():
    found = {position: history(position, 2) for position in range(41)}
    assert next(candidates(found, 21, Asked(range(20)))) == tuple(range(20, 41))
