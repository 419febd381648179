"""`./bcr grade --bugs`: a bug loses points for what it breaks, is tried once, and the page tells all of them."""

import json
import threading
from pathlib import Path

import pytest

from bcr_sim.bugs import bugs
from bcr_tools import grading_bugs
from bcr_tools.grade import SUITE, is_graded, read_suite
from bcr_tools.grading_bugs import CLEAN, Graded, is_enough, is_right, page, summary

NAME = "new configuration begins empty"


def graded(name, *reasons):
    return Graded(name, "scenarios" if reasons else "", 2 * len(reasons), reasons)


def of_all(reason="agreement: two"):
    return {CLEAN: graded(CLEAN)} | {bug["name"]: graded(bug["name"], reason) for bug in bugs() if is_graded(bug["file"])}


def test_the_suite_has_the_scenarios_that_stand_beside_bugs_and_all_kinds_of_seeds():
    suite = read_suite(SUITE)
    assert set(suite.seeds) == {"ed25519", "hmac", "crc", "store", "disks"}
    assert len(suite.texts()) > len(suite.scenarios)
    assert all(len(seeds.texts()) == seeds.count for seeds in suite.seeds.values())


@pytest.mark.parametrize(
    ("reason", "right"), [("agreement: two", True), ("AssertionError: x", True), ("error: ImportError", False), ("hang: 9 s", False)]
)
def test_an_error_of_the_program_is_not_what_a_bug_breaks(reason, right):
    assert is_right({"name": NAME}, graded(NAME, reason)) is right


def test_enough_are_95_of_100_and_the_clean_source_loses_nothing():
    done = of_all()
    assert is_enough(bugs(), done)
    assert not is_enough(bugs(), done | {CLEAN: graded(CLEAN, "agreement: two")})
    assert not is_enough(bugs(), {name: each for name, each in done.items() if name != CLEAN})
    assert not is_enough(bugs(), of_all("error: no such module"))
    assert "the source without a bug loses nothing" in summary(bugs(), done)


def test_the_page_names_every_bug_once():
    text = page(bugs(), of_all(), "a day")
    assert [bug["name"] for bug in bugs() if f"| {bug['name']} |" not in text and f"{bug['name']} (`" not in text] == []
    assert "Not graded yet" not in text
    assert "Not graded yet: " in page(bugs(), {CLEAN: graded(CLEAN)}, "a day")


def test_what_was_graded_before_is_not_graded_again(tmp_path, capsys):
    lines = [graded(CLEAN), graded(NAME, "agreement: two")]
    text = "".join(
        json.dumps({"bug": each.bug, "part": each.part, "points": each.points, "reasons": each.reasons}) + "\n" for each in lines
    )
    (tmp_path / "graded.jsonl").write_text(text)
    assert grading_bugs.main(["--only", NAME, "--output", str(tmp_path)]) == 0
    assert "1 of 1 bugs lose points, 1 for what they break" in capsys.readouterr().out


def test_no_bug_of_that_name_is_bad_input(capsys):
    assert grading_bugs.main(["--only", "no such"]) == 2
    assert "no bug has 'no such' in its name; the nearest are " in capsys.readouterr().err


def test_bugs_are_graded_at_once_and_no_two_in_one_checkout(monkeypatch):
    at_once = threading.Barrier(2)
    taken = []

    def grade(bug, checkout, _suite, _limits):
        taken.append(checkout)
        at_once.wait(60)  # for the other one, which is in another checkout
        return graded(bug["name"])

    monkeypatch.setattr(grading_bugs, "_grade", grade)
    chosen = [{"name": str(number)} for number in range(10)]
    found = list(grading_bugs._graded_at_once(chosen, [Path("a"), Path("b")], None, None))
    assert {each.bug for each in found} == {each["name"] for each in chosen}
    assert all({one, other} == {Path("a"), Path("b")} for one, other in zip(taken[::2], taken[1::2], strict=True))
