"""The story of a run in a dozen sentences: what struck, who noticed what, who asked, what it cost, what clients saw."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bcr.scenario.protocols import PROTOCOLS, SHUTTLE, Protocol
from bcr.verdict.record import RunRecord
from bcr_run.accused import FEW_THINGS, blamed, listed, whose
from bcr_show.moments import Moment, Times, cause_of, person, rough
from bcr_show.run_reading import RecordedRun

MOST_SENTENCES = 12


def story(run: RecordedRun, moments: Sequence[Moment], times: Times) -> list[str]:
    """At most MOST_SENTENCES sentences. What there is no room for the last of them says."""
    found = list(_sentences(run, moments, times))
    first, verdict = found[:-1], found[-1]
    if len(first) > MOST_SENTENCES - 1:
        left_out = len(first) - (MOST_SENTENCES - 2)
        first = [*first[: MOST_SENTENCES - 2], f"{left_out} more things are told below: of reconfigurations and of clients."]
    return [*first, verdict]


def _sentences(run: RecordedRun, moments: Sequence[Moment], times: Times) -> Iterator[str]:
    result = run.result
    yield _setting(result)
    yield from _fault_sentences(result, moments, times)
    yield from _armed_fault_sentences(result)
    yield from _missed_fault_sentences(result)
    yield from _too_many(result)
    yield from _notice_sentences(run, moments, times)
    yield from _request_sentences(result, moments, times)
    yield from _reconfigurations(result)
    yield from _blame_sentences(result)
    yield from _clients(result, run.record)
    if run.figure is not None and run.figure.taken:
        yield f"{_capital(run.figure.sentence())}."
    if run.drawn == 0 and not moments:
        yield "The logs hold no steps, for their level is quiet; so what came of the run is known, and not how."
    yield _verdict(result)


def count(number: int, what: str) -> str:
    """`1 client`, `no clients`, `3 clients`."""
    return f"{f'{number:,}' if number else 'no'} {what}" + ("" if number == 1 else "s")


def _setting(result: Mapping[str, Any]) -> str:
    settings = result.get("settings", {})
    clients = settings.get("num_clients")
    if not isinstance(clients, int):
        return "There is no result.json: of what the run was to do only the logs tell. It may have been ended, or may still go on."
    protocol, t = _protocol_of(result), settings.get("t", 0)
    authentication = settings.get("authentication", "ed25519")
    group = protocol.group.format(protocol.servers(t, authentication))
    about = f"t = {t}, {authentication}" if protocol.is_signed else f"t = {t}"
    needed = protocol.needed.get(str(settings.get("acceptance")), protocol.needed["all"])
    return (
        f"{count(clients, 'client').capitalize()} sent to {group} ({about}; a result needs {needed}), "
        f"and {count(result.get('operations', 0), 'operation')} were answered in {rough(1_000 * result.get('elapsed_s', 0))}."
    )


def _protocol_of(result: Mapping[str, Any]) -> Protocol:
    return PROTOCOLS.get(str(result.get("protocol")), SHUTTLE)


def _fault_sentences(result: Mapping[str, Any], moments: Sequence[Moment], times: Times) -> Iterator[str]:
    faults = result.get("faults_injected", ())
    if not faults:
        if result:
            yield "No fault struck."
        return
    struck = [moment for moment in moments if moment.line.event == "fault_injected"]
    told = [
        f"at {times.text(moment.line.at_ns)} {moment.line.values.get('fault')} struck {person(moment.line.process)}"
        for moment in struck[:FEW_THINGS]
    ]
    if not told:
        told = [f"{fault['fault']} struck {whose(fault, result)}" for fault in faults[:FEW_THINGS]]
    rest = len(faults) - len(told)
    yield _capital("; ".join(told)) + (f"; and {rest} more" if rest > 0 else "") + "."


def _few_of(told: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    return "; ".join(told[:FEW_THINGS]) + (f"; and {len(told) - FEW_THINGS} more" if len(told) > FEW_THINGS else "")


def _armed_fault_sentences(result: Mapping[str, Any]) -> Iterator[str]:
    armed = result.get("faults_armed", ())
    if armed:
        told = [f"{each['fault']} of {whose(each, result)}" for each in armed]
        yield f"Armed, with no effect: {_few_of(told)}."


def _missed_fault_sentences(result: Mapping[str, Any]) -> Iterator[str]:
    missed = [*result.get("faults_missed", ()), *result.get("words_missed", ())]
    if missed:
        told = [f"{each['text']} of {each['who']} ({each['why']})" for each in missed]
        yield f"Never struck: {_few_of(told)}."


def _too_many(result: Mapping[str, Any]) -> Iterator[str]:
    struck: dict[int, set[int]] = defaultdict(set)
    for fault in result.get("faults_injected", ()):
        if "position" in fault:
            struck[fault["configuration"]].add(fault["position"])
    t = result.get("settings", {}).get("t", 0)
    for configuration, positions in sorted(struck.items()):
        if len(positions) > t:
            is_replaced = _protocol_of(result).is_replaced
            told = f"In configuration {configuration} faults struck" if is_replaced else "Faults struck"
            yield (f"{told} {len(positions)} {'replicas' if is_replaced else 'servers'}, more than t = {t}: "
                   "unless some of them were only late, nothing is promised.")  # fmt: skip
            return


def _notice_sentences(run: RecordedRun, moments: Sequence[Moment], times: Times) -> Iterator[str]:
    by_what: dict[tuple[str, str], list[Moment]] = defaultdict(list)
    for moment in moments:
        if moment.line.event == "misbehaviour":
            by_what[moment.line.values.get("kind", ""), moment.line.values.get("what", "")].append(moment)
    for (kind, what), noticed in list(by_what.items())[:FEW_THINGS]:
        first = noticed[0]
        own = [line for line in run.lines if line.process == first.line.process]
        cause = cause_of(first.line, own)
        about = f" of slot {cause.values['slot']}" if cause is not None and "slot" in cause.values else ""
        who = listed(list(dict.fromkeys(person(each.line.process) for each in noticed)))
        yield (
            f"{_capital(who)} noticed {kind}: {what}; first {person(first.line.process)} at {times.text(first.line.at_ns)}, "
            f"in a {first.line.values.get('message', '').replace('_', ' ')}{about}."
        )
    if len(by_what) > FEW_THINGS:
        yield f"{len(by_what) - FEW_THINGS} more kinds of misbehaviour were noticed."
    if not by_what and run.result.get("notices"):
        yield (
            f"{count(len(run.result['notices']), 'misbehaviour')} noticed: "
            + listed(sorted({each["what"] for each in run.result["notices"]}))
            + "."
        )


def _request_sentences(result: Mapping[str, Any], moments: Sequence[Moment], times: Times) -> Iterator[str]:
    asked = [moment for moment in moments if moment.line.event == "reconfiguration_requested"]
    changes = result.get("reconfigurations", ())
    if changes and asked:
        first, others = asked[0], list(dict.fromkeys(person(each.line.values.get("by", "")) for each in asked[1:]))
        values = first.line.values
        also = f"; {listed(others)} asked too" if others else ""
        yield f"{_capital(person(values.get('by', '')))} was the first to ask Olympus, at {times.text(first.line.at_ns)}: {values.get('reason')}{also}."
    elif not changes and result and _protocol_of(result).is_replaced:
        yield "No configuration was replaced" + (f", though {person(asked[0].line.values.get('by', ''))} asked for it." if asked else ".")


def _reconfigurations(result: Mapping[str, Any]) -> Iterator[str]:
    changes = result.get("reconfigurations", ())
    for change in changes[:FEW_THINGS]:
        yield _reconfiguration(change)
    if len(changes) > FEW_THINGS:
        active = [change["active_ms"] for change in changes if change.get("active_ms") is not None]
        yield f"There were {len(changes)} reconfigurations in all, which took {rough(sum(active))} together."


def _reconfiguration(change: Mapping[str, Any]) -> str:
    begins = f"Replacing configuration {change['from']}"
    parts = []
    if change.get("invalid_histories"):
        parts.append(
            "not valid was the history of "
            + "; ".join(f"{who.replace('_', ' ')} ({why})" for who, why in change["invalid_histories"].items())
        )
    for members, why in change.get("why_not", ())[:FEW_THINGS]:
        parts.append(f"quorum {_members(members)} failed: {why}")
    if change.get("active_ms") is None:
        parts.append("no quorum was had, and with that the service ended")
        return f"{begins}: {'; '.join(parts)}."
    if change.get("quorum") is None:
        parts.append("nothing had become final in it, so the next began from the same state")
    else:
        parts.append(f"quorum {_members(change['quorum'])} agreed on the state")
    if change.get("olympus_results"):
        parts.append(f"Olympus vouched for {count(len(change['olympus_results']), 'request')} that it answered")
    cost = f"{begins} by {change['to']} took {rough(change['active_ms'])} from the demand to the new chain"
    steps = [
        f"{rough(change[key])} until {what}"
        for key, what in (("wedged_ms", "wedged"), ("caught_up_ms", "caught up"), ("fetched_ms", "the state was there"))
        if change.get(key) is not None
    ]
    return f"{cost} ({', '.join(steps)}): {'; '.join(parts)}."


def _members(positions: Sequence[int]) -> str:
    return "{" + ", ".join(map(str, positions)) + "}"


def _blame_sentences(result: Mapping[str, Any]) -> Iterator[str]:
    told = [blame.sentence() for blame in blamed(result)]
    if told:
        yield f"Blamed: {_few_of(told)}."


def _clients(result: Mapping[str, Any], record: RunRecord | None) -> Iterator[str]:
    latency = result.get("latency_ms") or {}
    if not latency:
        if result:
            yield "No client got any answer."
        return
    again = result.get("retransmissions", 0)
    yield (
        f"Half of the requests were answered within {rough(latency['p50'])}, 99 of 100 within {rough(latency['p99'])}, the slowest after "
        f"{rough(latency['max'])}; clients sent {again or 'nothing'} again."
    )
    if record is None:
        return
    pause = longest_pause(record)
    unanswered_count = sum(len(client.without_answer) for client in record.clients)
    if unanswered_count:
        yield f"{count(unanswered_count, 'request').capitalize()} got no answer."
    if pause is not None and result.get("reconfigurations"):
        yield f"The longest time in which no client was answered was {rough(pause / 1e6)}."


def longest_pause(record: RunRecord) -> int | None:
    """Nanoseconds between two answers that followed each other, at the most, on the clock that most clients have."""
    clocks = [client.clock for client in record.clients]
    if not clocks:
        return None
    clock = max(set(clocks), key=clocks.count)
    accepted = sorted(exchange.accepted_ns for client in record.clients if client.clock == clock for exchange in client.exchanges)
    return max((later - sooner for sooner, later in itertools.pairwise(accepted)), default=None)


def _verdict(result: Mapping[str, Any]) -> str:
    breaches, reasons = result.get("breaches", ()), result.get("reasons", ())
    if breaches:
        return f"Verdict violated: {breaches[0]}" + (f"; and {len(breaches) - 1} more" if len(breaches) > 1 else "") + "."
    status = result.get("verdict", "unknown")
    if reasons:
        return f"Verdict {status}: {reasons[0]}" + (f"; and {len(reasons) - 1} more reasons" if len(reasons) > 1 else "") + "."
    if status == "pass":
        return f"Verdict pass: {'signatures and proofs hold, ' * _protocol_of(result).is_signed}one history explains every result, and the final states agree."
    return f"Verdict {status}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
