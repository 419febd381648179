"""DistAlgo's TCP channel, made anew: reliable and in order between any two processes while both live.

What the stock one gets wrong is its shape: one connection serves both directions, so two processes that connect to
each other at once drop each other's connection together with the messages in it; the handshake is read in one go, on
the thread that serves everybody; and whoever sends on a connection shares it with other threads without a lock.

Here a process sends on connections that it opened itself and only reads those that it accepted. A connection begins
with a mutual proof of the cookie, then carries frames: four bytes of length, and a message. Reading happens on the
selector thread alone and never blocks; sending happens on the sender's thread, one at a time for each receiver.
"""

import contextlib
import hashlib
import hmac
import logging
import os
import random
import select
import socket
import struct
import threading
import time
import weakref
from types import ModuleType
from typing import Any

# This module is imported when `da.transport.sock` has just been executed (see `dacurrent.hook`).
from da.common import get_runtime_option
from da.transport import manager
from da.transport.base import (
    AuthenticationException,
    NoTargetTransportException,
    PacketSizeExceededException,
    TransportException,
)
from da.transport.sock import SocketTransport
from da.transport.sock import TcpTransport as StockTcpTransport

from dacurrent.forks import gate

MAGIC = b"bcrdist1"
NONCE_SIZE = 16
MAC_SIZE = 32
HELLO = struct.Struct(f">8sII{NONCE_SIZE}s")  # magic, own port, own message size, nonce
REPLY = struct.Struct(f">8sI{NONCE_SIZE}s{MAC_SIZE}s")  # magic, own message size, nonce, proof
REFUSED = b"refused!"
FRAME = struct.Struct(">I")

BACKLOG = 128
MAX_PENDING = 64  # connections that have yet to prove themselves
HANDSHAKE_LIMIT_S = 5.0
CONNECT_LIMIT_S = 5.0
SEND_LIMIT_S = 60.0  # for how long a receiver may stand still before its messages are given up
BIND_ATTEMPTS = 100
RECEIVE_BYTES = 1 << 18

log = logging.getLogger("da.transport.tcp")
_started: "weakref.WeakSet[Any]" = weakref.WeakSet()


def _leave_to_parent() -> None:
    for transport in list(_started):
        transport.leave_to_parent()
    _started.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


def _proof(key: bytes | None, role: bytes, first: bytes, second: bytes) -> bytes:
    return hmac.digest(key or b"", b"bcr distalgo/" + role + first + second, hashlib.sha256)


