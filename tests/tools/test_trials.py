"""Trials: `./bcr storm --trials` hits the processes of runs from outside, and judges what came of it."""

import re
import signal
import threading
from collections import Counter
from dataclasses import replace

import psutil
import pytest
from polling import until_within

from bcr_tools import storm, trials
from bcr_tools.trials import TURNS, Trial, TrialResult, perform, trial_of

KINDS = tuple(TURNS)
STOP = Trial(0, "stop", "head", 1, ("replica_0",), signal.SIGSTOP, 1.0)
CLIENT = Trial(0, "crash", "other", 1, ("client_0",), signal.SIGKILL, 1.0)
OLYMPUS = Trial(0, "olympus", "olympus", 1, ("olympus",), signal.SIGKILL, 1.0)
INTERRUPT = Trial(0, "interrupt", "command", 1, (), signal.SIGINT, 1.0)


def test_a_seed_makes_the_same_trial_again():
    assert [trial_of(seed, KINDS) for seed in range(50)] == [trial_of(seed, KINDS) for seed in range(50)]


def test_timers_are_as_long_as_is_asked():
    lines = replace(trial_of(1, KINDS), timeout_ms=900).text.splitlines()
    assert {"client_timeout = 900", "head_timeout = 900", "nonhead_timeout = 900", "olympus_timeout = 2000"} <= set(lines)
    assert "olympus_timeout = 6000" in replace(trial_of(1, KINDS), timeout_ms=3_000).text


def test_two_hundred_trials_stop_each_position_twenty_times_and_hit_at_most_t_replicas():
    made = [trial_of(seed, ("crash", "stop", "interrupt")) for seed in range(200)]
    turns = Counter((each.kind, each.role) for each in made)
    assert turns["interrupt", "command"] == 40
    assert {count for (kind, _), count in turns.items() if kind != "interrupt"} == {20}
    for each in made:
        if each.role in ("head", "middle", "tail"):
            assert 1 <= len(set(each.victims)) <= each.t
            position = int(each.victims[0].removeprefix("replica_"))
            assert each.role == ("head" if position == 0 else "tail" if position == 2 * each.t else "middle")


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        (TrialResult(STOP, 0, "pass", 1, 9.0, 1.0), None),
        (TrialResult(STOP, 0, "pass", 1, 30.0, 10.1), "ended 10.1 s after its verdict"),
        (TrialResult(STOP, 2, "pass", 1, 9.0, 1.0), "verdict pass, status 2, to be pass, 0"),
        (TrialResult(STOP, 2, "unknown", 1, 9.0, 1.0), "verdict unknown, status 2, to be pass, 0"),
        (TrialResult(STOP, None, None, 1, 180.0), "not ended within 180 s"),
        (TrialResult(STOP, 0, "pass", 1, 9.0, 1.0, ["process 7"]), "left behind: process 7"),
        (TrialResult(CLIENT, 2, "unknown", 1, 9.0, 1.0), None),
        (TrialResult(CLIENT, 1, "fail", 1, 9.0, 1.0), "verdict fail, status 1"),
        (TrialResult(CLIENT, 70, None, 1, 9.0, None), "verdict None, status 70"),
        (TrialResult(OLYMPUS, 0, "pass", 1, 9.0, 1.0), None),
        (TrialResult(OLYMPUS, 2, "unknown", 1, 9.0, 1.0), "verdict unknown, status 2, to be pass, 0"),
        (TrialResult(INTERRUPT, 130, None, 1, 9.0, 0.5), None),
        (TrialResult(INTERRUPT, -2, None, 1, 0.1, 0.0), None),
        (TrialResult(INTERRUPT, 0, "pass", 1, 9.0, 0.5), None),
        (TrialResult(INTERRUPT, 0, None, 1, 9.0, 0.5), "verdict None, status 0, to be -2 or 130"),
        (TrialResult(INTERRUPT, 130, None, 1, 9.0, 10.1), "ended 10.1 s after its interrupt"),
        (TrialResult(INTERRUPT, 130, None, 1, 9.0, 0.5, output="Traceback (most recent call last)"), "a traceback at an interrupt"),
    ],
)
def test_a_trial_is_judged_by_its_verdict_its_end_and_what_is_left(account, fault):
    found = account.faults()
    assert fault in found if fault else found == []


@pytest.mark.parametrize(("seed", "outcome"), [(1, "pass"), (6, "pass"), (8, "interrupted"), (16, "pass")])
def test_a_whole_trial_holds(tmp_path, seed, outcome):
    trial = replace(trial_of(seed, KINDS), moment_s=1.5)
    account = perform(trial, tmp_path / "trial")
    assert account.faults() == [], account.output
    assert (account.hit, account.outcome) == (1, outcome)


def test_a_process_that_a_run_leaves_is_found_and_ended(tmp_path, monkeypatch):
    program = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    stock = trials.subprocess.Popen
    monkeypatch.setattr(trials.subprocess, "Popen", lambda command, **more: stock([command[0], "-c", program], **more))
    account = perform(replace(INTERRUPT, moment_s=1.0), tmp_path / "trial")
    assert [each for each in account.faults() if each.startswith("left behind: process ")]


