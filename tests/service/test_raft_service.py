"""A service of Raft, as its users call it: the interface and the dialects, cuts, servers that end and come back, changes."""

import ast
import itertools
import json
import re
import shutil
import signal
import socket
import subprocess
import time

import msgpack
import pytest
from selenium.webdriver.support.wait import WebDriverWait
from serving import bcr, command, served
from test_dialects import call, distraft
from test_durable_service import kill_everybody

from bcr.chain.settings import Settings
from bcr.raft.changes import ADD
from bcr.raft.replication import Follower
from bcr.raft.server_status import indices_of
from bcr.scenario import ScenarioError
from bcr.stable.disk import DiskError
from bcr_disk.folders import demand_usable
from bcr_runtime.server_folder import is_continued, note_begun, server_seeds
from bcr_service.protocol_views import VIEWS
from bcr_service.service_files import SCENARIO_NAMES, parse_service

KINDS = ("gateway", "distraft", "keyvalue", "zatt")
LIMIT_S = 40
MINORITY, MAJORITY = (3, 4), (0, 1, 2)


def file_of(t, gateways, *lines, kinds=KINDS):
    """A service file in which each gateway has all interfaces."""
    ports = [f"{kind}[{number}] = 127.0.0.1:0" for kind in kinds for number in range(gateways)]
    return "\n".join(["protocol = raft", f"t = {t}", "client_timeout = 300", "election_timeout = 500", *ports, *lines]) + "\n"


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Five servers on disks, each with a gateway and all dialects, in a laboratory."""
    folder = tmp_path_factory.mktemp("five")
    with served(folder, "--lab", "--data", folder / "disks", text=file_of(2, 5)) as running:
        yield running


def gateways(running):
    return [int(port) for port in re.findall(r"(?<!\w )http://[^,;]*:(\d+)", running.told)]


def status_of(running, number=0):
    return json.loads(call(gateways(running)[number], "GET", "/admin/status", headers={"accept": "application/json"})[2])


def until(running, holds, number=0):
    """The status, once it holds."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds(status := status_of(running, number)):
        assert time.monotonic() < deadline_s, status
        time.sleep(0.05)
    return status


def is_whole(status):
    """Whether all servers are there, and follow one that leads."""
    leads = (status["leader"], status["term"])
    return leads[0] is not None and all(each["mode"] == "active" and (each["leader"], each["term"]) == leads for each in status["servers"])


def while_one_leads(running, look):
    """What `look`, given the leader, has seen while that led all the time: on a busy machine another may be elected meanwhile."""
    while True:
        before = until(running, is_whole)
        seen = look(before["leader"])
        after = until(running, is_whole)
        if (before["leader"], before["term"]) == (after["leader"], after["term"]):
            return before["leader"], seen


def is_led(status):
    return status["leader"] is not None


def is_led_on(side):
    return lambda status: (
        status["leader"] in side
        and all(status["servers"][each]["leader"] == (status["leader"] if each in side else None) for each in range(5))
    )


# -- the interface


def test_what_one_gateway_of_raft_was_given_the_others_have(five):
    first, *others = gateways(five)
    assert call(first, "PUT", "/keys/movie", '{"name":"star wars"}')[0] == 204
    assert {call(port, "GET", "/keys/movie")[2] for port in others} == {b'{"name":"star wars"}'}


def test_conditions_and_transactions_hold_on_raft(five):
    port = gateways(five)[1]
    status, headers, _ = call(port, "PUT", "/keys/c", "1", {"if-none-match": "*"})
    assert status == 204
    assert call(port, "PUT", "/keys/c", "2", {"if-none-match": "*"})[0] == 412
    assert call(port, "PUT", "/keys/c", "2", {"if-match": headers["etag"]})[0] == 204
    assert call(port, "PUT", "/keys/c", "3", {"if-match": headers["etag"]})[0] == 412
    both = {"operations": [{"op": "put", "key": "d", "value": 1}, {"op": "put", "key": "c", "value": 9, "version": "absent"}]}
    assert call(port, "POST", "/transactions", json.dumps(both))[0] == 412
    assert call(port, "GET", "/keys/d")[0] == 404


