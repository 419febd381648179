"""Reads a service file: a scenario file without clients, for its clients are the gateways, and with a few keys more."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bcr.scenario import Diagnostic, Scenario, ScenarioError, parse_scenario
from bcr.scenario.entries import KEY, MAX_BYTES, Entry, entries_of
from bcr_runtime.places import SERVICE

DEFAULT_FILE = SERVICE.name
DEFAULT_GATEWAY = "127.0.0.1:8080"
MOST_GATEWAYS = 16
LOOPBACK = ("127.0.0.1", "localhost", "::1")

# What a service does differently from a run, where the file does not say otherwise.
DEFAULTS = {
    "t": "1",
    "object": "store",
    "batch_limit": "64",
    "client_window": "64",
    "operations_per_request": "50",
    "log_level": "quiet",
}
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
    "placement": "a service runs on one host",
    "hosts": "a service runs on one host",
    "client_hosts": "a service runs on one host",
    "replica_hosts": "a service runs on one host",
}
SYNONYMS = {"num_clients": "num_client"}
# Key of the service -> the values that there are, and what the others wait for.
CHOICES = {
    "durable": (("off",), "this version keeps everything in memory; say durable = off, or nothing"),
    "protocol": (("chain",), "chain is the only protocol of the service so far"),
}


class Address(msgspec.Struct, frozen=True):
    """Where a gateway listens: host and port, 0 for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ServiceFile(msgspec.Struct, frozen=True):
    """What a service file says: the chain's numbers as those of a scenario, and where its gateways listen."""

    scenario: Scenario
    gateways: tuple[Address, ...]
    warnings: tuple[Diagnostic, ...]


def read_service(path: Path) -> ServiceFile:
    """The service in a file. Raises ScenarioError with everything that is wrong, and OSError where it cannot be read."""
    data = path.read_bytes()
    source = str(path)
    if len(data) > MAX_BYTES:
        raise ScenarioError([Diagnostic(source, 1, 1, "error", f"{len(data):,} bytes, more than {MAX_BYTES:,}")])
    if path.suffix.lower() != ".config":
        raise ScenarioError([Diagnostic(source, 1, 1, "error", "a service file has the form name = value, and ends in .config")])
    try:
        return parse_service(data.decode("utf-8"), source)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ScenarioError([Diagnostic(source, line, 1, "error", "not UTF-8 text")]) from error


def parse_service(text: str, source: str) -> ServiceFile:
    """The service in a file's text; `source` is its name. Raises ScenarioError."""
    entries, _ = entries_of(text, source)
    problems: list[Diagnostic] = []
    ours: set[int] = set()  # lines that a scenario does not have
    said: set[str] = set()
    gateways: dict[int, Address] = {}
    for entry in entries:
        found = KEY.fullmatch(entry.key)
        name = found[1].lower() if found else entry.key
        name = SYNONYMS.get(name, name)
        said.add(name)
        problem = None
        if name in REFUSED:
            problem = f"{name}: {REFUSED[name]}"
        elif name == "gateway":
            problem = _add_gateway(gateways, found[3] if found else None, entry)
        elif name == "data":
            problem = "data: nothing is kept on disk yet; leave the line out"
        elif name in CHOICES:
            values, otherwise = CHOICES[name]
            problem = None if entry.value.lower() in values else f"{name} = {entry.value}: {otherwise}"
        elif name == "authentication" and entry.value != "ed25519":
            problem = "authentication: a service proves what it says to everybody, which only ed25519 can"
        elif name == "acceptance" and entry.value != "all":
            problem = "acceptance: what t+1 replicas gave can be lost; a service accepts what all have testified to"
        elif name == "object" and entry.value != "store":
            problem = "object: callers of a service use the store"
        if problem:
            problems.append(Diagnostic(source, entry.line, entry.key_column, "error", problem))
        if problem or name == "gateway" or name in CHOICES:
            ours.add(entry.line)
    gateways = gateways or {0: _address(DEFAULT_GATEWAY)}
    if not problems and sorted(gateways) != list(range(len(gateways))):
        problems.append(Diagnostic(source, 1, 1, "error", f"gateways are numbered from 0 without gaps, not {sorted(gateways)}"))
    text = _as_scenario(text, ours, said, len(gateways))
    try:
        scenario, warnings = parse_scenario(text, source)
    except ScenarioError as error:
        raise ScenarioError([*problems, *error.diagnostics]) from error
    if problems:
        raise ScenarioError([*problems, *warnings])
    return ServiceFile(scenario, tuple(gateways[number] for number in sorted(gateways)), warnings)


def _as_scenario(text: str, ours: set[int], said: set[str], gateways: int) -> str:
    """The same lines, at their places, as a scenario with a client a gateway that has nothing to do of itself."""
    lines = ["" if number in ours else line for number, line in enumerate(text.split("\n"), start=1)]
    lines += [f"{name} = {value}" for name, value in DEFAULTS.items() if name not in said]
    lines += [f"num_client = {gateways}", *(f"workload[{number}] =" for number in range(gateways))]
    return "\n".join(lines)


def _add_gateway(gateways: dict[int, Address], index: str | None, entry: Entry) -> str | None:
    """Take the gateway of this line; what is wrong with it, if something is."""
    if index is None or not re.fullmatch(r"\s*\d{1,2}\s*", index) or int(index) >= MOST_GATEWAYS:
        return f"expected gateway[i] = host:port with i from 0 to {MOST_GATEWAYS - 1}, found {entry.key!r}"
    if int(index) in gateways:
        return f"{entry.key} is there twice"
    try:
        gateways[int(index)] = _address(entry.value)
    except ValueError as error:
        return f"{entry.key}: {error}"
    return None


def _address(text: str) -> Address:
    """The address in `host:port`. Raises ValueError, which says what would be right."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})", text.strip("'\" "))
    if found is None or int(found[3]) > 65_535:
        raise ValueError(f"expected host:port such as {DEFAULT_GATEWAY}, found {text!r}")
    host = found[1] or found[2]
    if host not in LOOPBACK:
        raise ValueError(f"{host} is not this machine alone: without TLS and tokens, which are not there yet, a gateway "
                         f"listens on {' or '.join(LOOPBACK)} only")  # fmt: skip
    return Address(host, int(found[3]))


def told(problems: Sequence[Diagnostic]) -> str:
    """All of it, a line each."""
    return "\n".join(map(str, problems))
