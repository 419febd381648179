"""`./bcr` sets up its environment once, whole, from the lock, and names what is missing."""

import os
import shutil
import signal
import subprocess

import pytest
from checkout import LIMIT_S, PROJECT, Checkout


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_it_starts_from_any_directory_with_blanks_in_its_path(checkout):
    status, output = checkout.run("--help")
    assert status == 0
    assert "usage: ./bcr COMMAND" in output


def test_it_starts_through_links_absolute_and_relative(checkout):
    absolute = checkout.folder / "absolute"
    absolute.symlink_to(checkout.root / "bcr")
    relative = checkout.folder / "relative"
    relative.symlink_to("absolute")
    status, output = checkout.run("--help", script=relative)
    assert (status, "usage: ./bcr COMMAND" in output) == (0, True)
    assert (checkout.root / ".venv" / "set-up").exists()


def test_the_environment_is_made_once_and_announced_in_one_line(checkout):
    _, first = checkout.run("--help")
    _, second = checkout.run("--help")
    assert first == "bcr: setting up .venv, once; this takes a moment\n" + second
    assert checkout.times_made() == 1


@pytest.mark.parametrize("pip", ["/a wheel/pip", "-m pip"])
def test_every_package_comes_from_the_lock_with_its_hash_and_none_beside(checkout, pip):
    if pip == "-m pip":
        (checkout.folder / "no wheel").touch()  # as where a distribution keeps Python's pip to itself
    checkout.run("--help")
    calls = (checkout.folder / "calls").read_text().splitlines()
    wanted = f"{pip} install --no-deps --require-hashes --only-binary :all: -r {checkout.root}/requirements-fast.lock"
    assert [line for line in calls if " install " in line] == [wanted]
    made = f"-m venv {'' if pip == '-m pip' else '--without-pip '}{checkout.root}/.venv"
    assert [line for line in calls if line.startswith("-m venv")] == [made]


def test_what_checks_signatures_sooner_is_left_out_where_it_is_not_to_be_had(checkout):
    (checkout.folder / "no solders").touch()
    assert checkout.run("--help")[0] == 0
    calls = (checkout.folder / "calls").read_text().splitlines()
    asked = [line.rpartition("/")[2] for line in calls if " install " in line]
    assert asked == ["requirements-fast.lock", "requirements.lock"]
    assert checkout.run("--help")[0] == 0
    assert checkout.times_made() == 1


def test_the_checkout_is_on_the_path_of_the_environment_and_cures_distalgo_there(checkout):
    checkout.run("--help")
    site = checkout.root / ".venv" / "site"
    assert (site / "bcr.pth").read_text() == f"{checkout.root}/src\n"
    assert (site / "dacurrent.pth").read_text() == (PROJECT / "src" / "dacurrent" / "dacurrent.pth").read_text()
    assert sorted(each.name for each in site.iterdir()) == ["bcr.pth", "dacurrent.pth"]  # in the order that they are read in


@pytest.mark.parametrize("name", ["bcr", "requirements.lock", "requirements-fast.lock", "pyproject.toml"])
def test_a_change_of_what_it_is_made_of_makes_it_anew(checkout, name):
    checkout.run("--help")
    with open(checkout.root / name, "a") as file:
        file.write("# changed\n")
    checkout.run("--help")
    assert checkout.times_made() == 2


def test_a_checkout_that_was_moved_makes_it_anew(checkout):
    checkout.run("--help")
    checkout.root = checkout.root.rename(checkout.folder / "moved")
    assert checkout.run("--help")[0] == 0
    assert checkout.times_made() == 2


def test_a_python_that_has_gone_makes_it_anew(checkout):
    checkout.run("--help")
    inside = checkout.root / ".venv" / "bin" / "python"
    inside.unlink()
    inside.symlink_to(checkout.folder / "gone")
    assert checkout.run("--help")[0] == 0
    assert checkout.times_made() == 2


