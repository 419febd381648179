"""Configurations: which replicas, in which order, under which keys (specification, 1.1, 1.2, 1.5)."""

from collections.abc import Sequence

import msgspec

from bcr.signed.authentication import Acceptance, Authentication, sizes
from bcr.signed.signing import Author, Keyring, Keys, Signed, Statement
from bcr.signed.statements import SessionRequest, SignedCredential, SignedRequest
from bcr.signed.violations import MalformedMessage, UnknownSigner
from bcr.state.cache import VerifiedCache

KNOWN_CREDENTIALS = 1_000


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A replica or client of a configuration: its public key, and the address of its process as text."""

    public_key: bytes
    address: str


class Configuration(Statement, frozen=True, tag="configuration"):
    """What Olympus issues: everything that a process must know to take part.

    `replicas` stand in chain order, head first, and `clients` by client number. With their addresses: whoever passes the
    configuration on could otherwise put itself in a client's place. `acceptance` says what makes a result final.
    """

    number: int
    t: int
    replicas: tuple[Member, ...]
    clients: tuple[Member, ...]
    authentication: Authentication = "ed25519"
    acceptance: Acceptance = "all"

    def readers(self, circle: Keyring, signer: int) -> Sequence[bytes]:
        return circle.clients + circle.replicas


class Membership:
    """A configuration through the eyes of the process that holds `keys`: with all of its members as authors.

    `quorum` equal statements make a result or a checkpoint right: they hold at least one of a correct replica. `needed`
    are the replicas that must all have testified to a slot before its result, or its checkpoint, is final: with
    `acceptance = quorum`, which is unsafe, any t+1 will do, and it is empty (specification, 3.6).
    `histories` is how many wedged ones Olympus goes on from, and of `witnesses` replicas that say the same one tells the truth.
    """

    def __init__(self, issued: Configuration, olympus_key: bytes, keys: Keys) -> None:
        self.issued = issued
        self.number = issued.number
        self.t = issued.t
        self.replicas = issued.replicas
        self.clients = issued.clients
        self.head = 0
        self.tail = len(issued.replicas) - 1
        size = sizes(issued.t, issued.authentication)
        self.quorum, self.histories, self.witnesses = size.statements, size.histories, size.witnesses
        self.needed = frozenset(range(len(issued.replicas)) if issued.acceptance == "all" else ())
        self.is_transferable = keys.is_transferable
        self.circle = Keyring(
            olympus_key,
            tuple(member.public_key for member in issued.replicas),
            tuple(member.public_key for member in issued.clients),
        )
        self.olympus = keys.author(olympus_key)
        self._replicas = [keys.author(key) for key in self.circle.replicas]
        self._clients = [keys.author(key) for key in self.circle.clients]
        self._keys = keys
        self._credentials = VerifiedCache[SignedCredential](KNOWN_CREDENTIALS)

    def replica_author(self, position: int) -> Author:
        """A replica as an author; raises UnknownSigner where the chain has no such position."""
        if not 0 <= position <= self.tail:
            raise UnknownSigner(f"no replica at position {position} of configuration {self.number}")
        return self._replicas[position]

    def client_key(self, client: int) -> Author:
        """A client as an author; raises UnknownSigner where there is no such client."""
        if not 0 <= client < len(self.clients):
            raise UnknownSigner(f"no client {client}")
        return self._clients[client]

    def same_clients(self, public_keys: Sequence[bytes]) -> set[int]:
        """The clients that have the same key here, of those with these keys by number."""
        return {k for k, (member, key) in enumerate(zip(self.clients, public_keys, strict=False)) if member.public_key == key}

    def demand_signed_by_client(self, request: SignedRequest, encoded: bytes | None = None) -> None:
        """Raises unless this is a request that the client named in it signed; `encoded` are its canonical bytes, for who has them."""
        if request.signer != request.statement.client:
            raise MalformedMessage(f"request of client {request.statement.client} signed by {request.signer}", evidence=(request,))
        request.demand_authentic(self.author_of(request), f"client {request.signer}", encoded)

    def author_of(self, request: SignedRequest) -> Author:
        """Who must have signed the request: a client of the configuration, or whom the credential in it names.

        Raises UnknownSigner, MalformedMessage or InvalidSignature where that is nobody (specification, 15.1).
        """
        statement = request.statement
        if not isinstance(statement, SessionRequest):
            return self.client_key(statement.client)
        credential = statement.credential
        if credential.statement.client != statement.client:
            raise MalformedMessage(f"request of client {statement.client} with the credential of another", evidence=(request,))
        self.demand_credential(credential)
        return self._keys.author(credential.statement.public_key)

    def demand_credential(self, credential: SignedCredential) -> None:
        """Raises InvalidSignature unless Olympus gave this credential."""
        if credential not in self._credentials:
            credential.demand_authentic(self.olympus, "Olympus")
            self._credentials.add([credential])


SignedConfiguration = Signed[Configuration]


def demand_issued(configuration: SignedConfiguration, olympus_key: bytes, keys: Keys) -> Membership:
    """The configuration inside as the holder of `keys` sees it, once it is sure that Olympus signed it.

    Raises InvalidSignature, or MalformedMessage where it does not fit itself or the keys.
    """
    configuration.demand_authentic(keys.author(olympus_key), "Olympus")
    issued = configuration.statement
    if issued.authentication != keys.authentication:
        raise MalformedMessage(f"{issued.authentication}, where {keys.authentication} is used", evidence=(configuration,))
    if issued.t < 1 or len(issued.replicas) != sizes(issued.t, issued.authentication).replicas:
        raise MalformedMessage(f"{len(issued.replicas)} replicas for t = {issued.t}", evidence=(configuration,))
    return Membership(issued, olympus_key, keys)
