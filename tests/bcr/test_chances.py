"""A quorum of correct replicas that are late again and again is there in the end."""

from bcr.chain.configuration import Configuration, Member, Membership
from bcr.chain.history import CaughtUp, Wedged
from bcr.chain.reconfiguration import Reconfiguration
from bcr.signed.authentication import keys_of
from bcr.signed.signing import Signed

KEYS = [keys_of("ed25519", bytes([number]) * 32) for number in range(5)]
ISSUED = Configuration(0, 1, tuple(Member(keys.public, "") for keys in KEYS[:3]), (Member(KEYS[3].public, ""),))


def caught_up(change, position, state_digest=bytes(32)):
    return Signed.sign(CaughtUp(0, change.attempt, 0, state_digest, ()), position, KEYS[position])


def test_who_was_late_as_often_as_there_are_chances_gets_others_when_olympus_begins_anew():
    """Replica 2 lies. The others are correct, and one of them is late each time and answers then: nobody is awaited."""
    change = Reconfiguration(Membership(ISSUED, KEYS[4].public, KEYS[4]), most_slots=10)
    for position in range(3):
        change.add_wedged(Signed.sign(Wedged(0, (), ()), position, KEYS[position]))
        change.check_some(1)
    while (plan := change.next_plan()) is not None:
        if 2 in plan.quorum:
            for position in plan.quorum:
                change.add_caught_up(caught_up(change, position, bytes(32) if position < 2 else b"?" * 32))
            assert change.settle_digests(plan) is None
        else:
            change.add_caught_up(caught_up(change, 0))
            change.fail(plan, "late", [1])
            assert not change.is_unforgiving()
            change.add_caught_up(caught_up(change, 1))
    assert change.awaits() == set()
    assert change.is_unforgiving()
    change.begin_anew()
    assert change.next_plan().quorum == (0, 1)


def test_where_nobody_was_late_further_tries_are_in_vain():
    change = Reconfiguration(Membership(ISSUED, KEYS[4].public, KEYS[4]), most_slots=10)
    for position in range(2):
        change.add_wedged(Signed.sign(Wedged(0, (), ()), position, KEYS[position]))
        change.check_some(1)
    plan = change.next_plan()
    for position in plan.quorum:
        change.add_caught_up(caught_up(change, position, bytes([position]) * 32))
    assert change.settle_digests(plan) is None
    assert not change.is_unforgiving()
