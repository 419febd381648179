"""Runs scenario files as a user would by hand, one after the other, and sums up."""

import argparse
import json
import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bcr_run import output
from bcr_run.accused import is_of_the_chain
from bcr_run.command import command_for
from bcr_run.exit_status import UNKNOWN, status_of, worst
from bcr_run.options import formerly
from bcr_run.output import Terminal
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_run.scratch import scratch_folder
from bcr_run.supervision import Interrupted, StoodStill, TimeLimitReached, supervise
from bcr_runtime.journal import LEVELS
from bcr_runtime.places import SOURCES

DEFAULT_SCENARIO = "first_run.config"
TIME_LIMIT_S = 1_800.0
# Why a run whose verdict is pass counts as unknown, by the status that RunSystem.da ended with.
REASONS = {
    2: "what it had to write could not be written, as told above",
    70: "one of its processes met an error or was ended by a signal, as told above",
}
EPILOG = """Each FILE is looked for in the current directory, in .., in the project and in its config; without FILE:
config/first_run.config. Exit status: 0 all pass; 1 one fails; 2 none fails, but one is unknown or bad input;
130 after Ctrl-C, 143 after SIGTERM. Nothing is run when a FILE does not exist."""


@dataclass(frozen=True)
class FinishedRun:
    """How the run of one file ended: its exit status, and the contents of `result.json` if the run came to one."""

    file: Path
    status: int
    result: dict[str, Any] | None


def main(arguments: list[str]) -> int:
    """`bcr run`; the exit statuses are those of EPILOG."""
    options = _parser().parse_args(arguments)
    try:
        files = [find_scenario(name) for name in options.files or [DEFAULT_SCENARIO]]
    except ScenarioNotFound as error:
        output.complain(f"bcr run: {error}")
        return UNKNOWN
    outcomes: list[FinishedRun] = []
    try:
        for file in files:
            if len(files) > 1:
                print(f"== {file.name}", flush=True)
            outcomes.append(run_one(file, options))
    except Interrupted as interruption:
        output.complain(f"bcr run: interrupted ({interruption}), {len(outcomes)} of {len(files)} done")
        return interruption.status
    finally:
        if len(files) > 1 and outcomes:
            _print_summary(outcomes)
    return worst([outcome.status for outcome in outcomes])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bcr run", description="Run scenario files, each to a verdict.", epilog=EPILOG)
    parser.add_argument("files", nargs="*", metavar="FILE", help="scenario files (default: config/first_run.config)")
    parser.add_argument("--placement", choices=["processes", "nodes"], help="nodes: the user starts one node a process")
    parser.add_argument("--log-level", choices=sorted(LEVELS), help="how much the logs hold (default: the scenario's)")
    parser.add_argument("--log-folder", type=Path, metavar="FOLDER", help="where to put the folder of each run")
    parser.add_argument(
        "--time-limit",
        type=_seconds,
        default=TIME_LIMIT_S,
        metavar="SECONDS",
        help="for each file, beyond the limits that a run sets itself (default: %(default)g)",
    )
    parser.add_argument("--port", type=_port, help="port of the node (default: a free one, or 15000 with nodes)")
    formerly(parser, "--log-folder", "--log-dir")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise argparse.ArgumentTypeError(f"{text}: not a number of seconds above 0")
    return seconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65_536:
        raise argparse.ArgumentTypeError(f"{text}: not a port from 1 to 65535")
    return port


def run_one(file: Path, options: argparse.Namespace) -> FinishedRun:
    """Run one file to its end, or to the time limit. Raises Interrupted."""
    told = ""
    with scratch_folder() as folder:
        result_file = folder / "result.json"
        command = command_for(file, options, result_file)
        try:
            ended = supervise(command, SOURCES, options.time_limit, is_over=result_file.exists)
        except (TimeLimitReached, StoodStill) as limit:
            told, ended = str(limit), UNKNOWN
        result = _read(result_file)
    status = status_of(ended, result)
    if told or (result is None and ended != UNKNOWN):
        output.complain(f"bcr run: {file.name}: {told or f'no result; RunSystem.da {how_it_ended(ended)}'}")
    if status == UNKNOWN and result is not None and result["verdict"] == "pass":
        why = told or REASONS.get(ended, f"RunSystem.da ended with status {ended}")
        output.complain(f"bcr run: {file.name}: exit status {UNKNOWN} although the verdict is pass: {why}")
    return FinishedRun(file, status, result)


def how_it_ended(status: int) -> str:
    """In words."""
    return f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"


def _read(result_file: Path) -> dict[str, Any] | None:
    try:
        result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # ended before, or while, it was written
        return None
    return result


def _print_summary(outcomes: Sequence[FinishedRun]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("scenario", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for heading in ("operations", "by tail", "sent\nagain", "recon-\nfigured", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    console = Terminal()
    for outcome in outcomes:
        result = outcome.result
        if result is None:
            table.add_row(outcome.file.stem, "no result", "", "", "", "", "")
            continue
        table.add_row(
            outcome.file.stem,
            result["verdict"],
            f"{result['operations']:,}",
            f"{result['results_by_tail']:,}" if is_of_the_chain(result) else "",
            f"{result['retransmissions']:,}",
            str(len(result["reconfigurations"])) if is_of_the_chain(result) else "",
            f"{result['elapsed_s']:.2f}",
        )
    console.print(table)
    for outcome in outcomes:
        if outcome.result is not None:
            line = f"logs of {outcome.file.stem}: {outcome.result['log_folder']}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
