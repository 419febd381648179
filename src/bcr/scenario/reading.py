"""Reads scenario files: everything that is wrong with one is told at once, and nothing is half read."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bcr.chain.settings import Visit
from bcr.faults.plans import ClientFaultPlan, Failure, FaultPlan, Trigger
from bcr.faults.vocabulary import CLIENT_FAILURES, FAILURES, no_accident
from bcr.objects.finding import DEFAULT, ObjectNotFound, located, named
from bcr.objects.replicated import ReplicatedObject
from bcr.scenario.diagnostics import Diagnostic, KeyProblem, ScenarioError, Severity, ValueProblem, nearest
from bcr.scenario.entries import KEY, ScenarioEntry, entries_of, lines_of, split_index
from bcr.scenario.expectations import Expectation
from bcr.scenario.expecting import parse_expectation, why_never
from bcr.scenario.fitting import demand_disk, demand_expectation, demand_keys, demand_times, whose_trigger, why_no_fault
from bcr.scenario.grammar import (
    OF_CLIENTS,
    OF_REPLICAS,
    UNITS,
    ParsingContext,
    milliseconds_of,
    parse_links,
    parse_pairs,
    unit_hint,
)
from bcr.scenario.keys import CHOICES, COUNTERS, INDICES, VALID_KEYS, why_unknown
from bcr.scenario.protocols import PROTOCOLS, RAFT, SHUTTLE, WORDS, Protocol
from bcr.scenario.server_changes import parse_servers
from bcr.scenario.simulation import parse_simulation
from bcr.scenario.sizing import oversized_request
from bcr.scenario.values import MILLISECONDS_MOST, NUMBERS, Range, Scenario, Simulation
from bcr.scenario.visits import callers_of, parse_visits, slots_of_sessions
from bcr.scenario.workload import Workload
from bcr.scenario.workload_grammar import parse_workload
from bcr.signed.authentication import Authentication

SYNONYMS = {"num_clients": "num_client", "checkpoint_interval": "checkpt_interval"}
TIMES = {
    "client_timeout",
    "heartbeat",
    "election_timeout",
    "election_timeout_max",
    "head_timeout",
    "nonhead_timeout",
    "olympus_timeout",
    "wedge_grace",
}
SUSPICIOUS_MS = 50  # a timeout below is shorter than what it waits for takes, or was meant in seconds


def _by_process(trigger: Trigger, configuration: int) -> Trigger:
    """Where a file counts the configurations of all: the one that a process of this configuration gets is the first that it gets."""
    if trigger.name == "new_configuration" and trigger.count == configuration - 1:
        return replace(trigger, count=0)
    return trigger


def parse_scenario(text: str, source: str) -> tuple[Scenario, tuple[Diagnostic, ...]]:
    """The scenario in a file's text; `source` is its name, whose ending tells the form. Raises ScenarioError."""
    reading = _Reading(text, source)
    scenario = reading.scenario()
    if scenario is None or reading.has_errors():
        raise ScenarioError(reading.diagnostics)
    reading.tell_what_can_never_be(scenario)
    return scenario, tuple(sorted(reading.diagnostics))


