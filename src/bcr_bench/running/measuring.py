"""Runs a plan: every point in turn, then every point again, so that what the machine does otherwise strikes all alike."""

from collections.abc import Callable, Sequence

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bcr_bench.plans.measured import Measured, together
from bcr_bench.plans.plan_files import Plan, Point, Sweep, points_of, step_of
from bcr_bench.running.points import run_point
from bcr_run.output import Terminal

SATURATED = 0.95
MAX_STEPS = 30
LAST_STEPS = 2  # beyond saturation: one may be the machine's doing


class Series(msgspec.Struct):
    """A point with what its runs measured."""

    point: Point
    runs: list[Measured]

    @property
    def median(self) -> Measured:
        return together(self.runs)


def run_plan(
    plan: Plan,
    sweeps: Sequence[Sweep],
    run: Callable[[Point], Measured] = run_point,
    keep: Callable[[list[Series], bool], None] = lambda _series, _is_round: None,
    before: Sequence[Series] = (),
) -> list[Series]:
    """All points of these sweeps with their runs, in the order of the plan. Raises Interrupted.

    `keep` gets what there is after each run, and is told whether every point has been run once more. What was measured `before` of a
    point is taken for its first runs, which are not made again.
    """
    known = {_key_of(series.point): series.runs for series in before}
    measured: dict[str, list[Series]] = {
        sweep.name: [Series(point, []) for point in points_of(plan, sweep)] if sweep.rates is None else [] for sweep in sweeps
    }
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Terminal(stderr=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def measure(series: Series, repetition: int) -> Measured:
            point = series.point
            runs = known.get(_key_of(point), [])
            if repetition < len(runs):
                series.runs.append(runs[repetition])
                return runs[repetition]
            bar.update(task, description=f"run {repetition + 1}: {point.sweep}, {point.label} ({point.system})")
            done = run(point)
            series.runs.append(done)
            bar.advance(task)
            said = done.problem or f"{done.rate:,.0f} a second, p50 {done.latency_ms.get('p50', 0):.2f} ms"
            text = f"run {repetition + 1}: {point.sweep}, {point.label} ({point.system}): {said}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
            keep(in_order(), False)
            return done

        def in_order() -> list[Series]:
            return [series for sweep in sweeps for series in measured[sweep.name]]

        for repetition in range(max(_times(plan, sweep) for sweep in sweeps)):
            for sweep in sweeps:
                if repetition >= _times(plan, sweep):
                    continue
                found = measured[sweep.name]
                if sweep.rates is not None and repetition == 0:
                    _step_up(plan, sweep, found, measure)
                else:
                    for series in found:
                        measure(series, repetition)
            keep(in_order(), True)
    return in_order()


def joined(before: Sequence[Series], series: Sequence[Series], order: Sequence[str]) -> list[Series]:
    """What was measured before together with what is there now, by sweeps in this order: nothing that was measured is left out.

    Of a point that both have, those runs are taken that are more: whoever goes on takes the earlier ones first.
    """
    known = {_key_of(each.point): each for each in before}
    found: list[Series] = []
    for each in series:
        earlier = known.pop(_key_of(each.point), each)
        found.append(earlier if len(earlier.runs) > len(each.runs) else each)
    places = {name: place for place, name in enumerate(order)}
    return sorted([*found, *known.values()], key=lambda each: places[each.point.sweep])


def clashes(plan: Plan, sweeps: Sequence[Sweep], before: Sequence[Series], sweeps_before: Sequence[Sweep]) -> list[str]:
    """What was measured before under the name of one of these sweeps, or of a point of theirs, and is something else.

    A sweep may get more values, systems, faults and runs, and still be the same.
    """
    there = {sweep.name: sweep for sweep in sweeps_before}
    others = [sweep.name for sweep in sweeps if _kind(there.get(sweep.name, sweep)) != _kind(sweep)]
    if others:
        return others
    wanted: dict[tuple[str, str, str], Point] = {}
    for sweep in sweeps:
        steps = [step_of(plan, sweep, number) for number in range(MAX_STEPS)] if sweep.rates is not None else points_of(plan, sweep)
        wanted |= {(point.sweep, point.label, point.system): point for point in steps}
    points = [each.point for each in before]
    return [
        f"{point.sweep}: {point.label} ({point.system})"
        for point in points
        if wanted.get((point.sweep, point.label, point.system), point) != point
    ]


def _kind(sweep: Sweep) -> tuple[object, ...]:
    return sweep.rates, sweep.cross, list(sweep.vary), sweep.leader_crashes


def _key_of(point: Point) -> bytes:
    """All that it is to measure; what is equal is the same point."""
    return msgspec.json.encode(point, order="deterministic")


def _times(plan: Plan, sweep: Sweep) -> int:
    return plan.times if sweep.times is None else min(plan.times, sweep.times)


def _step_up(plan: Plan, sweep: Sweep, found: list[Series], measure: Callable[[Series, int], Measured]) -> None:
    """Run one rate after the other until two are not answered at theirs; later repetitions run the same ones."""
    late = 0
    for number in range(MAX_STEPS):
        series = Series(step_of(plan, sweep, number), [])
        found.append(series)
        done = measure(series, 0)
        late += bool(done.problem) or done.rate < SATURATED * offered(series.point)
        if late == LAST_STEPS:
            return


def offered(point: Point) -> int:
    """Operations a second that the clients send together; 0 in a closed loop."""
    return int(point.settings.get("client_rate", 0)) * int(point.settings["num_client"])
