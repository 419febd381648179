"""The space-time diagram of a run as SVG: processes as lines, time to the right, messages as arrows.

Time is shortened where little happens, by a monotone map that ticks tell; the page's script stretches and unshortens it.
Every shape names the instants at which it begins and ends, so that the script need know nothing else of it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import log10
from xml.etree.ElementTree import Element

import msgspec

from bcr_show.elements import e
from bcr_show.joining import SEVERAL, Arrow
from bcr_show.mentions import mentioned_replica
from bcr_show.moments import KINDS, SHOWN_AS_VIOLATION, Moment, Times, configuration_of, person
from bcr_show.run_reading import RecordedRun

LANE, TOP, BOTTOM, LEFT, GAP = 38, 34, 26, 34, 64
STUB = 10  # how far what was never received goes to the right
TICK_PX = 84
ARROWHEAD = "M0 0 L7 3.5 L0 7 z"
CLASSES = {
    "client_request": "request", "forwarded_request": "request", "shuttle": "shuttle", "result_shuttle": "result",
    "result_message": "result", "voucher": "result", "checkpoint": "checkpoint", "completed_checkpoint": "checkpoint",
    "accusation": "asking", "complaint": "asking", "reconfiguration_request": "asking", "error": "asking", "stale": "asking",
}  # fmt: skip
LEGEND = {
    "request": "requests", "shuttle": "shuttles", "result": "results", "checkpoint": "checkpoints",
    "asking": "asking for reconfiguration", "change": "reconfiguration and start-up",
}  # fmt: skip


class Drawing(msgspec.Struct, frozen=True):
    """The diagram: its lanes' names, the SVG, and the anchor of each arrow that was received, by process and place of its line."""

    names: Element
    picture: Element
    anchors: dict[tuple[str, int], str]
    messages: int


class _Axis:
    """From times to places in the picture: instants by number, each with its pixel in shortened time."""

    def __init__(self, run: RecordedRun, times_ns: Iterable[int]) -> None:
        self.instants = sorted(set(times_ns))
        self.breaks: list[tuple[int, int]] = []  # instants between which something is not drawn
        ends = [window.until_ns for window in run.windows[:-1]]
        at: list[float] = [LEFT]
        for place, (sooner, later) in enumerate(pairwise(self.instants)):
            is_break = bisect_right(ends, later - 1) > bisect_left(ends, sooner)
            at.append(at[-1] + (GAP if is_break else 2 + 5 * log10(1 + (later - sooner) / 10_000)))
            if is_break:
                self.breaks.append((place, place + 1))
        self.at = at if self.instants else []

    def of(self, at_ns: int) -> int:
        """The number of an instant."""
        return bisect_left(self.instants, at_ns)

    @property
    def width(self) -> float:
        return (self.at[-1] if self.at else 0) + 120


