"""The ports of a gateway: served on a thread and an event loop of their own, with a limit on everything."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Collection, Coroutine
from importlib import import_module
from typing import Any, Protocol

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bcr_service.access import OPEN, Application, guarded, tls_context, token_in
from bcr_service.gateway import Gateway
from bcr_service.metrics import Metrics
from bcr_service.outcomes import Asking
from bcr_service.service_files import HTTP, Listener

MOST_CONNECTIONS = 1_000
HEAD_LIMIT_BYTES = 64 << 10
HEAD_LIMIT_S = 10.0  # for the head of a request to be there, from its first byte, or from the connection's begin
IDLE_LIMIT_S = 30
STOP_LIMIT_S = 5.0


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which itself waits for ever for the head of a request, and takes one without end."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:  # uvicorn itself looks only when a request is there
            transport.abort()
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._expect_head()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_LIMIT_S, self._give_up)

    def _give_up(self) -> None:
        self._head_timer = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
            self._head_bytes += len(data)
        super().data_received(data)
        # Counted anew once a head is complete, so that what stands behind it is no part of it.
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._head_bytes = 0
            self._give_up_now()

    def _give_up_now(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._forget_timer()
        self._head_bytes = 0
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Port(Protocol):
    """What serves a port: until `should_exit` is set, and then until those who are there have had their answers."""

    should_exit: bool

    def serve(self, sockets: list[socket.socket]) -> Coroutine[Any, Any, None]: ...


class _Loop(uvloop.Loop):
    """An event loop that waits no longer for a TLS handshake than for the head of a request."""

    def create_server(self, *arguments: Any, **options: Any) -> Any:
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", HEAD_LIMIT_S)
        return super().create_server(*arguments, **options)


def http_port(app: Application, gateway: Gateway, for_everybody: Collection[str]) -> Port:
    """The server of an ASGI application: with TLS and for those who show the token, where the service file says so."""
    config = uvicorn.Config(
        guarded(app, token_in(gateway.own.files), for_everybody),
        http=LimitedProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_LIMIT_S,
        timeout_graceful_shutdown=int(STOP_LIMIT_S),
    )
    config.load()
    config.ssl = tls_context(gateway.own.files)
    return uvicorn.Server(config)


class Ports:
    """Serves the interfaces of a gateway, each on the socket that the gateway was given for it."""

    def __init__(self, gateway: Gateway) -> None:
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
        with contextlib.suppress(SystemExit), asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        await asyncio.gather(*(port.serve(sockets=[each]) for port, each in self._ports))

    def stop(self) -> None:
        """Take no more connections, and end when those that are there have had their answers."""
        for port, _ in self._ports:
            port.should_exit = True
        self._thread.join(STOP_LIMIT_S + 1)


def _port(listener: Listener, gateway: Gateway, asking: Asking, metrics: Metrics) -> Port:
    """What serves this port. Only the interfaces that a service has are loaded."""
    if listener.kind == "zatt":
        from bcr_service.zatt import ZattPort

        return ZattPort(gateway, asking, listener)
    module = import_module(f"bcr_service.{'app' if listener.kind == HTTP else listener.kind}")
    app: Application = module.application(gateway, asking, metrics, listener)
    return http_port(app, gateway, OPEN if listener.kind == HTTP else ())
