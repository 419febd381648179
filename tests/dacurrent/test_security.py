"""Strangers and misguided peers: no code runs, no node ends, and the run goes on to its end."""

import os
import pickle
import queue
import socket
import time
import types
from pathlib import Path

import pytest
from da import common, sim
from da.transport import base
from da.transport import manager as stock
from nodes import LIMIT_S, free_port

from dacurrent import codec, envelopes, origins, transport

PROGRAM = Path(__file__).parent / "programs" / "under_attack.da"
HIRING = PROGRAM.with_name("hiring.da")
COOKIE = "cookie-of-this-test"
Command, RouterCommands = sim.Command, sim.RouterCommands


class Inbox(queue.Queue):
    append, __len__ = queue.Queue.put, queue.Queue.qsize


class Target:
    """A running node and its child, and how to send them anything."""

    def __init__(self, node, channel):
        self.node, self.channel = node, channel
        found = {}
        while len(found) < 2:
            who, data = node.await_line(r"OUTPUT: ((?:node|child) \w+)").split()
            found[who] = codec.decode(bytes.fromhex(data))
        self.pid, self.child = found["node"], found["child"]
        self.both = (self.pid, self.child)

    @classmethod
    def of(cls, node, channel, pid, child):
        made = object.__new__(cls)
        made.node, made.channel, made.pid, made.child, made.both = node, channel, pid, child, (pid, child)
        return made

    def answer(self):
        """The next message that comes back."""
        _transport, data, _address = self.channel.queue.get(timeout=LIMIT_S)
        return envelopes.decode(data)[2]

    def send_bytes(self, to, data):
        self.channel.send(data, (to.hostname, to.transports[0]))

    def flush(self, to):
        """Wait until what was sent to it so far has left: it is much, and nobody waits for that by itself."""
        link = self.channel.links.to((to.hostname, to.transports[0]))
        while link.queued():
            time.sleep(0.01)

    def send(self, to, command, arguments, source, ticket=None):
        destination = None if isinstance(command, RouterCommands) else to
        envelope = (source, destination, (command, arguments))
        self.send_bytes(to, codec.encode(envelope if ticket is None else (*envelope, ticket)))

    def goes_on_to_its_end(self):
        for to in (self.child, self.pid):
            self.send(to, Command.Message, (None, ("go",)), own_id(self.channel, "friend"))
        assert self.node.end() == 0, self.node.output
        assert "child ends" in self.node.output and "node ends" in self.node.output
        return True


def pid_of(nodename, uid=1, **fields):
    values = {"uid": uid, "seqno": 1, "pcls": sim.DistProcess, "name": "", "nodename": nodename, "hostname": "127.0.0.1"}
    return tuple.__new__(common.ProcessId, {**values, "transports": (9,), **fields}.values())


def own_id(channel, nodename, uid=2, **fields):
    """The id of a process that is behind this channel, whatever else it calls itself."""
    return pid_of(nodename, origins.uid_with(uid, channel.identity.public), transports=(channel.port,), **fields)


@pytest.fixture
def channel(monkeypatch):
    """A transport of somebody who has the cookie, outside of every node."""
    options = {"message_buffer_size": 1 << 20, "hostname": "127.0.0.1", "min_port": 10_000, "max_port": 60_000}
    monkeypatch.setattr(common, "GlobalOptions", options)
    channel = transport.TcpTransport(COOKIE.encode())
    channel.initialize(port=0)
    channel.start(Inbox(), stock.SelectorLoop())
    yield channel
    channel.close()
    channel.mesgloop.stop()


@pytest.fixture
def target(start, channel):
    return Target(start("-n", "victim", "-M", "-H", "localhost", "-p", free_port(), "--cookie", COOKIE, PROGRAM), channel)


