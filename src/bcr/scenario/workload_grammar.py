"""The grammar of workloads: operations of the object, and the words that stand for many of them."""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any

from bcr.objects.finding import DEFAULT, found
from bcr.objects.operation import Operation
from bcr.objects.replicated import BadOperation, ReplicatedObject
from bcr.scenario.diagnostics import ValueProblem
from bcr.scenario.grammar import Call, Cursor, Tell, Warn, demand_count, items, known, whole_number
from bcr.scenario.values import MAX_OPERATIONS, MAX_VALUE_BYTES
from bcr.scenario.workload import PERCENT, Distinct, Part, Pseudorandom, Uniform, Workload, Written

GENERATORS = {
    "pseudorandom": ("seed", "n"),
    "uniform": ("seed", "n", "value_bytes", "read_percent"),
    "distinct": ("seed", "n", "value_bytes"),
}
OF_ANY_OBJECT = "pseudorandom"  # the others are of a dictionary


def parse_workload(text: str, warn: Warn, tell: Tell, replicated: ReplicatedObject[Any] | str = DEFAULT) -> Workload:
    """Operations of the object, `pseudorandom(seed,n)` and the like, separated by `;`; of a dictionary if none is given.

    `uniform(seed,n,value_bytes,read_percent)` and `distinct(seed,n,value_bytes)` there are of a dictionary alone.
    """
    kind = found(replicated)
    generators = [each for each in GENERATORS if each == OF_ANY_OBJECT or kind.name == DEFAULT]
    parts: list[Part] = []
    count = 0

    def item(cursor: Cursor) -> None:
        nonlocal count
        call = known(cursor.call(), (*kind.forms, *generators), "operation", warn)
        part = _part(call, MAX_OPERATIONS - count, kind)
        count += part.count
        parts.append(part)

    items(text, item, "operations", warn, tell)
    return Workload(tuple(_together(parts)))


def _together(parts: Sequence[Part]) -> Iterator[Part]:
    """The same parts, with written operations that follow each other as one."""
    for is_written, group in groupby(parts, lambda part: isinstance(part, Written)):
        if is_written:
            yield Written(tuple(chain.from_iterable(part.operations for part in group if isinstance(part, Written))))
        else:
            yield from group


def _part(call: Call, most: int, replicated: ReplicatedObject[Any]) -> Part:
    """The operations that a call stands for; raises ValueProblem where there are more than `most`."""
    if call.name in GENERATORS:
        names = GENERATORS[call.name]
        demand_count(call, len(names), f"{call.name}({','.join(names)})")
        seed, count = whole_number(call, 0, least=-(10**18)), whole_number(call, 1)
        if count > most:
            raise ValueProblem(f"{count:,} operations, at most {MAX_OPERATIONS:,} are possible in all", call.offsets[1])
        if call.name == OF_ANY_OBJECT:
            _demand_drawn(call, replicated)
            return Pseudorandom(seed, count)
        value_bytes = _at_most(call, 2, MAX_VALUE_BYTES)
        if call.name == "distinct":
            return Distinct(seed, count, value_bytes)
        return Uniform(seed, count, value_bytes, _at_most(call, 3, PERCENT))
    if most < 1:
        raise ValueProblem(f"more than {MAX_OPERATIONS:,} operations", call.offset)
    return Written((_operation(call, replicated),))


def _demand_drawn(call: Call, replicated: ReplicatedObject[Any]) -> None:
    try:
        replicated.drawn(0)
    except BadOperation as problem:
        raise ValueProblem(str(problem), call.offset) from problem


def _operation(call: Call, replicated: ReplicatedObject[Any]) -> Operation:
    examples = replicated.forms[call.name]
    least = len(examples) - replicated.optional.get(call.name, 0)
    if not least <= len(call.arguments) <= len(examples):
        demand_count(call, len(examples), f"{call.name}({','.join(examples)})")
    try:
        return replicated.parsed(call.name, call.arguments)
    except BadOperation as problem:
        has_place = problem.argument is not None and problem.argument < len(call.offsets)
        place = call.offsets[problem.argument or 0] if has_place else call.offset
        raise ValueProblem(f"{call.name}: {problem}", place) from problem


def _at_most(call: Call, index: int, most: int) -> int:
    value = whole_number(call, index)
    if value > most:
        raise ValueProblem(f"{call.name}: {value:,} is more than {most:,}", call.offsets[index])
    return value
