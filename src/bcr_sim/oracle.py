"""What must hold at every step of a run, checked against the processes themselves and not against their logs.

Beside the replicas runs a reference, which executes what correct replicas have ordered: they have to agree with each
other in the orders, and with it in the results, in checkpoints, and in the state that a new configuration begins with.
At the end `bcr.verdict` judges the record as it does that of a real run.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bcr.object import Operation
from bcr.state import RunningState
from bcr.statements import Request, SignedRequest
from bcr.violations import ProtocolViolation
from bcr_sim.distalgo import Container

MAX_BREACHES = 20


class Breach(Exception):
    """A property of the protocol that does not hold: which, and what shows it."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name
        self.what = what


class _Node(msgspec.Struct):
    """A history as a node of the tree of all histories: what its last slot gave, and the digest of the state behind it.

    `state` is the running state itself, until a longer history takes it on.
    """

    configuration: int
    parent: "_Node | None"
    requests: tuple[Request, ...]
    outcomes: tuple[Any, ...]
    digest: bytes
    state: RunningState | None
    children: dict[bytes, "_Node"] = {}

    @property
    def slots(self) -> int:
        return 0 if self.parent is None else self.parent.slots + 1


class Oracle:
    """Watches the replicas of one run. `is_correct` says which replicas are; only these are held to anything.

    Correct replicas execute along the branches of a tree of histories. While they are active there is one branch for all
    of them: a replica signs one order a slot, and goes on only behind its predecessors. A replica that is caught up may
    take another branch than one that was left out of the quorum and has been answered for by nobody; whether a client
    has an answer from a branch that was left is the verdict's to say.
    """

    def __init__(
        self,
        workloads: Sequence[Sequence[Sequence[Operation]]],
        client_window: int,
        is_correct: Callable[[Container], bool],
    ) -> None:
        self._workloads = workloads
        self._is_correct = is_correct
        self._client_window = client_window
        self._roots = {0: self._root(0, RunningState(client_window))}
        self._beginnings = {0: RunningState(client_window).snapshot()}
        self._digests: dict[int, set[bytes]] = {0: {self._roots[0].digest}}  # by configuration, of all its states
        self._tips: dict[Container, _Node] = {}
        self._active: dict[tuple[int, int], bytes] = {}  # (configuration, slot) -> what was ordered while active
        self.breaches: list[Breach] = []

    @staticmethod
    def _root(configuration: int, state: RunningState) -> _Node:
        return _Node(configuration, None, (), (), state.digest(), state)

    def _tell(self, name: str, what: str) -> None:
        if len(self.breaches) < MAX_BREACHES:
            self.breaches.append(Breach(name, what))

    def executed(self, container: Container, slot: int, requests: Sequence[SignedRequest], done: Any) -> None:
        """A replica has executed a slot: by a shuttle, or to catch up."""
        if not self._is_correct(container) or container.configuration is None:
            return
        number = container.configuration
        who = f"{container.name} of configuration {number}"
        tip = self._tips.get(container, self._roots.get(number))
        if tip is None or slot != tip.slots:
            self._tell("prefix order", f"{who} executed slot {slot} behind slot {tip.slots - 1 if tip else None}")
            return
        order = done.order().requests_digest
        node = tip.children.get(order)
        if node is None:
            self._check_validity(container, who, slot, requests)
            node = self._grown(tip, order, tuple(request.statement for request in requests))
        self._tips[container] = node
        if container.process._state.mode == "active" and self._active.setdefault((number, slot), order) != order:
            self._tell("agreement", f"{who} put other requests into slot {slot} than another correct replica")
        if done.outcomes != node.outcomes:
            self._tell("replay", f"{who}: slot {slot} gave {done.outcomes}, a replay gives {node.outcomes}")

    def went_back(self, container: Container) -> None:
        """A replica is where it was when it was wedged, to be caught up from there."""
        tip = self._tips.get(container)
        while tip is not None and tip.slots > container.process._state.next_slot:
            tip = tip.parent
        if tip is not None:
            self._tips[container] = tip

    def _grown(self, parent: _Node, order: bytes, requests: tuple[Request, ...]) -> _Node:
        state = parent.state or self._replayed(parent)
        parent.state = None
        outcomes = state.execute(parent.configuration, parent.slots, requests)
        node = _Node(parent.configuration, parent, requests, outcomes, state.digest(), state)
        self._digests[parent.configuration].add(node.digest)
        parent.children = {**parent.children, order: node}
        return node

    def _replayed(self, node: _Node) -> RunningState:
        """The running state behind a history whose own went on along another branch."""
        path = []
        while node.parent is not None:
            path.append(node)
            node = node.parent
        state = RunningState.restored(self._beginnings[node.configuration], self._client_window)
        for slot, each in enumerate(reversed(path)):
            state.execute(each.configuration, slot, each.requests)
        return state

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
        if not self._is_correct(container) or number is None or not container.process._state.has_initial_history:
            return
        if number not in self._roots:
            self._beginnings[number] = state.snapshot()
            self._roots[number] = self._root(number, RunningState.restored(state.snapshot(), self._client_window))
            self._digests[number] = {self._roots[number].digest}
            if self._roots[number].digest not in self._digests.get(number - 1, ()):
                self._tell("state transfer", f"configuration {number} begins with a state that no correct replica had")
        elif self._roots[number].digest != state.digest():
            self._tell("state transfer", f"{container.name} of configuration {number} begins with another state")

    def checkpointed(self, container: Container, slot: int, state_digest: bytes) -> None:
        """A replica has cut its history at a completed checkpoint."""
        if not self._is_correct(container) or container.configuration is None:
            return
        node: _Node | None = self._tips.get(container)
        while node is not None and node.slots > slot + 1:
            node = node.parent
        if node is None or node.slots != slot + 1 or node.digest != state_digest:
            what = f"{container.name} cut its history at a checkpoint of slot {slot} whose state is not that of the slot"
            self._tell("checkpoint agreement", what)
