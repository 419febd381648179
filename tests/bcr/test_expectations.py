"""What a scenario file says that its run must show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.scenario import ScenarioError, parse_scenario
from bcr.scenario.expectations import SUBJECTS

OUTCOME = {
    "verdict": "pass",
    "operations": 5,
    "results_by_tail": 4,
    "retransmissions": 2,
    "reconfigurations": [
        {"active_ms": 3.0, "quorum": [1, 2], "blamed": 0, "olympus_results": [[0, 1]]},
        {"active_ms": None, "quorum": None, "blamed": None, "olympus_results": []},
    ],
    "faults_injected": [{"fault": "shuttle(0,0),drop()"}],
    "changes": [{"what": "add"}, {"what": "remove"}],
    "results": [["OK", "a"], []],
    "final_state": {"k": "v", "empty": ""},
}


def expectation(key, value):
    text = f"t = 1\nnum_client = 2\nworkload[0] = get('k')\nworkload[1] = get('k')\n{key} = {value}\n"
    [found] = parse_scenario(text, "x.config")[0].expectations
    return found


MET = [
    ("expect[verdict]", "pass"),
    ("expect[verdict]", "!= fail"),
    ("expect[operations]", "5"),
    ("expect[operations]", ">= 5"),
    ("expect[operations]", "< 6"),
    ("expect[results_by_tail]", "<= 4"),
    ("expect[retransmissions]", "> 1"),
    ("expect[reconfigurations]", "1"),
    ("expect[faults_injected]", "1"),
    ("expect[changes]", "2"),
    ("expect[olympus_results]", "1"),
    ("expect[results,0]", "'OK'; 'a'"),
    ("expect[results,1]", ""),
    ("expect[final,'k']", "'v'"),
    ("expect[result,0,0]", "'OK'"),
    ("expect[final,'empty']", "''"),
    ("expect[final,'other']", "absent"),
    ("expect[quorum_includes,0]", "2"),
    ("expect[quorum_includes,0]", "{1,2}"),
    ("expect[quorum_excludes,0]", "0,3"),
    ("expect[blamed,0]", "0,1"),
    ("expect[blamed]", "0"),
    ("expect[blamed]", "1,0"),
]
UNMET = [
    ("expect[verdict]", "fail"),
    ("expect[verdict]", "!= pass"),
    ("expect[operations]", "4"),
    ("expect[operations]", "> 5"),
    ("expect[results_by_tail]", "< 4"),
    ("expect[retransmissions]", ">= 3"),
    ("expect[retransmissions]", "<= 1"),
    ("expect[reconfigurations]", "2"),
    ("expect[faults_injected]", "0"),
    ("expect[changes]", "1"),
    ("expect[olympus_results]", "0"),
    ("expect[results,0]", "'OK'"),
    ("expect[results,0]", "'OK'; 'b'"),
    ("expect[final,'k']", "'w'"),
    ("expect[result,0,0]", "'fail'"),
    ("expect[result,0,999]", "'OK'"),
    ("expect[final,'k']", "absent"),
    ("expect[final,'empty']", "absent"),
    ("expect[final,'other']", "''"),
    ("expect[quorum_includes,0]", "0,1"),
    ("expect[quorum_includes,1]", "0"),
    ("expect[quorum_excludes,0]", "1"),
    ("expect[quorum_excludes,1]", "0"),
    ("expect[quorum_excludes,7]", "0"),
    ("expect[blamed,0]", "1,2"),
    ("expect[blamed,1]", "0"),
    ("expect[blamed]", "1,2"),
]


def test_every_subject_is_tested_both_ways():
    for cases in (MET, UNMET):
        assert {key.strip("]").partition("[")[2].partition(",")[0] for key, _ in cases} == set(SUBJECTS)


@pytest.mark.parametrize("key, value", MET)
def test_an_expectation_that_is_met_says_nothing(key, value):
    assert expectation(key, value).check(OUTCOME) is None


@pytest.mark.parametrize("key, value", UNMET)
def test_an_expectation_that_is_not_met_says_what_was_expected_in_the_file_s_own_words(key, value):
    assert expectation(key, value).check(OUTCOME).startswith(f"expected {key} = {value}")


def test_nobody_is_blamed_where_nothing_was_reconfigured():
    quiet = OUTCOME | {"reconfigurations": []}
    assert "nothing of the kind" in expectation("expect[blamed]", "0").check(quiet)
    with pytest.raises(ScenarioError, match=r"expect\[blamed\]: takes 1 or no further arguments, has 2"):
        expectation("expect[blamed,0,1]", "0")


@pytest.mark.parametrize("key", ["results,0", "final,'k'"])
def test_an_expectation_of_a_run_that_left_nothing_is_not_met(key):
    nothing = OUTCOME | {"results": [], "final_state": None}
    assert expectation(f"expect[{key}]", "'OK'").check(nothing) is not None


@pytest.mark.parametrize(
    "key, value",
    [("verdict", ">= pass"), ("verdict", "pas"), ("final,'k'", "< 'v'"), ("final,'k'", "'a'; 'b'"),
     ("results,0", "> 'a'"), ("quorum_includes,0", "!= 1"), ("blamed,0", "> 1"), ("operations", "absent")],
)  # fmt: skip
def test_a_comparison_that_makes_no_sense_is_refused(key, value):
    with pytest.raises(ScenarioError, match="x.config:5:"):
        expectation(f"expect[{key}]", value)


@given(st.sampled_from(sorted(SUBJECTS)), st.sampled_from(["", "==", "!=", ">=", "<=", ">", "<"]), st.text("0a',{}", max_size=5))
def test_any_expectation_is_refused_or_can_be_checked(subject, comparison, value):
    arguments = "".join(",0" for _ in SUBJECTS[subject].arguments)
    try:
        found = expectation(f"expect[{subject}{arguments}]", f"{comparison} {value}")
    except ScenarioError:
        return
    assert found.check(OUTCOME) is None or found.check(OUTCOME).startswith("expected ")
