"""The interfaces of other services, each called by a client that is written here from its published form alone."""

import contextlib
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import msgpack
import pytest
from polling import until_within
from serving import descriptors, served

from bcr.scenario import ScenarioError
from bcr_service.door import MOST_CONNECTIONS
from bcr_service.service_files import cluster_in, parse_service

FILE = """t = 1
durable = off
gateway[0] = 127.0.0.1:0
client_timeout = 500
head_timeout = 500
nonhead_timeout = 500
""" + "".join(
    f"{kind}[{number}] = 127.0.0.1:0\n" for kind, count in (("distraft", 3), ("zatt", 4), ("keyvalue", 3)) for number in range(count)
)
LIMIT_S = 20
until = until_within(LIMIT_S)
BIN = Path(__file__).parents[2] / "bin"


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """A service that speaks all dialects, in a laboratory."""
    with served(tmp_path_factory.mktemp("family"), "--lab", text=FILE) as running:
        yield running


def call(port, method, path, body=None, headers=None):
    """Status, headers and body of a call, without following anything."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


# -- distraft


def distraft(port, method, path, value=None):
    """As `curl -L` does it: redirects are followed, with the form again; the status and the JSON."""
    body = None if value is None else urllib.parse.urlencode({"value": value})
    headers = {} if value is None else {"content-type": "application/x-www-form-urlencoded"}
    for _ in range(3):
        status, answered, told = call(port, method, path, body, headers)
        if status not in (302, 307):
            return status, json.loads(told)
        target = urllib.parse.urlsplit(answered["location"])
        port, path = target.port, target.path
    raise AssertionError("redirected without end")


def test_each_server_of_distraft_tells_its_status_with_the_published_fields(family):
    ports = family.ports("distraft")
    # Who leads is known from the others too, and may be before the leader itself has told what it knows of them.
    until(lambda: set(distraft(ports[0], "GET", "/")[1]["status"]["match_index"]) == {"server2", "server3"})
    told = [distraft(port, "GET", "/")[1] for port in ports]
    assert [each["ok"] for each in told] == [True] * 3
    status = [each["status"] for each in told]
    assert [each["id"] for each in status] == ["server1", "server2", "server3"]
    assert all(
        set(each)
        == {"id", "leader", "is_leader", "state", "up", "commit_index", "last_applied", "last_log_index", "last_log_term", "term",
            "next_index", "match_index", "members"}
        for each in status
    )  # fmt: skip
    assert [(each["is_leader"], each["state"], each["leader"]) for each in status] == [
        (True, "Leader", "server1"),
        (False, "Follower", "server1"),
        (False, "Follower", "server1"),
    ]
    assert [each["up"] for each in status] == [True] * 3
    assert [status[0]["members"][name][3] for name in ("server1", "server2", "server3")] == ports
    assert set(status[0]["match_index"]) == {"server2", "server3"}
    assert status[1]["match_index"] == {}


def test_what_one_server_of_distraft_was_given_the_others_have(family):
    first, second, third = family.ports("distraft")
    assert distraft(first, "POST", "/colour", " blue ") == (200, {"ok": True, "key": "colour", "value": "blue"})
    assert distraft(second, "POST", "/shape", "a & b = c") == (200, {"ok": True, "key": "shape", "value": "a & b = c"})
    assert distraft(third, "GET", "/colour") == (200, {"ok": True, "key": "colour", "value": "blue"})
    assert distraft(first, "GET", "/shape") == (200, {"ok": True, "key": "shape", "value": "a & b = c"})
    assert distraft(first, "GET", "/nothing") == (200, {"ok": True, "key": "nothing", "value": None})


def test_a_server_of_distraft_that_does_not_lead_redirects_a_read_with_302_and_a_write_with_307(family):
    leader, other, _ = family.ports("distraft")
    status, headers, _ = call(other, "GET", "/colour")
    assert (status, headers["location"]) == (302, f"http://127.0.0.1:{leader}/colour")
    status, headers, _ = call(other, "POST", "/colour", "value=red")
    assert (status, headers["location"]) == (307, f"http://127.0.0.1:{leader}/colour")


@pytest.mark.parametrize("body", ["value=", "value=+", "value=%20"])
def test_an_empty_value_is_refused_in_the_words_of_distraft(family, body):
    status, _, told = call(family.ports("distraft")[0], "POST", "/colour", body)
    assert (status, json.loads(told)) == (503, {"ok": False, "error": "empty key or value"})


def test_an_empty_key_is_refused_in_the_words_of_distraft(family):
    assert distraft(family.ports("distraft")[0], "GET", "/%20") == (503, {"ok": False, "error": "empty key"})
    assert distraft(family.ports("distraft")[0], "POST", "/%20", "x") == (503, {"ok": False, "error": "empty key or value"})


@pytest.mark.parametrize("body", [b"", b"price=3", b"\xff\xfe", b"value=%ff", b"&" * 5_000])
def test_a_body_that_is_no_form_is_an_error_and_no_value(family, body):
    status, _, told = call(family.ports("distraft")[0], "POST", "/untouched", body)
    assert (status, json.loads(told)["ok"]) == (503, False)
    assert json.loads(told)["error"].startswith("system error: ")


def test_scripts_of_other_pages_may_call_distraft(family):
    origin = {"origin": "http://viewer.example"}
    assert call(family.ports("distraft")[1], "GET", "/", headers=origin)[1]["access-control-allow-origin"] == "*"
    asked = origin | {"access-control-request-method": "POST"}
    status, headers, _ = call(family.ports("distraft")[1], "OPTIONS", "/colour", headers=asked)
    assert (status, headers["access-control-allow-origin"]) == (200, "*")


def test_a_server_of_distraft_that_was_stopped_knows_no_leader_and_the_others_go_on_without_it(family):
    """In the laboratory its replica is killed with it, so the chain is replaced, and nothing that was written is lost."""
    first, second, third = family.ports("distraft")
    distraft(first, "POST", "/kept", "through it all")
    before = distraft(second, "GET", "/")[1]["status"]["term"]
    try:
        assert call(first, "GET", "/stop")[2].strip() == b'{"ok": true}'
        down = distraft(first, "GET", "/")[1]["status"]
        assert (down["up"], down["is_leader"], down["leader"], down["state"]) == (False, False, None, "Follower")
        assert distraft(first, "GET", "/kept") == (503, {"ok": False, "error": "no leader"})
        assert distraft(first, "POST", "/kept", "x") == (503, {"ok": False, "error": "no leader"})
        until(lambda: distraft(third, "GET", "/")[1]["status"]["leader"] == "server2")
        until(lambda: distraft(third, "GET", "/kept")[0] != 503)  # which says that nothing happened, while the chain is replaced
        assert distraft(third, "GET", "/kept") == (200, {"ok": True, "key": "kept", "value": "through it all"})
        until(lambda: distraft(third, "GET", "/")[1]["status"]["term"] > before)
    finally:
        assert call(first, "GET", "/start")[2].strip() == b'{"ok": true}'
    until(lambda: distraft(third, "GET", "/")[1]["status"]["leader"] == "server1")
    assert distraft(first, "GET", "/kept") == (200, {"ok": True, "key": "kept", "value": "through it all"})


def test_the_servers_of_distraft_are_those_of_its_own_variable():
    five = ",".join(f"server{i}=server{i}:9000:127.0.0.1:500{i}" for i in range(1, 6))
    found = cluster_in({"DISTRAFT_CLUSTER": f" {five} ,"})
    assert [(each.name, str(each.address)) for each in found] == [(f"server{i}", f"127.0.0.1:500{i}") for i in range(1, 6)]
    assert [str(each.address) for each in cluster_in({"DISTRAFT_CLUSTER": "a=127.0.0.1:9000:5001"})] == ["127.0.0.1:5001"]
    service = parse_service("", "own.config", found)
    assert (service.scenario.t, service.scenario.num_replicas, service.num_gateways) == (2, 5, 5)
    assert parse_service("t = 1", "own.config", found).scenario.t == 1
    assert cluster_in({}) == ()


@pytest.mark.parametrize("text", ["server1", "a=b:1", "=h:1:2", "a=127.0.0.1:1:x", "a=h:1:2,a=h:1:3", "a=h:1:70000"])
def test_a_variable_that_names_no_servers_is_told(text):
    with pytest.raises(ValueError, match="expected|two servers"):
        cluster_in({"DISTRAFT_CLUSTER": text})


def test_two_servers_of_one_number_are_told():
    with pytest.raises(ScenarioError, match="twice"):
        parse_service("distraft[0] = 127.0.0.1:1\n", "own.config", cluster_in({"DISTRAFT_CLUSTER": "a=127.0.0.1:9000:5001"}))


# -- zatt


class Dictionary:
    """The published client's half: any of the servers is asked, with one map a connection."""

    def __init__(self, ports):
        self.ports = ports

    def ask(self, message):
        with socket.create_connection(("127.0.0.1", random.choice(self.ports)), timeout=LIMIT_S) as connection:
            connection.sendall(msgpack.packb(message, use_bin_type=True))
            received = b""
            while block := connection.recv(128):
                received += block
        return msgpack.unpackb(received, raw=False)

    def __getitem__(self, key):
        answer = self.ask({"type": "get"})
        assert answer["success"]
        return answer["data"].get(key)

    def __setitem__(self, key, value):
        assert self.ask({"type": "append", "data": {"action": "change", "key": key, "value": value}})["success"]

    def __delitem__(self, key):
        assert self.ask({"type": "append", "data": {"action": "delete", "key": key}})["success"]


