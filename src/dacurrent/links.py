"""The connections that a process opened, one for each process that it sends to.

Nobody who sends waits for a connection: it is made on the network thread, and until it stands, messages queue, in order.
A peer that is there and does not answer, because it stands still or the network is cut, is tried again and again
behind the sender's back.  What a queue holds is bounded in messages and bytes; what does not fit is refused, told once
and counted.  `send` waits for room at a peer that reads, a moment at most, and never for one that does not.

`send` writes at once what the system takes; the rest waits for the network thread to write it.  A thread that calls
`flush` before it waits is written for only then, so that what it sends in a row goes as one frame (`gather`).  Nothing
is ever sent in the other direction, so that something can be read there means that the connection has ended.
"""

from __future__ import annotations

import collections
import errno
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

from da.transport import base

from dacurrent import handshake, logfiles
from dacurrent.frames import FRAME, GATHER_LIMIT_BYTES, ONE, SHORT_BYTES, SIZE_OPTION, frames_of, too_large
from dacurrent.limited import LimitedLog
from dacurrent.link import CONNECTING, GREETING, IDLE, PROVING, SECURING, UP, Link
from dacurrent.logs import ENDED_LOGS
from dacurrent.sockets import demand_address, name_of, notice_silence

if TYPE_CHECKING:
    from dacurrent.handshake import Identity
    from dacurrent.loop import SelectorLoop
    from dacurrent.sockets import Address
    from dacurrent.tls import HostCertificates

CONNECT_LIMIT_S = 10.0  # for a peer to answer; a queue is kept, and it is tried again
SILENT_PAUSE_S = 1.0  # before it is
BROKEN_ATTEMPTS = 400  # in 20 s, where a peer breaks off the handshake, as one that has too many to see to
BROKEN_PAUSE_S = 0.05
REFUSED_ATTEMPTS = 20  # where nobody listens, and the sender asked for more than one
REFUSED_PAUSE_S = 0.05
REFUSED_MEMORY_S = 1.0  # for which messages are refused at once after a connection was
OTHER_COOKIE_MEMORY_S = 5.0
ROOM_LIMIT_S = 0.5  # for which a message waits for room at a peer that has taken something within it
LOOK_PAUSE_S = 0.01
ANSWER_LINKS = 64  # to who was answered by this layer alone: whoever asks says itself where it listens
END_SILENCE_S = 1.0  # when this process ends: for a peer that takes nothing

_SILENCE = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)

_log = LimitedLog(logging.getLogger("da.transport"))
_ended_log = LimitedLog(logging.getLogger(ENDED_LOGS[1]))


