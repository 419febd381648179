"""What must hold at every step of a run, checked against the processes themselves and not against their logs.

Beside the replicas runs a model, which executes what correct replicas have ordered. The replicas have to agree with each other
in the orders. They have to agree with the model in the results, in checkpoints, and in the state that a new configuration
begins with. All of them have to hold what a client accepts. At the end `bcr.verdict.judge` judges the record as it does that of a real run.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import msgspec

from bcr.chain.configuration import Membership
from bcr.chain.proofs import Answer
from bcr.chain.void import is_void
from bcr.objects.finding import DEFAULT
from bcr.objects.replicated import Place, ReplicatedObject
from bcr.objects.sizes import DEFAULT_LIMITS, StateLimits
from bcr.scenario.workload import Filled
from bcr.signed.signing import Author, Keys
from bcr.signed.statements import Checkpoint, Request, SessionRequest, SignedCheckpoint, SignedRequest
from bcr.state.client_sessions import holder_of
from bcr.state.running import RunningState
from bcr.verdict.exchanges import Workloads
from bcr.verdict.model import Executed, Model
from bcr.verdict.record import RunRecord
from bcr_sim.distalgo import Container

MAX_BREACHES = 20


class Breach(Exception):
    """A property of the protocol that does not hold: which, and what shows it."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name
        self.what = what


class _Node(msgspec.Struct):
    """A history as a node of the tree of all histories.

    `digest` is what replicas sign for the state behind it; `model` that state, until a longer history takes it on.
    """

    configuration: int
    order: bytes
    parent: "_Node | None"
    slots: int
    requests: tuple[Request, ...]
    outcomes: tuple[Executed, ...]
    digest: bytes
    model: Model | None
    children: dict[bytes, "_Node"]


