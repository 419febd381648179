"""DistAlgo's one channel: TCP, reliable and in order between two processes for as long as both live.

What the stock TCP channel gets wrong comes of its shape.  One connection served both directions, so two processes that
connected to each other at once dropped each other's connection, with the messages in it; the handshake blocked the
thread that serves everybody; threads that sent to one peer mixed their bytes.  And by default messages went by UDP,
which loses them.  A channel that promises nothing may as well be reliable, so there is no other channel here.

- A process sends on connections that it opened itself, and only reads from those that it accepted.
- A connection begins with a mutual proof of the cookie (see `handshake`); then come frames of a length and a message.
- `send` waits for the receiver neither to read nor, but for its first message, to answer (see `links`).  A receiver
  that stands still delays nobody else.
- The socket listens before the process that owns it is forked, so nobody's first message comes too early.
"""

import logging
import random
import socket
import time
import weakref

from da import common
from da.transport import base, sock

from dacurrent import handshake, links
from dacurrent.limited import LimitedLog

BACKLOG = 1_024
BIND_ATTEMPTS = 100
PENDING_LIMIT = 64  # connections that have not proved their cookie yet
PENDING_LIMIT_S = 10.0
CONNECTION_LIMIT = 4_096
FLUSH_LIMIT_S = 5.0
RECEIVE_BYTES = 256 * 1024

_log = LimitedLog(logging.getLogger("da.transport"))
_live = weakref.WeakSet()


class Inbound:
    """A connection that this process accepted: a stranger's, until it has proved its cookie."""

    def __init__(self, connection, address):
        self.sock = connection
        self.address = address
        self.since_s = time.monotonic()
        self.buffer = bytearray()
        self.hellos = None
        self.is_peer = False