@pytest.mark.parametrize("path", ["/keys/movie?proof=1", "/configuration"])
def test_what_raft_cannot_prove_is_refused_with_the_reason(five, path):
    status, _, told = call(gateways(five)[0], "GET", path)
    assert status == 501
    assert json.loads(told)["definite"] is True
    assert "nothing is signed in Raft" in json.loads(told)["detail"]


def test_the_status_of_raft_tells_term_leader_and_indices(five):
    status = until(five, is_whole)
    assert status["protocol"] == "raft"
    leader = status["servers"][status["leader"]]
    assert (leader["role"], leader["term"], len(leader["match_index"])) == ("leader", status["term"], 4)
    assert b"led by replica_" in call(gateways(five)[0], "GET", "/admin/status")[2]


def test_the_live_page_of_a_service_that_answers_nobody_for_now_has_no_errors(five, browser):
    """It goes on looking, and what it asks for is answered: that the service is not ready is part of the answer."""
    until(five, is_whole)
    browser.get(five.url)

    def says(words):
        shown = "return document.getElementById('state').textContent"
        WebDriverWait(browser, LIMIT_S).until(lambda _: words in browser.execute_script(shown))

    says(", answering")
    sides = ((0, 1), (2,), (3, 4))  # none of which is a majority
    for one, other in itertools.combinations(sides, 2):
        for ends in itertools.product(one, other):
            assert call(gateways(five)[1], "POST", "/lab/fail_link/{}/{}".format(*(f"replica_{each}" for each in ends)))[0] == 202
    says("no leader")
    says("not answering now")
    assert call(gateways(five)[0], "GET", "/readyz")[0] == 503
    looks = "return performance.getEntriesByType('resource').filter(each => each.name.endsWith('/admin/status')).length"
    seen = browser.execute_script(looks)
    WebDriverWait(browser, LIMIT_S).until(lambda _: browser.execute_script(looks) > seen + 1)
    assert call(gateways(five)[1], "POST", "/lab/fix_link")[0] == 202
    says(", answering")
    until(five, is_whole)
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    # A list of keys that was asked for just before the cut may have waited in vain, and that is an error.
    assert [message for message in errors if "/keys?" not in message] == []


def test_the_live_page_shows_the_servers_and_says_that_nothing_is_proved(five, browser):
    until(five, is_whole)
    assert call(gateways(five)[0], "PUT", "/keys/seen", '"in the page"')[0] == 204
    browser.get(f"{five.url}/?key=seen")

    def texts(*names):
        return [browser.execute_script(f"return document.getElementById('{name}').textContent") for name in names]

    WebDriverWait(browser, LIMIT_S).until(lambda _: "not proved" in texts("answer")[0])
    state, chain, answer, story = texts("state", "chain", "answer", "story")
    assert '"in the page"' in answer
    assert "raft, term" in state
    assert "led by server" in state
    assert [chain.count(role) for role in ("leader", "follower")] == [1, 4]
    assert "leads in term" in story
    browser.execute_script("writeKey('..', '[12345678901234567890]')")
    WebDriverWait(browser, LIMIT_S).until(lambda _: "[\n 12345678901234567890\n]not proved" in texts("answer")[0])


# -- the dialects


def test_the_servers_of_distraft_tell_what_those_of_raft_say_of_themselves(five):
    number, told = while_one_leads(five, lambda _: [json.loads(call(port, "GET", "/")[2])["status"] for port in five.ports("distraft")])
    assert [each["is_leader"] for each in told] == [each == number for each in range(5)]
    assert {each["leader"] for each in told} == {f"server{number + 1}"}
    assert told[number]["state"] == "Leader"
    assert {each["term"] for each in told} == {told[number]["term"]}
    others = {f"server{each + 1}" for each in range(5) if each != number}
    assert set(told[number]["match_index"]) == set(told[number]["next_index"]) == others
    assert all(told[number]["next_index"][name] > index for name, index in told[number]["match_index"].items())
    assert all(told[each]["match_index"] == {} for each in range(5) if each != number)


def test_next_index_and_match_index_are_told_apart():
    follower = Follower(7, 0.0)  # of which the leader knows nothing yet
    assert indices_of({2: follower}) == (((2, 8),), ((2, 0),))


