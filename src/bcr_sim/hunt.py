"""Simulates many seeds on all cores, and makes a small scenario file, a paragraph and a picture of whatever fails."""

import argparse
import hashlib
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bcr.objects.finding import BUILT_IN, ObjectNotFound, located, named
from bcr.scenario import ScenarioError, parse_scenario, read_scenario
from bcr.scenario.protocols import PROTOCOLS, SHUTTLE
from bcr.signed.authentication import KINDS
from bcr_run.exit_status import FAIL, PASS, UNKNOWN
from bcr_run.extras import demand
from bcr_run.options import formerly, natural, positive
from bcr_run.output import Terminal
from bcr_run.pools import as_completed
from bcr_run.scenario_files import ScenarioNotFound, find_scenario
from bcr_runtime.places import default_log_base
from bcr_sim.campaign import FROM_THE_SEED, Counterexample, ShardTally, located_text, prepare_worker, run_seeds, run_text, text_of
from bcr_sim.campaign_folder import PAGE, Campaign
from bcr_sim.conformance import FIGURE, FIGURE_OF_THE_PAPER, simulate_and_conform
from bcr_sim.scenario_texts import CONFIG, with_values
from bcr_sim.shrink import shrunk
from bcr_sim.simulated_folder import show, simulate_into
from bcr_sim.simulated_run import SimulationOutcome, demand_chain, demand_simulable, simulate

CHUNK = 20
MAX_COUNTEREXAMPLES = 10  # made of each kind of failure; the rest is listed
MOST_REASONS = 5  # for no verdict; the rest is counted
LINE_INTERVAL_S = 10.0

_one_at_a_time = threading.Lock()


def main(arguments: Sequence[str]) -> int:
    """`bcr hunt`: 0 when no seed failed; 1 when some did; 2 when none did, but runs of a FILE came to no verdict, or for bad input."""
    parser = argparse.ArgumentParser(prog="bcr hunt", description=__doc__)
    parser.add_argument("files", metavar="FILE", nargs="*", help="scenarios to run with each seed (default: one made of it)")
    parser.add_argument("--count", type=positive, metavar="SEEDS", default=1_000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=natural, default=0, help="the first of them (default: 0)")
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), help="of the scenarios that are made "
                        "(default: shuttle); FILE says its own")  # fmt: skip
    parser.add_argument("--authentication", choices=(*KINDS, FROM_THE_SEED), help="of all runs, or drawn from each seed "
                        "(default: what FILE says, and ed25519 for scenarios that are made)")  # fmt: skip
    parser.add_argument("--acceptance", choices=("all", "quorum", FROM_THE_SEED), help="what results are accepted on in all "
                        "runs, or drawn from each seed (default: what FILE says, and all)")  # fmt: skip
    parser.add_argument("--object", help="what is replicated in all runs: dictionary, store, or module:Class, or any: drawn "
                        "from each seed (default: what FILE says, and dictionary)")  # fmt: skip
    parser.add_argument("--durable", action="store_true", help="give replicas disks in the scenarios that are made, and restart "
                        "them, cut the power, and let disks fill, slow down and lose something")  # fmt: skip
    parser.add_argument("--sessions", action="store_true", help="let clients come and go in the scenarios that are made, and their "
                        "sessions end")  # fmt: skip
    parser.add_argument("--conformance", action="store_true", help="also hold every step against Figure 1 of the paper: one that it "
                        "forbids is a failure")  # fmt: skip
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="only the I-th of N parts of the seeds")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--engine", choices=("processes", "dask"), default="processes", help="what runs the shards")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster (default: one of its own on this machine)")
    parser.add_argument("--stop", action="store_true", help="stop at the first failure")
    parser.add_argument("--no-shrink", action="store_true", help="keep failing scenarios as they are")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for counterexamples, a page, and what has been "
                        "tried, so that the same hunt into it goes on where it was stopped (default: logs/hunt-TIME, counterexamples alone)")  # fmt: skip
    formerly(parser, "--count", "--seeds")
    formerly(parser, "--seed", "--first")
    formerly(parser, "--output", "--into")
    options = parser.parse_args(arguments)
    try:
        _demand_fitting(options)
        options.protocol = options.protocol or "shuttle"
        seeds = _shard(range(options.seed, options.seed + options.count), options.shard)
        if options.object not in (None, FROM_THE_SEED):
            options.object = located(options.object, Path())
            named(options.object)
        bases: list[str | None] = [_text_of(name, options) for name in options.files] or [None]
        campaign = Campaign(options.output, _objects_in(bases, options)) if options.output else None
    except (ValueError, ObjectNotFound, ScenarioError, ScenarioNotFound, OSError) as error:
        print(f"bcr hunt: {error}", file=sys.stderr)
        return 2
    began_s = time.monotonic()
    tally = _hunt(seeds, bases, options, campaign)
    elapsed_s = time.monotonic() - began_s
    print(
        f"{tally.seeds:,} seeds in {elapsed_s:.0f} s: {tally.seeds / elapsed_s:.1f} seeds/s, "
        f"{tally.events / elapsed_s:,.0f} events/s, {tally.virtual_s / elapsed_s:.1f} virtual seconds a second; "
        f"{tally.operations:,} operations, {tally.reconfigurations:,} reconfigurations; {_told_of_words(tally)}{len(tally.failures)} failed"
        f"{_told_of_unknown(tally)}"
    )
    failures, unknown = tally.failures, tally.unknown_of_files
    if campaign is not None:
        failures, unknown = campaign.failures(), campaign.total().unknown_of_files
        print(f"{campaign.told()}: {campaign.folder / PAGE}")
        for problem in campaign.write_page():
            print(f"bcr hunt: {problem}", file=sys.stderr)
    if not failures:
        return UNKNOWN if unknown else PASS
    folder = options.output or default_log_base() / f"hunt-{time.strftime('%Y%m%dT%H%M%S')}"
    folder.mkdir(parents=True, exist_ok=True)
    _tell(failures, folder, not options.no_shrink, "" if campaign is None else campaign.commit, _files_of(bases, options))
    return FAIL


