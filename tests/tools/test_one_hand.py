"""All commands are of one hand: one name for one thing, numbers that make no sense are refused, old names lead to the new ones."""

import argparse
from collections import defaultdict

import pytest

from bcr_run.options import above_zero, formerly, natural, positive
from bcr_tools.cli import COMMANDS
from bcr_tools.commands_page import BECOMES, children_of, parser_of, shown

# What these were called for goes by another name in all commands.
OLD = {"--keep", "--into", "--folder", "--results", "--log-dir", "--logs", "--seeds", "--first", "--times"}
FOLDERS = {"--output", "--log-folder"}


def parsers():
    """Every parser of the command line, by what a user types in front of its options."""
    for name, (command, _) in COMMANDS.items():
        for arguments in ((), *(((BECOMES[name],),) if name in BECOMES else ())):
            parser = parser_of(command, arguments)
            if not isinstance(parser, str):
                yield " ".join((name, *arguments)), parser
                yield from ((f"{name} {child}", below) for child, _, below in children_of(parser))


ALL = list(parsers())
OPTIONS = [(name, action) for name, parser in ALL for action in shown(parser) if action.option_strings]


def test_every_command_with_options_is_looked_at():
    assert {name.split()[0] for name, _ in ALL} >= {
        "run",
        "sim",
        "hunt",
        "bugs",
        "storm",
        "atlas",
        "bench",
        "grade",
        "show",
        "soak",
        "serve",
    }


@pytest.mark.parametrize(("name", "action"), OPTIONS, ids=lambda each: each if isinstance(each, str) else each.option_strings[0])
def test_each_option_has_the_name_that_the_thing_has_elsewhere_and_says_what_it_is(name, action):
    assert not OLD & set(action.option_strings)
    assert action.help
    if FOLDERS & set(action.option_strings):
        assert action.metavar in ("FOLDER", "FILE"), "what is written where stands in its name"
    if action.type in (int, float):
        raise AssertionError("a number without bounds: bcr_run.options has those with")


def test_an_option_takes_a_value_in_all_commands_or_in_none():
    takes = defaultdict(set)
    for _, action in OPTIONS:
        for option in action.option_strings:
            takes[option].add(action.nargs != 0)
    assert [option for option, found in takes.items() if len(found) > 1] == []


@pytest.mark.parametrize(
    ("name", "action"),
    [
        (name, action)
        for name, action in OPTIONS
        if action.option_strings[0] in ("--count", "--jobs", "--t", "--minutes", "--limit", "--seed")
    ],
    ids=lambda each: each if isinstance(each, str) else each.option_strings[0],
)
@pytest.mark.parametrize("text", ["-5", "nine", "1e999"])
def test_numbers_that_make_no_sense_are_refused(name, action, text):
    with pytest.raises(argparse.ArgumentTypeError, match=text):
        action.type(text)


@pytest.mark.parametrize(("read", "text", "number"), [(positive, "3", 3), (natural, "0", 0), (above_zero, "0.5", 0.5)])
def test_numbers_that_make_sense_are_read(read, text, number):
    assert read(text) == number


@pytest.mark.parametrize(("read", "text"), [(positive, "0"), (above_zero, "0"), (above_zero, "nan")])
def test_zero_is_no_count_and_no_time(read, text):
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        read(text)


def test_a_name_that_an_option_had_before_is_heeded_and_tells_the_new_one(capsys):
    parser = argparse.ArgumentParser(prog="bcr hunt")
    parser.add_argument("--count", type=positive, default=1)
    formerly(parser, "--count", "--seeds")
    assert parser.parse_args([]).count == 1
    assert parser.parse_args(["--seeds", "7"]).count == 7
    assert capsys.readouterr().err == "bcr hunt: --seeds is now called --count\n"
    assert "--seeds" not in parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["--seeds", "0"])
