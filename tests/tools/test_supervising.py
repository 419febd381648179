"""A supervised command leaves nothing behind, however it ends."""

import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from checkout import LIMIT_S

from bcr_run import supervision as supervising
from bcr_run.supervision import Interrupted, TimeLimitReached, supervise

FAMILY = Path(__file__).with_name("family.py")
# What a command like `bcr run` does around the run; short patience with the deaf.
SUPERVISOR = """
import sys
from pathlib import Path
from bcr_run import supervision as supervising
supervising.PATIENCE_S = 0.5
try:
    supervising.supervise([sys.executable, *sys.argv[1:]], Path.cwd(), 600)
except supervising.Interrupted as interruption:
    sys.exit(interruption.status)
"""


@pytest.fixture
def notes(tmp_path):
    """A named pipe, open for reading, by which the family says who it is."""
    path = tmp_path / "notes"
    os.mkfifo(path)
    with open(os.open(path, os.O_RDWR)) as opened:
        yield opened, path


@pytest.fixture
def ended():
    """Processes that must not outlive the test."""
    processes = []
    yield processes
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


def test_the_exit_status_is_the_commands(tmp_path):
    assert [supervise([sys.executable, "-c", f"exit({n})"], tmp_path, LIMIT_S) for n in (0, 1, 77)] == [0, 1, 77]


def test_a_command_that_a_signal_ended_has_a_negative_status(tmp_path):
    assert supervise(["sh", "-c", "kill -9 $$"], tmp_path, LIMIT_S) == -9


@pytest.mark.parametrize("deaf", [[], ["deaf"]], ids=["heeding", "deaf"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_whole_family_even_who_left_the_group_or_is_deaf(notes, ended, number, deaf):
    opened, path = notes
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(FAMILY), str(path), *deaf])
    ended.append(psutil.Process(supervisor.pid))
    family = [psutil.Process(int(opened.readline())) for _ in range(3)]
    ended += family
    supervisor.send_signal(number)
    supervisor.send_signal(number)  # who is impatient spoils nothing
    assert supervisor.wait(timeout=LIMIT_S) == 128 + number
    assert [supervising._is_alive(process) for process in family] == [False, False, False]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process know that its parent has ended")
def test_a_command_is_asked_to_end_when_its_supervisor_is_killed(notes, ended):
    opened, path = notes
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(FAMILY), str(path)])
    family = [psutil.Process(int(opened.readline())) for _ in range(3)]
    ended += family
    [commanded] = [each for each in family if each.ppid() == supervisor.pid]
    supervisor.kill()
    supervisor.wait(timeout=LIMIT_S)
    psutil.wait_procs([commanded], timeout=LIMIT_S)
    assert not supervising._is_alive(commanded)


def test_a_time_limit_ends_the_whole_family(notes, ended, tmp_path, monkeypatch):
    opened, path = notes

    def clock():
        yield 0.0
        ended.extend(psutil.Process(int(opened.readline())) for _ in range(3))
        yield 600.1

    monkeypatch.setattr(supervising, "time", SimpleNamespace(monotonic=clock().__next__))
    with pytest.raises(TimeLimitReached, match="not finished within 600 s"):
        supervise([sys.executable, str(FAMILY), str(path)], tmp_path, 600)
    assert [supervising._is_alive(process) for process in ended] == [False, False, False]


def test_a_command_that_ends_by_itself_leaves_no_child_either(tmp_path):
    held = tmp_path / "held"
    os.mkfifo(held)
    reading = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # The child holds the pipe open for as long as it lives.
        assert supervise(["sh", "-c", f"exec 3>'{held}'; sleep 600 & exit 0"], tmp_path, LIMIT_S) == 0
        select.select([reading], [], [], LIMIT_S)
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_an_interrupt_just_as_the_command_ends_is_not_lost(tmp_path):
    program = "import os, signal; os.kill(os.getppid(), signal.SIGTERM)"
    with pytest.raises(Interrupted):
        supervise([sys.executable, "-c", program], tmp_path, LIMIT_S)


def test_what_was_ignored_stays_ignored():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with supervising.noted_signals() as noted:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
        assert noted == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_handlers_of_signals_are_as_before(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    supervise(["true"], tmp_path, LIMIT_S)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


class Member:
    """One of a family, of which is known what it does and what it has taken."""

    def __init__(self, does):
        self.does, self.taken_s = does, 100.0

    def status(self):
        return self.does

    def cpu_times(self):
        return SimpleNamespace(user=self.taken_s, system=0.0)


@pytest.mark.parametrize(
    ("does", "share", "seconds"),
    [
        (psutil.STATUS_STOPPED, 0.0, 6.2),  # stands still
        (psutil.STATUS_RUNNING, 1.0, 6.2),  # goes on for ever
        (psutil.STATUS_RUNNING, 0.05, 120.2),  # has its turn now and then, which is no standing still
    ],
)
def test_who_stands_still_is_told_from_who_waits_for_its_turn(does, share, seconds, monkeypatch):
    clock = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(supervising, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    ending, member, other = supervising._Ending(), Member(does), Member(psutil.STATUS_SLEEPING)
    while not ending.has_taken_too_long({member, other}):
        clock.now_s += 0.2
        member.taken_s += 0.2 * share
        assert clock.now_s < 200
    assert clock.now_s == pytest.approx(seconds, abs=0.3)


def test_a_command_is_given_its_input_and_a_descriptor_in_any_thread(tmp_path):
    (tmp_path / "given").write_bytes(b"some words")
    reading, writing = os.pipe()
    try:
        with open(tmp_path / "given", "rb") as given, ThreadPoolExecutor(1) as pool:
            program = f"import os; os.write({writing}, os.read(0, 100))"
            status = pool.submit(
                supervise, [sys.executable, "-c", program], tmp_path, LIMIT_S, given=given, descriptors=(writing,)
            ).result()
        assert (status, os.read(reading, 100)) == (0, b"some words")
    finally:
        os.close(reading)
        os.close(writing)


def test_what_is_raised_while_it_is_looked_after_ends_a_command(tmp_path):
    def look():
        if (tmp_path / "begun").exists():
            raise LookupError

    program = "import os, time; open('begun', 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(LookupError):
        supervise([sys.executable, "-c", program], tmp_path, LIMIT_S, signal.SIGKILL, is_over=look)
