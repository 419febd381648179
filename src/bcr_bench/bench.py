"""Measures: what the protocol must cost here, what it does, and what others do with the same work."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bcr.scenario.diagnostics import nearest
from bcr_bench.baselines.distalgo_raft import against_raft
from bcr_bench.pages.machine import describe
from bcr_bench.pages.summary import print_foretold, print_summary
from bcr_bench.pages.writing import Basis, Begun, as_json, both_commands, read_begun, read_contents, write
from bcr_bench.plans.compare import NotComparable, compare
from bcr_bench.plans.plan_files import Plan, PlanError, Sweep, demand_sound, read_plan
from bcr_bench.prediction.costs import measure, print_costs
from bcr_bench.prediction.counted import counts, counts_unreplicated
from bcr_bench.prediction.layer import LayerError, measure_layer
from bcr_bench.prediction.message_cost import compare_messages
from bcr_bench.prediction.slow_links import links
from bcr_bench.running.measuring import Series, clashes, joined, run_plan
from bcr_bench.studies.budget import BudgetError, gaps, measure_budget, print_budget, section_of, with_section
from bcr_bench.studies.callers import MOST_CALLERS, OPERATIONS, measure_callers
from bcr_bench.studies.disk_cost import measure_disks
from bcr_bench.studies.outage import KEYS, MOST_KEYS, VALUE_BYTES, measure_reconfiguration, measure_recovery
from bcr_bench.studies.service_load import measure_service
from bcr_run.options import formerly
from bcr_runtime.places import IS_CHECKOUT, PROJECT, SCENARIOS, default_log_base

PLANS = Path(__file__).parent / "plans"
MOST_VALUE_BYTES = 400  # of a million keys they are as much as a state may have
BAD_INPUT = 2


def main(arguments: Sequence[str]) -> int:
    """`bcr bench`: 0 when everything could be measured, 1 when a point had no run that counts, 2 for bad input."""
    given = list(arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "run")
    options = _parser().parse_args(given)
    if getattr(options, "docs", False) and not IS_CHECKOUT:
        print("bcr bench: --docs renews a page of a checkout's docs/, and this is none", file=sys.stderr)
        return BAD_INPUT
    if options.command == "costs":
        return _costs()
    if options.command == "raft":
        return against_raft(SCENARIOS / "perform900.config", options.count)
    if options.command == "disks":
        return measure_disks(options.count, options.added, page_of(options))
    if options.command == "callers":
        return measure_callers(options.callers, options.operations, options.count, page_of(options))
    if options.command == "service":
        return measure_service(options.connections, options.seconds, options.count, page_of(options))
    if options.command == "messages":
        return compare_messages(options.count)
    if options.command == "reconfiguration":
        return measure_reconfiguration(options.keys, options.count, options.crash, options.value_bytes, page_of(options))
    if options.command == "recovery":
        return measure_recovery(options.keys, options.count, page_of(options))
    if options.command == "budget":
        return _budget(options.count, options.docs)
    if options.command == "compare":
        try:
            return compare(options.old, options.new)
        except NotComparable as problem:
            print(f"bcr bench compare: {problem}", file=sys.stderr)
            return BAD_INPUT
    if options.command == "page":
        return _draw_again(options.folder, options.docs)
    try:
        plan = read_plan(options.plan or PLANS / ("full.yaml" if options.full else "plan.yaml"))
        sweeps = _chosen(plan, options.only)
        demand_sound(plan, sweeps)
    except PlanError as error:
        print(f"bcr bench: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"bcr bench: {error.filename}: {error.strerror}", file=sys.stderr)
        return BAD_INPUT
    return _run(plan, sweeps, options, given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bcr bench", description=f"{__doc__} Without a command: run.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a plan of measurements; writes JSON, CSV, plots and a page")
    which = run.add_mutually_exclusive_group()
    which.add_argument("--full", action="store_true", help="all there is to vary, about an hour and a half")
    which.add_argument("--plan", type=Path, metavar="FILE", help="a plan of your own, as src/bcr_bench/plans/plan.yaml")
    run.add_argument("--only", nargs="+", default=[], metavar="SWEEP", help="these sweeps of the plan only")
    run.add_argument("--count", type=_runs, help="runs of each point (default: the plan's, 5)")
    run.add_argument("--output", type=Path, metavar="FOLDER", help="where to write (default: logs/bench-TIME)")
    run.add_argument("--resume", action="store_true", help="go on with what is in the --output folder: runs that it has are not made again")
    run.add_argument("--docs", action="store_true", help="renew the page in docs/ that the plan names (default: docs/performance.md) from it too, where all of the plan has runs that count")  # fmt: skip
    page = commands.add_parser("page", help="draw plots and page again, from the bench.json of a run")
    page.add_argument("folder", type=Path, metavar="FOLDER", help="of a run of bcr bench")
    page.add_argument(
        "--docs", action="store_true", help="renew the page in docs/ that its plan names from it, where all of the plan has runs that count"
    )
    against = commands.add_parser("compare", help="two runs of plans, point by point: ratios with 95 %% intervals")
    against.add_argument("old", type=Path, metavar="OLD", help="folder, or bench.json, of what is compared with")
    against.add_argument("new", type=Path, metavar="NEW", help="folder, or bench.json, of what is compared")
    commands.add_parser("costs", help="what signatures, hashes and hops cost here, and what an operation must cost then")
    budget = commands.add_parser("budget", help="where the microseconds of an operation go, part by part, from profiles of whole runs")
    budget.add_argument("--count", type=_runs, default=3, help="runs of each workload with a profile, and as many without (default: 3)")
    budget.add_argument("--docs", action="store_true", help="renew the table in docs/performance.md too")
    messages = commands.add_parser("messages", help="a DistAlgo message, with this project's layer and with stock DistAlgo")
    messages.add_argument("--count", type=_runs, default=5, help="runs of each (default: 5)")
    raft = commands.add_parser("raft", help="perform900 against DistAlgo's raft example, in turn")
    raft.add_argument("--count", type=_runs, default=5, help="runs of each (default: 5)")
    disks = commands.add_parser("disks", help="the same work with and without disks, beside the cost of a sync")
    disks.add_argument("--count", type=_runs, default=5, help="runs of each (default: 5)")
    disks.add_argument("--added", type=_milliseconds, default=(0.0,), metavar="MS,…",
                       help="so many milliseconds longer takes a sync, in turn (default: 0): as another machine's disk would")  # fmt: skip
    callers = commands.add_parser("callers", help="many callers of one client, whose operations share requests, and do not; and PySyncObj")
    callers.add_argument(
        "--callers", type=_callers, default=MOST_CALLERS, help="each with one operation outstanding (default: %(default)s)"
    )
    callers.add_argument("--operations", type=_operations, default=OPERATIONS, help="of each run (default: %(default)s)")
    callers.add_argument("--count", type=_runs, default=5, help="runs of each (default: 5)")
    service = commands.add_parser("service", help="HTTP calls to the service, beside the bare HTTP server, PySyncObj and etcd; needs wrk")
    service.add_argument("--connections", type=_callers, default=64, help="of wrk (default: %(default)s)")
    service.add_argument("--seconds", type=_runs, default=5, help="for each kind of call (default: %(default)s)")
    service.add_argument("--count", type=_runs, default=3, help="runs of each (default: %(default)s)")
    service.add_argument("--docs", action="store_true", help="renew the table in docs/performance.md too")
    change = commands.add_parser("reconfiguration", help="how long the service is away, by steps")
    change.add_argument("--keys", type=_keys, default=KEYS, help="in the state (default: %(default)s)")
    change.add_argument("--count", type=_runs, default=5, help="runs (default: 5)")
    change.add_argument("--value-bytes", type=_value_bytes, default=VALUE_BYTES,
                        help="of each (default: %(default)s); 100 with 1000000 keys are a state of 115 MB, and take some minutes")  # fmt: skip
    change.add_argument("--crash", action="store_true", help="of one replica, which then answers nothing")
    recovery = commands.add_parser(
        "recovery", help="how long it takes until a run answers that begins with the disks of one that is gone, by steps"
    )
    recovery.add_argument("--keys", type=_keys, default=KEYS, help="in the state (default: %(default)s)")
    recovery.add_argument("--count", type=_runs, default=5, help="runs (default: 5)")
    for each in (disks, callers, change, recovery):
        each.add_argument("--docs", action="store_true", help="renew the table in docs/performance.md too")
    for each in (run, messages, raft, disks, change):
        formerly(each, "--count", "--times")
    return parser


def page_of(options: argparse.Namespace) -> Path | None:
    """The page whose section is to be renewed, if it is to be."""
    return PROJECT / "docs" / "performance.md" if options.docs else None


def _milliseconds(text: str) -> tuple[float, ...]:
    values = tuple(map(float, text.split(",")))
    if not all(0 <= value <= 1_000 for value in values):
        raise argparse.ArgumentTypeError(f"{text}: expected milliseconds from 0 to 1000, separated by commas")
    return values


def _keys(text: str) -> int:
    return _number(text, MOST_KEYS, "keys")


def _value_bytes(text: str) -> int:
    return _number(text, MOST_VALUE_BYTES, "bytes")


def _callers(text: str) -> int:
    return _number(text, MOST_CALLERS, "callers")


def _operations(text: str) -> int:
    return _number(text, 1_000_000, "operations")


def _runs(text: str) -> int:
    return _number(text, 1_000, "runs")


def _number(text: str, most: int, what: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text}: not 1 to {most:,} {what}")
    return int(text)


def _chosen(plan: Plan, names: Sequence[str]) -> list[Sweep]:
    there_are = [sweep.name for sweep in plan.sweeps]
    for name in names:
        if name not in there_are:
            raise PlanError(f"no sweep {name}; {nearest(name, there_are)}")
    return [sweep for sweep in plan.sweeps if not names or sweep.name in names]


def _costs() -> int:
    costs = measure()
    print_costs(costs)
    try:
        layer = measure_layer()
    except LayerError as error:
        print(f"bcr bench: {error}", file=sys.stderr)
        return 1
    print_foretold(costs, layer, int(describe()["cores"]))
    return 0


def _budget(times: int, for_docs: bool) -> int:
    """Prints the table; 1 where a run did not count, or the parts do not come to what was measured."""
    began = datetime.now(UTC)
    try:
        columns = measure_budget(times)
    except BudgetError as error:
        print(f"bcr bench: {error}", file=sys.stderr)
        return 1
    print_budget(columns)
    problems = gaps(columns)
    if for_docs and not problems:
        page = PROJECT / "docs" / "performance.md"
        text = with_section(page.read_text(encoding="utf-8"), section_of(columns, f"{began:%Y-%m-%d %H:%M} UTC"))
        page.write_text(text, encoding="utf-8")
    for problem in problems:
        print(f"bcr bench: {problem}", file=sys.stderr)
    return 1 if problems else 0


def draw(folder: Path, for_docs: bool) -> int:
    """Plots and page from the folder's `bench.json`; 1 where the page in docs/ is wanted, and stays as it is, which it says.

    Raises OSError and ValueError where there is none, or one of another form.
    """
    from bcr_bench.pages.plan_page import not_for_docs, write_page  # loads the drawing library, which takes a while

    contents = read_contents(folder)
    reasons = not_for_docs(contents) if for_docs else []
    try:
        write_page(contents, folder, PROJECT / "docs" if for_docs and not reasons else None)
    except (ArithmeticError, LookupError, TypeError) as error:
        raise ValueError(f"bench.json: not what ./bcr bench has written: {type(error).__name__}: {error}") from error
    for reason in reasons:
        print(f"bcr bench: docs/ stays as it is: {reason}", file=sys.stderr)
    return 1 if reasons else 0


def _draw_again(folder: Path, for_docs: bool) -> int:
    try:
        return draw(folder, for_docs)
    except (OSError, ValueError) as error:
        print(f"bcr bench: {folder}: {error}", file=sys.stderr)
        return BAD_INPUT


def _begun_in(folder: Path, plan: Plan, sweeps: Sequence[Sweep], is_resumed: bool) -> Begun | None:
    """What the folder has to go on with, if that is wanted. Raises ValueError where it has what would be lost or mixed up, and OSError."""
    if not is_resumed:
        if (folder / "bench.json").exists():
            raise ValueError("it has a bench.json already: --resume goes on with it, and another --output keeps it")
        return None
    try:
        earlier = read_begun(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"nothing to go on with: {error}") from error
    if earlier.page != plan.page or bool(earlier.counted) != plan.counts:
        raise ValueError(f"nothing to go on with: it is of another plan, for docs/{earlier.page}.md")
    other = clashes(plan, sweeps, earlier.series, earlier.sweeps)
    if other:
        raise ValueError(f"nothing to go on with: the plan measures something else by the name of {'; '.join(other)}")
    return earlier


def _run(plan: Plan, sweeps: Sequence[Sweep], options: argparse.Namespace, given: Sequence[str]) -> int:
    if options.resume and options.output is None:
        print("bcr bench: --resume goes on with the folder of a run: say which by --output", file=sys.stderr)
        return BAD_INPUT
    began = datetime.now(UTC)
    folder = options.output or default_log_base() / f"bench-{began:%Y%m%dT%H%M%S}"
    if options.count is not None:
        plan = msgspec.structs.replace(plan, times=options.count)
    try:
        earlier = _begun_in(folder, plan, sweeps, options.resume)
        shown = _shown(plan, sweeps, earlier)
        left_out = [sweep.name for sweep in plan.sweeps if sweep.name not in {each.name for each in shown}]
        if options.docs and left_out:
            raise ValueError(f"--docs renews the whole page, and this would be without {', '.join(left_out)}")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        print(f"bcr bench: {folder}: {error}", file=sys.stderr)
        return BAD_INPUT
    if earlier is None:
        print("measuring the parts", file=sys.stderr)
        try:
            basis = Basis(describe(), measure(), measure_layer(), [] if plan.counts else links())
            counted = [*counts(), counts_unreplicated()] if plan.counts else []
        except LayerError as error:
            print(f"bcr bench: {error}", file=sys.stderr)
            return 1
        earlier = Begun(f"{began:%Y-%m-%d %H:%M} UTC", basis, counted, [])

    def keep(series: list[Series], is_round: bool) -> None:
        everything = joined(earlier.series, series, [sweep.name for sweep in shown])
        contents = as_json(["./bcr", "bench", *given], earlier.began, earlier.basis, shown, everything)
        contents |= {"command": both_commands(earlier.command, contents["command"]), "left_out": left_out}
        contents |= {"page": plan.page, "title": plan.title, "counts": msgspec.to_builtins(earlier.counted)}
        contents |= {"aims": msgspec.to_builtins(plan.aims)}
        write(folder, contents, everything)
        if is_round:
            draw(folder, False)

    series = run_plan(plan, sweeps, keep=keep, before=earlier.series)
    status = draw(folder, options.docs)
    print_summary(read_contents(folder), {sweep.name: sweep.title for sweep in sweeps})
    print(f"figures, plots and page: {folder}/index.html")
    return 1 if any(each.median.problem for each in series) else status


def _shown(plan: Plan, sweeps: Sequence[Sweep], earlier: Begun | None) -> list[Sweep]:
    """The sweeps of which the folder will have figures, in the order of the plan: those of now, and those that it has."""
    chosen = {sweep.name: sweep for sweep in sweeps}
    there = {sweep.name: sweep for sweep in earlier.sweeps} if earlier else {}
    known = there | chosen
    names = dict.fromkeys([*(sweep.name for sweep in plan.sweeps), *there])
    return [known[name] for name in names if name in known]
