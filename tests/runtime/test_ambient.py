"""What processes learn of the machine: here of the processes that they have made."""

import multiprocessing
import subprocess
import sys
import time

import pytest

from bcr_runtime.ambient import gone


def test_of_its_children_a_process_knows_which_have_ended():
    assert gone(["one", "other"]) == []  # they may be threads
    context = multiprocessing.get_context("spawn")
    children = {name: context.Process(target=time.sleep, args=(60,), daemon=True) for name in ("one", "other")}
    for name, child in children.items():
        child.dapid = name
        child.start()
    try:
        assert gone(list(children)) == []
        children["one"].kill()
        children["one"].join()
        assert gone(list(children)) == ["one"]
        assert gone(["other"]) == []
    finally:
        for child in children.values():
            child.kill()
            child.join()


# A parent of two children, the first of which is stopped before the parent ends them; prints how each ended.
PARENT = """
import multiprocessing, os, signal, time
from bcr_runtime.ambient import end_children
context = multiprocessing.get_context("fork")
children = [context.Process(target=time.sleep, args=(seconds,)) for seconds in (600, {other})]
for child in children:
    child.start()
os.kill(children[0].pid, signal.SIGSTOP)
os.waitid(os.P_PID, children[0].pid, os.WSTOPPED | os.WNOWAIT)
end_children({limit})
print([child.exitcode for child in children])
"""


@pytest.mark.parametrize(("other", "limit", "codes"), [(0, 300, [-9, 0]), (3, 300, [-9, 0]), (600, 2, [-9, -9])])
def test_children_that_are_stopped_are_not_waited_for_as_long_as_others(other, limit, codes):
    ended = subprocess.run(
        [sys.executable, "-c", PARENT.format(other=other, limit=limit)], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == f"{codes}\n"
