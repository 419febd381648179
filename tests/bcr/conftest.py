"""What the tests of the pure core share: chains in memory, and the record of one real run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from memory_chain import make_configuration, three_slots

from bcr.evidence.evidence_files import unpacked_record
from bcr.scenario import parse_scenario

PROJECT = Path(__file__).resolve().parents[2]
RUN_LIMIT_S = 120  # there for a hang; nothing is measured

SCENARIO = """\
test_case_name = recorded
t = 1
num_client = 2
checkpt_interval = 4
workload[0] = put('movie','star'); append('movie',' wars'); get('movie'); slice('movie','0:4'); get('movie')
workload[1] = pseudorandom(3,12)
"""


@pytest.fixture
def configuration():
    """t = 1, two clients, number 0."""
    return make_configuration()


@pytest.fixture
def chain():
    return three_slots()


@pytest.fixture(scope="session")
def recorded_run(tmp_path_factory):
    """The record of one real run of the whole system, and its workloads by request."""
    folder = tmp_path_factory.mktemp("recorded")
    file = folder / "recorded.config"
    file.write_text(SCENARIO)
    node = ["-L", "warning", "-n", "onode", "-M", "-p", "0", "-H", "localhost"]
    command = [sys.executable, "-m", "da", *node, "RunSystem.da", "-i", str(file), "--log-folder", str(folder / "logs")]
    output = folder / "output"
    with open(output, "w") as stream:
        run = subprocess.run(
            [*command, "--result-file", str(folder / "result.json")],
            cwd=PROJECT / "src",
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            timeout=RUN_LIMIT_S,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            check=False,
        )
    assert run.returncode == 0, output.read_text()
    [record] = (folder / "logs").glob("*/record.msgpack")
    scenario, _ = parse_scenario(SCENARIO, "recorded.config")
    return unpacked_record(record.read_bytes()), [[(each,) for each in mine] for mine in scenario.workloads]
