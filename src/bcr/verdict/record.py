"""What a run leaves behind for whoever judges it: no logs, but the signed statements themselves (specification, 10.2)."""

import msgspec

from bcr.braft.replies import Agreed
from bcr.chain.configuration import SignedConfiguration
from bcr.chain.proofs import Answer, Vouched
from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.chain.void import AnswerToOther
from bcr.faults.plans import ClientFaultPlan, FaultPlan
from bcr.objects.finding import DEFAULT
from bcr.objects.sizes import DEFAULT_LIMITS, StateLimits
from bcr.raft.changes import ScheduledChange
from bcr.raft.kept_logs import KeptLog
from bcr.raft.rpcs import Response
from bcr.signed.authentication import Authentication
from bcr.signed.signing import Keyring, Signed, Statement
from bcr.signed.statements import Rejection, SignedRequest
from bcr.signed.violations import Notice
from bcr.state.running import Snapshot
from bcr.verdict.exhibits import Exhibit
from bcr.verdict.samples import Sample


class Exchange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request of a client and the answer that it accepted.

    Times are nanoseconds on the clock named in the client's record; `attempts` counts the times that the request was
    sent, and `answered_by` says which message brought the answer. `due_ns` is when it was to be sent where clients send
    at a rate, and None where one is sent when another is answered.
    """

    request: SignedRequest
    answer: Answer | Vouched | AnswerToOther | Response | Agreed
    sent_ns: int
    accepted_ns: int
    attempts: int
    answered_by: str
    due_ns: int | None = None

    @property
    def latency_ns(self) -> int:
        """From when the request was to be sent, however late that was done, to its answer."""
        return self.accepted_ns - (self.sent_ns if self.due_ns is None else self.due_ns)


class RejectedRequest(msgspec.Struct, frozen=True, array_like=True):
    """A request for which there was no room, what took its number and was executed, and the statements of those who rejected it, if they sign."""

    request: SignedRequest
    rejections: tuple[Signed[Rejection], ...]
    instead: Exchange


class SessionAccount(msgspec.Struct, frozen=True, array_like=True):
    """A client's word on one of its sessions: its number in it, which request of its workload came first, and how many it sent."""

    client: int
    first: int
    sent: int


class ClientRecord(msgspec.Struct, frozen=True, array_like=True):
    """A client's exchanges in request order, and the requests that it got no answer to.

    `faults` are those of its own that struck. One that came or went gives account of its `sessions`, and `has_left` where it
    went before its work was done; of requests that are `lost` it will never know what they gave, for their session has ended. For those
    that were `rejected` there was no room, and they were never executed.
    Times of clients with the same `clock` can be compared: it names a monotonic clock.
    """

    client: int
    clock: str
    exchanges: tuple[Exchange, ...]
    unanswered: tuple[SignedRequest, ...] = ()
    retransmissions: int = 0
    notices: tuple[Notice, ...] = ()
    samples: tuple[Sample, ...] = ()
    faults: tuple[ClientFaultPlan, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    sessions: tuple[SessionAccount, ...] = ()
    lost: tuple[SignedRequest, ...] = ()
    has_left: bool = False
    rejected: tuple[RejectedRequest, ...] = ()

    @property
    def without_answer(self) -> tuple[SignedRequest, ...]:
        """The requests that have none on record, whether one is owed or not; but for those that are lost."""
        return (*self.unanswered, *(each.request for each in self.rejected))


class ReplicaReport(Statement, frozen=True, tag="replica_report"):
    """A replica's signed account of itself: what it counted and noticed, and the digest of its running state.

    A replica gives one when it is wedged, which leaves the digest open, and one at the end of the run. One that was not
    active, perhaps because its key came too late for its configuration, owes no digest.
    """

    configuration: int
    position: int
    state_digest: bytes | None
    slots: int
    results_sent: int
    reconfiguration_requests: int
    notices: tuple[Notice, ...]
    samples: tuple[Sample, ...] = ()
    was_active: bool = True
    exhibits: tuple[Exhibit, ...] = ()


def is_final(report: ReplicaReport) -> bool:
    """Whether a replica has told all that it owes at the end."""
    return report.state_digest is not None or not report.was_active


class RunRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole run, as recorded.

    `final_state` is the running state of one of the replicas in `replicas`, or None where none could be had; `faults`
    are those that struck or may have, and `armed_faults` those of them of which nobody has told that they had an effect. The samples of the harness are those of the process that collected this. With `hmac` the
    statements can be checked only by who holds `olympus_secret`, which Olympus hands over at the start to whoever
    started it; and who holds it could have made them. `exhibits` are what Olympus was told and said in reconfigurations;
    `faulty_clients` had faults of their own, `object_name` is what was replicated, and `client_window` and `limits` bounded the running state, as far as whoever wrote this says. `initial_state` is what a run went on with, and None of one that began with nothing.
    `circle` are the keys of servers and clients, where no configuration has them, and `logs` what servers that have one held at the end.
    `is_without_olympus`: it ended before the run, so that what it noticed is not here. `changes` of servers were asked for and made.
    """

    olympus_key: bytes
    configurations: tuple[SignedConfiguration, ...]
    clients: tuple[ClientRecord, ...]
    replicas: tuple[Signed[ReplicaReport], ...]
    final_state: Snapshot | None = None
    reconfigurations: tuple[ReconfigurationReport, ...] = ()
    faults: tuple[FaultPlan, ...] = ()
    olympus_notices: tuple[Notice, ...] = ()
    olympus_samples: tuple[Sample, ...] = ()
    harness_samples: tuple[Sample, ...] = ()
    authentication: Authentication = "ed25519"
    olympus_secret: bytes = b""
    exhibits: tuple[Exhibit, ...] = ()
    faulty_clients: tuple[int, ...] = ()
    client_window: int = 1
    limits: StateLimits = DEFAULT_LIMITS
    object_name: str = DEFAULT
    protocol: str = "shuttle"
    circle: Keyring = Keyring()
    logs: tuple[KeptLog, ...] = ()
    initial_state: Snapshot | None = None
    session_slots: int = 0
    is_without_olympus: bool = False
    changes: tuple[ScheduledChange, ...] = ()
    armed_faults: tuple[FaultPlan, ...] = ()
