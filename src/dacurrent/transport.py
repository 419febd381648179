"""DistAlgo's one channel: TCP, reliable and in order between two processes for as long as both live.

What the stock TCP channel gets wrong comes of its shape.  One connection served both directions, so two processes that
connected to each other at once dropped each other's connection, with the messages in it; the handshake blocked the
thread that serves everybody; threads that sent to one peer mixed their bytes.  And by default messages went by UDP,
which loses them.  A channel that promises nothing may as well be reliable, so there is no other channel here.

- A process sends on connections that it opened itself, and only reads from those that it accepted.
- A connection begins with a mutual proof of the cookie and of both identities (see `handshake`); then come frames, each
  with a code by which the receiver knows that it is the next one of this very sender.
- `send` waits for the receiver neither to answer nor to read (see `links`).  One that stands still delays nobody.
- The socket listens before the process that owns it is forked, so nobody's first message comes too early.
"""

from __future__ import annotations

import collections
import functools
import logging
import os
import random
import socket
import time
import weakref
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from da import common
from da.transport import base, sock

from dacurrent import frames, handshake, links, origins, sockets
from dacurrent.limited import PROVOKED, LimitedLog

if TYPE_CHECKING:
    from dacurrent.sockets import Address
    from dacurrent.tls import HostCertificates, TlsSocket

BACKLOG = 1_024
BIND_ATTEMPTS = 100
PENDING_LIMIT = 64  # connections that have not proved their cookie yet
PENDING_LIMIT_S = 10.0
CONNECTION_LIMIT = 4_096
FLUSH_LIMIT_S = 5.0
# Of what one peer has sent, and what all have: beyond it no more is read until the process has taken some.
PEER_LIMIT_BYTES = 16 * 1024 * 1024
ALL_LIMIT_BYTES = 256 * 1024 * 1024
# Of all frames that are not whole yet; beyond it the one that has not moved on for the longest goes, with its connection.
UNFINISHED_LIMIT_BYTES = 64 * 1024 * 1024
MESSAGE_BYTES = 400  # what a message takes in memory beside its content
FULL_PAUSE_S = 0.02
HEAD_BYTES, CODE_BYTES = frames.FRAME.size, handshake.CODE_BYTES
unpack_size = frames.FRAME.unpack_from
RECEIVE_BYTES = 64 * 1024
RECEIVE_LIMIT_BYTES = 1024 * 1024  # at once, where so much of a message is still to come
LARGE_BYTES = 8 * 1024  # what is dearer to copy than to look at where it stands

_log = LimitedLog(logging.getLogger("da.transport"), allowance=PROVOKED)
_live: weakref.WeakSet[TcpTransport] = weakref.WeakSet()
identities: dict[int, bytes] = {}  # port -> the public key of the transport that was made last for it here


class Inbound:
    """A connection that this process accepted: a stranger's, until it has proved its cookie."""

    def __init__(self, connection: socket.socket, address: Address) -> None:
        self.sock = connection
        self.address = address
        self.origin: origins.Origin | None = None  # who it is, when it has said so
        self.since_s = time.monotonic()
        self.parts: list[bytes] = []  # what has arrived of what is not whole yet
        self.size = 0
        self.needed = handshake.HELLO_BYTES  # until the next thing is whole
        self.identity: bytes | None = None  # the public key that it says it is
        self.greeting: bytes | None = None  # when the HELLOs have been exchanged
        self.seal: handshake.Seal | None = None
        self.is_peer = False
        self.is_probe = False
        self.untaken_bytes = 0  # of what it sent and the process has not taken