def test_a_failure_shows_what_pip_said_and_the_next_start_tries_again(checkout):
    (checkout.folder / "failing").touch()
    status, output = checkout.run("--help")
    assert status == 2
    assert output.endswith("pip says why\nbcr: the set-up failed, for the reason above\n")
    (checkout.folder / "failing").unlink()
    assert checkout.run("--help")[0] == 0
    assert checkout.times_made() == 2


def test_two_that_start_at_once_make_one_environment(checkout):
    arrived, gate = checkout.folder / "arrived", checkout.folder / "gate"
    os.mkfifo(arrived)
    os.mkfifo(gate)
    # Kept open for reading and writing, so that no side waits for the other to open it.
    with open(os.open(arrived, os.O_RDWR)) as arrivals:
        both = [checkout.start("--help"), checkout.start("--help")]
        assert sorted(arrivals.readline() for _ in range(3)) == ["flock\n", "flock\n", "venv\n"]
        descriptor = os.open(gate, os.O_RDWR)
        try:
            os.write(descriptor, b"go\ngo\n")
            outputs = [each.communicate(timeout=LIMIT_S)[0] for each in both]
        finally:
            os.close(descriptor)
            for each in both:
                each.kill()
    assert [each.returncode for each in both] == [0, 0]
    assert checkout.times_made() == 1
    assert sum("setting up" in output for output in outputs) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_set_up_blocks_nothing_and_is_made_anew(checkout, number):
    arrived, gate = checkout.folder / "arrived", checkout.folder / "gate"
    os.mkfifo(arrived)
    os.mkfifo(gate)
    with open(os.open(arrived, os.O_RDWR)) as arrivals:
        interrupted = checkout.start("--help")
        assert [arrivals.readline() for _ in range(2)] == ["flock\n", "venv\n"]
        interrupted.send_signal(number)
        if number == signal.SIGKILL:  # nobody could end the step, so the lock is held until it ends by itself
            with open(gate, "w") as opened:
                opened.write("go\n")
        interrupted.communicate(timeout=LIMIT_S)  # to the end of what its children write: they have ended too
    assert interrupted.returncode == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    assert not (checkout.root / ".venv" / "set-up").exists()
    arrived.unlink()
    gate.unlink()
    assert checkout.run("--help")[0] == 0
    assert checkout.times_made() == 2


def _tools(checkout, **pythons):
    """A PATH that has what the script needs, and Pythons that end with the given status."""
    folder = checkout.folder / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "cp", "cksum", "dirname", "readlink", "mkdir", "rm"):
        (folder / name).symlink_to(shutil.which(name))
    for name, status in pythons.items():
        (folder / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_without_a_python_it_says_which_it_needs_and_where_it_looked(checkout):
    status, output = checkout.run("--help", PATH=_tools(checkout, python3=3), PYTHON="")
    assert status == 2
    assert output == (
        "bcr: needs Python 3.11 or newer; none of python3.13 python3.12 python3.11 python3 on the PATH is; "
        "PYTHON=/path/to/python names another\n"
    )
    assert not (checkout.root / ".venv").exists()


def test_a_python_without_its_venv_module_is_named(checkout):
    status, output = checkout.run("--help", PATH=_tools(checkout, python3=4), PYTHON="")
    assert (status, output) == (2, "bcr: python3 lacks its venv module (on Debian: apt install python3-venv)\n")


def test_a_chosen_python_that_will_not_do_is_refused_rather_than_replaced(checkout):
    status, output = checkout.run("--help", PYTHON="/no such/python")
    assert (status, output) == (2, "bcr: PYTHON=/no such/python is not a Python of version 3.11 or newer\n")


@pytest.mark.parametrize("status", [0, 1, 5])
def test_continuous_integration_runs_the_tests_and_keeps_their_exit_status(tmp_path, status):
    (tmp_path / ".ci").mkdir()
    shutil.copy(PROJECT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "bcr").write_text(f'#!/bin/sh\necho "bcr $*"\nexit {status}\n')
    (tmp_path / "bcr").chmod(0o755)
    done = subprocess.run([tmp_path / ".ci" / "run"], cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "bcr test\n")