def test_a_server_of_distraft_that_follows_redirects_to_the_one_that_leads(five):
    ports = five.ports("distraft")

    def redirected(leader):
        calls = (("GET", None), ("POST", "value=red"))
        return [call(ports[(leader + 1) % 5], method, "/colour", body)[:2] for method, body in calls]

    number, seen = while_one_leads(five, redirected)
    follower, target = ports[(number + 1) % 5], f"http://127.0.0.1:{ports[number]}/colour"
    assert [(status, headers["location"]) for status, headers in seen] == [(302, target), (307, target)]
    assert distraft(follower, "POST", "/colour", "blue") == (200, {"ok": True, "key": "colour", "value": "blue"})
    assert distraft(ports[number], "GET", "/colour")[1]["value"] == "blue"


def test_the_assignments_nodes_tell_their_state_as_numbers(five):
    nodes = five.ports("keyvalue")
    number, told = while_one_leads(five, lambda _: [ast.literal_eval(call(port, "GET", "/admin/status")[2].decode()) for port in nodes])
    assert [each["state"] for each in told] == [2 if each == number else 0 for each in range(5)]
    assert {each["leader"] for each in told} == {f"127.0.0.1:{nodes[number]}"}


def zatt(port, asked):
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as connection:
        connection.sendall(msgpack.packb(asked))
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
    return msgpack.unpackb(b"".join(parts))


def test_zatts_dictionary_is_one_over_all_servers(five):
    ports = five.ports("zatt")
    assert zatt(ports[0], {"type": "append", "data": {"action": "change", "key": "z", "value": [1]}})["success"]
    assert zatt(ports[3], {"type": "get"})["data"]["z"] == [1]
    assert zatt(ports[4], {"type": "append", "data": {"action": "delete", "key": "z"}})["success"]
    assert "z" not in zatt(ports[1], {"type": "get"})["data"]


# -- three servers on one side of a cut, and two on the other


def test_the_minority_answers_no_read_and_no_write_and_after_healing_all_is_one(five):
    until(five, is_whole)
    http, nodes = gateways(five), five.ports("keyvalue")
    assert call(nodes[4], "POST", "/keys/list", '{"type": "PUT", "value": ["a"]}')[0] == 204
    assert call(http[0], "POST", "/lab/partition", "0 1 2 | 3 4")[0] == 202
    until(five, is_led_on(MAJORITY))
    assert call(nodes[1], "POST", "/keys/list", '{"type": "APPEND", "value": "b"}')[0] == 204
    for number in MINORITY:
        status, _, told = call(http[number], "GET", "/keys/list?timeout_ms=700")
        assert (status, json.loads(told)["definite"]) == (504, False)
        assert call(five.ports("distraft")[number], "GET", "/colour")[0] == 503
        assert call(five.ports("distraft")[number], "POST", "/colour", "value=x")[0] == 503
    assert call(http[3], "PUT", "/keys/from_the_minority?timeout_ms=700", "1")[0] == 504
    assert call(http[2], "GET", "/keys/from_the_minority")[0] == 404
    assert call(http[1], "POST", "/lab/fix_link")[0] == 202
    until(five, is_whole)
    assert {call(port, "GET", "/keys/list")[2] for port in nodes} == {b'["a", "b"]'}
    # What nobody could tell the caller has been done by now, for its gateway has waited for it.
    assert call(http[3], "GET", "/keys/from_the_minority")[2] == b"1"


# -- servers that end, and come back


def test_a_leader_that_was_stopped_is_followed_by_another_and_comes_back_with_what_it_missed(five):
    number = until(five, is_whole)["leader"]
    ports = five.ports("distraft")
    assert distraft(ports[number], "GET", "/stop") == (200, {"ok": True})
    other = (number + 1) % 5
    until(five, lambda status: status["leader"] not in (None, number) and status["servers"][number]["mode"] == "stopped", other)
    assert call(ports[number], "GET", "/colour")[0] == 503
    until(five, lambda status: status["servers"][other]["leader"] == status["leader"], other)
    assert distraft(ports[other], "POST", "/colour", "green")[1]["ok"]
    assert distraft(ports[number], "GET", "/start") == (200, {"ok": True})
    until(five, is_whole)
    assert distraft(ports[number], "GET", "/colour")[1]["value"] == "green"