def draw(run: RecordedRun, arrows: Sequence[Arrow], moments: Sequence[Moment], times: Times, alarms: dict[tuple[str, int], str]) -> Drawing:
    """The diagram. `alarms` says of messages, by process and place of the line that tells of them, what is odd about them."""
    moments = [each for each in moments if _is_drawn(run, each)]
    lanes = _lanes(arrows, moments)
    axis = _Axis(run, _times(arrows, moments))
    places = _Lanes(lanes, arrows)
    heights = places.heights
    height = TOP + LANE * len(lanes) + BOTTOM
    anchors: dict[tuple[str, int], str] = {}
    shapes = [*_ticks(axis, times, height), *_bands(axis, moments, height), *_lives(lanes, arrows, moments, axis, heights)]
    for number, arrow in enumerate(arrows):
        for line in (arrow.received, arrow.sent):
            if line is not None:
                anchors.setdefault((line.process, line.place), f"m{number}")
        alarm = next((alarms[line.process, line.place] for line in (arrow.received, arrow.sent)
                      if line is not None and (line.process, line.place) in alarms), "")  # fmt: skip
        shapes += _arrow(number, arrow, alarm, axis, places, times)
    shapes += [_marker(moment, axis, places, times) for moment in moments]
    shapes += _breaks(axis, times, height)
    head = e("defs", *(_arrowhead(kind) for kind in (*LEGEND, "alarm")))
    picture = e(
        "svg", head, *shapes, id="spacetime", role="img", aria_label="space-time diagram", width=f"{axis.width:.0f}", height=height,
        data_us=" ".join(str((at - times.zero_ns) // 1_000) for at in axis.instants),
        data_px=" ".join(f"{at:.1f}" for at in axis.at), class_="spacetime",
    )  # fmt: skip
    return Drawing(_names(lanes, heights, height), picture, anchors, len(arrows))


def _is_drawn(run: RecordedRun, moment: Moment) -> bool:
    return any(window.since_ns <= moment.line.at_ns <= window.until_ns for window in run.windows)


def _times(arrows: Sequence[Arrow], moments: Sequence[Moment]) -> Iterable[int]:
    for arrow in arrows:
        yield from (at for at in (arrow.sent_ns, arrow.received_ns) if at is not None)
    yield from (moment.line.at_ns for moment in moments)


def who_of(moment: Moment) -> str:
    """The process that a moment is drawn at."""
    values = moment.line.values
    if moment.line.event == "befell":
        return values.get("who", "")
    if moment.line.event == "breach":
        return mentioned_replica(values.get("what", "")) or moment.line.process
    return moment.line.process


def _lanes(arrows: Sequence[Arrow], moments: Sequence[Moment]) -> list[str]:
    """Clients, Olympus, the replicas of each configuration in turn."""
    names = {name for arrow in arrows for name in (arrow.sender, arrow.receiver if arrow.received else None) if name}
    names |= {who_of(moment) for moment in moments} - {"simulator"}
    full = {name for name in names if not (name.startswith("replica_") and "-" not in name)}
    return sorted(full, key=_rank)


def _rank(name: str) -> tuple[int, int, int, str]:
    kind, _, rest = name.partition("_")
    position = rest.partition("-")[0]
    number = int(position) if position.isdigit() else 0
    order = {"client": 0, "olympus": 1, "replica": 2}.get(kind, 3)
    configuration = configuration_of(name) or 0
    return order, configuration if order == 2 else 0, number, name


class _Lanes:
    """Where each process is in the picture, and since when something is heard of it."""

    def __init__(self, names: Sequence[str], arrows: Sequence[Arrow]) -> None:
        self.heights = {name: TOP + LANE * (place + 0.5) for place, name in enumerate(names)}
        self._since_ns: dict[str, int] = {}
        for arrow in arrows:
            for name, at_ns in ((arrow.sender, arrow.sent_ns), (arrow.receiver, arrow.received_ns)):
                if name in self.heights and at_ns is not None:
                    self._since_ns[name] = min(at_ns, self._since_ns.get(name, at_ns))

    def of(self, name: str | None, at_ns: int, sender: str | None = None) -> float | None:
        """The height of a process; of one that is called without its configuration, in the sender's or the latest at the time."""
        if name is None or name in self.heights:
            return self.heights.get(name or "")
        own = f"{name}-configuration_{configuration_of(sender or '')}"
        if own in self.heights:
            return self.heights[own]
        there = [lane for lane in self.heights if lane.startswith(f"{name}-")]
        begun = [lane for lane in there if self._since_ns.get(lane, 0) <= at_ns]
        return self.heights[max(begun or there, key=_rank)] if there else None


def _x(axis: _Axis, instant: int) -> str:
    return f"{axis.at[instant]:.1f}"


def _arrow(number: int, arrow: Arrow, alarm: str, axis: _Axis, places: _Lanes, times: Times) -> list[Element]:
    several = SEVERAL.fullmatch(arrow.receiver or "")
    begin = axis.of(arrow.sent_ns if arrow.sent_ns is not None else arrow.received_ns or 0)
    end = axis.of(arrow.received_ns if arrow.received_ns is not None else arrow.sent_ns or 0)
    y1 = places.of(arrow.sender, axis.instants[begin])
    y2 = places.of(arrow.receiver, axis.instants[end], arrow.sender)
    if y1 is None and y2 is None:
        return []
    if y1 is None:
        y1 = (y2 or 0) - 14
    if y2 is None:
        y2 = y1 + (14 if several or arrow.receiver is None else 10)
    is_stub = arrow.received_ns is None
    if is_stub:
        y2 = y1 + max(-16.0, min(16.0, y2 - y1))
    kind = "alarm" if alarm or arrow.is_alarming else CLASSES.get(arrow.name, "change")
    told = f"{arrow.name}: {_journey(arrow, times)}; {arrow.about}"
    told += f"; {arrow.fate}" if arrow.fate else ""
    told += f"; {alarm}" if alarm else ""
    x2 = axis.at[end] + (STUB if is_stub else 0)
    ends = {"x1": _x(axis, begin), "y1": f"{y1:.0f}", "x2": f"{x2:.1f}", "y2": f"{y2:.0f}"}
    lines = [e("line", class_="hit", **ends), e("line", class_="shaft", marker_end=f"url(#head-{kind})", **ends)]
    return [e("g", e("title", told), *lines, id=f"m{number}", class_=f"m k-{kind}{' stub' if is_stub else ''}", data_a=begin, data_b=end)]


def _journey(arrow: Arrow, times: Times) -> str:
    left = "" if arrow.sent_ns is None else f" at {times.text(arrow.sent_ns)}"
    came = "" if arrow.received_ns is None else f" at {times.text(arrow.received_ns)}"
    return f"from {person(arrow.sender or 'nobody that is known')}{left} to {person(arrow.receiver or 'somebody')}{came}"


def _marker(moment: Moment, axis: _Axis, places: _Lanes, times: Times) -> Element:
    sign, _ = KINDS[moment.kind]
    y = places.of(who_of(moment), moment.line.at_ns)
    y = TOP - 20 if y is None else y
    target = moment.evidence if moment.kind in SHOWN_AS_VIOLATION else moment.anchor
    shape = e("g", e("title", f"{times.text(moment.line.at_ns)}: {moment.text}"), e("circle", r=8), e("text", sign, y="4"))
    place = axis.of(moment.line.at_ns)
    return e(
        "a", e("g", shape, transform=f"translate({_x(axis, place)},{y:.0f})", data_at=place, data_y=f"{y:.0f}", class_=f"p p-{moment.kind}"),
        href=f"#{target}", id=f"p{moment.number}",
    )  # fmt: skip


def _lives(
    lanes: Sequence[str], arrows: Sequence[Arrow], moments: Sequence[Moment], axis: _Axis, heights: dict[str, float]
) -> list[Element]:
    """A line for each process, from the first to the last that is heard of it; thick while it is immutable."""
    spans: dict[str, list[int]] = {name: [] for name in lanes}
    for arrow in arrows:
        for name, at_ns in ((arrow.sender, arrow.sent_ns), (arrow.receiver, arrow.received_ns)):
            if name in spans and at_ns is not None:
                spans[name].append(at_ns)
    wedged: dict[str, int] = {}
    for moment in moments:
        who = who_of(moment)
        if who in spans:
            spans[who].append(moment.line.at_ns)
        if moment.kind == "wedge":
            wedged.setdefault(who, moment.line.at_ns)
    shapes = []
    for name, heard in spans.items():
        if heard:
            y = f"{heights[name]:.0f}"
            first, last = axis.of(min(heard)), axis.of(max(heard))
            shapes.append(e("line", class_="life", x1=_x(axis, first), y1=y, x2=_x(axis, last), y2=y, data_a=first, data_b=last))
            if name in wedged:
                begin = axis.of(wedged[name])
                shapes.append(e("line", class_="wedged", x1=_x(axis, begin), y1=y, x2=_x(axis, last), y2=y, data_a=begin, data_b=last))
    return shapes


def _bands(axis: _Axis, moments: Sequence[Moment], height: int) -> list[Element]:
    """A shade for each reconfiguration: from when Olympus begins it to when it has ended."""
    begun: Moment | None = None
    shapes = []
    for moment in moments:
        if moment.line.event == "reconfiguring":
            begun = moment
        elif moment.line.event == "reconfigured" and begun is not None:
            first, last = axis.of(begun.line.at_ns), axis.of(moment.line.at_ns)
            width = f"{axis.at[last] - axis.at[first]:.1f}"
            title = e("title", f"{begun.text}. {moment.text}.")
            shapes.append(e("rect", title, class_="band", x=_x(axis, first), y=TOP - 6, width=width, height=height - TOP - BOTTOM + 12,
                            data_a=first, data_b=last))  # fmt: skip
            begun = None
    return shapes


def _ticks(axis: _Axis, times: Times, height: int) -> list[Element]:
    shapes = []
    last = -1e9
    for place, at in enumerate(axis.at):
        if at - last < TICK_PX / 4:
            continue
        last = at
        text = e("text", f"{times.ms(axis.instants[place]):,.2f}", y=height - 8)
        kind = "tick" if place else "tick first"  # whose text stands beside it, for before it there is no room
        shapes.append(e("g", e("line", y1=TOP - 6, y2=height - 22), text, class_=kind, data_at=place, data_y=0,
                        transform=f"translate({at:.1f},0)"))  # fmt: skip
    return shapes


def _breaks(axis: _Axis, times: Times, height: int) -> list[Element]:
    shapes = []
    for first, last in axis.breaks:
        span_ms = (axis.instants[last] - axis.instants[first]) / 1e6
        title = e(
            "title",
            f"{span_ms:,.1f} ms between are not drawn, from {times.text(axis.instants[first])} to {times.text(axis.instants[last])}",
        )
        width = f"{axis.at[last] - axis.at[first]:.1f}"
        shapes.append(e("rect", title, class_="break", x=_x(axis, first), y=TOP - 6, width=width, height=height - TOP - BOTTOM + 12,
                        data_a=first, data_b=last))  # fmt: skip
        shapes.append(e("g", e("text", f"{span_ms:,.0f} ms", y=16), e("text", "not drawn", y=27), class_="gap", data_at=first, data_y=0,
                        data_dx=GAP // 2, transform=f"translate({axis.at[first] + GAP / 2:.1f},0)"))  # fmt: skip
    return shapes


def _arrowhead(kind: str) -> Element:
    return e("marker", e("path", d=ARROWHEAD, class_=f"h-{kind}"), id=f"head-{kind}", viewBox="0 0 7 7", refX=7, refY=3.5,
             markerWidth=7, markerHeight=7, orient="auto")  # fmt: skip


def _names(lanes: Sequence[str], heights: dict[str, float], height: int) -> Element:
    texts = []
    for name in lanes:
        configuration = configuration_of(name)
        label = person(name).partition(" of ")[0] + (" (twin)" if name.endswith("-twin") else "")
        y = heights[name]
        texts.append(e("text", label, x=4, y=f"{y + (0 if configuration is not None else 4):.0f}"))
        if configuration is not None:
            texts.append(e("text", f"configuration {configuration}", x=4, y=f"{y + 12:.0f}", class_="small"))
    return e("svg", *texts, width=112, height=height, class_="names", aria_hidden="true")
