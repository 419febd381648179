"""The DistAlgo command of a run, and a run of a scenario that is given as text."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bcr.scenario import ScenarioError, read_scenario
from bcr_run.supervision import end_with_us
from bcr_runtime.places import IS_CHECKOUT, SOURCES, default_log_base

LIMIT_S = 90.0


def command_for(file: Path, options: argparse.Namespace, result_file: Path) -> list[str]:
    """What is run for a file: the plain DistAlgo command."""
    if (options.placement or _placement_in(file)) == "nodes":
        node = ["-n", "onode"] if options.port is None else ["-n", "onode", "-p", str(options.port)]
    else:
        # A node without a name makes up a cookie of its own, which its children inherit: there is none to read.
        node = ["-H", "localhost", "-p", str(options.port or 0)]
    command = [sys.executable, "-m", "da", "-L", "warning", *node, "RunSystem.da", "-i", str(file.absolute())]
    command += ["--result-file", str(result_file)]
    if options.placement:
        command += ["--placement", options.placement]
    if options.log_level:
        command += ["--log-level", options.log_level]
    # An installed package runs from its own folder, which is no place for logs; each checkout knows its own.
    log_base = options.log_folder if IS_CHECKOUT else options.log_folder or default_log_base()
    if log_base:
        command += ["--log-folder", str(log_base.absolute())]
    return command


def _placement_in(file: Path) -> str | None:
    """Where the scenario places its processes; None where it cannot be read, which RunSystem.da will tell."""
    try:
        return read_scenario(file)[0].placement
    except (ScenarioError, OSError):
        return None


def run_text(text: str, folder: Path, name: str, ending: str = ".config") -> tuple[int, dict[str, Any] | None, float]:
    """Run a scenario given as text; its exit status, -1 for a hang, the result, and the seconds it took."""
    file = folder / f"{name}{ending}"
    file.write_text(text)
    result_file = folder / f"{name}.json"
    options = argparse.Namespace(port=None, placement=None, log_level="human", log_folder=folder / "logs")
    began_s = time.monotonic()
    with open(folder / f"{name}.out", "wb") as output:
        process = subprocess.Popen(
            command_for(file, options, result_file),
            cwd=SOURCES,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_us,  # noqa: PLW1509 - see there
        )
        try:
            status = process.wait(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            status = -1
    result = json.loads(result_file.read_text()) if result_file.exists() else None
    return status, result, time.monotonic() - began_s
