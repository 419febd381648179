"""Runs scenario files as a user would by hand, one after the other, and sums up."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bcr.scenario.diagnostics import nearest
from bcr_runtime.journal import LEVELS
from bcr_runtime.processes import PROJECT

DEFAULT_SCENARIO = "first_run.config"
TIME_LIMIT_S = 1_800.0
END_LIMIT_S = 10.0


class ScenarioNotFound(Exception):
    """No scenario file of this name; the text says where it was looked for, and what there is."""


def find_scenario(name: str) -> Path:
    """The scenario file of this name: as seen from the current directory, from `..`, from the project or its `config`.

    Raises ScenarioNotFound.
    """
    folders = [Path.cwd(), Path.cwd().parent, PROJECT, PROJECT / "config"]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    there_are = [path.name for path in (PROJECT / "config").glob("*.*")]
    looked_in = ", ".join(dict.fromkeys(map(str, folders)))
    hint = f"; {nearest(Path(name).name, there_are)}" if there_are else ""
    raise ScenarioNotFound(f"no scenario file {name} (looked in {looked_in}){hint}")


def main(arguments: list[str]) -> int:
    """`bcr run`: 0 all pass, 1 some fail, 2 none fail but some are unknown or bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        files = [find_scenario(name) for name in options.files or [DEFAULT_SCENARIO]]
    except ScenarioNotFound as error:
        print(f"bcr run: {error}", file=sys.stderr)
        return 2
    results: list[tuple[Path, int, dict[str, Any] | None]] = []
    for file in files:
        if len(files) > 1:
            print(f"== {file.name}", flush=True)
        status, result = run_one(file, options)
        results.append((file, status, result))
        if status == 130:
            break
    if len(files) > 1:
        _print_summary(results)
    statuses = [status for _, status, _ in results]
    return next((each for each in (130, 1, 2) if each in statuses), 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bcr run", description="Run scenario files, each to a verdict.", epilog="Without FILE: first_run.config."
    )
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--placement", choices=["processes", "nodes"], help="nodes: the user starts one node a process")
    parser.add_argument("--log-level", choices=sorted(LEVELS), help="how much the logs hold (default: the scenario's)")
    parser.add_argument("--log-dir", type=Path, metavar="FOLDER", help="where to put the folder of each run")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT_S, metavar="SECONDS", help="for each file")
    parser.add_argument("--port", type=int, help="port of the node (default: a free one, or 15000 with nodes)")
    return parser


def command_for(file: Path, options: argparse.Namespace, result_file: Path) -> list[str]:
    """What is run for a file: the plain DistAlgo command."""
    node = ["-n", "onode"]
    if options.port is not None:
        node += ["-p", str(options.port)]
    if options.placement != "nodes":
        node += ["-H", "localhost", *(["-M", "-p", "0"] if options.port is None else ["-M"])]
    command = [sys.executable, "-m", "da", "-L", "warning", *node, "RunSystem.da", "-i", str(file.absolute())]
    command += ["--result-file", str(result_file)]
    if options.placement:
        command += ["--placement", options.placement]
    if options.log_level:
        command += ["--log-level", options.log_level]
    if options.log_dir:
        command += ["--log-dir", str(options.log_dir.absolute())]
    return command


def run_one(file: Path, options: argparse.Namespace) -> tuple[int, dict[str, Any] | None]:
    """Run one file; returns the exit status and the contents of `result.json`, if the run came to one."""
    with tempfile.TemporaryDirectory() as folder:
        result_file = Path(folder) / "result.json"
        status = supervise(command_for(file, options, result_file), PROJECT / "src", options.time_limit)
        result = json.loads(result_file.read_text()) if result_file.exists() else None
    return status, result


def supervise(command: Sequence[str], folder: Path, limit_s: float) -> int:
    """Run a command to its end, or to the limit (status 2) or an interrupt (status 130), and leave nothing behind."""
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    family: set[psutil.Process] = set()
    deadline = time.monotonic() + limit_s
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        while True:
            family |= _descendants(process.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=0.5)
                return status if 0 <= status <= 2 else 2
            if time.monotonic() > deadline:
                print(f"bcr run: not finished within {limit_s:g} s; ended", file=sys.stderr)
                return 2
    except KeyboardInterrupt:
        print("bcr run: interrupted", file=sys.stderr)
        return 130
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _end(process, family)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _descendants(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def _end(process: "subprocess.Popen[bytes]", family: set[psutil.Process]) -> None:
    """End the command, its process group, and what else was seen of its family."""
    family |= _descendants(process.pid)
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=END_LIMIT_S)
    _signal_group(process.pid, signal.SIGKILL)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()  # psutil makes sure that it is still the same process
    process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _print_summary(results: Sequence[tuple[Path, int, dict[str, Any] | None]]) -> None:
    table = Table(title="runs", title_justify="left")
    for heading in ("scenario", "verdict"):
        table.add_column(heading)
    for heading in ("operations", "by tail", "sent again", "reconfigurations", "seconds"):
        table.add_column(heading, justify="right")
    for file, status, result in results:
        if result is None:
            table.add_row(file.name, "interrupted" if status == 130 else "no run", "", "", "", "", "")
            continue
        table.add_row(
            file.name,
            result["verdict"],
            f"{result['operations']:,}",
            f"{result['results_by_tail']:,}",
            f"{result['retransmissions']:,}",
            str(len(result["reconfigurations"])),
            f"{result['elapsed_s']:.2f}",
        )
    Console().print(table)
