"""Grades another implementation of the protocol, such as a student's changed `src`: scenarios, simulated seeds, and the sentences
of the specification, under limits of time and memory. For each loss that a scenario shows it gives the shortest that was found.

What is graded runs in the process that judges it, so points say nothing of somebody who sets out to cheat: look at the files that
are named first, and run it as a user without rights, or in a container."""

import argparse
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import yaml
from rich.table import Table

from bcr.objects.finding import DEFAULT
from bcr.signed.authentication import Authentication
from bcr_run.options import above_zero, positive
from bcr_run.output import Terminal, complain
from bcr_runtime.places import PROJECT, SOURCES
from bcr_sim.bugs import bugs, scenario_of
from bcr_sim.seeds import scenario_text
from bcr_tools.grading_apart import ENDED, Limits, heard, tried

SUITE = Path(__file__).with_suffix(".yaml")
# What is the student's to change; all else, and so whoever judges, is ours.
OWN_FILES = ("Replica.da", "Olympus.da", "Client.da", "ChainProcess.da", "ClientProcess.da", "ClientSession.da", "Issuer.da", "OlympusProcess.da", "Maker.da",
             "Participant.da")  # fmt: skip
OWN_ROOMS = ("objects", "signed", "state", "chain", "stable")
COPIED = ("src", "tests", "config", "examples", "spec", "docs", "pseudocode", "pyproject.toml")
SHRINK_LIMIT_S = 90.0
COMPILING_LIMIT_S = 120.0
SHOWN_OF_A_KIND = 2  # losses for which a short scenario is looked for
SHOWN_CHARACTERS = 160  # characters of a reason


class Seeds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first `count` seeds of the hunt, with what stands below the statements, what is replicated, and whether there are disks."""

    count: int
    authentication: Authentication = "ed25519"
    object: str = DEFAULT
    durable: bool = False

    def texts(self) -> dict[str, str]:
        """Number of a seed -> the scenario that it stands for."""
        return {
            str(seed): scenario_text(seed, self.authentication, object_name=self.object, durable=self.durable) for seed in range(self.count)
        }


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is tried: files of scenarios, whether those that stand beside known bugs too, seeds by the name of their kind,
    seeds a point, and files of tests of sentences."""

    scenarios: tuple[str, ...]
    points_a_scenario: int
    seeds: dict[str, Seeds]
    seeds_a_point: int
    sentences: tuple[str, ...]
    has_those_of_bugs: bool = False

    def tests(self) -> list[str]:
        """The tests of the sentences, as pytest names them. They are the project's, whatever becomes of the files that are graded."""
        return [
            f"{name}::{test}"
            for name in self.sentences
            for test in re.findall(r"^def (test_\w+)", (PROJECT / name).read_text(), re.MULTILINE)
        ]

    def texts(self) -> dict[str, str]:
        """Name of a scenario -> its text."""
        found = {name: (PROJECT / name).read_text() for name in self.scenarios}
        if self.has_those_of_bugs:
            found |= {bug["name"]: text for bug in bugs() if (text := scenario_of(bug)) is not None}
        return found


class Loss(msgspec.Struct, frozen=True):
    """Points that were lost in a part of the suite: how many, of what, why, and the scenario that shows it, if one does."""

    part: str
    points: int
    name: str
    why: str
    text: str = ""


class BadFolder(Exception):
    """What was given holds no implementation."""


