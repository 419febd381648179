"""The two forms of a scenario file, `.config` lines and YAML, as one list of entries with their places."""

import re
from pathlib import Path

import msgspec
import yaml

from bcr.scenario.diagnostics import Diagnostic

MAX_BYTES = 16 << 20
MAX_IGNORED = 5  # lines that are none of the form, of which each is told; of the others only how many
_QUOTES = {"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"'}
_NAME = re.compile(r"""[^='"]*(?:'[^']*'[^='"]*|"[^"]*"[^='"]*)*""")
_PART = re.compile(r"""((?:'[^']*'|"[^"]*"|[^,])*)(?:,|$)""")
_INDEXED = re.compile(r"(workload|\w*failures|links|expect)\s*[\[(]", re.IGNORECASE)  # no line of prose begins so
_YAML_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_STRAIGHT = {ord(curly): straight for curly, straight in _QUOTES.items()}


class ScenarioEntry(msgspec.Struct, frozen=True):
    """`key = value` at its place; lines and columns count from 1."""

    key: str
    value: str
    line: int
    key_column: int
    value_column: int


def entries_of(text: str, source: str) -> tuple[list[ScenarioEntry], list[Diagnostic]]:
    """The entries of a file's text in either form, with what was found on the way."""
    return _yaml_entries(text, source) if _is_yaml(source) else _config_entries(text, source)


def lines_of(text: str, source: str) -> list[str]:
    """The lines by which places in the file are counted."""
    return _YAML_BREAK.split(text) if _is_yaml(source) else text.split("\n")


def _is_yaml(source: str) -> bool:
    return Path(source).suffix.lower() in (".yaml", ".yml")


def _config_entries(text: str, source: str) -> tuple[list[ScenarioEntry], list[Diagnostic]]:
    entries: list[ScenarioEntry] = []
    diagnostics: list[Diagnostic] = []
    warnings: list[Diagnostic] = []
    for number, unread_line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = _straight_quotes(unread_line.rstrip("\r"), source, number, diagnostics)
        stripped = line.strip()
        if not stripped:
            continue
        if stripped.startswith("#"):
            if not line.startswith("#"):
                column = line.index("#") + 1
                diagnostics.append(Diagnostic(source, number, column, "warning", "blanks before # of a comment"))
            continue
        key, equals, value = _around_equals(line)
        if not equals:
            text_ = f"expected 'name = value', found {stripped[:40]!r}"
            column = len(line) - len(line.lstrip()) + 1
            if _INDEXED.match(stripped):
                diagnostics.append(Diagnostic(source, number, column, "error", text_))
            else:
                warnings.append(Diagnostic(source, number, column, "warning", f"{text_}; the line is ignored"))
            continue
        value = _without_comment(value, source, number, len(key) + 2, diagnostics)
        value_column = len(key) + 2 + len(value) - len(value.lstrip())
        entries.append(ScenarioEntry(key.strip(), value.strip(), number, len(key) - len(key.lstrip()) + 1, value_column))
    if len(warnings) > MAX_IGNORED:
        next_one = warnings[MAX_IGNORED]
        text_ = f"{len(warnings) - MAX_IGNORED} more lines that are no 'name = value' are ignored"
        warnings[MAX_IGNORED:] = [Diagnostic(source, next_one.line, next_one.column, "warning", text_)]
    return entries, diagnostics + warnings


def _around_equals(line: str) -> tuple[str, str, str]:
    """The line around its first = that stands in no string: a string in brackets belongs to the name."""
    match = _NAME.match(line)
    if match is not None and line[match.end() : match.end() + 1] == "=":
        return line[: match.end()], "=", line[match.end() + 1 :]
    return line.partition("=")


def split_index(inside: str) -> tuple[str, ...]:
    """What stands between the brackets of a name, at the commas that stand in no string."""
    return tuple(part.strip() for part in _PART.findall(inside)[:-1])


def _straight_quotes(line: str, source: str, number: int, diagnostics: list[Diagnostic], first: int = 1) -> str:
    if line.lstrip().startswith("#"):
        return line
    for column, character in enumerate(line, start=first):
        if character in _QUOTES:
            text = f"curly quotes are read as {_QUOTES[character]}"
            diagnostics.append(Diagnostic(source, number, column, "warning", text))
            return line.translate(_STRAIGHT)
    return line


def _without_comment(value: str, source: str, number: int, column: int, diagnostics: list[Diagnostic]) -> str:
    """The value without a comment behind it: from a # behind a blank that stands in no string."""
    quote = ""
    for place, character in enumerate(value):
        if quote:
            quote = "" if character == quote and value[place - 1] != "\\" else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and value[:place].strip() and value[place - 1].isspace():
            text = "a comment behind a value: comments have lines of their own"
            diagnostics.append(Diagnostic(source, number, column + place, "warning", text))
            return value[:place]
    return value


def _yaml_entries(text: str, source: str) -> tuple[list[ScenarioEntry], list[Diagnostic]]:
    def error(line: int, column: int, what: str) -> tuple[list[ScenarioEntry], list[Diagnostic]]:
        return [], [Diagnostic(source, line, column, "error", what)]

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        return error(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, f"not YAML: {problem.problem}")
    except (yaml.YAMLError, RecursionError) as problem:
        return error(1, 1, f"not YAML: {problem}")
    if root is None:
        return [], []
    if not isinstance(root, yaml.MappingNode):
        return error(root.start_mark.line + 1, root.start_mark.column + 1, "expected 'name: value' lines")
    entries: list[ScenarioEntry] = []
    diagnostics: list[Diagnostic] = []
    for key, value in root.value:
        mark, value_mark = key.start_mark, value.start_mark
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            what = "expected one value behind the name, as in the other form of the file"
            diagnostics.append(Diagnostic(source, value_mark.line + 1, value_mark.column + 1, "error", what))
            continue
        column = value_mark.column + 1 + (value.style in ("'", '"'))
        content = _straight_quotes(value.value, source, value_mark.line + 1, diagnostics, column)
        entries.append(ScenarioEntry(key.value.strip(), content.strip(), value_mark.line + 1, mark.column + 1, column))
    return entries, diagnostics


KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*(?:([\[(])(.*)([\])]))?\s*")
