"""A simulated run told line by line: who sent what to whom, and what each decided; short enough to be read aloud.

Told from the processes' logs, in the order of virtual time. What takes no decision (what arrived, settings, digests) is
left out.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bcr.scenario import Scenario
from bcr.verdict.record import RunRecord
from bcr_sim.simulated_run import SimulationOutcome, simulate
from bcr_sim.source import BEGINNING_NS
from bcr_sim.world import SECOND_NS

_WORD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_LOG = re.compile(r"([a-z]+)(?:_(\d+))?(?:-configuration_(\d+))?(?:-twin)?")
_ROLES = ("client", "olympus", "replica")
# Of a process's life outside of the protocol, or what the next line says as well.
_UNTOLD_EVENTS = {
    "settings",
    "received",
    "created",
    "finished",
    "final_dictionary",
    "final_state",
    "contents",
    "evidence",
    "went_back",
    "caught_up",
    "operations",
    "results",
}
_SILENT_FIELDS = {"event", "process", "id", "message", "to", "receivers", "signer", "position", "digest"}

_Values = Mapping[str, str]

# Event -> how it is told; the others are told by their names and values.
_SENTENCES: Mapping[str, Callable[[_Values], str]] = {
    "case": lambda v: f"case {v['case'].replace('_', ' ')} for {_request(v)}",
    "executed": lambda v: f"executes slot {v['slot']}: {v['requests']}",
    "accepted": lambda v: f"accepted number {v['number']}, slot {v['slot']}, answered by {v['answered_by']}",
    "active": lambda v: f"is active in configuration {v['configuration']}",
    "immutable": lambda v: f"is immutable, with {v['slots']} slots executed and {v['history']} in its history",
    "checkpoint": lambda v: f"signs its state behind slot {v['slot']}",
    "completed_checkpoint": lambda v: f"cuts its history at slot {v['slot']}: {v['history']} left",
    "configured": lambda v: f"is in configuration {v['configuration']}",
    "issued": lambda v: f"issues configuration {v['configuration']}",
    "timer_expired": lambda v: f"has waited in vain for {_awaited(v)}",
    "retransmission": lambda v: f"asks all for request {v['number']}: attempt {v['attempt']}",
    "sent_again": lambda v: f"asks again for request {v['number']}, in configuration {v['configuration']}",
    "misbehaviour": lambda v: f"notices {v['kind']} in {v['message']}, blames {_position(v['blamed'])}: {v['what']}",
    "reconfiguration_requested": lambda v: f"is asked by {v['by']} to replace configuration {v['configuration']}: {v['reason']}",
    "reconfiguring": lambda v: f"replaces configuration {v['configuration']}",
    "trying": lambda v: f"tries quorum {v['quorum']} with {v['slots']} slots",
    "quorum_failed": lambda v: f"gives quorum {v['quorum']} up: {v['why']}",
    "reconfigured": lambda v: f"goes on from quorum {v['quorum']}, after {v['tried']} tried",
    "fault_injected": lambda v: f"is struck by {v['fault']}",
    "fault_armed": lambda v: f"is armed with {v.get('fault', v.get('what'))}",
    # of Raft, also among liars
    "block": lambda v: f"holds block {v['slot']}, {v['digest']} behind {v['previous']}",
    "voted": lambda v: f"votes for term {v['term']}",
    "term": lambda v: f"begins term {v['term']}, which replica {v['leader']} leads, behind block {v['log']}",
    "started": lambda v: f"begins in term {v['term']}, with {v['log']} entries",
    "candidate": lambda v: f"{'asks whether it would be elected' if v['is_pre_vote'] == 'true' else 'is a candidate'} in term {v['term']}",
    "leader": lambda v: f"leads in term {v['term']}, with {v['log']} entries",
    "following": lambda v: f"follows replica {v['leader']} in term {v['term']}",
    "no_majority": lambda v: f"leads no longer in term {v['term']}: it hears no majority",
    "snapshot": lambda v: f"takes a snapshot at index {v['slot']}",
    "installed": lambda v: f"takes over a snapshot of index {v['slot']}",
    "fault": lambda v: f"is struck by {v['what']}",
    "ignored": lambda v: f"ignores {v['message']}{_rest(v)}",
    "dropped": lambda v: f"drops {v['message']}",
}


def told(scenario: Scenario, folder: Path, *, keeps_steps: bool = False) -> tuple[SimulationOutcome, list[str]]:
    """The scenario, simulated, and its story; the processes' logs go to `folder`, which exists."""
    telling = msgspec.structs.replace(scenario, log_level="human") if scenario.log_level == "quiet" else scenario
    outcome = simulate(telling, folder=folder, keeps_steps=keeps_steps)
    return outcome, [*story(folder, outcome.record, scenario.faulty_clients), *_ending(outcome)]


