"""Runs one point of a plan: the system itself, through its plain command, or what it is compared with."""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bcr_bench.measured import Measured
from bcr_bench.plans import Point
from bcr_runtime.processes import PROJECT
from bcr_tools.run import command_for
from bcr_tools.supervising import TimeLimitReached, supervise

LIMIT_S = 900.0


def run_point(point: Point) -> Measured:
    """Run it once. Raises Interrupted."""
    with tempfile.TemporaryDirectory() as temporary:
        return _RUNNERS[point.system](point, Path(temporary))


def _run_bcr(point: Point, folder: Path) -> Measured:
    file = folder / f"{point.sweep}.config"
    file.write_text(point.scenario_text(), encoding="utf-8")
    options = argparse.Namespace(port=None, placement=None, log_level=None, log_dir=folder / "logs")
    result = _result_of(command_for(file, options, folder / "result.json"), PROJECT / "src", folder)
    return result if isinstance(result, Measured) else Measured.of_result(result)


def _result_of(command: list[str], cwd: Path, folder: Path) -> Mapping[str, Any] | Measured:
    """What the command wrote to `result.json` in the folder; where it wrote none, what it said last."""
    with open(folder / "output", "wb") as output:
        try:
            supervise(command, cwd, LIMIT_S, output=output)
        except TimeLimitReached as limit:
            return Measured(problem=str(limit))
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = (folder / "output").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return Measured(problem=f"no result: {said[-1] if said else 'nothing was said'}")
    return result


_RUNNERS: Mapping[str, Callable[[Point, Path], Measured]] = {"bcr": _run_bcr}
