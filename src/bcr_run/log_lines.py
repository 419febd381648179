"""Lines of the logs: read back value by value, as `bcr_runtime.journal` wrote them."""

import ast
import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

_PAIR = re.compile(r'([A-Za-z_0-9]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')
_ESCAPED = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|.)")
_SECOND_DIGITS = len("time=2026-11-26T07:29:44")
YEARS = range(1970, 2262)  # whose nanoseconds since 1970 are counted in 64 bits

# What happens all the time; whatever else a log tells is a moment of the run.
ROUTINE = frozenset({"sent", "received", "executed", "case", "accepted", "ignored", "dropped", "contents", "operations",
                     "results", "checkpoint", "completed_checkpoint", "no_longer_awaited", "sent_again", "evidence",
                     "went_back", "caught_up"})  # fmt: skip


class Line(msgspec.Struct, frozen=True):
    """A line of a log: when, in nanoseconds since 1970, whose, what happened, and the values that identify it.

    `place` is where it stands among the lines of its file, from 0.
    """

    at_ns: int
    process: str
    event: str
    values: Mapping[str, str]
    place: int

    def text(self) -> str:
        """The line without time and process, as a person reads it."""
        return " ".join([self.event, *(f"{name}={value}" for name, value in self.values.items())])


class Clock:
    """Reads the times of lines, which mostly are of one second."""

    def __init__(self) -> None:
        self._text = ""
        self._second_ns = 0

    def read(self, line: str) -> int | None:
        """Nanoseconds since 1970; None where the line does not begin with a time, or with one that no clock shows."""
        text = line[:_SECOND_DIGITS]
        if text != self._text:
            try:
                at = datetime.fromisoformat(text.removeprefix("time=") + "+00:00")
            except ValueError:
                return None
            if at.year not in YEARS:
                return None
            self._text, self._second_ns = text, int(at.timestamp()) * 1_000_000_000
        digits = line[_SECOND_DIGITS + 1 : _SECOND_DIGITS + 7]
        return self._second_ns + int(digits) * 1_000 if digits.isascii() and digits.isdigit() else None


def event_of(line: str) -> str:
    """The name of what happened; empty where the line has none."""
    start = line.find(" event=")
    return line[start + 7 :].partition(" ")[0] if start >= 0 else ""


def parse(line: str, at_ns: int, process: str, place: int) -> Line | None:
    """The line's values; None where it is cut off, or no line of a log. `process` is whose file it is, if it does not say."""
    pairs = _PAIR.findall(line) if '"' in line else [part.partition("=")[::2] for part in line.split(" ")]
    values = {name: _text_of(value) for name, value in pairs}
    values.pop("time", None)
    event = values.pop("event", "")
    if not event:
        return None
    return Line(at_ns, values.pop("process", process), event, values, place)


def _text_of(value: str) -> str:
    if not value.startswith('"'):
        return value
    return _ESCAPED.sub(lambda match: _unescaped(match[0]), value[1:-1])


def _unescaped(text: str) -> str:
    if text[1] in '"\\':
        return text[1]
    try:
        return str(ast.literal_eval(f"'{text}'"))
    except (ValueError, SyntaxError):
        return text
