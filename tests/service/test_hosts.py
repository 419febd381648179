"""A service over several hosts: a replica on each, whichever goes away and comes back."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import psutil
import pytest
import yaml
from da import common
from hypothesis import given
from hypothesis import strategies as st
from networks import network
from polling import until_within

from bcr.chain.settings import Settings
from bcr.scenario import ScenarioError
from bcr_runtime.data_folder import MARK
from bcr_runtime.host_certificates import CERTIFICATE, KEY
from bcr_runtime.places import COOKIE_VARIABLE, DISKS_VARIABLE, GATEWAY_FILES_VARIABLE, SOURCES
from bcr_service import node
from bcr_service.access import Unusable
from bcr_service.certificates import Authority, HostFolder
from bcr_service.gateway import GatewaySettings, opened_here
from bcr_service.host_joining import NotJoined, join
from bcr_service.hosting import AUTHORITY_FOLDER, HOST_LIMIT_S, JOINED, SETTLING_S, HostBook, HostView, misplaced, names_of_addresses
from bcr_service.keeper import Keeping, ServiceLaunch
from bcr_service.listening import CannotListen
from bcr_service.service_files import HTTP, Address, Listener, parse_service
from bcr_tools.cli import COMMANDS, main
from dacurrent.handshake import MAGIC

LIMIT_S = 60
until = until_within(LIMIT_S)
HELLO_OF_TLS = b"\x16\x03\x01"
DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = DEPLOY.parent / "bin"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
FILE = """t = 1
hosts = 10.98.0.1; 10.98.0.2; 10.98.0.3
join = 10.98.0.1:4700
cookie_file = service.cookie
"""


class Hosts:
    """What `deploy/compose.yaml` runs, without containers: each of its services on a host of its own, by the same command.

    Only the folders are others: of each one's /data, of the secrets, and of the service's file, which names the secrets.
    """

    def __init__(self, net, folder):
        self.net, self.folder = net, folder
        self.names = [*COMPOSE]
        self.processes = {}
        subprocess.run([DEPLOY / "make_secrets", folder / "secrets"], check=True, capture_output=True, timeout=LIMIT_S)
        file = folder / "service.config"
        file.write_text((DEPLOY / "service.config").read_text().replace("/run/secrets", str(folder / "secrets")))
        self.token = (folder / "secrets" / "token").read_text().strip()
        self.context = ssl.create_default_context(cafile=folder / "secrets" / "certificate")

    def output(self, name):
        """What a command has said so far."""
        return (self.folder / f"{name}.txt").read_text()

    def prefix(self, name):
        """The words before a command that runs where this service does."""
        return self.net.prefix(self.names.index(name))

    def start(self, name, address=None):
        """At this address, where it is not the one by which `hosts` calls it."""
        others = {"/data": self.folder / name, "deploy/service.config": self.folder / "service.config"}
        words = [str(others.get(word, word)).replace("/run/secrets", str(self.folder / "secrets")) for word in COMPOSE[name]["command"]]
        if address is not None:
            at = words.index("--host") + 1
            words[at : at + 1] = [address, "--name", words[at]]
        words += ["--log-folder", str(self.folder / "logs")] if words[0] == "serve" else []
        with open(self.folder / f"{name}.txt", "ab") as output:
            self.processes[name] = subprocess.Popen(
                [*self.prefix(name), sys.executable, "-P", "-m", "bcr_tools.cli", *words],
                stdout=output, stderr=output, cwd=self.folder,
            )  # fmt: skip

    def family(self, name):
        """All processes of a command."""
        process = psutil.Process(self.processes[name].pid)
        return [process, *process.children(recursive=True)]

    def kill(self, *names):
        """All of these at once, as when their hosts lose their power."""
        for process in [each for name in names for each in self.family(name)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for name in names:
            self.processes.pop(name).wait(LIMIT_S)

    def olympus(self):
        """The process whose disk that of Olympus is."""
        [found] = [each for each in self.family("service") if any("olympus.sqlite" in file.path for file in each.open_files())]
        return found

    def end(self):
        """Ask all to end; returns the exit statuses by name."""
        try:
            for name in sorted(self.processes):
                self.processes[name].terminate()
            return {name: process.wait(LIMIT_S) for name, process in self.processes.items()}
        finally:
            for process in self.processes.values():
                process.kill()

    # -- as somebody beside the gateway

    def ask(self, method, path, body=None, at="service"):
        """Status and body, of the gateway at one of the hosts; status 0 while nobody answers."""
        return self.call(self.ask_here, method, path, body, at)

    def ask_here(self, method, path, body, at):
        headers = {"accept": "application/json", "authorization": f"Bearer {self.token}"}
        address = self.net.addresses[self.names.index(at)]
        request = urllib.request.Request(f"https://{address}:8080{path}", data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=90, context=self.context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def write(self, key):
        assert self.ask("PUT", f"/keys/{key}?timeout_ms=60000", b"1")[0] == 204, key

    def status(self):
        return json.loads(self.ask("GET", "/admin/status")[1])

    def places(self):
        """Position by number of the host, for those that have a replica, and the numbers of those that are there."""
        hosts = self.status()["hosts"]
        return {i: each["replica"] for i, each in enumerate(hosts) if each["replica"] is not None}, [
            i for i, each in enumerate(hosts) if each["present"]
        ]

    def is_seated(self, *present):
        """Whether the chain is on hosts among these, as docs/service.md says, when no other is there."""
        status = self.status()
        begins = status["configuration"] % len(status["hosts"])
        in_turn = sorted(present, key=lambda i: (i - begins) % len(status["hosts"]))
        return {i: each["replica"] for i, each in enumerate(status["hosts"]) if each["replica"] is not None} == {
            i: position for position, i in enumerate(in_turn[:3])
        }

    def at(self, position):
        """The number of the host that has this replica."""
        [found] = [i for i, each in self.places()[0].items() if each == position]
        return found

    def wait_until(self, holds):
        deadline_s = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < deadline_s, self.ask("GET", "/admin/status")
            time.sleep(0.1)

    def is_ready(self):
        return self.ask("GET", "/readyz")[0] == 200


@pytest.fixture
def hosts(tmp_path):
    addresses = [service["networks"]["hosts"]["ipv4_address"] for service in COMPOSE.values()]
    with network(addresses) as net, net.caller_on(0) as call:
        made = Hosts(net, tmp_path)
        made.call = call
        try:
            *first, spare = made.names
            for name in first:
                made.start(name)
            made.wait_until(made.is_ready)
            made.start(spare)  # so that it has no replica
            made.wait_until(lambda: made.places()[1] == [0, 1, 2, 3])
            yield made
        finally:
            made.end()


def test_hosts_go_and_come_back_one_and_all_and_what_was_written_is_there(hosts):
    """The hosts are numbered as in `hosts`, from 0; host1 of the compose file is the first."""
    hosts.write("a")
    everyone = {0, 1, 2, 3}
    assert sorted(hosts.places()[0].values()) == [0, 1, 2]
    pulled = hosts.at(2)
    hosts.net.pull(pulled + 1)  # its cable; the spare one is taken
    hosts.write("b")
    hosts.wait_until(lambda: hosts.places()[1] == sorted(everyone - {pulled}) and hosts.is_seated(*everyone - {pulled}))
    hosts.net.plug_in(pulled + 1)
    hosts.wait_until(lambda: hosts.places()[1] == sorted(everyone))
    killed = hosts.at(0)
    hosts.kill(hosts.names[killed + 1])  # its power; who has come back is taken
    hosts.write("c")
    hosts.wait_until(lambda: hosts.places()[1] == sorted(everyone - {killed}) and hosts.is_seated(*everyone - {killed}))
    hosts.kill(*(hosts.names[i + 1] for i in everyone - {killed}))  # more than t: now their disks are needed
    for name in ("host1", "host2", "host3", "host4"):
        hosts.start(name)
    hosts.write("d")
    before = hosts.status()["configuration"]
    hosts.olympus().kill()
    hosts.wait_until(lambda: hosts.status()["configuration"] > before)
    hosts.write("e")
    partition_and_heal(hosts)
    hosts.kill("service")
    hosts.start("service")
    hosts.wait_until(hosts.is_ready)
    assert [hosts.ask("GET", f"/keys/{key}?timeout_ms=60000") for key in "abcde"] == [(200, b"1")] * 5
    assert set(hosts.end().values()) == {0}


def test_gateways_on_hosts_serve_and_a_host_that_dies_takes_only_its_own(hosts):
    both = ("host1", "host3")
    hosts.wait_until(lambda: all(hosts.ask("GET", "/readyz", at=name)[0] == 200 for name in both))
    with hosts.net.listener() as heard:
        assert hosts.ask("PUT", "/keys/x?timeout_ms=60000", b'"said-at-host3"', at="host3")[0] == 204
        assert hosts.ask("GET", "/keys/x?timeout_ms=60000", at="host1") == (200, b'"said-at-host3"')
    assert len(heard) > 10
    assert not [content for _, _, content in heard if b"said-at-host3" in content or MAGIC in content]
    assert hosts.status()["gateways"] == ["172.28.0.10:8080", "172.28.0.11:8080", "172.28.0.13:8080"]
    hosts.wait_until(lambda: hosts.status()["gone"] == [])  # gateways are told of each other a moment later
    hosts.kill("host3")
    assert hosts.ask("PUT", "/keys/y?timeout_ms=60000", b"2", at="host1")[0] == 204
    assert hosts.ask("GET", "/keys/y?timeout_ms=60000")[1] == b"2"
    hosts.wait_until(lambda: hosts.status()["gone"] == [2])
    assert hosts.ask("GET", "/livez", at="host3")[0] == 0
    hosts.start("host3")
    hosts.wait_until(lambda: hosts.ask("GET", "/readyz", at="host3")[0] == 200)
    assert hosts.ask("GET", "/keys/y?timeout_ms=60000", at="host3") == (200, b"2")
    assert hosts.ask("PUT", "/keys/y?timeout_ms=60000", b"3", at="host3")[0] == 204
    assert hosts.ask("GET", "/keys/y?timeout_ms=60000", at="host1") == (200, b"3")
    hosts.olympus().kill()  # its replicas with it, and no gateway
    assert hosts.ask("PUT", "/keys/y?timeout_ms=60000", b"4", at="host3")[0] == 204
    assert hosts.ask("GET", "/keys/y?timeout_ms=60000", at="host1") == (200, b"4")
    hosts.wait_until(lambda: hosts.status()["gone"] == [])  # gateways are told of each other a moment later
    assert set(hosts.end().values()) == {0}


def test_hosts_that_come_again_at_other_addresses_are_known_by_their_names_and_keys(hosts):
    """All lose their power, and when they have it again the network gives them other addresses."""
    hosts.write("a")
    nodes = hosts.names[1:]
    hosts.kill(*hosts.names)
    hosts.start("service")
    for number, name in enumerate(nodes, start=1):
        hosts.net.give_another_address(number, f"172.28.0.{20 + number}")
        hosts.start(name, f"172.28.0.{20 + number}")
    hosts.wait_until(hosts.is_ready)
    assert hosts.ask("GET", "/keys/a?timeout_ms=60000") == (200, b"1")
    hosts.write("b")
    assert [each["address"] for each in hosts.status()["hosts"]] == [f"172.28.0.{20 + number}" for number in range(1, 5)]
    assert sorted(hosts.places()[0].values()) == [0, 1, 2]


def test_links_between_hosts_are_tls_and_who_has_the_cookie_alone_is_refused(hosts):
    cookie = hosts.folder / "secrets" / "cookie"
    with hosts.net.listener() as heard:
        hosts.kill("host3")  # so that there are new connections, heard from their beginning
        hosts.wait_until(lambda: hosts.places()[1] == [0, 1, 3])
        hosts.write("a-name-in-clear")
    assert not [content for _, _, content in heard if b"a-name-in-clear" in content or MAGIC in content]
    assert len({source for source, _, content in heard if content[:3] == HELLO_OF_TLS}) > 5
    hosts.kill("host4")  # whose place others try to take
    with hosts.net.caller_on(hosts.names.index("host4")) as call:

        def joined(folder):
            at = Address("172.28.0.10", 4700)
            return call(join, at, "172.28.0.14", "172.28.0.14", cookie.read_bytes(), HostFolder(hosts.folder / folder))

        port = joined("host4/tls").port
        with pytest.raises(NotJoined, match=r"172\.28\.0\.14 has joined with another key before"):
            joined("thief")
    stranger = ["-L", "error", "-n", "stranger", "-H", "172.28.0.14", "-R", f"172.28.0.10:{port}", "-D", "Hosts.da"]
    with subprocess.Popen(
        [*hosts.prefix("host4"), sys.executable, "-m", "da", *stranger],
        cwd=SOURCES, env=os.environ | {COOKIE_VARIABLE: str(cookie)}, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        hosts.wait_until(lambda: "Connection from 172.28.0.14" in hosts.output("service"))
        process.kill()
    assert "closed: it does not speak TLS as this host does" in hosts.output("service")
    hosts.start("host4")
    hosts.write("b")


def test_on_loopback_addresses_the_cookie_is_enough_and_a_gateway_that_cannot_listen_is_told(tmp_path):
    """Three hosts on this machine: gateways on two of them, and the port of one of these is somebody else's."""
    names = [f"127.0.0.{number}" for number in (2, 3, 4)]
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(socket.create_server(("127.0.0.3", 0)))
        free = [port_of(host) for host in ("127.0.0.1", "127.0.0.1", "127.0.0.2")]
        (tmp_path / "cookie").write_text("c" * 64)
        (tmp_path / "cookie").chmod(0o600)
        (tmp_path / "own.config").write_text(
            f"t = 1\nhosts = {'; '.join(names)}\njoin = 127.0.0.1:{free[0]}\ncookie_file = cookie\ngateway[0] = 127.0.0.1:{free[1]}\n"
            f"gateway[1] = 127.0.0.2:{free[2]}\ngateway[2] = 127.0.0.3:{taken.getsockname()[1]}\n"
        )

        start(stack, tmp_path, "service", [*CLI, "serve", "own.config", "--log-folder", "logs", "--data", "service"])
        for name in names:
            start(stack, tmp_path, name, [*CLI, "node", *node_words(name, free[0])])
        deadline_s = time.monotonic() + LIMIT_S
        while (
            asked("GET", "127.0.0.2", free[2], "/readyz") is None
            or "cannot listen on 127.0.0.3" not in (tmp_path / "service.txt").read_text()
        ):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        assert asked("PUT", "127.0.0.2", free[2], "/keys/x?timeout_ms=60000", b'"there"') is not None
        assert asked("GET", "127.0.0.1", free[1], "/keys/x?timeout_ms=60000") == b'"there"'
        # Gateways are told of each other a moment later than the file is written.
        while json.loads(asked("GET", "127.0.0.1", free[1], "/admin/status"))["gone"] != [2]:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        assert not (tmp_path / "service" / "tls").exists()
        assert not (tmp_path / "127.0.0.2" / "tls" / CERTIFICATE).exists()


