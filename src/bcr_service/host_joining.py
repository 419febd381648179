"""How a host joins a service: it shows that it has the cookie, and is told where the service is and, where links are TLS, gets a certificate.

    host -> service    what it asks for, as JSON, with a code under the cookie
    service -> host    the answer, likewise, with the digest of what was asked

Each is one line. Nothing of it is secret, and the code shows that it is from who has the cookie. The host speaks first: who listens gives nothing to
strangers that could be tried against guessed cookies.
"""

import contextlib
import errno
import hashlib
import hmac
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import TypeVar

import msgspec

from bcr_service.certificates import Authority, CertificateRequest, HostFolder, NoCertificate
from bcr_service.hosting import DAMAGE
from bcr_service.service_files import Address

LIMIT_S = 5.0  # for all that is said with one host
PAUSE_S = 0.5  # until others have given back what it takes to accept a connection
LIMIT_BYTES = 16 << 10
MOST_GUESTS = 64  # who are spoken with at once; beyond that the one who has come first has to go
T = TypeVar("T")
_ASKING, _ANSWERING = b"bcr: a host asks to join\n", b"bcr: a host may join\n"
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_LISTENS_NO_MORE = (errno.EBADF, errno.EINVAL)
_RIGHT = {
    errno.EADDRNOTAVAIL: "--host is an address that this host has now",
    errno.EINVAL: "no way leads there from that address: --host is the one at which the service finds this host",
}


class JoinRequest(msgspec.Struct, frozen=True):
    """A host's name, as the service's file has it, its address, and its request for a certificate, which is different each time."""

    host: str
    address: str
    request: CertificateRequest


class JoinAnswer(msgspec.Struct, frozen=True):
    """The answer to what has this digest: why not, or the port of the service's node, and with TLS the certificate and the authority's."""

    asked: str
    refusal: str = ""
    port: int = 0
    certificate: str = ""
    authority: str = ""


class NotJoined(Exception):
    """A host has not joined. `is_there` is False where nobody answers yet, which passes by itself; anything else may never pass."""

    def __init__(self, text: str, is_there: bool) -> None:
        super().__init__(text)
        self.is_there = is_there


def join(at: Address, host: str, address: str, cookie: bytes, folder: HostFolder) -> JoinAnswer:
    """Join the service there, as this host with this address; what is answered with is in the folder then. Raises NotJoined and OSError."""
    deadline_s = time.monotonic() + LIMIT_S
    with _connected(at, address) as connection:
        asked = msgspec.json.encode(JoinRequest(host, address, folder.request(host, address)))
        try:
            connection.settimeout(_left_s(deadline_s))
            connection.sendall(_coded(cookie, _ASKING, asked))
            answered = _decoded(cookie, _ANSWERING, _line_from(connection, deadline_s), JoinAnswer)
        except _Ended:  # as a service does to who has another cookie
            answered = None
        except OSError as error:
            raise NotJoined(f"who is at {at} did not answer: {error.strerror or error}", is_there=True) from error
    if answered is None or answered.asked != hashlib.sha256(asked).hexdigest():
        raise NotJoined(f"who is at {at} has another cookie, or is no service that hosts join", is_there=True)
    if answered.refusal:
        raise NotJoined(f"the service at {at} refuses: {answered.refusal}", is_there=True)
    if not answered.port:
        raise NotJoined(f"the service at {at} is only beginning", is_there=False)
    if answered.certificate:
        folder.take(answered.certificate, answered.authority)
    return answered


def _connected(at: Address, address: str) -> socket.socket:
    """A connection there from this address. Raises NotJoined."""
    connection = socket.socket(socket.AF_INET)  # as links between hosts are
    try:
        connection.settimeout(LIMIT_S)
        connection.bind((address, 0))
        connection.connect((at.host, at.port))
    except OSError as error:
        connection.close()
        if isinstance(error, ConnectionRefusedError | TimeoutError) or error.errno in _UNREACHABLE:
            raise NotJoined(f"nobody answers at {at}: {error}", is_there=False) from error
        right = f"; {_RIGHT[error.errno]}" if error.errno in _RIGHT else ""
        if isinstance(error, socket.gaierror):
            right = "; --join is an IPv4 address, or a name that has one here"
        raise NotJoined(f"no connection from {address} to {at}: {error.strerror}{right}", is_there=True) from error
    return connection


