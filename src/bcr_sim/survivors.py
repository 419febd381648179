"""What is known of the mutants, counted: for the terminal, and as the page docs/mutants.md."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from bcr.scenario.protocols import PROTOCOLS
from bcr_sim.mutants import OPERATORS, Mutant

COLUMNS = (
    "mutants",
    "equivalent",
    "broken",
    "by a scenario",
    "by a seed",
    "by a unit test",
    "hangs",
    "alive",
    "not tried",
    "noticed",
)


class MutantResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a mutant; `hash` stands for its text, `sources` for all that it was tried with.

    `outcome` is "broken" where it cannot be imported or nothing works, "killed" where `by` noticed it, as `what` says,
    and "alive" after so many seeds otherwise; `differs` then tells whether any run went otherwise than without it, None
    where that was not looked at, and `had` the files that did not notice it. `runs` counts the
    runs that executed what is mutated: others go as without it, and are not simulated. `cpu_s` is
    the processor time that all of this took, in seconds.
    """

    id: str
    hash: str
    sources: str
    outcome: str
    by: str = ""
    what: str = ""
    seeds: int = 0
    cpu_s: float = 0.0
    differs: bool | None = None
    had: tuple[str, ...] = ()
    runs: int = 0


def told(result: MutantResult | None) -> str:
    """A result in words."""
    if result is None:
        return "not tried"
    if result.outcome == "alive":
        how = "" if result.differs else ", none of them otherwise" if result.runs else ""
        return f"alive after {result.seeds} seeds; {result.runs or 'no'} runs execute it{how}"
    return f"{result.outcome} by {result.by}: {result.what}"


