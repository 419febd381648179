"""Holds a simulated run against the specification.

Beside each correct replica and client of the run there is one of the specification, which hears the same messages. It has to
say the same, and a client has to accept the same. What Olympus did is judged by the specification's queries over what it had heard
until then. If all processes are correct, the run is then one of the specification, message by message. If some are faulty, the
correct ones still have to do what the specification allows.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any, Self, TypeVar

import msgspec
from da import sim

from bcr.objects.sizes import STATE_LIMIT_BYTES
from bcr.scenario import Scenario
from bcr.scenario.values import Simulation
from bcr_sim import distalgo
from bcr_sim.distalgo import Container, ProcessId, System
from bcr_sim.network import Network
from bcr_sim.world import MILLISECOND_NS, World
from bcr_spec.recording import Account, Recorded
from bcr_spec.text import FOLDER, with_digests
from bcr_spec.translation import Message, Translator

Step = TypeVar("Step")

FIRST_UID = 1_000_000  # of processes of the specification: those of the run are below
SPECIFICATION = "the specification"  # who departs where an error was raised in it: of the run that says nothing
NEVER_S = 1e9  # a time limit: what timers do is the run's to choose

# What only a timer may have been the reason for, and what a timer may have been late for.
AT_ANY_TIME = frozenset({"reconfiguration_request"})
ANSWERS = frozenset({"result_message", "error", "stale"})
LOGGER = logging.getLogger(__name__)


class NotSpecified(Exception):
    """A scenario about which the specification says nothing, and why."""


class Departure(msgspec.Struct, frozen=True):
    """Where a run is none that the specification allows: of whom, and how."""

    who: str
    what: str

    @property
    def is_error_of_specification(self) -> bool:
        """Whether nobody of the run departs, but the specification itself came to an error."""
        return self.who == SPECIFICATION

    def __str__(self) -> str:
        return f"{self.who}: {self.what}"


class _Beside(System):
    """The one process of the specification that runs here, and what it says, to processes of the run."""

    def __init__(self, world: World) -> None:
        super().__init__(world, lambda _: Network(world, Simulation(), lambda *_: None))
        self.said: list[tuple[ProcessId, Message]] = []

    def forward(self, sender: Container, receiver: ProcessId, message: tuple[Any, Any]) -> None:
        command, content = message
        if command is sim.Command.Message:
            self.said.append((receiver, content[1]))


class SpecifiedProcess:
    """A process of the specification that hears what one of the run heard."""

    def __init__(self, kind: type, arguments: tuple[Any, ...], *, starts: bool = True) -> None:
        self._world = World(0)
        self._system = _Beside(self._world)
        self._installed = distalgo.installed(self._system)
        self._pid = self._system.create(kind, self._system.root)
        [self._container] = self._system.containers[self._pid]
        self._container.task.name = kind.__name__
        with distalgo.installed(self._system):
            self._world.pass_by(MILLISECOND_NS)
            self._system.command(self._pid, sim.Command.Setup, (0, arguments))
            if starts:
                self._system.command(self._pid, sim.Command.Start, 0)
            self._world.pass_by(MILLISECOND_NS)

    @property
    def process(self) -> Any:
        return self._container.process

    def hear(self, sender: ProcessId, message: Message) -> None:
        with distalgo.installed(self._system):
            self._container.take((sender, (sim.Command.Message, (None, message))))
            self._world.pass_by(MILLISECOND_NS)

    def call(self, rule: str, *arguments: Any) -> None:
        """Let it do what it may do at any time."""
        with distalgo.installed(self._system):
            getattr(self.process, rule)(*arguments)

    @property
    def said(self) -> list[tuple[ProcessId, Message]]:
        return self._system.said

    @property
    def failures(self) -> list[str]:
        return self._system.failures

    def departures(self, steps: Iterable[Step], look: Callable[[Step], Iterable[str]]) -> Iterator[str]:
        """What `look` finds at the first step at which it finds anything: what comes behind it tells nothing more. Then the process ends."""
        with self:
            for number, step in enumerate(steps):
                found = [f"step {number}: {what}" for what in look(step)]
                yield from found
                if found or self.failures:
                    break

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It ends; what it came to an end by before is logged, as errors in its handlers are."""
        for failure in self._system.failures:
            LOGGER.error("%s", failure)
        self._world.end()


