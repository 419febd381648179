"""Who may call: certificate and key of TLS, and the token that callers show."""

import hmac
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

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


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


def guarded(app: Application, token: str | None, for_everybody: Collection[str]) -> Application:
    """The application, for those only who show the token, where there is one, but for some paths."""
    if token is None:
        return app
    wanted = b"bearer " + token.encode()

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in for_everybody or _shown(scope, wanted):
            await app(scope, receive, send)
            return
        problem = Problem(401, "this service takes calls with its token only: Authorization: Bearer …")
        headers = [(b"content-type", TYPE.encode()), (b"www-authenticate", b"Bearer"), (b"connection", b"close")]
        body = problem.body()
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return guard


def _shown(scope: Scope, wanted: bytes) -> bool:
    """Whether the call shows the token; it takes equally long however much of it is right."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, shown = bytes(value).partition(b" ")
            return hmac.compare_digest(scheme.lower() + b" " + shown.strip(), wanted)
    return False