def performing(monkeypatch, result=lambda trial: TrialResult(trial, 0, "pass", 1, 5.0, 0.5)):
    """Let trials come to this, and note which were performed."""
    performed = []

    def perform(trial, folder, is_given_up):
        assert not folder.exists()
        folder.mkdir(parents=True)
        performed.append(trial.seed)
        return result(trial)

    monkeypatch.setattr(trials, "perform", perform)
    return performed


def waiting_late(monkeypatch):
    """Let who waits for the trials have no turn until all have ended."""
    stock = trials.as_completed
    monkeypatch.setattr(trials, "as_completed", lambda running: iter(list(stock(running))))


def test_a_trial_that_has_ended_is_written_and_told_before_the_next_begins(tmp_path, monkeypatch, capsys):
    written, told = [], ""

    def result(trial):
        nonlocal told
        told += capsys.readouterr().out
        written.append((tmp_path / trials.RESULTS).read_bytes().count(b'"verdict":"pass"'))
        assert len(re.findall(r"^\d of 4: seed", told, re.MULTILINE)) == trial.seed
        return TrialResult(trial, 0, "pass", 1, 5.0, 0.5)

    waiting_late(monkeypatch)
    performing(monkeypatch, result)
    assert storm.main(["--trials", "stop", "--jobs", "1", "--count", "4", "--output", str(tmp_path)]) == 0
    assert written == [0, 1, 2, 3]


def test_what_does_not_hold_is_told_with_its_seed(monkeypatch, capsys):
    performing(monkeypatch, lambda trial: TrialResult(trial, 1, "fail", 1, 1.0, 0.0))
    assert storm.main(["--trials", "stop", "--count", "2", "--seed", "5"]) == 1
    printed = capsys.readouterr().out
    assert "seed 5: SIGSTOP to " in printed
    assert "did not hold: seeds 5, 6; one again: --trials stop --count 1" in printed


def test_each_trial_is_told_when_it_is_done_and_not_done_again(tmp_path, monkeypatch, capsys):
    performed = performing(monkeypatch)
    asked = ["--trials", "stop", "--jobs", "1", "--output", str(tmp_path)]
    assert storm.main([*asked, "--seed", "4", "--count", "2"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"2 of 2: seed 5: SIGSTOP to .*: pass, ended 0.5 s after the verdict, 5.0 s in all", printed)
    with open(tmp_path / trials.RESULTS, "ab") as results:
        results.write(b'{"trial": {"seed": 6')  # the power went while this was written
    assert storm.main([*asked, "--seed", "4", "--count", "4"]) == 0
    assert performed == [4, 5, 6, 7]
    printed = capsys.readouterr().out
    assert "2 of 4 trials are done already" in printed
    assert re.search(r"all +4 +4 +4 +0", printed)
    assert storm.main([*asked, "--seed", "4", "--count", "4"]) == 0
    assert performed == [4, 5, 6, 7]


def test_a_folder_of_other_trials_is_refused(tmp_path, monkeypatch, capsys):
    performed = performing(monkeypatch)
    asked = ["--trials", "stop", "--count", "1", "--output", str(tmp_path)]
    assert storm.main(asked) == 0
    with pytest.raises(SystemExit):
        storm.main([*asked, "--timeout", "900"])
    assert "has another trial of this number" in capsys.readouterr().err
    assert performed == [0]


def test_trials_that_are_interrupted_are_told_as_far_as_they_are_and_go_on_later(tmp_path, monkeypatch, capsys):
    def interrupted(trial, folder, is_given_up):
        if trial.seed == 0:
            return TrialResult(trial, 0, "pass", 1, 5.0, 0.5)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # this thread, so that the one that waits is not woken
        until_within(30)(is_given_up)
        raise trials.GivenUp

    waiting_late(monkeypatch)
    monkeypatch.setattr(trials, "perform", interrupted)
    asked = ["--trials", "stop", "--jobs", "1", "--count", "3", "--output", str(tmp_path)]
    assert storm.main(asked) == 130
    told = capsys.readouterr()
    assert re.search(r"all +1 +1 +1 +0", told.out)
    assert "1 of 3 trials are done" in told.err
    performed = performing(monkeypatch)
    assert storm.main(asked) == 0
    assert performed == [1, 2]


def test_an_error_in_one_trial_is_told_before_all_the_others_are_done(tmp_path, monkeypatch):
    begun = []

    def perform_one(trial, folder, is_given_up):
        begun.append(trial.seed)
        if trial.seed == 0:
            raise ZeroDivisionError
        until_within(30)(is_given_up)
        raise trials.GivenUp

    monkeypatch.setattr(trials, "perform", perform_one)
    with pytest.raises(ZeroDivisionError):
        storm.main(["--trials", "stop", "--jobs", "1", "--count", "50", "--output", str(tmp_path)])
    assert begun in ([0], [0, 1])


def test_a_trial_that_is_given_up_leaves_nothing(tmp_path):
    looked, others = [], psutil.Process().children(recursive=True)  # which tests before this one have left

    def is_given_up():
        looked.extend(each for each in psutil.Process().children(recursive=True) if each not in others)
        return len(looked) > 10

    with pytest.raises(trials.GivenUp):
        perform(replace(STOP, victims=("nobody",)), tmp_path / "trial", is_given_up)
    assert not [each for each in looked if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_a_kind_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit):
        storm.main(["--trials", "stop,pause"])
    assert "no trial pause; there are crash, stop, interrupt" in capsys.readouterr().err
