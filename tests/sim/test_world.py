"""The world of tasks: events in order, waits, pauses and kills on a virtual clock."""

import pytest

from bcr_sim.world import MILLISECOND_NS, World, current_task


def run(world, is_over=lambda: False, limit_ns=10**12, limit_events=10_000):
    return world.run(is_over, limit_ns, limit_events)


def test_events_happen_in_the_order_of_their_times_and_at_one_time_in_the_order_they_were_planned():
    world, happened = World(0), []
    for time, name in ((5, "c"), (1, "a"), (5, "d"), (2, "b")):
        world.at(time, happened.append, name)
    run(world)
    assert happened == ["a", "b", "c", "d"]
    assert world.now_ns == 5


def test_a_sleeping_task_goes_on_at_its_time_and_others_meanwhile():
    world, happened = World(0), []

    def sleeper(name, duration_ns):
        current_task().sleep(duration_ns)
        happened.append((name, world.now_ns))

    world.spawn("slow", lambda: sleeper("slow", 3 * MILLISECOND_NS))
    world.spawn("fast", lambda: sleeper("fast", MILLISECOND_NS))
    run(world)
    assert happened == [("fast", MILLISECOND_NS), ("slow", 3 * MILLISECOND_NS)]


def test_a_wait_ends_when_it_is_woken_or_when_its_time_has_passed():
    world, ended = World(0), []
    task = world.spawn("waiter", lambda: ended.extend((current_task().wait(1_000_000), current_task().wait(1_000_000))))
    world.at(400_000, task.wake)
    run(world)
    assert ended == [True, False]
    assert world.now_ns == 1_400_000


def test_a_wake_of_a_task_that_does_not_wait_is_nothing():
    world, ended = World(0), []
    task = world.spawn("sleeper", lambda: (current_task().sleep(1_000_000), ended.append(world.now_ns)))
    world.at(500_000, task.wake)
    run(world)
    assert ended == [1_000_000]


def test_a_paused_task_goes_on_when_the_pause_is_over():
    world, ended = World(0), []
    task = world.spawn("waiter", lambda: (current_task().wait(), ended.append(world.now_ns)))
    world.at(100, task.pause, 9_000)
    world.at(200, task.wake)
    run(world)
    assert ended == [9_000]


def test_a_task_waits_on_whatever_the_tasks_do_that_it_spawned():
    world, happened = World(0), []

    def child():
        current_task().sleep(1_000)
        happened.append(("child", world.now_ns))

    def parent():
        world.spawn("child", child)
        current_task().sleep(10_000)
        happened.append(("parent", world.now_ns))
        current_task().wait()
        happened.append(("parent", world.now_ns))

    task = world.spawn("parent", parent)
    world.at(20_000, task.wake)
    run(world)
    assert happened == [("child", 1_000), ("parent", 10_000), ("parent", 20_000)]


def test_a_killed_task_does_nothing_any_more():
    world, happened = World(0), []

    def work():
        while True:
            current_task().sleep(1_000_000)
            happened.append(world.now_ns)

    task = world.spawn("worker", work)
    world.at(2_500_000, task.kill)
    assert "nothing is going to happen" in run(world)
    assert happened == [1_000_000, 2_000_000]
    assert task.is_dead


def test_a_wait_of_no_time_takes_some():
    world = World(0)

    def poll():
        while True:
            current_task().wait(0)

    world.spawn("poller", poll)
    assert run(world, lambda: world.now_ns >= 50_000) is None


@pytest.mark.parametrize(("limits", "words"), [((10**12, 100), "100 events"), ((10**9, 10**9), "1 virtual seconds")])
def test_a_world_that_does_not_end_is_ended_and_says_why(limits, words):
    world = World(0)

    def again():
        world.at(world.now_ns + 1_000_000, again)

    again()
    assert words in run(world, lambda: False, *limits)
