"""One reconfiguration as Olympus sees it: whatever replicas answer, and in whatever order, it ends."""

from contextlib import suppress
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_chain import MemoryChain, append, changed, get, put

from bcr.history import WithState
from bcr.reconfiguration import Reconfiguration
from bcr.violations import Hole, InvalidSignature, MalformedMessage, ProtocolViolation

# A replica that answers later than Olympus waits is as correct as others: what failed by its silence is tried again.
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
    change = Reconfiguration(chain.configuration)
    for position in chain.positions() if positions is None else positions:
        change.add_wedged(chain.wedged(position, (ends or {}).get(position)))
    return change


def catch_up(change, chain, plan):
    for position in change.lacking(plan):
        change.add_caught_up(chain.caught_up(position, plan.slots, attempt=change.attempt))


class Drive:
    """Does what Olympus does, with replicas of every kind; `late` answers arrive when nothing else is left to do."""

    def __init__(self, chain, kinds, ends, checkpoint):
        self.chain, self.kinds, self.ends, self.checkpoint = chain, kinds, ends, checkpoint
        self.change = Reconfiguration(chain.configuration)
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
            self.change.add_wedged(wedged)

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


def test_results_of_one_replica_alone_are_not_sent_where_more_are_needed():
    chain = make_chain(authentication="crc")
    change = ready(chain)
    plan = change.next_plan()
    catch_up(change, chain, plan)
    assert len(plan.quorum) == 1
    assert change.results(plan) == []


@given(drives(most_faulty=lambda t: 2 * t + 1))
def test_with_any_number_of_faulty_replicas_the_search_ends(drive):
    plan = drive.to_the_end()
    assert plan is not None or drive.change.snapshot is None


def test_nothing_can_be_agreed_on_before_t_plus_1_histories_are_in():
    chain = make_chain(t=2)
    change = ready(chain, [0, 3])
    assert change.next_plan() is None
    change.add_wedged(chain.wedged(4))
    assert change.next_plan().quorum == (0, 3, 4)


def test_a_replica_s_first_history_counts():
    chain = make_chain()
    change = ready(chain, [0, 1], {0: 4, 1: 2})
    change.add_wedged(chain.wedged(1, 4))
    assert change.histories[1].end == 2
    assert change.answered() == 2


def test_an_invalid_history_is_its_replica_s_answer_and_told():
    chain = make_chain()
    change = Reconfiguration(chain.configuration)
    holed = chain.wedged(1).statement
    with pytest.raises(Hole):
        change.add_wedged(chain.sign(changed(holed, history=holed.history[1:]), 1))
    assert change.answered() == 1
    assert change.invalid[1].startswith("Hole: ")


def test_a_history_that_its_replica_did_not_sign_is_nobody_s_answer():
    chain = make_chain()
    change = Reconfiguration(chain.configuration)
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
        (lambda signed: change.add_running_state(WithState(signed, chain.snapshots[-1]), b""),
         chain.running_state(1).signed),
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


def test_a_client_s_answer_from_the_quorum_carries_t_plus_1_valid_statements():
    chain = make_chain(t=2)
    change = ready(chain)
    plan = change.next_plan()
    catch_up(change, chain, plan)
    proved = change.results(plan)
    assert [(client, number) for client, number, _ in proved] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for client, number, answer in proved:
        assert len(answer.check(chain.requests[client][number], chain.configuration).agreeing) == 3


def test_an_answer_that_one_member_does_not_give_is_not_given_to_the_client():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    first, second = plan.quorum
    change.add_caught_up(chain.caught_up(first))
    with_less = chain.caught_up(second).statement
    change.add_caught_up(chain.sign(changed(with_less, answers=with_less.answers[1:]), second))
    assert len(change.results(plan)) == 3


def test_an_answer_without_a_statement_is_not_given_to_the_client():
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    catch_up(change, chain, plan)
    for position in plan.quorum:
        statement = chain.caught_up(position).statement
        answers = tuple(changed(each, answer=changed(each.answer, proof=())) for each in statement.answers)
        change._caught_up[position] = changed(statement, answers=answers)
    assert change.results(plan) == []


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


@pytest.mark.parametrize("liar", [0, 1])
def test_an_answer_that_makes_no_sense_ends_nothing_and_is_nobody_s_result(liar):
    chain = make_chain()
    change = ready(chain)
    plan = change.next_plan()
    for position in plan.quorum:
        honest = chain.caught_up(position, plan.slots).statement
        answers = honest.answers
        if position == plan.quorum[liar]:
            answers = tuple(changed(each, answer=changed(each.answer, size=0)) for each in answers)
        change.add_caught_up(chain.sign(changed(honest, answers=answers), position))
    sent = [(client, number) for client, number, _ in change.results(plan)]
    assert sent == ([] if liar == 0 else [(each.client, each.number) for each in sorted_answers(honest)])


def sorted_answers(caught_up):
    return sorted(caught_up.answers, key=lambda each: (each.client, each.number))


def test_who_owes_a_history_is_known_whatever_the_others_sent():
    chain = make_chain()
    change = Reconfiguration(chain.configuration)
    assert change.owing() == [0, 1, 2]
    change.add_wedged(chain.wedged(2))
    with pytest.raises(ProtocolViolation):
        change.add_wedged(chain.sign(changed(chain.wedged(0).statement, history=chain.wedged(0).statement.history[1:]), 0))
    assert change.owing() == [1]
