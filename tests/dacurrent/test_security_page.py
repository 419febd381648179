"""docs/security.md names for each line the tests that hold it; they are there."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "security.md").read_text()
HEADINGS = ("| who | ", "| command |", "| what | bound", "| kind | ")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(HEADINGS)]


def names_of_tests():
    found = set()
    for file in [*PROJECT.glob("tests/dacurrent/test_*.py"), *PROJECT.glob("tests/system/test_*.py")]:
        found |= set(re.findall(r"^def test_(\w+)", file.read_text(), re.MULTILINE))
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_a_line_names_tests_that_there_are(row):
    held_by = row.strip("| ").rpartition("|")[2]
    if "can be guessed" in row:
        return  # nothing here holds that; it is said
    assert held_by.strip(), row
    for name in re.findall(r"`([^`]+)`", held_by):
        if name.endswith(".py"):
            assert (PROJECT / name).is_file(), name
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in name.split("…")) + "$")
        assert any(pattern.match(test) for test in names_of_tests()), f"no test is called {name}"
