"""The fault-outcome atlas: every trigger, failure and position, against what the protocol prescribes."""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from html import escape
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import yaml

from bcr.faults import vocabulary
from bcr.faults.vocabulary import Word
from bcr.scenario.protocols import PROTOCOLS, NotOfProtocol, demand_command
from bcr_run.command import run_text
from bcr_run.options import formerly, positive
from bcr_runtime.places import PROJECT
from bcr_sim import campaign

TIMEOUT_MS = 500
POSITIONS = ("head", "middle", "tail")
# The arguments that a trigger or a failure is tried with, by kind; a client's count is a cell's own.
ARGUMENTS: Mapping[str, str] = {
    "client": "0", "count": "0", "milliseconds": "100", "number": "1", "message": "shuttle", "position": "{other}",
}  # fmt: skip
# Client 0's second request, of which the first has left something behind; all else is met for the first time.
SECOND = ("shuttle", "result_shuttle")


def _call(name: str, word: Word, arguments: Mapping[str, str] = ARGUMENTS) -> str:
    return f"{name}({','.join(arguments[kind] for kind in word.arguments)})"


TRIGGERS = {
    name: _call(name, word, {**ARGUMENTS, "count": "1"}) if name in SECOND
    else "client_request(0,{count})" if name == "client_request"
    else _call(name, word)
    for name, word in vocabulary.TRIGGERS.items()
}  # fmt: skip
FAILURES = tuple(_call(name, word) for name, word in vocabulary.FAILURES.items())
WHILE_RECONFIGURING = {"wedge_request", "new_configuration", "get_running_state", "catch_up"}
COLOURS = {
    "masked": "#b7e1b0",
    "reconfigured": "#9ec9f0",
    "not met": "#e8e8e8",
    "unknown": "#f2c46d",
    "wrong": "#e06666",
    "hang": "#9c3fbf",
}


class Cell(msgspec.Struct, frozen=True):
    """One run of the atlas."""

    t: int
    trigger: str
    failure: str
    position: str

    @property
    def failure_name(self) -> str:
        return self.failure.partition("(")[0]

    @property
    def place(self) -> int:
        return {"head": 0, "middle": self.t, "tail": 2 * self.t}[self.position]

    def fault(self) -> str:
        """The pair that the cell is about, in the words of a scenario file."""
        # A client turns to others than the head only to send a request again, so theirs is the first.
        trigger = TRIGGERS[self.trigger].format(count=1 if self.position == "head" else 0)
        return f"{trigger},{self.failure.format(other=0 if self.place else 1)}"

    @property
    def word(self) -> vocabulary.FailureWord:
        return vocabulary.FAILURES[self.failure_name]

    def scenario(self) -> str:
        """The scenario file: one replica with the fault, and where the trigger needs it a provocation by the same."""
        configuration = 1 if self.trigger == "new_configuration" else 0
        plans = {configuration: [self.fault()]}
        provocation = self._provocation()
        if provocation:
            plans.setdefault(0, []).append(provocation)
        lines = [
            f"test_case_name = atlas-t{self.t}-{self.position}-{self.trigger}-{self.failure_name}",
            f"t = {self.t}",
            "num_client = 1",
            f"client_timeout = {TIMEOUT_MS}",
            f"head_timeout = {TIMEOUT_MS}",
            f"nonhead_timeout = {TIMEOUT_MS}",
            f"olympus_timeout = {2 * TIMEOUT_MS}",
            "wedge_grace = 100",
            "checkpt_interval = 2",
            "workload[0] = put('k','0'); append('k','1'); get('k'); append('k','2'); slice('k','1:3'); append('k','3'); get('k')",
            "expect[results,0] = 'OK'; 'OK'; '01'; 'OK'; 'OK'; 'OK'; '123'",
        ]
        if self.word.only_with:
            lines.append(f"authentication = {self.word.only_with[0]}")
        if self.trigger == "after":
            lines.append("client_rate = 20")  # so that there is still work when it strikes
        lines += [f"failures[{number},{self.place}] = {'; '.join(pairs)}" for number, pairs in sorted(plans.items())]
        return "\n".join(lines) + "\n"

    def _provocation(self) -> str | None:
        if self.trigger == "forwarded_request":
            # The head ignores the client twice, so that only what the others forward reaches it.
            ignored = "client_request(0,1),drop(); client_request(0,2),drop()"
            return ignored if self.position == "head" else None
        if self.trigger == "client_request" and self.position != "head":
            return "shuttle(0,0),drop()"  # no checkpoint follows the first slot, which would show the hole at once
        if self.trigger in WHILE_RECONFIGURING:
            return self._ignored_request() if self.position == "head" else "shuttle(0,3),drop()"
        return None

    def _ignored_request(self) -> str:
        """The head ignores the fourth request, however it comes, until somebody's timer expires."""
        direct = [f"client_request(0,{count}),drop()" for count in (3, 4)]
        return "; ".join([*direct, *(f"forwarded_request(0,{count}),drop()" for count in range(2 * self.t))])


