"""The statements of the protocol: what clients, replicas and Olympus sign (specification, 2.2)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from bcr.objects.operation import Operation
from bcr.signed.encoding import digest, digest_of
from bcr.signed.merkle import Tree
from bcr.signed.signing import Keyring, Signed, Statement

MAX_OPERATIONS_PER_REQUEST = 1_000
MAX_REQUESTS_PER_SLOT = 1_000

REQUESTS = "requests"  # domains of the trees over a slot's requests and outcomes
OUTCOMES = "outcomes"


class Request(Statement, frozen=True, tag="request"):
    """A client's request: its number, counted by the client from 0, and its operations in order."""

    client: int
    number: int
    operations: tuple[Operation, ...]

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.replicas

    def digest(self) -> bytes:
        """What the request is known by whoever signed it how."""
        return digest("request", self)


class Credential(Statement, frozen=True, tag="credential"):
    """Olympus's word that whoever signs with `public_key` may act as client `client`, for one session (specification, 15.1).

    Numbers of clients are never given twice. `holder` is which of those that Olympus knows it is, by whose next credential this
    one ends; `address` is its process, as in a configuration.
    """

    client: int
    holder: int
    public_key: bytes
    address: str

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.replicas


class SessionRequest(Request, frozen=True, tag="session_request"):
    """A request of a client that no configuration names, with what shows who that is: its credential."""

    credential: Signed[Credential]


class Order(Statement, frozen=True, tag="order"):
    """A replica's promise that `slot` holds the requests with this digest, and no others, ever."""

    configuration: int
    slot: int
    requests_digest: bytes

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        # Everybody, for it stands in for a result statement that is missing (specification, 3.6).
        return circle.clients + circle.replicas


class Result(Statement, frozen=True, tag="result"):
    """A replica's word on what executing the requests of `slot` gave, and in which slot (specification, 2.3)."""

    configuration: int
    slot: int
    requests_digest: bytes
    outcomes_digest: bytes

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.clients + circle.replicas


class Checkpoint(Statement, frozen=True, tag="checkpoint"):
    """A replica's word on its running state after `slot` (specification, 6.1)."""

    configuration: int
    slot: int
    state_digest: bytes

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.replicas


class Refusal(Statement, frozen=True, tag="refusal"):
    """An immutable replica's signed *error* in answer to a request (specification, 4.3)."""

    configuration: int
    client: int
    number: int

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.clients[self.client : self.client + 1]


class Rejection(Statement, frozen=True, tag="rejection"):
    """A replica's signed *error* in answer to a request beyond the limits, or for which it has no room (specification, 4.8, 13.10)."""

    configuration: int
    client: int
    number: int
    request_digest: bytes
    why: str

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.clients[self.client : self.client + 1]


class Stale(Statement, frozen=True, tag="stale"):
    """A replica's signed answer to a request so old that nobody remembers what it gave (specification, 7a.6)."""

    configuration: int
    client: int
    number: int

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.clients[self.client : self.client + 1]


class SessionOver(Statement, frozen=True, tag="session_over"):
    """A replica's signed answer to a request of a client whose session has ended (specification, 15.4)."""

    configuration: int
    client: int


class Voucher(Statement, frozen=True, tag="voucher"):
    """Olympus's word on what a request gave, once the next configuration is decided to begin behind it (specification, 7.6).

    `request_digest` is that of the request itself, without its signature.
    """

    configuration: int
    slot: int
    client: int
    number: int
    request_digest: bytes
    outcome: "Outcome"

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.clients[self.client : self.client + 1]


class ConfigurationQuery(Statement, frozen=True, tag="configuration_query"):
    """A client's question which configuration is the current one; it knows number `known`.

    One that no configuration names shows its `credential`: Olympus may have begun again, and not know it.
    """

    known: int
    credential: Signed[Credential] | None = None


class Complaint(Statement, frozen=True, tag="complaint"):
    """A client's word that whatever replicas answer to its request does not convince it.

    Heeded only where what convinces a replica need not convince a client: codes can be uneven, and nobody can prove it.
    """

    configuration: int
    number: int


class Ready(Statement, frozen=True, tag="ready"):
    """A replica's word to Olympus that it has become active."""

    configuration: int


class ReconfigurationRequest(Statement, frozen=True, tag="reconfiguration_request"):
    """A replica's wish to be replaced, with all others of its configuration (specification, 5.3)."""

    configuration: int
    reason: str
    blamed: int | None = None


class WedgeRequest(Statement, frozen=True, tag="wedge_request"):
    """Olympus tells the replicas of a configuration to become immutable and to hand over their histories.

    When it has waited in vain it tells them again: `turn` counts that, and only rising ones are heeded.
    """

    configuration: int
    turn: int = 1

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.replicas


class GetRunningState(Statement, frozen=True, tag="get_running_state"):
    """Olympus asks a member of the quorum for its running state, once in each attempt at a quorum."""

    configuration: int
    attempt: int = 1

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.replicas


SignedCredential = Signed[Credential]
if TYPE_CHECKING:
    SignedRequest = Signed[Request]  # a SessionRequest is one
else:
    SignedRequest = Signed[Request | SessionRequest]
SignedOrder = Signed[Order]
SignedResult = Signed[Result]
SignedCheckpoint = Signed[Checkpoint]


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one request gave, one result an operation, and where it was executed: configuration, slot, place in it.

    A request that is ordered a second time, as after a reconfiguration, keeps the outcome of its only execution.
    """

    configuration: int
    slot: int
    index: int
    results: tuple[str, ...]

    @property
    def place(self) -> tuple[int, int, int]:
        """Where in the history of all configurations the request was executed."""
        return self.configuration, self.slot, self.index

    def digest(self) -> bytes:
        return digest("outcome", self)


def tree_of_requests(digests: Sequence[bytes]) -> Tree:
    """The tree whose root stands for a slot's requests, from the digests of the signed requests in order.

    A tree, so that a client can check its own request in a slot without the others' requests.
    """
    return Tree(REQUESTS, digests)


def tree_of_outcomes(digests: Sequence[bytes]) -> Tree:
    """The tree whose root stands for a slot's outcomes, from those of its requests' outcomes in order."""
    return Tree(OUTCOMES, digests)


def tree_over(requests: Sequence[SignedRequest]) -> Tree:
    """The tree over a slot's signed requests."""
    return tree_of_requests([request.digest() for request in requests])


def tree_over_encoded(requests: Sequence[bytes]) -> Tree:
    """The same from their canonical bytes."""
    return tree_of_requests([digest_of("signed", encoded) for encoded in requests])


def digest_of_requests(requests: Sequence[SignedRequest]) -> bytes:
    """The digest that stands for a slot's requests."""
    return tree_over(requests).root


def digest_of_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """The digest that stands for the outcomes of a slot's requests."""
    return tree_of_outcomes([outcome.digest() for outcome in outcomes]).root
