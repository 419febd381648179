"""`./bcr fuzz callers`: what is sent follows from the seed, what nobody declares is found, and a service bears it."""

import asyncio
import contextlib
import random
import re
import ssl
from collections import Counter
from types import SimpleNamespace

import pytest

from bcr_fuzz import fuzz, service_attack
from bcr_fuzz.http_answers import AnswerReader, NoAnswer
from bcr_fuzz.http_requests import scene_of
from bcr_fuzz.tls_words import HANDSHAKE, client_hello
from bcr_runtime.host_certificates import AUTHORITY, CERTIFICATE, KEY

INTERFACES = ("gateway", "distraft", "keyvalue", "zatt")
SCENES = 2_000


def test_a_seed_and_a_number_say_what_a_caller_sends():
    one, other = ([scene_of(seed, number, INTERFACES, "a token") for number in range(50)] for seed in (1, 1))
    assert one == other
    assert one != [scene_of(2, number, INTERFACES, "a token") for number in range(50)]


def test_scenes_are_of_every_route_and_every_way_to_end():
    scenes = [scene_of(0, number, INTERFACES, None) for number in range(SCENES)]
    assert {each.end for each in scenes} == {"read", "half", "reset", "stay"}
    assert {each.interface for each in scenes} == set(INTERFACES)
    assert any(each.requests > 1 for each in scenes) and any(each.pause_s > 0.2 for each in scenes)
    said = b"".join(b"".join(each.parts)[:10_000] for each in scenes)
    for route in (
        b"GET /keys/", b"PUT /keys/", b"POST /keys/", b"DELETE /keys/", b"GET /keys?", b"POST /transactions", b"GET /admin/status", b"PUT /admin/members/",
        b"PUT /admin/leader/", b"POST /lab/", b"GET /watch", b"GET /events", b"GET /metrics", b"transfer-encoding: chunked", b"GET /stop", b"value=",
    ):  # fmt: skip
        assert route in said, route


def test_valid_requests_are_among_what_is_sent():
    """A generator whose every request is refused at once would show nothing of what stands behind the parser."""
    scenes = [scene_of(0, number, ("gateway", "gateway"), None) for number in range(SCENES)]
    valid = re.compile(rb"(GET|PUT|POST|DELETE) /[\w/?=&]* HTTP/1\.1\r\nhost: localhost\r\n(content-length: \d+\r\n)?\r\n")
    assert sum(bool(valid.match(each.parts[0])) for each in scenes) > SCENES / 10


def test_beginnings_of_tls_and_what_is_none_are_sent_to_ports_that_speak_it():
    scenes = [scene_of(0, number, INTERFACES, None, has_tls=True) for number in range(SCENES)]
    assert scenes == [scene_of(0, number, INTERFACES, None, has_tls=True) for number in range(SCENES)]
    bare = [each for each in scenes if each.is_bare]
    assert SCENES / 4 < len(bare) < SCENES / 2
    assert {each.end for each in bare} == {"drip", "stay", "read", "half", "reset"}
    assert {each.end for each in scenes} == {"drip", "stay", "read", "half", "reset", "break"}
    assert any(each.parts[0].startswith(b"GET /") for each in bare)
    assert not any(scene_of(0, number, INTERFACES, None).is_bare for number in range(SCENES))


def handshaken(begin, context):
    """What a server that has this context says to these bytes."""
    came, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(came, said, server_side=True)
    came.write(begin)
    with contextlib.suppress(ssl.SSLWantReadError):
        server.do_handshake()
    return said.read()


def test_a_hello_is_one_and_a_certificate_is_good_for_who_trusts_it(tmp_path):
    """Beginnings that every server refuses at once would show nothing of what it holds for a handshake."""
    service_attack.certify(tmp_path)
    assert (tmp_path / KEY).stat().st_mode & 0o077 == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / CERTIFICATE, tmp_path / KEY)
    for seed in range(20):
        assert handshaken(client_hello(random.Random(seed)), context)[0] == HANDSHAKE
    client, answered = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=tmp_path / AUTHORITY).wrap_bio(client, answered, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting.do_handshake()
    client.write(handshaken(answered.read(), context))
    trusting.do_handshake()  # raises where it does not trust it
    assert trusting.getpeercert()["subjectAltName"] == (("IP Address", "127.0.0.1"),)


def answers_in(data, count=5, may_lack_body=False):
    async def read():
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        reader = AnswerReader(stream, 1.0, may_lack_body)
        found = []
        for _ in range(count):
            try:
                found.append((await reader.read()).status)
            except EOFError:
                break
        return found

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"", []),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\nHTTP/1.1 500 no\r\nHTTP/1.1 404 Not Found\r\n\r\n", [200, 404]),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 503 x\r\n\r\n", [200, 503]),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\nHTTP/1.1 503 x\r\n\r\n", [200, 503]),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", [204]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", [200]),
    ],
)
def test_answers_are_read_one_behind_the_other(data, statuses):
    assert answers_in(data) == statuses


HEADED = b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n"  # an answer to HEAD tells of a body, and has none
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (HEADED + b"HTTP/1.1 404 x\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 503 x\r\n\r\n", [200, 404, 503]),
        (HEADED * 3, [200] * 3),
        (HEADED + b"a body of 17 long" + HEADED, [200, 200]),
        (CHUNKED + b"HTTP/1.1 404 x\r\n\r\n", [200, 404]),
        (CHUNKED + CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + HEADED, [200, 200, 200]),
        (HEADED + b"a", [200]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" + HEADED, [200, 200]),
    ],
)
def test_answers_to_head_that_are_behind_each_other_are_told_apart(data, statuses):
    assert answers_in(data, may_lack_body=True) == statuses


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("data", [
    b"hello\r\n\r\n",
    b"HTTP/1.1 999 x\r\n\r\n",
    OK + b"a: b",
    OK + b"content-length: many\r\n\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\n-1\r\n",
    OK + b"a: " + b"b" * 70_000 + b"\r\n\r\n",
])  # fmt: skip
def test_what_is_no_answer_is_told(data):
    with pytest.raises(NoAnswer):
        answers_in(data)


