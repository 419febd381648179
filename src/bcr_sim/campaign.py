"""Many seeds: what a worker does with a shard of them, and what it tells of each that failed."""

import gc
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from bcr.objects.finding import DEFAULT
from bcr.scenario import Scenario
from bcr.scenario.reading import parse_scenario
from bcr.scenario.scenario_paths import read_scenario
from bcr.scenario.values import Acceptance, Simulation
from bcr.signed.authentication import Authentication
from bcr_run.supervision import end_with_us
from bcr_runtime.processes import byzantine_client, byzantine_replica
from bcr_sim.conformance import simulate_and_conform
from bcr_sim.coverage import rare, struck
from bcr_sim.protocol_simulations import TEXTS
from bcr_sim.scenario_texts import with_seed, with_values
from bcr_sim.seeds import acceptance_of, authentication_of, object_of
from bcr_sim.simulated_run import SimulationOutcome, simulate

FROM_THE_SEED = "any"  # in place of an authenticator, or of what results are accepted on
SECONDS_A_SEED = 120  # of real time: a process that never leaves its step would keep the worker for ever
# Objects that are made between two searches for garbage: as many as several runs make, for little of a run is garbage before it is over.
GARBAGE_THRESHOLD = 100_000
_NUMBER = re.compile(r"(?<![\w+])\d[\d,.]*(?<=\d)(?!\w)")


class Counterexample(msgspec.Struct, frozen=True):
    """A seed whose run broke something: the scenario file that replays it, and what broke."""

    seed: int
    text: str
    breaches: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.breaches[0].partition(":")[0]


class ShardTally(msgspec.Struct):
    """What a shard came to: of how many seeds, in how many seconds of its worker; which faults struck where, and what was rare
    (bcr_sim.coverage); and of how many words of `simulation` how many took no effect. How many runs came to no verdict is counted by the
    first reason, its numbers left out; and how many those of a file were, since of what is drawn some can come to none."""

    seeds: int = 0
    seconds: float = 0.0
    events: int = 0
    virtual_s: float = 0.0
    operations: int = 0
    reconfigurations: int = 0
    failures: list[Counterexample] = []
    struck: dict[str, int] = {}
    rare: dict[str, int] = {}
    words: int = 0
    idle_words: int = 0
    unknown: dict[str, int] = {}
    unknown_of_files: int = 0

    def add(self, other: "ShardTally") -> None:
        self.seeds += other.seeds
        self.events += other.events
        self.virtual_s += other.virtual_s
        self.operations += other.operations
        self.reconfigurations += other.reconfigurations
        self.failures = self.failures + other.failures
        self.seconds += other.seconds
        self.struck = dict(Counter(self.struck) + Counter(other.struck))
        self.rare = dict(Counter(self.rare) + Counter(other.rare))
        self.words += other.words
        self.idle_words += other.idle_words
        self.unknown = dict(Counter(self.unknown) + Counter(other.unknown))
        self.unknown_of_files += other.unknown_of_files


def text_of(
    seed: int,
    base: str | None,
    authentication: Authentication | Literal["any"] | None = None,
    acceptance: Acceptance | Literal["any"] | None = None,
    object_name: str | None = None,
    durable: bool = False,
    protocol: str = "shuttle",
    sessions: bool = False,
) -> str:
    """The scenario file of a seed: `base`, a file's text, with this seed, or the one of `protocol` that the seed expands to.

    Where `authentication`, `acceptance` or `object_name` is None, that is the file's own, or the default. With `durable` what
    is made of a seed has disks, and what befalls them; with `sessions` clients come and go in it.
    """
    drawn_authentication = authentication_of(seed) if authentication == "any" else authentication
    drawn_acceptance = acceptance_of(seed) if acceptance == "any" else acceptance
    drawn_object = object_of(seed) if object_name == "any" else object_name
    if base is None:
        return TEXTS[protocol](
            seed, drawn_authentication or "ed25519", drawn_acceptance or "all", drawn_object or DEFAULT, durable, sessions
        )
    chosen = {"authentication": drawn_authentication, "acceptance": drawn_acceptance, "object": drawn_object}
    return with_seed(with_values(base, {name: own for name, own in chosen.items() if own is not None}), seed)