class TcpTransport(sock.SocketTransport):
    """The transport that is registered with DistAlgo in place of its own two."""

    slot_index = 0
    capabilities = ~(base.ChannelCaps.FIFO | base.ChannelCaps.RELIABLE | base.ChannelCaps.INTERHOST)
    data_offset = 0

    def __init__(self, authkey):
        super().__init__(authkey)
        self.links = None
        self._inbound = set()
        self._pending = 0
        self._is_paused = False
        self._is_closed = False
        self.on_peer_lost = None  # called with the address of a peer whose connection has ended
        _live.add(self)

    # -- beginning and end

    def initialize(self, hostname=None, port=None, strict=False, linear=False, pipe=None, **_):
        """Bind and listen: at `port`, at the ports behind it (`linear`), or at a random one; with `strict` at `port` only.

        Raises BindingException naming the address.
        """
        base.Transport.initialize(self, hostname=hostname)
        self.buffer_size = common.get_runtime_option("message_buffer_size")
        if pipe is not None:
            from multiprocessing.reduction import recv_handle

            self.conn = socket.socket(fileno=recv_handle(pipe))
        else:
            self.conn = self._listen(port, strict, linear)
        self.conn.setblocking(False)
        self.port = self.conn.getsockname()[1]

    def _listen(self, port, strict, linear):
        lowest, highest = common.get_runtime_option("min_port", 10_000), common.get_runtime_option("max_port", 65_535)
        attempts = 1 if strict else BIND_ATTEMPTS
        for attempt in range(attempts):
            if attempt == 0 and port is not None:
                candidate = port
            elif linear:
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

    def start(self, queue, mesgloop=None):
        super().start(queue, mesgloop)
        self.links = links.Links(self.hostname, self.port, self.buffer_size, self.authkey, self.mesgloop)
        self.mesgloop.ticks.append(self._tick)
        self.mesgloop.flush = self.links.flush
        self.mesgloop.call(self._watch_listener)

    def close(self):
        """Hand over what still waits, within a limit, and close everything."""
        self._is_closed = True
        if self.mesgloop is None:
            if self.conn is not None:
                self.conn.close()
            return
        self.links.close(FLUSH_LIMIT_S)
        self.mesgloop.call(self._close_incoming)

    def _close_incoming(self):
        self.mesgloop.discard(self.conn)
        for inbound in list(self._inbound):
            self._drop(inbound)

    def abandon(self):
        """In a forked child: close the child's copies of the parent's sockets, so that their peers see them end."""
        if self.links is not None:
            self.links.abandon()
        for inbound in list(self._inbound):
            inbound.sock.close()
        if self.conn is not None:
            self.conn.close()
        if self.mesgloop is not None:
            self.mesgloop.abandon()

    # -- what comes in, on the network thread

    def _watch_listener(self):
        self.mesgloop.watch(self.conn, self._accept)

    def _tick(self):
        overdue_s = time.monotonic() - PENDING_LIMIT_S
        for inbound in [each for each in self._inbound if not each.is_peer and each.since_s < overdue_s]:
            self._drop(inbound, f"no proof of the cookie within {PENDING_LIMIT_S:g} s")
        if self._is_paused and not self._is_closed:
            self._is_paused = False
            self._watch_listener()

    def _accept(self, _events):
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
        if self._pending >= PENDING_LIMIT:
            oldest = min((each for each in self._inbound if not each.is_peer), key=lambda each: each.since_s)
            self._drop(oldest, "too many connections that have not proved their cookie")
        connection.setblocking(False)
        inbound = Inbound(connection, address)
        self._inbound.add(inbound)
        self._pending += 1
        self.mesgloop.watch(connection, lambda _events: self._read(inbound))

    def _drop(self, inbound, why=None):
        if inbound in self._inbound:
            self._inbound.discard(inbound)
            self._pending -= not inbound.is_peer
            self.mesgloop.discard(inbound.sock)
            if why is not None:
                _log.log(logging.WARNING, "drop", "Connection from %s:%d closed: %s", *inbound.address, why)

    def _read(self, inbound):
        try:
            data = inbound.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(inbound)
            if inbound.is_peer and self.on_peer_lost is not None:
                self.on_peer_lost(inbound.address)
            return
        if inbound.buffer or not inbound.is_peer:
            inbound.buffer += data
            data = inbound.buffer
        try:
            if not inbound.is_peer:
                self._shake_hands(inbound)
            if inbound.is_peer:
                self._take_frames(inbound, data)
        except handshake.HandshakeError as error:
            self._drop(inbound, str(error))
        except OSError as error:
            self._drop(inbound, f"during the handshake: {error}")

    def _shake_hands(self, inbound):
        """Go as far as what has arrived allows."""
        buffer = inbound.buffer
        if inbound.hellos is None:
            if not handshake.is_beginning(buffer):
                raise handshake.HandshakeError("it does not speak this protocol")
            if len(buffer) < handshake.HELLO_BYTES:
                return
            theirs = bytes(buffer[: handshake.HELLO_BYTES])
            del buffer[: handshake.HELLO_BYTES]
            port, _limit_bytes = handshake.read_hello(theirs)
            inbound.address = (inbound.address[0], port)
            ours = handshake.hello(self.port, self.buffer_size)
            inbound.hellos = (theirs, ours)
            inbound.sock.send(ours)
        if len(buffer) < handshake.PROOF_BYTES:
            return
        given = bytes(buffer[: handshake.PROOF_BYTES])
        del buffer[: handshake.PROOF_BYTES]
        if not handshake.is_proof(given, self.authkey, b"sender", *inbound.hellos):
            inbound.sock.send(handshake.REFUSED)
            raise handshake.HandshakeError("it has another cookie; give all nodes the same --cookie")
        inbound.sock.send(handshake.proof(self.authkey, b"receiver", *inbound.hellos))
        inbound.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        inbound.is_peer = True
        self._pending -= 1

    def _take_frames(self, inbound, data):
        """Pass on every whole frame in `data`, and keep the rest."""
        start, end = 0, len(data)
        while end - start >= links.FRAME.size:
            size = links.FRAME.unpack_from(data, start)[0]
            if size > self.buffer_size:
                self._drop(
                    inbound, f"a message of {size} bytes, while {links.SIZE_OPTION} is {self.buffer_size} here; none can follow"
                )
                return
            stop = start + links.FRAME.size + size
            if stop > end:
                break
            self.queue.append((self, bytes(data[start + links.FRAME.size : stop]), inbound.address))
            start = stop
        if data is inbound.buffer:
            del data[:start]
        elif start < end:
            inbound.buffer += data[start:]

    # -- what goes out, on the sender's thread

    def send(self, chunk, target, retry_refused_connections=False, **_):
        """Send the message `chunk` to the process that listens at `target` = (host, port): see `links.Links.send`."""
        if target is None:
            raise base.NoTargetTransportException("the receiver has no address for this transport")
        if self._is_closed or self.links is None:
            raise base.InvalidTransportStateException("this process is ending, or has not begun")
        self.links.send(chunk, target, retry_refused_connections)



def abandon_inherited(own):
    """In a forked child: let go of the sockets of all transports but those in `own`."""
    for transport in list(_live):
        if transport not in own:
            transport.abandon()
            _live.discard(transport)
