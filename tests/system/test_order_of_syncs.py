"""The order of syncs and sends, from outside: the system calls of a real run, in which no statement left before its record was synced."""

import re
import shutil
import subprocess
import sys

import pytest
from whole_runs import Run, on_disk, passed

from bcr.chain.history import CaughtUp, Wedged
from bcr.chain.proofs import Vouched
from bcr.signed.authentication import keys_of
from bcr.signed.encoding import decode, encode
from bcr.signed.signing import Signed
from bcr.signed.statements import Ready
from bcr.stable.chain import CatchUpRecord, DiskOwner, Record, SlotRecord, base_of
from bcr.stable.disk import unsealed
from bcr_disk.folders import content_of

STRACE = shutil.which("strace")
CALL = re.compile(r"(\d+) +(\w+)\((\d+)<([^>]*)>(.*)")
RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>")
SENDS = {"sendto", "sendmsg", "write", "writev"}
TAIL = 2
WINDOW = 16  # bytes of a signature that are looked for: a page of the disk may end in it


def unescaped(text):
    return bytes.fromhex(text.replace("\\x", "")).decode()


def hexed(data):
    return "".join(f"\\x{byte:02x}" for byte in data)


class Trace:
    """What `strace -f -y -xx` wrote: writes to files, syncs that have returned, and sends, each by its line."""

    def __init__(self, lines):
        self.writes, self.syncs, self.sends = [], [], []  # (line, file, data), (line, file), (line, data)
        syncing = {}
        for number, line in enumerate(lines):
            called, resumed = CALL.match(line), RESUMED.match(line)
            if called:
                thread, name, _, target, rest = called.groups()
                file = unescaped(target)
                if name in ("fdatasync", "fsync"):
                    if "unfinished" in rest:
                        syncing[thread] = file
                    else:
                        self.syncs.append((number, file))
                elif name == "pwrite64":
                    self.writes.append((number, file, rest))
                elif name in SENDS and file.startswith(("socket:", "TCP:")):
                    self.sends.append((number, rest))
            elif resumed and resumed[2] in ("fdatasync", "fsync") and resumed[1] in syncing:
                self.syncs.append((number, syncing.pop(resumed[1])))

    def synced(self, signature, file):
        """The line by which what has this signature was on the disk of this file; None if it never was."""
        written = min((line for line, path, data in self.writes if path == file and holds(data, signature)), default=None)
        return None if written is None else min((line for line, path in self.syncs if path == file and line > written), default=None)

    def sent(self, signature):
        """The line in which what has this signature first left somebody; None if it never did."""
        return min((line for line, data in self.sends if holds(data, signature)), default=None)


def holds(data, signature):
    return any(hexed(signature[start : start + WINDOW]) in data for start in range(0, len(signature), WINDOW))


def left_too_early(trace, statements):
    """Of (name, signature, signature in the record, file of the record): those that were sent before the record was synced."""
    early = []
    for name, signature, recorded, file in statements:
        sent, synced = trace.sent(signature), trace.synced(recorded, file)
        if sent is not None and (synced is None or sent < synced):
            early.append(name)
    return early


# What every Python of the run begins with: frames travel as they are, for nobody can look into those that are encrypted.
READABLE = """
from dacurrent.handshake import CODE_BYTES, Seal
Seal.close = lambda self, frame, kind=0: frame + bytes(CODE_BYTES)
Seal.open = lambda self, closed, kind=0: closed[:-CODE_BYTES]
"""


class TracedRun(Run):
    """A run under strace, whose frames are not encrypted."""

    def __init__(self, folder, text):
        self.trace_file = folder / "trace"
        (folder / "readable").mkdir()
        (folder / "readable" / "sitecustomize.py").write_text(READABLE)
        file = folder / "scenario.config"
        file.write_text(text)
        calls = "sendto,sendmsg,write,writev,pwrite64,fdatasync,fsync"
        strace = [STRACE, "-f", "-y", "-xx", "-s", "200000", "-e", f"trace={calls}", "-o", str(self.trace_file)]
        super().__init__(folder, file, before=["env", f"PYTHONPATH={folder / 'readable'}", *strace])