class CellOutcome(msgspec.Struct, frozen=True):
    """What came of a cell: one of COLOURS, who detected it, and in which time."""

    kind: str
    detected_by: str = ""
    detect_ms: float | None = None
    recover_ms: float | None = None
    reasons: tuple[str, ...] = ()


def outcome_of(cell: Cell, status: int, result: Mapping[str, Any] | None) -> CellOutcome:
    """Sort a run's result into the kinds of outcome."""
    if status == -1:
        return CellOutcome("hang")
    if result is None or result["verdict"] == "fail":
        return CellOutcome("wrong", reasons=tuple(result["reasons"]) if result else ("no result",))
    if result["verdict"] == "unknown":
        return CellOutcome("unknown", reasons=tuple(result["reasons"]))
    if not any(fault["fault"] == cell.fault() for fault in result["faults_injected"]):
        return CellOutcome("not met")
    if not result["reconfigurations"]:
        return CellOutcome("masked")
    first = result["reconfigurations"][0]
    return CellOutcome("reconfigured", first["requested_by"], first["detected_ms"], first["active_ms"])


def prescribed(cell: Cell, rules: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first rule that matches the cell; raises LookupError where none does."""
    fields = {"trigger": cell.trigger, "failure": cell.failure_name, "position": cell.position}
    for rule in rules:
        if all(value in rule.get(field, (value,)) for field, value in fields.items()):
            return rule
    raise LookupError(f"no rule for {cell}")


def rules() -> list[Mapping[str, Any]]:
    """What the protocol prescribes, rule by rule, from the data file."""
    loaded: list[Mapping[str, Any]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return loaded


def main(arguments: Sequence[str]) -> int:
    """`bcr atlas`: 0 when every cell is as prescribed, 1 otherwise; with --docs it writes docs/atlas.md and docs/atlas.svg."""
    parser = argparse.ArgumentParser(prog="bcr atlas", description=__doc__)
    parser.add_argument("--t", type=positive, nargs="+", default=[1, 2], help="chains of 2t+1 replicas (default: 1 2)")
    parser.add_argument("--trigger", choices=list(TRIGGERS), nargs="+", default=list(TRIGGERS), metavar="TRIGGER",
                        help="by name, such as shuttle (default: every one)")  # fmt: skip
    parser.add_argument(
        "--failure",
        nargs="+",
        default=[*vocabulary.FAILURES],
        choices=[*vocabulary.FAILURES],
        metavar="FAILURE",
        help="by name, such as crash (default: every one)",
    )
    parser.add_argument("--protocol", choices=[*PROTOCOLS], default="shuttle", help="(default: shuttle)")
    parser.add_argument("--simulated", action="store_true", help="simulate the cells: minutes in place of an hour")
    parser.add_argument("--jobs", type=positive, default=2, help="how many runs at once (default: 2)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="in which to keep files and logs (default: a temporary one)")
    parser.add_argument("--docs", action="store_true", help="write docs/atlas.md and docs/atlas.svg, of the whole atlas alone")
    formerly(parser, "--output", "--keep")
    options = parser.parse_args(arguments)
    try:
        demand_command("atlas", options.protocol)
    except NotOfProtocol as problem:
        parser.error(str(problem))
    if options.docs and (len(options.trigger), len(options.failure)) != (len(TRIGGERS), len(FAILURES)):
        parser.error("--docs is for the whole atlas: leave --trigger and --failure out")
    prescription = rules()
    failures = [failure for failure in FAILURES if failure.partition("(")[0] in options.failure]
    cells = [Cell(*each) for each in product(options.t, options.trigger, failures, POSITIONS)]
    if options.simulated:
        cells = [cell for cell in cells if not cell.word.not_simulated]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        runs = _outcomes_of_simulations(cells, options.jobs) if options.simulated else _outcomes_of_runs(cells, folder, options.jobs)
        outcomes = _outcomes_by_cell(runs, len(cells), prescription)
    if options.docs:
        how = "simulated runs, times in virtual milliseconds" if options.simulated else "real runs"
        (PROJECT / "docs" / "atlas.md").write_text(_table(outcomes, prescription, how))
        (PROJECT / "docs" / "atlas.svg").write_text(_heatmap(outcomes))
    wrong_cells = [cell for cell, outcome in outcomes.items() if outcome.kind not in prescribed(cell, prescription)["outcome"]]
    counts = Counter(outcome.kind for outcome in outcomes.values())
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()) + f"; {len(wrong_cells)} not as prescribed")
    return 1 if wrong_cells else 0


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
    with ProcessPoolExecutor(jobs, initializer=campaign.prepare) as pool:
        yield from pool.map(_simulate, cells, chunksize=10)


def _simulate(cell: Cell) -> tuple[Cell, CellOutcome]:
    done = campaign.run_text(cell.scenario() + "simulation = seed(1)\n")
    if isinstance(done, str):
        return cell, CellOutcome("hang" if done.startswith("hang") else "wrong", reasons=(done,))
    if done.breaches:
        return cell, CellOutcome("wrong", reasons=done.breaches)
    return cell, outcome_of(cell, 0, done.result)


def _outcomes_by_cell(runs: Iterable[tuple[Cell, CellOutcome]], count: int, rules: Sequence[Mapping[str, Any]]) -> dict[Cell, CellOutcome]:
    """The outcomes by cell; each that is not as prescribed is printed, and how far it is."""
    outcomes: dict[Cell, CellOutcome] = {}
    for done, (cell, outcome) in enumerate(runs, start=1):
        outcomes[cell] = outcome
        if outcome.kind not in prescribed(cell, rules)["outcome"]:
            what = f"t={cell.t} {cell.position} {cell.fault()}"
            print(f"not as prescribed: {what}: {outcome.kind} {'; '.join(outcome.reasons)}", flush=True)
        if done % 25 == 0:
            print(f"{done} of {count}", file=sys.stderr, flush=True)
    return outcomes


def _table(outcomes: Mapping[Cell, CellOutcome], rules: Sequence[Mapping[str, Any]], how: str) -> str:
    lines = [
        "# The fault-outcome atlas",
        "",
        f"Written by `./bcr atlas` from {how}: one replica has the fault, the others are correct. What is prescribed,",
        f"and why, stands in `src/bcr_tools/atlas.yaml`. Times are milliseconds, with timers of {TIMEOUT_MS} ms: from the",
        "start of the service to the first request for reconfiguration, and from there to the new configuration.",
        "",
        "![heatmap](atlas.svg)",
        "",
        "| t | position | trigger | failure | outcome | prescribed | asked for by | detected | recovered in |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell, outcome in outcomes.items():
        allowed = " or ".join(prescribed(cell, rules)["outcome"])
        times = [f"{value:.0f}" if value is not None else "" for value in (outcome.detect_ms, outcome.recover_ms)]
        row = [str(cell.t), cell.position, cell.trigger, cell.failure, outcome.kind, allowed, outcome.detected_by]
        lines.append("| " + " | ".join([*row, *times]) + " |")
    lines += ["", "## Why", "", "| trigger | failure | position | prescribed | reason |", "|---|---|---|---|---|"]
    for rule in rules:
        fields = [", ".join(rule.get(field, ["any"])) for field in ("trigger", "failure", "position")]
        lines.append("| " + " | ".join([*fields, " or ".join(rule["outcome"]), rule["reason"]]) + " |")
    return "\n".join(lines) + "\n"


WIDTH, HEIGHT, LEFT, TOP = 34, 22, 190, 150


def _heatmap(outcomes: Mapping[Cell, CellOutcome]) -> str:
    """A picture: a row for each failure, for each trigger three columns, head, middle and tail; one block for each t."""
    chains = sorted({cell.t for cell in outcomes})
    triggers = list(dict.fromkeys(cell.trigger for cell in outcomes))
    failures = list(dict.fromkeys(cell.failure for cell in outcomes))
    block = TOP + len(failures) * HEIGHT + 30
    width = LEFT + len(triggers) * 3 * WIDTH + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{block * len(chains) + 40}">',
        "<style>text { font: 12px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, t in enumerate(chains):
        top = number * block
        parts.append(f'<text x="10" y="{top + 24}" style="font-size: 16px">t = {t}, {2 * t + 1} replicas</text>')
        for column, trigger in enumerate(triggers):
            x = LEFT + column * 3 * WIDTH
            parts.append(f'<text x="{x + 4}" y="{top + TOP - 26}" transform="rotate(-30 {x + 4} {top + TOP - 26})">{trigger}</text>')
            for offset, position in enumerate(POSITIONS):
                parts.append(f'<text x="{x + offset * WIDTH + 4}" y="{top + TOP - 8}" style="font-size: 9px">{position}</text>')
        for row, failure in enumerate(failures):
            y = top + TOP + row * HEIGHT
            parts.append(f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(failure)}</text>')
            for column, (trigger, position) in enumerate(product(triggers, POSITIONS)):
                outcome = outcomes[Cell(t, trigger, failure, position)]
                title = f"{outcome.kind} {outcome.detected_by}".strip()
                gap = 4 * (column % 3 == 2)
                parts.append(_square(LEFT + column * WIDTH, y, WIDTH - 2 - gap, HEIGHT - 2, COLOURS[outcome.kind], title))
    y = block * len(chains) + 10
    for number, (kind, colour) in enumerate(COLOURS.items()):
        x = LEFT + number * 120
        parts.append(_square(x, y, 16, 16, colour, kind))
        parts.append(f'<text x="{x + 22}" y="{y + 13}">{kind}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _square(x: int, y: int, width: int, height: int, colour: str, title: str) -> str:
    place = f'x="{x}" y="{y}" width="{width}" height="{height}"'
    return f'<rect {place} fill="{colour}"><title>{escape(title)}</title></rect>'
