"""HTTP/1.1 as far as the client needs it, apart from any socket: bytes out, bytes in."""

import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

HEAD_LIMIT_BYTES = 64 << 10
BODY_LIMIT_BYTES = 8 << 20
READ_BYTES = 1 << 16


class BadResponse(Exception):
    """What came is no HTTP answer that the client takes."""


class Place(msgspec.Struct, frozen=True):
    """Where a gateway is."""

    host: str
    port: int
    is_tls: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def context_for(places: Sequence[Place], ca_file: str | None) -> ssl.SSLContext | None:
    """What connections are wrapped with: certificates are checked against those in `ca_file`, or against the system's.

    Raises ValueError where the file holds none.
    """
    if not any(place.is_tls for place in places):
        if ca_file is not None:
            raise ValueError(f"{ca_file} is for https:// addresses")
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # of which errors of TLS are a kind
        raise ValueError(f"{ca_file}: no certificates in PEM: {error.strerror or error}") from error


class HttpResponse(msgspec.Struct, frozen=True):
    """An answer: its status and its body."""

    status: int
    body: bytes


def place_of(url: str) -> Place:
    """The gateway of an `http://` or `https://` address. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"expected an address such as http://127.0.0.1:8080, found {url!r}")
    return Place(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), parts.scheme == "https")


def request_bytes(place: Place, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    """A request as it is sent."""
    lines = [f"{method} {target} HTTP/1.1", f"host: {place}", "accept: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b"")


class ResponseReader:
    """Takes an answer as it comes; `response` is there when all of it is."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._status = 0
        self._body_from = 0
        self._length: int | None = None
        self.closes = False
        self.response: HttpResponse | None = None

    def feed(self, data: bytes) -> None:
        """More of the answer; no bytes: the connection has ended. Raises BadResponse."""
        if not data:
            raise BadResponse("the connection ended before the answer did")
        self._data += data
        if self._length is None:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                if len(self._data) > HEAD_LIMIT_BYTES:
                    raise BadResponse("a head without end")
                return
            self._read_head(bytes(self._data[:end]))
            self._body_from = end + 4
        assert self._length is not None
        if len(self._data) >= self._body_from + self._length:
            self.response = HttpResponse(self._status, bytes(self._data[self._body_from : self._body_from + self._length]))

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not code.isascii() or not code.isdigit():
            raise BadResponse(f"no HTTP answer: {first[:40]!r}")
        self._status = int(code)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "transfer-encoding" in headers:
            raise BadResponse("an answer in chunks, which no gateway sends")
        length = headers.get("content-length", "0")
        digits = length.lstrip("0")[: len(str(BODY_LIMIT_BYTES)) + 1]  # more of them are too many, whatever they are
        if not length.isascii() or not length.isdigit() or int(digits or "0") > BODY_LIMIT_BYTES:
            raise BadResponse(f"an answer of {length[:12]} bytes")
        self._length = int(digits or "0")
        self.closes = headers.get("connection", "").lower() == "close"