def test_all_servers_lose_their_power_and_come_back_with_what_was_confirmed(five):
    until(five, is_whole)
    assert call(gateways(five)[2], "PUT", "/keys/kept", '"by all"')[0] == 204
    assert call(gateways(five)[2], "POST", "/lab/power_cut")[0] == 202
    assert call(gateways(five)[0], "GET", "/keys/kept?timeout_ms=30000")[2] == b'"by all"'
    assert [each["name"] for each in five.events() if each["kind"] == "revived"][-5:] == [f"replica_{each}" for each in range(5)]


# -- who decides, and who leads


def test_members_and_leader_are_changed_over_http(five):
    leader = until(five, is_whole)["leader"]
    [gone, heir] = [each for each in range(5) if each != leader][:2]
    port = gateways(five)[0]
    assert call(port, "DELETE", f"/admin/members/{gone}")[0] == 202
    until(five, lambda status: gone not in status["members"] and not status["changes"])
    assert call(port, "DELETE", f"/admin/members/{gone}")[0] == 409
    assert call(port, "PUT", f"/admin/leader/replica_{heir}")[0] == 202
    until(five, lambda status: status["leader"] == heir)
    assert call(port, "PUT", f"/admin/members/{gone}")[0] == 202
    until(five, lambda status: gone in status["members"] and is_whole(status))
    assert call(port, "PUT", "/admin/members/5")[0] == call(port, "PUT", "/admin/members/replica_0009")[0] == 404
    done = [(each["what"], each["server"]) for each in five.events() if each["kind"] == "change" and each["done"]]
    assert done[-3:] == [("remove", gone), ("transfer", heir), ("add", gone)]


def test_of_the_chain_nobody_changes_members():
    with pytest.raises(Exception, match="Olympus replaces it") as problem:
        VIEWS["chain"].change({}, ADD, "1")
    assert problem.value.status == 501


# -- services that end, and begin again


def test_a_service_of_raft_that_was_killed_goes_on_with_its_disks(tmp_path):
    text = file_of(1, 1, kinds=("gateway",))
    with served(tmp_path, "--data", tmp_path / "disks", text=text) as running:
        assert running.ask("PUT", "/keys/a", b"1")[0] == 204
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    with served(tmp_path, "--data", tmp_path / "disks", text=text) as running:
        assert running.ask("GET", "/keys/a")[2] == b"1"
        # The gateway is another client now, whose first request is none that it has sent before.
        assert running.ask("PUT", "/keys/a", b"2")[0] == 204
        assert running.ask("GET", "/keys/a")[2] == b"2"


def test_in_memory_a_server_that_was_killed_stays_away_and_without_a_majority_the_service_ends(tmp_path):
    with served(tmp_path, "--lab", text=file_of(1, 1, "durable = off", kinds=("gateway",))) as running:
        assert running.ask("PUT", "/keys/a", b"1")[0] == 204
        until(running, is_whole)
        assert running.ask("POST", "/lab/kill/2")[0] == 202
        until(running, lambda status: status["servers"][2]["mode"] == "gone")
        assert running.ask("GET", "/keys/a?timeout_ms=20000")[2] == b"1"
        assert running.ask("POST", "/lab/kill/1")[0] == 202
        assert running.process.wait(LIMIT_S) == 1
    assert "no majority is left" in (tmp_path / "errors.txt").read_text()


# -- among liars