class _Reading:
    """One reading of one file."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.lines = lines_of(text, source)
        self.is_possible: Callable[[str], str] = lambda _: ""  # why the protocol cannot have a failure; nothing where it can
        self.unread: set[str] = set()  # numbers that are missing or make no sense
        self._shortened: set[ScenarioEntry] = set()  # whose semicolon has been told
        entries, self.diagnostics = entries_of(text, source)
        self.unread.update(each.group(1).lower() for each in map(KEY.match, self._lines_with_errors()) if each)
        if self.has_errors() and not entries:
            self.unread.update(("t", "num_client"))  # it is no scenario at all
        self.entries: dict[tuple[str, tuple[str, ...]], ScenarioEntry] = {}
        for entry in entries:
            self._add(entry)

    def has_errors(self) -> bool:
        return any(each.severity == "error" for each in self.diagnostics)

    def _lines_with_errors(self) -> list[str]:
        return [self.lines[each.line - 1].strip() for each in self.diagnostics if each.severity == "error"]

    def _say(self, entry: ScenarioEntry, text: str, offset: int | None = None, severity: Severity = "error") -> None:
        column = entry.key_column if offset is None else entry.value_column + offset
        column = min(column, len(self.lines[entry.line - 1]) + 1)  # a YAML value may go on in other lines
        self.diagnostics.append(Diagnostic(self.source, entry.line, column, severity, text))

    # -- keys

    def _add(self, entry: ScenarioEntry) -> None:
        try:
            (entry.key + entry.value).encode()
        except UnicodeEncodeError:  # a YAML escape can make it
            self._say(entry, "half of a surrogate pair, which is no text")
            return
        match = KEY.fullmatch(entry.key)
        if match is None:
            word = re.match("[A-Za-z]\\w*", entry.key)
            if word is None or SYNONYMS.get(word[0].lower(), word[0].lower()) in VALID_KEYS:
                self._say(entry, f"not a name: {entry.key!r}")
            else:
                self._say(entry, why_unknown(entry.key), severity="warning")
            return
        key, opening, inside, closing = match.groups()
        name = SYNONYMS.get(key.lower(), key.lower())
        if name not in VALID_KEYS:
            self._say(entry, why_unknown(key), severity="warning")
            return
        if name != key:
            self._say(entry, f"{key} is read as {name}", severity="warning")
        if opening == "(" and closing == ")":
            self._say(entry, f"{name}(…) is read as {name}[…]", severity="warning")
        elif opening and opening + closing != "[]":
            self._say(entry, f"brackets do not match: {entry.key!r}")
            self.unread.add(name)
            return
        index = split_index(inside) if inside is not None else ()
        if (name, index) in self.entries:
            self._say(entry, f"{entry.key} is given again; the last one counts", severity="warning")
        self.entries[name, index] = entry

    def _indexed(self, name: str) -> list[tuple[tuple[str, ...], ScenarioEntry]]:
        return [(index, entry) for (key, index), entry in self.entries.items() if key == name]

    def _teller(self, entry: ScenarioEntry) -> Callable[[ValueProblem], None]:
        return lambda problem: self._say(entry, problem.text, problem.offset)

    def _warner(self, entry: ScenarioEntry) -> Callable[[str, int], None]:
        return lambda text, offset: self._say(entry, text, offset, severity="warning")

    # -- numbers and words

    def _plain(self, name: str) -> ScenarioEntry | None:
        for index, entry in self._indexed(name):
            if index:
                self._say(entry, f"{name} takes no index")
                self.unread.add(name)
        return self.entries.get((name, ()))

    def _number(self, name: str, limits: Range, unit_ms: int = 1) -> int:
        """The number of a key; where there is an error, one with which reading goes on to find more."""
        entry = self._plain(name)
        if entry is None and limits.default is not None:
            return limits.default
        value = self._number_of(entry, name, limits, unit_ms)
        if value is None:
            self.unread.add(name)
            return limits.most if limits.default is None else limits.default
        return value

    def _number_of(self, entry: ScenarioEntry | None, name: str, limits: Range, unit_ms: int) -> int | None:
        if entry is None:
            if name not in self.unread:  # else what is said of it is enough
                self.diagnostics.append(Diagnostic(self.source, 1, 1, "error", f"{name} is missing: {limits.why}"))
            return None
        text = self._alone(entry)
        value = milliseconds_of(text, unit_ms)
        if value is None:
            expected = "a whole number" if unit_ms == 1 else f"a number of {UNITS[unit_ms]}"
            hint = unit_hint(text, unit_ms) if name in TIMES else ""
            if name not in TIMES or "time_unit" not in self.unread:
                self._say(entry, f"{name}: expected {expected}, found {entry.value!r}{hint}", 0)
            return None
        if not limits.least <= value <= limits.most:
            self._say(entry, f"{name}: {value:,} is not from {limits.least:,} to {limits.most:,} ({limits.why})", 0)
            return None
        if name in TIMES and name != "heartbeat" and 0 < value < SUSPICIOUS_MS and ("time_unit", ()) not in self.entries:
            what = f"{name}: {value} milliseconds; if this file counts seconds say time_unit = s, otherwise time_unit = ms"
            self._say(entry, what, 0, severity="warning")
        return value

    def _alone(self, entry: ScenarioEntry) -> str:
        """The value without a semicolon behind it."""
        text = entry.value.rstrip("; \t")
        if text != entry.value and entry not in self._shortened:
            self._shortened.add(entry)
            self._say(entry, "a ; behind the value is ignored", len(text), severity="warning")
        return text

    def _choice(self, name: str) -> Any:
        entry = self._plain(name)
        if entry is None:
            return CHOICES[name][0]
        value = self._alone(entry).strip("'\"").lower()
        if value not in CHOICES[name]:
            self._say(entry, f"{name}: no {value!r}; {nearest(value, CHOICES[name])}", 0)
            self.unread.add(name)
            return CHOICES[name][0]
        return value

    def _list(self, name: str) -> list[tuple[str, int]]:
        entry = self._plain(name)
        if entry is None:
            return []
        parts, offset = [], 0
        if "," in entry.value:
            self._say(entry, f"{name}: commas between the items are read as ;", entry.value.index(","), severity="warning")
        for part in re.split("[;,]", entry.value):
            if part.strip():
                parts.append((part.strip().strip("'\""), offset))
            offset += len(part) + 1
        return parts

    def _host_indices(self, name: str, hosts: int) -> tuple[int, ...]:
        indices = []
        if not hosts and (name, ()) in self.entries:
            text = f"{name} is ignored: there is no hosts = …, of whose items it gives the numbers"
            self._say(self.entries[name, ()], text, severity="warning")
            return ()
        for part, offset in self._list(name):
            if re.fullmatch(r"\d{1,9}", part) and int(part) < max(hosts, 1):
                indices.append(int(part))
            else:
                text = f"{name}: no host {part!r}, hosts are 0 to {hosts - 1}; it is ignored"
                self._say(self.entries[name, ()], text, offset, severity="warning")
        return tuple(indices)

    # -- the whole

    def scenario(self) -> Scenario | None:
        unit_ms = 1_000 if self._choice("time_unit") == "s" else 1
        numbers = {name: self._number(name, limits, unit_ms if name in TIMES else 1) for name, limits in NUMBERS.items()}
        clients, t = numbers["num_client"], numbers["t"]
        object_name, replicated = self._object()
        label = self._plain("test_case_name")
        hosts = tuple(host for host, _ in self._list("hosts"))
        protocol = self._protocol(numbers, unit_ms)
        authentication: Authentication = self._choice("authentication")
        replicas = protocol.servers(t, authentication)
        counters, indices = self._number("counters_start_at", COUNTERS), self._number("indices_start_at", INDICES)
        reading = ParsingContext(clients, replicas, counters, unit_ms, indices, protocol.triggers, WORDS,
                                 partial(whose_trigger, protocol=protocol.name))  # fmt: skip
        session_slots, visits = self._sessions(reading, protocol, numbers["session_slots"], authentication)
        self.is_possible = partial(protocol.why_not, allows_lies=self._choice("allow_lies") == "yes")
        failures = self._failures(reading, authentication, protocol)
        return Scenario(
            source=self.source,
            name=label.value.strip("'\" ") if label and label.value.strip("'\" ") else Path(self.source).stem,
            protocol=protocol.name,
            heartbeat_ms=numbers["heartbeat"],
            election_timeout_ms=numbers["election_timeout"],
            election_timeout_most_ms=numbers["election_timeout_max"] or 2 * numbers["election_timeout"],
            allow_lies=self._choice("allow_lies") == "yes",
            t=t,
            num_clients=clients,
            client_timeout_ms=numbers["client_timeout"],
            head_timeout_ms=numbers["head_timeout"],
            nonhead_timeout_ms=numbers["nonhead_timeout"],
            checkpoint_interval=numbers["checkpt_interval"],
            batch_limit=numbers["batch_limit"],
            client_window=numbers["client_window"],
            operations_per_request=numbers["operations_per_request"],
            olympus_timeout_ms=numbers["olympus_timeout"],
            wedge_grace_ms=numbers["wedge_grace"],
            workloads=self._workloads(reading, numbers["operations_per_request"], replicated),
            object_name=object_name,
            client_rate=numbers["client_rate"],
            state_limit_bytes=numbers["state_limit"],
            callers=callers_of(numbers, self.entries.get(("callers", ())), protocol is SHUTTLE, self._say),
            session_slots=session_slots,
            visits=visits,
            **parse_servers(self.entries if protocol is RAFT else {}, reading, self._warner, self._teller),
            failures=failures,
            client_failures=self._client_failures(reading, authentication),
            expectations=self._expectations(reading, protocol),
            authentication=authentication,
            acceptance=self._choice("acceptance"),
            durable=demand_disk(self.entries, failures, self._choice("durable"), self._say),
            data=self._data(),
            placement=self._choice("placement"),
            log_level=self._choice("log_level"),
            hosts=hosts,
            client_hosts=self._host_indices("client_hosts", len(hosts)),
            replica_hosts=self._host_indices("replica_hosts", len(hosts)),
            simulation=self._simulation(replicas, clients, authentication, protocol),
        )

    def _data(self) -> str:
        """The folder of the disks; a relative one is beside the file."""
        entry = self._plain("data")
        if entry is None:
            return ""
        text = entry.value.strip("'\" ")
        if self._choice("durable") != "on":
            self._say(entry, "data: disks are kept there, and without durable = on there are none", 0)
        elif self._choice("placement") == "nodes":
            self._say(entry, "data: with placement = nodes each node keeps the disks of its own process, beside its logs", 0)
        elif self._choice("protocol") != SHUTTLE.name:
            self._say(entry, f"data: protocol = {self._choice('protocol')} has its disks beside its logs", 0)
        elif not text:
            self._say(entry, "data: expected the name of a folder", 0)
        return str((Path(self.source).parent / text).absolute()) if text else ""

    def _protocol(self, numbers: Mapping[str, int], unit_ms: int) -> Protocol:
        """The protocol that the file asks for; says so where it has keys that this one cannot have, or that say nothing to it."""
        protocol = PROTOCOLS[self._choice("protocol")]
        demand_keys(protocol, self.entries, self._choice, self._say)
        demand_times(protocol, self.entries, numbers, self.unread, unit_ms, self._say)
        return protocol

    def _object(self) -> tuple[str, ReplicatedObject[Any]]:
        """What is replicated, and its name as it means the same from every folder."""
        entry = self._plain("object")
        if entry is None:
            return DEFAULT, named(DEFAULT)
        text = located(self._alone(entry).strip("'\" "), Path(self.source).parent)
        try:
            return text, named(text)
        except ObjectNotFound as problem:
            self._say(entry, str(problem), 0)
            self.unread.add("object")
            return DEFAULT, named(DEFAULT)

    def _workloads(self, reading: ParsingContext, per_request: int, replicated: ReplicatedObject[Any]) -> tuple[Workload, ...]:
        if "object" in self.unread:
            return ()  # whose operations these are nobody knows
        workloads: dict[int, Workload] = {}
        first, beyond = reading.indices_start_at, reading.indices_start_at + reading.clients
        for index, entry in self._indexed("workload"):
            number = self._index(entry, "workload", index, 1)
            if number is None:
                self.unread.add("workload")
                continue
            if not first <= number[0] < beyond and not self.unread & {"num_client", "indices_start_at"}:
                text = f"workload[{number[0]}] is ignored: no such client, {reading.clients_are}"
                self._say(entry, text, severity="warning")
            workload = parse_workload(entry.value, self._warner(entry), self._teller(entry), replicated)
            workloads[number[0]] = workload
            too_much = oversized_request(workload, per_request, replicated)
            if too_much is not None and "operations_per_request" not in self.unread:
                self._say(entry, f"workload[{number[0]}]: {too_much}")
        if not self.unread & {"num_client", "workload", "indices_start_at"}:
            faulty = {index for index, _ in self._indexed("client_failures")}  # to whom nothing is owed, and nothing need be asked
            for client in range(first, beyond):
                if client not in workloads and (str(client),) not in faulty:
                    text = f"workload[{client}] is missing: what client {client} is to do"
                    if client == 0 and beyond in workloads:
                        text += "; if clients and positions count from 1 in this file, say indices_start_at = 1"
                    self.diagnostics.append(Diagnostic(self.source, 1, 1, "error", text))
        return tuple(workloads.get(client, Workload()) for client in range(first, beyond))

    def _index(self, entry: ScenarioEntry, name: str, index: tuple[str, ...], count: int) -> tuple[int, ...] | None:
        if len(index) != count or not all(re.fullmatch(r"\d{1,9}", part) for part in index):
            forms = {"workload": "workload[i]", "failures": "failures[c,r]", "client_failures": "client_failures[k]",
                     "links": "links[a,b]", "client_arrives": "client_arrives[k]", "client_leaves": "client_leaves[k]"}  # fmt: skip
            form = forms[name]
            self._say(entry, f"expected {form} with whole numbers, found {entry.key!r}")
            return None
        return tuple(map(int, index))

    def _failures(self, reading: ParsingContext, authentication: Authentication, protocol: Protocol) -> tuple[FaultPlan, ...]:
        plans: list[FaultPlan] = []
        for index, entry in self._indexed("failures"):
            place = self._index(entry, "failures", index, 2)
            if place is None:
                continue
            configuration, position = place[0], place[1] - reading.indices_start_at
            if not 0 <= position < reading.replicas:
                text = f"failures: no replica {place[1]}, positions are {reading.positions_are}"
                if place[1] == reading.replicas and not reading.indices_start_at:
                    text += "; if clients and positions count from 1 in this file, say indices_start_at = 1"
                self._say(entry, text)
            for pair in parse_pairs(entry.value, OF_REPLICAS, reading, self._warner(entry), self._teller(entry)):
                self._demand_possible(entry, pair.failure.name, pair.failure_offset, authentication)
                if why := self.is_possible(pair.failure.name):
                    self._say(entry, f"{pair.failure.name}: {why}", pair.failure_offset)
                plan = FaultPlan(configuration, position, _by_process(pair.trigger, configuration), pair.failure, pair.text)
                if why := why_no_fault(protocol, plan):
                    self._say(entry, f"failures: {why}")
                plans.append(plan)
        return (*plans, *self._links(reading))

    def _client_failures(self, reading: ParsingContext, authentication: Authentication) -> tuple[ClientFaultPlan, ...]:
        plans: list[ClientFaultPlan] = []
        for index, entry in self._indexed("client_failures"):
            place = self._index(entry, "client_failures", index, 1)
            if place is None:
                continue
            client = place[0] - reading.indices_start_at
            if not 0 <= client < reading.clients:
                self._say(entry, f"client_failures: no client {place[0]}, {reading.clients_are}")
            for pair in parse_pairs(entry.value, OF_CLIENTS, reading, self._warner(entry), self._teller(entry)):
                self._demand_possible(entry, pair.failure.name, pair.failure_offset, authentication)
                plans.append(ClientFaultPlan(client, pair.trigger, pair.failure, pair.text))
        return tuple(plans)

    def _sessions(
        self, reading: ParsingContext, protocol: Protocol, session_slots: int, authentication: Authentication
    ) -> tuple[int, tuple[Visit, ...]]:
        """After how many slots sessions end, and when which client comes and goes."""
        moments = {name: self._moments(name, reading, protocol) for name in ("client_arrives", "client_leaves")}
        visits = parse_visits(moments, reading, self._say)
        entries = {name: self.entries.get((name, ())) for name in ("session_slots", "data")}
        is_chain = protocol is SHUTTLE
        return (slots_of_sessions(session_slots, moments, entries, authentication, self._say) if is_chain else 0), visits

    def _moments(self, name: str, reading: ParsingContext, protocol: Protocol) -> dict[int, tuple[ScenarioEntry, int]]:
        """Of each client the milliseconds that this key gives it, and where that stands."""
        moments: dict[int, tuple[ScenarioEntry, int]] = {}
        for index, entry in self._indexed(name):
            place = self._index(entry, name, index, 1)
            if place is None:
                continue
            client = place[0] - reading.indices_start_at
            if not 0 <= client < reading.clients:
                self._say(entry, f"{name}: no client {place[0]}, {reading.clients_are}")
            if protocol is not SHUTTLE:
                self._say(entry, f"{name}: protocol = {protocol.name} has the clients that it begins with, and no credentials")
            if ("client_failures", index) in self.entries:
                self._say(entry, f"{name}: client {place[0]} has faults of its own, and such a client is there from the start and stays")
            value = self._number_of(entry, entry.key, Range(None, 0, MILLISECONDS_MOST, "milliseconds after the start"), reading.unit_ms)
            if value is not None:
                moments[client] = entry, value
        return moments

    def _demand_possible(self, entry: ScenarioEntry, failure: str, offset: int, authentication: Authentication) -> None:
        """Say so where checksums are asked to stand against a lie, and where there is nothing that could lie so."""
        word = FAILURES.get(failure) or CLIENT_FAILURES.get(failure)
        authenticator, why = word.only_with if word and word.only_with else (authentication, "")
        if authenticator != authentication:
            self._say(entry, f"{failure} needs authentication = {authenticator}, which is {authentication}: {why}", offset)
        elif authentication == "crc" and (why := no_accident(failure)):
            text = f"{failure} is no accident, and authentication = crc is for nothing else: {why}"
            self._say(entry, text, offset)

    def _links(self, reading: ParsingContext) -> Iterator[FaultPlan]:
        """Faults of links: what configuration 0's replicas send along them is lost."""
        for index, entry in self._indexed("links"):
            link = self._link(entry, index, reading) if index else None
            if index and link is None:
                continue
            warn, tell = self._warner(entry), self._teller(entry)
            for fault in parse_links(entry.value, link, reading, warn, tell):
                failure = Failure("fail_link" if fault.fails else "fix_link", fault.receiver)
                yield FaultPlan(0, fault.sender, fault.trigger, failure, fault.text)

    def _link(self, entry: ScenarioEntry, index: tuple[str, ...], reading: ParsingContext) -> tuple[int, int] | None:
        numbers = self._index(entry, "links", index, 2)
        if numbers is None:
            return None
        sender, receiver = (number - reading.indices_start_at for number in numbers)
        if min(sender, receiver) < 0 or max(sender, receiver) >= reading.replicas or sender == receiver:
            there_are = f"replicas are {reading.positions_are}"
            self._say(entry, f"links: no link from {numbers[0]} to {numbers[1]}, {there_are}")
            return None
        return sender, receiver

    def _simulation(self, replicas: int, clients: int, authentication: Authentication, protocol: Protocol) -> Simulation | None:
        entry = self._plain("simulation")
        if entry is None:
            return None

        def demand_possible(word: str, offset: int) -> None:
            self._demand_possible(entry, word, offset, authentication)
            if word in protocol.options:
                self._say(entry, f"{word}: {protocol.options[word]}", offset)
            elif word in protocol.options_of_disks and self._choice("durable") != "on":
                self._say(entry, f"{word} does nothing: {protocol.options_of_disks[word]}", offset, "warning")

        warn, tell = self._warner(entry), self._teller(entry)
        simulation = parse_simulation(entry.value, replicas, clients, warn, tell, demand_possible)
        if protocol is not SHUTTLE and "olympus" in simulation.with_disks():
            self._say(entry, f"there is no olympus in protocol = {protocol.name}")
        for fault in simulation.disk_faults:
            if fault.fault in protocol.disk_faults_refused:
                self._say(entry, f"disk({fault.process},{fault.fault},…): {protocol.disk_faults_refused[fault.fault]}")
        return simulation

    # -- expectations

    def _expectations(self, reading: ParsingContext, protocol: Protocol) -> tuple[Expectation, ...]:
        expectations: list[Expectation] = []
        for index, entry in self._indexed("expect"):
            try:
                expectation = parse_expectation(index, entry, reading, self._warner(entry))
                demand_expectation(protocol, expectation.name, entry, self._say)
                expectations.append(expectation)
            except ValueProblem as problem:
                self._say(entry, problem.text, None if isinstance(problem, KeyProblem) else problem.offset)
        return tuple(expectations)

    def tell_what_can_never_be(self, scenario: Scenario) -> None:
        for expectation, (_, entry) in zip(scenario.expectations, self._indexed("expect"), strict=True):
            if why := why_never(expectation, scenario):
                self._say(entry, f"{entry.key} can never be so: {why}", severity="warning")
