"""`run`, `sim` and `check` say the same of a scenario's faults, and their exit statuses mean the same."""

import subprocess
import sys

import pytest
from checkout import LIMIT_S

START = "t = 1\nnum_client = 1\nclient_timeout = 300\nhead_timeout = 300\nnonhead_timeout = 300\nolympus_timeout = 500\n"
TOO_MANY = "replicas 0, 1 of configuration 0 have faults, more than t = 1: once more than t were struck, nothing is promised"


def bcr(*arguments):
    command = [sys.executable, "-P", "-m", "bcr_tools.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.fixture
def scenario(tmp_path):
    def write(lines):
        file = tmp_path / "x.config"
        file.write_text(START + lines)
        return file

    return write


def both(file, tmp_path):
    return bcr("run", file, "--log-folder", tmp_path), bcr("sim", file)


def test_more_than_t_replicas_with_faults_are_said_by_all_before(scenario, tmp_path):
    file = scenario("workload[0] = get('k')\nfailures[0,0] = shuttle(0,9),drop()\nfailures[0,1] = shuttle(0,9),drop()\n")
    ran, simulated = both(file, tmp_path)
    assert f"{file}: {TOO_MANY}" in ran.stderr and f"{file}: {TOO_MANY}" in simulated.stderr
    assert f"  {TOO_MANY}\n" in bcr("check", file).stdout
    assert (ran.returncode, simulated.returncode) == (0, 0)  # none strikes, so all is promised, and kept


def test_a_fault_that_never_strikes_is_said_by_both_behind(scenario, tmp_path):
    file = scenario("workload[0] = get('k')\nfailures[0,1] = shuttle(0,9),drop()\nfailures[1,1] = shuttle(0,0),drop()\n")
    for done in both(file, tmp_path):
        assert done.returncode == 0
        assert [line for line in done.stdout.splitlines() if "never struck" in line] == [
            (
                "  never struck: shuttle(0,9),drop() of replica 1 of configuration 0: "
                "number 9 of these never came, counted from 0; client 0 sent 1 requests"
            ),
            ("  never struck: shuttle(0,0),drop() of replica 1 of configuration 1: configuration 1 never began, the last one was 0"),
        ]


def test_what_is_unknown_ends_both_with_2(scenario, tmp_path):
    file = scenario("workload[0] = get('k')\n" + "".join(f"failures[0,{i}] = client_request(0,0),crash()\n" for i in range(3)))
    for done in both(file, tmp_path):
        assert "verdict: unknown" in done.stdout
        assert done.returncode == 2


def test_what_is_odd_about_a_file_is_said_by_both(scenario, tmp_path):
    file = scenario("workload[0] = get('k)\n")
    for done in both(file, tmp_path):
        assert f"{file}:7:19: warning: a quote is missing behind 'k'" in done.stderr
