"""Links between hosts are TLS: each end shows a certificate of its address, and nobody is heard without one."""

import datetime
import logging
import random
import socket
import ssl
import threading

import pytest
import trustme
from da.transport import base
from da.transport import manager as stock
from polling import until_within
from transports import COOKIE, LIMIT_S, Inbox

from dacurrent import handshake, tls, transport

HERE, THERE = "127.0.0.1", "127.0.0.2"
until = until_within(LIMIT_S)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def make(options, made, monkeypatch, tmp_path, authority):
    """Makes a running transport at an address, with the certificate that is given, or none."""
    options["message_buffer_size"] = 1 << 21

    def one(host, certificate, trusts=authority):
        monkeypatch.delenv(handshake.TLS_FOLDER_VARIABLE, raising=False)
        if certificate is not None:
            folder = keep(tmp_path / f"{host} {len(made)}", certificate, trusts)
            monkeypatch.setenv(handshake.TLS_FOLDER_VARIABLE, str(folder))
        each = transport.TcpTransport(COOKIE)
        each.initialize(port=0, hostname=host)
        each.target = (host, each.port)
        each.start(Inbox(), stock.SelectorLoop())
        made.append(each)
        return each

    return one


def keep(folder, certificate, authority):
    """The folder of a host with this certificate, who takes those of this authority."""
    folder.mkdir(exist_ok=True)
    certificate.private_key_pem.write_to_path(folder / tls.KEY)
    certificate.cert_chain_pems[0].write_to_path(folder / tls.CERTIFICATE)
    authority.cert_pem.write_to_path(folder / tls.AUTHORITY)
    return folder


def refusal(sender, receiver):
    """Why a message is not taken."""
    with pytest.raises(base.TransportException) as told:
        sender.links.connect(receiver.target, LIMIT_S)
    return str(told.value)


@pytest.mark.parametrize("size", [0, 1, 300, 4_096, 4_097, 16_384, 65_536, 70_000, 1_500_000])
def test_what_is_sent_between_two_hosts_arrives_whole_and_in_order(make, authority, size):
    here, there = make(HERE, authority.issue_cert(HERE)), make(THERE, authority.issue_cert(THERE))
    messages = [bytes([number]) * size for number in range(8)]
    for each in messages:
        here.send(each, there.target)
    assert [there.queue.take() for _ in messages] == messages
    there.send(b"back", here.target)
    assert here.queue.take() == b"back"


def test_many_short_messages_arrive_and_nothing_stays_behind_in_a_record(make, authority):
    here, there = make(HERE, authority.issue_cert(HERE)), make(THERE, authority.issue_cert(THERE))
    messages = [b"%d" % number for number in range(20_000)]
    for each in messages:
        here.send(each, there.target)
    assert [there.queue.take() for _ in messages] == messages


def test_nothing_is_said_to_another_host_before_tls_has_begun(make, authority):
    here = make(HERE, authority.issue_cert(HERE))
    with socket.create_server((THERE, 0)) as listening:
        here.send(b"secret", listening.getsockname())
        with listening.accept()[0] as heard:
            first = heard.recv(65_536)
    assert first[:3] == b"\x16\x03\x01"  # a record of a handshake
    assert handshake.MAGIC not in first


@pytest.mark.parametrize("who", ["sender", "receiver"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("another authority", "unable to get local issuer certificate"),
        ("expired", "certificate has expired"),
        ("another host", "its certificate is of 127.0.0.3, and not of 127.0.0.|IP address mismatch"),
    ],
)
def test_a_certificate_that_is_not_this_hosts_own_is_refused_with_one_line(make, authority, caplog, who, kind, words):
    host = HERE if who == "sender" else THERE
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    wrong = {
        "another authority": lambda: trustme.CA().issue_cert(host),
        "expired": lambda: authority.issue_cert(host, not_before=past - datetime.timedelta(days=1), not_after=past),
        "another host": lambda: authority.issue_cert("127.0.0.3"),
    }[kind]()
    here = make(HERE, wrong if who == "sender" else authority.issue_cert(HERE))
    there = make(THERE, wrong if who == "receiver" else authority.issue_cert(THERE))
    told = refusal(here, there)

    def lines():
        return [told, *(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)]

    until(lambda: any(word in line for line in lines() for word in words.split("|")))
    assert len(caplog.records) <= 1
    assert there.queue.empty()


