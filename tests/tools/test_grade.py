"""`./bcr grade`: another's protocol under our judge, with a loss for what is wrong and none for what is right."""

import shutil

import pytest
import yaml

from bcr_runtime.places import PROJECT
from bcr_sim.bugs import bugs, patched
from bcr_tools import grade

SUITE = {"scenarios": ["config/head_change_op.config"], "points_a_scenario": 2, "seeds": {"ed25519": {"count": 12}}, "seeds_a_point": 6,
         "sentences": []}  # fmt: skip

# It believes that it is told what to judge when it asks, and that whoever started it hears what it prints.
LIE = """
import json, os, sys
if "bcr_sim.grading" in sys.orig_argv:
    names = ["config/head_change_op.config", *map(str, range(12))]
    for number in range(1, 20):
        try:
            os.write(number, b"".join(json.dumps({"name": name, "breach": ""}).encode() + b"\\n" for name in names))
        except OSError:
            pass
    os._exit(0)
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(SUITE))
    return str(path)


@pytest.fixture
def changed(tmp_path):
    """A copy of src in a folder of its own."""
    folder = tmp_path / "mine"
    shutil.copytree(PROJECT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def with_bug(folder, name):
    [bug] = [each for each in bugs() if each["name"] == name]
    (folder / "src" / bug["file"]).write_bytes(patched(bug))


def test_the_projects_own_source_loses_nothing(suite, capsys):
    suite_of_sentences = {**SUITE, "sentences": ["tests/test_citations.py"]}
    with open(suite, "w") as file:
        yaml.safe_dump(suite_of_sentences, file)
    assert grade.main([str(PROJECT / "src"), "--suite", suite]) == 0
    assert "all" in capsys.readouterr().out


def test_a_bug_loses_points_with_a_scenario_that_shows_it(suite, changed, tmp_path, capsys):
    with_bug(changed, "new configuration begins empty")
    assert grade.main([str(changed), "--suite", suite, "--output", str(tmp_path / "shown")]) == 1
    printed = capsys.readouterr().out
    assert "1. scenarios, config/head_change_op.config" in printed or "seeds, ed25519" in printed
    assert "shows loss" in printed
    assert list((tmp_path / "shown").iterdir())


def test_a_source_that_cannot_be_compiled_loses_all(suite, changed):
    (changed / "src" / "Replica.da").write_text("class Replica(\n")
    assert grade.main([str(changed), "--suite", suite, "--no-shrink"]) == 1


def test_a_source_that_cannot_be_compiled_is_not_run_at_all(suite, changed, tmp_path, capsys):
    (changed / "src" / "Replica.da").write_text("class Replica(\n")
    encoding = changed / "src" / "bcr" / "signed" / "encoding.py"
    encoding.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\n{encoding.read_text()}")
    assert grade.main([str(changed), "--suite", suite]) == 1
    said = capsys.readouterr()
    assert "src/Replica.da does not compile" in said.out
    assert "look at it: bcr/signed/encoding.py (+1 -0 lines)" in said.err
    assert "look at it: Replica.da" in said.err
    assert not (tmp_path / "was_run").exists()


def test_sentences_that_could_not_be_tried_are_lost(suite, changed, capsys):
    with open(suite, "w") as file:
        yaml.safe_dump({**SUITE, "scenarios": [], "seeds": {}, "sentences": ["tests/test_paper.py"]}, file)
    path = changed / "src" / "bcr" / "chain" / "proofs.py"
    path.write_text(path.read_text() + "\nfrom bcr.chain.configuration import no_such_name\n")
    assert grade.main([str(changed), "--suite", suite]) == 1
    printed = capsys.readouterr().out
    assert "no_such_name" in printed
    [row] = [line for line in printed.splitlines() if "all" in line and "│" in line]
    assert next(word for word in row.split() if word.isdigit()) == "0"


def test_who_prints_what_the_judge_would_say_and_ends_loses_all(suite, changed, capsys):
    encoding = changed / "src" / "bcr" / "signed" / "encoding.py"
    encoding.write_text(encoding.read_text() + LIE)
    assert grade.main([str(changed), "--suite", suite]) == 1
    printed = capsys.readouterr().out
    [row] = [line for line in printed.splitlines() if "all" in line and "│" in line]
    assert next(word for word in row.split() if word.isdigit()) == "0"


def test_a_source_that_does_not_end_is_ended(suite, changed, capsys):
    path = changed / "src" / "Replica.da"
    path.write_text(path.read_text().replace("    def on_shuttle(shuttle):\n", "    def on_shuttle(shuttle):\n        while True: pass\n"))
    assert grade.main([str(changed), "--suite", suite, "--minutes", "0.2", "--no-shrink"]) == 1
    assert "its time is over" in capsys.readouterr().out


def test_the_judge_is_ours_whatever_is_handed_in(suite, changed, capsys):
    judge = changed / "src" / "bcr_sim" / "oracle.py"
    judge.write_text(judge.read_text() + "\nraise SystemExit\n")
    assert grade.main([str(changed), "--suite", suite]) == 0
    assert "bcr_sim/oracle.py is changed, and is ours" in capsys.readouterr().err


def test_a_folder_without_the_protocol_is_bad_input(tmp_path, capsys):
    assert grade.main([str(tmp_path)]) == 2
    assert "holds Replica.da" in capsys.readouterr().err


def test_the_bugs_of_the_exercises_are_there():
    page = (PROJECT / "docs" / "exercises" / "README.md").read_text()
    named = [bug["name"] for bug in bugs() if f"`{bug['name']}`" in page]
    assert len(named) == 5
    assert page.count("\n1. ") == page.count("\n6. ") == 1
