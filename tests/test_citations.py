"""Citations of the specification: each leads to a paragraph of docs/protocol.md, and each paragraph of rules is cited.

`[3.6]` in a `.da` file or a page of pseudocode, and "specification, 3.6" anywhere, is a paragraph of that page; "paper,
section 3.2" is one of the paper. A number that says neither is an error: nobody could know which of the two it means.
"""

import ast
import re
from pathlib import Path

import pytest

from bcr.faults.vocabulary import CLIENT_FAILURES, CLIENT_TRIGGERS, FAILURES, LINK_ACTIONS, TRIGGERS
from bcr.scenario.expectations import SUBJECTS
from bcr.scenario.keys import VALID_KEYS
from bcr.scenario.simulation import OPTIONS

PROJECT = Path(__file__).resolve().parents[1]
SPECIFICATION = PROJECT / "docs" / "protocol.md"
RULES = {
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "7a",
    "8",
    "11",
    "13",
    "14",
    "15",
    "16",
}  # sections whose every paragraph somebody has to follow
ROLES = (
    "Braft",
    "BraftClient",
    "Raft",
    "RaftClient",
    "Replica",
    "Olympus",
    "Issuer",
    "OlympusProcess",
    "Client",
    "ClientSession",
    "ChainProcess",
    "Participant",
)

NUMBER = r"\d+a?(?:\.\d+)?"
NUMBERS = rf"{NUMBER}(?:,\s+{NUMBER})*"


# -- what there is


def sections(text):
    """The headings of the page by number: `3`, `7a`."""
    return set(re.findall(r"(?m)^## (\d+a?)\. ", text))


def paragraphs(text):
    """Its numbered paragraphs: `3.6`, `7a.2`."""
    return re.findall(r"(?m)^\*\*(\d+a?\.\d+) ", text)


# -- what is cited


def comments(source):
    """What follows a `#` in each line; also in a `.da` file, where a string may hold one too."""
    return "\n".join(re.findall(r"#(.*)$", source, re.MULTILINE))


def bracketed(text):
    """The numbers in brackets that are citations."""
    return {number for found in re.findall(rf"\[({NUMBERS})\]", text) for number in re.split(r",\s+", found)}


def named(text):
    """The numbers behind the word, in any of the ways of saying it: `specification, 3.6`, `(Specification, 3, 7a.2)`."""
    found = re.findall(rf"(?i)specification,\s+(?:#\s*)?(?:sections?\s+)?({NUMBERS})", text)
    return {number for each in found for number in re.split(r",\s+", each)}


def files(*patterns):
    return sorted(path for pattern in patterns for path in PROJECT.glob(pattern))


PROTOCOL = files("src/*.da")
PAGES = files("pseudocode/*.txt")
MODULES = [path for path in files("src/**/*.py") if "dacurrent" not in path.parts]
TESTS = [path for path in files("tests/**/*.py") if path != Path(__file__).resolve()]


def cited_in(path):
    text = path.read_text()
    brackets = comments(text) if path.suffix == ".da" else text if path.suffix == ".txt" else ""
    return named(text) | bracketed(brackets)


def name_of(path):
    return path.relative_to(PROJECT).as_posix()


@pytest.mark.parametrize("path", [*PROTOCOL, *PAGES, *MODULES, *TESTS], ids=name_of)
def test_what_is_cited_is_there(path):
    text = SPECIFICATION.read_text()
    assert cited_in(path) - sections(text) - set(paragraphs(text)) == set()


def test_each_paragraph_of_rules_is_cited_by_the_code_that_follows_it():
    rules = {number for number in paragraphs(SPECIFICATION.read_text()) if number.partition(".")[0] in RULES}
    cited = set().union(*map(cited_in, [*PROTOCOL, *MODULES]))
    assert len(rules) > 50
    assert rules - cited == set()


def test_paragraphs_are_numbered_in_turn():
    numbers = paragraphs(SPECIFICATION.read_text())
    for section in sections(SPECIFICATION.read_text()):
        own = [number for number in numbers if number.partition(".")[0] == section]
        assert own == [f"{section}.{place}" for place in range(1, len(own) + 1)]


