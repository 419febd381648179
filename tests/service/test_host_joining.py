"""How hosts join a service and get certificates: who has the cookie, under a name of the service's file, and always with the same key."""

import contextlib
import errno
import os
import socket
import ssl
import stat
import struct
import subprocess
import sys
import threading
import types

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from polling import until_within

from bcr.chain.settings import Settings
from bcr_runtime.host_certificates import AUTHORITY, CERTIFICATE, KEY
from bcr_service import certificates, host_joining
from bcr_service.access import Unusable
from bcr_service.certificates import VALID_DAYS, Authority, CertificateRequest, HostFolder, NoCertificate
from bcr_service.host_joining import JoiningDesk, JoinRequest, NotJoined, join
from bcr_service.hosting import JOINED, HostBook, HostView, known_hosts, misplaced, names_of_addresses, places_of, view_of
from bcr_service.keeper import Keeping, ServiceLaunch
from bcr_service.serve import Meeting
from bcr_service.service_files import Address, join_address_in
from bcr_tools.cli import main

COOKIE = b"c" * 64
HOSTS = ("alpha", "10.0.0.2")
LIMIT_S = 20
until = until_within(LIMIT_S)
# A key of prime239v1 in DER, as far as anybody looks at it.
OF_ANOTHER_CURVE = bytes.fromhex("3055 3013 0607 2a8648ce3d0201 0608 2a8648ce3d030104 033e 0004") + bytes(60)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority", HOSTS)


