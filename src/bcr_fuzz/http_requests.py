"""What a caller of a service may send over a connection: valid requests of every route, and what becomes of them when parts are changed."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import msgspec

from bcr_fuzz.fuzz import changed_bytes, odd_value
from bcr_fuzz.tls_words import beginning, client_hello, no_tls

KEYS = 16
MOST_PIPELINED = 40  # requests behind each other, a few more than a connection may have
BARE_SHARE = 0.4  # of the scenes at a port that speaks TLS: without it, or with its beginning alone
LARGE_BYTES = 300_000
# More than a body may have, and than is thrown away.
OVERSIZED_BYTES = (1_100_000, 10_000_000)
DIGITS = "7" * 5_000  # more than Python reads as a number
ODD_JSON = (
    "null", "true", "0", "-0", "1e400", "-1e999", str(2**64), str(2**70), "1.5", DIGITS, '""', '"\\ud800"', '"\\udc00 and"', '"\\u0000"', '"\u00e9"',
    "[]", "{}", "[" * 90 + "]" * 90, "[" * 5_000, "NaN", "Infinity", "", " ", '{"a":1,"a":2}', "[1,]", "'text'", '"', '{"error":"condition"}',
)  # fmt: skip
ODD_SEGMENTS = (
    "", "%", "%2", "%zz", "%00", "%ff", "%c3%28", "%ed%a0%80", "%2f", "%2e%2e/", "../", "..", "//", ";", "?", "??", "#", "%23", "\xff", "\xe9", "{key}",
    "%0d%0a", "\\", "a" * 300, "a" * 70_000, "%61" * 900, "*", "http://x/", "[", "@", " ",
)  # fmt: skip
ODD_NUMBERS = ("-1", "0", "1", "7", "60001", "9" * 30, DIGITS, "1e3", "0x10", "+5", " 5", "\xb2", "", "5.0", "null", "%31")
ODD_HEADERS = (
    ("host", ""), ("host", "x"), ("host", "["), ("host", "x:y:z"), ("host", "a b"), ("expect", "100-continue"), ("expect", "200-ok"), ("connection", "upgrade"),
    ("upgrade", "websocket"), ("upgrade", "h2c"), ("connection", "close, keep-alive"), ("transfer-encoding", "chunked"), ("transfer-encoding", "gzip, chunked"),
    ("transfer-encoding", "chunked, identity"), ("transfer-encoding", "xchunked"), ("content-length", "0"), ("content-length", "-1"), ("content-length", "+5"),
    ("content-length", "0x5"), ("content-length", "5, 5"), ("content-length", "9" * 40), ("content-length", "\xb2"), ("content-length", "99999999"),
    ("if-match", '"0.0.0"'), ("if-match", "*"), ("if-match", '"' + "9" * 18 + '.0.0"'), ("if-match", "x" * 9_000), ("if-none-match", "*"),
    ("if-none-match", '"1.2.3"'), ("if-none-match", '"'), ("accept", "application/json"), ("accept", "\xff"), ("content-type", "text/\xe9; charset=nonsense"),
    ("content-type", "application/x-www-form-urlencoded"), ("authorization", "Bearer"), ("authorization", "Bearer " + "x" * 300), ("authorization", "Basic eDp4"),
    ("authorization", "\xff\xfe"), ("last-event-id", "0"), ("last-event-id", "\xb2"), ("last-event-id", "9" * 40), ("proof", "1"), ("proof-nonce", "\xff"), ("range", "bytes=0-1"), ("origin", "null"),
    ("access-control-request-method", "PUT"), ("cookie", "a=" + "b" * 5_000), ("x", "a" * 70_000), ("x\0", "a"), ("", "a"), ("x", "a\r\n folded"), ("x y", "z"),
    ("content-encoding", "gzip"), ("te", "trailers"), ("forwarded", "for=[::1]"), ("x-forwarded-proto", "javascript"),
)  # fmt: skip
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "PRI", "M-SEARCH", "X" * 60)
CHUNK_ENDS = (
    b"0\r\n\r\n",
    b"0\r\nx: y\r\n\r\n",
    b"0\r\n",
    b"-1\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"zz\r\n\r\n",
    b"0;ext=" + b"x" * 9_000 + b"\r\n\r\n",
    b"",
)


@dataclass
class HttpRequest:
    """A request, in parts that can be changed: the target is its path and its query."""

    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | None = None
    is_chunked: bool = False
    is_stream: bool = False

    def encode(self, chance: random.Random, token: str | None, version: str = "HTTP/1.1") -> bytes:
        """The request's bytes; with a token it is shown unless there is an authorization already."""
        target = self.path + ("?" + "&".join(f"{name}={value}" for name, value in self.query) if self.query else "")
        lines = [f"{self.method} {target} {version}"]
        headers = list(self.headers)
        if not any(name == "host" for name, _ in headers):
            headers.insert(0, ("host", "localhost"))
        if token is not None and not any(name == "authorization" for name, _ in headers):
            headers.append(("authorization", f"Bearer {token}"))
        body = self.body or b""
        if self.is_chunked:
            headers.append(("transfer-encoding", "chunked"))
            body = _chunked(body, chance)
        elif self.body is not None and not any(name == "content-length" for name, _ in headers):
            headers.append(("content-length", str(len(body))))
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def _chunked(body: bytes, chance: random.Random) -> bytes:
    told = b""
    while body:
        size = chance.choice((1, 7, 1_000, 100_000))
        told += b"%x\r\n%s\r\n" % (len(body[:size]), body[:size])
        body = body[size:]
    return told + (CHUNK_ENDS[0] if chance.random() < 0.7 else chance.choice(CHUNK_ENDS))


