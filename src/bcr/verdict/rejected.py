"""Requests for which there was no room: who signed that, and what took their numbers (specification, 13.10, 14.12, 16.12).

Nobody is owed an answer to such a request: what took its number is executed, and the request never will be. To a judge it is as if
the client had been to send that other one, if as many have rejected the request as hold a correct one.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from bcr.braft.members import Members
from bcr.braft.replies import is_rejected
from bcr.chain.configuration import Membership
from bcr.chain.outstanding import NO_ROOM
from bcr.chain.void import is_void
from bcr.objects.operation import Operation
from bcr.signed.violations import ProtocolViolation
from bcr.verdict.exchanges import RequestsOfClient, Workloads
from bcr.verdict.record import ClientRecord, RejectedRequest, RunRecord


class _WithOthers:
    """A workload, in which other requests stand in the place of some."""

    def __init__(self, workload: RequestsOfClient, others: Mapping[int, Sequence[Operation]]) -> None:
        self._workload = workload
        self._others = others

    def __len__(self) -> int:
        return len(self._workload)

    def __getitem__(self, number: int, /) -> Sequence[Operation]:
        return self._others.get(number, self._workload[number])


def with_what_took_their_numbers(record: RunRecord, workloads: Workloads) -> tuple[RunRecord, Workloads]:
    """Both as if clients had been to send what took the numbers of rejected requests; those stay on record to be looked at.

    What is not of the client's workload, or asks for something, takes no number: then the request is unanswered.
    """
    if not any(client.rejected for client in record.clients):
        return record, workloads
    found = list(workloads)
    clients = []
    for client in record.clients:
        taken = [each for each in client.rejected if _takes_its_number(each, client.client, workloads)]
        exchanges = sorted((*client.exchanges, *(each.instead for each in taken)), key=lambda each: each.request.statement.number)
        unanswered = (*client.unanswered, *(each.request for each in client.rejected if each not in taken))
        clients.append(replace(client, exchanges=tuple(exchanges), rejected=tuple(taken), unanswered=unanswered))
        if taken:
            others = {each.request.statement.number: each.instead.request.statement.operations for each in taken}
            found[client.client] = _WithOthers(found[client.client], others)
    return replace(record, clients=tuple(clients)), found


def _takes_its_number(rejected: RejectedRequest, client: int, workloads: Workloads) -> bool:
    request, instead = rejected.request.statement, rejected.instead.request.statement
    if request.client != client or not 0 <= client < len(workloads) or not 0 <= request.number < len(workloads[client]):
        return False
    is_in_its_place = (instead.client, instead.number) == (client, request.number) and is_void(instead.operations)
    return is_in_its_place and tuple(workloads[client][request.number]) == request.operations


def remarks_on_rejected(record: RunRecord) -> Iterator[str]:
    """How many requests of each client were rejected."""
    for client in record.clients:
        if client.rejected:
            yield f"client {client.client}: {len(client.rejected)} requests were rejected for want of room, and were not executed"


def wrong_rejections(clients: Sequence[ClientRecord], is_shown: Callable[[RejectedRequest], bool]) -> Iterator[str]:
    """Requests that count as rejected, and that too few have rejected."""
    for client in clients:
        for rejected in client.rejected:
            if not is_shown(rejected):
                yield f"client {client.client}, request {rejected.request.statement.number}: rejected for want of room, and too few have signed that"


def is_rejected_by_replicas(rejected: RejectedRequest, configurations: Mapping[int, Membership]) -> bool:
    """Whether as many replicas of one configuration have signed that as hold one that tells the truth.

    Where their codes convince their client alone, it is enough that they are there.
    """
    request = rejected.request.statement
    signers: dict[int, set[int]] = {}
    for signed in rejected.rejections:
        said = signed.statement
        configuration = configurations.get(said.configuration)
        about = (said.client, said.number, said.request_digest, said.why)
        if configuration is None or about != (request.client, request.number, request.digest(), NO_ROOM):
            continue
        is_member = 0 <= signed.signer <= configuration.tail
        if is_member and (not configuration.is_transferable or signed.is_authentic(configuration.replica_author(signed.signer))):
            signers.setdefault(said.configuration, set()).add(signed.signer)
    return any(len(those) >= configurations[number].witnesses for number, those in signers.items())


def is_rejected_by_servers(rejected: RejectedRequest, members: Members, t: int) -> bool:
    """The same of servers among liars."""
    authentic = {}
    for signed in rejected.rejections:
        with contextlib.suppress(ProtocolViolation):
            members.demand_server(signed)
            authentic[signed.signer] = signed
    return is_rejected(authentic.values(), rejected.request, t)
