"""The connections that a process opened, one for each process that it sends to.

`send` writes at once what the system takes; the rest waits, up to a limit, for the network thread to write it.  A thread
that calls `flush` before it waits is written for only then, so that what it sends in a row goes with one call of the
system (`gather`).  Nothing is ever sent in the other direction, so that something can be read there means that the
connection has ended.
"""

import collections
import contextlib
import logging
import selectors
import socket
import struct
import threading
import time

from da.transport import base

from dacurrent import handshake, logfiles
from dacurrent.limited import LimitedLog

CONNECT_LIMIT_S = 10.0
CONNECT_PAUSE_S = 5.0  # after a peer did not answer in time, before it is tried again
SEND_ATTEMPTS = 2
REFUSED_ATTEMPTS = 20  # where the sender asked for more than one
REFUSED_PAUSE_S = 0.05
GATHER_LIMIT_BYTES = 64 * 1024  # for each peer
OUTBOX_LIMIT_BYTES = 64 * 1024 * 1024  # for each peer
SEND_LIMIT_S = 60.0  # for which a sender waits while an outbox is full
SIZE_OPTION = "--message-buffer-size"
FRAME = struct.Struct(">I")

_log = LimitedLog(logging.getLogger("da.transport"))


class Link:
    """A connection that this process opened, or will open, to the process that listens at `target`."""

    def __init__(self, target):
        self.target = target
        self.room = threading.Condition()  # held by whoever writes; notified when the outbox shrinks
        self.sock = None
        self.limit_bytes = 0
        self.gathered = []  # frames that are to be written together
        self.gathered_bytes = 0
        self.outbox = collections.deque()
        self.outbox_bytes = 0
        self.closed_until_s = 0.0