def _demand_fitting(options: argparse.Namespace) -> None:
    """Raises ValueError where an option says nothing to what is hunted."""
    if options.files:
        for name in ("protocol", "durable", "sessions"):
            if getattr(options, name):
                raise ValueError(f"--{name} is of scenarios that are made, and FILE says its own")
        return
    protocol = PROTOCOLS[options.protocol or "shuttle"]
    if options.sessions and protocol is not SHUTTLE:
        raise ValueError(f"--sessions: clients of the chain come and go, and --protocol is {protocol.name}")
    if options.sessions and options.authentication in ("hmac", FROM_THE_SEED):
        raise ValueError("--sessions: authentication = hmac has no credentials")
    if options.conformance and protocol is not SHUTTLE:
        raise ValueError(f"--conformance: {FIGURE_OF_THE_PAPER} is of the chain, and --protocol is {protocol.name}")
    for name in ("authentication", "acceptance"):
        value, why = protocol.refused.get(name, ("", ""))
        if value and getattr(options, name) not in (None, value):
            raise ValueError(f"--{name}: --protocol {protocol.name} has none but {value}: {why}")


def _told_of_unknown(tally: ShardTally) -> str:
    """How many runs came to no verdict, and why most did not."""
    if not tally.unknown:
        return ""
    most = Counter(tally.unknown).most_common(MOST_REASONS)
    reasons = "".join(f"\n  {count:,} times: {reason}" for reason, count in most)
    left = len(tally.unknown) - len(most)
    return f", {sum(tally.unknown.values()):,} came to no verdict:{reasons}" + (f"\n  and for {left:,} other reasons" if left else "")


def _told_of_words(tally: ShardTally) -> str:
    """How many of the words for the simulator took effect: a hunt whose words come too late tries less than it seems to."""
    if not tally.words:
        return ""
    return f"{1 - tally.idle_words / tally.words:.0%} of {tally.words:,} words for the simulator took effect; "


def _shard(seeds: range, shard: str) -> range:
    number, slash, count = shard.partition("/")
    if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise ValueError(f"--shard {shard}: expected I/N with 1 ≤ I ≤ N, such as 2/8")
    return seeds[int(number) - 1 :: int(count)]


