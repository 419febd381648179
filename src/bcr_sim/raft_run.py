"""One simulated run of Raft: what the simulator does for every protocol, with Raft's oracle and Raft's faults."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bcr.faults.plans import faulty_by, keeps_clients_waiting
from bcr.raft.disk_store import stored_on
from bcr.raft.persistent import Stored
from bcr.scenario import Scenario
from bcr.scenario.values import Crash, Restart
from bcr.signed.control import Control
from bcr.signed.encoding import decode, encode
from bcr.signed.statements import Request
from bcr.stable.disk import Content
from bcr.verdict.exchanges import is_complete
from bcr.verdict.model import Model
from bcr.verdict.record import RunRecord
from bcr_run.protocol_starts import JUDGES
from bcr_sim import distalgo
from bcr_sim.disks import SimDisk
from bcr_sim.distalgo import Container
from bcr_sim.power import Power
from bcr_sim.properties import hindered_until_ms
from bcr_sim.raft_oracle import RaftOracle
from bcr_sim.simulated_run import SimulationOutcome, _Run
from bcr_sim.source import WorldSource
from bcr_sim.words import Word
from bcr_sim.world import MILLISECOND_NS, current_task

ELECTIONS = 12  # that may fail in turn, by split votes, before one is won: each more is less likely by half at least
REPORT_LIMIT_S = 20  # RunSystem.REPORT_LIMIT_S: for servers to be as far as what was answered
RESTING_ON_THE_STORE = {"request_vote", "vote", "append_entries", "appended", "install_snapshot"}


class _OfTerm(msgspec.Struct, frozen=True, array_like=True):
    """What each message between servers begins with; what stands behind it is not looked at."""

    term: int


class _SkewedSource(WorldSource):
    """Servers' clocks that run fast or slow, as a scenario says."""

    _run: "RaftRun"

    def fallen_children(self, children: Sequence[Any]) -> list[Any]:
        return self._run.system.dead(children)

    def monotonic_ns(self) -> int:
        rate = self._run.rates.get(current_task().name)
        now_ns = self._run.world.now_ns
        return now_ns if rate is None else now_ns * rate // 1_000


class _PowerOfServers(Power):
    """Who begins again is told who the others are now; who has crashed may begin again."""

    def __init__(self, run: "RaftRun", servers: int) -> None:
        super().__init__(run, servers)
        self._raft = run
        self._awaited: list[Restart] = []  # of servers that had crashed, while there is no power

    def _begin(self, containers: Iterable[Container]) -> None:
        down = list(containers)
        for container in down:
            self._raft.prepare_return(container)
        super()._begin(down)

    def _do(self, word: Word, action: Callable[[Any], str]) -> None:
        if not isinstance(word, Restart) or not self._raft.has_crashed(word.process):
            super()._do(word, action)
        elif self._is_off and not self._is_over:  # it comes back as the power does
            self._run.words.tried(word, self._why_nothing_happens())
            self._awaited.append(word)
        else:
            self._raft.bring_back(word)

    def _return_power(self, stopped: list[Container]) -> None:
        super()._return_power(stopped)
        awaited, self._awaited = self._awaited, []
        for word in awaited:
            self._raft.bring_back(word)

    def sending(self, sender: Container, message: str) -> None:
        """A message leaves a server: its oracle looks at that itself."""


