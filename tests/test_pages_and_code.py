"""The three texts of the protocol against each other: pseudocode/, spec/Shuttle.da, src/*.da; labels, messages and rules.

test_house.py holds labels and messages of the pages against the code; here stands the other way round, and the specification.
"""

import ast
import re

import pytest
from test_house import PAGES, PROJECT, parsed, processes, source_of

SPECIFICATION = (PROJECT / "spec" / "Shuttle.da").read_text()
# Between the processes of the specification and whoever started them.
TO_THE_START = {"answered", "ended", "end_run", "reconfigured"}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
# The specification that runs is of the chain; the pages of Raft stand against its processes only.
each_specified_page = pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in ("raft", "braft")], ids=lambda page: page.stem
)


def left_out(page, kind):
    """What the head of the specification says is not in it, of this page: messages, labels or rules."""
    head = re.sub(r"\n#  +(?=[a-z])", " ", SPECIFICATION[: SPECIFICATION.index("\nfrom ")])
    [line] = re.findall(rf"(?m)^#   {page.stem.capitalize()} +(.*)$", head)
    return {name for part in line.split(";") if part.split()[:1] == [kind] for name in part.split()[1:]}


def specified(page):
    """The text of the specification's process for this page."""
    return re.search(rf"(?ms)^class {page.stem.capitalize()}\(.*?(?=^class |^def |\Z)", SPECIFICATION).group()


def labels(text):
    """They stand alone on their line; other lines that begin so are headings."""
    return set(re.findall(r"(?m)^\s+-- (\w+)$", text))


def labels_on(page):
    return set(re.findall(r"(?m)^\s*-- (\w+)", page.read_text()))


def received(text):
    """The messages that a .da text has a rule for: as a handler, or in a query."""
    return set(re.findall(r"receive\(msg=\('(\w+)'", text)) | set(re.findall(r"\breceived\(\('(\w+)'", text))


def sent(text):
    return set(re.findall(r"\bsend\(\(\s*'(\w+)'", text))


def received_on(page):
    text = page.read_text()
    return set(re.findall(r"(?m)^on (\w+)", text)) | set(re.findall(r"\bawait (\w+)", text))


def sent_on(page):
    return set(re.findall(r"\bsend ([a-z]+(?:_[a-z]+)*)", re.sub(r"\([^)]*\)", "", page.read_text())))


def methods(text):
    return {node.name for process in processes(parsed(text)) for node in process.body if isinstance(node, ast.FunctionDef)}


def implemented(page):
    """The methods of the page's processes; beside those of a replica what it leaves to its ledger."""
    ledger = ast.parse((PROJECT / "src" / "bcr" / "chain" / "ledger.py").read_text())
    of_the_ledger = {node.name for node in ast.walk(ledger) if isinstance(node, ast.FunctionDef)}
    return methods(source_of(page)) | (of_the_ledger if page.stem == "replica" else set())


def rules_on(page):
    """The rules that begin at the left margin of a page and are no message's: `settle slot with …`, `ask for …`."""
    code = implemented(page)
    for line in page.read_text().splitlines()[2:]:
        words = re.match(r"(?:[a-z_]+ ?)*", line).group().split()
        joined = ["_".join(words[:count]) for count in (3, 2, 1)]
        if words and words[0] not in ("run", "state", "on", "shuttle"):
            yield from [name for name in joined if name in code][:1] or [name for name in joined[2:] if "_" in name]


# -- the specification and the pages


@each_specified_page
def test_labels_of_the_specification_are_those_of_the_page(page):
    assert labels(specified(page))
    assert labels(specified(page)) == labels_on(page) - left_out(page, "labels")


@each_specified_page
def test_messages_that_the_specification_takes_are_those_of_the_page(page):
    here = received(specified(page)) - TO_THE_START
    in_code = received(source_of(page)) - {"control"}
    assert here
    assert here <= received_on(page)
    assert in_code - left_out(page, "messages") == here


@each_specified_page
def test_messages_that_the_specification_sends_are_those_of_the_page(page):
    here = sent(specified(page)) - TO_THE_START
    assert here
    assert here == sent_on(page) - left_out(page, "messages")


@each_specified_page
def test_rules_of_the_page_are_in_the_implementation_and_in_the_specification(page):
    rules = set(rules_on(page))
    assert len(rules) >= 5
    assert rules <= implemented(page)
    assert rules - left_out(page, "rules") <= methods(specified(page))


@each_specified_page
def test_what_the_specification_leaves_out_is_on_the_page_and_not_in_it(page):
    there = {"labels": labels_on(page), "messages": received_on(page) | sent_on(page), "rules": set(rules_on(page))}
    here = {
        "labels": labels(specified(page)),
        "messages": received(specified(page)) | sent(specified(page)),
        "rules": methods(specified(page)),
    }
    assert any(left_out(page, kind) for kind in there)
    for kind, names in there.items():
        assert left_out(page, kind) <= names
        assert not left_out(page, kind) & here[kind]


@each_specified_page
def test_what_the_specification_does_stands_on_the_page(page):
    """Its methods that send something or change its state are rules of the page; the others are queries."""
    [process] = processes(parsed(specified(page)))
    doing = [node for node in process.body if isinstance(node, ast.FunctionDef) and sends(node)]
    names = {node.name.removeprefix("on_") for node in doing} - {"run", "receive", "reply"}
    assert names
    assert {name for name in names if not re.search(rf"\b{name}\b|\b{name.replace('_', ' ')}\b", page.read_text())} == set()


def sends(function):
    called = {node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return "send" in called


# -- the implementation and the pages


@each_page
def test_every_message_that_the_implementation_takes_is_on_the_page(page):
    assert received(source_of(page)) - {"control"} <= received_on(page)


def test_cases_of_a_replica_are_named_alike_in_all_three():
    texts = [(PROJECT / "src" / name).read_text() for name in ("Replica.da", "ChainProcess.da")]
    cases = {each for text in texts for each in re.findall(r"case\('(\w+)'", text)} - {"answered_in_time"}
    page = (PROJECT / "pseudocode" / "replica.txt").read_text()
    assert len(cases) == 9
    assert cases <= set(re.findall(r"(?m)^ {4,8}(\w+): ", page))
    left = left_out(PROJECT / "pseudocode" / "replica.txt", "messages") | {"rejected"}  # nothing has a size there
    assert cases - left <= set(re.findall(r"(?m)# (\w+)$", SPECIFICATION))
