"""Whose messages come over a connection: the ids of processes name the identity of their transport.

The id of a process holds, in its `uid`, the fingerprint of the identity (see `handshake`) of the transport that it was
made with, between the time, by which ids are ordered, and the rest.  Only the OS process that has the private key of
that identity has connections of it; so over a connection nobody speaks but its own processes, and who is given the id
of a process by somebody whom it trusts knows its messages from everybody else's.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

from da.common import ProcessId, get_runtime_option

from dacurrent import handshake

if TYPE_CHECKING:
    from dacurrent.sockets import Address

_REST_BITS = 42  # of a stock uid: all but the time
_FINGERPRINT_BITS = 8 * handshake.FINGERPRINT_BYTES
OWN_LIMIT = 1_000  # ids of one connection that are remembered


class Origin:
    """The other end of an accepted connection: its `address`, (host, port), and its identity, the public key."""

    def __init__(self, address: Address, identity: bytes) -> None:
        self.address = address
        self.last: ProcessId | None = None  # the id that it spoke for last: most often it is the next one too
        self.has_lied = False  # whether it was told that it speaks for others
        self._fingerprint = handshake.fingerprint(identity)
        self._own: set[ProcessId] = set()

    def speaks_for(self, pid: ProcessId) -> bool:
        """Whether the process `pid` is one of its own."""
        if pid not in self._own:
            if not self._is_own(pid):
                return False
            if len(self._own) < OWN_LIMIT:
                self._own.add(pid)
        self.last = pid
        return True

    def _is_own(self, pid: ProcessId) -> bool:
        host, port = self.address
        is_there = pid.transports == (port,) and (pid.hostname == host or not _is_number(pid.hostname))
        return is_there and fingerprint_in(pid.uid) == self._fingerprint


def _is_number(host: str) -> bool:
    """Whether it is an IPv4 address, and no name, which only its own host need know."""
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        return False
    return True


def uid_with(uid: int, identity: bytes) -> int:
    """The stock `uid` with the fingerprint of the identity in it; the order of two uids stays."""
    time, rest = uid >> _REST_BITS, uid & (1 << _REST_BITS) - 1
    return (time << _FINGERPRINT_BITS | handshake.fingerprint(identity)) << _REST_BITS | rest


def fingerprint_in(uid: int) -> int:
    return uid >> _REST_BITS & (1 << _FINGERPRINT_BITS) - 1


def cure_ids(identities: dict[int, bytes]) -> None:
    """Let each process id that is made hold the fingerprint of its transport's identity: `identities[port]`."""

    def _create(cls: Any, pcls: type[Any], transports: tuple[int, ...], name: str = "") -> Any:
        hostname = get_runtime_option("hostname")
        uid = uid_with(cls.gen_uid(hostname, pid=threading.current_thread().ident), identities[transports[0]])
        return cls(uid, 1, pcls, name, get_runtime_option("nodename"), hostname, transports)

    ProcessId._create = classmethod(_create)