class Stranger(asyncio.Protocol):
    """A service that answers the same to everything, and ends the connection."""

    said = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, _data):
        self.transport.write(self.said)
        self.transport.close()


def attacked(said, scenes, monkeypatch):
    """What is odd about a service that answers so."""
    monkeypatch.setattr(Stranger, "said", said)

    async def scene():
        server = await asyncio.get_running_loop().create_server(Stranger, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = SimpleNamespace(
            ports={kind: [port] for kind in ("gateway", "distraft")}, token=None, shown=None, trust=None, elsewhere=None, process=SimpleNamespace(poll=lambda: None, pid=0),
            address_of=lambda *_: ("127.0.0.1", port),
        )  # fmt: skip
        attack = service_attack.CallersAttack(target, 0, 0)
        await attack.run(scenes, fuzz.Budget(scenes, 1.0), None)
        server.close()
        return attack

    return asyncio.run(scene())


PROBLEM = b"HTTP/1.1 503 Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("said", "odd"),
    [
        (PROBLEM, set()),
        (PROBLEM.replace(b"503", b"500"), {"gateway: answered 500", "distraft: answered 500"}),
        (PROBLEM.replace(b"503", b"501"), {"distraft: answered 501"}),
        (PROBLEM.replace(b"problem+", b""), {"gateway: answered 503"}),
        (b"\r\nwhat?\r\n", {"gateway: no HTTP", "distraft: no HTTP"}),
        (PROBLEM.replace(b"length: 2", b"length: ?"), {"gateway: no HTTP", "distraft: no HTTP"}),
    ],
)
def test_what_nobody_declares_is_noted_with_the_scenes_that_it_answers(said, odd, monkeypatch):
    attack = attacked(said, 60, monkeypatch)
    assert {": ".join(what.split(": ")[:2]) for what in attack.odd} == odd
    assert all(number < 100 for numbers in attack.odd.values() for number in numbers)
    assert attack.sent >= 60


def test_tracebacks_in_what_a_service_prints_are_counted_by_place():
    place = f'  File "{service_attack.SOURCES}/bcr_service/zatt.py", line 7, in f'
    one = f"Traceback (most recent call last):\n{place}\n    f()\nKeyError: 'a'\n"
    found = service_attack.tracebacks_in(f'line\n{one}more\n{one}Traceback (most recent call last):\n  File "x.py", line 1\nOSError: b\n')
    assert found == Counter({f"{place.strip()}: KeyError": 2, "no place of ours: OSError": 1})


@pytest.mark.parametrize(("last", "found"), [(18, []), (19, ["19 descriptors 0.1 s behind the attack, 10 before"])])
def test_what_stays_open_behind_the_attackers_is_a_finding(monkeypatch, last, found):
    monkeypatch.setattr(service_attack, "CLOSED_LIMIT_S", 0.1)
    monkeypatch.setattr(service_attack, "LOOK_S", 0.01)
    counts = iter([100, 50])
    assert service_attack.kept_open(lambda: next(counts, last), 10) == found


class Liar:
    """Instead of a service: answers calls as it is told, on the honest caller's own thread."""

    def __init__(self, answers):
        self.answers = iter(answers)
        self.token = None
        self.ports = {"gateway": [1]}


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([(204, b""), (200, b'"one"')], None),
        ([(204, b""), (200, b'"two"')], "'two' stands at a key where 'one' was confirmed"),
        ([(204, b""), (404, b"{}")], "None stands at a key where 'one' was confirmed"),
        ([(504, b'{"definite":false}'), (200, b'"one"')], None),
        ([(504, b'{"definite":false}'), (404, b"{}")], None),
        ([(503, b'{"definite":true}'), (200, b'"one"')], "'one' stands at a key where None was confirmed"),
        ([(503, b"<html>"), (404, b"")], "an answer that is not JSON: b'<html>'"),
        ([(503, b"[]"), (404, b"")], None),
    ],
)
def test_an_honest_caller_notices_what_is_not_as_it_was_told(monkeypatch, answers, problem):
    caller = service_attack.HonestCaller(Liar(answers))
    given = iter(answers)
    monkeypatch.setattr(caller, "_ask", lambda *_: next(given))
    caller._write("key", "one")
    caller._read("key")
    assert caller.problems == ([problem] if problem else [])


def test_a_service_with_tls_bears_its_callers(capsys):
    assert fuzz.main(["callers", "--messages", "600", "--minutes", "1", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"seed 3: 6\d\d requests with TLS in \d+ s, 0 processes ended", printed)
    assert "all as told; 0 bytes of output" in printed


def test_a_service_bears_its_callers_and_is_compared_in_turns(capsys, monkeypatch):
    monkeypatch.setattr(fuzz, "LEAST_TURNS", 10_000)  # so short a time says nothing of throughput
    monkeypatch.setattr("bcr_fuzz.turns.TURN_S", 0.2)
    assert fuzz.main(["callers", "--messages", "400", "--minutes", "1", "--compare", "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"seed 1: 4\d\d requests in \d+ s, 0 processes ended", printed)
    assert "all as told" in printed
    assert re.search(r"[1-9]\d* turns each: [1-9][\d,]* operations/s at [1-9]", printed)
