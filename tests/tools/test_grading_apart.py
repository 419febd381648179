"""What judges another's sources runs apart: a test that hangs, ends its process or makes noise costs itself only, and nothing is left."""

import os

import psutil
import pytest
from polling import until_within

from bcr_runtime.places import SOURCES
from bcr_tools.grading_apart import Limits, heard, tried

LIMITS = Limits(seconds=300, seconds_each=12, memory_bytes=2 << 30)
# What a file that is graded may do while it is imported: find every descriptor, and say on it what it likes.
NOISE = """
import os
for number in range(1, 20):
    try:
        os.write(number, b'{1: 2}\\n{"name": "tests/test_own.py::test_wrong", "breach": ""}\\n\\xff\\n{}\\n')
    except OSError:
        pass
"""
WELL = "def test_well(): pass\n"
BEHIND = "def test_behind(): pass\n"


@pytest.fixture
def graded(tmp_path):
    """Name of each test that does not pass -> why, of a file of tests."""

    def grade(text, *names, limits=LIMITS):
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "test_own.py").write_text(text)
        full = [f"tests/test_own.py::test_{name}" for name in names]
        found = tried(tmp_path, full, lambda left: {"sentences": left}, limits, sources=SOURCES)
        return {name.rpartition("::test_")[2]: why for name, why in found}

    return grade


def test_a_test_that_fails_is_lost_with_the_reason_and_one_that_was_not_run_too(graded):
    text = "import pytest\n@pytest.mark.parametrize('n', [1, 2, 3])\ndef test_wrong(n): assert n == 2, 'it is not'\n" + WELL
    lost = graded(text + "def test_left_out(): pytest.skip()\n", "wrong", "well", "left_out", "gone")
    assert set(lost) == {"wrong", "left_out", "gone"}
    assert "it is not" in lost["wrong"]


def test_tests_of_a_file_that_cannot_be_imported_are_lost(graded):
    lost = graded("import no_such_module\n" + WELL + BEHIND, "well", "behind")
    assert set(lost) == {"well", "behind"}
    assert all("no_such_module" in why for why in lost.values())


def test_one_that_never_ends_costs_itself_only_and_nothing_of_it_is_left(graded, tmp_path):
    forking = f"""
import os
def test_endless():
    if child := os.fork():
        open({str(tmp_path / "child")!r}, 'w').write(str(child))
    while True: pass
"""
    lost = graded(WELL + forking + BEHIND, "well", "endless", "behind")
    assert lost == {"endless": "its time is over, 12 s"}
    child = int((tmp_path / "child").read_text())
    until_within(20)(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_one_that_ends_the_process_costs_itself_only(graded):
    lost = graded("import os\n" + WELL + "def test_ending(): os._exit(0)\n" + BEHIND, "well", "ending", "behind")
    assert lost == {"ending": "the process ended with status 0"}


def test_what_is_graded_can_print_what_it_likes(graded):
    assert set(graded(NOISE + WELL + "def test_wrong(): assert False\n", "well", "wrong")) == {"wrong"}


def test_what_says_by_itself_that_all_is_well_and_ends_is_lost(graded):
    reading = "import json, sys\nsaid = sys.stdin.read() + str(json)\n"
    assert set(graded(reading + NOISE + "os._exit(0)\n" + WELL + "def test_wrong(): pass\n", "well", "wrong")) == {"well", "wrong"}


def test_memory_of_the_tests_is_limited(graded):
    assert set(graded("def test_large(): bytearray(4 << 30)\n" + WELL, "large", "well")) == {"large"}


def test_where_the_time_of_all_is_over_those_that_are_left_are_lost(graded):
    limits = Limits(seconds=1, seconds_each=60, memory_bytes=2 << 30)
    endless = "while True: pass\n"
    assert graded(endless, "well", "behind", limits=limits) == {"well": "its time is over", "behind": "its time is over"}


def test_files_are_compiled_and_not_run(tmp_path):
    for name, text in {
        "good.py": "raise SystemExit\n",
        "bad.py": "def (\n",
        "good.da": "raise SystemExit\n",
        "bad.da": "class A(\n",
    }.items():
        (tmp_path / name).write_text(text)
    names = sorted(path.name for path in tmp_path.iterdir())
    lost = dict(tried(tmp_path, names, lambda left: {"compile": left}, LIMITS, sources=SOURCES))
    assert set(lost) == {"bad.py", "bad.da"}
    assert all("SyntaxError" in why or "syntax" in why for why in lost.values())


def test_descriptors_are_closed_behind_it(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    heard(tmp_path, {"compile": []}, LIMITS, 60, 0, sources=SOURCES)
    assert len(os.listdir("/proc/self/fd")) == before
