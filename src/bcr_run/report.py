"""The end of a run: the verdict, `result.json`, the record, and what the user reads."""

import json
import platform
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from bcr.evidence.evidence_files import packed_record
from bcr.faults.plans import FaultPlan
from bcr.objects.replicated import ReplicatedObject, has_own_model
from bcr.signed.violations import Notice
from bcr.state.running import shown
from bcr.verdict.judge import Hindrance, Judgement
from bcr.verdict.missed import Missed, missed_faults
from bcr.verdict.record import ClientRecord, ReplicaReport, RunRecord
from bcr_run.accused import blamed, is_of_the_chain, whose
from bcr_run.latencies import elapsed_s, first_result_ms, latency_ms, processes, rate_of
from bcr_run.launch import Launch
from bcr_run.output import UNPRINTED, Terminal, abandon, complain
from bcr_run.protocol_starts import FIGURES, JUDGES
from bcr_run.run_folder import PACKAGES, versions, write_whole
from bcr_runtime.places import own_version

EXIT_STATUS = {"pass": 0, "fail": 1, "unknown": 2}
MAX_RESULTS = 10_000
MAX_LINES = 30  # about faults
ITSELF = "the object itself"  # checks what it gave, where there is nothing else to check it


def conclude(launch: Launch, record: RunRecord, failure: str | None) -> int:
    """Judge the run, write its files, tell the user, and return the exit status.

    `failure` says why the run was given up, where it was.
    """
    launch.folder.mkdir(parents=True, exist_ok=True)
    judgement = JUDGES[launch.scenario.protocol](launch, record, failure)
    outcome = outcome_of(launch, record, judgement)
    # Where something could not be written the logs may lack what happened.
    if launch.scenario.protocol in FIGURES and not isinstance(failure, Hindrance):
        figure = FIGURES[launch.scenario.protocol](launch.folder, outcome, launch.scenario.faulty_clients, 0)
        outcome |= {"figure": figure.told()}
        if figure.forbidden is not None:
            outcome |= {"verdict": "fail", "reasons": [*outcome["reasons"], figure.reason()]}
    complaints = [text for text in (expectation.check(outcome) for expectation in launch.scenario.expectations) if text is not None]
    if complaints:
        # An expectation that an unfinished run does not meet says nothing: it might have met it.
        status = "unknown" if outcome["verdict"] == "unknown" else "fail"
        outcome |= {"verdict": status, "reasons": [*outcome["reasons"], *complaints]}
    text = json.dumps(outcome, indent=2, ensure_ascii=False) + "\n"
    problems: list[str] = []
    for path in filter(None, (launch.folder / "result.json", launch.result_file)):
        problems += write_whole(text.encode("utf-8", errors="backslashreplace"), path)
    problems += write_whole(packed_record(record), launch.folder / "record.msgpack")  # last, because it is large
    try:
        _print(outcome, launch.folder)
    except OSError as error:
        abandon(sys.stdout)
        problems.append(f"standard output cannot be written: {error.strerror}")
    for problem in problems:
        complain(f"RunSystem.da: {problem}")
    return EXIT_STATUS[outcome["verdict"]] or (UNPRINTED if problems else 0)


def outcome_of(launch: Launch, record: RunRecord, judgement: Judgement) -> dict[str, Any]:
    """The contents of `result.json`."""
    tail = launch.settings.num_replicas - 1
    replicated = launch.scenario.replicated
    return {
        "scenario": launch.scenario.name,
        "protocol": launch.scenario.protocol,
        "verdict": judgement.status,
        "reasons": list(judgement.reasons),
        "operations": sum(len(exchange.request.statement.operations) for exchange in _exchanges(record)),
        "results": _results(record),
        "results_by_tail": sum(report.results_sent for report in _reports(record) if report.position == tail),
        "retransmissions": sum(client.retransmissions for client in record.clients),
        "reconfigurations": [
            msgspec.to_builtins(each) | {"first_result_ms": first_result_ms(record, each)} for each in record.reconfigurations
        ],
        "faults_injected": [_of_replica(fault) for fault in _struck(record)]
        + [{"client": fault.client, "fault": fault.text} for client in record.clients for fault in client.faults],
        "faults_armed": [_of_replica(fault) for fault in record.armed_faults],
        "faults_missed": [msgspec.structs.asdict(each) for each in missed_faults(launch.scenario, record)],
        "changes": [{"change": each.kind, "server": each.server} for each in record.changes],
        "notices": _notices(record),
        "final_state": _final_state(record, replicated),
        "object": replicated.name,
        "checked_by": "a second implementation" if has_own_model(replicated) else ITSELF,
        "elapsed_s": elapsed_s(record),
        "operations_per_second": rate_of(record),
        "latency_ms": latency_ms(record),
        "processes": processes(record),
        "versions": dict(_versions()),
        "settings": launch.scenario.settings(),
        "olympus_key": record.olympus_key.hex(),
        "clock": {"name": launch.settings.clock, "origin_ns": launch.settings.clock_origin_ns},
        "log_folder": str(launch.folder),
    }


