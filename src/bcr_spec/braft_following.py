"""Holds a simulated run of Raft among liars against the specification that runs, spec/AmongLiars.da.

Beside each correct server runs the specification's, which hears what that handled, one message after the other. After each its term, its
log, what it takes to be prepared and what it takes to be decided have to be what the specification allows, and so has each message that
it has not said before. Liars are held to nothing, and what they sign under another's name is forged to the specification as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec

from bcr.braft.exchange import KINDS, Decided
from bcr.braft.promises import Append, Certificate, Commit, Prepare, Reply, Start, StartVote, StateAt
from bcr.braft.proposals import Proposal
from bcr.braft.term_starts import Suffix, TermStart, TermVote
from bcr.raft.log import BEGINNING, Entry
from bcr.scenario import Scenario
from bcr.signed.encoding import decode
from bcr.signed.signing import Signed
from bcr.signed.statements import Request
from bcr.signed.violations import ProtocolViolation
from bcr.state.running import Snapshot
from bcr_runtime.journal import Journal
from bcr_sim.braft_run import BraftRun
from bcr_sim.distalgo import Container, ProcessId
from bcr_sim.simulated_run import demand_simulable
from bcr_spec.following import NEVER_S, Departure, NotSpecified, SpecifiedProcess, contradictions, departures_of_servers
from bcr_spec.text import specification_among_liars
from bcr_spec.translation import Message

Log = tuple[Any, ...]  # entries (term, requests), as in spec/AmongLiars.da
UNSPECIFIED = ("status", "fetch", "forwarded_request")


class BraftServerState(msgspec.Struct, frozen=True):
    """What a server is after a step; `highest` is its certificate, in the specification's words."""

    term: int
    is_started: bool
    is_ready: bool
    log: Log
    commit_index: int
    highest: Any


class BraftStep(msgspec.Struct, frozen=True):
    """A message that a server handled, or None where a timer expired; what it said, and what it was then."""

    heard: Message | None
    said: tuple[Message, ...]
    view: BraftServerState


class _Raw(msgspec.Struct, frozen=True):
    """A step as it was taken: messages by name, and of the log the last digest."""

    position: int
    heard: tuple[str, Any] | None
    said: tuple[tuple[str, Any], ...]
    term: int
    is_started: bool
    is_ready: bool
    last: bytes
    commit_index: int
    highest: Certificate | None


class _Words:
    """Messages in the specification's words. Digests become what they are of, where anybody ever showed that."""

    def __init__(self, keys: Any, messages: Iterable[Any]) -> None:
        self._keys = keys
        self._logs: dict[bytes, Log] = {BEGINNING.digest: ()}
        self._entries = {entry.digest: entry for message in messages for entry in _entries(message)}

    def upto(self, digest: bytes) -> Log:
        behind = []
        while digest not in self._logs and digest in self._entries:
            behind.append(self._entries[digest])
            digest = behind[-1].previous
        log = self._logs.get(digest, (("unknown", digest.hex()),))
        for entry in reversed(behind):
            log = (*log, (entry.term, tuple(self._asked(request) for request in entry.requests)))
            self._logs[entry.digest] = log
        return log

    def of(self, name: str, message: Any) -> Message | None:
        """None where the specification has no such message."""
        match message:
            case Proposal():
                return ("append", self._signed(message.signed), tuple(map(self._request, message.requests())))
            case Certificate():
                return (name, self.certificate(message))
            case TermVote():
                return ("start_vote", self._signed(message.signed), self.certificate(message.certificate), self._suffix(message.log))
            case TermStart():
                claims = tuple((self._signed(vote), self.certificate(certificate)) for vote, certificate in message.votes)
                return ("start_term", self._signed(message.signed), claims, self._suffix(message.log))
            case Decided():
                return self._decided(message)
        if name in UNSPECIFIED:
            return None
        return (name, self._request(message) if name == "client_request" else self._signed(message))

    def _decided(self, message: Decided) -> Message:
        is_right = True
        if message.checkpoint is not None:
            statement = message.checkpoint.statement
            is_right = isinstance(statement, StateAt) and _digest_of_state(message.snapshot) == statement.state_digest
        entries = tuple((self.upto(entry.previous), self.upto(entry.digest)) for entry in message.entries)
        return ("state", self.certificate(message.checkpoint), is_right, message.previous, entries, self.certificate(message.certificate))

    def certificate(self, certificate: Certificate | None) -> Any:
        if certificate is None:
            return None
        signed = (Signed(certificate.statement, signer, signature) for signer, signature in certificate.signatures)
        return (self._what(certificate.statement), tuple(map(self._signed, signed)))

    def _suffix(self, suffix: Suffix) -> Any:
        digest = suffix.first.digest
        whole: Log | None = self.upto(digest)
        for entry in suffix.entries:
            whole = self.upto(entry.digest) if entry.previous == digest and whole is not None else None
            digest = entry.digest
        return (self.certificate(suffix.checkpoint), whole)

    def _asked(self, request: Request) -> Any:
        return ("request", request.client, request.number, "; ".join(map(str, request.operations)))

    def _request(self, signed: Signed[Request]) -> Any:
        clients = self._keys.circle.clients
        is_authentic = 0 <= signed.signer < len(clients) and signed.is_authentic(self._keys.author(clients[signed.signer]))
        return ("signed" if is_authentic else "forged", ("client", signed.signer), self._asked(signed.statement))

    def _signed(self, signed: Signed[Any]) -> Any:
        servers = self._keys.circle.replicas
        is_authentic = 0 <= signed.signer < len(servers) and signed.is_authentic(self._keys.author(servers[signed.signer]))
        return ("signed" if is_authentic else "forged", ("server", signed.signer), self._what(signed.statement))

    def _what(self, statement: Any) -> Any:
        match statement:
            case Append() | Prepare() | Commit() | Start():
                name = {Append: "append", Prepare: "prepare", Commit: "commit", Start: "start_term"}[type(statement)]
                return (name, statement.term, statement.index, self.upto(statement.digest))
            case StartVote():
                return ("start_vote", statement.term, statement.prepared_term, statement.index, self.upto(statement.digest))
            case StateAt():
                return ("state_at", 0, statement.index, self.upto(statement.position.digest), statement.state_digest.hex())
            case Reply():
                return ("reply", statement.client, statement.number, statement.outcome.slot)
        raise NotSpecified(f"a {type(statement).__name__}, of which the specification says nothing")


