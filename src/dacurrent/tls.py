"""TLS below the handshake, for processes whose environment names a folder with the certificates of their host.

The folder has `key.pem`, `certificate.pem`, which names the host's address, and `authority.pem`, by which the certificates of other
hosts are checked.  Both ends show one, and each has to be of the address that the other end is met at.  A certificate that is renewed
counts from the next connection on.  Without the variable nothing of this is loaded: on one host the cookie is enough.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from dacurrent.handshake import HandshakeError

KEY, CERTIFICATE, AUTHORITY = "key.pem", "certificate.pem", "authority.pem"
RECORD_BYTES = 16 * 1024  # the largest piece in which anything arrives
_NO_CERTIFICATE = "PEER_DID_NOT_RETURN_A_CERTIFICATE"


class TlsSocket(ssl.SSLSocket):
    """A connection that does not block: what has to wait is told by BlockingIOError, as other sockets do.

    Raises HandshakeError where one side does not take the other's certificate, or the other side speaks no TLS.
    """

    waits_to_write = False  # what the TLS handshake waits for

    def do_handshake(self, block: bool = False) -> None:
        self.waits_to_write = False
        try:
            super().do_handshake(block)
        except ssl.SSLWantWriteError as error:
            self.waits_to_write = True
            raise BlockingIOError from error
        except ssl.SSLError as error:
            raise _problem(error) from error

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """At least so many bytes as have arrived up to `buflen`, and all of a record: of what was deciphered nothing tells the selector."""
        parts: list[bytes] = []
        size = 0
        while size < buflen or self.pending():
            try:
                part = super().recv(min(buflen, RECORD_BYTES), flags)
            except ssl.SSLError as error:
                if not parts:
                    raise _problem(error) from error
                break
            if not part:
                break  # the end: told once more when everything before it was taken
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def send(self, data: Any, flags: int = 0) -> int:
        try:
            return super().send(data, flags)
        except ssl.SSLError as error:
            raise _problem(error) from error

    def demand_address(self, host: str) -> None:
        """Raises HandshakeError unless the other end, which TLS has begun with, has a certificate of the address that it comes from."""
        shown: Any = self.getpeercert() or {}
        addresses = [value for kind, value in shown.get("subjectAltName", ()) if kind == "IP Address"]
        if host not in addresses:
            raise HandshakeError(f"its certificate is of {', '.join(addresses) or 'no address'}, and not of {host}")

    def sendmsg(self, buffers: Any, *_: Any) -> int:  # type: ignore[override]
        return self.send(b"".join(buffers))


class HostCertificates:
    """The certificate of this host and its key, and what those of others are checked by. Raises OSError and SSLError without them."""

    def __init__(self, folder: Path) -> None:
        self._paths = tuple(folder / name for name in (KEY, CERTIFICATE, AUTHORITY))
        self._loaded: object = None
        self._refresh()

    def accepted(self, connection: Any) -> TlsSocket:
        """An accepted connection, on which TLS is still to begin."""
        self._refresh()
        return self._wrap(self._accepting, connection, server_side=True)

    def opened(self, connection: Any, host: str) -> TlsSocket:
        """A socket that is yet to be connected to the address `host`."""
        self._refresh()
        return self._wrap(self._opening, connection, server_hostname=host)

    @staticmethod
    def _wrap(context: ssl.SSLContext, connection: Any, **options: Any) -> TlsSocket:
        wrapped = context.wrap_socket(connection, do_handshake_on_connect=False, **options)
        assert isinstance(wrapped, TlsSocket)
        return wrapped

    def _refresh(self) -> None:
        found = [(each.stat().st_mtime_ns, each.stat().st_ino) for each in self._paths]
        if found != self._loaded:
            self._accepting = self._context(ssl.PROTOCOL_TLS_SERVER)
            self._opening = self._context(ssl.PROTOCOL_TLS_CLIENT)
            self._loaded = found

    def _context(self, protocol: int) -> ssl.SSLContext:
        key, certificate, authority = self._paths
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.sslsocket_class = TlsSocket
        context.load_cert_chain(certificate, key, password="")
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0  # of what a process opened it takes nothing but the end
        return context


def _problem(error: ssl.SSLError) -> Exception:
    """What the transport is told in place of an error of TLS."""
    if isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
        return BlockingIOError()
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return ConnectionResetError("the connection was closed during the handshake")
    if isinstance(error, ssl.SSLCertVerificationError):
        return HandshakeError(f"its certificate is not taken: {error.verify_message}")
    reason = error.reason or str(error)
    if reason == _NO_CERTIFICATE:
        return HandshakeError("it shows no certificate")
    if "ALERT" in reason:
        words = reason.partition("ALERT_")[2].replace("_", " ").lower()
        return HandshakeError(f"it does not take the certificate of this host: {words}")
    return HandshakeError(f"it does not speak TLS as this host does: {reason.replace('_', ' ').lower()}")
