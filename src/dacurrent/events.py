"""How a process takes its messages: failures of the program are told with a traceback, and nothing is copied in vain."""

from __future__ import annotations

import copy
import logging
import traceback
from collections.abc import Callable
from typing import Any

from da.common import ProcessId
from da.pattern import ConstantPattern, FreePattern, SentEvent, TuplePattern

from dacurrent import lifetime
from dacurrent.limited import LimitedLog
from dacurrent.stock import Stock

_log = LimitedLog(logging.getLogger("da.sim.events"))

TEXT_LIMIT = 10_000  # characters of what is told of a failure
CANDIDATES_LIMIT = 1_000  # kinds of events whose patterns are remembered, of each class of processes

# The place of a pattern, and what binds the variables of an event that it matches; None where only `match` can.
Candidate = tuple[int, Callable[[Any, Any], dict[str, Any]] | None]
# How many patterns there are, what they begin with, for each kind of event its candidates, and whether any are of what was sent.
Known = tuple[int, set[str], dict[Any, list[Candidate]], bool]


def cure_sim(sim: Stock) -> None:
    _tell_failures(sim)
    _match_without_copies(sim)
    _take_messages_first(sim)
    _send_without_events(sim)


def _tell_failures(sim: Stock) -> None:
    """An exception in a handler was one line without a traceback; one in `setup` was told at debug level only."""

    def telling(stock: Callable[[Any], Any]) -> Any:
        def _delayed_start(self: Any) -> Any:
            log = LimitedLog(self._log)
            for pattern in self._events:
                pattern.handlers = [_telling(log, handler, "in a handler") for handler in pattern.handlers]
            self.setup = _telling(log, self.setup, "in `setup`", goes_on=False)
            self.run = _telling(log, self.run, "in `run`", goes_on=False)
            return stock(self)

        return sim.internal(_delayed_start)

    for cls in (sim.DistProcess, sim.NodeProcess):
        cls._delayed_start = telling(cls._delayed_start)
    _end_if_not_set_up(sim)


def _end_if_not_set_up(sim: Stock) -> None:
    """A process whose `setup` failed waited for ever for a `start` that it could take."""
    stock = sim.DistProcess._cmd_Start

    def _cmd_Start(self: Any, src: ProcessId, seqno: int) -> None:
        stock(self, src, seqno)
        if not self._DistProcess__running:
            self.exit(lifetime.FAILURE_STATUS)

    sim.DistProcess._cmd_Start = sim.internal(_cmd_Start)


def _telling(log: LimitedLog, function: Callable[..., object], where: str, goes_on: bool = True) -> Callable[..., Any]:
    def call(*arguments: Any, **bindings: Any) -> Any:
        try:
            return function(*arguments, **bindings)
        except Exception as error:
            lifetime.note_failure()
            # Whoever sends what a handler does not expect must not fill a disk with what is said of it.
            text, kind = traceback.format_exc(), (function.__name__, type(error).__qualname__)
            if len(text) <= TEXT_LIMIT:
                log.log(logging.ERROR, kind, "%s: %r", where, error, exc_info=True)
            else:
                log.log(logging.ERROR, kind, "%s: %s\n%s", where, _cut(repr(error)), _cut(text))
            if not goes_on:
                raise

    # What DistAlgo looks at; `functools.wraps` takes longer, and each process has some thirty of these.
    call.__name__ = function.__name__
    call.__dict__.update(getattr(function, "__dict__", ()))
    return call


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT // 2]} … {text[-TEXT_LIMIT // 2 :]}"


def _match_without_copies(sim: Stock) -> None:
    """Replace the matching of events against patterns.

    The stock one handed a copy of the whole process state to every element of every pattern, where variables bound in
    the state match anything anyway, gave every handler a deep copy of what the pattern bound, and tried every pattern on
    every event.
    """
    received = sim.pattern.ReceivedEvent

    def trigger(self: Any, event: Any) -> None:
        try:
            # What was received belongs to the first handler alone; what was sent, the program still holds.
            is_held = type(event) is not received
            frozen = None
            jobs = self._DistProcess__jobq
            patterns = self._events
            for place, bind in _candidates(self, type(event), event.message):
                pattern = patterns[place]
                if bind is not None:
                    bindings = bind(event.message, event.source)
                else:
                    bindings = {}
                    if not pattern.match(event, bindings, True, SELF_ID=self._id):
                        continue
                if pattern.record_history is not None:
                    frozen = frozen or event.to_tuple()
                    history = getattr(self, pattern.name)
                    if pattern.record_history is True:
                        history.append(frozen)
                    else:
                        pattern.record_history(history, frozen)
                for handler in pattern.handlers:
                    jobs.append((handler, copy.deepcopy(bindings) if is_held else bindings))
                    is_held = True
        except Exception as error:
            lifetime.note_failure()
            text = "%s: a message cannot be matched: %s"
            _log.log(logging.ERROR, type(error).__qualname__, text, self._id, _cut(repr(error)))

    sim.DistProcess._DistProcess__trigger_event = trigger