def name_hosts(folder, names, port, gateway):
    """The file of a service that these hosts of this machine join at `port`, and their cookie."""
    (folder / "cookie").write_text("c" * 64)
    (folder / "cookie").chmod(0o600)
    (folder / "own.config").write_text(
        f"t = 1\nhosts = {'; '.join(names)}\njoin = 127.0.0.1:{port}\ncookie_file = cookie\ngateway[0] = 127.0.0.1:{gateway}\n"
    )


def test_a_host_whose_name_another_node_has_taken_joins_when_that_one_has_gone(tmp_path):
    """The service takes the first node of that name; the other one is told to stay alone, and comes again."""
    names = [f"127.0.0.{number}" for number in (2, 3, 4)]
    port, gateway = port_of("127.0.0.1"), port_of("127.0.0.1")
    with contextlib.ExitStack() as stack:
        name_hosts(tmp_path, names, port, gateway)
        start(stack, tmp_path, "service", [*CLI, "serve", "own.config", "--log-folder", "logs", "--data", "service"])
        for name in names[:2]:
            start(stack, tmp_path, name, [*CLI, "node", *node_words(name, port)])

        def is_present():
            status = asked("GET", "127.0.0.1", gateway, "/admin/status")
            return status is not None and json.loads(status)["hosts"][2]["present"]

        def says(words):
            return words in (tmp_path / f"{names[2]}.txt").read_text()

        joined = []
        until(lambda: joined.extend(joined_at(port, names[2], tmp_path)) or joined)
        known = os.environ | {COOKIE_VARIABLE: str(tmp_path / "cookie"), DISKS_VARIABLE: str(tmp_path / "taken")}
        (tmp_path / "taken").mkdir(0o700)
        taking = ["-L", "error", "-n", names[2], "-H", names[2], "-R", f"127.0.0.1:{joined[0]}", "-D", "Hosts.da"]
        other = start(stack, tmp_path, "taken", [sys.executable, "-m", "da", *taking], cwd=SOURCES, env=known)
        until(is_present)
        impatient = "import sys; from bcr_service import node; node.EMPLOYMENT_LIMIT_S = 5; sys.exit(node.main(sys.argv[1:]))"
        start(stack, tmp_path, names[2], [sys.executable, "-P", "-c", impatient, *node_words(names[2], port)])
        until(lambda: says("has begun no work here within 5 s"))
        assert not says("is a host of the service")
        other.kill()
        until(lambda: says("is a host of the service"))
        until(is_present)


