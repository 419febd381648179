"""`./bcr run` finds scenario files, runs each, and its exit status says what was shown."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import LIMIT_S, PROJECT

from bcr_run.accused import whose
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_tools import run

RESULT = {
    "operations": 1_234,
    "results_by_tail": 1_233,
    "retransmissions": 7,
    "reconfigurations": [{}, {}],
    "elapsed_s": 1.5,
    "log_folder": "/somewhere/logs",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- which file


def test_a_file_is_found_from_the_current_directory_first(here):
    (here / "config").mkdir()
    mine = here / "config" / "first_run.config"
    mine.touch()
    assert find_scenario("config/first_run.config") == mine


def test_a_file_is_found_from_the_directory_above(here, monkeypatch):
    (here / "mine.config").touch()
    (here / "src").mkdir()
    monkeypatch.chdir(here / "src")
    assert find_scenario("mine.config") == here / "mine.config"


@pytest.mark.parametrize("name", ["config/first_run.config", "first_run.config", "first_run.yaml"])
def test_a_file_of_the_project_is_found_from_anywhere(here, name):
    assert find_scenario(name) == PROJECT / "config" / Path(name).name


def test_an_absolute_name_is_taken_as_it_is(here):
    (here / "mine.config").touch()
    assert find_scenario(str(here / "mine.config")) == here / "mine.config"


def test_a_missing_file_is_told_with_where_it_was_looked_for_and_the_nearest(here):
    with pytest.raises(ScenarioNotFound) as caught:
        find_scenario("config/frist_run.config")
    text = str(caught.value)
    assert text.startswith("no scenario file config/frist_run.config (looked in ")
    for folder in (here, here.parent, PROJECT, PROJECT / "config"):
        assert str(folder) in text
    assert text.endswith("did you mean config/first_run.config?")


def test_the_nearest_is_also_looked_for_in_the_current_directory(here):
    (here / "experiment.config").touch()
    with pytest.raises(ScenarioNotFound, match=r"did you mean experiment\.config\?$"):
        find_scenario("experimnet.config")


@pytest.mark.parametrize("name", ["", "config", "x" * 5_000, "a\0b"])
def test_what_cannot_be_a_file_is_a_missing_file(here, name):
    with pytest.raises(ScenarioNotFound):
        find_scenario(name)


def test_a_name_that_is_near_to_none_gets_no_suggestion(here):
    with pytest.raises(ScenarioNotFound, match=r"no scenario file nosuch\.config \(looked in .*\)$"):
        find_scenario("nosuch.config")


def test_a_folder_is_told_as_a_folder(here, capfd):
    (here / "mine").mkdir()
    assert run.main(["mine"]) == 2
    assert capfd.readouterr().err.endswith("mine:1:1: error: a folder, not a file\n")


# -- the exit status


@pytest.fixture
def stand_in(monkeypatch, here):
    """Runs a Python program in place of RunSystem.da; the program finds where its result goes in `result_file`."""

    def use(program):
        def command_for(file, options, result_file):
            return [sys.executable, "-c", f"name, result_file = {file.stem!r}, {str(result_file)!r}\n{program}"]

        monkeypatch.setattr(run, "command_for", command_for)

    return use


def writing(verdict, status, **more):
    result = json.dumps({**RESULT, "verdict": verdict, **more})
    return f"import sys; open(result_file, 'w').write({result!r}); sys.exit({status})"


@pytest.mark.parametrize(
    ("verdict", "ended", "status"),
    [
        ("pass", 0, 0),
        ("fail", 1, 1),
        ("unknown", 2, 2),
        ("pass", 1, 2),  # it passed, and then something broke
        ("fail", 0, 1),
        ("unknown", 0, 2),
    ],
)
def test_the_exit_status_is_the_verdicts(stand_in, verdict, ended, status):
    stand_in(writing(verdict, ended))
    assert run.main(["first_run.config"]) == status


@pytest.mark.parametrize("ended", [0, 1, 3])
def test_a_run_without_a_result_has_shown_nothing_whatever_its_status(stand_in, capfd, ended):
    stand_in(f"import sys; sys.exit({ended})")
    assert run.main(["first_run.config"]) == 2
    assert f"no result; RunSystem.da ended with status {ended}" in capfd.readouterr().err


def test_a_run_that_refuses_its_input_speaks_for_itself(stand_in, capfd):
    stand_in("import sys; print('why', file=sys.stderr); sys.exit(2)")
    assert run.main(["first_run.config"]) == 2
    assert capfd.readouterr().err == "why\n"


def test_half_a_result_is_none(stand_in):
    stand_in("open(result_file, 'w').write('{\"verdict\": \"pa')")
    assert run.main(["first_run.config"]) == 2


@pytest.mark.parametrize(("statuses", "status"), [([0, 0], 0), ([0, 1], 1), ([0, 2], 2), ([2, 1], 1), ([1, 2, 0], 1), ([], 0)])
def test_a_fail_outweighs_the_unknown_and_both_outweigh_a_pass(statuses, status):
    assert run.worst(statuses) == status


def test_several_files_end_in_one_table_with_the_log_folders(stand_in, capfd):
    stand_in(f"if name == 'stress10': raise SystemExit(2)\n{writing('pass', 0)}")
    assert run.main(["first_run.config", "stress10.config"]) == 2
    lines = capfd.readouterr().out.splitlines()
    assert ["first_run", "pass", "1,234", "1,233", "7", "2", "1.50"] in [line.split() for line in lines]
    assert ["stress10", "no", "result"] in [line.split() for line in lines]
    assert lines[-1] == "logs of first_run: /somewhere/logs"


@pytest.mark.parametrize("protocol", ["raft", "byzantine_raft"])
def test_of_servers_of_raft_no_tail_and_no_reconfiguration_is_told(stand_in, capfd, protocol):
    stand_in(writing("pass", 0, protocol=protocol))
    assert run.main(["raft.config", "byzantine_raft.config"]) == 0
    assert ["raft", "pass", "1,234", "7", "1.50"] in [line.split() for line in capfd.readouterr().out.splitlines()]
    fault = {"fault": "crash()", "position": 2, "configuration": 0}
    assert whose(fault, {"protocol": protocol}) == "server 2"
    assert whose(fault, {"protocol": "shuttle"}) == "replica 2 of configuration 0"


def test_nothing_is_run_when_one_of_the_files_is_missing(stand_in, here, capfd):
    stand_in(f"open({str(here / 'ran')!r}, 'w')")
    assert run.main(["first_run.config", "missing.config"]) == 2
    assert not (here / "ran").exists()
    assert "no scenario file missing.config" in capfd.readouterr().err


def test_a_run_beyond_the_time_limit_is_ended_and_unknown(stand_in, capfd):
    stand_in("import signal; signal.pause()")
    assert run.main(["first_run.config", "--time-limit", "0.01"]) == 2
    assert "first_run.config: not finished within 0.01 s; ended" in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [["--time-limit", "0"], ["--time-limit", "nan"], ["--port", "65536"], ["--placement", "there"]])
def test_a_bad_option_is_bad_input(arguments, capfd):
    with pytest.raises(SystemExit) as caught:
        run.main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capfd.readouterr().err


def test_an_interrupt_between_files_ends_the_command_with_the_table_of_what_was_done(tmp_path):
    notes = tmp_path / "notes"
    os.mkfifo(notes)
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from bcr_tools import cli, run\n"
        "def command_for(file, options, result_file):\n"
        f"    family = [sys.executable, {str(Path(__file__).with_name('family.py'))!r}, {str(notes)!r}]\n"
        f"    done = [sys.executable, '-c', f'result_file = {{str(result_file)!r}}\\n' + {writing('pass', 0)!r}]\n"
        "    return done if file.stem == 'first_run' else family\n"
        "run.command_for = command_for\n"
        "sys.exit(cli.main(['run', 'first_run.config', 'stress10.config', 'perform900.config']))\n"
    )
    with open(os.open(notes, os.O_RDWR)) as opened:
        command = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3):
            opened.readline()
        command.send_signal(signal.SIGINT)
        output, _ = command.communicate(timeout=LIMIT_S)  # ends when everybody who could write has ended
    assert command.returncode == 130
    assert "interrupted (SIGINT), 1 of 3 done" in output
    assert "logs of first_run: /somewhere/logs" in output


# -- what is run


def options_of(*arguments):
    return run._parser().parse_args(list(arguments))


def test_what_is_run_is_the_plain_command_of_distalgo_with_a_free_port(here):
    command = run.command_for(Path("mine.config"), options_of(), Path("/result.json"))
    assert command[:3] == [sys.executable, "-m", "da"]
    assert command[command.index("-p") + 1] == "0"
    assert command[command.index("-i") :] == ["-i", str(here / "mine.config"), "--result-file", "/result.json"]


def test_options_are_passed_on_and_relative_folders_mean_where_the_user_is(here):
    options = options_of("--placement", "processes", "--log-level", "debug", "--log-folder", "mine", "--port", "4711")
    command = run.command_for(Path("mine.config"), options, Path("/result.json"))
    assert command[command.index("-p") + 1] == "4711"
    assert command[-6:] == ["--placement", "processes", "--log-level", "debug", "--log-folder", str(here / "mine")]
