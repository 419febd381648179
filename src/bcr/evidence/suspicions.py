"""What processes noticed of others and no signature shows (specification, 5.1): each with why it proves nothing to somebody else."""

from collections.abc import Collection, Iterator, Mapping

import msgspec

from bcr.evidence.convictions import WHO_COULD_FORGE
from bcr.signed.violations import Notice
from bcr.verdict.record import RunRecord

# Kind of violation -> why it convicts nobody, where statements in the record do not.
WHY_NOT: Mapping[str, str] = {
    "MalformedMessage": "the message is signed by nobody as a whole, so anybody on its way may have made it so",
    "BeyondLimits": "its client signed it, and that a replica passed it on is signed by nobody",
    "InvalidSignature": "anybody can put a signature that does not hold under anybody's name",
    "UnknownSigner": "anybody can name a signer that there is not, or one twice",
    "WrongConfiguration": "what was signed for another configuration can be sent again by whoever has it",
    "Hole": "only its receiver knows what did not come before it, and a message may have been lost",
    "IncompleteProof": "whoever sent the message may have left the statement out, and it bears no signature as a whole",
    "ContradictoryOrder": "the order is signed, and that it stood beside these requests is not: who passed it on may have "
    "put others there; and the record holds no second statement of its author that contradicts it",
    "Equivocation": "the record does not hold both of the orders",
    "DisagreeingResult": "the record does not hold the result beside t+1 equal ones of others",
    "NotEnoughStatements": "whoever sent the proof may have left statements out",
    "NotFinal": "whoever sent the proof may have left statements out, and the replica that is missing may only be slow",
    "OfAnotherRequest": "what is signed names the request by a digest, and which of two requests the client made only it knows",
    "SecondOrder": "an order names its requests by a digest, and that it stood beside these is signed by nobody",
    "InvalidCertificate": "whoever passed the certificate on may have made it so, and it bears no signature as a whole",
    "WrongChain": "the record does not hold the entry before it that the leader signed",
    "Overdue": "that something has not come can be the network's doing",
    "OverLimit": "how much is too much is a setting of the run, and stands in no statement",
}
A_TIMER = "that no answer came in time can be the network's doing, or the fault of anybody on the way"


class Suspicion(msgspec.Struct, frozen=True):
    """Who suspects whom of what, and why it proves nothing. `position` is None where nobody is named."""

    by: str
    configuration: int | None
    position: int | None
    kind: str
    what: str
    why_not: str


def suspicions(record: RunRecord, convicted: Collection[tuple[int, int]]) -> Iterator[Suspicion]:
    """What was noticed of replicas that are not `convicted`, pairs of configuration and position; the like of it once."""
    positions = {position for _, position in convicted}
    kinds: set[tuple[int | None, int | None, str]] = set()
    for who, configuration, notice in _notices(record):
        place = configuration, notice.blamed
        is_known = place in convicted or (configuration is None and notice.blamed in positions)
        if is_known or (*place, notice.kind) in kinds:
            continue
        kinds.add((*place, notice.kind))
        yield Suspicion(who, configuration, notice.blamed, notice.kind, notice.what, why_not(record, notice.kind))
    for change in record.reconfigurations:
        kind = change.reason.partition(":")[0]
        place = change.source, change.blamed
        if place not in convicted and not {(*place, kind), (None, change.blamed, kind)} & kinds:
            why = why_not(record, kind) if kind in WHY_NOT else A_TIMER
            yield Suspicion(change.requested_by, change.source, change.blamed, "", change.reason, why)


def why_not(record: RunRecord, kind: str) -> str:
    """Why a notice of this kind convicts nobody."""
    if record.authentication != "ed25519":
        return WHO_COULD_FORGE[record.authentication]
    return WHY_NOT.get(kind, "it is one process's word")


def _notices(record: RunRecord) -> Iterator[tuple[str, int | None, Notice]]:
    for notice in record.olympus_notices:
        yield "olympus", None, notice
    for client in record.clients:
        for notice in client.notices:
            yield f"client_{client.client}", None, notice
    for report in (signed.statement for signed in record.replicas):
        for notice in report.notices:
            yield f"replica_{report.position}", report.configuration, notice