@pytest.mark.skipif(STRACE is None, reason="strace is not installed, and nothing else shows the system calls of a run")
def test_no_statement_leaves_before_its_record_is_synced(tmp_path):
    tried = subprocess.run([STRACE, sys.executable, "-c", ""], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("this machine lets nobody trace processes")
    patient = {f"{who}_timeout": 60_000 for who in ("client", "head", "nonhead")}
    with TracedRun(tmp_path, on_disk("pseudorandom(1,12)", checkpt_interval=1_000, data="data", **patient)) as run:
        run.status = run.finish()
    assert passed(run)
    recorded = dict(orders_on_disks(tmp_path / "data"))
    statements = [(f"order {place}", signature, signature, file) for place, (signature, file) in recorded.items()]
    for exchange in run.record().clients[0].exchanges:
        for signed in exchange.answer.proof:
            place = signed.signer, signed.statement.slot
            statements.append((f"result {place}", signed.signature, *recorded[place]))
    trace = Trace(run.trace_file.read_text().splitlines())
    assert len(recorded) == 3 * 12
    unsent = {name for name, signature, _, _ in statements if trace.sent(signature) is None}
    assert unsent == {f"order {(2, slot)}" for slot in range(12)}  # the tail keeps its own for its history
    assert left_too_early(trace, statements) == []


@pytest.mark.skipif(STRACE is None, reason="strace is not installed, and nothing else shows the system calls of a run")
def test_no_statement_about_a_checkpoint_or_the_next_configuration_leaves_before_what_it_says_is_synced(tmp_path):
    tried = subprocess.run([STRACE, sys.executable, "-c", ""], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("this machine lets nobody trace processes")
    # The middle passes a request on to nobody: it is replaced, caught up with what the head has, and Olympus vouches for that.
    timeouts = {f"{who}_timeout": 3_000 for who in ("client", "head", "nonhead")} | {"olympus_timeout": 60_000}
    faults = ["failures[0,1] = shuttle(0,9),drop()"]
    with TracedRun(tmp_path, on_disk("pseudorandom(1,12)", failures=faults, checkpt_interval=4, data="data", **timeouts)) as run:
        run.status = run.finish()
    assert passed(run)
    statements = Statements(tmp_path / "data", run.record())
    found = [
        *statements.keys(),
        *statements.checkpoints(),
        *statements.ready(),
        *statements.of_replicas_in_the_change(),
        *statements.of_olympus(),
    ]
    kinds = {name.partition(" ")[0] for name, *_ in found}
    assert kinds == {"key", "checkpoint", "ready", "wedged", "caught_up", "voucher", "configuration", "inithist"}
    trace = Trace(run.trace_file.read_text().splitlines())
    assert [name for name, signature, _, _ in found if trace.sent(signature) is None] == []
    assert [name for name, _, recorded, file in found if trace.synced(recorded, file) is None] == []
    assert left_too_early(trace, found) == []


class Statements:
    """What left in a run, by (name, what shows it in what was sent, what shows its record, file of the record); of Ed25519, which signs
    the same in one way only."""

    def __init__(self, folder, record):
        self.folder, self.record = folder, record
        self.disks = {path.stem: content_of(folder, path.stem) for path in sorted(folder.glob("replica_*.sqlite"))}
        self.owners = {name: decode(DiskOwner, unsealed("identity", content.facts["identity"])) for name, content in self.disks.items()}
        self.exchanges = [exchange for client in record.clients for exchange in client.exchanges]

    def file_of(self, name):
        return str(self.folder / f"{name}.sqlite-wal")

    def keys(self):
        """A public key leaves when the bytes that it is made of are on the disk [13.1]."""
        for name, owner in self.owners.items():
            yield f"key {name}", keys_of("ed25519", owner.seed, self.record.olympus_key).public, owner.seed, self.file_of(name)
        seed = unsealed("seed", content_of(self.folder, "olympus").facts["seed"])
        yield "key olympus", self.record.olympus_key, seed, self.file_of("olympus")

    def checkpoints(self):
        """A checkpoint of a slot leaves when the slot is on the disk [13.2]: its record has the request, as the client signed it.

        The tail has the whole proof then: its disk gets that in one transaction with the slot, which is cut at once.
        """
        requests = {(each.answer.configuration, each.answer.slot): each.request.signature for each in self.exchanges}
        for name, owner in self.owners.items():
            for signed in base_of(self.disks[name]).proof:
                place = owner.configuration, signed.statement.slot
                if signed.signer == owner.position and place in requests:
                    recorded = signed.signature if signed.signer == TAIL else requests[place]
                    yield f"checkpoint {place} {name}", signed.signature, recorded, self.file_of(name)

    def ready(self):
        """It leaves when the configuration is on the disk [13.4]."""
        issued = {signed.statement.number: signed.signature for signed in self.record.configurations}
        for name, owner in self.owners.items():
            keys = keys_of("ed25519", owner.seed, self.record.olympus_key)
            said = Signed.sign(Ready(owner.configuration), owner.position, keys)
            yield f"ready {name}", said.signature, issued[owner.configuration], self.file_of(name)

    def of_replicas_in_the_change(self):
        """That one is wedged is on the disk before its history leaves, and what it was caught up with before it says that it is [13.4]."""
        for signed in self.record.exhibits:
            name = f"replica_{signed.signer}-configuration_0"
            bodies = [row.body for row in self.disks[name].rows]
            if isinstance(signed.statement, Wedged):
                yield f"wedged {name}", signed.signature, tagged(bodies, b"wedged"), self.file_of(name)
            commands = [
                record.command for body in bodies for record in decode(tuple[Record, ...], body) if isinstance(record, CatchUpRecord)
            ]
            if isinstance(signed.statement, CaughtUp) and commands:
                yield f"caught_up {name}", signed.signature, commands[0].signature, self.file_of(name)

    def of_olympus(self):
        """What it decided is on the disk before a voucher leaves, and a configuration, with its state, before anybody has it [13.7]."""
        file = self.file_of("olympus")
        for exchange in self.exchanges:
            if isinstance(exchange.answer, Vouched):
                voucher = exchange.answer.signed
                yield (
                    f"voucher {exchange.request.statement.number}",
                    voucher.signature,
                    tagged([encode(voucher.statement)], b"voucher"),
                    file,
                )
        for signed in self.record.configurations:
            yield f"configuration {signed.statement.number}", signed.signature, signed.signature, file
        # The first configuration begins with nothing, which nobody is sent.
        yield "inithist 1", b"inithist", self.record.configurations[1].signature, file


def tagged(bodies, tag):
    """The first bytes of the record of this kind, whose own name begins it."""
    body = next(each for each in bodies if tag in each)
    return body[body.index(tag) :][:WINDOW]


def orders_on_disks(folder):
    """For each replica and slot the signature of its own order, as its disk has it, and the file that its row was written to."""
    for position in range(3):
        name = f"replica_{position}-configuration_0"
        for row in content_of(folder, name).rows:
            for record in decode(tuple[Record, ...], row.body):
                if isinstance(record, SlotRecord):
                    [own] = [each for each in record.entry.order_proof if each.signer == position]
                    yield (position, record.entry.slot), (own.signature, str(folder / f"{name}.sqlite-wal"))


def test_a_statement_that_left_before_its_sync_would_be_noticed():
    signature = bytes(range(64))
    file, socket = hexed(b"/data/wal"), hexed(b"socket:[7]")
    write = f'12 pwrite64(5<{file}>, "ab{hexed(signature[8:])}", 64, 0) = 64'
    begun, done = f"12 fdatasync(5<{file}> <unfinished ...>", "12 <... fdatasync resumed>) = 0"
    other = f"13 fdatasync(6<{hexed(b'/data/other')}>) = 0"
    send = f'14 sendto(9<{socket}>, "{hexed(signature)}", 64, 0, NULL, 0) = 64'
    statement = [("order", signature, signature, "/data/wal")]
    assert left_too_early(Trace([write, begun, done, send]), statement) == []
    for lines in ([send, write, begun, done], [write, send, begun, done], [write, begun, send, done], [write, other, send], [send]):
        assert left_too_early(Trace(lines), statement) == ["order"]