class TcpTransport(sock.SocketTransport):
    """The transport that is registered with DistAlgo in place of its own two."""

    slot_index = 0
    capabilities = ~(base.ChannelCaps.FIFO | base.ChannelCaps.RELIABLE | base.ChannelCaps.INTERHOST)
    data_offset = 0

    def __init__(self, authkey: bytes) -> None:
        super().__init__(authkey)
        self.links: links.Links | None = None
        self.identity = handshake.Identity()
        self.certificates: HostCertificates | None = None
        self._inbound: set[Inbound] = set()
        self._strangers: set[Inbound] = set()  # of these, those that have not proved their cookie yet
        self._is_paused = False
        self._is_closed = False
        self._passed_on = 0  # messages, in all
        self._untaken: collections.deque[tuple[int, Inbound, int]] = (
            collections.deque()
        )  # (number of the last message, connection, bytes), for each time something was read
        self._untaken_bytes = 0
        self._unfinished: dict[Inbound, int] = {}  # bytes of a frame that is not whole yet; in the order in which they began
        self._unfinished_bytes = 0
        self.on_peer_lost: Callable[[Address], object] | None = None  # called with the address of a peer whose connection has ended
        _live.add(self)

    # -- beginning and end

    def initialize(
        self,
        hostname: str | None = None,
        port: int | None = None,
        strict: bool = False,
        linear: bool = False,
        pipe: Any = None,
        **_: Any,
    ) -> None:
        """Bind and listen: at `port`, at the ports behind it (`linear`), or at a random one; with `strict` at `port` only.

        Raises BindingException naming the address.
        """
        base.Transport.initialize(self, hostname=hostname)
        self.buffer_size = common.get_runtime_option("message_buffer_size")
        if pipe is not None:
            from multiprocessing.reduction import recv_handle

            self.conn = socket.socket(fileno=recv_handle(pipe))
            self.identity = pipe.recv()
        else:
            self.conn = self._listen(port, strict, linear)
        self.conn.setblocking(False)
        self.port = self.conn.getsockname()[1]
        identities[self.port] = self.identity.public

    def serialize(self, pipe: Any, pid: int) -> None:
        super().serialize(pipe, pid)
        pipe.send(self.identity)

    def _listen(self, port: int | None, strict: bool, linear: bool) -> socket.socket:
        lowest, highest = common.get_runtime_option("min_port", 10_000), common.get_runtime_option("max_port", 65_535)
        attempts = 1 if strict else BIND_ATTEMPTS
        for attempt in range(attempts):
            if attempt == 0 and port is not None:
                candidate = port
            elif linear and port is not None:
                candidate = port + attempt
            else:
                candidate = random.randint(lowest, highest)
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                if port is not None and not common.get_runtime_option("tcp_dont_reuse_addr", False):
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((self.hostname, candidate))
                listener.listen(BACKLOG)
                return listener
            except OSError as error:
                listener.close()
                problem = error
        raise base.BindingException(f"cannot listen at {self.hostname}:{candidate}: {problem}")

    def start(self, queue: Any, mesgloop: Any = None) -> None:
        super().start(queue, mesgloop)
        host = socket.gethostbyname(self.hostname)
        self.certificates = _certificates_here()
        self.links = links.Links(host, self.port, self.buffer_size, self.authkey, self.mesgloop, self.identity, self.certificates)
        self.mesgloop.ticks.append(self._tick)
        self.mesgloop.flush = self.links.flush
        self.mesgloop.call(self._watch_listener)

    def close(self) -> None:
        """Hand over what still waits, within a limit, and close everything."""
        self._is_closed = True
        if self.mesgloop is None:
            if self.conn is not None:
                self.conn.close()
            self.identity.forget()  # it was made for a child, which has it
            return
        if self.links is not None:
            self.links.close(FLUSH_LIMIT_S)
        self.mesgloop.call(self._close_incoming)

    def _close_incoming(self) -> None:
        self.mesgloop.discard(self.conn)
        for inbound in list(self._inbound):
            self._drop(inbound)

    def abandon(self) -> None:
        """In a forked child: close the child's copies of the parent's sockets, so that their peers see them end."""
        self.identity.forget()
        if self.links is not None:
            self.links.abandon()
        for inbound in list(self._inbound):
            inbound.sock.close()
        if self.conn is not None:
            self.conn.close()
        if self.mesgloop is not None:
            self.mesgloop.abandon()

    # -- what comes in, on the network thread

    def _watch_listener(self) -> None:
        self.mesgloop.watch(self.conn, self._accept)

    def _tick(self) -> None:
        overdue_s = time.monotonic() - PENDING_LIMIT_S
        for inbound in [each for each in self._strangers if each.since_s < overdue_s]:
            self._drop(inbound, f"no proof of the cookie within {PENDING_LIMIT_S:g} s")
        if self._is_paused and not self._is_closed:
            self._is_paused = False
            self._watch_listener()

    def _accept(self, _events: int) -> None:
        try:
            connection, address = self.conn.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of descriptors: asked again at once it would only say so again.
            _log.log(logging.ERROR, "accept", "Cannot accept a connection: %s", error)
            self._is_paused = True
            self.mesgloop.forget(self.conn)
            return
        if len(self._inbound) >= CONNECTION_LIMIT:
            _log.log(logging.ERROR, "many", "A connection is refused: there are %d already", CONNECTION_LIMIT)
            connection.close()
            return
        if len(self._strangers) >= PENDING_LIMIT:
            self._make_place()
        connection.setblocking(False)
        if self.certificates is not None:
            try:
                connection = self.certificates.accepted(connection)
            except OSError as error:  # it has gone already, or the certificates have
                _log.log(logging.WARNING, "tls", "A connection is closed before TLS begins: %s", error)
                connection.close()
                return
        inbound = Inbound(connection, address)
        self._inbound.add(inbound)
        self._strangers.add(inbound)
        if self.certificates is not None:
            self.mesgloop.watch(connection, functools.partial(self._secure, inbound))
            return
        self._read_first(inbound)
        if inbound in self._inbound:
            self.mesgloop.watch(connection, functools.partial(self._read, inbound))

    def _read_first(self, inbound: Inbound) -> None:
        """What has come with the connection: who begins with nothing of ours is dropped before its socket is watched."""
        try:
            self._read(inbound)
        except Exception:
            self._drop(inbound)  # here, for an error that leaves this closes the socket that is listened at
            _log.log(logging.ERROR, "first", "A connection is closed", exc_info=True)

    def _secure(self, inbound: Inbound, _events: int = 0) -> None:
        """Go on with the handshake of TLS; when it is done, what arrives is read as on any connection."""
        connection = cast("TlsSocket", inbound.sock)
        try:
            connection.do_handshake()
            self._demand_certified(inbound, connection)
        except BlockingIOError:
            self.mesgloop.watch(connection, functools.partial(self._secure, inbound), connection.waits_to_write)
        except handshake.HandshakeError as error:
            self._drop(inbound, str(error))
        except OSError:
            self._drop(inbound)
        else:
            self.mesgloop.watch(connection, functools.partial(self._read, inbound))
            self._read(inbound)

    @staticmethod
    def _demand_certified(inbound: Inbound, connection: TlsSocket) -> None:
        try:
            connection.demand_address(inbound.address[0])
        except handshake.HandshakeError:
            connection.send(handshake.REFUSED_HELLO)  # else it would come again and again
            raise

    def _make_place(self) -> None:
        """Drop one stranger: any, for who could tell which would go could drive out an honest one each time.

        Those that have said nothing go first; an honest one says HELLO at once.
        """
        silent = [each for each in self._strangers if each.greeting is None]
        chosen = random.choice(silent or list(self._strangers))
        self._drop(chosen, "too many connections that have not proved their cookie")

    def _drop(self, inbound: Inbound, why: str | None = None) -> None:
        if inbound in self._inbound:
            self._inbound.discard(inbound)
            self._strangers.discard(inbound)
            self._unfinished_bytes -= self._unfinished.pop(inbound, 0)
            self.mesgloop.discard(inbound.sock)
            if why is not None:
                _log.log(logging.WARNING, "drop", "Connection from %s:%d closed: %s", *inbound.address, why)

    def _read(self, inbound: Inbound, _events: int = 0) -> None:
        try:
            data = inbound.sock.recv(max(RECEIVE_BYTES, min(inbound.needed - inbound.size, RECEIVE_LIMIT_BYTES)))
        except BlockingIOError:
            return
        except (OSError, handshake.HandshakeError):
            data = b""
        if not data:
            self._drop(inbound)
            if inbound.is_peer and not inbound.is_probe and self.on_peer_lost is not None:
                self.on_peer_lost(inbound.address)
            return
        if inbound.parts or not inbound.is_peer:
            joined = self._joined(inbound, data)
            if joined is None:
                self._note_unfinished(inbound)
                return
            data = joined
        try:
            start = 0 if inbound.is_peer else self._shake_hands(inbound, data)
            if inbound.is_peer:
                start = self._take_frames(inbound, data, start)
        except handshake.HandshakeError as error:
            self._drop(inbound, str(error))
        except OSError as error:
            self._drop(inbound, f"during the handshake: {error}")
        else:
            if start < len(data):
                inbound.parts, inbound.size = [data[start:]], len(data) - start
            if inbound.size or inbound in self._unfinished:
                if start:  # something of it was whole, so it moves on
                    self._unfinished_bytes -= self._unfinished.pop(inbound, 0)
                self._note_unfinished(inbound)

    def _note_unfinished(self, inbound: Inbound) -> None:
        self._unfinished_bytes += inbound.size - self._unfinished.get(inbound, 0)
        self._unfinished[inbound] = inbound.size
        if not inbound.size:
            del self._unfinished[inbound]
        while self._unfinished_bytes > max(UNFINISHED_LIMIT_BYTES, 4 * self.buffer_size):
            self._drop(next(iter(self._unfinished)), "too much has come of messages that are not whole, and this one does not move on")

    def _joined(self, inbound: Inbound, data: bytes) -> bytes | None:
        """All that has arrived with this, and of which nothing is kept then; None while it is too little."""
        inbound.parts.append(data)
        inbound.size += len(data)
        if inbound.size < inbound.needed and (inbound.is_peer or inbound.greeting is not None):
            return None
        data = b"".join(inbound.parts)
        inbound.parts, inbound.size = [], 0
        return data

    def _shake_hands(self, inbound: Inbound, data: bytes) -> int:
        """Go as far as what has arrived allows; returns where the rest begins."""
        at = 0
        if inbound.greeting is None:
            if not handshake.is_beginning(data):
                raise handshake.HandshakeError("it does not speak this protocol")
            if len(data) < handshake.HELLO_BYTES:
                return 0
            at = handshake.HELLO_BYTES
            self._be_greeted(inbound, data[:at])
            inbound.needed = handshake.PROOF_BYTES
        if len(data) - at < handshake.PROOF_BYTES:
            return at
        assert inbound.greeting is not None and inbound.identity is not None  # they have come with its HELLO
        given, at = data[at : at + handshake.PROOF_BYTES], at + handshake.PROOF_BYTES
        if not handshake.is_proof(given, inbound.greeting, b"sender"):
            inbound.sock.send(handshake.REFUSED)
            raise handshake.HandshakeError("it has another cookie; give all nodes the same --cookie")
        key = handshake.connection_key(inbound.greeting, self.identity.shared_with(inbound.identity))
        inbound.sock.send(handshake.proof(key, b"receiver"))
        sockets.notice_silence(inbound.sock)
        inbound.seal = handshake.Seal(key)
        inbound.origin = origins.Origin(inbound.address, inbound.identity)
        inbound.is_peer = True
        self._strangers.discard(inbound)
        return at

    def _be_greeted(self, inbound: Inbound, data: bytes) -> None:
        theirs = handshake.Hello.decode(data)
        own = inbound.sock.getsockname()
        # Which port it listens at, it alone can say; its host is known from the connection.
        theirs.demand_for(own, (inbound.address[0], theirs.own[1]), self.identity.public)
        inbound.address, inbound.identity = theirs.own, theirs.identity
        inbound.is_probe = theirs.purpose == handshake.PROBE
        ours = handshake.Hello(own, theirs.own, self.identity.public, self.buffer_size).encode()
        inbound.greeting = handshake.greeting_of(self.authkey, data, ours)
        inbound.sock.send(ours)

    def _take_frames(self, inbound: Inbound, data: bytes, start: int) -> int:
        """Pass on the messages of every whole frame in `data`; returns where the rest begins."""
        end, count, limit_bytes = len(data), 0, self.buffer_size
        assert inbound.seal is not None  # it is a peer's
        origin, pass_on, open_next = inbound.origin, self.queue.append, inbound.seal.open
        while end - start >= HEAD_BYTES:
            (size,) = unpack_size(data, start)
            kind = size >> 31  # 1: it is one message
            size &= ~frames.ONE
            if size > limit_bytes + frames.FRAME_LIMIT_BYTES:
                raise handshake.HandshakeError(self._too_large(size))
            at = start + HEAD_BYTES
            stop = at + size
            if stop + CODE_BYTES > end:
                inbound.needed = stop + CODE_BYTES - start
                break
            closed = data[at : stop + CODE_BYTES] if size < LARGE_BYTES else memoryview(data)[at : stop + CODE_BYTES]
            body = open_next(closed, kind)
            if body is None:
                raise handshake.HandshakeError("a frame is not the next one that its sender made")
            if kind:
                if size > limit_bytes:
                    raise handshake.HandshakeError(self._too_large(size))
                pass_on((self, body, origin))
                count += 1
            within = size if kind else 0
            while within < size:
                begin = within + HEAD_BYTES
                within = begin + unpack_size(body, within)[0] if begin <= size else begin
                if within > size:
                    raise handshake.HandshakeError("a frame is malformed")
                if within - begin > limit_bytes:
                    raise handshake.HandshakeError(self._too_large(within - begin))
                pass_on((self, body[begin:within], origin))
                count += 1
            start = stop + CODE_BYTES
        else:
            inbound.needed = HEAD_BYTES
        if count:
            self._note_untaken(inbound, count, start + MESSAGE_BYTES * count)
        return start

    # What waits in memory for a process that is slower than its peers is bounded for each of them, so that one that
    # sends without end holds up itself and nobody else.

    def _note_untaken(self, inbound: Inbound, count: int, size: int) -> None:
        self._passed_on += count
        self._untaken.append((self._passed_on, inbound, size))
        inbound.untaken_bytes += size
        self._untaken_bytes += size
        if inbound.untaken_bytes < PEER_LIMIT_BYTES // 2 and self._untaken_bytes < ALL_LIMIT_BYTES // 2:
            return  # it is not counted each time
        self._count_taken()
        if not self._has_room(inbound):
            self.mesgloop.forget(inbound.sock)
            self.mesgloop.later(FULL_PAUSE_S, self._read_on, inbound)

    def _count_taken(self) -> None:
        taken = self._passed_on - len(self.queue)
        while self._untaken and self._untaken[0][0] <= taken:
            _, inbound, size = self._untaken.popleft()
            inbound.untaken_bytes -= size
            self._untaken_bytes -= size

    def _has_room(self, inbound: Inbound) -> bool:
        return inbound.untaken_bytes <= PEER_LIMIT_BYTES and self._untaken_bytes <= ALL_LIMIT_BYTES

    def _read_on(self, inbound: Inbound) -> None:
        if inbound not in self._inbound:
            return
        self._count_taken()
        if self._has_room(inbound):
            self.mesgloop.watch(inbound.sock, functools.partial(self._read, inbound))
        else:
            self.mesgloop.later(FULL_PAUSE_S, self._read_on, inbound)

    def _too_large(self, size: int) -> str:
        return f"a message of {size} bytes, while {frames.SIZE_OPTION} is {self.buffer_size} here; none can follow"

    # -- what goes out, on the sender's thread

    def send(
        self, chunk: bytes, target: Address | None, retry_refused_connections: bool = False, is_answer: bool = False, **_: Any
    ) -> None:
        """Send the message `chunk` to the process that listens at `target` = (host, port): see `links.Links.send`."""
        if target is None:
            raise base.NoTargetTransportException("the receiver has no address for this transport")
        if self._is_closed or self.links is None:
            raise base.InvalidTransportStateException("this process is ending, or has not begun")
        self.links.send(chunk, target, retry_refused_connections, is_answer)


def abandon_inherited(own: Collection[Any]) -> None:
    """In a forked child: let go of the sockets of all transports but those in `own`."""
    for transport in list(_live):
        if transport not in own:
            transport.abandon()
            _live.discard(transport)


def _certificates_here() -> HostCertificates | None:
    """Those of this host, where the environment names their folder; elsewhere nothing of TLS is loaded."""
    folder = os.environ.get(handshake.TLS_FOLDER_VARIABLE)
    if not folder:
        return None
    from dacurrent.tls import HostCertificates

    return HostCertificates(Path(folder))
