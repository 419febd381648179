"""The service as its callers meet it: over HTTP, from its start to its end."""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import psutil
import pytest
from serving import FILE, Running, await_ready, command, descriptors, served

from bcr_client import Store
from bcr_runtime.places import SOURCES
from bcr_service.door import MOST_CONNECTIONS

# Less than a body may have, and more than a value.
TOO_MUCH = b'{"operations": [{"op": "put", "key": "k", "value": "%s"}]}' % (b"x" * 1_050_000)


def body_of(answer):
    return json.loads(answer[2])


# -- keys


def test_a_value_is_there_until_it_is_deleted(service):
    put = service.ask("PUT", "/keys/a/b", b'{"x": [1]}')
    assert put[0] == 204
    got = service.ask("GET", "/keys/a/b")
    assert (got[0], got[2], got[1]["etag"]) == (200, b'{"x": [1]}', put[1]["etag"])
    assert service.ask("GET", "/keys/a/b", headers={"If-None-Match": put[1]["etag"]})[0] == 304
    assert service.ask("DELETE", "/keys/a/b")[0] == 204
    assert service.ask("GET", "/keys/a/b")[0] == service.ask("DELETE", "/keys/a/b")[0] == 404


@pytest.mark.parametrize("key", ["a/b//c", "line\nbreak", "ends\n", "\r\n/", "%", "a?b#c", " ", "ü\u2028", ".", "a/../b"])
def test_a_key_may_be_any_text(service, key):
    path = f"/keys/{urllib.parse.quote(key, safe='')}"
    assert service.ask("PUT", path, json.dumps(key).encode())[0] == 204
    assert json.loads(service.ask("GET", path)[2]) == key
    assert key in body_of(service.ask("GET", f"/keys?prefix={urllib.parse.quote(key, safe='')}"))["keys"]
    assert service.ask("DELETE", path)[0] == 204


def test_a_condition_that_does_not_hold_is_412_and_changes_nothing(service):
    first = service.ask("PUT", "/keys/c", b"1", {"If-None-Match": "*"})
    assert service.ask("PUT", "/keys/c", b"2", {"If-None-Match": "*"})[0] == 412
    assert service.ask("PUT", "/keys/c", b"3", {"If-Match": first[1]["etag"]})[0] == 204
    failed = service.ask("DELETE", "/keys/c", headers={"If-Match": first[1]["etag"]})
    assert (failed[0], body_of(failed)["definite"]) == (412, True)
    assert service.ask("GET", "/keys/c")[2] == b"3"


def test_the_assignments_lists_are_written_and_read(service):
    assert service.ask("POST", "/keys/l", b'{"type": "PUT", "value": ["a"]}')[0] == 204
    assert service.ask("POST", "/keys/l", b'{"type": "APPEND", "value": "b"}')[0] == 204
    assert body_of(service.ask("GET", "/keys/l")) == ["a", "b"]
    wrong = service.ask("POST", "/keys/l", b'{"type": "APPEND", "value": 5}')
    assert (wrong[0], body_of(wrong)["error"]) == (400, "The request value is not valid")
    assert body_of(wrong)["detail"] == "APPEND takes a string; PUT /keys/{key} and POST /transactions take any JSON"
    assert wrong[1]["content-type"] == "application/problem+json"


def test_an_append_to_what_is_no_list_is_409(service):
    service.ask("PUT", "/keys/n", b"5")
    assert service.ask("POST", "/keys/n", b'{"type": "APPEND", "value": "b"}')[0] == 409


def test_what_one_caller_cannot_do_costs_no_other_its_write(service):
    """They share a request, of which nothing happens, and are then asked for one by one."""
    service.ask("PUT", "/keys/bad", b"5")
    answers = {}

    def call(number):
        if number % 4:
            answers[number] = service.ask("PUT", f"/keys/shared/{number}", str(number).encode())[0]
        else:
            answers[number] = service.ask("POST", "/keys/bad", b'{"type": "APPEND", "value": "b"}')[0]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: 204 if number % 4 else 409 for number in range(24)}
    assert len(body_of(service.ask("GET", "/keys?prefix=shared/"))["keys"]) == 18