def test_three_clients_of_four_servers_of_zatt_read_what_each_of_them_has_written(family):
    clients = [Dictionary(family.ports("zatt")) for _ in range(3)]
    for number, client in enumerate(clients):
        client[f"spam{number}"] = {"eggs": [number, None, True, 1.5, "ü"]}
        assert [each[f"spam{number}"] for each in clients] == [{"eggs": [number, None, True, 1.5, "ü"]}] * 3
    clients[0]["spam1"] = "other"
    assert clients[2]["spam1"] == "other"
    del clients[1]["spam1"]
    assert [each["spam1"] for each in clients] == [None] * 3


def test_clients_of_zatt_that_write_at_once_lose_nothing(family):
    def write(number):
        mine = Dictionary(family.ports("zatt"))
        for each in range(5):
            mine[f"at once/{number}/{each}"] = each

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    whole = Dictionary(family.ports("zatt")).ask({"type": "get"})["data"]
    assert {key for key in whole if key.startswith("at once/")} == {f"at once/{n}/{each}" for n in range(3) for each in range(5)}


def test_a_replica_that_is_stopped_and_replaced_between_two_writes_costs_zatt_nothing(family):
    client = Dictionary(family.ports("zatt"))
    client["before"] = 1
    assert family.ask("POST", "/lab/kill/replica_2")[0] == 202
    client["after"] = 2
    assert (client["before"], client["after"]) == (1, 2)


