"""What start-up tells every process: the scenario's numbers that it acts on (specification, 9.2)."""

import msgspec

from bcr.objects.finding import DEFAULT
from bcr.objects.sizes import STATE_LIMIT_BYTES
from bcr.signed.authentication import Acceptance, Authentication, sizes


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a scenario that processes act on, and where they log. Times are milliseconds.

    `object_name` is what is replicated, as bcr.objects.finding knows it. `acceptance` says whether a result is accepted with statements of `all` replicas, or of a `quorum` of t+1.
    `client_rate` is the operations a second that each client is to send, or 0: the next whenever one is answered.
    `state_limit_bytes` is how large the dictionary may become. `run_name` names the folder of this run's logs below
    `log_base`, or below the project's `logs` where that is empty, as it must be on other hosts. `message_limit_bytes` is the
    size that no message may exceed. Lines of the logs are stamped with the monotonic clock called `clock`, plus
    `clock_origin_ns`, by all processes that have it. `durable` says whether replicas keep on disk what they order before
    they speak of it, and `data_folder` where, if not beside the logs.
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

    @property
    def num_replicas(self) -> int:
        return sizes(self.t, self.authentication).replicas
