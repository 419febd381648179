"""What callers hand in goes out together where it can, and nobody hangs on anybody else."""

from types import SimpleNamespace

import pytest

from bcr.objects import store_operations as operations
from bcr_service import desk as desks
from bcr_service.desk import Busy, Desk, Job, JobRefusal
from bcr_service.gateway import is_broken


def job(*asked, is_alone=False):
    got = []
    made = Job(tuple(asked), got.append, is_alone)
    return made, got


def get(key):
    return operations.get(key)


def answer_to(number, *results):
    """A request of that number and an answer to it, as far as the desk looks."""
    outcome = SimpleNamespace(results=results, place=(0, number, 0))
    return SimpleNamespace(statement=SimpleNamespace(number=number)), SimpleNamespace(outcome=outcome)


@pytest.fixture
def desk():
    return Desk(3, is_broken)


def test_of_requests_that_were_answered_some_are_kept_to_be_shown(desk, monkeypatch):
    now_s = [10.0]
    monkeypatch.setattr(desks.time, "monotonic", lambda: now_s[0])
    for number in range(20):
        desk.put(job(get("a"), get("b"))[0])
        desk.sent(number, desk.take())
        now_s[0] += 0.1
        desk.answered(None, *answer_to(number, "null", "null"))
    assert desk.answers == 20
    samples = desk.samples()
    assert [each.slot for each in samples] == [9, 12, 15, 18]  # the latest, and none within 0.25 s of another
    assert {(each.configuration, each.operations, each.callers, each.took_ms) for each in samples} == {(0, 2, 1, 100)}


def test_jobs_that_wait_share_a_request_up_to_its_limit(desk):
    jobs = [job(get(str(number)))[0] for number in range(5)]
    for each in jobs:
        desk.put(each)
    assert [list(desk.take()), list(desk.take()), list(desk.take())] == [jobs[:3], jobs[3:], []]


def test_a_job_that_is_to_be_alone_shares_with_nobody_and_keeps_its_place(desk):
    first, second, third = job(get("a"))[0], job(get("b"), is_alone=True)[0], job(get("c"))[0]
    for each in (first, second, third):
        desk.put(each)
    assert [desk.take(), desk.take(), desk.take()] == [(first,), (second,), (third,)]


def test_a_job_with_more_operations_than_others_share_goes_all_the_same(desk):
    large, _ = job(*[get(str(number)) for number in range(9)])
    desk.put(large)
    assert desk.take() == (large,)


def test_large_jobs_do_not_share(desk):
    jobs = [job(operations.put(str(number), '"%s"' % ("x" * 600_000)))[0] for number in range(2)]
    for each in jobs:
        desk.put(each)
    assert [desk.take(), desk.take()] == [(jobs[0],), (jobs[1],)]


def test_each_gets_its_own_results(desk):
    first, got_first = job(get("a"), get("b"))
    second, got_second = job(get("c"))
    for each in (first, second):
        desk.put(each)
    desk.sent(0, desk.take())
    assert not desk.answered(None, *answer_to(0, "1", "2", "3"))
    assert [got_first[0].results, got_second[0].results] == [("1", "2"), ("3",)]
    assert desk.is_idle()


def test_where_one_of_those_that_share_cannot_happen_each_is_asked_for_alone(desk):
    good, got_good = job(get("a"))
    bad, got_bad = job(operations.append("number", '"x"'))
    for each in (good, bad):
        desk.put(each)
    desk.sent(0, desk.take())
    assert desk.answered(None, *answer_to(0, '{"error":"aborted"}', '{"error":"kind"}'))
    assert not got_good
    assert not got_bad
    assert [desk.take(), desk.take()] == [(good,), (bad,)]
    desk.sent(1, (good,))
    desk.sent(2, (bad,))
    desk.answered(None, *answer_to(1, "null"))
    desk.answered(None, *answer_to(2, '{"error":"kind"}'))
    assert got_good[0].results == ("null",)
    assert got_bad[0].results == ('{"error":"kind"}',)


def test_a_job_is_withdrawn_while_it_waits_and_not_when_it_is_sent(desk):
    sent, _ = job(get("a"))
    waiting, _ = job(get("b"))
    desk.put(sent)
    desk.sent(0, desk.take())
    desk.put(waiting)
    assert desk.withdraw(waiting)
    assert not desk.withdraw(sent)
    assert desk.take() == ()
    assert desk.waiting() == 0


def test_who_shared_a_request_that_the_replicas_refuse_is_told_that_nothing_of_it_happened(desk):
    (first, got), (second, other) = job(get("a")), job(get("b"))
    desk.put(first)
    desk.put(second)
    desk.sent(0, desk.take())
    desk.refused(0, "no room on the disks")
    assert got == other == [JobRefusal("no room on the disks")]
    assert desk.is_idle()


def test_the_client_is_woken_once_for_all_that_comes_before_it_looks(desk):
    woken = []
    desk.attach(lambda: woken.append(1))
    desk.put(job(get("a"))[0])
    desk.put(job(get("b"))[0])
    assert len(woken) == 1
    desk.take()
    desk.put(job(get("c"))[0])
    assert len(woken) == 2


def test_the_desk_takes_no_more_than_its_limit_and_says_so(desk, monkeypatch):
    monkeypatch.setattr(desks, "MOST_WAITING", 2)
    for name in "ab":
        desk.put(job(get(name))[0])
    with pytest.raises(Busy, match="2 operations wait"):
        desk.put(job(get("c"))[0])


def test_a_desk_that_gives_up_tells_all_and_only_what_was_not_sent_is_withdrawn(desk):
    sent, got_sent = job(get("a"))
    waiting, got_waiting = job(get("b"))
    desk.put(sent)
    desk.sent(0, desk.take())
    desk.put(waiting)
    desk.give_up()
    assert got_sent == got_waiting == [None]
    assert desk.withdraw(waiting)
    assert not desk.withdraw(sent)
    assert desk.is_idle()


def test_a_closed_desk_takes_nothing_and_still_sends_what_waits(desk):
    waiting, _ = job(get("a"))
    desk.put(waiting)
    desk.close()
    with pytest.raises(Busy, match="going down"):
        desk.put(job(get("b"))[0])
    assert desk.take() == (waiting,)
