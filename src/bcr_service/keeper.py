"""What the process that keeps a service running is told, and what it knows of the others."""

import argparse
import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Protocol

import msgspec
from da.common import get_runtime_option

from bcr.chain.configuration import Configuration
from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.chain.settings import Settings
from bcr.scenario import ScenarioError
from bcr.signed import ed25519
from bcr_run import output
from bcr_run.launch import MESSAGE_OVERHEAD_BYTES, BadInput, settings_of
from bcr_runtime import ambient
from bcr_service.gateway import GatewaySettings
from bcr_service.hosting import SETTLING_S, HostBook, host_of, names_of_addresses
from bcr_service.service_files import HTTP, Address, Listener, read_service

MOST_NOTES = 100
MOST_EVENTS = 1_000
NOT_OPEN = -1  # in place of a descriptor: a gateway on another host opens it
STATUS_LIMIT_S = 3.0  # without a word from a replica for so long it is called silent


class ServiceLaunch(msgspec.Struct, frozen=True):
    """A service as asked for; `gateways` are what each gateway is told, `is_continued` whether there are disks to go on with.

    `hosts` are the addresses of those that its replicas are on; without any they are where it is started. `protocol` is what a service
    file calls it. `port_to` is the descriptor that is told the port of the node, -1 without hosts. `homes` are the
    numbers of the hosts that gateways are on, -1 of those that are with the service.
    """

    protocol: str
    settings: Settings
    gateways: tuple[GatewaySettings, ...]
    is_lab: bool
    is_continued: bool
    hosts: tuple[str, ...]
    port_to: int = -1
    homes: tuple[int, ...] = ()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"Service.da: {message}\n{self.format_usage()}")


def launch_from(arguments: list[str]) -> ServiceLaunch:
    """The service that `./bcr serve` asks for, with the descriptors of the sockets on which it listens. Raises BadInput."""
    output.prepare()
    parser = _Parser(prog="Service.da", add_help=False)
    parser.add_argument("-i", "--input", metavar="FILE", type=Path, required=True)
    parser.add_argument("--listen", metavar="PORT:DESCRIPTOR", action="append", default=[])
    parser.add_argument("--data", metavar="FOLDER", default="")
    parser.add_argument("--continued", action="store_true")
    parser.add_argument("--lab", action="store_true")
    parser.add_argument("--port-to", metavar="DESCRIPTOR", type=int, default=-1)
    parser.add_argument("--log-folder", metavar="FOLDER", type=Path)
    options = parser.parse_args(arguments)
    try:
        service = read_service(options.input)
    except (ScenarioError, OSError) as error:
        raise BadInput(str(error)) from error
    opened = [each.rsplit(":", 1) for each in options.listen]
    if len(opened) != len(service.listeners_here):
        raise BadInput("Service.da is started by ./bcr serve, which opens the sockets that it listens on")
    listening = [
        (msgspec.structs.replace(listener, address=Address(listener.address.host, int(port))), int(descriptor))
        for listener, (port, descriptor) in zip(service.listeners_here, opened, strict=True)
    ]
    here = {(listener.kind, listener.number): listener for listener, _ in listening}
    everybody = tuple(here.get((each.kind, each.number), each) for each in service.listeners)
    listening += [(each, NOT_OPEN) for each in everybody if (each.kind, each.number) not in here]
    settings = settings_of(
        service.scenario,
        message_limit_bytes=max(1_024, get_runtime_option("message_buffer_size") - MESSAGE_OVERHEAD_BYTES),
        run_name=f"service-{ambient.wall_clock():%Y%m%dT%H%M%S.%f}",
        log_base=str(options.log_folder.absolute()) if options.log_folder else "",
    )
    settings = msgspec.structs.replace(settings, data_folder=options.data)
    gateways = tuple(
        GatewaySettings(
            number,
            tuple((each, descriptor) for each, descriptor in listening if each.number == number),
            everybody,
            {} if service.home_of(number) >= 0 else service.files,
            options.lab,
            service.protocol,
            service.home_of(number) >= 0,
        )
        for number in range(service.num_gateways)
    )
    ed25519.functions()  # loaded once, here, and inherited by all processes that are forked
    homes = tuple(service.home_of(number) for number in range(service.num_gateways))
    hosts = service.scenario.hosts
    return ServiceLaunch(service.protocol, settings, gateways, options.lab, options.continued, hosts, options.port_to, homes)


