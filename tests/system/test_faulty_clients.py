"""Clients that misbehave, for real: the others are served, and the run is over when they are."""

import pytest
from whole_runs import lines, passed, perform, scenario

WORK = "put('k','a'); append('k','b'); get('k')"
SHORT = {"client_timeout": 400, "head_timeout": 400, "nonhead_timeout": 400, "olympus_timeout": 2000}
KINDS = ("garbage(3)", "flood(200)", "stale_pairs(3)", "double(3)", "future()", "accuse_falsely(4)", "forge(shuttle)",
         "accuse_early()")  # fmt: skip


@pytest.mark.parametrize("authentication", ["ed25519", "hmac"])
def test_a_run_is_over_when_the_correct_clients_are_done_whatever_another_does(tmp_path, authentication):
    failures = [f"reconfiguration(0),{failure}" for failure in KINDS]
    failures += ["after(1),flood(10)"] + ["reconfiguration(0),uneven_macs()"] * (authentication == "hmac")
    faults = f"client_failures[1] = {'; '.join(failures)}"
    keys = SHORT | {"authentication": authentication, "client_window": 3}
    run = perform(tmp_path, scenario(WORK, "pseudorandom(1,100000)", failures=[faults, "expect[results,0] = 'OK'; 'OK'; 'ab'"], **keys))
    assert passed(run)
    struck = [fault["fault"] for fault in run.result()["faults_injected"]]
    assert struck[: len(KINDS)] == failures[: len(KINDS)]
    assert {fault.get("client") for fault in run.result()["faults_injected"]} == {1}
    assert lines(run.log("client_1"), event="fault_injected", fault="reconfiguration(0),future()")
    assert not lines(run.log("client_0"), event="fault_injected")
