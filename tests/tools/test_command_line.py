"""`./bcr` knows its commands and helps who does not; `./bcr test` says what is not good."""

import sys

import pytest

from bcr.scenario import parse_scenario
from bcr.scenario.keys import OF_SERVICES
from bcr_bench import bench
from bcr_run.run_folder import LATEST
from bcr_service.service_files import FILES, JOIN, LISTENERS
from bcr_show import show
from bcr_sim import bugs
from bcr_tools import blame, chain_log, checking, cli, read, record_reading, soak, testing, verify


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


@pytest.mark.parametrize("name", ["service.config", "deploy/keyvalue.config"])
def test_a_service_file_is_read_as_one(name, capsys):
    assert checking.main([name]) == 0
    said = capsys.readouterr()
    assert (said.err, said.out.startswith(f"{name}: a service, for ./bcr serve: t = ")) == ("", True)
    assert "gateway[0] = 127.0.0.1:8080" in said.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gateway[0] = 127.0.0.1:0\nnum_client = 2\n", "2:1: error: num_client: the clients of a service are its gateways"),
        ("protocol = chain\nhead_timeot = 5\n", "2:1: warning: unknown key head_timeot is ignored; did you mean head_timeout?"),
        ("keyvalue[0] = here\n", "1:1: error: keyvalue[0]: expected host:port"),
        ("token_file = nowhere\n", "1:1: error: token_file: "),
        ("gateway[0] = 127.0.0.1:0\ntoken_file = token\n", "token: a token is one line of 16 to 256 printable characters"),
    ],
)
def test_what_serve_would_refuse_or_warn_of_check_tells(text, said, tmp_path, capsys):
    (tmp_path / "x.config").write_text(text)
    (tmp_path / "token").write_text("short")
    (tmp_path / "token").chmod(0o600)
    status = checking.main([str(tmp_path / "x.config")])
    assert said in capsys.readouterr().err
    assert status == (0 if "warning" in said else 2)


def test_a_scenario_is_told_which_of_its_keys_are_those_of_services(tmp_path):
    assert {*LISTENERS, *FILES, JOIN} == set(OF_SERVICES)
    _, [warning] = parse_scenario("t = 1\nnum_client = 1\nworkload[0] = get('k')\ngateway[0] = 127.0.0.1:8080\n", "x.config")
    assert warning.text == "unknown key gateway is ignored; it is one of service files, which ./bcr serve reads"


# -- what cannot be done is said before anything is


@pytest.mark.parametrize("arguments", [["atlas", "--simulated", "--docs"], ["bench", "run", "--docs"], ["bench", "recovery", "--doc"]])
def test_a_page_of_the_project_is_asked_for_in_a_checkout_only_and_that_is_said_first(arguments, monkeypatch, capsys):
    monkeypatch.setattr(cli, "IS_CHECKOUT", False)
    monkeypatch.setattr(cli, "_supervised", lambda command: pytest.fail("it was begun"))
    assert cli.main(arguments) == 2
    expected = f"bcr {arguments[0]} --docs: works in a checkout of the project only, and this is an installed package\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("program", "kind"), [("nope.da", "file"), ("da.nope", "module"), ("nope.below", "module"), ("sys.below", "module")]
)
def test_a_program_that_is_not_there_is_not_started(program, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(soak, "start", lambda *_: pytest.fail("it was started"))
    assert soak.main([program]) == 2
    assert capsys.readouterr().err == f"bcr soak: {program}: there is no such {kind}\n"


def test_a_module_that_is_there_is_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(soak, "start", lambda *_: "ok")
    assert soak.main(["da.examples.lamutex.orig", "--count", "1"]) == 0


@pytest.mark.parametrize(("protocol", "known"), [("shuttle", "slot not written"), ("raft", "vote not in the store")])
def test_no_bug_of_that_name_is_bad_input_that_names_the_nearest(protocol, known, capsys):
    assert bugs.main(["--only", "nope", "--protocol", protocol]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("bcr bugs: no bug has 'nope' in its name; the nearest are ")
    assert known in said.err


@pytest.mark.parametrize(("name", "command", "names_it"), [("log", chain_log, False), ("verify", verify, True), ("blame", blame, True)])
def test_where_there_are_no_runs_that_is_said(name, command, names_it, tmp_path, monkeypatch, capsys):
    for module in (chain_log, record_reading):
        monkeypatch.setattr(module, "default_log_base", lambda: tmp_path)
    told = f"bcr {name}: {tmp_path / LATEST}: no run has left anything there; ./bcr run makes one, or name the folder of a run\n"
    for run in (tmp_path, tmp_path / LATEST) if names_it else (None,):
        assert command.main([str(run)] if run else []) == 2
        assert capsys.readouterr().err == told


@pytest.mark.parametrize("command", [chain_log, verify, blame])
def test_of_the_folder_of_all_runs_one_is_asked_for(command, tmp_path, capsys):
    (tmp_path / "first").mkdir()
    (tmp_path / LATEST).symlink_to("first")
    assert command.main([str(tmp_path)]) == 2
    assert f"{tmp_path}: here are runs; name the folder of one, such as {tmp_path / LATEST}" in capsys.readouterr().err


@pytest.mark.parametrize("asked", [".", LATEST])
@pytest.mark.parametrize("command", [verify, blame])
def test_of_a_folder_of_runs_that_has_no_link_to_the_latest_one_is_asked_for(command, asked, tmp_path, capsys):
    (tmp_path / "run-2").mkdir()
    (tmp_path / "run-2" / "record.msgpack").touch()
    assert command.main([str(tmp_path / asked)]) == 2
    assert f"{tmp_path}: here are runs; name the folder of one, such as {tmp_path / 'run-2'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"), [(None, ": No such file or directory"), ("a: b: c\n", ":1:5: no YAML: mapping values are not allowed here")]
)
def test_a_plan_of_measurements_that_cannot_be_read_is_told_in_a_line(text, told, tmp_path, capsys):
    plan = tmp_path / "plan.yaml"
    if text is not None:
        plan.write_text(text)
    assert bench.main(["run", "--plan", str(plan)]) == 2
    assert capsys.readouterr().err == f"bcr bench: {plan}{told}\n"


def test_of_runs_that_are_named_in_place_of_one_that_is_not_there_each_is_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(show, "default_log_base", lambda: tmp_path)
    for name, file in (("bench-1", "bench.json"), ("first-1", "settings.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    assert show.main(["nope"]) == 2
    assert capsys.readouterr().err == f"bcr show: nope: no such folder, here or in {tmp_path}; the latest there are first-1\n"


def test_a_file_that_is_no_disk_is_not_said_to_be_missing(tmp_path, capsys):
    (tmp_path / "notes.md").write_text("notes")
    for name, words in (("notes.md", "this is no disk"), (".", "this is no disk"), ("other.md", "there is no such disk")):
        assert read.main([str(tmp_path / name), "a"]) == 2
        assert f"bcr read: {tmp_path / name}: {words}; those of a run with durable = on" in capsys.readouterr().err


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
