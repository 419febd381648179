"""Sends what nobody should send, from seeds, and says what came of it.

strangers   bytes to every port of real runs, from somebody without the cookie
insiders    messages and commands to every process of real runs, from somebody who has the cookie
handlers    changed copies of the program's own messages to every process of real runs, from somebody who has the cookie
simulated   changed copies of every message to every process of simulated runs, beside an oracle
codec       changed messages to the codec of the layer below
callers     changed requests, and connections of all kinds, to every port of real services, beside an honest caller
starts      connections that say nothing, as many as can be made, to every port of real runs from their beginning
records     changed records of simulated runs, and changed files of evidence, to who verifies them
"""

import argparse
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bcr_run.options import above_zero, natural, positive
from bcr_run.supervision import Interrupted

SLOW_S = 0.5  # of CPU time for one message to the codec
LEAST_SHARE = 0.85  # of the throughput that a run has when the same is sent elsewhere
LEAST_TURNS = 10  # of each side, for a share that says something
SPARE_MIB = 32  # that a process may hold of what is sent to it
RECORD_KIB = 6  # of an operation, for who judges a run: it reads what clients have put away while they asked, once they have left
SPARE_DESCRIPTORS = 80  # for connections of others: 64 that have proved nothing, and who has the cookie
COPIES = 3  # of each message to a handler
SCENARIO = """test_case_name = fuzz{seed}
t = {t}
num_client = 2
client_window = 3
batch_limit = 3
checkpt_interval = 5
workload[0] = pseudorandom({seed},40)
workload[1] = pseudorandom({other},40)
simulation = seed({seed})
"""


@dataclass
class FuzzTally:
    """What came of one kind: messages sent, findings (each a line), and how often each outcome came."""

    messages: int = 0
    findings: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    measured: list["FuzzMeasurement"] = field(default_factory=list)


@dataclass(frozen=True)
class Turn:
    """While all was sent to the run, or all to who discards it: seconds, messages, operations that the run answered."""

    seconds: float
    sent: int
    answered: int


@dataclass(frozen=True)
class FuzzMeasurement:
    """A real run: its turns, and what its largest process held before anything was sent, and at most.

    `judging_mib` is what it held at most behind the last of `answered` operations, when the run was judged by its whole record; 0.0 of
    what is not.
    """

    attacked: tuple[Turn, ...]
    alone: tuple[Turn, ...]
    first_mib: float
    most_mib: float
    first_open: int
    most_open: int
    spare_open: int = SPARE_DESCRIPTORS  # that a process may have open beyond those
    spare_mib: float = SPARE_MIB  # that it may hold beyond those
    judging_mib: float = 0.0
    answered: int = 0


class Budget:
    """Until so many messages (or starts), or so many minutes, whichever comes first; whether turns are taken.

    Real runs have so many operations of each of two clients at the most, and are sent so many messages a second at the most.
    """

    def __init__(
        self,
        messages: int,
        minutes: float,
        compares: bool = False,
        operations: int = 1_000_000,
        starts: int = 0,
        pace: int = 1_000,
    ) -> None:
        self.messages = messages
        self.operations = operations
        self.starts = starts
        self.compares = compares
        self.pace = pace
        self._deadline_s = time.monotonic() + 60 * minutes

    def left_s(self) -> float:
        return self._deadline_s - time.monotonic()

    def is_over(self) -> bool:
        return self.left_s() <= 0

    def is_left(self, sent: int) -> bool:
        return sent < self.messages and not self.is_over()


