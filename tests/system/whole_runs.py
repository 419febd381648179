"""Whole runs of the system through the plain DistAlgo command, each with its logs in a folder of its own."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bcr.evidence.evidence_files import unpacked_record

PROJECT = Path(__file__).resolve().parents[2]
LIMIT_S = 120  # there for a hang; nothing is measured
POLL_S = 0.01

# Longer than any run here takes: what is not to expire does not, on a busy machine either.
PATIENT = {"client_timeout": 60_000, "head_timeout": 60_000, "nonhead_timeout": 60_000}


def scenario(*workloads, t=1, failures=(), **keys):
    """The text of a scenario file: a workload a client, as the file has it, and further keys."""
    lines = ["test_case_name = whole_run", f"t = {t}", f"num_client = {len(workloads)}"]
    lines += [f"{name} = {value}" for name, value in (PATIENT | keys).items()]
    lines += [f"workload[{client}] = {workload}" for client, workload in enumerate(workloads)]
    return "\n".join([*lines, *failures]) + "\n"


def on_disk(*workloads, **keys):
    """The text of a scenario whose processes have disks; what is to expire does so soon."""
    quick = {"client_timeout": 600, "head_timeout": 600, "nonhead_timeout": 600, "olympus_timeout": 2_000}
    return scenario(*workloads, durable="on", **(quick | keys))


def pseudorandom(clients, operations):
    """A pseudorandom workload for each client."""
    return [f"pseudorandom({client},{operations})" for client in range(clients)]


class Run:
    """A run that is under way; `with` ends whatever is left of it.

    All its processes are in one group, whose number is the process id of the first.
    """

    def __init__(self, folder, file, *options, da_options=(), source=PROJECT / "src", before=()):
        self.folder = folder
        self.logs = folder / "logs"
        self.output_file = folder / "output"
        self.result_file = folder / "result.json"
        node = ["-L", "warning", *da_options, "-n", "onode", "-M", "-p", "0", "-H", "localhost"]
        command = [*before, sys.executable, "-m", "da", *node, "RunSystem.da", "-i", str(file)]
        command += ["--log-folder", str(self.logs), "--result-file", str(self.result_file), *options]
        with open(self.output_file, "w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=source,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def output(self):
        return self.output_file.read_text()

    def log(self, name):
        """The lines of a process's log, each as a dictionary; none while there is no log."""
        return [values_of(line) for file in self.logs.glob(f"*/{name}.log") for line in complete_lines(file)]

    def all_logs(self):
        return {file.stem: [values_of(line) for line in complete_lines(file)] for file in self.logs.glob("*/*.log")}

    def await_line(self, name, **values):
        """Wait until a process has logged a line with these values, and return it."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            found = [line for line in self.log(name) if line.items() >= values.items()]
            if found:
                return found[0]
            assert self.process.poll() is None, f"ended before {name} logged {values}:\n{self.output}"
            time.sleep(POLL_S)
        raise AssertionError(f"{name} has not logged {values}")

    def pid_of(self, name):
        """The process id that a process gives in its log."""
        return int(self.await_line(name, event="settings")["pid"])

    def finish(self):
        """Wait for the end; returns the exit status. Nothing of the run may be left then."""
        status = self.process.wait(LIMIT_S)
        assert self.processes_left() == []
        return status

    def processes_left(self):
        """What is still there of the run's group."""
        left = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    left.append(process)
        return left

    def result(self):
        return json.loads(self.result_file.read_text())

    def record(self):
        [file] = self.logs.glob("*/record.msgpack")
        return unpacked_record(file.read_bytes())


def start(folder, text, *options, **more):
    """Start a run of a scenario given as text."""
    file = folder / "scenario.config"
    file.write_text(text)
    return Run(folder, file, *options, **more)


def perform(folder, text, *options, **more):
    """A run from start to end, as `Run`; its exit status is `status`."""
    with start(folder, text, *options, **more) as run:
        run.status = run.finish()
    return run


def passed(run):
    """Whether the run passed; where not, the assertion shows what it said."""
    assert run.status == 0, run.output
    assert run.result()["verdict"] == "pass", run.result()["reasons"]
    return True


def complete_lines(file):
    return file.read_text().splitlines(keepends=True) if file.exists() else []


def values_of(line):
    """The values of a line of a log by name; a line that is still being written has none."""
    if not line.endswith("\n"):
        return {}
    parts = (part.partition("=") for part in shlex.split(line))
    return {name: value for name, equals, value in parts if equals and re.fullmatch(r"\w+", name)}


def lines(log, **values):
    """The lines of a log that have these values."""
    return [line for line in log if line.items() >= values.items()]
