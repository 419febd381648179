"""A child is never born with a lock that one of its parent's other threads holds."""

import subprocess
import sys

import pytest

SCRIPT = """
import logging, os, sys, threading
import da
from da import common
from dacurrent import forks

handler = logging.StreamHandler(sys.stdout)
logging.getLogger("da").addHandler(handler)
lock = {"gate": forks.gate, "names": common.ProcessId._lock, "log": handler.lock}[sys.argv[1]]
held, let_go = threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        let_go.wait()

threading.Thread(target=hold).start()
held.wait()
threading.Timer(0.2, let_go.set).start()
child = os.fork()
if child == 0:
    lock = handler.lock if sys.argv[1] == "log" else lock
    os._exit(0 if lock.acquire(timeout=5) and let_go.is_set() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("lock", ["gate", "names", "log"])
def test_a_fork_waits_for_who_holds_the_lock(lock):
    done = subprocess.run([sys.executable, "-c", SCRIPT, lock], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


INHERITED = """
import gc, os, sys
import da

inherited = [[] for _ in range(1_000)]
child = os.fork()
if child == 0:
    os._exit(sum(each is inherited for each in gc.get_objects()))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_does_not_look_through_what_it_inherits_for_garbage():
    done = subprocess.run([sys.executable, "-c", INHERITED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


SIGNALLED = """
import os, signal, sys
import da
from dacurrent import lifetime

lifetime._obey_signals(KeyboardInterrupt)
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGTERM)  # before it has a handler of its own
    os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_that_is_asked_to_end_as_soon_as_it_is_there_ends_without_a_word():
    done = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (128 + 15, "")


ENDING = """
import os, signal, sys
import da
from dacurrent import lifetime

lifetime._obey_signals(KeyboardInterrupt)
lifetime._ours().is_ending = True
os.kill(os.getpid(), signal.SIGINT)
sys.exit(lifetime._ours().signal)
"""


def test_a_process_that_ends_anyhow_is_not_interrupted_by_being_asked_to():
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "")
