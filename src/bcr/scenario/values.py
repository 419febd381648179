"""A scenario as a value: every key of the format with its unit, default and limits."""

from typing import Any, Literal

import msgspec

from bcr.chain.settings import Visit
from bcr.faults.plans import ClientFaultPlan, FaultPlan
from bcr.objects.finding import DEFAULT, named
from bcr.objects.replicated import ReplicatedObject
from bcr.objects.sizes import STATE_LIMIT_BYTES
from bcr.raft.changes import ScheduledChange
from bcr.scenario.expectations import Expectation
from bcr.scenario.protocols import PROTOCOLS, ProtocolName
from bcr.scenario.workload import Workload
from bcr.signed.authentication import Authentication

Placement = Literal["processes", "nodes"]
LogLevel = Literal["quiet", "human", "debug"]
Acceptance = Literal["all", "quorum"]


class Range(msgspec.Struct, frozen=True):
    """A whole number's key: its default, None where it must be given, its limits, and why those."""

    default: int | None
    least: int
    most: int
    why: str


MILLISECONDS_MOST = 3_600_000

# Key -> limits. A key's field in Scenario has the same name, with the unit last.
SESSION_SLOTS = 1_000  # where clients come and go, and a file says nothing else
NUMBERS = {
    "t": Range(
        None,
        1,
        10,
        "processes that may be faulty: 2t+1 replicas or servers, 3t+1 of Raft among liars, and Olympus searches all quorums of t+1",
    ),
    "num_client": Range(None, 1, 200, "an operating system process each"),
    "client_timeout": Range(3_000, 1, MILLISECONDS_MOST, "milliseconds until a client sends a request to all"),
    "head_timeout": Range(3_000, 1, MILLISECONDS_MOST, "milliseconds until the head misses a result shuttle"),
    "nonhead_timeout": Range(3_000, 1, MILLISECONDS_MOST, "milliseconds until a replica misses a forwarded request"),
    "checkpt_interval": Range(100, 1, 1_000_000, "slots; the history and a reconfiguration's messages grow with it"),
    "batch_limit": Range(1, 1, 1_000, "requests in a slot"),
    "client_window": Range(1, 1, 1_000, "requests that a client has outstanding; replicas remember so many of each"),
    "operations_per_request": Range(1, 1, 1_000, "operations in a request"),
    "callers": Range(
        0,
        0,
        100_000,
        "callers of each client, each with one operation outstanding, whose operations fill its requests; 0: requests are of one size",
    ),
    "client_rate": Range(0, 0, 1_000_000, "operations a second that each client is to send; 0: as answers come"),
    "state_limit": Range(STATE_LIMIT_BYTES, 50, 1 << 29, "bytes of all keys and values together, as encoded"),
    "session_slots": Range(
        0,
        0,
        1_000_000_000,
        f"slots after which a client's session ends that nobody uses; 0: never, or {SESSION_SLOTS:,} where clients come and go",
    ),
    "olympus_timeout": Range(5_000, 1, MILLISECONDS_MOST, "milliseconds that Olympus waits for each answer"),
    "heartbeat": Range(50, 1, MILLISECONDS_MOST, "milliseconds between two messages of a leader of Raft to a follower"),
    "election_timeout": Range(
        150,
        2,
        MILLISECONDS_MOST,
        "milliseconds that a server of Raft waits for a leader at the least: drawn from this to election_timeout_max",
    ),
    "election_timeout_max": Range(0, 0, 2 * MILLISECONDS_MOST, "milliseconds that it waits at the most; 0: twice election_timeout"),
    "wedge_grace": Range(500, 0, MILLISECONDS_MOST, "milliseconds that Olympus waits for more than t+1 histories"),
}
MAX_OPERATIONS = 2_000_000
MAX_VALUE_BYTES = 100_000
NO_SETTINGS = {"visits", "workloads", "changes", "failures", "client_failures", "expectations", "hosts", "client_hosts", "replica_hosts",
               "simulation"}  # fmt: skip


