"""Every small mistake that a rule of the protocol could hold: mutants of the sources, made from their syntax trees.

A mutant is a place of one file and other text for it; nothing else of the file changes. What is mutated and what is
left alone says mutants.yaml, with reasons.
"""

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

SHORT_CHARACTERS = 60  # characters of a mutant's text that its id shows

# Of each comparison its neighbours: the boundary off by one, and the opposite.
NEIGHBOURS: Mapping[type[ast.cmpop], tuple[str, ...]] = {
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
}
_COMPARISON = re.compile(rb"==|!=|<=|>=|<|>|\bis\s+not\b|\bis\b|\bnot\s+in\b|\bin\b")

# Operator -> what it does to the source.
OPERATORS: Mapping[str, str] = {
    "raise": "a violation is not raised",
    "demand": "a call of demand_… is removed",
    "send": "what sends or answers is removed",
    "timer": "what starts or stops a timer is removed",
    "call": "another call that is a statement is removed",
    "compare": "a comparison becomes its neighbour or its opposite",
    "condition": "a condition always or never holds",
    "connect": "`and` and `or` change places, or lose an operand",
    "not": "a `not` is removed",
    "constant": "a constant is one more or one less",
}
SENDING = {"send", "transmit", "transmit_sealed", "transmit_pieces", "transmit_large", "to_successor", "to_predecessor",
           "deliver", "reply", "announce", "tell_replicas", "tell_harness", "tell_stale", "refuse", "forward", "handle",
           "retransmit", "send_again", "send_next", "query_configuration", "accuse", "complain", "ask", "request_wedge",
           "ask_for_reconfiguration", "misbehaviour"}  # fmt: skip
TIMING = {"start", "stop", "stop_all"}  # of timers


class Rules(msgspec.Struct, frozen=True):
    """mutants.yaml: what is mutated, and what is left alone, name -> why."""

    files: dict[str, str]
    left_out: dict[str, str]
    calls: dict[str, str]
    functions: dict[str, str]
    names: dict[str, str]
    end: dict[str, str]
    largest_constant: int
    protocols: dict[str, list[str]] = {}  # of another protocol than the chain -> its files


_NOTHING_DECLARED = Rules({}, {}, {}, {}, {}, {}, 0)


class Mutant(msgspec.Struct, frozen=True):
    """One change of a file of src: bytes `start` to `end` become `new`.

    `begin` and `finish` are those of the function that it is in, or of the statement where it is in none. `id` is made of file, function, operator and text, and of the how manieth such it is of the function, so that it is
    the same when other lines change. Where the statement that begins in line `probe` is not executed, the mutant behaves
    as the original; 0 where there is no such statement.
    """

    id: str
    file: str
    function: str
    operator: str
    line: int
    probe: int
    start: int
    end: int
    new: bytes
    begin: int
    finish: int

    def patched(self, source: bytes) -> bytes:
        return source[: self.start] + self.new + source[self.end :]

    def digest(self, source: bytes) -> str:
        """Stands for the mutated text of the function; what else stands in the file may change."""
        text = source[self.begin : self.start] + self.new + source[self.end : self.finish]
        return hashlib.sha256(f"{self.file} {self.function}\n".encode() + text).hexdigest()[:16]


def rules(protocol: str = "shuttle") -> Rules:
    """The declarations; of another protocol than the chain its files, whose seeds are that protocol's."""
    declared = msgspec.convert(yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text()), Rules)
    if protocol == "shuttle":
        return declared
    return msgspec.structs.replace(declared, files=dict.fromkeys(declared.protocols[protocol], protocol))


