"""From a number to a scenario: sizes, workload, network and faults, written out in the grammar of scenario files.

Every feature is left out of many scenarios: what always happens together hides what it does alone. No configuration
gets more than t replicas with faults, so that every scenario has to be answered.

A seed is one scenario for each authenticator: of signatures and of MACs the same, of checksums one without lies.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

from bcr.authentication import KINDS, Authentication, sizes
from bcr.scenario.faults import FAILURES, NO_ACCIDENTS, TRIGGERS

T = TypeVar("T")

REAL_SIGNATURES = 0.02  # of the seeds run on Ed25519 and not on the stand-in
MILLISECONDS = (5, 60, 400, 1_500)
ONCE = ("wedge_request", "catch_up", "get_running_state", "new_configuration")


class Chance:
    """A seed's decisions; made of `random` alone, which is the same on every Python."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def number(self, least: int, most: int) -> int:
        return least + int(self._random.random() * (most - least + 1))

    def one_of(self, values: Sequence[T]) -> T:
        return values[self.number(0, len(values) - 1)]

    def some_of(self, values: Sequence[T], count: int) -> list[T]:
        left = list(values)
        return sorted((left.pop(self.number(0, len(left) - 1)) for _ in range(count)), key=values.index)


def authentication_of(seed: int) -> Authentication:
    """The authenticator that a seed draws, where it is left to it."""
    drawn: Authentication = Chance(f"authentication {seed}").one_of(sorted(KINDS))  # type: ignore[assignment]
    return drawn


def scenario_text(seed: int, authentication: Authentication = "ed25519") -> str:
    """The scenario file that a seed stands for."""
    chance = Chance(seed)
    t = chance.one_of((1, 1, 1, 1, 2, 2, 3))
    clients = chance.number(1, 3)
    timeout = chance.one_of((60, 250, 600))
    olympus_timeout = chance.one_of((500, 2_000))
    lines = [
        f"test_case_name = seed{seed}",
        f"t = {t}",
        f"num_client = {clients}",
        f"client_timeout = {chance.one_of((timeout, timeout, 30))}",
        f"head_timeout = {timeout}",
        f"nonhead_timeout = {timeout}",
        f"olympus_timeout = {olympus_timeout}",
        f"wedge_grace = {chance.one_of((0, 20, 200))}",
        f"checkpt_interval = {chance.one_of((1, 2, 3, 5, 100))}",
        f"client_window = {chance.one_of((1, 1, 3))}",
        f"batch_limit = {chance.one_of((1, 1, 4))}",
        f"operations_per_request = {chance.one_of((1, 1, 1, 2))}",
    ]
    for client in range(clients):
        lines.append(f"workload[{client}] = pseudorandom({chance.number(0, 10**6)},{chance.number(2, 10)})")
    replicas = sizes(t, authentication).replicas
    faulty = chance.some_of(range(replicas), chance.one_of((t, t, t, chance.number(0, t))))
    lies = authentication != "crc"
    failures = [failure for failure in sorted(FAILURES) if lies or failure not in NO_ACCIDENTS]
    lines += _failures(chance, faulty, clients, failures)
    words = _simulation(chance, seed, replicas, clients, faulty, olympus_timeout)
    if not lies and chance.happens(0.4):
        words.append(f"flip({chance.one_of((5, 30, 100))})")
    lines.append(f"simulation = {'; '.join(word for word in words if lies or word.partition('(')[0] not in NO_ACCIDENTS)}")
    if authentication != "ed25519":
        lines.append(f"authentication = {authentication}")
    return "\n".join(lines) + "\n"


def _failures(chance: Chance, faulty: Sequence[int], clients: int, failures: Sequence[str]) -> list[str]:
    if not chance.happens(0.7):
        return []
    return [
        f"failures[{configuration},{position}] = "
        + "; ".join(_pair(chance, configuration, clients, failures) for _ in range(chance.number(1, 3)))
        for configuration in range(chance.number(1, 3))
        for position in faulty
        if chance.happens(0.8)
    ]


def _pair(chance: Chance, configuration: int, clients: int, failures: Sequence[str]) -> str:
    trigger = chance.one_of(sorted(TRIGGERS))
    failure = chance.one_of(failures)
    values = {
        "client": chance.number(0, clients - 1),
        "count": 0 if trigger in ONCE else configuration if trigger == "reconfiguration" else chance.number(0, 6),
        "milliseconds": chance.number(1, 300),
    }
    amounts = {"milliseconds": chance.one_of(MILLISECONDS), "number": chance.number(1, 3)}
    trigger_arguments = ",".join(str(values[kind]) for kind in TRIGGERS[trigger].arguments)
    failure_arguments = ",".join(str(amounts[kind]) for kind in FAILURES[failure].arguments)
    return f"{trigger}({trigger_arguments}),{failure}({failure_arguments})"


def _simulation(
    chance: Chance, seed: int, replicas: int, clients: int, faulty: Sequence[int], olympus_timeout: int
) -> list[str]:
    least, most = chance.one_of(((50, 300), (50, 4_000), (1_000, 30_000)))
    until = chance.number(100, 1_500)
    names = [f"replica_{i}" for i in range(replicas)] + [f"client_{k}" for k in range(clients)]
    words = [f"seed({seed})", f"delay({least},{most})"]
    if chance.happens(0.3):
        words += [f"lose({chance.one_of((5, 30, 100))})"]
    if chance.happens(0.3):
        words += [f"duplicate({chance.one_of((10, 100))})"]
    if chance.happens(0.3):
        for _ in range(chance.number(1, 3)):
            one, other = chance.some_of(names, 2)
            since = chance.number(0, until)
            words.append(f"cut({one},{other},{since},{since + chance.number(20, 500)})")
    if chance.happens(0.3):
        for _ in range(chance.number(1, 2)):
            since = chance.number(0, until)
            # Whoever does not answer for longer than Olympus waits is as good as crashed.
            duration = chance.number(20, min(900, olympus_timeout // 2))
            words.append(f"pause({chance.one_of(names)},{since},{since + duration})")
    words.append(f"until({until})")
    if faulty:
        if chance.happens(0.25):
            words.append(f"crash(replica_{chance.one_of(faulty)},{chance.number(10, until)})")
        if chance.happens(0.25):
            words.append(f"twins({chance.one_of(faulty)})")
        if chance.happens(0.4):
            words.append(f"mutate({chance.one_of(faulty)},{chance.number(1, 8)})")
        if chance.happens(0.25):
            words.append(f"amnesia({chance.one_of(faulty)},{chance.number(10, until)})")
    if chance.happens(REAL_SIGNATURES):
        words.append("real_signatures()")
    return words
