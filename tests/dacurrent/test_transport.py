"""The channel between processes: reliable, in order, authenticated, and bounded."""

import contextlib
import logging
import socket
import threading
import time

import pytest
from da.transport import base
from da.transport import manager as stock
from transports import COOKIE, LIMIT_S, Inbox

from dacurrent import frames, handshake, link, links, logfiles, sockets, transport


@pytest.fixture
def make(options, made):
    """Makes running transports."""

    def one(cookie=COOKIE, size=None, is_awake=True, **params):
        options["message_buffer_size"] = size or 1 << 20
        each = transport.TcpTransport(cookie)
        each.initialize(**{"port": 0, **params})
        each.target = (each.hostname, each.port)
        each.wake = lambda: each.start(Inbox(), stock.SelectorLoop())
        if is_awake:
            each.wake()
        made.append(each)
        return each

    return one


def receive(connection, count):
    """Exactly `count` bytes from a blocking socket."""
    deadline_s = time.monotonic() + LIMIT_S
    data = b""
    while len(data) < count:
        connection.settimeout(max(0.001, deadline_s - time.monotonic()))
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionResetError("the connection was closed during the handshake")
        data += more
    return data


def exchange(sender, receiver, data=b"still there?"):
    sender.send(data, receiver.target)
    assert receiver.queue.take() == data


class Peer:
    """The sender's side of a connection, by hand: `own` is the address that it says it has."""

    def __init__(self, receiver, own=("127.0.0.1", 1), cookie=COOKIE, target=None):
        self.sock = socket.create_connection(receiver.target, LIMIT_S)
        self.cookie = cookie
        self.identity = handshake.Identity()
        self.hello = handshake.Hello(own, target or receiver.target, self.identity.public, 1 << 20).encode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def greet(self, send=None):
        (send or self.sock.sendall)(self.hello)
        theirs = receive(self.sock, handshake.HELLO_BYTES)
        self.greeting = handshake.greeting_of(self.cookie, self.hello, theirs)
        (send or self.sock.sendall)(handshake.proof(self.greeting, b"sender"))
        self.key = handshake.connection_key(self.greeting, self.shared_with(handshake.Hello.decode(theirs).identity))
        self.seal = handshake.Seal(self.key)
        return receive(self.sock, handshake.PROOF_BYTES)

    def shared_with(self, identity):
        return self.identity.shared_with(identity)

    def frame(self, *messages):
        body = b"".join(frames.FRAME.pack(len(each)) + each for each in messages)
        return frames.FRAME.pack(len(body)) + self.seal.close(body)

    def is_thrown_out(self):
        self.sock.settimeout(LIMIT_S)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


