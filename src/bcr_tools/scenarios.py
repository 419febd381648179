"""Runs every scenario that comes with the project, and holds `testing.txt` against what came of them."""

import argparse
import difflib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bcr.scenario import Scenario, ScenarioError, read_scenario
from bcr.verdict.missed import OF_ONE
from bcr_run.command import run_text
from bcr_runtime.places import PROJECT, SCENARIOS, SERVICE

TESTING = PROJECT / "testing.txt"
FOLDERS = (SCENARIOS, SCENARIOS / "attacks", SCENARIOS / "lost")
HEADER = """\
Scenarios and what came of them. Written by ./bcr scenarios --write from real runs of everything in config/; without
--write the command runs them again and fails where this file no longer says what comes of them.

Of every run is checked, without trusting any log: that each client's operations are its workload and were answered, each
result by what its protocol shows it with: in the chain t+1 valid statements, beside the testimony of all replicas; in Raft
among liars equal statements of t+1 servers; in Raft, where nothing is signed, the leader's word; that in the order of the slots they replay on a fresh
dictionary to the same results; that no operation which returned before another was sent stands behind it; that the
final states of all replicas without faults are the replayed one. Beyond that, what the scenario file itself expects.
"""


def main(arguments: Sequence[str]) -> int:
    """`bcr scenarios`: 0 when `testing.txt` is true, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="bcr scenarios", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write testing.txt instead of comparing with it")
    options = parser.parse_args(arguments)
    files = scenario_files()
    sections = [HEADER]
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(files, start=1):
            print(f"{number} of {len(files)}: {file.name}", file=sys.stderr, flush=True)
            sections.append(_section(file, Path(folder)))
    text = "\n".join(sections)
    if options.write:
        TESTING.write_text(text)
        return 0
    there_is = TESTING.read_text() if TESTING.exists() else ""
    difference = list(difflib.unified_diff(there_is.splitlines(), text.splitlines(), "testing.txt", "runs", lineterm=""))
    print("\n".join(difference) if difference else f"testing.txt is true of {len(files)} scenarios")
    return 1 if difference else 0


def scenario_files() -> list[Path]:
    """The scenario files that come with the project, those of `config/` first, then the attacks, and then what is lost."""
    return [
        path for folder in FOLDERS for path in sorted(folder.iterdir()) if path.suffix in (".config", ".yaml", ".yml") and path != SERVICE
    ]


def _section(file: Path, folder: Path) -> str:
    name = file.relative_to(PROJECT).as_posix()
    lines = [
        f"== {file.stem} ({file.suffix.removeprefix('.')})",
        f"file:     {name}",
        f"command:  cd src && python3 -m da -n onode RunSystem.da -i {name}",
    ]
    try:
        scenario, _ = read_scenario(file)
    except ScenarioError as error:
        errors = [str(each).replace(str(file), name) for each in error.diagnostics if each.severity == "error"]
        lines += ["logs:     none: nothing is started", "outcome:  refused, exit status 2", *(f"  {each}" for each in errors)]
        return "\n".join([*lines, *_why(file)]) + "\n"
    _, result, _ = run_text(file.read_text(), folder, file.stem, file.suffix)
    lines.append(f"logs:     logs/{scenario.name}-TIME/: a log for each process, result.json, record.msgpack")
    lines += [f"checked:  {expectation.text}" for expectation in scenario.expectations]
    verdict = result["verdict"] if result else "no result"
    lines.append(f"outcome:  {verdict}")
    is_any_server = any(plan.trigger.name == OF_ONE for plan in scenario.failures)  # and what comes of it differs
    lines += [f"  {reason}" for reason in (result["reasons"] if result and not is_any_server else ())]
    lines += _struck(scenario, result["faults_injected"] if result else (), result["faults_armed"] if result else ())
    return "\n".join([*lines, *_why(file)]) + "\n"


def _struck(scenario: Scenario, faults: Sequence[dict[str, object]], armed: Sequence[dict[str, object]]) -> list[str]:
    """The faults of the file, and whether they struck, or were armed and had no effect."""
    outcome_by_fault = {_place(fault): "armed, and had no effect" for fault in armed} | {_place(fault): "struck" for fault in faults}
    plans: list[tuple[str, tuple[int | None, int | None, int | None, str]]] = [
        (f"replica {plan.position} of configuration {plan.configuration}", (plan.configuration, plan.position, None, plan.text))
        for plan in scenario.failures
        if plan.trigger.name != OF_ONE
    ]
    of_one = dict.fromkeys(plan.text for plan in scenario.failures if plan.trigger.name == OF_ONE)
    outcome_by_text = {place[-1]: outcome for place, outcome in outcome_by_fault.items()}
    told = [f"fault:    whoever leads first: {text}: {outcome_by_text.get(text, 'never met')}" for text in of_one]
    plans += [(f"client {plan.client}", (None, None, plan.client, plan.text)) for plan in scenario.client_failures]
    return told + [f"fault:    {who}: {place[-1]}: {outcome_by_fault.get(place, 'never met')}" for who, place in plans]


def _place(fault: Mapping[str, object]) -> tuple[object, ...]:
    return fault.get("configuration"), fault.get("position"), fault.get("client"), fault["fault"]


def _why(file: Path) -> list[str]:
    """What the file's own comment says that it shows."""
    comment = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return [f"why:      {comment[0]}", *(f"          {line}" for line in comment[1:])] if comment else []