class RaftRun(_Run):
    """A run of servers and clients of Raft."""

    source = _SkewedSource
    is_answered_by_leader = True  # and by nobody else
    keys_in_setup = 0  # arguments about keys that a server is set up with
    oracle: RaftOracle  # type: ignore[assignment]

    def __init__(self, scenario: Scenario, folder: Path | None, keeps_steps: bool) -> None:
        super().__init__(scenario, folder, keeps_steps)
        self.oracle = self._make_oracle(Model(scenario.client_window, self.limits, scenario.replicated))
        self.rates = {f"replica_{clock.position}": clock.permille for clock in self.options.clocks}
        self.returned: set[int] = set()  # positions of servers that have come back since they crashed last
        self.power = _PowerOfServers(self, scenario.num_replicas)
        # A leader alone answers for all, and refuses nothing while a majority has room (14.12).
        self.full_disks_borne = scenario.spare if self.is_answered_by_leader else 0
        self._down: dict[str, Container] = {}  # servers that have crashed, by name
        self._found: dict[SimDisk, tuple[Content, Stored]] = {}  # what is on a disk, and what that says
        self.told = {
            "handled": lambda run, container, _: run.handled(container),
            "expired": lambda run, container, _: run.oracle.handled(container),
            "elected": lambda run, container, term: run.oracle.elected(container, term),
            "applied": lambda run, container, about: run.oracle.applied(container, *about),
            "installed": lambda run, container, last: run.oracle.installed(container, last),
            "read": lambda run, container, about: run.oracle.read(container, about[0], about[1]),
            "accepted": lambda run, container, response: run.oracle.accepted(container.name, response),
        }

    def _make_oracle(self, model: Model) -> RaftOracle:
        return RaftOracle(self.launch.workloads, model, self._is_liar, self.scenario.deciding)

    # -- the run

    def outcome(self) -> SimulationOutcome:
        complaints: list[str] = []
        with self._installed(complaints):
            what_hinders = self._conduct()
            record = self.record or RunRecord(b"", (), (), (), protocol=self.scenario.protocol)
            judgement = JUDGES[self.scenario.protocol](self.launch, record, None)
            self._check_time(record)
        told = self._outcome_of(record, judgement, what_hinders, complaints)
        return msgspec.structs.replace(told, terms=tuple(sorted(self.oracle.terms)))

    def _conduct(self) -> str | None:
        if not self.scenario.durable:
            for restart in self.options.restarts:
                self.world.at(restart.at * MILLISECOND_NS, self.bring_back, restart)
        return super()._conduct()

    def _must_answer(self, record: RunRecord) -> bool:
        """Whether a majority of the servers is there, and nothing hindered to the end."""
        faulty = {position for position in faulty_by(record.faults, 0).get(0, ()) if self.has_crashed(f"replica_{position}")}
        others = {fault.position for fault in record.faults if not fault.is_of_a_link and fault.failure.name not in ("crash", "restart")}
        is_client_gone = any(crash.process.startswith("client_") for crash in self.options.crashes)
        has_links_cut = any(fault.is_of_a_link for fault in record.faults)
        is_kept_waiting = self.is_answered_by_leader and keeps_clients_waiting(record.faults)
        is_excused = is_client_gone or has_links_cut or is_kept_waiting or self._may_be_behind(record)
        return len(faulty | others) <= self.scenario.spare and not is_excused

    def _may_be_behind(self, record: RunRecord) -> bool:
        """Whether all is answered, and servers that have not heard of it were kept from that while they were asked how far they are."""
        asking_since_ms = self.world.now_ns / MILLISECOND_NS - REPORT_LIMIT_S * 1_000
        is_hindered = hindered_until_ms(self.options) >= asking_since_ms
        # Who has no room for more is silent until there is some (14.12, 16.12).
        may_be_silent = any(each.fault in ("full", "broken") for each in self.options.disk_faults)
        return is_complete(record, self.launch.workloads) and (is_hindered or may_be_silent)

    def _check_time(self, record: RunRecord) -> None:
        """Every request is answered in time, once nothing hinders any more (`_patience_ns` says how long that may take)."""
        if any(fault.failure.name != "crash" for fault in record.faults):
            return  # how long these hinder nobody notes
        self._check_answers(record)

    def _check_answers(self, record: RunRecord) -> None:
        for client in record.clients:
            for exchange in client.exchanges:
                over_ns = self.interference.last_before(exchange.accepted_ns) or 0
                took_ns = exchange.accepted_ns - max(exchange.sent_ns, over_ns)
                if took_ns > self._patience_ns():
                    name = f"request {exchange.request.statement.number} of client {client.client}"
                    what = f"{name} was answered {took_ns / MILLISECOND_NS:.0f} ms after nothing hindered it any more; "
                    self.oracle.tell("liveness", what + f"{self._patience_ns() / MILLISECOND_NS:.0f} ms would have been in time")

    def _patience_ns(self) -> int:
        """Elections, each as long as the slowest clock makes it; and the client, which asks one server after the other."""
        slowest = min([1_000, *self.rates.values()]) / 1_000
        scenario = self.scenario
        elections_ms = ELECTIONS * scenario.election_timeout_most_ms / slowest
        asking_ms = 2 * (scenario.num_replicas + 1) * scenario.client_timeout_ms
        paths_ms = 40 * self.options.delay[1] / 1_000 * (1 + scenario.client_window * scenario.num_clients)
        return math.ceil((elections_ms + asking_ms + paths_ms) * MILLISECOND_NS)

    # -- faults

    def _is_liar(self, container: Container) -> bool:
        return (0, container.position) in self.interference.unsound

    def _crash(self, container: Container, word: Crash) -> bool:
        if container.configuration is not None:
            self._down[container.name] = container
            self.returned.discard(container.position)
        return super()._crash(container, word)

    def has_crashed(self, name: str) -> bool:
        return name in self._down or self._fallen_server(name) is not None

    def bring_back(self, restart: Restart) -> None:
        """A server that has crashed begins again, if it has."""
        name = restart.process
        container = self._down.pop(name, None) or self._fallen_server(name)
        self.words.tried(restart, "" if container is not None else f"{name} had not crashed")
        if container is None:
            return
        self.trace.befell(name, "restart")
        self.returned.add(container.position)
        self.interference.happened(self.world.now_ns, f"{name} came back")
        if container.disk is not None:
            container.disk.crash("process")
        self.prepare_return(container)
        snapshot_index = 0 if self._is_liar(container) else self._disk_content(container).snapshot_at.index
        self.oracle.restarted(self.system.begin_again(container), snapshot_index)

    def prepare_return(self, container: Container) -> None:
        """As the start-up would: it is told who the servers are now, and what it and the start-up tell each other counts anew."""
        assert self.harness is not None
        start_up = self.harness.process._state
        source, (command, (clock, (position, _, clients, secret, harness, settings, *more))) = container.beginning[distalgo.SETUP]
        keys, plans = more[: self.keys_in_setup], more[self.keys_in_setup :]
        plans_left = [encode(self.harness.process.plans_of(position)) for _ in plans]
        arguments = position, start_up.replicas, clients, secret, harness, settings, *keys, *plans_left
        container.beginning[distalgo.SETUP] = source, (command, (clock, arguments))
        start_up.controls[self.harness.process.server_name(position)] = Control(secret, "start-up")

    def _hear(self, verb: str, parts: list[Any]) -> None:
        super()._hear(verb, parts)
        if verb == "report_query":
            self.power.end()  # the clients are done

    def _disk_content(self, container: Container) -> Stored:
        """What the server would find if it began again now."""
        disk = container.disk
        if disk is None:
            return self.stores[container.name].load()
        content, found = disk.read(), self._found.get(disk)
        if found is None or found[0] is not content:
            found = self._found[disk] = content, stored_on(content, disk.name)
        return found[1]

    def _fallen_server(self, name: str) -> Container | None:
        """The server of that name, if it has ended by a fault of its own, and no disk would bring it back."""
        fallen = (each for each in self.system.all() if each.name == name and each.task.is_dead)
        return None if self.scenario.durable else next(fallen, None)

    # -- what happens

    def handled(self, container: Container) -> None:
        self.oracle.handled(container)

    def _arrived(self, receiver: Container, source: Any, command: Any, content: Any) -> None:
        if command is distalgo.MESSAGE and content[1][0] == "client_request":
            self.oracle.asked(receiver, decode(Request, content[1][1]))
        super()._arrived(receiver, source, command, content)

    def _sending(self, sender: Container, receiver: Container, content: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if sender.configuration is not None and content[1][0] in RESTING_ON_THE_STORE:
            self.oracle.sending(sender, content[1][0], self._disk_content(sender), decode(_OfTerm, content[1][1]).term)
        return super()._sending(sender, receiver, content)
