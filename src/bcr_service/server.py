"""The ports of a gateway: served on a thread and an event loop of their own, with a limit on everything."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Coroutine
from http import HTTPStatus
from importlib import import_module
from typing import Any, Protocol

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bcr_service.access import OPEN, Application, for_own_pages, guarded, tls_context, token_in
from bcr_service.bodies import IS_WHOLE
from bcr_service.door import MOST_CONNECTIONS, Door, GuestProtocol, places_of_each
from bcr_service.gateway import GatewayState
from bcr_service.metrics import Metrics, counted
from bcr_service.outcomes import Asking
from bcr_service.problems import TYPE, Problem
from bcr_service.service_files import HTTP, Listener

HEAD_LIMIT_BYTES = 64 << 10
HEAD_LIMIT_S = 10.0  # for the head of a request to be there, from its first byte, or from the connection's begin
MOST_HEADERS = 100  # with those behind a body
MOST_PIPELINED = 32  # requests of a connection that wait for the answer to another
IDLE_LIMIT_S = 30
STOP_LIMIT_S = 5.0


class TooMany(ValueError):
    """More headers, or more requests at once, than anybody needs."""


class LimitedProtocol(HttpToolsProtocol, GuestProtocol):
    """uvicorn's protocol, which itself waits for ever for the head of a request, or for a reader, and takes a head without end."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._unparsed_bytes = 0  # that have brought neither a head nor a body
        self._has_moved = False
        self._answering: RequestResponseCycle | None = None
        self._head_due_s: float | None = self.loop.time() + HEAD_LIMIT_S
        self.guest.begins(transport)
        self.guest.look = self._look

    def _look(self, now_s: float) -> None:
        if self._head_due_s is not None and now_s >= self._head_due_s:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._head_due_s is None and (self.cycle is None or self.cycle.response_complete):
            self._head_due_s = self.loop.time() + HEAD_LIMIT_S
        self._has_moved = False
        super().data_received(data)
        self._unparsed_bytes = 0 if self._has_moved else self._unparsed_bytes + len(data)
        if self._unparsed_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self._refuse(Problem(431, f"a head of more than {HEAD_LIMIT_BYTES:,} bytes, or something else that is neither head nor body"))

    def send_400_response(self, msg: str) -> None:
        self._refuse(Problem(400, "what came is no request of HTTP/1.1, has too many fields, or too many others before it"))

    def _refuse(self, problem: Problem) -> None:
        """The last answer of this connection."""
        body = problem.body()
        head = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\ncontent-type: {TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()
        self._stop_answering()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _stop_answering(self) -> None:
        """Tell who still makes an answer that nobody gets it: uvicorn tells only who would answer the latest request."""
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            raise TooMany
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MOST_HEADERS:
            raise TooMany
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_due_s = None
        self._has_moved = True
        if not self.pipeline and (self.cycle is None or self.cycle.response_complete):
            self.guest.waits()  # for the rest of the request
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # What comes behind an answer is no request's any more, and has no body's limit.
        self._has_moved = self._has_moved or not self.cycle.response_complete
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_moved = True
        super().on_message_complete()
        if not self.cycle.response_complete:
            scope: Any = self.cycle.scope
            scope[IS_WHOLE] = True
            self.guest.is_awaited()

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self.guest.waits()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.guest.waits()
        self.guest.reads_slowly()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.guest.reads_again()
        if self.cycle is not None and not self.cycle.response_complete:
            self.guest.is_awaited()

    def connection_lost(self, exc: Exception | None) -> None:
        self.guest.leaves()
        super().connection_lost(exc)
        self._stop_answering()


class Port(Protocol):
    """What serves a port: until `should_exit` is set, and then until those who are there have had their answers."""

    should_exit: bool

    def serve(self, sockets: list[socket.socket]) -> Coroutine[Any, Any, None]: ...


class _Loop(uvloop.Loop):
    """An event loop whose servers have a door each."""

    places = MOST_CONNECTIONS

    async def create_server(self, protocol_factory: Any, *_: Any, sock: Any = None, ssl: Any = None, **_options: Any) -> Any:
        return Door(self, protocol_factory, sock, ssl, self.places)


def http_port(app: Application, gateway: GatewayState) -> Port:
    """The server of an ASGI application: with TLS where the service file says so."""
    config = uvicorn.Config(
        app,
        interface="asgi3",  # which it cannot see where no coroutine stands before another
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # warnings are of what callers send, and so without end
        access_log=False,
        proxy_headers=False,  # nobody's address matters
        server_header=False,
        timeout_keep_alive=IDLE_LIMIT_S,
        timeout_graceful_shutdown=int(STOP_LIMIT_S),
    )
    config.load()
    config.ssl = tls_context(gateway.own.files)
    return uvicorn.Server(config)


class Ports:
    """Serves the interfaces of a gateway, each on the socket that the gateway was given for it."""

    def __init__(self, gateway: GatewayState) -> None:
        self._gateway = gateway
        metrics = Metrics(gateway)
        asking = Asking(gateway, metrics)
        self._ports = [
            (_port(listener, gateway, asking, metrics), socket.socket(fileno=descriptor)) for listener, descriptor in gateway.own.listeners
        ]
        self._thread = threading.Thread(target=self._run, name="bcr-http", daemon=True)

    def start(self) -> None:
        """Begin to take connections."""
        self._thread.start()

    def _run(self) -> None:
        logging.getLogger("asyncio").setLevel(logging.ERROR)  # as uvicorn's above: its warnings are of connections that callers end
        with contextlib.suppress(SystemExit), asyncio.Runner(loop_factory=self._loop) as runner:
            runner.run(self._serve())

    def _loop(self) -> _Loop:
        loop = _Loop()
        loop.places = places_of_each(len(self._ports))
        return loop

    async def _serve(self) -> None:
        await asyncio.gather(*(port.serve(sockets=[each]) for port, each in self._ports))

    def stop(self) -> None:
        """Take no more connections, and end when those that are there have had their answers."""
        for port, _ in self._ports:
            port.should_exit = True
        self._thread.join(STOP_LIMIT_S + 1)


def _port(listener: Listener, gateway: GatewayState, asking: Asking, metrics: Metrics) -> Port:
    """What serves this port. Only the interfaces that a service has are loaded."""
    if listener.kind == "zatt":
        from bcr_service.zatt import ZattPort

        return ZattPort(gateway, asking, metrics, listener)
    module = import_module(f"bcr_service.{'app' if listener.kind == HTTP else listener.kind}")
    app: Application = module.application(gateway, asking, metrics, listener)
    token = token_in(gateway.own.files)
    own, called = {listener.address.host}, metrics.called
    if listener.kind == HTTP:  # which counts what it answers: it is asked more than the others
        return http_port(for_own_pages(app, own, called) if token is None else guarded(app, token, OPEN, called), gateway)
    if listener.kind != "distraft":  # whose servers are for the pages of all sites, and look at the token behind that
        app = for_own_pages(app, own) if token is None else guarded(app, token, ())
    return http_port(counted(app, called), gateway)
