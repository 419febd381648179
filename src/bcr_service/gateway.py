"""A gateway's own half: what a client of the protocol, of DistAlgo, and an HTTP server on a thread of its own share."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from da.common import get_runtime_option
from da.sim import Command

from bcr.chain.configuration import SignedConfiguration
from bcr.chain.settings import Settings
from bcr.signed.encoding import decode
from bcr_runtime.ambient import random_bytes
from bcr_runtime.places import GATEWAY_FILES_VARIABLE
from bcr_service.access import Unusable, demand_usable
from bcr_service.desk import Desk
from bcr_service.event_log import Events
from bcr_service.listening import CannotListen, listen
from bcr_service.protocol_views import VIEWS, ProtocolView
from bcr_service.service_files import LOOPBACK, Address, Listener

WORK = ("work",)
SESSION_BYTES = 6  # of chance in a session's number


class GatewaySettings(msgspec.Struct, frozen=True):
    """What a gateway is told: its number, where it listens, and by which descriptors; whether there is a laboratory.

    `protocol` is whose client it is, as a service file calls it. `everybody` are the ports of all gateways, `files` those of the service file: certificate, key and token.
    One that is elsewhere opens its ports itself, at the address of the host that it is on, and has the files of that host.
    """

    number: int
    listeners: tuple[tuple[Listener, int], ...]
    everybody: tuple[Listener, ...]
    files: dict[str, str]
    is_lab: bool
    protocol: str = "chain"
    is_elsewhere: bool = False

    def members(self, kind: str) -> list[Listener]:
        """The ports of all gateways that have this interface, by number."""
        return [each for each in self.everybody if each.kind == kind]


class GatewayState:
    """What both threads of a gateway see. The client's side calls the methods; the HTTP side reads what stands here."""

    def __init__(self, settings: Settings, own: GatewaySettings, olympus_key: bytes) -> None:
        self.settings = settings
        self.own = own
        self.olympus_key = olympus_key
        self.desk = Desk(settings.operations_per_request, is_broken)
        self.events = Events(settings.run_name)
        self.started_s = time.monotonic()
        self.configuration: SignedConfiguration | None = None
        self.status: dict[str, Any] = {}
        self.wake: Callable[[], None] = lambda: None
        self._stopped_listeners: set[str] = set()
        self._wishes: deque[tuple[str, str]] = deque(maxlen=100)
        self._server: Any = None

    # -- for the client's side

    def serve(self) -> None:
        """Begin to take calls."""
        # Only now: what an HTTP server needs is nothing that replicas should have to load.
        from bcr_service.server import Ports

        self._server = Ports(self)
        self._server.start()

    def why_not(self) -> str | None:
        """Why it cannot take calls on this host, where it cannot; otherwise its ports are open."""
        if self.own.is_elsewhere:
            try:
                self.own = opened_here(self.own)
            except (CannotListen, Unusable) as problem:
                return str(problem)
        return None

    def begin_to_end(self) -> None:
        """Take nothing more, and let those who listen go."""
        self.desk.close()
        self.events.ring()

    def close(self) -> None:
        """Answer what is under way, and take no more."""
        if self._server is not None:
            self._server.stop()

    @property
    def view(self) -> ProtocolView:
        """What callers are told of the protocol."""
        return VIEWS[self.own.protocol]

    def has_whom_to_ask(self) -> bool:
        """Whether it knows somebody that requests can be sent to."""
        return self.configuration is not None or not self.view.has_configurations

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

    def is_up(self, listener: Listener) -> bool:
        """Whether a server of a dialect takes calls: of its own a gateway knows that itself, of others it is told."""
        if listener.number == self.own.number:
            return listener.name not in self._stopped_listeners
        return listener.name not in self.status.get("stopped", ()) and listener.number not in self.status.get("gone", ())

    def switch(self, listener: Listener, is_up: bool) -> None:
        """Let a server of its own take calls, or none."""
        if is_up != self.is_up(listener):
            self._stopped_listeners ^= {listener.name}
            self.wish("start" if is_up else "stop", listener.name)

    def wish(self, what: str, about: str) -> None:
        """Ask the laboratory to do something to a process."""
        self._wishes.append((what, about))
        self.wake()

    def uptime_s(self) -> float:
        return time.monotonic() - self.started_s


def opened_here(own: GatewaySettings) -> GatewaySettings:
    """What a gateway is told, with the ports open on the host that it is on, and the files of that host. Raises CannotListen and Unusable."""
    address = get_runtime_option("hostname")
    files = msgspec.json.decode(os.environ.get(GATEWAY_FILES_VARIABLE, "{}"), type=dict[str, str])
    if address not in LOOPBACK and not address.startswith("127.") and not {"tls_certificate", "tls_key", "token_file"} <= set(files):
        raise Unusable("a gateway here takes TLS and a token: ./bcr node --tls-certificate FILE --tls-key FILE --token-file FILE")
    demand_usable(files)
    listeners = [msgspec.structs.replace(each, address=Address(address, each.address.port)) for each, _ in own.listeners]
    descriptors = [each.detach() for each in listen(listeners)]
    return msgspec.structs.replace(own, listeners=tuple(zip(listeners, descriptors, strict=True)), files=files)


def open_gateway(payload: bytes, settings: Settings, olympus_key: bytes) -> GatewayState:
    """The gateway that the service has described to its process."""
    return GatewayState(settings, decode(GatewaySettings, payload), olympus_key)


def waker(gateway: GatewayState, handler: Any) -> Callable[[], None]:
    """What any thread can call to let the process whose method `handler` is receive ('work',), soon."""
    process: Any = handler.__self__
    queue = process._DistProcess__messageq  # DistAlgo has no door for other threads of the process
    event = (process._id, (Command.Message, (process._logical_clock, WORK)))

    def wake() -> None:
        queue.append(event)

    gateway.wake = wake
    return wake


def own_session(index: int, settings: Settings) -> int:
    """The number under which this gateway asks: never one that was used before, and by it whose answers they are."""
    return int.from_bytes(random_bytes(SESSION_BYTES)) * settings.num_clients + index


def is_broken(results: Sequence[str]) -> bool:
    """Whether these are the results of a request of which nothing happened."""
    return any(result.startswith('{"error":') for result in results)
