"""Which hosts of a service are there, and which replica is on which: each on one of its own, so that a host counts as one replica.

`HostBook` is kept by the process that keeps the service running, and `HostView` is what Olympus has been told of it.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

AUTHORITY_FOLDER = "authority"  # of the service's folder of disks
TLS_FOLDER = "tls"  # of each host's folder of disks: its key and certificate
RENEWAL_S = 86_400.0  # after which a host gets another certificate
HOST_LIMIT_S = 2.0  # without a word from a host for so long it gets no replica
TELLING_S = 1.0  # how often Olympus is told, also where nothing has changed
SETTLING_S = 5.0  # until what was made on a host is among what the host says that it has, if it lives


JOINED = "hosts.json"  # in the folder of the service's authority: who has joined
DAMAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # which is raised where what is read is no JSON, or other JSON


class KnownHost(msgspec.Struct):
    """A host that has joined: its public key, in PEM, and the addresses that it has had and nobody else since, the latest one last.

    `number` is that of what it has last asked for.
    """

    key: str
    addresses: list[str]
    number: int = 0


def known_hosts(file: Path) -> dict[str, KnownHost]:
    """The hosts that have joined, by name. Raises OSError, and what is of DAMAGE where the file is damaged."""
    return msgspec.json.decode(file.read_bytes(), type=dict[str, KnownHost]) if file.exists() else {}


def names_of_addresses(data_folder: str, before: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The names of the hosts that have joined a service with these disks, by each address that they have had.

    `before` is what was read last, which counts where the file cannot be read any more. Else raises OSError.
    """
    try:
        known = known_hosts(Path(data_folder) / AUTHORITY_FOLDER / JOINED)
    except DAMAGE:
        return before or {}  # that it is damaged was told when the service began
    except OSError:
        if before is None:
            raise
        return before
    return {address: name for name, each in known.items() for address in each.addresses}


class HostState(msgspec.Struct):
    """A host: its node, how often there was another, the processes that live on it, and when it was last heard of."""

    name: str
    node: Any = None
    incarnation: int = 0
    living: tuple[str, ...] = ()
    heard_s: float = 0.0
    refusal: str = ""

    @property
    def address(self) -> str:
        """Where its node was last; what the service's file calls it before it has come."""
        return getattr(self.node, "hostname", self.name)


class HostBook:
    """What is known of the hosts, by their order in the service file."""

    def __init__(self, names: Sequence[str], clock_s: Callable[[], float] = time.monotonic) -> None:
        self.hosts = [HostState(name) for name in names]
        self._clock_s = clock_s
        self._told: object = None
        self._told_s = 0.0

    def joined(self, position: int, node: Any) -> str:
        """A node has come for this host, which now has a steward; returns the steward's name, which none had before."""
        before = self.hosts[position]
        self.hosts[position] = HostState(before.name, node, before.incarnation + 1)
        return f"host_{position} of {before.incarnation + 1}"

    def _state_of(self, steward: str) -> HostState | None:
        """The host that this steward speaks for; None where another has taken its place."""
        position, _, incarnation = steward.removeprefix("host_").partition(" of ")
        state = self.hosts[int(position)]
        return state if state.incarnation == int(incarnation) else None

    def heard(self, steward: str, living: Sequence[str]) -> None:
        """A steward has said which processes live on its host."""
        state = self._state_of(steward)
        if state is not None:
            state.living, state.heard_s = tuple(living), self._clock_s()

    def refused(self, steward: str, why: str) -> str:
        """A host's folder cannot be used; returns the host's name."""
        state = self._state_of(steward)
        if state is None:
            return ""
        state.refusal = why
        return state.name

    def is_there(self, state: HostState) -> bool:
        """Whether it may get a replica."""
        return bool(state.heard_s) and not state.refusal and self._clock_s() - state.heard_s <= HOST_LIMIT_S

    def present(self) -> tuple[int, ...]:
        """The hosts that may get a replica."""
        return tuple(position for position, state in enumerate(self.hosts) if self.is_there(state))

    def missing(self) -> list[str]:
        """The names of the others."""
        return [state.name for state in self.hosts if not self.is_there(state)]

    def status(self, chain: Mapping[str, int]) -> list[dict[str, Any]]:
        """Each host, whether it is there, and the replica that it has: `chain` are the positions by the addresses of hosts."""
        return [
            {"host": each.name, "address": each.address, "present": self.is_there(each), "replica": chain.get(each.address)}
            for each in self.hosts
        ]

    def news(self) -> tuple[list[tuple[int, tuple[str, ...]]], tuple[Any, ...]] | None:
        """For Olympus: the hosts that are there with what lives on them, and their nodes; None where it has been told a moment ago."""
        present = self.present()
        living = [(position, self.hosts[position].living) for position in present]
        if living == self._told and self._clock_s() - self._told_s < TELLING_S:
            return None
        self._told, self._told_s = living, self._clock_s()
        return living, tuple(self.hosts[position].node for position in present)


