"""Plans of measurements: YAML that says which scenarios are run, and against what."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.diagnostics import nearest
from bcr.scenario.keys import VALID_KEYS
from bcr.scenario.protocols import PROTOCOLS
from bcr.scenario.values import NUMBERS

System = Literal[
    "bcr", "bcr-raft", "bcr-byzantine-raft", "unreplicated", "unreplicated-signed", "pysyncobj-nodes", "pysyncobj-leader", "raft"
]
Value = int | str
# Those that are this project's, and which protocol they run.
PROTOCOL_OF: Mapping[str, str] = {"bcr": "shuttle", "bcr-raft": "raft", "bcr-byzantine-raft": "byzantine_raft"}
OF_THE_LOAD = {"operations", "value_bytes", "read_percent"}
SEED = 1
# What a scenario has that does not say it, for whoever needs the number.
DEFAULTS: Mapping[str, int] = {key: limits.default for key, limits in NUMBERS.items() if limits.default is not None}
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")  # of a sweep, and of a page: files are called so
MOST_TIMES = 1_000
MOST_FACTOR = 100.0


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


class Aim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a point, by its sweep and label, is to come to beside another one, or beside what it cannot be better than.

    `rate`: operations a second `of` one over those of the `over`. `replica`: the same of what its busiest replica, and the server that is
    not replicated, have CPU time for. `bound`: operations a second over those for which all cores make and check signatures and do nothing
    else. `alone`: the median latency over that of hops, signatures and checks alone, at the most so many times as long. `away`: the longest
    time without an answer over its `election_timeout`, at the most.
    `why` says what keeps it from that, as far as it is known, for where it is not reached.
    """

    says: str
    figure: Literal["rate", "replica", "bound", "alone", "away"]
    of: tuple[str, str]
    aim: float
    over: tuple[str, str] | None = None
    why: str = ""

    @property
    def is_most(self) -> bool:
        """Whether the aim is not to be above it, and not at least so much."""
        return self.figure in ("alone", "away")


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`base` is what every point has; every point is run so many times. `aims` are what its figures are held against.

    `page` is the page of docs/ that shows it, and `title` what stands above. A page with `counts` has what each system promises, and what
    an operation takes of each protocol, and not what one of the chain must cost.
    """

    times: int
    base: dict[str, Value]
    sweeps: list[Sweep]
    page: str = "performance"
    title: str = "Performance"
    counts: bool = False
    aims: tuple[Aim, ...] = ()


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
    except yaml.MarkedYAMLError as error:
        place = f":{error.problem_mark.line + 1}:{error.problem_mark.column + 1}" if error.problem_mark else ""
        raise PlanError(f"{path}{place}: no YAML: {error.problem}") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise PlanError(f"{path}: {error}") from error
    problems = [*_problems_of_plan(plan), *(problem for sweep in plan.sweeps for problem in _problems_of_sweep(sweep))]
    if problems:
        raise PlanError("\n".join(f"{path}: {problem}" for problem in dict.fromkeys(problems)))
    return plan


def _problems_of_plan(plan: Plan) -> Iterator[str]:
    """What is wrong with the plan's own keys."""
    if not 1 <= plan.times <= MOST_TIMES:
        yield f"times: {plan.times}: not from 1 to {MOST_TIMES:,}"
    if not NAME.fullmatch(plan.page):
        yield f"page: {plan.page!r} is no name of a page of docs/"
    if not plan.sweeps:
        yield "sweeps: there is none, so nothing would be measured"
    names = [sweep.name for sweep in plan.sweeps]
    yield from (f"sweeps: there are two sweeps {name}" for name in names if names.count(name) > 1)
    labels = {(sweep.name, point.label) for sweep in plan.sweeps if sweep.rates is None for point in points_of(plan, sweep)}
    for aim in plan.aims:
        if (aim.over is None) != (aim.figure in ("bound", "alone", "away")):
            yield f"aims: {aim.says}: {aim.figure} is {'over no' if aim.over else 'over another'} point"
        for place in (aim.of, aim.over or aim.of):
            if place not in labels:
                known = [f"{sweep}, {label}" for sweep, label in sorted(labels)]
                yield f"aims: {aim.says}: no point {', '.join(place)}; {nearest(', '.join(place), known)}"


