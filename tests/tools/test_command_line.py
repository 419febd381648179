"""`./bcr` knows its commands and helps who does not; `./bcr test` says what is not good."""

import sys

import pytest

from bcr_tools import checking, cli, testing


def test_the_help_names_every_command(capsys):
    assert cli.main(["--help"]) == 0
    output = capsys.readouterr().out
    assert all(f"\n  {name}" in output for name in cli.COMMANDS)


def test_no_command_shows_the_help(capsys):
    assert cli.main([]) == 0
    assert "usage: ./bcr COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_its_own_help(name, capsys):
    try:
        status = cli.main([name, "--help"])
    except SystemExit as ending:
        status = ending.code
    assert status == 0
    assert f"usage: bcr {name}" in capsys.readouterr().out


def test_an_unknown_command_is_bad_input_that_names_the_nearest(capsys):
    assert cli.main(["tset"]) == 2
    assert capsys.readouterr().err == "bcr: no command tset; did you mean test?\n"


def test_a_file_that_can_be_read_is_summed_up(capsys):
    assert checking.main(["first_run.config"]) == 0
    assert "first_run.config: t = 1, 3 clients, 85 operations" in capsys.readouterr().out


def test_files_that_cannot_be_read_are_bad_input_and_the_others_are_still_read(capsys):
    assert checking.main(["missing.config", "published_example.config", "first_run.config"]) == 2
    captured = capsys.readouterr()
    assert "no scenario file missing.config" in captured.err
    assert "published_example.config:17:58: error: no failure omit_send" in captured.err
    assert captured.out.startswith("first_run.config: t = 1")


# -- ./bcr test


@pytest.fixture
def checks(monkeypatch):
    """`checks(types, tests)`: programs in place of the checks; each ends with the status given."""

    def use(types, tests):
        monkeypatch.setattr(testing, "CHECKS", (("types", ["-c", f"exit({types})"]),))

        def supervise(command, folder, limit_s, ending, environment):
            assert command == [sys.executable, "-m", "pytest", *testing.WORKERS, "-k", "some"]
            print("1 passed in 0.1s")
            return tests

        monkeypatch.setattr(testing, "supervise", supervise)

    return use


@pytest.mark.parametrize(
    ("types", "tests", "status"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 5, 1), (0, 4, 2), (0, -9, 1)],
)
def test_all_is_good_only_if_every_check_is_and_there_were_tests(checks, types, tests, status):
    checks(types, tests)
    assert testing.main(["-k", "some"]) == status


def test_what_is_not_good_is_said_before_the_tests_so_that_their_closing_line_is_the_last(checks, monkeypatch, capsys):
    checks(1, 0)
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    testing.main(["-k", "some"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["bcr test: not good: types, as said above", "1 passed in 0.1s"]
