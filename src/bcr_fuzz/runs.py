"""Real runs on this host, and somebody who sends them what nobody should, with and without their cookie."""

import contextlib
import itertools
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcr_fuzz.families import most_descriptors, most_mib
from bcr_fuzz.fuzz import Budget, FuzzMeasurement, FuzzTally, changed_bytes, changed_content, odd_value
from bcr_fuzz.turns import Turns, discarding
from bcr_run.supervision import end_with_us
from bcr_runtime.places import SOURCES

if TYPE_CHECKING:
    from dacurrent.transport import TcpTransport

START_OPERATIONS = 20
LIMIT_S = 180.0  # for a run to end behind the moment at which its clients leave
LEAST_RUN_S = 5.0
MOST_RUN_S = 60.0
START_LIMIT_S = 60.0
BURST = 20  # messages that are sent one behind the other
LOOK_S = 0.5  # between two looks at the run's processes
OPEN_LIMIT = 40  # connections of a stranger's that stay open
FLOOD_OPEN = 800  # the same of a flood
CLAIMED_SHARE = 0.1  # of an insider's messages, in the name of others
SAMPLES = 30  # messages that each process shows to the insider
MEMORY_LIMIT_MIB = 400
COOKIE = "of the run that is attacked"
TEXT = """test_case_name = fuzz
t = 1
num_client = 2
client_window = 3
batch_limit = 3
workload[0] = pseudorandom({seed},{operations})
workload[1] = pseudorandom({other},{operations})
"""
LEAVES = """client_leaves[0] = {leaves_ms}
client_leaves[1] = {leaves_ms}
"""
# What the attacker could also see on the wire: the ids of the processes, and some of their messages.
RUN = """
import runpy, sys
import da
from dacurrent import codec
from dacurrent.router import Router
stock_register, stock_append, seen = Router.register_local_process, Router.append, []
def tell(kind, data):
    with open({file!r}, "a") as file:
        file.write(kind + " " + data.hex() + "\\n")
def register(self, pid, parent=None):
    tell("process", codec.encode(pid))
    del seen[:]
    stock_register(self, pid, parent)
def append(self, item):
    if len(seen) < {samples}:
        seen.append(None)
        tell("message", item[1])
    stock_append(self, item)
Router.register_local_process, Router.append = register, append
sys.argv[0] = "da"
runpy.run_module("da", run_name="__main__", alter_sys=True)
"""

Words = Callable[["Target", random.Random], bool]


