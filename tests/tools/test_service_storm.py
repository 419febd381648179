"""What callers of a service were told, held against what is there; and a short storm."""

from collections import Counter

import pytest

from bcr_tools import storm
from bcr_tools.partition_storm import PartitionStorm
from bcr_tools.service_storm import AppendedWord, Caller, told, unkept

WORDS = [AppendedWord("a", True), AppendedWord("b", None), AppendedWord("c", False), AppendedWord("d", True)]


@pytest.mark.parametrize("found", [["a", "d"], ["a", "b", "d"], ["a", "d", "b"]])
def test_a_list_has_what_was_confirmed_and_what_nobody_knows_of_or_not(found):
    assert unkept(WORDS, found) is None


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (["a"], "confirmed, and not in the list: d"),
        (["a", "c", "d"], "though nothing had happened: c"),
        (["a", "x", "d"], "though nobody wrote it: x"),
        (["a", "d", "d"], "twice in the list: d"),
        (["d", "a"], "another order"),
    ],
)
def test_what_is_not_as_a_caller_was_told_is_named(found, what):
    assert what in unkept(WORDS, found)


@pytest.mark.parametrize(
    ("status", "body", "is_there"),
    [(204, b"", True), (0, b"", False), (503, b'{"definite": true}', False), (504, b'{"definite": false}', None), (None, b"", None)],
)
def test_an_answer_says_that_it_happened_or_did_not_or_neither(status, body, is_there):
    assert Caller._told(status, body) is is_there


def test_the_answers_are_counted():
    counted = told(Counter({"204": 2, "nobody there": 1}), WORDS)
    assert counted == "answers: 2 204, 1 nobody there; words: 2 confirmed, 1 refused, 1 unknown"


@pytest.mark.parametrize("protocol", ["shuttle", "byzantine_raft"])
def test_a_short_storm_holds(tmp_path, capsys, protocol):
    arguments = ["--protocol", protocol, "--count", "1", "--calls", "100", "--callers", "5", "--output", str(tmp_path)]
    assert storm.main(["--service", *arguments]) == 0
    said = capsys.readouterr().out
    assert "round 1 of 1" in said
    assert said.endswith("seed 0: holds\n")


@pytest.mark.parametrize(
    ("status", "body", "unanswered", "problems"),
    [(504, b"", 1, []), (200, b"5", 0, []), (200, b"4", 0, ["round 5: gateway 3, cut off, answers b'4' where 5 was confirmed"])],
)
def test_an_old_value_on_the_side_of_two_is_told(tmp_path, monkeypatch, status, body, unanswered, problems):
    cut = PartitionStorm(tmp_path, 0, 0)
    monkeypatch.setattr(cut, "_round", 5)
    monkeypatch.setattr(cut, "_exchange", lambda *_: (status, body))
    cut._read_on_the_side_of_two(3)
    assert (cut.unanswered, cut.problems) == (unanswered, problems)
