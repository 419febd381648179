"""The abstract specification of a chain that can be replaced (paper, Figure 1; specification, 7.1), as a
machine that takes one step at a time.

Only correct replicas are in it. The steps are: a configuration is issued; a replica becomes active with the history that
Olympus says; it orders a command; it cuts its history at a checkpoint; it becomes immutable; it goes back to what it was then, executes
what it lacks, and is caught up; Olympus begins the next configuration with a state; a client learns a result. Each step has a
precondition, and is forbidden without it. The figure leaves checkpoints and catching up to the protocol; here they are as in
specification, 6 and 7.
"""

from collections.abc import Iterable

import msgspec

PENDING, ACTIVE, IMMUTABLE = "pending", "active", "immutable"


class Step(msgspec.Struct, frozen=True):
    """One transition: of a replica where `position` is one, else of Olympus or a client.

    `digest` is of requests or a state, `outcome` of what the requests gave; `commands` are client and number of the requests;
    `members` the positions of a quorum. Digests may be cut, as logs have them, if all of a run are.
    """

    kind: str
    configuration: int
    position: int | None = None
    slot: int | None = None
    digest: bytes = b""
    outcome: bytes = b""
    commands: tuple[tuple[int, int], ...] = ()
    members: tuple[int, ...] = ()

    def __str__(self) -> str:
        who = "" if self.position is None else f", replica {self.position}"
        slot = "" if self.slot is None else f", slot {self.slot}"
        commands = f", {' '.join(f'{client}:{number}' for client, number in self.commands)}" if self.commands else ""
        members = f", quorum {' '.join(map(str, self.members))}" if self.members else ""
        digest = f" ({self.digest.hex()[:8]})" if self.digest else ""
        return f"{self.kind}: configuration {self.configuration}{who}{slot}{commands}{members}{digest}"


class Forbidden(Exception):
    """A step that the figure does not allow, and which of its preconditions does not hold."""

    def __init__(self, step: Step, why: str) -> None:
        super().__init__(f"{step}: {why}")
        self.step = step
        self.why = why


class _Ordered(msgspec.Struct, frozen=True):
    """What a replica has executed in a slot: digests of the requests and of what they gave."""

    digest: bytes
    outcome: bytes


class _Replica(msgspec.Struct):
    """A correct replica: its mode, what it has ordered by slot since its checkpoint, and in which slot it has ordered each command.

    Once immutable: what it executes next to catch up, what it has executed so in this attempt, and its states with their slots.
    """

    mode: str = PENDING
    orders: dict[int, _Ordered] = {}
    next_slot: int = 0
    slots: dict[tuple[int, int], int] = {}
    next_suffix: int = 0
    suffix: dict[int, _Ordered] = {}
    states: dict[bytes, int] = {}

    def at(self, slot: int) -> _Ordered | None:
        return self.suffix.get(slot) or self.orders.get(slot)


class _Configuration(msgspec.Struct):
    """`learned` is what clients have learned by slot, above what all have cut off; `next_learned` the slot behind the last of it;
    `ended_at` the slots in the state that the next one began with."""

    beginning: bytes | None = None
    replicas: dict[int, _Replica] = {}
    learned: dict[int, _Ordered] = {}
    next_learned: int = 0
    ended_at: int | None = None


