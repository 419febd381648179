"""Runs to be shown: simulated, which takes a second, and left in folders as real ones are."""

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bcr.scenario import parse_scenario
from bcr_show.page import page_of
from bcr_show.run_reading import read_run
from bcr_sim.simulated_folder import simulate_into

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = PROJECT / "config"
VOID = {"meta", "input", "link", "br", "hr", "img"}


class Page(HTMLParser):
    """What is on a page: elements as (tag, attributes), and all text outside of scripts and styles; demands that tags match."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.text = ""
        self._open = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open and self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if not {"script", "style"} & set(self._open):
            self.text += data

    def anchors(self):
        return {attributes["id"] for _, attributes in self.elements if "id" in attributes}

    def links(self):
        return {attributes["href"].removeprefix("#") for tag, attributes in self.elements if tag == "a" and "href" in attributes}

    def of_class(self, name):
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]


def simulated(folder, text):
    """The folder of a simulated run of a scenario's text."""
    source = folder / "given.config"
    source.write_text(text)
    simulate_into(folder / "run", parse_scenario(text, str(source))[0], source)
    return folder / "run"


@pytest.fixture(scope="session")
def lying_tail(tmp_path_factory):
    """A run in which the tail lies once and is replaced."""
    return simulated(tmp_path_factory.mktemp("tail"), (CONFIG / "tail_change_result.config").read_text())


@pytest.fixture(scope="session")
def counterexample(tmp_path_factory):
    """A run in which, with acceptance = quorum, an accepted append is lost."""
    text = (CONFIG / "attacks" / "answer_early_bounced_checkpoint.config").read_text()
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("expect"))
    return simulated(tmp_path_factory.mktemp("counterexample"), f"{kept}\nacceptance = quorum\n")


@pytest.fixture
def copied(tmp_path, lying_tail):
    """A copy of the lying tail's run, to be changed."""
    return Path(shutil.copytree(lying_tail, tmp_path / "copied"))


@pytest.fixture
def shown():
    """The page of the run in a folder."""
    return lambda folder, *window: Page(page_of(read_run(folder, *window)))
