"""What DistAlgo's compiler generates of each shipped example and of the samples here, as digests of plain text.

`generated37.json` holds them as the stock wheel makes them on Python 3.7.  To write it again, in an environment
of Python 3.7 that holds nothing but pyDistAlgo 1.1.0:

    python3.7 tests/dacurrent/generated.py > tests/dacurrent/generated37.json
"""

import ast
import hashlib
import io
import json
import os
import re
import sys

SAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "samples")


# The functions that DistAlgo makes of `some` and `each`; they are called by keyword.
QUERY = re.compile(r"(Existential|Universal)OpExpr_")


def sources():
    """The files to compile: name for the data file -> path."""
    import da

    examples = os.path.join(os.path.dirname(os.path.abspath(da.__file__)), "examples")
    found = {}
    for kind, top in (("examples", examples), ("samples", SAMPLES)):
        for folder, _, files in os.walk(top):
            for file in files:
                if file.endswith(".da"):
                    path = os.path.join(folder, file)
                    found["/".join([kind, *os.path.relpath(path, top).split(os.sep)])] = path
    return found


def outline(node):
    """The tree `node` as text, without positions and without the fields that are absent, None or empty lists.

    Python 3.7 lacks some fields of today; what DistAlgo generates leaves them empty.  Where DistAlgo emits names in
    the order of a set, which no two Pythons share and which means nothing, they are sorted.
    """
    if isinstance(node, list):
        return "[{}]".format(", ".join(map(outline, node)))
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: getattr(node, name, None) for name in sorted(node._fields)}
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        fields["names"] = sorted(node.names)
    elif isinstance(node, ast.Assign) and len(node.targets) > 1:
        fields["targets"] = sorted(node.targets, key=outline)
    elif isinstance(node, ast.FunctionDef) and QUERY.match(node.name):
        fields["args"] = sorted(argument.arg for argument in node.args.args)
    elif isinstance(node, ast.Call) and QUERY.match(getattr(node.func, "id", "")):
        fields["keywords"] = sorted(map(outline, node.keywords))
    shown = [f"{name}={outline(value)}" for name, value in fields.items() if value is not None and value != []]
    return "{}({})".format(type(node).__name__, ", ".join(shown))


def renumbered(text):
    """`text` with the numbers in its names replaced by their rank.

    DistAlgo numbers what it generates from the count of Python's builtins on, which grows with every version.
    """
    ranks = {}
    return re.sub(r"(?<=[A-Za-z_])\d+", lambda match: str(ranks.setdefault(match.group(), len(ranks))), text)


def generated(path):
    """The texts that the compiler makes of the file: the tree's outline and, of an example, the pseudo code.

    The stock writer of pseudo code does not know all of the samples' constructs.
    """
    from da.compiler import parser, pseudo, ui

    arguments = ui.parse_compiler_args([])
    with open(path) as file:
        text = file.read()
    texts = {"tree": outline(ui.dastr_to_pyast(text, path, arguments))}
    if not path.startswith(SAMPLES):
        code = io.StringIO()
        pseudo.DastUnparser(parser.daast_from_str(text, path, arguments), code)
        texts["pseudo"] = code.getvalue()
    return {kind: renumbered(text) for kind, text in texts.items()}


def digests(path):
    """`generated`, each text as its SHA-256 in hexadecimal."""
    return {kind: hashlib.sha256(text.encode()).hexdigest() for kind, text in generated(path).items()}


if __name__ == "__main__":
    assert sys.version_info[:2] == (3, 7), "these are the digests of the stock compiler, on Python 3.7"
    result = {name: digests(path) for name, path in sorted(sources().items())}
    json.dump(result, sys.stdout, indent=1, sort_keys=True)
    print()
