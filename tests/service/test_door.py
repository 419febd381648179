"""Who keeps a place at a port, and for how long; each on a real socket, with limits that are shorter than a service's."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
import time
from types import SimpleNamespace

import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bcr_service import bodies, door, server
from bcr_service.bodies import body_of
from bcr_service.problems import Problem

LIMIT_S = 20.0  # for what is to happen; nothing waits for it that goes well
PLACES = 4
LARGE = b"x" * (32 << 20)  # more than the kernel takes
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
GET_LARGE = b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
PUT = b"PUT /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"


async def small(_request):
    return Response(b"here")


async def large(_request):
    return Response(LARGE)


async def body(request: Request):
    try:
        return Response(str(len(await body_of(request))).encode())
    except Problem as problem:
        return Response(problem.body(), problem.status, headers=problem.headers)


async def stream(_request):
    async def pieces():
        for _ in range(50):
            yield b"piece"
            await asyncio.sleep(0.005)

    return StreamingResponse(pieces())


@pytest.fixture
def short(monkeypatch):
    for name, value in [
        ("READ_LIMIT_S", 0.2),
        ("LOOK_PAUSE_S", 0.05),
        ("SILENT_PATIENCE_S", 0.1),
        ("PATIENCE_S", 0.1),
    ]:
        monkeypatch.setattr(door, name, value)
    monkeypatch.setattr(server._Loop, "places", PLACES)
    monkeypatch.setattr(server, "places_of_each", lambda _ports: PLACES)
    return monkeypatch


@contextlib.contextmanager
def opened(files=None):
    """A port that serves, and its address."""
    app = Starlette(routes=[Route("/", small), Route("/large", large), Route("/stream", stream), Route("/body", body, methods=["PUT"])])
    listening = socket.create_server(("127.0.0.1", 0))
    port = server.http_port(app, SimpleNamespace(own=SimpleNamespace(files=files or {})))

    def run():
        with server.asyncio.Runner(loop_factory=server._Loop) as runner:
            runner.run(port.serve(sockets=[listening]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        port.should_exit = True
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def connected(address, said=b""):
    connection = socket.create_connection(address, timeout=LIMIT_S)
    connection.sendall(said)
    return connection


def answer(connection):
    """All that comes until the connection ends; b"" also where it is broken off."""
    told = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            told += part
    return bytes(told)


def is_served(address):
    with connected(address, GET) as connection:
        return answer_of(connection)[0] == b"200"


@pytest.mark.parametrize("said", [b"", b"GET / HT", PUT, GET])
def test_who_lets_the_service_wait_for_the_longest_gives_the_place_up_to_who_comes(short, said):
    with opened() as address, contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connected(address, said)) for _ in range(3 * PLACES)]
        assert is_served(address)
        assert b"HTTP/1.1 200" in answer(crowd[0]) or said != GET  # it has ended


def test_who_says_nothing_gives_way_before_who_has_asked(short):
    short.setattr(door, "SILENT_PATIENCE_S", 0.0)
    with opened() as address, connected(address, GET) as asked, contextlib.ExitStack() as stack:
        assert answer_of(asked)[0] == b"200"
        for _ in range(4 * PLACES):
            stack.enter_context(connected(address))
        assert is_served(address)
        asked.sendall(GET)
        assert answer_of(asked)[0] == b"200"


def with_tls(folder):
    """What a service file names, and the context of who trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (folder / "own.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    (folder / "own.key").write_bytes(issued.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"tls_certificate": str(folder / "own.pem"), "tls_key": str(folder / "own.key")}, context


def test_half_of_a_tls_handshake_gives_way_too(short, tmp_path):
    files, context = with_tls(tmp_path)
    with opened(files) as address, contextlib.ExitStack() as stack:
        for number in range(3 * PLACES):
            stack.enter_context(connected(address, b"\x16\x03\x01\x02\x00" if number % 2 else b""))
        with context.wrap_socket(connected(address), server_hostname="127.0.0.1") as caller:
            caller.sendall(GET)
            assert answer_of(caller)[0] == b"200"


def test_an_answer_that_nobody_reads_is_not_kept(short):
    with opened() as address, connected(address, GET_LARGE) as stranger:
        await_broken_off(stranger)


def await_broken_off(connection):
    """Until the other side has broken the connection off, while nothing is read of it."""
    deadline_s = time.monotonic() + LIMIT_S
    while not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_who_reads_slowly_gets_all(short):
    short.setattr(door, "READ_LIMIT_S", 1.0)
    with opened() as address, connected(address, GET_LARGE) as caller:
        read, began_s = 0, time.monotonic()
        while part := caller.recv(1 << 18):
            read += len(part)
            if time.monotonic() - began_s < 3.0:  # three times as long as nobody may read nothing
                time.sleep(0.1)
    assert read > len(LARGE)


def test_what_waits_for_slow_readers_together_has_a_bound(short):
    short.setattr(door, "READ_LIMIT_S", LIMIT_S)
    short.setattr(door, "MOST_UNREAD_BYTES", len(LARGE))
    with opened() as address, connected(address, GET_LARGE) as first, connected(address) as second:
        first.recv(1)
        second.sendall(GET_LARGE)
        await_broken_off(first)
        assert len(answer(second)) > len(LARGE)


def test_headers_without_end_behind_a_body_are_cut_off(short):
    with opened() as address, connected(address, b"PUT /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n") as stranger:
        told = b""
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                stranger.sendall(b"a: b\r\n")
            told = answer(stranger)
        assert told[:12] in (b"", b"HTTP/1.1 400")
    with (
        opened() as address,
        connected(address, b"PUT /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: ") as stranger,
    ):
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                stranger.sendall(b"x" * 1_000)
            told = answer(stranger)
        assert told[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 431")


def test_requests_without_end_behind_each_other_are_cut_off_without_a_word(short, caplog):
    with opened() as address, connected(address) as stranger:
        with contextlib.suppress(OSError):  # also for what is cut off before it is shut down
            stranger.sendall(b"PUT /body HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n" * 5_000)
            stranger.shutdown(socket.SHUT_WR)
        answer(stranger)
        assert is_served(address)
    assert not caplog.records


def test_what_breaks_off_with_an_answer_on_its_way_is_told_nobody(short, caplog):
    with opened() as address:
        for _ in range(20):
            with connected(address, PUT.replace(b"100", b"0") + b"\0nonsense\r\n\r\n") as stranger:
                answer(stranger)
    assert not caplog.records


def test_bodies_that_come_slowly_give_way_where_the_buffer_is_full(short):
    short.setattr(bodies, "SMALL_BYTES", 10)
    short.setattr(bodies, "YOUNG_S", 0.0)
    short.setattr(bodies, "BUFFER", bodies.BodyBuffer(100))
    with opened() as address, connected(address, PUT + b"x" * 60) as slow, connected(address, PUT + b"x" * 60) as quick:
        assert answer_of(slow)[0] == b"408"
        quick.sendall(b"x" * 40)
        assert answer_of(quick) == (b"200", b"100")


def test_a_body_that_is_there_with_its_head_needs_no_place_and_may_be_no_larger_than_others(short):
    short.setattr(bodies, "SMALL_BYTES", 10)
    short.setattr(bodies, "BUFFER", bodies.BodyBuffer(50))
    with opened() as address, connected(address, PUT + b"x" * 100) as caller:
        assert answer_of(caller) == (b"200", b"100")
        short.setattr(bodies, "BODY_LIMIT_BYTES", 99)
        caller.sendall(PUT + b"x" * 100)
        assert answer_of(caller)[0] == b"413"


def test_where_nobody_has_to_give_way_a_body_is_refused_and_nothing_has_happened(short):
    short.setattr(bodies, "SMALL_BYTES", 10)
    short.setattr(bodies, "BUFFER", bodies.BodyBuffer(50))
    with opened() as address, connected(address, PUT + b"x" * 60) as caller:
        status, told = answer_of(caller)
    assert status == b"503"
    assert b'"definite":true' in told


def test_a_caller_that_sends_too_much_before_it_reads_is_told_so(short):
    length = bodies.BODY_LIMIT_BYTES + (6 << 20)  # more than the kernel takes
    with opened() as address, connected(address, b"PUT /body HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length) as caller:
        caller.sendall(b"x" * length)
        assert answer_of(caller)[0] == b"413"


def test_what_is_larger_than_anybody_throws_away_is_refused_before_it_comes(short):
    with opened() as address, connected(address, b"PUT /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n") as caller:
        assert answer_of(caller)[0] == b"413"


def test_who_ends_already_can_give_way_too(short):
    """Its time is over, and before it hears of that another one comes."""
    short.setattr(bodies, "YOUNG_S", 0.0)
    gave_way = []

    async def scene():
        buffer = bodies.BodyBuffer(100)
        with pytest.raises(bodies.Late, match="not there within"):
            async with buffer.place(0.0) as place:
                place.bytes = 200
                server.asyncio.get_running_loop().call_soon(
                    lambda: gave_way.append(buffer.make_space(bodies.PartialBody(buffer, place.limit)))
                )
                await server.asyncio.sleep(LIMIT_S)

    server.asyncio.run(scene())
    assert gave_way == [None]


def answer_of(connection):
    """Status and body of the one answer of a connection that ends, or whose answer is short."""
    told = b""
    while b"\r\n\r\n" not in told or not told.partition(b"\r\n\r\n")[2]:
        part = connection.recv(1 << 16)
        if not part:
            break
        told += part
    return told.split(b" ", 2)[1], told.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(("ending", "told"), [("close_clients", b"last words"), ("abort_clients", b"")])
def test_all_who_are_there_can_be_sent_away_with_what_waits_for_them_or_at_once(ending, told):
    class Speaker(door.GuestProtocol):
        def connection_made(self, transport):
            transport.write(b"last words") if ending == "close_clients" else None
            arrived.set()

    async def sent_away():
        loop = server.asyncio.get_running_loop()
        port = door.Door(loop, Speaker, listening, None, PLACES)
        await arrived.wait()
        getattr(port, ending)()
        said = await loop.run_in_executor(None, answer, caller)
        port.close()
        return said

    arrived = server.asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening, connected(listening.getsockname()) as caller:
        assert server.asyncio.run(server.asyncio.wait_for(sent_away(), LIMIT_S)) == told


@pytest.mark.parametrize(
    ("allowed", "most", "places"), [(1_024, 1_024, 384), (1_024, 1 << 20, 1_000), (100, 100, 25), (1 << 20, 1 << 20, 1_000)]
)
def test_a_port_takes_no_more_than_descriptors_allow(monkeypatch, allowed, most, places):
    asked = []
    monkeypatch.setattr(door.resource, "getrlimit", lambda _which: (allowed, most))
    monkeypatch.setattr(door.resource, "setrlimit", lambda _which, limits: asked.append(limits))
    assert door.places_of_each(2) == places
    assert all(soft <= hard == most for soft, hard in asked)


def test_what_asyncio_warns_of_connections_that_callers_end_is_told_nobody(short, caplog):
    """A stream goes on for a moment on a connection with TLS that ends, and each of its words is a warning."""

    async def serve():
        logging.getLogger("asyncio").warning("SSL connection is closed")

    caplog.set_level(logging.getLogger("asyncio").level, "asyncio")  # which is as it was behind this
    ports = server.Ports(SimpleNamespace(own=SimpleNamespace(listeners=())))
    short.setattr(ports, "_serve", serve)
    ports._run()
    assert not caplog.records


@pytest.mark.parametrize("how", ["half", "unwrap", "garbage", "reset"])
@pytest.mark.parametrize(
    "said", [GET.replace(b"/", b"/stream", 1), GET * 30, GET_LARGE, PUT.replace(b"100", b"0") * 20 + b"\0nonsense\r\n\r\n"]
)
def test_who_ends_tls_with_answers_on_their_way_is_told_nobody(short, tmp_path, caplog, said, how):
    files, context = with_tls(tmp_path)
    with opened(files) as address:
        for _ in range(5):
            with contextlib.suppress(OSError), context.wrap_socket(connected(address), server_hostname="127.0.0.1") as stranger:
                stranger.sendall(said)
                if how == "half":
                    stranger.shutdown(socket.SHUT_WR)
                elif how == "garbage":
                    with socket.socket(fileno=os.dup(stranger.fileno())) as beneath:
                        beneath.sendall(b"no record of TLS")
                elif how == "unwrap":
                    stranger.unwrap()
                if how != "reset":
                    answer(stranger)
    assert not caplog.records