def demand_specified(scenario: Scenario) -> None:
    """Raises NotSpecified where the scenario is of another protocol, results are accepted on less than the specification asks
    for, signatures do not convince everybody alike, sessions end, or the dictionary has a limit that may bind: the specification knows
    neither credentials nor sizes.
    """
    for key, specified_value, value in (("protocol", "shuttle", scenario.protocol),
                              ("authentication", "ed25519", scenario.authentication),
                              ("acceptance", "all", scenario.acceptance),
                              ("session_slots", 0, scenario.session_slots),
                              ("state_limit", STATE_LIMIT_BYTES, scenario.state_limit_bytes)):  # fmt: skip
        if value != specified_value:
            raise NotSpecified(f"{scenario.source}: the specification is of {key} = {specified_value}, and not of {value}")


def departures(run: Recorded) -> list[Departure]:
    """Where the run that was recorded is none that the specification allows; empty where it is one. Raises NotSpecified."""
    demand_specified(run.scenario)
    distalgo.set_options()
    # What goes wrong in a handler is only logged.
    with complaints_of_processes() as complaints, with_digests(run.translator.digests.of) as text:
        follow = _Following(run, text)
        found = [departure for account in run.accounts for departure in follow.departures_of(account)]
    return [Departure(SPECIFICATION, complaint) for complaint in complaints] + found


def departures_of_servers(whats: Iterable[tuple[int, Iterable[str]]]) -> list[Departure]:
    """What the specification's servers find at each position, and what goes wrong in them; they do it as they are iterated over."""
    distalgo.set_options()
    with complaints_of_processes() as complaints:
        found = [Departure(f"replica_{position}", what) for position, those in whats for what in until_an_error(those)]
    return [Departure(SPECIFICATION, complaint) for complaint in complaints] + found


def contradictions(logs: Iterable[tuple[int, tuple[Any, ...]]], what: str) -> Iterator[Departure]:
    """Where servers, each with its position and the final part of its log, do not hold the same as far as both logs go."""
    longest: tuple[Any, ...] = ()
    for position, log in logs:
        if log[: len(longest)] != longest[: len(log)]:
            yield Departure(f"replica_{position}", f"has {what} than a server before it")
        longest = max(longest, log, key=len)


def until_an_error(whats: Iterable[str]) -> Iterator[str]:
    """What is found until a query of the specification raises an error, which is logged, as errors in its handlers are. Raises errors
    of anybody else."""
    try:
        yield from whats
    except Exception as error:
        if not any(Path(frame.filename).parent == FOLDER for frame in extract_tb(error.__traceback__)):
            raise
        LOGGER.exception("%r", error)


@contextmanager
def complaints_of_processes() -> Iterator[list[str]]:
    """What processes of the specification log as an error meanwhile."""
    told: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger()
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)