@pytest.mark.parametrize(
    "message",
    [
        7,
        "get",
        {"type": "erase"},
        {"type": "append"},
        {"type": "append", "data": {"action": "change", "key": "k"}},
        {"type": "append", "data": {"action": "change", "key": 3, "value": 1}},
        {"type": "append", "data": {"action": "change", "key": "", "value": 1}},
        {"type": "append", "data": {"action": "change", "key": "k", "value": b"bytes"}},
        {"type": "append", "data": {"action": "change", "key": "k", "value": float("nan")}},
        {"type": "append", "data": {"action": "change", "key": "k", "value": "x" * 1_100_000}},
        {"type": "append", "data": {"action": "burn", "key": "k", "value": 1}},
    ],
    ids=lambda message: str(message)[:60],
)
def test_what_zatt_cannot_do_is_told_and_has_not_happened(family, message):
    answer = Dictionary(family.ports("zatt")[:1]).ask(message)
    assert (answer["success"], answer["definite"]) == (False, True)
    assert answer["error"]
    assert Dictionary(family.ports("zatt"))["k"] is None


def told_of_bytes(port, data):
    """What zatt answers to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as connection:
        connection.sendall(data)
        received = b""
        while block := connection.recv(1_000):
            received += block
    return msgpack.unpackb(received)


def test_bytes_that_are_no_messagepack_are_told_to_zatts_caller(family):
    assert told_of_bytes(family.ports("zatt")[0], b"\xc1GET / HTTP/1.1\r\n\r\n")["success"] is False


def test_a_map_of_zatt_may_come_in_pieces(family):
    message = msgpack.packb({"type": "append", "data": {"action": "change", "key": "pieces", "value": "x" * 1_000}})
    with socket.create_connection(("127.0.0.1", family.ports("zatt")[0]), timeout=LIMIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for first in range(0, len(message), 7):
            connection.sendall(message[first : first + 7])
        assert msgpack.unpackb(connection.recv(1_000)) == {"type": "result", "success": True}


@pytest.mark.parametrize("data", [b"\x81\x91\x01\x02", b"\x82\xa4type\xa3get\x81\x01\x02\x03"])
def test_a_map_of_zatt_with_a_key_that_no_dictionary_has_is_told(family, data):
    answer = told_of_bytes(family.ports("zatt")[0], data)
    assert (answer["success"], answer["definite"]) == (False, True)
    assert answer["error"].startswith("no MessagePack map")


# Values of JSON that have no form in some dialect.
LARGE = {
    "64 bits": b"[18446744073709551616]",
    "digits": b"[%s]" % (b"7" * 5_000),
    "half a pair": b'["\\ud800 and"]',
    "infinity": b"[1e400]",
}


@pytest.mark.parametrize("kind", ["64 bits", "digits", "half a pair", "infinity"])
def test_what_messagepack_has_not_is_told_with_its_key(family, kind):
    assert family.ask("PUT", "/keys/odd", LARGE[kind])[0] == 204
    try:
        answer = Dictionary(family.ports("zatt")).ask({"type": "get"})
        assert not answer["success"]
        assert answer["error"].startswith("at odd stands a value that MessagePack has not")
    finally:
        assert family.ask("DELETE", "/keys/odd")[0] == 204
    assert Dictionary(family.ports("zatt")).ask({"type": "get"})["success"]


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("64 bits", 200, {"ok": True, "key": "odd", "value": [2**64]}),
        ("half a pair", 200, {"ok": True, "key": "odd", "value": ["\ud800 and"]}),
        ("digits", 503, None),
        ("infinity", 503, None),
    ],
)
def test_what_python_does_not_read_or_write_is_an_error_of_distraft_and_no_failure(family, kind, status, told):
    assert family.ask("PUT", "/keys/odd", LARGE[kind])[0] == 204
    try:
        answered, answer = distraft(family.ports("distraft")[0], "GET", "/odd")
        assert answered == status
        assert answer == told if told else answer["error"].startswith("system error")
    finally:
        family.ask("DELETE", "/keys/odd")


@pytest.mark.parametrize(("kind", "status"), [("64 bits", 400), ("digits", 400), ("half a pair", 200)])
def test_the_assignment_gives_a_list_with_any_number_to_nobody(family, kind, status):
    assert family.ask("PUT", "/keys/odd", LARGE[kind])[0] == 204
    try:
        assert call(family.ports("keyvalue")[0], "GET", "/keys/odd")[0] == status
    finally:
        family.ask("DELETE", "/keys/odd")


def test_a_crowd_that_takes_all_places_of_zatt_leaves_others_served(family):
    port = family.ports("zatt")[0]
    with descriptors(MOST_CONNECTIONS + 500), contextlib.ExitStack() as stack:
        for number in range(MOST_CONNECTIONS + 100):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S))
            stranger.sendall(b"\x82\xa4type" if number % 2 else b"")
        client = Dictionary([port])
        client["among strangers"] = 1
        assert client["among strangers"] == 1


def test_a_map_of_zatt_without_end_is_cut_off(family):
    with socket.create_connection(("127.0.0.1", family.ports("zatt")[0]), timeout=LIMIT_S) as stranger:
        try:
            stranger.sendall(b"\x81\xdb\xff\xff\xff\xff")
            for _ in range(1_000):
                stranger.sendall(b"x" * 10_000)
            told = stranger.recv(1_000)
        except OSError:
            told = b""
    assert not told or msgpack.unpackb(told)["success"] is False
    assert Dictionary(family.ports("zatt"))["without end"] is None


def test_a_server_of_zatt_says_how_it_is(family):
    told = Dictionary(family.ports("zatt")).ask({"type": "diagnostic"})
    assert told["diagnostic"]["t"] == 1


def test_what_dialects_answer_is_counted_also_where_no_route_or_nobody_foresaw_it(family):
    def counted():
        lines = family.ask("GET", "/metrics")[2].decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith("bcr_http_requests_total")}

    before = counted()
    node, server = family.ports("keyvalue")[0], family.ports("distraft")[0]
    assert call(node, "PUT", "/nowhere", b"1")[0] == call(server, "PUT", "/colour", b"1")[0] == 405
    assert family.ask("PATCH", "/keys/x", b"1")[0] == 405
    assert family.ask("GET", "/nowhere")[0] == 404
    assert family.ask("GET", "/livez", headers={"host": "elsewhere.example"})[0] == 421
    assert family.ask("DELETE", "/keys/x", headers={"origin": "http://elsewhere.example"})[0] == 403
    port = Dictionary(family.ports("zatt")[:1])
    assert [port.ask(message)["success"] for message in ({"type": "get"}, {"type": "none"}, [5])] == [True, False, False]
    after = counted()
    expected = {
        ("PUT", 405): 2,
        ("PATCH", 405): 1,
        ("GET", 404): 1,
        ("GET", 421): 1,
        ("DELETE", 403): 1,
        ("zatt", 200): 1,
        ("zatt", 400): 2,
    }
    for (method, status), times in expected.items():
        line = f'bcr_http_requests_total{{method="{method}",status="{status}"}}'
        assert after[line] - before.get(line, 0) == times, line


# -- the key-value assignment


def keyvalue(port, method, path, document=None):
    body = None if document is None else json.dumps(document)
    status, headers, told = call(port, method, path, body, {"content-type": "application/json"})
    return status, headers.get_content_type() if told else None, told.decode()


def test_a_page_of_another_site_changes_nothing_at_a_node_of_the_assignment(family):
    body, origin = b'{"type": "PUT", "value": ["a"]}', {"origin": "http://elsewhere.example", "content-type": "text/plain"}
    assert call(family.ports("keyvalue")[0], "POST", "/keys/forged", body, origin)[0] == 403
    assert keyvalue(family.ports("keyvalue")[0], "GET", "/keys/forged")[0] == 404


def test_each_node_of_the_assignment_has_what_another_was_given(family):
    first, second, third = family.ports("keyvalue")
    assert keyvalue(first, "POST", "/keys/list", {"type": "PUT", "value": ["a", "b"]}) == (204, None, "")
    assert keyvalue(second, "POST", "/keys/list", {"type": "APPEND", "value": "c"}) == (204, None, "")
    assert keyvalue(third, "GET", "/keys/list") == (200, "application/json", '["a", "b", "c"]')
    assert keyvalue(third, "POST", "/keys/other", {"type": "APPEND", "value": "first"}) == (204, None, "")
    assert keyvalue(first, "GET", "/keys/other") == (200, "application/json", '["first"]')
    assert keyvalue(first, "GET", "/keys/none") == (404, None, "")
    assert keyvalue(first, "GET", "/keys/%ff")[0] == 400  # no key: its bytes are no text


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"type": "PUT", "value": "a"}, "The request value is not valid"),
        ({"type": "PUT", "value": ["a", 1]}, "The request value is not valid"),
        ({"type": "APPEND", "value": ["a"]}, "The request value is not valid"),
        ({"type": "REMOVE", "value": "a"}, "The request type is not correct"),
        ({"value": "a"}, "The request is not valid"),
        ([], "The request is not valid"),
    ],
)
def test_the_assignments_errors_have_its_texts(family, document, text):
    port = family.ports("keyvalue")[0]
    assert keyvalue(port, "POST", "/keys/wrong", document) == (400, "text/plain", text)
    assert keyvalue(port, "GET", "/keys/wrong")[0] == 404


def test_the_assignment_gives_lists_of_strings_only(family):
    port = family.ports("keyvalue")[0]
    assert family.ask("PUT", "/keys/number", b"7")[0] == 204
    assert keyvalue(port, "GET", "/keys/number")[0] == 400
    assert keyvalue(port, "POST", "/keys/number", {"type": "APPEND", "value": "a"})[0] == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/admin"), ("DELETE", "/keys/list"), ("POST", "/admin/status")])
def test_what_the_assignment_has_not_is_not_allowed(family, method, path):
    assert keyvalue(family.ports("keyvalue")[0], method, path)[0] == 405


def test_a_node_of_the_assignment_tells_its_status_as_text(family):
    ports = family.ports("keyvalue")
    status, kind, text = keyvalue(ports[1], "GET", "/admin/status")
    assert (status, kind) == (200, "text/plain")
    assert f"'self': '127.0.0.1:{ports[1]}'" in text
    assert f"'leader': '127.0.0.1:{ports[0]}'" in text
    assert f"'partner_node_status_server_127.0.0.1:{ports[2]}': 2" in text


@pytest.fixture
def scripts(tmp_path):
    """Runs the assignment's scripts; `BCR` is what they run in place of ./bcr, which would set up an environment of its own."""
    (tmp_path / "bcr").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m bcr_tools.cli "$@"\n')
    (tmp_path / "bcr").chmod(0o700)

    def run(script, *arguments):
        return subprocess.run(
            [BIN / script, *arguments], env={**os.environ, "BCR": str(tmp_path / "bcr")}, cwd=tmp_path, text=True, timeout=90, capture_output=True, check=False
        )  # fmt: skip

    return run


