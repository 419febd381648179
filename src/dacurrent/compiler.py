"""Cures of the modules of `da.compiler`: each function is called once by `hook` with the stock module."""

import ast
import sys
import types

from dacurrent import nodes37
from dacurrent.downgrade import downgrade
from dacurrent.language import refusals
from dacurrent.upgrade import upgrade


def parse(source, filename="<unknown>", mode="exec"):
    """Python's `ast.parse`, with a tree of Python 3.7's node types; a Module carries its `refusals`."""
    tree = ast.parse(source, filename, mode)
    found = refusals(tree)
    tree = downgrade(tree)
    tree.refusals = found
    return tree


def cure_parser(module):
    vars(module).update(nodes37.GONE)
    module.parse = parse


def cure_generator(module):
    """The generators build Python 3.7's nodes, and parse templates of their own."""
    vars(module).update(nodes37.GONE | nodes37.LENIENT)
    module.parse = parse


def cure_symtab(module):
    module.ast = types.SimpleNamespace(parse=parse)


def cure_unparse(module):
    """The unparser is given the generator's own tree, so it only has to know the old names."""
    module.ast = types.SimpleNamespace(**(vars(ast) | nodes37.GONE))


def cure_ui(module):
    def to_code(tree, filename, _optimize=-1):
        try:
            return compile(upgrade(tree), filename, mode="exec", dont_inherit=True, optimize=_optimize)
        except Exception as error:
            print(f"Unable to generate bytecode: {error}", file=sys.stderr)
            return None

    module._pyast_to_pycode = to_code
