"""Takes a client's record apart by its sessions, so that whoever judges it has to do with one number, and its requests from 0
on (specification, 10.3, 15.5)."""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from bcr.objects.operation import Operation
from bcr.verdict.exchanges import RequestsOfClient, Workloads
from bcr.verdict.record import ClientRecord, RunRecord


class _Part:
    """The requests of a workload from `first` to before `end`, as a session numbers them."""

    def __init__(self, workload: RequestsOfClient, first: int, end: int) -> None:
        self._workload = workload
        self._first = first
        self._count = max(0, min(end, len(workload)) - first)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int, /) -> Sequence[Operation]:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self._workload[self._first + number]


def by_session(
    record: RunRecord, workloads: Workloads, leavers: Collection[int] | None, liars: Collection[int]
) -> tuple[RunRecord, Workloads]:
    """The record with one of a client for each of its sessions, and for each of these numbers what it was to send.

    Of those of `leavers` that say so no more is owed than they have sent; None where nobody knows who they are, and each is believed. Those of `liars`
    stay as they are: what they say of their sessions is nothing.
    """
    if not any(each.sessions for each in record.clients):
        return record, workloads
    owed: dict[int, RequestsOfClient] = dict(enumerate(workloads))
    clients: list[ClientRecord] = []
    for client in record.clients:
        if not client.sessions or client.client in liars or not 0 <= client.client < len(workloads):
            clients.append(client)
            continue
        workload = workloads[client.client]
        owed[client.client] = ()  # unless one of its sessions had this number, as the first mostly has
        for place, session in enumerate(client.sessions):
            is_last = place == len(client.sessions) - 1
            goes_on = is_last and not (client.has_left and (leavers is None or client.client in leavers))
            owed[session.client] = _Part(workload, session.first, len(workload) if goes_on else session.first + session.sent)
            clients.append(_of_session(client, session.client, is_first=place == 0))
    return replace(record, clients=tuple(clients)), [owed.get(client, ()) for client in range(max(owed) + 1)]


def _of_session(client: ClientRecord, number: int, is_first: bool) -> ClientRecord:
    """What the client recorded of one session; what is of none of them goes with the first, where it will be found wrong."""
    others = {session.client for session in client.sessions} - {number}

    def is_of_it(asker: int) -> bool:
        return asker == number or (is_first and asker not in others)

    return replace(
        client,
        client=number,
        sessions=(),
        exchanges=tuple(each for each in client.exchanges if is_of_it(each.request.statement.client)),
        unanswered=tuple(each for each in client.unanswered if is_of_it(each.statement.client)),
        lost=tuple(each for each in client.lost if is_of_it(each.statement.client)),
        rejected=tuple(each for each in client.rejected if is_of_it(each.request.statement.client)),
    )
