"""The reference pages say what the declarations and the parsers say, and have every word of them."""

import argparse
import re

import pytest

import bcr_client
from bcr.faults import vocabulary
from bcr.scenario.expectations import SUBJECTS
from bcr.scenario.keys import VALID_KEYS
from bcr.scenario.simulation import OPTIONS
from bcr_runtime.places import PROJECT
from bcr_tools import client_page, commands_page, reference
from bcr_tools.cli import COMMANDS


def test_the_page_in_the_docs_is_what_the_declarations_say():
    assert reference.PAGE.read_text() == reference.page()


def test_the_page_of_commands_is_what_the_parsers_say():
    assert commands_page.PAGE.read_text() == commands_page.page(COMMANDS)


def test_the_page_of_the_client_is_what_its_docstrings_say():
    page = client_page.page()
    assert client_page.PAGE.read_text() == page
    assert [name for name in bcr_client.__all__ if name not in page and name != "ABSENT"] == []
    assert all(f"**`{method}(" in page for method in ("get", "put", "append", "delete", "compare_and_set", "transaction", "watch"))


def test_every_command_and_each_of_its_options_stands_on_the_page():
    page = commands_page.page(COMMANDS)
    sections = dict(zip(re.findall(r"(?m)^## (\w+)$", page), re.split(r"(?m)^## .*$", page)[1:], strict=True))
    assert list(sections) == list(COMMANDS)
    for name, (command, _) in COMMANDS.items():
        parser = commands_page.parser_of(command)
        options = re.findall(r"--[a-z-]+", parser if isinstance(parser, str) else parser.format_usage())
        assert [option for option in options if option not in sections[name]] == [], name
    assert "### bench costs" in sections["bench"]
    assert "### bugs --all" in sections["bugs"]
    assert "PYTEST ARGUMENT" in sections["test"]


def test_every_argument_of_a_command_says_what_it_is():
    rows = re.findall(r"(?m)^\| (`.*`) \| (.*) \|$", commands_page.page(COMMANDS))
    assert len(rows) > 60
    assert [name for name, meaning in rows if not meaning.strip() or meaning.startswith("one of")] == []


def test_the_page_of_commands_names_no_place_of_this_checkout():
    def command(arguments):
        parser = argparse.ArgumentParser(prog="bcr tidy", description="Tidies up.")
        parser.add_argument("--folder", default=PROJECT / "logs", help="what to tidy (default: %(default)s)")
        parser.add_argument("--one", help=argparse.SUPPRESS)
        parser.parse_args(arguments)

    page = commands_page.page({"tidy": (command, "tidy up")})
    assert "| `--folder FOLDER` | what to tidy (default: logs) |" in page
    assert "--one" not in page


@pytest.mark.parametrize(
    "words",
    [VALID_KEYS, vocabulary.TRIGGERS, vocabulary.FAILURES, vocabulary.CLIENT_TRIGGERS, vocabulary.CLIENT_FAILURES,
     vocabulary.LINK_ACTIONS, OPTIONS, SUBJECTS],
)  # fmt: skip
def test_every_word_stands_on_the_page(words):
    page = reference.page()
    assert [word for word in words if not any(f"{opening}{word}" in page for opening in ("`", "expect["))] == []


@pytest.mark.parametrize("name", ["scenario.md", "commands.md"])
def test_a_page_that_has_fallen_behind_is_told(name, tmp_path, capsys):
    assert reference.main(["--output", str(tmp_path)], COMMANDS) == 0
    assert reference.main(["--check", "--output", str(tmp_path)], COMMANDS) == 0
    page = tmp_path / name
    page.write_text(page.read_text().replace("trigger", "moment"))
    assert reference.main(["--check", "--output", str(tmp_path)], COMMANDS) == 1
    told = capsys.readouterr().err
    assert "./bcr reference renews it" in told
    assert name in told
