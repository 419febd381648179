"""The node types of Python 3.7's syntax tree that today's `ast` lacks, deprecates or has changed.

DistAlgo's compiler was written for them.  They live here rather than in `ast` because the old names warn from
Python 3.12 on and are gone from 3.14.

Nodes are built as Python 3.7 built them: fields may be missing or come later, and extra keywords are taken.
"""

import ast
from typing import Any


class _Node37(ast.AST):
    """A node whose constructor takes its fields by position or name and asks for none of them."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        # Not super().__init__(): that warns of each missing or unknown field from 3.13 on.
        for name, value in zip(self._fields, args, strict=False):
            setattr(self, name, value)
        for name, value in fields.items():
            setattr(self, name, value)


class Num(_Node37, ast.expr):
    _fields = ("n",)


class Str(_Node37, ast.expr):
    _fields = ("s",)


class Bytes(_Node37, ast.expr):
    _fields = ("s",)


class NameConstant(_Node37, ast.expr):
    _fields = ("value",)


class Ellipsis(_Node37, ast.expr):
    _fields = ()


class Index(_Node37, ast.expr):
    _fields = ("value",)


class ExtSlice(_Node37, ast.expr):
    _fields = ("dims",)


class Param(_Node37, ast.expr_context):
    _fields = ()


class ClassDef(_Node37, ast.ClassDef):
    _fields = ("name", "bases", "keywords", "body", "decorator_list")


class FunctionDef(_Node37, ast.FunctionDef):
    _fields = ("name", "args", "body", "decorator_list", "returns")


class arguments(_Node37, ast.arguments):
    _fields = ("args", "vararg", "kwonlyargs", "kw_defaults", "kwarg", "defaults")


class Module(_Node37, ast.Module):
    _fields = ("body",)


def _by_name(*nodes: type[Any]) -> dict[str, type[Any]]:
    return {node.__name__: node for node in nodes}


# What the parser and the unparser ask of a tree.
GONE = _by_name(Num, Str, Bytes, NameConstant, Ellipsis, Index, ExtSlice, Param)
# What the generators build with fields missing; the parser must recognise today's own.
LENIENT = _by_name(ClassDef, FunctionDef, arguments, Module)