def main(arguments: Sequence[str]) -> int:
    """`bcr fuzz`: 0 if nothing was found, 1 otherwise, 2 for bad input."""
    options = _parser().parse_args(arguments)
    kinds = options.kinds or list(KINDS)
    unknown_kinds = [kind for kind in kinds if kind not in KINDS]
    if unknown_kinds:
        print(f"bcr fuzz: no kind {', '.join(unknown_kinds)}; there are {', '.join(KINDS)}", file=sys.stderr)
        return 2
    tallies: dict[str, FuzzTally] = {}
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # by which whoever supervises this asks it to end
    try:
        for kind in kinds:
            tallies[kind] = FuzzTally()
            KINDS[kind](tallies[kind], options.seed, budget_of(options))
            tallies[kind].findings += compared(tallies[kind])
    except (Interrupted, KeyboardInterrupt):
        print("bcr fuzz: interrupted; this is what came of it so far", file=sys.stderr)
        _print(tallies)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    _print(tallies)
    return int(any(tally.findings for tally in tallies.values()))


def budget_of(options: argparse.Namespace) -> Budget:
    return Budget(options.messages, options.minutes, options.compare, options.operations, options.starts, options.pace)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bcr fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (default: all of them)")
    parser.add_argument("--seed", type=natural, default=0, help="with which to begin (default: 0)")
    parser.add_argument("--messages", type=positive, default=10_000, help="of each kind (default: 10000)")
    parser.add_argument("--starts", type=positive, default=5, help="runs that are begun under a flood (default: 5)")
    parser.add_argument("--minutes", type=above_zero, default=5.0, help="at the most, for each kind (default: 5)")
    parser.add_argument("--operations", type=positive, default=1_000_000, help="real runs: of each of two clients, at the most; "
                        "they leave when all is sent (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--pace", type=positive, default=1_000, help="real runs and services: messages a second, at the most (default: 1000)"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="real runs and services: in turns of a second all is sent there, and to a process that discards it; what honest clients are\n"
        "answered in the first has to be 0.85 of what they are answered in the others, and memory and descriptors stay",
    )
    return parser


def compared(tally: FuzzTally) -> list[str]:
    """What the runs lost and held by what was sent to them, against the turns in which it was discarded; notes down the figures."""
    found = []
    for each in tally.measured:
        judging = f"; {each.judging_mib:.0f} MiB with the record of {each.answered:,} operations" if each.judging_mib else ""
        tally.notes.append(
            f"{each.first_mib:.0f} MiB and {each.first_open} descriptors before, at most {each.most_mib:.0f} and {each.most_open}{judging}"
        )
        if each.most_mib > each.first_mib + each.spare_mib:
            found.append(f"{each.most_mib:.0f} MiB, {each.first_mib:.0f} before anything was sent")
        if each.judging_mib > each.first_mib + each.spare_mib + each.answered * RECORD_KIB / 1_024:
            found.append(f"{each.judging_mib:.0f} MiB with the record of {each.answered:,} operations, {each.first_mib:.0f} before")
        if each.most_open > each.first_open + each.spare_open:
            found.append(f"{each.most_open} descriptors, {each.first_open} before anything was sent")
    share = share_of(tally.measured)
    tally.notes += [str(share)] if tally.measured else []
    return [f"{share}, less than {LEAST_SHARE}", *found] if share.is_known and share.value < LEAST_SHARE else found


@dataclass(frozen=True)
class Share:
    """Of the throughput, when the same is discarded elsewhere: the median over pairs of turns that follow each other."""

    value: float
    turns: int
    rate: float
    rate_alone: float
    sent: float  # messages a second
    sent_alone: float

    @property
    def is_known(self) -> bool:
        return self.turns >= LEAST_TURNS

    def __str__(self) -> str:
        if not self.turns:
            return "no turns were taken"
        return (
            f"{self.turns} turns each: {self.rate:,.0f} operations/s at {self.sent:,.0f} messages/s, {self.rate_alone:,.0f} "
            f"while {self.sent_alone:,.0f}/s were discarded elsewhere: {self.value:.2f}"
        )


