"""Olympus's process is killed while the chain serves: nothing can be replaced any more, and everything else goes on."""

import os
import signal

from whole_runs import passed, pseudorandom, scenario, start

from bcr.verdict.judge import WITHOUT_OLYMPUS

QUICK = {"client_timeout": 100, "head_timeout": 100, "nonhead_timeout": 100, "olympus_timeout": 100, "client_rate": 40}


def kill_olympus(run):
    for client in range(2):
        run.await_line(f"client_{client}", event="accepted")
    os.kill(run.pid_of("olympus"), signal.SIGKILL)


def test_the_chain_serves_on_where_olympus_was_killed_and_ends_with_the_run(tmp_path):
    with start(tmp_path, scenario(*pseudorandom(2, 80), client_rate=40)) as run:
        kill_olympus(run)
        run.status = run.finish()
    assert passed(run)
    assert run.result()["operations"] == 160
    assert run.result()["reasons"] == [WITHOUT_OLYMPUS]
    # They account for themselves when all has been answered, which is long after.
    assert all(run.log(f"replica_{position}-configuration_0")[-1]["event"] == "final_dictionary" for position in range(2))


def test_what_only_a_reconfiguration_could_answer_is_owed_by_nobody_then(tmp_path):
    with start(tmp_path, scenario(*pseudorandom(2, 200), **QUICK)) as run:
        kill_olympus(run)
        os.kill(run.pid_of("replica_1-configuration_0"), signal.SIGKILL)
        run.status = run.finish()
    assert (run.status, run.result()["verdict"]) == (2, "unknown"), run.output
    assert run.result()["reasons"][0] == "no operation answered within 11 s, and Olympus had ended"
