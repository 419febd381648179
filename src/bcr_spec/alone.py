"""Runs the specification by itself in virtual time."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from da import sim

from bcr.objects.operation import Operation
from bcr.scenario.values import Simulation
from bcr_sim import distalgo
from bcr_sim.distalgo import Container, System
from bcr_sim.network import Network
from bcr_sim.world import SECOND_NS, World
from bcr_spec.text import specification

LIMIT_S = 3_600
LIMIT_EVENTS = 2_000_000

Place = tuple[int, int, int]  # configuration, slot, index in the slot


class CrashPoint(msgspec.Struct, frozen=True):
    """A replica that ends when the message of this name arrives for the `count`-th time, from 0."""

    configuration: int
    position: int
    message: str
    count: int


class SpecificationRun(msgspec.Struct, frozen=True):
    """What came of a run of the specification.

    `accepted` has for each client number, place and results of its requests, in the order in which it accepted them.
    `quorums` has for each configuration that was replaced whom Olympus went on from. `hindrance` is why it did not come to
    its end, or None.
    """

    accepted: tuple[tuple[tuple[int, Place, tuple[str, ...]], ...], ...]
    quorums: tuple[tuple[int, ...], ...]
    events: int
    hindrance: str | None


def run_alone(
    t: int,
    workloads: Sequence[Sequence[Sequence[Operation]]],
    *,
    client_window: int = 1,
    checkpoint_interval: int = 100,
    timeout_s: float = 3,
    simulation: Simulation | None = None,
    crashes: Sequence[CrashPoint] = (),
    on_step: Callable[[int], None] = lambda answer_count: None,
) -> SpecificationRun:
    """Let each client have the operations of its requests executed; `on_step` hears how many requests are answered."""
    distalgo.set_options()
    text = specification()
    options = simulation or Simulation()
    world = World(options.seed)
    system = System(world, lambda world: Network(world, options, lambda *_: None))
    seen: dict[tuple[Container, str], int] = {}

    def arrived(receiver: Container, source: Any, command: Any, content: Any) -> None:
        if command is not sim.Command.Message:
            return
        name = content[1][0]
        count = seen[receiver, name] = seen.get((receiver, name), -1) + 1
        for crash in crashes:
            place = crash.configuration, f"replica_{crash.position}", crash.message, crash.count
            if place == (receiver.configuration, receiver.name, name, count):
                receiver.task.kill()

    system.on_arrival = arrived
    with distalgo.installed(system):
        clients = tuple(system.create(text.Client, system.root) for _ in workloads)
        olympus = system.create(text.Olympus, system.root)
        system.command(olympus, sim.Command.Setup, (0, (t, clients, client_window, checkpoint_interval, timeout_s)))
        for number, (client, workload) in enumerate(zip(clients, workloads, strict=True)):
            requests = tuple(tuple((each.name, each.key, each.argument) for each in operations) for operations in workload)
            arguments = (number, t, olympus, requests, client_window, timeout_s)
            system.command(client, sim.Command.Setup, (0, arguments))
        for process in (olympus, *clients):
            system.command(process, sim.Command.Start, 0)
        expected_count = sum(map(len, workloads))
        answer_count = 0

        def is_over() -> bool:
            nonlocal answer_count
            now = sum(command is sim.Command.Message and content[1][0] == "answered" for command, content in system.root_inbox)
            if now != answer_count:
                answer_count = now
                on_step(answer_count)
            return answer_count == expected_count or bool(system.failures)

        hindrance = world.run(is_over, LIMIT_S * SECOND_NS, LIMIT_EVENTS)
    messages = [content[1] for command, content in system.root_inbox if command is sim.Command.Message]
    answers = [each[1:] for each in messages if each[0] == "answered"]
    return SpecificationRun(
        accepted=tuple(
            tuple((number, outcome[:3], outcome[3]) for client, number, outcome in answers if client == each)
            for each in range(len(workloads))
        ),
        quorums=tuple(each[2] for each in messages if each[0] == "reconfigured"),
        events=world.events,
        hindrance=system.failures[0] if system.failures else hindrance,
    )
