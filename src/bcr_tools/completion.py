"""Completion in a shell: what it is told once, and what it is answered whenever somebody presses Tab."""

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

from bcr_tools.commands_page import parser_of

SHELLS = ("bash", "zsh", "fish")
EPILOG = """Put `eval "$(./bcr completion)"` into the start-up file of bash, with the shell's name behind it of zsh; of fish:
./bcr completion fish | source. It completes commands, options, what an option can be, and files, of ./bcr wherever it stands."""


def main(arguments: Sequence[str]) -> int:
    """`bcr completion`: 0."""
    parser = argparse.ArgumentParser(prog="bcr completion", description=__doc__, epilog=EPILOG)
    parser.add_argument("shell", choices=SHELLS, nargs="?", default="bash", help="(default: bash)")
    options = parser.parse_args(arguments)
    from argcomplete.shell_integration import shellcode

    print(shellcode(["bcr", "./bcr"], shell=options.shell))
    return 0


def complete(commands: Mapping[str, tuple[Any, str]]) -> int:
    """Answer the shell, which has put the line into the environment; 1 where what answers is not installed."""
    try:
        import argcomplete
    except ImportError:
        return 1
    argcomplete.autocomplete(parser_for(commands, os.environ.get("COMP_LINE", "").split()[1:2]))
    return 1  # it ends the process where it was asked in the right way


def parser_for(commands: Mapping[str, tuple[Any, str]], words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the whole line, in which only the command that the line begins with has arguments: to ask all takes seconds."""
    root = argparse.ArgumentParser(prog="bcr")
    root.add_argument("--version", action="store_true")
    below = root.add_subparsers()
    for name, (command, purpose) in commands.items():
        below.add_parser(name, help=purpose)
        if name in words:
            parser = parser_of(command)
            if isinstance(parser, argparse.ArgumentParser):
                below.choices[name] = parser
    return root
