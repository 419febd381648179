"""Completion: commands, their options, and what an option can be; asked as a shell asks."""

import os
import subprocess
import sys

import pytest

argcomplete = pytest.importorskip("argcomplete", reason="comes with ./bcr completion")


def answers(tmp_path, line):
    file = tmp_path / "answers"
    environment = {**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
                   "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_STDOUT_FILENAME": str(file)}  # fmt: skip
    subprocess.run([sys.executable, "-P", "-m", "bcr_tools.cli"], env=environment, capture_output=True, timeout=120, check=False)
    return [each.strip() for each in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("./bcr sc", "scenarios"),
        ("./bcr storm --co", "--count"),
        ("./bcr hunt --engine da", "dask"),
        ("./bcr bench comp", "compare"),
        ("./bcr check --h", "--help"),
    ],
)
def test_a_line_is_completed(tmp_path, line, answer):
    assert answers(tmp_path, line) == [answer]


def test_names_that_an_option_had_before_are_not_offered(tmp_path):
    found = answers(tmp_path, "./bcr hunt --")
    assert "--output" in found and "--into" not in found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_once(capsys, shell):
    from bcr_tools.completion import main

    assert main([shell]) == 0
    assert "_ARGCOMPLETE" in capsys.readouterr().out
