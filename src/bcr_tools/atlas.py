"""The fault-outcome atlas: every trigger, failure and position, against what the protocol prescribes."""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from bcr.scenario.protocols import PROTOCOLS
from bcr_run.command import run_text
from bcr_run.options import formerly, positive
from bcr_runtime.places import PROJECT
from bcr_sim import campaign
from bcr_tools import chain_cells, raft_cells
from bcr_tools.atlas_cells import Atlas, Cell, CellOutcome, name_of, outcome_of, prescribed
from bcr_tools.atlas_page import heatmap, table

ATLASES: Mapping[str, Atlas] = {each.protocol.name: each for each in (chain_cells.ATLAS, *raft_cells.ATLASES)}


def main(arguments: Sequence[str]) -> int:
    """`bcr atlas`: 0 when every cell is as prescribed, 1 otherwise, 2 for bad input; with --docs it writes the protocol's page and picture into docs/."""
    parser = argparse.ArgumentParser(prog="bcr atlas", description=__doc__)
    parser.add_argument("--t", type=positive, nargs="+", default=[1, 2], help="services that bear t faulty servers (default: 1 2)")
    parser.add_argument("--trigger", nargs="+", metavar="TRIGGER", help="by name, such as shuttle (default: every one)")
    parser.add_argument("--failure", nargs="+", metavar="FAILURE", help="by name, such as crash (default: every one)")
    parser.add_argument("--protocol", choices=[*PROTOCOLS], default="shuttle", help="(default: shuttle)")
    parser.add_argument("--simulated", action="store_true", help="simulate the cells: minutes in place of an hour; of the chain alone there are real runs")  # fmt: skip
    parser.add_argument("--jobs", type=positive, default=2, help="how many runs at once (default: 2)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="in which to keep files and logs (default: a temporary one)")
    parser.add_argument("--docs", action="store_true", help="write docs/atlas.md and docs/atlas.svg, of the whole atlas alone; of Raft docs/atlas_raft.md, of Byzantine Raft docs/atlas_braft.md")  # fmt: skip
    formerly(parser, "--output", "--keep")
    options = parser.parse_args(arguments)
    atlas = ATLASES[options.protocol]
    if atlas.why_simulated and not options.simulated:
        parser.error(f"not for real with protocol = {options.protocol}, because {atlas.why_simulated}: give --simulated")
    if options.docs and (options.trigger or options.failure):
        parser.error("--docs is for the whole atlas: leave --trigger and --failure out")
    triggers = _chosen(parser, "--trigger", options.trigger, atlas.triggers)
    failures = _chosen(parser, "--failure", options.failure, [name_of(failure) for failure in atlas.failures])
    cells = atlas.cells(options.t, triggers, failures)
    if options.simulated:
        for cell in cells:
            if options.failure and cell.word.not_simulated:
                parser.error(f"--failure {cell.failure_name}: it cannot be simulated: {cell.word.not_simulated}")
        cells = [cell for cell in cells if not cell.word.not_simulated]
    if not cells:
        parser.error("no cell has such a trigger and such a failure")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        runs = _outcomes_of_simulations(cells, options.jobs) if options.simulated else _outcomes_of_runs(cells, folder, options.jobs)
        outcomes = _outcomes_by_cell(runs, len(cells), atlas)
    if options.docs:
        how = "simulated runs, times in virtual milliseconds" if options.simulated else "real runs"
        (PROJECT / "docs" / f"{atlas.page}.md").write_text(table(atlas, outcomes, how))
        (PROJECT / "docs" / f"{atlas.page}.svg").write_text(heatmap(atlas, outcomes))
    wrong_cells = [cell for cell, outcome in outcomes.items() if not _is_as_prescribed(atlas, cell, outcome)]
    counts = Counter(outcome.kind for outcome in outcomes.values())
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()) + f"; {len(wrong_cells)} not as prescribed")
    return 1 if wrong_cells else 0


def _chosen(parser: argparse.ArgumentParser, option: str, names: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    """The names that were given, or all; ends with an error where the protocol knows one of them not."""
    for name in names or ():
        if name not in known:
            parser.error(f"argument {option}: invalid choice: {name!r} (choose from {', '.join(known)})")
    return names or known


def _outcomes_of_runs(cells: Sequence[Cell], folder: Path, jobs: int) -> Iterator[tuple[Cell, CellOutcome]]:
    """The cells as real runs, in their order."""

    def run(numbered: tuple[int, Cell]) -> tuple[Cell, CellOutcome]:
        number, cell = numbered
        status, result, _ = run_text(cell.scenario(), folder, f"cell{number}")
        return cell, outcome_of(cell, status, result)

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(run, enumerate(cells))


def _outcomes_of_simulations(cells: Sequence[Cell], jobs: int) -> Iterator[tuple[Cell, CellOutcome]]:
    """The cells as simulated runs, in their order."""
    with ProcessPoolExecutor(jobs, initializer=campaign.prepare_worker) as pool:
        yield from pool.map(simulated, cells, chunksize=10)


def simulated(cell: Cell) -> tuple[Cell, CellOutcome]:
    """The cell, and what comes of it in the simulator."""
    done = campaign.run_text(cell.simulated())
    if isinstance(done, str):
        return cell, CellOutcome("hang" if done.startswith("hang") else "wrong", reasons=(done,))
    if done.breaches:
        return cell, CellOutcome("wrong", reasons=done.breaches)
    return cell, outcome_of(cell, 0, done.result | {"terms": done.terms})


def _outcomes_by_cell(runs: Iterable[tuple[Cell, CellOutcome]], count: int, atlas: Atlas) -> dict[Cell, CellOutcome]:
    """The outcomes by cell; each that is not as prescribed is printed, and how far it is."""
    outcomes: dict[Cell, CellOutcome] = {}
    for done, (cell, outcome) in enumerate(runs, start=1):
        outcomes[cell] = outcome
        if not _is_as_prescribed(atlas, cell, outcome):
            what = f"t={cell.t} {cell.position} {cell.fault()}"
            print(f"not as prescribed: {what}: {outcome.kind} {'; '.join(outcome.reasons)}", flush=True)
        if done % 25 == 0:
            print(f"{done} of {count}", file=sys.stderr, flush=True)
    return outcomes


def _is_as_prescribed(atlas: Atlas, cell: Cell, outcome: CellOutcome) -> bool:
    return outcome.kind in prescribed(cell, atlas.rules())["outcome"]
