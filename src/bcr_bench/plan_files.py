"""Plans of measurements: YAML that says which scenarios are run, and against what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from bcr.scenario.keys import VALID_KEYS

System = Literal["bcr", "unreplicated", "unreplicated-signed", "pysyncobj-nodes", "pysyncobj-leader", "raft"]
Value = int | str
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
    """Points that differ in one setting, in the system, or in the rate."""

    name: str
    title: str
    vary: dict[str, list[Value]] = {}
    systems: tuple[System, ...] = ("bcr",)
    settings: dict[str, Value] = {}
    rates: Rates | None = None
    times: int | None = None


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`base` is what every point has; every point is run so many times."""

    times: int
    base: dict[str, Value]
    sweeps: list[Sweep]


class Point(msgspec.Struct, frozen=True):
    """One thing to measure. `label` says what it has that others of its sweep have not."""

    sweep: str
    label: str
    system: System
    settings: dict[str, Value]

    def scenario_text(self) -> str:
        """The scenario file; the operations are shared out evenly."""
        clients, load = int(self.settings["num_client"]), self.settings
        lines = [f"{key} = {value}" for key, value in load.items() if key not in OF_THE_LOAD]
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


def is_known(settings: dict[str, Value]) -> bool:
    """Whether scenario files know all these settings here."""
    return set(settings) <= {*VALID_KEYS, *OF_THE_LOAD}


def points_of(plan: Plan, sweep: Sweep) -> Iterator[Point]:
    """The points of a sweep without rates; none for what scenario files do not know."""
    for system in sweep.systems:
        for key, values in (sweep.vary or {"": [""]}).items():
            for value in values:
                own = sweep.settings | ({key: value} if key else {})
                if is_known(own):
                    label = f"{key} = {value}" if key else system
                    yield Point(sweep.name, label, system, plan.base | own)


def step_of(plan: Plan, sweep: Sweep, number: int) -> Point:
    """The point of an open loop's step, counted from 0."""
    assert sweep.rates is not None
    settings = plan.base | sweep.settings
    rate = sweep.rates.first * sweep.rates.factor**number
    each = max(1, round(rate / int(settings["num_client"])))
    total = each * int(settings["num_client"])
    own: dict[str, Value] = {"client_rate": each, "operations": round(total * sweep.rates.seconds)}
    return Point(sweep.name, f"{total} offered", "bcr", settings | own)