def share_of(runs: Sequence[FuzzMeasurement]) -> Share:
    """Of the turns of all these runs."""
    turns = [pair for run in runs for pair in zip(run.attacked, run.alone, strict=False)]
    pairs = [(one, other) for one, other in turns if other.answered and one.seconds]
    if not pairs:
        return Share(0.0, 0, 0.0, 0.0, 0.0, 0.0)
    ratios = [one.answered / one.seconds / (other.answered / other.seconds) for one, other in pairs]
    sides = [list(side) for side in zip(*pairs, strict=True)]
    seconds = [sum(each.seconds for each in side) for side in sides]
    rates = [sum(each.answered for each in side) / took for side, took in zip(sides, seconds, strict=True)]
    sent = [sum(each.sent for each in side) / took for side, took in zip(sides, seconds, strict=True)]
    return Share(median(ratios), len(pairs), *rates, *sent)


def _print(tallies: dict[str, FuzzTally]) -> None:
    table = Table()
    for heading in ("kind", "messages", "outcomes", "findings"):
        table.add_column(heading, justify="left" if heading in ("kind", "outcomes") else "right")
    for kind, tally in tallies.items():
        outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(tally.outcomes.items()))
        table.add_row(kind, f"{tally.messages:,}", outcomes, str(len(tally.findings)))
    Console().print(table)
    for kind, tally in tallies.items():
        for line in (*tally.notes, *tally.findings[:20]):
            print(f"{kind}: {line}")


# -- changes