def test_a_transaction_answers_each_operation(service):
    asked = {"operations": [{"op": "put", "key": "t", "value": 1}, {"op": "get", "key": "t"}, {"op": "append", "key": "u", "value": 2}]}
    answer = service.ask("POST", "/transactions", json.dumps(asked).encode())
    assert answer[0] == 200
    assert body_of(answer)["results"][1]["value"] == 1


def test_head_is_a_get_without_a_body(service):
    service.ask("PUT", "/keys/head", b'"value"')
    answer = service.ask("HEAD", "/keys/head")
    assert (answer[0], answer[2]) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/keys/x", b"1", 405),
        ("GET", "/nothing", None, 404),
        ("PUT", "/keys/x", b"{", 400),
        ("PUT", "/keys/" + "x" * 1_025, b"1", 400),
        ("PUT", "/keys/x", b'"%s"' % (b"x" * 1_100_000), 413),
        ("PUT", "/keys/x?proof=2", b'"%s"' % (b"x" * 1_000_000), 400),
        ("PUT", "/keys/%ff", b'"%s"' % (b"x" * 1_000_000), 400),
        ("GET", "/keys?limit=0", None, 400),
        ("GET", "/keys/x?timeout_ms=0", None, 400),
        ("GET", "/keys/x?timeout_ms=000000001999999999", None, 400),
        ("GET", "/keys?limit=000000001" + "9" * 5_000, None, 400),
        ("GET", "/keys/x?proof=1&nonce=%00", None, 400),
        ("POST", "/transactions", b"[]", 400),
        ("POST", "/transactions", TOO_MUCH, 413),
        ("POST", "/lab/kill/replica_0", None, 404),
    ],
)
def test_what_makes_no_sense_is_a_problem_and_definite(service, method, path, body, status):
    answer = service.ask(method, path, body)
    assert answer[0] == status
    assert answer[1]["content-type"] == "application/problem+json"
    assert body_of(answer)["definite"] is True


def test_a_watch_tells_what_is_there_and_then_what_changes(service):
    service.ask("PUT", "/keys/looked-at/a", b'{"x":\n1}')
    told = []
    with urllib.request.urlopen(service.url + "/watch?prefix=looked-at/", timeout=30) as stream:

        def next_event():
            while True:
                lines = list(iter(lambda: stream.readline().decode().strip(), ""))
                if lines[0].startswith("event: "):
                    return lines[0].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: "))

        told.append(next_event())
        service.ask("PUT", "/keys/looked-at/b", b"2")
        told.append(next_event())
        service.ask("DELETE", "/keys/looked-at/a")
        told.append(next_event())
    assert [(kind, event["key"], event.get("value")) for kind, event in told] == [
        ("put", "looked-at/a", {"x": 1}), ("put", "looked-at/b", 2), ("delete", "looked-at/a", None),
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/events", "/watch?prefix=none/"])
def test_the_head_of_a_stream_ends(service, path):
    """On a connection that goes on: the next call is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    with contextlib.closing(connection):
        for method, asked, kind in (("HEAD", path, "text/event-stream"), ("GET", "/livez", "text/plain")):
            connection.request(method, asked)
            answer = connection.getresponse()
            assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, kind)
            answer.read()


# -- about the service


def test_the_status_tells_the_chain_as_text_and_as_json(service):
    assert b"replica_2" in service.ask("GET", "/admin/status")[2]
    status = body_of(service.ask("GET", "/admin/status", headers={"Accept": "application/json"}))
    assert [each["role"] for each in status["chain"]] == ["head", "middle", "tail"]
    assert status["protocol"] == "chain"


def test_the_figures_count_calls(service):
    service.ask("GET", "/keys/x")
    text = service.ask("GET", "/metrics")[2].decode()
    assert 'bcr_http_requests_total{method="GET",status="200"}' in text
    assert "bcr_operations_total" in text


def test_the_description_and_its_page_tell_of_every_route(service):
    described = body_of(service.ask("GET", "/openapi.json"))
    page = service.ask("GET", "/api")[2].decode()
    for path, item in described["paths"].items():
        assert path in page
        for method in set(item) & {"get", "put", "post", "delete"}:
            assert item[method]["summary"]


@pytest.mark.parametrize("path", ["/", "/api"])
def test_a_page_needs_nothing_from_elsewhere(service, path):
    status, headers, page = service.ask("GET", path)
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not re.search(rb"""(src|href)\s*=\s*["']?(https?:)?//|@import|url\(""", page)


# -- strangers


def test_half_open_connections_by_the_hundred_leave_others_served(service):
    strangers = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(300)]
    try:
        for number, each in enumerate(strangers):
            each.sendall(b"PUT /keys/x HTTP/1.1\r\ncontent-length: 100\r\n\r\n" if number % 2 else b"GET /ke")
        assert service.ask("PUT", "/keys/others", b"1")[0] == 204
    finally:
        for each in strangers:
            each.close()
    assert service.ask("GET", "/keys/others")[2] == b"1"