@pytest.fixture
def desk(authority):
    """A desk where hosts join; `told` are its lines."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        told = []
        made = JoiningDesk(listening, COOKIE, authority, lambda _, line: told.append(line))
        made.told = told
        made.at = Address(*listening.getsockname())
        made.port = 4701
        made.start()
        yield made
        listening.shutdown(socket.SHUT_RDWR)


def issue(authority, host, address, folder):
    """What the host of this folder gets when it asks, at this address, for a certificate of this name."""
    return authority.issue(host, address, folder.request(host, address))


def certificate_in(folder):
    return x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())


def test_a_host_that_joins_has_a_certificate_of_its_name_address_and_key_and_is_told_where_the_service_is(desk, tmp_path):
    folder = HostFolder(tmp_path / "host")
    assert join(desk.at, "alpha", "127.0.0.1", COOKIE, folder).port == 4701
    found = certificate_in(folder.folder)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert (names.get_values_for_type(x509.DNSName), [str(each) for each in names.get_values_for_type(x509.IPAddress)]) == (
        ["alpha"],
        ["127.0.0.1"],
    )
    assert found.public_key() == folder.public_key
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days == VALID_DAYS
    found.verify_directly_issued_by(x509.load_pem_x509_certificate((folder.folder / AUTHORITY).read_bytes()))
    assert desk.told == []


def test_keys_are_for_their_owner_alone_and_others_are_not_used(tmp_path, authority):
    folder = HostFolder(tmp_path / "host")
    for path in (folder.folder / KEY, tmp_path / "authority" / KEY):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700
    (folder.folder / KEY).chmod(0o640)
    with pytest.raises(Unusable, match="chmod 600"):
        HostFolder(tmp_path / "host")


def test_a_host_may_come_again_at_another_address_with_its_key(authority, tmp_path):
    issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))
    issue(authority, "alpha", "10.0.0.9", HostFolder(tmp_path / "host"))
    assert names_of_addresses(str(tmp_path)) == {"10.0.0.7": "alpha", "10.0.0.9": "alpha"}
    issue(authority, "10.0.0.2", "10.0.0.7", HostFolder(tmp_path / "other"))  # who has an address now, has it
    assert names_of_addresses(str(tmp_path)) == {"10.0.0.7": "10.0.0.2", "10.0.0.9": "alpha"}


def test_replicas_on_disks_are_found_where_their_host_is_called_whatever_address_it_had(authority, tmp_path):
    issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))
    view = view_of(places_of(HOSTS, str(tmp_path)))
    assert view.named(["10.0.0.7:1/a", "10.0.0.2:1/b", "10.0.0.8:1/c"]) == [0, 1, None]
    assert misplaced(["10.0.0.7:1/a"], HOSTS, are_here=False, names_by_address=names_of_addresses(str(tmp_path))) is None
    assert misplaced(["10.0.0.8:1/a"], HOSTS, are_here=False) is not None
    assert HostView(HOSTS).named(["10.0.0.7:1/a"]) == [None]


class Node(msgspec.Struct, frozen=True):
    """As much of the id of a node as is looked at."""

    hostname: str


def test_the_status_has_the_replica_of_a_host_by_where_it_is_now():
    book = HostBook(HOSTS)
    book.heard(book.joined(0, Node("10.0.0.7")), [])
    found = [{name: value for name, value in each.items() if name != "present"} for each in book.status({"10.0.0.7": 1, "10.0.0.2": 0})]
    assert found == [{"host": "alpha", "address": "10.0.0.7", "replica": 1}, {"host": "10.0.0.2", "address": "10.0.0.2", "replica": 0}]


def test_nobody_takes_the_name_of_a_host_that_has_joined_whoever_has_the_cookie(desk, tmp_path):
    join(desk.at, "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host"))
    with pytest.raises(NotJoined, match="alpha has joined with another key before"):
        join(desk.at, "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "another"))
    assert [line.partition("; ")[0] for line in desk.told] == ["127.0.0.1 does not join: alpha has joined with another key before"]
    assert not (tmp_path / "another" / CERTIFICATE).exists()


def test_a_node_with_the_name_of_another_host_is_none_of_the_services(authority, tmp_path, capsys):
    issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))
    settings = Settings(t=1, num_clients=1, data_folder=str(tmp_path))
    keeping = Keeping(ServiceLaunch("chain", settings, (), False, False, HOSTS))
    rightful, liar = Node("10.0.0.7"), Node("10.0.0.8")
    assert keeping.is_of("alpha", rightful)
    assert not keeping.is_of("alpha", liar)
    assert not keeping.is_of("alpha", liar)
    assert capsys.readouterr().err == "bcr serve: alpha: a node at 10.0.0.8 has its name, which is not at that address\n"


def test_an_authority_that_begins_again_is_the_same_one_and_knows_who_has_joined(authority, tmp_path):
    issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))
    again = Authority(tmp_path / "authority", HOSTS)
    assert again.certificate == authority.certificate
    with pytest.raises(NoCertificate, match="another key"):
        issue(again, "alpha", "10.0.0.7", HostFolder(tmp_path / "another"))


@pytest.mark.parametrize(
    ("host", "address", "cookie", "why"),
    [
        ("beta", "127.0.0.1", COOKIE, "beta is none of the hosts that the service's file names"),
        ("alpha", "127.0.0.1", b"d" * 64, "has another cookie, or is no service that hosts join"),
    ],
)
def test_who_may_not_join_is_told_why_in_one_line(desk, tmp_path, host, address, cookie, why):
    folder = HostFolder(tmp_path / "host")
    with pytest.raises(NotJoined, match=why) as told:
        join(desk.at, host, address, cookie, folder)
    assert told.value.is_there
    assert len(desk.told) == 1
    assert not (folder.folder / CERTIFICATE).exists()


def test_an_address_is_that_of_who_asks_and_no_other(desk, monkeypatch, tmp_path):
    """Else a host could ask for a certificate with which it passes for another."""
    monkeypatch.setattr(host_joining, "_connected", lambda *_: connected(desk.at))
    with pytest.raises(NotJoined, match=r"says that it is at 127\.0\.0\.9, and comes from 127\.0\.0\.1"):
        join(desk.at, "alpha", "127.0.0.9", COOKIE, HostFolder(tmp_path / "host"))


def connected(at):
    made = socket.socket()
    made.connect((at.host, at.port))
    return made


def key_in_pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


NO_KEYS = {
    "empty": lambda: "",
    "nonsense": lambda: "nonsense",
    "of RSA": lambda: key_in_pem(rsa.generate_private_key(65_537, 2_048).public_key()),
    "of a larger curve": lambda: key_in_pem(ec.generate_private_key(ec.SECP384R1()).public_key()),
    "of a curve that nobody knows": lambda: ssl.DER_cert_to_PEM_cert(OF_ANOTHER_CURVE).replace("CERTIFICATE", "PUBLIC KEY"),
}


@pytest.mark.parametrize("kind", NO_KEYS)
def test_what_is_no_request_for_such_a_key_is_refused(authority, kind):
    with pytest.raises(NoCertificate, match="what alpha asks for is"):
        authority.issue("alpha", "10.0.0.7", CertificateRequest(NO_KEYS[kind](), 1, b""))


def test_whoever_repeats_what_a_host_has_said_gets_nothing_at_whatever_address(authority, tmp_path):
    """The other host has the cookie, and has heard all that alpha has said when it joined."""
    alpha, other = HostFolder(tmp_path / "host"), HostFolder(tmp_path / "other")
    said = alpha.request("alpha", "10.0.0.7")
    authority.issue("alpha", "10.0.0.7", said)
    issue(authority, "10.0.0.2", "10.0.0.8", other)
    for host, address in (("alpha", "10.0.0.8"), ("10.0.0.2", "10.0.0.7")):
        with pytest.raises(NoCertificate, match="is not signed for this name and this address|another key"):
            authority.issue(host, address, said)
    later = msgspec.structs.replace(said, number=said.number + 1)
    with pytest.raises(NoCertificate, match="is not signed for this name and this address"):
        authority.issue("alpha", "10.0.0.7", later)
    issue(authority, "alpha", "10.0.0.9", alpha)
    issue(authority, "10.0.0.2", "10.0.0.7", other)  # to whom the network has given the address that alpha had
    for asked in (authority, Authority(tmp_path / "authority", HOSTS)):
        with pytest.raises(NoCertificate, match="alpha has asked for this before, or for something later"):
            asked.issue("alpha", "10.0.0.7", said)
    assert names_of_addresses(str(tmp_path)) == {"10.0.0.9": "alpha", "10.0.0.8": "10.0.0.2", "10.0.0.7": "10.0.0.2"}
    keeping = Keeping(ServiceLaunch("chain", Settings(t=1, num_clients=1, data_folder=str(tmp_path)), (), False, False, HOSTS))
    assert [keeping.is_of("alpha", Node(f"10.0.0.{number}")) for number in (7, 8, 9)] == [False, False, True]


def test_what_a_host_has_said_when_it_joined_lets_nobody_join_who_sends_it_again(desk, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard = []

        def listen():
            with listening.accept()[0] as connection, connection.makefile("rb") as said:
                heard.append(said.readline())

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises(NotJoined):
            join(Address(*listening.getsockname()), "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host"))
        thread.join(LIMIT_S)
    answers = []
    for _ in range(2):
        with connected(desk.at) as connection, connection.makefile("rb") as said:
            connection.sendall(heard[0])
            answers.append(said.readline())
    assert [b"has asked for this before" in each for each in answers] == [False, True]


def test_a_host_whose_clock_is_set_back_joins_all_the_same(authority, tmp_path, monkeypatch):
    issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))
    monkeypatch.setattr(certificates.time, "time_ns", lambda: 1)
    issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))
    issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))


def test_a_host_whose_joining_could_not_be_written_down_has_not_joined(authority, tmp_path, monkeypatch):
    """And when there is room again it joins, so that nobody else takes its name."""
    write = certificates._write

    def full(path, content):
        if path.parent == tmp_path / "authority":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    monkeypatch.setattr(certificates, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))
    monkeypatch.setattr(certificates, "_write", write)
    issue(authority, "alpha", "10.0.0.7", HostFolder(tmp_path / "host"))
    assert names_of_addresses(str(tmp_path)) == {"10.0.0.7": "alpha"}
    with pytest.raises(NoCertificate, match="another key"):
        issue(Authority(tmp_path / "authority", HOSTS), "alpha", "10.0.0.7", HostFolder(tmp_path / "another"))


def test_strangers_who_say_nothing_or_nonsense_keep_nobody_from_joining(desk, tmp_path):
    strangers = [connected(desk.at) for _ in range(host_joining.MOST_GUESTS + 10)]
    try:
        for each in strangers[::2]:
            each.sendall(b"x" * 1_000)
        assert join(desk.at, "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host")).port == 4701
    finally:
        for each in strangers:
            each.close()


@pytest.mark.parametrize("content", [b'{"host": "\xff"}', b"[" * 10_000, b"{"])
def test_what_who_has_the_cookie_says_and_is_no_request_is_answered_by_nothing(desk, content):
    with socket.create_connection((desk.at.host, desk.at.port), LIMIT_S) as connection:
        connection.sendall(host_joining._coded(COOKIE, host_joining._ASKING, content))
        assert connection.recv(1) == b""
    until(lambda: desk.told)  # that it was refused, by a thread that did not fail


def test_strangers_who_speak_slowly_have_no_more_time_than_others(desk, monkeypatch):
    monkeypatch.setattr(host_joining, "LIMIT_S", 0.5)
    with connected(desk.at) as stranger:
        until(lambda: has_ended(stranger, b"x"))


def test_a_service_that_answers_slowly_holds_up_nobody_for_longer(monkeypatch, tmp_path):
    monkeypatch.setattr(host_joining, "LIMIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            with listening.accept()[0] as connection:
                until(lambda: has_ended(connection, b"x"))

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(NotJoined, match="did not answer: timed out") as told:
            join(Address(*listening.getsockname()), "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host"))
        answering.join(LIMIT_S)
    assert told.value.is_there


def has_ended(connection, data):
    """Whether the other end takes no more of this: it has closed the connection."""
    try:
        connection.sendall(data)
    except ConnectionError:
        return True
    return False


def test_a_desk_that_cannot_accept_for_a_moment_goes_on_and_says_why(desk, monkeypatch, tmp_path):
    monkeypatch.setattr(host_joining, "PAUSE_S", 0.01)
    scarce = Scarce(desk._listening)
    desk._listening = scarce
    connected(desk.at).close()  # for which the desk has waited at the socket itself
    until(lambda: not scarce.errors)
    assert join(desk.at, "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host")).port == 4701
    assert desk.told == ["no host can join just now: Too many open files", "no host can join just now: Cannot allocate memory"]


class Scarce:
    """A listening socket that has no room for a connection twice."""

    def __init__(self, listening):
        self._listening = listening
        self.errors = [errno.EMFILE, errno.ENOMEM]

    def accept(self):
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return self._listening.accept()


def test_a_desk_that_can_have_no_thread_for_a_moment_goes_on_and_says_why(desk, monkeypatch, tmp_path):
    before = host_joining.threading

    class Threads:
        def Thread(self, **options):  # noqa: N802 - the name of the class that this stands for
            monkeypatch.setattr(host_joining, "threading", before)
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(host_joining, "threading", Threads())
    with connected(desk.at) as refused:
        refused.settimeout(LIMIT_S)
        assert refused.recv(1) == b""
    assert join(desk.at, "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host")).port == 4701
    assert desk.told == ["127.0.0.1 cannot join just now: can't start new thread"]
    assert len(desk._guests) <= 1


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.EINVAL, "Invalid argument"), "no way leads there from that address: --host is the one at which the service finds"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "--host is an address that this host has now"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "--join is an IPv4 address, or a name that has one here"),
        (OSError(errno.EACCES, "Permission denied"), "no connection from 127.0.0.1 to beta:4700: Permission denied$"),
    ],
)
def test_what_may_never_pass_is_told_with_what_would_be_right(monkeypatch, tmp_path, error, what):
    with pytest.raises(NotJoined, match=what) as told:
        join_where_connecting_fails(monkeypatch, tmp_path, error)
    assert told.value.is_there


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_what_passes_when_the_service_is_there_is_no_news(monkeypatch, tmp_path, number):
    with pytest.raises(NotJoined, match="nobody answers at beta:4700") as told:
        join_where_connecting_fails(monkeypatch, tmp_path, OSError(number, os.strerror(number)))
    assert not told.value.is_there


def join_where_connecting_fails(monkeypatch, folder, error):
    class Failing(socket.socket):
        def connect(self, address):
            raise error

    monkeypatch.setattr(host_joining, "socket", types.SimpleNamespace(**{**vars(socket), "socket": Failing}))
    join(join_address_in("beta:4700"), "alpha", "127.0.0.1", COOKIE, HostFolder(folder / "host"))


def test_who_breaks_off_an_exchange_is_not_said_to_have_another_cookie(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def reset():
            connection, _ = listening.accept()
            connection.recv(1)  # so that it has been connected
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        with pytest.raises(NotJoined, match="did not answer: (Connection reset by peer|Broken pipe)"):
            join(Address(*listening.getsockname()), "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host"))
        thread.join(LIMIT_S)


def test_where_nobody_is_there_yet_is_told_from_who_refuses(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        at = Address(*listening.getsockname())
    with pytest.raises(NotJoined) as told:
        join(at, "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host"))
    assert not told.value.is_there


def test_on_this_machine_alone_the_cookie_is_enough_and_there_are_no_certificates(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = JoiningDesk(listening, COOKIE, None, lambda *_: None)
        made.port = 4701
        made.start()
        joined = join(Address(*listening.getsockname()), "alpha", "127.0.0.1", COOKIE, HostFolder(tmp_path / "host"))
        listening.shutdown(socket.SHUT_RDWR)
    assert (joined.port, joined.certificate) == (4701, "")
    assert not (tmp_path / "host" / CERTIFICATE).exists()


def test_what_the_authority_issues_is_what_tls_asks_for(authority, tmp_path):
    """Both sides by the rules of `ssl`, as links use it."""
    folders = [HostFolder(tmp_path / name) for name in ("one", "two")]
    for folder, host in zip(folders, HOSTS, strict=True):
        folder.take(issue(authority, host, "127.0.0.1", folder), authority.certificate)
    contexts = [ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)]
    for context, folder in zip(contexts, folders, strict=True):
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(folder.folder / CERTIFICATE, folder.folder / KEY)
        context.load_verify_locations(folder.folder / AUTHORITY)
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    server = contexts[0].wrap_bio(pipes[0], pipes[1], server_side=True)
    client = contexts[1].wrap_bio(pipes[1], pipes[0], server_hostname="127.0.0.1")
    for each in (client, server, client):
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            pass
    server.do_handshake()
    assert dict(next(iter(server.getpeercert()["subject"])))["commonName"] == "10.0.0.2"


def test_lines_that_strangers_provoke_hide_none_of_the_others(tmp_path, capsys):
    """They are without end, and what is told of hosts and of the service's own certificate is told all the same."""
    (tmp_path / "cookie").write_bytes(COOKIE)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        meeting = Meeting(Address("127.0.0.1", 0), tmp_path, HOSTS, str(tmp_path / "cookie"), listening)
        meeting.begin()
        try:
            at = Address(*listening.getsockname())
            for _ in range(150):
                with pytest.raises(NotJoined, match="another cookie"):
                    join(at, "alpha", "127.0.0.1", b"d" * 64, HostFolder(tmp_path / "host"))
            with connected(at) as liar, liar.makefile("rb") as said:
                folder = HostFolder(tmp_path / "host")
                asked = JoinRequest("alpha", "10.0.0.7", folder.request("alpha", "10.0.0.7"))
                liar.sendall(host_joining._coded(COOKIE, host_joining._ASKING, msgspec.json.encode(asked)))
                assert b"says that it is at 10.0.0.7" in said.readline()
        finally:
            listening.shutdown(socket.SHUT_RDWR)
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("bcr serve: 127.0.0.1 does not join: it has another cookie") < 50
    assert "bcr serve: 127.0.0.1 does not join: alpha says that it is at 10.0.0.7, and comes from 127.0.0.1" in lines


