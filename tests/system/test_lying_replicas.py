"""What replicas do that send what a correct one would not, for real: that each of these words does what it says."""

import pytest
from whole_runs import lines, passed, perform, pseudorandom, scenario

SHORT = {"client_timeout": 400, "head_timeout": 400, "nonhead_timeout": 400, "olympus_timeout": 2000}
WORK = "put('k','a'); append('k','b'); append('k','c'); get('k')"


def log(run, process, configuration=0):
    return run.log(process if process in ("olympus", "client_0") else f"{process}-configuration_{configuration}")


def test_a_slot_that_was_answered_early_is_forgotten_and_nobody_else_has_it(tmp_path):
    faults = "failures[0,1] = shuttle(0,1),answer_early(1); shuttle(0,1),ask()"
    run = perform(tmp_path, scenario(WORK, failures=[faults], **SHORT))
    assert lines(log(run, "replica_1"), event="sent", message="result_message", slot="1")
    assert lines(log(run, "replica_1"), event="immutable", slots="1", history="1")
    assert not lines(log(run, "replica_2"), event="received", message="shuttle", slot="1")
    assert {fault["fault"] for fault in run.result()["faults_injected"]} == {
        "shuttle(0,1),answer_early(1)", "shuttle(0,1),ask()"
    }  # fmt: skip


def test_a_catch_up_is_replayed_by_the_clock_and_a_liar_that_outlives_its_end_does_not_outlive_the_run(tmp_path):
    faults = "failures[0,1] = shuttle(0,1),ask(); wedge_request(0),replay_catch_up(50); wedge_request(0),answer_early(1000)"
    run = perform(tmp_path, scenario("pseudorandom(1,400)", failures=[faults], client_rate=200, **SHORT))
    assert len(lines(log(run, "replica_1"), event="passed_on", message="catch_up")) == 50
    assert passed(run)


@pytest.mark.parametrize("kind", ["wedge_request", "configuration"])
def test_an_old_message_comes_again_from_another_process_than_the_one_that_got_it(tmp_path, kind):
    faults = ["failures[0,1] = shuttle(0,1),ask()", f"failures[1,1] = shuttle(0,0),replay_old({kind})"]
    run = perform(tmp_path, scenario("pseudorandom(1,20)", failures=faults, **SHORT))
    assert lines(log(run, "replica_1", 1), event="replayed", message=kind, messages="1")
    assert run.result()["operations"] == 20
    assert len(run.result()["reconfigurations"]) == 1


def test_the_first_piece_of_a_history_comes_in_anothers_name(tmp_path):
    faults = "failures[0,1] = shuttle(0,1),ask(); wedge_request(0),impersonate(0)"
    run = perform(tmp_path, scenario(*pseudorandom(1, 20), failures=[faults], **SHORT))
    assert lines(log(run, "replica_1"), event="impersonated", position="0")
    assert passed(run)


def test_macs_convince_all_replicas_and_no_client(tmp_path):
    faults = "failures[0,2] = reconfiguration(0),useless_macs()"
    run = perform(tmp_path, scenario(WORK, failures=[faults], authentication="hmac", **SHORT))
    assert lines(log(run, "replica_0"), event="received", message="result_shuttle", slot="0")
    assert {notice["by"] for notice in run.result()["notices"]} == {"client_0"}