@pytest.mark.parametrize(
    "said", [b"", b"PUT /keys/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n"], ids=["silent", "half a body"]
)
def test_a_crowd_that_takes_all_places_leaves_others_served(service, said):
    with descriptors(MOST_CONNECTIONS + 500), contextlib.ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS + 100):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port))).sendall(said)
        assert service.ask("PUT", "/keys/others", b"2")[0] == 204
    assert service.ask("GET", "/keys/others")[2] == b"2"


def test_a_head_without_end_is_cut_off(service):
    with socket.create_connection(("127.0.0.1", service.port)) as stranger:
        stranger.settimeout(20)
        with pytest.raises(OSError):
            stranger.sendall(b"GET / HTTP/1.1\r\n")
            while True:
                stranger.sendall(b"x-header: " + b"y" * 10_000 + b"\r\n")
    assert service.ask("GET", "/livez")[0] == 200


def test_a_body_without_end_is_cut_off(service):
    with socket.create_connection(("127.0.0.1", service.port)) as stranger:
        stranger.settimeout(20)
        stranger.sendall(b"PUT /keys/x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        received = b""
        try:
            for _ in range(1_000):
                stranger.sendall(b"2710\r\n" + b"1" * 10_000 + b"\r\n")
            received = stranger.recv(1_000)
        except OSError:
            received = b"HTTP/1.1 413"
        assert received.startswith(b"HTTP/1.1 413")
    assert service.ask("GET", "/livez")[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET / HTTP/9.9 and more\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431)],
    ids=["no request", "a long head"],
)
def test_what_is_no_request_is_a_problem_too(service, sent, status):
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as stranger:
        stranger.sendall(sent)
        answer = http.client.HTTPResponse(stranger)
        answer.begin()
        assert (answer.status, answer.headers["content-type"], answer.headers["connection"]) == (
            status,
            "application/problem+json",
            "close",
        )
        told = json.loads(answer.read())
    assert (told["status"], told["definite"]) == (status, True)