@pytest.mark.parametrize("path", [*PROTOCOL, *PAGES, *MODULES, *TESTS, *files("docs/**/*.md", "*.md")], ids=name_of)
def test_a_section_is_one_of_the_paper_or_of_the_specification_and_says_which(path):
    """ "section 3.2" alone could be either."""
    text = path.read_text()
    found = [(text[: match.start()][-40:], match.group()) for match in re.finditer(rf"\bsections? {NUMBER}", text)]
    is_said = re.compile(r"(?is)(?:paper|specification|protocol\.md)[^.]*$").search
    assert path == SPECIFICATION or [number for before, number in found if not is_said(before)] == []


def test_the_checks_find_a_citation_that_leads_nowhere():
    assert named("as it is (specification, 3.6, 99.1)") == {"3.6", "99.1"}
    assert named("# as it is (specification,\n# section 7a)") == {"7a"}
    assert bracketed("# -- the shuttle [3.3, 3.4]; and [0] is none of [x]") == {"3.3", "3.4", "0"}
    assert comments("x = [3.3]  # [3.4]\n# [3.5]") == " [3.4]\n [3.5]"
    assert sections("## 7a. What\n### 3. no\n") == {"7a"}
    assert paragraphs("**7a.2 Seals.** and **3.6 no**\n**3.6 yes**") == ["7a.2", "3.6"]


# -- each rule names its section


def rules_without_section(source):
    """Handlers of a `.da` text, `on_…`, that stand under a heading without a section."""
    heading, found = "", []
    for line in source.split("\n"):
        if re.match(r"\s*# -- ", line):
            heading = line
        rule = re.match(r"    def (on_\w+)\(", line)
        if rule and not bracketed(heading):
            found.append(rule[1])
    return found


@pytest.mark.parametrize("role", ROLES)
def test_each_rule_of_a_role_stands_under_the_section_that_it_follows(role):
    source = (PROJECT / "src" / f"{role}.da").read_text()
    assert rules_without_section(source) == []
    assert bracketed(comments(source))


def test_the_check_finds_a_rule_without_section():
    source = "    # -- one [3.1]\n    def on_one():\n        pass\n    # -- two\n    def on_two():\n        pass\n"
    assert rules_without_section(source) == ["on_two"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_rule_of_a_page_names_its_section(page):
    rules = re.findall(r"(?m)^on \w.*$", page.read_text())
    assert rules
    assert [rule for rule in rules if not bracketed(rule)] == []


@pytest.mark.parametrize("path", files("src/bcr/**/*.py"), ids=name_of)
def test_each_module_of_rules_says_in_its_first_words_which_section_it_follows(path):
    documentation = ast.get_docstring(ast.parse(path.read_text())) or ""
    is_about_files = "scenario" in path.parts or path.name in ("__init__.py", "spool.py", "samples.py")
    assert is_about_files or named(documentation.partition("\n\n")[0])


# -- words of scenario files


def part(number):
    """The text of one section."""
    return re.split(r"(?m)^## ", SPECIFICATION.read_text().partition(f"\n## {number}. ")[2])[0]


def test_every_word_of_a_scenario_file_stands_in_its_section():
    words = {*TRIGGERS, *FAILURES, *CLIENT_TRIGGERS, *CLIENT_FAILURES, *LINK_ACTIONS, *OPTIONS, *VALID_KEYS}
    told = set(re.findall(r"[a-z]+(?:_[a-z]+)*", part("9")))
    assert len(words) > 80
    assert words - told == set()


def test_the_section_on_scenario_files_has_no_failure_that_there_is_not():
    known = {*TRIGGERS, *FAILURES, *CLIENT_TRIGGERS, *CLIENT_FAILURES, *LINK_ACTIONS, *OPTIONS, *SUBJECTS, *VALID_KEYS}
    known |= {"pseudorandom", "uniform", "distinct", "put", "get", "slice", "append"}
    called = set(re.findall(r"`([a-z_]+)\(", part("9")))
    assert len(called) > 60
    assert called - known == set()


def test_each_departure_has_its_reason_and_its_paragraph():
    text = part("12")
    departures = re.findall(r"(?ms)^\*\*12\.\d+ .*?(?=^\*\*12\.|\Z)", text)
    assert len(departures) > 10
    assert [each[:40] for each in departures if len(each.split()) < 25] == []
    told = {number for inside in re.findall(r"\(([^()]*)\)", text) for number in re.findall(rf"\b{NUMBER}(?!\w)", inside)}
    assert told >= {"3.6", "6.3", "7.6", "7a.2"}
    assert told - set(paragraphs(SPECIFICATION.read_text())) == set()
