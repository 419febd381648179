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
from typing import Any, NoReturn, Protocol

from greenlet import GreenletExit

from bcr.chain.bundles import kind_of
from bcr.scenario.values import DiskFault, Simulation, SyncEnd
from bcr_sim.disks import CrashKind, SimDisk
from bcr_sim.distalgo import BEGINNING, Container, System
from bcr_sim.properties import Interference
from bcr_sim.trace import Trace
from bcr_sim.words import Word, Words
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
    words: Words

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
        self.filled: set[str] = set()  # those who may have to reject requests, for their disks are full
        self.olympus_ends: tuple[str, ...] = ()  # for good, because of its disk: how that is told
        self._is_off = False
        self._is_over = False
        self.over_ns = 0  # when
        self._down: list[Container] = []  # that will begin again
        self._due: list[Container] = []  # of them, those that would have begun while there was no power

    def plan(self) -> None:
        """Let everything happen in its time."""
        world, options = self._run.world, self._run.options
        for restart in options.restarts:
            world.at(restart.at * MILLISECOND_NS, self._do, restart, lambda of: self.restart(of.process))
        for cut in options.power_cuts:
            world.at(cut.since * MILLISECOND_NS, self._do, cut, lambda of: self._cut_power(of.until * MILLISECOND_NS))
        for fault in options.disk_faults:
            world.at(fault.at * MILLISECOND_NS, self._do, fault, self._strike)

    def _do(self, word: Word, action: Callable[[Any], str]) -> None:
        """Let come about what a word says: `action` says why it does nothing, or nothing."""
        self._run.words.tried(word, self._why_nothing_happens() or action(word))

    def _why_nothing_happens(self) -> str:
        if self._is_over:
            return f"the run was over at {self.over_ns / MILLISECOND_NS:.0f} ms"
        return "the power was off" if self._is_off else ""

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
        word = SyncEnd(container.name, number)
        if word not in self._run.options.sync_ends:
            return
        if self._is_off or self._is_over:
            self._run.words.tried(word, self._why_nothing_happens())
            return
        chance = random.Random(f"{self._run.options.seed}/{container.name}/{number}")
        if is_done == (chance.random() < SHARE_DONE):
            self._run.world.at(self._run.world.now_ns, self._do, word, lambda of: self.restart(of.process, kind="power"))
            current_task().sleep(DOWN_NS)  # it does not get further

    def end_at_once(self, container: Container, why: str) -> NoReturn:
        """A process ends because of its disk: it is as good as crashed from then on."""
        disk = container.disk
        is_expected = disk is not None and (disk.is_broken or disk.is_spoiled)
        self._happened(container, f"ends: {why}")
        if container.name == OLYMPUS:
            self.olympus_ends = (f"Olympus ends: {why}",)
            if not is_expected:
                self._run.oracle.tell("durability", self.olympus_ends[0])
            raise GreenletExit
        if not is_expected:
            self._run.oracle.ended(container, why)
        self._count(container)
        raise GreenletExit

    def ended_olympus(self) -> bool:
        """Whether Olympus was stopped."""
        return any(name == OLYMPUS for name, _ in self.ended)

    def sending(self, sender: Container, message: str) -> None:
        """A message leaves a process."""
        if kind_of(message) in SPOKEN and sender.configuration is not None:
            self._run.oracle.spoke(sender)

    # -- what happens

    def _happened(self, container: Container, what: str) -> None:
        self._run.trace.befell(container.name, what.partition(":")[0])
        self._run.interference.happened(self._run.world.now_ns, f"{container.name} {what}")

    def _count(self, container: Container) -> None:
        if container.name == OLYMPUS:  # which is not one of the t
            return
        self._run.tell_harness(container.configuration or 0, container.position, "disk")

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
            self.over_ns = self._run.world.now_ns
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

    def restart(self, name: str, spoil: Callable[[SimDisk], bool] | None = None, kind: CrashKind = "process") -> str:
        """End the process of this name, which begins again after a while, from a disk that `spoil` has spoiled; or say why not."""
        stopped = self._stop([name], kind)
        self._run.world.at(self._run.world.now_ns + DOWN_NS, self._begin, stopped)
        why_not = "" if stopped else _not_running(name)
        for container in stopped:
            if spoil is not None and container.disk is not None:
                self._count(container)
                why_not = "" if spoil(container.disk) else "there was nothing on the disk yet"
            elif spoil is not None:
                why_not = f"{name} had no disk yet"
        return why_not

    def _cut_power(self, until_ns: int) -> str:
        self._is_off = True
        stopped = self._stop(self._names, "power")
        self._run.world.at(until_ns, self._return_power, stopped)
        return "" if stopped else "nobody was running"

    def _return_power(self, stopped: list[Container]) -> None:
        self._is_off = False
        self._begin(sorted(stopped + self._due, key=lambda each: each.name != OLYMPUS))
        self._due = []

    def _strike(self, fault: DiskFault) -> str:
        if fault.fault == "torn":
            return self.restart(fault.process, SimDisk.tear)
        if fault.fault == "flip":
            return self.restart(fault.process, SimDisk.flip)
        with_disks = [container for container in self._run.living(fault.process) if container.disk is not None]
        for container in with_disks:
            self._spoil(container, fault)
        return "" if with_disks else _not_running(fault.process)

    def _spoil(self, container: Container, fault: DiskFault) -> None:
        if container.disk is None:
            return
        if fault.fault == "full":  # which leaves it as correct as it was
            if container.name != OLYMPUS:  # which is never replaced for it
                self.filled.add(container.name)
                self._run.interference.strained(container.configuration or 0, f"a full disk of {container.name}")
            container.disk.fill()
        elif fault.fault == "broken":
            self._count(container)
            container.disk.is_broken = True
        else:
            container.disk.sync_ns = fault.sync_ms * MILLISECOND_NS


def _not_running(name: str) -> str:
    return f"{name} was not running, or was only being made"