def _struck(record: RunRecord) -> list[FaultPlan]:
    """The faults of replicas but for those that were armed and had no effect, in the order in which they were told of."""
    armed = Counter(record.armed_faults)
    struck = []
    for fault in reversed(record.faults):  # of two that are the same the first had the effect
        if armed[fault]:
            armed[fault] -= 1
        else:
            struck.append(fault)
    return struck[::-1]


def _of_replica(fault: FaultPlan) -> dict[str, Any]:
    return {"configuration": fault.configuration, "position": fault.position, "fault": fault.text}


def _final_state(record: RunRecord, replicated: ReplicatedObject[Any]) -> Mapping[str, str] | None:
    return None if record.final_state is None else shown(replicated, record.final_state.values(replicated))


@cache
def _versions() -> Mapping[str, str]:
    """Read once: a hunt makes a result of each of its runs."""
    own_versions = {"python": platform.python_version(), "byzantine-chain-replication": own_version()}
    return own_versions | versions(PACKAGES)


def _exchanges(record: RunRecord) -> Any:
    return (exchange for client in record.clients for exchange in client.exchanges)


def _results(record: RunRecord) -> list[list[str]]:
    """Each client's results in request order; MAX_RESULTS in all."""
    rest_count = MAX_RESULTS
    lists = []
    for client in record.clients:
        results = list(islice(_results_of(client), rest_count))
        rest_count -= len(results)
        lists.append(results)
    return lists


def _results_of(client: ClientRecord) -> Any:
    return (result for exchange in client.exchanges for result in exchange.answer.outcome.results)


def _notices(record: RunRecord) -> list[dict[str, Any]]:
    """Every misbehaviour that somebody noticed: who, in which message, of what kind, what it was, and whom they blame."""
    notices_by_process: list[tuple[str, int | None, Sequence[Notice]]] = [("olympus", None, record.olympus_notices)]
    notices_by_process += [(f"client_{client.client}", None, client.notices) for client in record.clients]
    notices_by_process += [(f"replica_{each.position}", each.configuration, each.notices) for each in _reports(record)]
    return [
        {"by": who, "configuration": configuration} | msgspec.structs.asdict(notice)
        for who, configuration, notices in notices_by_process
        for notice in notices
    ]


def _reports(record: RunRecord) -> Iterator[ReplicaReport]:
    return (signed.statement for signed in record.replicas)


def _print(outcome: Mapping[str, Any], folder: Path) -> None:
    console = Terminal()
    table = Table(title=outcome["scenario"], title_justify="left", show_header=False)
    rate = f"{outcome['operations_per_second']:,.0f} a second" if outcome["elapsed_s"] else "-"
    for name, value in (
        ("operations answered", f"{outcome['operations']:,}"),
        *_of_the_chain(outcome),
        ("retransmissions", f"{outcome['retransmissions']:,}"),
        *_of_membership(outcome),
        ("seconds", f"{outcome['elapsed_s']:.3f}"),
        ("operations", rate),
        ("latency", _latency(outcome["latency_ms"])),
    ):
        table.add_row(name, value)
    console.print(table)
    if outcome["checked_by"] == ITSELF:
        told = f"results are checked by {ITSELF}: {outcome['object']} brings no second implementation along"
        console.print(f"  {told}", markup=False, highlight=False, soft_wrap=True)
    for reason in outcome["reasons"]:
        console.print(f"  {reason}", markup=False, highlight=False, soft_wrap=True)
    for line in _told_of_faults(outcome):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"logs and result.json: {folder}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"verdict: {outcome['verdict']}", markup=False, highlight=False)


def _of_the_chain(outcome: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if is_of_the_chain(outcome):
        yield "results by the tail", f"{outcome['results_by_tail']:,}"


def _of_membership(outcome: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How often those who serve were replaced; of Raft, what became of whom while it ran."""
    if is_of_the_chain(outcome):
        yield "reconfigurations", f"{len(outcome['reconfigurations']):,}"
    elif outcome["changes"]:
        yield "servers", ", ".join(f"{change['change']} {change['server']}" for change in outcome["changes"])


def _latency(latency_ms: Mapping[str, float]) -> str:
    if not latency_ms:
        return "-"
    return f"{latency_ms['p50']:,.1f} ms median, {latency_ms['p99']:,.1f} ms 99th percentile"


def armed_in_vain(outcome: Mapping[str, Any]) -> list[str]:
    """A sentence for each fault that met its trigger and had nothing to strike."""
    return [f"armed, and had no effect: {fault['fault']} of {whose(fault, outcome)}" for fault in outcome["faults_armed"]]


def _told_of_faults(outcome: Mapping[str, Any]) -> Iterator[str]:
    """What struck, what was armed and had no effect, what never met its trigger, and who was blamed, a line each; of very many the first."""
    strike_counts = Counter(f"struck: {fault['fault']} of {whose(fault, outcome)}" for fault in outcome["faults_injected"])
    lines = [f"{text}{f', {count} times' if count > 1 else ''}" for text, count in strike_counts.items()]
    lines += armed_in_vain(outcome)
    lines += [str(Missed(**missed)) for missed in outcome["faults_missed"]]
    lines += [f"blamed: {blame.sentence()}" for blame in blamed(outcome)]
    yield from lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        yield f"and {len(lines) - MAX_LINES} lines more: ./bcr show tells all"