class Cut(msgspec.Struct, frozen=True, array_like=True):
    """From `since` to `until` nothing that process `sender` sends reaches process `receiver`; virtual milliseconds."""

    sender: str
    receiver: str
    since: int
    until: int


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """What process `sender` sends process `receiver` from `since` to `until`, virtual milliseconds, arrives at the end."""

    sender: str
    receiver: str
    since: int
    until: int


class Crash(msgspec.Struct, frozen=True, array_like=True):
    """A process ends at virtual millisecond `at`; a replica is the one of the configuration that is current then."""

    process: str
    at: int


class SlowClock(msgspec.Struct, frozen=True, array_like=True):
    """A server's clock advances so many thousandths of a second a second."""

    position: int
    permille: int


class Pause(msgspec.Struct, frozen=True, array_like=True):
    """A process stands still from `since` to `until`, virtual milliseconds."""

    process: str
    since: int
    until: int


class Mutation(msgspec.Struct, frozen=True, array_like=True):
    """Of the messages that a replica of any configuration sends, so many are changed a little, or into lies."""

    position: int
    count: int


class Amnesia(msgspec.Struct, frozen=True, array_like=True):
    """At virtual millisecond `at` a replica forgets what it executed for whom, and requests that it had come again."""

    position: int
    at: int


class Restart(msgspec.Struct, frozen=True, array_like=True):
    """A replica's process ends at virtual millisecond `at`, and begins again from its disk.

    A server of Raft that has crashed comes back then, with what its store holds.
    """

    process: str
    at: int


class SyncEnd(msgspec.Struct, frozen=True, array_like=True):
    """Process `process` ends in its sync number `count`, from 0, and begins again."""

    process: str
    count: int


class PowerCut(msgspec.Struct, frozen=True, array_like=True):
    """All replicas end at virtual millisecond `since`, and begin again from their disks at `until`."""

    since: int
    until: int