def main(arguments: Sequence[str]) -> int:
    """`bcr grade`: 0 all points; 1 some lost; 2 bad input."""
    if "--bugs" in arguments:
        from bcr_tools.grading_bugs import main as grade_bugs

        return grade_bugs([argument for argument in arguments if argument != "--bugs"])
    parser = argparse.ArgumentParser(prog="bcr grade", description=" ".join((__doc__ or "").split()))
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", help="a changed src, or the checkout that holds it")
    parser.add_argument("--bugs", action="store_true", help="grade the project's own source with each bug of `bcr bugs` in it, and "
                        "none; `bcr grade --bugs --help` tells more")  # fmt: skip
    parser.add_argument("--suite", type=Path, default=SUITE, metavar="YAML", help="what is tried (default: that of the project)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for the short scenarios (default: they are only printed)")
    parser.add_argument("--minutes", type=above_zero, default=15.0, help="for each part of the suite, at the most (default: 15)")
    parser.add_argument("--seconds", type=above_zero, default=60.0, help="for each scenario, seed and sentence, at the most (default: 60)")
    parser.add_argument("--memory", type=positive, default=3072, metavar="MIB", help="of one process, at the most (default: 3072)")
    parser.add_argument("--no-shrink", action="store_true", help="give failing scenarios as they are")
    options = parser.parse_args(arguments)
    if options.folder is None:
        parser.error("FOLDER is missing: a changed src, or the checkout that holds it")
    limits = Limits(60 * options.minutes, options.seconds, options.memory << 20)
    try:
        suite = read_suite(options.suite)
        own = source_in(options.folder)
        with tempfile.TemporaryDirectory(prefix="bcr-grade-") as temporary:
            checkout, ignored = laid_over(own, Path(temporary))
            for name in ignored:
                complain(f"bcr grade: {name} is changed, and is ours: graded with the project's own")
            for what in differences(own):
                complain(f"bcr grade: runs in the process that judges it, look at it: {what}")
            losses = all_lost(checkout, suite, limits) or [loss for part in graded(checkout, suite, limits) for loss in part]
            losses = losses if options.no_shrink else shown(losses, checkout, limits)
    except (BadFolder, OSError, msgspec.ValidationError, yaml.YAMLError) as problem:
        complain(f"bcr grade: {problem}")
        return 2
    _print(suite, losses, options.output)
    return 1 if losses else 0


def read_suite(path: Path) -> Suite:
    """Raises OSError, ValidationError, YAMLError."""
    return msgspec.convert(yaml.safe_load(path.read_text()), Suite)


def is_graded(file: str) -> bool:
    """Whether a file of src, by its path there, is the student's to change."""
    return file in OWN_FILES or file.rpartition("/")[0] in {f"bcr/{room}" for room in OWN_ROOMS}


def source_in(folder: Path) -> Path:
    """The folder of the protocol's files. Raises BadFolder."""
    for each in (folder, folder / "src"):
        if (each / "Replica.da").is_file():
            return each
    raise BadFolder(f"{folder}: neither it nor its src holds Replica.da")


def _own(source: Path) -> Iterator[Path]:
    for name in OWN_FILES:
        yield source / name
    for room in OWN_ROOMS:
        yield from sorted((source / "bcr" / room).glob("*.py"))


