"""Fresh environments for tests of what an installation brings: they see the dependencies, and not the project."""

import ensurepip
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def run(*command, cwd=None):
    # A variable for the module path would let an uninstalled project be found.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory):
    """A folder that shows the packages of this environment, except the project itself and its `.pth` files."""
    folder = tmp_path_factory.mktemp("dependencies")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        ours = package.name.startswith(("byzantine_chain", "bcr", "dacurrent", "__pycache__"))
        if not ours and package.suffix != ".pth":
            (folder / package.name).symlink_to(package)
    return folder


@pytest.fixture
def environment(tmp_path_factory, dependencies):
    """The Python of a fresh virtual environment that sees the dependencies but not the project."""
    return fresh_environment(tmp_path_factory, dependencies)


def fresh_environment(tmp_path_factory, dependencies):
    top = tmp_path_factory.mktemp("environment") / "environment"
    venv.create(top, symlinks=True)
    python = top / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    Path(site, "dependencies.pth").write_text(f"{dependencies}\n")
    return python


def install(python, *options, cwd):
    """Install into the environment of this Python, from what is there, and nothing that the project needs."""
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    [pip] = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    installed = run(python, pip / "pip", "install", "-q", *offline, *options, cwd=cwd)
    assert installed.returncode == 0, installed.stdout + installed.stderr