class Links:
    """All links of one transport.

    `hostname` is the address to send from, `port` where the process itself listens; `limit_bytes` is the size of
    message that it takes; `loop` is its network thread.
    """

    def __init__(self, hostname, port, limit_bytes, cookie, loop):
        self.hostname = hostname
        self.port = port
        self.limit_bytes = limit_bytes
        self.cookie = cookie
        self._loop = loop
        self._links = {}
        self._lock = threading.Lock()
        self._gathering = None  # the thread that calls `flush` before it waits
        self._unflushed = collections.deque()  # links with gathered frames

    def to(self, target):
        """The link to the process that listens at `target`."""
        link = self._links.get(target)
        if link is None:
            with self._lock:
                link = self._links.setdefault(target, Link(target))
        return link

    def close(self, limit_s):
        """Hand over what still waits, within a limit, and close everything."""
        deadline_s = time.monotonic() + limit_s
        with self._lock:
            links = list(self._links.values())
        self.flush()
        self._loop.hand_over()
        for link in links:
            with link.room:
                link.room.wait_for(lambda link=link: not link.outbox, max(0.0, deadline_s - time.monotonic()))
                self._close(link, "this process ends")

    def abandon(self):
        """In a forked child: close the child's copies of the sockets."""
        for link in self._links.values():
            if link.sock is not None:
                link.sock.close()

    # -- what goes out, on the sender's thread

    def send(self, chunk, target, is_patient=False):
        """Send the message `chunk` to the process that listens at `target` = (host, port).

        Raises a TransportException that says what is wrong: PacketSizeExceededException if the message is too large for
        either side, AuthenticationException if the other has another cookie.  A message that was taken may still be
        lost if the receiver ends; who must know has to be answered by it.
        """
        size = len(chunk)
        if size > self.limit_bytes:
            raise _too_large(size, self.limit_bytes, "here")
        link = self._links.get(target) or self.to(target)
        with link.room:
            if link.sock is None:
                self._open(link, is_patient)
            if size > link.limit_bytes:
                raise _too_large(size, link.limit_bytes, f"at {_name(target)}")
            if not link.gathered:
                self._unflushed.append(link)
            link.gathered.append(FRAME.pack(size))
            link.gathered.append(chunk)
            link.gathered_bytes += FRAME.size + size
            if self._gathering != threading.get_ident() or link.gathered_bytes >= GATHER_LIMIT_BYTES:
                self._write_gathered(link)

    def gather(self, thread):
        """Write what the thread of this id sends only when it calls `flush`, or when there is much of it."""
        self._gathering = thread

    def flush(self):
        """Write what was gathered, and the process's own logs before it; what cannot be written is told in the log."""
        logfiles.flush()
        # The network thread neither connects nor waits for who does: the other side may wait for this thread in turn.
        is_patient = threading.get_ident() == self._gathering
        for _ in range(len(self._unflushed)):
            try:
                link = self._unflushed.popleft()
            except IndexError:  # another thread has written it
                return
            if not link.room.acquire(blocking=is_patient):
                self._unflushed.append(link)
                continue
            try:
                if link.sock is None and not is_patient:
                    self._unflushed.append(link)
                else:
                    self._write_gathered(link)
            except base.TransportException as error:
                _log.log(logging.WARNING, link.target, "Messages are not sent: %s", error)
            finally:
                link.room.release()

    def _write_gathered(self, link):
        data = b"".join(link.gathered)
        link.gathered.clear()
        link.gathered_bytes = 0
        if not data:
            return
        for _ in range(SEND_ATTEMPTS):
            if link.sock is None:
                self._open(link, is_patient=False)
            try:
                self._write(link, data)
                return
            except OSError:
                # It ended since the last message.  Who listens at that address now may take this one.
                self._close(link, "the connection ended")
        raise base.TransportException(f"the connection to {_name(link.target)} ended")

    def _write(self, link, data):
        if link.outbox:
            self._await_room(link, len(data))
            sent = 0
        else:
            try:
                sent = link.sock.send(data)
            except BlockingIOError:
                sent = 0
        if sent < len(data):
            link.outbox.append(memoryview(data)[sent:])
            link.outbox_bytes += len(data) - sent
            if len(link.outbox) == 1:
                self._loop.call(self._watch, link, link.sock)

    def _await_room(self, link, size):
        def has_room():
            return link.sock is None or link.outbox_bytes + size <= OUTBOX_LIMIT_BYTES

        if link.outbox_bytes + size > OUTBOX_LIMIT_BYTES:
            self._loop.hand_over()
        if not link.room.wait_for(has_room, SEND_LIMIT_S):
            self._close(link, f"it has taken nothing for {SEND_LIMIT_S:g} s")
            link.closed_until_s = time.monotonic() + CONNECT_PAUSE_S
        if link.sock is None:
            raise base.TransportException(f"the connection to {_name(link.target)} was given up")

    def _open(self, link, is_patient):
        """Connect `link`, whose lock is held."""
        self._loop.hand_over()  # the other side may be doing the same with this one
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
        self._loop.call(self._watch, link, connection)

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
        ours = handshake.hello(self.port, self.limit_bytes)
        connection.sendall(ours)
        theirs = receive(connection, handshake.HELLO_BYTES)
        _port, limit_bytes = handshake.read_hello(theirs)
        connection.sendall(handshake.proof(self.cookie, b"sender", ours, theirs))
        answer = receive(connection, handshake.PROOF_BYTES)
        if not handshake.is_proof(answer, self.cookie, b"receiver", ours, theirs):
            raise handshake.HandshakeError("it has another cookie; give all nodes the same --cookie")
        if limit_bytes != self.limit_bytes:
            text = "%s is %d here and %d at %s; give all nodes the same"
            _log.log(logging.WARNING, "size", text, SIZE_OPTION, self.limit_bytes, limit_bytes, _name(target))
        return limit_bytes

    def _close(self, link, why):
        """Close `link`, whose lock is held, and tell of what is lost."""
        if link.sock is None:
            return
        if link.outbox:
            text = "%d messages to %s are lost: %s"
            _log.log(logging.ERROR, "lost", text, len(link.outbox), _name(link.target), why)
        self._loop.call(self._loop.discard, link.sock)
        link.sock = None
        link.outbox.clear()
        link.outbox_bytes = 0
        link.room.notify_all()

    # -- the sender's connections, on the network thread

    def _watch(self, link, connection):
        if link.sock is connection:
            self._loop.watch(connection, lambda events: self._serve(link, connection, events), bool(link.outbox))

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
                        self._close(link, "the receiver has ended")
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
                self._close(link, str(error))
            link.room.notify_all()
            self._watch(link, connection)
        finally:
            link.room.release()


def _too_large(size, limit_bytes, where):
    return base.PacketSizeExceededException(
        f"a message of {size} bytes does not fit: {SIZE_OPTION} is {limit_bytes} {where}; "
        f"give all nodes {SIZE_OPTION} {size} or more"
    )


def _name(address):
    return f"{address[0]}:{address[1]}"


def receive(connection, count):
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
