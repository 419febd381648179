"""Runs all checks of the project: types, style, tests; pytest's closing line comes last."""

import os
import signal
import subprocess
import sys

from bcr_run.supervision import TimeLimitReached, supervise
from bcr_runtime.places import PROJECT

# Name -> arguments of Python.
CHECKS = (
    ("types", ["-m", "mypy"]),
    ("style", ["-m", "ruff", "check", "."]),
    ("format", ["-m", "ruff", "format", "--check", "."]),
)
WORKERS = ("-n", "2", "--dist", "worksteal")  # while one waits for a real run, the other computes
TESTS_LIMIT_S = 3_600.0
PYTEST_USAGE_ERROR = 4
HELP = """usage: bcr test [PYTEST ARGUMENT …]

Runs all checks of the project: types (mypy --strict), style and format (ruff), tests (pytest, in two
processes, which gets the arguments).
Exit status: 0 all good; 1 something is not, or no test was found; 2 pytest does not know an argument;
130 after Ctrl-C, 143 after SIGTERM.

  ./bcr test tests/tools               one folder
  ./bcr test -k 'tail and not sleep'   by name
  ./bcr test -n 0 --pdb tests/bcr      in one process, with a debugger where a test fails"""


def main(arguments: list[str]) -> int:
    """`bcr test`; the exit statuses are those of HELP. Raises Interrupted."""
    if arguments in (["-h"], ["--help"]):
        print(HELP)
        return 0
    failed = [name for name, command in CHECKS if not _is_good(command)]
    if failed:
        print(f"bcr test: not good: {', '.join(failed)}, as said above", file=sys.stderr)
    try:
        # SIGINT, because by that pytest still tears its fixtures down.
        command = [sys.executable, "-m", "pytest", *WORKERS, *arguments]
        tests = supervise(command, PROJECT, TESTS_LIMIT_S, signal.SIGINT, environment=_environment())
    except TimeLimitReached as limit:
        print(f"bcr test: {limit}", file=sys.stderr)
        return 1
    if tests == PYTEST_USAGE_ERROR:
        return 2
    return 1 if failed or tests else 0


def _environment() -> dict[str, str]:
    """Ours, with bytecode apart where none is to be written beside the sources: without any, each of the many runs that the
    tests start would compile the protocol anew, for seconds."""
    environment = dict(os.environ)
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment["PYTHONPYCACHEPREFIX"] = str(PROJECT / ".venv" / "bytecode")
    return environment


def _is_good(command: list[str]) -> bool:
    return subprocess.run([sys.executable, *command], cwd=PROJECT, check=False).returncode == 0