class Wire:
    """Somebody between two processes: listens, and passes bytes on to `receiver` by a function of the test's."""

    def __init__(self, alter):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = self.listener.getsockname()
        self._alter = alter

    def run_to(self, receiver):
        self.inner, _ = self.listener.accept()
        self.listener.close()
        self.outer = socket.create_connection(receiver.target, LIMIT_S)
        for source, sink, alter in ((self.inner, self.outer, self._alter), (self.outer, self.inner, None)):
            threading.Thread(target=self._pass_on, args=(source, sink, alter), daemon=True).start()

    def _pass_on(self, source, sink, alter):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(alter(data) if alter else data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        for each in (self.inner, self.outer):
            each.close()


def await_that(condition):
    """Until it holds, or the time limit."""
    deadline_s = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return condition()


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


def test_what_does_not_fit_into_the_queue_of_a_receiver_that_never_moves_is_refused_told_once_and_counted(make, monkeypatch, caplog):
    monkeypatch.setattr(link, "QUEUE_LIMIT_BYTES", 10 << 20)
    sender, still = make(), make()
    exchange(sender, still)
    go_on = stand_still(still)
    taken, refused, longest_s = 0, 0, []
    with caplog.at_level(logging.ERROR, "da"):
        for number in range(60):
            began_s = time.monotonic()
            try:
                sender.send(bytes(1_000_000) + b"%d" % number, still.target)
                taken += 1
            except base.TransportException as error:
                assert "is full" in str(error)
                refused += 1
            longest_s.append(time.monotonic() - began_s)
        assert refused > 20 and sum(longest_s) < 2 * links.ROOM_LIMIT_S, (refused, longest_s)
        assert caplog.text.count("takes nothing") == 1
        go_on()
        assert [still.queue.take()[1_000_000:] for _ in range(taken)] == [b"%d" % each for each in range(taken)]
        exchange(sender, still)
        assert await_that(lambda: f"{refused} messages to it have fallen out" in caplog.text), caplog.text


def test_of_a_peer_that_sends_without_end_so_much_is_read_and_others_are_read_all_the_same(make, monkeypatch):
    monkeypatch.setattr(transport, "PEER_LIMIT_BYTES", 1 << 20)
    sender, other, slow = make(), make(), make()
    for number in range(400):
        sender.send(bytes(100_000) + b"%d" % number, slow.target)
    [inbound] = list(slow._inbound) or [None]
    assert await_that(lambda: inbound.untaken_bytes > 1 << 20)
    other.send(b"short", slow.target)
    assert await_that(lambda: slow._passed_on > 5 and len(slow._inbound) == 2)
    assert slow._untaken_bytes < 2 << 20
    numbers = [slow.queue.take()[100_000:] for _ in range(401)]
    assert sorted(numbers) == sorted([b"", *(b"%d" % number for number in range(400))])
    assert numbers.index(b"") < 50


def test_a_queue_is_bounded_in_messages_too(make, monkeypatch):
    monkeypatch.setattr(link, "SILENT_LIMIT_MESSAGES", 100)
    sender = make()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for _ in range(100):
            sender.send(b"", silent.getsockname())
        time.sleep(links.ROOM_LIMIT_S)
        with pytest.raises(base.TransportException, match="is full"):
            sender.send(b"", silent.getsockname())


def test_a_message_that_does_not_fit_names_the_option_and_the_size_it_needs(make):
    large, small = make(size=5_000), make(size=1_000)
    large.links.connect(small.target)
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
        assert await_that(lambda: link.sock is None)
    assert "--message-buffer-size is 1048576 here" in caplog.text
    exchange(sender, receiver)


def test_a_message_that_was_taken_before_the_other_s_limit_was_known_is_told_in_the_log(make, caplog):
    large, small = make(size=5_000), make(size=1_000)
    with caplog.at_level(logging.ERROR, "da"):
        large.send(bytes(1_001), small.target)
        exchange(large, small)
    assert "A message is lost" in caplog.text and "--message-buffer-size 1001" in caplog.text


def test_another_cookie_is_told_to_both_sides(make, caplog):
    sender, receiver = make(cookie=b"one"), make(cookie=b"another")
    with caplog.at_level(logging.WARNING, "da"):
        sender.send(b"secret", receiver.target)
        with pytest.raises(base.AuthenticationException, match="--cookie"):
            sender.links.connect(receiver.target)
        with pytest.raises(base.AuthenticationException, match="--cookie"):
            sender.send(b"secret", receiver.target)
    exchange(make(cookie=b"another"), receiver)
    assert receiver.queue.empty() and "it has another cookie" in caplog.text
    assert "1 messages to 127.0.0.1" in caplog.text


def test_who_listens_proves_nothing_to_strangers(make):
    receiver = make()
    with Peer(receiver, cookie=b"guessed") as stranger:
        assert stranger.greet() == handshake.REFUSED
        assert stranger.is_thrown_out()


STRANGERS = [b"", b"GET / HTTP/1.0\r\n\r\n", handshake.MAGIC, handshake.MAGIC + bytes(handshake.HELLO_BYTES + 40)]


@pytest.mark.parametrize("data", STRANGERS)
def test_a_strangers_connection_disturbs_nobody(make, data):
    sender, receiver = make(), make()
    with socket.create_connection(receiver.target, LIMIT_S) as stranger:
        stranger.sendall(data)
        exchange(sender, receiver)
    exchange(sender, receiver)


def test_who_begins_with_nothing_of_ours_is_dropped_before_its_socket_is_watched(make, monkeypatch):
    receiver = make(is_awake=False)
    strangers = [socket.create_connection(receiver.target, LIMIT_S) for _ in range(5)]
    for each in strangers:
        each.sendall(b"GET / HTTP/1.0\r\n\r\n")  # which is there before anybody accepts
    watched, stock_watch = [], stock.SelectorLoop.watch
    monkeypatch.setattr(stock.SelectorLoop, "watch", lambda self, sock, *more: (watched.append(sock), stock_watch(self, sock, *more)))
    receiver.wake()
    assert await_that(lambda: all(map(is_closed, strangers)))
    assert watched == [receiver.conn]
    for each in strangers:
        each.close()


def test_an_error_with_a_connection_that_begins_closes_that_and_others_are_taken(make, monkeypatch, caplog):
    sender, receiver = make(), make(is_awake=False)
    with monkeypatch.context() as patch, socket.create_connection(receiver.target, LIMIT_S) as stranger:
        stranger.sendall(handshake.MAGIC + bytes(handshake.HELLO_BYTES))
        patch.setattr(handshake, "is_beginning", lambda _data: 1 // 0)
        receiver.wake()
        assert await_that(lambda: is_closed(stranger))
    assert await_that(lambda: "ZeroDivisionError" in caplog.text)
    exchange(sender, receiver)


def test_of_messages_that_are_not_whole_the_one_that_has_not_moved_on_for_the_longest_gives_way(make, monkeypatch, caplog):
    monkeypatch.setattr(transport, "UNFINISHED_LIMIT_BYTES", 0)
    size = 4_000
    receiver = make(size=size)  # of four such messages together there is room
    sender = make(size=size)
    exchange(sender, receiver)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(receiver)) for _ in range(5)]
        for number, peer in enumerate(peers):
            peer.greet()
            peer.sock.sendall(frames.FRAME.pack(size | frames.ONE) + bytes(size - 10))
            assert await_that(lambda number=number: len(receiver._unfinished) == min(number + 1, 4))
        assert peers[0].is_thrown_out()
        assert receiver._unfinished_bytes == sum(receiver._unfinished.values()) <= 4 * size
        assert await_that(lambda: "does not move on" in caplog.text)
        exchange(sender, receiver)
    assert await_that(lambda: not receiver._unfinished and not receiver._unfinished_bytes)