def mutants_of(file: str, source: bytes, declared: Rules) -> list[Mutant]:
    """All mutants of a source, in its order. Raises SyntaxError where the source is none."""
    found = []
    ordinals: Counter[str] = Counter()
    seen: set[bytes] = {source}
    for function, operator, said, line, probe, start, end, new, whole in sorted(
        _Finder(file, source, declared).found, key=lambda each: each[5]
    ):
        text = source[:start] + new + source[end:]
        if text in seen:
            continue
        seen.add(text)
        name = f"{file} {function} {operator}: {said}"
        ordinals[name] += 1
        if ordinals[name] > 1:
            name += f" #{ordinals[name]}"
        found.append(Mutant(name, file, function, operator, line, probe, start, end, new, *whole))
    return found


def parsed(file: str, source: bytes) -> ast.Module:
    """The tree of a .py or .da source; positions in it are those in the source."""
    if file.endswith(".da"):
        source = re.sub(rb"(?m)^[ \t]*-- .*$", lambda label: b" " * len(label[0]), source)
        source = re.sub(rb"\bawait(?=\s*\()", b"AWAIT", source)
    return ast.parse(source)


def probed(file: str, source: bytes, number_of: Callable[[str, int], int]) -> bytes:
    """The source with a call of `note_reached`, of bcr_sim.reach, above each statement that can have one.

    The call is given what `number_of` says of the file and the line in which the statement begins.
    """
    lines = source.splitlines(keepends=True)
    made: list[bytes] = []
    wanted = dict(_Finder(file, source, _NOTHING_DECLARED).probes)
    for number, line in enumerate(lines, start=1):
        if number in wanted:
            at = len(made)
            while at and made[at - 1].lstrip().startswith(b"-- "):
                at -= 1  # a label belongs to what follows it
            made.insert(at, b" " * wanted[number] + b"note_reached(%d)\n" % number_of(file, number))
        made.append(line)
    return (b"from bcr_sim.reach import note_reached\n" if file.endswith(".da") else b"") + b"".join(made)


def _excerpt(text: bytes, length: int = SHORT_CHARACTERS) -> str:
    words = " ".join(text.decode().split())
    return words if len(words) <= length else words[: length - 1] + "…"


