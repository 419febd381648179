"""What a server of Raft among liars says that is not so, signed as a correct one signs (specification, 16.11)."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bcr.braft.exchange import Decided
from bcr.braft.promises import Append, Certificate, Commit, Fetch, Prepare, Reply, Start, StartVote, StateAt, Status
from bcr.braft.proposals import Proposal, proposed
from bcr.braft.term_starts import Suffix, TermStart, TermVote
from bcr.faults.raft_lies import changed_outcome
from bcr.objects.operation import Operation
from bcr.raft.log import BEGINNING, Entry, Position
from bcr.signed.encoding import digest, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Outcome, Request, SignedRequest
from bcr.state.running import RunningState

Sign = Callable[[Any], Signed[Any]]

CHAOS_BYTES = 48  # of chance in a message of chaos
FAR = 5  # how much further a status says that its server is


def other_digest(of: bytes) -> bytes:
    return digest("a lie", of)


def spoiled(message: Any) -> Any:
    """The same under a signature that is none."""
    if isinstance(message, Proposal):
        return msgspec.structs.replace(message, signed=spoiled(message.signed))
    return msgspec.structs.replace(message, signature=bytes(each ^ 0xFF for each in message.signature))


def changed_reply(signed: Signed[Reply], sign: Sign) -> Signed[Reply]:
    """Other results than the request gave."""
    statement = signed.statement
    return sign(msgspec.structs.replace(statement, outcome=changed_outcome(statement.outcome)))


def with_requests(proposal: Proposal, requests: Sequence[SignedRequest], sign: Sign) -> Proposal:
    """The leader's word on another entry at that index."""
    statement = proposal.signed.statement
    entry = Entry(proposal.entry.previous, proposal.entry.term, tuple(each.statement for each in requests))
    return proposed(sign(Append(statement.term, statement.index, entry.digest)), entry, requests)


def with_operation(proposal: Proposal, operation: Operation, sign: Sign) -> Proposal:
    """An entry whose first request has another operation than its client signed."""
    first, *others = proposal.requests()
    request = first.statement
    forged = Signed(Request(request.client, request.number, (operation,)), request.client, first.signature)
    return with_requests(proposal, (forged, *others), sign)


def off_the_chain(proposal: Proposal, sign: Sign) -> Proposal:
    """The leader's word on an entry that does not follow the one before it."""
    statement = proposal.signed.statement
    entry = msgspec.structs.replace(proposal.entry, previous=other_digest(proposal.entry.previous))
    return proposed(sign(Append(statement.term, statement.index, entry.digest)), entry, proposal.requests())


def at_next_index(proposal: Proposal, sign: Sign) -> Proposal:
    """The leader's word that an entry stands one index further on."""
    statement = proposal.signed.statement
    return msgspec.structs.replace(proposal, signed=sign(Append(statement.term, statement.index + 1, statement.digest)))


def without_statements(message: Any, t: int) -> Any:
    """The same, with t+1 signatures less under its certificate of a state, if it has one."""
    if isinstance(message, Decided) and message.checkpoint is not None:
        return msgspec.structs.replace(message, checkpoint=_lacking(message.checkpoint, t))
    if isinstance(message, TermVote | TermStart) and message.log.checkpoint is not None:
        log = msgspec.structs.replace(message.log, checkpoint=_lacking(message.log.checkpoint, t))
        return msgspec.structs.replace(message, log=log)
    return message


def _lacking(certificate: Certificate, t: int) -> Certificate:
    return msgspec.structs.replace(certificate, signatures=certificate.signatures[t + 1 :])


