"""Strangers and misguided peers: no code runs, no node ends, and the run goes on to its end."""

import os
import pickle
import socket
import types
from pathlib import Path

import pytest
from da import common, sim
from da.transport import base
from da.transport import manager as stock
from nodes import free_port

from dacurrent import codec, transport

PROGRAM = Path(__file__).parent / "programs" / "under_attack.da"
COOKIE = "cookie-of-this-test"
Command, RouterCommands = sim.Command, sim.RouterCommands


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

    def send_bytes(self, to, data):
        self.channel.send(data, (to.hostname, to.transports[0]))

    def send(self, to, command, arguments, source):
        destination = None if isinstance(command, RouterCommands) else to
        self.send_bytes(to, codec.encode((source, destination, (command, arguments))))

    def goes_on_to_its_end(self):
        stranger = pid_of("friend")
        for to in (self.child, self.pid):
            self.send(to, Command.Message, (None, ("go",)), stranger)
        assert self.node.end() == 0, self.node.output
        assert "child ends" in self.node.output and "node ends" in self.node.output
        return True


def pid_of(nodename, uid=1, **fields):
    values = {"uid": uid, "seqno": 1, "pcls": sim.DistProcess, "name": "", "nodename": nodename, "hostname": "127.0.0.1"}
    return tuple.__new__(common.ProcessId, {**values, "transports": (9,), **fields}.values())


@pytest.fixture
def target(start, monkeypatch):
    options = {"message_buffer_size": 1 << 20, "hostname": "127.0.0.1", "min_port": 10_000, "max_port": 60_000}
    monkeypatch.setattr(common, "GlobalOptions", options)
    channel = transport.TcpTransport(COOKIE.encode())
    channel.initialize(port=0)
    channel.start([], stock.SelectorLoop())
    node = start("-n", "victim", "-M", "-H", "localhost", "-p", free_port(), "--cookie", COOKIE, PROGRAM)
    yield Target(node, channel)
    channel.close()
    channel.mesgloop.stop()


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
    someone = pid_of("elsewhere")
    for pid in target.both:
        for data in (b"", bomb, os.urandom(50), codec.encode(7), codec.encode((None, None, None)), codec.encode((1, 2, 3))):
            target.send_bytes(pid, data)
        for command in [*Command, *RouterCommands]:
            for arguments in (None, 7, (), (1,), (1, 2), "x", (None,) * 6, [[]], {}):
                target.send(pid, command, arguments, someone)
    assert target.goes_on_to_its_end()
    assert not (tmp_path / "exploded").exists()
    assert target.node.output.count("WARNING") < 500


def test_commands_from_the_wrong_source_are_ignored(target, monkeypatch):
    program = types.ModuleType(target.child.pcls.__module__)
    program.P = target.child.pcls
    monkeypatch.setitem(common.modules, program.__name__, program)
    stranger, node = pid_of("stranger", uid=2), pid_of("other", name="other")
    for source in (stranger, node):
        for pid in target.both:
            target.send(pid, Command.End, 1, source)
            target.send(pid, Command.Setup, (1, ()), source)
            target.send(pid, Command.Start, 1, source)
            target.send(pid, Command.Config, ("x", "y"), source)
            target.send(pid, Command.Resolve, (("p", "n"), "127.0.0.1", 9, 1), source)
        target.send(target.child, Command.New, (program.P, range(1), "thread", False, 1, {}), source)
        target.send(target.pid, Command.New, (sim.DistProcess, range(10**6), "process", False, 1, {}), source)
    assert target.goes_on_to_its_end()
    assert "command End from" in target.node.output and "command New from" in target.node.output


def test_nobody_speaks_for_a_process_from_outside(target):
    for pid in target.both:
        target.send(pid, Command.End, 1, pid)
    assert target.goes_on_to_its_end()
    assert "it claims to be from a process of this very one" in target.node.output


def test_nobody_takes_the_name_of_a_node_that_lives(target):
    usurper = pid_of("victim", uid=2**95, name="victim")
    target.send(target.pid, RouterCommands.HELLO, (1, (usurper,)), usurper)
    target.send(target.pid, RouterCommands.PING, (usurper,), usurper)
    assert target.goes_on_to_its_end()