class DiskFault(msgspec.Struct, frozen=True, array_like=True):
    """From virtual millisecond `at` the disk of Olympus or a replica, of the configuration that is current then, is as `fault` says.

    `full`: there is no room but for what was set aside. `broken`: nothing can be written any more. `slow`: each sync takes `sync_ms`. `torn`: the last row of its log is spoiled,
    and `flip`: a bit somewhere; with both the process begins again, which is when it is noticed.
    """

    process: str
    fault: str
    at: int
    sync_ms: int = 0


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated run is told beyond the scenario.

    A message takes from `delay[0]` to `delay[1]` virtual microseconds. Up to virtual millisecond `until`, of a thousand
    messages between replicas and clients so many are lost or doubled, or have a bit flipped. `twins` are positions whose replicas run twice
    with one key; `free` ones send, at each of their steps, any message that they could sign or have seen. What has more than `message_limit`
    bytes leaves in several messages; 0 is as many as in a run.
    """

    seed: int = 0
    delay: tuple[int, int] = (50, 2_000)
    lose: int = 0
    duplicate: int = 0
    flip: int = 0
    until: int = 0
    message_limit: int = 0
    cuts: tuple[Cut, ...] = ()
    holds: tuple[Hold, ...] = ()
    crashes: tuple[Crash, ...] = ()
    clocks: tuple[SlowClock, ...] = ()
    pauses: tuple[Pause, ...] = ()
    twins: tuple[int, ...] = ()
    free: tuple[int, ...] = ()
    mutations: tuple[Mutation, ...] = ()
    amnesias: tuple[Amnesia, ...] = ()
    restarts: tuple[Restart, ...] = ()
    sync_ends: tuple[SyncEnd, ...] = ()
    power_cuts: tuple[PowerCut, ...] = ()
    disk_faults: tuple[DiskFault, ...] = ()
    real_signatures: bool = False

    def strikes(self) -> tuple[Crash | Amnesia | Pause, ...]:
        """What befalls a process at a moment, whether it has a disk or not."""
        return (*self.crashes, *self.amnesias, *self.pauses)

    def with_disks(self) -> set[str]:
        """The processes that begin again from their disks, or whose disks go wrong, each by a word of its own."""
        words: tuple[Restart | SyncEnd | DiskFault, ...] = (*self.restarts, *self.sync_ends, *self.disk_faults)
        return {word.process for word in words}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run needs to be told. Times are milliseconds; `source` names the file.

    A result is accepted with statements of all replicas, or of a quorum of t+1, as `acceptance` says. `object_name` is what is
    replicated, by the name that bcr.objects.finding knows it by. `first_members` are the servers that decide at first, or empty for all.
    """

    source: str
    name: str
    t: int
    num_clients: int
    client_timeout_ms: int
    head_timeout_ms: int
    nonhead_timeout_ms: int
    checkpoint_interval: int
    batch_limit: int
    client_window: int
    operations_per_request: int
    olympus_timeout_ms: int
    wedge_grace_ms: int
    workloads: tuple[Workload, ...]
    protocol: ProtocolName = "shuttle"
    heartbeat_ms: int = 50
    election_timeout_ms: int = 150
    election_timeout_most_ms: int = 300
    allow_lies: bool = False
    object_name: str = DEFAULT
    client_rate: int = 0
    state_limit_bytes: int = STATE_LIMIT_BYTES
    callers: int = 0
    session_slots: int = 0
    visits: tuple[Visit, ...] = ()
    first_members: tuple[int, ...] = ()
    changes: tuple[ScheduledChange, ...] = ()
    failures: tuple[FaultPlan, ...] = ()
    client_failures: tuple[ClientFaultPlan, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    authentication: Authentication = "ed25519"
    acceptance: Acceptance = "all"
    placement: Placement = "processes"
    durable: bool = False
    data: str = ""
    log_level: LogLevel = "human"
    hosts: tuple[str, ...] = ()
    client_hosts: tuple[int, ...] = ()
    replica_hosts: tuple[int, ...] = ()
    simulation: Simulation | None = None

    @property
    def replicated(self) -> ReplicatedObject[Any]:
        """What is replicated. Raises ObjectNotFound where there is no such object, as not where a file has been read."""
        return named(self.object_name)

    @property
    def num_replicas(self) -> int:
        return PROTOCOLS[self.protocol].servers(self.t, self.authentication)

    @property
    def faulty_clients(self) -> frozenset[int]:
        """The clients that a fault is planned for: nothing is owed to them."""
        return frozenset(plan.client for plan in self.client_failures)

    @property
    def leavers(self) -> frozenset[int]:
        """The clients that go for good: of their workloads as much is owed as they have sent."""
        return frozenset(client for client, visit in enumerate(self.visits) if visit.goes_for_good)

    @property
    def last_visit_ms(self) -> int:
        """When the last client comes or goes."""
        return max((moment for visit in self.visits for moment in (visit.arrives_ms, visit.leaves_ms) if moment is not None), default=0)

    @property
    def deciding(self) -> tuple[int, ...]:
        """The servers that decide at first."""
        return self.first_members or tuple(range(self.num_replicas))

    @property
    def spare(self) -> int:
        """How many of the servers may be gone at any time, with the fewest that decide after any of the changes."""
        members = self.deciding
        fewest = len(members)
        for change in self.changes:
            members = change.applied_to(members)
            fewest = min(fewest, len(members))
        return (fewest - 1) // 2

    @property
    def borne(self) -> int:
        """With how many faulty servers it holds what it promises: t, and no more than may be gone where not all decide."""
        return min(self.t, self.spare) if self.first_members or self.changes else self.t

    def placed(self, placement: Placement) -> "Scenario":
        """The same scenario with its processes placed otherwise."""
        return msgspec.structs.replace(self, placement=placement)

    def settings(self) -> dict[str, object]:
        """The settings by name, without workloads, faults and expectations."""
        return {field: getattr(self, field) for field in self.__struct_fields__ if field not in NO_SETTINGS}
