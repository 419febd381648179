"""Both kinds of installation make plain `python3 -m da` work."""

import ensurepip
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def run(*command, cwd=None):
    # A variable for the module path would let an uninstalled project be found.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


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
def environment(tmp_path, dependencies):
    """The Python of a fresh virtual environment that sees the dependencies but not the project."""
    top = tmp_path / "environment"
    venv.create(top, symlinks=True)
    python = top / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    Path(site, "dependencies.pth").write_text(f"{dependencies}\n")
    return python


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_an_installation_makes_plain_python_m_da_work(tmp_path, environment, kind):
    command = (environment, "-m", "da", "-m", "da.examples.pingpong.ping", "1", "1")
    before = run(*command, cwd=tmp_path)
    assert before.returncode != 0
    assert "is not supported" in before.stderr

    options = ["--editable", str(PROJECT)] if kind == "editable" else [str(PROJECT)]
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    [pip] = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    installed = run(environment, pip / "pip", "install", "-q", *offline, *options, cwd=tmp_path)
    assert installed.returncode == 0, installed.stdout + installed.stderr

    where = run(environment, "-c", "import dacurrent; print(dacurrent.__file__)", cwd=tmp_path).stdout.strip()
    assert Path(where).is_relative_to(PROJECT / "src") == (kind == "editable")
    after = run(*command, cwd=tmp_path)
    assert after.returncode == 0, after.stderr
    assert "OUTPUT: Ponged." in after.stderr


def test_a_start_without_the_package_is_silent(tmp_path, environment):
    """The `.pth` file may outlive the package: an interrupted removal must not break every start."""
    site = environment.parent.parent / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    (site / "dacurrent.pth").write_text((PROJECT / "src/dacurrent/dacurrent.pth").read_text())
    done = run(environment, "-c", "print('started')", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")
