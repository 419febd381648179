"""From a number to a scenario of Raft: sizes, workload, network and faults, written out in the grammar of scenario files.

At any time a majority of the servers is up. In most seeds servers that crash come back from their stores. Links are cut both ways
(partitions) and one way, messages are lost, doubled and held, and clocks are fast and slow. All of that ends at some time.
"""

from collections.abc import Mapping, Sequence

from bcr.objects.finding import DEFAULT
from bcr.raft.changes import FEWEST
from bcr_sim.seeds import Chance

# Message -> up to the how manieth of it that comes a server is to end.
RESTARTED_AT = {"append_entries": 40, "appended": 40, "request_vote": 3, "vote": 3, "install_snapshot": 3}


def raft_scenario_text(seed: int, object_name: str = DEFAULT, durable: bool = False) -> str:
    """The scenario file that a seed stands for; with `durable` servers have disks, and the rest of it is the same."""
    chance = Chance(f"raft {seed}")
    t = chance.one_of((1, 1, 1, 2, 2, 3))
    clients = chance.number(1, 3)
    election_timeout = chance.one_of((150, 150, 300, 1_000))
    servers = 2 * t + 1
    lines = [
        f"test_case_name = seed{seed}",
        "protocol = raft",
        f"t = {t}",
        f"num_client = {clients}",
        "time_unit = ms",
        f"client_timeout = {chance.one_of((60, 150, 300, 1_000))}",
        f"heartbeat = {chance.one_of((election_timeout // 3, election_timeout // 5))}",
        f"election_timeout = {election_timeout}",
        *size_lines(chance),
    ]
    lines += workload_lines(chance, clients, object_name, most=100, most_drawn=40)
    changes = _changes(Chance(f"changes of raft {seed}"), servers, election_timeout)
    lines += changes
    # Of two members none may be away for good, and who is a member changes: where it does, who crashes comes back.
    words = network_words(chance, seed, servers, clients, election_timeout, away=t, stays_away=not changes)
    if durable:
        chance = Chance(f"disks of raft {seed}")
        lines += ["durable = on", *restart_lines(chance, range(servers), RESTARTED_AT)]
        begins = beginning(servers + clients, int(words[1].partition(",")[2].rstrip(")")))
        # A majority of whoever decides has room all the same.
        may_fill = not any(word.startswith("crash(") for word in words) and not any(line.startswith("members") for line in lines)
        words += disk_words(chance, servers, (begins, begins + 4 * election_timeout), may_fill)
    words += limit_words(Chance(f"messages of raft {seed}"))
    lines.append(f"simulation = {'; '.join(words)}")
    return "\n".join(lines) + "\n"


def size_lines(chance: Chance) -> list[str]:
    """How often there is a snapshot, and how much clients send at a time, and how fast."""
    return [
        f"checkpt_interval = {chance.one_of((1, 2, 5, 100))}",
        f"client_window = {chance.one_of((1, 1, 4))}",
        f"batch_limit = {chance.one_of((1, 1, 4))}",
        # Most of the work is to be there while things go wrong, and not to be over before the first of them.
        f"client_rate = {chance.one_of((0, 20, 50, 50, 200))}",
        f"operations_per_request = {chance.one_of((1, 1, 1, 2))}",
    ]


def workload_lines(chance: Chance, clients: int, object_name: str, most: int, most_drawn: int) -> list[str]:
    """What is replicated, and what each client has to do: drawn, and so that little of it is over in no time."""
    lines = [f"object = {object_name}"] if object_name != DEFAULT else []
    for client in range(clients):
        if chance.happens(0.5) or object_name != DEFAULT:
            lines.append(f"workload[{client}] = pseudorandom({chance.number(0, 10**6)},{chance.number(2, most_drawn)})")
        else:
            lines.append(f"workload[{client}] = uniform({chance.number(0, 10**6)},{chance.number(5, most)},3,{chance.one_of((10, 50))})")
        if chance.happens(0.3) and object_name == DEFAULT:
            lines[-1] = lines[-1] + "; put('x','1'); get('x'); append('x','2'); get('x')"
    return lines


def beginning(processes: int, most_us: int) -> int:
    """When it begins, in milliseconds: the start-up makes one process after the other and waits for each; before that nothing goes wrong."""
    return processes * 4 * most_us // 1_000


def network_words(
    chance: Chance, seed: int, servers: int, clients: int, election_timeout: int, away: int, stays_away: bool = True
) -> list[str]:
    """What the simulator is told of links, processes and clocks; no more than `away` servers are gone, or cut off by storms, at a time.

    Where one `stays_away` some of those that crash never come back.
    """
    least, most = chance.one_of(((50, 300), (50, 4_000), (1_000, 20_000)))
    names = [f"replica_{i}" for i in range(servers)]
    begins = beginning(servers + clients, most)
    until = begins + chance.number(election_timeout, 10 * election_timeout)
    everybody = [*names, *(f"client_{k}" for k in range(clients))]
    words = [f"seed({seed})", f"delay({least},{most})"]
    if chance.happens(0.3):
        words.append(f"lose({chance.one_of((10, 50, 200))})")
    if chance.happens(0.4):
        words.append(f"duplicate({chance.one_of((20, 200))})")
    is_stormy = chance.happens(0.4)
    words.append(f"until({until})")
    if is_stormy:
        until, more = _storm(chance, names, begins, election_timeout, away)
        words += more
    elif chance.happens(0.5):
        for _ in range(chance.number(1, 3)):
            words += _partition(chance, names, (begins, until), election_timeout)
    for word in ("cut", "hold"):
        if chance.happens(0.3):
            for _ in range(chance.number(1, 4)):
                one, other = chance.some_of(everybody, 2)
                if chance.happens(0.5):
                    one, other = other, one
                since = chance.number(begins, until)
                words.append(f"{word}({one},{other},{since},{since + chance.number(20, 4 * election_timeout)})")
    if chance.happens(0.3):
        for _ in range(chance.number(1, 2)):
            since = chance.number(begins, until)
            words.append(f"pause({chance.one_of(everybody)},{since},{since + chance.number(20, 4 * election_timeout)})")
    if chance.happens(0.3):
        for position in chance.some_of(range(servers), chance.number(1, 2)):
            words.append(f"clock({position},{chance.one_of((300, 700, 1_500, 3_000))})")
    if chance.happens(0.6):
        words += _crashes(chance, names, (begins, until), election_timeout, away, stays_away)
    return words


