"""What the commands print, and what becomes of it where it cannot be printed: one line at the most, and no traceback.

A reader that has gone away, as `head` does, has read enough. A run, a service and a node go on all the same, and what they still
print, by `tell` and `complain`, goes nowhere; other commands end there. Standard error says when an output is full or broken. Letters that the encoding of an output lacks are
written as escapes.
"""

import sys
from typing import TextIO

from rich.console import Console

from bcr_runtime.unread_output import abandon

__all__ = ["CUT_OFF", "UNPRINTED", "Terminal", "abandon", "complain", "flushed", "prepare", "tell"]

UNPRINTED = 2  # the exit status of a command whose output was lost
CUT_OFF = 141  # what a shell makes of a command that ended because nobody read on


class Terminal(Console):
    """A console that hides no cursor, for it may be killed before it could show it again, and that nobody need read."""

    def show_cursor(self, show: bool = True) -> bool:
        return False

    def on_broken_pipe(self) -> None:
        self.quiet = True
        abandon(self.file)


def prepare() -> None:
    """Let standard output and standard error take any text."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def tell(text: str) -> None:
    """A line on standard output, at once; never raises, whether somebody reads it or not."""
    try:
        print(text, flush=True)
    except OSError as error:
        abandon(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            complain(f"bcr: standard output cannot be written: {error.strerror}")


def complain(text: str) -> None:
    """A line on standard error, where there is one; never raises."""
    if sys.stderr is not None:  # else it would go to standard output
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            abandon(sys.stderr)


def flushed(status: int) -> int:
    """The exit status of a command that would end with `status`, once what it printed is out."""
    error = _flush(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return status
    if error is not None:
        complain(f"bcr: standard output cannot be written: {error.strerror}")
        return status or UNPRINTED
    return status


def _flush(stream: TextIO | None) -> OSError | None:
    try:
        if stream is not None:
            stream.flush()
    except OSError as error:
        abandon(stream)
        return error
    return None
