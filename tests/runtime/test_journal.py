"""The log of a process: lines in which every value carries its name."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr_runtime.journal import DETAIL_LIMIT, VALUE_LIMIT, Journal

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
NAMES = st.sampled_from(["client", "number", "what"])


def lines_of(folder, level, write):
    path = folder / "process.log"
    path.unlink(missing_ok=True)
    journal = Journal(path, level)
    write(journal)
    journal.close()
    return path.read_bytes().decode().split("\n")[:-1]


WORD = re.compile(r' ([a-z]+)=("(?:[^"\\]|\\.)*"|[^ "]*)')


def read(line):
    """The values of a line by name, as text."""
    assert re.fullmatch(r"time=[^ ]+" + f"(?:{WORD.pattern})*", line), line
    return {name: unquoted(value) for name, value in WORD.findall(line)}


def unquoted(text):
    if not text.startswith('"'):
        return text
    inner = text[1:-1].replace('\\"', '"')
    return re.sub(r"\\\\|\\n|\\r|\\t|\\x..|\\u....|\\U........", lambda match: ast.literal_eval(f"'{match[0]}'"), inner)


@given(values=st.dictionaries(NAMES, VALUES))
def test_a_line_gives_back_every_value_whatever_it_holds_and_shows_nothing_that_a_terminal_would_obey(
    tmp_path_factory, values
):
    folder = tmp_path_factory.getbasetemp()
    [line] = lines_of(folder, "human", lambda journal: journal.step("happened", **values))
    assert line.isprintable()
    expected = {name: "" if each is None else str(each) for name, each in values.items()}
    expected |= {name: str(each).lower() for name, each in values.items() if isinstance(each, bool)}
    assert read(line) == {"process": "process", "event": "happened", **expected}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("\x1b[2J", '"\\x1b[2J"'), ("a\rb\0c", '"a\\rb\\x00c"'), ("\x9b\u202e", '"\\x9b\\u202e"'),
        ("a b", '"a b"'), ('say "x\\"', '"say \\"x\\\\\\""'), ("é✓", '"é✓"'), ("plain,1:2", "plain,1:2"), (True, "true"), (None, ""),
    ],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_escaped(tmp_path, value, written):
    [line] = lines_of(tmp_path, "human", lambda journal: journal.warn("happened", what=value))
    assert line.partition(" what=")[2] == written


@pytest.mark.parametrize(("level", "limit"), [("human", VALUE_LIMIT), ("debug", DETAIL_LIMIT)])
def test_a_value_that_a_peer_made_long_is_cut_with_its_length(tmp_path, level, limit):
    def write(journal):
        (journal.detail if level == "debug" else journal.step)("happened", what="x" * 900_000)

    [line] = lines_of(tmp_path, level, write)
    assert len(line) < limit + 100
    assert line.endswith('x… (900,000 characters)"')


def test_a_log_is_for_its_owner_alone(tmp_path):
    lines_of(tmp_path, "human", lambda journal: journal.step("happened"))
    assert (tmp_path / "process.log").stat().st_mode & 0o777 == 0o600


LINES = {"quiet": ["warned"], "human": ["stepped", "warned"], "debug": ["stepped", "detailed", "warned"]}


@pytest.mark.parametrize("level", LINES)
def test_a_level_writes_what_it_says(tmp_path, level):
    def write(journal):
        journal.step("stepped")
        journal.detail("detailed")
        journal.warn("warned")

    assert [line.rpartition("=")[2] for line in lines_of(tmp_path, level, write)] == LINES[level]
