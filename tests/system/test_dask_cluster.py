"""A hunt on a Dask cluster of two hosts, as docs/how-to/simulate-and-hunt.md says."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("distributed", reason="Dask comes with ./bcr test, or with ./bcr hunt --engine dask")
LIMIT_S = 240  # there for a hang
PORT = 8786


@contextlib.contextmanager
def started(*command):
    """A command that runs until the end of the block, and then nothing of it."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_hunt_runs_on_a_scheduler_here_and_a_worker_on_another_host(hosts):
    (here, address), (there, _) = hosts
    scheduler = f"tcp://{address}:{PORT}"
    python = (sys.executable, "-P", "-m")
    with (
        started(*here, *python, "distributed.cli.dask_scheduler", "--host", address, "--port", str(PORT), "--no-dashboard"),
        started(*there, *python, "distributed.cli.dask_worker", scheduler, "--nthreads", "1", "--no-dashboard"),
    ):
        command = [*here, *python, "bcr_tools.cli", "hunt", "--count", "4", "--engine", "dask", "--scheduler", scheduler]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 seeds in" in done.stdout
