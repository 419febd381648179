"""The sockets of a service: opened before anything is started, or by a gateway that is on another host."""

import socket
from collections.abc import Sequence

from bcr_service.service_files import Listener

BACKLOG = 1_024


class CannotListen(Exception):
    """An address cannot be listened on; the text says which and why."""


def listen(listeners: Sequence[Listener]) -> list[socket.socket]:
    """A socket for each port. Raises CannotListen, with none left open."""
    sockets: list[socket.socket] = []
    for listener in listeners:
        address = listener.address
        try:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            each = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((address.host, address.port))
            each.listen(BACKLOG)
        except OSError as error:
            for opened in sockets:
                opened.close()
            raise CannotListen(f"cannot listen on {address}: {error.strerror}") from error
    return sockets
