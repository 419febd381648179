"""DistAlgo's one channel: TCP, reliable and in order between two processes for as long as both live.

What the stock TCP channel gets wrong comes of its shape.  One connection served both directions, so two processes that
connected to each other at once dropped each other's connection, with the messages in it; the handshake blocked the
thread that serves everybody; threads that sent to one peer mixed their bytes.  And by default messages went by UDP,
which loses them.  A channel that promises nothing may as well be reliable, so there is no other channel here.

- A process sends on connections that it opened itself, and only reads from those that it accepted.
- A connection begins with a mutual proof of the cookie (see `handshake`); then come frames of a length and a message.
- `send` writes at once what the system takes; the rest waits, up to a limit, for the network thread to write it.  A
  receiver that stands still delays nobody else.
- The socket listens before the process that owns it is forked, so nobody's first message comes too early.
"""

import collections
import contextlib
import logging
import random
import selectors
import socket
import struct
import threading
import time
import weakref

from da import common
from da.transport import base, sock

from dacurrent import handshake
from dacurrent.limited import LimitedLog

BACKLOG = 1_024
BIND_ATTEMPTS = 100
CONNECT_LIMIT_S = 10.0
CONNECT_PAUSE_S = 5.0  # after a peer did not answer in time, before it is tried again
REFUSED_ATTEMPTS = 20  # where the sender asked for more than one
REFUSED_PAUSE_S = 0.05
PENDING_LIMIT = 64  # connections that have not proved their cookie yet
PENDING_LIMIT_S = 10.0
CONNECTION_LIMIT = 4_096
OUTBOX_LIMIT_BYTES = 64 * 1024 * 1024  # for each peer
SEND_LIMIT_S = 60.0  # for which a sender waits while an outbox is full
FLUSH_LIMIT_S = 5.0
RECEIVE_BYTES = 256 * 1024

_FRAME = struct.Struct(">I")
_SIZE_OPTION = "--message-buffer-size"

_log = LimitedLog(logging.getLogger("da.transport"))
_live = weakref.WeakSet()