class Tables:
    """Mutants with what came of them. `wrong` are equivalents that are none: noticed, or not there any more."""

    def __init__(
        self, chosen: Sequence[tuple[Mutant, bytes]], known: Mapping[tuple[str, str], MutantResult],
        equivalents: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.mutants = [mutant for mutant, _ in chosen]
        self.results = {mutant.id: known.get((mutant.id, mutant.digest(source))) for mutant, source in chosen}
        self.equivalents = {mutant.id: equivalents[mutant.id] for mutant in self.mutants if mutant.id in equivalents}
        self.wrong = [name for name in self.equivalents if self.class_of(name, False) not in ("alive", "not tried")]
        files = {mutant.file for mutant in self.mutants}
        self.stale = [name for name in equivalents if name.partition(" ")[0] in files and name not in self.results]
        self.share = self._share(self._counts(self.mutants))

    def class_of(self, name: str, counts_equivalents: bool = True) -> str:
        result = self.results[name]
        if counts_equivalents and name in self.equivalents:
            return "equivalent"
        if result is None:
            return "not tried"
        if result.outcome != "killed":
            return result.outcome
        return (
            "by a seed"
            if result.by.startswith("seed ")
            else "hangs"
            if result.by in ("hang", "death")
            else "by a unit test"
            if result.by.startswith("test ")
            else "by a scenario"
        )

    def _counts(self, mutants: Sequence[Mutant]) -> Counter[str]:
        return Counter(self.class_of(mutant.id) for mutant in mutants)

    @staticmethod
    def _share(counts: Counter[str]) -> float:
        counted = counts.total() - counts["equivalent"]
        return (counted - counts["alive"] - counts["not tried"]) / counted if counted else 1.0

    def rows(self, key: Callable[[Mutant], str]) -> Iterator[tuple[str, ...]]:
        """By what `key` says, then of all: the counts in the order of COLUMNS."""
        for name in dict.fromkeys(map(key, self.mutants)):
            yield name, *self._cells([mutant for mutant in self.mutants if key(mutant) == name])
        yield "all", *self._cells(self.mutants)

    def _cells(self, mutants: Sequence[Mutant]) -> Iterator[str]:
        counts = self._counts(mutants)
        yield f"{len(mutants)}"
        yield from (f"{counts[column]}" for column in COLUMNS[1:-1])
        yield f"{self._share(counts):.1%}"

    def alive(self) -> list[Mutant]:
        """What neither was noticed nor is said to be equivalent."""
        return [mutant for mutant in self.mutants if self.class_of(mutant.id) == "alive"]

    def lines(self) -> Iterator[str]:
        """For the terminal."""
        for key in (lambda mutant: mutant.file, lambda mutant: mutant.operator):
            yield "  ".join([f"{'':<26}", *COLUMNS])
            for name, *cells in self.rows(key):
                yield "  ".join([f"{name:<26}", *(f"{cell:>{len(title)}}" for cell, title in zip(cells, COLUMNS, strict=True))])
        for mutant in self.alive():
            yield f"alive: {mutant.id} (line {mutant.line}): {told(self.results[mutant.id])}"
        for name in self.wrong:
            yield f"not equivalent, for it was noticed: {name}: {told(self.results[name])}"
        for name in self.stale:
            yield f"in equivalents.yaml, and no mutant any more: {name}"
        counts = self._counts(self.mutants)
        yield (
            f"{len(self.mutants)} mutants, {counts['equivalent']} equivalent; of the others {self.share:.1%} noticed, "
            f"{counts['alive']} alive, {counts['not tried']} not tried; "
            f"{sum(result.cpu_s for result in self.results.values() if result):,.0f} s of processor time"
        )


# Protocol -> the page of docs/ with its mutants.
PAGES: Mapping[str, str] = {"shuttle": "mutants.md", "raft": "mutants_raft.md", "byzantine_raft": "mutants_braft.md"}


def page(tables: Tables, sources: str, protocol: str = "shuttle") -> str:
    """The page of docs/ with a protocol's mutants, measured on these sources."""
    heading, command = "# Mutants", "./bcr bugs --all --docs"
    if protocol != "shuttle":
        heading, command = f"# Mutants of {PROTOCOLS[protocol].title}", f"./bcr bugs --all --protocol {protocol} --docs"
    counts = tables._counts(tables.mutants)
    seeds = sorted(result.seeds for result in tables.results.values() if result and result.by.startswith("seed "))
    text = [
        heading,
        "",
        f"`{command}` made {len(tables.mutants)} mutants of the rules of the protocol, each one small change",
        "of a source, and looked for what notices it. A mutant meets what executes the place that is mutated, and nothing",
        "else: first unit tests, of `tests/bcr` and those of `tests/sim` that simulate; then the scenario files of `config/`,",
        "its attacks, and `tests/sim/regressions`, simulated; then seeds of the hunt. What a test notices no seed is tried",
        "with. What is mutated and what is left alone, and why, stands in `src/bcr_sim/mutants.yaml`. A verdict belongs to",
        "the text of the function with the mutant in it: it stays when other functions change.",
        "",
        f"Measured on {sources}: of what is newer, whole modules too, the tables say nothing.",
        "",
        *_told_of_the_share(counts),
    ]
    if seeds:
        text += [
            f"Of those that it took a seed to notice, half were noticed within {seeds[len(seeds) // 2]} seeds, and the",
            f"last one within {seeds[-1]}.",
        ]
    upto = max((result.seeds for result in tables.results.values() if result), default=0)
    text += [f"None was tried with more than {upto} seeds: that one is alive says so much and no more."]
    if counts["not tried"]:
        text += [
            "Survivors get tests of their own and are tried again, so the share of those that were tried says more of them",
            "than of those that were not.",
        ]
    text += ["", *_table("file", tables.rows(lambda mutant: f"`{mutant.file}`"))]
    text += ["", *_table("operator", tables.rows(lambda mutant: mutant.operator)), ""]
    text += [f"- {operator}: {meaning}" for operator, meaning in OPERATORS.items()]
    text += [
        "",
        "*noticed* is the share of all but the equivalent ones, and those that were not tried count against it.",
        "*broken* cannot be imported, or fails the scenario file that comes first and seed 0 with each authenticator;",
        "*hangs* stopped making progress.",
        "",
        "## What noticed them",
        "",
        *_noticing(tables),
        "",
        "## Alive",
        "",
    ]
    text += [f"- `{mutant.id}`: {told(tables.results[mutant.id])}" for mutant in tables.alive()] or ["None."]
    text += ["", "## Equivalent", ""]
    text += [f"- `{name}`: {why}" for name, why in tables.equivalents.items()] or ["None."]
    return "\n".join(text) + "\n"


def _told_of_the_share(counts: Counter[str]) -> list[str]:
    """The share of those that were tried, and how many were not."""
    counted = counts.total() - counts["equivalent"] - counts["not tried"]
    noticed = counted - counts["alive"]
    return [
        f"**{noticed} of the {counted} that were tried were noticed"
        + (f": {noticed / counted:.1%}.**" if counted else ".**")
        + f" {counts['equivalent']} more are shown to be equivalent and do",
        f"not count; {counts['alive']} are alive, and not shown to be equivalent. {counts['not tried']} were not tried.",
    ]


def _noticing(tables: Tables) -> Iterator[str]:
    """How many were noticed by each file of tests, each scenario file, and seeds, the most first."""
    found = Counter(
        "seeds of the hunt" if result.by.startswith("seed ") else f"`{result.by.removeprefix('test ')}`"
        for result in tables.results.values()
        if result and result.outcome == "killed" and result.by not in ("hang", "death")
    )
    for name, count in found.most_common():
        yield f"- {name}: {count}"


def _table(title: str, rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join([title, *COLUMNS]) + " |"
    yield "|---" + "|---:" * len(COLUMNS) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