def test_a_host_whose_mark_is_damaged_is_refused_and_one_whose_reader_has_gone_is_not(tmp_path):
    """Three hosts on this machine, too few without the refused one; the service ends without a word about whom it could not make."""
    names = [f"127.0.0.{number}" for number in (2, 3, 4)]
    port, gateway = port_of("127.0.0.1"), port_of("127.0.0.1")
    with contextlib.ExitStack() as stack:
        name_hosts(tmp_path, names, port, gateway)
        (tmp_path / names[2]).mkdir(0o700)
        (tmp_path / names[2] / MARK).write_bytes(b"\xa9\xf7")
        service = start(stack, tmp_path, "service", [*CLI, "serve", "own.config", "--log-folder", "logs", "--data", "service"])
        unread = start(
            stack, tmp_path, names[0], [*CLI, "node", *node_words(names[0], port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert b"disks in" in unread.stdout.readline()
        unread.stdout.close()
        for name in names[1:]:
            start(stack, tmp_path, name, [*CLI, "node", *node_words(name, port)])

        def says(words):
            return words in (tmp_path / "service.txt").read_text()

        until(lambda: says(f"{names[2]}: {tmp_path / names[2] / MARK} is damaged"))
        until(lambda: says(f"no sign yet of {names[2]}; each"))  # and of nobody else
        service.terminate()
        assert service.wait(LIMIT_S) == 0
        unread.terminate()
        assert unread.wait(LIMIT_S) == 0
    said = (tmp_path / "service.txt").read_text() + (tmp_path / f"{names[2]}.txt").read_text()
    assert "is ignored" not in said and "Traceback" not in said


def test_a_signal_that_a_node_was_told_to_ignore_is_ignored():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with node._asked_to_end() as asked:
            signal.raise_signal(signal.SIGHUP)
            assert not asked.is_set()
            signal.raise_signal(signal.SIGTERM)
            assert asked.is_set()
    finally:
        signal.signal(signal.SIGHUP, previous)


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[" * 100_000, b'{"h0": {"key": "k", "addresses": ["\xff"]}}'])
def test_while_who_has_joined_cannot_be_read_what_was_read_last_counts(tmp_path, content):
    file = tmp_path / AUTHORITY_FOLDER / JOINED
    file.parent.mkdir()
    file.write_text('{"h0": {"key": "k", "addresses": ["10.0.0.1"]}}')
    before = names_of_addresses(str(tmp_path))
    assert before == {"10.0.0.1": "h0"}
    file.write_bytes(content)
    assert names_of_addresses(str(tmp_path), before) == before
    assert names_of_addresses(str(tmp_path)) == {}
    with pytest.raises(Unusable, match=r"hosts\.json is damaged"):
        Authority(file.parent, ("h0",))
    file.unlink()
    file.mkdir()
    assert names_of_addresses(str(tmp_path), before) == before
    with pytest.raises(OSError):
        names_of_addresses(str(tmp_path))


@pytest.mark.filterwarnings("ignore:Parsed a")  # what damage makes of a number
@pytest.mark.parametrize("name", [KEY, CERTIFICATE])
def test_a_damaged_key_or_certificate_of_the_authority_is_told(tmp_path, name):
    """Whatever one character of it becomes: mostly it is no key any more, or one of a kind that nobody knows."""
    Authority(tmp_path, ("h0",))
    file = tmp_path / name
    whole = file.read_text()
    own = HostFolder(tmp_path / "own")
    for place in range(len(whole)):
        file.write_text(whole[:place] + ("A" if whole[place] == "x" else "x") + whole[place + 1 :])
        with contextlib.suppress(Unusable):
            Authority(tmp_path, ("h0",)).issue_own("h0", "127.0.0.1", own)


CLI = [sys.executable, "-P", "-m", "bcr_tools.cli"]


def start(stack, folder, name, command, **options):
    """A command whose output is in a file of this name, and that is ended with the stack."""
    with open(folder / f"{name}.txt", "wb") as output:
        process = subprocess.Popen(command, **{"cwd": folder, "stdout": output, "stderr": output, **options})
    stack.callback(process.wait, LIMIT_S)
    stack.callback(process.terminate)
    return process


def node_words(name, port):
    return ["--join", f"127.0.0.1:{port}", "--host", name, "--cookie-file", "cookie", "--data", name]


def joined_at(port, name, folder):
    """The port of the service's node, once there is one."""
    try:
        return [join(Address("127.0.0.1", port), name, name, b"c" * 64, HostFolder(folder / "taken-tls")).port]
    except NotJoined:
        return []


def asked(method, host, port, path, body=None):
    """What a gateway answers; None where nobody does, or with an error."""
    request = urllib.request.Request(f"http://{host}:{port}{path}", data=body, method=method, headers={"accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=70) as answer:
            return answer.read()
    except OSError:
        return None


def port_of(host):
    """One that is free there just now."""
    with socket.create_server((host, 0)) as listening:
        return listening.getsockname()[1]


def partition_and_heal(hosts):
    """Two of the four hosts on one side with the service, where that is too few for a chain of three, and two on the other."""
    _, *nodes = hosts.net.addresses
    here, there = ("service", "host1", "host2"), nodes[2:]
    for name in here:
        subprocess.run([*hosts.prefix(name), BIN / "partition", *there], check=True)
    hosts.wait_until(lambda: hosts.places()[1] == [0, 1])
    asked = [hosts.ask("PUT", "/keys/f?timeout_ms=500", b"1"), hosts.ask("GET", "/keys/a?timeout_ms=500")]
    with hosts.net.caller_on(hosts.names.index("host4")) as call:  # beside the gateway on the other side
        asked += [call(hosts.ask_here, "PUT", "/keys/f?timeout_ms=500", b"1", "host3"),
                  call(hosts.ask_here, "GET", "/keys/a?timeout_ms=500", None, "host3")]  # fmt: skip
    assert [(status, json.loads(body)["definite"]) for status, body in asked] == [(504, False)] * 4  # nobody is told what was true once
    for name in here:
        subprocess.run([*hosts.prefix(name), BIN / "heal", *there], check=True)
    hosts.write("g")  # what waits is done, and nothing has to be begun again by hand
    assert hosts.ask("GET", "/keys/a")[1] == b"1"


@pytest.mark.parametrize("name", ["compose.yaml", "distraft.yaml"])
def test_a_compose_file_names_what_it_uses_and_its_commands_make_sense(name):
    """Its form was checked with `podman-compose config`; here is what that does not look at."""
    compose = yaml.safe_load((DEPLOY / name).read_text())
    for service in compose["services"].values():
        folders = {each.partition(":")[0] for each in service["volumes"]}
        assert folders <= compose["volumes"].keys()
        assert {*service.get("secrets", ())} <= compose.get("secrets", {}).keys()
        assert service["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}
        command, *words = service["command"]
        assert command in COMMANDS
        if command == "serve":
            text = (DEPLOY.parent / words[0]).read_text()
            assert [each for each in re.findall(r"/run/secrets/(\w+)", text) if each not in service["secrets"]] == []
        else:
            assert words[words.index("--host") + 1] == service["networks"]["hosts"]["ipv4_address"]


# -- which host gets which replica


def view(*present):
    found = HostView(["h0", "h1", "h2", "h3"])
    tell(found, *present)
    return found


def tell(found, *present, now_s=0.0):
    """These hosts are there, and on each lives a process of its own name."""
    found.told([(host, [f"h{host}:1/a"]) for host in present], [f"node {host}" for host in present], now_s)


def test_each_replica_has_a_host_of_its_own_and_of_the_first_configuration_it_is_the_first_that_are_there():
    assert view(3, 2, 1, 0).choice(3, 0) == (0, 1, 2)
    assert view(0, 2, 3).choice(3, 0) == (0, 2, 3)


def test_with_too_few_hosts_there_is_no_chain():
    assert view(0, 3).choice(3, 1) is None
    assert view(0, 3).choice(3, 1, {1: 2}) == (3, 2, 0)
    assert view(2, 3).choice(3, 1, {1: 2}) is None


def test_the_places_go_round_and_who_is_away_is_passed_over():
    assert [view(0, 1, 2, 3).choice(3, number) for number in range(5)] == [(0, 1, 2), (1, 2, 3), (2, 3, 0), (3, 0, 1), (0, 1, 2)]
    assert [view(0, 1, 3).choice(3, number) for number in range(4)] == [(0, 1, 3), (1, 3, 0), (3, 0, 1), (3, 0, 1)]


@given(st.integers(1, 3), st.integers(0, 2), st.integers(0, 1000), st.data())
def test_each_host_that_is_there_has_the_head_once_in_as_many_configurations_as_there_are_hosts_whoever_comes_and_goes(
    t, more, first, data
):
    count, hosts = 2 * t + 1, 2 * t + 1 + t + more
    coming_and_going = data.draw(st.sets(st.integers(0, hosts - 1), max_size=t))
    found = HostView([f"h{host}" for host in range(hosts)])
    heads = []
    for number in range(first, first + hosts):
        present = {*range(hosts)} - data.draw(st.sets(st.sampled_from(sorted(coming_and_going)))) if coming_and_going else range(hosts)
        tell(found, *present)
        chosen = found.choice(count, number)
        assert len(set(chosen)) == count
        heads.append(chosen[0])
    assert {*heads} >= {*range(hosts)} - coming_and_going


def test_a_host_that_has_a_fault_for_good_is_left_out_of_a_chain_of_which_there_is_a_spare_host():
    chains = [view(0, 1, 2, 3).choice(3, number) for number in range(7, 11)]
    assert all(any(faulty not in chain for chain in chains) for faulty in range(4))


def test_what_has_been_made_stays_where_it_is_also_when_its_host_is_away_again():
    assert view(1, 2, 3).choice(3, 0, {0: 0}) == (0, 1, 2)
    assert view(2, 3).choice(3, 5, {0: 0}) == (0, 2, 3)


def test_a_process_that_its_host_does_not_have_is_lost_once_that_had_the_time_to_say_so():
    found = view(1)
    assert not found.has_lost(1, "h1:1/a")
    assert found.has_lost(1, "h1:1/b")
    assert not found.has_lost(0, "h0:1/b")  # which is away, and may have it
    found.made(1, "h1:1/c", now_s=0.0)
    assert not found.has_lost(1, "h1:1/c")
    tell(found, 1, now_s=SETTLING_S + 1)
    assert found.has_lost(1, "h1:1/c")


def test_where_nothing_could_be_made_nothing_is_made_until_it_is_heard_of_again():
    found = view(0, 1, 2, 3)
    found.lost(0)
    assert (found.node_of(0), found.choice(3, 0)) == (None, (1, 2, 3))
    tell(found, 0, 1, 2, 3)
    assert found.node_of(0) == "node 0"


def test_replicas_that_go_on_from_their_disks_are_where_their_configuration_names_them():
    assert view().named(["h3:15000/5", "h0:15001/6", "elsewhere:1/7"]) == [3, 0, None]


def test_a_host_is_there_while_it_speaks_and_whom_it_has_had_before_is_not_heard():
    now = [100.0]
    book = HostBook(["h0", "h1"], lambda: now[0])
    assert book.present() == ()
    old = book.joined(0, "node")
    book.heard(old, ["h0:1/a"])
    assert (book.present(), book.missing(), book.news()) == ((0,), ["h1"], ([(0, ("h0:1/a",))], ("node",)))
    assert book.news() is None
    new = book.joined(0, "node again")
    book.heard(old, ["h0:1/a"])
    assert book.present() == ()
    book.heard(new, [])
    now[0] += HOST_LIMIT_S
    assert book.present() == (0,)
    now[0] += 0.1
    assert book.present() == ()


def test_a_host_whose_folder_is_of_another_service_gets_no_replica():
    book = HostBook(["h0"])
    steward = book.joined(0, "node")
    book.heard(steward, [])
    assert book.refused(steward, "of another service") == "h0"
    assert book.present() == ()


@pytest.mark.parametrize(
    ("addresses", "hosts", "are_here", "what"),
    [
        (["h0:1/a", "h1:1/b"], ["h0", "h1"], False, None),
        (["h0:1/a", "h9:1/b"], ["h0", "h1"], False, None),  # the one that is left is enough, or it is waited for
        (["localhost:1/a"], [], True, None),
        (["h0:1/a", "h1:1/b"], [], False, "are on h0, h1, and the file has no hosts"),
        (["localhost:1/a"], ["h0", "h1"], True, "are on localhost, and none of these is among hosts"),
        (["h0:1/a"], ["h1"], False, "are on h0, and none"),
    ],
)
def test_disks_that_are_elsewhere_than_the_file_says_are_told(addresses, hosts, are_here, what):
    problem = misplaced(addresses, hosts, are_here)
    assert problem is None if what is None else what in problem


# -- bad input


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("join = 10.98.0.1:4700\n", ""), "join = HOST:PORT"),
        (("cookie_file = service.cookie\n", ""), "cookie_file"),
        (("join = 10.98.0.1:4700", "join = 10.98.0.1"), "expected host:port"),
        (("join = 10.98.0.1:4700", "join = 0.0.0.0:4700"), r"own.config:3:.*join: expected where hosts find the service: its own IPv4 address"),
        (("join = 10.98.0.1:4700", "join = 0:4700"), "join: expected where hosts find the service"),
        (("join = 10.98.0.1:4700", "join = [::]:4700"), "join: expected where hosts find the service"),
        (("join = 10.98.0.1:4700", "join = [::1]:4700"), "join: expected where hosts find the service"),
        (("join = 10.98.0.1:4700", "join = a..b:4700"), "join: expected where hosts find the service"),
        (("join = 10.98.0.1:4700", "join = 10.98.0.1:0"), "join: expected where hosts find the service"),
        (("10.98.0.3", "a" * 64), "is no name for one: up to 63 letters"),
        (("; 10.98.0.3", ""), "3 replicas need a host each, and there are 2"),
        (("10.98.0.3", "10.98.0.1"), "each is named once"),
        (("hosts =", "durable = off\nhosts ="), "durable = on"),
        (("hosts = 10.98.0.1; 10.98.0.2; 10.98.0.3\n", ""), "are for a service with hosts"),
        (("hosts =", "replica_hosts = 0; 1; 2\nhosts ="), "a host of its own"),
        (("10.98.0.3", "service"), "'service' is no name for one"),
        (("10.98.0.3", "ä"), "'ä' is no name for one"),
        (("hosts =", "gateway[0] = 10.98.0.2:0\nhosts ="), "on another host it needs a port"),
        (("hosts =", "gateway[0] = 10.98.0.2:8080\ndistraft[0] = 127.0.0.1:5001\nhosts ="), "are one process, and so on one host"),
        (("hosts =", "zatt[0] = 10.98.0.2:9000\nhosts ="), "listens on this machine only"),
        (("hosts =", "gateway[0] = 10.98.0.9:8080\nhosts ="), "takes TLS and a token"),
    ],
)  # fmt: skip
def test_hosts_that_make_no_sense_are_told(tmp_path, change, what):
    (tmp_path / "service.cookie").write_text("c" * 64)
    (tmp_path / "service.cookie").chmod(0o600)
    assert parse_service(FILE, str(tmp_path / "own.config")).scenario.hosts == ("10.98.0.1", "10.98.0.2", "10.98.0.3")
    with pytest.raises(ScenarioError, match=what):
        parse_service(FILE.replace(*change), str(tmp_path / "own.config"))


def test_a_gateway_is_on_the_host_that_its_port_names_and_with_the_service_where_that_is_its_own(tmp_path):
    (tmp_path / "service.cookie").write_text("c" * 64)
    (tmp_path / "service.cookie").chmod(0o600)
    ports = "gateway[0] = 127.0.0.1:8080\ngateway[1] = 10.98.0.3:8080\nkeyvalue[0] = 127.0.0.1:6000\nkeyvalue[1] = 10.98.0.3:6000\n"
    service = parse_service(ports + FILE, str(tmp_path / "own.config"))
    assert [service.home_of(number) for number in range(2)] == [-1, 2]
    assert [str(each.address) for each in service.listeners_here] == ["127.0.0.1:8080", "127.0.0.1:6000"]
    for name in ("certificate", "key", "token"):
        (tmp_path / name).write_text("t" * 32)
        (tmp_path / name).chmod(0o600)
    own = "gateway[0] = 10.98.0.1:8080\ntls_certificate = certificate\ntls_key = key\ntoken_file = token\n"
    assert parse_service(own + FILE, str(tmp_path / "own.config")).home_of(0) == -1  # the host of `join` is that of the service


def keeping_of_hosts():
    """What is known of a service with two hosts, and a gateway with itself and on each of them."""
    ports = [Listener(HTTP, number, Address(host, 8080), f"gateway_{number}") for number, host in enumerate(["127.0.0.1", "h0", "h1"])]
    gateways = tuple(GatewaySettings(number, (), tuple(ports), {}, False) for number in range(3))
    return Keeping(ServiceLaunch("chain", Settings(t=1, num_clients=3), gateways, False, False, ("h0", "h1"), homes=(-1, 0, 1)))


def test_a_gateway_is_made_once_each_time_that_its_host_comes():
    keeping = keeping_of_hosts()
    assert (keeping.gateways_to_make(), keeping.gone) == ([], {1, 2})
    keeping.book.heard(keeping.book.joined(1, "node"), [])
    assert keeping.gateways_to_make() == [(2, 1)]
    keeping.gateway_made(2, "h1:1/a")
    keeping.see_gateways()
    assert (keeping.gateways_to_make(), keeping.gone) == ([], {1})
    keeping.book.heard(keeping.book.joined(1, "node again"), [])
    keeping.see_gateways()
    assert (keeping.gateways_to_make(), keeping.gone) == ([(2, 1)], {1, 2})


def test_a_gateway_that_takes_no_calls_on_its_host_is_gone_until_that_begins_again():
    keeping = keeping_of_hosts()
    keeping.book.heard(keeping.book.joined(1, "node"), [])
    keeping.gateway_made(2, "h1:1/a")
    keeping.gateway_failed(2)
    keeping.see_gateways()
    assert (keeping.gateways_to_make(), keeping.gone) == ([], {1, 2})
    assert not keeping.all_gone()


def test_a_gateway_on_a_host_takes_the_files_of_that_host_and_is_refused_without(monkeypatch):
    own = GatewaySettings(1, ((Listener(HTTP, 1, Address("h0", 0), "gateway_1"), -1),), (), {}, False, is_elsewhere=True)
    monkeypatch.delenv(GATEWAY_FILES_VARIABLE, raising=False)
    monkeypatch.setattr(common, "GlobalOptions", {"hostname": "192.0.2.1"})
    with pytest.raises(Unusable, match="takes TLS and a token: ./bcr node --tls-certificate"):
        opened_here(own)
    monkeypatch.setattr(common, "GlobalOptions", {"hostname": "127.0.0.1"})
    [(_, descriptor)] = opened_here(own).listeners
    with socket.socket(fileno=descriptor) as listening:
        port = listening.getsockname()[1]
        taken = msgspec.structs.replace(own, listeners=((Listener(HTTP, 1, Address("h0", port), "gateway_1"), -1),))
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: Address already in use"):
            opened_here(taken)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--tls-key", "key"], "--tls-certificate and --tls-key go together"),
        (["--token-file", "token"], "everybody on this machine may read"),
        (["--tls-certificate", "key", "--tls-key", "key"], "are no certificate in PEM with its key"),
    ],
)
def test_files_for_the_gateways_of_a_host_are_looked_at_before_anything_starts(tmp_path, monkeypatch, capsys, words, what):
    monkeypatch.chdir(tmp_path)
    for name in ("cookie", "key", "token"):
        Path(name).write_text("c" * 64)
    assert main(["node", "--join", "127.0.0.1:4700", "--host", "127.0.0.1", "--cookie-file", "cookie", "--data", "data", *words]) == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize("command", ["node", "serve"])
def test_help_is_given_where_what_a_service_needs_is_not_installed(command):
    hidden = "import sys; sys.modules.update(dict.fromkeys(['cryptography', 'starlette', 'uvicorn']))"
    asked = f"{hidden}; from bcr_tools.cli import main; sys.exit(main([{command!r}, '--help']))"
    answer = subprocess.run([sys.executable, "-P", "-c", asked], check=False, capture_output=True, text=True, timeout=LIMIT_S)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(f"usage: bcr {command}")


def test_a_laboratory_over_several_hosts_is_refused_with_the_reason_before_anything_starts(tmp_path, capsys):
    (tmp_path / "service.cookie").write_text("c" * 64)
    (tmp_path / "service.cookie").chmod(0o600)
    (tmp_path / "own.config").write_text(FILE)
    assert main(["serve", str(tmp_path / "own.config"), "--lab", "--data", str(tmp_path / "data")]) == 2
    assert "--lab: the processes of other hosts are not in the laboratory's hands" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_where_no_host_could_join_is_refused_before_anything_starts(tmp_path, capsys):
    (tmp_path / "service.cookie").write_text("c" * 64)
    (tmp_path / "service.cookie").chmod(0o600)
    (tmp_path / "own.config").write_text(FILE.replace("join = 10.98.0.1", "join = 0.0.0.0"))
    assert main(["serve", str(tmp_path / "own.config"), "--data", str(tmp_path / "data")]) == 2
    assert "own.config:3:1: error: join: expected where hosts find the service" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("at", ["[::1]:4700", "0.0.0.0:4700", "127.0.0.1:0", "a..b:4700"])
def test_a_node_that_could_join_nowhere_is_told_at_once(tmp_path, capsys, at):
    with pytest.raises(SystemExit) as ended:
        main(["node", "--join", at, "--host", "127.0.0.1", "--cookie-file", "cookie", "--data", str(tmp_path / "data")])
    assert ended.value.code == 2
    assert "argument --join: expected where hosts find the service" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a" * 64, "a b", "service"])
def test_a_node_with_a_name_that_no_service_file_could_have_is_told_at_once(tmp_path, capsys, name):
    (tmp_path / "cookie").write_text("c" * 64)
    given = ["--join", "127.0.0.1:4700", "--host", "127.0.0.1", "--cookie-file", str(tmp_path / "cookie"), "--data", str(tmp_path / "data")]
    assert main(["node", *given, "--name", name]) == 2
    assert "--name: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "cookie", "what"),
    [
        ("192.0.2.1", "c" * 64, "no address of this host"),
        ("127.0.0.1", "short", "a cookie is 32 to 80 bytes"),
        ("127.0.0.1", None, "no cookie"),
    ],
)
def test_a_node_that_cannot_be_is_told(tmp_path, capsys, host, cookie, what):
    file = tmp_path / "cookie"
    if cookie is not None:
        file.write_text(cookie)
    given = ["--join", "127.0.0.1:4700", "--host", host, "--cookie-file", str(file), "--data", str(tmp_path / "data")]
    assert main(["node", *given]) == 2
    assert what in capsys.readouterr().err
