"""From a number to a scenario of Raft among liars: sizes, workload, network and faults, written out in the grammar of scenario files.

At most t servers have faults that last. Others crash and come back from their stores, and links do to messages what they do in
Raft's seeds (bcr_sim.raft_seeds). All of that ends at some time.
"""

from collections.abc import Sequence

from bcr.faults.vocabulary import SERVER_FAILURES
from bcr.objects.finding import DEFAULT
from bcr.scenario.protocols import BRAFT_SYNONYMS, BYZANTINE_RAFT, WORDS
from bcr_sim.raft_seeds import beginning, disk_words, network_words, restart_lines, size_lines, workload_lines
from bcr_sim.seeds import Chance

# Each, and once more those that every run has many of.
TRIGGERS = [
    *sorted(BYZANTINE_RAFT.triggers.keys() - BRAFT_SYNONYMS.keys()),
    "append",
    "prepare",
    "commit",
    "client_request",
    "after",
    "after",
]
FAILURES_DRAWN = sorted(name for name in BYZANTINE_RAFT.failures if name in WORDS and name not in SERVER_FAILURES)


# Message -> up to the how manieth of it that comes a server is to end.
RESTARTED_AT = {"append": 15, "prepare_certificate": 15, "commit": 40, "checkpoint": 10, "start_vote": 3, "start_term": 2, "state": 2}


def braft_scenario_text(seed: int, object_name: str = DEFAULT, durable: bool = False) -> str:
    """The scenario file that a seed stands for; with `durable` servers have disks, and the rest of it is the same."""
    chance = Chance(f"byzantine raft {seed}")
    t = chance.one_of((1, 1, 1, 1, 2, 2, 3))
    clients = chance.number(1, 3)
    election_timeout = chance.one_of((60, 150, 150, 400))
    servers = 3 * t + 1
    lines = [
        f"test_case_name = seed{seed}",
        "protocol = byzantine_raft",
        f"t = {t}",
        f"num_client = {clients}",
        "time_unit = ms",
        f"client_timeout = {chance.one_of((60, 150, 300))}",
        f"heartbeat = {chance.one_of((30, election_timeout // 2))}",
        f"election_timeout = {election_timeout}",
        *size_lines(chance),
    ]
    lines += workload_lines(chance, clients, object_name, most=20, most_drawn=15)
    liars = chance.some_of(range(servers), chance.one_of((0, t, t, t, chance.number(0, t))))
    if liars and chance.happens(0.4):
        liars = [0, *liars[1:]] if 0 not in liars else liars  # who leads in the first term can do most
    lines += [f"failures[0,{position}] = {'; '.join(_pairs(chance, clients, election_timeout))}" for position in liars]
    # Where all t are liars nobody else is away for good; who crashes comes back.
    words = network_words(chance, seed, servers, clients, election_timeout, away=t, stays_away=not liars)
    if liars and chance.happens(0.15):
        words.append(f"twins({chance.one_of(liars)})")
    if chance.happens(0.1):
        words.append(f"flip({chance.one_of((5, 30, 100))})")
    if durable:
        chance = Chance(f"disks of byzantine raft {seed}")
        lines += ["durable = on", *restart_lines(chance, [each for each in range(servers) if each not in liars], RESTARTED_AT)]
        begins = beginning(servers + clients, int(words[1].partition(",")[2].rstrip(")")))
        words += disk_words(chance, servers, (begins, begins + 4 * election_timeout), not liars and not _has_crashes(words))
        if liars and chance.happens(0.1):
            at = chance.number(begins, begins + 4 * election_timeout)
            words.append(f"disk(replica_{chance.one_of(liars)},{chance.one_of(('torn', 'torn', 'flip'))},{at})")
    lines.append(f"simulation = {'; '.join(words)}")
    return "\n".join(lines) + "\n"


def _has_crashes(words: Sequence[str]) -> bool:
    return any(word.startswith("crash(") for word in words)


def _pairs(chance: Chance, clients: int, election_timeout: int) -> list[str]:
    """What one liar does, and when; liars that know of each other are as many that do the same."""
    return [_pair(chance, clients, election_timeout) for _ in range(chance.number(1, 4))]


def _pair(chance: Chance, clients: int, election_timeout: int) -> str:
    trigger = chance.one_of(TRIGGERS)
    arguments = {"client": chance.number(0, clients - 1), "count": chance.one_of((0, 0, 1, 2, 3, 5, 8, 13)),
                 "milliseconds": chance.number(10, 10 * election_timeout)}  # fmt: skip
    failure = chance.one_of(FAILURES_DRAWN)
    amounts = {"milliseconds": chance.one_of((20, 100, 400)), "number": chance.number(1, 4)}
    when = ",".join(str(arguments[kind]) for kind in BYZANTINE_RAFT.triggers[trigger].arguments)
    what = ",".join(str(amounts[kind]) for kind in WORDS[failure].arguments)
    return f"{trigger}({when}),{failure}({what})"