def test_the_assignments_servers_are_started_and_stopped_by_its_scripts(scripts, tmp_path):
    file = tmp_path / "keyvalue.config"
    text, replaced = re.subn(r"127\.0\.0\.1:\d+", "127.0.0.1:0", (BIN.parent / "deploy" / "keyvalue.config").read_text())
    assert replaced == 6
    file.write_text(text)
    started = scripts("start", file)
    try:
        assert started.returncode == 0, started
        ports = [int(port) for port in re.findall(r"keyvalue http://127\.0\.0\.1:(\d+)", started.stdout)]
        assert len(ports) == 5
        assert call(ports[3], "POST", "/keys/x", b'{"type": "APPEND", "value": "a"}')[0] == 204
        assert [call(port, "GET", "/keys/x")[2] for port in ports] == [b'["a"]'] * 5
        again = scripts("start", file)
        assert (again.returncode, again.stdout) == (1, "")
        assert "runs, as process" in again.stderr
        assert (tmp_path / "keyvalue" / "output").read_text() == started.stdout
    finally:
        stopped = scripts("stop")
    assert stopped.returncode == 0, stopped
    again = scripts("stop")
    assert again.returncode == 1
    assert "started nothing" in again.stderr
    file.write_text("t = none\n")
    refused = scripts("start", file)
    assert refused.returncode == 1
    assert "t" in refused.stderr


def test_a_start_that_fails_leaves_what_belongs_to_another_one(scripts, tmp_path):
    folder = tmp_path / "keyvalue"
    folder.mkdir()
    with subprocess.Popen(["/bin/true"]) as ended:
        pass
    (folder / "pid").write_text(f"{ended.pid}\n")
    (folder / "output").write_text("as it was\n")
    (tmp_path / "none.config").write_text("t = none\n")
    assert scripts("start", tmp_path / "none.config").returncode == 1
    assert (folder / "pid").read_text() == f"{ended.pid}\n"
    assert (folder / "output").read_text() == "as it was\n"
    assert sorted(path.name for path in folder.iterdir()) == ["output", "pid"]
    late = scripts("stop")
    assert late.returncode == 1
    assert "has ended already" in late.stderr
    assert not (folder / "pid").exists()