class Target:
    """A run that is under way, and what is known of it outside."""

    def __init__(self, folder: Path, seed: int, operations: int, lasts_s: float | None = None) -> None:
        """Its clients ask for so many operations, and leave after `lasts_s`, where that is given, however far they are."""
        self.folder = folder
        self.seen = folder / "seen"
        self.seen.touch()
        self.result_file = folder / "result.json"
        scenario = folder / "scenario.config"
        leaves = "" if lasts_s is None else LEAVES.format(leaves_ms=round(lasts_s * 1_000))
        scenario.write_text(TEXT.format(seed=seed, other=seed + 1, operations=operations) + leaves)
        node = ["-L", "warning", "-n", "onode", "-M", "-p", "0", "-H", "localhost", "--cookie", COOKIE]
        run = ["RunSystem.da", "-i", str(scenario), "--log-folder", str(folder / "logs"), "--result-file", str(self.result_file)]
        command = [sys.executable, "-c", RUN.format(file=str(self.seen), samples=SAMPLES), *node, *run]
        with open(folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=SOURCES,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_us,  # noqa: PLW1509 - see there
            )
        self.processes: list[Any] = []
        self.samples: list[bytes] = []
        self.open: list[socket.socket] = []
        self.channel: TcpTransport | None = None
        self.elsewhere: tuple[str, int] | None = None  # where all is sent to instead
        self._known_count = 0
        self._read: dict[Path, int] = {}  # of each client's log
        self._answered = self._told = 0
        self.lasts_s = lasts_s

    def address_of(self, pid: Any) -> tuple[str, int]:
        return self.elsewhere or (pid.hostname, pid.transports[0])

    def look(self) -> None:
        """Read what there is to see by now."""
        from dacurrent import codec

        lines = self.seen.read_text().splitlines(keepends=True)
        for line in lines[self._known_count :]:
            if not line.endswith("\n"):
                break
            self._known_count += 1
            kind, _, data = line.strip().partition(" ")
            if kind == "process":
                self.processes.append(codec.decode(bytes.fromhex(data)))
            else:
                self.samples.append(bytes.fromhex(data))

    def is_serving(self) -> bool:
        """Whether a client has been answered."""
        return any(b"event=accepted" in file.read_bytes() for file in self.folder.glob("logs/*/client_*.log"))

    def newly_answered(self) -> int:
        """How many operations clients say that they were answered since this was asked last."""
        new, self._told = self.answered() - self._told, self._answered
        return new

    def answered(self) -> int:
        """How many operations clients say that they were answered."""
        count = 0
        for file in self.folder.glob("logs/*/client_*.log"):
            with open(file, "rb") as log:
                log.seek(self._read.get(file, 0))
                new = log.read()
            count += new.count(b"event=accepted")
            self._read[file] = self._read.get(file, 0) + new.rfind(b"\n") + 1
            count -= new[new.rfind(b"\n") + 1 :].count(b"event=accepted")
        self._answered += count
        return self._answered

    def memory_mib(self) -> float:
        """Of the largest of its processes."""
        return most_mib(self.process.pid)

    def descriptors(self) -> int:
        return most_descriptors(self.process.pid)

    def end(self) -> None:
        for each in self.open:
            each.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def attack_runs(tally: FuzzTally, seed: int, budget: Budget, words: Words) -> None:
    """Attack one run after the other, each to its end; each is to pass, and all its processes are to stay.

    A run's clients leave when as much as there is to send should have been sent, so that its verdict is there soon behind that.
    Where the budget compares, all is sent to the run in one turn, and in the next to a process that discards it.
    """
    import da  # noqa: F401 - before the modules of the layer

    rate = budget.pace / 2 if budget.compares else float(budget.pace)  # of what is sent to the run, a second
    with _channel() as channel, discarding(__name__, budget.compares) as elsewhere:
        for number in itertools.count(seed):
            if not budget.is_left(tally.messages):
                return
            before, began_s = tally.messages, time.monotonic()
            lasts_s = lasting_s(budget.messages - tally.messages, rate, budget.left_s())
            with tempfile.TemporaryDirectory() as folder:
                target = Target(Path(folder), number, budget.operations, lasts_s)
                target.channel = channel
                try:
                    tally.measured.append(_attack(target, tally, number, budget, words, elsewhere))
                finally:
                    target.end()
            rate = max(1.0, (tally.messages - before) / (time.monotonic() - began_s))


def lasting_s(left: int, rate: float, left_s: float) -> float:
    """For how long the clients of the next run ask, where so many messages are left, of which so many are sent a second."""
    return max(LEAST_RUN_S, min(MOST_RUN_S, left / rate, left_s))


def _attack(
    target: Target, tally: FuzzTally, seed: int, budget: Budget, words: Words, elsewhere: tuple[str, int] | None = None
) -> FuzzMeasurement:
    deadline_s = time.monotonic() + START_LIMIT_S
    while not target.is_serving() and target.process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.02)
        target.look()
    chance = random.Random(f"runs {seed}")
    before, memory, first_open = tally.messages, MemoryOfRun(target.memory_mib()), target.descriptors()
    most_open = first_open
    turns = Turns(target, elsewhere) if elsewhere else None
    due_s = looked_s = time.monotonic()
    leave_s = due_s + (target.lasts_s or 0.0)
    while target.process.poll() is None and time.monotonic() < leave_s + LIMIT_S:
        if turns:
            turns.look()
        sent = sum(words(target, chance) for _ in range(BURST))
        if turns:
            turns.sent += sent
        if turns is None or turns.is_targets:
            tally.messages += sent
        now_s = time.monotonic()
        if now_s > looked_s + LOOK_S:
            looked_s = now_s
            target.look()
            memory.look(target.memory_mib(), target.answered())
            most_open = max(most_open, target.descriptors())
        due_s = max(due_s + BURST / budget.pace, now_s)
        time.sleep(due_s - now_s)
    tally.notes.append(f"seed {seed}: ended {time.monotonic() - leave_s:.1f} s behind the moment at which its clients left")
    _judge(target, tally, seed, tally.messages - before, max(memory.serving_mib, memory.judging_mib), most_open)
    taken = turns.taken if turns else {True: [], False: []}
    return FuzzMeasurement(
        tuple(taken[True]), tuple(taken[False]), memory.first_mib, memory.serving_mib, first_open, most_open,
        judging_mib=memory.judging_mib, answered=memory.answered,
    )  # fmt: skip


