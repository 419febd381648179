"""What the atlases have in common: a cell is one fault of one server, and its outcome is held against what the protocol prescribes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import yaml

from bcr.faults.vocabulary import FailureWord, Word
from bcr.scenario.protocols import Protocol

TIMEOUT_MS = 500
# The arguments that a trigger or a failure is tried with, by kind; a client's count is a cell's own.
ARGUMENTS: Mapping[str, str] = {
    "client": "0", "count": "0", "milliseconds": "100", "number": "1", "message": "shuttle", "position": "{other}",
}  # fmt: skip
# What every cell asks of the service, and gets. The results are told apart by what the operations before them did.
WORKLOAD = "workload[0] = put('k','0'); append('k','1'); get('k'); append('k','2'); slice('k','1:3'); append('k','3'); get('k')"
RESULTS = "expect[results,0] = 'OK'; 'OK'; '01'; 'OK'; 'OK'; 'OK'; '123'"


def call(name: str, word: Word, arguments: Mapping[str, str] = ARGUMENTS) -> str:
    """A word with its arguments, as a scenario file calls it."""
    return f"{name}({','.join(arguments[kind] for kind in word.arguments)})"


def name_of(failure: str) -> str:
    """The name in a call."""
    return failure.partition("(")[0]


class CellOutcome(msgspec.Struct, frozen=True):
    """What came of a cell: its kind, what stands in the columns of its atlas, and the reasons where it came to no good end."""

    kind: str
    columns: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class Cell(msgspec.Struct, frozen=True):
    """One run of an atlas: in a service for t faulty servers the one at `position` has the fault.

    `COLUMNS` are headings of what is told beside the kind of its outcome.
    """

    t: int
    trigger: str
    failure: str
    position: str

    COLUMNS: ClassVar[Sequence[str]] = ()

    @property
    def failure_name(self) -> str:
        return name_of(self.failure)

    @property
    def word(self) -> FailureWord:
        """What the failure is declared to be."""
        raise NotImplementedError

    def fault(self) -> str:
        """The pair that the cell is about, in the words of a scenario file."""
        raise NotImplementedError

    def scenario(self) -> str:
        """The scenario file: one server with the fault, and where the trigger needs it a provocation."""
        raise NotImplementedError

    def simulated(self) -> str:
        """The same file, for the simulator."""
        return f"{self.scenario()}simulation = seed(1)\n"

    def outcome(self, result: Mapping[str, Any]) -> CellOutcome:
        """What came of it where every operation was answered and the fault struck."""
        raise NotImplementedError


def outcome_of(cell: Cell, status: int, result: Mapping[str, Any] | None) -> CellOutcome:
    """Sort a run's result into the kinds of outcome."""
    if status == -1:
        return CellOutcome("hang")
    if result is None or result["verdict"] == "fail":
        return CellOutcome("wrong", reasons=tuple(result["reasons"]) if result else ("no result",))
    if result["verdict"] == "unknown":
        return CellOutcome("unknown", reasons=tuple(result["reasons"]))
    if not any(fault["fault"] == cell.fault() for fault in (*result["faults_injected"], *result["faults_armed"])):
        return CellOutcome("not met")
    return cell.outcome(result)


class Atlas(msgspec.Struct, frozen=True, kw_only=True):
    """The atlas of a protocol: its cells, what the protocol prescribes, and what a page of it says.

    `triggers` are names. `failures` are calls, in which a cell fills in what is its own. `prescription` is a file beside this one, and
    `page` the name of its page and picture in docs/. `about` says what the runs were, and what the times are. `why_simulated` says why
    its cells are not run for real, or is empty where they are.
    """

    protocol: Protocol
    cell: type[Cell]
    triggers: Sequence[str]
    failures: Sequence[str]
    positions: Sequence[str]
    prescription: str
    page: str
    title: str
    about: str
    why_simulated: str = ""

    def rules(self) -> Sequence[Mapping[str, Any]]:
        """What the protocol prescribes, rule by rule, from the data file."""
        return _rules_in(self.prescription)

    def cells(self, sizes: Iterable[int], triggers: Iterable[str], failures: Collection[str]) -> list[Cell]:
        """The cells of services for so many faulty servers, of these triggers, and of the failures of these names."""
        calls = [failure for failure in self.failures if name_of(failure) in failures]
        return [self.cell(*each) for each in product(sizes, triggers, calls, self.positions)]


@cache
def _rules_in(file: str) -> Sequence[Mapping[str, Any]]:
    loaded: Sequence[Mapping[str, Any]] = yaml.safe_load((Path(__file__).parent / file).read_text())
    return loaded


def prescribed(cell: Cell, rules: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first rule that matches the cell; raises LookupError where none does."""
    fields = {"trigger": cell.trigger, "failure": cell.failure_name, "position": cell.position}
    for rule in rules:
        if all(value in rule.get(field, (value,)) for field, value in fields.items()):
            return rule
    raise LookupError(f"no rule for {cell}")
