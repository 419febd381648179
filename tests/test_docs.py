"""The pages: links lead somewhere, the front page stays one page, and what the tutorial says happens."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bcr_tools.cli import COMMANDS

PROJECT = Path(__file__).resolve().parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "examples").rglob("*.md")])
README = (PROJECT / "README.md").read_text()
TUTORIAL = (PROJECT / "docs" / "tutorial.md").read_text()
TIME_LIMIT_S = 300


def name_of(path):
    return path.relative_to(PROJECT).as_posix()


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```.*?^```$", "", text))


def links(text):
    """Where the links and pictures of a page lead, but those into the network."""
    found = re.findall(r"\]\(([^()\s]+)\)", without_code(text))
    return [each for each in found if not re.match(r"[a-z]+:", each)]


def anchors(text):
    """What links can lead to within a page: its headings, as they are made into names."""
    headings = re.findall(r"(?m)^#{1,6} (.*?)\s*$", re.sub(r"(?ms)^```.*?^```$", "", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page, text):
    """The links of a page that lead to no file, or to no heading of it."""
    for link in links(text):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        is_there = target.is_relative_to(PROJECT) and target.exists()
        if not is_there or (anchor and anchor not in anchors(text if target == page else target.read_text())):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page):
    assert list(broken(page, page.read_text())) == []


def test_the_check_finds_a_link_that_leads_nowhere():
    page = PROJECT / "docs" / "README.md"
    text = "# One\n[a](tutorial.md) [b](#one) [c](nowhere.md) [d](../README.md#commands) [e](../README.md#nothing) [f](#two)"
    assert list(broken(page, text)) == ["nowhere.md", "../README.md#nothing", "#two"]


def test_the_index_of_the_docs_leads_to_every_page_of_them():
    index = PROJECT / "docs" / "README.md"
    reached = {(index.parent / link.partition("#")[0]).resolve() for link in links(index.read_text())}
    assert {name_of(page) for page in (PROJECT / "docs").rglob("*.md") if page != index and page not in reached} == set()


def test_the_readme_is_one_page():
    assert len(README.splitlines()) <= 110


def test_the_readme_has_every_command_and_none_besides():
    told = set(re.findall(r"`\./bcr ([a-z]+)`", README.partition("\n## Commands\n")[2].partition("\n## ")[0]))
    assert told == set(COMMANDS)


# -- the tutorial


def bcr(folder, *arguments):
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-P", "-m", "bcr_tools.cli", *arguments],
                          cwd=folder, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False)  # fmt: skip


def scenarios_of_the_tutorial():
    return re.findall(r"(?ms)^```text\n(.*?)^```$", TUTORIAL)


def test_the_tutorials_liar_is_blamed_and_its_clients_see_nothing(tmp_path):
    liar, _, _ = scenarios_of_the_tutorial()
    (tmp_path / "liar.config").write_text(liar)
    (tmp_path / "bad.config").write_text(liar.replace("change_result", "change_resul"))
    assert bcr(tmp_path, "check", "liar.config").returncode == 0
    assert "did you mean change_result?" in bcr(tmp_path, "check", "bad.config").stderr
    run = bcr(tmp_path, "run", "liar.config", "--log-folder", str(tmp_path))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "struck: shuttle(0,1),change_result() of replica 1 of configuration 0" in run.stdout
    assert re.search(r"blamed: replica 1 of configuration 0 by .*\(a fault had struck it\)", run.stdout)
    [folder] = tmp_path.glob("liar-*")
    story = bcr(tmp_path, "show", str(folder)).stdout
    assert "noticed DisagreeingResult: replica 1 signed another result of slot" in story
    assert (folder / "index.html").exists()


def test_the_tutorials_hunt_loses_an_answer_under_the_weak_rule_and_shrinks_it(tmp_path):
    _, early, shrunk = scenarios_of_the_tutorial()
    (tmp_path / "early.config").write_text(early)
    hunt = bcr(tmp_path, "hunt", "early.config", "--count", "2", "--output", "found")
    assert hunt.returncode == 1, hunt.stdout + hunt.stderr
    [told] = re.findall(r"seed 0: results: .*", TUTORIAL)
    assert told in " ".join(hunt.stdout.split())
    found = (tmp_path / "found" / "seed0.config").read_text()
    assert [line for line in found.splitlines() if not line.startswith("#")] == shrunk.splitlines()
    assert bcr(tmp_path, "sim", "found/seed0.config").returncode == 1
    assert (tmp_path / "found" / "seed0" / "index.html").exists()


def test_the_tutorials_hunt_finds_nothing_under_the_rule_as_it_is(tmp_path):
    _, early, _ = scenarios_of_the_tutorial()
    (tmp_path / "early.config").write_text(early.replace("quorum", "all"))
    hunt = bcr(tmp_path, "hunt", "early.config", "--count", "4")
    assert hunt.returncode == 0, hunt.stdout + hunt.stderr
    assert " 0 failed" in hunt.stdout


def test_the_example_from_python_gives_a_verdict_and_the_results(tmp_path):
    page = (PROJECT / "docs" / "how-to" / "simulate-and-hunt.md").read_text()
    [program] = re.findall(r"(?ms)^```python\n(.*?)^```$", page)
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
                         timeout=TIME_LIMIT_S, check=False)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("pass () ")
    assert "'OK', 'star'" in run.stdout


def test_the_sample_of_the_front_page_has_a_path_as_a_run_prints_it():
    [path] = re.findall(r"logs and result\.json: (\S+)", README)
    assert Path(path).is_absolute()
