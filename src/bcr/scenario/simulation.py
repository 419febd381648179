"""What only a simulated run heeds: the seed, the network's behaviour, and faults that no replica injects itself."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from bcr.scenario.diagnostics import ValueProblem
from bcr.scenario.grammar import Call, Cursor, Tell, Warn, demand_count, items, known, whole_number
from bcr.scenario.values import (
    MILLISECONDS_MOST,
    Amnesia,
    Crash,
    Cut,
    DiskFault,
    Hold,
    Mutation,
    Pause,
    PowerCut,
    Restart,
    Simulation,
    SlowClock,
    SyncEnd,
)

Kind = Literal[
    "number", "bytes", "milliseconds", "microseconds", "permille", "rate", "process", "party", "position", "durable", "disk_fault"
]  # fmt: skip


class Option(msgspec.Struct, frozen=True):
    """An option of the simulator: the kinds of its arguments, and what it does, in virtual time."""

    arguments: tuple[Kind, ...]
    meaning: str


OPTIONS: Mapping[str, Option] = {
    "seed": Option(("number",), "chooses the schedule"),
    "delay": Option(("microseconds", "microseconds"), "each message takes between the two; a link keeps its order"),
    "lose": Option(("permille",), "so many of the messages between replicas and clients are lost, up to `until`"),
    "duplicate": Option(("permille",), "so many of them come twice"),
    "flip": Option(("permille",), "so many of them have a bit flipped"),
    "until": Option(("milliseconds",), "when messages are lost, doubled and flipped no more"),
    "cut": Option(("party", "party", "milliseconds", "milliseconds"), "nothing that the first sends the second in between reaches it"),
    "hold": Option(("party", "party", "milliseconds", "milliseconds"),
                   "what the first sends the second in between arrives at the end of it: asynchrony, and no fault"),
    "crash": Option(("process", "milliseconds"), "the process ends then"),
    "clock": Option(("position", "rate"), "the clock of this server advances so many thousandths of a second a second"),
    "pause": Option(("party", "milliseconds", "milliseconds"), "the process stands still in between"),
    "twins": Option(("position",), "two processes are this replica, with one key, and others reach now the one and now the other"),
    "free": Option(("position",), "at each step the replica may send any message that it could sign or has seen, to anyone, knowing "
                   "what all such replicas know and signing as all of them; where all of them have `mutate` too, they also tell consistent "
                   "lies in place of what they would send"),
    "mutate": Option(("position", "number"), "so many messages of the replica are changed a little, or into consistent lies, signed by "
                     "it where it can"),
    "amnesia": Option(("position", "milliseconds"), "the replica forgets what it executed for whom, and hears old requests again"),
    "restart": Option(("durable", "milliseconds"), "the process of the replica, or of `olympus`, ends then, and begins again from its disk (with "
                      "`durable = on`); the replicas end with Olympus, and begin again as well; of Raft, the server, which has crashed, "
                      "comes back then with what its store holds"),
    "end_in_sync": Option(("durable", "number"), "the machine of the replica, or of `olympus`, loses its power in the n-th sync, counted from 0: what is "
                          "being written is on the disk then, or is not, or is torn; and the process begins again"),
    "power_cut": Option(("milliseconds", "milliseconds"), "Olympus and all replicas end at the first, and begin again from their disks at the second"),
    "disk": Option(("durable", "disk_fault", "milliseconds"),
                   "from then on the disk of the replica, of the configuration that is current then, or of `olympus`, is `full` but for what is set aside, or `broken`, so that no write "
                   "succeeds, or `slow(ms)`, each sync taking so long; or then its last row is `torn`, or a bit of it `flip`s, and the process begins again; where Olympus "
                   "finds a bit flipped, or cannot write, it ends for good, and nothing more is promised than that what is answered is right"),
    "message_limit": Option(("bytes",), "who sends more than so many bytes sends it in several messages, where its protocol has that: snapshots, "
                            "entries, votes, states; without it, as in a run that is told no other limit"),
    "real_signatures": Option((), "Ed25519, and not the stand-in that nobody inside can forge"),
}  # fmt: skip
SINGLE = ("seed", "lose", "duplicate", "flip", "until", "message_limit")  # with one number, which the field of that name takes
ONCE = (*SINGLE, "delay")  # of which the last counts
SPANS = ("cut", "hold", "pause", "power_cut")  # whose last two arguments are when it begins and when it ends
FORMS = {"number": "n", "bytes": "bytes", "milliseconds": "ms", "microseconds": "µs", "permille": "‰", "rate": "‰", "process": "replica_i",
         "party": "replica_i", "position": "i", "durable": "replica_i", "disk_fault": "full"}  # fmt: skip
LIMITS: Mapping[Kind, int] = {
    "number": 10**18,
    "bytes": 1 << 22,
    "milliseconds": MILLISECONDS_MOST,
    "microseconds": 1_000 * MILLISECONDS_MOST,
    "permille": 1_000,
    "rate": 10_000,
}
NO_ROWS = "Olympus writes no rows, of which the last could be torn; end_in_sync(olympus,n) tears what it is writing"
LEAST: Mapping[Kind, int] = {"bytes": 1_100}  # so that there is room for something in each message


def parse_simulation(
    text: str, replicas: int, clients: int, warn: Warn, tell: Tell, demand_possible: Callable[[str, int], None]
) -> Simulation:
    """A `;`-separated set of the words above, each with its arguments.

    `demand_possible` is given each word, and where it stands, and tells by itself if the scenario cannot have it.
    """
    calls_by_word: dict[str, list[tuple[int | str, ...]]] = {word: [] for word in OPTIONS}

    def item(cursor: Cursor) -> None:
        call = known(cursor.call(), OPTIONS, "option of the simulator", warn)
        kinds = OPTIONS[call.name].arguments
        demand_possible(call.name, call.offset)
        demand_count(call, len(kinds), f"{call.name}({','.join(FORMS[kind] for kind in kinds)})")
        arguments = tuple(_argument(call, i, kind, replicas, clients) for i, kind in enumerate(kinds))
        if call.name in SPANS:
            _demand_order(call, arguments)
        if any(call.name in ONCE or (call.name == "clock" and each[0] == arguments[0]) for each in calls_by_word[call.name]):
            warn(f"{call.name} is given again; the last one counts", call.offset)
        calls_by_word[call.name].append(arguments)

    items(text, item, "options", warn, tell)
    last = {word: calls[-1] for word, calls in calls_by_word.items() if calls}
    values: dict[str, object] = {word: last[word][0] for word in SINGLE if word in last}
    if "delay" in last:
        values["delay"] = tuple(sorted(map(int, last["delay"])))
    return Simulation(
        **values,  # type: ignore[arg-type]
        cuts=tuple(Cut(*call) for call in calls_by_word["cut"]),  # type: ignore[arg-type]
        holds=tuple(Hold(*call) for call in calls_by_word["hold"]),  # type: ignore[arg-type]
        crashes=tuple(Crash(*call) for call in calls_by_word["crash"]),  # type: ignore[arg-type]
        clocks=tuple(SlowClock(*call) for call in calls_by_word["clock"]),  # type: ignore[arg-type]
        pauses=tuple(Pause(*call) for call in calls_by_word["pause"]),  # type: ignore[arg-type]
        twins=tuple(sorted({int(position) for (position,) in calls_by_word["twins"]})),
        free=tuple(sorted({int(position) for (position,) in calls_by_word["free"]})),
        mutations=tuple(Mutation(*call) for call in calls_by_word["mutate"]),  # type: ignore[arg-type]
        amnesias=tuple(Amnesia(*call) for call in calls_by_word["amnesia"]),  # type: ignore[arg-type]
        restarts=tuple(Restart(*call) for call in calls_by_word["restart"]),  # type: ignore[arg-type]
        sync_ends=tuple(SyncEnd(*call) for call in calls_by_word["end_in_sync"]),  # type: ignore[arg-type]
        power_cuts=tuple(PowerCut(*call) for call in calls_by_word["power_cut"]),  # type: ignore[arg-type]
        disk_faults=tuple(_disk_fault(*call) for call in calls_by_word["disk"]),  # type: ignore[arg-type]
        real_signatures=bool(calls_by_word["real_signatures"]),
    )


def _argument(call: Call, index: int, kind: Kind, replicas: int, clients: int) -> int | str:
    if kind in ("process", "party"):
        return _process(call, index, replicas, clients, may_be_olympus=kind == "party")
    if kind == "durable":
        return _process(call, index, replicas, 0, may_be_olympus=True)
    if kind == "disk_fault":
        if not re.fullmatch(r"full|broken|torn|flip|slow\(\d{1,7}\)", call.arguments[index]):
            argument = call.arguments[index]
            raise ValueProblem(f"{call.name}: expected full, broken, torn, flip or slow(ms), found {argument!r}", call.offsets[index])
        if call.arguments[0] == "olympus" and call.arguments[index] == "torn":
            raise ValueProblem(f"{call.name}: {NO_ROWS}", call.offsets[index])
        return call.arguments[index]
    value = whole_number(call, index)
    most = replicas - 1 if kind == "position" else LIMITS[kind]
    if value > most:
        raise ValueProblem(f"{call.name}: {value:,} is more than {most:,}", call.offsets[index])
    if value < LEAST.get(kind, 0):
        raise ValueProblem(f"{call.name}: {value:,} is less than {LEAST[kind]:,}", call.offsets[index])
    return value


def _demand_order(call: Call, arguments: Sequence[int | str]) -> None:
    """Raises ValueProblem where the end is before the beginning, and says how it would be right."""
    since, until = map(int, arguments[-2:])
    if until < since:
        right = f"{call.name}({','.join(map(str, (*arguments[:-2], until, since)))})"
        raise ValueProblem(f"{call.name} ends at {until:,} ms, before it begins at {since:,} ms; did you mean {right}?", call.offsets[-1])


def _disk_fault(process: str, fault: str, at: int) -> DiskFault:
    kind, _, sync_ms = fault.rstrip(")").partition("(")
    return DiskFault(process, kind, at, int(sync_ms or 0))


def _process(call: Call, index: int, replicas: int, clients: int, may_be_olympus: bool) -> str:
    """The name of a process; `olympus` is one only where that may be, since nothing goes on when it has crashed."""
    name = call.arguments[index]
    if may_be_olympus and name == "olympus":
        return name
    match = re.fullmatch(r"(replica|client)_(\d{1,9})", name)
    if not clients and (match is None or match[1] == "client" or int(match[2]) >= replicas):
        or_olympus = " or olympus" if may_be_olympus else ""
        raise ValueProblem(f"{call.name}: expected replica_0 to replica_{replicas - 1}{or_olympus}, found {name!r}", call.offsets[index])
    if match is None or int(match[2]) >= {"replica": replicas, "client": clients}[match[1]]:
        others = f", client_0 to client_{clients - 1} or olympus" if may_be_olympus else f" or client_0 to client_{clients - 1}"
        raise ValueProblem(f"{call.name}: expected replica_0 to replica_{replicas - 1}{others}, found {name!r}", call.offsets[index])
    return name
