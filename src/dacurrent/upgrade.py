"""A tree of Python 3.7's node types, as DistAlgo's generator emits it -> what `compile` takes today.

The tree is built anew, because the generator shares nodes between places and between compilations.
"""

import ast
from collections.abc import Callable
from typing import Any

# Fields that Python 3.7 did not have, or that DistAlgo's generator leaves out, with what they are when left out.
# Every other absent field is None.
_LISTS = frozenset({"posonlyargs", "type_ignores", "type_params", "keywords", "decorator_list"})


def upgrade(node: Any) -> Any:
    """A copy of the tree `node` in today's node types.

    End positions are dropped: the generator moves nodes and leaves the ends of their old places, which `compile`
    refuses as impossible ranges.
    """
    if isinstance(node, list):
        return [upgrade(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    convert: Callable[[Any], Any] = _CONVERTED.get(type(node).__name__, _same_type)
    new = convert(node)
    for attribute in ("lineno", "col_offset"):
        if attribute in new._attributes and hasattr(node, attribute):
            setattr(new, attribute, getattr(node, attribute))
    return new


def _same_type(node: Any) -> Any:
    kind = getattr(ast, type(node).__name__)
    return kind(**{name: _field(node, name) for name in kind._fields})


def _field(node: Any, name: str) -> Any:
    if hasattr(node, name):
        return upgrade(getattr(node, name))
    return [] if name in _LISTS else None


_CONVERTED = {
    "Num": lambda node: ast.Constant(node.n),
    "Str": lambda node: ast.Constant(node.s),
    "Bytes": lambda node: ast.Constant(node.s),
    "NameConstant": lambda node: ast.Constant(node.value),
    "Ellipsis": lambda node: ast.Constant(...),
    "Index": lambda node: upgrade(node.value),
    "ExtSlice": lambda node: ast.Tuple(upgrade(node.dims), ast.Load()),
    "Param": lambda node: ast.Load(),
}
