"""What faulty replicas of a run keep for each other."""

import gc
import weakref

import pytest

from bcr_runtime import ambient
from bcr_runtime.den import FolderDen, MemoryDen, den_in

OLD = (("wedge_request", b"\0old"),)
PIECES = (("catch_up", 3, 0, 2, b"a"), ("catch_up", 3, 1, 2, b"b"))


@pytest.fixture(params=["memory", "folder"])
def den(request, tmp_path):
    return MemoryDen() if request.param == "memory" else FolderDen(tmp_path / "den")


def test_the_newest_of_what_is_older_is_found(den):
    den.put("wedge_request", (0, 0), OLD)
    den.put("wedge_request", (10, 0), (("wedge_request", b"ten"),))
    den.put("wedge_request", (2, 0), (("wedge_request", b"two"),))
    assert den.newest("wedge_request", (10, 0)) == (("wedge_request", b"two"),)
    assert den.newest("wedge_request", (1, 5)) == OLD
    assert den.newest("wedge_request", (0, 0)) == ()


def test_of_one_attempt_the_last_message_counts_and_it_may_come_in_pieces(den):
    den.put("catch_up", (1, 1), (("catch_up", 2, 0, 1, b""),))
    den.put("catch_up", (1, 1), PIECES)
    assert den.newest("catch_up", (1, 2)) == PIECES


def test_of_a_kind_that_nobody_got_there_is_none(den):
    den.put("wedge_request", (0, 0), OLD)
    assert den.newest("ready", (5, 0)) == ()


def test_what_processes_of_one_run_keep_is_found_by_the_others(tmp_path):
    den_in(tmp_path).put("wedge_request", (0, 0), OLD)
    assert den_in(tmp_path).newest("wedge_request", (1, 0)) == OLD


def test_each_world_has_a_den_of_its_own_that_goes_with_it(tmp_path):
    class World(ambient.SystemSource):
        pass

    worlds = [World(), World()]
    try:
        for world in worlds:
            ambient.install(world)
            assert den_in(tmp_path).newest("wedge_request", (9, 0)) == ()
            den_in(tmp_path).put("wedge_request", (0, 0), OLD)
    finally:
        ambient.install(ambient.SystemSource())
    kept = weakref.ref(worlds[0])
    del world
    worlds.clear()
    gc.collect()
    assert kept() is None
    assert not list(tmp_path.iterdir())
