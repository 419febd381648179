"""The digests of the implementation for the contents of the specification, and the contents for the digests.

In the specification contents stand for their digests. When one of its processes runs beside one of the implementation, it must
name the digests instead. And where a message of the implementation has a digest, it must be given the contents.
"""

from collections.abc import Sequence
from typing import Any

from bcr.objects.operation import Operation
from bcr.signed.statements import Outcome, SignedRequest, digest_of_outcomes, tree_of_requests
from bcr.state.running import RunningState, Snapshot

# As in spec/Shuttle.da: ("signed", ("client", k), ("request", k, number, operations)).
Request = tuple[Any, ...]
# (configuration, slot, index, results)
Executed = tuple[int, int, int, tuple[str, ...]]
# Pairs of the dictionary, and (client, number, outcome) of each request that was executed.
State = tuple[frozenset[tuple[str, str]], frozenset[tuple[int, int, Executed]]]


class DigestTable:
    """Knows the requests and outcomes of one run by the digests that stand for them."""

    def __init__(self, client_window: int) -> None:
        self._client_window = client_window
        self._digests_of_signed: dict[Request, bytes] = {}  # the digest of the request with its signature
        self._states: dict[State, bytes] = {}
        self.request: dict[bytes, Request] = {}  # by that digest
        self.unsigned: dict[bytes, Request] = {}  # by that of the request without it
        self.slots: dict[bytes, tuple[Request, ...]] = {}  # by the digest of a slot's requests
        self.outcomes: dict[bytes, tuple[Executed, ...]] = {}

    def add_request(self, request: Request, signed: SignedRequest) -> None:
        """Learn what a request of the specification is to the implementation."""
        self._digests_of_signed[request] = signed.digest()
        self.request[self._digests_of_signed[request]] = request
        if request[0] == "signed":
            self.unsigned[signed.statement.digest()] = request

    def add_slot(self, requests: tuple[Request, ...]) -> None:
        self.slots[self.of(requests)] = requests

    def add_outcomes(self, outcomes: tuple[Executed, ...]) -> None:
        self.outcomes[self.of(outcomes)] = outcomes

    def of(self, contents: Any) -> bytes:
        """What the implementation names in place of a running state, of a slot's requests, or of their outcomes."""
        if contents and isinstance(contents[0], frozenset):
            if contents not in self._states:
                self._states[contents] = snapshot_of(contents, self._client_window).digest()
            return self._states[contents]
        if contents and isinstance(contents[0][0], str):
            return tree_of_requests([self._digests_of_signed.get(request, b"") for request in contents]).root
        return digest_of_outcomes([Outcome(*outcome) for outcome in contents]) if contents else b""


def request_of(signed: SignedRequest, is_authentic: bool) -> Request:
    """A client's request as the specification has it."""
    statement = signed.statement
    operations = tuple((each.name, each.key, each.argument) for each in statement.operations)
    what = ("request", statement.client, statement.number, operations)
    return ("signed" if is_authentic else "forged", ("client", signed.signer), what)


def operations_of(request: Request) -> tuple[Operation, ...]:
    return tuple(Operation(*operation) for operation in request[2][3])


def outcomes_of(outcomes: Sequence[Outcome]) -> tuple[Executed, ...]:
    return tuple((each.configuration, each.slot, each.index, each.results) for each in outcomes)


def state_of(snapshot: Snapshot, client_window: int) -> State:
    """A running state as the specification has it, from what the implementation hands over."""
    state = RunningState.restored(snapshot, client_window)
    recorded = [(client, number, outcomes_of([outcome])[0])
                for client, latest in state.outcomes.items() for number, outcome in latest.items()]  # fmt: skip
    return frozenset(state.dictionary.items()), frozenset(recorded)


def snapshot_of(state: State, client_window: int) -> Snapshot:
    """The running state as the implementation hands it over: of each client with its latest outcomes alone."""
    by_client: dict[int, dict[int, Outcome]] = {}
    for client, number, outcome in state[1]:
        by_client.setdefault(client, {})[number] = Outcome(*outcome)
    latest = tuple(
        (client, tuple((number, outcomes[number]) for number in sorted(outcomes) if number > max(outcomes) - client_window))
        for client, outcomes in sorted(by_client.items())
    )
    return Snapshot.of(dict(state[0]), latest)
