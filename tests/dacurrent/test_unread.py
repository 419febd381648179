"""What a program says where nobody reads on, or where no more can be written, hinders it in nothing."""

import os
import signal
import subprocess
import sys

import pytest
from nodes import LIMIT_S
from running import run_da

from dacurrent import lifetime
from dacurrent.unread import Unread, abandon

SAYING = """
import pathlib, sys

class Child(process):
    def setup(file): pass
    def run():
        output('a child says something')
        pathlib.Path(file).write_text('done')

def main():
    output('this cannot be written')
    child = new(Child)
    setup(child, (sys.argv[1],))
    start(child)
"""
WAITING = """
def main():
    print('there', flush=True)
    await(False)
"""


def program(folder, text):
    file = folder / "program.da"
    file.write_text(text)
    return file


@pytest.fixture
def unread():
    """A pipe that nobody reads any more, to write to."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("is_full", [False, True])
def test_a_program_goes_on_and_makes_processes_where_its_log_cannot_be_written(tmp_path, unread, is_full):
    with open("/dev/full", "wb") if is_full else open(os.dup(unread), "wb") as said:
        done = subprocess.run(
            [sys.executable, "-m", "da", str(program(tmp_path, SAYING)), str(tmp_path / "done")],
            cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "done").read_text() == "done"


def test_a_node_whose_reader_has_gone_ends_in_order_when_it_is_asked_to(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "da", str(program(tmp_path, WAITING))], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert b"there\n" in iter(process.stdout.readline, b"")
        process.stdout.close()
        process.terminate()
        assert process.wait(LIMIT_S) == 128 + signal.SIGTERM


def test_a_code_that_is_a_text_is_told_and_where_nobody_reads_it_the_status_is_the_same(tmp_path, unread):
    file = program(tmp_path, "def main():\n    exit('why it ends')\n")
    done = run_da(tmp_path, file, limit_s=LIMIT_S)
    assert done.returncode == 1 and "why it ends\n" in done.stdout
    command = [sys.executable, "-m", "da", str(file)]
    assert subprocess.run(command, cwd=tmp_path, stdout=unread, stderr=unread, timeout=LIMIT_S, check=False).returncode == 1


def test_a_signal_that_the_node_was_told_to_ignore_is_ignored(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "da", str(program(tmp_path, WAITING))], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509 - as a shell does with what it starts in the background
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGINT)
        process.terminate()
        assert process.wait(LIMIT_S) == 128 + signal.SIGTERM


def test_what_is_abandoned_is_no_more_tried_again(unread):
    with open(os.dup(unread), "w") as stream:
        Unread(stream).write("what nobody reads")
        stream.write("nor this")
        stream.flush()
    abandon(None)
    Unread(None).write("nowhere")


NAMED = """
import ctypes, sys
ctypes.CDLL(None).prctl(15, b"\\xff\\xfe", 0, 0, 0)
print("named", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has orphans to look for")
def test_a_process_whose_name_is_no_text_keeps_nobody_from_finding_orphans():
    with subprocess.Popen([sys.executable, "-c", NAMED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"named\n"
        assert process.pid in lifetime._orphans_of(lifetime._ours())
        process.stdin.close()