class JoiningDesk:
    """Answers hosts that ask to join, on a thread. Without an authority, on loopback, nobody needs a certificate.

    `tell` is called with a line about each one that is refused, of whom there may be any number, and what kind of line that is.
    """

    def __init__(
        self, listening: socket.socket, cookie: bytes, authority: Authority | None, tell: Callable[[Hashable, str], object]
    ) -> None:
        self._listening = listening
        self._cookie = cookie
        self._authority = authority
        self._tell = tell
        self._guests: deque[socket.socket] = deque()
        self._issuing = threading.Lock()
        self.port = 0  # of the service's node, once that is there

    def start(self) -> None:
        """Begin to answer."""
        self._listening.setblocking(True)
        threading.Thread(target=self._serve, name="bcr-joining", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, (address, _) = self._listening.accept()
            except OSError as problem:
                if problem.errno in _LISTENS_NO_MORE:
                    return
                self._tell("scarce", f"no host can join just now: {problem.strerror}")
                time.sleep(PAUSE_S)
                continue
            while len(self._guests) >= MOST_GUESTS:
                with contextlib.suppress(OSError, IndexError):
                    self._guests.popleft().shutdown(socket.SHUT_RDWR)
            self._guests.append(connection)
            try:
                threading.Thread(target=self._see_to, args=(connection, address), daemon=True).start()
            except RuntimeError as problem:  # there may be no more threads
                self._tell("scarce", f"{address} cannot join just now: {problem}")
                self._guests.remove(connection)
                connection.close()

    def _see_to(self, connection: socket.socket, address: str) -> None:
        with connection, contextlib.suppress(OSError):
            deadline_s = time.monotonic() + LIMIT_S
            line = _line_from(connection, deadline_s)
            asked = _decoded(self._cookie, _ASKING, line, JoinRequest)
            if asked is None:
                self._tell("stranger", f"{address} does not join: it has another cookie")
            else:
                answer = msgspec.structs.replace(self._answer(asked, address), asked=hashlib.sha256(_content(line)).hexdigest())
                connection.settimeout(_left_s(deadline_s))
                connection.sendall(_coded(self._cookie, _ANSWERING, msgspec.json.encode(answer)))
        with contextlib.suppress(ValueError):
            self._guests.remove(connection)

    def _answer(self, asked: JoinRequest, address: str) -> JoinAnswer:
        """What this host is told, which has come from this address."""
        try:
            if asked.address != address:
                raise NoCertificate(f"{asked.host} says that it is at {asked.address}, and comes from {address}")
            if not self.port or self._authority is None:
                return JoinAnswer("", port=self.port)
            with self._issuing:
                certificate = self._authority.issue(asked.host, address, asked.request)
        except (NoCertificate, OSError) as problem:
            self._tell(("refused", address), f"{address} does not join: {problem}")
            return JoinAnswer("", refusal=str(problem))
        return JoinAnswer("", port=self.port, certificate=certificate, authority=self._authority.certificate)


def _coded(cookie: bytes, what: bytes, content: bytes) -> bytes:
    return hmac.digest(cookie, what + content, "sha256").hex().encode() + b" " + content + b"\n"


def _content(line: bytes) -> bytes:
    return line.partition(b" ")[2]


def _decoded(cookie: bytes, what: bytes, line: bytes, kind: type[T]) -> T | None:
    """What a line says; None where it has not the code of who has the cookie."""
    content = _content(line)
    if not hmac.compare_digest(_coded(cookie, what, content), line + b"\n"):
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except DAMAGE:
        return None


class _Ended(ConnectionResetError):
    """The other end has closed the connection before its line was whole, or says too much."""


def _left_s(deadline_s: float) -> float:
    """The time that is left. Raises TimeoutError where none is."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


def _line_from(connection: socket.socket, deadline_s: float) -> bytes:
    """The line that comes, without its end. Raises _Ended and OSError, in time also where it comes byte by byte."""
    data = b""
    while not data.endswith(b"\n"):
        connection.settimeout(_left_s(deadline_s))
        more = connection.recv(4_096)
        if not more or len(data) > LIMIT_BYTES:
            raise _Ended
        data += more
    return data[:-1]