def located_text(path: Path) -> str:
    """The text of a scenario file as it means the same from everywhere, for an object of one's own stands beside a file."""
    scenario, _ = read_scenario(path)
    text = path.read_text(encoding="utf-8")
    return text if scenario.object_name == DEFAULT else with_values(text, {"object": scenario.object_name})


def run_seeds(
    seeds: Iterable[int],
    base: str | None = None,
    authentication: Authentication | Literal["any"] | None = None,
    acceptance: Acceptance | Literal["any"] | None = None,
    object_name: str | None = None,
    durable: bool = False,
    protocol: str = "shuttle",
    sessions: bool = False,
    conformance: bool = False,
) -> ShardTally:
    """Simulate each of the seeds; what a worker is sent. With `conformance` a step that the paper's Figure 1 forbids is a breach."""
    run = simulate_and_conform if conformance else simulate
    tally, began_s = ShardTally(), time.monotonic()
    found: Counter[str] = Counter()
    seldom: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for seed in seeds:
        text = text_of(seed, base, authentication, acceptance, object_name, durable, protocol, sessions)
        outcome = run_text(text, run)
        tally.seeds += 1
        if isinstance(outcome, str):
            tally.failures = [*tally.failures, Counterexample(seed, text, (outcome,))]
            continue
        tally.events += outcome.events
        tally.virtual_s += outcome.virtual_s
        tally.operations += outcome.result["operations"]
        tally.reconfigurations += len(outcome.result["reconfigurations"])
        tally.words += outcome.words
        tally.idle_words += len(outcome.result["words_missed"])
        found.update(struck(outcome.result))
        seldom += rare(outcome.result)
        if outcome.breaches:
            tally.failures = [*tally.failures, Counterexample(seed, text, outcome.breaches)]
        elif outcome.judgement.status == "unknown":
            unknown[_NUMBER.sub("n", next(iter(outcome.judgement.reasons), "no reason is known"))] += 1
    tally.struck, tally.rare, tally.unknown, tally.seconds = dict(found), dict(seldom), dict(unknown), time.monotonic() - began_s
    tally.unknown_of_files = 0 if base is None else unknown.total()
    return tally


def run_text(text: str, run: Callable[..., SimulationOutcome] = simulate, **more: Any) -> SimulationOutcome | str:
    """Simulate a scenario file's text, by `run`; a string, like a breach, where the simulation itself came to grief."""
    scenario, _ = parse_scenario(text, "seed.config")
    try:
        with _limit():
            return run(scenario, **more)
    except TimeoutError as error:
        return f"hang: {error}"
    except Exception:
        return f"error: {traceback.format_exc(limit=-3)}"


def seeded(scenario: Scenario, seed: int) -> Scenario:
    """The scenario with this seed."""
    simulation = msgspec.structs.replace(scenario.simulation or Simulation(), seed=seed)
    return msgspec.structs.replace(scenario, simulation=simulation)


@contextmanager
def _limit() -> Iterator[None]:
    """Raise TimeoutError in a run that takes more than its real time, with where it was; and once more at its end, because what a run
    is in the middle of may take that for a failure of its own and go on.

    Only the main thread can be interrupted so; a Dask worker runs in another, and Dask's own limits hold there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    where: list[str] = []

    def expire(_number: int, frame: Any) -> None:
        where.append(f"{SECONDS_A_SEED} s of real time in {frame.f_code.co_name}, line {frame.f_lineno}")
        raise TimeoutError(where[0])

    kept = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_A_SEED)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
    if where:
        raise TimeoutError(where[0])


def prepare_worker() -> None:
    """In a process of a pool: what `prepare` does; it ends with whoever made it, also where that was killed."""
    end_with_us()
    maker = multiprocessing.parent_process()
    if maker is not None and os.getppid() != maker.pid:
        sys.exit()  # it was killed before
    prepare()


def prepare() -> None:
    """In a worker: compile and import what runs need, so that no seed pays for it; what that prints goes nowhere."""
    with open("/dev/null", "w") as nowhere:
        kept, sys.stdout = sys.stdout, nowhere
        try:
            run_seeds([0])
            byzantine_replica()
            byzantine_client()
        finally:
            sys.stdout = kept
    spare_garbage_searches()


def spare_garbage_searches() -> None:
    """In an OS process that will simulate many seeds, once what they need is imported.

    Modules and compiled patterns stay as long as it: to look through them for garbage took a third of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
