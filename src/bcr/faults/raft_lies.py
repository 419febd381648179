"""What a server of Raft says that is not so, where a scenario file lets it lie (specification, 9.10)."""

import msgspec

from bcr.objects.operation import Operation
from bcr.raft.rpcs import AppendEntries, Response
from bcr.signed.statements import Outcome


def changed_response(response: Response) -> Response:
    """Other results than the request gave."""
    return msgspec.structs.replace(response, outcome=changed_outcome(response.outcome))


def changed_outcome(outcome: Outcome) -> Outcome:
    """What a request did not give, at the place where it was executed."""
    return msgspec.structs.replace(outcome, results=tuple(f"{each}!" for each in outcome.results))


def with_operation(message: AppendEntries, operation: Operation) -> AppendEntries:
    """The same entries, but that the last one asks for another operation wherever a client asked for some; they are a chain all the same."""
    if not message.entries:
        return message
    *others, last = message.entries
    requests = tuple(msgspec.structs.replace(each, operations=(operation,) * len(each.operations)) for each in last.requests)
    return msgspec.structs.replace(message, entries=(*others, msgspec.structs.replace(last, requests=requests)))
