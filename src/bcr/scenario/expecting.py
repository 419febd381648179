"""Reads expectations: `expect[name, argument, …] = comparison value`, where `==` may be left out."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bcr.scenario.diagnostics import KeyProblem, ValueProblem, nearest
from bcr.scenario.entries import ScenarioEntry
from bcr.scenario.expectations import COMPARISONS_OF, SUBJECTS, VERDICTS, Expectation, Kind
from bcr.scenario.grammar import Cursor, ParsingContext, Warn, parse_strings

T = TypeVar("T")

_COMPARISON = re.compile(r"(==|!=|>=|<=|>|<|in\b)?\s*")


def parse_expectation(index: Sequence[str], entry: ScenarioEntry, reading: ParsingContext, warn: Warn) -> Expectation:
    """The expectation of an entry with this index; raises KeyProblem and ValueProblem where that makes no sense."""
    name, *texts = index or ("",)
    name = name.lower()
    if name not in SUBJECTS:
        raise KeyProblem(f"expect: nothing is called {name!r}; {nearest(name, SUBJECTS)}")
    kinds = SUBJECTS[name].arguments
    if len(texts) != len(kinds) and (texts or not SUBJECTS[name].of_any):
        counts = f"{len(kinds)} or no" if SUBJECTS[name].of_any else str(len(kinds))
        raise KeyProblem(f"expect[{name}]: takes {counts} further arguments, has {len(texts)}")
    arguments = tuple(_argument(name, kind, text, reading) for kind, text in zip(kinds, texts, strict=False))
    match = _COMPARISON.match(entry.value)
    comparison, offset = ((match[1] or "=="), match.end()) if match else ("==", 0)
    kind = SUBJECTS[name].value
    if comparison not in COMPARISONS_OF[kind]:
        raise ValueProblem(f"expect[{name}]: {comparison} is not one of {' '.join(COMPARISONS_OF[kind])}")
    value = _value(kind, comparison == "in", entry.value[offset:], offset, reading, warn)
    return Expectation(name, arguments, comparison, value, f"{entry.key} = {entry.value}")


def _argument(name: str, kind: str, text: str, reading: ParsingContext) -> int | str:
    if kind == "string":
        return Cursor(text, lambda *_: None).argument() if text[:1] in ("'", '"') else text
    if not re.fullmatch(r"\d{1,9}", text):
        raise KeyProblem(f"expect[{name}]: expected a whole number, found {text!r}")
    if kind != "client":
        return int(text)
    client = int(text) - reading.indices_start_at
    if not 0 <= client < reading.clients:
        raise KeyProblem(f"expect[{name}]: no client {text}, {reading.clients_are}")
    return client


def _value(kind: Kind, are_many: bool, text: str, offset: int, reading: ParsingContext, warn: Warn) -> Any:
    """The value that is expected, or the tuple of them; None for `absent`."""
    if kind == "number":
        numbers = _each(text, offset, _number)
        if not are_many and len(numbers) != 1:
            raise ValueProblem(f"expected a whole number, found {text!r}", offset)
        return numbers if are_many else numbers[0]
    if kind == "positions":
        return _each(text, offset, lambda part, place: _position(part, place, reading.indices_start_at))
    if kind == "status":
        statuses = _each(text, offset, _status)
        if not are_many and len(statuses) != 1:
            raise ValueProblem(f"expected one of {', '.join(VERDICTS)}, found {text!r}", offset)
        return statuses if are_many else statuses[0]
    if kind == "string" and text.rstrip("; \t") == "absent":
        return None
    strings = parse_strings(" " * offset + text, warn)
    if kind == "strings" or (are_many and strings):
        return strings
    if len(strings) != 1:
        raise ValueProblem(f"expected one string or absent, found {text!r}", offset)
    return strings[0]


def _each(text: str, offset: int, read: Callable[[str, int], T]) -> tuple[T, ...]:
    """What stands between commas or semicolons, which may be in braces and need not be there behind the last."""
    parts = [part.strip() for part in re.split("[,;]", text.strip().strip("{}"))]
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(read(part, offset) for part in parts)


def _number(text: str, offset: int) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise ValueProblem(f"expected a whole number, found {text!r}", offset)
    return int(text)


def _position(text: str, offset: int, first: int) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < first:
        raise ValueProblem(f"expected positions such as {first},2 or {{{first},2}}, found {text!r}", offset)
    return int(text) - first


def _status(text: str, offset: int) -> str:
    status = text.strip("'\"").lower()
    if status not in VERDICTS:
        raise ValueProblem(f"expect[verdict]: no {text!r}; {nearest(status, VERDICTS)}", offset)
    return status
