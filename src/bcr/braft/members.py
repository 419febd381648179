"""Who takes part, and how many of them must say the same (specification, 16.1)."""

from typing import Any

from bcr.braft.promises import Certificate
from bcr.signed.signing import Author, Keys, Signed
from bcr.signed.statements import SignedRequest
from bcr.signed.violations import InvalidCertificate, MalformedMessage, UnknownSigner


class Members:
    """The servers and clients of a run, as the holder of `keys` sees them: 3t+1 servers, of which t may lie.

    Any two quorums of 2t+1 have a correct server in common, and 2t+1 are left when t are silent; of t+1 one is correct.
    """

    def __init__(self, keys: Keys, t: int) -> None:
        self._keys = keys
        self.t = t
        self.size = 3 * t + 1
        self.quorum = 2 * t + 1

    def leader(self, term: int) -> int:
        """Who leads in a term: they take turns."""
        return term % self.size

    def server(self, position: int) -> Author:
        """Raises UnknownSigner where there is no such server."""
        if not 0 <= position < len(self._keys.circle.replicas):
            raise UnknownSigner(f"a statement of server {position}, of {self.size}")
        return self._keys.author(self._keys.circle.replicas[position])

    def demand_server(self, signed: Signed[Any]) -> None:
        """Raises a ProtocolViolation unless the server that the statement names has signed it."""
        signed.demand_authentic(self.server(signed.signer), f"server {signed.signer}")

    def client_key(self, client: int) -> bytes:
        """By which that client signs: in each of its sessions it has another number, and its place is the rest that this leaves."""
        return self._keys.circle.clients[client % len(self._keys.circle.clients)]

    def demand_client(self, request: SignedRequest) -> None:
        """Raises a ProtocolViolation unless the client that the request names has signed it, and asks for something."""
        client = request.statement.client
        if request.signer != client or client < 0:
            raise UnknownSigner(f"a request of client {client}, signed by {request.signer}")
        if not request.statement.operations:
            raise MalformedMessage("a request without operations", evidence=(request,))
        request.demand_authentic(self._keys.author(self.client_key(client)), f"client {client}")

    def demand_certificate(self, certificate: Certificate, *kinds: type) -> None:
        """Raises InvalidCertificate unless a quorum of servers, each counted once, has signed its statement, of one of these kinds."""
        statement = certificate.statement
        if not isinstance(statement, kinds):
            raise InvalidCertificate(
                f"a certificate of a {type(statement).__name__.lower()}, which shows something else", evidence=(certificate,)
            )
        signers = {signer for signer, _ in certificate.signatures}
        if len(signers) != len(certificate.signatures) or len(signers) < self.quorum:
            what = f"{len(signers)} servers under {len(certificate.signatures)} signatures, {self.quorum} are needed"
            raise InvalidCertificate(f"certificate of index {statement.index}: {what}", evidence=(certificate,))
        for signer, signature in certificate.signatures:
            if not Signed(statement, signer, signature).is_authentic(self.server(signer)):
                what = f"an invalid signature of server {signer}"
                raise InvalidCertificate(f"certificate of index {statement.index}: {what}", evidence=(certificate,))