def _text_of(name: str, options: argparse.Namespace) -> str:
    path = find_scenario(name)
    scenario = read_scenario(path)[0]
    demand_simulable(scenario)
    if options.conformance:
        demand_chain([scenario], FIGURE_OF_THE_PAPER)
    if path.suffix != ".config":
        raise ValueError(f"{name}: a hunt takes .config files")
    text = located_text(path)
    drawn = {"authentication": KINDS, "acceptance": ("all", "quorum"), "object": tuple(BUILT_IN)}
    given = {each: value for each in drawn if (value := getattr(options, each)) is not None}
    for values in product(*(drawn[each] if value == FROM_THE_SEED else (value,) for each, value in given.items())):
        chosen = dict(zip(given, values, strict=True))
        try:  # with others than its own it may be impossible
            parse_scenario(with_values(text, chosen), name)
        except ScenarioError as error:
            [first, *_] = [each for each in error.diagnostics if each.severity == "error"]
            choice = " ".join(f"--{each} {value}" for each, value in chosen.items())
            raise ValueError(f"{name} cannot be run with {choice}: {first.text}") from error
    return text


def _objects_in(bases: Sequence[str | None], options: argparse.Namespace) -> list[str]:
    """The names of what is replicated."""
    if options.object is not None:
        return [] if options.object == FROM_THE_SEED else [options.object]
    return [parse_scenario(base, CONFIG)[0].object_name for base in bases if base is not None]


def _files_of(bases: Sequence[str | None], options: argparse.Namespace) -> Callable[[Counterexample], str]:
    """What says which of several FILEs a failure is of: nothing where there is one, or where it was found with other settings."""

    def file_of(failure: Counterexample) -> str:
        for name, base in zip(options.files, bases, strict=len(bases) == len(options.files)):
            if text_of(failure.seed, base, options.authentication, options.acceptance, options.object) == failure.text:
                return str(name)
        return ""

    return file_of if len(bases) > 1 else lambda _: ""


def _hunt(seeds: range, bases: Sequence[str | None], options: argparse.Namespace, campaign: Campaign | None) -> ShardTally:
    """What the seeds come to that the campaign has not tried yet; it is told of each chunk that is done."""
    size = 1 if options.stop else CHUNK  # a worker ends its chunk, whatever another has found
    chunks = []
    for base in bases:
        choices = (base, options.authentication, options.acceptance, options.object, options.durable, options.protocol, options.sessions,
                   options.conformance)  # fmt: skip
        left = list(seeds) if campaign is None else campaign.left(seeds, _settings_of((seeds, *choices)))
        chunks += [(left[start : start + size], *choices) for start in range(0, len(left), size)]
    total = ShardTally()
    engine = _dask if options.engine == "dask" else _processes
    with _Progress(sum(len(chunk[0]) for chunk in chunks)) as progress:
        for chunk, tally in engine(run_seeds, chunks, options):
            total.add(tally)
            if campaign is not None:
                campaign.add(chunk[0], _settings_of(chunk), tally)
            progress.show(total)
            if options.stop and total.failures:
                break
    return total


def _settings_of(chunk: Sequence[Any]) -> str:
    """What is tried with these seeds, but for the seeds: as text, in which a file's own is a digest."""
    _, base, authentication, acceptance, object_name, durable, protocol, sessions, conformance = chunk
    choices = {"disks": durable, "sessions": sessions, "conformance": conformance}
    words = [protocol, authentication, acceptance, object_name, *(name for name, is_chosen in choices.items() if is_chosen)]
    digest = None if base is None else f"file {hashlib.sha256(base.encode()).hexdigest()[:12]}"
    return ", ".join(word for word in (*words, digest) if word)


