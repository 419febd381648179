"""The page of an atlas: a picture of all outcomes, a table of them, and why each is prescribed."""

from collections.abc import Mapping
from html import escape
from itertools import product

from bcr_tools.atlas_cells import Atlas, Cell, CellOutcome, prescribed

COLOURS = {
    "masked": "#b7e1b0",
    "reconfigured": "#9ec9f0",
    "another leader": "#9ec9f0",
    "not met": "#e8e8e8",
    "unknown": "#f2c46d",
    "wrong": "#e06666",
    "hang": "#9c3fbf",
}
TRIGGER_WIDTH, HEIGHT, LEFT, TOP = 102, 22, 190, 150


def table(atlas: Atlas, outcomes: Mapping[Cell, CellOutcome], how: str) -> str:
    """The page, in Markdown; `how` says what runs they were."""
    rules = atlas.rules()
    headings = ["t", "position", "trigger", "failure", "outcome", "prescribed", *atlas.cell.COLUMNS]
    command = "./bcr atlas" if atlas.protocol.is_replaced else f"./bcr atlas --protocol {atlas.protocol.name}"
    command += " --simulated" * how.startswith("simulated")
    lines = [
        f"# {atlas.title}",
        "",
        f"Written by `{command}` from {how}: one server has the fault, the others are correct. What is prescribed,",
        f"and why, stands in `src/bcr_tools/{atlas.prescription}`. {atlas.about}",
        "",
        f"![heatmap]({atlas.page}.svg)",
        "",
        f"| {' | '.join(headings)} |",
        "|---" * len(headings) + "|",
    ]
    for cell, outcome in outcomes.items():
        allowed = " or ".join(prescribed(cell, rules)["outcome"])
        columns = outcome.columns or ("",) * len(cell.COLUMNS)
        lines.append("| " + " | ".join([str(cell.t), cell.position, cell.trigger, cell.failure, outcome.kind, allowed, *columns]) + " |")
    lines += ["", "## Why", "", "| trigger | failure | position | prescribed | reason |", "|---|---|---|---|---|"]
    for rule in rules:
        fields = [", ".join(rule.get(field, ["any"])) for field in ("trigger", "failure", "position")]
        lines.append("| " + " | ".join([*fields, " or ".join(rule["outcome"]), rule["reason"]]) + " |")
    return "\n".join(lines) + "\n"


def heatmap(atlas: Atlas, outcomes: Mapping[Cell, CellOutcome]) -> str:
    """A picture: a row for each failure, for each trigger a column for each position; one block for each t."""
    tolerated = sorted({cell.t for cell in outcomes})
    triggers = list(dict.fromkeys(cell.trigger for cell in outcomes))
    failures = list(dict.fromkeys(cell.failure for cell in outcomes))
    places = len(atlas.positions)
    cell_width = TRIGGER_WIDTH // places
    block = TOP + len(failures) * HEIGHT + 30
    width = LEFT + len(triggers) * TRIGGER_WIDTH + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{block * len(tolerated) + 40}">',
        "<style>text { font: 12px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, t in enumerate(tolerated):
        top = number * block
        size = atlas.protocol.servers(t, "ed25519")
        parts.append(
            f'<text x="10" y="{top + 24}" style="font-size: 16px">t = {t}, {size} {"replicas" if places == 3 else "servers"}</text>'
        )
        for column, trigger in enumerate(triggers):
            x = LEFT + column * TRIGGER_WIDTH
            parts.append(f'<text x="{x + 4}" y="{top + TOP - 26}" transform="rotate(-30 {x + 4} {top + TOP - 26})">{trigger}</text>')
            for offset, position in enumerate(atlas.positions):
                parts.append(f'<text x="{x + offset * cell_width + 4}" y="{top + TOP - 8}" style="font-size: 9px">{position}</text>')
        for row, failure in enumerate(failures):
            y = top + TOP + row * HEIGHT
            parts.append(f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(failure)}</text>')
            for column, (trigger, position) in enumerate(product(triggers, atlas.positions)):
                outcome = outcomes[atlas.cell(t, trigger, failure, position)]
                title = " ".join((outcome.kind, *outcome.columns[:1])).strip()
                gap = 4 * (column % places == places - 1)
                parts.append(_square(LEFT + column * cell_width, y, cell_width - 2 - gap, HEIGHT - 2, COLOURS[outcome.kind], title))
    y = block * len(tolerated) + 10
    legend = [kind for kind in COLOURS if kind != ("another leader" if atlas.protocol.is_replaced else "reconfigured")]
    for number, kind in enumerate(legend):
        x = LEFT + number * 120
        parts.append(_square(x, y, 16, 16, COLOURS[kind], kind))
        parts.append(f'<text x="{x + 22}" y="{y + 13}">{kind}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _square(x: int, y: int, width: int, height: int, colour: str, title: str) -> str:
    place = f'x="{x}" y="{y}" width="{width}" height="{height}"'
    return f'<rect {place} fill="{colour}"><title>{escape(title)}</title></rect>'
