"""The faults of a scenario: too many to promise anything, before a run; and those that never struck, and why, after it
(specification, 9.9)."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from bcr.faults.plans import faulty_by
from bcr.scenario import ClientFaultPlan, FaultPlan, Scenario
from bcr.scenario.protocols import member_name
from bcr.verdict.record import ClientRecord, RunRecord

# Trigger -> who never receives such a message, as a position from the head or, negative, from the tail; and who does.
_NEVER_AT = {
    "shuttle": (0, "the head makes shuttles, and receives none"),
    "result_shuttle": (-1, "the tail makes result shuttles, and receives none"),
}
_ONLY_AT_HEAD = {
    "forwarded_request": "replicas forward requests to the head",
    "client_request": "a client sends to the head, and to the others only when it waited in vain",
}
OF_ONE = "first_leader"
_OF_RECONFIGURATIONS = ("wedge_request", "catch_up", "get_running_state")


class Missed(msgspec.Struct, frozen=True):
    """A fault that never struck: whose, the file's own text, and why it could not, or did not."""

    who: str
    text: str
    why: str

    def __str__(self) -> str:
        return f"never struck: {self.text} of {self.who}: {self.why}"


def told_of_too_many(scenario: Scenario, patience_ms: int) -> list[str]:
    """A sentence for each configuration of which more replicas have faults in the file than it bears.

    Counted as the verdict counts them: who is only late, for `patience_ms` at the most, is as correct as anybody.
    """
    by_configuration = faulty_by(_that_may_all_strike(scenario.failures), patience_ms)
    simulation = scenario.simulation
    everywhere: set[int] = set()
    if simulation is not None:
        everywhere |= {*simulation.twins, *simulation.free, *(each.position for each in simulation.mutations)}
        everywhere |= {each.position for each in simulation.amnesias}
    sentences = []
    for configuration in sorted({0} | by_configuration.keys()):
        faulty_positions = sorted(everywhere | by_configuration.get(configuration, set()))
        if len(faulty_positions) > scenario.borne:
            positions = ", ".join(map(str, faulty_positions))
            most, them = ("t = ", "t") if scenario.borne == scenario.t else ("", "so many")
            sentences.append(
                f"replicas {positions} of configuration {configuration} have faults, more than {most}{scenario.borne}: "
                f"once more than {them} were struck, nothing is promised"
            )
    return sentences


def _that_may_all_strike(plans: Sequence[FaultPlan]) -> list[FaultPlan]:
    """The plans without those that strike at one server only, whichever leads first, of which the file has one for each."""
    texts: set[str] = set()
    striking_plans = []
    for plan in plans:
        if plan.trigger.name != OF_ONE or plan.text not in texts:
            striking_plans.append(plan)
        if plan.trigger.name == OF_ONE:
            texts.add(plan.text)
    return striking_plans


def missed_faults(scenario: Scenario, record: RunRecord) -> list[Missed]:
    """The faults of the file that never struck. A fault of links counts as one, whichever of them it is about."""
    return [*_of_replicas(scenario, record), *_of_clients(scenario, record)]


def _of_replicas(scenario: Scenario, record: RunRecord) -> Iterator[Missed]:
    struck = Counter((fault.configuration, fault.position, fault.text) for fault in record.faults)
    links_struck = {fault.text for fault in record.faults if fault.is_of_a_link}
    links_told: set[str] = set()
    for plan in scenario.failures:
        if plan.is_of_a_link:
            if plan.text not in links_struck | links_told:
                links_told.add(plan.text)
                yield Missed("the links", plan.text, _why_not(plan, scenario, record))
        elif plan.trigger.name == OF_ONE and any(fault.text == plan.text for fault in record.faults):
            continue  # it was for whoever led first
        elif struck[plan.configuration, plan.position, plan.text]:
            struck[plan.configuration, plan.position, plan.text] -= 1
        else:
            yield Missed(member_name(scenario.protocol, plan.configuration, plan.position), plan.text, _why_not(plan, scenario, record))


def _of_clients(scenario: Scenario, record: RunRecord) -> Iterator[Missed]:
    for plan in scenario.client_failures:
        records = [each for each in record.clients if each.client == plan.client]
        if not any(plan in each.faults for each in records):
            yield Missed(f"client {plan.client}", plan.text, _why_not_of_client(plan, record))


def _why_not(plan: FaultPlan, scenario: Scenario, record: RunRecord) -> str:
    trigger, tail = plan.trigger, scenario.num_replicas - 1
    last = _last(record)
    if plan.configuration > last:
        return f"configuration {plan.configuration} never began, the last one was {last}"
    if trigger.client is not None and trigger.client >= scenario.num_clients:
        return f"there is no client {trigger.client}"
    position, never = _NEVER_AT.get(trigger.name, (None, ""))
    if position is not None and plan.position == (position if position >= 0 else tail):
        return never
    if trigger.name in _ONLY_AT_HEAD and plan.position:
        return _ONLY_AT_HEAD[trigger.name]
    if trigger.name == "reconfiguration":
        return f"its configuration is number {plan.configuration}, and not {trigger.count}"
    if trigger.name == "new_configuration":
        what = "the initial one does not count" if plan.configuration == 0 else "a replica gets one, and counters start at 0"
        return f"no such configuration came to it: {what}"
    if trigger.name in _OF_RECONFIGURATIONS and not any(each.source == plan.configuration for each in record.reconfigurations):
        return f"configuration {plan.configuration} was never reconfigured"
    if trigger.name == "after":
        return f"its replica was gone before it had been active for {trigger.count} ms, or never was"
    if trigger.client is not None:
        count = sum(_requests(each) for each in record.clients if each.client == trigger.client)
        return f"number {trigger.count} of these never came, counted from 0; client {trigger.client} sent {count} requests"
    return f"number {trigger.count} of these never came, counted from 0"


def _why_not_of_client(plan: ClientFaultPlan, record: RunRecord) -> str:
    if plan.trigger.name == "reconfiguration":
        return f"it never learned of configuration {plan.trigger.count}, the last one was {_last(record)}"
    return f"it was done before {plan.trigger.count} ms"


def _last(record: RunRecord) -> int:
    return max((signed.statement.number for signed in record.configurations), default=0)


def _requests(client: ClientRecord) -> int:
    return len(client.exchanges) + len(client.without_answer)