@dataclass(frozen=True)
class Scene:
    """What happens on one connection: these parts are sent, with pauses between them, and then it ends so.

    `end`: read (what is answered), half (nothing more is sent, and it is read), reset (broken off at once), stay (left open, unread), drip (of
    the last part a byte comes now and then), break (what is no TLS stands behind the parts, where these are within it).
    `is_bare`: it is sent as it is to a port that speaks TLS.
    """

    interface: str
    parts: tuple[bytes, ...]
    requests: int
    pause_s: float
    end: str
    is_bare: bool = False

    @property
    def may_ask_for_no_body(self) -> bool:
        """Whether HEAD may be among what is asked."""
        return any(b"HEAD" in part for part in self.parts)


def scene_of(seed: int, number: int, interfaces: tuple[str, ...], token: str | None, has_tls: bool = False) -> Scene:
    """The scene of this number: it depends on nothing else."""
    chance = random.Random(f"callers {seed} {number}")
    interface = chance.choice((*interfaces, interfaces[0], interfaces[0]))  # the first is the service's own
    if has_tls and chance.random() < BARE_SHARE:
        return _bare(interface, chance)
    scene = _within_scene(interface, chance, token)
    return replace(scene, end="break") if has_tls and chance.random() < 0.05 else scene


def _within_scene(interface: str, chance: random.Random, token: str | None) -> Scene:
    """Something that the interface understands, with parts changed."""
    if interface == "zatt":
        return _delivered(interface, _zatt_message(chance), 1, chance, is_stream=False)
    make = {"gateway": _of_gateway, "keyvalue": _of_keyvalue, "distraft": _of_distraft}[interface]
    count = chance.randint(2, MOST_PIPELINED) if chance.random() < 0.03 else 1
    requests = [_changed(make(chance), chance) for _ in range(count)]
    version = (
        "HTTP/1.1"
        if chance.random() < 0.95
        else chance.choice(("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "", "HTTP/9" * 99))
    )
    data = b"".join(each.encode(chance, token, version) for each in requests)
    if chance.random() < 0.25:
        data = changed_bytes(data, chance)
    return _delivered(interface, data, count, chance, any(each.is_stream for each in requests))


def _delivered(interface: str, data: bytes, count: int, chance: random.Random, is_stream: bool) -> Scene:
    """How these bytes are sent, and what becomes of the connection."""
    kind = chance.random()
    if kind < 0.01:  # bit by bit, for some seconds
        size = max(1, len(data) // chance.randint(3, 8))
        return Scene(interface, _pieces(data[:20_000], size), count, chance.choice((0.3, 1.0, 2.0)), "read")
    if kind < 0.02:
        return Scene(interface, (data[: chance.randrange(len(data) + 1)],), 0, 0.0, "stay")
    if kind < 0.05:
        return Scene(interface, (data[: chance.randrange(len(data) + 1)],), 0, 0.0, "reset")
    if kind < 0.08:
        return Scene(interface, (data[: chance.randrange(len(data) + 1)] if chance.random() < 0.5 else data,), count, 0.0, "half")
    if is_stream:
        return Scene(interface, (data,), 0, 0.0, chance.choice(("stay", "reset", "half")))
    parts = _pieces(data, max(1, len(data) // chance.randint(2, 4))) if kind < 0.15 else (data,)
    return Scene(interface, parts, count, 0.01 if len(parts) > 1 else 0.0, "read")


def _bare(interface: str, chance: random.Random) -> Scene:
    """What comes instead of TLS, or of a whole handshake of it."""
    kind = chance.random()
    if kind < 0.2:
        hello = client_hello(chance)
        begun = chance.randrange(len(hello))
        return Scene(interface, (hello[:begun], hello[begun:]), 0, 0.0, "drip", is_bare=True)
    if kind < 0.35:
        hello = client_hello(chance)
        return Scene(interface, (hello[: chance.randrange(len(hello) + 1)],), 0, 0.0, "stay", is_bare=True)
    if kind < 0.5:
        return Scene(interface, (_of_gateway(chance).encode(chance, None),), 1, 0.0, "read", is_bare=True)
    data = beginning(chance) if kind < 0.75 else no_tls(chance)
    return Scene(interface, (data,), 1, 0.0, chance.choice(("read", "read", "read", "half", "reset", "stay")), is_bare=True)


def _pieces(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[first : first + size] for first in range(0, len(data), size)) or (b"",)


# -- valid requests


def _key(chance: random.Random) -> str:
    return f"k{chance.randrange(KEYS)}"


def _value(chance: random.Random) -> Any:
    return chance.choice((1, "text", ["a", "b"], {"a": [1, None]}, None, True, 1.5, "\u00e9\u4e2d", [], ["x" * 100]))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _posted(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return _json({"type": "PUT", "value": ["a", "b"]})
    return _json({"type": "APPEND", "value": "c"})


def _transaction(chance: random.Random) -> bytes:
    made = []
    for _ in range(chance.randint(1, 5)):
        operation = {"op": chance.choice(("get", "put", "append", "delete")), "key": _key(chance)}
        if operation["op"] in ("put", "append"):
            operation["value"] = _value(chance)
        if chance.random() < 0.2:
            operation["version"] = chance.choice(("absent", "0.7.0"))
        made.append(operation)
    return _json({"operations": made})


def _of_gateway(chance: random.Random) -> HttpRequest:
    key = f"/keys/{_key(chance)}"
    proof = [("proof", "1"), ("nonce", "abc")] if chance.random() < 0.1 else []
    forms: tuple[Callable[[], HttpRequest], ...] = (
        lambda: HttpRequest("GET", key, proof),
        lambda: HttpRequest("PUT", key, proof, body=_json(_value(chance))),
        lambda: HttpRequest("POST", key, proof, body=_posted(chance)),
        lambda: HttpRequest("DELETE", key, proof),
        lambda: HttpRequest("GET", "/keys", [("prefix", "k"), ("after", ""), ("limit", "10"), *proof]),
        lambda: HttpRequest("POST", "/transactions", proof, body=_transaction(chance)),
        lambda: HttpRequest("GET", "/admin/status", headers=[("accept", "application/json")]),
        lambda: HttpRequest("PUT", "/admin/members/replica_1"),
        lambda: HttpRequest("DELETE", "/admin/members/replica_1"),
        lambda: HttpRequest("PUT", "/admin/leader/replica_1"),
        lambda: HttpRequest("POST", "/lab/kill/replica_1"),  # of a service that is in no laboratory
        lambda: HttpRequest("GET", chance.choice(("/livez", "/readyz", "/metrics", "/configuration", "/openapi.json", "/api", "/"))),
        lambda: HttpRequest("GET", "/watch", [("prefix", "k")], is_stream=True),
        lambda: HttpRequest("GET", "/events", [("after", "0")], is_stream=True),
    )
    return chance.choice(forms)()


def _of_keyvalue(chance: random.Random) -> HttpRequest:
    key = f"/keys/{_key(chance)}"
    forms: tuple[Callable[[], HttpRequest], ...] = (
        lambda: HttpRequest("GET", key),
        lambda: HttpRequest("POST", key, body=_posted(chance)),
        lambda: HttpRequest("GET", "/admin/status"),
    )
    return chance.choice(forms)()


def _of_distraft(chance: random.Random) -> HttpRequest:
    key = f"/{_key(chance)}"
    forms: tuple[Callable[[], HttpRequest], ...] = (
        lambda: HttpRequest("GET", key),
        lambda: HttpRequest("POST", key, body=f"value={quote(str(_value(chance)))}".encode()),
        lambda: HttpRequest("GET", chance.choice(("/", "/", "/start", "/start", "/stop"))),
    )
    return chance.choice(forms)()


def _zatt_message(chance: random.Random) -> bytes:
    asked: Any = chance.choice(
        (
            {"type": "get"},
            {"type": "diagnostic"},
            {"type": "append", "data": {"action": "change", "key": _key(chance), "value": _value(chance)}},
            {"type": "append", "data": {"action": "delete", "key": _key(chance)}},
        )
    )
    kind = chance.random()
    if kind < 0.3:
        asked = _with_odd_part(asked, chance, lambda: odd_value(chance))
    try:
        data = msgspec.msgpack.encode(asked)
    except (TypeError, OverflowError, ValueError, UnicodeEncodeError):  # what MessagePack has not
        data = b"\x81\x91\x01\x02"  # a map whose key is a list
    return changed_bytes(data, chance) if chance.random() < 0.3 else data


def _with_odd_part(value: Any, chance: random.Random, odd: Callable[[], Any]) -> Any:
    """The value with one part of it, chosen by chance, replaced."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice(sorted(value))
        return {**value, name: _with_odd_part(value[name], chance, odd)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], _with_odd_part(value[at], chance, odd), *value[at + 1 :]]
    return odd()


# -- changes


def _changed(request: HttpRequest, chance: random.Random) -> HttpRequest:
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        chance.choice((_change_path, _change_query, _change_header, _change_body, _change_body, _change_framing, _change_method))(
            request, chance
        )
    return request


def _change_path(request: HttpRequest, chance: random.Random) -> None:
    at = chance.randrange(len(request.path) + 1)
    request.path = request.path[:at] + chance.choice(ODD_SEGMENTS) + request.path[at:]


def _change_query(request: HttpRequest, chance: random.Random) -> None:
    name = chance.choice(("timeout_ms", "limit", "proof", "nonce", "after", "prefix", "other"))
    value = chance.choice((*ODD_NUMBERS, *ODD_SEGMENTS[:20], "1", "20"))
    request.query = [*(each for each in request.query if each[0] != name), *[(name, value)] * chance.choice((1, 1, 1, 2, 900))]


def _change_header(request: HttpRequest, chance: random.Random) -> None:
    request.headers += [chance.choice(ODD_HEADERS)] * chance.choice((1, 1, 1, 1, 2, 150))


def _change_body(request: HttpRequest, chance: random.Random) -> None:
    """A part of another type, or another size or form."""
    kind = chance.random()
    if kind < 0.02:
        size = LARGE_BYTES if kind < 0.015 else chance.choice(OVERSIZED_BYTES)
        request.body = b'"' + b"x" * size + b'"'
    elif kind < 0.8 and request.body:
        try:
            parsed = json.loads(request.body)
        except (ValueError, RecursionError):
            request.body = changed_bytes(request.body, chance)
            return
        marked = json.dumps(_with_odd_part(parsed, chance, lambda: "odd part"), ensure_ascii=False)
        request.body = marked.replace('"odd part"', chance.choice(ODD_JSON)).encode("utf-8", "surrogatepass")
    else:
        request.body = chance.choice(ODD_JSON).encode()


def _change_framing(request: HttpRequest, chance: random.Random) -> None:
    if chance.random() < 0.6:
        request.is_chunked = True
        request.body = request.body or b"{}"
    else:
        size = len(request.body or b"")
        request.headers.append(("content-length", str(chance.choice((size + 1, size + 500, max(0, size - 1), 0, 10**9)))))


def _change_method(request: HttpRequest, chance: random.Random) -> None:
    request.method = chance.choice(METHODS)
