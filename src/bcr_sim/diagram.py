"""The space-time diagram of a simulated run as SVG: a line for each process, an arrow for each message."""

from collections.abc import Sequence
from html import escape

from bcr.chain.bundles import kind_of
from bcr_sim.trace import TraceEvent

MAX_STEPS = 160
COLUMN, ROW, LEFT, TOP = 170, 22, 90, 64
COLOURS = {
    "client_request": "#2b6cb0",
    "forwarded_request": "#2b6cb0",
    "shuttle": "#2f855a",
    "result_shuttle": "#805ad5",
    "result_message": "#805ad5",
    "checkpoint": "#718096",
    "completed_checkpoint": "#718096",
    "accusation": "#c05621",
    "reconfiguration_request": "#c05621",
    "error": "#c05621",
}
OTHER_COLOUR, LOST_COLOUR = "#4a5568", "#e53e3e"
ORDER = ("client", "olympus", "replica")
NO_MESSAGES = ("harness", "root")


def diagram(steps: Sequence[TraceEvent], title: str) -> str:
    """The SVG of the steps that concern the protocol: of more than MAX_STEPS those around what befell somebody, and the last."""
    messages = [step for step in steps if step.sender not in NO_MESSAGES and step.receiver not in NO_MESSAGES]
    messages = [step for step in messages if not step.message[:1].isupper()]  # those are DistAlgo's commands
    shown = _selection(messages)
    if len(shown) < len(messages):
        title += f" ({len(shown)} of {len(messages)} steps)"
    processes = sorted({name for step in shown for name in (step.sender, step.receiver)}, key=_place)
    times = sorted({time for step in shown for time in (step.sent_us, step.time_us)})
    x = {name: LEFT + 60 + column * COLUMN for column, name in enumerate(processes)}
    y = {time: TOP + 30 + row * ROW for row, time in enumerate(times)}
    bottom = TOP + 50 + len(times) * ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + 60 + len(processes) * COLUMN}" height="{bottom + 20}">',
        "<style>text { font: 11px sans-serif } .time { fill: #718096 }</style>",
        (
            '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" fill="context-stroke"/></marker></defs>'
        ),
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" style="font-size: 14px">{escape(title)}</text>',
    ]
    for name in processes:
        parts.append(f'<text x="{x[name]}" y="{TOP}" text-anchor="middle" style="font-weight: bold">{escape(name)}</text>')
        parts.append(f'<line x1="{x[name]}" y1="{TOP + 8}" x2="{x[name]}" y2="{bottom}" stroke="#cbd5e0" stroke-width="2"/>')
    for time in times:
        parts.append(f'<text class="time" x="8" y="{y[time] + 4}">{time / 1000:,.3f} ms</text>')
    for step in shown:
        parts += _elements_of(step, x, y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _selection(steps: Sequence[TraceEvent]) -> list[TraceEvent]:
    """At most MAX_STEPS: the last third of them, and as many as fit around what is no mere arrival."""
    kept_places = set(range(max(0, len(steps) - MAX_STEPS // 3), len(steps)))
    odd_places = [place for place, step in enumerate(steps) if step.kind != "arrived"] or [0]
    for distance in range(len(steps)):
        around = {place + offset for place in odd_places for offset in (-distance, distance)} & set(range(len(steps)))
        if len(kept_places | around) > MAX_STEPS:
            break
        kept_places |= around
    return [steps[place] for place in sorted(kept_places)]


def _place(name: str) -> tuple[int, int, str]:
    kind, _, number = name.partition("_")
    return ORDER.index(kind) if kind in ORDER else len(ORDER), int(number) if number.isdigit() else 0, name


def _elements_of(step: TraceEvent, x: dict[str, int], y: dict[int, int]) -> list[str]:
    if step.kind == "befell":
        where = f'x="{x[step.sender] + 8}" y="{y[step.time_us] + 4}"'
        return [
            f'<circle cx="{x[step.sender]}" cy="{y[step.time_us]}" r="5" fill="{LOST_COLOUR}"/>',
            f'<text {where} fill="{LOST_COLOUR}">{escape(step.message)}</text>',
        ]
    colour = LOST_COLOUR if step.kind == "lost" else COLOURS.get(kind_of(step.message), OTHER_COLOUR)
    x1, y1, x2, y2 = x[step.sender], y[step.sent_us], x[step.receiver], y[step.time_us]
    if step.kind == "lost":
        x2 = (x1 + x2) // 2
    dashes = ' stroke-dasharray="4 3"' if step.kind == "lost" else ""
    label_x, label_y = x1 + (x2 - x1) * 0.3, y1 + (y2 - y1) * 0.3 - 3
    return [
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" marker-end="url(#head)"{dashes}/>',
        f'<text x="{label_x:.0f}" y="{label_y:.0f}" text-anchor="middle" fill="{colour}">{escape(step.message)}</text>',
    ]
