"""From a number to a scenario of Raft among liars: sizes, workload, network and faults, written out in the grammar of scenario files.

At most t servers have faults that they stay with. Others crash and come back from their stores, and links do to messages what they do in
Raft's seeds (bcr_sim.raft_seeds); all of that is over at some time.
"""

from bcr.objects.finding import DEFAULT
from bcr_sim.raft_seeds import network_words, workload_lines
from bcr_sim.seeds import Chance


def braft_scenario_text(seed: int, object_name: str = DEFAULT) -> str:
    """The scenario file that a seed stands for."""
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
        f"checkpt_interval = {chance.one_of((1, 2, 5, 100))}",
        f"client_window = {chance.one_of((1, 1, 4))}",
        f"batch_limit = {chance.one_of((1, 1, 4))}",
        # Most of the work is to be there while things go wrong, and not to be over before the first of them.
        f"client_rate = {chance.one_of((0, 20, 50, 50, 200))}",
        f"operations_per_request = {chance.one_of((1, 1, 1, 2))}",
    ]
    lines += workload_lines(chance, clients, object_name, most=20, most_drawn=15)
    words = network_words(chance, seed, servers, clients, election_timeout, away=t)
    lines.append(f"simulation = {'; '.join(words)}")
    return "\n".join(lines) + "\n"
