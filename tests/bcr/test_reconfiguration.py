"""One reconfiguration as Olympus sees it: whatever replicas answer, and in whatever order, it ends."""

from contextlib import suppress
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, changed, get, put
from msgspec.structs import replace

from bcr.chain import reconfiguration
from bcr.chain.history import CatchingUp, WithState
from bcr.chain.proofs import Vouched
from bcr.chain.quorum import plan_for
from bcr.chain.reconfiguration import Reconfiguration, Wish
from bcr.signed.pieces import PROGRESS_STEPS
from bcr.signed.signing import Signed
from bcr.signed.statements import Outcome
from bcr.signed.violations import Hole, InvalidSignature, MalformedMessage, OverLimit, ProtocolViolation

# A replica that answers later than Olympus waits is as correct as others: what failed by its silence is tried again.
MOST_SLOTS = 10
HONEST = ("prompt", "late", "late at catch_up", "late at the end")
FAULTY = ("silent", "invalid history", "truncated history", "silent at catch_up", "other digest", "other state",
          "silent at the end")  # fmt: skip
ACCIDENTS = ("silent", "silent at catch_up", "silent at the end")


def make_chain(t=1, slots=4, authentication="ed25519"):
    chain = MemoryChain(t, authentication=authentication)
    chain.serve(0, put("k", ""))
    for slot in range(1, slots):
        chain.serve(slot % 2, append("k", str(slot)))
    return chain


def ready(chain, positions=None, ends=None):
    """The reconfiguration once these replicas' histories are in."""
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    for position in chain.positions() if positions is None else positions:
        hear(change, chain.wedged(position, (ends or {}).get(position)))
    return change


def hear(change, wedged):
    """A history comes in and is checked, slot by slot. Raises a ProtocolViolation where it is not valid."""
    change.add_wedged(wedged)
    while change.is_checking():
        change.check_some(1)


def catch_up(change, chain, plan):
    for position in change.lacking(plan):
        change.add_caught_up(chain.caught_up(position, plan.slots, attempt=change.attempt))