def test_of_links_that_only_answer_so_many_are_kept_and_those_that_the_program_uses_beside_them(make):
    sender, used, answered = make(), make(), make()
    for receiver in (used, answered):
        sender.send(b"an answer", receiver.target, is_answer=True)
        assert receiver.queue.take() == b"an answer"
    exchange(sender, used)
    kept = sender.links.to(used.target)
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2 * links.ANSWER_LINKS)]
    for each in listeners:
        sender.send(b"an answer", each.getsockname(), is_answer=True)
    assert len(sender.links._links) == links.ANSWER_LINKS + 1
    assert sender.links.to(used.target) is kept
    exchange(sender, used)
    exchange(sender, answered)  # over another link
    for each in listeners:
        each.close()


# -- a connection is between two


def test_a_handshake_that_is_passed_on_to_another_gives_no_connection(make, caplog):
    """A stranger to whom a node connects hands all it says to another node, and back."""
    sender, receiver = make(), make()
    wire = Wire(alter=None)
    with caplog.at_level(logging.WARNING, "da"):
        sender.send(b"passed on", wire.target)
        wire.run_to(receiver)
        with pytest.raises(base.TransportException):
            sender.links.connect(wire.target)
    assert "it means to speak with" in caplog.text
    assert receiver.queue.empty() and not any(each.is_peer for each in receiver._inbound)
    wire.close()


def test_a_handshake_that_is_passed_back_to_its_author_gives_no_connection(make, caplog):
    sender = make()
    wire = Wire(alter=None)
    with caplog.at_level(logging.WARNING, "da"):
        sender.send(b"passed back", wire.target)
        wire.run_to(sender)
        with pytest.raises(base.TransportException):
            sender.links.connect(wire.target)
    assert "own words" in caplog.text
    assert sender.queue.empty() and not any(each.is_peer for each in sender._inbound)
    wire.close()


def test_who_answers_with_what_it_is_told_is_no_peer(make):
    sender = make()
    with socket.create_server(("127.0.0.1", 0)) as mirror:
        sender.send(b"hello?", mirror.getsockname())
        connection, _ = mirror.accept()
        with connection:
            connection.sendall(receive(connection, handshake.HELLO_BYTES))
            with pytest.raises(base.AuthenticationException, match="own words"):
                sender.links.connect(mirror.getsockname())


def test_who_answers_in_the_name_of_another_port_is_no_peer(make):
    sender, other = make(), make()
    with socket.create_server(("127.0.0.1", 0)) as usurper:
        sender.send(b"hello?", usurper.getsockname())
        connection, _ = usurper.accept()
        with connection:
            receive(connection, handshake.HELLO_BYTES)
            connection.sendall(handshake.Hello(other.target, sender.target, bytes(32), 1 << 20).encode())
            with pytest.raises(base.AuthenticationException, match="it says that it is"):
                sender.links.connect(usurper.getsockname())


