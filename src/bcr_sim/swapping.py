"""Puts a mutant into functions that are imported already: their code is exchanged, and nothing is imported anew.

A function keeps its identity, so whatever has a hold of it (classes, handlers, decorators) meets the mutant.
"""

import gc
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FunctionType
from typing import NamedTuple


class Place(NamedTuple):
    """Where the code of a function stands: its file, its name with those around it, and the line in which it begins."""

    file: str
    name: str
    line: int


Holders = Mapping[Place, Sequence[FunctionType]]


def place_of(code: CodeType) -> Place:
    return Place(code.co_filename, code.co_qualname, code.co_firstlineno)


def holders() -> Holders:
    """Every function of this OS process, by the place of its code."""
    gc.unfreeze()  # what is frozen would not be found
    found: dict[Place, list[FunctionType]] = {}
    for each in gc.get_objects():
        if type(each) is FunctionType:
            found.setdefault(place_of(each.__code__), []).append(each)
    return found


def exchange(before: CodeType, after: CodeType, held: Holders) -> bool:
    """Give every function of the module `before` the code that it has in `after`, where that is other code.

    False, and nothing exchanged, where that cannot be done: what differs is executed by the import alone, or is of
    another shape.
    """
    old, new = list(_functions(before)), list(_functions(after))
    if [each.co_qualname for each in old] != [each.co_qualname for each in new]:
        return False
    places = Counter(map(place_of, old))
    exchanged: list[tuple[FunctionType, CodeType]] = []
    for had, has in zip(old, new, strict=True):
        if _is_alike(had, has):
            continue
        functions = held.get(place_of(had), ())
        if not functions or places[place_of(had)] > 1 or had.co_freevars != has.co_freevars:
            return False
        exchanged += [(function, has) for function in functions]
    for function, code in exchanged:
        function.__code__ = code
    return bool(exchanged)


def _functions(code: CodeType) -> Iterator[CodeType]:
    """The functions of a module or class, and of its classes; what stands in a function belongs to its code."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & inspect.CO_OPTIMIZED:
                yield each
            else:
                yield from _functions(each)


def _is_alike(one: CodeType, other: CodeType) -> bool:
    """Whether both do the same, whatever the lines that they stand in."""
    if (one.co_code, one.co_names, one.co_varnames, one.co_freevars) != (
        other.co_code,
        other.co_names,
        other.co_varnames,
        other.co_freevars,
    ):
        return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    for had, has in zip(one.co_consts, other.co_consts, strict=True):
        if isinstance(had, CodeType) and isinstance(has, CodeType):
            if not _is_alike(had, has):
                return False
        elif (type(had), repr(had)) != (type(has), repr(has)):
            return False
    return True
