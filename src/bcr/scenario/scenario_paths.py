"""Reads scenario files from where they lie: what is no file, too large, or no text is told before anything is read (specification, 9.1)."""

import stat
from pathlib import Path

from bcr.scenario.diagnostics import Diagnostic, ScenarioError
from bcr.scenario.entries import MAX_BYTES
from bcr.scenario.reading import parse_scenario
from bcr.scenario.values import Scenario


def read_scenario(path: Path) -> tuple[Scenario, tuple[Diagnostic, ...]]:
    """The scenario in a file, `.config` or `.yaml`, and the warnings on it.

    Raises ScenarioError with everything that is wrong, and OSError where the file cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ScenarioError([Diagnostic(str(path), 1, 1, "error", f"{_kind_of(status.st_mode)}, not a file")])
    size = status.st_size
    if size > MAX_BYTES:
        raise ScenarioError([Diagnostic(str(path), 1, 1, "error", f"{size:,} bytes, more than {MAX_BYTES:,}")])
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise ScenarioError([Diagnostic(str(path), line, column, "error", "not UTF-8 text")]) from error
    return parse_scenario(text, str(path))


def _kind_of(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    return next((name for has_kind, name in kinds if has_kind(mode)), "a device")
