"""When injected faults strike: counts what a replica receives against its part of a scenario's fault plan (specification, 9.4)."""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence

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


class Injector:
    """The faults of one replica process: which a receipt triggers, and which wait for a message to leave.

    Receipts count from 0, by kind of message, and by client where the trigger names one (specification, 9).
    """

    def __init__(self, plans: Sequence[FaultPlan]) -> None:
        self.plans = tuple(plans)
        self._receipts: Counter[tuple[str, int | None]] = Counter()
        self._armed: list[FaultPlan] = []
        self._left: Counter[str] = Counter()  # how many more times a counted failure strikes

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
        self._receipts.update(keys)
        return triggered

    def at(self, trigger_name: str) -> list[FaultPlan]:
        """The plans with a trigger that is no receipt: `reconfiguration` and `after`."""
        return [plan for plan in self.plans if plan.trigger.name == trigger_name]

    def arm(self, plan: FaultPlan) -> None:
        """Keep a fault until a message leaves that it can strike."""
        if plan.failure.name in COUNTED:
            assert isinstance(plan.failure.argument, int)
            self._left[plan.failure.name] += plan.failure.argument
        else:
            self._armed.append(plan)

    def take(self, failure_name: str) -> FaultPlan | None:
        """The first armed fault of this kind, which is armed no longer; None where there is none."""
        for plan in self._armed:
            if plan.failure.name == failure_name:
                self._armed.remove(plan)
                return plan
        return None

    def is_armed(self, failure_name: str) -> bool:
        return any(plan.failure.name == failure_name for plan in self._armed)

    def left(self, failure_name: str) -> int:
        """How many more times a failure of COUNTED strikes."""
        return self._left[failure_name]

    def spend(self, failure_name: str) -> bool:
        """Whether a failure of COUNTED strikes now, which is then one time less."""
        strikes = self._left[failure_name] > 0
        self._left[failure_name] -= strikes
        return strikes

    def spend_all(self, failure_name: str) -> int:
        """How many more times a failure of COUNTED was to strike, which it is not from now on."""
        return self._left.pop(failure_name, 0)

    def ignores(self, message_name: str) -> bool:
        """Whether a failure that struck makes the replica ignore messages of this kind."""
        return any(message_name in IGNORED.get(plan.failure.name, ()) for plan in self._armed)

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
