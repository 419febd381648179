"""What the processes of a simulated run ask of their machine: time, randomness, files, disks and stores of its world."""

import io
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol, TextIO

from greenlet import GreenletExit

from bcr.raft.persistent import MemoryStore, StableStorage
from bcr.scenario.values import Simulation
from bcr.stable.disk import Disk
from bcr_sim.distalgo import Container, System
from bcr_sim.power import Power
from bcr_sim.world import SECOND_NS, World, current_task

CLOCK = "virtual"
BEGINNING_NS = 946_684_800 * 10**9  # the year 2000


class SupportsSource(Protocol):
    """What this asks of a run. `stores` are by the name of the process, and outlast it."""

    world: World
    system: System
    power: Power
    options: Simulation
    chances: dict[Any, random.Random]
    stores: dict[str, MemoryStore]

    def container_of(self, task: Any) -> Container: ...


class WorldSource:
    """Time and randomness of the world for `bcr_runtime.ambient`."""

    def __init__(self, run: SupportsSource, folder: Path | None) -> None:
        self._run = run
        self._folder = folder
        self._files: list[TextIO] = []

    def monotonic_ns(self) -> int:
        return self._run.world.now_ns

    def wall_clock_ns(self) -> int:
        return BEGINNING_NS + self._run.world.now_ns

    def random_bytes(self, count: int) -> bytes:
        task = current_task()
        chance = self._run.chances.get(task)
        if chance is None:
            container = self._run.container_of(task)
            # Twins are alike in this too: it is how they come to have one key.
            seed = f"{self._run.options.seed}/{container.name}/{container.configuration}"
            begun_before = self._run.power.ended[container.name, container.configuration]
            if begun_before:
                seed += f"/{begun_before}"  # who begins again draws others
            chance = self._run.chances[task] = random.Random(seed)
        return chance.randbytes(count)

    def clock_name(self) -> str:
        return CLOCK

    def sleep_s(self, duration_s: float) -> None:
        current_task().sleep(int(duration_s * SECOND_NS))

    def open_log(self, path: Path) -> TextIO:
        if self._folder is None:
            return io.StringIO()
        taken = {Path(file.name).name for file in self._files} if self._run.options.twins else set()
        name = path.name if path.name not in taken else f"{path.stem}-twin{path.suffix}"
        for file in self._files:
            if Path(file.name).name == name and not file.closed:
                file.flush()  # what a process wrote before it began again stands before what it writes then
        self._files.append(open(self._folder / name, "a", encoding="utf-8"))  # noqa: SIM115 - open as long as the run
        return self._files[-1]

    def open_spool(self, folder: Path) -> BinaryIO:
        return io.BytesIO()

    def open_store(self, name: str) -> StableStorage:
        container = self._run.container_of(current_task())
        is_second = self._run.system.containers[container.dapid][0] is not container
        # It outlasts the process, and a twin has its own.
        return self._run.stores.setdefault(f"{name}'s twin" if is_second else name, MemoryStore())

    def consumption(self) -> tuple[float, int]:
        return 0.0, 0

    def close(self) -> None:
        for file in self._files:
            file.close()

    def gone(self, children: Sequence[Any]) -> list[Any]:
        return self._run.system.dead(children)

    def fallen_children(self, children: Sequence[Any]) -> list[Any]:
        """None: the simulator lets processes begin again itself, in the same place."""
        return []

    def replaced(self, child: Any) -> None:
        """Never: see `fallen_children`."""

    def end_children(self, limit_s: float) -> None:
        """They end with the world."""

    def open_disk(self, path: Path, owner: str) -> Disk:
        return self._run.power.open_disk(self._run.container_of(current_task()), path)

    def before_waiting(self, callback: Callable[[], None]) -> None:
        container = self._run.container_of(current_task())

        def call() -> None:
            try:
                callback()
            except Exception as error:  # DistAlgo would say so, and go on for ever
                self._run.system.failures.append(f"{container.name}: {error!r}")
                raise GreenletExit from error

        container.queue.before_waiting = call

    def end_at_once(self, why: str) -> NoReturn:
        self._run.power.end_at_once(self._run.container_of(current_task()), why)
