"""What DistAlgo's language lacks of Python's: found in the source's tree and refused, never mistranslated.

The rules are those of the stock compiler: a construct is refused where that compiler drops it, runs it otherwise than
Python would, or fails on it without saying where.  What it translates, or refuses clearly itself, passes.
"""

import ast
from collections.abc import Set as AbstractSet
from typing import Any

Refusal = tuple[Any, str]  # a node with a position, what is wrong with it

# Statements and expressions for which the compiler has no translation at all -> what to write instead.
_UNKNOWN = {
    "NamedExpr": "no ':=': assign in a statement of its own before",
    "Match": "no 'match': write if/elif",
    "TryStar": "no 'except*': write 'except'",
    "AsyncFunctionDef": "no 'async': a process waits by 'await(condition)' in an ordinary function",
    "AsyncFor": "no 'async for': write 'for'",
    "AsyncWith": "no 'async with': write 'with'",
    "TypeAlias": "no 'type' statement: put the alias into a .py module and import it",
    "TemplateStr": "no template strings: write an f-string",
}

_TRANSLATED = """
    FunctionDef ClassDef Return Delete Assign AugAssign AnnAssign For While If With Raise Try Assert Import ImportFrom
    Global Nonlocal Expr Pass Break Continue
    BoolOp BinOp UnaryOp Lambda IfExp Dict Set ListComp SetComp DictComp GeneratorExp Await Yield YieldFrom Compare Call
    FormattedValue JoinedStr Constant Attribute Subscript Starred Name List Tuple Slice
    """.split()  # noqa: SIM905 - readable

_AWAIT = "'await' stands as a statement or as the whole test of 'if' or 'elif'; parenthesise its whole condition: 'await(x == 0)'"
_TIMEOUT = "'await' takes one condition: write 'if await(condition): ...' and 'elif timeout(seconds): ...'"
_YIELD = "'yield' has no value: write it as a statement of its own"
_TYPES = "no type parameters: put typed definitions into a .py module"
_FIELDS = "annotations of class fields are dropped: define this class in a .py module and import it"
_PROCESS_BODY = "a process has methods and 'config' only, this would be dropped: set variables in 'setup'"
_CHAIN = "the middle of a chained comparison would be evaluated twice: give it a name before"

_AGGREGATES = frozenset({"max", "min", "sum", "len"})
# Calls that may be evaluated twice without a difference.
_HARMLESS_CALLS = _AGGREGATES | {"abs", "bool", "float", "int", "ord", "round", "str"}


def refusals(tree: ast.AST) -> list[Refusal]:
    """Every construct in `tree` that DistAlgo would mistranslate, as (node with a position, message), in source order."""
    finder = _Finder()
    finder.visit(tree)
    return sorted(finder.found, key=lambda item: (item[0].lineno, item[0].col_offset))


class _Finder(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[Refusal] = []

    def refuse(self, node: Any, message: str) -> None:
        self.found.append((node, message))

    def generic_visit(self, node: ast.AST) -> None:
        kind = type(node).__name__
        if isinstance(node, (ast.stmt, ast.expr)) and kind not in _TRANSLATED:
            self.refuse(node, _UNKNOWN.get(kind, f"no translation of {kind}"))
        super().generic_visit(node)

    # Definitions

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if getattr(node, "type_params", None):
            self.refuse(node, _TYPES)
        self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> None:
        for argument in node.posonlyargs:
            self.refuse(argument, "no positional-only parameters: leave out the '/'")
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if getattr(node, "type_params", None):
            self.refuse(node, _TYPES)
        is_process = any(isinstance(base, ast.Name) and base.id == "process" for base in node.bases)
        for statement in node.body:
            if is_process and not _belongs_in_process(statement):
                self.refuse(statement, _PROCESS_BODY)
            elif isinstance(statement, ast.AnnAssign) and _uses_annotations(node, statement):
                self.refuse(statement, _FIELDS)
        self.generic_visit(node)

    # Imports

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == "__future__" and node.level == 0:
            self.refuse(node, "no 'from __future__': leave it out")
        for alias in node.names:
            if alias.asname is not None:
                name, renamed = alias.name, alias.asname
                self.refuse(node, f"no 'from ... import ... as': import {name!r}, then write '{renamed} = {name}'")

    # Waiting and generators

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, (ast.Yield, ast.YieldFrom)):
            super().generic_visit(node.value)
        elif isinstance(node.value, ast.Await):
            self.condition(node.value, alone=True)
        else:
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Await):
            self.condition(node.test, alone=False)
        else:
            self.visit(node.test)
        for statement in node.body + node.orelse:
            self.visit(statement)

    def condition(self, waiting: ast.Await, alone: bool) -> None:
        condition = waiting.value
        if isinstance(condition, ast.Tuple) or (_is_call(condition, {"timeout"}) and not alone):
            self.refuse(waiting, _TIMEOUT)
        self.visit(condition)

    def visit_While(self, node: ast.While) -> None:
        if isinstance(node.test, ast.Await):
            self.refuse(node, "no 'while await': write 'while True:' with 'if await(condition): ...' in it")
            node = ast.While(node.test.value, node.body, node.orelse)
        self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> None:
        self.refuse(node, _AWAIT)
        self.generic_visit(node)

    def visit_Yield(self, node: ast.Yield | ast.YieldFrom) -> None:
        self.refuse(node, _YIELD)
        self.generic_visit(node)

    visit_YieldFrom = visit_Yield

    # Targets

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if node.is_async:
            self.refuse(node.target, _UNKNOWN["AsyncFor"])
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.refuse(node, "no starred targets: take the parts by index, 'first, rest = x[0], x[1:]'")
        self.generic_visit(node)

    def visit_List(self, node: ast.List) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.refuse(node, "no list as a target: write a tuple, '(a, b)'")
        self.generic_visit(node)

    # Expressions

    def visit_Dict(self, node: ast.Dict) -> None:
        if None in node.keys:
            self.refuse(node, "no '**' in a dictionary: copy with 'dict(d)', then 'update'")
        super().generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _is_call(node, _AGGREGATES) and node.keywords:
            self.refuse(node, f"{ast.unparse(node.func)!r} takes no keywords here: use 'sorted' or a function of a .py module")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for middle in node.comparators[:-1]:
            if any(isinstance(part, ast.Call) and not _is_call(part, _HARMLESS_CALLS) for part in ast.walk(middle)):
                self.refuse(middle, _CHAIN)
        self.generic_visit(node)


def _is_call(node: ast.AST, names: AbstractSet[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _belongs_in_process(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Pass)):
        return True
    return isinstance(statement, ast.Expr) and (isinstance(statement.value, ast.Constant) or _is_call(statement.value, {"config"}))


def _uses_annotations(owner: ast.ClassDef, statement: ast.AnnAssign) -> bool:
    """Whether dropping the annotation of a field can be noticed: a bare field, or a class that others process."""
    return statement.value is None or bool(owner.decorator_list or owner.bases or owner.keywords)
