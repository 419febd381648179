"""Renews the locks: every package that running needs, and what each extra needs, pinned and hashed."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bcr_run.extras import EXTRAS, lock_of
from bcr_runtime.places import PROJECT

HEADER = """\
# Every package that {} needs: name, version and hashes, for Python 3.11 and newer.
# Written by ./bcr lock from pyproject.toml; it records no address, so packages come from wherever pip is set up to look.
"""


def main(arguments: list[str]) -> int:
    """`bcr lock`: 0 written, 1 nothing was changed."""
    argparse.ArgumentParser(prog="bcr lock", description=__doc__).parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = resolve(Path(folder))
        except subprocess.CalledProcessError as error:
            print(f"{error.stderr or ''}bcr lock: failed, for the reason above; nothing was changed", file=sys.stderr)
            return 1
    texts = {}
    for extra, text in found.items():
        lines = [line for line in text.splitlines() if not line.startswith(("#", "--"))]
        what = f"the extra {extra}, running included," if extra else "running"
        texts[path_of(extra)] = HEADER.format(what) + "\n".join(lines) + "\n"
    if any(re.search(r"\w+://", text) for text in texts.values()):
        print("bcr lock: the resolver wrote an address; nothing was changed", file=sys.stderr)
        return 1
    for path, text in texts.items():
        path.write_text(text)
        print(f"{path.name}: {len(re.findall('^[^# ].*==', text, re.MULTILINE))} packages")
    return 0


def path_of(extra: str) -> Path:
    """The lock of an extra, or, of none, that of what running needs."""
    return lock_of(extra) if extra else PROJECT / "requirements.lock"


def resolve(folder: Path) -> dict[str, str]:
    """What the resolver, fetched into `folder` by pip, finds for running and for each extra. Raises CalledProcessError.

    All of it is resolved together first, so that a package has one version in all locks.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder / "resolver")], check=True)
    python = str(folder / "resolver" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
    environment = index_of_pip(python) | os.environ
    together = folder / "together.txt"

    def compiled(*options: str) -> str:
        command = [python, "-m", "uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11", *options]
        command += ["--no-header", "--no-annotate", "--quiet", "--no-emit-index-url", "--no-emit-find-links"]
        return subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True, env=environment).stdout

    together.write_text(compiled(*(option for extra in EXTRAS for option in ("--extra", extra))))
    hashed = ("--generate-hashes", "--constraint", str(together))
    return {"": compiled(*hashed)} | {extra: compiled("--extra", extra, *hashed) for extra in EXTRAS}


def index_of_pip(python: str) -> dict[str, str]:
    """The index that the user has set up for pip, as the resolver, which does not read that, takes it.

    Only the index itself: extra places often hold a part of a package's files, and the lock needs the hashes of all.
    """
    listed = subprocess.run([python, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True).stdout
    # Later lines outweigh earlier ones: the files of all, of the user, the environment.
    indexes = re.findall(r"^[^.\s]+\.index-url='(.*)'$", listed, re.MULTILINE)
    return {"UV_DEFAULT_INDEX": indexes[-1]} if indexes else {}
