"""Which handlers a message reaches, and what they are given."""

import types

from da import pattern, sim
from hypothesis import given
from hypothesis import strategies as st

from dacurrent import events

NAMES = st.sampled_from(["a", "b", None])
ELEMENTS = st.one_of(
    st.sampled_from(["ping", "pong", 1]).map(pattern.ConstantPattern),
    NAMES.map(pattern.FreePattern),
    st.just("a").map(pattern.BoundPattern),
    st.just(pattern.SelfPattern()),
)
TUPLES = st.lists(ELEMENTS, max_size=3).map(pattern.TuplePattern)
SOURCES = st.none() | st.lists(NAMES.map(pattern.FreePattern), min_size=1, max_size=2)
KINDS = st.sampled_from([pattern.ReceivedEvent, pattern.SentEvent])
PATTERNS = st.builds(
    lambda kind, body, sources: pattern.EventPattern(kind, "history", body, sources, None, None, None, [object()]),
    KINDS, TUPLES | ELEMENTS, SOURCES,
)  # fmt: skip
MESSAGES = st.lists(st.sampled_from(["ping", "pong", 1, 2, "self"]), max_size=3).map(tuple) | st.sampled_from(["ping", 1])
EVENTS = st.builds(lambda kind, message: kind((None, None, "sender"), message), KINDS, MESSAGES)


def process_with(patterns):
    jobs = []
    return types.SimpleNamespace(_events=patterns, _id="self", _DistProcess__jobq=jobs), jobs


def jobs_by_stock_matching(patterns, event):
    jobs = []
    for each in patterns:
        bindings = {}
        if each.match(event, bindings, True, SELF_ID="self"):
            jobs.append((each.handlers[0], bindings))
    return jobs


@given(st.lists(PATTERNS, max_size=5), st.lists(EVENTS, min_size=1, max_size=5))
def test_a_message_reaches_the_handlers_that_stock_matching_finds_in_the_same_order(patterns, arriving):
    process, jobs = process_with(patterns)
    for event in arriving:
        jobs.clear()
        sim.DistProcess._DistProcess__trigger_event(process, event)
        assert jobs == jobs_by_stock_matching(patterns, event)


def test_patterns_that_are_added_later_are_heeded():
    process, jobs = process_with([])
    event = pattern.ReceivedEvent((None, None, "sender"), ("ping", 1))
    sim.DistProcess._DistProcess__trigger_event(process, event)
    body = pattern.TuplePattern([pattern.ConstantPattern("ping"), pattern.FreePattern("x")])
    kind = pattern.ReceivedEvent
    process._events.append(pattern.EventPattern(kind, "history", body, record_history=None, handlers=["handler"]))
    sim.DistProcess._DistProcess__trigger_event(process, event)
    assert jobs == [("handler", {"x": 1})]


def test_what_is_remembered_of_messages_is_bounded():
    process, _ = process_with([])
    for length in range(events.CANDIDATES_LIMIT + 10):
        sim.DistProcess._DistProcess__trigger_event(process, pattern.ReceivedEvent((None, None, "s"), ("x",) * (length + 1)))
    assert len(process._dacurrent_patterns[2]) <= events.CANDIDATES_LIMIT
