"""What befalls the disks and the power of a simulated run whose replicas, and Olympus, keep on disk what they must not forget.

A process that is restarted loses what it had not synced. When the power fails, some of that may be on the disk all the same, or
torn. A disk that forgets what was synced, or takes no more, makes its replica one of the t that may be faulty. When Olympus
ends, the replicas that it has made serve on. They end when the start-up makes Olympus again.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NoReturn, Protocol

from greenlet import GreenletExit

from bcr.scenario.values import DiskFault, Simulation, SyncEnd
from bcr_sim.disks import CrashKind, SimDisk
from bcr_sim.distalgo import BEGINNING, Container, System
from bcr_sim.properties import Interference
from bcr_sim.trace import Trace
from bcr_sim.world import MILLISECOND_NS, World, current_task

SYNC_MOST_NS = MILLISECOND_NS  # that a sync of a disk takes which nothing is wrong with
OLYMPUS = "olympus"
DOWN_NS = 20 * MILLISECOND_NS  # for which a process is gone that begins again
SHARE_DONE = 0.4  # of the syncs in which a process ends that are done by then
# What a replica says with these follows from slots that it has executed.
SPOKEN = {"shuttle", "result_shuttle", "result_message", "checkpoint", "completed_checkpoint"}


class Watcher(Protocol):
    """What this tells of those that begin again; an oracle."""

    def tell(self, name: str, what: str) -> None: ...

    def ended(self, container: Container, why: str) -> None: ...

    def began_again(self, before: Container, container: Container) -> None: ...

    def spoke(self, container: Container) -> None: ...


class SupportsPower(Protocol):
    """What this asks of a run."""

    world: World
    system: System
    trace: Trace

    @property
    def oracle(self) -> Watcher: ...

    interference: Interference
    options: Simulation

    def living(self, name: str) -> list[Container]: ...

    def tell_harness(self, configuration: int, position: int, what: str) -> None: ...


class Power:
    """The restarts, power cuts and disk faults of one run."""

    def __init__(self, run: SupportsPower, replicas: int) -> None:
        self._run = run
        self._names = [OLYMPUS, *(f"replica_{position}" for position in range(replicas))]
        self._disks: dict[str, tuple[SimDisk, Container]] = {}  # by the name of the file, with who opened it last
        self.syncs: Counter[str] = Counter()  # that were begun, by the name of the process
        self.ended: Counter[tuple[str, int | None]] = Counter()  # processes that were stopped, by name and configuration
        self._is_off = False
        self._is_over = False
        self._down: list[Container] = []  # that will begin again
        self._due: list[Container] = []  # of them, those that would have begun while there was no power

    def plan(self) -> None:
        """Let everything happen in its time."""
        world, options = self._run.world, self._run.options
        for restart in options.restarts:
            world.at(restart.at * MILLISECOND_NS, self.restart, [restart.process])
        for cut in options.power_cuts:
            world.at(cut.since * MILLISECOND_NS, self._cut_power, cut.until * MILLISECOND_NS)
        for fault in options.disk_faults:
            world.at(fault.at * MILLISECOND_NS, self._strike, fault)

    # -- what the processes ask for

    def open_disk(self, container: Container, path: Path) -> SimDisk:
        """The disk of a process, which whoever comes in its place finds again."""
        found = self._disks.get(path.name)
        if found is not None and found[1].task.is_dead:
            disk, before = found
            self._run.oracle.began_again(before, container)
        else:  # the first, or a twin
            chance = random.Random(f"{self._run.options.seed}/disk/{path.name}")
            disk = SimDisk(path.name, chance, lambda ns: current_task().sleep(ns))
            disk.sync_ns = int(chance.random() * SYNC_MOST_NS)
        if found is None or found[1].task.is_dead:
            self._disks[path.name] = disk, container
        container.disk = disk
        disk.in_sync = partial(self._in_sync, container)
        return disk

    def _in_sync(self, container: Container, is_done: bool) -> None:
        """A process is in a sync, in which its machine may be to lose its power: what it writes may then be there, or torn."""
        number = self.syncs[container.name] - is_done
        self.syncs[container.name] += not is_done
        if SyncEnd(container.name, number) not in self._run.options.sync_ends or self._is_off or self._is_over:
            return
        chance = random.Random(f"{self._run.options.seed}/{container.name}/{number}")
        if is_done == (chance.random() < SHARE_DONE):
            self._run.world.at(self._run.world.now_ns, self.restart, [container.name], None, "power")
            current_task().sleep(DOWN_NS)  # it does not get further

    def end_at_once(self, container: Container, why: str) -> NoReturn:
        """A process ends because of its disk: it is as good as crashed from then on."""
        disk = container.disk
        if container.name == OLYMPUS:
            self._run.oracle.tell("durability", f"Olympus ends: {why}")
            raise GreenletExit
        if disk is None or not (disk.is_broken or disk.is_spoiled):
            self._run.oracle.ended(container, why)
        self._happened(container, f"ends: {why}")
        self._count(container)
        raise GreenletExit

    def ended_olympus(self) -> bool:
        """Whether Olympus was stopped."""
        return any(name == OLYMPUS for name, _ in self.ended)

    def sending(self, sender: Container, message: str) -> None:
        """A message leaves a process."""
        if message in SPOKEN and sender.configuration is not None:
            self._run.oracle.spoke(sender)

    # -- what happens

    def _happened(self, container: Container, what: str) -> None:
        self._run.trace.befell(container.name, what.partition(":")[0])
        self._run.interference.happened(self._run.world.now_ns, f"{container.name} {what}")

    def _count(self, container: Container) -> None:
        self._run.tell_harness(container.configuration or 0, int(container.name.removeprefix("replica_")), "disk")

    def _stop(self, names: Iterable[str], kind: CrashKind) -> list[Container]:
        """End the processes of these names, of the latest configuration that each has."""
        # Not those that are only being made: whoever makes them waits for them, and knows when they have died.
        living = [container for name in names for container in self._run.living(name)]
        stopped = [container for container in living if len(container.beginning) == len(BEGINNING)]
        orphans = [each for container in stopped for each in self._made_by(container)]
        stopped = [each for each in stopped if each not in orphans]
        # Whom Olympus has made does not come back of itself; it has no more power than Olympus, and serves on otherwise.
        self._forsake(orphans)
        self._kill(stopped if kind == "process" else stopped + orphans, kind)
        self._run.system.coming_back.update(each.dapid for each in stopped)
        self._down += stopped
        return stopped

    def _forsake(self, orphans: list[Container]) -> None:
        """These do not begin again of themselves: Olympus makes them anew, or has others in their place."""
        self._down = [each for each in self._down if each not in orphans]
        self._run.system.coming_back.difference_update(each.dapid for each in orphans)

    def _made_by(self, container: Container) -> list[Container]:
        """The replicas that this one has made, if it is Olympus."""
        return [each for each in self._run.system.all() if container.name == OLYMPUS and each.daparent == container.dapid]

    def _kill(self, containers: Iterable[Container], kind: CrashKind) -> None:
        for container in [each for each in containers if not each.task.is_dead]:
            self._happened(container, "ends")
            self.ended[container.name, container.configuration] += 1
            container.task.kill()
            if container.disk is not None:
                container.disk.crash(kind)

    def end(self) -> None:
        """The run is over: whoever is down begins again, to account for itself, and nothing happens any more."""
        if not self._is_over:
            self._is_over = True
            self._begin(sorted(self._down, key=lambda each: each.name != OLYMPUS))

    def _begin(self, containers: Iterable[Container]) -> None:
        if self._is_off and not self._is_over:
            self._due += containers
            return
        for container in containers:
            if container not in self._down:  # it has begun already, or Olympus, which begins before it, makes it anew
                continue
            self._down.remove(container)
            self._forsake(self._made_by(container))
            # At once, and yet not here: whoever lets Olympus begin may be a process itself, which must not be the one that ends others.
            self._run.world.at(self._run.world.now_ns, self._kill, self._made_by(container), "process")
            self._happened(container, "begins again")
            self._run.system.begin_again(container)

    def restart(self, names: Iterable[str], spoil: Callable[[SimDisk], object] | None = None, kind: CrashKind = "process") -> None:
        """End the processes of these names, which begin again after a while, from disks that `spoil` has spoiled."""
        if self._is_off or self._is_over:
            return
        stopped = self._stop(names, kind)
        for container in stopped:
            if spoil is not None and container.disk is not None:
                self._count(container)
                spoil(container.disk)
        self._run.world.at(self._run.world.now_ns + DOWN_NS, self._begin, stopped)

    def _cut_power(self, until_ns: int) -> None:
        if self._is_off or self._is_over:
            return
        self._is_off = True
        self._run.world.at(until_ns, self._return_power, self._stop(self._names, "power"))

    def _return_power(self, stopped: list[Container]) -> None:
        self._is_off = False
        self._begin(sorted(stopped + self._due, key=lambda each: each.name != OLYMPUS))
        self._due = []

    def _strike(self, fault: DiskFault) -> None:
        if self._is_over:
            return
        if fault.fault == "torn":
            self.restart([fault.process], SimDisk.tear)
        elif fault.fault == "flip":
            self.restart([fault.process], SimDisk.flip)
        else:
            for container in self._run.living(fault.process):
                self._spoil(container, fault)

    def _spoil(self, container: Container, fault: DiskFault) -> None:
        if container.disk is None:
            return
        if fault.fault == "full":  # which leaves it as correct as it was
            self._run.interference.strained(container.configuration or 0, f"a full disk of {container.name}")
            container.disk.fill()
        elif fault.fault == "broken":
            self._count(container)
            container.disk.is_broken = True
        else:
            container.disk.sync_ns = fault.sync_ms * MILLISECOND_NS