class Oracle:
    """Watches the replicas of one run. `is_correct` says which replicas are, so far; only these are held to anything.

    What a client of `liars` has signed is a legal request, whatever it is, and what it says that it accepted is nothing.

    Correct replicas execute along the branches of a tree of histories. While they are active there is one branch for all
    of them: a replica signs one order a slot, and goes on only behind its predecessors. A replica that is caught up may
    take another branch than one that was left out of the quorum and has been answered for by nobody; whether a client
    has an answer from a branch that was left is the verdict's to say.
    """

    def __init__(
        self,
        workloads: Workloads,
        client_window: int,
        is_correct: Callable[[Container], bool],
        liars: Collection[int] = (),
        limits: StateLimits = DEFAULT_LIMITS,
        replicated: ReplicatedObject[Any] | str = DEFAULT,
        session_slots: int = 0,
    ) -> None:
        self._liars = liars
        self._workloads = workloads
        self._is_correct = is_correct
        self._firsts: dict[int, Sequence[int]] = {}  # client -> which requests of the workload its session may have begun with
        self._ended_sessions: set[int] = set()  # clients whose sessions some correct replica has ended
        self._keys: dict[int, bytes] = {}  # client -> the key in its credential, empty where a configuration has it
        model = Model(client_window, limits, replicated, session_slots)
        self._beginnings = {0: model}
        empty = RunningState(client_window, limits, replicated, session_slots).digest()
        self._origins: dict[int, _Node] = {}  # configuration -> the history that it goes on from
        self._roots = {0: _Node(0, b"", None, 0, (), (), empty, model.copy(), {})}
        self._nodes: dict[int, list[_Node]] = {0: [self._roots[0]]}
        self._tips: dict[Container, _Node] = {}
        # (configuration, slot) -> by replica what it ordered while it was active and correct; it may be a liar since.
        self._active_digests: dict[tuple[int, int], dict[Container, bytes]] = {}
        self._spoken_slots: dict[tuple[int, str], int] = {}  # (configuration, replica) -> slots that follow from what it said
        self.breaches: list[Breach] = []
        self.convinces_olympus: Callable[[SignedRequest], bool] = lambda _: False
        self.on_breach: Callable[[Breach], None] = lambda _: None  # is told of each when it is found

    def tell(self, name: str, what: str) -> None:
        """Put down that a property does not hold."""
        if len(self.breaches) < MAX_BREACHES:
            self.breaches.append(Breach(name, what))
            self.on_breach(self.breaches[-1])

    def executed(self, container: Container, slot: int, requests: Sequence[SignedRequest], done: Any) -> None:
        """A replica has executed a slot: by a shuttle, or to catch up."""
        if not self._is_correct(container) or container.configuration is None:
            return
        number = container.configuration
        who = f"{container.name} of configuration {number}"
        tip = self._tips.get(container, self._roots.get(number))
        if tip is None or slot != tip.slots:
            self.tell("prefix order", f"{who} executed slot {slot} behind slot {tip.slots - 1 if tip else None}")
            return
        state = container.process._state.ledger.state
        self._ended_sessions.update(state.ended)
        order = done.order().requests_digest
        node = tip.children.get(order)
        if node is None:
            self._check_validity(container, who, slot, requests)
            node = self._grown(tip, order, tuple(request.statement for request in requests), state.digest())
        self._tips[container] = node
        if container.process._state.mode == "active":
            orders = self._active_digests.setdefault((number, slot), {})
            if any(other != order and self._is_correct(replica) for replica, other in orders.items()):
                self.tell("agreement", f"{who} put other requests into slot {slot} than another correct replica")
            orders[container] = order
        if tuple((outcome.place, outcome.results) for outcome in done.outcomes) != node.outcomes:
            self.tell("replay", f"{who}: slot {slot} {_other_than(done, node)}")
        elif node.model is not None and node.model.difference(state):
            self.tell("replay", f"{who} behind slot {slot} holds {node.model.difference(state)}")
        elif state.digest() != node.digest:
            self.tell("agreement", f"{who} behind slot {slot} has another digest of its state")

    def spoke(self, container: Container) -> None:
        """A replica says something that follows from the slots that it has executed."""
        tip, state = self._tips.get(container), container.process._state
        if tip is not None and state.mode == "active":
            place = tip.configuration, container.name
            self._spoken_slots[place] = max(tip.slots, self._spoken_slots.get(place, 0))

    def began_again(self, before: Container, container: Container) -> None:
        """A replica comes in the place of one that has ended, with its disk."""
        if before in self._tips:
            self._tips[container] = self._tips[before]

    def ended(self, container: Container, why: str) -> None:
        """A replica has ended because of its disk, and nothing is wrong with that."""
        if self._is_correct(container):
            self.tell("durability", f"{container.name} of configuration {container.configuration} ends: {why}")

    def resumed(self, container: Container) -> None:
        """A replica that began again has read its disk: it holds what it executed, as far as it has spoken of it."""
        number, ledger = container.configuration, container.process._state.ledger
        if number is None:
            return
        tip = self._tips.get(container, self._roots.get(number))
        while tip is not None and tip.slots > ledger.next_slot:
            tip = tip.parent
        if tip is not None:
            self._tips[container] = tip
        if not self._is_correct(container):
            return
        who = f"{container.name} of configuration {number}"
        spoken = self._spoken_slots.get((number, container.name), 0)
        if spoken > ledger.next_slot:
            self.tell("durability", f"{who} has slots below {ledger.next_slot} on its disk, and has spoken of {spoken - 1}")
        elif tip is None or tip.slots != ledger.next_slot or ledger.state.digest() != tip.digest:
            self.tell("durability", f"{who} has another state on its disk than it had behind slot {ledger.next_slot - 1}")

    def went_back(self, container: Container) -> None:
        """A replica is where it was when it was wedged, to be caught up from there."""
        tip = self._tips.get(container)
        while tip is not None and tip.slots > container.process._state.ledger.next_slot:
            tip = tip.parent
        if tip is not None:
            self._tips[container] = tip

    def _grown(self, parent: _Node, order: bytes, requests: tuple[Request, ...], digest: bytes) -> _Node:
        model = parent.model or self._replayed(parent)
        parent.model = None
        places = ((parent.configuration, parent.slots, index) for index in range(len(requests)))
        outcomes = tuple(model.execute(place, request) for place, request in zip(places, requests, strict=True))
        node = _Node(parent.configuration, order, parent, parent.slots + 1, requests, outcomes, digest, model, {})
        self._nodes[parent.configuration].append(node)
        parent.children[order] = node
        return node

    def _replayed(self, node: _Node) -> Model:
        """The state behind a history whose own went on along another branch."""
        path = []
        while node.parent is not None:
            path.append(node)
            node = node.parent
        model = self._beginnings[node.configuration].copy()
        for each in reversed(path):
            for index, request in enumerate(each.requests):
                model.execute((each.configuration, each.slots - 1, index), request)
        return model

    def _check_validity(self, container: Container, who: str, slot: int, requests: Sequence[SignedRequest]) -> None:
        configuration = container.process._state.configuration
        for request in requests:
            client, author = request.statement.client, _author_of(request, configuration, container.process._state.keys)
            holder, key = holder_of(request.statement)
            if author is not None and self._keys.setdefault(client, key) != key:
                self.tell("admission", f"{who} executed in slot {slot} requests of client {client} under two keys")
            is_of_a_client = request.signer == client and 0 <= holder < len(self._workloads) and author is not None
            is_liar = is_of_a_client and holder in self._liars
            if author is None or not is_of_a_client or not (request.is_authentic(author) or self._is_vouched_for(request, configuration)):
                self.tell("validity", f"{who} executed in slot {slot} what no client signed")
                continue
            if not (is_liar or is_void(request.statement.operations) or self._is_of_workload(request.statement, holder)):
                self.tell("validity", f"{who} executed in slot {slot} what client {client} was not to send")

    def _is_vouched_for(self, request: SignedRequest, configuration: Membership) -> bool:
        """Whether a request that does not convince a replica convinces Olympus, who may have had the replica catch up with it: with codes
        for each reader a liar, be it the client or whoever passed it on, may spoil some of them alone."""
        return not configuration.is_transferable and self.convinces_olympus(request)

    def _is_of_workload(self, request: Request, holder: int) -> bool:
        """Whether it is what its client was to send. Which request of the workload a later session begins with only the client
        knows: any will do that all of its requests so far agree with."""
        workload = self._workloads[holder]
        if isinstance(workload, Filled):
            return workload.holds(request.operations)
        firsts = self._firsts.get(request.client, (0,) if request.client == holder else range(len(workload)))
        possible = (first for first in firsts if 0 <= first + request.number < len(workload))
        self._firsts[request.client] = [first for first in possible if tuple(workload[first + request.number]) == request.operations]
        return bool(self._firsts[request.client])

    def restored(self, container: Container) -> None:
        """A replica of a new configuration has taken the running state that it is to begin with."""
        state, number = container.process._state.ledger.state, container.configuration
        if not self._is_correct(container) or number is None or not container.process._state.has_initial_history:
            return
        if container.process._state.mode != "pending":
            return  # it comes again to a replica that has gone on from it, and is ignored
        digest = state.digest()
        if number not in self._roots:
            # Between the two there may be numbers that were given up before anybody heard of them.
            before = max((each for each in self._nodes if each < number), default=0)
            origin = next((node for node in self._nodes.get(before, ()) if node.digest == digest), None)
            if origin is None:
                self.tell("state transfer", f"configuration {number} begins with a state that no correct replica had")
                return
            model = (origin.model or self._replayed(origin)).copy()
            self._beginnings[number] = model.copy()
            self._origins[number] = origin
            self._roots[number] = _Node(number, b"", None, 0, (), (), digest, model, {})
            self._nodes[number] = [self._roots[number]]
        difference = self._beginnings[number].difference(state)
        if difference:
            self.tell("state transfer", f"{container.name} of configuration {number} begins with {difference}")

    def checkpointed(self, container: Container, proof: Sequence[SignedCheckpoint]) -> None:
        """A replica has cut its history at a completed checkpoint, on this proof."""
        if not self._is_correct(container) or container.configuration is None:
            return
        configuration = container.process._state.configuration
        signers: dict[Checkpoint, set[int]] = {}
        for signed in proof:
            if 0 <= signed.signer <= configuration.tail and signed.is_authentic(configuration.replica_author(signed.signer)):
                signers.setdefault(signed.statement, set()).add(signed.signer)
        agreed = [checkpoint for checkpoint, positions in signers.items() if len(positions) >= configuration.quorum]
        if not agreed:
            self.tell("checkpoint agreement", f"{container.name} cut its history on less than t+1 statements")
            return
        slot = agreed[0].slot
        node: _Node | None = self._tips.get(container)
        while node is not None and node.slots > slot + 1:
            node = node.parent
        if node is None or node.slots != slot + 1 or node.digest != agreed[0].state_digest:
            what = f"{container.name} cut its history at a checkpoint of slot {slot} whose state is not that of the slot"
            self.tell("checkpoint agreement", what)

    def accepted(self, answer: Answer, who: str, replicas: Iterable[Container]) -> None:
        """A client accepts an answer of replicas; `replicas` are those of its configuration that are there."""
        result = answer.result()
        for container in replicas:
            if not self._is_correct(container):
                continue
            node: _Node | None = self._tips.get(container)
            while node is not None and node.slots > result.slot + 1:
                node = node.parent
            if node is None or node.slots != result.slot + 1 or node.order != result.requests_digest:
                what = f"{who} accepted an answer from slot {result.slot} of configuration {result.configuration}"
                self.tell("final", f"{what}, which {container.name} does not hold")

    def concluded(self, record: RunRecord) -> None:
        """At the end: what each client accepted is what its request returned where the service executed it, and what was refused was not executed."""
        last = max(self._nodes)
        tip = max(self._nodes[last], key=lambda node: node.slots)
        executed = (tip.model or self._replayed(tip)).executed
        requests = self._requests_up_to(tip) if any(client.rejected for client in record.clients) else {}
        for client in record.clients:
            for given_up in () if client.client in self._liars else client.lost:
                if given_up.statement.client not in self._ended_sessions:
                    what = f"client {given_up.statement.client} gave its session up, and no correct replica has ended it"
                    self.tell("sessions", what)
            for exchange in () if client.client in self._liars else client.exchanges:
                request, outcome = exchange.request.statement, exchange.answer.outcome
                model_outcome = executed.get((request.client, request.number))
                if model_outcome != (outcome.place, outcome.results):
                    name = f"client {request.client}, request {request.number}"
                    where = "in what the service went on from it was " + (_words_of(model_outcome) if model_outcome else "never executed")
                    self.tell("results", f"{name}: accepted as {_words_of((outcome.place, outcome.results))}, and {where}")
            for each in () if client.client in self._liars else client.rejected:
                key = each.request.statement.client, each.request.statement.number
                done = executed.get(key)
                if done is not None and not is_void(requests[done[0]].operations):
                    self.tell("results", f"client {key[0]}, request {key[1]}: refused for good, and it was {_words_of(done)}")

    def _requests_up_to(self, tip: _Node) -> dict[Place, Request]:
        """What stands at each place of a history, from the first configuration on."""
        requests: dict[Place, Request] = {}
        node: _Node | None = tip
        while node is not None:
            requests |= {(node.configuration, node.slots - 1, index): request for index, request in enumerate(node.requests)}
            node = node.parent or self._origins.get(node.configuration)
        return requests