class _Finder:
    """Walks a tree and collects (function, operator, what is said, line, probe, start, end, new text, whole)."""

    def __init__(self, file: str, source: bytes, declared: Rules) -> None:
        self.source = source
        self.declared = declared
        self.found: list[tuple[str, str, str, int, int, int, int, bytes, tuple[int, int]]] = []
        self.probes: list[tuple[int, int]] = []  # line and column of the statements that can have one
        self.probe = 0
        self.function = ""
        self.whole = (0, 0)  # where that begins and ends
        self.statement = ""  # the beginning of the one that is looked at
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._block(parsed(file, source).body, "")

    # -- places

    def _span(self, node: Any) -> tuple[int, int]:
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.AST) -> bytes:
        start, end = self._span(node)
        return self.source[start:end]

    def _add(self, operator: str, node: Any, new: bytes, said: str = "", probe: int = 0) -> None:
        start, end = self._span(node)
        said = said or _excerpt(self.source[start:end])
        self.found.append((self.function, operator, said, node.lineno, probe or self.probe, start, end, new, self.whole))

    # -- definitions

    def _block(self, body: Sequence[ast.stmt], within: str) -> None:
        for statement in body:
            if isinstance(statement, ast.ClassDef):
                self._block(statement.body, f"{within}{statement.name}.")
            elif isinstance(statement, ast.FunctionDef):
                name = _name_of(statement)
                if not {name, within + name} & self.declared.functions.keys():
                    self.function, self.whole = within + name, self._span(statement)
                    self._statements(statement.body)
            elif not within and isinstance(statement, ast.Assign):
                self.function, self.whole = "module", self._span(statement)
                self._statement(statement)

    def _statements(self, body: Sequence[ast.stmt]) -> None:
        outer = self.probe
        for statement in body:
            self.probe = outer
            if self._can_be_probed(statement):
                self.probes.append((statement.lineno, statement.col_offset))
                self.probe = statement.lineno
            self._statement(statement)
        self.probe = outer

    def _can_be_probed(self, node: ast.stmt) -> bool:
        """Whether a statement of its own fits above this one: not above an elif, nor between things of one line."""
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return False
        start = self._span(node)[0]
        line = self.source[self._starts[node.lineno - 1] : start]
        return not line.strip() and not self.source.startswith(b"elif", start)

    # -- statements

    def _statement(self, node: ast.stmt) -> None:
        self.statement = _excerpt(self._text(node).partition(b"\n")[0], SHORT_CHARACTERS // 2)
        if isinstance(node, ast.FunctionDef):
            self._statements(node.body)
        elif isinstance(node, ast.Raise):
            self._add("raise", node, b"pass")
        elif isinstance(node, ast.Expr):
            self._expression_statement(node)
        elif isinstance(node, (ast.If, ast.While)):
            # Where nothing but a raise hangs on it, a condition that never holds is the raise removed.
            is_guard = len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and not node.orelse
            if self._only_tells([*node.body, *node.orelse]) and not _is_wait(node.test):
                return
            first = node.body[0].lineno if self._can_be_probed(node.body[0]) else 0  # where it holds, that is executed
            self._condition(node.test, (b"True",) if is_guard else (b"True", b"False"), first)
            self._statements(node.body)
            self._statements(node.orelse)
        elif isinstance(node, ast.For) and self._only_tells(node.body):
            return
        elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if not any(_words(target)[-1:] and _words(target)[-1] in self.declared.names for target in targets):
                self._children(node, without="annotation")
        else:
            self._children(node)

    def _expression_statement(self, node: ast.Expr) -> None:
        value = node.value
        if isinstance(value, ast.Constant):
            return  # a docstring
        if isinstance(value, ast.Call):
            words = _words(value.func)
            if _is_wait(value):
                self._condition(value, ())
                return
            if self._is_left_alone(value):
                return
            if words and words[-1].startswith("demand"):
                operator = "demand"
            elif words and (words[-1] == "watch" or (words[-1] in TIMING and words[0] == "timers")):
                operator = "timer"
            elif words and words[-1] in SENDING:
                operator = "send"
            else:
                operator = "call"
            self._add(operator, node, b"pass")
        self._expression(value)

    def _children(self, node: ast.AST, without: str = "") -> None:
        for name, field in ast.iter_fields(node):
            if name == without:
                continue
            if isinstance(field, list) and field and isinstance(field[0], ast.stmt):
                self._statements(field)
                continue
            for each in field if isinstance(field, list) else [field]:
                if isinstance(each, ast.expr):
                    self._expression(each)
                elif isinstance(each, ast.AST):
                    self._children(each)

    # -- expressions

    def _condition(self, test: ast.expr, outcomes: Sequence[bytes], first: int = 0) -> None:
        if _is_wait(test):
            assert isinstance(test, ast.Call)
            if _words(test.func) == ["AWAIT"] and not isinstance(test.args[0], ast.Constant):
                self._condition(test.args[0], (b"True", b"False"))
            return
        if not isinstance(test, ast.Constant) and not self._is_of_the_end(test):
            for outcome in outcomes:
                said = f"{_excerpt(self._text(test))} -> {outcome.decode()}"
                self._add("condition", test, outcome, said, first if outcome == b"False" else 0)
        self._expression(test)

    def _expression(self, node: ast.expr) -> None:
        if isinstance(node, ast.Compare):
            self._comparison(node)
        elif isinstance(node, ast.BoolOp):
            self._connection(node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            if self._is_of_the_end(node):
                return
            self._add("not", node, b"(" + self._text(node.operand) + b")")
        elif isinstance(node, ast.Constant):
            if type(node.value) is int and abs(node.value) <= self.declared.largest_constant:
                for value in (node.value + 1, node.value - 1):
                    # Bracketed, for what stands before it may be a minus.
                    new = b"%d" % value if value >= 0 else b"(%d)" % value
                    self._add("constant", node, new, f"{node.value} -> {value} in {self.statement}")
            return
        elif isinstance(node, ast.IfExp):
            self._condition(node.test, (b"True", b"False"))
            self._expression(node.body)
            self._expression(node.orelse)
            return
        elif isinstance(node, (ast.JoinedStr, ast.Lambda)) or (isinstance(node, ast.Call) and self._is_left_alone(node)):
            if isinstance(node, ast.Lambda):
                self._expression(node.body)
            return
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
            return  # words
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            for part in parts:
                self._expression(part)
            for generator in node.generators:
                self._expression(generator.iter)
                for test in generator.ifs:
                    self._condition(test, (b"True", b"False"))
            return
        self._children(node)

    def _comparison(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for operation, left, right in zip(node.ops, sides, sides[1:], strict=False):
            between = self._span(left)[1], self._span(right)[0]
            found = _COMPARISON.search(self.source, *between)
            assert found is not None, self._text(node)
            start, end = self._span(node)
            for neighbour in NEIGHBOURS[type(operation)]:
                new = self.source[start : found.start()] + neighbour.encode() + self.source[found.end() : end]
                said = f"{_excerpt(self._text(left), SHORT_CHARACTERS // 2)} {found[0].decode()} {_excerpt(self._text(right), SHORT_CHARACTERS // 2)}"
                self._add("compare", node, new, f"{said} -> {neighbour}")

    def _connection(self, node: ast.BoolOp) -> None:
        own, other = (b" and ", b" or ") if isinstance(node.op, ast.And) else (b" or ", b" and ")
        operands = [b"(" + self._text(value) + b")" for value in node.values]
        whole = _excerpt(self._text(node))
        swapped = f"{whole}:{other.decode()}for{own.decode()}".rstrip()
        self._add("connect", node, b"(" + other.join(operands) + b")", swapped)
        for index in range(len(operands)):
            if self._is_of_the_end(node.values[index]):
                continue
            kept = operands[:index] + operands[index + 1 :]
            new = b"(" + own.join(kept) + b")" if len(kept) > 1 else kept[0]
            self._add("connect", node, new, f"{whole}: without {_excerpt(self._text(node.values[index]), SHORT_CHARACTERS // 2)}")

    def _is_of_the_end(self, node: ast.expr) -> bool:
        """Whether this says no more than that the run is over, or that it is not."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._is_of_the_end(node.operand)
        return isinstance(node, ast.Name) and node.id in self.declared.end

    def _only_tells(self, body: Sequence[ast.stmt]) -> bool:
        """Whether these statements do nothing but what is left alone."""
        for statement in body:
            if isinstance(statement, (ast.If, ast.For, ast.While)):
                if not self._only_tells([*statement.body, *statement.orelse]):
                    return False
            elif not isinstance(statement, ast.Pass) and not (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Call)
                and not _is_wait(statement.value)
                and self._is_left_alone(statement.value)
            ):
                return False
        return True

    def _is_left_alone(self, node: ast.Call) -> bool:
        words = _words(node.func)
        if any(word.arg == "to" and _words(word.value) == ["harness"] for word in node.keywords):
            return True
        return bool(words) and (words[0] in self.declared.calls or words[-1] in self.declared.functions)


def _name_of(function: ast.FunctionDef) -> str:
    """Its name; of a handler with the message that it is for."""
    if function.name == "receive" and function.args.defaults:
        pattern = function.args.defaults[0]
        if isinstance(pattern, ast.Tuple) and isinstance(pattern.elts[0], ast.Constant):
            return f"receive({pattern.elts[0].value!s})"
    return function.name


def _is_wait(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _words(node.func) in (["AWAIT"], ["timeout"])


def _words(node: ast.AST) -> list[str]:
    """`a.b.c` as its words, without a leading self; empty for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return [node.attr]
        before = _words(node.value)
        return [*before, node.attr] if before else [node.attr]
    if isinstance(node, ast.Subscript):
        return _words(node.value)
    return []
