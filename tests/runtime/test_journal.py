"""The log of a process: lines in which every value carries its name."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcr.chain.messages import PublicKey
from bcr.signed.encoding import encode
from bcr.signed.violations import Hole
from bcr_runtime import ambient
from bcr_runtime.journal import DETAIL_LIMIT, MAX_EVIDENCE, MAX_PROVOKED, VALUE_LIMIT, Journal, identity

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
def test_a_line_gives_back_every_value_whatever_it_holds_and_shows_nothing_that_a_terminal_would_obey(tmp_path_factory, values):
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


def test_what_was_sent_and_what_was_received_carry_one_identity_and_anything_else_another(tmp_path):
    messages = [PublicKey(name, b"key", b"mac") for name in ("client_0", "client_1")]

    def write(journal):
        journal.sent("public_key", "olympus", messages[0], encode(messages[0]))
        for message in messages:
            journal.received("public_key", message, encode(message))

    sent, same, other = [read_any(line)["id"] for line in lines_of(tmp_path, "human", write)]
    assert sent == same == identity(encode(messages[0])) != other


def read_any(line):
    return dict(part.partition("=")[::2] for part in line.split(" "))


def test_every_line_names_its_process(tmp_path):
    def write(journal):
        journal.step("stepped")
        journal.warn("warned")

    assert [read_any(line)["process"] for line in lines_of(tmp_path, "human", write)] == ["process", "process"]


def test_processes_with_one_clock_stamp_their_lines_with_it_whatever_becomes_of_the_time_of_day(tmp_path, monkeypatch):
    times_ns = iter([5_000_000_000, 5_000_001_000, 6_000_000_000])
    monkeypatch.setattr(ambient, "monotonic_ns", lambda: next(times_ns))
    monkeypatch.setattr(ambient, "wall_clock_ns", lambda: pytest.fail("the time of day is asked for"))
    first, second = (Journal(tmp_path / f"{name}.log", "human", 1_000_000_000_000) for name in ("first", "second"))
    first.step("one")
    second.step("two")
    first.step("three")
    for journal in (first, second):
        journal.close()
    lines = sorted(line for name in ("first", "second") for line in (tmp_path / f"{name}.log").read_text().splitlines())
    assert [read_any(line)["event"] for line in lines] == ["one", "two", "three"]
    assert read_any(lines[0])["time"] == "1970-01-01T00:16:45.000000+00:00"


def test_of_what_peers_provoke_without_end_the_first_is_written_and_then_one_in_a_hundred(tmp_path):
    def write(journal):
        for number in range(MAX_PROVOKED + 1_000):
            if journal.has_room_for_provoked():
                journal.warn("misbehaviour", number=number)

    numbers = [int(read_any(line)["number"]) for line in lines_of(tmp_path, "quiet", write)]
    assert numbers == [*range(MAX_PROVOKED), *range(MAX_PROVOKED + 99, MAX_PROVOKED + 1_000, 100)]


@pytest.mark.parametrize(("level", "written"), [("quiet", 0), ("human", MAX_EVIDENCE), ("debug", MAX_EVIDENCE + 5)])
def test_the_evidence_of_the_first_violations_is_written_and_at_debug_of_all(tmp_path, level, written):
    def write(journal):
        for number in range(MAX_EVIDENCE + 5):
            journal.evidence("Hole", (PublicKey(f"client_{number}", b"", b""),))

    lines = lines_of(tmp_path, level, write)
    assert len(lines) == written
    assert all("client_" in line for line in lines)


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (Hole("slot 3 is missing", evidence=(PublicKey("client_7", b"", b""),)), ("Hole: slot 3 is missing", "client_7")),
        (b"\xff\n", ("/wo=",)), (object, ("class",)), (None, ()), ("a\nb", ("a",)),
    ],
)  # fmt: skip
def test_whatever_the_evidence_is_it_is_one_line(tmp_path, evidence, words):
    [line] = lines_of(tmp_path, "human", lambda journal: journal.evidence("NotFinal", (evidence,)))
    assert all(word in line for word in words)
    assert line.isprintable()
