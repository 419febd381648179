"""The door of a port: takes connections as long as there are places, and sees to it that nobody keeps a place for nothing.

While all places are taken, whoever comes gets the place of one whose turn it is and who lets the service wait: first of those who
have not asked for anything yet, and then of those who are slow to send the rest, to read an answer, or to ask again; the longest
first. Whom the service itself lets wait keeps the place. So a crowd of strangers drives out each other.
"""

import asyncio
import contextlib
import fcntl
import resource
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

MOST_CONNECTIONS = 1_000  # of a port
SPARE_DESCRIPTORS = 256  # for all that a process has open beside the connections of its ports
HANDSHAKE_LIMIT_S = 10.0
TLS_END_LIMIT_S = 10.0
SILENT_PATIENCE_S = 0.5  # for so long nobody drives out who has just come
PATIENCE_S = 1.0  # and for so long nobody drives out who has asked for something
READ_LIMIT_S = 30.0  # in which somebody takes something of what waits for it, also at the end of a connection
MOST_UNREAD_BYTES = 256 << 20  # that wait for all who are slow to read
TAKEN_AT_ONCE = 64
LOOK_PAUSE_S = 0.5
REST_S = 0.1  # before it tries again where there is no descriptor, or no memory


class GuestProtocol(asyncio.BaseProtocol):
    """What speaks with a guest, once it is told which that is: it says how they stand, by the guest's methods."""

    guest: "Guest"


