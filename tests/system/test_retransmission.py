"""Requests that are sent again: answered from caches, executed once, and the log names the case (specification, 4)."""

import os
import signal

from whole_runs import lines, passed, perform, pseudorandom, scenario, start


def cases(run):
    """The retransmission cases that replicas have logged."""
    return {line["case"] for log in run.all_logs().values() for line in lines(log, event="case")}


def executed_once(run):
    """Whether no replica has executed a request twice: a second execution would show in the slots."""
    for name, log in run.all_logs().items():
        requests = [request for line in lines(log, event="executed") for request in line["requests"].split(",")]
        assert len(requests) == len(set(requests)), name
    return True


def test_a_tiny_client_timeout_brings_results_from_the_caches_and_executes_nothing_twice(tmp_path):
    workload = "put('n',''); " + "append('n','1'); " * 15 + "get('n')"
    run = perform(tmp_path, scenario(workload, *pseudorandom(2, 25), client_timeout=1))
    assert passed(run)
    result = run.result()
    assert result["retransmissions"] > 0
    assert result["results"][0][-1] == "1" * 15
    assert result["reconfigurations"] == []
    assert executed_once(run)
    assert cases(run) >= {"new", "forward", "in_progress", "cached"}


def test_a_tail_that_answers_late_brings_results_from_the_caches(tmp_path):
    workload = "put('k','a'); " + "append('k','b'); " * 30 + "get('k')"
    with start(tmp_path, scenario(workload, client_timeout=300, client_rate=20)) as run:
        tail = run.pid_of("replica_2-configuration_0")
        run.await_line("replica_2-configuration_0", event="executed")
        os.kill(tail, signal.SIGSTOP)
        # The timers of the others run only now, so they cannot have been stopped by an answer of the tail.
        run.await_line("replica_0-configuration_0", event="case", case="in_progress")
        run.await_line("replica_1-configuration_0", event="case", case="forward")
        os.kill(tail, signal.SIGCONT)
        run.status = run.finish()
    assert passed(run)
    result = run.result()
    assert result["retransmissions"] > 0
    assert result["results"][0][-1] == "a" + "b" * 30
    assert result["reconfigurations"] == []
    assert executed_once(run)
    # Those who watched the request answer it from what the result shuttle brought.
    assert {"answered_in_time", "in_progress", "forward"} <= cases(run)


def test_a_tail_that_stands_still_makes_the_others_timers_expire_and_is_replaced(tmp_path):
    keys = {"client_timeout": 300, "head_timeout": 300, "nonhead_timeout": 300, "client_rate": 20}
    with start(tmp_path, scenario("put('k','a'); " + "append('k','b'); " * 30 + "get('k')", **keys)) as run:
        run.await_line("replica_2-configuration_0", event="executed")
        os.kill(run.pid_of("replica_2-configuration_0"), signal.SIGSTOP)
        requested = run.await_line("olympus", event="reconfiguration_requested")
        run.status = run.finish()
    assert passed(run)
    assert requested["by"] in {"replica_0", "replica_1"}  # whichever waits first
    assert [line for line in run.log(f"{requested['by']}-configuration_0") if line.get("event") == "timer_expired"]
    assert requested["reason"].startswith("no result ")  # of a request, or of a slot
    result = run.result()
    assert [each["from"] for each in result["reconfigurations"]] == [0]
    assert result["results"][0][-1] == "a" + "b" * 30


def test_a_head_that_is_killed_is_replaced_and_the_run_passes(tmp_path):
    keys = {"client_timeout": 300, "head_timeout": 300, "nonhead_timeout": 300, "client_rate": 20}
    with start(tmp_path, scenario("put('k','a'); " + "append('k','b'); " * 30 + "get('k')", **keys)) as run:
        run.await_line("replica_0-configuration_0", event="executed")
        os.kill(run.pid_of("replica_0-configuration_0"), signal.SIGKILL)
        run.status = run.finish()
    assert passed(run)
    assert run.result()["results"][0][-1] == "a" + "b" * 30
    assert run.result()["retransmissions"] > 0
