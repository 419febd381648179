"""The tests on every Python at hand: one virtual environment a version, one table at the end.

    python -m bcr_tools.matrix [PYTEST ARGUMENTS]

Looks for the versions of `VERSIONS` on PATH and among pyenv's.  The environments are kept in `.venv-matrix/` of the
project, so only the first run installs the dependencies; the project itself is installed anew each time, editable in
the first environment and as a wheel in the others, so that both kinds are tested.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from rich.table import Table

from bcr_run.extras import EXTRAS, lock_of
from bcr_run.output import Terminal

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
LOCK = "requirements.lock"
INSTALL_LIMIT_S = 900
TESTS_LIMIT_S = 3600
TRACED = 60


def main(argv: list[str] | None = None) -> int:
    """Run the matrix; 0 if every Python passed, 1 if one failed, 2 if there is nothing to run."""
    parser = argparse.ArgumentParser(prog="bcr matrix", description="Run the tests on every Python at hand.")
    parser.add_argument("pytest", nargs=argparse.REMAINDER, help="arguments for pytest; default: the whole suite")
    selection = [argument for argument in parser.parse_args(argv).pytest if argument != "--"]

    project = project_root()
    pythons = find_pythons()
    if not pythons:
        print(f"no Python of {', '.join(VERSIONS)} on PATH or among pyenv's; install one of them", file=sys.stderr)
        return 2
    if not (project / LOCK).is_file():
        print(f"{project / LOCK}: missing; the matrix installs exactly what it pins", file=sys.stderr)
        return 2

    results = {}
    traces = {}
    for index, (version, python) in enumerate(pythons.items()):
        kind = "editable" if index == 0 else "wheel"
        print(f"== Python {version} ({kind})", flush=True)
        passed, closing = run_version(project, version, python, kind == "editable", selection)
        results[version] = (kind, passed, closing)
        traces[version] = [traces_of(project, version, hash_seed) for hash_seed in (1, 2)]
    print_table(results)
    are_equal = len({trace for both in traces.values() for trace in both}) == 1 and None not in next(iter(traces.values()))
    print(f"traces of {TRACED} simulated seeds, twice on each Python: {'equal' if are_equal else f'NOT equal: {traces}'}")
    return 0 if are_equal and all(passed for _, passed, _ in results.values()) else 1


def project_root() -> Path:
    """The folder of the project: the nearest one above the current folder or this file with a pyproject.toml."""
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            if (folder / "pyproject.toml").is_file() and (folder / "src" / "dacurrent").is_dir():
                return folder
    raise SystemExit("the matrix needs the project's sources; run it from a checkout")


def find_pythons() -> dict[str, Path]:
    """The interpreter of each version at hand, on PATH or of pyenv (the highest patch level there)."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = {}
    for version in VERSIONS:
        candidates = [Path(path) for path in [shutil.which(f"python{version}")] if path]
        candidates += sorted(pyenv.glob(f"{version}.*/bin/python{version}"), key=_patch_level, reverse=True)
        usable = next((path for path in candidates if _is_version(path, version)), None)
        if usable is not None:
            found[version] = usable
    return found


def _patch_level(python: Path) -> int:
    patch = python.parent.parent.name.split(".")[2]
    return int(patch) if patch.isdigit() else -1


def _is_version(python: Path, version: str) -> bool:
    """Whether `python` starts: a shim on PATH may stand for a version that is not installed or not chosen."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return False
    return done.stdout.strip() == version


def run_version(project: Path, version: str, python: Path, editable: bool, selection: list[str]) -> tuple[bool, str]:
    """Whether the tests passed under `python`, and pytest's closing line, or what kept it from starting."""
    environment = project / ".venv-matrix" / version
    inside = environment / "bin" / "python"
    if not inside.exists():
        made = subprocess.run([python, "-m", "venv", environment], check=False)
        if made.returncode != 0:
            return False, "no virtual environment could be made"
    pip: list[str | Path] = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    target: list[str | Path] = ["--editable", project] if editable else ["--force-reinstall", project]
    locks = [project / LOCK, *map(lock_of, EXTRAS)]
    wanted: list[list[str | Path]] = [["--no-deps", "--require-hashes", "-r", lock] for lock in locks]
    for arguments in (*wanted, ["--no-deps", "--no-build-isolation", *target]):
        installed = subprocess.run([*pip, *arguments], timeout=INSTALL_LIMIT_S, check=False)
        if installed.returncode != 0:
            return False, f"pip install {' '.join(map(str, arguments))} failed"
    return _run_tests(project, inside, selection)


def _run_tests(project: Path, python: Path, selection: list[str]) -> tuple[bool, str]:
    command: list[str | Path] = [python, "-m", "pytest", *selection]
    lines: list[str] = []
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as tests:
        assert tests.stdout is not None
        limit = threading.Timer(TESTS_LIMIT_S, tests.kill)
        limit.start()
        for line in tests.stdout:
            print(line, end="", flush=True)
            lines.append(line.strip())
        status = tests.wait()
        limit.cancel()
    closing = next((line for line in reversed(lines) if line), "no output")
    return status == 0, closing.strip("= ")


def traces_of(project: Path, version: str, hash_seed: int) -> str | None:
    """The digest of the traces of the first TRACED seeds; None where they could not be run."""
    program = (
        "import hashlib; from bcr_sim.campaign import run_text, text_of; "
        f"traces = [run_text(text_of(seed, None)).trace for seed in range({TRACED})]; "
        "print(hashlib.sha256(''.join(traces).encode()).hexdigest())"
    )
    python = project / ".venv-matrix" / version / "bin" / "python"
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        [python, "-c", program], cwd=project, env=environment, capture_output=True, text=True, timeout=TESTS_LIMIT_S, check=False
    )
    return done.stdout.split()[-1] if done.returncode == 0 else None


def print_table(results: dict[str, tuple[str, bool, str]]) -> None:
    """One row a version: how the project was installed, whether all passed, pytest's closing line."""
    table = Table(title="test matrix")
    for heading in ("Python", "installed", "result", "closing line of pytest"):
        table.add_column(heading)
    for version, (kind, passed, closing) in results.items():
        table.add_row(version, kind, "pass" if passed else "FAIL", closing)
    Terminal().print(table)


if __name__ == "__main__":
    sys.exit(main())
