import socket
from multiprocessing.connection import Connection
from typing import Any

from da.transport import base

class SocketTransport(base.Transport):
    conn: socket.socket
    port: int
    buffer_size: int
    mesgloop: Any  # of this layer, from `start` on
    def serialize(self, pipe: Connection, pid: int) -> None: ...
    def start(self, queue: Any, mesgloop: Any = None) -> None: ...

class TcpTransport(SocketTransport): ...
