"""The channel between processes: reliable, in order, authenticated, and bounded."""

import logging
import queue
import socket
import threading

import pytest
from da import common
from da.transport import base
from da.transport import manager as stock

from dacurrent import handshake, links, transport

COOKIE = b"cookie of the tests"
LIMIT_S = 20


class Inbox(queue.Queue):
    """Takes what a transport passes on."""

    def append(self, item):
        self.put(item)

    def take(self):
        _transport, data, _address = self.get(timeout=LIMIT_S)
        return data


@pytest.fixture
def make(monkeypatch):
    """Makes running transports, which end with the test."""
    made = []
    options = {"message_buffer_size": 1 << 20, "hostname": "127.0.0.1", "min_port": 10_000, "max_port": 60_000}
    monkeypatch.setattr(common, "GlobalOptions", options)

    def one(cookie=COOKIE, size=None, **params):
        options["message_buffer_size"] = size or 1 << 20
        each = transport.TcpTransport(cookie)
        each.initialize(**{"port": 0, **params})
        each.start(Inbox(), stock.SelectorLoop())
        each.target = (each.hostname, each.port)
        made.append(each)
        return each

    yield one
    for each in made:
        each.close()
        each.mesgloop.stop()


def exchange(sender, receiver, data=b"still there?"):
    sender.send(data, receiver.target)
    assert receiver.queue.take() == data


def stand_still(receiver):
    """Let `receiver` read nothing of what peers have connected to it; returns what lets it go on."""
    inbound = list(receiver._inbound)
    loop, is_still = receiver.mesgloop, threading.Event()

    def stop():
        for each in inbound:
            loop.forget(each.sock)
        is_still.set()

    def go_on():
        for each in inbound:
            loop.call(loop.watch, each.sock, lambda _events, each=each: receiver._read(each))

    loop.call(stop)
    assert is_still.wait(LIMIT_S)
    return go_on


def test_messages_of_any_size_arrive_whole_and_in_order(make):
    sender, receiver = make(), make()
    messages = [bytes([n % 256]) * size for n, size in enumerate([0, 1, 5, 100_000, 1 << 20, 3, 300_000, 0, 7] * 5)]
    for message in messages:
        sender.send(message, receiver.target)
    assert [receiver.queue.take() for _ in messages] == messages


