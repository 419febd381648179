"""The verdict on a recorded run of Raft among liars: each result is shown by what t+1 servers signed, and then judged as Raft's are.
(Specification, 16.10.)
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from bcr.braft.members import Members
from bcr.braft.replies import Agreed
from bcr.signed.signing import SigningKey
from bcr.signed.violations import ProtocolViolation
from bcr.verdict.exchanges import Workloads, first_reasons, name_of
from bcr.verdict.judge import Judgement
from bcr.verdict.raft_verdict import judge_raft
from bcr.verdict.record import RunRecord
from bcr.verdict.rejected import is_rejected_by_servers, wrong_rejections

ANY_KEY = bytes(32)  # who only checks needs a key of its own as little as another one


def judge_braft(record: RunRecord, workloads: Workloads, client_window: int, t: int, **more: Any) -> Judgement:
    """As `judge_raft`, which is given what is not named here; `fail` also where an answer has no proof. Never raises."""
    reasons = tuple(first_reasons(_unproved(record, t)))
    if reasons:
        return Judgement("fail", reasons)
    return judge_raft(record, workloads, client_window, per_fault=3, is_answered_by_leader=False, **more)


def _unproved(record: RunRecord, t: int) -> Iterator[str]:
    """Requests that their client did not sign, and answers that t+1 servers did not."""
    members = Members(SigningKey(ANY_KEY).among(record.circle), t)
    yield from wrong_rejections(record.clients, partial(is_rejected_by_servers, members=members, t=t))
    for client in record.clients:
        for exchange in (*client.exchanges, *(each.instead for each in client.rejected)):
            try:
                members.demand_client(exchange.request)
                if not isinstance(exchange.answer, Agreed):
                    yield f"{name_of(exchange)}: an answer that nobody signed"
                    continue
                exchange.answer.demand_for(exchange.request, members)
            except ProtocolViolation as violation:
                yield f"{name_of(exchange)}: {violation}"
