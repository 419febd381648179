"""What only one reading makes sense of is read with a warning, and what two do is refused."""

import os

import pytest
from memory_chain import get, put

from bcr.objects.dictionary import Operation
from bcr.scenario import Failure, ScenarioError, Trigger, parse_scenario, read_scenario

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
    hint = "; if this file counts seconds, say time_unit = s"
    assert error("client_timeout = 0.5\n") == f"18: client_timeout: expected a whole number, found '0.5'{hint}"
    expected = f"23: after: expected a number of whole milliseconds, found '0.5'{hint}"
    assert error("failures[0,0] = after(0.5), drop()\n") == expected


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


# -- what public files of the format hold

HANDOUT = "put('jedi,'luke skywalker); slice('jedi','0:4'); get('jedi')"
JEDI = [put("jedi", "luke skywalker"), Operation("slice", "jedi", "0:4"), get("jedi")]


@pytest.mark.parametrize(
    "value, told",
    [
        (HANDOUT, ["a quote is missing behind 'jedi'", "a quote is missing behind 'luke skywalker'"]),
        (HANDOUT.replace("'jedi,", "'jedi',"), ["a quote is missing behind 'luke skywalker'"]),
        (HANDOUT.replace("skywalker)", "skywalker')"), ["a quote is missing behind 'jedi'"]),
        (HANDOUT.replace("'", '"'), ["a quote is missing behind 'jedi'", "a quote is missing behind 'luke skywalker'"]),
    ],
)
def test_the_closing_quotes_that_an_operation_lacks_are_read_with_a_warning(value, told):
    scenario, warnings = read(f"t = 1\nnum_client = 1\nworkload[0] = {value}\n")
    assert (operations(scenario), warnings) == ([JEDI], told)


def test_the_last_operation_may_lack_its_closing_quote_too():
    scenario, warnings = read("t = 1\nnum_client = 1\nworkload[0] = get('a'); put('b','c, d)\n")
    assert operations(scenario) == [[get("a"), put("b", "c, d")]]
    assert warnings == ["a quote is missing behind 'c, d'"]


@pytest.mark.parametrize(
    "value, column",
    [("get('a'); put('b','it's me'); get('c')", 33), ("put('a','b\\'); get('c)", 23), ("put('a', 'b", 24)],
)
def test_where_a_quote_may_be_missing_in_two_places_the_one_error_stands_at_the_string(value, column):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(f"t = 1\nnum_client = 1\nworkload[0] = {value}\n", "x.config")
    [found] = caught.value.diagnostics
    assert (found.line, found.column, "quote" in found.text) == (3, column, True)


def test_workloads_of_clients_that_there_are_not_are_ignored_with_a_warning():
    scenario, warnings = read(START + "workload[1] = get('a')\nworkload[7] = get('b')\n")
    assert operations(scenario) == [[get("k")]]
    assert warnings == [f"workload[{k}] is ignored: no such client, clients are 0 to 0" for k in (1, 7)]


def test_a_trigger_of_a_client_that_there_is_not_is_read_with_the_warning_that_it_never_strikes():
    scenario, warnings = read(START + "failures[0,0] = shuttle(3,0), drop()\n")
    assert scenario.failures[0].trigger == Trigger("shuttle", 3, 0)
    assert warnings == ["shuttle: no client 3, clients are 0 to 0; this never strikes"]


def test_truncate_history_without_a_number_is_read_as_1():
    scenario, warnings = read(START + "failures[0,0] = wedge_request(0), truncate_history()\n")
    assert scenario.failures[0].failure == Failure("truncate_history", 1)
    assert warnings == ["truncate_history() is read as truncate_history(1)"]


def test_a_line_that_is_no_name_and_value_is_ignored_with_a_warning():
    scenario, warnings = read(START + "-----\n")
    assert scenario.t == 1
    assert warnings == ["expected 'name = value', found '-----'; the line is ignored"]


def test_a_workload_or_fault_without_its_equals_sign_is_an_error_that_is_told_once():
    assert error("failures[0,0] shuttle(0,0), drop()\n").startswith("1: expected 'name = value'")
    with pytest.raises(ScenarioError) as caught:
        parse_scenario("t = 1\nnum_client = 1\nworkload[0] get('k')\n", "x.config")
    [found] = caught.value.diagnostics
    assert (found.line, found.text) == (3, "expected 'name = value', found \"workload[0] get('k')\"")


def test_of_many_lines_that_are_none_five_are_told_and_the_number_of_the_others():
    _, warnings = read(START + "no line\n" * 100)
    assert len(warnings) == 6
    assert warnings[-1] == "95 more lines that are no 'name = value' are ignored"