def changed_bytes(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to three small changes: bits, bytes, parts left out, repeated or moved, lengths made large."""
    changed_data = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed_data) + 1)
        size = chance.choice((1, 1, 2, 4, 8, chance.randint(1, 64)))
        kind = chance.randrange(6)
        if kind == 0 and at < len(changed_data):
            changed_data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed_data[at : at + size] = chance.randbytes(size)
        elif kind == 2:
            del changed_data[at : at + size]
        elif kind == 3:
            changed_data[at:at] = changed_data[chance.randrange(len(changed_data) + 1) :][:size]
        elif kind == 4:
            changed_data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"))
        else:
            del changed_data[at:]
    return bytes(changed_data)


def odd_value(chance: random.Random, depth: int = 0) -> Any:
    """Plain data of any kind, now and then large, nested, or chosen to be dear."""
    kind = chance.randrange(12 if depth < 3 else 8)
    if kind < 8:
        atoms = (None, True, 0, -1, 2**62, 2**64, 1.5, float("nan"), "", "text", "\x1b[2J\r\n\0", b"", b"\xc1" * 9)
        return chance.choice((*atoms, chance.randbytes(chance.randint(0, 200)), "x" * chance.choice((10, 1_000, 300_000))))
    if kind == 8:
        return [n * (2**61 - 1) for n in range(chance.choice((3, 3, 5_000)))]
    if kind == 9:
        return {n * (2**61 - 1) for n in range(chance.choice((3, 3, 60)))}
    many = [odd_value(chance, depth + 1) for _ in range(chance.randint(0, 5))]
    return tuple(many) if kind == 10 else dict(enumerate(many))


# -- the codec


def _codec(tally: FuzzTally, seed: int, budget: Budget) -> None:
    import da  # noqa: F401 - before the modules of the layer
    from da import common, sim

    from dacurrent import codec, envelopes

    fields = {"pcls": sim.DistProcess, "name": "", "nodename": "node", "hostname": "127.0.0.1", "transports": (9,)}
    one, other = (tuple.__new__(common.ProcessId, (uid, 1, *fields.values())) for uid in (1, 2**90))
    while budget.is_left(tally.messages):
        chance = random.Random(f"codec {seed} {tally.messages}")
        content = tuple(odd_value(chance) for _ in range(chance.randint(0, 4)))
        command, arguments = sim.Command.Message, (None, content)
        if chance.random() < 0.3:
            command, arguments = chance.choice(list(sim.Command)), odd_value(chance)
        data = changed_bytes(envelopes.encode(one, other, (command, arguments)), chance)
        began_s = time.process_time()
        try:
            envelopes.decode(data)
            outcome = "taken"
        except codec.CodecError:
            outcome = "refused"
        except Exception as error:
            outcome = "error"
            tally.findings.append(f"seed {seed}, message {tally.messages}: {error!r:.200}")
        took_s = time.process_time() - began_s
        if took_s > SLOW_S:
            tally.findings.append(f"seed {seed}, message {tally.messages}: {len(data)} bytes took {took_s:.1f} s")
        tally.messages += 1
        tally.outcomes[outcome] += 1


# -- the handlers, simulated


def _simulate(tally: FuzzTally, seed: int, budget: Budget) -> None:
    from bcr_sim import distalgo
    from bcr_sim.campaign import prepare, run_text

    prepare()
    from da import sim

    message_command = sim.Command.Message
    stock = distalgo.Container.take
    chance = random.Random()

    def take(self: Any, message: Any) -> None:
        source, (command, content) = message
        if command is message_command and type(content[1]) is tuple and content[1]:
            for _ in range(COPIES):
                if not self.task.is_dead:
                    self.queue.append((source, (command, (None, changed_content(content[1], chance)))))
                    tally.messages += 1
        stock(self, message)

    distalgo.Container.take = take  # type: ignore[method-assign]
    try:
        while budget.is_left(tally.messages):
            chance.seed(f"simulated {seed}")
            outcome = run_text(SCENARIO.format(seed=seed, other=seed + 1, t=1 + seed % 2))
            if isinstance(outcome, str):
                tally.outcomes["ended"] += 1
                tally.findings.append(f"seed {seed}: {outcome:.400}")
            else:
                tally.outcomes[outcome.kind or "good"] += 1
                # That nothing goes on while everybody seems to lie is no finding; that a process fails is, or that it errs.
                found = [breach for breach in outcome.breaches if not breach.startswith("liveness")]
                tally.findings += [f"seed {seed}: {breach:.400}" for breach in found]
            seed += 1
    finally:
        distalgo.Container.take = stock  # type: ignore[method-assign]


def changed_content(content: tuple[Any, ...], chance: random.Random) -> tuple[Any, ...]:
    """A message with one of its parts changed, but for its name."""
    values = list(content)
    at = chance.randrange(1, len(values)) if len(values) > 1 else 0
    if at and type(values[at]) is bytes and chance.random() < 0.8:
        values[at] = changed_bytes(values[at], chance)
    elif at:
        values[at] = odd_value(chance)
    return tuple(values)


def _strangers(tally: FuzzTally, seed: int, budget: Budget) -> None:
    from bcr_fuzz.runs import attack_runs, strangers_words

    attack_runs(tally, seed, budget, strangers_words)


def _insiders(tally: FuzzTally, seed: int, budget: Budget) -> None:
    from bcr_fuzz.runs import attack_runs, insiders_words

    attack_runs(tally, seed, budget, insiders_words)


def _callers(tally: FuzzTally, seed: int, budget: Budget) -> None:
    from bcr_fuzz.service_attack import attack_services

    attack_services(tally, seed, budget)


def _starts(tally: FuzzTally, seed: int, budget: Budget) -> None:
    from bcr_fuzz.runs import flood_starts

    flood_starts(tally, seed, budget)


def _records(tally: FuzzTally, seed: int, budget: Budget) -> None:
    import da  # noqa: F401 - before the modules of the layer

    from bcr_fuzz.records import attack_records

    attack_records(tally, seed, budget)


def _handlers(tally: FuzzTally, seed: int, budget: Budget) -> None:
    from bcr_fuzz.runs import attack_runs, handlers_words

    attack_runs(tally, seed, budget, handlers_words)


KINDS: dict[str, Callable[[FuzzTally, int, Budget], None]] = {
    "strangers": _strangers,
    "insiders": _insiders,
    "handlers": _handlers,
    "simulated": _simulate,
    "codec": _codec,
    "callers": _callers,
    "starts": _starts,
    "records": _records,
}