def test_a_node_says_once_why_it_does_not_join_and_ends_when_it_is_asked_to(desk, tmp_path):
    (tmp_path / "cookie").write_bytes(b"d" * 64)
    given = ["--join", str(desk.at), "--host", "127.0.0.1", "--name", "alpha", "--cookie-file", "cookie", "--data", "data"]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "bcr_tools.cli", "node", *given],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as node:
        line = node.stderr.readline()
        while len(desk.told) < 3:  # it asks again and again
            assert node.poll() is None
        node.terminate()
        assert node.wait(LIMIT_S) == 0
        assert line == f"bcr node: who is at {desk.at} has another cookie, or is no service that hosts join\n"
        assert node.stderr.read() == ""


@contextlib.contextmanager
def node_at(desk, folder, **constants):
    """A node of alpha that joins there, with these numbers in place of the program's; what it says is in `errors`."""
    changed = "".join(f"node.{name} = {value}; " for name, value in constants.items())
    program = f"import sys; from bcr_service import node; {changed}sys.exit(node.main(sys.argv[1:]))"
    (folder / "cookie").write_bytes(COOKIE)
    given = ["--join", str(desk.at), "--host", "127.0.0.1", "--name", "alpha", "--cookie-file", "cookie", "--data", "data"]
    with (
        open(folder / "errors", "wb") as errors,
        subprocess.Popen([sys.executable, "-P", "-c", program, *given], cwd=folder, stdout=subprocess.DEVNULL, stderr=errors) as node,
    ):
        try:
            yield (folder / "errors").read_text
        finally:
            node.terminate()
            node.wait(LIMIT_S)