class MemoryOfRun:
    """What the largest process of a run holds: while clients are answered, and behind that, when who started it judges its whole record."""

    def __init__(self, first_mib: float) -> None:
        self.first_mib = self.serving_mib = first_mib
        self.judging_mib = 0.0
        self.answered = 0

    def look(self, mib: float, answered: int) -> None:
        """So much is held now, and so many operations have been answered by now."""
        if answered > self.answered:
            # They were asked for until now, so what was seen since the look before was no judging yet; this may be.
            self.serving_mib = max(self.serving_mib, self.judging_mib)
            self.answered, self.judging_mib = answered, mib
        else:
            self.judging_mib = max(self.judging_mib, mib)


def flood_starts(tally: FuzzTally, seed: int, budget: Budget) -> None:
    """Begin one short run after the other, from its first port on under a flood of strangers; each is to pass."""
    import da  # noqa: F401 - before the modules of the layer

    for number in range(seed, seed + budget.starts):
        if budget.is_over():
            return
        with tempfile.TemporaryDirectory() as folder:
            target = Target(Path(folder), number, START_OPERATIONS)
            try:
                _flood(target, tally, number)
            finally:
                target.end()


def _flood(target: Target, tally: FuzzTally, seed: int) -> None:
    before, largest_mib, most_open = tally.messages, 0.0, 0
    deadline_s = time.monotonic() + LIMIT_S
    while target.process.poll() is None and time.monotonic() < deadline_s:
        target.look()
        if not target.processes:
            time.sleep(0.005)  # nobody listens yet
        for _ in range(20):
            for pid in target.processes:
                tally.messages += _take_a_place(target, pid)
        largest_mib, most_open = max(largest_mib, target.memory_mib()), max(most_open, target.descriptors())
    _judge(target, tally, seed, tally.messages - before, largest_mib, most_open)


def _take_a_place(target: Target, pid: Any) -> bool:
    """A connection that says nothing and stays, until there are so many that the oldest has to go."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    connection.connect_ex(target.address_of(pid))
    target.open.append(connection)
    if len(target.open) > FLOOD_OPEN:
        target.open.pop(0).close()
    return True


def _judge(target: Target, tally: FuzzTally, seed: int, sent: int, largest_mib: float, most_open: int) -> None:
    status = target.process.poll()
    output = (target.folder / "output").read_text(errors="replace")
    result: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        result = json.loads(target.result_file.read_text())
    verdict = result.get("verdict", "no verdict")
    tally.outcomes[verdict] += 1
    rate = result.get("operations_per_second", 0)
    tally.notes.append(
        f"seed {seed}: {sent:,} messages, {verdict}, {rate:,.0f} operations/s, {len(result.get('reconfigurations', ()))} "
        f"reconfigurations; at most {largest_mib:.0f} MiB and {most_open} descriptors a process; {len(output):,} bytes of output"
    )
    if status is None:
        tally.findings.append(f"seed {seed}: no verdict within {LIMIT_S:g} s of its clients' end")
    elif status != 0 or verdict != "pass":
        reasons = "; ".join(result.get("reasons", ()))[:300]
        tally.findings.append(f"seed {seed}: status {status}, {verdict} {reasons} {_last_error(output)}")
    if largest_mib > MEMORY_LIMIT_MIB:
        tally.findings.append(f"seed {seed}: {largest_mib:.0f} MiB of memory")


def _last_error(output: str) -> str:
    errors = [line for line in output.splitlines() if "Error" in line or "ERROR" in line]
    return errors[-1][:300] if errors else ""


def discard() -> None:
    """Say at which port we listen, and discard what comes, until nobody wants it any more."""
    import da  # noqa: F401 - before the modules of the layer

    with _channel() as channel:
        print(channel.port, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def _channel() -> Iterator["TcpTransport"]:
    """Somebody's own way to send: outside of every node, with the cookie."""
    from da import common
    from da.transport import manager

    from dacurrent import transport

    log, stock_options = logging.getLogger("da.transport"), common.GlobalOptions
    stock_level = log.level
    log.setLevel(logging.CRITICAL)  # that runs end is no news
    options = {"message_buffer_size": 1 << 20, "hostname": "127.0.0.1", "min_port": 10_000, "max_port": 60_000}
    common.GlobalOptions = options
    made = transport.TcpTransport(COOKIE.encode())
    try:
        made.initialize(port=0)
        made.start(_Nowhere(), manager.SelectorLoop())
        yield made
        made.close()
        made.mesgloop.stop()
    finally:
        common.GlobalOptions = stock_options
        log.setLevel(stock_level)


