"""Throughput and latency over the time of a run, through its reconfigurations, as SVG."""

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from xml.etree.ElementTree import Element

from bcr.verdict.record import Exchange, RunRecord
from bcr_run.latencies import percentile
from bcr_show.elements import e
from bcr_show.moments import Moment, Times, rough
from bcr_show.run_reading import RecordedRun, clock_of

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 170, 66, 34, 22, 26
MOST_BINS = 160
STEPS = (1, 2, 5)


def charts(run: RecordedRun, moments: Sequence[Moment], times: Times) -> list[Element]:
    """Two charts, one below the other, on one axis of time; none where nothing was answered."""
    exchanges = list(_exchanges(run.record, clock_of(run.result)[0])) if run.record else []
    if not exchanges:
        return []
    origin_ns = clock_of(run.result)[1]
    first_ns = min(each.sent_ns for each in exchanges)
    last_ns = max(each.accepted_ns for each in exchanges)
    span_ns = max(last_ns - first_ns, 1)
    bin_ns = _bin_ns(span_ns, len(exchanges))
    bins: list[list[Exchange]] = [[] for _ in range(span_ns // bin_ns + 1)]
    for exchange in exchanges:
        bins[(exchange.accepted_ns - first_ns) // bin_ns].append(exchange)
    frame = _Frame(times.ms(first_ns + origin_ns), bin_ns * len(bins) / 1e6)
    shades, marks = list(_reconfigurations(run, times, frame)), list(_marks(moments, times, frame))
    return [_throughput(bins, bin_ns, frame, shades, marks), _latency(bins, bin_ns, frame, shades, marks)]


def _exchanges(record: RunRecord, clock: str) -> Iterator[Exchange]:
    for client in record.clients:
        if client.clock == clock:
            yield from client.exchanges


def _bin_ns(span_ns: int, answers: int) -> int:
    """Round, and so that there are at most MOST_BINS, and mostly several answers in each."""
    least_ns = span_ns / max(8, min(MOST_BINS, answers // 4 or 1))
    size: int = 10 ** floor(log10(max(least_ns, 1)))
    return max(1, next((round(size * step) for step in STEPS if size * step >= least_ns), round(10 * size)))


class _Frame:
    """The area of a chart: milliseconds to the right, from `since_ms` for `span_ms`."""

    def __init__(self, since_ms: float, span_ms: float) -> None:
        self.since_ms = since_ms
        self.span_ms = span_ms

    def x(self, at_ms: float) -> float:
        return LEFT + (at_ms - self.since_ms) / self.span_ms * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> Iterator[float]:
        step = _round_step(self.span_ms / 8)
        number = ceil(self.since_ms / step)
        while number * step <= self.since_ms + self.span_ms:
            yield number * step
            number += 1


def _round_step(least: float) -> float:
    size = 10.0 ** floor(log10(max(least, 1e-9)))
    return next((size * step for step in STEPS if size * step >= least), 10 * size)


def _throughput(
    bins: Sequence[Sequence[Exchange]], bin_ns: int, frame: _Frame, shades: Sequence[Element], marks: Sequence[Element]
) -> Element:
    rates = [sum(len(each.request.statement.operations) for each in group) * 1e9 / bin_ns for group in bins]
    top = _round_top(max(rates))
    width = max(0.8, frame.x(bin_ns / 1e6) - frame.x(0) - 0.5)
    bars = [
        e("rect", e("title", f"{rate:,.0f} operations a second from {frame.since_ms + place * bin_ns / 1e6:,.1f} ms for {rough(bin_ns / 1e6)}"),
          class_="bar", x=f"{frame.x(frame.since_ms + place * bin_ns / 1e6):.1f}", y=f"{_y(rate / top):.1f}",
          width=f"{width:.1f}", height=f"{_y(0) - _y(rate / top):.1f}")
        for place, rate in enumerate(rates)
        if rate
    ]  # fmt: skip
    label = f"operations answered a second, each {rough(bin_ns / 1e6)}"
    return _chart(label, frame, [(f"{top * share:,.0f}", share) for share in (0, 0.5, 1)], [*shades, *bars, *marks])


def _latency(
    bins: Sequence[Sequence[Exchange]], bin_ns: int, frame: _Frame, shades: Sequence[Element], marks: Sequence[Element]
) -> Element:
    """Of each bin the median and the slowest, on a logarithmic axis."""
    points: list[tuple[float, float, float]] = []
    for place, group in enumerate(bins):
        latencies = sorted(each.latency_ns / 1e6 for each in group)
        if latencies:
            points.append((frame.since_ms + (place + 0.5) * bin_ns / 1e6, percentile(latencies, 50), latencies[-1]))
    low = floor(log10(max(1e-4, min(median for _, median, _ in points))))
    high = max(low + 1, ceil(log10(max(0.0001, *(most for *_, most in points)))))

    def share(latency_ms: float) -> float:
        return (log10(max(latency_ms, 1e-4)) - low) / (high - low)

    shapes = []
    for at_ms, median, most in points:
        x = f"{frame.x(at_ms):.1f}"
        title = e("title", f"about {at_ms:,.1f} ms: median {rough(median)}, slowest {rough(most)}")
        shapes.append(e("g", title, e("line", x1=x, x2=x, y1=f"{_y(share(median)):.1f}", y2=f"{_y(share(most)):.1f}"),
                        e("circle", class_="most", cx=x, cy=f"{_y(share(most)):.1f}", r=2.2),
                        e("circle", class_="median", cx=x, cy=f"{_y(share(median)):.1f}", r=2.2), class_="spread"))  # fmt: skip
    ticks = [
        (rough(10.0**power).replace(".0 ", " ").replace("0.100", "0.1").replace("0.010", "0.01"), share(10.0**power))
        for power in range(low, high + 1)
    ]
    return _chart("latency: median and slowest of each", frame, ticks, [*shades, *marks, *shapes])


def _chart(label: str, frame: _Frame, levels: Sequence[tuple[str, float]], shapes: Sequence[Element]) -> Element:
    axes = []
    for text, share in levels:
        y = f"{_y(share):.1f}"
        axes += [
            e("line", class_="level", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y),
            e("text", text, x=LEFT - 6, y=f"{_y(share) + 4:.1f}", class_="end"),
        ]
    for at_ms in frame.ticks():
        axes.append(e("text", f"{at_ms:,.10g} ms", x=f"{frame.x(at_ms):.1f}", y=HEIGHT - 8, class_="middle"))
    title = e("text", label, x=LEFT, y=13, class_="label")
    return e("svg", title, *axes, *shapes, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="chart", role="img", aria_label=label)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _round_top(value: float) -> float:
    return _round_step(max(value, 1.0))


def _reconfigurations(run: RecordedRun, times: Times, frame: _Frame) -> Iterator[Element]:
    clock, origin_ns = clock_of(run.result)
    for change in run.result.get("reconfigurations", ()):
        if change.get("clock") != clock:
            continue
        begin_ms = times.ms(change["detected_ns"] + origin_ns)
        end_ms = begin_ms + (change.get("active_ms") or frame.span_ms)
        x1, x2 = (min(max(frame.x(at), LEFT), WIDTH - RIGHT) for at in (begin_ms, end_ms))
        title = e("title", f"configuration {change['from']} is replaced by {change['to']}, from {begin_ms:,.1f} ms to {end_ms:,.1f} ms")
        yield e("rect", title, class_="band", x=f"{x1:.1f}", y=TOP, width=f"{max(1.0, x2 - x1):.1f}", height=HEIGHT - TOP - BOTTOM)


def _marks(moments: Sequence[Moment], times: Times, frame: _Frame) -> Iterator[Element]:
    told: list[float] = []
    for moment in moments:
        if moment.kind not in ("fault", "violation", "breach"):
            continue
        x = frame.x(times.ms(moment.line.at_ns))
        if not LEFT <= x <= WIDTH - RIGHT or (told and x < told[-1] + 1 and moment.kind != "breach"):
            continue  # one for all that would stand on top of each other
        told.append(x)
        yield e(
            "line", e("title", moment.text), class_=f"mark mark-{moment.kind}", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=TOP, y2=HEIGHT - BOTTOM
        )
