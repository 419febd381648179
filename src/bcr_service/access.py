"""Who may call: certificate and key of TLS, and the token that callers show."""

import hmac
import re
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from bcr_service.problems import TYPE, Problem

LEAST_TOKEN = 16  # characters
MOST_TOKEN = 256
LEAST_COOKIE = 32  # bytes
MOST_COOKIE = 80  # as many as DistAlgo reads
# What is told without a token: whether the service is there, and pages that are the same for everybody.
OPEN = frozenset({"/livez", "/readyz", "/", "/api", "/openapi.json"})

READING = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_KNOWN = 16
MISDIRECTED = "without a token this service is for callers that name this machine as their host, as localhost or 127.0.0.1; a proxy that names another takes a token"
_HOST = re.compile(rb"(\[[^\]]*\]|[^:]*)(?::[0-9]{0,5})?")
_LOOPBACK = re.compile(rb"(?:[\w-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]")

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def uncounted(_method: str, _status: int) -> None:
    """Nobody counts who is refused."""


class Unusable(Exception):
    """A certificate, a key or a token that cannot be used; the text says which, and why."""


def demand_usable(files: Mapping[str, str]) -> None:
    """Raises Unusable where what the service file names is no certificate, not its key, or no token."""
    tls_context(files)
    token_in(files)
    if "cookie_file" in files:
        demand_cookie(Path(files["cookie_file"]))


def demand_cookie(path: Path) -> None:
    """Raises Unusable where the file has no cookie by which nodes could know each other."""
    try:
        size = len(path.read_bytes())
    except OSError as error:
        raise Unusable(f"{path}: no cookie: {error.strerror}") from error
    if not LEAST_COOKIE <= size <= MOST_COOKIE:
        raise Unusable(f"{path}: a cookie is {LEAST_COOKIE} to {MOST_COOKIE} bytes that nobody can guess, as from openssl rand -hex 32")


def tls_context(files: Mapping[str, str]) -> ssl.SSLContext | None:
    """What connections are wrapped with; None without TLS. Raises Unusable."""
    if "tls_certificate" not in files:
        return None
    certificate, key = files["tls_certificate"], files["tls_key"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # With a password, or a key that asks for one would ask at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise Unusable(f"{certificate} and {key} are no certificate in PEM with its key: {error.reason or error}") from error
    except OSError as error:
        raise Unusable(f"{error.filename or certificate}: {error.strerror}") from error
    return context


def token_in(files: Mapping[str, str]) -> str | None:
    """The token in the file that the service file names; None where it names none. Raises Unusable."""
    if "token_file" not in files:
        return None
    path = files["token_file"]
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: no token: {error}") from error
    if not LEAST_TOKEN <= len(token) <= MOST_TOKEN or not token.isprintable() or " " in token:
        raise Unusable(f"{path}: a token is one line of {LEAST_TOKEN} to {MOST_TOKEN} printable characters without spaces")
    return token


def guarded(
    app: Application, token: str | None, for_everybody: Collection[str], called: Callable[[str, int], object] = uncounted
) -> Application:
    """The application, for those only who show the token, where there is one, but for some paths; `called` counts the others."""
    if token is None:
        return app
    wanted = b"bearer " + token.encode()

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in for_everybody or _shown(scope, wanted):
            await app(scope, receive, send)
        else:
            problem = Problem(401, "this service takes calls with its token only: Authorization: Bearer …")
            called(scope["method"], problem.status)
            await _refuse(send, problem, (b"www-authenticate", b"Bearer"))

    return guard


def for_own_pages(app: Application, own_names: Collection[str], called: Callable[[str, int], object] = uncounted) -> Application:
    """The application, for programs and for the pages that it serves itself: not for those of other sites in a browser on this machine.

    Whoever has no token is served because it is on this machine, and so is a browser, whatever site has its pages from. A page of another
    site says so by `Origin` where it changes something; one that has brought its own name to this address (DNS rebinding) has that name
    in `Host`. Programs send no `Origin`, and name this machine, or nothing, as host. `called` counts those who are not served.
    """
    names = {name.encode().lower() for name in own_names}
    known: set[bytes] = set()  # hosts that were looked at before

    def keep(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        host = origin = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
        if host is not None and host not in known:
            if not _is_of_this_machine(host, names):
                called(scope["method"], 421)
                return _refuse(send, Problem(421, MISDIRECTED))
            if len(known) < MOST_KNOWN:
                known.add(host)
        if origin is not None and scope["method"] not in READING and not _is_from(origin, host):
            called(scope["method"], 403)
            return _refuse(send, Problem(403, f"a page of {origin[:100].decode('latin-1')} may change nothing here"))
        return app(scope, receive, send)

    return keep


def _is_of_this_machine(host: bytes, own_names: Collection[bytes]) -> bool:
    """Whether the host that a caller has named is this machine, as everybody may call it or as the service file does."""
    found = _HOST.fullmatch(host.lower())
    return found is not None and (_LOOPBACK.fullmatch(found[1]) is not None or found[1].strip(b"[]") in own_names)


def _is_from(origin: bytes, host: bytes | None) -> bool:
    """Whether a page of this origin was served under the host that it calls."""
    return host is not None and origin.lower().partition(b"://")[2] == host.lower()


async def _refuse(send: Send, problem: Problem, *more: tuple[bytes, bytes]) -> None:
    body = problem.body()
    headers = [(b"content-type", TYPE.encode()), (b"connection", b"close"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _shown(scope: Scope, wanted: bytes) -> bool:
    """Whether the call shows the token; it takes equally long however much of it is right."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, shown = bytes(value).partition(b" ")
            return hmac.compare_digest(scheme.lower() + b" " + shown.strip(), wanted)
    return False
