"""`bcr sim --step`: event by event, forwards and back."""

import pytest

from bcr.scenario import parse_scenario
from bcr_sim import sim
from bcr_sim.stepping import step_through, walk

TEXT = """test_case_name = walked
t = 1
num_client = 1
workload[0] = put('a','b'); get('a')
failures[0,1] = shuttle(0,1),ask()
simulation = seed(1)
"""


@pytest.fixture(scope="module")
def walked():
    return walk(parse_scenario(TEXT, "walked.config")[0])


def shown(walked, *answers):
    """The pages that are shown when so is answered, and then no more."""
    left, said = list(answers), []

    def ask(_prompt):
        if not left:
            raise EOFError
        return left.pop(0)

    step_through(walked, ask, said.append)
    return said[1:]


def numbers(pages):
    return [int(page.split()[1]) for page in pages if page.startswith("event ")]


def test_it_goes_forwards_and_back_and_stays_within_the_run(walked):
    assert numbers(shown(walked, "", "n", "b", "b", "b")) == [1, 2, 3, 2, 1, 1]
    assert numbers(shown(walked, "e", "")) == [1, len(walked.events), len(walked.events)]


def test_it_goes_to_an_event_by_number_and_by_what_is_in_it(walked):
    pages = shown(walked, "7", "/wedge_request", "/no such thing", "q")
    assert numbers(pages)[:2] == [1, 7]
    assert "wedge_request from olympus" in pages[2]
    assert pages[3].startswith("no such event")


def test_a_page_shows_what_each_replica_holds_and_what_has_changed(walked):
    at = walked.found("wedge_request from olympus to replica_1", 0)
    [held] = [held for name, held, is_new in walked.held_at(at) if name == "replica_1 of configuration 0" and is_new]
    assert held.mode == "immutable"
    assert "* replica_1 of configuration 0" in walked.page(at)


def test_back_shows_what_forwards_showed(walked):
    pages = shown(walked, *["n"] * 40, *["b"] * 40)
    assert pages[:41] == pages[:39:-1]


def test_the_command_takes_one_file(capsys):
    with pytest.raises(SystemExit):
        sim.main(["--step", "a.config", "b.config"])
    assert "--step takes one FILE" in capsys.readouterr().err