STRANGE = (b"GET", b" ", b"/keys/x", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"content-length: -5", b"content-length: 9", b"\0", b"PUT /keys/x",
           b"transfer-encoding: chunked", b"FFFFFFFFFFFFFFFF\r\n", b"expect: 100-continue", b"\xff" * 9, b"host: x", b"host: localhost", b"upgrade: websocket",
           b"connection: upgrade", b"HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"{}", b"?timeout_ms=1", b"\x16\x03\x01")  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_stranger_sends_others_are_served(service, seed):
    draw = random.Random(seed)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", service.port)) as stranger:
            stranger.sendall(b"".join(draw.choices(STRANGE, k=draw.randrange(1, 12))))
            if draw.random() < 0.5:
                stranger.shutdown(socket.SHUT_WR)
    assert service.ask("PUT", "/keys/served", b"1")[0] == 204
    assert service.process.poll() is None


def test_a_page_of_another_site_may_change_nothing_and_reads_nothing_by_a_name_of_its_own(service):
    origin = {"origin": "http://elsewhere.example", "content-type": "text/plain"}
    refused = service.ask("PUT", "/keys/forged", b"1", origin)
    assert (refused[0], refused[1]["content-type"], body_of(refused)["definite"]) == (403, "application/problem+json", True)
    assert service.ask("GET", "/keys/forged", headers={"host": f"elsewhere.example:{service.port}"})[0] == 421
    assert service.ask("GET", "/keys/forged")[0] == 404


# -- the start and the end


def started_in_vain(folder, text, *arguments):
    (folder / "own.config").write_text(text)
    done = subprocess.run(command(folder / "own.config", *arguments), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert not done.stdout
    return done.stderr.strip().splitlines()


def test_a_port_in_use_is_one_line_before_anything_starts(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        [line] = started_in_vain(tmp_path, f"gateway[0] = 127.0.0.1:{port}\n")
    assert line == f"bcr serve: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_bad_file_is_told_with_its_place(tmp_path):
    [line] = started_in_vain(tmp_path, "t = 1\nprotocol = paxos\n")
    assert "own.config:2:1: error: protocol = paxos" in line


def test_a_file_that_is_not_there_is_told():
    done = subprocess.run(command("nothing.config"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no scenario file nothing.config" in done.stderr


def test_at_the_end_what_has_begun_is_ended_and_nothing_is_left(tmp_path):
    with served(tmp_path) as running:
        family = processes_below(running.process.pid)
        assert len(family) >= 6  # DistAlgo, Olympus, the gateway, three replicas
        running.process.terminate()
        assert running.process.wait(30) == 0
    assert not [pid for pid in family if is_alive(pid)]


def test_where_the_starter_is_killed_the_service_ends_too(tmp_path):
    with served(tmp_path) as running:
        family = processes_below(running.process.pid)
        running.process.kill()
        running.process.wait()
        deadline_s = time.monotonic() + 30
        while any(map(is_alive, family)) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert not [pid for pid in family if is_alive(pid)]


@contextlib.contextmanager
def whose_reader_goes(tmp_path, text, **options):
    """A service that is ready, and of which nobody has read more than the first line."""
    (tmp_path / "own.config").write_text(text)
    process = subprocess.Popen(
        command(tmp_path / "own.config", "--log-folder", tmp_path / "logs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path,
        **options,
    )  # fmt: skip
    try:
        first = process.stdout.readline().decode()
        process.stdout.close()
        running = Running(process, re.search(r"http://[^,; ]+", first).group(), first)
        await_ready(running)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("text", [FILE, "t = 1\nprotocol = raft\ndurable = off\ngateway[0] = 127.0.0.1:0\n"], ids=["chain", "raft"])
def test_a_service_whose_reader_has_gone_away_goes_on_and_ends_in_order(tmp_path, text):
    with whose_reader_goes(tmp_path, text) as running:
        assert running.ask("PUT", "/keys/a", b"1")[0] == 204
        family = processes_below(running.process.pid)
        running.process.terminate()
        assert running.process.wait(60) == 0
    assert not [pid for pid in family if is_alive(pid)]


def test_a_service_whose_reader_has_gone_away_ends_where_it_cannot_go_on(tmp_path):
    with whose_reader_goes(tmp_path, FILE) as running:
        family = processes_below(running.process.pid)
        [node] = psutil.Process(running.process.pid).children()
        os.kill(max(node.children(), key=lambda child: child.create_time()).pid, signal.SIGKILL)  # Olympus
        assert running.process.wait(60) == 1
    assert not [pid for pid in family if is_alive(pid)]


def test_a_service_under_nohup_outlives_its_terminal(tmp_path):
    options = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with whose_reader_goes(tmp_path, FILE, **options) as running:
        running.process.send_signal(signal.SIGHUP)
        assert running.ask("PUT", "/keys/a", b"1")[0] == 204
        running.process.terminate()
        assert running.process.wait(60) == 0


def processes_below(pid):
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# -- what goes wrong


def chain_of(running):
    return body_of(running.ask("GET", "/admin/status", headers={"Accept": "application/json"}))


def await_chain(running, is_so):
    deadline_s = time.monotonic() + 30
    while not is_so(chain_of(running)):
        assert time.monotonic() < deadline_s, chain_of(running)
        time.sleep(0.05)


def test_a_killed_replica_is_replaced_and_nothing_is_lost(tmp_path):
    with served(tmp_path, "--lab") as running:
        assert running.ask("PUT", "/keys/kept", b"1")[0] == 204
        await_chain(running, lambda status: all(each["pid"] for each in status["chain"]))
        before = [each["pid"] for each in chain_of(running)["chain"]]
        assert running.ask("POST", "/lab/kill/replica_1")[0] == 202
        with Store(running.url, chain_of(running)["olympus_key"], timeout_s=30) as store:
            store.put("after", 2)  # on Olympus's word, where the killed one's configuration had ordered it
            assert store.last_proof.check(store.olympus_key).by in {"Olympus", "3 of 3 replicas"}
            store.get("after")
            assert store.last_proof.check(store.olympus_key).by == "3 of 3 replicas"
            assert store.seen.configuration == 1
        assert running.ask("GET", "/keys/kept")[2] == b"1"
        await_chain(running, lambda status: status["configuration"] == 1 and all(each["pid"] for each in status["chain"]))
        assert not set(before) & {each["pid"] for each in chain_of(running)["chain"]}
        assert running.ask("POST", "/lab/burn/replica_1")[0] == 404


def test_where_more_than_t_replicas_are_gone_the_service_says_so_and_ends(tmp_path):
    with served(tmp_path) as running:
        await_chain(running, lambda status: all(each["pid"] for each in status["chain"]))
        for each in chain_of(running)["chain"][:2]:
            os.kill(each["pid"], signal.SIGKILL)
        lost = running.ask("PUT", "/keys/lost?timeout_ms=60000", b"1")
        assert (lost[0], body_of(lost)["definite"]) == (504, False)
        assert running.process.wait(60) == 1
    assert "fewer than t+1 usable answers" in (tmp_path / "errors.txt").read_text()


@pytest.mark.parametrize(("which", "what"), [(0, "all gateways have ended"), (1, "Olympus has ended")])
def test_where_the_only_gateway_or_olympus_is_gone_the_service_says_so_and_ends(tmp_path, which, what):
    with served(tmp_path) as running:
        family = processes_below(running.process.pid)
        [node] = psutil.Process(running.process.pid).children()
        os.kill(sorted(node.children(), key=lambda child: child.create_time())[which].pid, signal.SIGKILL)
        assert running.process.wait(60) == 1
    assert f"bcr serve: {what}" in (tmp_path / "errors.txt").read_text()
    assert not [pid for pid in family if is_alive(pid)]


def test_where_one_of_two_gateways_is_gone_the_other_goes_on(tmp_path):
    with served(tmp_path, text=FILE + "gateway[1] = 127.0.0.1:0\n") as running:
        other = re.findall(r"http://[^,; ]+", running.told)[1]
        [node] = psutil.Process(running.process.pid).children()
        first = min(node.children(), key=lambda child: child.create_time())
        os.kill(first.pid, signal.SIGKILL)
        assert running.ask("PUT", "/keys/a", b"1", url=other)[0] == 204
        running.url = other
        await_chain(running, lambda status: status["gone"] == [0])
        assert running.ask("GET", "/keys/a")[2] == b"1"
        running.process.terminate()
        assert running.process.wait(60) == 0


def test_while_nobody_answers_a_write_is_indefinite_and_what_was_not_sent_is_definite(tmp_path):
    with served(tmp_path, "--lab", text=FILE + "client_window = 1\n") as running:
        await_chain(running, lambda status: all(each["pid"] for each in status["chain"]))
        pids = [each["pid"] for each in chain_of(running)["chain"]]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            sent = running.ask("PUT", "/keys/x?timeout_ms=300", b"1")
            waiting = running.ask("PUT", "/keys/y?timeout_ms=300", b"1")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert (sent[0], body_of(sent)["definite"]) == (504, False)
        assert (waiting[0], body_of(waiting)["definite"]) == (503, True)
        await_ready(running)
        assert running.ask("GET", "/keys/y")[0] == 404


LOADED = """
import sys
import da
sys.path.insert(0, "")
from importlib import import_module
import_module("Service")
import bcr_service.server
print(*[name for name in sys.modules])
"""


def test_no_fault_code_is_loaded_without_a_laboratory():
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=SOURCES, capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert {"Gateway", "Olympus", "Replica", "bcr_service.server"} <= loaded
    assert not loaded & {"Byzantine", "Adversary", "ByzantineClient", "bcr.faults.injector", "bcr.faults.forgery", "bcr_service.lab"}


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/nope", 404, "there is nothing at this path; /api tells what there is"),
        ("PATCH", "/keys/k", 405, "this path has no PATCH, but "),
        ("POST", "/keys", 405, "this path has no POST, but "),
    ],
)
def test_what_there_is_no_route_for_is_told_in_words(service, method, path, status, told):
    answer = service.ask(method, path)
    assert (answer[0], body_of(answer)["detail"].startswith(told)) == (status, True), answer
