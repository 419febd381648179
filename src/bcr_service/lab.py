"""The laboratory of a service: what `--lab` allows to be done to its processes. Loaded only there."""

import contextlib
import os
import re
import signal
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import msgspec

from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.protocols import PROTOCOLS, WORDS
from bcr.signed.encoding import encode
from bcr_service.keeper import Keeping, ServiceLaunch
from bcr_service.service_files import SCENARIO_NAMES
from bcr_service.whole_numbers import position_in

SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}
LINKS = ("fail_link", "fix_link")
POWER = "power_cut"
PARTITION = "partition"
NOW = Trigger("after", None, 0)
MOST_TEXT = 1_000  # characters of what somebody asks for

Command = tuple[int, bytes]  # the position of a replica, and the fault that it is to be given


def faults_in(text: str, configuration: int, position: int, t: int, gateways: int, protocol: str = "chain") -> tuple[FaultPlan, ...]:
    """The faults of a replica, as scenario files have them: `trigger,failure;…`, or a failure alone, for at once.

    Receipts are counted from when the fault is given. Raises ValueError, which says what is wrong.
    """
    first = re.match(r"\s*(\w+)", text)
    at_once = first is not None and first[1] in WORDS
    file = [
        f"protocol = {SCENARIO_NAMES[protocol]}",
        f"t = {t}",
        f"num_client = {gateways}",
        f"failures[{configuration},{position}] = {'after(0),' if at_once else ''}{text}",
    ]
    if len(text) > MOST_TEXT or "\n" in text or "\r" in text:
        raise ValueError(f"a fault stands on one line of no more than {MOST_TEXT:,} characters")
    try:
        scenario, _ = parse_scenario("\n".join([*file, *(f"workload[{k}] =" for k in range(gateways))]), "fault.config")
    except ScenarioError as error:
        raise ValueError("; ".join(each.text for each in error.diagnostics if each.severity == "error")) from error
    if not scenario.failures:
        raise ValueError("expected a fault, such as shuttle(0,3),change_result()")
    if any(plan.trigger.name == "reconfiguration" for plan in scenario.failures):
        raise ValueError("reconfiguration(…): a fault is given to a replica that is there; the next configuration has other replicas")
    return scenario.failures


def maker() -> Any:
    """The process class of who makes the replicas of a laboratory."""
    return import_module("Laboratory").LabMaker


