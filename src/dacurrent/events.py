"""How a process takes its messages: failures of the program are told with a traceback, and nothing is copied in vain."""

import copy
import functools

from dacurrent import lifetime


def cure_sim(sim):
    _tell_failures(sim)
    _match_without_copies(sim)


def _tell_failures(sim):
    """An exception in a handler was one line without a traceback; one in `setup` was told at debug level only."""

    def telling(stock):
        def _delayed_start(self):
            for pattern in self._events:
                pattern.handlers = [_telling(self, handler, "in a handler") for handler in pattern.handlers]
            self.setup = _telling(self, self.setup, "in `setup`", goes_on=False)
            self.run = _telling(self, self.run, "in `run`", goes_on=False)
            return stock(self)

        return sim.internal(_delayed_start)

    for cls in (sim.DistProcess, sim.NodeProcess):
        cls._delayed_start = telling(cls._delayed_start)
    _end_if_not_set_up(sim)


def _end_if_not_set_up(sim):
    """A process whose `setup` failed waited for ever for a `start` that it could take."""
    stock = sim.DistProcess._cmd_Start

    def _cmd_Start(self, src, seqno):
        stock(self, src, seqno)
        if not self._DistProcess__running:
            self.exit(lifetime.FAILURE_STATUS)

    sim.DistProcess._cmd_Start = sim.internal(_cmd_Start)


def _telling(process, function, where, goes_on=True):
    @functools.wraps(function)
    def call(*arguments, **bindings):
        try:
            return function(*arguments, **bindings)
        except Exception as error:
            lifetime.note_failure()
            process._log.error("%s: %r", where, error, exc_info=True)
            if not goes_on:
                raise

    return call


def _match_without_copies(sim):
    """Replace the matching of events against patterns.

    The stock one handed a copy of the whole process state to every element of every pattern, where variables bound in
    the state match anything anyway, and gave every handler a deep copy of what the pattern bound.
    """
    received = sim.pattern.ReceivedEvent

    def trigger(self, event):
        # What was received belongs to the first handler alone; what was sent, the program still holds.
        is_held = type(event) is not received
        frozen = None
        jobs = self._DistProcess__jobq
        for pattern in self._events:
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

    sim.DistProcess._DistProcess__trigger_event = trigger
