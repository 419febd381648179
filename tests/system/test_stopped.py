"""A replica that stands still, as seen by everybody else: it takes connections and answers nothing."""

import os
import signal

import pytest
from whole_runs import passed, pseudorandom, scenario, start

# The limits that a scenario has where it says nothing.
DEFAULTS = {"client_timeout": 3_000, "head_timeout": 3_000, "nonhead_timeout": 3_000, "olympus_timeout": 5_000}
TIMERS_S = 3 + 3 + 5  # of the client, then of the replicas, then Olympus's for whoever does not answer


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_replica_that_is_stopped_is_replaced_within_the_timers(tmp_path, victim):
    with start(tmp_path, scenario(*pseudorandom(2, 100), client_rate=40, **DEFAULTS)) as run:
        run.await_line("client_1", event="accepted", number="5")
        os.kill(run.pid_of(f"replica_{victim}-configuration_0"), signal.SIGSTOP)
        run.status = run.finish()
    assert passed(run)
    [reconfiguration] = run.result()["reconfigurations"]
    assert victim not in reconfiguration["quorum"]
    assert run.result()["operations"] == 200
    assert run.result()["elapsed_s"] < 2 * TIMERS_S
