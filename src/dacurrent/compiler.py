"""Cures of the modules of `da.compiler`: each function is called once by `hook` with the stock module."""

import ast
import functools
import logging
import sys
import types
from types import CodeType
from typing import Any

from da import common

from dacurrent import nodes37
from dacurrent.downgrade import downgrade
from dacurrent.language import refusals
from dacurrent.stock import Stock
from dacurrent.unread import Unread
from dacurrent.upgrade import upgrade


def parse(source: Any, filename: str = "<unknown>", mode: str = "exec") -> Any:
    """Python's `ast.parse`, with a tree of Python 3.7's node types; its `refusals` are those of `language`."""
    try:
        tree: Any = ast.parse(source, filename, mode)
    except SyntaxError as error:
        # DistAlgo prints position and text of the line, but not what is wrong with it.
        error.text = f"{error.msg}: {(error.text or '').strip()}\n"
        raise
    found = refusals(tree)
    tree = downgrade(tree)
    tree.refusals = found
    return tree


def cure_parser(module: Stock) -> None:
    module.__dict__.update(nodes37.GONE)
    module.parse = parse
    _tell_of_problems(module)
    _refuse_foreign_syntax(module)
    _report_malformed_calls(module)


def _tell_of_problems(module: Stock) -> None:
    """That a file was compiled without any is said only to those who want information of the console (`-L info`)."""

    def daast_from_str(src: Any, filename: str = "<str>", args: Any = None) -> Any:
        try:
            parser = module.Parser(filename, args)
            parser.visit(parse(src, filename))
        except SyntaxError as error:
            Unread(sys.stderr).write(f"{error.filename}:{error.lineno}:{error.offset}: SyntaxError: {error.text}")
            return None
        if parser.errcnt or parser.warncnt or _is_informed():
            Unread(sys.stderr).write(f"{filename} compiled with {parser.errcnt} errors and {parser.warncnt} warnings.\n")
        return None if parser.errcnt else parser.program

    module.daast_from_str = daast_from_str


def _is_informed() -> bool:
    level = common.get_runtime_option("logconsolelevel", default="warning")  # where it is only imported
    return logging.getLevelNamesMapping()[level.upper()] <= logging.INFO


def _refuse_foreign_syntax(module: Stock) -> None:
    stock = module.Parser.visit_Module

    @functools.wraps(stock)
    def visit_Module(self: Any, node: Any) -> None:
        if not node.refusals:
            stock(self, node)
        elif self._parent is None:
            for where, message in node.refusals:
                self.error(f"not in DistAlgo's language: {message}", where)
        else:
            # A module that is only read for a base class; importing it will tell of it where it matters.
            where, message = node.refusals[0]
            raise module.ResolverException(f"{self.filename}:{where.lineno}:{where.col_offset}: {message}")

    module.Parser.visit_Module = visit_Module


def _report_malformed_calls(module: Stock) -> None:
    """`len()` and its like raised through the whole compiler, without file and line."""
    stock = module.Parser.visit_Call

    @functools.wraps(stock)
    def visit_Call(self: Any, node: Any) -> Any:
        try:
            return stock(self, node)
        except module.MalformedStatementError as error:
            self.error(error.msg or error.reason, error.node or node)
            return self.create_expr(module.dast.PythonExpr, node, nopush=True)

    module.Parser.visit_Call = visit_Call


def cure_generator(module: Stock) -> None:
    """The generators build Python 3.7's nodes, and parse templates of their own."""
    module.__dict__.update(nodes37.GONE | nodes37.LENIENT)
    module.parse = parse


def cure_symtab(module: Stock) -> None:
    module.ast = types.SimpleNamespace(parse=parse)


def cure_unparse(module: Stock) -> None:
    """The unparser is given the generator's own tree, so it only has to know the old names."""
    module.ast = types.SimpleNamespace(**(vars(ast) | nodes37.GONE))


def cure_ui(module: Stock) -> None:
    def to_code(tree: ast.AST, filename: str, _optimize: int = -1) -> CodeType | None:
        try:
            return compile(upgrade(tree), filename, mode="exec", dont_inherit=True, optimize=_optimize)
        except Exception as error:
            Unread(sys.stderr).write(f"{filename}: unable to generate bytecode: {error}\n")
            return None

    module._pyast_to_pycode = to_code