class _Following:
    def __init__(self, run: Recorded, text: Any) -> None:
        self._scenario = run.scenario
        self._translator: Translator = run.translator
        self._text = text
        [self._olympus] = [each for each in run.accounts if each.role == "Olympus"]
        self._clients = tuple(each.pid for each in sorted(run.accounts, key=lambda each: each.position) if each.role == "Client")
        self._workloads: Any = run.launch.workloads

    def departures_of(self, account: Account) -> Iterator[Departure]:
        rule = {"Replica": self._replica, "Client": self._client, "Olympus": self._judgement}[account.role]
        is_batching = self._scenario.batch_limit > 1 and account.role == "Replica" and account.position == 0
        if account.is_correct and not is_batching:
            yield from (Departure(_name(account), what) for what in until_an_error(rule(account)))

    # -- replicas

    def _replica(self, account: Account) -> Iterator[str]:
        arguments = (account.position, account.configuration, self._scenario.t, self._olympus.pid,
                     self._scenario.client_window, self._scenario.checkpoint_interval, NEVER_S)  # fmt: skip
        own = [(each.other, each.message) for each in account.steps if not each.has_arrived]
        with SpecifiedProcess(self._text.Replica, arguments) as follower:
            for step in _once_it_is_somebody(account.steps):
                follower.hear(step.other, step.message)
            yield from self._comparison(account, own, follower)

    def _comparison(self, account: Account, own: list[tuple[ProcessId, Message]], follower: SpecifiedProcess) -> Iterator[str]:
        expected = [(to, self._with_digests(message)) for to, message in follower.said]
        actual = [(to, self._with_digests(message)) for to, message in own]
        if _names(expected) & AT_ANY_TIME - _names(actual) and not account.is_cut_short:
            yield f"did not ask for reconfiguration, and had to: {sorted(_names(expected) & AT_ANY_TIME)}"
        yield from _in_order(_without(expected, AT_ANY_TIME | ANSWERS), _without(actual, AT_ANY_TIME | ANSWERS), account)
        answers = {each for each in expected if each[1][0] in ANSWERS}
        for to, message in actual:
            if message[0] in ANSWERS and (to, message) not in answers:
                yield f"says {_excerpt(message)}, which it may not"

    def _with_digests(self, message: Message) -> Message:
        """The message with digests in place of running states, of which the two remember more or less."""
        if message[0] in ("running_state", "inithist"):
            return (*message[:2], self._translator.digests.of(message[2]))
        if message[0] == "caught_up":
            return (message[0], (*message[1][:2], message[1][2][:5]))
        return message

    # -- clients

    def _client(self, account: Account) -> Iterator[str]:
        workload = tuple(
            tuple((each.name, each.key, each.argument) for each in operations) for operations in self._workloads[account.position]
        )
        arguments = (account.position, self._scenario.t, self._olympus.pid, workload, self._scenario.client_window, NEVER_S)
        with SpecifiedProcess(self._text.Client, arguments) as follower:
            for step in account.steps:
                if step.has_arrived:
                    follower.hear(step.other, step.message)
        accepted = [(message[2], message[3]) for _, message in follower.said if message[0] == "answered"]
        if sorted(accepted) != sorted(account.accepted):
            yield f"accepted {_difference(account.accepted, accepted)}"
        allowed_requests = [message[1] for _, message in follower.said if message[0] == "client_request"]
        for step in account.steps:
            if not step.has_arrived and step.message[0] == "client_request" and step.message[1] not in allowed_requests:
                yield f"sends {_excerpt(step.message)}, which it may not"

    # -- Olympus

    def _judgement(self, account: Account) -> Iterator[str]:
        arguments = (self._scenario.t, self._clients, 1, 1, NEVER_S)
        with SpecifiedProcess(self._text.Olympus, arguments, starts=False) as olympus:
            judge = _Judge(olympus, self._scenario.t, self._translator, self._text.EMPTY)
            for step in account.steps:
                if step.has_arrived:
                    judge.hears(step)
                else:
                    yield from judge.says(step)


