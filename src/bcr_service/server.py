"""The HTTP server of a gateway: on a thread and an event loop of its own, with a limit on everything."""

import asyncio
import contextlib
import socket
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bcr_service.app import application
from bcr_service.gateway import Gateway

MOST_CONNECTIONS = 1_000
HEAD_LIMIT_BYTES = 64 << 10
HEAD_LIMIT_S = 10.0  # for the head of a request to be there, from its first byte, or from the connection's begin
IDLE_LIMIT_S = 30
STOP_LIMIT_S = 5.0


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which itself waits for ever for the head of a request, and takes one without end."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
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


class HttpServer:
    """Serves the application of a gateway on the socket that the gateway was given."""

    def __init__(self, gateway: Gateway) -> None:
        self._socket = socket.socket(fileno=gateway.own.descriptor)
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(gateway),
                http=LimitedProtocol,
                loop="uvloop",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=IDLE_LIMIT_S,
                timeout_graceful_shutdown=int(STOP_LIMIT_S),
            )
        )
        self._thread = threading.Thread(target=self._run, name="bcr-http", daemon=True)

    def start(self) -> None:
        """Begin to take connections."""
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(SystemExit):
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Take no more connections, and end when those that are there have had their answers."""
        self._server.should_exit = True
        self._thread.join(STOP_LIMIT_S + 1)
