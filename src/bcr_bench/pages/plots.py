"""The plots of a run of a plan, as SVG. Each takes points as `bench.json` has them, and draws one picture."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO, StringIO
from math import nan
from typing import Any

import matplotlib
import msgspec

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bcr_bench.prediction.predicted import Shape

Point = Mapping[str, Any]

STYLE: Any = {  # by the names of matplotlib's own settings
    "svg.fonttype": "none",
    "svg.hashsalt": "bcr",
    "pdf.fonttype": 42,  # letters stay letters
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
}
COLOURS = ("#1f5c99", "#d1662b", "#3c8a4e", "#8a4fa0", "#b5912a", "#5b6770", "#b0385a", "#2a9d9d")
PERCENTILES = {"p50": "50 %", "p90": "90 %", "p99": "99 %", "p99_9": "99.9 %"}


class Picture(msgspec.Struct, frozen=True):
    """One picture, for pages and for papers."""

    svg: str
    pdf: bytes


def drawn(draw: Callable[[Figure], None], width: float = 7.0, height: float = 3.8) -> Picture:
    """What `draw` makes of an empty figure; inches."""
    with matplotlib.rc_context(STYLE):
        figure = pyplot.figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text, pdf = StringIO(), BytesIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        pyplot.close(figure)
    return Picture(text.getvalue(), pdf.getvalue())


ROLES = dict(zip(("clients", "head", "replicas between", "tail", "servers"), COLOURS, strict=False))


def good(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if not point["median"]["problem"]]


def _plain(axis: Any) -> None:
    """Numbers as people write them, and on a logarithmic axis enough of them."""
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        marks = (1, 1.5, 2, 3, 5, 7) if high < 8 * low else (1, 2, 5) if high < 200 * low else (1,)
        axis.set_major_locator(LogLocator(subs=marks))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}"))


def _against_rate(axes: Axes, rates: str) -> None:
    """Latencies upwards, and the rates that the text says to the right."""
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_xlabel(rates)
    axes.set_ylabel("latency from when it was due, ms")
    _plain(axes.xaxis)
    _plain(axes.yaxis)
    axes.legend(loc="upper left")


def throughput_latency(points: Sequence[Point]) -> Picture:
    """Latency against what is answered a second, up to saturation; single runs as faint dots."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        runs = [run for point in points for run in point["runs"] if not run["problem"]]
        for colour, percentile in zip(COLOURS, ("p50", "p99"), strict=False):
            rates = [point["median"]["rate"] for point in good(points)]
            latencies = [point["median"]["latency_ms"][percentile] for point in good(points)]
            label = f"{PERCENTILES[percentile]} of requests within"
            axes.plot(rates, latencies, color=colour, marker="o", markersize=4, linewidth=1.4, label=label)
            values_of_runs = [run["latency_ms"][percentile] for run in runs]
            axes.plot([run["rate"] for run in runs], values_of_runs, ".", color=colour, alpha=0.35, markersize=4)
        _against_rate(axes, "operations answered per second")

    return drawn(draw)


def percentiles(points: Sequence[Point]) -> Picture:
    """Every percentile against the rate that was offered."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        offered = [int(point["settings"]["client_rate"]) * int(point["settings"]["num_client"]) for point in good(points)]
        for colour, (key, label) in zip(COLOURS, PERCENTILES.items(), strict=False):
            latencies = [point["median"]["latency_ms"][key] for point in good(points)]
            axes.plot(offered, latencies, color=colour, marker="o", markersize=3.5, linewidth=1.4, label=f"{label} of requests within")
        _against_rate(axes, "operations offered per second, all clients")

    return drawn(draw)


def cpu_by_process(points: Sequence[Point]) -> Picture:
    """CPU time of an operation, stacked by process; clients together."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rows = [
            (point["label"], shares(point["median"]["cpu_us"], "protocol" not in point["settings"])) for point in reversed(good(points))
        ]
        names = [name for name in ROLES if any(name in each for _, each in rows)]
        left = [0.0] * len(rows)
        for name in names:
            widths = [each.get(name, 0.0) for _, each in rows]
            axes.barh([label for label, _ in rows], widths, left=left, height=0.62, label=name, color=ROLES[name])
            left = [start + width for start, width in zip(left, widths, strict=True)]
        for place, total in enumerate(left):
            axes.text(total, place, f" {total:,.0f}", va="center", fontsize=8)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, max(left, default=1.0) * 1.12)
        axes.set_xlabel("CPU time per operation, µs")
        _plain(axes.xaxis)
        figure.legend(loc="outside lower center", ncols=max(1, len(names)))

    return drawn(draw, height=1.6 + 0.36 * max(1, len(good(points))))


