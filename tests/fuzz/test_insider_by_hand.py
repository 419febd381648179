"""What somebody who has the cookie does to a whole real run, and the fuzz does not: it speaks the layer by hand, and many times.

All attacks are on one run, whose clients are answered behind each, by the processes that there were before.
"""

import random
import socket
import time

import da  # noqa: F401 - before the modules of the layer
import psutil
import pytest
from da import common, sim

from bcr_fuzz import runs
from bcr_fuzz.families import MIB, family_of
from dacurrent import envelopes, frames, handshake, links, origins

Command, RouterCommands = sim.Command, sim.RouterCommands
LIMIT_S = 20.0
MIB_BYTES = 1 << 20
UID = 2**90


class Insider:
    """A proved connection to one process, made by hand; it says that it listens at `port`."""

    def __init__(self, address, port=None):
        self.sock = socket.create_connection(address, LIMIT_S)
        host, own_port = self.sock.getsockname()
        self.port = port or own_port
        self.identity = handshake.Identity()
        hello = handshake.Hello((host, self.port), address, self.identity.public, MIB_BYTES).encode()
        self.sock.sendall(hello)
        theirs = self.receive(handshake.HELLO_BYTES)
        greeting = handshake.greeting_of(runs.COOKIE.encode(), hello, theirs)
        self.sock.sendall(handshake.proof(greeting, b"sender"))
        key = handshake.connection_key(greeting, self.identity.shared_with(handshake.Hello.decode(theirs).identity))
        assert self.receive(handshake.PROOF_BYTES) == handshake.proof(key, b"receiver")
        self.seal = handshake.Seal(key)

    def receive(self, size):
        found = b""
        while len(found) < size:
            part = self.sock.recv(size - len(found))
            assert part
            found += part
        return found

    def own_id(self, name="", node="somewhere"):
        uid = origins.uid_with(UID, self.identity.public)
        return tuple.__new__(common.ProcessId, (uid, 1, sim.DistProcess, name, node, "127.0.0.1", (self.port,)))

    def send(self, to, command, arguments, **own):
        data = envelopes.encode(self.own_id(**own), to, (command, arguments))
        self.sock.sendall(frames.FRAME.pack(len(data) | frames.ONE) + self.seal.close(data, 1))

    def begin_frame(self, size):
        """All of a frame but its last bytes."""
        self.sock.sendall(frames.FRAME.pack(size | frames.ONE) + bytes(size))


