"""Whole scenarios with faults, through the plain command, each to the outcome that its file expects."""

import os
import shutil
import signal

import pytest
from whole_runs import PROJECT, Run, passed, perform, pseudorandom, scenario, start

from bcr.scenario import ScenarioError, read_scenario
from bcr_run.command import run_text
from bcr_tools.atlas_cells import outcome_of, prescribed
from bcr_tools.chain_cells import ATLAS, ChainCell
from bcr_tools.storm import scenario_text

SHORT = {"client_timeout": 400, "head_timeout": 400, "nonhead_timeout": 400, "olympus_timeout": 2000}


def has_faults(path):
    try:
        return bool(read_scenario(path)[0].failures)
    except ScenarioError:
        return False


@pytest.mark.parametrize("file", [path.name for path in sorted((PROJECT / "config").iterdir()) if has_faults(path)])
def test_a_scenario_with_faults_ends_as_its_file_expects(tmp_path, file):
    with Run(tmp_path, f"config/{file}") as run:
        run.status = run.finish()
    assert passed(run)
    assert run.result()["faults_injected"], "the run had none of its faults"


def test_every_injection_is_logged_with_the_text_of_the_file(tmp_path):
    fault = "shuttle(0,1),sleep(5)"
    run = perform(tmp_path, scenario("pseudorandom(1,5)", failures=[f"failures[0,1] = {fault}"]))
    assert passed(run)
    assert [line["fault"] for line in run.log("replica_1-configuration_0") if line["event"] == "fault_injected"] == [fault]
    assert run.result()["faults_injected"] == [{"configuration": 0, "position": 1, "fault": fault}]


def test_a_scenario_without_faults_loads_nothing_byzantine(tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    for file in (PROJECT / "src").glob("*.da"):
        if file.name not in ("Byzantine.da", "Adversary.da", "ByzantineClient.da"):
            shutil.copy(file, source)
    run = perform(tmp_path, scenario("pseudorandom(1,5)"), source=source)
    assert passed(run)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_replica_that_is_killed_while_ten_clients_work_is_replaced(tmp_path, victim):
    with start(tmp_path, scenario(*pseudorandom(10, 60), client_rate=40, **SHORT)) as run:
        run.await_line("client_5", event="accepted", number="5")
        os.kill(run.pid_of(f"replica_{victim}-configuration_0"), signal.SIGKILL)
        run.status = run.finish()
    assert passed(run)
    [reconfiguration] = run.result()["reconfigurations"]
    assert victim not in reconfiguration["quorum"]
    assert run.result()["operations"] == 600


def test_more_than_t_crashes_end_as_unknown_and_not_as_a_hang(tmp_path):
    crashes = ["failures[0,1] = shuttle(0,2),crash()", "failures[0,2] = wedge_request(0),crash()"]
    run = perform(tmp_path, scenario("pseudorandom(1,6)", failures=crashes, **SHORT))
    assert run.status == 2
    assert run.result()["verdict"] == "unknown"
    assert any("fewer than t+1 usable answers" in reason for reason in run.result()["reasons"])


def test_memory_of_the_history_is_cut_at_completed_checkpoints_only(tmp_path):
    run = perform(tmp_path, scenario("pseudorandom(1,40)", checkpt_interval=10))
    assert passed(run)
    for position in range(3):
        log = run.log(f"replica_{position}-configuration_0")
        cuts = {line["slot"]: int(line["history"]) for line in log if line["event"] == "completed_checkpoint"}
        assert list(cuts) == ["9", "19", "29", "39"]
        assert all(length <= 2 for length in cuts.values())  # what came behind the checkpoint while it was completed


@pytest.mark.parametrize("seed", range(8))
def test_random_faults_of_at_most_t_replicas_never_hinder_an_answer(tmp_path, seed):
    status, result, _ = run_text(scenario_text(seed), tmp_path, "storm")
    assert status == 0, (result or {}).get("reasons")


@pytest.mark.parametrize(
    "cell",
    [
        ChainCell(1, "shuttle", "invalid_order_sig()", "middle"),
        ChainCell(1, "wedge_request", "crash()", "head"),
        ChainCell(2, "catch_up", "drop()", "middle"),
    ],
    ids=str,
)
def test_a_cell_of_the_atlas_comes_out_as_prescribed(tmp_path, cell):
    status, result, _ = run_text(cell.scenario(), tmp_path, "cell")
    assert outcome_of(cell, status, result).kind in prescribed(cell, ATLAS.rules())["outcome"]


def test_faults_concern_a_client_that_comes_later_as_any_other(tmp_path):
    muted = "failures[0,2] = after(1),mute_clients(); result_shuttle(1,2),sleep(1)"
    run = perform(tmp_path, scenario(*pseudorandom(2, 6), failures=["client_arrives[1] = 50", muted], **SHORT))
    assert run.status != 1, run.result()["reasons"]
    assert "after(1),mute_clients()" in [each["fault"] for each in run.result()["faults_injected"]]
    withheld = [line for line in run.log("replica_2-configuration_0") if line["event"] == "withheld"]
    assert withheld


def test_who_noticed_what_from_which_message_is_in_the_result(tmp_path):
    fault = "failures[0,0] = shuttle(0,0),drop(); client_request(0,1),change_operation()"
    run = perform(tmp_path, scenario("put('a','1'); get('a')", failures=[fault], **SHORT))
    assert passed(run)
    noticed = {(each["by"], each["configuration"], each["message"], each["blamed"]) for each in run.result()["notices"]}
    assert noticed == {("replica_1", 0, "shuttle", 0), ("olympus", None, "wedged", 0)}
    assert {each["kind"] for each in run.result()["notices"]} == {"ContradictoryOrder"}


def test_a_reconfigured_run_counts_the_results_of_every_configuration_s_tail(tmp_path):
    fault = "failures[0,0] = client_request(0,2),change_operation()"
    run = perform(tmp_path, scenario("pseudorandom(1,6)", failures=[fault], **SHORT))
    assert passed(run)
    assert run.result()["results_by_tail"] == sum(
        len([line for line in log if line.get("message") == "result_message" and line["event"] == "sent"])
        for name, log in run.all_logs().items()
        if name.startswith("replica_2-")
    )


def test_a_scenario_with_harmless_faults_of_all_replicas_has_a_verdict(tmp_path):
    faults = [f"failures[0,{position}] = new_configuration(0),crash(); checkpoint(0),sleep(1)" for position in range(3)]
    run = perform(tmp_path, scenario("pseudorandom(1,6)", failures=faults, checkpt_interval=2))
    assert passed(run)
