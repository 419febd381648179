"""What every connection's socket is set to, and what an address is."""

import socket

from da.transport import base

Address = tuple[str, int]  # IPv4 address, port

SILENCE_LIMIT_S = 20  # after which a peer whose host does not answer any more counts as gone


def notice_silence(connection: socket.socket) -> None:
    """Let the connection end when the other's host has not answered for SILENCE_LIMIT_S."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", SILENCE_LIMIT_S // 4),
        ("TCP_KEEPINTVL", SILENCE_LIMIT_S // 4),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", SILENCE_LIMIT_S * 1000),
    ):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def demand_address(target: Address) -> None:
    """Raises NoTargetTransportException unless `target` is (IPv4 address, port): nobody waits for a name here."""
    try:
        socket.inet_pton(socket.AF_INET, target[0])
    except (OSError, TypeError):
        raise base.NoTargetTransportException(f"{target[0]!r:.100} is no IPv4 address") from None


def name_of(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