def test_processes_that_connect_to_each_other_at_once_lose_nothing(make):
    for _ in range(20):
        pair = [make(), make()]
        barrier = threading.Barrier(2)

        def begin(own, other, barrier=barrier):
            barrier.wait(LIMIT_S)
            for number in range(3):
                own.send(b"%d" % number, other.target)

        threads = [threading.Thread(target=begin, args=each) for each in (pair, pair[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
        for each in pair:
            assert [each.queue.take() for _ in range(3)] == [b"0", b"1", b"2"]


def test_threads_that_send_to_one_receiver_do_not_mix_their_bytes(make):
    sender, receiver = make(), make()

    def send(letter):
        for size in range(0, 200_000, 5_000):
            sender.send(letter * size, receiver.target)

    threads = [threading.Thread(target=send, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    received = [receiver.queue.take() for _ in range(120)]
    for letter in (b"a", b"b", b"c"):
        assert [len(each) for each in received if each[:1] == letter] == list(range(5_000, 200_000, 5_000))
    for thread in threads:
        thread.join(LIMIT_S)


def test_a_receiver_that_stands_still_holds_up_neither_the_sender_nor_others_and_gets_all_in_the_end(make):
    sender, still, other = make(), make(), make()
    exchange(sender, still)
    go_on = stand_still(still)
    messages = [b"%d" % number + bytes(500_000) for number in range(40)]
    for message in messages:
        sender.send(message, still.target)
    exchange(sender, other)
    go_on()
    assert [still.queue.take() for _ in messages] == messages


def test_messages_for_a_receiver_that_never_moves_are_given_up_loudly(make, monkeypatch, caplog):
    monkeypatch.setattr(links, "OUTBOX_LIMIT_BYTES", 1 << 20)
    monkeypatch.setattr(links, "SEND_LIMIT_S", 0.2)
    sender, still = make(), make()
    exchange(sender, still)
    stand_still(still)
    with caplog.at_level(logging.ERROR, "da"), pytest.raises(base.TransportException, match="given up"):
        for _ in range(1_000):
            sender.send(bytes(1 << 20), still.target)
    assert "are lost" in caplog.text


def test_a_message_that_does_not_fit_names_the_option_and_the_size_it_needs(make):
    large, small = make(size=5_000), make(size=1_000)
    with pytest.raises(base.PacketSizeExceededException, match=r"--message-buffer-size is 5000 here.*5001"):
        large.send(bytes(5_001), small.target)
    with pytest.raises(base.PacketSizeExceededException, match=r"1000 at 127.0.0.1:\d+; .*--message-buffer-size 1001"):
        large.send(bytes(1_001), small.target)
    exchange(large, small, bytes(1_000))


def test_peers_with_other_sizes_are_told(make, caplog):
    with caplog.at_level(logging.WARNING, "da"):
        exchange(make(size=5_000), make(size=1_000))
    assert "--message-buffer-size is 5000 here and 1000 at" in caplog.text


def test_a_frame_beyond_the_limit_closes_the_connection_and_says_why(make, caplog):
    sender, receiver = make(), make()
    exchange(sender, receiver)
    link = sender.links.to(receiver.target)
    with caplog.at_level(logging.WARNING, "da"):
        link.sock.send((1 << 30).to_bytes(4, "big"))
        while link.sock is not None:
            pass
    assert "--message-buffer-size is 1048576 here" in caplog.text
    exchange(sender, receiver)


def test_another_cookie_is_told_to_both_sides(make, caplog):
    sender, receiver = make(cookie=b"one"), make(cookie=b"another")
    with caplog.at_level(logging.WARNING, "da"), pytest.raises(base.AuthenticationException, match="--cookie"):
        sender.send(b"secret", receiver.target)
    exchange(make(cookie=b"another"), receiver)
    assert receiver.queue.empty() and "it has another cookie" in caplog.text


def test_who_listens_proves_nothing_to_strangers(make):
    receiver = make()
    with socket.create_connection(receiver.target, LIMIT_S) as stranger:
        stranger.sendall(handshake.hello(1, 1))
        links.receive(stranger, handshake.HELLO_BYTES)
        stranger.sendall(bytes(handshake.PROOF_BYTES))
        assert links.receive(stranger, handshake.PROOF_BYTES) == handshake.REFUSED
        assert stranger.recv(1) == b""


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.0\r\n\r\n", handshake.MAGIC, handshake.hello(1, 1) + b"\0" * 40])
def test_a_strangers_connection_disturbs_nobody(make, data):
    sender, receiver = make(), make()
    with socket.create_connection(receiver.target, LIMIT_S) as stranger:
        stranger.sendall(data)
        exchange(sender, receiver)
    exchange(sender, receiver)


def test_strangers_cannot_take_all_places(make):
    sender, receiver = make(), make()
    strangers = [socket.create_connection(receiver.target, LIMIT_S) for _ in range(transport.PENDING_LIMIT + 5)]
    exchange(sender, receiver)
    strangers[0].settimeout(LIMIT_S)
    assert strangers[0].recv(1) == b""  # the oldest had to go
    assert receiver._pending <= transport.PENDING_LIMIT
    for each in strangers:
        each.close()


def test_a_silent_stranger_is_dropped_in_time(make, monkeypatch):
    monkeypatch.setattr(transport, "PENDING_LIMIT_S", 0.0)
    receiver = make()
    with socket.create_connection(receiver.target, LIMIT_S) as stranger:
        stranger.settimeout(LIMIT_S)
        assert stranger.recv(1) == b""


def test_a_handshake_in_single_bytes_is_a_handshake(make):
    receiver = make()
    with socket.create_connection(receiver.target, LIMIT_S) as peer:
        ours = handshake.hello(1, 1 << 20)
        for place in range(len(ours)):
            peer.sendall(ours[place : place + 1])
        theirs = links.receive(peer, handshake.HELLO_BYTES)
        rest = handshake.proof(COOKIE, b"sender", ours, theirs) + b"\0\0\0\2hi"
        for place in range(len(rest)):
            peer.sendall(rest[place : place + 1])
        answer = links.receive(peer, handshake.PROOF_BYTES)
        assert handshake.is_proof(answer, COOKIE, b"receiver", ours, theirs)
        assert receiver.queue.take() == b"hi"


def test_a_receiver_that_has_ended_is_told_and_another_at_its_port_is_found(make):
    sender, receiver = make(), make()
    exchange(sender, receiver)
    receiver.close()
    receiver.mesgloop.stop()
    with pytest.raises(base.TransportException, match="nobody answers"):
        while True:
            sender.send(b"hello?", receiver.target)
    again = make(port=receiver.port, strict=True)
    exchange(sender, again)


def test_what_waits_is_handed_over_before_the_end(make):
    sender, receiver = make(), make()
    messages = [bytes(1 << 20) for _ in range(20)]
    for message in messages:
        sender.send(message, receiver.target)
    sender.close()
    assert [len(receiver.queue.take()) for _ in messages] == [1 << 20] * 20


def test_a_socket_listens_before_its_process_runs(make, monkeypatch):
    make()
    early = transport.TcpTransport(COOKIE)
    early.initialize(port=0)
    socket.create_connection(("127.0.0.1", early.port), LIMIT_S).close()
    early.close()


def test_a_process_sends_from_the_address_that_it_is_known_by(make):
    sender, receiver = make(hostname="127.0.0.2"), make()
    sender.send(b"where from?", receiver.target)
    _transport, _data, address = receiver.queue.get(timeout=LIMIT_S)
    assert address == sender.target
    exchange(receiver, sender)


def test_a_port_that_is_taken_is_an_error_or_another_port_is_found(make):
    taken = make()
    with pytest.raises(base.BindingException, match=f"127.0.0.1:{taken.port}"):
        make(port=taken.port, strict=True)
    assert make(port=taken.port).port != taken.port


def test_what_a_gathering_thread_sends_goes_when_it_flushes(make):
    sender, receiver = make(), make()
    exchange(sender, receiver)
    sender.links.gather(threading.get_ident())
    sender.send(b"one", receiver.target)
    sender.send(b"two", receiver.target)
    assert sender.links.to(receiver.target).gathered
    sender.links.flush()
    assert [receiver.queue.take(), receiver.queue.take()] == [b"one", b"two"]


def test_much_that_is_gathered_goes_before_the_flush(make):
    sender, receiver = make(), make()
    sender.links.gather(threading.get_ident())
    for _ in range(3):
        sender.send(bytes(links.GATHER_LIMIT_BYTES // 2), receiver.target)
    assert receiver.queue.take() == bytes(links.GATHER_LIMIT_BYTES // 2)


def test_what_is_gathered_when_the_sender_ends_arrives(make):
    sender, receiver = make(), make()
    sender.links.gather(threading.get_ident())
    sender.send(b"last words", receiver.target)
    sender.close()
    assert receiver.queue.take() == b"last words"


def test_what_is_gathered_for_a_receiver_that_has_ended_is_told_in_the_log(make, caplog):
    sender, receiver = make(), make()
    exchange(sender, receiver)
    sender.links.gather(threading.get_ident())
    sender.send(b"too late", receiver.target)
    receiver.close()
    receiver.mesgloop.stop()
    link = sender.links.to(receiver.target)
    with link.room:
        sender.links._close(link, "the test")
    with caplog.at_level(logging.WARNING, "da.transport"):
        sender.links.flush()
    assert "are not sent" in caplog.text
