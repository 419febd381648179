"""Holds a simulated run of Raft against the specification that runs, spec/Figure2.da.

Beside each server there is one of the specification, which hears what the server handled, one message after the other. After each message
the two must have the same term, role, log and commit index, and give the same answer. The specification's queries judge what a server may
choose: when it asks for votes, gives up a role, puts entries into its log as a leader, sends entries, and answers clients.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from bcr.raft.elections import CANDIDATE, FOLLOWER, LEADER
from bcr.raft.log import Entry
from bcr.raft.reads import AMONG_READS
from bcr.raft.rpcs import KINDS, Appended, AppendEntries, InstallSnapshot, RequestVote, Response, SnapshotInstalled, Vote
from bcr.scenario import Scenario
from bcr.signed.encoding import decode
from bcr.signed.statements import Request
from bcr_sim.distalgo import MESSAGE, Container, ProcessId
from bcr_sim.raft_run import RaftRun
from bcr_sim.simulated_run import demand_simulable
from bcr_spec.following import NEVER_S, Departure, NotSpecified, SpecifiedProcess, contradictions, departures_of_servers
from bcr_spec.text import specification_of_raft
from bcr_spec.translation import Message

MESSAGES: dict[str, Any] = {**KINDS}
ANSWERS = ("request_vote", "vote", "appended")  # what it says is what the specification says


class RaftServerState(msgspec.Struct, frozen=True):
    """What a server is after a step: `log` has (term, commands) for each entry from index 1 on, a command (client, number)."""

    term: int
    role: str
    log: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    commit_index: int


class RaftStep(msgspec.Struct, frozen=True):
    """A message that a server handled, or None where a timer expired; what it said, and what it was then."""

    sender: ProcessId
    heard: Any
    said: tuple[Any, ...]
    view: RaftServerState


class RecordedRaft(RaftRun):
    """One run; `steps` has those of each server, by its position, and `pids` the servers' processes."""

    def __init__(self, scenario: Scenario) -> None:
        demand_specified(scenario)
        demand_simulable(scenario)
        super().__init__(scenario, None, False)
        self.steps: list[list[RaftStep]] = [[] for _ in range(scenario.num_replicas)]
        self.pids: dict[int, ProcessId] = {}
        self._arrivals: dict[Container, deque[tuple[ProcessId, str, bytes]]] = {}
        self._said_messages: dict[Container, list[Any]] = {}
        stock = dict(self.told)
        for what in ("handled", "expired"):

            def told(run: Any, container: Container, about: Any, what: str = what) -> None:
                stock[what](run, container, about)
                self._took_a_step(container, about if what == "handled" else None)

            self.told[what] = told

    def _arrived(self, receiver: Container, source: Any, command: Any, content: Any) -> None:
        if command is MESSAGE and content[1][0] in KINDS and receiver.name.startswith("replica_"):
            self._arrivals.setdefault(receiver, deque()).append((source, *content[1]))
        super()._arrived(receiver, source, command, content)

    def _sending(self, sender: Container, receiver: Container, content: tuple[Any, ...]) -> tuple[Any, ...] | None:
        name, *parts = content[1]
        if name in KINDS and sender.name.startswith("replica_"):
            message: Any = decode(MESSAGES[name], parts[0])
            said = self._said_messages.setdefault(sender, [])
            if not (isinstance(message, RequestVote) and message in said):  # to all servers
                said.append(message)
        return super()._sending(sender, receiver, content)

    def _took_a_step(self, container: Container, name: str | None) -> None:
        if not container.name.startswith("replica_"):
            return
        position = container.position
        self.pids[position] = container.dapid
        sender: ProcessId = container.dapid
        heard: Any = None
        if name is not None:
            (sender, arrived, payload) = self._arrivals[container].popleft()
            assert arrived == name
            heard = decode(MESSAGES[name], payload)
        steps = self.steps[position]
        steps.append(RaftStep(sender, heard, tuple(self._said_messages.pop(container, ())), self._view(container.process._state, steps)))

    def _view(self, state: Any, steps: list[RaftStep]) -> RaftServerState:
        """What a snapshot has replaced in its log it had there before."""
        replaced = steps[-1].view.log[: state.log.base.index] if steps else ()
        role = state.role if state.role in (LEADER, CANDIDATE) else FOLLOWER
        return RaftServerState(state.current_term, role, replaced + _entries(state.log.entries), state.commit_index)


def demand_specified(scenario: Scenario) -> None:
    """Raises NotSpecified where the scenario is of another protocol, or its servers may lie, begin again, or come and go."""
    if scenario.protocol != "raft":
        raise NotSpecified(f"{scenario.source}: the specification is of protocol = raft, and not of {scenario.protocol}")
    why = (
        "not all of its servers decide all the time" if scenario.first_members or scenario.changes
        else "servers may lie" if scenario.allow_lies
        else "servers begin again" if scenario.durable or (scenario.simulation is not None and scenario.simulation.restarts)
        else None
    )  # fmt: skip
    if why is not None:
        raise NotSpecified(f"{scenario.source}: {why}, of which the specification says nothing")


