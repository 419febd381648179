"""Finds the steps of the paper's abstract specification in a simulated run, after every message, and takes them in its Figure 1."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bcr.chain.proofs import Answer
from bcr.evidence.figure import ACTIVE, IMMUTABLE, Figure, Forbidden, Step
from bcr.scenario import Scenario
from bcr.signed.authentication import sizes
from bcr.signed.statements import SignedCheckpoint
from bcr.state.running import RunningState
from bcr_sim.distalgo import Container
from bcr_sim.observing import observers
from bcr_sim.simulated_run import SimulationOutcome, _Run, demand_simulable

FIGURE_OF_THE_PAPER = "Figure 1 of the paper"
FIGURE = "figure"  # the kind of breach that a forbidden step is
MAX_KEPT = 100_000  # steps


class Conformance(msgspec.Struct, frozen=True):
    """What came of the run, the steps that were found in it, and the first that the figure forbids."""

    outcome: SimulationOutcome
    steps: tuple[Step, ...]
    forbidden: Forbidden | None


def conform(scenario: Scenario, *, folder: Path | None = None, keeps_steps: bool = False) -> Conformance:
    """Simulate the scenario, of the chain, and hold every step of its correct replicas against the figure; as `simulate` otherwise."""
    demand_simulable(scenario)
    run = _Conforming(scenario, folder, keeps_steps)
    outcome = run.outcome()
    return Conformance(outcome, tuple(run.follower.steps), run.follower.forbidden)


def simulate_and_conform(scenario: Scenario, *, folder: Path | None = None, keeps_steps: bool = False) -> SimulationOutcome:
    """The same as an outcome, in which the first step that is forbidden is a breach of the kind FIGURE."""
    found = conform(scenario, folder=folder, keeps_steps=keeps_steps)
    if found.forbidden is None:
        return found.outcome
    return msgspec.structs.replace(found.outcome, breaches=(*found.outcome.breaches, f"{FIGURE}: {found.forbidden}"))


class _Conforming(_Run):
    def __init__(self, scenario: Scenario, folder: Path | None, keeps_steps: bool) -> None:
        super().__init__(scenario, folder, keeps_steps)
        self.follower = _Follower(self)

    def _conduct(self) -> str | None:
        observers.append(self.follower)  # type: ignore[arg-type]
        try:
            return super()._conduct()
        finally:
            observers.remove(self.follower)  # type: ignore[arg-type]


class _Follower:
    """Hears of everything that the oracle hears of, and tells the figure what has changed since."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.oracle = _Heard(self)
        self.told: dict[str, Any] = {}
        self.figure = Figure(sizes(run.scenario.t, run.scenario.authentication).histories)
        self.steps: list[Step] = []
        self.forbidden: Forbidden | None = None
        self._issued: set[int] = set()
        self._mode: dict[Container, str] = {}
        self._beginning: dict[Container, bytes] = {}
        self._begun: set[int] = set()
        self._reported: set[tuple[Container, int]] = set()  # attempts in which a replica was caught up
        self._gone: set[Container] = set()
        self._empty = RunningState(run.scenario.client_window, run.limits, run.scenario.object_name).digest()

    def take(self, step: Step) -> None:
        if self.forbidden is not None:
            return
        if len(self.steps) < MAX_KEPT:
            self.steps.append(step)
        try:
            self.figure.take(step)
        except Forbidden as forbidden:
            self.forbidden = forbidden

    def is_followed(self, container: Container) -> bool:
        """Whether the replica is correct; one that no longer is, is forgotten."""
        if container.configuration is None or container in self._gone:
            return False
        # With checksums a replica may have crashed and been made anew, and no lie is ever told.
        if self.run._is_correct(container):
            return True
        self._gone.add(container)
        self.figure.forget(container.configuration, container.position)
        return False

    def forget_the_faulty(self) -> None:
        for container in list(self._mode):
            self.is_followed(container)

    def restored(self, container: Container) -> None:
        if self.is_followed(container) and container.configuration is not None:
            state = container.process._state
            if state.mode == "pending" and state.has_initial_history:
                self._beginning[container] = state.ledger.state.digest()

    def look(self, container: Container) -> None:
        """The replica has handled a message, or is about to tell of a step: what mode is it in now?"""
        self.forget_the_faulty()
        if not self.is_followed(container):
            return
        state, number, position = container.process._state, container.configuration, container.position
        assert number is not None
        mode, before = state.mode, self._mode.get(container, "pending")
        if number not in self._issued:
            self._issued.add(number)
            self.take(Step("issue", number))
        if mode == before == "pending":
            return
        if before == "pending":
            digest = self._beginning.get(container, self._empty)
            if number and number not in self._begun:
                self._begun.add(number)
                # Long catch-ups go on between messages, so those before are looked at once more.
                for other in self.run.system.all():
                    if other.configuration is not None and other.configuration < number and not other.task.is_dead:
                        self.look(other)
                self.take(Step("begin", number, digest=digest, members=self._members()))
            self.take(Step("become active", number, position, digest=digest))
            self._mode[container] = before = ACTIVE
        if mode == IMMUTABLE and before == ACTIVE:
            self.take(Step("become immutable", number, position))
        self._mode[container] = mode
        if mode == ACTIVE and before == IMMUTABLE:
            self.take(Step("become active", number, position))
        is_caught_up = mode == IMMUTABLE and state.attempt and state.ledger.suffix is None
        if is_caught_up and (container, state.attempt) not in self._reported:
            self._reported.add((container, state.attempt))
            self.take(Step("catch up", number, position, state.ledger.next_slot, state.ledger.state.digest()))

    def _members(self) -> tuple[int, ...]:
        """The quorum whose state Olympus goes on with; none where it begins anew."""
        olympus = next(each for each in self.run.system.all() if each.name == "olympus")
        change = olympus.process._state.change
        return () if change is None or change.snapshot is None else tuple(change.tried[-1])

    # -- what observers are told (bcr_sim.observing)

    def executed(self, container: Container) -> None: ...

    def handled(self, container: Container) -> None:
        self.look(container)

    def accepted(self, container: Container, answer: Answer) -> None:
        is_client_correct = int(container.name.removeprefix("client_")) not in self.run.scenario.faulty_clients
        if self.run.has_acceptance_of_all and is_client_correct:
            self.forget_the_faulty()
            result = answer.result()
            self.take(Step("learn", answer.configuration, slot=answer.slot, digest=result.requests_digest, outcome=result.outcomes_digest))


