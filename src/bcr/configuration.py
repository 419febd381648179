"""Configurations: which replicas, in which order, under which keys (paper, section 2)."""

import msgspec

from bcr.signing import Signed, Statement
from bcr.statements import SignedRequest
from bcr.violations import MalformedMessage, UnknownSigner


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A replica of a configuration: its public key, and the address of its process as text."""

    public_key: bytes
    address: str


class Configuration(Statement, frozen=True, tag="configuration"):
    """What Olympus issues: everything that a process must know to take part.

    `replicas` stand in chain order, head first; `clients` are the clients' public keys by client number.
    """

    number: int
    t: int
    replicas: tuple[Member, ...]
    clients: tuple[bytes, ...]

    @property
    def head(self) -> int:
        return 0

    @property
    def tail(self) -> int:
        return len(self.replicas) - 1

    @property
    def quorum(self) -> int:
        """t+1: so many statements hold at least one of a correct replica."""
        return self.t + 1

    def replica_key(self, position: int) -> bytes:
        """The public key of a replica; raises UnknownSigner where the chain has no such position."""
        if not 0 <= position <= self.tail:
            raise UnknownSigner(f"no replica at position {position} of configuration {self.number}")
        return self.replicas[position].public_key

    def client_key(self, client: int) -> bytes:
        """The public key of a client; raises UnknownSigner where there is no such client."""
        if not 0 <= client < len(self.clients):
            raise UnknownSigner(f"no client {client}")
        return self.clients[client]

    def demand_signed_by_client(self, request: SignedRequest) -> None:
        """Raises unless this is a request that the client named in it signed."""
        if request.signer != request.statement.client:
            raise MalformedMessage(
                f"request of client {request.statement.client} signed by {request.signer}", evidence=(request,)
            )
        request.demand_authentic(self.client_key(request.signer), f"client {request.signer}")


SignedConfiguration = Signed[Configuration]


def demand_issued(configuration: SignedConfiguration, olympus_key: bytes) -> Configuration:
    """The configuration inside, once it is sure that Olympus signed it and that it is well formed.

    Raises InvalidSignature or MalformedMessage.
    """
    configuration.demand_authentic(olympus_key, "Olympus")
    issued = configuration.statement
    if issued.t < 1 or len(issued.replicas) != 2 * issued.t + 1:
        raise MalformedMessage(f"{len(issued.replicas)} replicas for t = {issued.t}", evidence=(configuration,))
    return issued


