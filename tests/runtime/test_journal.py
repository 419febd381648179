"""The log of a process: lines in which every value carries its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.processors import LogfmtRenderer

from bcr_runtime.journal import Journal

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
NAMES = st.sampled_from(["client", "number", "what"])


def lines_of(folder, level, write):
    path = folder / "process.log"
    path.unlink(missing_ok=True)
    journal = Journal(path, level)
    write(journal)
    journal.close()
    return path.read_bytes().decode().split("\n")[:-1]


@given(values=st.dictionaries(NAMES, VALUES))
def test_a_line_is_written_as_logfmt_has_it(tmp_path_factory, values):
    folder = tmp_path_factory.getbasetemp()
    expected = LogfmtRenderer()(None, "", {"event": "happened", **values})
    try:
        expected.encode()
    except UnicodeEncodeError:
        return
    [line] = lines_of(folder, "human", lambda journal: journal.step("happened", **values))
    time, _, rest = line.partition(" ")
    assert time.startswith("time=") and rest == expected


LINES = {"quiet": ["warned"], "human": ["stepped", "warned"], "debug": ["stepped", "detailed", "warned"]}


@pytest.mark.parametrize("level", LINES)
def test_a_level_writes_what_it_says(tmp_path, level):
    def write(journal):
        journal.step("stepped")
        journal.detail("detailed")
        journal.warn("warned")

    assert [line.rpartition("=")[2] for line in lines_of(tmp_path, level, write)] == LINES[level]
