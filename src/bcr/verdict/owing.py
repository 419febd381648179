"""What the protocol owes: with no more than t faults in each configuration, every request of a client that lives is answered
(specification, 10.4)."""

from collections.abc import Collection

from bcr.faults.plans import faulty_by
from bcr.verdict.record import RunRecord, is_final


def why_nothing_is_owed(record: RunRecord, clients: Collection[int], patience_ms: int) -> str | None:
    """Why a run that was given up need not have answered these clients, as far as its record goes; None where it owed it.

    It owes every answer once the service has begun, to clients that lived to hand over their records, unless more than
    t replicas of one configuration had faults. One that faults made stand still for more than `patience_ms` is among
    these, and of the last configuration whoever gave no final account: nobody knows who may have killed it.
    """
    if not record.configurations:
        return "the service did not begin"
    absentees = sorted(set(clients) - {each.client for each in record.clients})
    if absentees:
        return f"client {absentees[0]} did not live to the end"
    faults_by_configuration = faulty_by(record.faults, patience_ms)
    last = max(signed.statement.number for signed in record.configurations)
    reports = (signed.statement for signed in record.replicas)
    reporters = {each.position for each in reports if each.configuration == last and is_final(each)}
    for issued in sorted((signed.statement for signed in record.configurations), key=lambda issued: issued.number):
        those = faults_by_configuration.get(issued.number, set())
        if issued.number == last:
            those = those | (set(range(len(issued.replicas))) - reporters)
        if len(those) > issued.t:
            names = ", ".join(map(str, sorted(those)))
            return f"more than t = {issued.t} replicas of configuration {issued.number} were faulty or gave no account: {names}"
    return None