def shares(cpu_us: Mapping[str, float], is_chain: bool = True) -> dict[str, float]:
    """By role: all clients as one, and so the replicas between head and tail, or servers; without Olympus, which idles.

    Where it is no chain, replicas are servers.
    """
    tail = max((name for name in cpu_us if name.startswith("replica")), key=lambda name: int(name[8:]), default="")
    found: dict[str, float] = {}
    for name, each in cpu_us.items():
        kind = name.partition("_")[0]
        role = "clients" if kind == "client" else "servers"
        if kind == "replica" and is_chain:
            role = "head" if name == "replica_0" else "tail" if name == tail else "replicas between"
        if kind != "olympus":
            found[role] = found.get(role, 0.0) + each
    return found


def sweep(points: Sequence[Point], key: str, label: str) -> Picture:
    """Throughput as bars and latency as points, for each value of one setting, or without `key` for each system."""

    def draw(figure: Figure) -> None:
        rows = good(points)
        timed_points = [point for point in rows if point["median"]["latency_ms"]]
        left, right = figure.subplots(1, 2) if len(timed_points) > 1 else (figure.subplots(), None)
        places = range(len(rows))
        values = [point["settings"][key] if key else point["system"] for point in rows]
        rates = [point["median"]["rate"] for point in rows]
        fastest = max((run["rate"] for point in rows for run in point["runs"] if not run["problem"]), default=1.0)
        left.bar(places, rates, color=COLOURS[0], width=0.62)
        for place, point in enumerate(rows):
            runs = [run["rate"] for run in point["runs"] if not run["problem"]]
            left.plot([place] * len(runs), runs, "_", color="black", alpha=0.5)
            left.text(place, max(runs), f"{point['median']['rate']:,.0f}\n", ha="center", va="center", fontsize=7.5)
        left.set_ylabel("operations per second")
        left.set_ylim(0, fastest * 1.15)
        if right is not None:
            for colour, (percentile, name) in zip(COLOURS, PERCENTILES.items(), strict=False):
                latencies = [point["median"]["latency_ms"].get(percentile, nan) for point in rows]
                right.plot(places, latencies, "o-" if key else "o", color=colour, markersize=3.5, linewidth=1.2, label=name)
            right.set_yscale("log")
            right.set_ylabel("latency, ms")
            right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=8, columnspacing=1.0)
        for axes in filter(None, (left, right)):
            names = [f"{value:,}" if isinstance(value, int) else value for value in values]
            axes.set_xticks(list(places), names, **({} if key else {"rotation": 25, "ha": "right", "fontsize": 8}))
            axes.set_xlim(-0.6, len(rows) - 0.4)
            axes.set_xlabel(label)
            axes.grid(axis="x", visible=False)
            _plain(axes.yaxis)

    return drawn(draw, height=3.2 if key else 3.6)