def otherwise(message: Any, sign: Sign, heard: Sequence[SignedRequest]) -> Any:
    """What contradicts a message, validly signed where that takes nobody else; `heard` are requests as clients signed them."""
    if isinstance(message, Proposal):
        own = {each.statement for each in message.requests()}
        others = [each for each in heard if each.statement not in own]
        return with_requests(message, (others[-1],) if others else message.requests() * 2, sign)
    if isinstance(message, TermVote) and message.log.entries:
        log = msgspec.structs.replace(message.log, entries=(*message.log.entries, message.log.entries[-1]))
        return msgspec.structs.replace(message, log=log)
    if isinstance(message, TermVote):
        return TermVote(sign(StartVote(message.term, 0, 0, BEGINNING.digest)), None, Suffix(None, ()))
    if isinstance(message, TermStart):
        return msgspec.structs.replace(message, signed=sign(Start(message.term, message.index, other_digest(message.digest))))
    if isinstance(message, Certificate):
        return msgspec.structs.replace(message, signatures=message.signatures[:1] * len(message.signatures))
    if isinstance(message, Decided) and message.snapshot and len(message.entries) % 2 == 0:
        return msgspec.structs.replace(message, snapshot=encode(RunningState(1).snapshot()))  # in which nothing was executed
    if isinstance(message, Decided):
        last = tuple(msgspec.structs.replace(each, requests=()) for each in message.entries[-1:])
        return msgspec.structs.replace(message, entries=(*message.entries[:-1], *last))
    said = message.statement
    if isinstance(said, Prepare | Commit):
        return sign(msgspec.structs.replace(said, digest=other_digest(said.digest)))
    if isinstance(said, StateAt):
        return sign(msgspec.structs.replace(said, state_digest=other_digest(said.state_digest)))
    if isinstance(said, Reply):
        return changed_reply(message, sign)
    if isinstance(said, Status):
        further = {name: getattr(said, name) + FAR for name in ("committed", "prepared", "last")}
        return sign(msgspec.structs.replace(said, **further))
    if isinstance(said, Fetch):
        return sign(Fetch(0))
    return message  # a client's request, which only that client could contradict


def chaos(chance: bytes, sign: Sign, term: int, last: Position, quorum: int, heard: Sequence[SignedRequest]) -> tuple[str, Any]:
    """A message of a random kind, correct in syntax and signature, with term and index near these: its name, and itself.

    `chance` are CHAOS_BYTES random bytes. Often enough it is about the very next entry behind `last`, which it follows.
    """
    is_next = chance[39] % 2 == 0
    near_term = term if is_next else max(0, term + chance[0] % 4 - 1)
    near_index = last.index + 1 if is_next else max(1, last.index + chance[1] % 6 - 2)
    lie = chance[2:34]
    client, number = chance[34] % 3, chance[35] % 16
    forged = Signed(Request(client, number, (Operation("put", "chaos", "chaos"),)), client, bytes(64))
    requests = (heard[chance[36] % len(heard)],) if heard and chance[41] % 4 else (forged,)
    entry = Entry(last.digest if is_next else lie, near_term, tuple(each.statement for each in requests))
    first = msgspec.structs.replace(entry, previous=BEGINNING.digest)
    prepare = Prepare(near_term, near_index, lie)
    own = sign(prepare)

    def alone(statement: Prepare | Commit) -> Certificate:
        """As many signatures as are needed, all of them the own one; or none at all."""
        signed = sign(statement)
        return Certificate(statement, ((signed.signer, signed.signature),) * (quorum if chance[40] % 2 else 0))

    def alone_in_favour() -> TermStart:
        """The beginning of the next term in which it leads, with its own vote as often as votes are needed, or with none."""
        servers = 3 * (quorum - 1) // 2 + 1
        led = term + 1 + (own.signer - term - 1) % servers
        vote = sign(StartVote(led, 0, 0, BEGINNING.digest))
        return TermStart(sign(Start(led, 0, BEGINNING.digest)), ((vote, None),) * (quorum if chance[40] % 2 else 0), Suffix(None, ()))

    kinds: Sequence[tuple[str, Callable[[], Any]]] = (
        ("append", lambda: proposed(sign(Append(near_term, near_index, entry.digest)), entry, requests)),
        ("prepare", lambda: own),
        ("prepare_certificate", lambda: alone(prepare)),
        ("prepare_certificate", lambda: alone(Prepare(near_term, near_index, entry.digest))),
        ("commit", lambda: sign(Commit(near_term, near_index, lie))),
        ("checkpoint", lambda: sign(StateAt(Position(near_index, near_term, lie), lie))),
        ("start_vote", lambda: TermVote(sign(StartVote(near_term + 1, 0, 0, BEGINNING.digest)), None, Suffix(None, ()))),
        ("start_vote", lambda: TermVote(sign(StartVote(near_term + 1, near_term, 1, first.digest)), None, Suffix(None, (first,)))),
        ("start_term", lambda: TermStart(sign(Start(near_term + 1, near_index, lie)), (), Suffix(None, ()))),
        ("start_term", alone_in_favour),
        ("status", lambda: sign(Status(near_term, bool(chance[37] % 2), near_index, near_index, near_index, 0))),
        ("fetch", lambda: sign(Fetch(max(0, near_index - 3)))),
        ("state", lambda: Decided(None, b"", near_index - 1, (entry,), alone(Commit(near_term, near_index, entry.digest)))),
        ("forwarded_request", lambda: requests[0]),
        ("reply", lambda: sign(Reply(client, number, near_term, Outcome(0, near_index, 0, ("chaos",))))),
    )
    name, make = kinds[chance[38] % len(kinds)]
    return name, make()