def _processes(work: Callable[..., ShardTally], chunks: Sequence[Any], options: argparse.Namespace) -> Iterator[tuple[Any, ShardTally]]:
    # Spawned, not forked: a worker shares nothing with whoever started it.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), initializer=prepare_worker) as pool:
        futures = {pool.submit(work, *chunk): chunk for chunk in chunks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _dask(work: Callable[..., ShardTally], chunks: Sequence[Any], options: argparse.Namespace) -> Iterator[tuple[Any, ShardTally]]:
    demand("dask")
    from distributed import Client, LocalCluster
    from distributed import as_completed as as_they_come

    own = None if options.scheduler else LocalCluster(options.jobs, threads_per_worker=1, dashboard_address=None)
    with Client(options.scheduler or own) as client:
        futures = {client.submit(_on_dask, work, *chunk, pure=False): chunk for chunk in chunks}
        try:
            for future in as_they_come(list(futures)):
                yield futures[future], future.result()
        finally:
            client.cancel(list(futures))
            if own is not None:
                own.close()


def _on_dask(work: Callable[..., ShardTally], *chunk: Any) -> ShardTally:
    """One run at a time in a worker, which may have several threads: a run takes the whole OS process."""
    with _one_at_a_time:
        return work(*chunk)


class _Progress:
    """A bar on a terminal, a line now and then elsewhere, on standard error."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began_s = self._shown_s = time.monotonic()
        self._console = Terminal(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("seeds", total=total)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, tally: ShardTally) -> None:
        now_s = time.monotonic()
        rate = tally.seeds / max(now_s - self._began_s, 1e-9)
        text = f"{rate:.1f} seeds/s, {len(tally.failures)} failed"
        self._bar.update(self._task, completed=tally.seeds, description=text)
        if not self._console.is_terminal and now_s - self._shown_s >= LINE_INTERVAL_S:
            self._shown_s = now_s
            self._console.print(f"{tally.seeds:,} of {self._total:,} seeds, {text}", highlight=False)


def _tell(failures: Sequence[Counterexample], folder: Path, shrinks: bool, commit: str, file_of: Callable[[Counterexample], str]) -> None:
    """Print each failure, and write the counterexamples of the first of each kind; one of an earlier time on this commit stays.

    One that cannot be made costs no other.
    """
    made: Counter[str] = Counter()
    taken: set[Path] = set()
    for failure in sorted(failures, key=lambda each: each.seed):
        file = file_of(failure)
        print(f"seed {failure.seed}{f' of {file}' if file else ''}: {failure.breaches[0]}")
        if made[failure.kind] >= MAX_COUNTEREXAMPLES:
            continue
        made[failure.kind] += 1
        mark = hashlib.sha256(f"{commit}\n{failure.text}".encode()).hexdigest()[:8]
        about = f"Found on commit {commit}, as {mark}." if commit else ""
        path = folder / f"seed{failure.seed}.config"
        there = path.read_text(encoding="utf-8") if commit and path.exists() else failure.text
        if path in taken or (there != failure.text and about not in there):
            path = folder / f"seed{failure.seed}-{mark}.config"  # the name is that of another's
            there = path.read_text(encoding="utf-8") if commit and path.exists() else failure.text
        taken.add(path)
        try:
            print(f"  {path if about and about in there else counterexample(failure, path, shrinks, about=about)}")
        except Exception as error:
            print(f"  {path}, as it was found: {type(error).__name__}: {error}")


def counterexample(failure: Counterexample, path: Path, shrinks: bool = True, options: str = "", about: str = "") -> Path:
    """Write the scenario that replays a failure, as small as it was found; and beside it a folder with the run and its page.

    `options` are those of `bcr sim` that it takes to replay it; `about` is told in the file too.
    """
    is_of_figure = failure.kind == FIGURE
    run = simulate_and_conform if is_of_figure else simulate
    path.write_text(failure.text, encoding="utf-8")  # as it was found: to make it small may take long, or come to grief
    text = shrunk(failure.text, failure.kind, lambda text: _kind(run_text(text, run))) if shrinks else failure.text
    outcome = run_text(text, run, keeps_steps=True)
    if isinstance(outcome, str):
        path.write_text("".join(f"# {line}\n" for line in (" ".join(outcome.split()), about) if line) + text, encoding="utf-8")
        return path
    last = [step for step in outcome.steps if step.kind != "befell"][-1:]
    story = [
        *(f"Violated: {breach}" for breach in outcome.breaches[:3]),
        f"Seed {failure.seed}, after {outcome.events} events and {outcome.virtual_s:.3f} virtual seconds; faults that struck: "
        + (", ".join(dict.fromkeys(fault["fault"] for fault in outcome.result["faults_injected"])) or "none")
        + ".",
        *(f"The last message: {step.message} from {step.sender} to {step.receiver}." for step in last),
        *([about] if about else []),
        f"Replay it with ./bcr sim {options}{'--conformance ' * is_of_figure}{path.name}; what happened is told and drawn in {path.stem}/index.html.",
    ]
    path.write_text("".join(f"# {line}\n" for line in story) + text, encoding="utf-8")
    folder = path.with_suffix("")
    if (folder / "simulator.log").exists():
        shutil.rmtree(folder)  # of an earlier hunt into the same folder
    simulate_into(folder, parse_scenario(text, str(path))[0], path)
    show(folder, "--quiet")
    return path


def _kind(outcome: SimulationOutcome | str) -> str:
    return outcome.partition(":")[0] if isinstance(outcome, str) else outcome.kind