def _entries(message: Any) -> Sequence[Entry]:
    match message:
        case Proposal():
            return (message.entry,)
        case TermVote() | TermStart():
            return message.log.entries
        case Decided():
            return message.entries
    return ()


def _digest_of_state(snapshot: bytes) -> bytes:
    try:
        return decode(Snapshot, snapshot).digest()
    except ProtocolViolation:
        return b""


class RecordedBraft(BraftRun):
    """One run; `steps` has those of each correct server, by its position."""

    def __init__(self, scenario: Scenario) -> None:
        demand_specified(scenario)
        demand_simulable(scenario)
        super().__init__(scenario, None, False)
        faulty_positions = {plan.position for plan in scenario.failures} | {*(scenario.simulation.twins if scenario.simulation else ())}
        self.steps: dict[int, list[BraftStep]] = {place: [] for place in range(scenario.num_replicas) if place not in faulty_positions}
        self.pids: dict[int, ProcessId] = {}
        self._raw_steps: list[_Raw] = []
        self._containers: dict[int, Container] = {}  # by their journals
        self._keys: Any = None
        self._heard_messages: dict[int, tuple[str, Any]] = {}  # by the journal of whoever handles it
        self._said_messages: dict[int, list[tuple[str, Any]]] = {}
        stock = dict(self.told)
        for what in ("handled", "expired"):

            def told(run: Any, container: Container, about: Any, what: str = what) -> None:
                stock[what](run, container, about)
                self._took_a_step(container)

            self.told[what] = told

    def outcome(self) -> Any:
        with self._overheard():
            return super().outcome()

    @contextmanager
    def _overheard(self) -> Iterator[None]:
        """What a process writes into its log of messages is what it has understood, and what it has said to whomever."""
        stock = Journal.received, Journal.sent

        def received(journal: Journal, message_name: str, message: Any, payload: bytes) -> None:
            container = self._containers.get(id(journal))
            if container is not None and self._said_messages.get(id(journal)):
                self._took_a_step(container)  # what it did when the last message had shown it a lie
            self._heard_messages[id(journal)] = message_name, message
            stock[0](journal, message_name, message, payload)

        def sent(journal: Journal, message_name: str, receiver: str, message: Any, payload: bytes) -> None:
            self._said_messages.setdefault(id(journal), []).append((message_name, message))
            stock[1](journal, message_name, receiver, message, payload)

        with mock.patch.multiple(Journal, received=received, sent=sent):
            yield

    def _took_a_step(self, container: Container) -> None:
        if not container.name.startswith("replica_"):
            return
        state, position = container.process._state, container.position
        self.pids[position] = container.dapid
        heard, said = self._heard_messages.pop(id(state.journal), None), self._said_messages.pop(id(state.journal), [])
        if position not in self.steps:
            return
        self._keys = state.keys
        self._containers[id(state.journal)] = container
        spoken = tuple(each for each in said if each[0] in KINDS)
        self._raw_steps.append(_Raw(position, heard if heard is not None and heard[0] in KINDS else None, spoken, state.term, state.is_started,
                              state.is_ready, state.log.last.digest, state.commit_index, state.highest))  # fmt: skip

    def _conduct(self) -> str | None:
        what_hinders = super()._conduct()
        # Here, for signatures can be checked for so long as the run is installed.
        words = _Words(self._keys, (message for raw in self._raw_steps for _, message in (*raw.said, *([raw.heard] if raw.heard else []))))
        for raw in self._raw_steps:
            heard = None if raw.heard is None else words.of(*raw.heard)
            said = tuple(told for name, message in raw.said if (told := words.of(name, message)) is not None)
            view = BraftServerState(
                raw.term, raw.is_started, raw.is_ready, words.upto(raw.last), raw.commit_index, words.certificate(raw.highest)
            )
            self.steps[raw.position].append(BraftStep(heard, said, view))
        return what_hinders


