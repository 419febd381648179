"""Which handlers a message reaches, and what they are given."""

import functools
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


def sending_process(*patterns, **more):
    """(process, what leaves it, the events of what it sent): as much of a process as `send` needs."""
    left, made = [], []
    process = types.SimpleNamespace(
        _events=list(patterns), _id="self", _DistProcess__id="self", _logical_clock=None, _DistProcess__properties={},
        _DistProcess__default_flags=0, _DistProcess__forwarder=lambda *parts: left.append(parts) or True,
        _DistProcess__fails=lambda _kind: False, _DistProcess__trigger_event=lambda event: made.append(event.message),
        incr_logical_clock=lambda: None, **more,
    )  # fmt: skip
    process._send1 = lambda msgtype, message, to, flags=None, impersonate=None: left.append(("self", to, (msgtype, message))) or True
    return process, left, made


def test_what_is_sent_becomes_an_event_only_where_a_pattern_asks_for_such():
    body = pattern.TuplePattern([pattern.ConstantPattern("ping"), pattern.FreePattern("x")])
    of_received, of_sent = (
        pattern.EventPattern(kind, "history", body, None, None, None, None, []) for kind in (pattern.ReceivedEvent, pattern.SentEvent)
    )
    for patterns, expected in (((of_received,), []), ((of_received, of_sent), [("ping", 1)])):
        process, left, made = sending_process(*patterns)
        assert sim.DistProcess.send(process, ("ping", 1), "other") is True
        assert made == expected
        assert [(to, command, content) for _, to, (command, content), *_ in left] == [("other", sim.Command.Message, (None, ("ping", 1)))]


def taking_process(queue, **more):
    """(process, events, commands): as much of a process as takes from its queue."""
    events_of, commands = [], []
    table = {command.value: lambda source, content, name=command.name: commands.append((name, source, content)) for command in sim.Command}
    process = types.SimpleNamespace(
        _DistProcess__messageq=types.SimpleNamespace(pop=lambda _block, _timeout: queue.pop(0)), _logical_clock=None,
        _DistProcess__properties={}, _DistProcess__command_dispatch_table=table, _events=[],
        _DistProcess__trigger_event=lambda event: events_of.append((event.source, event.message)),
    )  # fmt: skip
    vars(process).update(more)
    return process, events_of, commands


def test_messages_go_to_their_handlers_and_commands_to_the_table():
    queue = [("a", (sim.Command.Message, (None, ("ping", 1)))), ("b", (sim.Command.Start, 7))]
    process, events_of, commands = taking_process(queue)
    assert sim.DistProcess._DistProcess__process_event(process, True)
    assert sim.DistProcess._DistProcess__process_event(process, True)
    assert (events_of, commands) == ([("a", ("ping", 1))], [("Start", "b", 7)])


@given(st.lists(PATTERNS, max_size=5), st.lists(MESSAGES, min_size=1, max_size=5))
def test_a_message_from_the_queue_reaches_the_handlers_that_its_event_would_reach(patterns, arriving):
    for message in arriving:
        jobs = []
        process, *_ = taking_process(
            [("sender", (sim.Command.Message, (None, message)))], _events=patterns, _id="self", _DistProcess__jobq=jobs
        )
        process._DistProcess__trigger_event = functools.partial(sim.DistProcess._DistProcess__trigger_event, process)
        assert sim.DistProcess._DistProcess__process_event(process, True)
        assert jobs == jobs_by_stock_matching(patterns, pattern.ReceivedEvent((None, None, "sender"), message))


@given(st.sampled_from([{"_logical_clock": 3}, {"_DistProcess__properties": {"receive": 1.0}}]))
def test_a_process_with_a_clock_or_that_is_to_lose_messages_takes_them_as_in_stock_distalgo(more):
    process, events_of, commands = taking_process([("a", (sim.Command.Message, (4, ("ping", 1))))], **more)
    assert sim.DistProcess._DistProcess__process_event(process, True)
    assert (events_of, commands) == ([], [("Message", "a", (4, ("ping", 1)))])