def laid_over(own: Path, temporary: Path) -> tuple[Path, list[str]]:
    """A copy of the project with the protocol's files of `own`, and the names of other files that differ and were not taken."""
    checkout = temporary / "checkout"
    checkout.mkdir()
    for name in COPIED:
        path = PROJECT / name
        if path.is_dir():
            shutil.copytree(path, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(path, checkout / name)
    taken = set()
    for path in _own(own):
        relative = path.relative_to(own)
        taken.add(relative)
        if path.is_file():
            (checkout / "src" / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, checkout / "src" / relative)
    ours = PROJECT / "src"
    ignored = [
        str(path.relative_to(ours))
        for path in sorted(ours.rglob("*"))
        if path.suffix in (".py", ".da", ".yaml") and path.relative_to(ours) not in taken
        and (own / path.relative_to(ours)).is_file() and (own / path.relative_to(ours)).read_bytes() != path.read_bytes()
    ]  # fmt: skip
    return checkout, ignored


def differences(own: Path) -> list[str]:
    """The files that are taken from `own` and are not as the project's, and how many lines make the difference."""
    found = []
    for path in _own(own):
        if path.is_file():
            ours = SOURCES / path.relative_to(own)
            before = ours.read_bytes().splitlines() if ours.is_file() else []
            after = path.read_bytes().splitlines()
            if before != after or not ours.is_file():
                come, gone = Counter(after) - Counter(before), Counter(before) - Counter(after)
                found.append(f"{path.relative_to(own)} ({'' if ours.is_file() else 'new, '}+{come.total()} -{gone.total()} lines)")
    return found


def all_lost(checkout: Path, suite: Suite, limits: Limits) -> list[Loss]:
    """All points, where a file of the protocol does not compile; nothing where all do. The project's own source looks, and runs none of them."""
    names = [str(Path("src") / path.relative_to(SOURCES)) for path in _own(SOURCES)]
    apart = msgspec.structs.replace(limits, seconds=COMPILING_LIMIT_S)
    wrong = dict(tried(checkout, names, lambda left: {"compile": left}, apart, sources=SOURCES))
    why = "; ".join(f"error: {name} does not compile: {said}" for name, said in wrong.items())
    return [Loss(part, points, "all", why) for part, points in points_of(suite).items() if points] if wrong else []


def graded(checkout: Path, suite: Suite, limits: Limits, most: int | None = None) -> Iterator[list[Loss]]:
    """What is lost in each part of the suite, one after the other; no more than so many losses of a part are looked for."""
    texts = suite.texts()
    yield [Loss("scenarios", suite.points_a_scenario, name, why, texts[name]) for name, why in _simulated(checkout, texts, limits, most)]
    for kind, seeds in suite.seeds.items():
        of_seeds = seeds.texts()
        groups: dict[int, tuple[str, str]] = {}
        for name, why in _simulated(checkout, of_seeds, limits, most):
            groups.setdefault(int(name) // suite.seeds_a_point, (name, why))
        yield [Loss(f"seeds, {kind}", 1, f"seed {name}", why, of_seeds[name]) for name, why in groups.values()]
    yield _sentences(checkout, suite, limits)


def _simulated(checkout: Path, texts: Mapping[str, str], limits: Limits, most: int | None = None) -> Iterator[tuple[str, str]]:
    """Name of each scenario that fails, of all or the first so many, and why."""
    return tried(checkout, list(texts), lambda left: {"scenarios": [(name, texts[name]) for name in left], "most": most}, limits, most)


def _sentences(checkout: Path, suite: Suite, limits: Limits) -> list[Loss]:
    """Each sentence of which a test does not pass, or was not run, and why."""
    tests = suite.tests()
    wrong = list(tried(checkout, tests, lambda left: {"sentences": left}, limits))
    if len(tests) == len(wrong) > 1 and len({why for _, why in wrong}) == 1:
        return [Loss("sentences", len(tests), "all sentences", wrong[0][1])]
    return [Loss("sentences", 1, name.rpartition("::test_")[2].replace("_", " "), why) for name, why in wrong]


def shown(losses: Sequence[Loss], checkout: Path, limits: Limits) -> list[Loss]:
    """The losses, the first of each kind with the shortest scenario that shows it."""
    found: list[Loss] = []
    tries: dict[str, int] = {}
    apart = msgspec.structs.replace(limits, seconds_each=SHRINK_LIMIT_S)
    for loss in losses:
        kind = loss.why.partition(":")[0]
        tries[kind] = tries.get(kind, 0) + bool(loss.text)
        # A scenario that ends the process, or does not end, says nothing of a smaller one.
        if loss.text and tries[kind] <= SHOWN_OF_A_KIND and not loss.why.startswith(ENDED):
            said, _ = heard(checkout, {"shrink": loss.text}, apart, SHRINK_LIMIT_S, 1)
            found.append(msgspec.structs.replace(loss, text=next((each.text for each in said if each.text), loss.text)))
        else:
            found.append(loss)
    return found


def points_of(suite: Suite) -> dict[str, int]:
    """How many points there are in each part: one for each test of a sentence."""
    points = {"scenarios": suite.points_a_scenario * len(suite.texts())}
    points |= {f"seeds, {kind}": -(-seeds.count // suite.seeds_a_point) for kind, seeds in suite.seeds.items()}
    return points | {"sentences": len(suite.tests())}


def _print(suite: Suite, losses: Sequence[Loss], output: Path | None) -> None:
    console = Terminal()
    table = Table()
    for heading in ("part", "points", "of"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    total = kept = 0
    for part, most in points_of(suite).items():
        left = max(0, most - sum(loss.points for loss in losses if loss.part == part))
        total, kept = total + most, kept + left
        table.add_row(part, str(left), str(most))
    table.add_row("all", str(kept), str(total))
    console.print(table)
    texts: dict[str, list[str]] = {}
    for number, loss in enumerate(losses, start=1):
        say = f"{number}. {loss.part}, {loss.name}: {' '.join(loss.why.split())[:SHOWN_CHARACTERS]}"
        console.print(say, markup=False, highlight=False, soft_wrap=True)
        if loss.text:
            texts.setdefault(loss.text, []).append(str(number))
    for text, numbers in sorted(texts.items(), key=lambda each: len(each[0]))[: SHOWN_OF_A_KIND + 1]:
        console.print(f"shows loss {', '.join(numbers)}:", markup=False, highlight=False)
        console.print("\n".join(f"    {line}" for line in text.splitlines()), markup=False, highlight=False, soft_wrap=True)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for text, numbers in texts.items():
            (output / f"loss_{numbers[0]}.config").write_text(text)
