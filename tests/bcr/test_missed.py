"""What is said of a scenario's faults: too many before the run, and behind it those that never struck, with why."""

import pytest
from memory_chain import MemoryChain, changed, get, put

from bcr.scenario import parse_scenario
from bcr.verdict.missed import Missed, missed_faults, told_of_too_many
from bcr.verdict.record import ClientRecord, RunRecord

START = "t = 1\nnum_client = 2\nworkload[0] = put('k','v'); get('k')\nworkload[1] = get('k')\n"
PATIENCE_MS = 50_000


def scenario(lines):
    return parse_scenario(START + lines, "x.config")[0]


def too_many(lines):
    return told_of_too_many(scenario(lines), PATIENCE_MS)


@pytest.fixture(scope="module")
def record():
    """A run of START in one configuration."""
    chain = MemoryChain()
    chain.serve(0, put("k", "v"))
    chain.serve(0, get("k"))
    chain.serve(1, get("k"))
    return chain.record()


def why_not(lines, record):
    return [each.why for each in missed_faults(scenario(lines), record)]


# -- before


def test_faults_of_up_to_t_replicas_are_no_word_worth():
    assert too_many("failures[0,0] = shuttle(0,0),drop(); shuttle(0,1),drop()\nfailures[1,1] = shuttle(0,0),crash()\n") == []


def test_more_than_t_replicas_with_faults_are_named_with_their_configuration():
    lines = "failures[0,0] = shuttle(0,0),drop()\nfailures[1,0] = shuttle(0,0),drop()\nfailures[1,2] = shuttle(0,0),crash()\n"
    assert too_many(lines) == [
        "replicas 0, 2 of configuration 1 have faults, more than t = 1: once more than t were struck, nothing is promised"
    ]


def test_who_is_only_late_is_counted_as_the_verdict_counts_it():
    lines = "failures[0,0] = shuttle(0,0),drop()\nfailures[0,1] = shuttle(0,0),sleep({})\nlinks[1,2] = after(3),fail()\n"
    assert too_many(lines.format(PATIENCE_MS)) == []
    assert len(too_many(lines.format(PATIENCE_MS + 1))) == 1


@pytest.mark.parametrize("word", ["twins(1)", "mutate(1,3)", "amnesia(1,9)"])
def test_what_the_simulator_does_to_replicas_counts_in_every_configuration(word):
    told = too_many(f"simulation = {word}\nfailures[0,0] = after(1),crash()\nfailures[2,2] = after(1),crash()\n")
    assert [each.partition(" have")[0] for each in told] == [
        "replicas 0, 1 of configuration 0", "replicas 1, 2 of configuration 2",
    ]  # fmt: skip


# -- after


def test_a_fault_that_struck_is_not_told(record):
    plan = scenario("failures[0,1] = shuttle(0,0),drop()\n").failures[0]
    assert why_not("failures[0,1] = shuttle(0,0),drop()\n", changed(record, faults=(plan,))) == []


def test_of_two_equal_faults_one_may_have_struck(record):
    lines = "failures[0,1] = shuttle(0,0),drop(); shuttle(0,0),drop()\n"
    plan = scenario(lines).failures[0]
    assert len(why_not(lines, changed(record, faults=(plan,)))) == 1


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("failures[3,1] = shuttle(0,0),drop()", "configuration 3 never began, the last one was 0"),
        ("failures[0,1] = shuttle(7,0),drop()", "there is no client 7"),
        ("failures[0,0] = shuttle(0,0),drop()", "the head makes shuttles, and receives none"),
        ("failures[0,2] = result_shuttle(0,0),drop()", "the tail makes result shuttles, and receives none"),
        ("failures[0,1] = forwarded_request(0,0),drop()", "replicas forward requests to the head"),
        ("failures[0,2] = client_request(0,0),drop()",
         "a client sends to the head, and to the others only when it waited in vain"),
        ("failures[0,0] = reconfiguration(1),drop()", "its configuration is number 0, and not 1"),
        ("failures[0,0] = new_configuration(0),drop()", "no such configuration came to it: the initial one does not count"),
        ("failures[0,0] = wedge_request(0),crash()", "configuration 0 was never reconfigured"),
        ("failures[0,0] = after(9000),crash()",
         "its replica was gone before it had been active for 9000 ms, or never was"),
        ("failures[0,1] = shuttle(0,2),drop()", "number 2 of these never came, counted from 0; client 0 sent 2 requests"),
        ("failures[0,1] = checkpoint(5),drop()", "number 5 of these never came, counted from 0"),
        ("client_failures[1] = reconfiguration(2),future()",
         "it never learned of configuration 2, the last one was 0"),
        ("client_failures[1] = after(70),future()", "it was done before 70 ms"),
    ],
)  # fmt: skip
def test_why_a_fault_never_struck_is_told(record, lines, why):
    assert why_not(lines + "\n", record) == [why]


def test_a_fault_of_links_is_told_once_and_only_where_none_of_them_was_struck(record):
    lines = "links = wedge_request(0),partition({0},{1,2})\n"
    [missed] = missed_faults(scenario(lines), record)
    assert str(missed) == ("never struck: wedge_request(0),partition({0},{1,2}) of the links: configuration 0 was never reconfigured")
    assert why_not(lines, changed(record, faults=(scenario(lines).failures[2],))) == []


def test_a_run_that_came_to_nothing_has_a_reason_too():
    nothing = RunRecord(b"", (), (ClientRecord(0, "a clock", ()),), ())
    assert len(why_not("failures[0,1] = shuttle(0,0),drop()\nfailures[2,1] = shuttle(0,0),drop()\n", nothing)) == 2


def test_it_says_whose_fault_it_was(record):
    [missed] = missed_faults(scenario("failures[0,1] = shuttle(7, 0), drop()\n"), record)
    assert missed == Missed("replica 1 of configuration 0", "shuttle(7, 0), drop()", "there is no client 7")