class Bomb:
    """Makes a folder where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_strangers_bytes_do_nothing(target, tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    frames = [b"", b"GET / HTTP/1.0\r\n\r\n", bytes(22), bomb, len(bomb).to_bytes(8, "big") + bomb, os.urandom(100_000)]
    half_open = []
    for pid in target.both:
        address = (pid.hostname, pid.transports[0])
        for frame in frames:
            stranger = socket.create_connection(address)
            half_open.append(stranger)
            try:
                stranger.sendall(frame)
            except ConnectionError:
                pass  # thrown out already
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
                datagram.sendto((b"\x01\x01\x00\x00" + frame)[:1_000], address)
    assert target.goes_on_to_its_end()
    assert not (tmp_path / "exploded").exists()
    for stranger in half_open:
        stranger.close()


def test_a_holder_of_another_cookie_does_nothing(target):
    channel = transport.TcpTransport(b"another cookie")
    channel.initialize(port=0)
    channel.start([], stock.SelectorLoop())
    for pid in target.both:
        with pytest.raises(base.AuthenticationException, match="cookie"):
            channel.links.connect((pid.hostname, pid.transports[0]))
        with pytest.raises(base.AuthenticationException, match="cookie"):
            channel.send(codec.encode((pid, pid, (Command.End, 1))), (pid.hostname, pid.transports[0]))
    channel.close()
    channel.mesgloop.stop()
    assert target.goes_on_to_its_end()


def test_what_a_peer_sends_malformed_is_dropped(target, tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    someone = own_id(target.channel, "elsewhere")
    for pid in target.both:
        for data in (b"", bomb, os.urandom(50), codec.encode(7), codec.encode((None, None, None)), codec.encode((1, 2, 3))):
            target.send_bytes(pid, data)
        for command in [*Command, *RouterCommands]:
            for arguments in (None, 7, (), (1,), (1, 2), "x", (None,) * 6, [[]], {}):
                target.send(pid, command, arguments, someone)
    assert target.goes_on_to_its_end()
    assert not (tmp_path / "exploded").exists()
    assert target.node.output.count("WARNING") < 500


# -- who may command what; each line of the table in `dacurrent.authority`, by somebody who has the cookie


def load(monkeypatch, pid):
    """Make the class of a process known here, so that it can be sent."""
    program = types.ModuleType(pid.pcls.__module__)
    program.P = pid.pcls
    monkeypatch.setitem(common.modules, program.__name__, program)
    return program.P


COMMANDS = {
    "Setup": (Command.Setup, (1, ())),
    "Start": (Command.Start, 1),
    "End": (Command.End, 1),
    "Config": (Command.Config, ("x", "y")),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("whose", ["a stranger's", "another node's", "the parent's"])
def test_a_process_is_commanded_with_its_own_ticket_only_whatever_id_the_sender_gives_itself(target, name, whose):
    sources = {"a stranger's": own_id(target.channel, "stranger"), "another node's": own_id(target.channel, "o", name="o")}
    source = sources.get(whose, target.pid)
    for ticket in (None, bytes(16), b"", "text"):
        target.send(target.child, *COMMANDS[name], source, ticket)
        if source != target.pid:
            target.send(target.pid, *COMMANDS[name], source, ticket)
    assert target.goes_on_to_its_end()
    if whose == "the parent's":
        assert "in the name of" in target.node.output
    elif name != "Config":
        assert f"{name} from" in target.node.output


@pytest.mark.parametrize("ticket", [None, bytes(16), bytes(15)])
def test_a_node_with_a_program_of_its_own_makes_processes_for_its_own_family_only_and_says_so(target, monkeypatch, ticket):
    cls = load(monkeypatch, target.child)
    asker = own_id(target.channel, "asker")
    for source in (asker, target.child):
        for names in (range(1), range(30), range(10**6)):
            target.send(target.pid, Command.New, (cls, names, "process", False, 17, {}), source, ticket)
    assert target.answer() == (Command.RPCReply, (17, authority_text("a program of its own")))
    assert target.goes_on_to_its_end()
    assert target.node.output.count("OUTPUT: child ") == 2  # where it is, and that it ends


def test_a_process_that_is_no_node_takes_no_acknowledgement_of_nodes(target):
    target.send(target.child, Command.NodeAck, (17, True), own_id(target.channel, "o", name="o"))
    assert target.goes_on_to_its_end()
    [line] = [line for line in target.node.output.splitlines() if "NodeAck from" in line]
    assert "nothing here takes it" in line


class authority_text(str):
    """Equal to any text that this one is in."""

    def __eq__(self, other):
        return str(self) in other

    __hash__ = str.__hash__


def test_a_name_is_resolved_for_processes_of_the_node_only(target):
    for source in (own_id(target.channel, "stranger"), own_id(target.channel, "victim")):
        target.send(target.pid, Command.Resolve, (("p", "n"), "127.0.0.1", 9, 1), source)
    assert target.goes_on_to_its_end()
    assert "Resolve from" in target.node.output


def test_what_no_process_takes_is_ignored_in_few_words(target):
    stranger = own_id(target.channel, "stranger")
    long = "x" * 400_000
    for pid in target.both:
        for _ in range(20):
            target.send(pid, Command.Message, long, stranger)
            target.send(pid, Command.Message, (1, 2, long), stranger)
            target.flush(pid)
            target.send(pid, Command.Message, (long, ("go",)), stranger)
            target.send(pid, Command.Message, (2**200, ("go",)), stranger)
            for command in set(Command) - {Command.Message}:
                target.send(pid, command, long, stranger)
            for command in RouterCommands:
                for source in (stranger, own_id(target.channel, "o", name="o")):
                    target.send(pid, command, long, source)
                    target.send(pid, command, (long, long), source)
            target.send_bytes(pid, b"s" + len(long).to_bytes(4, "big") + b"\xff" * len(long))
    assert target.goes_on_to_its_end()
    assert len(target.node.output) < 100_000


def test_made_up_names_of_senders_do_not_make_more_lines(target):
    for number in range(2_000):
        stranger = own_id(target.channel, f"stranger{number}", uid=number)
        target.send(target.child, Command.NodeLeave, "x", stranger)
        target.send(target.child, Command.End, 1, stranger)
    assert target.goes_on_to_its_end()
    assert target.node.output.count("stranger") < 200


def test_sequence_numbers_cannot_be_guessed(channel):
    process = types.SimpleNamespace(_DistProcess__procimpl=object.__new__(sim.OSThreadContainer))
    numbers = {sim.DistProcess._create_cmd_seqno(process) for _ in range(1_000)}
    assert len(numbers) == 1_000 and sum(number > 2**40 for number in numbers) > 990


class Employed:
    """A node that was started to wait for work, and works for another; what a third sends."""

    def __init__(self, start, channel, *arguments):
        port = free_port()
        options = ("-H", "127.0.0.1", "--cookie", COOKIE)
        self.worker = start("-n", "worker", "-M", *options, "-p", port, "-D", HIRING)
        self.worker.await_line("Running iteration")
        self.employer = start("-n", "employer", *options, "-p", 0, "-R", f"127.0.0.1:{port}", HIRING, *arguments)
        self.channel = channel


@pytest.fixture
def employed(start, channel):
    made = Employed(start, channel)
    for name in ("node", "employers"):
        data = made.employer.await_line(r"OUTPUT: (?:node|employer) (\w+)")
        setattr(made, name, codec.decode(bytes.fromhex(data)))
    made.child = codec.decode(bytes.fromhex(made.worker.await_line(r"OUTPUT: child (\w+)")))
    return made


def test_a_node_works_for_one_other_and_heeds_nobody_who_takes_its_name(employed, monkeypatch):
    cls = load(monkeypatch, employed.child)
    target = Target.of(employed.worker, employed.channel, employed.node, employed.child)
    others = [own_id(target.channel, "other"), own_id(target.channel, "other", uid=6, name="other"), employed.employers]
    for source in others:
        for ticket in (None, bytes(16)):
            target.send(employed.node, Command.New, (cls, range(30), "process", False, 1, {}), source, ticket)
            target.send(employed.node, Command.NodeLeave, source, source, ticket)
            target.send(employed.child, Command.End, 1, source, ticket)
        target.send(employed.node, RouterCommands.BYE, (), source)
    assert employed.employers is not None
    employed.worker.await_line("this node works for employer at 127.0.0.1")  # before it may have ended
    for pid in (employed.child, employed.employers):
        target.send(pid, Command.Message, (None, ("go",)), own_id(target.channel, "friend"))
    assert employed.employer.end() == 0, employed.employer.output
    assert employed.worker.end() == 0, employed.worker.output
    assert employed.worker.output.count("OUTPUT: child ") == 2, employed.worker.output
    assert "<employer#employer> has left" in employed.worker.output.replace("NodeProcess:", "") or "has left" in employed.worker.output


@pytest.mark.parametrize("count", [1_001, 5_000])
def test_a_node_makes_no_more_processes_than_the_limit_and_says_so(start, channel, count):
    made = Employed(start, channel, count)
    assert made.employer.end() != 0
    assert "refuses: " in made.employer.output
    assert "OUTPUT: child" not in made.worker.output


def test_nobody_speaks_for_a_process_from_outside(target):
    for pid in target.both:
        target.send(pid, Command.End, 1, pid)
    assert target.goes_on_to_its_end()
    assert "in the name of" in target.node.output


CLAIMS = {
    "another process": lambda target, own: target.pid,
    "its port": lambda target, own: own._replace(transports=target.pid.transports),
    "its host": lambda target, own: own._replace(hostname="127.0.0.9"),
    "its uid": lambda target, own: own._replace(uid=target.pid.uid),
    "a uid of nobody": lambda target, own: own._replace(uid=7),
    "no port": lambda target, own: own._replace(transports=(None,)),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_message_in_the_name_of_another_process_is_refused_and_told_once(target, claim):
    source = CLAIMS[claim](target, own_id(target.channel, "insider"))
    for _ in range(20):
        target.send(target.child, Command.Message, (None, ("go",)), source)
    target.send(target.child, Command.Message, (None, ("no",)), own_id(target.channel, "insider"))
    target.flush(target.child)
    target.node.await_line("in the name of")
    assert target.goes_on_to_its_end()
    assert target.node.output.count("in the name of") == 1


def test_nobody_takes_the_name_of_a_node_that_lives(target):
    usurper = own_id(target.channel, "victim", uid=2**95, name="victim")
    target.send(target.pid, RouterCommands.HELLO, (1, (usurper,)), usurper)
    target.send(target.pid, RouterCommands.PING, (usurper,), usurper)
    assert target.goes_on_to_its_end()
