"""Runs one point of a plan: the system itself, through its plain command, or what it is compared with."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bcr.signed.encoding import encode
from bcr_bench import baselines
from bcr_bench.baselines.distalgo_raft import run_raft
from bcr_bench.baselines.load import Load
from bcr_bench.baselines.unreplicated import LoadTask
from bcr_bench.plans.measured import Measured
from bcr_bench.plans.plan_files import PROTOCOL_OF, Point
from bcr_run.command import command_for
from bcr_run.supervision import TimeLimitReached, supervise
from bcr_runtime.places import SOURCES

LIMIT_S = 900.0


def run_point(point: Point) -> Measured:
    """Run it once. Raises Interrupted."""
    with tempfile.TemporaryDirectory() as temporary:
        return _RUNNERS[point.system](point, Path(temporary))


def _run_bcr(point: Point, folder: Path) -> Measured:
    result = run_scenario(point.scenario_text(), point.sweep, folder)
    return result if isinstance(result, Measured) else Measured.of_result(result, point.is_timed)


def run_scenario(text: str, name: str, folder: Path, limit_s: float = LIMIT_S) -> Mapping[str, Any] | Measured:
    """The result of one run of the scenario, made in a folder of its own, or what the problem was. Raises Interrupted."""
    file = folder / f"{name}.config"
    file.write_text(text, encoding="utf-8")
    options = argparse.Namespace(port=None, placement=None, log_level=None, log_folder=folder / "logs")
    return _result_of(command_for(file, options, folder / "result.json"), SOURCES, folder, limit_s)


def _result_of(command: list[str], cwd: Path, folder: Path, limit_s: float = LIMIT_S) -> Mapping[str, Any] | Measured:
    """What the command wrote to `result.json` in the folder; where it wrote none, what it said last."""
    with open(folder / "output", "wb") as output:
        try:
            supervise(command, cwd, limit_s, output=output)
        except TimeLimitReached as limit:
            return Measured(problem=str(limit))
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = (folder / "output").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return Measured(problem=f"no result: {said[-1] if said else 'nothing was said'}")
    return result


def _run_unreplicated(point: Point, folder: Path) -> Measured:
    """The server of Unreplicated.da: plain, or with the requests' signatures checked and the answers signed."""
    job = folder / "job.msgpack"
    job.write_bytes(encode(LoadTask(Load.of(point.settings), point.system == "unreplicated-signed")))
    node = [sys.executable, "-m", "da", "-L", "warning", "-n", "bench", "-H", "localhost", "-M", "-p", "0"]
    return _measurement([*node, "Unreplicated.da", str(job), str(folder / "result.json")], Path(baselines.__file__).parent, folder)


def _run_pysyncobj(point: Point, folder: Path) -> Measured:
    load = folder / "load.json"
    load.write_bytes(msgspec.json.encode(Load.of(point.settings)))
    mode = point.system.partition("-")[2]
    command = [
        sys.executable,
        "-m",
        "bcr_bench.baselines.pysyncobj_peer",
        str(load),
        str(folder / "result.json"),
        mode,
        str(point.settings["t"]),
    ]
    return _measurement(command, folder, folder)


def _measurement(command: list[str], cwd: Path, folder: Path) -> Measured:
    result = _result_of(command, cwd, folder)
    return result if isinstance(result, Measured) else msgspec.convert(result, Measured)


def _run_raft(point: Point, folder: Path) -> Measured:
    settings = {key: int(point.settings[key]) for key in ("t", "num_client", "operations")}
    return run_raft(2 * settings["t"] + 1, settings["num_client"], settings["operations"] // settings["num_client"])


_RUNNERS: Mapping[str, Callable[[Point, Path], Measured]] = {
    **dict.fromkeys(PROTOCOL_OF, _run_bcr),
    "unreplicated": _run_unreplicated,
    "unreplicated-signed": _run_unreplicated,
    "pysyncobj-nodes": _run_pysyncobj,
    "pysyncobj-leader": _run_pysyncobj,
    "raft": _run_raft,
}
