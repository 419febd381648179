"""What the start-up of a service of Raft asks its servers for, when several changes wait, and how long."""

import sys
from types import SimpleNamespace

import pytest

from bcr_runtime import ambient
from bcr_runtime.places import SOURCES


class _Clock(ambient.SystemSource):
    now_s = 100.0

    def monotonic_ns(self):
        return int(self.now_s * 1e9)


@pytest.fixture
def clock():
    source = _Clock()
    ambient.install(source)
    yield source
    ambient.install(ambient.SystemSource())


@pytest.fixture
def service(monkeypatch):
    """As much of the start-up as asks for changes: `asked` are those that went to its one server, `over` those that callers heard of."""
    monkeypatch.syspath_prepend(str(SOURCES))
    import da  # noqa: F401 - before what stands below it
    from RaftService import RaftService

    asked, over = [], []
    keeping = SimpleNamespace(change_over=lambda *what: over.append(what), change_asked=lambda *_: None)
    own = SimpleNamespace(
        _state=SimpleNamespace(changes_asked=[], replicas=("a server",), keeping=keeping, lab=None),
        server_name=str,
        command=lambda _name, _process, _verb, kind, server: asked.append((kind, server)),
    )
    own.do = lambda what: RaftService.do_for_callers(own, "change", what)
    own.look = lambda: RaftService.ask_for_changes(own)
    return SimpleNamespace(own=own, asked=asked, over=over, limit_s=sys.modules["RaftService"].CHANGE_LIMIT_S)


def test_a_change_that_was_given_up_is_asked_for_no_more(clock, service):
    service.own.do("transfer 0")
    service.own.look()
    assert service.asked == [("transfer", 0)]
    clock.now_s += service.limit_s + 1
    service.own.look()
    service.own.look()
    assert (service.asked, service.over) == ([("transfer", 0)], [("transfer", 0, False)])


def test_the_time_of_a_change_does_not_run_while_it_waits_for_another(clock, service):
    service.own.do("transfer 0")
    service.own.do("remove 0")
    service.own.look()
    clock.now_s += service.limit_s + 1
    service.own.look()  # the first is given up
    service.own.look()
    assert service.asked == [("transfer", 0), ("remove", 0)]
    clock.now_s += service.limit_s - 1
    service.own.look()
    assert service.over == [("transfer", 0, False)]
    assert service.asked[-1] == ("remove", 0)
