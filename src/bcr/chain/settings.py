"""What start-up tells every process: the scenario's numbers that it acts on (specification, 9.2)."""

import msgspec

from bcr.objects.finding import DEFAULT
from bcr.objects.sizes import STATE_LIMIT_BYTES
from bcr.signed.authentication import Acceptance, Authentication, sizes


class Visit(msgspec.Struct, frozen=True, array_like=True):
    """When a client comes, and when it goes, in milliseconds after it has heard that the service is there; None where it is there then, and stays.

    One that goes before it comes is there from the start, and comes back.
    """

    arrives_ms: int | None = None
    leaves_ms: int | None = None

    @property
    def comes_back(self) -> bool:
        return self.arrives_ms is not None and self.leaves_ms is not None and self.leaves_ms < self.arrives_ms

    @property
    def comes_later(self) -> bool:
        """Whether it is not there from the start."""
        return self.arrives_ms is not None and not self.comes_back

    @property
    def goes_for_good(self) -> bool:
        return self.leaves_ms is not None and not self.comes_back


ALWAYS = Visit()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a scenario that processes act on, and where they log. Times are milliseconds.

    `object_name` is what is replicated, as bcr.objects.finding knows it. `acceptance` says whether a result is accepted with statements of `all` replicas, or of a `quorum` of t+1.
    `client_rate` is the operations a second that each client is to send, or 0: the next whenever one is answered.
    `state_limit_bytes` is how large the dictionary may become. `run_name` names the folder of this run's logs below
    `log_base`, or below the project's `logs` where that is empty, as it must be on other hosts. `message_limit_bytes` is the
    size that no message may exceed. Lines of the logs are stamped with the monotonic clock called `clock`, plus
    `clock_origin_ns`, by all processes that have it. `durable` says whether replicas keep on disk what they order before
    they speak of it, and `data_folder` where, if not beside the logs. With `callers` each client's operations are asked for by
    so many, each of whom has one outstanding, and fill its requests up to `operations_per_request`. `visits` says by client when it comes and goes, and is empty where all are there all the time;
    `session_slots` after how many slots a session ends that nobody uses, and is 0 where none does.
    `servers` is how many of them there are, or 0 for as many as the chain has; `first_members` which of Raft's decide at first, empty where all do.
    """

    t: int
    num_clients: int
    authentication: Authentication = "ed25519"
    acceptance: Acceptance = "all"
    object_name: str = DEFAULT
    client_timeout_ms: int = 3_000
    head_timeout_ms: int = 3_000
    nonhead_timeout_ms: int = 3_000
    checkpoint_interval: int = 100
    batch_limit: int = 1
    client_window: int = 1
    operations_per_request: int = 1
    client_rate: int = 0
    state_limit_bytes: int = STATE_LIMIT_BYTES
    heartbeat_ms: int = 50
    election_timeout_ms: int = 150
    election_timeout_most_ms: int = 300
    start_limit_ms: int = 30_000
    olympus_timeout_ms: int = 5_000
    wedge_grace_ms: int = 500
    message_limit_bytes: int = 4_096
    run_name: str = "run"
    log_base: str = ""
    log_level: str = "human"
    durable: bool = False
    data_folder: str = ""
    clock: str = ""
    clock_origin_ns: int = 0
    servers: int = 0
    callers: int = 0
    session_slots: int = 0
    visits: tuple[Visit, ...] = ()
    first_members: tuple[int, ...] = ()

    def visit(self, client: int) -> Visit:
        """When this client comes and goes."""
        return self.visits[client] if self.visits else ALWAYS

    @property
    def first_clients(self) -> int:
        """How many clients are there from the start, and so in the first configuration: those with the lowest numbers."""
        return sum(not self.visit(client).comes_later for client in range(self.num_clients))

    @property
    def num_replicas(self) -> int:
        return self.servers or sizes(self.t, self.authentication).replicas
