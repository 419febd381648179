"""A wheel of the project, installed elsewhere, gives the commands, the protocol and the scenarios, from any directory."""

import json
import zipfile

import pytest
from installing import PROJECT, dependencies, fresh_environment, install, run

__all__ = ["dependencies"]
PLAN = """
times: 1
base: {t: 1, num_client: 1, client_window: 1, batch_limit: 1, operations_per_request: 1, operations: 20, value_bytes: 10,
       read_percent: 50, checkpt_interval: 100, log_level: quiet, client_timeout: 60000, head_timeout: 60000, nonhead_timeout: 60000}
sweeps:
  - {name: few, title: "A few operations", systems: [bcr]}
"""


@pytest.fixture(scope="module")
def bcr(tmp_path_factory, dependencies):
    """Runs `bcr` as a wheel has installed it, in an empty folder."""
    python = fresh_environment(tmp_path_factory, dependencies)
    folder = tmp_path_factory.mktemp("anywhere")
    install(python, str(PROJECT), cwd=folder)
    command = python.with_name("bcr")

    def run_bcr(*arguments):
        done = run(command, *arguments, cwd=folder)
        return done.returncode, done.stdout + done.stderr

    run_bcr.folder = folder
    return run_bcr


def test_a_run_passes_and_leaves_its_logs_where_it_was_started(bcr):
    status, output = bcr("run", "config/tail_change_result.config")
    assert (status, "verdict: pass" in output) == (0, True), output
    [result] = bcr.folder.glob("logs/tail_change_result-*/result.json")
    assert json.loads(result.read_text())["reconfigurations"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["check", "attacks/client_flood.config"], "client_flood"),
        (["sim", "head_change_op.config"], "verdict: pass"),
        (["hunt", "--count", "4", "--jobs", "1"], "4 seeds"),
        (["--version"], "bcr "),
    ],
)
def test_a_command_works(bcr, command, says):
    status, output = bcr(*command)
    assert (status, says in output) == (0, True), output


def test_the_benchmark_measures(bcr):
    (bcr.folder / "plan.yaml").write_text(PLAN)
    status, output = bcr("bench", "run", "--plan", "plan.yaml", "--output", "figures")
    assert status == 0, output
    assert list((bcr.folder / "figures").iterdir())


@pytest.mark.parametrize("command", ["bugs", "lock", "matrix", "reference", "scenarios", "test", "atlas --simulated --docs"])
def test_what_needs_a_checkout_says_so_in_one_line(bcr, command):
    status, output = bcr(*command.split())
    assert (status, output.count("\n")) == (2, 1)
    assert "works in a checkout of the project only" in output


def test_the_wheel_holds_every_file_of_the_protocol_and_every_scenario(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    [wheel] = WheelBuilder(str(PROJECT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    protocol = {f"bcr_runtime/installed/src/{path.name}" for path in (PROJECT / "src").glob("*.da")}
    config = PROJECT / "config"
    scenarios = {f"bcr_runtime/installed/config/{path.relative_to(config)}" for path in config.rglob("*") if path.is_file()}
    assert protocol | scenarios <= names
    assert {name for name in names if name.endswith(".da")} >= protocol
