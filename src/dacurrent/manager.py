"""Cures of `da.transport.manager`, and the registration of this layer's transport in place of the stock ones."""

from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any

from dacurrent.stock import Stock


def cure_manager(module: Stock) -> None:
    """Patch `TransportManager.initialize`; its `start` and `close` use this layer's loop."""
    from dacurrent import loop

    def initialize(self: Any, pipe: Connection | None = None, **params: Any) -> None:
        """Make the transports; a failure was a line at debug level, and a node that nobody could reach."""
        made = []
        try:
            for cls in module.TransportTypes:
                if pipe is not None and pipe.recv() is not cls:
                    raise module.TransportException(f"the parent has another transport than {cls}")
                made.append(cls(self.authkey))
                made[-1].initialize(pipe=pipe, **params)
        except OSError as error:
            _close(made)
            raise module.TransportException(str(error)) from error
        except module.TransportException:
            _close(made)
            raise
        self.transports = tuple(made)
        if pipe is not None:
            pipe.send("done")
        self.initialized = True

    module.TransportManager.initialize = initialize
    module.SelectorLoop = loop.SelectorLoop


def _close(transports: Iterable[Any]) -> None:
    for transport in transports:
        transport.close()


def cure_sock(module: Stock) -> None:
    """Register `dacurrent.transport.TcpTransport`, and nothing else."""
    from da.transport import manager

    from dacurrent import origins, transport

    manager.TransportTypes[:] = [transport.TcpTransport]
    module.TcpTransport = transport.TcpTransport
    origins.cure_ids(transport.identities)
