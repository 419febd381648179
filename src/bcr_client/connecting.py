"""A connection to a gateway, made until a deadline: whatever a name server, an address or a handshake keeps waiting for."""

import contextlib
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

from bcr_client.wire import Place

Address = tuple[Any, ...]  # as `socket.getaddrinfo` gives it


def seconds_until(deadline_s: float) -> float:
    """What is left until then, in seconds. Raises TimeoutError where that is nothing."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


def connected(place: Place, context: ssl.SSLContext | None, deadline_s: float) -> socket.socket:
    """A connection, with TLS where there is a context. Raises OSError, and UnicodeError where the name can be none.

    Of several addresses each has its part of the time that is left, so that one that is silent leaves some for the others.
    """
    addresses = addresses_of(place, deadline_s)
    problem = OSError(f"{place.host} has no address")
    for (family, kind, protocol, _, address), part_s in parts(addresses, deadline_s):
        try:
            return _connected(socket.socket(family, kind, protocol), address, place, context, time.monotonic() + part_s)
        except OSError as error:
            problem = error
    raise problem


def parts(addresses: list[Address], deadline_s: float) -> Iterator[tuple[Address, float]]:
    """Each address, with the seconds for it. Raises TimeoutError when no time is left."""
    for number, each in enumerate(addresses):
        yield each, seconds_until(deadline_s) / (len(addresses) - number)


def _connected(
    connection: socket.socket, address: Address, place: Place, context: ssl.SSLContext | None, deadline_s: float
) -> socket.socket:
    try:
        connection.settimeout(seconds_until(deadline_s))
        connection.connect(address)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return connection
        connection.settimeout(seconds_until(deadline_s))  # of the whole handshake
        return context.wrap_socket(connection, server_hostname=place.host)
    except BaseException:
        connection.close()
        raise


def addresses_of(place: Place, deadline_s: float) -> list[Address]:
    """The addresses of a gateway. Raises OSError where there are none, or none in time.

    Nothing bounds a question to a name server, so a thread asks, and goes on for as long as it likes when nobody waits any more.
    """
    if is_address(place.host):
        return socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    answers: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)))
        except Exception as error:  # which is raised where somebody waits for the answer
            answers.put(error)

    threading.Thread(target=ask, name="bcr_client: name of a gateway", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds_until(deadline_s))
    except queue.Empty:
        raise TimeoutError(f"no address for {place.host} in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def is_address(host: str) -> bool:
    """Whether nobody has to be asked for the address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
