"""A syntax tree of today's Python -> the tree that Python 3.7 would have made of the same source.

DistAlgo's visitors are left alone; they get the node types that they know.
"""

import ast
from typing import Any

from dacurrent import nodes37

_TEXT = {str: nodes37.Str, bytes: nodes37.Bytes, int: nodes37.Num, float: nodes37.Num, complex: nodes37.Num}


def downgrade(tree: ast.AST) -> ast.AST:
    """Change `tree` in place to the node types of Python 3.7 and return it."""
    changed: ast.AST = _Downgrade().visit(tree)
    return changed


class _Downgrade(ast.NodeTransformer):
    def visit_Constant(self, node: Any) -> Any:
        value = node.value
        old: ast.AST
        # By type and identity: `1 == True`, and each must stay what it is.
        if value is None or value is True or value is False:
            old = nodes37.NameConstant(value)
        elif value is ...:
            old = nodes37.Ellipsis()
        else:
            old = _TEXT[type(value)](value)
        return _at(old, node)

    def visit_JoinedStr(self, node: Any) -> Any:
        # Early 3.12 leaves an empty text behind a format that is computed.
        node.values = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        return self.generic_visit(node)

    def visit_Subscript(self, node: Any) -> Any:
        self.generic_visit(node)
        index = node.slice
        if isinstance(index, ast.Tuple) and any(isinstance(part, ast.Slice) for part in index.elts):
            node.slice = _at(nodes37.ExtSlice([_index(part) for part in index.elts]), index)
        else:
            node.slice = _index(index)
        return node


def _index(part: Any) -> Any:
    return part if isinstance(part, ast.Slice) else _at(nodes37.Index(part), part)


def _at(node: Any, where: Any) -> Any:
    node.lineno, node.col_offset = where.lineno, where.col_offset
    return node
