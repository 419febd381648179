"""What the options of all commands have in common: how numbers are read, and names that an option had before."""

import argparse
import math
from collections.abc import Sequence
from typing import Any

from bcr_run.output import complain


def positive(text: str) -> int:
    """A whole number above 0, as the type of an argument."""
    number = _integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: not a whole number above 0")
    return number


def natural(text: str) -> int:
    """A whole number from 0 on, such as a seed, as the type of an argument."""
    number = _integer(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text}: not a whole number from 0 on")
    return number


def above_zero(text: str) -> float:
    """A number above 0, such as of seconds, as the type of an argument."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"{text}: not a number above 0")
    return number


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: not a whole number") from None


def formerly(parser: argparse.ArgumentParser, name: str, *old: str) -> None:
    """Let the option `name` be given by the names that it had before, which no help tells of; whoever does is told its name."""
    action = parser._option_string_actions[name]
    for each in old:
        parser.add_argument(each, action=_Renamed, dest=action.dest, type=action.type or str, metavar=name, default=argparse.SUPPRESS,
                            help=argparse.SUPPRESS)  # fmt: skip


class _Renamed(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: str | Sequence[Any] | None, option: str | None = None
    ) -> None:
        complain(f"{parser.prog}: {option} is now called {self.metavar}")
        setattr(namespace, self.dest, values)
