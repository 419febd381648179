"""Reads a service file: a scenario file without clients, for its clients are the gateways, and with a few keys more."""

import os
import re
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bcr.scenario import Diagnostic, Scenario, ScenarioError, parse_scenario
from bcr.scenario.entries import KEY, MAX_BYTES, ScenarioEntry, entries_of
from bcr_runtime.places import SERVICE

DEFAULT_FILE = SERVICE.name
DEFAULT_GATEWAY = "127.0.0.1:8080"
MOST_GATEWAYS = 16
LOOPBACK = ("127.0.0.1", "localhost", "::1")

HTTP = "gateway"
# The interfaces of other services that a gateway speaks beside its own, each on a port of its own -> what it is.
DIALECTS = {
    "distraft": "status, values in forms and redirects, as the servers of distraft",
    "keyvalue": "lists of strings, as the servers of the key-value assignment",
    "zatt": "a dictionary over TCP in MessagePack, as the servers of zatt",
}
LISTENERS = (HTTP, *DIALECTS)
STANDING_LISTENERS = ("distraft", "keyvalue")  # whose server i is one of the protocol's, where that has servers
HOST = re.compile(r"[\w.-]{1,63}", re.ASCII)  # a name or an address, as certificates have it
OWN_NODE = "service"  # the name of the node where Olympus is
JOIN = "join"  # the key of the address where the nodes of hosts find the service
CLUSTER_VARIABLE = "DISTRAFT_CLUSTER"
SECRET_FILES = {"tls_key", "token_file", "cookie_file"}  # which nobody else may read
FILES = {"tls_certificate", *SECRET_FILES}

# What a service does differently from a run, where the file does not say otherwise.
DEFAULTS = {
    "t": "1",
    "object": "store",
    "durable": "on",
    "batch_limit": "64",
    "client_window": "64",
    "operations_per_request": "50",
    "log_level": "quiet",
}
# What else it does differently with a protocol.
DEFAULTS_OF = {"raft": {"client_timeout": "1000"}, "byzantine_raft": {"client_timeout": "1000"}}
# Keys of a run that make no sense here, and why.
REFUSED = {
    "workload": "the requests of a service come from its callers",
    "num_client": "the clients of a service are its gateways",
    "client_failures": "the clients of a service are its gateways",
    "failures": "a service is given faults in the laboratory: ./bcr serve --lab",
    "links": "a service is given faults in the laboratory: ./bcr serve --lab",
    "expect": "a service has no end at which to expect anything",
    "simulation": "a service is not simulated",
    "client_rate": "callers come when they come",
    "client_arrives": "the clients of a service are its gateways, which stay",
    "client_leaves": "the clients of a service are its gateways, which stay",
    "session_slots": "the clients of a service are its gateways, which stay",
    "placement": "the replicas of a service are on its hosts, where it has some: hosts = ADDRESS; …",
    "client_hosts": "the clients of a service are its gateways, which are where it was started",
    "replica_hosts": "each replica has a host of its own, whichever is free",
}
SYNONYMS = {"num_clients": "num_client"}
# Protocol, as a service file calls it -> what a scenario file calls it.
SCENARIO_NAMES = {"chain": "shuttle", "raft": "raft", "byzantine_raft": "byzantine_raft"}