class HostView:
    """The hosts as Olympus was last told of them, and where it has made replicas."""

    def __init__(self, names: Sequence[str], names_by_address: Mapping[str, str] | None = None) -> None:
        self._names = tuple(names)
        self._names_by_address = names_by_address or {}
        self._living_addresses: dict[int, Collection[str]] = {}
        self._nodes: dict[int, Any] = {}
        self._heard_s = 0.0
        self._latest_made: dict[int, tuple[str, float]] = {}  # host -> the address of what was last made there, and when

    def told(self, living: Sequence[tuple[int, Sequence[str]]], nodes: Sequence[Any], now_s: float) -> None:
        """These hosts are there, and this lives on them."""
        self._living_addresses = {position: frozenset(addresses) for position, addresses in living}
        self._nodes = {position: node for (position, _), node in zip(living, nodes, strict=True)}
        self._heard_s = now_s

    def node_of(self, host: int | None) -> Any:
        """The node of a host; None while it is not there."""
        return self._nodes.get(-1 if host is None else host)

    def made(self, host: int, address: str, now_s: float) -> None:
        """A replica has been made on the host."""
        self._latest_made[host] = (address, now_s)

    def lost(self, host: int | None) -> None:
        """It could not be: the host is as good as away, until it is heard of again."""
        if host is not None:
            self._living_addresses.pop(host, None)
            self._nodes.pop(host, None)

    def has_lost(self, host: int | None, address: str) -> bool:
        """Whether the host is there, and this process of it is not: it has ended, or the host has begun again."""
        if host is None or host not in self._living_addresses or address in self._living_addresses[host]:
            return False
        made, made_s = self._latest_made.get(host, ("", 0.0))
        return made != address or self._heard_s - made_s > SETTLING_S

    def choice(self, count: int, number: int, settled: Mapping[int, int] = {}) -> tuple[int, ...] | None:
        """A host for each of the replicas of configuration `number`, none for two; None where too few are there (specification, 7a.8).

        `settled` are the hosts of replicas that have been made, by position. The others are taken in turn, which begins with another
        host in each configuration. So of as many that follow each other as there are hosts, each host that is there all the time
        has the head of one at least, whoever else comes and goes. Nobody's word counts for it: liars would put correct hosts last.
        """
        begins = number % len(self._names)
        in_turn = sorted(self._living_addresses, key=lambda host: (host - begins) % len(self._names))
        free_hosts = [host for host in in_turn if host not in settled.values()]
        if count - len(settled) > len(free_hosts):
            return None
        return tuple(settled[place] if place in settled else free_hosts.pop(0) for place in range(count))

    def named(self, addresses: Sequence[str]) -> list[int | None]:
        """The hosts of processes by their addresses, which a configuration names; None for what is on none of them."""
        found = [self._names_by_address.get(host_of(address), host_of(address)) for address in addresses]
        return [self._names.index(name) if name in self._names else None for name in found]


def places_of(hosts: Sequence[str], data_folder: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What an Olympus that begins is told of the hosts: each one's name, and the addresses that it has had."""
    names_by_address = names_of_addresses(data_folder)
    return tuple((host, tuple(each for each, name in names_by_address.items() if name == host)) for host in hosts)


def view_of(places: Sequence[tuple[str, Sequence[str]]]) -> HostView:
    """What Olympus knows of the hosts when it begins."""
    return HostView([name for name, _ in places], {address: name for name, addresses in places for address in addresses})


def misplaced(
    addresses: Sequence[str], hosts: Sequence[str], are_here: bool, names_by_address: Mapping[str, str] | None = None
) -> str | None:
    """Why a service cannot go on from the disks of replicas at these addresses, where it cannot.

    `hosts` are those of its file, and `are_here` says that such disks are beside that of Olympus.
    """
    known = names_by_address or {}
    names = sorted({known.get(host_of(address), host_of(address)) for address in addresses})
    if not hosts:
        return None if are_here else f"the disks of its replicas are on {', '.join(names)}, and the file has no hosts"
    if are_here or not {*names} & {*hosts}:
        return f"the disks of its replicas are on {', '.join(names)}, and none of these is among hosts"
    return None


def host_of(address: str) -> str:
    """The host in the address of a process, as a configuration has it."""
    return address.partition(":")[0]
