"""One connection that a process opened, or will open, with the messages that wait for it; what is done with it: `links`."""

from __future__ import annotations

import collections
import socket
import threading
from typing import TYPE_CHECKING, Any

from da.transport import base

from dacurrent import handshake

if TYPE_CHECKING:
    from dacurrent.sockets import Address

QUEUE_LIMIT_BYTES = 64 * 1024 * 1024  # for each peer
QUEUE_LIMIT_MESSAGES = 65_536
SILENT_LIMIT_BYTES = 8 * 1024 * 1024  # the same while there is no connection
SILENT_LIMIT_MESSAGES = 8_192

IDLE, CONNECTING, SECURING, GREETING, PROVING, UP = range(6)


class Link:
    """A connection that this process opened, or will open, to the process that listens at `target`."""

    def __init__(self, target: Address, purpose: int = handshake.MESSAGES) -> None:
        self.target = target
        self.purpose = purpose
        self.lock = threading.RLock()  # held for what is done with the link
        self.room = threading.Condition(self.lock)  # notified when its state changes
        self.stage = IDLE
        self.sock: socket.socket | None = None
        self.seal: handshake.Seal | None = None
        self.limit_bytes = 0
        self.hello = b""  # this side's, of the handshake that is going on
        self.key = b""
        self.identity = b""  # the other side's
        self.arrived = b""
        self.attempts = 0  # that were refused or broken off since one was not
        self.refused_attempts = 1  # how many may be refused
        self.is_retrying = False  # between two attempts
        self.is_silent = False  # told that it does not answer
        self.refusal: base.TransportException | None = None  # why nothing is taken for it, until
        self.refused_until_s = 0.0
        self.waiting: collections.deque[bytes] = collections.deque()  # messages that are in no frame yet
        self.waiting_bytes = 0
        self.outbox: collections.deque[list[Any]] = collections.deque()  # [what is left of some frames, their messages]
        self.outbox_bytes = 0
        self.outbox_messages = 0
        self.moved_s = 0.0  # when the peer last took something, or was first asked
        self.fallen_out = 0  # messages for which there was no room
        self.hurried = -1  # the turn of the sender in which one was last written at once

    def queued(self) -> int:
        """How many messages are in the queue."""
        return len(self.waiting) + self.outbox_messages

    def has_room(self, size: int) -> bool:
        """Whether a message of this size fits into the queue."""
        size += self.waiting_bytes + self.outbox_bytes
        if self.stage == UP:
            return self.queued() < QUEUE_LIMIT_MESSAGES and size <= QUEUE_LIMIT_BYTES
        return self.queued() < SILENT_LIMIT_MESSAGES and size <= SILENT_LIMIT_BYTES

    def has_arrived(self, connection: socket.socket, count: int) -> bool:
        """Whether so many bytes of the handshake have; raises BlockingIOError while they have not."""
        while len(self.arrived) < count:
            more = connection.recv(count - len(self.arrived))
            if not more:
                raise ConnectionResetError("the connection was closed during the handshake")
            self.arrived += more
        return True

    def is_half_empty(self) -> bool:
        """Whether what has fallen out of the queue can be left behind."""
        return self.has_room(QUEUE_LIMIT_BYTES // 2)
