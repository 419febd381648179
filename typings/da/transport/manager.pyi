from typing import Any

TransportTypes: list[Any]

class SelectorLoop: ...

class TransportManager:
    transports: Any  # of this layer's TcpTransport
    transport_addresses: tuple[int, ...]
    authkey: bytes
    initialized: bool
    started: bool
    def close(self) -> None: ...
