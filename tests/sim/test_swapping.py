"""Mutants in functions that are imported already: what is exchanged, and what takes an import."""

import pytest

from bcr_sim.swapping import exchange, holders

SOURCE = """
from functools import cache

LIMIT = 3

@cache
def is_within(number):
    return number < LIMIT

class Counter:
    def __init__(self):
        self.count = 0

    def add(self,
            more):
        self.count += more
        return self

    @property
    def is_full(self):
        return self.count >= LIMIT

    class Inner:
        def word(self):
            return "old"

def adder(more):
    def add(number):
        return number + more
    return add
"""


@pytest.fixture
def module():
    """The names of SOURCE, executed; and its code."""
    code = compile(SOURCE, "swapped.py", "exec")
    names = {"__name__": "swapped"}
    exec(code, names)
    return names, code


def exchanged(code, old, new):
    assert SOURCE.count(old) == 1
    line = SOURCE[: SOURCE.index(old)].count("\n") + 1
    return exchange(code, compile(SOURCE.replace(old, new), "swapped.py", "exec"), line, holders())


@pytest.mark.parametrize(("old", "new", "holds"), [
    ("number < LIMIT", "number <= LIMIT", lambda names, counter: names["is_within"](3)),
    ("self.count += more", "pass", lambda names, counter: counter.add(1).count == 0),
    ("self,\n            more):\n        self.count += more", "self, more):\n        self.count -= more",
     lambda names, counter: counter.add(1).count == -1 and not counter.is_full),
    ("self.count >= LIMIT", "self.count < LIMIT", lambda names, counter: counter.is_full),
    ('"old"', '"new"', lambda names, counter: names["Counter"].Inner().word() == "new"),
    ("number + more", "number - more", lambda names, counter: names["adder"](1)(3) == 2),
])  # fmt: skip
def test_whoever_has_a_hold_of_a_function_meets_its_new_code(module, old, new, holds):
    names, code = module
    counter = names["Counter"]()
    assert not holds(names, names["Counter"]())
    names["is_within"].cache_clear()
    assert exchanged(code, old, new)
    assert holds(names, counter)


@pytest.mark.parametrize(("old", "new"), [
    ("LIMIT = 3", "LIMIT = 4"),  # executed by the import
    ("class Inner:", "class Other:"),
])  # fmt: skip
def test_what_only_an_import_would_execute_or_has_another_shape_is_not_exchanged(module, old, new):
    names, code = module
    assert not exchanged(code, old, new)
    assert names["Counter"]().add(3).is_full


def test_a_function_that_does_not_need_a_variable_around_it_any_more_is_not_exchanged():
    first = "class A:\n    def f(self):\n        return super().__repr__()\n"
    code = compile(first, "super.py", "exec")
    names = {"__name__": "super"}
    exec(code, names)
    assert not exchange(code, compile(first.replace("super().__repr__()", "'none'"), "super.py", "exec"), 3, holders())
    assert exchange(code, compile(first.replace("__repr__", "__str__"), "super.py", "exec"), 3, holders())


def test_two_functions_in_one_line_cannot_be_told_apart():
    source = "pair = (lambda: 1, lambda: 2)\n"
    code = compile(source, "pair.py", "exec")
    names = {"__name__": "pair"}
    exec(code, names)
    assert not exchange(code, compile(source.replace("2", "3"), "pair.py", "exec"), 1, holders())
    assert [each() for each in names["pair"]] == [1, 2]