class _Judge:
    """Says of each thing that Olympus does whether the specification allows it, by what it has heard until then."""

    def __init__(self, olympus: SpecifiedProcess, t: int, translator: Translator, empty: Any) -> None:
        self._olympus = olympus
        self._state = self._olympus.process._state
        self._state.number = 0
        self._size = 2 * t + 1
        self._digest = translator.digests.of
        self._beginning = self._digest(empty)
        self._attempts: dict[int, dict[int, Any]] = {}  # attempt -> what each receiver is to catch up with
        self.quorums: list[tuple[int, ...]] = []

    def hears(self, step: Any) -> None:
        self._olympus.hear(step.other, step.message)

    def says(self, step: Any) -> Iterator[str]:
        rule = getattr(self, f"_{step.message[0]}", None)
        return iter(()) if rule is None else rule(*step.message[1:])

    def _wedge_request(self, signed: Message) -> Iterator[str]:
        if not self._olympus.process.is_wanted():
            yield f"replaces configuration {self._state.number}, and nobody has asked for it"

    def _catch_up(self, signed: Message) -> Iterator[str]:
        (_, _, attempt, receiver, suffix) = signed[2]
        plan = self._attempts.setdefault(attempt, {})
        plan[receiver] = suffix
        if len(plan) < self._size // 2 + 1:
            return
        quorum = tuple(sorted(plan))
        self._state.attempt = attempt
        if not self._olympus.process.may_go_on_from(quorum):
            yield f"would go on from {quorum}, and may not"
            return
        for position in quorum:
            expected = self._olympus.process.suffix(position, quorum)
            if plan[position] != expected:
                yield f"has replica {position} catch up with {_excerpt(plan[position])}, and not with {_excerpt(expected)}"

    def _agreement(self) -> tuple[tuple[int, ...], Any]:
        """The quorum of this attempt, and the digest of the running state that all of it have; None where they differ."""
        quorum = tuple(sorted(self._attempts.get(self._state.attempt, {})))
        answers = [self._olympus.process.caught_up(position) for position in quorum]
        states = {(None, None) if answer is None else answer[:2] for answer in answers}
        return quorum, next(iter(states))[1] if len(states) == 1 else None

    def _get_running_state(self, signed: Message) -> Iterator[str]:
        quorum, digest = self._agreement()
        if digest is None:
            yield f"asks for the running state of {quorum}, who do not agree"

    def _voucher(self, signed: Message) -> Iterator[str]:
        (_, _, slot, client, number, operations, outcome) = signed[2]
        quorum, digest = self._agreement()
        answer = (("signed", ("client", client), ("request", client, number, operations)), slot, outcome)
        given = [self._olympus.process.caught_up(position) for position in quorum]
        if digest is None or not all(answer in each[2] for each in given):
            yield f"vouches for {_excerpt(answer)}, which not all of {quorum} gave"

    def _inithist(self, signed: Message, state: Any) -> Iterator[str]:
        (_, number, digest) = signed[2]
        if number == self._state.number:
            if digest != self._beginning:  # it is handed out again
                yield f"begins configuration {number} anew with another running state"
            return
        if self._attempts:
            quorum, agreed_digest = self._agreement()
            if digest != agreed_digest:
                yield f"begins configuration {number} with a running state on which {quorum} do not agree"
            self.quorums.append(quorum)
        elif digest != self._beginning:
            yield f"begins configuration {number} with a running state that nobody has"
        self._state.number = number
        self._state.attempt = 0
        self._beginning = digest
        self._attempts = {}


def _name(account: Account) -> str:
    return account.name if account.configuration is None else f"{account.name} of configuration {account.configuration}"


def _once_it_is_somebody(steps: Iterable[Any]) -> Iterator[Any]:
    """What arrives at a replica; requests and the chain's messages wait until it has its configuration."""
    early_steps: list[Any] = []
    is_somebody = False
    for step in steps:
        if step.message[0] == "ready" and not step.has_arrived:
            is_somebody = True
            yield from sorted(early_steps, key=lambda each: each.message[0] in ("client_request", "forwarded_request"))
            early_steps.clear()
        if not step.has_arrived:
            continue
        if is_somebody or step.message[0] in ("configuration", "inithist"):
            yield step
        else:
            early_steps.append(step)


def _names(said: Iterable[tuple[ProcessId, Message]]) -> set[str]:
    return {message[0] for _, message in said}


def _without(said: Iterable[tuple[ProcessId, Message]], names: frozenset[str]) -> list[tuple[ProcessId, Message]]:
    return [(to, message) for to, message in said if message[0] not in names]


def _in_order(expected: list[Any], actual: list[Any], account: Account) -> Iterator[str]:
    for index, each in enumerate(actual):
        if index >= len(expected):
            yield f"says {_excerpt(each[1])} beyond what it may"
            return
        if each != expected[index]:
            yield f"says {_excerpt(each[1])} as its message {index}, and not {_excerpt(expected[index][1])}"
            return
    if len(expected) > len(actual) and not account.is_cut_short:
        yield f"does not say {_excerpt(expected[len(actual)][1])}"


def _difference(actual: Iterable[Any], expected: Iterable[Any]) -> str:
    only = [each for each in actual if each not in set(expected)]
    lacking_messages = [each for each in expected if each not in set(actual)]
    return f"{_excerpt(only)} which it may not, and not {_excerpt(lacking_messages)} which it may"


def _excerpt(what: Any) -> str:
    text = repr(what)
    return text if len(text) <= 300 else f"{text[:300]} …"