def test_a_chaos_server_does_not_keep_three_clients_of_zatt_from_reading_what_they_wrote(tmp_path):
    text = file_of(1, 3, kinds=("gateway", "zatt")).replace("protocol = raft", "protocol = byzantine_raft")
    with served(tmp_path, "--lab", text=text) as running:
        assert status_of(running)["protocol"] == "byzantine_raft"
        assert len(status_of(running)["servers"]) == 4
        assert running.ask("POST", "/lab/fault/replica_3", b"after(0),chaos(50)")[0] == 202
        for number, port in enumerate(running.ports("zatt")):
            for value in range(3):
                change = {"action": "change", "key": f"own{number}", "value": value}
                assert zatt(port, {"type": "append", "data": change})["success"]
                assert zatt(port, {"type": "get"})["data"][f"own{number}"] == value
        assert zatt(running.ports("zatt")[0], {"type": "append", "data": {"action": "delete", "key": "own1"}})["success"]
        assert set(zatt(running.ports("zatt")[1], {"type": "get"})["data"]) == {"own0", "own2"}
        status, _, told = running.ask("GET", "/keys/own0?proof=1")
        assert (status, b"t+1 servers have signed" in told) == (501, True)
        assert running.ask("PUT", "/admin/members/3")[0] == 501
        # The liar tells the start-up, and that tells the gateway: its callers may be done before.
        until(running, lambda _: [each["fault"] for each in running.events() if each["kind"] == "fault"] == ["after(0),chaos(50)"])


def test_servers_among_liars_that_were_all_killed_go_on_with_their_disks(tmp_path):
    """One by one while the service lives, then all at once, and each has its key again; the folder is that of one service alone."""
    disks = tmp_path / "disks"
    text = file_of(1, 2, kinds=("gateway",)).replace("protocol = raft", "protocol = byzantine_raft")
    with served(tmp_path, "--lab", "--data", disks, text=text) as running:
        assert running.ask("PUT", "/keys/a", b'"before"')[0] == 204
        term = until(running, is_led)["term"]
        assert running.ask("POST", "/lab/kill/0")[0] == 202
        until(running, lambda status: [each["name"] for each in running.events() if each["kind"] == "revived"] == ["replica_0"])
        for number in range(2):
            assert call(gateways(running)[number], "PUT", f"/keys/by{number}", str(number))[0] == 204
        second = subprocess.run(command(tmp_path / "own.config", "--data", disks), capture_output=True, text=True, timeout=60, check=False)
        assert (second.returncode, second.stdout) == (2, "")
        assert "is in use by bcr serve own.config" in second.stderr
        kill_everybody(running)
    found = bcr("inspect", disks)
    assert (found.returncode, found.stderr) == (0, "")
    assert "servers of a service with protocol = byzantine_raft, t = 1" in found.stdout
    assert found.stdout.count("a server of Raft among liars in term") == 4
    assert "is prepared, as servers" in found.stdout
    with served(tmp_path, "--data", disks, text=text) as running:
        assert running.ask("GET", "/keys/a")[2] == b'"before"'
        assert running.ask("PUT", "/keys/a", b'"after"')[0] == 204
        for number in range(2):
            assert call(gateways(running)[number], "GET", f"/keys/by{number}")[2] == b"%d" % number
            assert call(gateways(running)[number], "GET", "/keys/a")[2] == b'"after"'
        assert until(running, is_led)["term"] >= term


# -- what is refused before anything starts


def settings(folder, **more):
    return Settings(t=1, num_clients=1, servers=3, durable=True, data_folder=str(folder), **more)


def begun(folder):
    """A folder in which a service had all its disks."""
    folder.mkdir()
    assert is_continued(settings(folder), "raft") is False
    for number in range(3):
        (folder / f"replica_{number}.sqlite").touch(0o600)
    note_begun(settings(folder))
    assert is_continued(settings(folder), "raft") is True
    return folder


def test_a_service_without_one_of_its_disks_does_not_begin(tmp_path):
    """Or that server might vote twice, and forget what it has confirmed."""
    folder = begun(tmp_path / "disks")
    (folder / "replica_1.sqlite").unlink()
    with pytest.raises(DiskError, match="the disk of replica_1 is lost"):
        is_continued(settings(folder), "raft")


@pytest.mark.parametrize(
    ("more", "protocol", "problem"),
    [
        ({"client_window": 9}, "raft", "client_window = 1 and not 9"),
        ({"first_members": (0, 1)}, "raft", "members"),
        ({}, "byzantine_raft", "protocol = raft and not byzantine_raft"),
    ],
)
def test_a_folder_of_another_service_is_refused(tmp_path, more, protocol, problem):
    folder = begun(tmp_path / "disks")
    with pytest.raises(DiskError, match=problem):
        is_continued(settings(folder, **more), protocol)


