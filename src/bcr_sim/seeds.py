"""From a number to a scenario: sizes, workload, network and faults, written out in the grammar of scenario files.

Every feature is left out of many scenarios, because what always happens together hides what each does alone. No configuration
gets more than t replicas with faults, and at least one client is correct, so every scenario has to be answered.

A seed is one scenario for each authenticator. With signatures and with MACs it is the same, except for lies in the MACs. With
checksums it is one without lies.
"""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from bcr.faults.vocabulary import CLIENT_FAILURES, FAILURES, MESSAGES, SIMULATED, TRIGGERS, FailureWord, possible
from bcr.objects.finding import BUILT_IN, DEFAULT
from bcr.scenario.values import Acceptance
from bcr.signed.authentication import KINDS, Authentication, sizes
from bcr_sim.schemes import Pairs, scheme

T = TypeVar("T")

REAL_SIGNATURES = 0.02  # of the seeds run on Ed25519 and not on the stand-in
SCHEMES = 0.5  # of the seeds with lies follow one that is known to be worth trying
UNDISTURBED = 0.7  # of those have the liars do nothing else, which would mostly give them away before
MILLISECONDS = (5, 60, 400, 1_500)
CHANGED_TOO = 0.6  # of the free liars tell consistent lies, as those do whose messages are all to be changed
FITTING = 0.5  # of what is drawn for a replica strikes at something that comes to it, and not at just any trigger
AT_HANDOVER = {"truncate_history", "extend_wedged", "lie_caught_up", "replay_catch_up"}  # changes what it hands over when it is replaced
ASKED_FOR = 0.5  # of these have it ask for that too
# What is said in Olympus's name, which all believe.
BELIEVED = ("wedge_request", "catch_up", "get_running_state", "inithist", "configuration", "voucher", "control", "credential")
IDENTITIES = "identities"  # drawn apart, and only where there are sessions
ACCEPTANCES: Sequence[Acceptance] = ("all", "quorum")


class Chance:
    """A seed's decisions; made of `random` alone, which is the same on every Python."""

    def __init__(self, seed: int | str) -> None:
        self._generator = random.Random(seed)

    def happens(self, probability: float) -> bool:
        return self._generator.random() < probability

    def number(self, least: int, most: int) -> int:
        return least + int(self._generator.random() * (most - least + 1))

    def one_of(self, values: Sequence[T]) -> T:
        return values[self.number(0, len(values) - 1)]

    def some_of(self, values: Sequence[T], count: int) -> list[T]:
        rest = list(values)
        return sorted((rest.pop(self.number(0, len(rest) - 1)) for _ in range(count)), key=values.index)


STATE_LIMITS = (None, None, 50)  # of twelve keys with values of a word or more a few fit


def authentication_of(seed: int) -> Authentication:
    """The authenticator that a seed draws, where it is left to it."""
    drawn: Authentication = Chance(f"authentication {seed}").one_of(sorted(KINDS))
    return drawn


def acceptance_of(seed: int) -> Acceptance:
    """What a seed draws results to be accepted on, where it is left to it."""
    return Chance(f"acceptance {seed}").one_of(ACCEPTANCES)


def object_of(seed: int) -> str:
    """The object that a seed draws, where it is left to it; the dictionary as often as all others together."""
    others = sorted(BUILT_IN.keys() - {DEFAULT})
    return Chance(f"object {seed}").one_of([DEFAULT] * len(others) + others)


