"""A checkout whose Python is a stand-in, so that `./bcr` can be tried without making a real environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
LIMIT_S = 60  # against a hang; nothing is measured

# Does what Python does for ./bcr, notes the calls, and halts or fails where a test asks for it by a file.
STAND_IN = """#!/bin/sh
folder='{folder}'
case $1 in -c) ;; *) echo "$*" >>"$folder/calls" ;; esac
case "$1 $2" in
    "-m venv")
        [ ! -p "$folder/arrived" ] || echo venv >"$folder/arrived"
        [ ! -p "$folder/gate" ] || read -r _ <"$folder/gate"
        for made do :; done
        mkdir -p "$made/bin" "$made/site"
        cp "$0" "$made/bin/python" ;;
    *"/pip install" | "-m pip")
        [ ! -e "$folder/failing" ] || {{ echo "pip says why"; exit 1; }}
        case "$*" in *-fast.lock) [ ! -e "$folder/no solders" ] || exit 1 ;; esac ;;
    "-c "*purelib*) echo "$(dirname "$0")/../site" ;;
    "-c "*glob*) [ -e "$folder/no wheel" ] || echo "/a wheel/pip" ;;
    "-P -m") exec '{python}' "$@" ;;
    *)
        case $2 in *flock*) [ ! -p "$folder/arrived" ] || echo flock >"$folder/arrived" ;; esac
        exec '{python}' "$@" ;;
esac
"""


class Checkout:
    """`folder` holds the checkout in `root`, the stand-in, and the files by which a test leads the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "a checkout"
        self.root.mkdir()
        for name in ("bcr", "requirements.lock", "requirements-fast.lock", "pyproject.toml"):
            shutil.copy(PROJECT / name, self.root / name)
        (self.root / "src" / "dacurrent").mkdir(parents=True)
        shutil.copy(PROJECT / "src" / "dacurrent" / "dacurrent.pth", self.root / "src" / "dacurrent")
        self.python = folder / "a python"
        self.python.write_text(STAND_IN.format(folder=folder, python=sys.executable))
        self.python.chmod(0o755)
        self.environment = {**os.environ, "PYTHON": str(self.python)}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.root / "bcr", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, script: Path | None = None, **environment: str) -> tuple[int, str]:
        """Exit status and output of `./bcr ARGUMENTS`, started from another directory."""
        done = subprocess.run(
            [script or self.root / "bcr", *arguments],
            cwd="/",
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return done.returncode, done.stdout

    def times_made(self) -> int:
        calls = self.folder / "calls"
        return calls.read_text().count("-m venv") if calls.exists() else 0