class Attacked:
    """The run, and what its processes hold."""

    def __init__(self, target):
        self.target = target
        self.held = []  # sockets that stay open as long as an attack goes on

    def ids(self):
        """Of a process at each port."""
        self.target.look()
        return list({pid.transports[0]: pid for pid in self.target.processes}.values())

    def insider(self, pid, port=None):
        insider = Insider((pid.hostname, pid.transports[0]), port)
        self.held.append(insider.sock)
        return insider

    def listen(self):
        """A port at which nobody answers."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.held.append(listener)
        return listener.getsockname()[1]

    def holds(self):
        """MiB and descriptors of each of its processes."""
        found = {}
        for each in family_of(self.target.process.pid):
            try:
                found[each.pid] = (each.memory_info().rss / MIB, each.num_fds())
            except psutil.NoSuchProcess:
                continue
        return found

    def goes_on(self):
        """Clients are answered behind what was sent, and whoever was attacked has read it by then."""
        due_s, before = time.monotonic() + LIMIT_S, self.target.answered()
        while self.target.answered() < before + 50:
            assert time.monotonic() < due_s and self.target.process.poll() is None
            time.sleep(0.05)
        return True


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    target = runs.Target(folder, 0, 1_000_000)
    due_s = time.monotonic() + 60
    while not target.is_serving():
        assert time.monotonic() < due_s and target.process.poll() is None
        time.sleep(0.05)
    yield Attacked(target)
    target.end()


@pytest.fixture
def run(whole_run):
    before = whole_run.holds()
    yield whole_run
    for each in whole_run.held:
        each.close()
    whole_run.held.clear()
    assert set(whole_run.holds()) == set(before)  # nobody has ended, and nobody was replaced


def grown(run, before):
    """By how much most of its processes have grown, MiB and descriptors, while clients were answered."""
    assert run.goes_on()
    now = run.holds()
    return tuple(max(now[pid][what] - before[pid][what] for pid in before) for what in (0, 1))


def test_what_a_start_up_waits_for_is_not_kept_of_everybody(run):
    before = run.holds()
    first = run.ids()[0]  # the node's, in which the start-up waits
    for pid in [each for each in run.target.processes if each.transports == first.transports]:
        insider = run.insider(pid)
        for number in range(100):
            insider.send(pid, Command.Message, (None, ("exit", bytes(1 << 19), number)))
    mib, _ = grown(run, before)
    assert mib < 32


def test_frames_without_end_on_many_connections_take_a_bounded_place(run):
    before = run.holds()
    for pid in run.ids()[:3]:
        for _ in range(130):
            try:
                run.insider(pid).begin_frame(MIB_BYTES)
            except OSError:
                continue  # it gave way already
    mib, _ = grown(run, before)
    assert mib < 64 + 32


def test_messages_to_a_router_that_waits_for_somebody_silent_take_a_bounded_place(run):
    before = run.holds()
    for pid in run.ids()[:3]:
        insider = run.insider(pid, run.listen())
        insider.send(None, RouterCommands.PING, (), name="nobody", node="nobody")
        for _ in range(3):  # each lets it look whether the node answers, for ten seconds
            insider.send(None, RouterCommands.BYE, None, name="nobody", node="nobody")
        for _ in range(100):
            insider.send(None, RouterCommands.ACK, (1, bytes(MIB_BYTES - 500)), name="nobody", node="nobody")
    mib, _ = grown(run, before)
    assert mib < 16 + 32


def test_who_says_that_it_listens_at_many_ports_where_nobody_answers_takes_few_descriptors(run):
    before = run.holds()
    pid = run.ids()[0]
    for number in range(2 * links.ANSWER_LINKS):
        insider = run.insider(pid, run.listen())
        insider.send(pid, Command.New, (sim.DistProcess, [""], None, {}, number, {}))
        insider.sock.close()
    _, count = grown(run, before)
    assert count <= links.ANSWER_LINKS + 8


def test_made_up_names_of_processes_take_a_bounded_place(run):
    before = run.holds()
    fields = (1, sim.DistProcess)
    for pid in run.ids()[:2]:
        insider = run.insider(pid)
        for number in range(150):
            names = [f"{number} {each} {'n' * 200}" for each in range(100)]
            ids = [tuple.__new__(common.ProcessId, (UID, *fields, name, "o" * 255, "127.0.0.1", (9,))) for name in names]
            insider.send(pid, Command.Message, (None, ("anything", tuple(ids))))
    mib, _ = grown(run, before)
    assert mib < 32


UNWANTED = {
    "answers that nobody waits for": lambda number: (Command.RPCReply, (number, bytes(300_000))),
    "reports to a start-up, in many names": lambda number: (
        Command.Message,
        (None, ("control", f"replica_{number}" + "x" * 300_000, b"sealed", ())),
    ),
}


@pytest.mark.parametrize("which", UNWANTED)
def test_what_nobody_wants_is_not_kept(run, which):
    before = run.holds()
    for pid in run.ids():
        insider = run.insider(pid)
        for number in range(200):
            insider.send(pid, *UNWANTED[which](number))
    mib, _ = grown(run, before)
    assert mib < 32


def test_many_connections_of_one_insider_keep_nobody_from_being_answered(run):
    for pid in run.ids()[:3]:
        for _ in range(150):
            run.insider(pid)
    assert run.goes_on()


def test_connections_that_are_made_and_broken_off_in_the_middle_of_a_handshake_leave_nothing(run):
    before = run.holds()
    chance = random.Random(1)
    for pid in run.ids():
        address = (pid.hostname, pid.transports[0])
        for _ in range(200):
            with socket.create_connection(address, LIMIT_S) as stranger:
                hello = handshake.Hello(stranger.getsockname(), address, chance.randbytes(32), MIB_BYTES).encode()
                stranger.sendall(hello[: chance.randrange(len(hello) + 1)])
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    mib, count = grown(run, before)
    assert mib < 32 and count < 16