class Guest:
    """A connection, as its door knows it."""

    def __init__(self, door: "Door", connection: socket.socket) -> None:
        self._door = door
        self.connection = connection
        self.transport: Any = None
        self.entering: asyncio.Task[None] | None = None
        self.look: Callable[[float], None] = lambda _now_s: None  # what else there is to see to, now and then
        self._untaken_before: int | None = None
        self._read_due_s = 0.0

    def begins(self, transport: Any) -> None:
        """The connection is there, with TLS where that is wanted."""
        self.transport = transport

    def waits(self) -> None:
        """The service has done what there was to do: now it is the guest's turn."""
        self._door.waits(self)

    def is_awaited(self) -> None:
        """The guest has asked for something, and it is the service's turn."""
        self._door.serves(self)

    def leaves(self) -> None:
        """The connection is no more."""
        self._door.forget(self)

    def reads_slowly(self) -> None:
        """So much waits for the guest that nothing more is written, until `reads_again`."""
        self._door.is_slow(self, self.transport.get_write_buffer_size())

    def reads_again(self) -> None:
        """Little waits for it now."""
        self._door.is_slow(self, 0)

    def see_to(self, now_s: float) -> None:
        """End what takes too long; to be called now and then."""
        if self.transport is None:
            return
        if not self.transport.is_closing() and not self._door.is_read_slowly(self):
            self._untaken_before = None
            self.look(now_s)
            return
        untaken = self._untaken()
        if self._untaken_before is None or untaken < self._untaken_before:
            self._read_due_s = now_s + READ_LIMIT_S
        elif now_s >= self._read_due_s:
            self.turn_away()
        self._untaken_before = untaken

    def _untaken(self) -> int:
        """Bytes that wait for the guest, with those that the kernel has: it takes many before it lets us write more."""
        queued = bytes(4)
        with contextlib.suppress(OSError, ValueError):
            queued = fcntl.ioctl(self.connection.fileno(), termios.TIOCOUTQ, queued)
        return int(self.transport.get_write_buffer_size()) + int.from_bytes(queued, sys.byteorder)

    def turn_away(self) -> None:
        """End the connection at once, and let the kernel keep nothing for it."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self.transport is not None:
            self.transport.abort()
        elif self.entering is not None:
            self.entering.cancel()
            self.connection.close()  # also where it has not been looked at yet


class Door(asyncio.AbstractServer):
    """Takes the connections of a listening socket; `factory` makes what speaks with each."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], GuestProtocol],
        listening: socket.socket,
        tls: ssl.SSLContext | None,
        places: int,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._listening = listening
        self._tls = tls
        self._places = places
        self._silent: dict[Guest, float] = {}  # have not asked for anything -> since when; in this order
        self._slow: dict[Guest, float] = {}  # it is their turn -> since when; in this order
        self._served_guests: dict[Guest, None] = {}
        self._unread_bytes: dict[Guest, int] = {}  # who is slow to read -> bytes that waited when that began
        self._is_closed = False
        listening.setblocking(False)
        loop.add_reader(listening, self._take)
        loop.call_later(LOOK_PAUSE_S, self._see_to_all)

    def now_s(self) -> float:
        return self._loop.time()

    # -- coming and going

    def _take(self) -> None:
        for _ in range(TAKEN_AT_ONCE):
            is_full = len(self._silent) + len(self._slow) + len(self._served_guests) >= self._places
            if is_full and not self._make_room():
                self._rest()
                return
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor, or no memory
                self._make_room()
                self._rest()
                return
            guest = Guest(self, connection)
            self._silent[guest] = self.now_s()
            guest.entering = self._loop.create_task(self._enter(guest))

    async def _enter(self, guest: Guest) -> None:
        protocol = self._factory()
        protocol.guest = guest
        guest.connection.setblocking(False)
        handshake_s, end_s = (None, None) if self._tls is None else (HANDSHAKE_LIMIT_S, TLS_END_LIMIT_S)
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol, guest.connection, ssl=self._tls, ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=end_s
            )
        except OSError:  # it has gone, or speaks no TLS, or not in time
            self.forget(guest)
            guest.connection.close()
        except asyncio.CancelledError:
            self.forget(guest)
            guest.connection.close()
            raise

    def _make_room(self) -> bool:
        """Turn away whoever lets the service wait for the longest; returns whether there was somebody."""
        for waiting, patience_s in ((self._silent, SILENT_PATIENCE_S), (self._slow, PATIENCE_S)):
            guest, since_s = next(iter(waiting.items()), (None, 0.0))
            if guest is not None and self.now_s() - since_s >= patience_s:
                break
        else:
            return False
        assert guest is not None
        self.forget(guest)
        guest.turn_away()
        return True

    def _rest(self) -> None:
        self._loop.remove_reader(self._listening)
        self._loop.call_later(REST_S, self._go_on)

    def _go_on(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listening, self._take)

    def forget(self, guest: Guest) -> None:
        """It has no place any more."""
        for each in (self._silent, self._slow, self._served_guests, self._unread_bytes):
            each.pop(guest, None)

    # -- what guests say

    def _has(self, guest: Guest) -> bool:
        return guest in self._silent or guest in self._slow or guest in self._served_guests

    def waits(self, guest: Guest) -> None:
        """It is the guest's turn."""
        if guest in self._served_guests or guest in self._silent:
            self._served_guests.pop(guest, None)
            self._silent.pop(guest, None)
            self._slow[guest] = self.now_s()

    def serves(self, guest: Guest) -> None:
        """It is the service's turn."""
        if self._has(guest) and guest not in self._unread_bytes:
            self._silent.pop(guest, None)
            self._slow.pop(guest, None)
            self._served_guests[guest] = None

    def is_slow(self, guest: Guest, unread: int) -> None:
        """So many bytes wait for the guest, and nothing more is written; 0, where it has read on."""
        self._unread_bytes.pop(guest, None)
        if not unread or not self._has(guest):
            return
        self._unread_bytes[guest] = unread
        waiting = sum(self._unread_bytes.values())
        while waiting > MOST_UNREAD_BYTES:
            slowest, size = next(iter(self._unread_bytes.items()))
            waiting -= size
            self.forget(slowest)
            slowest.turn_away()

    def is_read_slowly(self, guest: Guest) -> bool:
        """Whether so much waits for the guest that nothing more is written."""
        return guest in self._unread_bytes

    def _see_to_all(self) -> None:
        for guest in [*self._silent, *self._slow, *self._served_guests]:
            guest.see_to(self.now_s())
        if not self._is_closed or self._slow or self._served_guests:
            self._loop.call_later(LOOK_PAUSE_S, self._see_to_all)

    # -- as a server of asyncio

    def close(self) -> None:
        """Take no more; those who are there stay."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._listening)
            for guest in [*self._silent]:
                if guest.transport is None:
                    guest.turn_away()

    def close_clients(self) -> None:
        """End all connections, each when what waits for its reader has been sent; from Python 3.13 on a server can."""
        for guest in self._guests():
            if guest.transport is None:
                guest.turn_away()
            else:
                guest.transport.close()

    def abort_clients(self) -> None:
        """End all connections at once."""
        for guest in self._guests():
            guest.turn_away()

    def _guests(self) -> list[Guest]:
        return [*self._silent, *self._slow, *self._served_guests]

    async def wait_closed(self) -> None:
        """Nothing is waited for."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return not self._is_closed

    async def start_serving(self) -> None:
        """It does from the beginning."""

    async def serve_forever(self) -> None:
        raise NotImplementedError


def places_of_each(ports: int) -> int:
    """How many connections each of so many ports takes: MOST_CONNECTIONS, or what descriptors allow, which are asked for."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted_descriptors = ports * MOST_CONNECTIONS + SPARE_DESCRIPTORS
    if allowed != resource.RLIM_INFINITY and allowed < wanted_descriptors:
        raised_limit = wanted_descriptors if most == resource.RLIM_INFINITY else min(wanted_descriptors, most)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised_limit, most))
            allowed = raised_limit
        return min(MOST_CONNECTIONS, max(1, allowed // 2, allowed - SPARE_DESCRIPTORS) // max(1, ports))
    return MOST_CONNECTIONS
