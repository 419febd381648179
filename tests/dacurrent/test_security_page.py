"""docs/security.md names for each line the tests that hold it; they are there."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "security.md").read_text()
HEADINGS = ("| who | ", "| command |", "| what | bound")
MEASURED = ("| kind | ", "| trial | ")  # tables of what came of a command, and not of claims
TABLES = [block.splitlines() for block in PAGE.split("\n\n") if block.startswith("| ")]
ROWS = [line for table in TABLES if table[0].startswith(HEADINGS) for line in table[2:]]


def names_of_tests():
    found = set()
    for file in PROJECT.glob("tests/*/test_*.py"):
        found |= set(re.findall(r"^def test_(\w+)", file.read_text(), re.MULTILINE))
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_a_line_names_tests_that_there_are(row):
    names = re.findall(r"`([^`]+)`", row.rstrip("| ").rpartition(" | ")[2])
    assert names or re.search(r"\| C[,|]? ", row), row
    are_there(names)


def test_every_table_is_one_of_claims_or_one_of_what_was_measured():
    assert len(ROWS) > 25
    assert all(table[0].startswith(HEADINGS + MEASURED) for table in TABLES)


def test_what_is_claimed_beside_the_tables_names_tests_that_there_are():
    beside = "\n".join(block for block in PAGE.split("\n\n") if not block.startswith("| "))
    names = [name for name in re.findall(r"`([^`\n]+)`", beside) if name.count("_") > 2 and "/" not in name]
    assert names
    are_there(names)


def are_there(names):
    for name in names:
        if name.endswith(".py"):
            assert (PROJECT / name).is_file(), name
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in name.split("…")) + "$")
        assert any(pattern.match(test) for test in names_of_tests()), f"no test is called {name}"
