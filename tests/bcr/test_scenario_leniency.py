"""What only one reading makes sense of is read with a warning, and what two do is refused."""

import pytest
from memory_chain import get, put

from bcr.scenario import Failure, ScenarioError, Trigger, parse_scenario

START = "t = 1\nnum_client = 1\nworkload[0] = get('k')\n"


def read(text):
    scenario, warnings = parse_scenario(text, "x.config")
    return scenario, [each.text for each in warnings]


def error(line):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(START + line, "x.config")
    [found] = [each for each in caught.value.diagnostics if each.severity == "error"]
    return f"{found.column}: {found.text}"


def operations(scenario):
    """What each client does."""
    return [list(workload) for workload in scenario.workloads]


def test_capitals_in_keys_are_read_with_a_warning():
    scenario, warnings = read("T = 2\nNum_Clients = 1\nWorkload[0] = get('K')\n")
    assert (scenario.t, scenario.num_clients, operations(scenario)) == (2, 1, [[get("K")]])
    assert warnings == ["T is read as t", "Num_Clients is read as num_client", "Workload is read as workload"]


def test_capitals_in_triggers_failures_and_operations_are_read_with_a_warning():
    scenario, warnings = read("t = 1\nnum_client = 1\nworkload[0] = Put('A','B')\nfailures[0,0] = Shuttle(0,0), DROP()\n")
    assert operations(scenario) == [[put("A", "B")]]
    [plan] = scenario.failures
    assert (plan.trigger, plan.failure, plan.text) == (Trigger("shuttle", 0, 0), Failure("drop"), "Shuttle(0,0), DROP()")
    assert warnings == ["Put is read as put", "Shuttle is read as shuttle", "DROP is read as drop"]


def test_nothing_between_two_semicolons_is_read_with_a_warning():
    scenario, warnings = read("t = 1\nnum_client = 1\nworkload[0] = ; get('a');; get('b');\n")
    assert operations(scenario) == [[get("a"), get("b")]]
    assert warnings == ["nothing stands before this ;"] * 2


def test_commas_between_hosts_are_read_with_a_warning():
    scenario, warnings = read(START + "hosts = a, b\nclient_hosts = 1\nreplica_hosts = 0,1,1\n")
    assert (scenario.hosts, scenario.replica_hosts) == (("a", "b"), (0, 1, 1))
    assert warnings == [f"{key}: commas between the items are read as ;" for key in ("hosts", "replica_hosts")]


def test_seconds_may_have_decimals_and_milliseconds_may_not():
    scenario, _ = read(START + "time_unit = s\nclient_timeout = 0.5\nfailures[0,0] = after(1.25), sleep(0.125)\n")
    assert scenario.client_timeout_ms == 500
    assert (scenario.failures[0].trigger.count, scenario.failures[0].failure.argument) == (1_250, 125)
    assert scenario.head_timeout_ms == 3_000  # a default is no number of the file's
    assert error("client_timeout = 0.5\n") == "18: client_timeout: expected a whole number, found '0.5'"
    assert error("failures[0,0] = after(0.5), drop()\n") == "23: after: expected a number of whole milliseconds, found '0.5'"


@pytest.mark.parametrize("value", ["0.0005", "1.", "1e3", "0,5", "½"])
def test_what_is_no_whole_number_of_milliseconds_is_refused_in_seconds_too(value):
    with pytest.raises(ScenarioError, match="client_timeout: expected a number of seconds"):
        read(START + f"time_unit = s\nclient_timeout = {value}\n")


@pytest.mark.parametrize("pair", ["shuttle(0,0), sleep(3600001)", "after(3600001), drop()", "shuttle(0,0), sleep(-1)"])
def test_a_fault_s_time_has_limits(pair):
    assert "is not from 0 to 3,600,000 milliseconds" in error(f"failures[0,0] = {pair}\n")


@pytest.mark.parametrize(
    "value, told",
    [
        ("after(0), partition({0},{%s})" % ("9" * 5_000), "33: partition: expected replicas from 0 to 2 such as {0,1}"),
        ("after(0), partition({0},{²})", "33: partition: expected replicas from 0 to 2 such as {0,1}, found '{²}'"),
        ("after(0), partition", "19: partition takes 2 arguments, not 0: partition({0,1},{2})"),
        ("after(0), fix(1)", "19: fix takes 0 arguments, not 1: fix()"),
    ],
    ids=["5000 digits", "no digit", "no groups", "one too many"],
)
def test_a_fault_of_links_without_sense_is_refused_with_its_place(value, told):
    assert error(f"links = {value}\n").startswith(told)