def demand_specified(scenario: Scenario) -> None:
    """Raises NotSpecified where the scenario is of another protocol, or its servers begin again."""
    if scenario.protocol != "byzantine_raft":
        raise NotSpecified(f"{scenario.source}: the specification is of protocol = byzantine_raft, and not of {scenario.protocol}")
    if scenario.durable or (scenario.simulation is not None and scenario.simulation.restarts):
        raise NotSpecified(f"{scenario.source}: servers begin again, of which the specification says nothing")


def departures_of_braft(run: RecordedBraft) -> list[Departure]:
    """Where the run that was recorded is none that the specification allows; empty where it is one."""
    whats = ((position, _Beside(run, position).departures(steps)) for position, steps in run.steps.items())
    logs = ((position, steps[-1].view.log[: steps[-1].view.commit_index]) for position, steps in run.steps.items() if steps)
    return [*departures_of_servers(whats), *contradictions(logs, "decided other entries")]


class _Beside:
    """The specification's server beside one of the run."""

    def __init__(self, run: RecordedBraft, position: int) -> None:
        servers = tuple(run.pids.get(place, run.pids[position]) for place in range(run.scenario.num_replicas))
        self._servers = servers
        self._follower = SpecifiedProcess(specification_among_liars().Server, (position, servers, run.scenario.t, NEVER_S, False))
        self._said_messages: set[Message] = set()
        self._view = BraftServerState(0, True, True, (), 0, None)

    def departures(self, steps: list[BraftStep]) -> Iterator[str]:
        return self._follower.departures(steps, self._of)

    def _of(self, step: BraftStep) -> Iterator[str]:
        own, view = self._follower.process._state, step.view
        if step.heard is not None:
            self._said_messages.add(step.heard)  # what it has it may pass on
            self._follower.hear(self._servers[0], step.heard)
        if self._view.commit_index <= view.commit_index <= own.commit_index:
            own.commit_index = view.commit_index  # it knows by now that it may, and may say so later
        for message in step.said:
            if message not in self._said_messages:
                self._said_messages.add(message)
                yield from self._saying(message)
        if _comparable_value("highest", view.highest) in (
            _comparable_value("highest", own.highest),
            _comparable_value("highest", self._view.highest),
        ):
            own.highest = view.highest  # it may count on, where one server has said two things
        expected = BraftServerState(own.term, own.is_started, own.is_ready, own.log, own.commit_index, own.highest)
        for field in BraftServerState.__struct_fields__:
            if _comparable_value(field, getattr(expected, field)) != _comparable_value(field, getattr(view, field)):
                what = f"{_comparable_value(field, getattr(view, field))}, and not {_comparable_value(field, getattr(expected, field))}"
                yield f"after {_excerpt(step.heard)}, {field}: {what}"
        self._view = view

    def _saying(self, message: Message) -> Iterator[str]:
        follower, may = self._follower, self._follower.process
        own = may._state
        (name, first, *rest) = message
        if name == "start_vote" and first[2][1] > own.term:
            follower.call("vote", first[2][1])  # it may give up a term at any time
        match name:
            case "start_vote":
                is_allowed = may.may_vote(first, *rest)
            case "start_term":
                is_allowed = first[2][1] == own.term and not own.is_started and may.may_start(first, *rest)
                if is_allowed:
                    follower.call("begin", message)
            case "append":
                is_allowed = may.leads() and first[2][1] == own.term and may.may_append(first, *rest) and first[2][3][:-1] == own.log
                if is_allowed:
                    follower.call("hold", first[2][3])
            case "prepare":
                is_allowed = may.may_prepare(*first[2][1:])
            case "prepare_certificate":
                is_allowed = may.leads() and may.is_certificate(first, ("prepare",))
            case "commit":
                is_allowed = may.may_commit(*first[2][1:])
            case "checkpoint":
                is_allowed = may.may_sign_state(first[2][2], first[2][3])
            case "state":
                is_allowed = may.are_certain(first, rest[-1])
            case _:
                is_allowed = may.may_answer(*first[2][1:])
        if not is_allowed:
            yield f"says {_excerpt(message)}, and may not"


def _comparable_value(field: str, value: Any) -> Any:
    """Of certificates what they are of: that an entry is prepared is shown by one that it is decided, too."""
    return value[0][1:] if field == "highest" and value is not None else value


def _excerpt(message: Message | None) -> str:
    words = "the time is over" if message is None else repr(message)
    return words if len(words) <= 200 else f"{words[:199]}…"
