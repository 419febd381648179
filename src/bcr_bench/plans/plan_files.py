"""Plans of measurements: YAML that says which scenarios are run, and against what."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.diagnostics import nearest
from bcr.scenario.keys import VALID_KEYS
from bcr.scenario.protocols import PROTOCOLS

System = Literal[
    "bcr", "bcr-raft", "bcr-byzantine-raft", "unreplicated", "unreplicated-signed", "pysyncobj-nodes", "pysyncobj-leader", "raft"
]
Value = int | str
# Those that are this project's, and which protocol they run.
PROTOCOL_OF: Mapping[str, str] = {"bcr": "shuttle", "bcr-raft": "raft", "bcr-byzantine-raft": "byzantine_raft"}
OF_THE_LOAD = {"operations", "value_bytes", "read_percent"}
SEED = 1


class PlanError(Exception):
    """The plan makes no sense; the text says where and why."""


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An open loop: `first` operations a second by all clients together, then `factor` times as many, and so on.

    Each step lasts so many seconds; the last one is the second that is answered at less than SATURATED of its rate.
    """

    first: int
    factor: float
    seconds: float


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points that differ in one setting, in the system, or in the rate; with `cross` in all combinations of the values.

    `faults` are further points, by what they are called: place -> fault, such as `0,1: "after(200),crash()"`. Such a run may be
    reconfigured, and what it measures is also how throughput and latency go with time. So may one with `leader_crashes`: when so many
    messages have come, the head crashes, or the leader, as `_crash_of_leader` says. `says` is what a page tells of the sweep.
    """

    name: str
    title: str
    vary: dict[str, list[Value]] = {}
    systems: tuple[System, ...] = ("bcr",)
    settings: dict[str, Value] = {}
    rates: Rates | None = None
    times: int | None = None
    cross: bool = False
    faults: dict[str, dict[str, str]] = {}
    leader_crashes: int = 0
    says: str = ""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`base` is what every point has; every point is run so many times.

    `page` is the page of docs/ that shows it, and `title` what stands above. A page with `counts` has what each system promises, and what
    an operation takes of each protocol, and not what one of the chain must cost.
    """

    times: int
    base: dict[str, Value]
    sweeps: list[Sweep]
    page: str = "performance"
    title: str = "Performance"
    counts: bool = False


class Point(msgspec.Struct, frozen=True):
    """One thing to measure. `label` says what it has that others of its sweep have not."""

    sweep: str
    label: str
    system: System
    settings: dict[str, Value]
    faults: dict[str, str] = {}  # configuration and position, as "0,1" -> trigger and failure
    is_timed: bool = False  # whether its throughput and latency over time are wanted

    def scenario_text(self) -> str:
        """The scenario file; the operations are shared out evenly."""
        clients, load = int(self.settings["num_client"]), self.settings
        lines = [f"{key} = {value}" for key, value in load.items() if key not in OF_THE_LOAD]
        lines += [f"failures[{place}] = {fault}" for place, fault in self.faults.items()]
        share = -(-int(load["operations"]) // clients)
        for client in range(clients):
            workload = f"uniform({SEED + client},{share},{load['value_bytes']},{load['read_percent']})"
            lines.append(f"workload[{client}] = {workload}")
        return "\n".join([f"test_case_name = {self.sweep}", *lines]) + "\n"


def read_plan(path: Path) -> Plan:
    """The plan in a file. Raises PlanError, and OSError where it cannot be read."""
    try:
        plan = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Plan)
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        raise PlanError(f"{path}: {error}") from error
    names = [sweep.name for sweep in plan.sweeps]
    for name in names:
        if names.count(name) > 1:
            raise PlanError(f"{path}: there are two sweeps {name}")
    return plan


def demand_sound(plan: Plan, sweeps: Sequence[Sweep]) -> None:
    """Raises PlanError, with all that is wrong, unless every point of these sweeps is a scenario that can be run."""
    problems: list[str] = []
    for sweep in sweeps:
        points = [step_of(plan, sweep, 0)] if _is_loaded(plan, sweep) and sweep.rates is not None else list(points_of(plan, sweep))
        for point in points:
            problems += [f"sweep {sweep.name}, {point.label}: {problem}" for problem in _problems_of(point)]
    if problems:
        raise PlanError("nothing is run, because of\n" + "\n".join(dict.fromkeys(problems)))


