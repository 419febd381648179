"""Grades another implementation of the protocol, such as a student's changed `src`: scenarios, simulated seeds, and the sentences
of the specification, under limits of time and memory. For each loss that a scenario shows it gives the shortest that was found."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import yaml
from rich.table import Table

from bcr.objects.finding import DEFAULT
from bcr.signed.authentication import Authentication
from bcr_run.options import above_zero, positive
from bcr_run.output import Terminal, complain
from bcr_runtime.places import PROJECT
from bcr_sim.bugs import bugs, scenario_of
from bcr_sim.seeds import scenario_text

SUITE = Path(__file__).with_suffix(".yaml")
# What is the student's to change; all else, and so whoever judges, is ours.
OWN_FILES = ("Replica.da", "Olympus.da", "Client.da", "ChainProcess.da", "ClientProcess.da", "ClientSession.da", "Issuer.da", "OlympusProcess.da", "Maker.da",
             "Participant.da")  # fmt: skip
OWN_ROOMS = ("objects", "signed", "state", "chain", "stable")
COPIED = ("src", "tests", "config", "examples", "spec", "docs", "pseudocode", "pyproject.toml")
SHRINK_LIMIT_S = 90.0
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


class Limits(msgspec.Struct, frozen=True):
    seconds: float
    memory_bytes: int


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
    parser.add_argument("--memory", type=positive, default=3072, metavar="MIB", help="of one process, at the most (default: 3072)")
    parser.add_argument("--no-shrink", action="store_true", help="give failing scenarios as they are")
    options = parser.parse_args(arguments)
    if options.folder is None:
        parser.error("FOLDER is missing: a changed src, or the checkout that holds it")
    limits = Limits(60 * options.minutes, options.memory << 20)
    try:
        suite = read_suite(options.suite)
        own = source_in(options.folder)
        with tempfile.TemporaryDirectory(prefix="bcr-grade-") as temporary:
            checkout, ignored = laid_over(own, Path(temporary))
            for name in ignored:
                complain(f"bcr grade: {name} is changed, and is ours: graded with the project's own")
            losses = [loss for part in graded(checkout, suite, limits) for loss in part]
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
    yield [Loss("sentences", 1, name, why) for name, why in _sentences(checkout, suite, limits)]


def _environment(checkout: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(checkout / "src"), "PYTHONDONTWRITEBYTECODE": "1"}


def _simulated(checkout: Path, texts: Mapping[str, str], limits: Limits, most: int | None = None) -> Iterator[tuple[str, str]]:
    """Name of each scenario that fails, of all or the first so many, and why. One that ends the process, or that time does not suffice for, fails too."""
    left, found = dict(texts), 0
    ends_s = time.monotonic() + limits.seconds
    while left:
        task = {"memory_bytes": limits.memory_bytes, "scenarios": list(left.items()), "most": most}
        said, status = _apart(checkout, task, ends_s - time.monotonic())
        began = None
        for line in said:
            if "began" in line:
                began = line["began"]
            elif left.pop(line["name"], None) is not None and line["breach"]:
                yield line["name"], line["breach"]
                found += 1
                if found == most:
                    return
        if not left:
            return
        if began is None or began not in left:
            began = next(iter(left))
        reason = "its time is over" if status is None else f"the process ended with status {status}"
        if status is None or not said:
            for name in left:
                yield name, reason
            return
        del left[began]
        yield began, reason


def _apart(checkout: Path, task: Mapping[str, object], limit_s: float) -> tuple[list[dict[str, str]], int | None]:
    """What the process said of its task, and its exit status; None where its time was over."""
    command = [sys.executable, "-P", "-m", "bcr_sim.grading"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=_environment(checkout), cwd=checkout,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(json.dumps(task), timeout=max(1.0, limit_s))
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            status = None
    lines = [line for line in output.splitlines() if line.startswith("{") and line.endswith("}")]
    return [json.loads(line) for line in lines], status


def _sentences(checkout: Path, suite: Suite, limits: Limits) -> Iterator[tuple[str, str]]:
    """Each sentence whose test fails, and why."""
    if not suite.sentences:
        return
    report = checkout / "sentences.xml"
    files = [str(checkout / name) for name in suite.sentences]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
    try:
        subprocess.run(
            command, env=_environment(checkout), cwd=checkout, timeout=limits.seconds, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        cases = list(ElementTree.parse(report).iter("testcase"))
    except subprocess.TimeoutExpired:
        cases, problem = [], "their time is over"
    except (OSError, ElementTree.ParseError):
        cases, problem = [], "the tests could not be run"
    else:
        problem = "no test was found"
    if not cases:
        yield "all sentences", problem
    for case in cases:
        wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
        if wrong is not None:
            name = case.get("name", "").removeprefix("test_").replace("_", " ")
            yield name, " ".join(wrong.get("message", "").split())


def shown(losses: Sequence[Loss], checkout: Path, limits: Limits) -> list[Loss]:
    """The losses, the first of each kind with the shortest scenario that shows it."""
    found: list[Loss] = []
    tries: dict[str, int] = {}
    for loss in losses:
        kind = loss.why.partition(":")[0]
        tries[kind] = tries.get(kind, 0) + bool(loss.text)
        if loss.text and tries[kind] <= SHOWN_OF_A_KIND:
            said, _ = _apart(checkout, {"memory_bytes": limits.memory_bytes, "shrink": loss.text}, SHRINK_LIMIT_S)
            found.append(msgspec.structs.replace(loss, text=said[0]["text"]) if said else loss)
        else:
            found.append(loss)
    return found


def points_of(suite: Suite) -> dict[str, int]:
    """How many points there are in each part, as far as that can be told before: one for each test of a sentence."""
    points = {"scenarios": suite.points_a_scenario * len(suite.texts())}
    points |= {f"seeds, {kind}": -(-seeds.count // suite.seeds_a_point) for kind, seeds in suite.seeds.items()}
    return points | {"sentences": sum((PROJECT / name).read_text().count("\ndef test_") for name in suite.sentences)}


def _print(suite: Suite, losses: Sequence[Loss], output: Path | None) -> None:
    console = Terminal()
    table = Table()
    for heading in ("part", "points", "of"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    total = kept = 0
    for part, most in points_of(suite).items():
        left = max(0, most - sum(loss.points for loss in losses if loss.part == part))
        if any(loss.part == part and loss.name == "all sentences" for loss in losses):
            left = 0
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
