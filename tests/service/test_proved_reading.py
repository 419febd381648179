"""A service file: a scenario file without clients; whatever is wrong with it is told with its place."""

import pytest

from bcr.scenario import ScenarioError
from bcr_runtime.places import PROJECT
from bcr_service.service_files import Address, parse_service, read_service


def problems_of(text):
    with pytest.raises(ScenarioError) as error:
        parse_service(text, "own.config")
    return [(each.line, each.text) for each in error.value.diagnostics if each.severity == "error"]


def test_the_file_that_comes_with_the_project_is_right_and_warns_of_nothing():
    service = read_service(PROJECT / "config" / "service.config")
    assert (service.scenario.t, [str(each.address) for each in service.listeners], service.warnings) == (1, ["127.0.0.1:8080"], ())


def test_an_empty_file_is_a_service_with_one_gateway():
    service = parse_service("", "own.config")
    assert [str(each.address) for each in service.listeners] == ["127.0.0.1:8080"]
    assert (service.scenario.object_name, service.scenario.num_clients, service.scenario.log_level) == ("store", 1, "quiet")


def test_what_the_file_says_outweighs_what_services_have_by_default():
    service = parse_service("t = 2\nclient_window = 3\nlog_level = human\n", "own.config")
    assert (service.scenario.t, service.scenario.client_window, service.scenario.log_level) == (2, 3, "human")


def test_each_gateway_is_a_client_of_the_chain():
    service = parse_service("gateway[1] = [::1]:81\ngateway[0] = localhost:80\n", "own.config")
    assert [each.address for each in service.listeners] == [Address("localhost", 80), Address("::1", 81)]
    assert service.scenario.num_clients == 2


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("gateway[0] = 8080", "expected host:port"),
        ("gateway[0] = 127.0.0.1:99999", "expected host:port"),
        ("gateway = 127.0.0.1:80", "expected gateway[i]"),
        ("gateway[0] = 0.0.0.0:80", "takes TLS and a token"),
        ("distraft[0] = 0.0.0.0:80", "takes TLS and a token"),
        ("zatt[0] = 0.0.0.0:80", "neither TLS nor tokens"),
        ("zatt[1] = 127.0.0.1:80", "zatt[i]: these are numbered from 0"),
        ("keyvalue = 127.0.0.1:80", "expected keyvalue[i]"),
        ("gateway[1] = 127.0.0.1:80", "numbered from 0"),
        ("durable = perhaps", "durable"),
        ("durable = off\ndata = data/", "durable = on"),
        ("protocol = paxos", "chain, raft, byzantine_raft"),
        ("protocol = raft\nchanges = transfer(0,1)", "members"),
        ("protocol = raft\nacceptance = quorum", "can be lost"),
        ("protocol = raft\ndistraft[3] = 127.0.0.1:80", "numbered from 0"),
        ("workload[0] = get('a')", "from its callers"),
        ("failures[0,0] = shuttle(0,1),crash()", "laboratory"),
        ("authentication = hmac", "ed25519"),
        ("acceptance = quorum", "can be lost"),
        ("object = dictionary", "the store"),
        ("session_slots = 100", "which stay"),
        ("t = 0", "t"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(line, what):
    found = problems_of(f"# a comment\n\n{line}\n")
    assert any(what in text and number in (1, 3, 4) for number, text in found), found


def test_a_gateway_that_is_there_twice_is_told():
    assert "twice" in problems_of("gateway[0] = localhost:80\ngateway[0] = localhost:81\n")[0][1]
