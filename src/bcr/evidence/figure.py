"""The abstract specification of a chain that can be replaced (paper, Figure 1; specification, 7.1), as a
machine that takes one step at a time.

Only correct replicas are in it. A step is one of: a configuration is issued; a replica becomes active with the history that
Olympus says; it orders a command; it cuts its history at a checkpoint; it becomes immutable; it is caught up; Olympus begins the
next configuration with a state; a client learns a result. Each has a precondition, and a step without it is forbidden. The
checkpoint and the catching up, which the figure leaves to the protocol, are as in specification, 6 and 7.
"""

from collections.abc import Iterable

import msgspec

PENDING, ACTIVE, IMMUTABLE = "pending", "active", "immutable"


class Step(msgspec.Struct, frozen=True):
    """One transition: of a replica where `position` is one, else of Olympus or a client. `digest` is of requests or a state."""

    kind: str
    configuration: int
    position: int | None = None
    slot: int | None = None
    digest: bytes = b""

    def __str__(self) -> str:
        who = "" if self.position is None else f", replica {self.position}"
        slot = "" if self.slot is None else f", slot {self.slot}"
        digest = f" ({self.digest.hex()[:8]})" if self.digest else ""
        return f"{self.kind}: configuration {self.configuration}{who}{slot}{digest}"


class Forbidden(Exception):
    """A step that the figure does not allow, and which of its preconditions does not hold."""

    def __init__(self, step: Step, why: str) -> None:
        super().__init__(f"{step}: {why}")
        self.step = step
        self.why = why


class _Replica(msgspec.Struct):
    """A correct replica: its mode, what it has ordered by slot, the slots that a checkpoint stands for, its states when immutable."""

    mode: str = PENDING
    orders: dict[int, bytes] = {}
    next_slot: int = 0
    states: set[bytes] = set()


class _Configuration(msgspec.Struct):
    beginning: bytes | None = None
    replicas: dict[int, _Replica] = {}
    has_answered: bool = False


class Figure:
    """The state that all steps so far have led to."""

    def __init__(self) -> None:
        self._configurations: dict[int, _Configuration] = {}
        self._rules = {
            "issue": self._issue,
            "begin": self._begin,
            "become active": self._become_active,
            "order command": self._order,
            "checkpoint": self._checkpoint,
            "become immutable": self._become_immutable,
            "catch up": self._catch_up,
            "learn": self._learn,
        }
        self.taken = 0

    def take(self, step: Step) -> None:
        """Take a step; raises Forbidden where its precondition does not hold."""
        self._rules[step.kind](step)
        self.taken += 1

    def forget(self, configuration: int, position: int) -> None:
        """The replica is not correct any more: from now on nothing is held against what it did."""
        if configuration in self._configurations:
            self._configurations[configuration].replicas.pop(position, None)

    def _demand(self, holds: bool, step: Step, why: str) -> None:
        if not holds:
            raise Forbidden(step, why)

    def _at(self, step: Step) -> _Configuration:
        found = self._configurations.get(step.configuration)
        if found is None:
            raise Forbidden(step, "the configuration was not issued")
        return found

    def _replica(self, step: Step) -> _Replica:
        assert step.position is not None
        return self._at(step).replicas.setdefault(step.position, _Replica())

    def _issue(self, step: Step) -> None:
        self._demand(step.configuration not in self._configurations, step, "it was issued before")
        self._configurations[step.configuration] = _Configuration()

    def _begin(self, step: Step) -> None:
        before = max((number for number in self._configurations if number < step.configuration), default=None)
        if before is None:
            return  # the first that came up, though not of number 0: it begins with nothing
        last = self._configurations[before]
        immutable = [each for each in last.replicas.values() if each.mode == IMMUTABLE]
        is_transferred = any(step.digest in each.states for each in immutable)
        # Where nothing has become final Olympus may begin again with what it had (specification, 7.10).
        is_anew = step.digest == last.beginning and not last.has_answered
        self._demand(is_transferred or is_anew, step, "no replica of the one before is immutable and was caught up to this state")
        self._at(step).beginning = step.digest

    def _become_active(self, step: Step) -> None:
        replica, configuration = self._replica(step), self._at(step)
        self._demand(replica.mode == PENDING, step, f"it is {replica.mode}")
        if configuration.beginning is None:
            configuration.beginning = step.digest
        self._demand(step.digest == configuration.beginning, step, "it begins with another state than Olympus said")
        replica.mode = ACTIVE

    def _order(self, step: Step) -> None:
        replica = self._replica(step)
        assert step.slot is not None
        self._demand(replica.mode == ACTIVE, step, f"it is {replica.mode}")
        self._demand(step.slot == replica.next_slot, step, f"its next slot is {replica.next_slot}")
        for position, other in self._at(step).replicas.items():
            theirs = other.orders.get(step.slot)
            self._demand(theirs is None or theirs == step.digest, step, f"replica {position} ordered another command there")
            is_before = step.position is not None and position < step.position and other.mode != PENDING
            is_there = theirs is not None or step.slot < other.next_slot
            self._demand(not is_before or is_there, step, f"replica {position}, which comes before it, has not ordered it")
        replica.orders[step.slot] = step.digest
        replica.next_slot += 1

    def _checkpoint(self, step: Step) -> None:
        replica = self._replica(step)
        assert step.slot is not None
        for position, other in self._at(step).replicas.items():
            is_there = other.mode == PENDING or other.next_slot > step.slot
            self._demand(is_there, step, f"replica {position} has not ordered what it cuts off")
        replica.orders = {slot: digest for slot, digest in replica.orders.items() if slot > step.slot}

    def _become_immutable(self, step: Step) -> None:
        replica = self._replica(step)
        self._demand(replica.mode == ACTIVE, step, f"it is {replica.mode}")
        replica.mode = IMMUTABLE

    def _catch_up(self, step: Step) -> None:
        replica = self._replica(step)
        self._demand(replica.mode == IMMUTABLE, step, f"it is {replica.mode}")
        self._demand(step.slot is not None and step.slot >= replica.next_slot, step, f"it lacks slots below {replica.next_slot}")
        replica.states.add(step.digest)

    def _learn(self, step: Step) -> None:
        configuration = self._at(step)
        assert step.slot is not None
        configuration.has_answered = True
        for position, replica in configuration.replicas.items():
            is_there = replica.mode == PENDING or replica.next_slot > step.slot
            self._demand(is_there, step, f"replica {position} has not ordered it, and so it could be lost")


def walked(steps: Iterable[Step]) -> tuple[list[Step], Forbidden | None]:
    """The steps up to the first that is forbidden, and that one."""
    figure = Figure()
    taken: list[Step] = []
    for step in steps:
        try:
            figure.take(step)
        except Forbidden as forbidden:
            return taken, forbidden
        taken.append(step)
    return taken, None
