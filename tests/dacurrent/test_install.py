"""Both kinds of installation make plain `python3 -m da` work."""

import sys
import sysconfig
from pathlib import Path

import pytest
from installing import PROJECT, dependencies, environment, install, run

__all__ = ["dependencies", "environment"]


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_an_installation_makes_plain_python_m_da_work(tmp_path, environment, kind):
    command = (environment, "-m", "da", "-m", "da.examples.pingpong.ping", "1", "1")
    before = run(*command, cwd=tmp_path)
    assert before.returncode != 0
    assert "is not supported" in before.stderr

    install(environment, *(["--editable", str(PROJECT)] if kind == "editable" else [str(PROJECT)]), cwd=tmp_path)

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
