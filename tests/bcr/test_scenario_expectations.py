"""What a scenario expects of its run: how that is read, and that it can fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.expectations import COMPARISONS_OF, SUBJECTS

START = "t = 1\nnum_client = 2\nworkload[0] = get('k'); get('k'); get('k'); get('k'); get('k')\nworkload[1] = get('k')\n"
EXPECTED = len(START.split("\n"))  # the line behind START

OUTCOME = {
    "scenario": "x",
    "verdict": "pass",
    "reasons": [],
    "operations": 5,
    "results": [["OK", "star; wars"], [""]],
    "results_by_tail": 5,
    "retransmissions": 0,
    "reconfigurations": [
        {"from": 0, "to": 1, "blamed": 2, "quorum": [0, 1], "olympus_results": [[0, 1]], "active_ms": 3.5},
        {"from": 1, "to": 2, "blamed": None, "quorum": None, "olympus_results": [], "active_ms": None},
    ],
    "faults_injected": [{"configuration": 0, "position": 2, "fault": "shuttle(0,0),drop()"}],
    "final_state": {"k": "v", "a,b=c]": "w", "empty": ""},
    "elapsed_s": 0.5,
}


def expectation(line):
    scenario, warnings = parse_scenario(START + line + "\n", "x.config")
    assert not warnings
    [expected] = scenario.expectations
    return expected


def error(line):
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(START + line + "\n", "x.config")
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.line == EXPECTED
    return f"{diagnostic.column}: {diagnostic.text}"


@pytest.mark.parametrize(
    "line",
    [
        "expect[verdict] = pass",
        "expect[verdict] = Pass",
        "expect[verdict] = in pass, unknown",
        "expect[verdict] = != fail",
        "expect[operations] = 5",
        "expect[operations] = == 5",
        "expect[results_by_tail] = >= 5",
        "expect[results_by_tail]=<6",
        "expect[retransmissions] = in 0, 1",
        "expect[reconfigurations] = 1",
        "expect[faults_injected] = > 0",
        "expect[olympus_results] = 1",
        "expect[results,0] = 'OK'; 'star; wars'",
        "expect[results, 1] = ''",
        "expect[results,1] = != 'x'",
        "expect[final,'k'] = 'v'",
        "expect[final,k] = v",
        "expect[final,'k'] = in 'u'; 'v'",
        "expect[final,'k'] = != absent",
        "expect[final,'a,b=c]'] = 'w'",
        "expect[final,'empty'] = ''",
        "expect[final,'other'] = absent",
        "expect[final,'k'] = != 'absent'",
        "expect[quorum_includes,0] = 0,1",
        "expect[quorum_excludes,0] = {2}",
        "expect[blamed,0] = 1, 2",
    ],
)
def test_an_expectation_that_the_outcome_meets_has_nothing_to_say(line):
    assert expectation(line).check(OUTCOME) is None


@pytest.mark.parametrize(
    "line, was",
    [
        ("expect[verdict] = fail", "was 'pass'"),
        ("expect[verdict] = in fail, unknown", "was 'pass'"),
        ("expect[operations] = 4", "was 5"),
        ("expect[operations] = != 5", "was 5"),
        ("expect[operations] = > 5", "was 5"),
        ("expect[retransmissions] = in 1, 2", "was 0"),
        ("expect[reconfigurations] = 2", "was 1"),
        ("expect[faults_injected] = 0", "was 1"),
        ("expect[olympus_results] = 0", "was 1"),
        ("expect[results,0] = 'OK'", "was ['OK', 'star; wars']"),
        ("expect[results,0] = != 'OK'; 'star; wars'", "was ['OK', 'star; wars']"),
        ("expect[final,'k'] = ''", "was 'v'"),
        ("expect[final,'k'] = absent", "was 'v'"),
        ("expect[final,'empty'] = absent", "was ''"),
        ("expect[final,'other'] = ''", "was None"),
        ("expect[final,'other'] = 'absent'", "was None"),
        ("expect[final,'other'] = in ''; 'v'", "was None"),
        ("expect[quorum_includes,0] = 0,2", "was [0, 1]"),
        ("expect[quorum_excludes,0] = 1,2", "was [0, 1]"),
        ("expect[quorum_excludes,1] = 0", "but the run has nothing of the kind"),
        ("expect[blamed,0] = 0,1", "was 2"),
        ("expect[blamed,1] = 0", "was None"),
        ("expect[blamed,2] = 0", "but the run has nothing of the kind"),
    ],
)
def test_an_expectation_that_is_not_met_says_what_was(line, was):
    text = expectation(line).check(OUTCOME)
    assert text == f"expected {line}, {was}"


@pytest.mark.parametrize("value", ["absent", "'v'", "!= 'v'"])
def test_a_run_whose_final_state_is_unknown_meets_no_expectation_on_it(value):
    unknown = OUTCOME | {"final_state": None}
    assert "nothing of the kind" in expectation(f"expect[final,'k'] = {value}").check(unknown)


def test_a_run_without_a_quorum_has_left_nobody_out():
    assert expectation("expect[quorum_excludes,1] = 0").check(OUTCOME) is not None


@pytest.mark.parametrize(
    "line, told",
    [
        ("expect[verdct] = pass", "1: expect: nothing is called 'verdct'; did you mean verdict?"),
        ("expect[verdict] = pas", "19: expect[verdict]: no 'pas'; did you mean pass?"),
        ("expect[verdict] = >= pass", "19: expect[verdict]: >= is not one of == != in"),
        ("expect[operations] = five", "22: expected a whole number, found 'five'"),
        ("expect[operations] = 1, 2", "22: expected a whole number, found '1, 2'"),
        ("expect[operations] = in 1, x", "25: expected a whole number, found 'x'"),
        ("expect[operations] =", "21: expected a whole number, found ''"),
        ("expect[results] = 'a'", "1: expect[results]: takes 1 further arguments, has 0"),
        ("expect[results,2] = 'a'", "1: expect[results]: no client 2, clients are 0 to 1"),
        ("expect[results,x] = 'a'", "1: expect[results]: expected a whole number, found 'x'"),
        ("expect[results,0] = < 'a'", "21: expect[results]: < is not one of == !="),
        ("expect[results,0] = 'a'; 'b", "26: the quote ' is not closed"),
        ("expect[final,'k'] = >= 'a'", "21: expect[final]: >= is not one of == != in"),
        ("expect[final,'k'] = 'a'; 'b'", "21: expected one string or absent, found \"'a'; 'b'\""),
        ("expect[final,'k'] = in", "23: expected one string or absent, found ''"),
        ("expect[quorum_includes,0] = != 1", "29: expect[quorum_includes]: != is not one of =="),
        ("expect[quorum_includes,0] = head", "29: expected positions such as 0,2 or {0,2}, found 'head'"),
    ],
)
def test_an_expectation_that_makes_no_sense_is_refused_with_its_place(line, told):
    assert error(line) == told


VALUES = {"number": "3", "status": "pass", "strings": "'a'", "string": "'a'", "positions": "1"}
ANY = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.text(max_size=2), max_size=2))


@pytest.mark.parametrize("name", SUBJECTS)
@given(actual=ANY)
def test_no_comparison_that_is_read_fails_on_any_outcome(name, actual):
    subject = SUBJECTS[name]
    index = ",".join([name, *("0" for _ in subject.arguments)])
    numbers = {"results_by_tail": 0, "operations": 0, "retransmissions": 0}
    outcome = OUTCOME | {"final_state": None, "verdict": actual, "results": [actual], "reconfigurations": []} | numbers
    for comparison in COMPARISONS_OF[subject.value]:
        expected = expectation(f"expect[{index}] = {comparison} {VALUES[subject.value]}")
        text = expected.check(outcome)
        assert text is None or text.startswith("expected expect[")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("expect[result,0,5] = 'x'", "the client has 5 operations, counted from 0"),
        ("expect[result,1,1] = absent", "the client has 1 operation, counted from 0"),
        ("expect[result,1,1] = != 'x'", "the client has 1 operation, counted from 0"),
        ("expect[results,1] = 'x'; 'y'", "the client has 1 operation, and these are 2 results"),
        ("expect[operations] = 7", "the clients have 6 operations together"),
        ("expect[operations] = > 6", "the clients have 6 operations together"),
        ("expect[operations] = >= 7", "the clients have 6 operations together"),
        ("expect[operations] = in 7, 8", "the clients have 6 operations together"),
        ("expect[retransmissions] = < 0", "nothing is counted below 0"),
        ("expect[blamed] = 3, 4", "there are 3 replicas"),
        ("expect[quorum_includes,0] = 0, 3", "there are 3 replicas"),
    ],
)
def test_what_can_never_be_is_told_before_a_run(line, why):
    scenario, [warning] = parse_scenario(START + line + "\n", "x.config")
    assert warning.line == EXPECTED
    assert warning.text == f"{line.partition(' = ')[0]} can never be so: {why}"
    assert len(scenario.expectations) == 1


@pytest.mark.parametrize(
    "line",
    ["expect[result,0,4] = 'x'", "expect[results,0] = 'x'", "expect[results,1] = != 'x'; 'y'", "expect[operations] = != 9",
     "expect[operations] = < 9", "expect[operations] = <= 9", "expect[operations] = in 6, 9", "expect[operations] = > 5",
     "expect[blamed] = 2, 3", "expect[quorum_excludes,0] = 3", "client_failures[0] = after(1),flood(1)\nexpect[operations] = > 9"],
)  # fmt: skip
def test_what_may_be_is_not_doubted(line):
    assert not parse_scenario(f"{START}{line}\n", "x.config")[1]