class Link:
    """A connection that this process opened, or will open, to the process that listens at `target`."""

    def __init__(self, target):
        self.target = target
        self.room = threading.Condition()  # held by whoever writes; notified when the outbox shrinks
        self.sock = None
        self.limit_bytes = 0
        self.outbox = collections.deque()
        self.outbox_bytes = 0
        self.closed_until_s = 0.0


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
        self._links = {}
        self._links_lock = threading.Lock()
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
        self.mesgloop.ticks.append(self._tick)
        self.mesgloop.call(self._watch_listener)

    def close(self):
        """Hand over what still waits, within a limit, and close everything."""
        self._is_closed = True
        if self.mesgloop is None:
            if self.conn is not None:
                self.conn.close()
            return
        deadline_s = time.monotonic() + FLUSH_LIMIT_S
        with self._links_lock:
            links = list(self._links.values())
        for link in links:
            with link.room:
                link.room.wait_for(lambda link=link: not link.outbox, max(0.0, deadline_s - time.monotonic()))
                self._close_link(link, "this process ends")
        self.mesgloop.call(self._close_incoming)

    def _close_incoming(self):
        self.mesgloop.discard(self.conn)
        for inbound in list(self._inbound):
            self._drop(inbound)

    def abandon(self):
        """In a forked child: close the child's copies of the parent's sockets, so that their peers see them end."""
        for link in self._links.values():
            if link.sock is not None:
                link.sock.close()
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
        while end - start >= _FRAME.size:
            size = _FRAME.unpack_from(data, start)[0]
            if size > self.buffer_size:
                self._drop(
                    inbound, f"a message of {size} bytes, while {_SIZE_OPTION} is {self.buffer_size} here; none can follow"
                )
                return
            stop = start + _FRAME.size + size
            if stop > end:
                break
            self.queue.append((self, bytes(data[start + _FRAME.size : stop]), inbound.address))
            start = stop
        if data is inbound.buffer:
            del data[:start]
        elif start < end:
            inbound.buffer += data[start:]

    # -- what goes out, on the sender's thread

    def send(self, chunk, target, retry_refused_connections=False, **_):
        """Send the message `chunk` to the process that listens at `target` = (host, port).

        Raises a TransportException that says what is wrong: PacketSizeExceededException if the message is too large for
        either side, AuthenticationException if the other has another cookie.  A message that was taken may still be
        lost if the receiver ends; who must know has to be answered by it.
        """
        if target is None:
            raise base.NoTargetTransportException("the receiver has no address for this transport")
        if self._is_closed or self.mesgloop is None:
            raise base.InvalidTransportStateException("this process is ending, or has not begun")
        _check_size(len(chunk), self.buffer_size, "here")
        link = self._links.get(target)
        if link is None:
            with self._links_lock:
                link = self._links.setdefault(target, Link(target))
        frame = _FRAME.pack(len(chunk)) + chunk
        with link.room:
            is_new = link.sock is None
            if is_new:
                self._open(link, retry_refused_connections)
            try:
                self._write(link, frame)
            except OSError:
                # It ended since the last message.  A process that listens at the same address may still be there.
                self._close_link(link, "the connection ended")
                if is_new:
                    raise base.TransportException(f"the connection to {_name(target)} ended") from None
                self._open(link, False)
                self._write(link, frame)

    def _write(self, link, frame):
        _check_size(len(frame) - _FRAME.size, link.limit_bytes, f"at {_name(link.target)}")
        if link.outbox:
            self._await_room(link, len(frame))
            sent = 0
        else:
            try:
                sent = link.sock.send(frame)
            except BlockingIOError:
                sent = 0
        if sent < len(frame):
            link.outbox.append(memoryview(frame)[sent:])
            link.outbox_bytes += len(frame) - sent
            if len(link.outbox) == 1:
                self.mesgloop.call(self._watch_link, link, link.sock)

    def _await_room(self, link, size):
        def has_room():
            return link.sock is None or link.outbox_bytes + size <= OUTBOX_LIMIT_BYTES

        if not link.room.wait_for(has_room, SEND_LIMIT_S):
            self._close_link(link, f"it has taken nothing for {SEND_LIMIT_S:g} s")
            link.closed_until_s = time.monotonic() + CONNECT_PAUSE_S
        if link.sock is None:
            raise base.TransportException(f"the connection to {_name(link.target)} was given up")

    def _open(self, link, is_patient):
        """Connect `link`, whose lock is held."""
        if time.monotonic() < link.closed_until_s:
            raise base.TransportException(f"{_name(link.target)} did not answer of late")
        for attempt in range(REFUSED_ATTEMPTS if is_patient else 1):
            if attempt:
                time.sleep(REFUSED_PAUSE_S)
            try:
                connection = self._connect(link)
                break
            except TimeoutError:
                link.closed_until_s = time.monotonic() + CONNECT_PAUSE_S
                raise base.TransportException(
                    f"{_name(link.target)} did not answer within {CONNECT_LIMIT_S:g} s"
                ) from None
            except OSError as error:
                problem = error
        else:
            raise base.TransportException(f"nobody answers at {_name(link.target)}: {problem}") from problem
        connection.setblocking(False)
        link.sock = connection
        self.mesgloop.call(self._watch_link, link, connection)

    def _connect(self, link):
        """A connection over which both sides have proved their cookie.  Raises OSError or AuthenticationException."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_LIMIT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # From the address that others know this node by: it may have more than one.
            connection.bind((self.hostname, 0))
            connection.connect(link.target)
            if connection.getsockname() == link.target:
                raise ConnectionRefusedError("only this very connection is at that port")
            link.limit_bytes = self._introduce(connection, link.target)
        except BaseException as error:
            connection.close()
            if isinstance(error, handshake.HandshakeError):
                raise base.AuthenticationException(f"{_name(link.target)}: {error}") from None
            raise
        return connection

    def _introduce(self, connection, target):
        ours = handshake.hello(self.port, self.buffer_size)
        connection.sendall(ours)
        theirs = _receive(connection, handshake.HELLO_BYTES)
        _port, limit_bytes = handshake.read_hello(theirs)
        connection.sendall(handshake.proof(self.authkey, b"sender", ours, theirs))
        answer = _receive(connection, handshake.PROOF_BYTES)
        if not handshake.is_proof(answer, self.authkey, b"receiver", ours, theirs):
            raise handshake.HandshakeError("it has another cookie; give all nodes the same --cookie")
        if limit_bytes != self.buffer_size:
            text = "%s is %d here and %d at %s; give all nodes the same"
            _log.log(logging.WARNING, "size", text, _SIZE_OPTION, self.buffer_size, limit_bytes, _name(target))
        return limit_bytes

    def _close_link(self, link, why):
        """Close `link`, whose lock is held, and tell of what is lost."""
        if link.sock is None:
            return
        if link.outbox:
            text = "%d messages to %s are lost: %s"
            _log.log(logging.ERROR, "lost", text, len(link.outbox), _name(link.target), why)
        self.mesgloop.call(self.mesgloop.discard, link.sock)
        link.sock = None
        link.outbox.clear()
        link.outbox_bytes = 0
        link.room.notify_all()

    # -- the sender's connections, on the network thread

    def _watch_link(self, link, connection):
        if link.sock is connection:
            self.mesgloop.watch(connection, lambda events: self._serve(link, connection, events), bool(link.outbox))

    def _serve(self, link, connection, events):
        # Not to wait for a sender: it may be connecting anew.  The event will come again.
        if link.sock is not connection or not link.room.acquire(blocking=False):
            return
        try:
            try:
                if events & selectors.EVENT_READ:
                    # Nothing is ever sent in this direction, so this is the end of the connection.
                    with contextlib.suppress(BlockingIOError):
                        connection.recv(1)
                        self._close_link(link, "the receiver has ended")
                        return
                while link.outbox:
                    data = link.outbox[0]
                    sent = connection.send(data)
                    link.outbox_bytes -= sent
                    if sent < len(data):
                        link.outbox[0] = data[sent:]
                        break
                    link.outbox.popleft()
            except BlockingIOError:
                pass
            except OSError as error:
                self._close_link(link, str(error))
            link.room.notify_all()
            self._watch_link(link, connection)
        finally:
            link.room.release()


def _check_size(size, limit_bytes, where):
    if size > limit_bytes:
        raise base.PacketSizeExceededException(
            f"a message of {size} bytes does not fit: {_SIZE_OPTION} is {limit_bytes} {where}; "
            f"give all nodes {_SIZE_OPTION} {size} or more"
        )


def _name(address):
    return f"{address[0]}:{address[1]}"


def _receive(connection, count):
    """Exactly `count` bytes, within the limit that a handshake has."""
    deadline_s = time.monotonic() + CONNECT_LIMIT_S
    data = b""
    while len(data) < count:
        connection.settimeout(max(0.001, deadline_s - time.monotonic()))
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionResetError("the connection was closed during the handshake")
        data += more
    return data


def abandon_inherited(own):
    """In a forked child: let go of the sockets of all transports but those in `own`."""
    for transport in list(_live):
        if transport not in own:
            transport.abandon()
            _live.discard(transport)
