"""What processes say on standard output and standard error, where nobody reads on or no more can be written.

From the first time that it fails it goes nowhere, and the process goes on. Otherwise what could not be written would be tried again
by the next who flushes: by DistAlgo in every `setup`, which would fail.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any


def abandon(stream: Any) -> None:
    """From now on what is written to the stream goes nowhere, so that Python's own last flush finds nothing wrong."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
    except (OSError, ValueError, AttributeError):
        pass  # it was closed, or never a file


class Unread:
    """A stream to write to that never raises."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._try(lambda: self._stream.write(text))
        self.flush()

    def flush(self) -> None:
        self._try(lambda: self._stream.flush())  # noqa: PLW0108 - there may be no stream

    def _try(self, act: Callable[[], object]) -> None:
        if self._stream is not None:
            try:
                act()
            except OSError:
                abandon(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def let_log_go_on(handler: logging.Handler) -> None:
    """Let a handler that cannot write abandon its stream, where that is standard output or standard error."""
    stock = handler.handleError

    def handle_error(record: logging.LogRecord) -> None:
        stream = getattr(handler, "stream", None)
        if isinstance(sys.exc_info()[1], OSError) and stream in (sys.stdout, sys.stderr):
            abandon(stream)
        else:
            stock(record)

    handler.handleError = handle_error  # type: ignore[method-assign]