def _problems_of_sweep(sweep: Sweep) -> Iterator[str]:
    """What is wrong with a sweep's own keys: it would measure nothing, or not what it says."""
    where = f"sweep {sweep.name}:"
    if not NAME.fullmatch(sweep.name):
        yield f"{where} name: {sweep.name!r} is not letters, digits, - and _, and its plots could not be called so"
    if sweep.times is not None and not 1 <= sweep.times <= MOST_TIMES:
        yield f"{where} times: {sweep.times}: not from 1 to {MOST_TIMES:,}"
    if not sweep.systems:
        yield f"{where} systems: there is none"
    yield from (f"{where} vary: {key} has no values" for key, values in sweep.vary.items() if not values)
    if sweep.leader_crashes < 0:
        yield f"{where} leader_crashes: {sweep.leader_crashes}: not from 0 on"
    if sweep.faults and sweep.leader_crashes:
        yield f"{where} leader_crashes: not beside faults, which say what crashes"
    rates = sweep.rates
    if rates is None:
        return
    if rates.first < 1:
        yield f"{where} rates: first: {rates.first}: not from 1 on"
    if not 1 < rates.factor <= MOST_FACTOR:
        yield f"{where} rates: factor: {rates.factor:g}: not above 1, up to {MOST_FACTOR:g}"
    if not (isfinite(rates.seconds) and rates.seconds > 0):
        yield f"{where} rates: seconds: {rates.seconds:g}: not above 0"
    others = ("vary", "faults", "leader_crashes", "cross")
    yield from (f"{where} {key}: not beside rates, which would leave it out" for key in others if getattr(sweep, key))
    if sweep.systems not in ((), ("bcr",)):
        yield f"{where} systems: not beside rates, which are those of bcr"


def demand_sound(plan: Plan, sweeps: Sequence[Sweep]) -> None:
    """Raises PlanError, with all that is wrong, unless every point of these sweeps is a scenario that can be run."""
    problems: list[str] = []
    for sweep in sweeps:
        points = [step_of(plan, sweep, 0)] if _is_loaded(plan, sweep) and sweep.rates is not None else list(points_of(plan, sweep))
        for point in points:
            problems += [f"sweep {sweep.name}, {point.label}: {problem}" for problem in _problems_of(point)]
        problems += [
            f"sweep {sweep.name}: vary: {key} says nothing to {system}"
            for system, key in product(sweep.systems, sweep.vary)
            if key in _ignored(system, plan.base | sweep.settings)
        ]
    if problems:
        raise PlanError("nothing is run, because of\n" + "\n".join(dict.fromkeys(problems)))


def _is_loaded(plan: Plan, sweep: Sweep) -> bool:
    """Whether a step can be made of it: it says how many clients there are."""
    clients = (plan.base | sweep.settings).get("num_client")
    return isinstance(clients, int) and clients >= 1


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
    if point.system == "raft" and int(point.settings["operations"]) < 2 * int(point.settings["num_client"]):
        yield "raft takes two operations of each client: what is measured of it begins with its first answer"
    protocol = PROTOCOL_OF.get(point.system, "shuttle")
    if protocol not in ("shuttle", point.settings.get("protocol", "shuttle")):
        yield f"protocol = {point.settings.get('protocol', 'shuttle')}: {point.system} is of {protocol}"
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
    t = settings.get("t")
    if system == "bcr-raft" and isinstance(t, int):  # what else it is, is refused
        followers = 2 * t
        return {f"0,{server}": f"first_leader({count * followers}),crash()" for server in range(followers + 1)}
    return {"0,0": f"client_request(0,{count}),crash()"}


def _of_protocol(system: str, settings: dict[str, Value]) -> dict[str, Value]:
    """The settings without those that say nothing to the system's protocol, which is among them."""
    name = _protocol(system, settings)
    said: dict[str, Value] = {} if name == "shuttle" else {"protocol": name}
    ignored = _ignored(system, settings)
    return {key: value for key, value in settings.items() if key not in ignored} | said


def _protocol(system: str, settings: Mapping[str, Value]) -> str:
    return str(settings.get("protocol", PROTOCOL_OF.get(system, "shuttle")))


def _ignored(system: str, settings: Mapping[str, Value]) -> Collection[str]:
    """The settings that say nothing to the system's protocol; none where there is no such protocol, which is refused."""
    name = _protocol(system, settings)
    return PROTOCOLS[name].ignored if name in PROTOCOLS else ()


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
