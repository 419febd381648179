"""Puts a mutant into functions that are imported already: their code is exchanged, and nothing is imported anew.

A function keeps its identity, so whatever has a hold of it (classes, handlers, decorators) meets the mutant.
"""

import gc
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FunctionType
from typing import NamedTuple


class CodeLocation(NamedTuple):
    """Where the code of a function stands: its file, its name with those around it, and the line in which it begins."""

    file: str
    name: str
    line: int


Holders = Mapping[CodeLocation, Sequence[FunctionType]]


def place_of(code: CodeType) -> CodeLocation:
    return CodeLocation(code.co_filename, code.co_qualname, code.co_firstlineno)


def holders() -> Holders:
    """Every function of this OS process, by the place of its code."""
    gc.unfreeze()  # what is frozen would not be found
    found: dict[CodeLocation, list[FunctionType]] = {}
    for each in gc.get_objects():
        if type(each) is FunctionType:
            found.setdefault(place_of(each.__code__), []).append(each)
    return found


def exchange(before: CodeType, after: CodeType, line: int, held: Holders) -> bool:
    """Give the function in which this line of the module `before` stands the code that it has in `after`.

    False, and nothing exchanged, where that cannot be done: the line is executed by the import alone, or what differs has
    another shape. What DistAlgo numbers counts on from one compilation to the next, so of names numbers are not compared.
    """
    old, new = list(_functions(before)), list(_functions(after))
    if [_unnumbered(each) for each in old] != [_unnumbered(each) for each in new]:
        return False
    around = [index for index, code in enumerate(old) if code.co_firstlineno <= line <= _last_line(code)]
    latest_line = max((old[index].co_firstlineno for index in around), default=0)
    innermost_indexes = [index for index in around if old[index].co_firstlineno == latest_line]
    if len(innermost_indexes) != 1:
        return False
    had, has = old[innermost_indexes[0]], new[innermost_indexes[0]]
    functions = held.get(place_of(had), ())
    if had.co_freevars != has.co_freevars:
        return False
    for function in functions:
        function.__code__ = has
    return bool(functions)


def _unnumbered(code: CodeType) -> str:
    return re.sub(r"\d+", "", code.co_qualname)


def _last_line(code: CodeType) -> int:
    """The last line of a function, and of what stands in it."""
    lines = [line for _, _, line in code.co_lines() if line is not None]
    return max([*lines, *(_last_line(each) for each in code.co_consts if isinstance(each, CodeType))], default=code.co_firstlineno)


def _functions(code: CodeType) -> Iterator[CodeType]:
    """The functions of a module or class, and of its classes; what stands in a function belongs to its code."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & inspect.CO_OPTIMIZED:
                yield each
            else:
                yield from _functions(each)
