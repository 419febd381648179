"""A scenario file's text is changed as its reader reads it, and made small whatever way it is written."""

import pytest

from bcr.scenario.reading import parse_scenario
from bcr_runtime.places import PROJECT
from bcr_sim.campaign import located_text, text_of
from bcr_sim.scenario_texts import plain, with_values
from bcr_sim.shrink import shrunk
from bcr_sim.survival import scenario_texts

START = "t = 1\nnum_client = 1\nworkload[0] = put('a','b'); get('a')\n"


def read(text):
    return parse_scenario(text, "x.config")[0]


@pytest.mark.parametrize(
    "line",
    ["simulation = SEED(3); lose(10)", "simulation = lose(10); seed (3)", "SIMULATION = Seed( 3 );lose(10)", "simulation = lose(10);seed(3)  # why",
     "simulation = seed(3)\nsimulation = seed(4); lose(10)", "simulation = lose(10)", "simulation = lose(10); seed(3); seed(4)"],
)  # fmt: skip
def test_a_seed_takes_the_place_of_the_files_own_however_that_is_written(line):
    simulation = read(text_of(5, f"{START}{line}\n# behind\n")).simulation
    assert (simulation.seed, simulation.lose) == (5, 10)
    assert text_of(5, f"{START}{line}\n# behind\n").count("simulation = ") == 1


def test_a_seed_is_added_to_a_file_without_one_and_other_lines_stay():
    assert text_of(5, f"# why\n{START}") == f"# why\n{START}simulation = seed(5)\n"
    assert text_of(5, f"\ufeff{START.rstrip()}") == f"{START}simulation = seed(5)\n"


def test_what_makes_no_sense_stays_for_the_reader_to_say_so():
    assert text_of(5, START + "simulation = sede(3)\n") == START + "simulation = seed(5); sede(3)\n"


def test_a_choice_takes_the_place_of_the_files_own_however_that_is_written():
    base = START + "Acceptance = all  # of them\nacceptance = all\n"
    assert with_values(base, {"acceptance": "quorum"}) == START + "acceptance = quorum\n"
    assert read(text_of(0, base, None, "quorum")).acceptance == "quorum"


def test_an_object_of_a_file_is_where_it_is_from_everywhere(tmp_path):
    (tmp_path / "tallies_of_texts.py").write_text("from bcr.objects.store import Store\n\nclass Tallies(Store):\n    pass\n")
    file = tmp_path / "x.config"
    file.write_text("t = 1\nnum_client = 1\nworkload[0] = pseudorandom(1,2)\n\tObject = 'tallies_of_texts:Tallies'\n")
    assert read(located_text(file)).object_name == f"{tmp_path}/tallies_of_texts:Tallies"


@pytest.mark.parametrize("name", sorted(scenario_texts() | scenario_texts("raft") | scenario_texts("byzantine_raft")))
def test_a_plain_text_says_the_same(name):
    text = (PROJECT / name).read_text()
    found = plain(text)
    assert read(found) == read(text)
    assert plain(found) == found and "\n#" not in found


def test_a_plain_text_has_each_key_once_as_it_is_called_and_no_comments():
    text = """# why
T = 1  # one fault
num_clients = 2;
prose
workload(0) = put('a # b','c')  # d
workload[1]=get('x')
t = 1
failures[0, 1] = shuttle(0,1),crash();after(5),stall()
simulation = lose(5);SEED (3)
"""
    assert plain(text) == (
        "t = 1\nnum_client = 2\nworkload[0] = put('a # b','c')\nworkload[1] = get('x')\n"
        "failures[0,1] = shuttle(0,1),crash(); after(5),stall()\nsimulation = seed(3); lose(5)\n"
    )
    assert read(plain(text)) == read(text)


def test_a_file_with_comments_behind_its_values_is_made_small():
    text = """T = 2  # faults
num_client = 2  # clients
indices_start_at = 1
workload[1] = get('a')
workload[2] = get('b')  # more
failures[0,1] = shuttle(1,1),crash();shuttle(1,2),stall()  # dies
Simulation = SEED(3); lose(5)
"""

    def kind_of(candidate):
        read(candidate)
        return "lie" if "stall" in candidate else ""

    small = shrunk(text, "lie", kind_of).splitlines()
    assert small == ["t = 1", "num_client = 1", "indices_start_at = 1", "workload[1] = get('a')", "failures[0,1] = shuttle(1,2),stall()",
                     "simulation = seed(3)"]  # fmt: skip
