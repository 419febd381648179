"""What is in DistAlgo's language is translated as on Python 3.7; what is not is refused, never mistranslated."""

import ast
import json
import sys
from pathlib import Path

import generated
import pytest
from da.compiler import parser, ui, utils
from running import run_da

from dacurrent import nodes37
from dacurrent.compiler import parse
from dacurrent.language import refusals
from dacurrent.upgrade import upgrade

STOCK = json.loads(Path(__file__).with_name("generated37.json").read_text())
SOURCES = generated.sources()
PROCESS = "class P(process):\n    def setup(a): pass\n    def run():\n        "


def compiled(source):
    """The code object that DistAlgo makes of `source`, or None if it refuses."""
    return ui.dastr_to_pycode(source, "m.da", ui.parse_compiler_args([]))


def result(source):
    """The value of `r` after running `source` as DistAlgo translates it."""
    names = {"__name__": "m"}
    exec(compiled(source), names)
    return names["r"]


def test_the_digests_of_python_37_are_of_the_sources_at_hand():
    assert sorted(STOCK) == sorted(SOURCES)
    assert sum(name.startswith("examples/") for name in STOCK) == 19


@pytest.mark.parametrize("name", sorted(STOCK))
def test_the_generated_tree_and_pseudo_code_are_those_of_python_37(name):
    assert generated.digests(SOURCES[name]) == STOCK[name]


@pytest.mark.parametrize("name", sorted(STOCK))
def test_the_generated_source_reads_back_as_the_tree_that_is_compiled(name):
    text = Path(SOURCES[name]).read_text()
    tree = ui.dastr_to_pyast(text, name, ui.parse_compiler_args([]))
    assert ast.dump(upgrade(parse(utils.to_source(tree)))) == ast.dump(upgrade(tree))


def test_equal_literals_of_different_types_stay_what_they_are():
    source = "r = [0, 1, True, False, None, ..., 1.0, 1j, '1', b'1', -1, (1, True), 1 == True]"
    expected = [0, 1, True, False, None, ..., 1.0, 1j, "1", b"1", -1, (1, True), True]
    assert [(type(item), item) for item in result(source)] == [(type(item), item) for item in expected]


def test_a_pattern_tells_one_from_true():
    source = PROCESS + "pass\n    def receive(msg=('m', 1, True, 0, False, None)): pass\n"
    text = ui.dastr_to_pystr(source, "m.da", ui.parse_compiler_args([]))
    constants = ["'m'", "1", "True", "0", "False", "None"]
    assert ", ".join(f"da.pat.ConstantPattern({constant})" for constant in constants) in text


def test_no_node_type_that_python_deprecates_or_lacks_is_asked_of_ast():
    for name in nodes37.GONE:
        assert getattr(parser, name) is nodes37.GONE[name]
        assert name not in vars(ast) or getattr(parser, name) is not vars(ast)[name]


@pytest.mark.parametrize(
    "source, expected",
    [
        ("x = list(range(9))\nr = (x[1], x[1:3], x[::-3], x[-1])", (1, [1, 2], [8, 5, 2], 8)),
        (
            "class K:\n    def __getitem__(self, k): return k\nr = [K()[1:2, 3], K()[..., 1:], K()[1, 2], K()[1:2,]]",
            [(slice(1, 2), 3), (..., slice(1, None)), (1, 2), (slice(1, 2),)],
        ),
        ("a = 3\nr = f'{a:>{a}}|{a!r}|{a=}|{{}}'", "  3|3|a=3|{}"),
        ("def f(a, *b, c=1, d, **e): return a, b, c, d, e\nr = f(1, *[2], d=3, **{'z': 4})", (1, (2,), 1, 3, {"z": 4})),
        ("def f(x=[1, (2, 3)]): return x\nr = f()", [1, (2, 3)]),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2\n    g()\n    return x\nr = f()", 2),
        ("def g():\n    yield 1\n    yield from [2]\nr = list(g())", [1, 2]),
        ("with (open('/dev/null') as a, open('/dev/null') as b):\n    r = a.read() + b.read()", ""),
        ("import enum\nclass C(enum.Enum):\n    A = 1\nr = C.A.name", "A"),
        ("class C:\n    x: int = 5\nr = C.x", 5),
        ("a = 1\nr = (0 < a < 3, 0 < len('ab') <= 2, a != 2, a not in [2])", (True, True, True, True)),
        ("import os.path as p\nfrom os import sep\nr = p.join('a', 'b') == 'a' + sep + 'b'", True),
        ("def f(x): return 1, *x\nr = f([2])", (1, 2)),
    ],
)
def test_what_the_language_has_means_what_it_means_in_python(source, expected):
    assert result(source) == expected


