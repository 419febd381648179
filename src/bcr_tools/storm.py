"""Runs many scenarios with faults chosen at random, up to t replicas at once; a seed is enough to run one again.

With --service one service is hit while many call it; with --protocol raft it is cut into three servers and two beside that, and healed, and
with byzantine_raft one of its four servers lies. With --trials the processes of runs are hit from outside instead: crashed, stopped, or the
command is interrupted; and with `olympus` the configuration service is killed when the chain serves.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bcr.evidence.convictions import convictions
from bcr.evidence.evidence_files import UnreadableFile, unpacked_record
from bcr.evidence.verifying import verify_record
from bcr.faults.vocabulary import MESSAGES, possible
from bcr.scenario.protocols import PROTOCOLS, WORDS, NotOfProtocol, Protocol, demand_command
from bcr_run.command import run_text
from bcr_run.extras import NotSetUp, demand
from bcr_run.options import formerly, natural, positive
from bcr_tools.partition_storm import PartitionStorm
from bcr_tools.service_storm import LiarStorm, Storm, run_service_storm
from bcr_tools.trials import TURNS, OtherTrials, run_trials, trial_of

SERVICE_STORMS: Mapping[str, type[Storm]] = {"shuttle": Storm, "raft": PartitionStorm, "byzantine_raft": LiarStorm}
TIMEOUT_MS = 400
PER_CLIENT = 8
# What comes late is served late, and a process that stands still for long is as good as crashed.
MILLISECONDS = (20, 150, 900)


def scenario_text(seed: int, protocol: str = "shuttle") -> str:
    """The scenario file of a seed: t replicas at the most have faults, in whatever configurations they are, and every answer is owed."""
    of = PROTOCOLS[protocol]
    chance = random.Random(seed)
    t = chance.choice((1, 1, 1, 2))
    clients = chance.randint(1, 3)
    lines = [
        f"test_case_name = storm{seed}",
        f"t = {t}",
        f"num_client = {clients}",
        f"client_timeout = {TIMEOUT_MS}",
        f"head_timeout = {TIMEOUT_MS}",
        f"nonhead_timeout = {TIMEOUT_MS}",
        f"olympus_timeout = {5 * TIMEOUT_MS}",
        f"checkpt_interval = {chance.choice((2, 3, 5, 100))}",
        f"client_window = {chance.choice((1, 1, 1, 3))}",
        f"batch_limit = {chance.choice((1, 1, 4))}",
    ]
    lines += [f"workload[{client}] = pseudorandom({chance.randrange(10**6)},{PER_CLIENT})" for client in range(clients)]
    lines = [line for line in lines if line.partition(" ")[0] not in of.ignored]
    lines += [f"protocol = {protocol}"] if protocol != "shuttle" else []
    servers = of.servers(t, "ed25519")
    for configuration in range(chance.randint(1, 3) if of.is_replaced else 1):
        for position in chance.sample(range(servers), chance.randint(1, t)):
            pairs = [_pair(chance, of, configuration, clients, servers) for _ in range(chance.randint(1, 2))]
            lines.append(f"failures[{configuration},{position}] = {'; '.join(pairs)}")
    return "\n".join(lines) + "\n"


def _pair(chance: random.Random, of: Protocol, configuration: int, clients: int, replicas: int) -> str:
    trigger = chance.choice(sorted(of.triggers))
    values = {"client": chance.randrange(clients), "count": chance.randrange(PER_CLIENT), "milliseconds": 50}
    if of.triggers[trigger].once:
        values["count"] = 0
    if trigger == "reconfiguration":
        values["count"] = configuration
    possible_names = [name for name in possible(WORDS, "ed25519", simulated=False) if not of.why_not(name, allows_lies=False)]
    failure = chance.choice([name for name in possible_names if name not in of.unpromised])
    amounts: dict[str, int | str] = {
        "milliseconds": chance.choice(MILLISECONDS),
        "number": chance.randint(1, 3),
        "position": chance.randrange(replicas),
        "message": chance.choice(MESSAGES),
    }
    trigger_arguments = ",".join(str(values[kind]) for kind in of.triggers[trigger].arguments)
    failure_arguments = ",".join(str(amounts[kind]) for kind in WORDS[failure].arguments)
    return f"{trigger}({trigger_arguments}),{failure}({failure_arguments})"


def main(arguments: Sequence[str]) -> int:
    """`bcr storm`: 0 when every scenario passed or trial held, 1 otherwise; prints the seed of each that did not."""
    parser = argparse.ArgumentParser(prog="bcr storm", description=__doc__)
    parser.add_argument("--count", type=positive, default=500, help="how many scenarios (default 500)")
    parser.add_argument("--seed", type=natural, default=0, help="the first seed; the others follow it")
    parser.add_argument("--jobs", type=positive, default=2, help="how many at once")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="in which to keep files and logs (default: a temporary "
                        "one); trials that are done there are not done again")  # fmt: skip
    parser.add_argument("--protocol", choices=[*PROTOCOLS], default="shuttle", help="(default: shuttle)")
    parser.add_argument("--print", action="store_true", help="print the scenario of --seed and run nothing")
    parser.add_argument("--trials", type=_kinds, metavar="KIND,…", help=f"hit processes from outside: {', '.join(TURNS)}")
    parser.add_argument("--restarts", action="store_true", help="the same as --trials restart: replicas have disks, are killed, one "
                        "or some or all at once, and begin again")  # fmt: skip
    parser.add_argument("--timeout", type=positive, default=TIMEOUT_MS, metavar="MS", help="of trials: how long clients and replicas wait; "
                        "more where the machine is busy (default %(default)s)")  # fmt: skip
    parser.add_argument(
        "--service",
        action="store_true",
        help="hit a service under HTTP load, --count times, and hold what it told its callers against what is there",
    )
    parser.add_argument("--calls", type=positive, default=10_000, help="of --service, in all (default: %(default)s)")
    parser.add_argument("--callers", type=positive, default=50, help="of --service, at once (default: %(default)s)")
    formerly(parser, "--output", "--keep")
    options = parser.parse_args(arguments)
    options.trials = ("restart",) if options.restarts else options.trials
    if options.trials:
        try:
            demand_command("storm --trials", options.protocol)
        except NotOfProtocol as problem:
            parser.error(f"--trials: {problem}")
    if options.print and options.trials:
        print(trial_of(options.seed, options.trials))
        return 0
    if options.print:
        print(scenario_text(options.seed, options.protocol), end="")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.service:
            try:
                demand("service")
            except NotSetUp as problem:
                parser.error(f"--service: {problem}")
            kind = SERVICE_STORMS[options.protocol]
            return run_service_storm(options.count, options.calls, kind(folder, options.callers, options.seed), options.seed)
        if options.trials:
            seeds = range(options.seed, options.seed + options.count)
            try:
                return run_trials(seeds, options.trials, folder, options.jobs, options.timeout)
            except OtherTrials as problem:
                parser.error(f"--output: {problem}")
        counts = _run_all(range(options.seed, options.seed + options.count), folder, options.jobs, options.protocol)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    return 0 if set(counts) <= {"pass"} else 1


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    unknown = [kind for kind in kinds if kind not in TURNS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no trial {', '.join(unknown)}; there are {', '.join(TURNS)}")
    return kinds


def _run_all(seeds: Sequence[int], folder: Path, jobs: int, protocol: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    convicted = verified = 0

    def run(seed: int) -> tuple[int, int, dict[str, Any] | None, float]:
        return seed, *run_text(scenario_text(seed, protocol), folder, f"storm{seed}")

    with ThreadPoolExecutor(jobs) as pool:
        for done, (seed, status, result, seconds) in enumerate(pool.map(run, seeds), start=1):
            outcome = "hang" if status == -1 else result["verdict"] if result else "no result"
            counts[outcome] += 1
            struck.update(_struck(result))
            if result is not None and protocol == "shuttle":
                names, findings = evidence_of(result)
                convicted, verified = convicted + len(names), verified + (not findings)
                for finding in findings:
                    counts["wrong evidence"] += 1
                    print(f"seed {seed}: {finding}", flush=True)
            if outcome != "pass":
                reasons = "; ".join(result["reasons"]) if result else ""
                print(f"seed {seed}: {outcome} after {seconds:.1f} s: {reasons}", flush=True)
            elif done % 25 == 0:
                print(f"{done} of {len(seeds)}: {dict(counts)}", file=sys.stderr, flush=True)
    if protocol == "shuttle":
        print(f"evidence: {verified} of {len(seeds)} records verified, {convicted} replicas convicted, each of them struck by a fault")
    print("faults that struck: " + ", ".join(f"{count} {name}" for name, count in struck.most_common()))
    return counts


def evidence_of(result: Mapping[str, Any]) -> tuple[list[tuple[int, int]], list[str]]:
    """Configuration and position of whom the record of a run convicts, and what is wrong: it does not verify, or it convicts
    somebody that no fault had struck."""
    try:
        record = unpacked_record((Path(result["log_folder"]) / "record.msgpack").read_bytes())
    except (OSError, UnreadableFile) as error:
        return [], [f"its record cannot be read: {error}"]
    refused = verify_record(record, bytes.fromhex(result["olympus_key"])).refused
    findings = [f"its record is refused: {each}" for each in refused[:3]]
    befallen = (*result["faults_injected"], *result["faults_armed"])
    faulty = {(each["configuration"], each["position"]) for each in befallen if "position" in each}
    places = [(conviction.configuration, conviction.position) for conviction, _ in convictions(record)]
    findings += [f"replica {position} of configuration {number} is convicted, and no fault had struck it"
                 for number, position in places if (number, position) not in faulty]  # fmt: skip
    return places, findings


def _struck(result: dict[str, Any] | None) -> Iterator[str]:
    for fault in (result or {}).get("faults_injected", ()):
        yield fault["fault"].rpartition(",")[2].partition("(")[0].strip()
