"""What a user sees while a run goes on: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Sequence
from typing import IO, cast

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from bcr_run.output import Terminal
from bcr_runtime.unread_output import Unread

LINE_INTERVAL_S = 5.0


class Progress:
    """Shows how many operations have been answered, on standard error."""

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.total = total
        self._console = Terminal(file=cast(IO[str], Unread(sys.stderr)))  # a run comes to its end whoever looks on
        self._bar: Bar | None = None
        self._due_s = time.monotonic() + LINE_INTERVAL_S
        self._waiting_for: list[str] = []

    def wait_for(self, names: Sequence[str]) -> None:
        """Says which nodes are still missing, whenever that changes."""
        if list(names) != self._waiting_for:
            self._waiting_for = list(names)
            if names:
                self._console.print(f"waiting for nodes: {', '.join(names)}", highlight=False)

    def show(self, answered: int) -> None:
        if self._console.is_terminal:
            self._show_bar(answered)
        elif time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + LINE_INTERVAL_S
            self._console.print(f"{self.name}: {answered} of {self.total} operations answered", highlight=False)

    def _show_bar(self, answered: int) -> None:
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.add_task(self.name, total=self.total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=answered)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
