"""What processes learn of the machine: here of the processes that they have made."""

import multiprocessing
import time

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
