"""Leaves a simulated run behind as a real one is left: in a folder, from which its page can be made."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from bcr.evidence.evidence_files import packed_record
from bcr.scenario import Scenario
from bcr_run.launch import settings_of
from bcr_run.protocol_starts import FIGURES
from bcr_run.run_folder import begin_folder, write_whole
from bcr_sim.simulated_run import SimulationOutcome, simulate
from bcr_sim.source import BEGINNING_NS, CLOCK


def simulate_into(folder: Path, scenario: Scenario, source: Path, keeps_steps: bool = False) -> SimulationOutcome:
    """Simulate the scenario, which stands in the file `source`, and leave everything of the run in the folder.

    Makes the folder; raises OSError where it is there already, or where something cannot be written.
    """
    folder.mkdir(parents=True)
    outcome = simulate(scenario, folder=folder, keeps_steps=keeps_steps)
    settings = settings_of(scenario.placed("processes"), run_name=scenario.name, clock=CLOCK, clock_origin_ns=BEGINNING_NS)
    problems = begin_folder(folder, source, settings, scenario.workloads)
    told: dict[str, object] = {"breaches": list(outcome.breaches), "virtual_s": outcome.virtual_s, "trace": outcome.trace}
    if scenario.simulation is not None:
        told["simulation"] = msgspec.to_builtins(scenario.simulation)
    result = outcome.result | told
    if scenario.protocol in FIGURES:
        result |= {"figure": FIGURES[scenario.protocol](folder, result, scenario.faulty_clients, 0).told()}
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    problems += write_whole(text.encode("utf-8", errors="backslashreplace"), folder / "result.json")
    problems += write_whole(packed_record(outcome.record), folder / "record.msgpack")
    if problems:
        raise OSError(problems[0])
    return outcome


def show(folder: Path, *options: str) -> int:
    """`bcr show` of the folder, which we do not know and so call by its name; its exit status."""
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-P", "-m", "bcr_show.show", str(folder), *options], check=False).returncode
