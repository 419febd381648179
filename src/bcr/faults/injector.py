"""When injected faults strike: counts what a replica receives against its part of a scenario's fault plan (specification, 9.4)."""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import msgspec

from bcr.chain.timers import Timers
from bcr.faults.plans import FaultPlan
from bcr.faults.vocabulary import FAILURES, OF_LINKS, SERVER_FAILURES, TRIGGERS

# What a liar does of its own accord, to which it needs to know the others.
DEEDS = {name for name, word in FAILURES.items() if word.strikes == "deed"}

IMMEDIATE = {name for name, word in (*FAILURES.items(), *SERVER_FAILURES.items()) if word.strikes == "at once"} | {*DEEDS, *OF_LINKS}

# Strike as many times as their argument says; all other failures that wait strike once, or from then on.
COUNTED = {name for name, word in FAILURES.items() if word.strikes == "times"}

# From the failure on, messages of these kinds are ignored.
IGNORED: Mapping[str, frozenset[str]] = {name: frozenset(word.ignores) for name, word in FAILURES.items() if word.ignores}


def corrupted(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """A message as it leaves, the name before the payload, with flipped bits in the middle of that."""
    *before, payload = parts
    middle = len(payload) // 2
    return (*before, payload[:middle] + bytes((payload[middle] ^ 0x55,)) + payload[middle + 1 :])


class _Counted(msgspec.Struct):
    """A failure of COUNTED that was triggered, and how many more times it strikes."""

    plan: FaultPlan
    left: int


class Injector:
    """The faults of one replica process: which a receipt triggers, which wait for a message to leave, and which have had an effect.

    Receipts count from 0, by kind of message, and by client where the trigger names one (specification, 9).
    """

    def __init__(self, plans: Sequence[FaultPlan]) -> None:
        self.plans = tuple(plans)
        self._receipts: Counter[tuple[str, int | None]] = Counter()
        self._armed: list[FaultPlan] = []
        self._counted: list[_Counted] = []
        self._idle: list[FaultPlan] = []  # that were triggered, and had no effect yet

    def add(self, plan: FaultPlan) -> None:
        """Have one fault more, whose trigger counts receipts from now on."""
        trigger = plan.trigger
        counted = self._receipts[trigger.name, trigger.client]
        self.plans += (msgspec.structs.replace(plan, trigger=msgspec.structs.replace(trigger, count=trigger.count + counted)),)

    def receipt(self, message_name: str, clients: Collection[int]) -> list[FaultPlan]:
        """Count a message that concerns these clients; returns the plans it triggers, in the order of the file."""
        by_client = message_name in TRIGGERS and TRIGGERS[message_name].arguments[0] == "client"
        keys = [(message_name, client) for client in sorted(set(clients))] if by_client else [(message_name, None)]
        triggered = [
            plan
            for plan in self.plans
            if (plan.trigger.name, plan.trigger.client) in keys
            and self._receipts[plan.trigger.name, plan.trigger.client] == plan.trigger.count
        ]
        for key in keys:
            self._receipts[key] += 1
        return triggered

    def at(self, trigger_name: str) -> list[FaultPlan]:
        """The plans with a trigger that is no receipt: `reconfiguration` and `after`."""
        return [plan for plan in self.plans if plan.trigger.name == trigger_name]

    def arm(self, plan: FaultPlan) -> None:
        """Keep a fault until a message leaves that it can strike."""
        self.expect_effect(plan)
        if plan.failure.name in COUNTED:
            assert isinstance(plan.failure.argument, int)
            self._counted.append(_Counted(plan, plan.failure.argument))
        else:
            self._armed.append(plan)

    def expect_effect(self, plan: FaultPlan) -> None:
        """The fault was triggered, and it is open whether it ever has an effect."""
        self._idle.append(plan)

    def had_effect(self, plan: FaultPlan) -> bool:
        """A message was changed, withheld or forged by the fault: whether that is the first time, after which it has struck."""
        left = [each for each in self._idle if each is not plan]
        is_first = len(left) < len(self._idle)
        self._idle = left
        return is_first

    def take(self, failure_name: str) -> FaultPlan | None:
        """The first armed fault of this kind, which is armed no longer; None where there is none."""
        plan = self.armed(failure_name)
        if plan is not None:
            self._armed.remove(plan)
        return plan

    def armed(self, failure_name: str) -> FaultPlan | None:
        """The first armed fault of this kind, which stays so; None where there is none."""
        return next((plan for plan in self._armed if plan.failure.name == failure_name), None)

    def is_armed(self, failure_name: str) -> bool:
        return self.armed(failure_name) is not None

    def left(self, failure_name: str) -> int:
        """How many more times a failure of COUNTED strikes."""
        return sum(each.left for each in self._counted if each.plan.failure.name == failure_name)

    def spend(self, failure_name: str) -> FaultPlan | None:
        """The fault of COUNTED of this kind that strikes now, which is then one time less; None where there is none."""
        for each in self._counted:
            if each.plan.failure.name == failure_name and each.left > 0:
                each.left -= 1
                return each.plan
        return None

    def counting(self, failure_name: str) -> list[FaultPlan]:
        """The faults of COUNTED of this kind that were triggered, and strike at least once more."""
        return [each.plan for each in self._counted if each.plan.failure.name == failure_name and each.left > 0]

    def spend_all(self, failure_name: str) -> int:
        """How many more times a failure of COUNTED was to strike, which it is not from now on."""
        count = self.left(failure_name)
        self._counted = [each for each in self._counted if each.plan.failure.name != failure_name]
        return count

    def ignores(self, message_name: str) -> FaultPlan | None:
        """The failure that makes the replica ignore messages of this kind from when it struck; None where there is none."""
        return next((plan for plan in self._armed if message_name in IGNORED.get(plan.failure.name, ())), None)

    def strikes_at_start(self, failure_name: str, configuration: int) -> bool:
        """Whether the failure is to strike when this configuration starts, and so before the replica says that it is ready."""
        return any((plan.failure.name, plan.trigger.count) == (failure_name, configuration) for plan in self.at("reconfiguration"))


OF_FAULTS = ("after", "delayed", "replay_catch_up")


class LiarsTimers(Timers[tuple[Hashable, Hashable]]):
    """A replica's timers with those of its faults among them, which run on when the replica is wedged.

    A fault's has a name that begins with one of the words OF_FAULTS.
    """

    def stop_all(self) -> None:
        self._deadlines = {name: until_s for name, until_s in self._deadlines.items() if name[0] in OF_FAULTS}


def own_plans(plans: Sequence[FaultPlan], configuration: int, position: int) -> tuple[FaultPlan, ...]:
    """Those of a replica, of all that a scenario has."""
    return tuple(plan for plan in plans if (plan.configuration, plan.position) == (configuration, position))


def accomplices(plans: Sequence[FaultPlan], configuration: int, failure_name: str) -> list[int]:
    """The positions of the replicas of a configuration that have this failure, which they commit together."""
    return sorted({plan.position for plan in plans if plan.configuration == configuration and plan.failure.name == failure_name})
