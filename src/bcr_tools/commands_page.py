"""Writes the reference of the command line, docs/reference/commands.md, from the parsers by which commands read their arguments."""

import argparse
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from unittest import mock

from bcr_runtime.places import PROJECT

PAGE = PROJECT / "docs" / "reference" / "commands.md"
HEAD = """# Commands

Written by `./bcr reference` from the parsers by which the commands read their arguments; a test holds it against them.

`./bcr COMMAND --help` says the same of one command, and `./bcr --version` which version this is. A command ends with 0 when all
went well, 1 when something failed, and 2 when it came to no verdict or its input was bad; see
[exit status](result.md#exit-status). The commands that ask a service (`console`, `get`, `put`, `append`, `delete`, `keys`, `status`) end with 0 when it
was done, 1 when nothing happened or there is no value, 2 for bad input, 3 when the answer does not hold, and 4 when it may have happened.
"""
# Options by which a command becomes another one, with arguments of its own.
BECOMES: Mapping[str, str] = {"bugs": "--all", "grade": "--bugs"}
Command = Callable[[list[str]], int]
Commands = Mapping[str, tuple[Command, str]]


class _Reading(Exception):
    """A command has made its parser and begins to read its arguments with it."""


def page(commands: Commands) -> str:
    """The whole page, of the command line's table: name -> what does it, and what it is for."""
    lines = [HEAD]
    for name, (command, purpose) in commands.items():
        lines += [f"## {name}", "", f"{_upper(purpose)}.", "", *_section(command, name)]
        if name in BECOMES:
            lines += [f"### {name} {BECOMES[name]}", "", *_section(command, name, BECOMES[name])]
    return "\n".join(lines)


def parser_of(command: Command, arguments: Sequence[str] = ()) -> argparse.ArgumentParser | str:
    """The parser that the command makes; where it has none and hands its arguments on, what it prints as its help."""
    found: list[argparse.ArgumentParser] = []

    def taken(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        found.append(parser)
        raise _Reading

    with mock.patch.object(argparse.ArgumentParser, "parse_args", taken), redirect_stdout(io.StringIO()) as printed:
        try:
            command([*arguments, "--help"])
        except _Reading:
            return found[0]
    return printed.getvalue()


def _section(command: Command, name: str, *arguments: str) -> list[str]:
    parser = parser_of(command, arguments)
    if isinstance(parser, str):
        return ["```text", parser.strip(), "```", ""]
    lines = [f"    {_usage(parser)}", "", *_rows(parser)]
    for child, about, below in children_of(parser):
        lines += [f"### {name} {child}", "", f"{_upper(about)}.", "", f"    {_usage(below)}", "", *_rows(below)]
    return lines


def children_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Its commands: their names, what they are for, and their parsers."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            purposes = {choice.dest: (choice.help or "").replace("%%", "%") for choice in action._choices_actions}
            for name, below in action.choices.items():
                yield name, purposes.get(name) or below.description or name, below


def shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Its arguments, without `--help` and those that only the project itself gives."""
    return [each for each in parser._actions if each.dest != "help" and each.help != argparse.SUPPRESS]


def _usage(parser: argparse.ArgumentParser) -> str:
    # Not argparse's own text, which each version of Python words otherwise.
    actions = shown(parser)
    positional = [_operand(each) for each in actions if not each.option_strings]
    words = [f"./{parser.prog}", "[OPTION …]" if len(positional) < len(actions) else "", *positional]
    return " ".join(word for word in words if word)


def _operand(action: argparse.Action) -> str:
    if isinstance(action, argparse._SubParsersAction):
        return "COMMAND"
    word = _value(action)
    if action.nargs in ("*", argparse.REMAINDER):
        return f"[{word} …]"
    return f"{word} …" if action.nargs == "+" else f"[{word}]" if action.nargs == "?" else word


def _value(action: argparse.Action) -> str:
    if action.metavar is not None:
        return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    return action.dest.upper() if action.option_strings else action.dest


def _rows(parser: argparse.ArgumentParser) -> list[str]:
    actions = [each for each in shown(parser) if not isinstance(each, argparse._SubParsersAction)]
    if not actions:
        return []
    rows = [f"| {_name(each)} | {_meaning(parser, each)} |" for each in actions]
    return ["| argument | what it is |", "|---|---|", *rows, ""]


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_value(action)}`"
    value = "" if action.nargs == 0 else f" {_value(action)}"
    if action.nargs in ("*", "+"):
        value += " …"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def _meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    # As argparse fills them in; a folder of this checkout is told without the place of the checkout.
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    choices = ", ".join(f"`{each}`" for each in action.choices or ())
    text = "; ".join(part for part in (" ".join(text.split()), f"one of {choices}" if choices else "") if part)
    text = text.replace(f"{PROJECT}/", "").replace("|", "\\|")
    return re.sub(r"%%", "%", text)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
