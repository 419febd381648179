"""Renews `requirements.lock`: every package that the project, its tests and its build need, pinned and hashed."""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bcr_runtime.processes import PROJECT

HEADER = """\
# Every package that the project, its tests and its build need: name, version and hashes, for Python 3.11 and newer.
# Written by ./bcr lock from pyproject.toml; it records no address, so packages come from wherever pip is set up to look.
"""
BUILD = ("hatchling", "editables")


def main(arguments: list[str]) -> int:
    """Resolve anew and write the lock; pip and the resolver, from the package index, do the work."""
    argparse.ArgumentParser(prog="bcr lock", description=__doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        extra = Path(folder) / "build.in"
        extra.write_text("\n".join(BUILD) + "\n")
        resolver = Path(folder) / "resolver"
        subprocess.run([sys.executable, "-m", "venv", str(resolver)], check=True)
        python = str(resolver / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
        command = [python, "-m", "uv", "pip", "compile", "pyproject.toml", str(extra), "--extra", "test", "--universal"]
        command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        command += ["--no-emit-index-url", "--no-emit-find-links"]
        found = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    lines = [line for line in found.splitlines() if not line.startswith(("#", "--"))]
    text = HEADER + "\n".join(lines) + "\n"
    if re.search(r"https?://", text):
        print("bcr lock: the resolver wrote an address; nothing was changed", file=sys.stderr)
        return 1
    (PROJECT / "requirements.lock").write_text(text)
    print(f"requirements.lock: {sum('==' in line for line in lines)} packages")
    return 0