def test_hosts_of_clients_without_hosts_are_ignored_with_a_warning():
    scenario, warnings = read(START + "client_hosts = 0\nreplica_hosts = 0;1;2\n")
    assert (scenario.client_hosts, scenario.replica_hosts) == ((), ())
    assert warnings == [
        f"{key} is ignored: there is no hosts = …, of whose items it gives the numbers" for key in ("client_hosts", "replica_hosts")
    ]


@pytest.mark.parametrize("more, told", [("", 1), ("time_unit = ms\n", 0)])
def test_a_timeout_that_may_be_seconds_names_the_unit_of_time_unless_the_file_says_it(more, told):
    scenario, warnings = read(START + more + "head_timeout = 3\nclient_timeout = 50\n")
    assert scenario.head_timeout_ms == 3
    expected = "head_timeout: 3 milliseconds; if this file counts seconds say time_unit = s, otherwise time_unit = ms"
    assert warnings == [expected] * told


def test_a_number_that_is_too_small_for_both_units_is_told_with_what_is_possible():
    assert error("time_unit = s\nclient_timeout = 0.0001\n") == (
        "18: client_timeout: expected a number of seconds, found '0.0001'; seconds have three decimals at most"
    )


def test_a_counter_below_the_first_names_the_setting():
    assert error("counters_start_at = 1\nfailures[0,0] = shuttle(0,0), drop()\n") == (
        "27: shuttle: 0 is less than 1, where this file begins to count: counters_start_at = 1"
    )


FROM_1 = """\
t = 1
num_client = 2
indices_start_at = 1
workload[1] = put('a','b')
workload[2] = get('a')
failures[0,3] = shuttle(2,0), drop()
links[1,2] = after(5), fail()
links = after(9), partition({1},{3})
expect[results,2] = 'b'
expect[quorum_includes,0] = 1,3
"""


def test_clients_and_positions_may_count_from_1_where_the_file_says_so():
    one, warnings = read(FROM_1)
    assert not warnings
    other, _ = read(
        FROM_1.replace("indices_start_at = 1", "indices_start_at = 0").replace("workload[1]", "workload[0]")
        .replace("workload[2]", "workload[1]").replace("[0,3] = shuttle(2,0)", "[0,2] = shuttle(1,0)")
        .replace("links[1,2]", "links[0,1]").replace("{1},{3}", "{0},{2}").replace("results,2", "results,1")
        .replace("= 1,3", "= 0,2")
    )  # fmt: skip
    assert one.workloads == other.workloads

    def plans(scenario):
        return [(each.configuration, each.position, each.trigger, each.failure) for each in scenario.failures]

    assert plans(one) == plans(other)
    assert [(each.arguments, each.value) for each in one.expectations] == [((1,), ("b",)), ((0,), (0, 2))]
    assert [(each.arguments, each.value) for each in other.expectations] == [((1,), ("b",)), ((0,), (0, 2))]


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("[0,3]", "[0,0]", "failures: no replica 0, positions are 1 to 3"),
        ("shuttle(2,", "shuttle(0,", "shuttle: 0 is less than 1, where this file begins to count: indices_start_at = 1"),
        ("links[1,2]", "links[0,2]", "links: no link from 0 to 2, replicas are 1 to 3"),
        ("{3}", "{0}", "partition: expected replicas from 1 to 3 such as {1,2}, found '{0}'"),
        ("results,2", "results,0", "expect[results]: no client 0, clients are 1 to 2"),
        ("= 1,3", "= 0,3", "expected positions such as 1,2 or {1,2}, found '0'"),
    ],
)
def test_where_indices_start_at_1_there_is_no_0(old, new, told):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(FROM_1.replace(old, new), "x.config")
    assert [each.text for each in caught.value.diagnostics] == [told]


def test_clients_that_count_from_1_without_saying_so_are_told_of_the_setting():
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(FROM_1.replace("indices_start_at = 1\n", ""), "x.config")
    texts = [each.text for each in caught.value.diagnostics if each.severity == "error"]
    hint = "; if clients and positions count from 1 in this file, say indices_start_at = 1"
    assert f"workload[0] is missing: what client 0 is to do{hint}" in texts
    assert f"failures: no replica 3, positions are 0 to 2{hint}" in texts


def test_an_unknown_key_that_is_near_to_none_lists_a_handful():
    _, warnings = read(START + "foo = 5\n")
    [told] = warnings
    assert told.startswith("unknown key foo is ignored; the nearest are ")
    assert told.count(",") == 4


def test_an_unknown_word_of_a_choice_hides_no_other_error_and_makes_none():
    assert error("time_unit = sec\nclient_timeout = 0.5\n").startswith("13: time_unit: no 'sec'")