class Outgoing:
    """A connection that this process opened; the lock is held by who sends."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.socket: socket.socket | None = None
        self.limit = 0
        self._events = select.poll()

    def open(self, connection: socket.socket, limit: int) -> None:
        self.socket, self.limit = connection, limit
        self._events = select.poll()
        self._events.register(connection, select.POLLIN)

    def close(self) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.close()
            self.socket = None

    def is_open(self) -> bool:
        """Whether the connection stands, as far as can be known without sending: nothing ever comes back on it."""
        return self.socket is not None and not self._events.poll(0)


class Incoming:
    """A connection that this process accepted: first a stranger's, then a peer's frames."""

    def __init__(self, connection: socket.socket, address: tuple[str, int]) -> None:
        self.connection = connection
        self.remote = address
        self.since_s = time.monotonic()
        self.buffer = bytearray()
        self.expected_proof: bytes | None = None
        self.is_peer = False


class TcpTransport(SocketTransport):  # type: ignore[misc]
    """TCP between processes; see `dacurrent.transport`."""

    capabilities = StockTcpTransport.capabilities
    data_offset = 0
    slot_index = StockTcpTransport.slot_index

    def __init__(self, authkey: bytes | None) -> None:
        super().__init__(authkey)
        self._outgoing: dict[tuple[str, int], Outgoing] = {}
        self._incoming: set[Incoming] = set()
        self._table_lock = threading.Lock()
        self.on_peer_lost: Any = None

    # -- the listening socket

    def initialize(self, strict: bool = False, pipe: Any = None, retries: int = BIND_ATTEMPTS, **rest: Any) -> None:
        if pipe is None:
            self.conn = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.conn.set_inheritable(True)
            if strict and not get_runtime_option("tcp_dont_reuse_addr", False):
                self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            from multiprocessing.reduction import recv_handle

            self.conn = socket.fromfd(recv_handle(pipe), socket.AF_INET, socket.SOCK_STREAM)
        initialize_socket(self, super().initialize, strict=strict, retries=max(retries, BIND_ATTEMPTS), **rest)

    def start(self, queue: Any, mesgloop: Any = None) -> None:
        self.conn.listen(BACKLOG)
        self.conn.setblocking(False)
        super().start(queue, mesgloop)
        _started.add(self)
        self.mesgloop.register(self.conn, guarded(self._accept))

    def leave_to_parent(self) -> None:
        """In a child process: let go of the parent's sockets, so that its peers see when the parent ends."""
        for held in (self.conn, *(each.connection for each in self._incoming)):
            if held is not None:
                held.close()
        for outgoing in self._outgoing.values():
            outgoing.close()

    def close(self) -> None:
        with self._table_lock:
            for outgoing in self._outgoing.values():
                outgoing.close()
            self._outgoing.clear()
        super().close()

    # -- what comes in, on the selector thread

    def _accept(self, listener: socket.socket, _data: Any) -> None:
        try:
            connection, address = listener.accept()
        except (BlockingIOError, InterruptedError):
            return
        connection.setblocking(False)
        self._drop_overdue()
        if sum(not each.is_peer for each in self._incoming) >= MAX_PENDING:
            connection.close()
            return
        incoming = Incoming(connection, address)
        self._incoming.add(incoming)
        self.mesgloop.register(connection, guarded(self._readable), incoming)

    def _drop_overdue(self) -> None:
        overdue_s = time.monotonic() - HANDSHAKE_LIMIT_S
        for incoming in [each for each in self._incoming if not each.is_peer and each.since_s < overdue_s]:
            self._drop(incoming, "no handshake in time")

    def _drop(self, incoming: Incoming, why: str = "") -> None:
        self._incoming.discard(incoming)
        self.mesgloop.deregister(incoming.connection)
        with contextlib.suppress(OSError):
            incoming.connection.close()
        if why:
            warn_seldom("connection from %s:%s closed: %s", *incoming.remote, why)

    def _readable(self, connection: socket.socket, incoming: Incoming) -> None:
        try:
            data = connection.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop(incoming)
            if incoming.is_peer and self.on_peer_lost is not None:
                self.on_peer_lost(incoming.remote)
            return
        incoming.buffer += data
        if not incoming.is_peer:
            self._shake_hands(incoming)
        if incoming.is_peer:
            self._take_frames(incoming)

    def _shake_hands(self, incoming: Incoming) -> None:
        if incoming.expected_proof is None:
            if len(incoming.buffer) < HELLO.size:
                if not MAGIC.startswith(bytes(incoming.buffer[: len(MAGIC)])):
                    self._drop(incoming, "not a peer")
                return
            magic, port, _size, nonce = HELLO.unpack_from(incoming.buffer)
            del incoming.buffer[: HELLO.size]
            if magic != MAGIC or not 0 < port < 65536:
                self._drop(incoming, "not a peer")
                return
            incoming.remote = (incoming.remote[0], port)
            own_nonce = os.urandom(NONCE_SIZE)
            proof = _proof(self.authkey, b"receiver", nonce, own_nonce)
            incoming.expected_proof = _proof(self.authkey, b"sender", nonce, own_nonce)
            incoming.connection.send(REPLY.pack(MAGIC, self.buffer_size, own_nonce, proof))
        if len(incoming.buffer) < MAC_SIZE:
            return
        given = bytes(incoming.buffer[:MAC_SIZE])
        del incoming.buffer[:MAC_SIZE]
        if not hmac.compare_digest(given, incoming.expected_proof):
            with contextlib.suppress(OSError):
                incoming.connection.send(REFUSED)
            self._drop(incoming, "its cookie is another (--cookie)")
            return
        incoming.is_peer = True
        incoming.connection.send(MAGIC)

    def _take_frames(self, incoming: Incoming) -> None:
        buffer, place = incoming.buffer, 0
        while len(buffer) - place >= FRAME.size:
            (size,) = FRAME.unpack_from(buffer, place)
            if size > self.buffer_size:
                self._drop(incoming, f"a message of {size} bytes; --message-buffer-size is {self.buffer_size} here")
                return
            end = place + FRAME.size + size
            if end > len(buffer):
                break
            self.queue.append((self, bytes(buffer[place + FRAME.size : end]), incoming.remote))
            place = end
        del buffer[:place]

    # -- what goes out, on the sender's thread

    def send(
        self,
        chunk: Any,
        target: tuple[str, int] | None,
        retries: int = 3,
        wait: float = 0.05,
        retry_refused_connections: bool = False,
        **_: Any,
    ) -> None:
        if target is None:
            raise NoTargetTransportException()
        with self._table_lock:
            outgoing = self._outgoing.setdefault(target, Outgoing())
        frame = FRAME.pack(len(chunk)) + bytes(chunk)
        with outgoing.lock:
            for attempt in range(retries + 1):
                try:
                    if not outgoing.is_open():
                        outgoing.close()
                        self._connect(outgoing, target)
                    if len(chunk) > outgoing.limit:
                        raise PacketSizeExceededException(
                            f"a message of {len(chunk)} bytes to {target}, where --message-buffer-size is "
                            f"{outgoing.limit}: start all nodes with a larger one"
                        )
                    outgoing.socket.sendall(frame)  # type: ignore[union-attr]
                    return
                except ConnectionRefusedError as error:
                    outgoing.close()
                    if not retry_refused_connections or attempt == retries:
                        raise TransportException(f"connection refused by {target}") from error
                except TimeoutError as error:
                    outgoing.close()
                    raise TransportException(f"{target} has taken nothing for {SEND_LIMIT_S:g} s") from error
                except OSError as error:
                    # The peer has ended, or is about to: a new connection tells.
                    outgoing.close()
                    if attempt == retries:
                        raise TransportException(f"cannot send to {target}: {error}") from error
                time.sleep(wait)

    def _connect(self, outgoing: Outgoing, target: tuple[str, int]) -> None:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_LIMIT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # From the address that peers know this process by, which need not be the one the system would choose.
            connection.bind((self.hostname, 0))
            try:
                connection.connect(target)
            except TimeoutError as error:
                raise OSError(f"no connection within {CONNECT_LIMIT_S:g} s") from error
            limit = self._introduce(connection, target)
            connection.settimeout(SEND_LIMIT_S)
        except BaseException:
            connection.close()
            raise
        outgoing.open(connection, limit)

    def _introduce(self, connection: socket.socket, target: tuple[str, int]) -> int:
        """The handshake, as the side that connects; returns the size of message that the other takes."""
        nonce = os.urandom(NONCE_SIZE)
        connection.sendall(HELLO.pack(MAGIC, self.port, self.buffer_size, nonce))
        magic, limit, other_nonce, proof = REPLY.unpack(receive_exactly(connection, REPLY.size))
        if magic != MAGIC:
            raise AuthenticationException(f"{target} is no DistAlgo process with this layer")
        connection.sendall(_proof(self.authkey, b"sender", nonce, other_nonce))
        is_genuine = hmac.compare_digest(proof, _proof(self.authkey, b"receiver", nonce, other_nonce))
        if not is_genuine or receive_exactly(connection, len(MAGIC)) != MAGIC:
            raise AuthenticationException(f"{target} has another cookie: give all nodes the same --cookie")
        return int(limit)