class ProcessLaboratory:
    """Does to processes what a crash, a slow machine, a cut cable or a liar does."""

    def __init__(self, keeping: Keeping, launch: ServiceLaunch) -> None:
        self._keeping = keeping
        self._launch = launch
        self._cuts: set[tuple[int, int]] = set()  # who sends nothing to whom

    def do(self, what: str, about: str) -> Sequence[Command]:
        """Do it, and return what replicas are to be told; what cannot be done is told as an event.

        `kill`, `pause` and `resume` are about `replica_i`, `fail_link` and `fix_link` about two of them, or none, which
        mends all links; `fault` is about a replica, and says which. All are of the current configuration. `partition` cuts all links
        between two sides, `0 1 2|3 4`. `power_cut` kills all that have a disk at once.
        """
        try:
            if what in SIGNALS:
                self._signal(what, about)
                return ()
            if what == POWER:
                self._cut_power()
                return ()
            if what == PARTITION:
                commands: Sequence[Command] = self._partition(about)
            else:
                commands = self._link(what, about.split()) if what in LINKS else self._fault(about)
        except ValueError as error:
            self._keeping.not_done(what, about, str(error))
            return ()
        self._keeping.done(what, about)
        return commands

    def _signal(self, what: str, about: str) -> None:
        pid = self._keeping.pid_of(position_in(about, len(self._keeping.positions())))
        if pid is None:
            raise ValueError("no such replica, or it has not said which process it is")
        try:
            os.kill(pid, SIGNALS[what])
        except ProcessLookupError as error:
            raise ValueError("it has ended already") from error
        self._keeping.done(what, about)

    def _cut_power(self) -> None:
        if not self._launch.settings.durable:
            raise ValueError("there are no disks to come back from")
        pids = self._keeping.process_ids()
        for number in (signal.SIGSTOP, signal.SIGKILL):  # first all stand still, so that nobody sees another go
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self._keeping.done(POWER, "")

    def _link(self, what: str, names: Sequence[str]) -> Sequence[Command]:
        positions = self._keeping.positions()
        if not names and what == "fix_link":
            self._cuts.clear()
            return [self._command(i, Failure(what, None), what) for i in positions]
        if len(names) != 2:
            raise ValueError("a link has two ends")
        one, other = (position_in(name, len(positions)) for name in names)
        ends = {(one, other), (other, one)}
        self._cuts = self._cuts | ends if what == "fail_link" else self._cuts - ends
        return [self._command(a, Failure(what, b), f"{what}({b})") for a, b in sorted(ends)]

    def _partition(self, about: str) -> Sequence[Command]:
        """All links between the sides are cut, and those within each are mended."""
        sides = [[position_in(name, len(self._keeping.positions())) for name in side.split()] for side in about.split("|")]
        commands = list(self._link("fix_link", ()))
        for one, other in ((a, b) for a in sides[0] for b in sides[1]):
            commands += self._link("fail_link", (f"replica_{one}", f"replica_{other}"))
        return commands

    def cuts_of(self, position: int) -> Sequence[bytes]:
        """The faults by which a server that has come back is behind the same cuts again."""
        return [self._command(a, Failure("fail_link", b), f"fail_link({b})")[1] for a, b in sorted(self._cuts) if a == position]

    def _command(self, position: int, failure: Failure, text: str) -> Command:
        return position, encode(FaultPlan(self._keeping.number, position, NOW, failure, text))

    def _fault(self, about: str) -> Sequence[Command]:
        name, _, text = about.partition(" ")
        positions, launch = self._keeping.positions(), self._launch
        place = position_in(name, len(positions))
        plans = faults_in(text, self._keeping.number, place, launch.settings.t, launch.settings.num_clients, launch.protocol)
        # Everybody is told of it: it takes several to tell some lies.
        return [(position, encode(plan)) for plan in plans for position in positions]


class LaboratoryRequest(msgspec.Struct, frozen=True):
    """What somebody asks of the laboratory, once it makes sense."""

    what: str
    about: str


def sides_in(text: str, replicas: int) -> str:
    """The two sides of a partition, such as `0 1 2 | 3 4`, each replica on one of them. Raises ValueError."""
    sides = [[position_in(name, replicas) for name in side.split()] for side in text.split("|")]
    if len(sides) != 2 or sorted(sides[0] + sides[1]) != list(range(replicas)) or not all(sides):
        raise ValueError(f"a partition has two sides, and each of {replicas} replicas is on one of them, as 0 1 | 2")
    return "|".join(" ".join(f"replica_{each}" for each in side) for side in sides)


def asked(path: str, body: bytes, configuration: int, t: int, gateways: int, protocol: str = "chain") -> LaboratoryRequest:
    """What a call of `/lab/{path}` asks for. Raises ValueError, which says what is wrong."""
    what, *names = path.split("/")
    replicas = PROTOCOLS[SCENARIO_NAMES[protocol]].servers(t, "ed25519")
    if what in SIGNALS and len(names) == 1:
        return LaboratoryRequest(what, f"replica_{position_in(names[0], replicas)}")
    if what in LINKS and (len(names) == 2 or (what == "fix_link" and not names)):
        ends = [position_in(name, replicas) for name in names]
        if len(set(ends)) != len(ends):
            raise ValueError("a link has two ends")
        return LaboratoryRequest(what, " ".join(f"replica_{end}" for end in ends))
    if what == PARTITION and not names:
        return LaboratoryRequest(what, sides_in(body.decode(errors="replace"), replicas))
    if what == POWER and not names:
        return LaboratoryRequest(what, "")
    if what == "fault" and len(names) == 1:
        position = position_in(names[0], replicas)
        text = body.decode(errors="replace").strip()
        faults_in(text, configuration, position, t, gateways, protocol)
        return LaboratoryRequest(what, f"replica_{position} {text}")
    raise LookupError(
        f"the laboratory has kill, pause, resume and fault of a replica, fail_link and fix_link of two, partition, power_cut, and no {path[:80]!r}"
    )
