"""A run placed on nodes that the user starts: on one host, and on two that are network namespaces joined by veth."""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import time

import da  # noqa: F401 - before the modules of the layer
import psutil
import pytest
from nodes import LIMIT_S, Node, free_port
from whole_runs import PROJECT, scenario

from bcr.verdict.judge import WITHOUT_OLYMPUS
from dacurrent.lifetime import END_LIMIT_S
from dacurrent.links import CONNECT_LIMIT_S
from dacurrent.sockets import SILENCE_LIMIT_S

FIVE = ("replica_0", "replica_1", "replica_2", "client_0", "onode")
EXPECTED = ("expect[results,0] = 'OK'; 'OK'; 'star wars'", "expect[reconfigurations] = 0")
WORKLOAD = "put('movie','star'); append('movie',' wars'); get('movie')"


@pytest.fixture
def run(tmp_path):
    """Starts a run's nodes, in the order of `places`: name -> the options before RunSystem.da, and a prefix."""
    started = []
    file = tmp_path / "scenario.config"
    file.write_text(scenario(WORKLOAD, failures=EXPECTED))

    def one(name, *options, prefix=(), limit_s=60, file=file):
        behind = ["RunSystem.da"]
        if name == "onode":
            behind += ["-i", file, "--placement", "nodes", "--node-limit", limit_s]
            behind += ["--log-folder", tmp_path / "logs", "--result-file", tmp_path / "result.json"]
        kind = () if name == "onode" else ("-D",)
        started.append(Node(tmp_path, "-n", name, *options, *kind, *behind, cwd=PROJECT / "src", prefix=prefix))
        return started[-1]

    yield one
    for node in started:
        node.kill()


def result(folder):
    return json.loads((folder / "result.json").read_text())


def await_text(text, folder, pattern):
    """Wait until a file of that pattern in the folder has the text."""
    deadline = time.monotonic() + LIMIT_S
    while not any(text in file.read_text() for file in folder.glob(pattern)):
        assert time.monotonic() < deadline, f"no {text} in {pattern}"
        time.sleep(0.01)


def assert_all_passed(nodes, folder):
    for name, node in nodes.items():
        assert node.end() == 0, (name, node.output)
    assert result(folder)["verdict"] == "pass"
    assert result(folder)["settings"]["placement"] == "nodes"


@pytest.mark.parametrize("order", [FIVE, FIVE[::-1], (*FIVE[1::2], *FIVE[::2])], ids=" ".join)
def test_five_nodes_on_one_host_in_any_order_make_a_run_and_end_with_it(run, tmp_path, order):
    master = ("-H", "localhost", "--default-master-port", free_port())
    assert_all_passed({name: run(name, *master) for name in order}, tmp_path)


def test_replicas_on_nodes_have_their_faults(run, tmp_path):
    master = ("-H", "localhost", "--default-master-port", free_port())
    file = tmp_path / "faulty.config"
    expected = ("failures[0,1] = shuttle(0,1), change_operation()", "expect[reconfigurations] = 1", EXPECTED[0])
    file.write_text(scenario(WORKLOAD, failures=expected, client_timeout=300, head_timeout=300, nonhead_timeout=300))
    assert_all_passed({name: run(name, *master, file=file) for name in FIVE}, tmp_path)
    assert [each["position"] for each in result(tmp_path)["faults_injected"]] == [1]


def test_clients_on_nodes_have_their_faults_and_nothing_is_owed_to_them(run, tmp_path):
    master = ("-H", "localhost", "--default-master-port", free_port())
    file = tmp_path / "faulty.config"
    file.write_text(
        scenario(WORKLOAD, "pseudorandom(1,1000000)", failures=("client_failures[1] = reconfiguration(0),flood(20)", EXPECTED[0]))
    )
    assert_all_passed({name: run(name, *master, file=file) for name in (*FIVE, "client_1")}, tmp_path)
    assert result(tmp_path)["faults_injected"] == [{"client": 1, "fault": "reconfiguration(0),flood(20)"}]


def test_nodes_that_do_not_come_are_named_and_the_others_end_with_the_run(run, tmp_path):
    master = ("-H", "localhost", "--default-master-port", free_port())
    nodes = {name: run(name, *master) for name in ("replica_0", "client_0")}
    for node in nodes.values():
        node.await_line("Running iteration")
    onode = run("onode", *master, limit_s=2)
    assert onode.end() == 2
    assert "no node replica_1, replica_2 within 2 s" in " ".join(result(tmp_path)["reasons"])
    for name, node in nodes.items():
        assert node.end() == 0, (name, node.output)


def test_replicas_on_nodes_serve_on_where_olympus_was_killed(run, tmp_path):
    master = ("-H", "localhost", "--default-master-port", free_port())
    file = tmp_path / "killed.config"
    file.write_text(scenario("pseudorandom(1,80)", client_rate=20))
    nodes = {name: run(name, *master, file=file) for name in FIVE}
    await_text("event=accepted", tmp_path, "logs/*/client_0.log")
    [log] = tmp_path.glob("logs/*/olympus.log")
    os.kill(int(re.search(r"\bpid=(\d+)", log.read_text())[1]), signal.SIGKILL)
    assert_all_passed(nodes, tmp_path)
    assert result(tmp_path)["reasons"] == [WITHOUT_OLYMPUS]


# -- two hosts


def test_two_hosts_with_the_options_of_the_readme_make_a_run(run, tmp_path, hosts):
    (here, master), (there, other) = hosts
    secret = ("--cookie", "a secret of theirs")
    nodes = {"onode": run("onode", "-H", master, *secret, prefix=here)}
    for name, (prefix, address) in zip(FIVE[:4], itertools.cycle([(there, other), (here, master)]), strict=False):
        nodes[name] = run(name, "-H", address, "-R", master, *secret, prefix=prefix)
    assert_all_passed(nodes, tmp_path)


def test_nodes_that_are_cut_off_end_by_themselves_and_their_processes_with_them(run, tmp_path, hosts):
    (here, master), (there, other) = hosts
    secret = ("--cookie", "a secret of theirs")
    file = tmp_path / "long.config"
    file.write_text(scenario("pseudorandom(1,5000)", client_rate=20))
    onode = run("onode", "-H", master, *secret, prefix=here, file=file)
    far = {name: run(name, "-H", other, "-R", master, *secret, prefix=there) for name in FIVE[:4]}
    log = tmp_path / "logs"
    while not any("event=accepted" in each.read_text() for each in log.glob("*/client_0.log")):
        assert onode.process.poll() is None, onode.output
    # Each host sends to a card that is not there: nothing arrives, and nothing says so.
    for (prefix, _), to in zip(hosts, (other, master), strict=True):
        card = ("lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", "veth0")
        subprocess.run(["ip", "-n", prefix[-1], "neigh", "replace", to, *card], check=True, capture_output=True)
    for name, node in far.items():
        node.process.wait(SILENCE_LIMIT_S + CONNECT_LIMIT_S + END_LIMIT_S + LIMIT_S)
        assert processes_of(node) == [], name
    assert onode.process.poll() is None


def processes_of(node):
    """What is left of a node's group."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(each.pid) == node.process.pid and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found
