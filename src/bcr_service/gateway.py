"""A gateway's own half: what a client of the chain, of DistAlgo, and an HTTP server on a thread of its own share."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from da.sim import Command

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.settings import Settings
from bcr.signed.encoding import decode
from bcr_service.desk import Desk
from bcr_service.event_log import Events
from bcr_service.service_files import Address

WORK = ("work",)


class GatewaySettings(msgspec.Struct, frozen=True):
    """What a gateway is told: its number, where it listens, and by which descriptor; whether there is a laboratory."""

    number: int
    address: Address
    descriptor: int
    is_lab: bool


class Gateway:
    """What both threads of a gateway see. The client's side calls the methods; the HTTP side reads what stands here."""

    def __init__(self, settings: Settings, own: GatewaySettings, olympus_key: bytes) -> None:
        self.settings = settings
        self.own = own
        self.olympus_key = olympus_key
        self.desk = Desk(settings.operations_per_request, is_broken)
        self.events = Events()
        self.started_s = time.monotonic()
        self.configuration: SignedConfiguration | None = None
        self.status: dict[str, Any] = {}
        self.wake: Callable[[], None] = lambda: None
        self._wishes: deque[tuple[str, str]] = deque(maxlen=100)
        self._server: Any = None

    # -- for the client's side

    def serve(self) -> None:
        """Begin to take calls."""
        # Only now: what an HTTP server needs is nothing that replicas should have to load.
        from bcr_service.server import HttpServer

        self._server = HttpServer(self)
        self._server.start()

    def begin_to_end(self) -> None:
        """Take nothing more, and let those who listen go."""
        self.desk.close()
        self.events.ring()

    def close(self) -> None:
        """Answer what is under way, and take no more."""
        if self._server is not None:
            self._server.stop()

    def configured(self, signed: SignedConfiguration) -> None:
        """Olympus has issued this configuration."""
        self.configuration = signed

    def told(self, news: bytes) -> None:
        """The service says how the chain is, and what has happened."""
        told = msgspec.json.decode(news)
        self.status = told["status"]
        for event in told["events"]:
            self.events.add(event)

    def take_wishes(self) -> list[tuple[str, str]]:
        """What somebody has asked the laboratory for since this was last called."""
        return [self._wishes.popleft() for _ in range(len(self._wishes))]

    # -- for the HTTP side

    def wish(self, what: str, about: str) -> None:
        """Ask the laboratory to do something to a process."""
        self._wishes.append((what, about))
        self.wake()

    def uptime_s(self) -> float:
        return time.monotonic() - self.started_s


def open_gateway(payload: bytes, settings: Settings, olympus_key: bytes) -> Gateway:
    """The gateway that the service has described to its process."""
    return Gateway(settings, decode(GatewaySettings, payload), olympus_key)


def waker(gateway: Gateway, handler: Any) -> Callable[[], None]:
    """What any thread can call to let the process whose method `handler` is receive ('work',), soon."""
    process: Any = handler.__self__
    queue = process._DistProcess__messageq  # DistAlgo has no door for other threads of the process
    event = (process._id, (Command.Message, (process._logical_clock, WORK)))

    def wake() -> None:
        queue.append(event)

    gateway.wake = wake
    return wake


def is_broken(results: Sequence[str]) -> bool:
    """Whether these are the results of a request of which nothing happened."""
    return any(result.startswith('{"error":') for result in results)
