"""DistAlgo's processes as tasks of a world: their queue, their messages, their clock.

Each process is the unmodified object that DistAlgo would run in a process of the operating system. Only what is below it
differs: the container that makes it and its children, the queue that it waits on, and the function by which its
messages leave.
"""

import itertools
import logging
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from da import common, sim

from bcr_sim.disks import SimDisk
from bcr_sim.network import Network
from bcr_sim.world import SECOND_NS, Task, World
from dacurrent import awaits, lifetime

HOST = "simulated"
# Process class -> what its processes are called, with their number among their kind.
CALLED = {"Replica": "replica", "Client": "client", "Server": "replica", "RaftClient": "client", "BraftServer": "replica"}
WITHOUT_CONFIGURATIONS = ("Server", "BraftServer")
MESSAGE, SETUP = sim.Command.Message, sim.Command.Setup  # looked up once: of an enum it takes a while
BEGINNING = SETUP, sim.Command.Start


class ProcessId(common.ProcessId):
    """A process's id. The stock hash takes in the class's address, which is another one in every run."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(self.uid)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessId) and self.uid == other.uid

    def __ne__(self, other: object) -> bool:
        return not self == other


class Queue:
    """What a process waits on; popping is where its task leaves."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._items: deque[Any] = deque()
        self.task: Task | None = None
        self.before_waiting: Callable[[], None] = lambda: None  # what the process does when nothing is left

    def append(self, item: Any) -> None:
        self._items.append(item)
        if self.task is not None:
            self.task.wake()

    def pop(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next item. Raises QueueEmpty if there is none within `timeout` virtual seconds (None: waits for ever)."""
        items = self._items
        if not items:
            self.before_waiting()
        if not items:
            assert self.task is not None
            if not block:
                self.task.sleep(0)  # a poll takes time too
            elif timeout is not None:
                self.task.wait(int(timeout * SECOND_NS))
            else:
                while not items:
                    self.task.wait()
            if not items:
                raise common.QueueEmpty()
        return items.popleft()

    def __len__(self) -> int:
        return len(self._items)


class _Log(logging.LoggerAdapter[logging.Logger]):
    """A process's own log, which tells of what went wrong and not of each step."""

    def debug(self, *_: Any, **__: Any) -> None:
        pass


class Container:
    """Runs one process, as `da.sim.ProcessContainer` does."""

    def __init__(self, system: "System", cls: type, pid: ProcessId, parent: ProcessId, seqno: int | None) -> None:
        self.system = system
        self.dapid = pid
        self.daparent = parent
        self.seqno = seqno
        self.router = self
        self.outcome: int | None = None
        self.cls = cls
        # Olympus runs as what the start-up makes of it.
        is_olympus = any(each.__name__ == "Olympus" for each in cls.__mro__)
        self.name = "olympus" if is_olympus else cls.__name__.lower()
        self.configuration: int | None = None
        self.position = -1  # of a replica or a server; no other process has one
        self.queue = Queue(system.world)
        self.process: Any = None
        self.beginning: dict[Any, Any] = {}  # the messages that it was set up and started with
        self.successor: Container | None = None  # the one that has begun again in its place
        self.disk: SimDisk | None = None
        self.task = self.queue.task = system.world.spawn(self.name, self._run)

    _nodeid = property(lambda self: self.system.root)

    def is_node(self) -> bool:
        return False

    def get_queue_for_process(self, _pid: ProcessId) -> Queue:
        return self.queue

    def spawn(self, cls: type, names: Any, parent: ProcessId, props: Any, seqno: int, **_: Any) -> list[ProcessId]:
        return [self.system.create(cls, parent, seqno) for _ in names]

    def _run(self) -> None:
        try:
            self.process = self.cls(self, self._forward)
            self.process._log = _Log(self.process._log.logger, self.process._log.extra)
            self.process._delayed_start()
        except sim.DistProcessExit as end:
            self.outcome = end.exit_code
        except Exception as error:
            self.system.failures.append(f"{self.name}: {error!r}")

    def _forward(self, _source: Any, receiver: ProcessId, message: Any, *_: Any) -> bool:
        self.system.forward(self, receiver, message)
        return True

    def take(self, message: tuple[ProcessId, Any]) -> None:
        """A message arrives."""
        source, (command, content) = message
        if command in BEGINNING:
            self.beginning[command] = message  # of one that has ended meanwhile too, for whoever begins again in its place
            if self.successor is not None:
                self.successor.take(message)
        if not self.task.is_dead:
            if command is SETUP:
                self._be_called(content[1])
            self.system.on_arrival(self, source, command, content)
            self.queue.append(message)

    def _be_called(self, arguments: Any) -> None:
        """Its name, and a replica's configuration, are in what it is set up with."""
        base = next((each.__name__ for each in self.cls.__mro__ if each.__name__ in CALLED), None)
        if base is not None:
            self.name = f"{CALLED[base]}_{arguments[0]}"
        if base == "Replica":
            self.configuration = arguments[1]
        elif base in WITHOUT_CONFIGURATIONS:
            self.configuration = 0  # of Raft, which has no other
        if self.configuration is not None:
            self.position = arguments[0]
        self.task.name = self.name


class System:
    """All processes of one run, and a root that stands for the node which started it."""

    def __init__(self, world: World, make_network: Callable[..., Network]) -> None:
        self.world = world
        self.containers: dict[ProcessId, list[Container]] = {}  # more than one where a replica has a twin
        self.failures: list[str] = []
        self.coming_back: set[ProcessId] = set()  # of processes that have ended, and will begin again
        self._uids = itertools.count(1)
        self.root = self._new_pid(sim.DistProcess)
        self.root_inbox: list[Any] = []
        self.network = make_network(world)
        self.on_arrival: Callable[..., None] = lambda *_: None
        self.on_sending: Callable[..., Any] = lambda _sender, _receiver, content: content
        self.route: Callable[..., list[Container]] = lambda _sender, targets: targets  # where there are several
        self.is_twin: Callable[[type, Any], bool] = lambda _cls, _arguments: False

    def _new_pid(self, cls: type) -> ProcessId:
        return ProcessId(next(self._uids), 1, cls, "", "", HOST, (next(self._uids),))

    def create(self, cls: type, parent: ProcessId, seqno: int | None = None) -> ProcessId:
        """A new process, which waits to be set up and started."""
        pid = self._new_pid(cls)
        self.containers[pid] = [Container(self, cls, pid, parent, seqno)]
        return pid

    def add_twin(self, container: Container) -> None:
        """A second process with the id of the first."""
        twin = Container(self, container.cls, container.dapid, container.daparent, None)
        self.containers[container.dapid].append(twin)

    def begin_again(self, container: Container) -> Container:
        """A process with the id and the beginning of one that has ended."""
        again = container.successor = Container(self, container.cls, container.dapid, container.daparent, None)
        among = self.containers[container.dapid]
        among[among.index(container)] = again
        for message in container.beginning.values():
            again.take(message)
        self.coming_back.discard(container.dapid)
        return again

    def dead(self, pids: Iterable[ProcessId]) -> list[ProcessId]:
        """Those of the processes that have ended, as the operating system would tell their parent."""
        return [pid for pid in pids if pid not in self.coming_back and all(each.task.is_dead for each in self.containers.get(pid, ()))]

    def all(self) -> Iterator[Container]:
        return itertools.chain.from_iterable(self.containers.values())

    def let_go(self) -> None:
        """Let what the processes hold be gone. They hold one another, and would stay until somebody looks for garbage."""
        for container in self.all():
            if container.process is not None:
                vars(container.process._state).clear()
                vars(container.process).clear()

    def forward(self, sender: Container, receiver: ProcessId, message: tuple[Any, Any]) -> None:
        command, content = message
        targets = self.containers.get(receiver, ())
        if not targets:
            if receiver == self.root:
                self.root_inbox.append((command, content))
            return
        if command is SETUP and self.is_twin(targets[0].cls, content[1]):
            self.add_twin(targets[0])
        is_control = command is not MESSAGE
        if not is_control and len(targets) > 1:
            targets = self.route(sender, targets)
        for index, target in enumerate(list(targets)):
            changed = content if is_control else self.on_sending(sender, target, content)
            if changed is None:
                continue  # a liar keeps it to itself
            has_begun_again = target.task.is_dead and targets is self.containers.get(receiver)  # just now
            self.network.transmit(sender, targets[index] if has_begun_again else target, (sender.dapid, (command, changed)), is_control)

    def command(self, receiver: ProcessId, command: sim.Command, content: Any) -> None:
        """The root's command to a process."""
        for container in self.containers[receiver]:
            container.take((self.root, (command, content)))

    def received_by_root(self, name: str) -> Any:
        """The first message of this name that the root got, or None."""
        for command, content in self.root_inbox:
            if command is MESSAGE and content[1][0] == name:
                return content[1]
        return None


@contextmanager
def installed(system: System) -> Iterator[None]:
    """DistAlgo's own clock is the world's for so long, and the children that it looks after are the system's."""
    world = system.world

    def stand_still(duration_s: float) -> None:
        raise RuntimeError("a simulated process sleeps through bcr_runtime.ambient only")

    def now_s() -> float:
        return world.now_ns / SECOND_NS

    clock = types.SimpleNamespace(time=now_s, monotonic=now_s, sleep=stand_still)
    stand_ins = [(sim, "time", clock), (awaits, "time", clock), (lifetime, "time", clock), (lifetime, "_dead", system.dead)]
    kept = [getattr(module, name) for module, name, _ in stand_ins]
    for module, name, stand_in in stand_ins:
        setattr(module, name, stand_in)
    try:
        yield
    finally:
        for (module, name, _), stock in zip(stand_ins, kept, strict=True):
            setattr(module, name, stock)


def set_options() -> None:
    """What `python3 -m da` would set from its command line; once an OS process."""
    if not common.GlobalOptions:
        common.initialize_runtime_options(
            {
                "config": {},
                "hostname": "localhost",
                "nodename": "",
                "default_proc_impl": "process",
                "message_buffer_size": 1 << 30,
                "logdir": "",
                "no_log": True,
            }
        )