def test_who_has_the_cookie_and_no_certificate_is_refused_with_one_line(make, authority, caplog):
    here, there = make(HERE, None), make(THERE, authority.issue_cert(THERE))
    with pytest.raises(base.TransportException):
        here.links.connect(there.target, 2.0)
    until(lambda: [record for record in caplog.records if record.name == "da.transport"])
    lines = [record.getMessage() for record in caplog.records if record.name == "da.transport"]
    assert "it does not speak TLS as this host does" in lines[0]
    assert there.queue.empty()


def test_who_speaks_tls_and_shows_no_certificate_is_refused_with_one_line(make, authority, caplog):
    there = make(THERE, authority.issue_cert(THERE))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with socket.create_connection(there.target, LIMIT_S) as plain, context.wrap_socket(plain, server_hostname=THERE) as speaking:
        speaking.settimeout(LIMIT_S)
        with pytest.raises(ssl.SSLError, match="certificate required|CERTIFICATE_REQUIRED"):
            speaking.recv(1)
    until(lambda: caplog.records)
    assert [record.getMessage().partition("closed: ")[2] for record in caplog.records] == ["it shows no certificate"]


def test_who_answers_with_more_than_a_hello_is_refused_at_once(make, authority, caplog):
    """TLS gives all of a record, however much of it is asked for."""
    here = make(HERE, authority.issue_cert(HERE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(THERE).configure_cert(context)
    with socket.create_server((THERE, 0)) as listening:

        def answer():
            with listening.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as speaking:
                speaking.sendall(bytes(handshake.HELLO_BYTES + 1))
                while speaking.recv(1 << 16):
                    pass

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(base.AuthenticationException, match="it does not speak this protocol"):
            here.links.connect(listening.getsockname(), LIMIT_S)
        answering.join(LIMIT_S)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_renewed_certificate_counts_from_the_next_connection_on(make, authority, tmp_path):
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    expired = authority.issue_cert(HERE, not_before=past - datetime.timedelta(days=1), not_after=past)
    here, there = make(HERE, expired), make(THERE, authority.issue_cert(THERE))
    refusal(here, there)
    keep(tmp_path / f"{HERE} 0", authority.issue_cert(HERE), authority)
    here.links.to(there.target).refusal = None  # a refusal is remembered for some seconds
    here.send(b"again", there.target)
    assert there.queue.take() == b"again"


def test_strangers_who_begin_no_tls_disturb_nobody(make, authority):
    here, there = make(HERE, authority.issue_cert(HERE)), make(THERE, authority.issue_cert(THERE))
    strangers = [socket.create_connection(there.target, LIMIT_S) for _ in range(20)]
    for each in strangers[:10]:
        each.sendall(b"\x16\x03\x01\x02\x00half of a hello")
    here.send(b"still there?", there.target)
    assert there.queue.take() == b"still there?"
    for each in strangers:
        each.close()


def test_whatever_strangers_send_in_place_of_tls_others_are_served(make, authority, caplog):
    here, there = make(HERE, authority.issue_cert(HERE)), make(THERE, authority.issue_cert(THERE))
    chance = random.Random(15)
    for number in range(300):
        beginning = chance.choice(
            [b"", b"\x16\x03\x01", b"\x16\x03\x03\x40\x00", b"\x15\x03\x01\x00\x02\x02\x28", b"GET / HTTP/1.1\r\n", handshake.MAGIC]
        )
        with socket.create_connection(there.target, LIMIT_S) as stranger:
            stranger.sendall(beginning + chance.randbytes(chance.choice([0, 1, 40, 2_000])))
        if number % 50 == 0:
            here.send(b"%d" % number, there.target)
            assert there.queue.take() == b"%d" % number
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert len(caplog.records) < 60


def test_without_certificates_in_the_environment_no_connection_is_tls(make):
    here, there = make(HERE, None), make(HERE, None)
    here.send(b"plain", there.target)
    assert there.queue.take() == b"plain"
    assert here.certificates is None
    assert not isinstance(here.links.to(there.target).sock, ssl.SSLSocket)
