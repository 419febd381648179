"""The exit status of the plain command: 0 pass, 1 fail, 2 unknown or bad input; and nothing is ever left behind."""

import os
import signal

import pytest
from whole_runs import PROJECT, Run, passed, perform, pseudorandom, scenario, start


def test_a_run_that_passes_ends_with_status_0(tmp_path):
    assert passed(perform(tmp_path, scenario("put('a','b'); get('a')")))


def test_a_run_that_does_not_show_what_it_must_ends_with_status_1(tmp_path):
    run = perform(tmp_path, scenario("put('a','b'); get('a')", **{"expect[results,0]": "'OK'; 'c'"}))
    assert run.status == 1
    assert run.result()["verdict"] == "fail"
    [reason] = run.result()["reasons"]
    assert "'OK'; 'c'" in reason and "['OK', 'b']" in reason
    assert reason in run.output


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["-i", "config/published_example.config"], ["published_example.config", "omit_send"]),
        (["-i", "no_such_file.config"], ["no_such_file.config", "config"]),
        (["-i", "config/first_run.config", "--placement", "moon"], ["moon", "processes", "nodes"]),
        (["-i", "config/first_run.config", "--no-such-option"], ["--no-such-option"]),
    ],
)
def test_bad_input_is_refused_with_status_2_and_nothing_is_started(tmp_path, arguments, words):
    with Run(tmp_path, arguments[1], *arguments[2:]) as run:
        assert run.finish() == 2
    assert all(word in run.output for word in words), run.output
    assert "Traceback" not in run.output
    assert not run.logs.exists()
    assert not run.result_file.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--result-file", "/nowhere/at/all.json"), "there is no folder /nowhere/at"),
        (("--log-folder", "/dev/null/logs"), "choose another folder with --log-folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_starts(tmp_path, options, words):
    run = perform(tmp_path, scenario("get('a')"), *options)
    assert run.status == 2
    assert words in run.output


def test_a_run_that_cannot_be_concluded_ends_and_says_why(tmp_path):
    with start(tmp_path, scenario("pseudorandom(1,200)")) as run:
        run.await_line("client_0", event="accepted")
        [folder] = run.logs.iterdir()
        (folder / "result.json").mkdir()
        assert run.finish() == 2
    assert "result.json cannot be written: Is a directory" in run.output
    assert "Traceback" not in run.output


def test_the_published_example_is_in_the_project_as_its_author_wrote_it():
    text = (PROJECT / "config" / "published_example.config").read_text()
    assert "put('jedi,'luke skywalker')" in text and "omit_send()" in text


LONG = scenario(*pseudorandom(2, 4_000))


def test_a_run_whose_client_is_killed_ends_as_unknown_when_the_others_are_done(tmp_path):
    patient = dict.fromkeys(("client_timeout", "head_timeout", "nonhead_timeout", "olympus_timeout"), 60_000)
    with start(tmp_path, scenario("pseudorandom(1,20)", "pseudorandom(2,4000)", **patient)) as run:
        run.await_line("client_1", event="accepted")
        os.kill(run.pid_of("client_1"), signal.SIGKILL)
        assert run.finish() == 2
    result = run.result()
    assert result["verdict"] == "unknown"
    assert result["reasons"][0] == "the process of client 1 has ended"
    assert any("client 1: 0 of 4000 requests answered" in reason for reason in result["reasons"])


def test_a_run_whose_replicas_are_killed_beyond_t_ends_as_unknown(tmp_path):
    short = {"client_timeout": 300, "head_timeout": 300, "nonhead_timeout": 300, "olympus_timeout": 500}
    with start(tmp_path, scenario(*pseudorandom(2, 4_000), **short)) as run:
        run.await_line("client_1", event="accepted")
        for position in (0, 2):
            os.kill(run.pid_of(f"replica_{position}-configuration_0"), signal.SIGKILL)
        assert run.finish() == 2
    result = run.result()
    assert result["verdict"] == "unknown"
    assert result["operations"] > 0
    assert any("reconfiguration" in reason for reason in result["reasons"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process(tmp_path, number):
    with start(tmp_path, LONG) as run:
        run.await_line("client_1", event="accepted")
        os.kill(run.process.pid, number)
        assert run.finish() == 128 + number
    assert "ERROR" not in run.output