def crossed(points: Sequence[Point], keys: Sequence[str], label: str) -> Picture:
    """Throughput and median latency over the first of the settings, a line for each combination of the others."""

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        first, *others = keys
        values = list(dict.fromkeys(point["settings"][first] for point in points))
        lines: dict[tuple[str, ...], list[Point]] = {}
        for point in good(points):
            names = [f"{key} = {point['settings'][key]}" for key in others]
            names += [point["system"]] if len({each["system"] for each in points}) > 1 else []
            lines.setdefault(tuple(names), []).append(point)
        for index, (called, mine) in enumerate(lines.items()):
            style: Any = {"marker": "osD^vPX"[index % 7], "color": COLOURS[index % len(COLOURS)], "markersize": 4, "linewidth": 1.3}
            places = [values.index(point["settings"][first]) for point in mine]
            left.plot(places, [point["median"]["rate"] for point in mine], label=", ".join(called), **style)
            right.plot(places, [point["median"]["latency_ms"].get("p50", nan) for point in mine], **style)
        left.set_ylim(bottom=0)
        left.set_ylabel("operations per second")
        right.set_yscale("log")
        right.set_ylabel("median latency, ms")
        for axes in (left, right):
            axes.set_xticks(range(len(values)), [f"{value:,}" if isinstance(value, int) else value for value in values])
            axes.set_xlabel(label)
            _plain(axes.yaxis)
        figure.legend(loc="outside lower center", ncols=min(4, max(1, len(lines))))

    return drawn(draw, height=3.6)


def over_time(points: Sequence[Point]) -> Picture:
    """Throughput and median latency for each 10 ms of a run of each point, one above the other."""

    def draw(figure: Figure) -> None:
        rows = good(points)
        panels = figure.subplots(len(rows), 2, squeeze=False, sharex=True)
        for (rate, latency), point in zip(panels, rows, strict=True):
            timeline = point["median"]["timeline"]
            times = [begins for begins, _, _ in timeline]
            rate.step(times, [operations * 100 for _, operations, _ in timeline], where="post", color=COLOURS[0], linewidth=1.0)
            rate.set_ylim(bottom=0)
            answered = [(begins, ms) for begins, operations, ms in timeline if operations]
            latency.plot([begins for begins, _ in answered], [ms for _, ms in answered], ".", color=COLOURS[1], markersize=3)
            latency.set_yscale("log")
            rate.set_title(f"{point['label']}: {point['median']['away_ms']:,.0f} ms without any answer", fontsize=9, loc="left")
            rate.set_ylabel("operations per second")
            latency.set_ylabel("median latency, ms")
            for axis in (rate.yaxis, latency.yaxis, rate.xaxis):
                _plain(axis)
        for axes in panels[-1]:
            axes.set_xlabel("ms since the first request, by 10 ms")

    return drawn(draw, height=1.0 + 2.1 * max(1, len(good(points))))


