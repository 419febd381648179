"""One server of Raft among others that a test speaks for: what it hears and when, and what it says to whom."""

import io
import logging
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from greenlet import GreenletExit

from bcr.chain.settings import Settings
from bcr.objects.dictionary import Operation
from bcr.raft.log import BEGINNING, Entry, Position
from bcr.raft.persistent import MemoryStore
from bcr.raft.rpcs import KINDS, Appended, AppendEntries, RequestVote, Vote
from bcr.scenario.values import Simulation
from bcr.signed.control import Control, verb_and_parts
from bcr.signed.encoding import decode, encode
from bcr.signed.statements import Request
from bcr.stable.disk import Room
from bcr_runtime import ambient
from bcr_runtime.places import SOURCES
from bcr_sim import distalgo
from bcr_sim.complaints import Complaints
from bcr_sim.disks import SimDisk
from bcr_sim.distalgo import MESSAGE, System, sim
from bcr_sim.network import Network
from bcr_sim.world import MILLISECOND_NS, SECOND_NS, World

TIMEOUT_MS = 150  # of the server: its chance is none, so it is always the least
HEARTBEAT_MS = 50


class _Disk(SimDisk):
    """A disk of which the test says how much is left."""

    level: Room = "enough"

    def room(self) -> Room:
        return self.level


class _Source(ambient.SystemSource):
    def __init__(self, rig: "Rig") -> None:
        self._rig, self._world, self._store = rig, rig.world, rig.store

    def monotonic_ns(self) -> int:
        return self._world.now_ns

    def wall_clock_ns(self) -> int:
        return self._world.now_ns

    def random_bytes(self, count: int) -> bytes:
        return bytes([self._rig.chance]) * count

    def open_disk(self, path: Path, owner: str) -> SimDisk:
        return self._rig.disk

    def before_waiting(self, callback: Any) -> None:
        def call() -> None:
            try:
                callback()
            except Exception as error:  # DistAlgo would say so, and go on for ever
                self._rig.system.failures.append(repr(error))
                raise GreenletExit from error

        self._rig.own.queue.before_waiting = call

    def open_log(self, path: Path) -> io.StringIO:
        return io.StringIO()

    def open_store(self, name: str) -> MemoryStore:
        return self._store

    def consumption(self) -> tuple[float, int]:
        return 0.0, 0


