"""Simulated runs of the real `.da` files: the same from the same seed, right without faults and with them."""

import gc
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bcr.scenario import ScenarioError, read_scenario
from bcr.scenario.reading import parse_scenario
from bcr_runtime.places import PROJECT, SERVICE
from bcr_sim.campaign import run_seeds, run_text, text_of
from bcr_sim.seeds import scenario_text
from bcr_sim.simulated_run import simulate

CONFIG = sorted(path for path in (PROJECT / "config").iterdir() if path.suffix == ".config" and path != SERVICE)
REGRESSIONS = sorted((Path(__file__).parent / "regressions").iterdir())


def readable(path):
    try:
        return read_scenario(path)[0]
    except ScenarioError:
        return None


@pytest.mark.parametrize("path", [path for path in CONFIG if readable(path)], ids=lambda path: path.stem)
def test_a_scenario_of_the_project_comes_out_in_simulation_as_its_file_expects(path):
    outcome = simulate(readable(path))
    assert outcome.breaches == ()
    assert outcome.judgement.status == "pass"


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_broke_does_not_break_again(path):
    assert simulate(read_scenario(path)[0]).breaches == ()


def test_forty_seeds_break_nothing():
    tally = run_seeds(range(40))
    assert [(each.seed, each.breaches) for each in tally.failures] == []
    assert tally.seeds == 40
    assert tally.reconfigurations > 10
    assert tally.operations > 200


@pytest.mark.parametrize("seed", [60003140, 239])
def test_one_seed_is_one_trace_however_slow_the_machine(seed, monkeypatch):
    text = text_of(seed, None)
    quick = run_text(text)
    slow = itertools.count(time.monotonic(), 60)  # a minute passes between two looks at the machine's clock
    monkeypatch.setattr(time, "monotonic", lambda: next(slow))
    assert run_text(text).trace == quick.trace


def test_one_seed_is_one_trace_whatever_the_hash_seed_of_the_interpreter():
    program = "from bcr_sim.campaign import run_text, text_of\nfor s in (2, 16, 239): print(run_text(text_of(s, None)).trace)"
    traces = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        ).stdout.splitlines()[-3:]
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    assert traces[0] == traces[1]
    assert len(set(traces[0])) == 3


def test_a_run_leaves_nothing_that_the_next_one_notices():
    first = run_text(scenario_text(7)).trace
    run_text(scenario_text(8))
    assert run_text(scenario_text(7)).trace == first


def test_another_seed_is_another_schedule():
    base = (PROJECT / "config" / "first_run.config").read_text()
    outcomes = [run_text(text_of(seed, base)) for seed in (1, 2)]
    assert outcomes[0].trace != outcomes[1].trace
    assert outcomes[0].result["results"][0] == outcomes[1].result["results"][0]


def test_a_run_with_real_signatures_is_as_good():
    text = scenario_text(3).rstrip("\n") + "; real_signatures()\n"
    assert run_text(text).breaches == ()


def test_the_logs_of_a_simulated_run_are_those_of_a_real_one(tmp_path):
    simulate(readable(PROJECT / "config" / "head_change_op.config"), folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"olympus.log", "client_0.log", "replica_2-configuration_1.log"}
    assert "ContradictoryOrder" in (tmp_path / "replica_1-configuration_0.log").read_text()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("crash(replica_1,60)", "crash"),
        ("twins(0)", "twins"),
        ("mutate(2,3)", "mutate"),
        ("amnesia(0,80)", "amnesia"),
    ],
)
def test_a_fault_of_the_simulator_strikes_and_is_survived(options, what):
    text = f"t = 1\nnum_client = 1\nworkload[0] = pseudorandom(4,30)\nsimulation = seed(5); delay(500,4000); {options}\n"
    outcome = run_text(text)
    assert outcome.breaches == ()
    assert any(fault["fault"].startswith(what) for fault in outcome.result["faults_injected"])


@pytest.mark.parametrize("options", ["lose(200); until(3000)", "duplicate(300); until(3000)", "cut(replica_0,replica_1,30,400)",
                                     "pause(replica_2,60,300); pause(client_0,70,200)"])  # fmt: skip
def test_what_the_network_does_for_a_while_is_survived(options):
    text = "t = 1\nnum_client = 1\nworkload[0] = pseudorandom(4,20)\nclient_timeout = 200\nhead_timeout = 200\n"
    text += f"nonhead_timeout = 200\nsimulation = seed(5); delay(500,4000); {options}\n"
    outcome = run_text(text, keeps_steps=True)
    assert outcome.breaches == ()
    assert outcome.result["operations"] == 20
    kinds = {step.kind for step in outcome.steps}
    assert outcome.result["words_missed"] == []
    assert "lost" in kinds if "lose" in options or "cut" in options else "lost" not in kinds


def test_more_faults_than_t_may_end_unknown_and_are_no_breach():
    text = "t = 1\nnum_client = 1\nworkload[0] = pseudorandom(4,30)\nsimulation = seed(5); crash(replica_0,60); crash(replica_1,60)\n"
    outcome = run_text(text)
    assert outcome.breaches == ()
    assert outcome.judgement.status == "unknown"


GRACE = """\
t = 1
num_client = 1
head_timeout = 100
nonhead_timeout = 100
client_timeout = 100
olympus_timeout = 1000
wedge_grace = 5000
workload[0] = put('a','b'); put('a','c'); get('a')
failures[0,2] = shuttle(0,1),{failure}
"""


@pytest.mark.parametrize(("failure", "is_known"), [("crash()", True), ("stall()", False)])
def test_olympus_waits_for_no_history_of_a_replica_that_is_known_to_be_gone(failure, is_known):
    outcome = simulate(parse_scenario(GRACE.format(failure=failure), "grace")[0])
    assert outcome.breaches == ()
    [change] = outcome.result["reconfigurations"]
    assert change["quorum"] == (0, 1)
    assert (change["wedged_ms"] < 1_000) == is_known
    order = [change[f"{step}_ms"] for step in ("wedged", "caught_up", "fetched", "active", "first_result")]
    assert order == sorted(order)


def test_what_processes_held_is_gone_with_their_run():
    gc.collect()
    gc.disable()
    try:
        assert not isinstance(run_text(scenario_text(3)), str)
        assert [each for each in gc.get_objects() if type(each).__name__ in ("Ledger", "Shuttle", "RunningState")] == []
    finally:
        gc.enable()