class Drive:
    """Does what Olympus does, with replicas of every kind; `late` answers arrive when nothing else is left to do."""

    def __init__(self, chain, kinds, ends, checkpoint):
        self.chain, self.kinds, self.ends, self.checkpoint = chain, kinds, ends, checkpoint
        self.change = Reconfiguration(chain.configuration, MOST_SLOTS)
        self.pending = []
        self.answered = set()

    def wedged(self, position):
        kind, end = self.kinds[position], self.ends[position]
        checkpoint = self.checkpoint if self.checkpoint is not None and end > self.checkpoint else None
        signed = self.chain.wedged(position, end, checkpoint)
        if kind == "truncated history":
            signed = self.chain.sign(changed(signed.statement, history=signed.statement.history[:-2]), position)
        if kind == "invalid history":
            signed = self.chain.sign(changed(signed.statement, history=signed.statement.history[1:] * 2), position)
        return signed

    def caught_up(self, position, slots):
        wrong = bytes(32) if self.kinds[position] == "other digest" else None
        return self.chain.caught_up(position, slots, wrong, self.change.attempt)

    def add_wedged(self, wedged):
        with suppress(ProtocolViolation):
            hear(self.change, wedged)

    def to_the_end(self):
        """The plan that was agreed on, or None; never more steps than there can be."""
        for position, kind in enumerate(self.kinds):
            if kind == "late":
                self.pending.append((self.add_wedged, self.wedged(position)))
            elif kind != "silent":
                self.add_wedged(self.wedged(position))
        n = len(self.kinds)
        for _ in range((n + 1) * comb(n, n // 2 + 1) * (n + 1) + 2 * n + 1):
            plan = self.change.next_plan()
            if plan is not None:
                assert self.change.tried.count(plan.quorum) <= 1 + len(plan.quorum)
                if self.is_agreed(plan):
                    return plan
            elif self.pending:
                take, answer = self.pending.pop()
                take(answer)
            else:
                return None
        raise AssertionError("the search does not end")

    def hear_running_state(self, position):
        """It comes when nobody waits for it any more; asked again, the replica answers at once."""
        self.answered.add(position)
        assert not self.change.add_running_state(self.chain.running_state(position), None)

    def is_agreed(self, plan):
        for position in self.change.lacking(plan):
            if self.kinds[position] == "late at catch_up" and position not in self.answered:
                self.answered.add(position)
                self.pending.append((self.change.add_caught_up, self.caught_up(position, plan.slots)))
            elif self.kinds[position] != "silent at catch_up":
                self.change.add_caught_up(self.caught_up(position, plan.slots))
        if self.change.lacking(plan):
            self.change.fail(plan, "did not catch up in time", self.change.lacking(plan))
            return False
        digest = self.change.settle_digests(plan)
        if digest is None:
            return False
        for position in plan.quorum:
            if self.kinds[position] in ("silent at the end", "late at the end") and position not in self.answered:
                self.change.fail(plan, "did not give its running state in time", [position])
                if self.kinds[position] == "late at the end":
                    self.pending.append((self.hear_running_state, position))
                return False
            slots = 0 if self.kinds[position] == "other state" else plan.slots
            if self.change.add_running_state(self.chain.running_state(position, slots), digest):
                return True
        self.change.fail(plan, "no running state")
        return False


@st.composite
def drives(draw, most_faulty, authentication="ed25519", faults=FAULTY, honest=HONEST):
    """A wedged chain: replica i has executed no more than its predecessor, and some have faults."""
    t = draw(st.sampled_from([1, 1, 2]))
    slots = draw(st.integers(1, 4))
    chain = make_chain(t, slots, authentication)
    n = len(chain.positions())
    ends = sorted(draw(st.lists(st.integers(0, slots), min_size=n, max_size=n)), reverse=True)
    faulty = draw(st.sets(st.integers(0, n - 1), max_size=most_faulty(t)))
    kinds = [draw(st.sampled_from(faults if i in faulty else honest)) for i in range(n)]
    # A checkpoint is completed at the tail, so every replica has executed its slot.
    checkpoint = draw(st.sampled_from([None, ends[-1] - 1])) if ends[-1] else None
    return Drive(chain, kinds, ends, checkpoint)


@given(drives(most_faulty=lambda t: t, authentication="hmac"))
def test_with_macs_and_t_faulty_replicas_there_is_a_quorum_too(drive):
    plan = drive.to_the_end()
    assert plan is not None
    assert drive.change.snapshot == drive.chain.snapshots[plan.slots]


@given(drives(most_faulty=lambda t: t))
def test_with_t_faulty_replicas_there_is_a_quorum_and_its_state_is_the_right_one(drive):
    plan = drive.to_the_end()
    assert plan is not None
    assert drive.change.snapshot == drive.chain.snapshots[plan.slots]
    honest_ends = [end for end, kind in zip(drive.ends, drive.kinds, strict=True) if kind in HONEST]
    assert plan.slots >= min(honest_ends)


@given(drives(most_faulty=lambda t: t, authentication="crc", faults=ACCIDENTS))
def test_with_checksums_one_replica_that_is_left_is_enough_and_the_longest_history_is_taken(drive):
    plan = drive.to_the_end()
    assert plan is not None
    assert len(plan.quorum) == 1
    assert drive.change.snapshot == drive.chain.snapshots[plan.slots]
    # What a client has an answer to every replica has executed.
    assert plan.slots >= min(drive.ends)
    heard = [drive.ends[i] for i, kind in enumerate(drive.kinds) if kind == "prompt"]
    assert plan.slots >= max(heard, default=0)


def test_the_word_of_one_replica_alone_is_not_vouched_for_where_more_are_needed():
    chain = make_chain(authentication="crc")
    change = ready(chain)
    plan = change.next_plan()
    catch_up(change, chain, plan)
    assert len(plan.quorum) == 1
    assert change.vouchers(plan) == []


@given(drives(most_faulty=lambda t: 2 * t + 1))
def test_with_any_number_of_faulty_replicas_the_search_ends(drive):
    plan = drive.to_the_end()
    assert plan is not None or drive.change.snapshot is None


def test_nothing_can_be_agreed_on_before_t_plus_1_histories_are_in():
    chain = make_chain(t=2)
    change = ready(chain, [0, 3])
    assert change.next_plan() is None
    hear(change, chain.wedged(4))
    assert change.next_plan().quorum == (0, 3, 4)


def test_a_replica_s_first_history_counts():
    chain = make_chain()
    change = ready(chain, [0, 1], {0: 4, 1: 2})
    hear(change, chain.wedged(1, 4))
    assert change.histories[1].end == 2
    assert change.answered() == 2


def test_an_invalid_history_is_its_replica_s_answer_and_told():
    chain = make_chain()
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    holed = chain.wedged(1).statement
    with pytest.raises(Hole):
        hear(change, chain.sign(changed(holed, history=holed.history[1:]), 1))
    assert change.answered() == 1
    assert change.invalid[1].startswith("Hole: ")


def test_a_history_that_its_replica_did_not_sign_is_nobody_s_answer():
    chain = make_chain()
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    with pytest.raises(InvalidSignature):
        change.add_wedged(changed(chain.wedged(1), signer=2))
    assert change.answered() == 0


@pytest.mark.parametrize("position", [-1, 3, 10**6])
def test_answers_of_replicas_that_are_not_there_are_violations_and_no_errors(position):
    chain = make_chain()
    change = ready(chain)
    for take, answer in (
        (change.add_wedged, chain.wedged(1)),
        (change.add_caught_up, chain.caught_up(1)),
        (lambda signed: change.add_running_state(WithState(signed, chain.snapshots[-1]), b""), chain.running_state(1).signed),
    ):
        with pytest.raises(ProtocolViolation):
            take(changed(answer, signer=position))


def test_a_caught_up_of_a_replica_whose_history_is_not_in_is_ignored():
    chain = make_chain()
    change = ready(chain, [0, 2])
    heard = change.heard_from()
    change.add_caught_up(chain.caught_up(1))
    assert change.heard_from() == heard


def test_a_caught_up_that_nobody_asked_for_is_ignored():
    chain = make_chain()
    change = ready(chain)
    heard = change.heard_from()
    for attempt in range(5):
        change.add_caught_up(chain.caught_up(1, attempt=attempt))
    assert change.heard_from() == heard


def test_a_quorum_whose_digests_differ_has_failed_and_is_not_tried_again():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    first, second = plan.quorum
    change.add_caught_up(chain.caught_up(first))
    change.add_caught_up(chain.caught_up(second, state_digest=bytes(32)))
    assert change.settle_digests(plan) is None
    assert change.why_not()[plan.quorum] == f"running states differ: [{first}] against [{second}]"
    assert change.next_plan().quorum != plan.quorum


def digests_of_liars(change, chain, plan, liars, draw):
    """The members answer, the liars among them one of three digests each as is drawn, and at least one of them a wrong one."""
    states = [None, bytes(32), bytes([1]) * 32]
    lies = {position: draw(st.sampled_from(states)) for position in plan.quorum if position in liars}
    if not any(lies.values()):
        lies[min(lies)] = states[1]
    for position in plan.quorum:
        change.add_caught_up(chain.caught_up(position, plan.slots, lies.get(position), change.attempt))
    return lies


@settings(max_examples=60)
@given(st.sampled_from([1, 2, 3, 3, 4, 4, 5]), st.data())
def test_liars_whose_digests_differ_cost_no_more_than_one_and_a_half_quorums_each_whatever_they_answer(t, data):
    chain = make_chain(t, slots=2)
    ends = {position: data.draw(st.integers(1, 2)) for position in chain.positions()}
    # A replica orders nothing that its predecessor has not.
    change = ready(chain, ends=dict(enumerate(sorted(ends.values(), reverse=True))))
    liars = data.draw(st.sets(st.sampled_from(list(chain.positions())), min_size=t, max_size=t))
    failed = 0
    while liars & {*(plan := change.next_plan()).quorum}:
        digests_of_liars(change, chain, plan, liars, data.draw)
        assert change.settle_digests(plan) is None
        failed += 1
        assert failed <= (3 * t + 1) // 2
    assert not liars & {*plan.quorum}
    catch_up(change, chain, plan)
    assert change.settle_digests(plan) is not None


def test_of_two_members_that_differed_no_later_quorum_holds_both_also_when_what_was_late_is_forgiven():
    chain = make_chain(t=2)
    change = ready(chain)
    first = change.next_plan()
    for position in first.quorum:
        change.add_caught_up(chain.caught_up(position, first.slots, bytes(32) if position == 2 else None, change.attempt))
    assert (first.quorum, change.settle_digests(first)) == ((0, 1, 2), None)
    change.begin_anew()
    following = []
    while (plan := change.next_plan()) is not None:
        following.append(plan.quorum)
        change.fail(plan, "no member gives a running state")
    assert following
    assert not [quorum for quorum in following if {0, 2} <= {*quorum} or {1, 2} <= {*quorum}]
    assert {(0, 1, 3), (0, 1, 4), (0, 3, 4), (1, 3, 4), (2, 3, 4)} == {*following}
    assert change.why_not()[0, 2, 3] == "the running states of replicas 0 and 2 differed before"


def test_a_silent_replica_is_left_out_until_it_answers():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    change.fail(plan, "too late", [plan.quorum[0]])
    following = change.next_plan()
    assert plan.quorum[0] not in following.quorum
    change.fail(following, "too late", [following.quorum[0]])
    assert change.next_plan() is None
    change.add_caught_up(chain.caught_up(plan.quorum[0]))
    assert plan.quorum[0] in change.next_plan().quorum


def test_a_quorum_that_failed_by_silence_gets_as_many_more_chances_as_it_has_members_when_all_silent_ones_have_answered():
    chain = make_chain()
    change = ready(chain, [0, 1])
    plan = change.next_plan()
    change.fail(plan, "too late", [0, 1])
    change.add_caught_up(chain.caught_up(0))
    assert change.next_plan() is None
    change.add_caught_up(chain.caught_up(1))
    assert change.next_plan().quorum == plan.quorum
    for position in plan.quorum:
        change.fail(plan, "no running state in time", [position])
        change.add_running_state(chain.running_state(position), None)
        following = change.next_plan()
    assert following is None


def test_two_correct_replicas_that_are_late_for_different_things_make_a_quorum_all_the_same():
    chain = make_chain()
    change = ready(chain, [0, 1])
    plan = change.next_plan()
    change.fail(plan, "too late", [0])
    change.add_caught_up(chain.caught_up(0))
    plan = change.next_plan()
    change.fail(plan, "no running state in time", [1])
    change.add_running_state(chain.running_state(1), None)
    assert change.next_plan().quorum == (0, 1)


def test_all_members_that_are_late_are_silent_at_once():
    chain = make_chain(t=2)
    change = ready(chain)
    plan = change.next_plan()
    change.fail(plan, "too late", plan.quorum[:2])
    assert set(change.next_plan().quorum) == set(chain.positions()) - set(plan.quorum[:2])


def test_every_attempt_begins_with_the_histories_as_they_were_wedged():
    chain = make_chain()
    change = ready(chain, ends={0: 4, 1: 1, 2: 1})
    plan = change.next_plan()
    assert [entry.slot for entry in plan.suffixes[1]] == [1, 2, 3]
    change.add_caught_up(chain.caught_up(1))
    change.fail(plan, "too late", [0])
    following = change.next_plan()
    assert following.quorum == (1, 2)
    assert following.suffixes == {1: (), 2: ()}


def test_the_answer_to_an_earlier_attempt_is_none_to_this_one():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    change.fail(plan, "too late", [plan.quorum[0]])
    following = change.next_plan()
    change.add_caught_up(chain.caught_up(following.quorum[0], attempt=1))
    assert change.lacking(following) == list(following.quorum)
    change.add_caught_up(chain.caught_up(following.quorum[0], attempt=2))
    assert change.lacking(following) == [following.quorum[1]]


@pytest.mark.parametrize("t", [1, 2, 3])
def test_olympus_vouches_for_what_the_whole_quorum_says_a_client_s_request_gave(t):
    chain = make_chain(t)
    change = ready(chain)
    plan = change.next_plan()
    catch_up(change, chain, plan)
    vouchers = change.vouchers(plan)
    assert [(each.client, each.number) for each in vouchers] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for each in vouchers:
        vouched = Vouched(Signed.sign(each, 0, chain.keys_of("olympus")))
        vouched.demand_for(chain.requests[each.client][each.number], chain.configuration.olympus)
        done = chain.slots[each.slot]
        assert vouched.outcome == done.answer(each.client, each.number, ()).outcome


ALTERED = {
    "no answer": None,
    "another outcome": {"outcome": Outcome(0, 0, 0, ("a lie",))},
    "another slot": {"slot": 3},
    "another request": {"request_digest": bytes(32)},
}


@pytest.mark.parametrize("alteration", ALTERED)
@pytest.mark.parametrize("liar", [0, 1])
def test_an_answer_that_one_member_gives_otherwise_or_not_is_not_vouched_for(alteration, liar):
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    for place, position in enumerate(plan.quorum):
        honest = chain.caught_up(position).statement
        first, *others = honest.answers
        if place == liar:
            fields = ALTERED[alteration]
            altered = (*others,) if fields is None else (changed(first, **fields), *others)
            honest = changed(honest, answers=altered)
        change.add_caught_up(chain.sign(honest, position))
    assert [(each.client, each.number) for each in change.vouchers(plan)] == [(0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("client", [-1, 2, 10**6])
def test_whom_a_voucher_is_for_the_quorum_says_and_whether_there_is_such_a_client_olympus(client):
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    for position in plan.quorum:
        honest = chain.caught_up(position).statement
        answers = tuple(changed(each, client=client) for each in honest.answers)
        change.add_caught_up(chain.sign(changed(honest, answers=answers), position))
    assert {each.client for each in change.vouchers(plan)} == {client}


def test_a_running_state_with_another_digest_than_the_quorum_s_is_refused():
    chain = make_chain()
    chain.serve(0, get("k"))
    change = ready(chain)
    digest = chain.snapshots[-1].digest()
    assert not change.add_running_state(chain.running_state(0, slots=2), digest)
    assert change.snapshot is None
    assert change.add_running_state(chain.running_state(1), digest)
    assert change.snapshot == chain.state.snapshot()


def test_a_state_that_a_replica_did_not_sign_says_nothing_of_the_replica():
    chain = make_chain()
    change = ready(chain)
    own, other = chain.running_state(0), chain.running_state(0, slots=2)
    for wrong in (WithState(own.signed, other.snapshot), WithState(other.signed, own.snapshot)):
        with pytest.raises(MalformedMessage):
            change.add_running_state(wrong, own.snapshot.digest())
        assert change.snapshot is None
    assert change.add_running_state(own, own.snapshot.digest())


def test_who_owes_a_history_is_known_whatever_the_others_sent():
    chain = make_chain()
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    assert change.owing() == [0, 1, 2]
    hear(change, chain.wedged(2))
    with pytest.raises(ProtocolViolation):
        hear(change, chain.sign(changed(chain.wedged(0).statement, history=chain.wedged(0).statement.history[1:]), 0))
    assert change.owing() == [1]


# -- histories are checked a few slots at a time


def test_a_history_that_has_come_is_an_answer_before_it_is_checked():
    chain = make_chain()
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    change.add_wedged(chain.wedged(1))
    assert (change.answered(), change.owing(), change.is_checking()) == (1, [0, 2], True)
    assert change.histories == {}
    change.check_some(3)
    assert change.is_checking()
    change.check_some(3)
    assert not change.is_checking()
    assert change.histories[1].end == 4
    assert change.answered() == 1


def test_a_second_history_of_a_replica_does_not_take_the_place_of_one_that_is_being_checked():
    chain = make_chain()
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    change.add_wedged(chain.wedged(1))
    change.check_some(1)
    change.add_wedged(chain.wedged(1, 2))
    while change.is_checking():
        change.check_some(1)
    assert change.histories[1].end == 4


def test_an_over_long_history_is_its_replica_s_answer_and_not_valid():
    chain = make_chain()
    change = Reconfiguration(chain.configuration, 3)
    with pytest.raises(OverLimit):
        hear(change, chain.wedged(1))
    assert (change.answered(), list(change.invalid)) == (1, [1])
    hear(change, chain.wedged(0, 3))
    assert list(change.histories) == [0]


@given(st.permutations(range(3)), st.lists(st.integers(1, 3), max_size=20))
def test_histories_that_come_one_behind_the_other_are_all_checked(order, sizes):
    chain = make_chain()
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    for position in order:
        change.add_wedged(chain.wedged(position))
    for size in sizes:
        if change.is_checking():
            change.check_some(size)
    while change.is_checking():
        change.check_some(1)
    assert {position: history.end for position, history in change.histories.items()} == {0: 4, 1: 4, 2: 4}


# -- waiting on


def test_what_may_yet_come_is_a_history_that_is_owed_and_whatever_a_silent_replica_owes():
    chain = make_chain()
    change = ready(chain, [0, 1])
    assert change.awaits() == {2}
    plan = change.next_plan()
    change.fail(plan, "too late", [1])
    assert change.awaits() == {1, 2}
    hear(change, chain.wedged(2))
    assert change.awaits() == {1}
    change.add_caught_up(chain.caught_up(1))
    assert change.awaits() == set()


def test_a_replica_whose_history_is_not_valid_is_not_awaited():
    chain = make_chain()
    change = ready(chain, [0])
    holed = chain.wedged(1).statement
    with pytest.raises(Hole):
        hear(change, chain.sign(changed(holed, history=holed.history[1:]), 1))
    assert change.awaits() == {2}


def test_when_the_replicas_are_wedged_again_every_quorum_may_be_late_once_more_as_often_as_it_has_members():
    chain = make_chain()
    change = ready(chain, [0, 1])
    tries = []
    for _ in range(3):
        tried = len(change.tried)
        while (plan := change.next_plan()) is not None:
            change.fail(plan, "too late", [0])
            hear(change, chain.wedged(0))
        tries.append(len(change.tried) - tried)
        heard = change.heard_from()
        change.begin_anew()
        assert change.heard_from() != heard
    assert tries == [3, 2, 2]  # the first is no second chance


def test_what_did_not_fail_by_silence_has_failed_for_good():
    chain = make_chain()
    change = ready(chain, [0, 1])
    plan = change.next_plan()
    change.fail(plan, "running states differ")
    change.begin_anew()
    assert change.next_plan() is None


def test_who_is_silent_still_is_not_tried_again_when_the_replicas_are_wedged_again():
    chain = make_chain()
    change = ready(chain, [0, 1])
    plan = change.next_plan()
    change.fail(plan, "too late", [1])
    change.begin_anew()
    assert change.next_plan() is None
    hear(change, chain.wedged(1))
    assert change.next_plan().quorum == (0, 1)


def test_a_quorum_that_was_forgiven_comes_behind_those_that_have_not_failed():
    chain = make_chain()
    change = ready(chain)
    assert change.next_plan().quorum == (0, 1)
    change.fail(plan_of(change, (0, 1)), "too late", [0])
    change.add_caught_up(chain.caught_up(0))
    assert change.next_plan().quorum == (1, 2)  # of those that have not failed: who was silent stands in the others
    change.fail(plan_of(change, (1, 2)), "no running state")
    assert change.next_plan().quorum == (0, 2)
    change.fail(plan_of(change, (0, 2)), "no running state")
    assert change.next_plan().quorum == (0, 1)


def plan_of(change, quorum):
    plan = plan_for(change.histories[position] for position in quorum)
    assert plan.quorum == quorum
    return plan


# -- long catch-ups


@pytest.fixture
def slices_of_one(monkeypatch):
    monkeypatch.setattr(reconfiguration, "CATCH_UP_SLICE_REQUESTS", 1)


def test_what_is_executed_in_one_slice_makes_no_steps_whatever_its_replica_says():
    chain = make_chain(slots=9)
    change = ready(chain, [0, 1], {1: 1})
    plan = change.next_plan()
    for slots in range(10):
        change.add_catching_up(progress(chain, 1, slots))
    assert change.catch_up_steps(plan) == 0


def progress(chain, position, slots, attempt=1):
    return chain.sign(CatchingUp(chain.configuration.number, attempt, slots), position)


def test_the_steps_of_a_catch_up_rise_with_what_is_executed_and_end(slices_of_one):
    chain = make_chain(slots=10)
    change = ready(chain, [0, 1], {1: 1})
    plan = change.next_plan()
    seen = [change.catch_up_steps(plan)]
    for slots in (0, 1, 3, 5, 7, 10, 10**9):
        change.add_catching_up(progress(chain, 1, slots))
        seen.append(change.catch_up_steps(plan))
    assert seen == sorted(seen)
    assert seen[:3] == [0, 0, 0]
    assert seen[-1] == seen[-2] == PROGRESS_STEPS
    change.add_caught_up(chain.caught_up(1))
    assert change.catch_up_steps(plan) == PROGRESS_STEPS
    change.add_caught_up(chain.caught_up(0))
    assert change.catch_up_steps(plan) == 2 * PROGRESS_STEPS


def test_a_replica_s_word_on_how_far_it_is_never_takes_back_an_earlier_one(slices_of_one):
    chain = make_chain(slots=9)
    change = ready(chain, [0, 1], {1: 1})
    plan = change.next_plan()
    change.add_catching_up(progress(chain, 1, 5))
    steps = change.catch_up_steps(plan)
    change.add_catching_up(progress(chain, 1, 2))
    change.add_catching_up(progress(chain, 1, -(10**9)))
    assert change.catch_up_steps(plan) == steps


def test_a_member_that_lacks_nothing_makes_no_steps_by_saying_how_far_it_is():
    chain = make_chain()
    change = ready(chain, [0, 1], {1: 1})
    plan = change.next_plan()
    change.add_catching_up(progress(chain, 0, 4))
    assert change.catch_up_steps(plan) == 0


def test_what_a_replica_says_of_an_earlier_attempt_is_no_step_of_this_one(slices_of_one):
    chain = make_chain(slots=10)
    change = ready(chain, ends={1: 1, 2: 1})
    plan = change.next_plan()
    change.add_catching_up(progress(chain, 1, 10))
    assert change.catch_up_steps(plan) > 0
    change.fail(plan, "running states differ")
    following = change.next_plan()
    change.add_catching_up(progress(chain, 2, 10, attempt=1))
    assert change.catch_up_steps(following) == 0
    change.add_catching_up(progress(chain, 2, 10, attempt=2))
    assert change.catch_up_steps(following) == PROGRESS_STEPS


def test_who_did_not_sign_it_says_nothing_of_how_far_a_replica_is():
    chain = make_chain(slots=9)
    change = ready(chain, [0, 1], {1: 1})
    plan = change.next_plan()
    with pytest.raises(InvalidSignature):
        change.add_catching_up(changed(progress(chain, 2, 9), signer=1))
    with pytest.raises(ProtocolViolation):
        change.add_catching_up(changed(progress(chain, 2, 9), signer=7))
    assert change.catch_up_steps(plan) == 0


# -- late answers


def test_a_late_caught_up_of_the_same_attempt_counts_and_a_second_one_does_not_take_its_place():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    first, second = plan.quorum
    change.add_caught_up(chain.caught_up(first))
    change.add_caught_up(chain.caught_up(first, state_digest=bytes(32)))
    change.add_caught_up(chain.caught_up(second))
    assert change.settle_digests(plan) == chain.snapshots[-1].digest()


def test_a_running_state_that_comes_while_no_digest_is_agreed_on_is_not_taken():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    change.fail(plan, "no running state in time", [plan.quorum[0]])
    assert not change.add_running_state(chain.running_state(plan.quorum[0]), None)
    assert change.snapshot is None
    assert plan.quorum[0] not in change.silent


# -- what becomes known of it


def test_the_report_counts_the_steps_from_the_request_and_leaves_out_those_that_were_not_reached():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    change.fail(plan, "no running state in time", [plan.quorum[0]])
    wish = Wish("replica_2", "it is late", 1, 12.5)
    report = change.report(wish, 1, None, (), {"wedged": 12.75}, "the clock", 10.0)
    assert (report.source, report.target, report.quorum, report.quorums_tried) == (0, 1, None, (plan.quorum,))
    assert (report.requested_by, report.reason, report.blamed) == ("replica_2", "it is late", 1)
    assert (report.detected_ns, report.detected_ms, report.wedged_ms) == (12_500_000_000, 2_500.0, 250.0)
    assert report.caught_up_ms is report.fetched_ms is report.active_ms is None
    assert report.why_not == ((plan.quorum, "no running state in time"),)
    assert change.report(wish, 1, plan, ((0, 3),), {}, "the clock", 10.0).quorum == plan.quorum


def test_a_caught_up_of_another_configuration_is_no_sign_of_life():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    other = chain.caught_up(1, plan.slots, attempt=change.attempt).statement
    change.fail(plan, "too late", list(plan.quorum))
    silent = set(change.silent)
    change.add_caught_up(chain.sign(replace(other, configuration=chain.configuration.number + 1), 1))
    assert set(change.silent) == silent >= {1}
    change.add_caught_up(chain.sign(other, 1))
    assert 1 not in change.silent


def test_a_history_behind_an_invalid_one_of_the_same_replica_is_not_looked_at():
    chain = make_chain()
    change = Reconfiguration(chain.configuration, MOST_SLOTS)
    holed = chain.wedged(1).statement
    with pytest.raises(Hole):
        hear(change, chain.sign(changed(holed, history=holed.history[1:]), 1))
    change.add_wedged(chain.wedged(1))
    assert not change.is_checking()
    assert (change.histories, list(change.invalid)) == ({}, [1])


def test_who_is_not_of_the_quorum_makes_no_step_and_no_other_quorum_possible_by_saying_that_it_has_caught_up():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    heard = change.heard_from()
    change.add_caught_up(chain.caught_up(2))
    assert plan.quorum == (0, 1)
    assert (change.catch_up_steps(plan), change.heard_from()) == (0, heard)


def test_a_member_makes_its_steps_with_the_slots_that_it_executes_and_none_before(slices_of_one):
    chain = MemoryChain(client_window=8)
    for _ in range(2):
        chain.order(*(chain.send(0, put("k", str(number))) for number in range(3)))
    change = ready(chain, [0, 1], {1: 0})
    plan = change.next_plan()
    seen = [change.catch_up_steps(plan)]
    for slots in (0, 1, 2):
        change.add_catching_up(progress(chain, 1, slots))
        seen.append(change.catch_up_steps(plan))
    assert seen == [0, 0, 2, 5]  # of six requests, all but those of the last slice make one each


def test_where_nobody_was_silent_each_member_of_a_failed_quorum_may_have_lied_and_others_are_tried_first():
    chain = make_chain(t=2)
    change = ready(chain)
    plan = change.next_plan()
    change.fail(plan, "no running state")
    assert (plan.quorum, change.next_plan().quorum) == ((0, 1, 2), (0, 3, 4))
