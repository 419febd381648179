"""The log of one process: a file of lines in which every value carries its name, and every line its process and time.

All processes of a run that have a clock in common stamp their lines with it, so that `sort` merges their logs. What was
sent and what was received carry one identity, a digest of the message's bytes, and so does nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from bcr.chain.descriptions import contents, identify
from bcr.signed.violations import ProtocolViolation
from bcr_runtime import ambient

LEVELS: Mapping[str, int] = {"quiet": 0, "human": 1, "debug": 2}

VALUE_LIMIT = 8_000  # characters of a value in a step; peers have a say in what values hold
DETAIL_LIMIT = 200_000  # in full contents
MAX_EVIDENCE = 20  # violations of which the evidence is written; at the level `debug` of all
MAX_PROVOKED = 1_000  # misbehaviours that are written, each; behind that one in PROVOKED_EACH, for peers have a say in how many there are
PROVOKED_EACH = 100
IDENTITY_SIZE = 6  # bytes
_is_plain = re.compile(r"[!#-<>-\[\]-~]*").fullmatch  # printable ASCII without blanks, `=`, and what is escaped
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _text_of_value(value: object, limit: int) -> str:
    """The value as a line has it: in quotes unless it is plain, cut behind the limit, and safe to be shown.

    What would move a terminal's cursor, change its state or begin another line is escaped as in Python's strings.
    """
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text):,} characters)"
    if _is_plain(text):
        return text
    return f'"{"".join(_ESCAPES.get(each) or _escape(each) for each in text)}"'


def _text_of_evidence(evidence: Any) -> str:
    """A piece of evidence as text: a message or statement, another violation with its own, or whatever a peer sent."""
    if isinstance(evidence, ProtocolViolation):
        return "; ".join([f"{evidence.kind}: {evidence}", *map(_text_of_evidence, evidence.evidence)])
    try:
        return contents(evidence)
    except (TypeError, ValueError, RecursionError):  # nothing that the protocol knows
        return repr(evidence)


@lru_cache(maxsize=256)
def _name(name: str) -> str:
    """The same of names, which come again and again."""
    return _text_of_value(name, VALUE_LIMIT)


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def identity(payload: bytes) -> str:
    """What a message is known by in the logs of who sent and of who received it."""
    return blake2b(payload, digest_size=IDENTITY_SIZE).hexdigest()


class Journal:
    """A process's log.

    `step` is for what happened, with the values that identify it; `detail` for full contents, which only the level
    `debug` writes; `warn` for what somebody should look at, which every level writes.
    """

    def __init__(self, path: Path, level: str, clock_origin_ns: int | None = None) -> None:
        """Opens, and if need be makes, the file; `level` is a key of LEVELS. The file's name without its ending is the process's.

        `clock_origin_ns` is what the monotonic clock is to be put forward by to give the time of day, for all processes
        alike; without it the difference of now is taken.
        """
        self.path = path
        if clock_origin_ns is None:
            clock_origin_ns = ambient.wall_clock_ns() - ambient.monotonic_ns()
        self._origin_ns = clock_origin_ns
        self._behind_time = f"+00:00 process={_text_of_value(path.stem, VALUE_LIMIT)} event="
        self._evidence_left = MAX_EVIDENCE
        self._provoked = 0
        self._file = ambient.open_log(path)
        self._tells_steps = LEVELS[level] >= LEVELS["human"]
        self.is_detailed = level == "debug"
        self._has_told_problem = False  # that there is a problem
        self._latest_second = -1
        self._until_second = ""  # how lines of this second begin

    def take_problem(self) -> str | None:
        """Why the file cannot be written, told once; None while it can."""
        problem, self._has_told_problem = (
            (None if self._has_told_problem else self._file.problem),
            self._has_told_problem or self._file.problem is not None,
        )
        return problem

    def step(self, event: str, **values: Any) -> None:
        if self._tells_steps:
            self._write(event, values)

    def detail(self, event: str, **values: Any) -> None:
        if self.is_detailed:
            self._write(event, values, DETAIL_LIMIT)

    def warn(self, event: str, **values: Any) -> None:
        self._write(event, values)

    def has_room_for_provoked(self) -> bool:
        """Whether what a peer has provoked now is written: each of MAX_PROVOKED, and then one in PROVOKED_EACH, so that no peer fills the disk."""
        self._provoked += 1
        return self._provoked <= MAX_PROVOKED or self._provoked % PROVOKED_EACH == 0

    def evidence(self, kind: str, evidence: Sequence[Any]) -> None:
        """What shows a violation of this kind: of the first MAX_EVIDENCE in any case, for peers have a say in how many there are."""
        if self.is_detailed or (self._tells_steps and evidence and self._evidence_left):
            self._evidence_left -= 1
            shown = "\n".join(map(_text_of_evidence, evidence))
            self._write("evidence", {"kind": kind, "evidence": shown}, DETAIL_LIMIT if self.is_detailed else VALUE_LIMIT)

    def sent(self, message_name: str, receiver: str, message: Any, payload: bytes) -> None:
        """A message of the protocol left for `receiver`, as these bytes."""
        if self._tells_steps:
            first = f" message={_name(message_name)} to={_name(receiver)} id={identity(payload)}"
            self._write("sent", identify(message), first=first)
        if self.is_detailed:
            self._write("contents", {"message": message_name, "contents": contents(message)}, DETAIL_LIMIT)

    def received(self, message_name: str, message: Any, payload: bytes) -> None:
        """A message of the protocol arrived and could be decoded; whom it is from only its signatures can say."""
        if self._tells_steps:
            self._write("received", identify(message), first=f" message={_name(message_name)} id={identity(payload)}")
        if self.is_detailed:
            self._write("contents", {"message": message_name, "contents": contents(message)}, DETAIL_LIMIT)

    def _write(self, event: str, values: Mapping[str, Any], limit: int = VALUE_LIMIT, first: str = "") -> None:
        second, ns = divmod(ambient.monotonic_ns() + self._origin_ns, 1_000_000_000)
        if second != self._latest_second:
            self._latest_second = second
            self._until_second = f"time={datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}."
        line = f"{self._until_second}{ns // 1_000:06d}{self._behind_time}{event}{first}"
        for name, value in values.items():
            if type(value) is int:
                line += f" {name}={value}"
            else:
                line += f" {name}={_text_of_value(value, limit)}"
        self._file.write(line + "\n")

    def close(self) -> None:
        self._file.close()