def test_a_node_that_the_service_begins_no_work_on_says_so_and_joins_anew(desk, tmp_path):
    """As where the service has ended behind its answer, and begun again at another port."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        desk.port = deaf.getsockname()[1]
        with node_at(desk, tmp_path, EMPLOYMENT_LIMIT_S=1) as said:
            until(lambda: "alpha" in known_hosts(tmp_path / "authority" / JOINED))
            before = known_hosts(tmp_path / "authority" / JOINED)["alpha"].number
            until(lambda: known_hosts(tmp_path / "authority" / JOINED)["alpha"].number > before)
            assert f"the service at {desk.at} has begun no work here within 1 s; it is joined anew" in said()


def test_a_node_whose_certificate_is_not_renewed_says_so(desk, tmp_path):
    with node_at(desk, tmp_path, RENEWAL_S=0.1) as said:
        until((tmp_path / "data" / "tls" / CERTIFICATE).exists)  # it has joined
        desk._cookie = b"d" * 64
        until(lambda: "bcr node: the certificate of alpha is not renewed, and asked for again tomorrow: who is at" in said())


def test_a_node_whose_key_others_may_read_is_refused_before_anything_starts(tmp_path, capsys):
    (tmp_path / "cookie").write_bytes(COOKIE)
    HostFolder(tmp_path / "data" / "tls")
    (tmp_path / "data" / "tls" / KEY).chmod(0o644)
    given = ["--join", "127.0.0.1:4700", "--host", "127.0.0.1", "--cookie-file", str(tmp_path / "cookie"), "--data", str(tmp_path / "data")]
    assert main(["node", *given]) == 2
    assert "others on this machine may use this key" in capsys.readouterr().err