REFUSED = {
    "walrus": ("r = (y := 3)", 1, 5, "':='"),
    "match": ("match 1:\n    case 1: pass\n    case _: pass", 1, 0, "'match'"),
    "positional-only": ("def f(a, /, b): pass", 1, 6, "positional-only"),
    "positional-only lambda": ("f = lambda a, /: a", 1, 11, "positional-only"),
    "except*": ("try: pass\nexcept* ValueError: pass", 1, 0, "'except*'"),
    "dictionary unpacking": ("d = {}\nr = {**d, 'a': 1}", 2, 4, "'**'"),
    "async def": ("async def f(): pass", 1, 0, "'async'"),
    "async comprehension": ("def f():\n    return [x async for x in y]", 2, 24, "'async for'"),
    "from import as": ("import sys\nfrom os import path as p", 2, 0, "'p = path'"),
    "from future": ("from __future__ import annotations", 1, 0, "__future__"),
    "starred target": ("a, *b = [1, 2]", 1, 3, "starred"),
    "starred loop target": ("for a, *b in []: pass", 1, 7, "starred"),
    "list target": ("[a, b] = 1, 2", 1, 0, "tuple"),
    "list loop target": ("for [a, b] in []: pass", 1, 4, "tuple"),
    "list comprehension target": ("r = [a for [a, b] in []]", 1, 11, "tuple"),
    "list with target": ("with f() as [a, b]: pass", 1, 12, "tuple"),
    "yield expression": ("def g():\n    x = yield 1", 2, 8, "'yield'"),
    "yield from expression": ("def g():\n    x = yield from f()", 2, 8, "'yield'"),
    "yield in lambda": ("f = lambda: (yield)", 1, 13, "'yield'"),
    "dataclass": ("@dataclass\nclass C:\n    x: int = 5", 3, 4, "annotations"),
    "bare field": ("class C:\n    x: int", 2, 4, "annotations"),
    "process variable": ("class P(process):\n    x = 5\n    def run(): pass", 2, 4, "'setup'"),
    "annotated process variable": ("class P(process):\n    x: int = 5\n    def run(): pass", 2, 4, "'setup'"),
    "augmented process variable": ("class P(process):\n    x += 5\n    def run(): pass", 2, 4, "'setup'"),
    "class in a process": ("class P(process):\n    class Q: pass\n    def run(): pass", 2, 4, "'setup'"),
    "statement in a process": ("class P(process):\n    if True: pass\n    def run(): pass", 2, 4, "'setup'"),
    "await without parentheses": (PROCESS + "await a == 1", 4, 8, "await(x == 0)"),
    "await and": (PROCESS + "await (a == 1) and a == 2", 4, 8, "await(x == 0)"),
    "if await without parentheses": (PROCESS + "if await a == 1: pass", 4, 11, "await(x == 0)"),
    "not await": (PROCESS + "if not await(a): pass", 4, 15, "await(x == 0)"),
    "await as a value": (PROCESS + "x = await(a)", 4, 12, "await(x == 0)"),
    "await in a comprehension": (PROCESS + "x = [await(b) for b in a]", 4, 13, "await(x == 0)"),
    "while await": (PROCESS + "while await(a): pass", 4, 8, "while True"),
    "await with a second argument": (PROCESS + "await(a, 5)", 4, 8, "timeout(seconds)"),
    "if await timeout": (PROCESS + "if await(timeout(5)): pass", 4, 11, "timeout(seconds)"),
    "max with a key": ("r = max([1], key=f)", 1, 4, "keywords"),
    "chained comparison of a call": ("r = 1 < f() < 3", 1, 8, "twice"),
}
if sys.version_info >= (3, 12):
    REFUSED |= {
        "function type parameter": ("def f[T](x: T): pass", 1, 0, "type parameters"),
        "class type parameter": ("class C[T]: pass", 1, 0, "type parameters"),
        "type alias": ("type X = int", 1, 0, "'type'"),
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_language_lacks_is_refused_with_its_place_and_what_would_be_right(name):
    source, line, column, right = REFUSED[name]
    ((where, message),) = refusals(ast.parse(source))
    assert (where.lineno, where.col_offset) == (line, column)
    assert right in message
    assert compiled(source) is None


def test_all_that_is_refused_is_told_at_once_in_the_order_of_the_source():
    source = "r = (y := 3)\nfrom os import path as p\na, *b = r"
    assert [where.lineno for where, _ in refusals(ast.parse(source))] == [1, 2, 3]


def test_a_refusal_reaches_the_user_with_file_line_and_column(tmp_path):
    (tmp_path / "bad.da").write_text("import sys\nr = (y := 3)\ndef main(): pass\n")
    done = run_da(tmp_path, "bad.da")
    assert done.returncode == 1
    assert "bad.da:2:5: error: not in DistAlgo's language: no ':='" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_syntax_error_says_what_is_wrong(tmp_path):
    (tmp_path / "bad.da").write_text("x = 1\nif x\n    pass\n")
    done = run_da(tmp_path, "bad.da")
    assert done.returncode == 1
    assert "bad.da:2:5: SyntaxError: expected ':': if x" in done.stdout


def test_a_malformed_call_is_an_error_with_its_place_and_not_a_traceback(tmp_path):
    (tmp_path / "bad.da").write_text("x = 1\ny = len()\ndef main(): pass\n")
    done = run_da(tmp_path, "bad.da")
    assert done.returncode == 1
    assert "bad.da:2:4: error: malformed len statement: too few arguments." in done.stdout
    assert "Traceback" not in done.stdout


def test_a_base_class_in_a_python_module_with_newer_syntax_is_only_a_warning(tmp_path):
    (tmp_path / "base.py").write_text("class Mixin:\n    pass\n\nmatch 1:\n    case _: pass\n")
    (tmp_path / "main.da").write_text(
        "from base import Mixin\nclass P(process, Mixin):\n    def setup(): pass\n    def run(): output('ran')\n"
        "def main():\n    p = new(P)\n    setup(p, ())\n    start(p)\n"
    )
    done = run_da(tmp_path, "main.da")
    assert done.returncode == 0
    assert "warning: unable to resolve base class spec" in done.stdout
    assert "OUTPUT: ran" in done.stdout


def test_the_compiler_command_writes_python_that_python_takes(tmp_path):
    written = tmp_path / "out.py"
    done = run_da(tmp_path, "-o", written, SOURCES["examples/raft/orig.da"], module="da.compiler")
    assert done.returncode == 0, done.stdout
    compile(written.read_text(), "out.py", "exec")


@pytest.mark.parametrize("option", ["-p", "-D"])
def test_the_compiler_command_takes_its_other_outputs(tmp_path, option):
    source = tmp_path / "ping.da"
    source.write_text(Path(SOURCES["examples/pingpong/ping.da"]).read_text())
    done = run_da(tmp_path, option, "ping.da", module="da.compiler")
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout


def test_the_old_tree_is_upgraded_to_one_that_compiles_to_the_same_constants():
    tree = upgrade(parse("x = [1, True, None, ..., 'a', b'a', 1.0, 2j]\n"))
    assert ast.dump(tree) == ast.dump(ast.parse("x = [1, True, None, ..., 'a', b'a', 1.0, 2j]\n"))
