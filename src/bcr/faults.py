"""When injected faults strike: counts what a replica receives against its part of a scenario's fault plan."""

from collections import Counter
from collections.abc import Collection, Sequence

from bcr.scenario.faults import TRIGGERS, FaultPlan

IMMEDIATE = {"sleep", "pause", "drop", "crash", "extra_op", "increment_slot", "fail_link", "fix_link"}


class Injector:
    """The faults of one replica process: which a receipt triggers, and which wait for a message to leave.

    Receipts count from 0, by kind of message, and by client where the trigger names one (specification, section 9).
    """

    def __init__(self, plans: Sequence[FaultPlan]) -> None:
        self.plans = tuple(plans)
        self._receipts: Counter[tuple[str, int | None]] = Counter()
        self._armed: list[FaultPlan] = []

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