def away(points: Sequence[Point]) -> Picture:
    """How long nothing was answered, a group of bars for each system, one bar for each number of faults; single runs as lines."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rows = good(points)
        systems = list(dict.fromkeys(point["system"] for point in rows))
        sizes = sorted({int(point["settings"]["t"]) for point in rows})
        width = 0.8 / max(1, len(sizes))
        for index, t in enumerate(sizes):
            mine = [point for point in rows if int(point["settings"]["t"]) == t]
            places = [systems.index(point["system"]) + (index - (len(sizes) - 1) / 2) * width for point in mine]
            axes.bar(places, [point["median"]["away_ms"] for point in mine], width=0.9 * width, color=COLOURS[index], label=f"t = {t}")
            for place, point in zip(places, mine, strict=True):
                runs = [run["away_ms"] for run in point["runs"] if not run["problem"]]
                axes.plot([place] * len(runs), runs, "_", color="black", alpha=0.5)
                axes.text(place, max(runs), f"{point['median']['away_ms']:,.0f}\n", ha="center", va="center", fontsize=7.5)
        axes.set_xticks(range(len(systems)), systems)
        axes.set_ylabel("ms without service")
        axes.margins(y=0.15)
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        _plain(axes.yaxis)
        figure.legend(loc="outside lower center", ncols=max(1, len(sizes)))

    return drawn(draw, height=3.4)


def predictions(points: Sequence[Point]) -> Picture:
    """Prediction against measurement: rate in closed loops, latency of one request alone, and CPU time."""

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 3)
        predicted_points = [point for point in good(points) if point.get("prediction")]
        closed_points = [point for point in predicted_points if not point["settings"].get("client_rate")]
        shapes = [Shape.of(point["settings"]) for point in closed_points]
        alone = [point for point, shape in zip(closed_points, shapes, strict=True) if shape.clients * shape.window == 1]
        _compare(panels[0], "operations per second", _by_sweep(closed_points, lambda p: (p["prediction"]["rate"], p["median"]["rate"])))
        _compare(panels[1], "latency of one alone, ms",
                 _by_sweep(alone, lambda p: (p["prediction"]["latency_ms"], p["median"]["latency_ms"]["p50"])))  # fmt: skip
        _compare(panels[2], "CPU per operation, µs",
                 _by_sweep(closed_points, lambda p: (sum(p["prediction"]["cpu_us"].values()), sum(p["median"]["cpu_us"].values()))))  # fmt: skip
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)

    return drawn(draw, width=9.0, height=3.9)


def _by_sweep(points: Sequence[Point], pair: Callable[[Point], tuple[float, float]]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        found.setdefault(point["sweep"], []).append(pair(point))
    return found


def _compare(axes: Axes, what: str, pairs: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    values = [value for each in pairs.values() for pair in each for value in pair]
    if not values:
        axes.set_title(f"{what}: not measured", fontsize=9)
        return
    low, high = min(values) / 1.5, max(values) * 1.5
    axes.plot([low, high], [low, high], color="#999999", linewidth=0.9)
    for index, (name, each) in enumerate(pairs.items()):
        axes.plot([one for one, _ in each], [other for _, other in each], "osD^vPX"[index % 7], color=COLOURS[index % 8],
                  markersize=4.5, label=name, alpha=0.85, linestyle="none")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.set_title(what, fontsize=9)
    axes.set_xlabel("predicted")
    axes.set_ylabel("measured")
    for axis in (axes.xaxis, axes.yaxis):
        _plain(axis)


def link_latency(links: Sequence[Mapping[str, Any]]) -> Picture:
    """Latency with slow links against t: lines as the hops say, marks as simulated."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for colour, link_ms in zip(COLOURS, sorted({link["link_ms"] for link in links}), strict=False):
            mine = [link for link in links if link["link_ms"] == link_ms]
            sizes = [link["t"] for link in mine]
            axes.plot(sizes, [link["predicted_ms"] for link in mine], color=colour, linewidth=1.2, label=f"{link_ms} ms links, predicted")
            axes.plot(
                sizes, [link["measured_ms"] for link in mine], "o", color=colour, markersize=5, label=f"{link_ms} ms links, simulated"
            )
        axes.set_xticks(sorted({link["t"] for link in links}))
        axes.set_yscale("log")
        axes.set_xlabel("faults tolerated, t")
        axes.set_ylabel("latency, ms")
        _plain(axes.yaxis)
        figure.legend(loc="outside right upper")

    return drawn(draw, height=3.2)


def memory(point: Point) -> Picture:
    """Resident memory of every process over the operations that were answered."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for index, (name, samples) in enumerate(sorted(point["median"]["memory"].items())):
            axes.plot([second for second, _, _ in samples], [mib for _, mib, _ in samples], label=name.replace("_", " "),
                      color=COLOURS[index % len(COLOURS)], linewidth=1.4)  # fmt: skip
        highest = max((mib for samples in point["median"]["memory"].values() for _, mib, _ in samples), default=1.0)
        axes.set_ylim(0, highest * 1.15)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"seconds, of {point['median']['operations']:,} operations")
        axes.set_ylabel("resident memory, MiB")
        figure.legend(loc="outside right upper")

    return drawn(draw, height=3.2)