def story(folder: Path, record: RunRecord, liars: Collection[int] = ()) -> Iterator[str]:
    """What the logs in the folder tell, a line each; operations and results are those of the record, but for lying clients,
    who may have sent anything."""
    exchanges = {
        (f"client_{each.client}", str(exchange.request.statement.client), str(exchange.request.statement.number)): exchange
        for each in record.clients
        if each.client not in liars
        for exchange in each.exchanges
    }
    lines = sorted(
        ((round(moment), _place(log), order), log, values)
        for log in folder.glob("*.log")
        if log.stem != "simulator"  # what no process knows is no part of what they did
        for order, (moment, values) in enumerate(map(_read, log.read_text().splitlines()))
    )
    names = {log: _name(log) for _, log, _ in lines}
    width = max(map(len, names.values()), default=0)
    numbers = {f"client_{each.client}": str(each.client) for each in record.clients}  # by which each is known at the time
    for (moment, _, _), log, values in lines:
        event = values["event"]
        if event in _UNTOLD_EVENTS or (event == "executed" and "requests" not in values):  # that is the detail of the one before
            continue
        what = _sending(values) if event == "sent" else _deed(event, values)
        if event == "admitted" and names[log] in numbers:
            numbers[names[log]] = values["client"]
        exchange = exchanges.get((names[log], numbers.get(names[log], ""), values.get("number", "")))
        if exchange is not None and event == "accepted":
            results = ", ".join(map(repr, exchange.answer.outcome.results))
            what = f"accepts request {values['number']} of slot {values['slot']} from {values['answered_by']}: {results}"
        elif exchange is not None and values.get("message") == "client_request":
            what += f": {'; '.join(map(str, exchange.request.statement.operations))}"
        yield f"{moment:>6}  {names[log]:<{width}}  {what}"


def _ending(outcome: SimulationOutcome) -> Iterator[str]:
    dictionary = outcome.result["final_state"]
    yield ""
    yield f"final dictionary: {dictionary if dictionary is None else dict(sorted(dictionary.items()))}"
    yield f"verdict: {outcome.breaches[0] if outcome.breaches else outcome.judgement.status}"


# -- a line


def _read(line: str) -> tuple[float, dict[str, str]]:
    """When it was written, in virtual milliseconds, and its values by name."""
    values = {name: _unquoted(value) for name, value in _WORD.findall(line)}
    moment = datetime.fromisoformat(values.pop("time"))
    return (moment - datetime.fromtimestamp(BEGINNING_NS // SECOND_NS, UTC)).total_seconds() * 1_000, values


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _sending(values: _Values) -> str:
    to = values.get("to") or f"{values.get('receivers', '0')} processes"
    to = {"1 processes": "one process", "1 replicas": "one replica", "1 clients": "one client"}.get(to, to)
    is_told = values["message"] != "new_configuration"  # where it is issued
    about = {name: value for name, value in values.items() if is_told and name != "configuration"}
    return f"sends {to}: {values['message']}{_rest(about)}"


def _deed(event: str, values: _Values) -> str:
    told_so = _SENTENCES.get(event)
    return told_so(values) if told_so is not None else event.replace("_", " ") + _rest(values)


def _rest(values: _Values) -> str:
    """The values that identify it, behind a blank; a client and a request number of it as `client:number`."""
    rest = {name: value for name, value in values.items() if name not in _SILENT_FIELDS and value != ""}
    words = []
    if {"client", "number"} <= rest.keys():
        words.append(f"{rest.pop('client')}:{rest.pop('number')}")
    words += [f"{name.replace('_', ' ')} {value}" for name, value in rest.items()]
    return " " + ", ".join(words) if words else ""


def _request(values: _Values) -> str:
    return f"{values['client']}:{values['number']}"


def _awaited(values: _Values) -> str:
    return f"the result shuttle of slot {values['slot']}" if "slot" in values else f"the result of {_request(values)}"


def _position(blamed: str) -> str:
    return f"replica {blamed}" if blamed else "nobody"


# -- a log


def _parts(log: Path) -> tuple[str, int, int]:
    """Role, index and configuration of the process whose log it is."""
    match: Any = _LOG.fullmatch(log.stem)
    return match[1], int(match[2] or 0), int(match[3] or 0)


def _place(log: Path) -> tuple[int, int, int]:
    role, index, configuration = _parts(log)
    return _ROLES.index(role), configuration, index


def _name(log: Path) -> str:
    role, index, configuration = _parts(log)
    name = role if role == "olympus" else f"{role}_{index}"
    return f"{name}/{configuration}" if configuration else name
