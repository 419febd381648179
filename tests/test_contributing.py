"""The examples of CONTRIBUTING.md, applied to a copy of the sources and run; and what checks a contribution from outside."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from bcr_runtime.places import PROJECT

PAGE = (PROJECT / "CONTRIBUTING.md").read_text()
TIME_LIMIT_S = 300


def section(title):
    """The text below a heading of the page."""
    return re.split(r"(?m)^## ", PAGE.partition(f"\n## {title}\n")[2])[0]


def blocks(title, kind):
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", section(title))


def applied(change, text):
    """The text with a block of lines changed: those of the block that stand in it, which must do so once, and what becomes of them."""
    lines = change.splitlines()
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " +")
    assert text.count(old) == 1, old
    return text.replace(old, new)


def bcr(root, *arguments):
    """A command of the sources below this folder."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-P", "-m", "bcr_tools.cli", *map(str, arguments)],
                          cwd=root, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False)  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project with the example of a failure in it."""
    root = tmp_path_factory.mktemp("project") / "copy"
    root.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("src", "docs", "config", "spec", "pseudocode"):
        shutil.copytree(PROJECT / name, root / name, ignore=ignored)
    for name in ("pyproject.toml", "CONTRIBUTING.md", "README.md"):
        shutil.copy(PROJECT / name, root)
    changes = blocks("Add a failure", "diff")
    assert len(changes) == 4
    for change in changes:
        head, _, body = change.partition("\n")
        path = root / head.removeprefix("--- ")
        path.write_text(applied(body, path.read_text()))
    [scenario] = blocks("Add a failure", "text")
    (root / "dropped.config").write_text(scenario)
    return root


def test_the_failure_strikes_in_a_simulated_run_and_clients_see_nothing_of_it(copy):
    run = bcr(copy, "sim", "dropped.config", "--story")
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"replica_1 .*drop_order_stmt\(\)", run.stdout)
    assert "verdict: pass" in run.stdout


def test_the_failure_does_in_the_atlas_what_the_protocol_prescribes(copy):
    run = bcr(copy, "atlas", "--simulated", "--t", 1, "--trigger", "shuttle", "--failure", "drop_order_stmt")
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_failure_gets_its_line_on_the_reference_page(copy):
    run = bcr(copy, "reference")
    assert run.returncode == 0, run.stderr
    page = (copy / "docs" / "reference" / "scenario.md").read_text()
    assert "| `drop_order_stmt()` | the next shuttle lacks the replica's own order statement | lie | not with `crc`" in page
    assert "drop_order_stmt" not in (PROJECT / "docs" / "reference" / "scenario.md").read_text()


def test_checksums_refuse_the_failure(copy):
    (copy / "refused.config").write_text((copy / "dropped.config").read_text() + "authentication = crc\n")
    run = bcr(copy, "check", "refused.config")
    assert run.returncode == 2
    assert "loses no statement on its way" in run.stdout + run.stderr


def test_the_object_keeps_its_counters_through_a_reconfiguration(tmp_path):
    [source] = blocks("Add an object", "python")
    [scenario] = blocks("Add an object", "text")
    (tmp_path / "counter.py").write_text(source)
    (tmp_path / "counted.config").write_text(scenario)
    run = bcr(PROJECT, "sim", tmp_path / "counted.config")
    assert run.returncode == 0, run.stdout + run.stderr
    # Of another length: bytecode is told from what it was made of by its second and size.
    wrong = source.replace(" + 1\n", " + 12\n")
    assert wrong != source
    (tmp_path / "counter.py").write_text(wrong)
    assert bcr(PROJECT, "sim", tmp_path / "counted.config").returncode == 1


@pytest.mark.parametrize("text", ["one\n", "two\ntwo\n"])
def test_a_change_whose_lines_do_not_stand_there_once_is_found(text):
    with pytest.raises(AssertionError):
        applied(" two\n+three\n", text)
    assert applied(" two\n+three\n", "one\ntwo\n") == "one\ntwo\nthree\n"


def test_what_is_said_of_protocols_names_every_declaration_of_them():
    there_are = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "src").rglob("protocols.py")}
    assert set(re.findall(r"src/\w+(?:/\w+)*/protocols\.py", section("Add a protocol"))) == there_are


# -- hooks and hosted checks


def test_hosted_checks_run_on_every_python_that_the_project_says_it_runs_on():
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "checks.yml").read_text())
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    supported = sorted(re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"])))
    checks = workflow["jobs"]["checks"]
    assert sorted(checks["strategy"]["matrix"]["python"]) == supported
    assert ".ci/run" in [step.get("run") for step in checks["steps"]]
    assert os.access(PROJECT / ".ci" / "run", os.X_OK)


def test_the_hooks_before_a_commit_are_modules_and_files_that_there_are():
    [repository] = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = {hook["id"]: hook["entry"].split() for hook in repository["hooks"]}
    assert set(entries) == {"style", "format", "house"}
    assert all(entry[:2] == [".venv/bin/python", "-m"] for entry in entries.values())
    style = subprocess.run([sys.executable, *entries["style"][1:], "--no-fix", "tests/test_contributing.py"],
                           cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert style.returncode == 0, style.stdout
    assert (PROJECT / entries["house"][-1]).is_file()
