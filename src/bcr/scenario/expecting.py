"""Reads expectations: `expect[name, argument, …] = comparison value`, where `==` may be left out."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bcr.scenario.diagnostics import KeyProblem, ValueProblem, nearest
from bcr.scenario.entries import ScenarioEntry
from bcr.scenario.expectations import COMPARISONS_OF, SUBJECTS, VERDICTS, Expectation, Kind
from bcr.scenario.grammar import Cursor, ParsingContext, Warn, parse_strings
from bcr.scenario.values import Scenario

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


def why_never(expected: Expectation, scenario: Scenario) -> str:
    """Why no run of this scenario can be as expected, where that is certain; nothing where it is not."""
    values = expected.value if isinstance(expected.value, tuple) else (expected.value,)
    if expected.name in ("result", "results"):
        count = len(scenario.workloads[int(expected.arguments[0])])
        if expected.name == "result" and int(expected.arguments[1]) >= count:
            return f"the client has {_counted(count, 'operation')}, counted from 0"
        if expected.name == "results" and expected.comparison == "==" and len(values) > count:
            return f"the client has {_counted(count, 'operation')}, and these are {_counted(len(values), 'result')}"
    if SUBJECTS[expected.name].value == "number" and (expected.comparison, *values) == ("<", 0):
        return "nothing is counted below 0"
    if expected.name == "operations" and not scenario.client_failures:  # of a faulty client nobody knows what it asks
        count = sum(map(len, scenario.workloads))
        if not _is_met_up_to(count, expected.comparison, values):
            return f"the clients have {_counted(count, 'operation')} together"
    if expected.name == "blamed" and all(int(each or 0) >= scenario.num_replicas for each in values):
        return f"there are {_counted(scenario.num_replicas, 'replica')}"
    if expected.name == "quorum_includes" and any(int(each or 0) >= scenario.num_replicas for each in values):
        return f"there are {_counted(scenario.num_replicas, 'replica')}"
    return ""


def _is_met_up_to(most: int, comparison: str, values: Sequence[Any]) -> bool:
    """Whether a whole number from 0 to this one compares so with the value, or with one of them."""
    if comparison == ">":
        return bool(values[0] < most)
    return comparison in ("<", "<=", "!=") or min(values) <= most


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


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
