"""The reference page of scenario files says what the declarations say, and has every word of them."""

import pytest

from bcr.faults import vocabulary
from bcr.scenario.expectations import SUBJECTS
from bcr.scenario.keys import VALID_KEYS
from bcr.scenario.simulation import OPTIONS
from bcr_tools import reference


def test_the_page_in_the_docs_is_what_the_declarations_say():
    assert reference.PAGE.read_text() == reference.page()


@pytest.mark.parametrize(
    "words",
    [VALID_KEYS, vocabulary.TRIGGERS, vocabulary.FAILURES, vocabulary.CLIENT_TRIGGERS, vocabulary.CLIENT_FAILURES,
     vocabulary.LINK_ACTIONS, OPTIONS, SUBJECTS],
)  # fmt: skip
def test_every_word_stands_on_the_page(words):
    page = reference.page()
    assert [word for word in words if not any(f"{opening}{word}" in page for opening in ("`", "expect["))] == []


def test_a_page_that_has_fallen_behind_is_told(tmp_path, capsys):
    old = tmp_path / "scenario.md"
    old.write_text(reference.page().replace("crash()", "crush()"))
    assert reference.main(["--check", "--output", str(old)]) == 1
    assert "./bcr reference renews it" in capsys.readouterr().err
    assert reference.main(["--output", str(old)]) == 0
    assert reference.main(["--check", "--output", str(old)]) == 0
