"""Renews `requirements.lock`: every package that the project, its tests and its build need, pinned and hashed."""

import argparse
import os
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
    """`bcr lock`: 0 written, 1 nothing was changed."""
    argparse.ArgumentParser(prog="bcr lock", description=__doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = resolve(Path(folder))
        except subprocess.CalledProcessError as error:
            print(f"{error.stderr or ''}bcr lock: failed, for the reason above; nothing was changed", file=sys.stderr)
            return 1
    lines = [line for line in found.splitlines() if not line.startswith(("#", "--"))]
    text = HEADER + "\n".join(lines) + "\n"
    if re.search(r"\w+://", text):
        print("bcr lock: the resolver wrote an address; nothing was changed", file=sys.stderr)
        return 1
    (PROJECT / "requirements.lock").write_text(text)
    print(f"requirements.lock: {sum('==' in line for line in lines)} packages")
    return 0


def resolve(folder: Path) -> str:
    """What the resolver, fetched into `folder` by pip, finds. Raises CalledProcessError."""
    extra = folder / "build.in"
    extra.write_text("\n".join(BUILD) + "\n")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "resolver")], check=True)
    python = str(folder / "resolver" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
    command = [python, "-m", "uv", "pip", "compile", "pyproject.toml", str(extra), "--extra", "test", "--extra", "dask", "--extra", "bench", "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    command += ["--no-emit-index-url", "--no-emit-find-links"]
    environment = index_of_pip(python) | os.environ
    done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def index_of_pip(python: str) -> dict[str, str]:
    """The index that the user has set up for pip, as the resolver, which does not read that, takes it.

    Only the index itself: extra places often hold a part of a package's files, and the lock needs the hashes of all.
    """
    listed = subprocess.run([python, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True).stdout
    # Later lines outweigh earlier ones: the files of all, of the user, the environment.
    indexes = re.findall(r"^[^.\s]+\.index-url='(.*)'$", listed, re.MULTILINE)
    return {"UV_DEFAULT_INDEX": indexes[-1]} if indexes else {}
