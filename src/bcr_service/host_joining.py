"""How a host joins a service: it shows that it has the cookie, and is told where the service is and, where links are TLS, gets a certificate.

    host -> service    what it asks for, as JSON, with a code under the cookie
    service -> host    the answer, likewise, with the digest of what was asked

Each is one line. Nothing of it is secret, and the code shows that it is from who has the cookie. The host speaks first: who listens gives nothing to
strangers that could be tried against guessed cookies.
"""

import contextlib
import hashlib
import hmac
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import msgspec

from bcr_service.certificates import Authority, CertificateRequest, HostFolder, NoCertificate
from bcr_service.service_files import Address

LIMIT_S = 5.0  # for all that is said
LIMIT_BYTES = 16 << 10
MOST_GUESTS = 64  # who are spoken with at once; beyond that the one who has come first has to go
T = TypeVar("T")
_ASKING, _ANSWERING = b"bcr: a host asks to join\n", b"bcr: a host may join\n"


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
    """A host has not joined. `is_there` says whether somebody has answered, so that it is of no use to ask at once again."""

    def __init__(self, text: str, is_there: bool) -> None:
        super().__init__(text)
        self.is_there = is_there


def join(at: Address, host: str, address: str, cookie: bytes, folder: HostFolder) -> JoinAnswer:
    """Join the service there, as this host with this address; what is answered with is in the folder then. Raises NotJoined and OSError."""
    asked = msgspec.json.encode(JoinRequest(host, address, folder.request(host, address)))
    try:
        connection = socket.create_connection((at.host, at.port), LIMIT_S, source_address=(address, 0))
    except OSError as error:
        raise NotJoined(f"nobody answers at {at}: {error}", is_there=False) from error
    try:
        with connection:
            connection.sendall(_coded(cookie, _ASKING, asked))
            answered = _decoded(cookie, _ANSWERING, _line_from(connection), JoinAnswer)
    except OSError:
        answered = None
    if answered is None or answered.asked != hashlib.sha256(asked).hexdigest():
        raise NotJoined(f"who is at {at} has another cookie, or is no service that hosts join", is_there=True)
    if answered.refusal:
        raise NotJoined(f"the service at {at} refuses: {answered.refusal}", is_there=True)
    if not answered.port:
        raise NotJoined(f"the service at {at} is only beginning", is_there=False)
    if answered.certificate:
        folder.take(answered.certificate, answered.authority)
    return answered


class JoiningDesk:
    """Answers hosts that ask to join, on a thread. Without an authority, on loopback, nobody needs a certificate.

    `tell` is called with a line about each one that is refused, of whom there may be any number.
    """

    def __init__(self, listening: socket.socket, cookie: bytes, authority: Authority | None, tell: Callable[[str], object]) -> None:
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
            except OSError:
                return  # it was closed
            while len(self._guests) >= MOST_GUESTS:
                with contextlib.suppress(OSError, IndexError):
                    self._guests.popleft().shutdown(socket.SHUT_RDWR)
            self._guests.append(connection)
            threading.Thread(target=self._see_to, args=(connection, address), daemon=True).start()

    def _see_to(self, connection: socket.socket, address: str) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(LIMIT_S)
            line = _line_from(connection)
            asked = _decoded(self._cookie, _ASKING, line, JoinRequest)
            if asked is None:
                self._tell(f"{address} does not join: it has another cookie")
            else:
                answer = msgspec.structs.replace(self._answer(asked, address), asked=hashlib.sha256(_content(line)).hexdigest())
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
            self._tell(f"{address} does not join: {problem}")
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
    except msgspec.MsgspecError:
        return None


def _line_from(connection: socket.socket) -> bytes:
    """The line that comes, without its end. Raises OSError."""
    data = b""
    while not data.endswith(b"\n"):
        more = connection.recv(4_096)
        if not more or len(data) > LIMIT_BYTES:
            raise ConnectionResetError("the connection was closed, or says too much")
        data += more
    return data[:-1]