def _is_loaded(plan: Plan, sweep: Sweep) -> bool:
    return {"num_client", "operations"} <= (plan.base | sweep.settings).keys()


def _problems_of(point: Point) -> Iterator[str]:
    known = {*VALID_KEYS, *OF_THE_LOAD}
    for key in sorted(point.settings.keys() - known):
        yield f"no setting {key}; {nearest(key, known)}"
    missing = sorted({"num_client", "t", *OF_THE_LOAD} - point.settings.keys())
    if missing:
        yield f"without {', '.join(missing)}"
        return
    for key in sorted({"num_client", "t", *OF_THE_LOAD}):
        least = 0 if key == "read_percent" else 1
        value = point.settings[key]
        if not isinstance(value, int) or value < least:
            yield f"{key} = {value}: not a whole number from {least} on"
            return
    if point.system == "raft" and point.settings["num_client"] == 1:
        yield "raft takes two clients: it commits an entry only when another one is behind it, so one alone waits for its timer each time"
    if point.faults and point.system not in PROTOCOL_OF:
        yield f"{point.system} has no faults: only {', '.join(PROTOCOL_OF)} have"
    try:
        _, warnings = parse_scenario(point.scenario_text(), "its scenario")
        yield from map(str, warnings)
    except ScenarioError as error:
        yield from str(error).splitlines()


def points_of(plan: Plan, sweep: Sweep) -> Iterator[Point]:
    """The points of a sweep without rates."""
    is_timed = bool(sweep.faults or sweep.leader_crashes)
    for system, own in product(sweep.systems, _varied(sweep)):
        label = ", ".join(f"{key} = {value}" for key, value in own.items()) or system
        label = f"{system}, {label}" if own and len(sweep.systems) > 1 else label
        settings = _of_protocol(system, plan.base | sweep.settings | own)
        for name, faults in (sweep.faults or {"": _crash_of_leader(system, settings, sweep.leader_crashes)}).items():
            called = f"{name}, {label}" if name and own else name or label
            yield Point(sweep.name, called, system, settings, faults, is_timed)


def _crash_of_leader(system: str, settings: Mapping[str, Value], count: int) -> dict[str, str]:
    """The head, or the leader of the first term, crashes at the request of client 0 that has this number; none where it is 0.

    Which server of Raft leads is not known before: there it is each follower's answer of this number that the first leader gets.
    """
    if not count:
        return {}
    if system == "bcr-raft":
        followers = 2 * int(settings["t"])
        return {f"0,{server}": f"first_leader({count * followers}),crash()" for server in range(followers + 1)}
    return {"0,0": f"client_request(0,{count}),crash()"}


def _of_protocol(system: str, settings: dict[str, Value]) -> dict[str, Value]:
    """The settings without those that say nothing to the system's protocol, which is among them."""
    name = str(settings.get("protocol", PROTOCOL_OF.get(system, "shuttle")))
    said = {} if name == "shuttle" else {"protocol": name}
    return {key: value for key, value in settings.items() if key not in PROTOCOLS[name].ignored} | said


def _varied(sweep: Sweep) -> list[dict[str, Value]]:
    """The settings that tell the sweep's points apart: one of them at a time, or all combinations."""
    if sweep.cross:
        return [dict(zip(sweep.vary, values, strict=True)) for values in product(*sweep.vary.values())]
    return [{key: value} for key, values in sweep.vary.items() for value in values] or [{}]


def step_of(plan: Plan, sweep: Sweep, number: int) -> Point:
    """The point of an open loop's step, counted from 0."""
    assert sweep.rates is not None
    settings = plan.base | sweep.settings
    rate = sweep.rates.first * sweep.rates.factor**number
    each = max(1, round(rate / int(settings["num_client"])))
    total = each * int(settings["num_client"])
    own: dict[str, Value] = {"client_rate": each, "operations": round(total * sweep.rates.seconds)}
    return Point(sweep.name, f"{total} offered", "bcr", settings | own)
