import enum
import logging
import threading
from typing import Any

from da import common as common
from da.common import ProcessId as ProcessId
from da.transport.manager import TransportManager

class Command(enum.Enum):
    Start = 1
    Setup = 2
    Config = 3
    End = 5
    New = 6
    Resolve = 7
    NodeJoin = 8
    NodeLeave = 9
    StartAck = 11
    SetupAck = 12
    ConfigAck = 13
    EndAck = 15
    NewAck = 16
    ResolveAck = 17
    NodeAck = 18
    NodePing = 19
    Message = 20
    RPC = 30
    RPCReply = 31
    Sentinel = 40

class RouterCommands(enum.Enum):
    HELLO = 1
    PING = 2
    BYE = 3
    ACK = 4
    SENTINEL = 10

class RoutingException(Exception): ...
class CircularRoutingException(RoutingException): ...
class BootstrapException(RoutingException): ...

class DistProcessExit(BaseException):
    exit_code: Any

class DistProcess: ...
class NodeProcess(DistProcess): ...

class Router(threading.Thread):
    log: logging.Logger
    running: bool
    bootstrap_peer: ProcessId | None
    transport_manager: TransportManager
    hostname: str
    local_procs: dict[ProcessId, Any]  # of this layer's WaitableQueue
    lock: threading.Lock
    def __init__(self, transport_manager: TransportManager) -> None: ...
    def stop(self) -> None: ...
    def register_local_process(self, pid: ProcessId, parent: ProcessId | None = None) -> None: ...
    def _record_local_process(self, pid: ProcessId, parent: ProcessId | None = None) -> None: ...