def tell_port(launch: ServiceLaunch, node: Any) -> None:
    """Where there are hosts, tell whoever has started this node where it is, so that theirs find it."""
    if launch.port_to >= 0:
        with os.fdopen(launch.port_to, "w") as told:
            told.write(str(node.transports[0]))


_end = threading.Event()


def watch_for_the_end() -> None:
    """Take the end of the standard input for the wish that the service stops: whoever started it holds the other end."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1_024):
            pass
        _end.set()

    threading.Thread(target=watch, daemon=True, name="bcr-end").start()


def is_asked_to_stop() -> bool:
    """Whether that has happened."""
    return _end.is_set()


class ReplicaState(msgspec.Struct):
    """What a replica last said of itself; `heard_s` on the monotonic clock, 0 before it has said anything."""

    mode: str = "starting"
    slots: int = 0
    in_flight: int = 0
    pid: int = 0
    has_room: bool = True  # on its disk
    heard_s: float = 0.0


class Keeping:
    """What is known of the chain, and what has happened to it."""

    def __init__(self, launch: ServiceLaunch) -> None:
        self._launch = launch
        self.number = -1
        self._configuration: Configuration | None = None
        self._olympus_key = b""
        self._olympus: Any = None
        self.replicas: list[ReplicaState] = []
        self._events: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        self._event_number = 0
        self._notes = 0
        self._told_events = 0
        self._told_at_s = 0.0
        self.book = HostBook(launch.hosts)
        self._names_by_address: Mapping[str, str] = {}  # of the hosts that have joined, as last read
        self._impostors: set[Any] = set()  # nodes that have a host's name and not its address
        self._present_hosts = self.book.present()
        self.stopped: set[str] = set()  # names of servers that take no calls, because somebody has asked for that
        # Numbers of the gateways that have ended, or whose host is not there.
        self.gone: set[int] = {number for number, home in enumerate(launch.homes) if home >= 0}
        self._made_in: dict[int, tuple[int, str, float]] = {}  # gateway on a host -> the host's incarnation, its address, and when

    def started(self, configuration: Configuration, olympus_key: bytes) -> None:
        """A configuration has become the current one."""
        self.number, self._configuration, self._olympus_key = configuration.number, configuration, olympus_key
        self.replicas = [ReplicaState() for _ in configuration.replicas]

    def serves(self, configuration: int) -> None:
        """It takes requests."""
        self._happened("configuration", configuration=configuration, replicas=len(self.replicas))

    def revived(self, name: str) -> None:
        """A process that had ended has begun again, with what is on its disk."""
        self._happened("revived", name=name)

    def changed(self, change: ReconfigurationReport) -> None:
        """A configuration has been replaced, or could not be."""
        self._happened(
            "reconfiguration",
            source=change.source,
            target=change.target if change.active_ms is not None else None,
            requested_by=change.requested_by,
            reason=change.reason,
            blamed=change.blamed,
            quorum=change.quorum,
            active_ms=change.active_ms,
        )

    def heard(self, name: str, mode: str, slots: int, in_flight: int, pid: int, has_room: bool) -> None:
        """A replica has said how it is."""
        position, _, number = name.removeprefix("replica_").partition(" of ")
        if int(number) == self.number and int(position) < len(self.replicas):
            state = self.replicas[int(position)]
            if state.mode != mode:
                self._happened("mode", replica=int(position), configuration=self.number, mode=mode)
            self.replicas[int(position)] = ReplicaState(mode, slots, in_flight, pid, has_room, time.monotonic())

    def server(self, name: str, is_up: bool) -> None:
        """A server of a dialect takes calls again, or does not for now: its callers have asked for that."""
        if is_up:
            self.stopped.discard(name)
        else:
            self.stopped.add(name)
        self._happened("server", name=name, up=is_up)

    def replica_of(self, name: str) -> str:
        """The replica whose place in the chain is that of this server among the servers."""
        return next((f"replica_{each.number}" for each in self._launch.gateways[0].everybody if each.name == name), "")

    def made(self, olympus: Any) -> None:
        """This process is Olympus now."""
        self._olympus = olympus

    def positions(self) -> range:
        """Those of the current replicas."""
        return range(len(self.replicas))

    def pid_of(self, position: int) -> int | None:
        """The process of the replica there, where it has said which it is."""
        return self.replicas[position].pid or None if 0 <= position < len(self.replicas) else None

    def process_ids(self) -> list[int]:
        """All that have a disk, by their numbers for the operating system."""
        olympus = [
            child.pid
            for child in multiprocessing.active_children()
            if getattr(child, "dapid", None) == self._olympus and child.pid is not None
        ]
        return [state.pid for state in self.replicas if state.pid] + olympus

    def gateway_gone(self, number: int) -> None:
        """A gateway has ended, which nobody asked for."""
        self.gone.add(number)
        self._happened("gateway", gateway=number, gone=True)

    def gateways_to_make(self) -> list[tuple[int, int]]:
        """Numbers of gateways that are to be made on hosts, each with its host's: those hosts have come, or have begun again."""
        return [
            (number, home)
            for number, home in enumerate(self._launch.homes)
            if home >= 0 and home in self.book.present() and self._made_in.get(number, (0,))[0] != self.book.hosts[home].incarnation
        ]

    def gateway_made(self, number: int, address: str) -> None:
        """A gateway is on its host, as a process with this address; it takes calls when a configuration names it. Empty: it could not be made."""
        incarnation = self.book.hosts[self._launch.homes[number]].incarnation
        self._made_in[number] = (incarnation, address, time.monotonic())

    def gateway_failed(self, number: int) -> None:
        """A gateway on a host has said that it takes no calls there: it is not made again before its host begins again."""
        if number in self._made_in:
            self._made_in[number] = (self._made_in[number][0], "", 0.0)

    def see_gateways(self) -> None:
        """Tell which gateways on hosts have come, and which have gone."""
        for number, (incarnation, address, made_s) in self._made_in.items():
            home = self._launch.homes[number]
            state = self.book.hosts[home]
            lives = address in state.living or (bool(address) and time.monotonic() - made_s < SETTLING_S)
            is_there = home in self.book.present() and state.incarnation == incarnation and lives
            if is_there == (number in self.gone):
                self.gone ^= {number}
                self._happened("gateway", gateway=number, host=state.name, gone=not is_there)

    def all_gone(self) -> bool:
        """Whether no gateway is left, and none can come."""
        return len(self.gone) == len(self._launch.gateways) and max(self._launch.homes, default=-1) < 0

    def _address_of(self, listener: Listener) -> Address:
        """Where this port is now."""
        home = self._launch.homes[listener.number] if self._launch.homes else -1
        return listener.address if home < 0 else Address(self.book.hosts[home].address, listener.address.port)

    def done(self, what: str, about: str) -> None:
        """Somebody has done this to a process in the laboratory."""
        self._happened("laboratory", what=what, about=about)

    def not_done(self, what: str, about: str, why: str) -> None:
        """Somebody has asked the laboratory for this, and it could not be done."""
        self._happened("laboratory", what=what, about=about, failed=why)
        self.note(f"the laboratory cannot {what} {about[:100]}: {why}")

    def befallen(self, name: str, fault: str, has_struck: bool) -> None:
        """A fault that a replica was given has struck, or is armed and will when there is something that it concerns."""
        self._happened("fault" if has_struck else "fault_armed", replica=name, fault=fault)

    def is_of(self, host: str, node: Any) -> bool:
        """Whether a node of this host's name is at an address that the host has a certificate of, where hosts have some."""
        names_by_address = self._names_by_address = names_of_addresses(self._launch.settings.data_folder, self._names_by_address)
        is_its_own = not names_by_address or names_by_address.get(node.hostname) == host
        if not is_its_own and node not in self._impostors:
            self._impostors.add(node)
            self.note(f"{host}: a node at {node.hostname} has its name, which is not at that address")
        return is_its_own

    def see_hosts(self) -> None:
        """Tell of hosts that have come, and of those that have gone."""
        present = self.book.present()
        for position in sorted({*present} ^ {*self._present_hosts}):
            self._happened("host", host=self.book.hosts[position].name, present=position in present)
        self._present_hosts = present

    def note(self, text: str) -> None:
        """Something odd that is nobody's fault to be acted on; of very many the first are told."""
        self._notes += 1
        if self._notes <= MOST_NOTES:
            output.complain(f"bcr serve: {text}")

    def _happened(self, kind: str, **values: Any) -> None:
        self._event_number += 1
        at = ambient.wall_clock().isoformat(timespec="milliseconds")
        self._events.append({"number": self._event_number, "at": at, "kind": kind, **values})

    def has_news(self) -> bool:
        """Whether there is something that the gateways have not been told, or have been told a second ago."""
        return self._event_number > self._told_events or time.monotonic() - self._told_at_s > 1.0

    def news(self) -> bytes:
        """What gateways are told, as JSON: how the chain is, and what has happened since they were last told."""
        events = [event for event in self._events if event["number"] > self._told_events]
        self._told_events, self._told_at_s = self._event_number, time.monotonic()
        return msgspec.json.encode({"status": self.status(), "events": events})

    def status(self) -> dict[str, Any]:
        """How those who serve are, as `/admin/status` tells it."""
        chain = [
            {
                "position": position,
                "role": "head" if position == 0 else "tail" if position == len(self.replicas) - 1 else "middle",
                "mode": self._mode_of(state),
                "slots": state.slots,
                "in_flight": state.in_flight,
                "pid": state.pid or None,
                "has_room": state.has_room,
            }
            for position, state in enumerate(self.replicas)
        ]
        gateways = [str(self._address_of(listener)) for listener in self._launch.gateways[0].members(HTTP)]
        status: dict[str, Any] = {"configuration": self.number, "t": self._launch.settings.t, "chain": chain, "gateways": gateways,
                  "olympus_key": self._olympus_key.hex(), "stopped": sorted(self.stopped), "gone": sorted(self.gone)}  # fmt: skip
        if self.book.hosts:
            replicas = self._configuration.replicas if self._configuration is not None else ()
            status["hosts"] = self.book.status({host_of(each.address): position for position, each in enumerate(replicas)})
        return status

    @staticmethod
    def _mode_of(state: ReplicaState) -> str:
        return "silent" if state.heard_s and time.monotonic() - state.heard_s > STATUS_LIMIT_S else state.mode


class Laboratory(Protocol):
    """What does something to the processes of the service; `do` returns positions of replicas, and the faults to give them.

    `cuts_of` are the faults by which a server that has come back is behind the same cuts again.
    """

    def do(self, what: str, about: str) -> Sequence[tuple[int, bytes]]: ...

    def cuts_of(self, position: int) -> Sequence[bytes]: ...


def maker_for(launch: ServiceLaunch, usual: Any) -> Any:
    """The process class of Olympus: the usual one, but in a laboratory."""
    if launch.hosts:
        return import_module("Hosts").HostsMaker
    if not launch.is_lab:
        return usual
    from bcr_service.lab import maker

    return maker()


def steward() -> Any:
    """The process class of who sees on a host what lives there; loaded only where there are hosts."""
    return import_module("Hosts").Steward