class _Nowhere:
    """Takes what comes back."""

    def append(self, item: Any) -> None: ...

    def __len__(self) -> int:
        return 0


# -- what is sent


def strangers_words(target: Target, chance: random.Random) -> bool:
    """One connection of somebody without the cookie; whether it came about."""
    from dacurrent import handshake

    if not target.processes:
        return False
    pid = chance.choice(target.processes)
    address = target.address_of(pid)
    try:
        connection = socket.create_connection(address, 1.0)
    except OSError:
        return False
    own = connection.getsockname()
    hello = handshake.Hello(own, address, chance.randbytes(16), 1 << 20).encode()
    proof = chance.choice((bytes(32), chance.randbytes(32), handshake.proof(bytes(32), b"sender")))
    beginnings = (b"", b"GET / HTTP/1.0\r\n\r\n", b"\x80\x04cos\nsystem\n", hello, hello + proof, hello + hello + proof)
    data = chance.choice(beginnings) + chance.randbytes(chance.choice((0, 0, 10, 1_000)))
    if chance.random() < 0.5:
        data = changed_bytes(data, chance)
    with contextlib.suppress(OSError):
        connection.settimeout(1.0)
        connection.sendall(data)
    if chance.random() < 0.05:
        target.open.append(connection)
        if len(target.open) > OPEN_LIMIT:
            target.open.pop(0).close()
    else:
        connection.close()
    return True


def insiders_words(target: Target, chance: random.Random) -> bool:
    """One message of somebody who has the cookie; whether it was taken."""
    from da import sim
    from da.transport import base

    from dacurrent import codec, envelopes

    if not target.processes or target.channel is None:
        return False
    pid, source = chance.choice(target.processes), _source(target, chance)
    kind = chance.random()
    if kind < 0.5 and target.samples:
        sample = chance.choice(target.samples)
        with contextlib.suppress(codec.CodecError):
            author, destination, message, _named, ticket = envelopes.decode(sample)
            pid = destination or pid
            sample = envelopes.encode(author if chance.random() < CLAIMED_SHARE else source, destination, message, ticket)
        data = changed_bytes(sample, chance)
    elif kind < 0.7:
        command = chance.choice(list(sim.Command))
        data = _encoded(source, pid, command, odd_value(chance), chance.choice((None, bytes(16), chance.randbytes(16))))
    elif kind < 0.75:
        data = _encoded(source, None, chance.choice(list(sim.RouterCommands)), odd_value(chance), None)
    else:
        values = tuple(odd_value(chance) for _ in range(chance.randint(0, 5)))
        data = _encoded(source, pid, sim.Command.Message, (None, values), None)
    try:
        target.channel.send(data[: 1 << 20], target.address_of(pid))
    except base.TransportException:
        threading.Event().wait(0.001)
        return False
    return True


def _source(target: Target, chance: random.Random) -> Any:
    """Whom the insider says it is: now and then one of the run's, which nobody takes from it, else itself."""
    from dacurrent import origins

    other = chance.choice(target.processes)
    if chance.random() < CLAIMED_SHARE or target.channel is None:
        return other
    channel = target.channel
    uid = origins.uid_with(chance.choice((1, other.uid, 2**95)), channel.identity.public)
    return tuple.__new__(type(other), (uid, *other[1:5], "127.0.0.1", (channel.port,)))


def handlers_words(target: Target, chance: random.Random) -> bool:
    """One message of the program with a part changed, from somebody who has the cookie; whether it was taken.

    It comes in the attacker's own name, but for a few: what says another's reaches no handler.
    """
    from da import sim
    from da.transport import base

    from dacurrent import envelopes

    if not target.samples or target.channel is None:
        return False
    _, pid, (command, arguments), *_ = envelopes.decode(chance.choice(target.samples))
    if pid is None or command is not sim.Command.Message or not isinstance(arguments[1], tuple):
        return False
    source = _source(target, chance)
    if chance.random() < 0.2:  # what is for one is sent to another
        pid = chance.choice(target.processes)
    content = changed_content(arguments[1], chance)
    try:
        target.channel.send(_encoded(source, pid, command, (None, content), None)[: 1 << 20], target.address_of(pid))
    except base.TransportException:
        threading.Event().wait(0.001)
        return False
    return True


def _encoded(source: Any, destination: Any, command: Any, arguments: Any, ticket: bytes | None) -> bytes:
    from dacurrent import envelopes

    return envelopes.encode(source, destination, (command, arguments), ticket)
