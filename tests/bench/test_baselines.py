"""What the system is compared with does the same work: every operation of the load is answered, and measured."""

import contextlib
import os
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest

from bcr_bench import bench
from bcr_bench.baselines import distalgo_raft, pysyncobj_peer
from bcr_bench.plans.plan_files import Point
from bcr_bench.running.points import run_point

SETTINGS = {
    "t": 1, "num_client": 2, "client_window": 3, "batch_limit": 4, "operations_per_request": 2, "operations": 40,
    "value_bytes": 10, "read_percent": 50,
}  # fmt: skip


@pytest.mark.parametrize(
    "system, processes",
    [
        ("bcr", {"client_0", "client_1", "replica_0", "replica_1", "replica_2", "olympus"}),
        ("unreplicated", {"client_0", "client_1", "server"}),
        ("unreplicated-signed", {"client_0", "client_1", "server"}),
        ("pysyncobj-nodes", {"client_0", "client_1", "server_0", "server_1", "server_2"}),
        ("pysyncobj-leader", {"server_0", "server_1", "server_2"}),
    ],
)
def test_a_system_answers_the_whole_load(system, processes):
    found = run_point(Point("test", system, system, SETTINGS))
    assert found.problem == ""
    assert found.operations == 40
    assert found.rate > 0
    assert 0 < found.latency_ms["p50"] <= found.latency_ms["max"]
    assert set(found.cpu_us) == processes


def test_pysyncobj_has_as_many_servers_as_the_faults_take():
    found = run_point(Point("test", "five", "pysyncobj-nodes", SETTINGS | {"t": 2}))
    assert found.problem == ""
    assert {name for name in found.cpu_us if name.startswith("server")} == {f"server_{index}" for index in range(5)}


def test_distalgos_raft_is_measured_until_its_first_client_is_done():
    found = run_point(Point("test", "raft", "raft", SETTINGS | {"num_client": 3, "operations": 60}))
    assert found.problem == ""
    assert 20 <= found.operations <= 58  # at each moment each client has one request outstanding
    assert found.rate > 1 and sum(found.cpu_us.values()) > 0


def test_an_open_loop_of_the_unreplicated_server_takes_as_long_as_its_rate_says():
    found = run_point(Point("test", "open", "unreplicated", SETTINGS | {"client_rate": 40, "operations_per_request": 1}))
    assert found.problem == ""
    assert found.rate < 90  # 80 a second are offered


def test_a_run_that_cannot_be_says_why():
    found = run_point(Point("test", "none", "bcr", SETTINGS | {"client_window": 0}))
    assert "client_window" in found.problem


def test_of_distalgos_raft_that_is_done_with_its_first_answer_there_is_no_rate(monkeypatch):
    @contextlib.contextmanager
    def started(command, folder):
        yield SimpleNamespace(stdout=["Request 1 complete\n"], pid=0, returncode=0)

    monkeypatch.setattr(distalgo_raft, "_started", started)
    assert "measured from its first answer on" in distalgo_raft.run_raft(3, 2, 1).problem


def test_a_run_that_fails_beside_distalgos_raft_ends_the_command_with_1(monkeypatch, capsys):
    monkeypatch.setattr(distalgo_raft, "_run_scenario", lambda file: 1.0)
    monkeypatch.setattr(distalgo_raft, "run_raft", lambda *_: SimpleNamespace(problem="raft ended with status 1"))
    assert bench.main(["raft", "--count", "1"]) == 1
    assert capsys.readouterr().err == "bcr bench raft: raft ended with status 1\n"


def test_a_process_of_pysyncobj_that_ends_is_not_waited_for():
    cluster = pysyncobj_peer._Cluster()
    (ours, theirs), (sentinel, alive) = Pipe(), os.pipe()
    with ours, theirs:
        cluster.pipes["client_0"], cluster.processes["client_0"] = ours, SimpleNamespace(sentinel=sentinel)
        theirs.send("an account")
        assert cluster.accounts(1) == ["an account"]
        os.close(alive)  # as the process does that ends
        with pytest.raises(RuntimeError, match="client_0 has ended"):
            cluster.accounts(1)
    os.close(sentinel)
