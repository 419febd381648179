"""Processes of real runs that are killed and begin again, and runs that go on with what an earlier one has left."""

import contextlib
import os
import signal

from whole_runs import lines, on_disk, passed, perform, pseudorandom, start

from bcr.chain.history import CatchUp, HistoryEntry
from bcr.objects.operation import Operation
from bcr.signed.signing import Signed, SigningKey
from bcr.signed.statements import Request
from bcr.stable.chain import DiskOwner, Stable
from bcr_disk.folders import claim
from bcr_disk.sqlite import SqliteDisk
from bcr_tools.recovering import main as recover


def test_olympus_is_killed_twice_and_everything_is_answered(tmp_path):
    with start(tmp_path, on_disk(*pseudorandom(2, 160), client_rate=40, client_window=2)) as run:
        run.await_line("replica_0-configuration_0", event="sent", message="shuttle")
        os.kill(run.pid_of("olympus"), signal.SIGKILL)
        run.await_line("olympus", event="resumed", configuration="0")
        run.await_line("replica_0-configuration_1", event="sent", message="shuttle")
        os.kill(last_pid(run), signal.SIGKILL)
        run.status = run.finish()
    assert passed(run)
    assert {each["reason"] for each in run.result()["reconfigurations"]} == {"it began again"}


def test_the_replicas_of_a_new_configuration_that_all_end_before_they_are_active_begin_again(tmp_path, monkeypatch):
    # Its state takes them so long to write that they are hit before they can say that they are ready.
    monkeypatch.setenv("BCR_ADDED_SYNC_MS", "200")
    with start(tmp_path, on_disk("pseudorandom(1,8)", failures=["failures[0,1] = shuttle(0,1),crash()"])) as run:
        run.await_line("olympus", event="issued", configuration="1")
        for position in range(3):
            os.kill(run.pid_of(f"replica_{position}-configuration_1"), signal.SIGKILL)
        run.status = run.finish()
    assert passed(run)
    begun_again = {line["position"] for line in lines(run.log("olympus"), event="begun_again", configuration="1")}
    assert begun_again == {"0", "1", "2"}


def answered(run):
    return sum(1 for line in run.log("client_0") if line.get("event") == "accepted")


def test_while_olympus_is_away_the_chain_goes_on_serving_and_is_replaced_when_it_is_back(tmp_path):
    with start(tmp_path, on_disk(*pseudorandom(1, 200), client_rate=40, client_window=2)) as run:
        run.await_line("client_0", event="accepted")
        os.kill(run.process.pid, signal.SIGSTOP)  # so that nobody makes another one
        os.kill(run.pid_of("olympus"), signal.SIGKILL)
        before = answered(run)
        run.await_line("client_0", event="accepted", number=str(before + 60))  # for longer than it takes orphans to notice
        os.kill(run.process.pid, signal.SIGCONT)
        run.await_line("olympus", event="resumed", configuration="0")
        run.status = run.finish()
    assert passed(run)
    assert len(run.result()["reconfigurations"]) == 1


def last_pid(run):
    """The process id that Olympus gave when it last began."""
    return int([line["pid"] for line in run.log("olympus") if line.get("event") == "settings"][-1])


def test_a_run_goes_on_with_what_an_earlier_one_has_left(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    data = {"data": "../data"}
    run = perform(first, on_disk("put('movie','star'); append('movie',' wars')", **data))
    assert passed(run)
    expected = ["expect[results,0] = 'star wars'; 'OK'; 'star wars!'"]
    again = perform(second, on_disk("get('movie'); append('movie','!'); get('movie')", failures=expected, **data))
    assert passed(again)
    assert [each.statement.number for each in again.record().configurations] == [0, 1]


def test_a_run_goes_on_when_the_disk_of_olympus_was_lost_and_made_anew(tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    run = perform(first, on_disk("put('movie','star'); append('movie',' wars')", data="../data"))
    assert passed(run)
    for file in (tmp_path / "data").glob("olympus.*"):
        file.unlink()
    text = on_disk("get('movie')", data="../data", failures=["expect[results,0] = 'star wars'"])
    refused = perform(second, text)
    assert refused.status == 2
    assert "no olympus.sqlite: the disk of Olympus is lost" in refused.output
    assert recover(["recover", str(second / "scenario.config"), "--was", run.record().olympus_key.hex()]) == 0
    assert "replicas 0, 1, 2 hold the same, signed by the lost key" in capsys.readouterr().out
    again = perform(second, text)
    assert passed(again)
    assert [each.statement.number for each in again.record().configurations] == [0, 1001]


def test_a_run_goes_on_from_what_the_olympus_whose_disk_was_lost_had_caught_replicas_up_with(tmp_path, capsys):
    """As if it had vouched for the last request, which only a replica had ordered whose disk is lost too."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert passed(perform(first, on_disk("put('movie','star')", data="../data")))
    request = Signed.sign(Request(0, 1, (Operation("append", "movie", " wars"),)), 0, SigningKey(bytes(32)))
    with contextlib.closing(SqliteDisk(tmp_path / "data" / "replica_2-configuration_0.sqlite", "replica_2")) as disk:
        stable = Stable(disk, DiskOwner(0, 2, bytes(32)))
        stable.catches_up(Signed.sign(CatchUp(0, 1, 2, (HistoryEntry(1, (request,), ()),)), 0, SigningKey(bytes(32))))
        stable.sync()
    for lost in ("olympus", "replica_0-configuration_0"):
        for file in (tmp_path / "data").glob(f"{lost}.*"):
            file.unlink()
    text = on_disk("get('movie')", data="../data", failures=["expect[results,0] = 'star wars'"])
    (second / "scenario.config").write_text(text)
    assert recover(["recover", str(second / "scenario.config")]) == 0
    assert "configuration 0 was being replaced" in capsys.readouterr().out
    assert passed(perform(second, text))


def test_a_folder_that_is_in_use_is_refused_before_anything_starts(tmp_path):
    claim(tmp_path / "data", "bcr run another")
    run = perform(tmp_path, on_disk("get('movie')", data="data"))
    assert run.status == 2
    assert f"data is in use by bcr run another, process {os.getpid()}" in run.output
    assert list(run.logs.glob("*/olympus.log")) == []
