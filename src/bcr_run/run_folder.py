"""What a run's folder holds from its start on: the scenario as given, the workload, the settings, the environment.

With the logs, `result.json` and `record.msgpack`, which come later, that is all that there is to know of the run.
"""

import contextlib
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bcr.chain.settings import Settings
from bcr.scenario.workload import Workload
from bcr_runtime.places import own_version

LATEST = "latest"  # the link to the newest run, beside the runs
PACKAGES = ("pyDistAlgo", "PyNaCl", "solders", "msgspec")


def begin_folder(folder: Path, source: Path, settings: Settings, workloads: Sequence[Workload]) -> list[str]:
    """Write what is known before the run; what could not be written, if something. `source` is the scenario's file."""
    texts: dict[str, Any] = {
        "settings.json": settings,
        "workload.json": {f"client_{client}": list(workload.parts) for client, workload in enumerate(workloads)},
        "environment.json": environment(),
    }
    problems = []
    try:
        problems += write_whole(source.read_bytes(), folder / f"scenario{source.suffix}")
    except OSError as error:  # a pipe, which was read already, or it has gone since
        problems.append(f"{source} cannot be read again: {error.strerror}")
    for name, content in texts.items():
        problems += write_whole(msgspec.json.format(msgspec.json.encode(content)) + b"\n", folder / name)
    return problems


def environment() -> dict[str, str]:
    """What a run stands on, as people read it: Python, packages, the kind of machine; not whose machine it is."""
    return {
        "python": f"{platform.python_version()} ({sys.implementation.name})",
        "byzantine-chain-replication": own_version(),
        **versions(PACKAGES),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": processor(),
        "cores": cores(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of those that are installed: package -> version."""
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def cores() -> str:
    """How many processors this process may use."""
    return f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"


def processor() -> str:
    """The kind of processor, as its maker calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def link_latest(folder: Path) -> None:
    """Let `latest` beside the folder point to it; what stands there and is no link stays."""
    link = folder.parent / LATEST
    draft = folder.parent / f".{LATEST}-{os.getpid()}"
    with contextlib.suppress(OSError):
        if link.is_symlink() or not link.exists():
            draft.symlink_to(folder.name)
            draft.replace(link)
    with contextlib.suppress(OSError):
        draft.unlink()


def why_no_latest(link: Path) -> str:
    """What to tell whoever asks for the latest run where there is none."""
    return f"{link}: no run has left anything there; ./bcr run makes one, or name the folder of a run"


def write_whole(data: bytes, path: Path, follows_links: bool = True) -> list[str]:
    """Write the file as a whole or not at all, for its owner to read; what is wrong, if something is.

    In a folder that a stranger has made no link is followed: the file takes its place.
    """
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}.draft")  # another one may write the same file just now
    try:
        if path.exists() and not path.is_file() and (follows_links or not path.is_symlink()):
            path.write_bytes(data)  # a pipe or a device, in whose place no file may be put
            return []
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        os.replace(draft, path.resolve() if follows_links else path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        return [f"{path} cannot be written: {error.strerror}"]
    return []