class Figure:
    """The state that all steps so far have led to. `quorum` is how many replicas a state is taken from, where that is known."""

    def __init__(self, quorum: int | None = None) -> None:
        self._quorum = quorum
        self._configurations: dict[int, _Configuration] = {}
        self._rules = {
            "issue": self._issue,
            "begin": self._begin,
            "become active": self._become_active,
            "order command": self._order,
            "checkpoint": self._checkpoint,
            "become immutable": self._become_immutable,
            "go back": self._go_back,
            "catch up command": self._catch_up_command,
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

    def is_issued(self, configuration: int) -> bool:
        return configuration in self._configurations

    def members(self) -> list[tuple[int, int]]:
        """Configuration and position of each replica that is in it."""
        return [(number, position) for number, each in self._configurations.items() for position in each.replicas]

    def _demand(self, holds: bool, step: Step, why: str) -> None:
        if not holds:
            raise Forbidden(step, why)

    def _at(self, step: Step) -> _Configuration:
        configuration = self._configurations.get(step.configuration)
        if configuration is None:
            raise Forbidden(step, "the configuration was not issued")
        return configuration

    def _replica(self, step: Step) -> _Replica:
        assert step.position is not None
        return self._at(step).replicas.setdefault(step.position, _Replica())

    def _issue(self, step: Step) -> None:
        self._demand(step.configuration not in self._configurations, step, "it was issued before")
        self._configurations[step.configuration] = _Configuration()

    def _begin(self, step: Step) -> None:
        # Where Olympus begins again with what it had (specification, 7.10), that is what the latest had that came up.
        numbers = [number for number, each in self._configurations.items() if step.members or each.beginning is not None]
        before = max((number for number in numbers if number < step.configuration), default=None)
        if before is None:  # the first that came up, though perhaps not of number 0: it begins with nothing
            self._at(step).beginning = step.digest
            return
        last = self._configurations[before]
        members = {position: each for position, each in last.replicas.items() if not step.members or position in step.members}
        slots = [each.states[step.digest] for each in members.values() if each.mode == IMMUTABLE and step.digest in each.states]
        # Where nothing has become final Olympus may begin again with what it had (specification, 7.10).
        is_anew = step.digest == last.beginning and not last.next_learned
        is_of_others = bool(step.members) and not members  # of none that is correct: more are faulty than is promised for
        self._demand(
            bool(slots) or is_anew or is_of_others, step, "no replica of the one before is immutable and was caught up to this state"
        )
        if step.members:
            self._demand_quorum(step, members)
        if slots:
            self._demand(slots[0] >= last.next_learned, step, f"it lacks slots below {last.next_learned}, which clients know of")
            last.ended_at = slots[0]
        self._at(step).beginning = step.digest

    def _demand_quorum(self, step: Step, members: dict[int, _Replica]) -> None:
        size = len(set(step.members))
        self._demand(self._quorum is None or size >= self._quorum, step, f"its quorum is of {size}, and not of {self._quorum}")
        for position, member in members.items():
            is_caught_up = member.mode == IMMUTABLE and step.digest in member.states
            self._demand(is_caught_up, step, f"replica {position} of its quorum was not caught up to this state")
        longest = max((each.next_slot for each in members.values()), default=0)
        for position, member in members.items():
            slots = member.states[step.digest]
            self._demand(slots >= longest, step, f"replica {position} had {slots} slots then, and another of its quorum ordered {longest}")

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
            is_same = theirs is None or theirs.digest == step.digest
            self._demand(is_same, step, f"replica {position} ordered another command there")
            is_equal = theirs is None or theirs.outcome == step.outcome
            self._demand(is_equal, step, f"the same command gave something else at replica {position}")
            is_before = step.position is not None and position < step.position and other.mode != PENDING
            is_there = theirs is not None or step.slot < other.next_slot
            self._demand(not is_before or is_there, step, f"replica {position}, which comes before it, has not ordered it")
        for command in step.commands:
            name = f"request {command[1]} of client {command[0]}"
            slot = replica.slots.get(command)
            self._demand(slot is None, step, f"{name} was ordered before, in slot {slot}")
            replica.slots[command] = step.slot
        replica.orders[step.slot] = _Ordered(step.digest, step.outcome)
        replica.next_slot += 1

    def _checkpoint(self, step: Step) -> None:
        replica, configuration = self._replica(step), self._at(step)
        assert step.slot is not None
        for position, other in configuration.replicas.items():
            is_there = other.mode == PENDING or other.next_slot > step.slot
            self._demand(is_there, step, f"replica {position} has not ordered what it cuts off")
        replica.orders = {slot: ordered for slot, ordered in replica.orders.items() if slot > step.slot}
        least = min((min(each.orders, default=each.next_slot) for each in configuration.replicas.values()), default=0)
        configuration.learned = {slot: ordered for slot, ordered in configuration.learned.items() if slot >= least}

    def _become_immutable(self, step: Step) -> None:
        replica = self._replica(step)
        self._demand(replica.mode == ACTIVE, step, f"it is {replica.mode}")
        replica.mode = IMMUTABLE
        replica.next_suffix = replica.next_slot

    def _go_back(self, step: Step) -> None:
        replica = self._replica(step)
        self._demand(replica.mode == IMMUTABLE, step, f"it is {replica.mode}")
        self._demand(step.slot == replica.next_slot, step, f"it had {replica.next_slot} slots when it became immutable")
        replica.next_suffix = replica.next_slot
        replica.suffix = {}

    def _catch_up_command(self, step: Step) -> None:
        replica, configuration = self._replica(step), self._at(step)
        assert step.slot is not None
        self._demand(replica.mode == IMMUTABLE, step, f"it is {replica.mode}")
        self._demand(step.slot == replica.next_suffix, step, f"the next slot of what it lacks is {replica.next_suffix}")
        command = configuration.learned.get(step.slot)
        is_same = command is None or (command.digest, command.outcome) == (step.digest, step.outcome)
        self._demand(is_same, step, "a client knows of another command there, or of another result")
        replica.suffix[step.slot] = _Ordered(step.digest, step.outcome)
        replica.next_suffix += 1

    def _catch_up(self, step: Step) -> None:
        replica = self._replica(step)
        self._demand(replica.mode == IMMUTABLE, step, f"it is {replica.mode}")
        self._demand(step.slot == replica.next_suffix, step, f"it has executed the slots below {replica.next_suffix}, and no others")
        assert step.slot is not None
        replica.states[step.digest] = step.slot

    def _learn(self, step: Step) -> None:
        configuration = self._at(step)
        assert step.slot is not None
        for position, replica in configuration.replicas.items():
            is_there = replica.mode == PENDING or replica.next_slot > step.slot
            self._demand(is_there, step, f"replica {position} has not ordered it, and so it could be lost")
            theirs = replica.orders.get(step.slot)
            self._demand(theirs is None or theirs.digest == step.digest, step, f"replica {position} ordered another command there")
            is_equal = theirs is None or theirs.outcome == step.outcome
            self._demand(is_equal, step, f"that is not what it gave at replica {position}")
            is_in_it = theirs is None or all(replica.slots.get(command) == step.slot for command in step.commands)
            self._demand(is_in_it, step, f"replica {position} did not order this request there")
        end = configuration.ended_at
        self._demand(end is None or step.slot < end, step, f"the next configuration began with {end} slots, without it")
        configuration.learned[step.slot] = _Ordered(step.digest, step.outcome)
        configuration.next_learned = max(configuration.next_learned, step.slot + 1)


def walked(steps: Iterable[Step], quorum: int | None = None) -> tuple[list[Step], Forbidden | None]:
    """The steps up to the first that is forbidden, and that one."""
    figure = Figure(quorum)
    beginning: list[Step] = []
    for step in steps:
        try:
            figure.take(step)
        except Forbidden as forbidden:
            return beginning, forbidden
        beginning.append(step)
    return beginning, None
