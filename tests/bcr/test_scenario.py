"""Scenario files: what real files of the format hold is read, and what makes no sense is told with its place."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from memory_chain import changed, get, put

from bcr.faults.vocabulary import CLIENT_FAILURES, CLIENT_TRIGGERS, FAILURES, MESSAGES, SIMULATED, TRIGGERS
from bcr.objects.dictionary import Operation
from bcr.scenario import Failure, ScenarioError, Trigger, parse_scenario, read_scenario, workload_grammar
from bcr.scenario.entries import MAX_BYTES, lines_of
from bcr.scenario.values import MAX_OPERATIONS, Cut, Hold, Pause
from bcr.scenario.workload import Distinct, Uniform, Written, pseudorandom
from bcr.signed.encoding import encode

HERE = Path(__file__).parent
CONFIG = HERE.parents[1] / "config"
MALFORMED = sorted((HERE / "malformed").glob("*.config"))

START = "t = 1\nnum_client = 1\n"
WORKLOAD = "workload[0] = get('k')\n"


def read(text, source="x.config"):
    """The scenario and the texts of the warnings."""
    scenario, warnings = parse_scenario(text, source)
    assert all(each.severity == "warning" for each in warnings)
    return scenario, [each.text for each in warnings]


def operations(value):
    """What client 0 does whose workload this is, and the warnings."""
    scenario, warnings = read(f"{START}workload[0] = {value}\n")
    return list(scenario.workloads[0]), warnings


def faults(value, more=""):
    """The faults of replica 0 in configuration 0 that this stands for, and the warnings."""
    scenario, warnings = read(f"{START}{WORKLOAD}{more}failures[0,0] = {value}\n")
    return [(each.trigger, each.failure, each.text) for each in scenario.failures], warnings


def errors(text, source="x.config"):
    """The errors as `line:column: text`."""
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, source)
    return [f"{each.line}:{each.column}: {each.text}" for each in caught.value.diagnostics if each.severity == "error"]


ARGUMENTS = {"number": "1", "milliseconds": "1", "position": "1", "message": "shuttle"}


def call(name, words):
    """The word with arguments that it may have."""
    return f"{name}({','.join(ARGUMENTS[kind] for kind in words[name].arguments)})"


DROP = (Trigger("shuttle", 0, 1), Failure("drop"))


# -- the oddities of real files


@pytest.mark.parametrize(
    "value",
    ["shuttle(0,1),drop()", "shuttle( 0 , 1 ) , drop( )", " shuttle (0,1)  ,drop ()  ", "shuttle(0,1),\tdrop()\t"],
)
def test_blanks_anywhere_around_punctuation_are_read(value):
    [(trigger, failure, _)], warnings = faults(value)
    assert (trigger, failure) == DROP
    assert not warnings


def test_blanks_anywhere_in_workloads_are_read():
    read_ones, warnings = operations(" put ( 'a' , 'b' ) ;  get( 'a' );pseudorandom( 3 , 2 ) ")
    assert read_ones == [put("a", "b"), get("a"), *pseudorandom(3, 2)]
    assert not warnings


def test_blanks_and_tabs_around_names_equals_signs_and_indices_are_read():
    scenario, warnings = read("\t t\t=\t1\nnum_client=1\n workload [ 0 ]=get('k')\nfailures[ 0 , 2 ] = shuttle(0,1),drop()")
    assert scenario.failures[0].position == 2
    assert not warnings


def test_a_trailing_semicolon_is_read():
    assert operations("get('k');") == ([get("k")], [])
    assert len(faults("shuttle(0,1),drop(); ")[0]) == 1


def test_a_semicolon_behind_a_number_is_read_with_a_warning():
    scenario, warnings = read("t = 1;\nnum_client = 1\n" + WORKLOAD)
    assert scenario.t == 1
    assert warnings == ["a ; behind the value is ignored"]


def test_carriage_returns_are_read():
    text = f"{START}{WORKLOAD}failures[0,0] = shuttle(0,1),drop()\n"
    assert parse_scenario(text.replace("\n", "\r\n"), "x.config") == parse_scenario(text, "x.config")


def test_a_byte_order_mark_is_read():
    assert read("\ufeff" + START + WORKLOAD)[0].t == 1


@pytest.mark.parametrize("source", ["x.config", "x.yaml"])
@pytest.mark.parametrize("value", ["put(‘a’,‘b’)", "put(“a”,“b”)", "put(‚a‘,„b“)"])
def test_curly_quotes_are_read_with_a_warning(source, value):
    separator = " =" if source == "x.config" else ":"
    text = f"t = 1\nnum_client = 1\nworkload[0] = {value}\n".replace(" =", separator)
    scenario, warnings = read(text, source)
    assert list(scenario.workloads[0]) == [put("a", "b")]
    assert warnings[0].startswith("curly quotes are read as")


def test_blanks_before_a_comment_are_read_with_a_warning():
    assert read(f"# comment = 1\n  # another\n{START}{WORKLOAD}")[1] == ["blanks before # of a comment"]


def test_a_comment_behind_a_value_is_read_with_a_warning_and_a_number_sign_in_a_string_is_kept():
    read_ones, warnings = operations("put('a','b # c') # what it is for")
    assert read_ones == [put("a", "b # c")]
    assert warnings == ["a comment behind a value: comments have lines of their own"]


def test_of_repeated_keys_the_last_one_counts():
    scenario, warnings = read(f"{START}{WORKLOAD}workload[0] = get('other')\nt = 2\n")
    assert (scenario.t, list(scenario.workloads[0])) == (2, [get("other")])
    assert warnings == [f"{key} is given again; the last one counts" for key in ("workload[0]", "t")]


def test_num_clients_is_read_as_num_client():
    scenario, warnings = read("t = 1\nnum_clients = 1\n" + WORKLOAD)
    assert scenario.num_clients == 1
    assert warnings == ["num_clients is read as num_client"]


def test_a_failure_without_parentheses_is_read_with_a_warning():
    [(trigger, failure, text)], warnings = faults("shuttle(0,1),drop")
    assert (trigger, failure, text) == (*DROP, "shuttle(0,1),drop")
    assert warnings == ["drop without parentheses is read as drop()"]


def test_failures_in_round_brackets_are_read_with_a_warning():
    scenario, warnings = read(f"{START}{WORKLOAD}failures(1,2) = shuttle(0,1),drop()\n")
    assert (scenario.failures[0].configuration, scenario.failures[0].position) == (1, 2)
    assert warnings == ["failures(…) is read as failures[…]"]


def test_an_unknown_key_is_ignored_with_a_warning_that_names_the_nearest():
    assert read(f"{START}{WORKLOAD}head_timout = 5\n")[1] == ["unknown key head_timout is ignored; did you mean head_timeout?"]


def test_a_colon_between_key_and_range_of_a_slice_is_read_with_a_warning():
    assert operations("slice('k':'4:7')") == (
        [Operation("slice", "k", "4:7")],
        ["a colon between key and range is read as a comma"],
    )


def test_the_unbalanced_quote_of_the_published_example_is_read_with_a_warning():
    assert operations("put('jedi,'luke skywalker'); get('jedi')") == (
        [put("jedi", "luke skywalker"), get("jedi")],
        ["a quote is missing behind 'jedi'"],
    )


def test_a_client_of_minus_one_before_the_count_of_a_wedge_request_is_read():
    [(trigger, _, text)], warnings = faults("wedge_request(-1,1), crash()")
    assert trigger == Trigger("wedge_request", None, 1)
    assert text == "wedge_request(-1,1), crash()"
    assert not warnings


def test_missing_timeouts_are_3000_milliseconds_and_the_checkpoint_interval_100_slots():
    scenario, warnings = read(START + WORKLOAD)
    assert (scenario.client_timeout_ms, scenario.head_timeout_ms, scenario.nonhead_timeout_ms) == (3_000,) * 3
    assert scenario.checkpoint_interval == 100
    assert (scenario.batch_limit, scenario.client_window, scenario.operations_per_request) == (1, 1, 1)
    assert not warnings


def test_failures_are_a_set_of_pairs_each_with_the_exact_text_of_the_file():
    found, _ = faults("shuttle(0, 1),drop() ;shuttle(0,1) , sleep(20)")
    assert [text for _, _, text in found] == ["shuttle(0, 1),drop()", "shuttle(0,1) , sleep(20)"]
    assert found[0][0] == found[1][0]


def test_every_trigger_and_failure_is_read():
    triggers = {name: f"{name}({','.join('0' for _ in word.arguments)})" for name, word in TRIGGERS.items()}
    expected = [(trigger, 0, failure) for trigger in triggers for failure in FAILURES]
    text = ";".join(f"{triggers[trigger]},{call(failure, FAILURES)}" for trigger, _, failure in expected)
    found, warnings = faults(text, "authentication = hmac\n")
    assert [(trigger.name, trigger.count, failure.name) for trigger, failure, _ in found] == expected
    kinds = {failure.name: FAILURES[failure.name].arguments for _, failure, _ in found}
    assert all((failure.argument is None) == (kinds[failure.name] == ()) for _, failure, _ in found)
    assert {failure.argument for _, failure, _ in found if "message" in kinds[failure.name]} == {"shuttle"}
    assert not warnings


def test_every_failure_of_a_client_is_read():
    expected = [(trigger, failure) for trigger in CLIENT_TRIGGERS for failure in CLIENT_FAILURES]
    text = "; ".join(f"{trigger}(2),{call(failure, CLIENT_FAILURES)}" for trigger, failure in expected)
    scenario, warnings = read(f"t = 1\nnum_client = 2\nauthentication = hmac\n{WORKLOAD}workload[1] = get('k')\n"
                              f"client_failures[1] = {text}\n")  # fmt: skip
    assert [(each.client, each.trigger.name, each.failure.name) for each in scenario.client_failures] == [(1, *each) for each in expected]
    assert {each.trigger.count for each in scenario.client_failures} == {2}
    assert "; ".join(each.text for each in scenario.client_failures) == text
    assert (scenario.faulty_clients, warnings) == ({1}, [])


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_message_can_be_forged_and_sent_again(kind):
    found, warnings = faults(f"shuttle(0,0),forge({kind}); shuttle(0,1),replay_old({kind.upper()})")
    assert [failure for _, failure, _ in found] == [Failure("forge", kind), Failure("replay_old", kind)]
    assert not warnings


def test_words_for_an_adversary_that_make_no_sense_are_told_all_at_once_with_their_places_and_the_nearest_word():
    found = errors(
        f"{START}{WORKLOAD}"
        "failures[0,1] = shuttle(0,0),anser_early(1); shuttle(0,0),forge(shutle); shuttle(0,0),impersonate(3)\n"
        "client_failures[0] = reconfigration(0),flod(3); shuttle(0,0),garbage(1)\n"
        "client_failures[1] = after(1),future(2)\n"
        "client_failures[0,1] = after(1),future()\n"
        "simulation = hold(replica_0,olympos,1,2); crash(olympus,3); fre(1)\n"
        "acceptance = som\n"
    )
    assert [re.sub(r"; (the nearest is .*|valid .*)", "", each) for each in found] == [
        "4:30: no failure anser_early; did you mean answer_early?",
        "4:65: forge: no message 'shutle'; did you mean shuttle?",
        "4:99: impersonate: no replica 3, positions are 0 to 2",
        "5:22: no trigger of a client reconfigration; did you mean reconfiguration?",
        "5:40: no failure of a client flod; did you mean flood?",
        "5:49: no trigger of a client shuttle",
        "6:1: client_failures: no client 1, clients are 0 to 0",
        "6:31: future takes 0 arguments, not 1: future()",
        "7:1: expected client_failures[k] with whole numbers, found 'client_failures[0,1]'",
        "8:29: hold: expected replica_0 to replica_2, client_0 to client_0 or olympus, found 'olympos'",
        "8:49: crash: expected replica_0 to replica_2 or client_0 to client_0, found 'olympus'",
        "8:61: no option of the simulator fre; did you mean free?",
        "9:14: acceptance: no 'som'",
    ]


def test_what_a_result_is_accepted_on_is_a_choice_with_a_safe_default():
    assert read(f"{START}{WORKLOAD}")[0].acceptance == "all"
    assert read(f"{START}{WORKLOAD}acceptance = quorum\n")[0].acceptance == "quorum"


def test_asynchrony_may_reach_olympus():
    scenario, _ = read(f"{START}{WORKLOAD}simulation = hold(olympus,replica_1,5,90); cut(client_0,olympus,1,2); pause(olympus,3,9000)\n")
    simulation = scenario.simulation
    assert simulation.holds == (Hold("olympus", "replica_1", 5, 90),)
    assert simulation.cuts == (Cut("client_0", "olympus", 1, 2),)
    assert simulation.pauses == (Pause("olympus", 3, 9_000),)


@pytest.mark.parametrize("authentication", ["ed25519", "crc"])
def test_uneven_codes_need_an_authenticator_that_has_codes(authentication):
    found = errors(
        f"{START}{WORKLOAD}authentication = {authentication}\n"
        "failures[0,1] = shuttle(0,0),useless_macs()\nclient_failures[0] = after(1),uneven_macs()\n"
    )
    why = f"needs authentication = hmac, which is {authentication}: only a vector of codes can convince one reader and not another"
    assert found == [f"5:30: useless_macs {why}", f"6:31: uneven_macs {why}"]


def test_counting_from_1_and_times_in_seconds_are_settings_and_never_guessed():
    found, _ = faults("shuttle(0,1),sleep(2)", "counters_start_at = 1\ntime_unit = s\nclient_timeout = 4\n")
    assert found[0][:2] == (Trigger("shuttle", 0, 0), Failure("sleep", 2_000))
    scenario, _ = read(f"{START}{WORKLOAD}client_timeout = 4\n")
    assert scenario.client_timeout_ms == 4


def test_hosts_and_indices_into_them_are_read():
    scenario, _ = read(f"{START}{WORKLOAD}hosts = a; b ;\nclient_hosts = 1\nreplica_hosts = 0; 1; 1;\n")
    assert (scenario.hosts, scenario.client_hosts, scenario.replica_hosts) == (("a", "b"), (1,), (0, 1, 1))


def test_strings_may_hold_separators_and_escaped_quotes():
    assert operations(r"put('a;b,(c)','it\'s \\ \n'); put(x,y)")[0] == [put("a;b,(c)", "it's \\ \n"), put("x", "y")]


# -- what makes no sense


def test_there_are_ten_malformed_files():
    assert len(MALFORMED) >= 10


@pytest.mark.parametrize("file", MALFORMED, ids=lambda file: file.stem)
def test_a_malformed_file_is_refused_with_all_errors_and_their_places(file):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(file.read_text(), file.name)
    assert f"{caught.value}\n" == file.with_suffix(".txt").read_text()


def test_the_published_example_is_refused_for_its_unknown_failure_alone():
    with pytest.raises(ScenarioError) as caught:
        read_scenario(CONFIG / "published_example.config")
    warning, error = caught.value.diagnostics
    text = (CONFIG / "published_example.config").read_text().split("\n")
    assert warning.text == "a quote is missing behind 'jedi'"
    assert text[error.line - 1][error.column - 1 :].startswith("omit_send()")
    assert error.text.startswith("no failure omit_send; the nearest are ")


def test_errors_of_a_file_whose_number_of_clients_is_missing_are_no_consequences_of_that():
    text = "t = 1\nworkload[5] = get('k')\nfailures[0,0] = shuttle(7,0),dorp()\n"
    found = errors(text)
    assert len(found) == 2
    assert found[0].startswith("1:1: num_client is missing")
    assert found[1] == "3:30: no failure dorp; did you mean drop?"


def test_a_missing_workload_is_told_beside_other_errors():
    assert errors("t = 1\nnum_client = 1\nhead_timeout = x\n") == [
        "1:1: workload[0] is missing: what client 0 is to do",
        "3:16: head_timeout: expected a whole number, found 'x'",
    ]


@pytest.mark.parametrize(
    "value, count", [("pseudorandom(1,11)", 1), ("pseudorandom(1,10); get('k')", 1), ("pseudorandom(1,6); " * 4, 3),
     ("uniform(1,6,5,50); " * 4, 3)],
)  # fmt: skip
def test_more_operations_than_the_limit_are_refused(monkeypatch, value, count):
    monkeypatch.setattr(workload_grammar, "MAX_OPERATIONS", 10)
    found = errors(f"{START}workload[0] = {value}\n")
    assert len(found) == count
    assert all("at most 10 " in each or "more than 10 " in each for each in found)


def test_a_uniform_workload_is_read_with_its_sizes_and_shares_and_refused_beyond_them():
    scenario, _ = read(f"{START}workload[0] = uniform(7,30,100,25); get('a'); get('b')\nclient_rate = 50\n")
    assert scenario.workloads[0].parts == (Uniform(7, 30, 100, 25), Written((get("a"), get("b"))))
    assert (len(scenario.workloads[0]), scenario.client_rate) == (32, 50)
    assert errors(f"{START}workload[0] = uniform(1,2,100001,50); uniform(1,2,3,101); uniform(1,2,3)\n") == [
        "3:27: uniform: 100,001 is more than 100,000",
        "3:53: uniform: 101 is more than 100",
        "3:59: uniform takes 4 arguments, not 3: uniform(seed,n,value_bytes,read_percent)",
    ]


def test_a_distinct_workload_is_read_with_its_size_and_refused_beyond_it_or_of_another_object():
    scenario, _ = read(f"{START}workload[0] = distinct(7,30,100); get('a')\n")
    assert scenario.workloads[0].parts == (Distinct(7, 30, 100), Written((get("a"),)))
    assert errors(f"{START}workload[0] = distinct(1,2,100001)\n") == ["3:28: distinct: 100,001 is more than 100,000"]
    assert errors(f"{START}object = store\nworkload[0] = distinct(1,2,3)\n")


def test_a_client_has_no_more_than_two_million_operations():
    assert MAX_OPERATIONS == 2_000_000
    [error] = errors(f"{START}workload[0] = pseudorandom(1,2000001)\n")
    assert error == "3:30: 2,000,001 operations, at most 2,000,000 are possible in all"


@pytest.mark.parametrize("host", ["²", "x", "2", "-1", "9" * 5000])
def test_a_host_index_that_is_none_is_ignored_with_a_warning(host):
    """[9] `hosts`, `client_hosts`, `replica_hosts` … informative"""
    scenario, warnings = read(f"{START}{WORKLOAD}hosts = a; b\nreplica_hosts = 1; {host}; 0\n")
    assert scenario.replica_hosts == (1, 0)
    assert len(warnings) == 1 and warnings[0].startswith("replica_hosts: no host")


def test_a_file_that_is_not_text_is_refused_with_its_place(tmp_path):
    file = tmp_path / "x.config"
    file.write_bytes(b"t = 1\nnum\xff = 2\n")
    with pytest.raises(ScenarioError) as caught:
        read_scenario(file)
    assert [(each.line, each.column, each.text) for each in caught.value.diagnostics] == [(2, 4, "not UTF-8 text")]


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path):
    file = tmp_path / "x.config"
    with open(file, "wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(ScenarioError, match="more than"):
        read_scenario(file)


@pytest.mark.parametrize(
    "text, place",
    [
        ("t: [1\n", (2, 1)),
        ("- t\n- 1\n", (1, 1)),
        ("t: 1\nworkload[0]:\n  - get('k')\n", (3, 3)),
        ("t: !!python/object/apply:os.getcwd []\nnum_client: 1\n", (1, 4)),
        ("t: 1\nnum_client: 1\nworkload[0]: \"put('a','\\ud800')\"\n", (3, 1)),
    ],
)
def test_yaml_that_holds_no_scenario_is_refused_with_its_place(text, place):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "x.yaml")
    assert place in [(each.line, each.column) for each in caught.value.diagnostics]


def test_of_yaml_that_is_no_mapping_one_thing_is_said():
    with pytest.raises(ScenarioError) as caught:
        parse_scenario("- t\n- 1\n", "x.yaml")
    assert [each.text for each in caught.value.diagnostics] == ["expected 'name: value' lines"]


# -- any text

FRAGMENTS = st.sampled_from(
    ["t = 1\n", "num_client = 1\n", "workload[0] = ", "failures[0,0] = ", "expect[final,'k'] = ", "expect[", "hosts = ",
     "links = ", "links[0,1] = ", "partition({0,1},{2})", "fail()", "shuttle(0,0),",
     "t: 1\n", "num_client: 1\n", "workload[0]: ", "failures[0,0]: ", "|\n  ", ">\n ", "client_hosts = ",
     "get('k')", "put('a,'b')", "slice('k':'1:2')", "pseudorandom(1,3)", "shuttle(0,1)", "drop()", "wedge_request(-1,1)",
     "sleep(", "crash", ",", ";", "(", ")", "'", '"', "‘", "”", "#", " ", "\t", "\r\n", "\n", "=", ":", "\\", "-", "9" * 20,
     "&a ", "*a", "!x ", "{", "}", "[", "]", "²", "\x85", "\u2028", "\x00", "\ufeff", "\\ud800", "absent", ">= 3"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(FRAGMENTS, st.text(max_size=3)), max_size=25).map("".join)


@given(TEXTS, st.sampled_from(["x.config", "x.yaml"]))
@example("t: 1\nnum_client: 1\nworkload[0]: |\n  get('k');\n  pust('a','b')\n", "x.yaml")
@example("t: 1\rnum_client: 1\rworkload[0]: get()", "x.yaml")
def test_any_text_is_read_or_refused_with_places_inside_the_file(text, source):
    lines = lines_of(text, source)
    try:
        scenario, diagnostics = parse_scenario(text, source)
    except ScenarioError as error:
        diagnostics = error.diagnostics
        assert any(each.severity == "error" for each in diagnostics)
    else:
        assert encode(scenario)
    for each in diagnostics:
        assert 1 <= each.line <= len(lines)
        assert 1 <= each.column <= len(lines[each.line - 1]) + 1


# -- both forms

WORDS = st.text("abk '\\;,(é", max_size=4)
QUOTED = WORDS.map(lambda word: "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'")
CALLS = st.one_of(
    st.builds("put({},{})".format, QUOTED, QUOTED),
    st.builds("append({} , {})".format, QUOTED, QUOTED),
    st.builds("get({})".format, QUOTED),
    st.builds("slice({},'{}:{}')".format, QUOTED, st.integers(0, 9), st.integers(0, 9)),
    st.builds("pseudorandom({},{})".format, st.integers(-9, 9), st.integers(0, 5)),
)
PAIRS = st.sampled_from(["shuttle(0,1),drop()", "checkpoint(2) , sleep( 30 )", "wedge_request(-1,0),crash"])


@given(
    st.integers(1, 3),
    st.lists(CALLS, min_size=1, max_size=4),
    st.lists(PAIRS, max_size=3),
    st.integers(1, 3_600_000),
)
def test_both_forms_of_a_scenario_read_equal(t, calls, pairs, timeout_ms):
    entries = {"test_case_name": "both", "t": str(t), "num_client": "1", "head_timeout": str(timeout_ms),
               "workload[0]": "; ".join(calls), "failures[0,1]": "; ".join(pairs),
               "expect[final,'k']": "absent", "expect[operations]": ">= 1"}  # fmt: skip
    lines = "".join(f"{key} = {value}\n" for key, value in entries.items())
    yaml = "".join(f"{key}: {json.dumps(value)}\n" for key, value in entries.items())
    from_lines, warnings = read(lines, "both.config")
    from_yaml, same_warnings = read(yaml, "both.yaml")
    assert from_lines == changed(from_yaml, source="both.config")
    assert warnings == same_warnings


def test_the_first_run_s_two_files_do_the_same():
    one, _ = read_scenario(CONFIG / "first_run.config")
    other, _ = read_scenario(CONFIG / "first_run.yaml")
    assert (one.workloads, one.t, one.settings() | {"source": "", "name": ""}) == (
        other.workloads, other.t, other.settings() | {"source": "", "name": ""},
    )  # fmt: skip
    assert [(each.name, each.value) for each in one.expectations] == [(each.name, each.value) for each in other.expectations]


@pytest.mark.parametrize(
    "file", [file for file in sorted(CONFIG.glob("*.*")) if file.stem not in {"published_example", "service"}], ids=lambda file: file.name
)
def test_every_scenario_that_comes_with_the_project_reads_without_warnings(file):
    _, warnings = read_scenario(file)
    assert not warnings


# -- authenticators

CHECKSUMS = "t = 2\nnum_client = 1\nauthentication = crc\nworkload[0] = get('k')\n"


@pytest.mark.parametrize("authentication, replicas", [("ed25519", 5), ("hmac", 5), ("crc", 3)])
def test_a_scenario_has_as_many_replicas_as_its_authenticator_needs(authentication, replicas):
    scenario, warnings = read(CHECKSUMS.replace("crc", authentication))
    assert (scenario.authentication, scenario.num_replicas, warnings) == (authentication, replicas, [])
    yaml = f"t: 2\nnum_client: 1\nauthentication: {authentication}\n'workload[0]': get('k')\n"
    assert read(yaml, "x.yaml")[0].num_replicas == replicas


def test_signatures_are_the_default():
    assert read(CHECKSUMS.replace("authentication = crc\n", ""))[0].authentication == "ed25519"


def test_an_authenticator_that_there_is_not_is_told_with_the_nearest():
    [error] = errors(CHECKSUMS.replace("crc", "hmca"))
    assert error.startswith("3:18: authentication: no 'hmca'")
    assert "hmac" in error


def test_positions_are_those_of_the_authenticators_chain():
    [error] = errors(CHECKSUMS + "failures[0,3] = shuttle(0,0),crash()\n")
    assert error.startswith("5:1: failures: no replica 3, positions are 0 to 2")
    assert errors(CHECKSUMS + "links[0,3] = shuttle(0,0),fail()\n")
    assert errors(CHECKSUMS + "simulation = crash(replica_3,5)\n")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_lie_is_refused_with_its_reason_where_checksums_must_stand_it_and_an_accident_is_not(failure):
    text = CHECKSUMS + f"failures[0,1] = shuttle(0,0),drop(); shuttle(0,1),{call(failure, FAILURES)}\n"
    if FAILURES[failure].only_with:
        [error] = errors(text)
        assert error.startswith(f"5:51: {failure} needs authentication = hmac")
    elif why := FAILURES[failure].no_accident:
        [error] = errors(text)
        assert error == f"5:51: {failure} is no accident, and authentication = crc is for nothing else: {why}"
        assert not read(text.replace("crc", "hmac"))[1]
    else:
        assert read(text)[0].failures[1].failure.name == failure


@pytest.mark.parametrize("word", ["twins(1)", "mutate(1,3)", "amnesia(1,50)", "free(1)"])
def test_a_lie_of_the_simulator_is_refused_where_checksums_must_stand_it(word):
    [error] = errors(CHECKSUMS + f"simulation = seed(1); {word}\n")
    assert error.startswith(f"5:23: {word.partition('(')[0]} is no accident")


def test_every_failure_is_an_accident_or_has_a_reason_why_it_is_none():
    def accidents(words):
        return {name for name, word in words.items() if not word.no_accident and not word.only_with}

    assert all(word.no_accident for word in SIMULATED.values())
    assert {"crash", "drop", "sleep", "delay", "duplicate", "corrupt", "replay", "stall", "pause", "invalid_order_sig",
            "invalid_result_sig", "ask", "garbage", "withhold_ready", "mute_clients", "drop_all", "no_checkpoints",
            "no_result_shuttles"} == accidents(FAILURES)  # fmt: skip
    assert {"garbage", "flood", "stale_pairs", "identities", "future", "accuse_early"} == accidents(CLIENT_FAILURES)


@pytest.mark.parametrize(
    ("call", "right"),
    [
        ("cut(replica_0,replica_1,900,100)", "cut(replica_0,replica_1,100,900)"),
        ("hold(olympus,client_0,900,100)", "hold(olympus,client_0,100,900)"),
        ("pause(replica_2,900,100)", "pause(replica_2,100,900)"),
        ("power_cut(900,100)", "power_cut(100,900)"),
    ],
)
def test_what_ends_before_it_begins_is_told_with_what_would_be_right(call, right):
    [error] = errors(f"{START}{WORKLOAD}durable = on\nsimulation = seed(1); {call}\n")
    place, _, text = error.partition(": ")
    assert text == f"{call.partition('(')[0]} ends at 100 ms, before it begins at 900 ms; did you mean {right}?"
    assert place == f"5:{len('simulation = seed(1); ') + call.index('100)') + 1}"


def test_what_begins_as_it_ends_is_no_mistake():
    assert read(f"{START}{WORKLOAD}simulation = cut(replica_0,replica_1,9,9)\n")[0].simulation.cuts == (
        Cut("replica_0", "replica_1", 9, 9),
    )


@pytest.mark.parametrize("call", ["seed(1)", "delay(1,2)", "until(3)", "message_limit(2000)"])
def test_of_an_option_that_is_given_again_the_last_one_counts(call):
    _, warnings = read(f"{START}{WORKLOAD}simulation = {call}; cut(replica_0,replica_1,1,9); cut(replica_0,replica_1,1,9); {call}\n")
    assert warnings == [f"{call.partition('(')[0]} is given again; the last one counts"]


def test_one_server_has_one_clock():
    base = f"{START}{WORKLOAD}protocol = raft\nsimulation = clock(0,900); clock(1,900)"
    assert not read(f"{base}\n")[1]
    assert read(f"{base}; clock(0,1100)\n")[1] == ["clock is given again; the last one counts"]