def replace_tcp(sock: ModuleType) -> None:
    """Put this channel in the place of `da.transport.sock.TcpTransport`."""
    manager.TransportTypes[TcpTransport.slot_index] = TcpTransport
    sock.TcpTransport = TcpTransport


def initialize_socket(transport: Any, initialize: Any, port: int | None = None, **rest: Any) -> None:
    """Bind a transport's socket; port 0 takes any that is free, and so does having none."""
    initialize(port=random.randint(*_port_range()) if port is None else port, **rest)
    transport.port = transport.conn.getsockname()[1]


def _port_range() -> tuple[int, int]:
    return get_runtime_option("min_port", 10_000), get_runtime_option("max_port", 65_535)


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes from a blocking socket; raises ConnectionResetError where it ends before."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionResetError("closed during the handshake")
        data += more
    return data


def guarded(callback: Any) -> Any:
    """A callback of the selector loop that ends neither the loop nor anything else, whatever arrives."""

    def call(connection: Any, data: Any) -> None:
        with gate:
            try:
                callback(connection, data)
            except Exception:
                log.exception("on a connection")
                if isinstance(data, Incoming):  # or it would fail again at once, and forever
                    callback.__self__._drop(data)

    return call


class _Seldom:
    """Lets so many warnings through, then every hundredth, so that a stranger cannot fill a disk."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.count = 0

    def __call__(self, text: str, *values: Any) -> None:
        self.count += 1
        if self.count <= self.first or self.count % 100 == 0:
            log.warning(text + " (%d such)", *values, self.count)


warn_seldom = _Seldom(first=20)