def _take_messages_first(sim: Stock) -> None:
    """Nearly all that a process takes from its queue are messages: those go to their handlers without the table of commands."""
    received, message_command, queue_empty = sim.pattern.ReceivedEvent, sim.Command.Message, sim.common.QueueEmpty

    def process_event(self: Any, block: bool, timeout: float | None = None) -> bool:
        try:
            taken = self._DistProcess__messageq.pop(block, timeout if timeout is None or timeout > 0 else 0)
        except queue_empty:
            return False
        except Exception as error:
            self._log.error("Caught exception while waiting for events: %r", error)
            return False
        try:
            source, (command, arguments) = taken
            if command is message_command and self._logical_clock is None and not self._DistProcess__properties:
                clock, content = arguments
                candidates = _candidates(self, received, content)
                if len(candidates) == 1:
                    [(place, bind)] = candidates
                    pattern = self._events[place]
                    if bind is not None and pattern.record_history is None and len(pattern.handlers) == 1:
                        # Nearly always: what an event would be asked for is known.
                        self._DistProcess__jobq.append((pattern.handlers[0], bind(content, source)))
                        return True
                self._DistProcess__trigger_event(received((clock, None, source), content))
                return True
            handler = self._DistProcess__command_dispatch_table[command.value]
            if handler is None:
                self._log.warning("No handler for %r.", taken)
                return False
            handler(source, arguments)
            return True
        except Exception as error:
            self._log.error("Exception while processing message %r: %r", taken, error)
            return False

    sim.DistProcess._DistProcess__process_event = process_event


def _send_without_events(sim: Stock) -> None:
    """Whatever was sent became an event, though hardly any program has patterns for what it sends."""
    stock, message_command = sim.DistProcess.send, sim.Command.Message

    def send(self: Any, message: Any, to: Any, channel: Any = None, **rest: Any) -> Any:
        if channel is not None or rest or self._DistProcess__properties or _known_of(self)[3]:
            return stock(self, message, to, channel, **rest)
        if self._logical_clock is not None:
            self.incr_logical_clock()
        content = self._logical_clock, message
        if not isinstance(to, ProcessId):
            return self._send1(message_command, content, to)
        flags = self._DistProcess__default_flags
        return self._DistProcess__forwarder(self._DistProcess__id, to, (message_command, content), {}, flags, None)

    sim.DistProcess.send = send


def _known_of(process: Any) -> Known:
    known: Known | None = process.__dict__.get("_dacurrent_patterns")
    if known is None or known[0] != len(process._events):
        known = process.__dict__["_dacurrent_patterns"] = _known(process)
    return known


def _candidates(process: Any, kind: type[Any], message: Any) -> list[Candidate]:
    """The places of the patterns that may match an event, each with what binds its variables, or None where `match` has to.

    What a message begins with is all that is looked at, once for each beginning that occurs in the patterns.
    """
    _, beginnings, found, _ = _known_of(process)
    beginning = message[0] if type(message) is tuple and message and type(message[0]) is str else None
    key = kind, len(message) if beginning is not None else None, beginning if beginning in beginnings else None
    candidates: list[Candidate] | None = found.get(key)
    if candidates is None:
        places = enumerate(process._events)
        candidates = [(place, _binder(each) if key[2] else None) for place, each in places if _may_match(each, *key)]
        if len(found) < CANDIDATES_LIMIT:
            found[key] = candidates
    return candidates


def _known(process: Any) -> Known:
    """How many patterns there are, what they begin with, and what `_candidates` found; one for all processes of a class.

    The text of a class makes the same patterns for each of its processes.
    """
    count = len(process._events)
    known: Known | None = vars(type(process)).get("_dacurrent_patterns_of_all")
    if known is None or known[0] != count:
        known = count, _beginnings(process._events), {}, any(each.eventtype is SentEvent for each in process._events)
        if hasattr(process, "_delayed_start"):  # a process of a program
            type(process)._dacurrent_patterns_of_all = known
    return known


def _beginnings(patterns: Any) -> set[str]:
    return {beginning for each in patterns if (beginning := _beginning(each.pattern)) is not None}


def _beginning(element: Any) -> str | None:
    """The text that every tuple begins with which matches, or None where there is none."""
    if type(element) is TuplePattern and element.value and type(element.value[0]) is ConstantPattern:
        value = element.value[0].value
        return value if type(value) is str else None
    return None


def _may_match(pattern: Any, kind: type[Any], length: int | None, beginning: str | None) -> bool:
    if pattern.eventtype is not kind:
        return False
    expected = _beginning(pattern.pattern)
    return length is None or expected is None or (expected == beginning and len(pattern.pattern.value) == length)


def _binder(pattern: Any) -> Callable[[Any, Any], dict[str, Any]] | None:
    """A function of an event's message and source which binds its variables, where it begins and is as long as the pattern asks; None if
    more is asked."""
    sources = pattern.sources or ()
    elements = pattern.pattern.value[1:] if _beginning(pattern.pattern) is not None else None
    if elements is None or pattern.destinations is not None or pattern.timestamps is not None or len(sources) > 1:
        return None
    if any(type(each) is not FreePattern for each in (*elements, *sources)):
        return None
    names = [(each.value, place) for place, each in enumerate(elements, 1) if each.value is not None]
    source = sources[0].value if sources else None
    if len({name for name, _ in names} | {source}) != len(names) + 1:
        return None

    if len(names) == 1 and source is None:
        [(name, place)] = names
        return lambda message, _: {name: message[place]}

    def bind(message: Any, sender: Any) -> dict[str, Any]:
        bindings = {name: message[place] for name, place in names}
        if source is not None:
            bindings[source] = sender
        return bindings

    return bind
