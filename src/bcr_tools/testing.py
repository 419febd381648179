"""Runs all checks of the project: types, style, tests; pytest's closing line comes last."""

import subprocess
import sys

from bcr_runtime.processes import PROJECT

CHECKS = (
    ("types", ["mypy", "--strict", "-p", "bcr"]),
    ("style", ["ruff", "check", "src", "tests"]),
)


def main(arguments: list[str]) -> int:
    """`bcr test`: arguments go to pytest; 0 all good, 1 otherwise. Finding no test is not good."""
    failed = []
    for name, command in CHECKS:
        if subprocess.run([sys.executable, "-m", *command], cwd=PROJECT, check=False).returncode:
            failed.append(name)
    tests = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=PROJECT, check=False).returncode
    if failed:
        print(f"bcr test: not good: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or tests else 0