class Links:
    """All links of one transport.

    `hostname` is the IPv4 address to send from, `port` where the process itself listens; `limit_bytes` is the size of
    message that it takes; `loop` is its network thread; `identity` is this transport's; with `certificates` all connections are TLS.
    """

    def __init__(
        self,
        hostname: str,
        port: int,
        limit_bytes: int,
        cookie: bytes,
        loop: SelectorLoop,
        identity: Identity,
        certificates: HostCertificates | None = None,
    ) -> None:
        self.hostname = hostname
        self.port = port
        self.limit_bytes = limit_bytes
        self.cookie = cookie
        self.identity = identity
        self.certificates = certificates
        self._loop = loop
        self._links: dict[Address, Link] = {}
        self._answering: dict[Address, Link] = {}  # those of them that nothing but answers was sent over
        self._lock = threading.Lock()
        self._gathering: int | None = None  # the thread that calls `flush` before it waits
        self._inbox: Sized | None = None  # what has come for it
        self._turn = 0  # how often it has flushed
        self._unflushed: collections.deque[Link] = collections.deque()  # links with messages to be written
        self._is_closed = False

    def to(self, target: Address) -> Link:
        """The link to the process that listens at `target`.  Raises NoTargetTransportException for no IPv4 address."""
        link = self._links.get(target)
        if link is None:
            demand_address(target)
            with self._lock:
                link = self._links.setdefault(target, Link(target))
        return link

    def _to_answer(self, target: Address) -> Link:
        """The link for an answer, which is closed when ANSWER_LINKS others have been answered: nobody makes this process hold more."""
        if target not in self._links:
            self._answering[target] = self.to(target)
            left = self._answering.pop(next(iter(self._answering)), None) if len(self._answering) > ANSWER_LINKS else None
            if left is not None:
                with left.lock:
                    self._links.pop(left.target, None)
                    left.is_retrying = False
                    self._disconnect(left)
                    self._tell_lost(left, "others have been answered since")
        return self.to(target)

    def close(self, limit_s: float) -> None:
        """Hand over what still waits to those who take it, within a limit, and close everything."""
        deadline_s = time.monotonic() + limit_s
        with self._lock:
            links = list(self._links.values())
        self.flush()
        self._loop.hand_over()
        for link in links:
            with link.lock:
                if link.stage == UP:  # a signal may have come when a message was taken, and before it was written
                    self._write_waiting(link)
                while link.queued() and time.monotonic() < min(deadline_s, link.moved_s + END_SILENCE_S):
                    link.room.wait(LOOK_PAUSE_S)
        self._is_closed = True
        for link in links:
            with link.lock:
                self._disconnect(link)
                self._tell_lost(link, "this process ends")

    def abandon(self) -> None:
        """In a forked child: close the child's copies of the sockets."""
        for link in self._links.values():
            if link.sock is not None:
                link.sock.close()

    # -- what goes out, on the sender's thread

    def send(self, chunk: bytes, target: Address, is_patient: bool = False, is_answer: bool = False) -> None:
        """Send the message `chunk` to the process that listens at `target` = (host, port).

        A message that was taken may still be lost, if the receiver ends or does not answer; who must know has to be
        answered by it.  Raises a TransportException that says what is wrong, as far as it is known:
        PacketSizeExceededException if the message is too large for either side, AuthenticationException if the other
        has another cookie.  With `is_patient` it is tried again for a second where nobody listens.  `is_answer`: its address may be made up.
        """
        size = len(chunk)
        if size > self.limit_bytes:
            raise too_large(size, self.limit_bytes, "here")
        if self._answering and not is_answer:
            self._answering.pop(target, None)  # the program has something to say there
        link = self._links.get(target) or (self._to_answer(target) if is_answer else self.to(target))
        is_urgent = False
        with link.lock:
            if link.stage != UP or link.outbox:
                self._prepare(link, size, is_patient)
            if size > link.limit_bytes and link.stage == UP:
                raise too_large(size, link.limit_bytes, f"at {name_of(target)}")
            link.waiting.append(chunk)
            link.waiting_bytes += size
            if link.stage != UP:
                return
            if self._gathering != threading.get_ident() or link.waiting_bytes >= GATHER_LIMIT_BYTES:
                self._write_waiting(link)
            elif len(link.waiting) == 1:
                is_urgent = self._inbox is not None and not self._inbox and link.hurried != self._turn
                link.hurried = self._turn
                if not is_urgent:
                    self._unflushed.append(link)
        if is_urgent:
            logfiles.flush()
            with link.lock:
                self._write_waiting(link)

    def _prepare(self, link: Link, size: int, is_patient: bool) -> None:
        """Let there be a connection, or one that is being made, and room for a message of this size."""
        if link.stage == IDLE and not link.is_retrying:
            self._demand_not_refused(link)
            link.refused_attempts = REFUSED_ATTEMPTS if is_patient else 1
            self._begin(link)
        if not link.has_room(size):
            self._await_room(link, size)

    def gather(self, thread: int | None, inbox: Sized | None = None) -> None:
        """Write what the thread of this id sends only when it calls `flush`, or when there is much of it.

        As long as nothing else has come for it, in `inbox`, the first message for each peer is written at once.
        """
        self._gathering = thread
        self._inbox = inbox

    def flush(self) -> None:
        """Write what was gathered, and the process's own logs before it."""
        self._turn += 1
        logfiles.flush()
        while self._unflushed:
            try:
                link = self._unflushed.popleft()
            except IndexError:  # another thread has written it
                return
            with link.lock:
                self._write_waiting(link)

    def connect(self, target: Address, limit_s: float = CONNECT_LIMIT_S) -> None:
        """Wait until the connection to `target` stands.  Not for threads that others wait for.

        Raises AuthenticationException if the other has another cookie, TransportException if nobody answers.
        """
        self._await_up(self.to(target), limit_s)

    def probe(self, target: Address, limit_s: float = CONNECT_LIMIT_S) -> int:
        """The same with a connection that is closed again: whether somebody is there *now*; the fingerprint of its identity."""
        demand_address(target)
        link = Link(target, handshake.PROBE)
        try:
            self._await_up(link, limit_s)
            return handshake.fingerprint(link.identity)
        finally:
            with link.lock:
                self._disconnect(link)

    def _await_up(self, link: Link, limit_s: float) -> None:
        deadline_s = time.monotonic() + limit_s
        self._loop.hand_over()
        with link.lock:
            if link.stage == IDLE and not link.is_retrying:
                self._demand_not_refused(link)
                link.refused_attempts = 1
                self._begin(link)
            while link.stage != UP:
                left_s = deadline_s - time.monotonic()
                if link.stage == IDLE and not link.is_retrying:
                    raise link.refusal or base.TransportException(f"no connection to {name_of(link.target)}")
                if left_s <= 0 or link.is_silent:
                    raise base.TransportException(f"{name_of(link.target)} does not answer")
                link.room.wait(left_s)

    def _demand_not_refused(self, link: Link) -> None:
        if link.refusal is not None and time.monotonic() < link.refused_until_s:
            raise link.refusal

    def _await_room(self, link: Link, size: int) -> None:
        deadline_s = time.monotonic() + ROOM_LIMIT_S
        self._loop.hand_over()
        while not link.has_room(size):
            now_s = time.monotonic()
            # Once something has fallen out, nobody waits until half of the queue is empty.
            if link.fallen_out or now_s >= deadline_s or now_s - link.moved_s > ROOM_LIMIT_S:
                link.fallen_out += 1
                if link.fallen_out == 1:
                    text = "%s takes nothing: its queue is full with %d messages, and what does not fit falls out"
                    _log.log(logging.ERROR, "full", text, name_of(link.target), link.queued())
                raise base.TransportException(f"the queue of {name_of(link.target)} is full")
            link.room.wait(LOOK_PAUSE_S)
        if link.stage == IDLE and not link.is_retrying and link.refusal is not None:
            raise link.refusal

    # -- writing, with the link's lock held, on any thread

    def _write_waiting(self, link: Link) -> None:
        size = link.waiting_bytes
        if len(link.waiting) == 1 and size <= SHORT_BYTES and size <= link.limit_bytes and link.stage == UP:
            # Most often it is one message, and short.
            chunk = link.waiting.popleft()
            link.waiting_bytes = 0
            assert link.seal is not None
            self._write(link, (chunk,), (FRAME.pack(len(chunk) | ONE) + link.seal.close(chunk, 1),))
        while link.waiting and link.stage == UP:
            chunks, buffers = frames_of(link)
            if chunks:
                self._write(link, chunks, buffers)
        if link.waiting and link.stage == IDLE and not link.is_retrying:
            # The connection ended since these were sent.  Who listens at that address now may take them.
            try:
                self._demand_not_refused(link)
                link.refused_attempts = 1
                self._begin(link)
            except base.TransportException as error:
                self._tell_lost(link, str(error))

    def _write(self, link: Link, chunks: Sequence[bytes], buffers: Sequence[bytes]) -> None:
        sent, size = 0, sum(map(len, buffers))
        connection = link.sock
        if not link.outbox:
            assert connection is not None  # it is up
            try:
                sent = connection.send(b"".join(buffers)) if size <= SHORT_BYTES else connection.sendmsg(buffers)
                link.moved_s = time.monotonic()
                if sent == size:
                    return
            except BlockingIOError:
                pass
            except OSError as error:
                link.waiting.extendleft(reversed(chunks))
                link.waiting_bytes += sum(map(len, chunks))
                self._disconnect(link)
                _log.log(logging.DEBUG, "ended", "The connection to %s ended: %s", name_of(link.target), error)
                return
        link.outbox.append([memoryview(b"".join(buffers))[sent:], len(chunks)])
        link.outbox_bytes += size - sent
        link.outbox_messages += len(chunks)
        if len(link.outbox) == 1:
            self._loop.call(self._watch, link, link.sock)

    # -- connecting, with the link's lock held

    def _begin(self, link: Link) -> None:
        """Begin to connect.  Raises TransportException where it is known at once that nobody is there."""
        link.is_retrying = False
        link.refusal = None
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            if self.certificates is not None:
                connection = self.certificates.opened(connection, link.target[0])
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            notice_silence(connection)
            # From the address that others know this node by: it may have more than one.
            connection.bind((self.hostname, 0))
            error = connection.connect_ex(link.target)
            if error in (0, errno.EINPROGRESS):
                # On the same host it is decided already; elsewhere this says nothing yet.
                error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
        except OSError as error:
            connection.close()
            self._attempt_failed(link, error, memory_s=0.0)
            if link.refusal is not None:
                raise link.refusal from error
            return
        link.sock, link.stage, link.arrived = connection, CONNECTING, b""
        link.moved_s = began_s = time.monotonic()
        self._loop.call(self._watch, link, connection)
        self._loop.later(CONNECT_LIMIT_S, self._end_attempt, link, connection, began_s)

    def _end_attempt(self, link: Link, connection: socket.socket, began_s: float) -> None:
        with link.lock:
            if link.sock is connection and link.stage != UP:
                self._disconnect(link)
                self._attempt_failed(link, TimeoutError(errno.ETIMEDOUT, f"no answer within {CONNECT_LIMIT_S:g} s"))

    def _attempt_failed(self, link: Link, error: OSError | handshake.HandshakeError, memory_s: float = REFUSED_MEMORY_S) -> None:
        """Try again later, or give up: then `refusal` says why, and is remembered where a sender was not told at once."""
        link.attempts += 1
        name = name_of(link.target)
        if isinstance(error, handshake.HandshakeError):
            refusal = base.AuthenticationException(f"{name}: {error}")
            self._give_up(link, refusal, OTHER_COOKIE_MEMORY_S)
        elif error.errno in _SILENCE:
            if not link.is_silent:
                text = "%s does not answer (%s); it is tried again, and messages for it wait"
                _log.log(logging.WARNING, "silent", text, name, error.strerror)
            link.is_silent = True
            self._try_again(link, SILENT_PAUSE_S)
        elif isinstance(error, ConnectionRefusedError):
            if link.attempts < link.refused_attempts:
                self._try_again(link, REFUSED_PAUSE_S)
            else:
                self._give_up(link, base.TransportException(f"nobody answers at {name}: {error}"), memory_s)
        elif link.attempts < BROKEN_ATTEMPTS:
            self._try_again(link, BROKEN_PAUSE_S)
        else:
            self._give_up(link, base.TransportException(f"{name} has broken off {link.attempts} handshakes: {error}"), REFUSED_MEMORY_S)
        link.room.notify_all()

    def _try_again(self, link: Link, pause_s: float) -> None:
        link.is_retrying = True
        self._loop.later(pause_s, self._retry, link)

    def _retry(self, link: Link) -> None:
        with link.lock:
            if not link.is_retrying or self._is_closed:
                return
            try:
                self._begin(link)
            except base.TransportException:
                pass  # it was told when it was given up

    def _give_up(self, link: Link, refusal: base.TransportException, memory_s: float) -> None:
        link.attempts = 0
        link.is_silent = False
        link.refusal = refusal
        link.refused_until_s = time.monotonic() + memory_s
        self._tell_lost(link, str(refusal))

    def _disconnect(self, link: Link) -> None:
        """Close the connection; what is in frames for it is lost."""
        if link.sock is not None:
            self._loop.call(self._loop.discard, link.sock)
        link.sock, link.seal, link.stage = None, None, IDLE
        if link.outbox:
            text = "%d messages to %s are lost: the connection ended"
            _ended_log.log(logging.ERROR, "lost", text, link.outbox_messages, name_of(link.target))
        link.outbox.clear()
        link.outbox_bytes = link.outbox_messages = 0
        link.room.notify_all()

    def _tell_lost(self, link: Link, why: str) -> None:
        lost = link.queued() + link.fallen_out
        link.waiting.clear()
        link.waiting_bytes = link.fallen_out = 0
        if lost:
            _ended_log.log(logging.WARNING, "lost", "%d messages to %s are lost: %s", lost, name_of(link.target), why)

    # -- the sender's connections, on the network thread

    def _watch(self, link: Link, connection: socket.socket) -> None:
        if link.sock is connection:
            is_writing = link.stage == CONNECTING or bool(link.outbox) or (link.stage == SECURING and connection.waits_to_write)  # type: ignore[attr-defined]
            self._loop.watch(connection, lambda events: self._serve(link, connection, events), is_writing)

    def _serve(self, link: Link, connection: socket.socket, events: int) -> None:
        with link.lock:
            if link.sock is not connection:
                return
            try:
                if link.stage == UP:
                    self._serve_connected(link, connection, events)
                else:
                    self._shake_hands(link, connection)
            except BlockingIOError:
                pass
            except (OSError, handshake.HandshakeError) as error:
                was_up = link.stage == UP
                self._disconnect(link)
                if not was_up:
                    self._attempt_failed(link, error)
                return
            link.room.notify_all()
            self._watch(link, connection)

    def _serve_connected(self, link: Link, connection: socket.socket, events: int) -> None:
        if events & selectors.EVENT_READ:
            connection.recv(1)
            # Nothing is ever sent in this direction, so this is the end of the connection.
            raise ConnectionResetError("the receiver has ended")
        while link.outbox:
            data = link.outbox[0][0]
            sent = connection.send(data)
            link.moved_s = time.monotonic()
            link.outbox_bytes -= sent
            if sent < len(data):
                link.outbox[0][0] = data[sent:]
                break
            link.outbox_messages -= link.outbox.popleft()[1]
        if link.fallen_out and link.is_half_empty():
            self._tell_fallen_out(link)

    def _tell_fallen_out(self, link: Link) -> None:
        text = "%s reads again; %d messages to it have fallen out of its queue"
        _log.log(logging.ERROR, "full", text, name_of(link.target), link.fallen_out)
        link.fallen_out = 0

    def _shake_hands(self, link: Link, connection: socket.socket) -> None:
        """Go as far as what has arrived allows."""
        if link.stage == CONNECTING:
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            if connection.getsockname() == link.target:
                raise ConnectionRefusedError("only this very connection is at that port")
            link.stage = SECURING
        if link.stage == SECURING:
            if self.certificates is not None:
                connection.do_handshake()  # type: ignore[attr-defined]  # it is one of TLS
            hello = handshake.Hello((self.hostname, self.port), link.target, self.identity.public, self.limit_bytes, link.purpose)
            link.hello = hello.encode()
            connection.sendall(link.hello)
            link.stage = GREETING
        if link.stage == GREETING and link.has_arrived(connection, handshake.HELLO_BYTES):
            theirs = handshake.Hello.decode(link.arrived)
            theirs.demand_for((self.hostname, self.port), link.target, self.identity.public)
            link.limit_bytes, link.identity = theirs.limit_bytes, theirs.identity
            greeting = handshake.greeting_of(self.cookie, link.hello, link.arrived)
            connection.sendall(handshake.proof(greeting, b"sender"))
            link.key = handshake.connection_key(greeting, self.identity.shared_with(theirs.identity))
            link.stage, link.arrived = PROVING, b""
        if link.stage == PROVING and link.has_arrived(connection, handshake.PROOF_BYTES):
            if not handshake.is_proof(link.arrived, link.key, b"receiver"):
                raise handshake.HandshakeError("it has another cookie; give all nodes the same --cookie")
            self._come_up(link)

    def _come_up(self, link: Link) -> None:
        if link.is_silent:
            _log.log(logging.WARNING, "silent", "%s answers again", name_of(link.target))
        link.seal, link.stage = handshake.Seal(link.key), UP
        link.key = link.hello = link.arrived = b""
        link.attempts, link.is_silent = 0, False
        link.moved_s = time.monotonic()
        if link.limit_bytes != self.limit_bytes:
            text = "%s is %d here and %d at %s; give all nodes the same"
            _log.log(logging.WARNING, "size", text, SIZE_OPTION, self.limit_bytes, link.limit_bytes, name_of(link.target))
        if link.fallen_out:
            self._tell_fallen_out(link)
        self._write_waiting(link)