class _Other:
    """A process that the test speaks for."""

    def __init__(self, rig: "Rig", name: str) -> None:
        self.rig, self.name, self.configuration = rig, name, None
        self.task = SimpleNamespace(is_dead=False)

    def take(self, message: Any) -> None:
        _, (_, (_, parts)) = message
        if parts[0] in KINDS:
            said = decode(KINDS[parts[0]], parts[1])
            self.rig.said.append((self.rig.world.now_ns // MILLISECOND_NS, self.name, parts[0], said))


class Rig:
    """Server 0 of `servers`, which finds in its store what the test has put there; with `durable` on `disk`.

    `chance` is what each byte of chance is.
    """

    other: type = _Other
    position = 0

    def __init__(self, servers: int = 3, store: MemoryStore | None = None, chance: int = 0, **settings: Any) -> None:
        import da  # noqa: F401 - before what stands below it

        distalgo.set_options()
        self.world = World(0)
        self.system = System(self.world, lambda world: Network(world, Simulation(delay=(1, 1)), lambda *_: None))
        self.store = store or MemoryStore()
        self.disk = _Disk("disk", random.Random(0), lambda ns: None)
        self.chance = chance
        self.own: Any = None  # the server's container, once it is there
        self.said: list[tuple[int, str, str, Any]] = []  # ms, to whom, which message
        known = {"t": servers // 2, "num_clients": 2, "log_level": "quiet", "message_limit_bytes": 1 << 20}
        self.settings = Settings(**(known | settings))
        self._servers = servers
        self._heard: list[tuple[float, str, Any]] = []
        self._looks: list[tuple[float, Any]] = []

    def hear(self, at_ms: float, message: Any) -> None:
        """A message comes to the server."""
        [name] = [name for name, kind in KINDS.items() if type(message) is kind]
        self._heard.append((at_ms, name, message))

    def look(self, at_ms: float, at: Any) -> None:
        """`at(state)` is called then with the server's state."""
        self._looks.append((at_ms, at))

    def pause(self, at_ms: float, until_ms: float) -> None:
        """The server stands still meanwhile; what comes is there to be handled then."""
        self.world.at(int(at_ms * MILLISECOND_NS), lambda: self.own.task.pause(int(until_ms * MILLISECOND_NS)))

    def run(self, until_ms: int) -> Any:
        """The server's state, when so much time has passed since it began."""
        import sys

        if str(SOURCES) not in sys.path:
            sys.path.insert(0, str(SOURCES))
        complaints: list[str] = []
        handler = Complaints(complaints)
        logging.getLogger().addHandler(handler)
        ambient.install(_Source(self))
        try:
            with distalgo.installed(self.system):
                state = self._run(self.server, until_ms)
        finally:
            ambient.install(ambient.SystemSource())
            logging.getLogger().removeHandler(handler)
        assert not complaints  # what goes wrong in a handler is only logged
        return state

    @property
    def server(self) -> type:
        from Raft import Server

        return Server

    def arguments(self, pids: list[Any], clients: list[Any]) -> tuple[Any, ...]:
        return 0, tuple(pids), tuple(clients), bytes(32), self.system.root, encode(self.settings)

    def payloads(self, name: str, message: Any) -> list[bytes]:
        """A message as it travels: in pieces, where it does so."""
        return [encode(message)]

    def _run(self, server: type, until_ms: int) -> Any:
        own = self.system.create(server, self.system.root)
        others = [self._other(f"server {place}") for place in range(self._servers) if place != self.position]
        pids = [*others[: self.position], own, *others[self.position :]]
        clients = [self._other(f"client {client}") for client in range(2)]
        [container] = self.system.containers[own]
        self.own = container
        self._listen(container)
        self.system.command(own, sim.Command.Setup, (0, self.arguments(pids, clients)))
        self.system.command(own, sim.Command.Start, 0)
        for at_ms, name, message in self._heard:
            for payload in self.payloads(name, message):
                content = (others[0], (sim.Command.Message, (None, (name, payload))))
                self.world.at(int(at_ms * MILLISECOND_NS), container.take, content)
        for at_ms, at in self._looks:
            self.world.at(int(at_ms * MILLISECOND_NS), lambda at=at: at(container.process._state))
        over: list[bool] = []
        self.world.at(until_ms * MILLISECOND_NS, over.append, True)
        self.world.run(lambda: bool(over), 1_000 * SECOND_NS, 100_000)
        assert not self.system.failures
        return container.process._state

    def _listen(self, container: Any) -> None:
        """Note what it says to itself, and let it hear that."""
        note, take = self.other(self, f"server {self.position}"), container.take

        def heard(content: Any) -> None:
            source, (command, _) = content
            if command is MESSAGE and source == container.dapid:
                note.take(content)
            take(content)

        container.take = heard

    def _other(self, name: str) -> Any:
        pid = self.system._new_pid(sim.DistProcess)
        self.system.containers[pid] = [self.other(self, name)]  # type: ignore[list-item]
        return pid

    def told(self, kind: type, to: str | None = None) -> list[Any]:
        """What it has said of this kind, to one or to anybody."""
        return [message for _, whom, _, message in self.said if type(message) is kind and to in (None, whom)]

    def when(self, kind: type) -> list[int]:
        """When it said something of this kind, in ms."""
        return sorted({at_ms for at_ms, _, _, message in self.said if type(message) is kind})


class ChangeRig(Rig):
    """Server 0 of five, of which the first three decide; what an operator asks for, and what it is told."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**({"servers": 5, "t": 2, "first_members": (0, 1, 2)} | more))
        self._operator = Control(bytes(32), "start-up")

    @property
    def server(self) -> type:
        from RaftChanges import ChangingServer

        return ChangingServer

    def payloads(self, name: str, message: Any) -> list[bytes]:
        return [message] if name == "control" else super().payloads(name, message)

    def command(self, at_ms: float, verb: str, *parts: Any) -> None:
        """The start-up process says so."""
        self._heard.append((at_ms, "control", self._operator.seal(verb, *parts)))

    def ask(self, at_ms: float, kind: str, server: int) -> None:
        """An operator asks for a change."""
        self.command(at_ms, "change", kind, server)

    def told_operator(self, verb: str) -> list[tuple[Any, ...]]:
        """What it has told of this kind, in parts."""
        messages = [content[1] for command, content in self.system.root_inbox if command is MESSAGE]
        told = [verb_and_parts(message[2]) for message in messages if message[0] == "control"]
        return [tuple(parts) for each, parts in told if each == verb]

    def made(self) -> list[tuple[Any, ...]]:
        """The changes that the operator was told of."""
        return self.told_operator("changed")


def leader(**more: Any) -> tuple[ChangeRig, int]:
    """Server 0, which leads in term 1 and has committed its first entry; when that is."""
    rig = ChangeRig(**more)
    rig.hear(156, granted(1, 2, is_pre_vote=True))
    rig.hear(157, granted(1, 2))
    now_ms = elected(rig, 1)
    rig.hear(now_ms, confirmed(1, 1, 1))
    return rig, now_ms + 1


def put(client: int, number: int, value: str = "v") -> Request:
    return Request(client, number, (Operation("put", "k", value),))


def get(client: int, number: int) -> Request:
    return Request(client, number, (Operation("get", "k"),))


def chain(*terms: int, behind: Position = BEGINNING, requests: tuple[Request, ...] = ()) -> list[Entry]:
    """Entries of these terms, one behind the other; the requests are in the last."""
    entries, before = [], behind.digest
    for place, term in enumerate(terms):
        entry = Entry(before, term, requests if place == len(terms) - 1 else ())
        entries.append(entry)
        before = entry.digest
    return entries


def at(entries: list[Entry], index: int) -> Position:
    """The place of the entry at an index, from 1, of a log that has these from its beginning."""
    return BEGINNING if index == 0 else Position(index, entries[index - 1].term, entries[index - 1].digest)


def append(term: int, entries: list[Entry], since: int, commit: int = 0, leader: int = 1, round_number: int = 1) -> AppendEntries:
    """What a leader with these entries sends to a follower that has those before index `since`, counted from 1."""
    return AppendEntries(term, leader, at(entries, since - 1), tuple(entries[since - 1 :]), commit, round_number)


def vote_for(term: int, entries: list[Entry], candidate: int = 1, is_pre_vote: bool = False) -> RequestVote:
    return RequestVote(term, candidate, at(entries, len(entries)), is_pre_vote)


def granted(term: int, voter: int, is_pre_vote: bool = False) -> Vote:
    return Vote(term, voter, True, is_pre_vote)


def stored(term: int, entries: list[Entry], voted_for: int | None = None) -> MemoryStore:
    """A store with this term, vote and log."""
    store = MemoryStore()
    store.save_vote(term, voted_for)
    store.save_entries(1, entries)
    return store


def elected(rig: Rig, term: int, at_ms: int = 155) -> int:
    """Let server 1 vote for the server when it asks, which it does after its timeout; when it leads."""
    rig.hear(at_ms, granted(term, 1, is_pre_vote=True))
    rig.hear(at_ms + 2, granted(term, 1))
    return at_ms + 3


def confirmed(term: int, follower: int, match_index: int, round_number: int = 1) -> Appended:
    return Appended(term, follower, match_index, None, round_number)


def compacted(interval: int = 2, **settings: Any) -> tuple[Rig, int]:
    """A leader whose log is cut, and which has been running for some time; and when it is."""
    rig = Rig(checkpoint_interval=interval, **settings)
    now_ms = elected(rig, 1)
    for number in range(8):
        rig.hear(now_ms + 10 * number, put(0, number, str(number)))
        rig.hear(now_ms + 10 * number + 5, confirmed(1, 1, number + 2))
    return rig, now_ms + 80