class _Heard:
    """The oracle's place: takes note of steps as they are made."""

    def __init__(self, follower: _Follower) -> None:
        self._follower = follower

    def executed(self, container: Container, slot: int, requests: Sequence[Any], done: Any) -> None:
        follower = self._follower
        state = container.process._state
        follower.look(container)
        if follower.is_followed(container):
            # To catch up is no ordering.
            kind = "order command" if state.ledger.suffix is None else "catch up command"
            position, result = container.position, done.result()
            number = container.configuration or 0
            follower.take(Step(kind, number, position, slot, result.requests_digest, result.outcomes_digest, tuple(done.keys())))

    def went_back(self, container: Container) -> None:
        follower = self._follower  # which has seen it immutable, and looks again when it is caught up
        if follower.is_followed(container):
            position, slots = container.position, container.process._state.ledger.next_slot
            follower.take(Step("go back", container.configuration or 0, position, slots))

    def restored(self, container: Container) -> None:
        self._follower.restored(container)

    def checkpointed(self, container: Container, proof: Iterable[SignedCheckpoint]) -> None:
        follower = self._follower
        follower.look(container)
        ledger = container.process._state.ledger
        if follower.is_followed(container) and container.process._state.mode == ACTIVE:
            slot = min(ledger.history, default=ledger.next_slot) - 1
            follower.take(Step("checkpoint", container.configuration or 0, container.position, slot))