def departures_of_raft(run: RecordedRaft) -> list[Departure]:
    """Where the run that was recorded is none that the specification allows; empty where it is one. Raises NotSpecified."""
    whats = ((position, _Beside(run, position).departures(steps)) for position, steps in enumerate(run.steps))
    return [*departures_of_servers(whats), *_apart(run)]


def _apart(run: RecordedRaft) -> Iterator[Departure]:
    """Where two servers lead in a term, or have committed different commands (paper, Figure 3)."""
    leaders: dict[int, int] = {}
    for position, steps in enumerate(run.steps):
        for term in {step.view.term for step in steps if step.view.role == LEADER}:
            if leaders.setdefault(term, position) != position:
                yield Departure(f"replica_{position}", f"leads in term {term}, as replica_{leaders[term]} does")
    logs = ((position, steps[-1].view.log[: steps[-1].view.commit_index]) for position, steps in enumerate(run.steps) if steps)
    yield from contradictions(logs, "committed other commands")


class _Beside:
    """The specification's server beside one of the run."""

    def __init__(self, run: RecordedRaft, position: int) -> None:
        self._servers = tuple(run.pids.get(each, run.pids[position]) for each in range(len(run.steps)))
        self._follower = SpecifiedProcess(specification_of_raft().Server, (position, self._servers, NEVER_S, NEVER_S))
        self._position = position
        self._source = run.scenario.source

    def departures(self, steps: list[RaftStep]) -> Iterator[str]:
        return self._follower.departures(steps, self._of)

    def _of(self, step: RaftStep) -> Iterator[str]:
        follower, own = self._follower, self._follower.process._state
        before = len(follower.said)
        heard = self._translated(step.heard, self._position)
        if heard is not None:
            follower.hear(step.sender, heard)
        said = [message for each in step.said if (message := self._translated(each, None)) is not None]
        if any(message[0] == "request_vote" for message in said):
            follower.call("campaign")
        if step.view.role == FOLLOWER and step.view.term == own.current_term:
            own.role = FOLLOWER  # it may give up to lead, or to ask for votes, at any time
        proposal = step.view.log[len(own.log) :]
        if own.role == LEADER and proposal:
            if not follower.process.may_propose(proposal):
                yield f"puts {proposal} into its log, and may not"
            own.log += proposal
        expected = RaftServerState(own.current_term, own.role, own.log, own.commit_index)
        for field in RaftServerState.__struct_fields__:
            if getattr(expected, field) != getattr(step.view, field):
                what = f"{getattr(step.view, field)}, and not {getattr(expected, field)}"
                yield f"after {heard}, {field}: {what}"
        answers = list(dict.fromkeys(_plain_message(message) for _, message in follower.said[before:] if message[0] in ANSWERS))
        if answers != [message for message in said if message[0] in ANSWERS]:
            yield f"after {heard} says {[each for each in said if each[0] in ANSWERS]}, and not {answers}"
        for message in said:
            if message[0] == "append_entries" and not follower.process.may_replicate(message[1], *message[3:]):
                yield f"sends {message}, and may not"
            if message[0] == "response" and not follower.process.may_answer(*message[1:]):
                yield f"answers {message[1]} with what index {message[2]} gave, and may not"

    def _translated(self, message: Any, receiver: int | None) -> Message | None:
        """The message in the specification's words; None where it has no such message."""
        match message:
            case RequestVote(is_pre_vote=False):
                return ("request_vote", message.term, message.candidate, message.last.index, message.last.term)
            case Vote() if not message.is_pre_vote or (receiver is not None and not message.is_granted):
                return ("vote", message.term, message.voter, message.is_granted)
            case AppendEntries():
                behind = message.previous
                entries = _entries(message.entries)
                return ("append_entries", message.term, message.leader, behind.index, behind.term, entries, message.leader_commit)
            case Appended():
                return _plain_message(("appended", message.term, message.follower, message.conflict is None, message.match_index))
            case Request():
                return ("client_request", (message.client, message.number))
            case Response() if message.outcome.index != AMONG_READS:
                return ("response", (message.client, message.number), message.outcome.slot)
            case InstallSnapshot() | SnapshotInstalled():
                raise NotSpecified(f"{self._source}: a snapshot is installed there, and the specification knows none")
        return None


def _plain_message(message: Message) -> Message:
    """An answer that nothing matches may say so in two ways: the figure's `success`, or the index 0."""
    if message[0] == "appended" and message[4] == 0:
        return (*message[:3], False, 0)
    return message


def _entries(entries: tuple[Entry, ...]) -> tuple[Any, ...]:
    return tuple((entry.term, tuple((each.client, each.number) for each in entry.requests)) for entry in entries)