@pytest.mark.parametrize("claim", ["own", "target"])
def test_who_says_another_address_than_it_has_or_was_met_at_is_no_peer(make, claim):
    receiver = make()
    wrong = {claim: ("127.0.0.9", receiver.port)}
    with Peer(receiver, **wrong) as peer, pytest.raises(ConnectionError):
        peer.greet()


def test_a_proof_of_one_connection_proves_nothing_on_another(make):
    receiver = make()
    with Peer(receiver) as first, Peer(receiver) as second:
        first.greet()
        second.hello = first.hello
        second.sock.sendall(second.hello)
        receive(second.sock, handshake.HELLO_BYTES)
        second.sock.sendall(handshake.proof(first.greeting, b"sender"))
        assert receive(second.sock, handshake.PROOF_BYTES) == handshake.REFUSED
        assert second.is_thrown_out()


def test_who_says_the_identity_of_another_has_not_the_key_of_its_connections(make):
    """With the cookie, and all that is known of the other: everything but its private key."""
    receiver, other = make(), make()
    with Peer(receiver, own=other.target) as peer:
        peer.hello = handshake.Hello(other.target, receiver.target, other.identity.public, 1 << 20).encode()
        assert not handshake.is_proof(peer.greet(), peer.key, b"receiver")
        peer.sock.sendall(peer.frame(b"in another's name"))
        assert peer.is_thrown_out()
    assert receiver.queue.qsize() == 0
    with socket.create_server(("127.0.0.1", 0)) as usurper:
        other.send(b"for whom?", usurper.getsockname())
        connection, _ = usurper.accept()
        with connection:
            theirs = receive(connection, handshake.HELLO_BYTES)
            ours = handshake.Hello(usurper.getsockname(), other.target, receiver.identity.public, 1 << 20).encode()
            connection.sendall(ours)
            receive(connection, handshake.PROOF_BYTES)
            guess = handshake.connection_key(handshake.greeting_of(COOKIE, theirs, ours), bytes(32))
            connection.sendall(handshake.proof(guess, b"receiver"))
            with pytest.raises(base.AuthenticationException, match="cookie"):
                other.links.connect(usurper.getsockname())


@pytest.mark.parametrize("public", [bytes(32), bytes([1]) + bytes(31)])
def test_an_identity_with_which_everybody_shares_one_secret_is_none(make, public):
    receiver = make()
    with Peer(receiver) as peer:
        peer.hello = handshake.Hello(("127.0.0.1", 1), receiver.target, public, 1 << 20).encode()
        with pytest.raises(ConnectionError):
            peer.greet()


