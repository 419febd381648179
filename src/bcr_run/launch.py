"""What a user asks for when starting a run: reads the command line and the scenario, and refuses what is wrong."""

import argparse
import contextlib
import os
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec
from da.common import get_runtime_option

from bcr.chain.settings import Settings
from bcr.scenario import Diagnostic, Scenario, ScenarioError, read_scenario
from bcr.scenario.workload import Filled, RequestSequence
from bcr.signed import ed25519
from bcr.stable.disk import DiskError
from bcr.verdict.missed import told_of_too_many
from bcr.verdict.record import RunRecord
from bcr_run import output
from bcr_run.allowances import TooLittle, demand_processes
from bcr_run.options import formerly
from bcr_run.patience import patience_ms, stall_limit_s
from bcr_run.progress import Progress
from bcr_run.run_folder import begin_folder, link_latest
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_runtime import ambient
from bcr_runtime.data_folder import demand_room, open_data_folder
from bcr_runtime.journal import LEVELS
from bcr_runtime.places import default_log_base

DEFAULT_SCENARIO = "first_run.config"
NODE_LIMIT_S = 60
MESSAGE_OVERHEAD_BYTES = 1_024


Conclude = Callable[["Launch", RunRecord, str | None], int]


class BadInput(Exception):
    """The command line or the scenario is not right; the text says what, where and what would be."""


@dataclass(frozen=True)
class Launch:
    """One run as asked for.

    `stall_limit_s` is how long no client may report anything before the run is given up; `node_limit_s` how long
    the nodes that the user starts may take to appear; `conclude` judges the record of the run, which was given up if a
    reason is given, and returns the exit status. `awaits_leader` says whether clients get their work only when a server leads, where
    one has to; simulated ones ask from the beginning, because what comes of that is looked for.
    """

    scenario: Scenario
    warnings: tuple[Diagnostic, ...]
    settings: Settings
    folder: Path
    result_file: Path | None
    stall_limit_s: float
    node_limit_s: float
    make_progress: Callable[[], Progress]
    conclude: Conclude
    awaits_leader: bool = False

    @property
    def workloads(self) -> tuple[RequestSequence | Filled, ...]:
        """For each client its requests by number."""
        if self.settings.callers:
            return tuple(Filled(each, self.scenario.replicated) for each in self.scenario.workloads)
        return tuple(
            RequestSequence(each, self.settings.operations_per_request, self.scenario.replicated) for each in self.scenario.workloads
        )

    def node_names(self) -> list[str]:
        """The nodes that `placement = nodes` needs."""
        replicas = [f"replica_{position}" for position in range(self.settings.num_replicas)]
        return replicas + [f"client_{client}" for client in range(self.settings.num_clients)]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"RunSystem.da: {message}\n{self.format_usage()}")


def _parser() -> _Parser:
    parser = _Parser(prog="RunSystem.da", add_help=False)
    parser.add_argument("-i", "--input", metavar="FILE", default=DEFAULT_SCENARIO)
    parser.add_argument("--placement", choices=["processes", "nodes"])
    parser.add_argument("--node-limit", metavar="SECONDS", type=float, default=NODE_LIMIT_S)
    parser.add_argument("--log-level", choices=sorted(LEVELS))
    parser.add_argument("--log-folder", metavar="FOLDER", type=Path)
    formerly(parser, "--log-folder", "--log-dir")
    parser.add_argument("--result-file", metavar="FILE", type=Path)
    return parser