class Address(msgspec.Struct, frozen=True):
    """Where a gateway listens: host and port, 0 for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Listener(msgspec.Struct, frozen=True):
    """A port of the service: the interface that it has, its number among those that have it, where it is, and its name.

    The gateway of the same number has it.
    """

    kind: str
    number: int
    address: Address
    name: str


class ServiceFile(msgspec.Struct, frozen=True):
    """What a service file says: the chain's numbers as those of a scenario, where its gateways listen, and who may call.

    `files` are the paths of FILES that it names, absolute; `join` is where the nodes of its hosts find it, if it has some. `protocol` is
    one of SCENARIO_NAMES.
    """

    scenario: Scenario
    listeners: tuple[Listener, ...]
    files: dict[str, str]
    join: Address | None
    protocol: str
    warnings: tuple[Diagnostic, ...]

    @property
    def num_gateways(self) -> int:
        return self.scenario.num_clients

    def home_of(self, gateway: int) -> int:
        """The number of the host that this gateway is on, or -1 where it is with the service."""
        return next(_home(each, self.scenario.hosts, self.join) for each in self.listeners if each.number == gateway)

    @property
    def listeners_here(self) -> tuple[Listener, ...]:
        """Those of the gateways that are with the service."""
        return tuple(each for each in self.listeners if self.home_of(each.number) < 0)


def _home(listener: Listener, hosts: Sequence[str], join: Address | None) -> int:
    """The number of the host that has this port, or -1 where the service itself has it, also on one of the hosts."""
    at = listener.address.host
    return hosts.index(at) if at in hosts and (join is None or at != join.host) else -1


def read_service(path: Path) -> ServiceFile:
    """The service in a file, and in the variables DISTRAFT_…. Raises ScenarioError, with everything that is wrong, and OSError."""
    data = path.read_bytes()
    source = str(path)
    if len(data) > MAX_BYTES:
        raise ScenarioError([Diagnostic(source, 1, 1, "error", f"{len(data):,} bytes, more than {MAX_BYTES:,}")])
    if path.suffix.lower() != ".config":
        raise ScenarioError([Diagnostic(source, 1, 1, "error", "a service file has the form name = value, and ends in .config")])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ScenarioError([Diagnostic(source, line, 1, "error", "not UTF-8 text")]) from error
    try:
        cluster = cluster_in(os.environ)
    except ValueError as error:
        raise ScenarioError([Diagnostic(CLUSTER_VARIABLE, 1, 1, "error", str(error))]) from error
    return parse_service(text, source, cluster)


def is_service(path: Path) -> bool:
    """Whether the file has a key that service files alone have: a listener, `join`, files, or `protocol = chain`. Raises OSError."""
    if path.suffix.lower() != ".config" or not path.is_file() or path.stat().st_size > MAX_BYTES:
        return False
    entries, _ = entries_of(path.read_text(encoding="utf-8", errors="replace"), str(path))
    for entry in entries:
        found = KEY.fullmatch(entry.key)
        name = found[1].lower() if found else ""
        if name in (*LISTENERS, *FILES, JOIN) or (name == "protocol" and entry.value.lower() == "chain"):
            return True
    return False


def parse_service(text: str, source: str, cluster: Sequence[Listener] = ()) -> ServiceFile:
    """The service in a file's text; `source` is its name, `cluster` servers of distraft that are named elsewhere. Raises ScenarioError."""
    entries, _ = entries_of(text, source)
    problems: list[Diagnostic] = []
    own_lines: set[int] = set()  # lines that a scenario does not have
    said: set[str] = set()
    listeners = {(each.kind, each.number): each for each in cluster}
    files: dict[str, str] = {}
    join: Address | None = None
    protocol = "chain"
    for entry in entries:
        found = KEY.fullmatch(entry.key)
        name = found[1].lower() if found else entry.key
        name = SYNONYMS.get(name, name)
        said.add(name)
        problem = None
        if name in LISTENERS:
            problem = _add_listener(listeners, name, found[3] if found else None, entry)
        elif name in FILES:
            problem = _add_file(files, name, entry, Path(source).parent)
        elif name == JOIN:
            try:
                join = join_address_in(entry.value)
            except ValueError as error:
                problem = f"{JOIN}: {error}"
        elif name == "protocol" and entry.value.lower() in SCENARIO_NAMES:
            protocol = entry.value.lower()
        else:
            problem = _problem_with(name, entry.value)
        if problem:
            problems.append(Diagnostic(source, entry.line, entry.key_column, "error", problem))
        if problem or name in LISTENERS or name in FILES or name in ("protocol", JOIN):
            own_lines.add(entry.line)
    if not any(kind == HTTP for kind, _ in listeners):
        listeners[HTTP, 0] = Listener(HTTP, 0, address_in(DEFAULT_GATEWAY), f"{HTTP}_0")
    gateways = 1 + max(number for _, number in listeners)
    if cluster and "t" not in said:
        text, said = f"{text}\nt = {max(1, (len(cluster) - 1) // 2)}", {*said, "t"}
    text = _as_scenario(text, own_lines, said, gateways, protocol)
    try:
        scenario, warnings = parse_scenario(text, source)
    except ScenarioError as error:
        raise ScenarioError([*problems, *error.diagnostics]) from error
    if not problems:
        problems += [Diagnostic(source, 1, 1, "error", each) for each in _disagreements(listeners, files, scenario.hosts, join)]
    problems += [Diagnostic(source, 1, 1, "error", each) for each in _problems_with_hosts(scenario, join, files)]
    problems += [Diagnostic(source, 1, 1, "error", each) for each in _not_of_protocol(protocol, scenario, listeners)]
    if problems:
        raise ScenarioError([*problems, *warnings])
    ordered = tuple(sorted(listeners.values(), key=lambda each: (LISTENERS.index(each.kind), each.number)))
    return ServiceFile(scenario, ordered, files, join, protocol, warnings)