FORGERIES = {
    "repeated": lambda one, two: one + one,
    "in another order": lambda one, two: two + one,
    "left out": lambda one, two: two,
    "altered": lambda one, two: one[:6] + bytes([one[6] ^ 1]) + one[7:],
    "of another kind": lambda one, two: bytes([one[0] ^ 128]) + one[1:],
    "cut and joined": lambda one, two: one[:4] + two[4:],
    "with another code": lambda one, two: one[:-1] + bytes([one[-1] ^ 1]),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_frame_that_is_not_the_next_of_its_sender_ends_the_connection(make, caplog, forgery):
    receiver = make()
    with caplog.at_level(logging.WARNING, "da"), Peer(receiver) as peer:
        peer.greet()
        one, two = peer.frame(b"message 1"), peer.frame(b"message 2")
        peer.sock.sendall(FORGERIES[forgery](one, two))
        assert peer.is_thrown_out()
    taken = [receiver.queue.take() for _ in range(receiver.queue.qsize())]
    assert taken == ([b"message 1"] if forgery == "repeated" else [])
    assert await_that(lambda: "not the next one" in caplog.text)


def test_a_frame_of_one_connection_is_none_on_another(make):
    receiver = make()
    with Peer(receiver) as first, Peer(receiver) as second:
        first.greet(), second.greet()
        second.sock.sendall(first.frame(b"of another connection"))
        assert second.is_thrown_out()
    assert receiver.queue.empty()


@pytest.mark.parametrize(
    "sizes", [[3], [0], [5_000], [1, 5_000, 2, 3, 6_000, 4_096, 4_097, 0, 0], [10] * 9_000, [0] * 30_000, [70_000, 1, 90_000]]
)
def test_messages_of_all_sizes_that_are_written_together_are_taken_apart(make, sizes):
    sender, receiver = make(size=max(sizes) + 1), make(size=max(sizes) + 1)
    sender.links.connect(receiver.target)
    sender.links.gather(threading.get_ident())
    messages = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    for each in messages:
        sender.send(each, receiver.target)
    sender.links.flush()
    assert [receiver.queue.take() for _ in messages] == messages


def test_a_frame_of_several_messages_is_taken_apart(make):
    receiver = make()
    with Peer(receiver) as peer:
        peer.greet()
        peer.sock.sendall(peer.frame(b"one", b"", b"three"))
        assert [receiver.queue.take() for _ in range(3)] == [b"one", b"", b"three"]


@pytest.mark.parametrize("size", [0, 1, 4_000, 100_000])
def test_who_reads_the_wire_does_not_see_what_is_said(size):
    ours, theirs = handshake.Seal(b"key"), handshake.Seal(b"key")
    said = b"s" * size
    first, second = ours.close(said, 1), ours.close(said, 1)
    assert len(first) == len(second) == size + handshake.CODE_BYTES
    assert size < 2 or said[:2_000] not in first
    assert first != second
    assert [theirs.open(first, 1), theirs.open(second, 1)] == [said, said]
    assert handshake.Seal(b"another key").open(first, 1) is None


@pytest.mark.parametrize("body", [b"\0\0", b"\0\0\0\5four", b"\xff\xff\xff\xff"])
def test_a_frame_of_no_messages_ends_the_connection(make, body):
    receiver = make()
    with Peer(receiver) as peer:
        peer.greet()
        peer.sock.sendall(frames.FRAME.pack(len(body)) + peer.seal.close(body))
        assert peer.is_thrown_out()
    assert receiver.queue.empty()


# -- nobody waits for a connection


def test_a_peer_that_answers_no_hello_holds_up_no_sender_and_gets_all_in_order_when_it_answers(make, monkeypatch, caplog):
    monkeypatch.setattr(links, "CONNECT_LIMIT_S", 0.2)
    monkeypatch.setattr(links, "SILENT_PAUSE_S", 0.05)
    sender, other, silent = make(), make(), make(is_awake=False)
    with caplog.at_level(logging.WARNING, "da"):
        began_s = time.monotonic()
        for number in range(10):
            sender.send(b"%d" % number, silent.target)
            exchange(sender, other)
        assert time.monotonic() - began_s < 5
        attempts = [accept(silent) for _ in range(3)]  # it is tried again and again
        assert "does not answer" in caplog.text
        silent.wake()
        for each in attempts:
            each.close()
        assert [silent.queue.take() for _ in range(10)] == [b"%d" % number for number in range(10)]
    assert caplog.text.count("does not answer") == 1


def accept(receiver):
    """A connection to a receiver that is not awake."""
    receiver.conn.settimeout(LIMIT_S)
    connection, _ = receiver.conn.accept()
    receiver.conn.setblocking(False)
    return connection


def test_a_handshake_that_is_broken_off_is_tried_again_and_nothing_is_lost(make):
    """As where a stranger's flood takes all places: what was sent arrives, and the sender hears of nothing."""
    sender, crowded = make(), make(is_awake=False)
    sender.send(b"the answer to new", crowded.target)
    for _ in range(3):
        accept(crowded).close()
    crowded.wake()
    assert crowded.queue.take() == b"the answer to new"


def test_the_end_of_a_process_waits_for_no_peer_that_does_not_answer(make):
    sender = make()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender.send(b"never read", silent.getsockname())
        began_s = time.monotonic()
        sender.close()
        assert time.monotonic() - began_s < 3


def test_a_host_that_is_silent_is_noticed(make):
    sender, receiver = make(), make()
    exchange(sender, receiver)
    [inbound] = receiver._inbound
    for connection in (inbound.sock, sender.links.to(receiver.target).sock):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == sockets.SILENCE_LIMIT_S * 1000
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < sockets.SILENCE_LIMIT_S


def test_a_probe_says_whether_somebody_is_there_now(make):
    one, other = make(), make()
    lost = []
    other.on_peer_lost = lost.append
    assert one.links.probe(other.target) == handshake.fingerprint(other.identity.public)
    other.close()
    other.mesgloop.stop()
    with pytest.raises(base.TransportException):
        one.links.probe(other.target)
    assert not lost


def test_strangers_cannot_take_all_places(make):
    sender, receiver = make(), make()
    strangers = [socket.create_connection(receiver.target, LIMIT_S) for _ in range(transport.PENDING_LIMIT + 5)]
    exchange(sender, receiver)
    assert await_that(lambda: any(map(is_closed, strangers)))  # one had to go
    assert len(receiver._strangers) <= transport.PENDING_LIMIT
    for each in strangers:
        each.close()


def test_an_insider_can_keep_others_from_connecting_anew_and_takes_nothing_from_who_is_connected(make, monkeypatch, caplog):
    monkeypatch.setattr(transport, "CONNECTION_LIMIT", 3)
    sender, receiver = make(), make()
    exchange(sender, receiver)
    with Peer(receiver) as one, Peer(receiver) as two, Peer(receiver) as late:
        for each in (one, two):
            each.greet()
        assert late.is_thrown_out()
        exchange(sender, receiver, b"still connected")
    assert "A connection is refused: there are 3 already" in caplog.text


def is_closed(connection):
    """Whether the other side has closed it, which says nothing else."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


def test_who_has_said_hello_is_not_driven_out_by_who_says_nothing(make):
    receiver = make()
    with Peer(receiver) as peer:
        peer.sock.sendall(peer.hello)
        theirs = receive(peer.sock, handshake.HELLO_BYTES)
        strangers = [socket.create_connection(receiver.target, LIMIT_S) for _ in range(3 * transport.PENDING_LIMIT)]
        assert await_that(lambda: sum(map(is_closed, strangers)) > 2 * transport.PENDING_LIMIT)
        assert not is_closed(peer.sock)
        assert len(theirs) == handshake.HELLO_BYTES
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

    def send_slowly(data):
        for place in range(len(data)):
            peer.sock.sendall(data[place : place + 1])

    with Peer(receiver) as peer:
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert handshake.is_proof(peer.greet(send_slowly), peer.key, b"receiver")
        send_slowly(peer.frame(b"hi"))
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
    _transport, _data, origin = receiver.queue.get(timeout=LIMIT_S)
    assert origin.address == sender.target
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
    assert len(sender.links.to(receiver.target).waiting) == 2
    sender.links.flush()
    assert [receiver.queue.take(), receiver.queue.take()] == [b"one", b"two"]


def test_the_first_message_for_each_peer_goes_at_once_where_nothing_else_has_come_for_the_sender(make):
    sender, receiver = make(), make()
    exchange(sender, receiver)
    inbox, waiting = [], sender.links.to(receiver.target).waiting
    sender.links.gather(threading.get_ident(), inbox)
    sender.send(b"first", receiver.target)
    assert receiver.queue.take() == b"first"
    sender.send(b"second", receiver.target)
    assert list(waiting) == [b"second"]
    sender.links.flush()
    sender.send(b"first again", receiver.target)
    assert [receiver.queue.take(), receiver.queue.take()] == [b"second", b"first again"]
    sender.links.flush()
    inbox.append("something else")
    sender.send(b"not at once", receiver.target)
    assert list(waiting) == [b"not at once"]


def test_much_that_is_gathered_goes_before_the_flush(make):
    sender, receiver = make(), make()
    sender.links.connect(receiver.target)
    sender.links.gather(threading.get_ident())
    for _ in range(3):
        sender.send(bytes(frames.GATHER_LIMIT_BYTES // 2), receiver.target)
    assert receiver.queue.take() == bytes(frames.GATHER_LIMIT_BYTES // 2)


def test_what_is_gathered_when_the_sender_ends_arrives(make):
    sender, receiver = make(), make()
    sender.links.gather(threading.get_ident())
    sender.send(b"last words", receiver.target)
    sender.close()
    assert receiver.queue.take() == b"last words"


def test_what_a_signal_kept_from_being_written_arrives_when_the_sender_ends(make, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    sender, receiver = make(), make()
    exchange(sender, receiver)
    sender.links.gather(threading.get_ident(), [])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(logfiles, "flush", interrupted)
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
        sender.links._disconnect(link)
    with caplog.at_level(logging.WARNING, "da.transport"):
        sender.links.flush()
    assert "1 messages" in caplog.text and "are lost: nobody answers" in caplog.text
