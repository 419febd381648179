"""One simulated run: a scenario with its seed goes in, what came of it comes out."""

import logging
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from da import sim

from bcr.chain.bundles import kind_of
from bcr.chain.limits import most_in_flight_of_a_client, state_limits
from bcr.chain.proofs import Answer
from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.chain.request_queue import RequestQueue
from bcr.faults.plans import FaultPlan, faulty_by
from bcr.faults.vocabulary import FAILURES
from bcr.raft.persistent import MemoryStore
from bcr.scenario import Diagnostic, Scenario, ScenarioError
from bcr.scenario.values import Amnesia, Crash, Pause, Simulation
from bcr.signed import signing
from bcr.signed.control import verb_and_parts
from bcr.signed.encoding import decode
from bcr.signed.macs import UnevenMacKeys
from bcr.signed.statements import SignedRequest
from bcr.state.cache import LatestRequests
from bcr.verdict.judge import Judgement, judge
from bcr.verdict.record import RunRecord
from bcr_run.launch import MESSAGE_OVERHEAD_BYTES, Launch, settings_of
from bcr_run.patience import stall_limit_s
from bcr_run.protocol_starts import START_UPS
from bcr_run.report import outcome_of
from bcr_runtime import ambient
from bcr_runtime.journal import Journal
from bcr_runtime.places import SOURCES
from bcr_sim import distalgo
from bcr_sim.complaints import Complaints
from bcr_sim.distalgo import Container, System
from bcr_sim.harness_faults import add_effect, add_fault, simulators_fault
from bcr_sim.mutation import MUTATED, changed_payload, forged_commands, lying_answer, mutated
from bcr_sim.network import MESSAGE_LIMIT_BYTES, UNRELIABLE, Network, too_large
from bcr_sim.observing import observe_processes, observers
from bcr_sim.oracle import Oracle, is_of_its_client
from bcr_sim.power import OLYMPUS, Power
from bcr_sim.properties import Bounds, Interference, Memory, check_pauses, check_time, check_work, hindered_until_ms
from bcr_sim.signatures import StandIn
from bcr_sim.source import BEGINNING_NS, CLOCK, WorldSource
from bcr_sim.strategies import FreeLiars
from bcr_sim.trace import Trace, TraceEvent
from bcr_sim.words import LiarWord, Words
from bcr_sim.world import MILLISECOND_NS, SECOND_NS, World

LIMIT_NS = 3_600 * SECOND_NS
LIMIT_EVENTS = 2_000_000
REMEMBERED = 8  # requests of which a replica with amnesia hears again
TWINS_SLICE_NS = 100 * MILLISECOND_NS  # for which a sender sees the same of two twins
SHARE_MUTATED = 0.3  # of the messages of a replica that has some to mutate


class SimulationOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a simulated run.

    `breaches` are the properties that did not hold, each with what shows it; an empty tuple is a good run. `trace` is
    the digest of everything that happened, `steps` all of it where it was asked for. `terms` are those of Raft in which
    requests that were executed were put into the log. `signatures` were made in all, unless they were real ones. `words` were to take effect.
    """

    breaches: tuple[str, ...]
    judgement: Judgement
    trace: str
    events: int
    virtual_s: float
    record: RunRecord
    result: dict[str, Any]
    steps: tuple[TraceEvent, ...] = ()
    terms: tuple[int, ...] = ()
    signatures: int = 0
    words: int = 0

    @property
    def kind(self) -> str:
        """The name of the first property that does not hold; empty where all do."""
        return self.breaches[0].partition(":")[0] if self.breaches else ""


class _NoProgress:
    def show(self, answered: int) -> None: ...
    def finish(self) -> None: ...


def demand_simulable(scenario: Scenario) -> None:
    """Raises ScenarioError, which tells all of them at once, where it has faults that the simulator has no place for."""
    remarks = [
        Diagnostic(
            scenario.source, 1, 1, "error",
            f"failures[{plan.configuration},{plan.position}]: {plan.text} cannot be simulated: {why}",
        )
        for plan in scenario.failures
        if (word := FAILURES.get(plan.failure.name)) and (why := word.not_simulated)
    ]  # fmt: skip
    if remarks:
        raise ScenarioError(remarks)


def demand_chain(scenarios: Sequence[Scenario], what: str) -> None:
    """Raises ValueError where one of them is not of the chain, which `what` is of."""
    for scenario in scenarios:
        if scenario.protocol != "shuttle":
            raise ValueError(f"{scenario.source}: {what} is of protocol = shuttle, and this is protocol = {scenario.protocol}")


def simulate(scenario: Scenario, *, folder: Path | None = None, keeps_steps: bool = False) -> SimulationOutcome:
    """Run a scenario in virtual time, as its `simulation` says; logs go to `folder`, which exists, or nowhere.

    Raises ScenarioError where it cannot be simulated (`demand_simulable`).
    """
    from bcr_sim.protocol_simulations import SIMULATIONS  # which stand upon this module

    demand_simulable(scenario)
    run: _Run = SIMULATIONS[scenario.protocol](scenario, folder, keeps_steps)
    try:
        return run.outcome()
    finally:
        run.system.let_go()


class _Run:
    source = WorldSource
    full_disks_borne = 0  # for so many nothing may be rejected

    def __init__(self, scenario: Scenario, folder: Path | None, keeps_steps: bool) -> None:
        distalgo.set_options()
        observe_processes()
        self.scenario = scenario
        self.options = scenario.simulation or Simulation()
        self.world = World(self.options.seed)
        self.words = Words(self.options)
        self.trace = Trace(self.world, keeps_steps)
        self.told: dict[str, Any] = {}  # what happens in this protocol alone (bcr_sim.observing)
        self.system = System(self.world, lambda world: Network(world, self.options, self._lost, self.words.took_effect))
        self.system.on_arrival = self._arrived
        self.system.on_sending = self._sending
        self.system.route = self._route
        self.system.is_twin = self._is_twin
        self.scheme = StandIn()
        self.stores: dict[str, MemoryStore] = {}  # by the name of the process
        self.chances: dict[Any, random.Random] = {}
        self.interference = Interference(self.options)
        self.uneven = {f"client_{plan.client}" for plan in scenario.client_failures if plan.failure.name == "uneven_macs"}
        has_macs = scenario.authentication == "hmac"
        # Olympus believes those who complain there (specification, 5.6), and each can cost a configuration.
        self.complainers = {f"client_{client}" for client in scenario.faulty_clients} if has_macs else set()
        self.mutations = {mutation.position: mutation for mutation in self.options.mutations}
        self.mutations_left = {mutation.position: mutation.count for mutation in self.options.mutations}
        self.free_liars = FreeLiars(
            self.options.free, self.options.seed, self._inject, self.system.all, self._tell_of_free_liar, self.mutations
        )
        self._requests: dict[Container, deque[Any]] = {}  # the latest that it received, for amnesia
        self.folder = folder
        self.record: RunRecord | None = None
        self.failure: str | None = None
        self.harness: Container | None = None
        self.is_stopped = False  # the run is given up, or over
        self.has_service_given_up = False  # and Olympus was the first to
        self.launch = self._launch()
        self.bounds = Bounds(scenario, self.options)
        liars = scenario.faulty_clients
        self.limits = state_limits(self.launch.settings)
        self.oracle = Oracle(self.launch.workloads, scenario.client_window, self._is_correct, liars, self.limits, scenario.replicated,
                             scenario.session_slots)  # fmt: skip
        self.oracle.on_breach = self.trace.breached
        self.oracle.convinces_olympus = self._convinces_olympus
        self.power = Power(self, scenario.num_replicas)
        self.memory = Memory(self.bounds, self.interference, self.oracle.tell)
        self.members: dict[int, list[Container]] = {}  # by configuration, as they are once it answers
        self.has_acceptance_of_all = getattr(self.launch.settings, "acceptance", "all") == "all"

    def _convinces_olympus(self, request: SignedRequest) -> bool:
        """Whether Olympus, the last if it began again, takes the request for its client's."""
        states = [each.process._state for each in self.system.all() if each.name == OLYMPUS]
        return bool(states) and is_of_its_client(request, states[-1].view, states[-1].keys)

    def container_of(self, task: Any) -> Container:
        return next(each for each in self.system.all() if each.task is task)

    def _launch(self) -> Launch:
        scenario = self.scenario.placed("processes")
        settings = settings_of(
            scenario,
            message_limit_bytes=self.options.message_limit or MESSAGE_LIMIT_BYTES - MESSAGE_OVERHEAD_BYTES,
            run_name=scenario.name,
            log_base=str(self.folder or ""),
            log_level=scenario.log_level if self.folder else "quiet",
            clock=CLOCK,
            clock_origin_ns=BEGINNING_NS,
        )
        limit_s = stall_limit_s(scenario) + hindered_until_ms(self.options) / 1_000
        return Launch(scenario, (), settings, self.folder or Path(), None, limit_s, 0, _NoProgress, self._conclude)  # type: ignore[arg-type]

    def _conclude(self, _launch: Launch, record: RunRecord, failure: str | None) -> int:
        self.record, self.failure = record, failure
        return 0

    # -- the run

    def outcome(self) -> SimulationOutcome:
        complaints: list[str] = []
        with self._installed(complaints):
            if self.folder is not None:
                self.trace.tell(Journal(self.folder / "simulator.log", "human", BEGINNING_NS))
            what_hinders = self._conduct()
            record = self.record or RunRecord(b"", (), (), ())
            liars = self.scenario.faulty_clients
            judgement = judge(record, self.launch.workloads, self.scenario.client_window, liars=liars, limits=self.limits,
                              replicated=self.scenario.replicated, session_slots=self.scenario.session_slots,
                              leavers=self.scenario.leavers)  # fmt: skip
            self.oracle.concluded(record)
            check_work(record.reconfigurations, self.bounds, self.interference, self.oracle.tell)
            if not self.power.ended_olympus():  # else it counts from when a configuration was issued, and reports from when it was active
                check_pauses(record.reconfigurations, self.oracle.tell)
            check_time(record, self.bounds, self.interference, liars, self.oracle.tell)
            if judgement.status == "pass":
                self._look_at_what_is_left(max(signed.statement.number for signed in record.configurations))
        return self._outcome_of(record, judgement, what_hinders, complaints)

    def _outcome_of(self, record: RunRecord, judgement: Judgement, what_hinders: str | None, complaints: list[str]) -> SimulationOutcome:
        """The outcome of a run that is over, of whichever protocol: with what was still owed, and what broke on the way."""
        is_owed = judgement.status == "unknown" and self._must_answer(record)
        if self.failure is not None and judgement.status != "fail":
            judgement = Judgement("fail" if is_owed else "unknown", (*self.power.olympus_ends, self.failure, *judgement.reasons))
        result = outcome_of(self.launch, record, judgement)
        result["words_missed"] = self.words.missed(self.power.over_ns or self.world.now_ns, self.power.syncs)
        return SimulationOutcome(
            breaches=tuple(self._breaches(judgement, what_hinders, is_owed, complaints, result)),
            judgement=judgement,
            trace=self.trace.digest(),
            events=self.world.events,
            virtual_s=self.world.now_ns / SECOND_NS,
            record=record,
            result=result,
            steps=tuple(self.trace.steps or ()),
            signatures=self.scheme.signatures,
            words=len(self.words.all),
        )

    def _conduct(self) -> str | None:
        from RunSystem import Harness

        pid = self.system.create(START_UPS[self.scenario.protocol](Harness), self.system.root)
        [self.harness] = self.system.containers[pid]
        self.system.command(pid, sim.Command.Setup, (0, (self.launch, self.system.root, b"token")))
        self.system.command(pid, sim.Command.Start, 0)
        for word in self.options.strikes():
            self.world.at((word.since if isinstance(word, Pause) else word.at) * MILLISECOND_NS, self._strike, word)
        if self.scenario.durable:
            self.power.plan()
        return self.world.run(lambda: self.record is not None or self.system.failures != [], LIMIT_NS, LIMIT_EVENTS)

    def _breaches(
        self, judgement: Judgement, what_hinders: str | None, is_owed: bool, complaints: list[str], result: dict[str, Any]
    ) -> Iterator[str]:
        yield from map(str, self.oracle.breaches)
        # Of a process that was made to crash its parent hears, and says so.
        surprising = [complaint for complaint in complaints if "has died; its answer" not in complaint]
        for failure in (*self.system.failures, *surprising):
            yield f"error: {failure}"
        clients = () if self.record is None else self.record.clients
        if any(each.rejected for each in clients) and len(self.power.filled) <= self.full_disks_borne:
            yield f"liveness: requests were rejected for want of room, and disks that were full: {len(self.power.filled)}"
        if is_owed:
            yield from (f"liveness: {reason}" for reason in judgement.reasons[:3])
        elif judgement.status == "fail":
            yield from (f"verdict: {reason}" for reason in judgement.reasons)
        elif what_hinders is not None:
            yield f"liveness: {what_hinders}"
        else:
            for expectation in self.scenario.expectations:
                unmet = expectation.check(result)
                if unmet is not None:
                    yield f"expectation: {unmet}"

    def _look_at_what_is_left(self, last: int) -> None:
        for container in self.system.all():
            if container.configuration == last and (last, container.position) not in self.interference.faulty:
                self.memory.ended(container, self.world.now_ns)
            elif container.name == "olympus":
                self.memory.ended_olympus(container)

    def _must_answer(self, record: RunRecord) -> bool:
        """Whether faults struck no more than t replicas of each configuration, and nothing hindered to the end.

        The harness gives a run up when nothing has moved for the stall limit, which counts from what hindered last. Olympus
        has to wait for whoever is only late, so there what hinders is no excuse.
        """
        limit_ns = round(stall_limit_s(self.scenario) * SECOND_NS)
        faulty = faulty_by(record.faults, limit_ns // MILLISECOND_NS)
        hindered_ns = self.interference.last_before(self.world.now_ns)
        is_hindered = hindered_ns is not None and hindered_ns + limit_ns > self.world.now_ns
        is_hindered = is_hindered and self.failure is not None and not self.has_service_given_up
        # A client whose codes are right for some and wrong for others may end the service (docs/how-to/choose-an-authenticator.md).
        if self.uneven:
            return False
        is_excused = is_hindered or any(each.process.startswith("client_") for each in self.options.crashes) or self.power.olympus_ends
        return max(map(len, faulty.values()), default=0) <= self.scenario.t and not is_excused

    # -- faults

    def _is_correct(self, container: Container) -> bool:
        if self.scenario.authentication == "crc":
            return True  # no accident makes a replica say or hold what is wrong
        return (container.configuration, container.position) not in self.interference.unsound

    def living(self, name: str) -> list[Container]:
        """The processes of this name that live, of the latest configuration only."""
        living = [each for each in self.system.all() if each.name == name and not each.task.is_dead]
        latest = max((each.configuration or 0 for each in living), default=0)
        return [each for each in living if (each.configuration or 0) == latest]

    def _strike(self, word: Crash | Pause | Amnesia) -> None:
        name = f"replica_{word.position}" if isinstance(word, Amnesia) else word.process
        actions: dict[type, Callable[[Container, Any], bool]] = {Crash: self._crash, Pause: self._pause, Amnesia: self._forget}
        struck = [actions[type(word)](container, word) for container in self.living(name)]
        self.words.tried(word, "" if any(struck) else f"{name} {'was not in service' if struck else 'was not running'} then")

    def _crash(self, container: Container, _word: Crash) -> bool:
        self.trace.befell(container.name, "crash")
        self.interference.happened(self.world.now_ns, f"{container.name} crashed")
        container.task.kill()
        if container.configuration is not None:
            self.tell_harness(container.configuration, container.position, "crash")
        return True

    def _pause(self, container: Container, word: Pause) -> bool:
        self.trace.befell(container.name, "pause")
        container.task.pause(word.until * MILLISECOND_NS)
        return True

    def _forget(self, container: Container, _word: Amnesia) -> bool:
        state = container.process._state if container.process is not None else None
        if state is None or getattr(state, "mode", None) != "active":  # one that is only being made has none
            return False
        self.trace.befell(container.name, "amnesia")
        self.tell_harness(container.configuration or 0, container.position, "amnesia")
        state.ledger.state.outcomes.clear()
        state.ledger.cache = LatestRequests(self.scenario.client_window)
        state.queue = RequestQueue(most_in_flight_of_a_client(state.settings))
        for message in list(self._requests.get(container, ())):
            container.take(message)
        return True

    def _is_twin(self, cls: type, arguments: Any) -> bool:
        kinds = {each.__name__ for each in cls.__mro__} & {"Replica", "BraftServer"}
        if not kinds or arguments[0] not in self.options.twins:
            return False
        self.words.took_effect(LiarWord("twins", arguments[0]))
        self.tell_harness(arguments[1] if "Replica" in kinds else 0, arguments[0], "twins")
        return True

    def _route(self, sender: Container, targets: list[Container]) -> list[Container]:
        time_slice = self.world.now_ns // TWINS_SLICE_NS
        chosen = random.Random(f"{self.options.seed}/{sender.name}/{time_slice}").random()
        return targets if chosen < 0.4 else targets[:1] if chosen < 0.7 else targets[1:]

    def _inject(self, sender: Container, receiver: Container, parts: tuple[Any, ...]) -> None:
        """Let a liar send what its process does not."""
        self.trace.made_up(sender, receiver, parts)
        self.system.network.transmit(sender, receiver, (sender.dapid, (sim.Command.Message, (None, parts))), False)

    def _tell_of_free_liar(self, container: Container) -> None:
        self.words.took_effect(LiarWord("free", container.position))
        self.tell_harness(container.configuration or 0, container.position, "free")

    def _sending(self, sender: Container, receiver: Container, content: tuple[Any, ...]) -> tuple[Any, ...] | None:
        clock, message = content
        self.system.failures.extend(too_large(sender.name, message))
        if message[0] == "control" and self.harness in (sender, receiver):
            verb, parts = verb_and_parts(message[2 if len(message) > 2 else 1])
            if verb == "fault_struck":
                add_effect(self.harness, parts[0])
                return None
            self._hear(verb, parts)
        if sender.name in self.uneven and isinstance(sender.process._state.keys, UnevenMacKeys):
            self.interference.codes_are_uneven(self.world.now_ns, sender.name)
        if message[0] == "complaint" and sender.name in self.complainers:
            self.interference.happened(self.world.now_ns, f"{sender.name}, which lies, complained")
        is_to_others = self.free_liars.is_one(sender) and receiver.name.startswith((*UNRELIABLE, "olympus"))
        if is_to_others and self.free_liars.keeps_back(sender, receiver, message):
            self.trace.befell(sender.name, f"keeps back {message[0]}")
            return None
        if self.mutations_left and sender.name.startswith("replica_") and kind_of(message[0]) in MUTATED:
            position = sender.position
            if self.mutations_left.get(position, 0) and self.world.random.random() < SHARE_MUTATED:
                self.mutations_left[position] -= 1
                self.words.took_effect(self.mutations[position])
                self.tell_harness(sender.configuration or 0, position, "mutate")
                state = sender.process._state
                changed = mutated
                if kind_of(message[0]) == "result_message" and self.world.random.random() < 0.5:
                    changed = lying_answer
                change = partial(changed, chance=self.world.random, position=position, key=state.keys)
                reader = None
                if receiver.name.startswith("replica_") and state.keys.circle.replicas:
                    reader = state.keys.circle.replicas[receiver.position]
                payload = changed_payload(message[0], message[-1], change, position, state.keys, reader)
                self.trace.changed(sender, receiver, message, (*message[:-1], payload))
                message = (*message[:-1], payload)
                content = clock, message
                self.trace.befell(sender.name, f"mutates {message[0]}")
                if receiver.name.startswith("replica_") and self.world.random.random() < 0.3:
                    for command in forged_commands(sender.configuration or 0, state.ledger.next_slot, state.keys):
                        self._inject(sender, receiver, command)
        self.trace.sending(message)
        if self.scenario.durable:
            self.power.sending(sender, message[0])
        return content

    def _hear(self, verb: str, parts: list[Any]) -> None:
        """What the harness is told, or tells, at the moment at which that is sent."""
        if verb == "stop":
            self.is_stopped = True
        elif verb == "close":
            self.power.end()
        elif verb == "reconfiguration":
            self.has_service_given_up |= not self.is_stopped and decode(ReconfigurationReport, parts[0]).active_ms is None
        elif verb == "start_failed":  # it makes anew those whose keys are late; of those who have begun it may wait for too few
            self.has_service_given_up |= parts[0] == "no public key"
        elif verb == "fault_injected":
            self.interference.struck(decode(FaultPlan, parts[0]))

    def tell_harness(self, configuration: int, position: int, what: str) -> None:
        plan = simulators_fault(configuration, position, what)
        self.interference.struck(plan)
        # As an event of its own: this may be in the middle of another process's step.
        self.world.at(self.world.now_ns, add_fault, self.harness, plan)

    # -- what happens

    def _arrived(self, receiver: Container, source: Any, command: Any, content: Any) -> None:
        is_message = command is distalgo.MESSAGE
        if self.options.amnesias and is_message and kind_of(content[1][0]) == "client_request":
            self._requests.setdefault(receiver, deque(maxlen=REMEMBERED)).append((source, (command, content)))
        if is_message and self.free_liars.is_one(receiver) and isinstance(content[1], tuple):
            self.free_liars.arrived(receiver, content[1])
        senders = self.system.containers.get(source)
        sender = senders[0].name if senders else "root"
        self.trace.arrived(receiver, sender, content[1] if is_message else (command.name,))

    def _lost(self, sender: Container, receiver: Container, message: Any) -> None:
        self.trace.lost(sender, receiver, message[1][1][1])
        self.interference.happened(self.world.now_ns, f"a message from {sender.name} to {receiver.name} was lost")

    def executed(self, container: Container) -> None:
        """A replica has executed a slot."""
        if self.free_liars.is_one(container):
            self.free_liars.executed(container)

    def handled(self, container: Container) -> None:
        """A replica has handled a message."""
        place = container.configuration, container.position
        if place not in self.interference.faulty:
            self.memory.handled(container, self.world.now_ns)

    def accepted(self, container: Container, answer: Answer) -> None:
        """A client has accepted an answer of replicas."""
        if self.has_acceptance_of_all:
            number = answer.configuration
            if number not in self.members or self.scenario.durable:  # some may have begun again
                self.members[number] = [each for each in self.system.all() if each.configuration == number]
            living = (each for each in self.members[number] if not each.task.is_dead)
            self.oracle.accepted(answer, container.name, living)

    @contextmanager
    def _installed(self, complaints: list[str]) -> Iterator[None]:
        """Everything that a run stands on is the simulator's for so long."""
        handler = Complaints(complaints)
        logger = logging.getLogger()
        source = str(SOURCES)
        if source not in sys.path:
            sys.path.insert(0, source)
        import RunSystem  # noqa: F401 - compiles what the run will need

        logger.addHandler(handler)
        ambient.install(own := self.source(self, self.folder))
        signing.use(signing.Ed25519() if self.options.real_signatures else self.scheme)
        observers.append(self)
        try:
            with distalgo.installed(self.system):
                yield
        finally:
            observers.remove(self)
            signing.use(signing.Ed25519())
            ambient.install(ambient.SystemSource())
            own.close()
            logger.removeHandler(handler)