def among_liars(folder):
    return Settings(t=1, num_clients=1, servers=4, durable=True, data_folder=str(folder))


def test_each_server_that_signs_has_its_key_on_its_disk_before_it_begins(tmp_path):
    assert is_continued(among_liars(tmp_path), "byzantine_raft") is False
    seeds = server_seeds(among_liars(tmp_path))
    assert len(set(seeds)) == 4
    assert is_continued(among_liars(tmp_path), "byzantine_raft") is True
    assert server_seeds(among_liars(tmp_path)) == seeds


def test_who_was_interrupted_when_it_dealt_the_keys_deals_the_rest(tmp_path):
    assert is_continued(among_liars(tmp_path), "byzantine_raft") is False
    mark = tmp_path / "servers"
    terms = json.loads(mark.read_text())
    assert len(terms.pop("keys")) == 4
    mark.write_text(json.dumps(terms | {"begun": False}))
    seeds = server_seeds(among_liars(tmp_path))
    (tmp_path / "replica_3.sqlite").unlink()
    assert is_continued(among_liars(tmp_path), "byzantine_raft") is False
    assert server_seeds(among_liars(tmp_path))[:3] == seeds[:3]
    assert is_continued(among_liars(tmp_path), "byzantine_raft") is True


@pytest.mark.parametrize(
    ("taken_from", "problem"),
    [("elsewhere/replica_2", "is of another service: its key is"), ("here/replica_1", "is not that of server 2")],
)
def test_a_disk_that_is_not_the_servers_own_is_refused(tmp_path, taken_from, problem):
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
        is_continued(among_liars(tmp_path / name), "byzantine_raft")
    shutil.copy(tmp_path / f"{taken_from}.sqlite", tmp_path / "here" / "replica_2.sqlite")
    with pytest.raises(DiskError, match=problem):
        is_continued(among_liars(tmp_path / "here"), "byzantine_raft")


def test_a_disk_of_a_server_that_signs_is_for_its_owner_alone(tmp_path):
    is_continued(among_liars(tmp_path), "byzantine_raft")
    (tmp_path / "replica_1.sqlite").chmod(0o644)
    with pytest.raises(DiskError, match="others may read it"):
        demand_usable(tmp_path)


@pytest.mark.parametrize("said", ["{", "[]", '{"begun": true}'])
def test_a_file_that_does_not_say_of_which_service_the_disks_are_is_told(tmp_path, said):
    (tmp_path / "servers").write_text(said)
    with pytest.raises(DiskError, match=r"servers (cannot be read|does not say)"):
        is_continued(settings(tmp_path), "raft")


def test_raft_refuses_the_disks_of_the_chain(tmp_path):
    (tmp_path / "olympus.sqlite").touch(0o600)
    with pytest.raises(DiskError, match="disks of a chain"):
        is_continued(settings(tmp_path), "raft")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("protocol = raft\nhosts = 10.0.0.1; 10.0.0.2; 10.0.0.3", "nodes load the processes of the chain only"),
        ("protocol = raft\nchanges = transfer(0,1)", "/admin/members"),
        ("protocol = raft\nt = 1\nkeyvalue[0] = 127.0.0.1:1\nkeyvalue[1] = 127.0.0.1:2\nkeyvalue[2] = 127.0.0.1:3\nkeyvalue[3] = 127.0.0.1:4",
         "stands beside a server"),
    ],
)  # fmt: skip
def test_what_the_protocol_cannot_have_is_refused_with_the_reason(lines, problem):
    with pytest.raises(ScenarioError, match=problem):
        parse_service(lines + "\n", "own.config")


def test_each_protocol_of_a_service_has_its_view():
    assert set(VIEWS) == set(SCENARIO_NAMES)


def test_the_chain_refuses_the_disks_of_raft(tmp_path):
    begun(tmp_path / "disks")
    (tmp_path / "own.config").write_text("t = 1\ngateway[0] = 127.0.0.1:0\n")
    starting = command(tmp_path / "own.config", "--data", tmp_path / "disks")
    done = subprocess.run(starting, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has disks of another protocol" in done.stderr