def _problem_with(name: str, value: str) -> str | None:
    """What is wrong with a line that is no listener and no file, if something is."""
    if name in REFUSED:
        return f"{name}: {REFUSED[name]}"
    if name == "protocol":
        return f"protocol = {value}: a service has {', '.join(SCENARIO_NAMES)}"
    if name == "authentication" and value != "ed25519":
        return "authentication: a service proves what it says to everybody, which only ed25519 can"
    if name == "acceptance" and value != "all":
        return "acceptance: what t+1 replicas gave can be lost; a service accepts what all have testified to"
    if name == "object" and value != "store":
        return "object: callers of a service use the store"
    return None


def _disagreements(
    listeners: Mapping[tuple[str, int], Listener], files: Mapping[str, str], hosts: Sequence[str], join: Address | None
) -> Iterator[str]:
    """What does not go together, though each line is right."""
    for kind in LISTENERS:
        numbers = sorted(number for each, number in listeners if each == kind)
        if numbers != list(range(len(numbers))):
            yield f"{kind}[i]: these are numbered from 0 without gaps, not {numbers}"
    homes = {number: {_home(each, hosts, join) for each in listeners.values() if each.number == number} for _, number in listeners}
    for number in sorted(number for number, where in homes.items() if len(where) > 1):
        yield f"gateway {number} and the dialects of that number are one process, and so on one host"
    for each in listeners.values():
        if _home(each, hosts, join) >= 0 and not each.address.port:
            yield f"{each.kind}[{each.number}]: on another host it needs a port, by which callers find it"
    has_tls = {"tls_certificate", "tls_key"} <= set(files)
    if not has_tls and {"tls_certificate", "tls_key"} & set(files):
        yield "tls_certificate and tls_key go together"
    for listener in listeners.values():
        if listener.kind == "zatt" and "token_file" in files:
            yield "zatt: its callers have no way to show a token; leave out either zatt or token_file"
        if listener.address.host in LOOPBACK:
            continue
        if listener.kind == "zatt":
            yield f"zatt[{listener.number}]: neither TLS nor tokens are in that protocol, so it listens on this machine only"
        elif _home(listener, hosts, join) < 0 and not (has_tls and "token_file" in files):  # a host has its own
            yield (f"{listener.kind}[{listener.number}]: {listener.address.host} is not this machine alone: that takes TLS and a "
                   "token (tls_certificate, tls_key, token_file)")  # fmt: skip


