"""The log of one process: a file of lines in which every value carries its name."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bcr.chain.descriptions import contents, identify
from bcr_runtime import ambient

LEVELS: Mapping[str, int] = {"quiet": 0, "human": 1, "debug": 2}

VALUE_LIMIT = 8_000  # characters of a value in a step; peers have a say in what values hold
DETAIL_LIMIT = 200_000  # in full contents
_is_plain = re.compile(r"[!#-<>-\[\]-~]*").fullmatch  # printable ASCII without blanks, `=`, and what is escaped
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _written(value: object, limit: int) -> str:
    """The value as a line has it: in quotes unless it is plain, cut behind the limit, and safe to be shown.

    What would move a terminal's cursor, change its state or begin another line is escaped as in Python's strings.
    """
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text):,} characters)"
    if _is_plain(text):
        return text
    return f'"{"".join(_ESCAPES.get(each) or _escaped(each) for each in text)}"'


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class Journal:
    """A process's log.

    `step` is for what happened, with the values that identify it; `detail` for full contents, which only the level
    `debug` writes; `warn` for what somebody should look at, which every level writes.
    """

    def __init__(self, path: Path, level: str) -> None:
        """Opens, and if need be makes, the file; `level` is a key of LEVELS."""
        self.path = path
        self._file = ambient.open_log(path)
        self._tells_steps = LEVELS[level] >= LEVELS["human"]
        self.is_detailed = level == "debug"
        self._told = False  # that there is a problem
        self._second = -1
        self._until_second = ""  # how lines of this second begin

    def take_problem(self) -> str | None:
        """Why the file cannot be written, told once; None while it can."""
        problem, self._told = (None if self._told else self._file.problem), self._told or self._file.problem is not None
        return problem

    def step(self, event: str, **values: Any) -> None:
        if self._tells_steps:
            self._write(event, values)

    def detail(self, event: str, **values: Any) -> None:
        if self.is_detailed:
            self._write(event, values, DETAIL_LIMIT)

    def warn(self, event: str, **values: Any) -> None:
        self._write(event, values)

    def sent(self, message_name: str, receiver: str, message: Any) -> None:
        """A message of the protocol left for `receiver`."""
        if self._tells_steps:
            self._write("sent", {"message": message_name, "to": receiver, **identify(message)})
        if self.is_detailed:
            self._write("contents", {"message": message_name, "contents": contents(message)}, DETAIL_LIMIT)

    def received(self, message_name: str, message: Any) -> None:
        """A message of the protocol arrived and could be decoded; whom it is from only its signatures can say."""
        if self._tells_steps:
            self._write("received", {"message": message_name, **identify(message)})
        if self.is_detailed:
            self._write("contents", {"message": message_name, "contents": contents(message)}, DETAIL_LIMIT)

    def _write(self, event: str, values: Mapping[str, Any], limit: int = VALUE_LIMIT) -> None:
        second, ns = divmod(ambient.wall_clock_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._until_second = f"time={datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}."
        line = f"{self._until_second}{ns // 1_000:06d}+00:00 event={event}"
        for name, value in values.items():
            if type(value) is int:
                line += f" {name}={value}"
            else:
                line += f" {name}={_written(value, limit)}"
        self._file.write(line + "\n")

    def close(self) -> None:
        self._file.close()

