"""What only some commands need is installed when one of them is first used, once, and only where ./bcr made the rest."""

import sys

import pytest

from bcr_run import extras
from bcr_run.extras import EXTRAS, NotSetUp, demand
from bcr_tools import cli


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A .venv that ./bcr made, whose pip is a stand-in: it notes how it is called, and fails where it is asked to."""
    project = tmp_path / "project"
    (project / ".venv").mkdir(parents=True)
    pip = project / "pip.py"
    pip.write_text(
        "import os, sys\n"
        f"open({str(project / 'calls')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"if os.path.exists({str(project / 'failing')!r}): sys.exit('pip says why')\n"
    )
    (project / ".venv" / "pip").write_text(f"{pip}\n")
    for extra in EXTRAS:
        (project / f"requirements-{extra}.lock").write_text(f"# {extra}\n")
    monkeypatch.setattr(extras, "PROJECT", project)
    monkeypatch.setattr(extras.sys, "prefix", str(project / ".venv"))
    return project


def calls(project):
    file = project / "calls"
    return file.read_text().splitlines() if file.exists() else []


def test_an_extra_is_installed_once_from_its_lock_with_hashes(environment, capfd):
    demand("bench", "test")
    demand("bench")
    wanted = [f"install --no-deps --require-hashes -r {environment}/requirements-{extra}.lock" for extra in ("bench", "test")]
    assert calls(environment) == wanted
    told = capfd.readouterr().err
    assert told.splitlines() == [f"bcr: setting up what [{extra}] needs, once; this takes a minute" for extra in ("bench", "test")]


def test_a_change_of_its_lock_installs_it_again(environment):
    demand("dask")
    (environment / "requirements-dask.lock").write_text("# changed\n")
    demand("dask")
    assert len(calls(environment)) == 2


def test_a_failure_says_what_pip_said_and_is_tried_again(environment):
    (environment / "failing").touch()
    with pytest.raises(NotSetUp, match=r"pip says why\n\nthe set-up of \[bench\] failed"):
        demand("bench")
    (environment / "failing").unlink()
    demand("bench")
    assert len(calls(environment)) == 2


def test_an_environment_of_the_user_s_own_is_left_alone_and_what_is_missing_is_named(environment, monkeypatch):
    monkeypatch.setattr(extras.sys, "prefix", "/somewhere")
    demand("test")  # pytest is there
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NotSetUp, match=r"matplotlib is not installed: pip install 'byzantine-chain-replication\[bench\]'"):
        demand("bench")
    assert calls(environment) == []


@pytest.mark.parametrize("command", ["run", "check", "sim", "hunt", "storm", "scenarios"])
def test_what_runs_scenarios_needs_no_extra(command):
    assert command not in cli.NEEDS


def test_a_command_says_in_a_line_that_it_lacks_something(monkeypatch, capsys):
    def lacking(*extras):
        raise NotSetUp(f"no {' and '.join(extras)}")

    monkeypatch.setattr(cli, "demand", lacking)
    assert cli.main(["bench"]) == 2
    assert capsys.readouterr().err == "bcr bench: no bench\n"


def test_install_brings_an_extra_that_no_command_asks_for(environment, capfd):
    assert cli.main(["install", "fast"]) == 0
    assert calls(environment) == [f"install --no-deps --require-hashes -r {environment}/requirements-fast.lock"]
    with pytest.raises(SystemExit):
        cli.main(["install", "faster"])
    assert "invalid choice: 'faster'" in capfd.readouterr().err
