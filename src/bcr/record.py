"""What a run leaves behind for whoever judges it: no logs, but the signed statements themselves."""

import msgspec

from bcr.configuration import SignedConfiguration
from bcr.proofs import Answer
from bcr.reconfiguration import ReconfigurationReport
from bcr.signing import Signed, Statement
from bcr.state import Snapshot
from bcr.statements import SignedRequest


class Exchange(msgspec.Struct, frozen=True, array_like=True):
    """One request of a client and the answer that it accepted.

    Times are nanoseconds on the clock named in the client's record; `attempts` counts the times that the request was
    sent, and `answered_by` says which message brought the answer.
    """

    request: SignedRequest
    answer: Answer
    sent_ns: int
    accepted_ns: int
    attempts: int
    answered_by: str


class ClientRecord(msgspec.Struct, frozen=True, array_like=True):
    """A client's exchanges in request order, and the requests that it got no answer to.

    Times of clients with the same `clock` can be compared: it names a monotonic clock.
    """

    client: int
    clock: str
    exchanges: tuple[Exchange, ...]
    unanswered: tuple[SignedRequest, ...] = ()
    retransmissions: int = 0
    violations: tuple[str, ...] = ()


class ReplicaReport(Statement, frozen=True, tag="replica_report"):
    """A replica's signed account of itself at the end: the digest of its running state, and what it counted."""

    configuration: int
    position: int
    state_digest: bytes
    slots: int
    results_sent: int
    reconfiguration_requests: int
    violations: tuple[str, ...]


class InjectedFault(msgspec.Struct, frozen=True, array_like=True):
    """A fault that struck: the replica of a configuration, and the scenario file's text."""

    configuration: int
    position: int
    text: str


class RunRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole run, as recorded.

    `final_state` is the running state of one of the replicas in `replicas`, or None where none could be had.
    """

    olympus_key: bytes
    configurations: tuple[SignedConfiguration, ...]
    clients: tuple[ClientRecord, ...]
    replicas: tuple[Signed[ReplicaReport], ...]
    final_state: Snapshot | None = None
    reconfigurations: tuple[ReconfigurationReport, ...] = ()
    faults: tuple[InjectedFault, ...] = ()