def scenario_text(
    seed: int,
    authentication: Authentication = "ed25519",
    acceptance: Acceptance = "all",
    object_name: str = DEFAULT,
    durable: bool = False,
    sessions: bool = False,
) -> str:
    """The scenario file that a seed stands for: the same of each object, in the operations that it draws."""
    chance = Chance(seed)
    t = chance.one_of((1, 1, 1, 1, 2, 2, 3))
    clients = chance.number(1, 3)
    timeout = chance.one_of((60, 250, 600))
    olympus_timeout = chance.one_of((500, 2_000))
    lines = [
        f"test_case_name = seed{seed}",
        f"t = {t}",
        f"num_client = {clients}",
        "time_unit = ms",
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
    limit = Chance(f"state limit {seed}").one_of(STATE_LIMITS)
    if limit is not None:
        lines.append(f"state_limit = {limit}")
    for client in range(clients):
        lines.append(f"workload[{client}] = pseudorandom({chance.number(0, 10**6)},{chance.number(2, 10)})")
    replicas = sizes(t, authentication).replicas
    faulty = chance.some_of(range(replicas), chance.one_of((t, t, t, chance.number(0, t))))
    lies = authentication != "crc"
    pairs, planned, is_scheme = _failures(chance, replicas, faulty, clients, lies)
    if authentication == "hmac" and faulty:
        _add_useless_macs(Chance(f"macs {seed}"), pairs, faulty, clients)
    lines += [f"failures[{configuration},{position}] = {'; '.join(mine)}" for (configuration, position), mine in sorted(pairs.items())]
    lying_clients = _client_failures(chance, clients, authentication)
    if sessions:
        lying_clients = _with_identities(Chance(f"identities {seed}"), lying_clients)
    lines += lying_clients
    disturbed_positions = [] if is_scheme and chance.happens(UNDISTURBED) else faulty
    words = [*_simulation(chance, seed, replicas, clients, disturbed_positions, olympus_timeout), *planned]
    if not lies and chance.happens(0.4):
        words.append(f"flip({chance.one_of((5, 30, 100))})")
    if durable:
        words += _disks(Chance(f"disks {seed}"), replicas, disturbed_positions, lies)
        words += _disk_of_olympus(Chance(f"disk of olympus {seed}"))
    words = list(dict.fromkeys(words))  # a scheme may want what was drawn already
    lines.append(f"simulation = {'; '.join(word for word in words if lies or word.partition('(')[0] not in SIMULATED)}")
    if authentication != "ed25519":
        lines.append(f"authentication = {authentication}")
    if acceptance != "all":
        lines.append(f"acceptance = {acceptance}")
    if object_name != DEFAULT:
        lines.append(f"object = {object_name}")
    if durable:
        lines.append("durable = on")
    if sessions:
        lines += _visits(Chance(f"sessions {seed}"), clients, lying_clients)
    return "\n".join(lines) + "\n"


def _failures(chance: Chance, replicas: int, faulty: Sequence[int], clients: int, lies: bool) -> tuple[Pairs, list[str], bool]:
    """What the faulty replicas do, by configuration and position, what the simulator does for them, and if it is a scheme."""
    if not chance.happens(0.8):
        return {}, [], False
    if lies and faulty and chance.happens(SCHEMES):
        return (*scheme(chance, replicas, faulty, clients), True)
    failures = _drawn(FAILURES, lies)
    pairs = {
        (configuration, position): [_pair(chance, (configuration, position), clients, failures) for _ in range(chance.number(1, 3))]
        for configuration in range(chance.number(1, 3))
        for position in faulty
        if chance.happens(0.8)
    }
    return pairs, [], False


def _pair(chance: Chance, place: tuple[int, int], clients: int, failures: Sequence[str]) -> str:
    configuration, position = place
    failure = chance.one_of(failures)
    trigger = chance.one_of(sorted(TRIGGERS))
    if chance.happens(FITTING):
        trigger = "wedge_request" if failure in AT_HANDOVER else "shuttle" if position else "client_request"
    values = {
        "client": chance.number(0, clients - 1),
        "count": 0 if TRIGGERS[trigger].once else configuration if trigger == "reconfiguration" else chance.number(0, 6),
        "milliseconds": chance.number(1, 300),
    }
    trigger_arguments = ",".join(str(values[kind]) for kind in TRIGGERS[trigger].arguments)
    arguments = _arguments(chance, FAILURES[failure])
    pair = f"{trigger}({trigger_arguments}),{failure}({arguments})"
    if failure in AT_HANDOVER and chance.happens(ASKED_FOR):
        return f"{pair}; after({chance.number(1, 200)}),ask()"
    return pair


def _drawn(words: Mapping[str, FailureWord], lies: bool) -> list[str]:
    """What a seed draws from; what only one authenticator has a place for is drawn apart, so that others are the same."""
    return [name for name in possible(words, "ed25519" if lies else "crc", simulated=True) if not words[name].only_with]


def _arguments(chance: Chance, word: FailureWord) -> str:
    amounts = {
        "milliseconds": chance.one_of(MILLISECONDS),
        "number": chance.number(*word.times),
        "message": chance.one_of(BELIEVED if chance.happens(0.4) else MESSAGES),
    }
    return ",".join(str(amounts[kind]) for kind in word.arguments)


def _add_useless_macs(chance: Chance, pairs: Pairs, faulty: Sequence[int], clients: int) -> None:
    if chance.happens(0.3):
        pair = f"shuttle({chance.number(0, clients - 1)},{chance.number(0, 3)}),useless_macs()"
        pairs.setdefault((0, chance.one_of(faulty)), []).append(pair)


def _disks(chance: Chance, replicas: int, faulty: Sequence[int], lies: bool) -> list[str]:
    """Restarts, power cuts and full disks of anybody, Olympus too, which are no faults; and of the faulty ones the disks that lose something.

    A disk that gives back less than was synced makes its replica say what is not so, against which checksums are not made.
    """
    names = [f"replica_{position}" for position in range(replicas)]
    words = []
    if chance.happens(0.6):
        words += [f"restart({chance.one_of(names)},{chance.number(0, 600)})" for _ in range(chance.number(1, 4))]
    if chance.happens(0.4):
        for _ in range(chance.number(1, 2)):
            since = chance.number(0, 600)
            words.append(f"power_cut({since},{since + chance.number(1, 400)})")
    if chance.happens(0.25):
        words.append(f"disk({chance.one_of(names)},slow({chance.number(1, 6)}),{chance.number(0, 300)})")
    if chance.happens(0.4):
        words += [f"restart(olympus,{chance.number(0, 600)})" for _ in range(chance.number(1, 3))]
    if chance.happens(0.5):
        words += [f"end_in_sync(olympus,{chance.number(1, 12)})" for _ in range(chance.number(1, 2))]
    if chance.happens(0.3):
        words += [f"end_in_sync({chance.one_of(names)},{chance.number(1, 30)})" for _ in range(chance.number(1, 2))]
    for position in faulty:
        if chance.happens(0.3):
            fault = chance.one_of(("broken", "torn", "flip") if lies else ("broken",))
            words.append(f"disk(replica_{position},{fault},{chance.number(0, 500)})")
    if chance.happens(0.3):  # of one, and that is no fault: t+1 would have everything refused
        words.append(f"disk({chance.one_of((names[0], chance.one_of(names)))},full,{chance.number(0, 300)})")
    return words


def _disk_of_olympus(chance: Chance) -> list[str]:
    """Drawn apart. It may be slow or full, for which nothing is replaced or refused; where it loses something nothing more is owed."""
    words = []
    if chance.happens(0.25):
        words.append(f"disk(olympus,slow({chance.number(1, 6)}),{chance.number(0, 300)})")
    if chance.happens(0.25):
        words.append(f"disk(olympus,full,{chance.number(0, 300)})")
    return words


def _client_failures(chance: Chance, clients: int, authentication: Authentication) -> list[str]:
    if clients < 2 or not chance.happens(0.4):
        return []
    faulty = chance.some_of(range(clients), chance.number(1, clients - 1))
    failures = [each for each in _drawn(CLIENT_FAILURES, authentication != "crc") if each != IDENTITIES]
    lines = []
    for client in faulty:
        pairs = []
        for _ in range(chance.number(1, 3)):
            trigger = chance.one_of((f"reconfiguration({chance.one_of((0, 0, 1, 2))})", f"after({chance.number(0, 300)})"))
            failure = chance.one_of(failures)
            arguments = _arguments(chance, CLIENT_FAILURES[failure])
            pairs.append(f"{trigger},{failure}({arguments})")
        # Of its own chance, so that the rest of the scenario is the same with signatures.
        if authentication == "hmac" and Chance(f"{client} {pairs}").happens(0.2):
            pairs.append("after(20),uneven_macs()")
        lines.append(f"client_failures[{client}] = {'; '.join(pairs)}")
    return lines


def _with_identities(chance: Chance, lying: Sequence[str]) -> list[str]:
    """The same, and some of these clients come under many keys besides."""
    many = (f"; after({chance.number(0, 300)}),{IDENTITIES}({chance.number(*CLIENT_FAILURES[IDENTITIES].times)})" for _ in lying)
    return [line + more if chance.happens(0.3) else line for line, more in zip(lying, many, strict=True)]


def _visits(chance: Chance, clients: int, lying: Sequence[str]) -> list[str]:
    """When clients that do not lie come and go, the first of whom is there from the start, and how soon sessions end."""
    lines = [f"session_slots = {chance.one_of((1, 2, 4, 10, 1_000))}"]
    liars = {client for client in range(clients) if any(line.startswith(f"client_failures[{client}]") for line in lying)}
    late_clients = clients
    while late_clients > 1 and late_clients - 1 not in liars and chance.happens(0.5):
        late_clients -= 1
        lines.append(f"client_arrives[{late_clients}] = {chance.number(1, 200)}")
        if chance.happens(0.3):
            lines.append(f"client_leaves[{late_clients}] = {chance.number(250, 600)}")
    for client in range(late_clients):
        if client not in liars and chance.happens(0.5):
            leaves = chance.number(0, 150)
            lines.append(f"client_leaves[{client}] = {leaves}")
            if chance.happens(0.7):
                lines.append(f"client_arrives[{client}] = {leaves + chance.number(1, 200)}")
    return lines


def _simulation(chance: Chance, seed: int, replicas: int, clients: int, faulty: Sequence[int], olympus_timeout: int) -> list[str]:
    least, most = chance.one_of(((50, 300), (50, 4_000), (1_000, 30_000)))
    until = chance.number(100, 1_500)
    names = [f"replica_{i}" for i in range(replicas)] + [f"client_{k}" for k in range(clients)]
    everybody = [*names, "olympus"]
    words = [f"seed({seed})", f"delay({least},{most})"]
    if chance.happens(0.3):
        words += [f"lose({chance.one_of((5, 30, 100))})"]
    if chance.happens(0.3):
        words += [f"duplicate({chance.one_of((10, 100))})"]
    for word, most_ms, who in (("cut", 500, everybody if chance.happens(0.1) else names), ("hold", 3_000, everybody)):
        if chance.happens(0.3):
            for _ in range(chance.number(1, 3)):
                one, other = chance.some_of(who, 2)
                if chance.happens(0.5):
                    one, other = other, one
                since = chance.number(0, until)
                words.append(f"{word}({one},{other},{since},{since + chance.number(20, most_ms)})")
    if chance.happens(0.3):
        # Olympus takes whoever does not answer for longer than it waits for one that is gone; a few outlast that.
        most_ms = 3 * olympus_timeout if chance.happens(0.2) else min(900, olympus_timeout // 2)
        for _ in range(chance.number(1, 2)):
            since = chance.number(0, until)
            words.append(f"pause({chance.one_of(everybody)},{since},{since + chance.number(20, most_ms)})")
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
        if chance.happens(0.25):
            words += [f"free({position})" for position in faulty]
            if chance.happens(CHANGED_TOO):
                changed = [position for position in faulty if not any(word.startswith(f"mutate({position},") for word in words)]
                words += [f"mutate({position},{chance.number(1, 8)})" for position in changed]
    if chance.happens(REAL_SIGNATURES):
        words.append("real_signatures()")
    return words
