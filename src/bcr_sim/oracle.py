"""What must hold at every step of a run, checked against the processes themselves and not against their logs.

A reference is run beside the replicas: the first correct replica that executes a slot gives it the slot's requests, and
from then on every correct replica has to agree with it, in that slot, in the results, in checkpoints, and in the state
that a new configuration begins with. At the end `bcr.verdict` judges the record as it does that of a real run.
"""

from collections.abc import Callable, Sequence
from typing import Any

from bcr.object import Operation
from bcr.state import RunningState
from bcr.statements import SignedRequest
from bcr.violations import ProtocolViolation
from bcr_sim.distalgo import Container

MAX_BREACHES = 20


class Breach(Exception):
    """A property of the protocol that does not hold: which, and what shows it."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name
        self.what = what


class Reference:
    """What the correct replicas of one configuration have done, in the order of its slots."""

    def __init__(self, state: RunningState) -> None:
        self.state = state
        self.orders: list[bytes] = []
        self.outcomes: list[Any] = []
        self.digests: list[bytes] = [state.digest()]  # of the running state behind so many slots


class Oracle:
    """Watches the replicas of one run. `is_correct` says which replicas are; only these are held to anything."""

    def __init__(
        self,
        workloads: Sequence[Sequence[Sequence[Operation]]],
        client_window: int,
        is_correct: Callable[[Container], bool],
    ) -> None:
        self._workloads = workloads
        self._is_correct = is_correct
        self._client_window = client_window
        self._references: dict[int, Reference] = {0: Reference(RunningState(client_window))}
        self.breaches: list[Breach] = []

    def _tell(self, name: str, what: str) -> None:
        if len(self.breaches) < MAX_BREACHES:
            self.breaches.append(Breach(name, what))

    def executed(self, container: Container, slot: int, requests: Sequence[SignedRequest], done: Any) -> None:
        """A replica has executed a slot: by a shuttle, or to catch up."""
        if not self._is_correct(container) or container.configuration is None:
            return
        who = f"{container.name} of configuration {container.configuration}"
        reference = self._references.get(container.configuration)
        if reference is None or slot > len(reference.orders):
            self._tell("prefix order", f"{who} executed slot {slot} before any correct replica had the one before")
            return
        order = done.order().requests_digest
        if slot == len(reference.orders):
            self._check_validity(container, who, slot, requests)
            reference.orders.append(order)
            statements = tuple(request.statement for request in requests)
            reference.outcomes.append(reference.state.execute(container.configuration, slot, statements))
            reference.digests.append(reference.state.digest())
        elif order != reference.orders[slot]:
            self._tell("agreement", f"{who} put other requests into slot {slot} than another correct replica")
            return
        if done.outcomes != reference.outcomes[slot]:
            self._tell("replay", f"{who}: slot {slot} gave {done.outcomes}, a replay gives {reference.outcomes[slot]}")

    def _check_validity(self, container: Container, who: str, slot: int, requests: Sequence[SignedRequest]) -> None:
        configuration = container.process._state.configuration
        for request in requests:
            statement = request.statement
            try:
                configuration.demand_signed_by_client(request)
            except ProtocolViolation as violation:
                self._tell("validity", f"{who} executed in slot {slot} what no client signed: {violation}")
                continue
            workload = self._workloads[statement.client]
            if not 0 <= statement.number < len(workload) or tuple(workload[statement.number]) != statement.operations:
                self._tell("validity", f"{who} executed in slot {slot} what client {statement.client} was not to send")

    def restored(self, container: Container) -> None:
        """A replica of a new configuration has taken the running state that it is to begin with."""
        state, number = container.process._state.state, container.configuration
        if not self._is_correct(container) or number is None:
            return
        digest = state.digest()
        if number not in self._references:
            before = self._references.get(number - 1)
            if before is None or digest not in before.digests:
                self._tell("state transfer", f"configuration {number} begins with a state that no correct replica had")
            self._references[number] = Reference(RunningState.restored(state.snapshot(), self._client_window))
        elif self._references[number].digests[0] != digest:
            self._tell("state transfer", f"{container.name} of configuration {number} begins with another state")

    def checkpointed(self, container: Container, slot: int, state_digest: bytes) -> None:
        """A replica has cut its history at a completed checkpoint."""
        if not self._is_correct(container) or container.configuration is None:
            return
        digests = self._references[container.configuration].digests
        if slot + 1 >= len(digests) or digests[slot + 1] != state_digest:
            what = f"{container.name} cut its history at a checkpoint of slot {slot} that no correct replica can have signed"
            self._tell("checkpoint agreement", what)
