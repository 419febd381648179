"""The laboratory: faults, links and processes of a running service; without it no fault code is there."""

import json
import re
import time

import pytest
from polling import until_within
from serving import bcr, served

from bcr.faults.injector import Injector
from bcr.faults.plans import Failure, FaultPlan, Trigger
from bcr_client import Store
from bcr_service.lab import LaboratoryRequest, asked, faults_in, position_in

LIMIT_S = 30
until = until_within(LIMIT_S)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with served(tmp_path_factory.mktemp("lab"), "--lab") as running:
        yield running


def status(running):
    return json.loads(running.ask("GET", "/admin/status", headers={"accept": "application/json"})[2])


def events(running):
    return running.events()


def key_of(running):
    return json.loads(running.ask("GET", "/configuration")[2])["olympus_key"]


def settled(running):
    """A configuration in which all replicas have said that they are active; its number."""
    until(lambda: {each["mode"] for each in status(running)["chain"]} == {"active"})
    return status(running)["configuration"]


def happened(running, kind, **values):
    return [each for each in events(running) if each["kind"] == kind and values.items() <= each.items()]


@pytest.mark.parametrize(
    ("position", "fault"),
    [(2, "change_result()"), (1, "shuttle(0,0),change_operation()"), (0, "client_request(0,1),crash()"), (1, "after(50),stall()")],
)
def test_a_replica_that_is_given_a_fault_is_found_out_and_nothing_is_lost(lab, position, fault):
    number = settled(lab)
    with Store(lab.url, key_of(lab), timeout_s=LIMIT_S) as store:
        store.put("kept", [position, fault])
        assert lab.ask("POST", f"/lab/fault/replica_{position}", fault.encode())[0] == 202
        until(lambda: happened(lab, "laboratory", what="fault", about=f"replica_{position} {fault}"))
        deadline_s = time.monotonic() + LIMIT_S
        while not happened(lab, "reconfiguration", source=number):
            assert time.monotonic() < deadline_s
            store.append("written meanwhile", "x")
        assert store.get("kept") == [position, fault]
    assert happened(lab, "fault", replica=f"replica_{position} of {number}")


def test_a_link_that_is_cut_has_the_chain_replaced_and_one_that_is_mended_in_time_has_not(lab):
    number = settled(lab)
    with Store(lab.url, key_of(lab), timeout_s=LIMIT_S) as store:
        assert lab.ask("POST", "/lab/fail_link/replica_1/replica_2")[0] == 202
        assert lab.ask("POST", "/lab/fix_link/1/2")[0] == 202
        until(lambda: happened(lab, "laboratory", what="fix_link", about="replica_1 replica_2"))
        store.put("mended", 1)
        assert status(lab)["configuration"] == number
        assert lab.ask("POST", "/lab/fail_link/replica_0/replica_1")[0] == 202
        until(lambda: happened(lab, "laboratory", what="fail_link", about="replica_0 replica_1"))
        store.put("cut", 2)
        assert (store.get("mended"), store.get("cut")) == (1, 2)
    assert until(lambda: happened(lab, "reconfiguration", source=number))
    assert lab.ask("POST", "/lab/fix_link")[0] == 202


@pytest.mark.parametrize(
    ("path", "body", "wanted", "what"),
    [
        ("kill/replica_3", b"", 400, "replica_0 to replica_2"),
        ("kill/olympus", b"", 400, "replica_0 to replica_2"),
        ("burn/replica_1", b"", 404, "the laboratory has"),
        ("fail_link/replica_1/replica_1", b"", 400, "two ends"),
        ("fail_link/replica_1", b"", 404, "of two"),
        ("fault/replica_1", b"", 400, "expected"),
        ("fault/replica_1", b"dance()", 400, "dance"),
        ("fault/replica_1", b"shuttle(0,1),crash()\nt = 5", 400, "one line"),
        ("fault/replica_1", b"reconfiguration(5),crash()", 400, "other replicas"),
        ("fault/replica_1", b"x" * 1_001, 400, "one line"),
    ],
)
def test_what_the_laboratory_cannot_do_is_told(lab, path, body, wanted, what):
    answered, _, told = lab.ask("POST", f"/lab/{path}", body)
    assert (answered, what in json.loads(told)["detail"]) == (wanted, True), told


