"""Sections of docs/performance.md that a study renews by itself: a heading, how it was measured, and a table."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from bcr_bench.studies.budget import with_section
from bcr_run.output import Terminal

CALLERS_HEADING = "## Many callers of one client"
DISKS_HEADING = "## What disks cost"
OUTAGE_HEADING = "## How long a reconfiguration takes"
RECOVERY_HEADING = "## After a power cut"
STUDY_HEADINGS = (CALLERS_HEADING, DISKS_HEADING, OUTAGE_HEADING, RECOVERY_HEADING)
WORDS = 1  # columns that hold words, and not numbers


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows, whose first column has words."""
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < WORDS else "right")
    for row in rows:
        table.add_row(*row)
    Terminal().print(table)


def section_of(heading: str, command: str, text: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The section with this heading, of what the command has measured just now."""
    load = os.getloadavg()[0]
    rule = ["---" if place < WORDS else "---:" for place in range(len(headings))]
    lines = ["| " + " | ".join(row) + " |" for row in (headings, rule, *rows)]
    measured = f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by `./bcr bench {command}`, with a load average of {load:.0f} at the end."
    return f"{heading}\n\n{measured} {text}\n\n" + "\n".join(lines) + "\n"


def renew(page: Path, section: str) -> None:
    """Put the section into the page, in place of the one with its heading. Raises OSError."""
    page.write_text(with_section(page.read_text(encoding="utf-8"), section), encoding="utf-8")