def _partition(chance: Chance, names: Sequence[str], span: tuple[int, int], election_timeout: int) -> list[str]:
    """Nobody of some hears anybody of the others, for a while."""
    some = chance.some_of(names, chance.number(1, len(names) - 1))
    since = chance.number(*span)
    ends = since + chance.number(election_timeout // 2, 6 * election_timeout)
    pairs = [(one, other) for one in some for other in names if other not in some]
    return [f"cut({a},{b},{since},{ends})" for one, other in pairs for a, b in ((one, other), (other, one))]


def _storm(chance: Chance, names: Sequence[str], begins: int, election_timeout: int, most: int) -> tuple[int, list[str]]:
    """One partition after the other, each with another minority, which clients still reach: leaders' logs grow apart; when it ends."""
    words, since = [], begins
    away = chance.one_of(("cut", "cut", "hold"))  # what becomes of what the minority sends: held, it comes from a leader of old
    for _ in range(chance.number(3, 8)):
        ends = since + chance.number(election_timeout, 5 * election_timeout)
        some = chance.some_of(names, chance.number(1, most))
        is_one_way = chance.happens(0.2)
        for one in some:
            for other in names:
                if other not in some:
                    words.append(f"{away}({one},{other},{since},{ends})")
                    words += [] if is_one_way else [f"cut({other},{one},{since},{ends})"]
        since = ends + chance.one_of((0, 0, 20, election_timeout // 2))
    return since, words


def _crashes(chance: Chance, names: Sequence[str], span: tuple[int, int], election_timeout: int, most: int, stays_away: bool) -> list[str]:
    """Servers that crash, no more than so many at a time; most come back, some soon enough to forget nothing but what they should not."""
    words = []
    at = chance.number(*span)
    for _ in range(chance.number(1, 3)):
        crashed = chance.some_of(names, chance.number(1, most))
        words += [f"crash({name},{at})" for name in crashed]
        if chance.happens(0.2) and stays_away:
            break  # these stay away
        back = at + chance.one_of((1, 5, election_timeout // 2, 2 * election_timeout))
        words += [f"restart({name},{back})" for name in crashed]
        at = back + chance.number(1, span[1])
    return words


def _changes(chance: Chance, servers: int, election_timeout: int) -> list[str]:
    """What an operator asks for in one seed of four: servers that are added and removed one after the other, and other leaders."""
    if chance.happens(0.75):
        return []
    members = chance.some_of(range(servers), chance.number(max(2, servers - 2), servers))
    lines = [f"members = {'; '.join(map(str, members))}"]
    changes, at = [], 0
    for _ in range(chance.number(1, 5)):
        at += chance.number(0, 4 * election_timeout)
        absent = [server for server in range(servers) if server not in members]
        kind = chance.one_of((*["add"] * bool(absent), *["remove"] * (len(members) > FEWEST), "transfer"))
        server = chance.one_of(absent if kind == "add" else members)
        changes.append(f"{kind}({at},{server})")
        members = sorted({*members} ^ {server}) if kind != "transfer" else members
    return [*lines, f"changes = {'; '.join(changes)}"]


def limit_words(chance: Chance) -> list[str]:
    """In one seed of four messages are so small that what a server lacks comes in several."""
    return [f"message_limit({chance.one_of((1_100, 1_100, 1_500))})"] if chance.happens(0.25) else []


def restart_lines(chance: Chance, servers: Sequence[int], at: Mapping[str, int]) -> list[str]:
    """Some of these servers end at a message, of which there are so many at the most, and begin again: all of them may at once, for
    none of that is a fault."""
    lines = []
    for position in chance.some_of(servers, chance.number(0, len(servers))):
        message = chance.one_of((*at,))
        soon = chance.one_of((0, 0, 20, 300))
        lines.append(f"failures[0,{position}] = {message}({chance.number(0, at[message])}),restart({soon})")
    return lines


def disk_words(chance: Chance, servers: int, span: tuple[int, int], may_fill: bool) -> list[str]:
    """Restarts and power cuts of anybody; slow disks; and one disk that is full, if one `may_fill`."""
    names = [f"replica_{position}" for position in range(servers)]
    words = [f"restart({chance.one_of(names)},{chance.number(*span)})" for _ in range(chance.number(0, 3))]
    if chance.happens(0.4):
        since = chance.number(*span)
        words.append(f"power_cut({since},{since + chance.number(1, 400)})")
    if chance.happens(0.25):
        words.append(f"disk({chance.one_of(names)},slow({chance.number(1, 6)}),{chance.number(0, 300)})")
    if may_fill and chance.happens(0.2):
        words.append(f"disk({chance.one_of(names)},full,{chance.number(*span)})")
    return words