def test_what_the_laboratory_could_not_do_is_an_event(lab):
    assert lab.ask("POST", "/lab/power_cut")[0] == 202
    assert "no disks" in until(lambda: happened(lab, "laboratory", what="power_cut"))[0]["failed"]


def test_without_a_laboratory_there_is_none(service):
    assert service.ask("POST", "/lab/kill/replica_1")[0] == 404
    assert service.ask("POST", "/lab/fault/replica_1", b"crash()")[0] == 404
    assert status(service)["laboratory"] is False


FAULT_CODE = ("Laboratory", "Adversary", "Byzantine", "ByzantineClient", "bcr.faults.injector", "bcr.faults.forgery", "bcr_service.lab")


def loaded(folder, monkeypatch, *arguments):
    """The modules that the processes of a service have loaded, after a write and a read."""
    monkeypatch.setenv("PYTHONVERBOSE", "1")
    with served(folder, *arguments) as running:
        assert running.ask("PUT", "/keys/a", b"1")[0] == 204
        assert running.ask("GET", "/keys/a")[2] == b"1"
    return set(re.findall(r"(?m)^import '?([\w.]+)'? # ", (folder / "errors.txt").read_text(errors="replace")))


def test_without_a_laboratory_no_fault_code_is_loaded_by_any_process(tmp_path, monkeypatch):
    names = loaded(tmp_path, monkeypatch)
    assert {"Replica", "Olympus", "Gateway", "bcr_service.app"} <= names
    assert names & set(FAULT_CODE) == set()


def test_with_a_laboratory_it_is(tmp_path, monkeypatch):
    assert loaded(tmp_path, monkeypatch, "--lab") >= {"Laboratory", "Adversary", "Byzantine"}


# -- what was asked for, apart from any service


def test_a_fault_without_a_trigger_is_for_at_once():
    [plan] = faults_in("change_result()", 4, 1, 1, 1)
    assert (plan.configuration, plan.position) == (4, 1)
    assert (plan.trigger, plan.failure.name) == (Trigger("after", None, 0), "change_result")


def test_several_faults_may_be_given_at_once():
    assert [plan.failure.name for plan in faults_in("shuttle(0,1),crash(); shuttle(0,2),change_result()", 0, 0, 1, 1)] == [
        "crash",
        "change_result",
    ]


def test_replicas_go_by_their_names_or_numbers():
    assert [position_in(name, 3) for name in ("replica_0", "2")] == [0, 2]
    for name in ("replica_3", "replica_", "-1", "²", "9" * 5_000):
        with pytest.raises(ValueError, match="there are"):
            position_in(name, 3)


def test_what_is_asked_for_is_read_from_the_path():
    assert asked("kill/1", b"", 0, 1, 1) == LaboratoryRequest("kill", "replica_1")
    assert asked("fix_link", b"", 0, 1, 1) == LaboratoryRequest("fix_link", "")
    assert asked("fault/replica_0", b" crash() ", 0, 1, 1) == LaboratoryRequest("fault", "replica_0 crash()")


def test_a_fault_that_is_added_counts_from_when_it_is_given():
    injector = Injector(())
    for _ in range(5):
        injector.receipt("shuttle", {0})
    plan = FaultPlan(0, 0, Trigger("shuttle", 0, 1), Failure("crash"), "shuttle(0,1),crash()")
    injector.add(plan)
    assert injector.receipt("shuttle", {0}) == []
    [struck] = injector.receipt("shuttle", {0})
    assert struck.text == plan.text
    assert injector.receipt("shuttle", {0}) == []


def test_the_words_of_the_console_reach_the_laboratory(lab):
    script = "failLink replica_0 replica_1\nfixLink replica_0 replica_1\nfixLink\nfault replica_1 shuttle(0,900),crash()\nfail replica_9\n"
    done = bcr("console", "--url", lab.url, "--olympus-key", key_of(lab), standard_input=script)
    assert done.stdout.count("asked for") == 4
    assert "replica_0 to replica_2" in done.stderr
    assert until(lambda: happened(lab, "laboratory", what="fault", about="replica_1 shuttle(0,900),crash()"))