def is_of_its_client(request: SignedRequest, configuration: Membership, keys: Keys) -> bool:
    """Whether a request convinces whoever has these keys."""
    author = _author_of(request, configuration, keys)
    return author is not None and request.is_authentic(author)


def _author_of(request: SignedRequest, configuration: Membership, keys: Keys) -> Author | None:
    """Who must have signed the request; None where that is nobody."""
    statement = request.statement
    if not isinstance(statement, SessionRequest):
        known = 0 <= statement.client < len(configuration.clients)
        return configuration.client_key(statement.client) if known else None
    credential = statement.credential
    if credential.statement.client != statement.client or not credential.is_authentic(configuration.olympus):
        return None
    return keys.author(credential.statement.public_key)


def _words_of(executed: Executed) -> str:
    """What a request gave, and where, as a sentence has it."""
    (configuration, slot, index), results = executed
    return f"{', '.join(map(repr, results))} in slot {slot}{f', place {index},' if index else ''} of configuration {configuration}"


def _other_than(done: Any, node: _Node) -> str:
    """Of the first request of a slot that gave what it should not: what it gave, and what it should have."""
    for request, outcome, right in zip(node.requests, done.outcomes, node.outcomes, strict=False):
        if (outcome.place, outcome.results) != right:
            name = f"request {request.number} of client {request.client}"
            return f"gave for {name} {_words_of((outcome.place, outcome.results))}, and should have given {_words_of(right)}"
    return f"gave {len(done.outcomes)} outcomes, and should have given {len(node.outcomes)}"