def launch_from(arguments: list[str], conclude: Conclude) -> Launch:
    """The run that the command line asks for; prints the scenario's warnings. Raises BadInput."""
    output.prepare()
    options = _parser().parse_args(arguments)
    try:
        scenario, warnings = read_scenario(find_scenario(options.input))
    except (ScenarioNotFound, ScenarioError, OSError) as error:
        raise BadInput(str(error)) from error
    for warning in warnings:
        output.complain(str(warning))
    if scenario.simulation is not None:
        output.complain(f"{scenario.source}: simulation is heeded by ./bcr sim only")
    for sentence in told_of_too_many(msgspec.structs.replace(scenario, simulation=None), patience_ms(scenario)):
        output.complain(f"{scenario.source}: {sentence}")
    if options.placement:
        scenario = scenario.placed(options.placement)
    settings = _settings(scenario, options)
    folder = Path(settings.log_base or default_log_base()) / settings.run_name
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:  # it could be neither sent to other processes nor written into result.json
        raise BadInput(f"the folder of the logs has a name that is not UTF-8: {str(folder)!r}") from error
    _demand_writable(folder, options.result_file)
    if settings.data_folder:
        try:
            open_data_folder(settings, f"bcr run {scenario.name}")
        except DiskError as error:
            raise BadInput(f"{scenario.source}: data: {error}") from error
    if settings.durable and scenario.placement != "nodes":
        try:
            demand_room(settings, has_olympus=scenario.protocol == "shuttle")
        except DiskError as error:
            raise BadInput(f"{scenario.source}: durable: {error}") from error
    for problem in begin_folder(folder, Path(scenario.source), settings, scenario.workloads):
        output.complain(problem)
    if not settings.log_base:
        link_latest(folder)
    _allow_descriptors(scenario)
    if scenario.placement != "nodes":
        try:
            demand_processes(3 + scenario.num_clients + scenario.num_replicas)  # with the start-up, Olympus and who makes replicas
        except TooLittle as little:
            raise BadInput(str(little)) from little
    ed25519.functions()  # loaded once, here, and inherited by all processes that are forked
    return Launch(
        scenario,
        tuple(warnings),
        settings,
        folder,
        options.result_file,
        stall_limit_s(scenario),
        options.node_limit,
        partial(Progress, scenario.name, _operations_owed(scenario)),
        conclude,
        awaits_leader=True,
    )


def _operations_owed(scenario: Scenario) -> int:
    """How many operations of correct clients are to be answered."""
    faulty = scenario.faulty_clients
    return sum(len(workload) for client, workload in enumerate(scenario.workloads) if client not in faulty)


def _demand_writable(folder: Path, result_file: Path | None) -> None:
    """Raises BadInput where logs or result could not be written at the end of the run, when it is too late to say so."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"logs cannot be written to {folder}: {error.strerror}; choose another folder with --log-folder") from error
    if result_file is not None and not os.access(result_file.absolute().parent, os.W_OK):
        raise BadInput(f"--result-file {result_file}: there is no folder {result_file.absolute().parent} to write it to")


def descriptors_of(scenario: Scenario) -> int:
    """File descriptors that the busiest process of a run has open: two connections with each other process, both ways.

    Counted in runs of 3 and 20 clients and of 3 and 7 replicas, with a quarter of it to spare.
    """
    return 5 * (4 + scenario.num_clients + scenario.num_replicas)


def _allow_descriptors(scenario: Scenario) -> None:
    """Let processes of the run have the files open that they need. Raises BadInput where that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed_descriptors = descriptors_of(scenario)
    if soft == resource.RLIM_INFINITY or soft >= needed_descriptors:
        return
    with contextlib.suppress(ValueError, OSError):  # more than the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed_descriptors, hard))
        return
    if scenario.placement != "nodes":
        raise BadInput(
            f"{scenario.num_clients} clients and {scenario.num_replicas} replicas need {needed_descriptors} open files a process, "
            f"and {soft} are allowed: raise it with ulimit -n {needed_descriptors}"
        )


def settings_of(scenario: Scenario, **more: object) -> Settings:
    """The scenario's settings as its processes get them, with what else there is to say to them."""
    fields = {field: getattr(scenario, field) for field in Settings.__struct_fields__ if hasattr(scenario, field)}
    servers = {} if scenario.protocol == "shuttle" else {"servers": scenario.num_replicas}
    return msgspec.convert(fields | servers | more, Settings)


def _settings(scenario: Scenario, options: argparse.Namespace) -> Settings:
    label = re.sub(r"[^A-Za-z0-9._-]+", "_", scenario.name)[:80] or "run"
    base = options.log_folder or _chosen_logdir()
    return settings_of(
        scenario,
        message_limit_bytes=max(1_024, get_runtime_option("message_buffer_size") - MESSAGE_OVERHEAD_BYTES),
        run_name=f"{label}-{ambient.wall_clock():%Y%m%dT%H%M%S.%f}",
        log_base=str(base.absolute()) if base else "",
        log_level=options.log_level or scenario.log_level,
        data_folder=scenario.data,
        clock=ambient.clock_name(),
        clock_origin_ns=ambient.wall_clock_ns() - ambient.monotonic_ns(),
    )


def _chosen_logdir() -> Path | None:
    """DistAlgo's `--logdir`, where the user gave one: its own default is a time stamp."""
    given = get_runtime_option("logdir")
    return None if re.fullmatch(r"\d{4}-\d\d-\d\d_\d{6}", given) else Path(given)
