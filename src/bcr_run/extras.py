"""What only some commands need comes when one of them is first used, from the lock of the extra that has it."""

import fcntl
import hashlib
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from bcr_runtime.places import PROJECT

# Extra of pyproject.toml -> a module that it brings, by which one can see whether it is there.
EXTRAS = {
    "completion": "argcomplete",
    "bench": "matplotlib",
    "dask": "distributed",
    "fast": "solders",
    "service": "starlette",
    "test": "pytest",
}


class NotSetUp(Exception):
    """Something that a command needs is not there, and could not be installed; the text says what to do."""


def lock_of(extra: str) -> Path:
    """The file that pins everything that the extra needs."""
    return PROJECT / f"requirements-{extra}.lock"


def demand(*extras: str) -> None:
    """See to it that the extras are installed. Raises NotSetUp.

    What `./bcr` made is added to; in an environment of the user's own nothing is changed.
    """
    for extra in extras:
        if Path(sys.prefix) == PROJECT / ".venv" and (PROJECT / ".venv" / "pip").exists():
            _install(extra)
        elif not _is_there(EXTRAS[extra]):
            raise NotSetUp(f"{EXTRAS[extra]} is not installed: pip install 'byzantine-chain-replication[{extra}]'")


def _is_there(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True


def _install(extra: str) -> None:
    environment = PROJECT / ".venv"
    mark, lock_digest = environment / f"set-up-{extra}", hashlib.sha256(lock_of(extra).read_bytes()).hexdigest()
    if _text(mark) == lock_digest:
        return
    # The lock by which ./bcr makes the environment: it belongs to the open file, and goes with this process.
    with open(PROJECT / ".venv.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _text(mark) == lock_digest:
            return
        print(f"bcr: setting up what [{extra}] needs, once; this takes a minute", file=sys.stderr, flush=True)
        log = environment / f"set-up-{extra}.log"
        with open(log, "wb") as output:
            process = subprocess.run(
                [sys.executable, *_text(environment / "pip").splitlines(), "install", "--no-deps", "--require-hashes",
                 "-r", str(lock_of(extra))],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
            )  # fmt: skip
        if process.returncode != 0:
            raise NotSetUp(f"{log.read_text(errors='replace')}\nthe set-up of [{extra}] failed, for the reason above")
        mark.write_text(lock_digest)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