def _problems_with_hosts(scenario: Scenario, join: Address | None, files: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the hosts that a service is spread over, if something is."""
    hosts = scenario.hosts
    if not hosts:
        if join is not None or "cookie_file" in files:
            yield f"{JOIN} and cookie_file are for a service with hosts = ADDRESS; …"
        return
    if join is None or not join.port or "cookie_file" not in files:
        yield f"hosts: their nodes need {JOIN} = HOST:PORT, where they find the service, and cookie_file, by which it knows them"
    for host in hosts:
        problem = problem_with_host(host)
        if problem:
            yield f"hosts: {problem}"
    if len(set(hosts)) < len(hosts):
        yield "hosts: each is named once"
    if len(hosts) < scenario.num_replicas:
        yield f"hosts: {scenario.num_replicas} replicas need a host each, and there are {len(hosts)}; those beyond are spare"
    if not scenario.durable:
        yield "hosts: they come and go, so the service has to be durable = on"


def problem_with_host(name: str) -> str | None:
    """What is wrong with the name of a host, if something is."""
    if HOST.fullmatch(name) and name != OWN_NODE:
        return None
    return (f"{name!r} is no name for one: up to 63 letters, digits, '.', '-', '_', and not {OWN_NODE!r}, as the service's own node is "
            "called")  # fmt: skip


def _not_of_protocol(protocol: str, scenario: Scenario, listeners: Mapping[tuple[str, int], Listener]) -> Iterator[str]:
    """What a service of this protocol cannot have, and why."""
    if protocol == "chain":
        return
    if scenario.hosts:
        yield f"hosts: their nodes load the processes of the chain only; a service with protocol = {protocol} is on one host"
    if scenario.changes:
        yield "changes: whoever may call the service asks for them, by PUT and DELETE of /admin/members/… and PUT of /admin/leader/…"
    for listener in listeners.values():
        if listener.kind in STANDING_LISTENERS and listener.number >= scenario.num_replicas:
            yield f"{listener.kind}[{listener.number}]: it stands beside a server of that number, and there are {scenario.num_replicas}"


def _as_scenario(text: str, own_lines: set[int], said: set[str], gateways: int, protocol: str) -> str:
    """The same lines, at their places, as a scenario with a client a gateway that has nothing to do of itself."""
    lines = ["" if number in own_lines else line for number, line in enumerate(text.split("\n"), start=1)]
    defaults = DEFAULTS | DEFAULTS_OF.get(protocol, {})
    lines += [f"protocol = {SCENARIO_NAMES[protocol]}"] if protocol != "chain" else []
    lines += [f"{name} = {value}" for name, value in defaults.items() if name not in said]
    lines += [f"num_client = {gateways}", *(f"workload[{number}] =" for number in range(gateways))]
    return "\n".join(lines)


def _add_listener(listeners: dict[tuple[str, int], Listener], kind: str, index: str | None, entry: ScenarioEntry) -> str | None:
    """Take the port of this line; what is wrong with it, if something is."""
    if index is None or not re.fullmatch(r"\s*\d{1,2}\s*", index) or int(index) >= MOST_GATEWAYS:
        return f"expected {kind}[i] = host:port with i from 0 to {MOST_GATEWAYS - 1}, found {entry.key!r}"
    number = int(index)
    if (kind, number) in listeners:
        return f"{entry.key} is there twice"
    name = f"server{number + 1}" if kind == "distraft" else f"{kind}_{number}"
    try:
        listeners[kind, number] = Listener(kind, number, address_in(entry.value), name)
    except ValueError as error:
        return f"{entry.key}: {error}"
    return None


def _add_file(files: dict[str, str], name: str, entry: ScenarioEntry, folder: Path) -> str | None:
    """Take the path of this line, which is relative to the folder of the file; what is wrong with it, if something is."""
    path = folder / entry.value.strip("'\" ")
    files[name] = str(path.absolute())
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        return f"{name}: {path}: {error.strerror}"
    if not stat.S_ISREG(mode):
        return f"{name}: {path} is no file"
    if name in SECRET_FILES and mode & stat.S_IRWXO:
        return f"{name}: everybody on this machine may read {path}; chmod 600 keeps it to its owner"
    return None


def address_in(text: str) -> Address:
    """The address in `host:port`. Raises ValueError, which says what would be right."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})", text.strip("'\" "))
    if found is None or int(found[3]) > 65_535:
        raise ValueError(f"expected host:port such as {DEFAULT_GATEWAY}, found {text!r}")
    return Address(found[1] or found[2], int(found[3]))


def join_address_in(text: str) -> Address:
    """The address in `host:port` where hosts find the service. Raises ValueError, which says what would be right."""
    address = address_in(text)
    try:
        address.host.encode("idna")
        is_everywhere = socket.inet_aton(address.host) == bytes(4)
    except UnicodeError:
        is_everywhere = True
    except OSError:  # it is no IPv4 address
        is_everywhere = False
    if ":" in address.host or is_everywhere or not address.port:
        raise ValueError(f"expected where hosts find the service: its own IPv4 address, or a name of that, and a port, found {text!r}")
    return address


def cluster_in(environment: Mapping[str, str]) -> tuple[Listener, ...]:
    """The servers in DISTRAFT_CLUSTER: `name=host:port:port`, the last port for clients, or `name=host:port:host:port`, separated
    by commas. Raises ValueError.
    """  # fmt: skip
    listeners: list[Listener] = []
    for number, member in enumerate(filter(None, environment.get(CLUSTER_VARIABLE, "").strip().lower().split(","))):
        name, _, rest = member.partition("=")
        parts = [each.strip() for each in rest.split(":")]
        if not name.strip() or len(parts) not in (3, 4) or number >= MOST_GATEWAYS:
            raise ValueError(f"expected up to {MOST_GATEWAYS} servers name=host:port:host:port, found {member[:80]!r}")
        if name.strip() in [each.name for each in listeners]:
            raise ValueError(f"there are two servers {name.strip()}")
        address = address_in(f"{parts[0] if len(parts) == 3 else parts[2]}:{parts[-1]}")
        listeners.append(Listener("distraft", number, address, name.strip()))
    return tuple(listeners)


def told(problems: Sequence[Diagnostic]) -> str:
    """All of it, a line each."""
    return "\n".join(map(str, problems))