def test_brackets_that_do_not_match_do_not_make_the_workload_missing_too():
    with pytest.raises(ScenarioError) as caught:
        parse_scenario("t = 1\nnum_client = 1\nworkload[0) = get('k')\n", "x.config")
    assert [each.text for each in caught.value.diagnostics] == ["brackets do not match: 'workload[0)'"]


def test_an_index_behind_a_number_s_name_does_not_make_the_number_missing_too():
    with pytest.raises(ScenarioError) as caught:
        parse_scenario("t[0] = 1\nnum_client = 1\nworkload[0] = get('k')\n", "x.config")
    assert [each.text for each in caught.value.diagnostics] == ["t takes no index"]


def test_what_is_no_file_is_told_as_what_it_is(tmp_path):
    folder, fifo = tmp_path / "folder.config", tmp_path / "fifo.config"
    folder.mkdir()
    os.mkfifo(fifo)
    for path, what in ((folder, "a folder"), (fifo, "a FIFO")):
        with pytest.raises(ScenarioError, match=f"error: {what}, not a file$"):
            read_scenario(path)


def test_yaml_in_capitals_is_yaml():
    assert parse_scenario("t: 1\nnum_client: 1\n'workload[0]': get('k')\n", "x.YAML")[0].t == 1


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("acceptance = quorum;", "acceptance", "quorum"),
        ("authentication = 'hmac' ; ", "authentication", "hmac"),
        ("durable = on;", "durable", True),
        ("object = store;", "object_name", "store"),
        ("log_level = debug ;;", "log_level", "debug"),
    ],
)
def test_a_semicolon_behind_a_word_is_read_with_one_warning(line, name, value):
    scenario, warnings = read(f"t = 1\nnum_client = 1\nworkload[0] = get('k')\n{line}\n")
    assert getattr(scenario, name) == value
    assert warnings == ["a ; behind the value is ignored"]


def test_a_semicolon_behind_absent_makes_no_string_of_it():
    scenario, _ = read("t = 1\nnum_client = 1\nworkload[0] = get('k')\nexpect[final,'k'] = absent; \n")
    assert scenario.expectations[0].value is None


@pytest.mark.parametrize("key", ["client-timeout", "my.note", "test case name", "x[0].y"])
def test_a_key_of_one_s_own_that_is_no_name_is_ignored_with_a_warning(key):
    """[9] Your own keys are welcome"""
    _, warnings = read(f"t = 1\nnum_client = 1\nworkload[0] = get('k')\n{key} = 5\n")
    assert len(warnings) == 1 and warnings[0].startswith(f"unknown key {key} is ignored; ")


@pytest.mark.parametrize("key", ["failures[0,0].x", "workload 0", "expect-verdict"])
def test_a_known_key_with_more_behind_it_is_an_error(key):
    assert "not a name" in error(f"{key} = get('k')")


def test_a_client_with_faults_needs_no_workload():
    """[attacks] nothing is owed to it, its workload does not count"""
    text = "t = 1\nnum_client = 2\nworkload[0] = get('k')\nclient_failures[1] = reconfiguration(0),flood(10)\n"
    scenario, warnings = read(text)
    assert [len(each) for each in scenario.workloads] == [1, 0]
    assert not warnings


def test_a_configuration_s_message_may_have_the_name_that_triggers_and_logs_give_it():
    text = "t = 1\nnum_client = 1\nworkload[0] = get('k')\nfailures[0,1] = after(100),forge(new_configuration); after(1),replay_old(Configuration)\n"
    scenario, _ = read(text)
    assert [each.failure.argument for each in scenario.failures] == ["configuration", "configuration"]


@pytest.mark.parametrize(("configuration", "count", "met"), [(1, 0, 0), (2, 0, 0), (2, 1, 0), (3, 2, 0), (3, 1, 1), (0, 1, 1)])
def test_the_configuration_that_a_process_gets_is_its_first_or_the_one_of_that_number(configuration, count, met):
    """[9] `new_configuration(m)` (0 = the first change after the initial configuration)"""
    text = f"t = 1\nnum_client = 1\nworkload[0] = get('k')\nfailures[{configuration},1] = new_configuration({count}),crash()\n"
    [plan] = read(text)[0].failures
    assert (plan.trigger.count, plan.text) == (met, f"new_configuration({count}),crash()")


def test_numbers_of_configurations_are_not_counted_from_1_with_the_counters():
    text = "t = 1\nnum_client = 1\ncounters_start_at = 1\nworkload[0] = get('k')\nclient_failures[0] = reconfiguration(0),flood(5)\n"
    [plan] = read(text)[0].client_failures
    assert plan.trigger.count == 0
