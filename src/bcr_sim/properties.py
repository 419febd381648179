"""Work, memory and time: what a run must keep to beyond being right, and what excuses it.

The protocol promises little of that under attack from outside, so everything here asks first what befell the run:
a replica's fault that struck, a message that was lost, a process that stood still, a network slower than the timers.
What clients send, and what replicas of other configurations do, is no excuse. There is one exception: a client's codes that
are right for some and wrong for others (docs/how-to/choose-an-authenticator.md) excuse work and memory.
"""

import sys
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from bcr.chain.guests import MOST_OF_A_HOLDER
from bcr.chain.limits import SPARE_EARLY
from bcr.chain.pauses import MOST_MS, Pauses
from bcr.chain.reconfiguration import ReconfigurationReport
from bcr.faults.plans import FaultPlan
from bcr.scenario import Scenario
from bcr.scenario.values import Simulation
from bcr.signed.violations import MAX_NOTICES_KEPT
from bcr.state.cache import LatestRequests
from bcr.verdict.record import RunRecord
from bcr_sim.world import MICROSECOND_NS, MILLISECOND_NS

BACKOFF = 16  # times its timeout a client waits at the most before it sends a request again
SWEEP = 32  # messages of a replica between two looks at everything that it holds
ROUNDED_MS = 1.0  # what times that are reported may be off by
SPARE_THINGS = 64  # things that a replica may hold whose number depends on nothing that this knows of
LIARS_MEMORY = 1_000  # requests of others, to lie with: Adversary.MOST_HEARD


class Bounds:
    """What follows from a scenario's numbers; times are virtual nanoseconds.

    `in_flight`: slots that are executed and whose result shuttle is not back. The head orders no more than
    2 * client_window requests of each client before, and a slot holds one at least.

    `history`: two checkpoint intervals, for the checkpoint of one is under way while the next fills, and what is in flight.

    `path_ns`: from a request's sending to its result shuttle's return to the head on a network that loses nothing. It
    waits at most for the requests that all clients may have outstanding; each takes one hop to the head, one more where
    it is forwarded, and 2 * (replicas - 1) along the chain and back, none of which takes longer than the longest delay.

    `noticing_ns`: until a request that will not be answered in a configuration has somebody ask for the next one, while
    no message is lost. The client sends it to all when its time has passed, the replicas give it to the head and watch;
    if the head watches it in their place they ask after its time. A replica may have asked while Olympus was
    busy with the last configuration, so the client may have to send a second time, after twice the time.

    `reconfiguring_ns`: until a reconfiguration that tried so many quorums is over. Olympus waits once for the histories, once
    for every answer that may make another quorum possible, for each quorum's replicas to catch up and for a running state
    of each of its members, and three times for the new configuration: never longer than its timeout. Before it begins it may
    let the configuration serve for a pause.

    `differing`: quorums whose digests may differ in one reconfiguration, with t liars (specification, 7.9).
    """

    def __init__(self, scenario: Scenario, options: Simulation) -> None:
        requests = scenario.client_window * scenario.num_clients
        self.requests = requests
        self.in_flight = 2 * requests
        early = SPARE_EARLY + 4 * self.in_flight
        self.guests = MOST_OF_A_HOLDER * scenario.num_clients
        self.most_of = {"notices": MAX_NOTICES_KEPT, "early_chain": early, "early_requests": early,
                        "heard": LIARS_MEMORY, "unheard": LIARS_MEMORY}  # fmt: skip
        # With as many that wait their turn as clients may have outstanding; one whose session was over may have some of another besides,
        # and no more of one client wait than may be in flight. With acceptance = quorum no window is enforced upwards.
        waiting = self.in_flight if scenario.session_slots else requests
        self.in_progress = self.in_flight + waiting if scenario.acceptance == "all" else sys.maxsize
        self.history = 2 * scenario.checkpoint_interval + self.in_flight
        self.checkpoint_lag = max(2 * scenario.checkpoint_interval, scenario.checkpoint_interval + self.in_flight + 1)
        # Requests that somebody waits for, result shuttles that are watched, and a few of the replica's own. A client that no
        # window holds back may be waited for as often as it likes.
        self.timers = 2 * self.in_flight + 4 + len(scenario.failures) if scenario.acceptance == "all" else sys.maxsize
        self.unfinished_payloads = 2 * (scenario.num_replicas + 1)
        self.anything = self.history + 4 * self.in_flight + SPARE_THINGS
        # A message that follows from a slot waits for a sync, and another may be under way.
        syncing_ns = 2 * max(int(scenario.durable), *(fault.sync_ms for fault in options.disk_faults), 0) * MILLISECOND_NS
        hop_ns = options.delay[1] * MICROSECOND_NS + syncing_ns
        self.path_ns = (requests + 1) * 2 * (scenario.num_replicas + 1) * hop_ns
        shortest_ms = min(scenario.head_timeout_ms, scenario.nonhead_timeout_ms)
        self.is_late = 2 * self.path_ns >= shortest_ms * MILLISECOND_NS
        self.client_ns = scenario.client_timeout_ms * MILLISECOND_NS
        watching = scenario.head_timeout_ms + scenario.nonhead_timeout_ms
        self._grace_ns = scenario.wedge_grace_ms * MILLISECOND_NS
        self._olympus_ns = scenario.olympus_timeout_ms * MILLISECOND_NS
        self.differing = (3 * scenario.t + 1) // 2
        self.enrolling_ns = 2 * self._olympus_ns
        self._replicas, self._quorum = scenario.num_replicas, scenario.t + 1
        self.noticing_ns = 3 * self.client_ns + 2 * watching * MILLISECOND_NS + 3 * self.path_ns

    @property
    def longest_ns(self) -> int:
        """Of a reconfiguration in which t liars spoil as many quorums as they can."""
        return self.reconfiguring_ns(self.differing + 1)

    def reconfiguring_ns(self, quorums_tried: int) -> int:
        waits = 2 * self._replicas + quorums_tried * (1 + self._quorum) + 3
        return 2 * self._grace_ns + waits * self._olympus_ns + self.path_ns + round(MOST_MS * MILLISECOND_NS)


def hindered_until_ms(options: Simulation) -> int:
    """When what a scenario does to network and processes is over: a run has its time behind that."""
    ends = [pause.until for pause in options.pauses]
    ends += [each.until for links in (options.holds, options.cuts) for each in links]
    ends += [each.until for each in options.power_cuts]
    ends += [each.at for events in (options.restarts, options.disk_faults) for each in events]
    return max([*ends, *(crash.at for crash in options.crashes), options.until if options.lose or options.flip else 0])


class _Span(NamedTuple):
    since_ns: int
    until_ns: int
    what: str


class Interference:
    """What has befallen a run that is no doing of the protocol's, as it comes about."""

    def __init__(self, options: Simulation) -> None:
        self._spans = [
            _Span(pause.since * MILLISECOND_NS, pause.until * MILLISECOND_NS, f"{pause.process} stood still") for pause in options.pauses
        ]
        self._spans += [
            _Span(hold.since * MILLISECOND_NS, hold.until * MILLISECOND_NS, f"{hold.sender} was kept from {hold.receiver}")
            for hold in options.holds
        ]
        if options.flip:
            self._spans.append(_Span(0, options.until * MILLISECOND_NS, "bits were flipped"))
        self._moments_ns: list[int] = []  # of single events, in order
        self._whats: list[str] = []
        self._strikes: dict[int, list[FaultPlan]] = {}  # by configuration
        self._strains: dict[int, str] = {}  # by configuration, what makes a correct replica want it replaced
        self.unsound: set[tuple[int, int]] = set()  # (configuration, position) of replicas whose word counts no longer
        self.faulty: set[tuple[int, int]] = set()  # the same, and of those that leave out what they owe
        self._uneven: tuple[int, str] | None = None  # since when, and whose codes are right for some and wrong for others

    def happened(self, now_ns: int, what: str) -> None:
        """Something that takes no time, such as the loss of a message."""
        self._moments_ns.append(now_ns)
        self._whats.append(what)

    def struck(self, fault: FaultPlan) -> None:
        """A replica's fault strikes, or is about to."""
        place = fault.configuration, fault.position
        self._strikes.setdefault(fault.configuration, []).append(fault)
        if fault.effect in ("lie", "state"):
            self.unsound.add(place)
        if fault.effect != "timing":
            self.faulty.add(place)

    def strained(self, configuration: int, what: str) -> None:
        """Something befalls a replica for which it may want to be replaced, and is as correct as before."""
        self._strains[configuration] = what

    def codes_are_uneven(self, now_ns: int, client: str) -> None:
        """A client begins to send what convinces some and not others: for that correct replicas replace each other."""
        if self._uneven is None:
            self._uneven = now_ns, client

    def of_configuration(self, number: int, since_ns: int, until_ns: int) -> str | None:
        """What befell a configuration that lived from then to then; None where nothing did."""
        strikes = self._strikes.get(number)
        if strikes:
            return f"replica {strikes[0].position} had {strikes[0].text}"
        if number in self._strains:
            return self._strains[number]
        if self._uneven is not None and self._uneven[0] <= until_ns:
            return f"{self._uneven[1]} had uneven_macs()"
        return self.between(since_ns, until_ns)

    def between(self, since_ns: int, until_ns: int) -> str | None:
        """What happened to network and processes in that time, faults of replicas aside; None where nothing did."""
        place = bisect_left(self._moments_ns, since_ns)
        if place < len(self._moments_ns) and self._moments_ns[place] <= until_ns:
            return self._whats[place]
        return next((span.what for span in self._spans if span.since_ns <= until_ns and since_ns <= span.until_ns), None)

    def last_before(self, until_ns: int) -> int | None:
        """When it ended, by then, what happened to network and processes last; None where nothing has."""
        place = bisect_left(self._moments_ns, until_ns + 1)
        ends = [min(span.until_ns, until_ns) for span in self._spans if span.since_ns <= until_ns]
        ends += self._moments_ns[place - 1 : place] if place else []
        return max(ends, default=None)

    def standing_still_ns(self, until_configuration: int) -> int:
        """How long faults made replicas of the configurations up to that one stand still or hold back, in all."""
        strikes = (fault for number, faults in self._strikes.items() if number <= until_configuration for fault in faults)
        return sum(
            fault.failure.argument * MILLISECOND_NS
            for fault in strikes
            if fault.effect == "timing" and not fault.is_of_a_link and isinstance(fault.failure.argument, int)
        )


Tell = Callable[[str, str], None]  # the name of a property, and what shows that it does not hold


def check_work(reports: Sequence[ReconfigurationReport], bounds: Bounds, interference: Interference, tell: Tell) -> None:
    """A configuration is replaced only when something befell it.

    So there are no more reconfigurations than replicas' faults that struck, messages lost, crashes, and spans in which a
    process stood still; of these a span alone may excuse several. Where the network is slower than the timers nothing
    is asked.
    """
    if bounds.is_late:
        return
    since_ns = 0
    for report in sorted(reports, key=lambda report: report.detected_ns):
        if interference.of_configuration(report.source, since_ns, report.detected_ns) is None:
            what = f"configuration {report.source} was replaced and nothing had befallen it: {report.requested_by} asked, "
            tell("work", what + report.reason)
        if report.fetched_ms is not None:  # its successor's replicas are made then
            since_ns = report.detected_ns + round(report.fetched_ms * MILLISECOND_NS)


def check_pauses(reports: Sequence[ReconfigurationReport], tell: Tell) -> None:
    """Where one replacement follows another, a configuration serves for a while before it is wedged (specification, 7a.8).

    Whatever befell the run: nothing makes Olympus faster. What it serves is taken for a moment longer than was reported,
    for what is reported is rounded.
    """
    pauses = Pauses()
    active_ms = 0.0
    for report in sorted(reports, key=lambda report: report.source):
        asked_ms = report.detected_ns / MILLISECOND_NS
        begun_ms = max(asked_ms, active_ms or asked_ms - report.detected_ms)
        owed_ms = pauses.owed_ms(begun_ms - (active_ms or asked_ms - report.detected_ms) + ROUNDED_MS)
        if report.wedged_ms is not None and asked_ms + report.wedged_ms < begun_ms + owed_ms:
            what = f"configuration {report.source} was wedged {begun_ms + owed_ms - asked_ms - report.wedged_ms:.0f} ms before its pause was over"
            tell("pauses", what)
        active_ms = asked_ms + (report.active_ms or 0.0)


def check_time(record: RunRecord, bounds: Bounds, interference: Interference, liars: Collection[int], tell: Tell) -> None:
    """Every request was answered in time, and every reconfiguration was; what has no answer at all is the verdict's business.

    A request's time begins with its sending, or when what happened to network and processes last before its answer is over.
    Each configuration may keep it for `noticing_ns`, longer by the client's backoff where messages had been lost; and
    for as long as its reconfiguration takes, and as replicas are made to stand still by faults. Of a reconfiguration in which Olympus
    ended nobody tells how long it took: as long as one may.
    """
    untold = set(range(max((each.source for each in record.reconfigurations), default=0)))
    untold -= {each.source for each in record.reconfigurations}
    for report in record.reconfigurations:
        _check_reconfiguration(report, bounds, interference, tell)
    for client in record.clients:
        if client.client in liars:
            continue
        for exchange in client.exchanges:
            sent_ns, accepted_ns = exchange.sent_ns, exchange.accepted_ns
            patience_ns = bounds.noticing_ns
            over_ns = interference.last_before(accepted_ns)
            begins_ns = sent_ns
            if over_ns is not None and over_ns >= sent_ns:
                begins_ns = over_ns
                patience_ns += BACKOFF * bounds.client_ns
            if accepted_ns <= begins_ns + patience_ns:
                continue
            changes = list(_overlapping(record.reconfigurations, sent_ns, accepted_ns))
            changes += [bounds.longest_ns for _ in untold]
            allowed_ns = (len(changes) + 1) * patience_ns + sum(changes)
            allowed_ns += interference.standing_still_ns(exchange.answer.configuration)
            if accepted_ns > begins_ns + allowed_ns:
                took, most = ((each - begins_ns) / MILLISECOND_NS for each in (accepted_ns, begins_ns + allowed_ns))
                name = f"request {exchange.request.statement.number} of client {client.client}"
                what = f"{name} was answered {took:.1f} ms after nothing hindered it any more, "
                tell("liveness", what + f"through {len(changes)} reconfigurations; {most:.1f} ms would have been in time")


def _check_reconfiguration(report: ReconfigurationReport, bounds: Bounds, interference: Interference, tell: Tell) -> None:
    differing = sum(why.startswith("running states differ") for _, why in report.why_not)
    if differing > bounds.differing:
        tell(
            "work", f"Olympus tried {differing} quorums whose states differed, of configuration {report.source}; {bounds.differing} can be"
        )
    if report.active_ms is None:
        return
    ends_ns = report.detected_ns + round(report.active_ms * MILLISECOND_NS)
    begins_ns = max(report.detected_ns, interference.last_before(ends_ns) or 0)
    allowed_ns = bounds.reconfiguring_ns(len(report.quorums_tried)) + interference.standing_still_ns(report.target)
    if ends_ns > begins_ns + allowed_ns:
        what = f"the reconfiguration from configuration {report.source} took {report.active_ms:.0f} ms; "
        tell("liveness", what + f"{allowed_ns / MILLISECOND_NS:.0f} ms would have been in time")


def _overlapping(reports: Sequence[ReconfigurationReport], since_ns: int, until_ns: int) -> Iterator[int]:
    """How many nanoseconds each of the reconfigurations took that went on in that time."""
    for report in reports:
        ends_ns = until_ns if report.active_ms is None else report.detected_ns + round(report.active_ms * MILLISECOND_NS)
        if report.detected_ns <= until_ns and ends_ns >= since_ns:
            yield ends_ns - report.detected_ns


class Memory:
    """Looks at what a correct replica holds after each message that it has handled.

    Bounded at any time (see Bounds): history, slots in flight, requests queued and in progress, timers,
    payloads that arrive in pieces, notices; of each client the executed requests, answers and outcomes that are
    remembered, client_window each. Whatever else it holds is looked at now and then against a bound for anything.

    Where nothing befell its configuration, a completed checkpoint is never more than two intervals behind, and no slot
    stays in flight for longer than a path takes.
    """

    def __init__(self, bounds: Bounds, interference: Interference, tell: Tell) -> None:
        self._bounds = bounds
        self._interference = interference
        self._tell = tell
        self._told_breaches: set[tuple[int, str]] = set()
        self._began_ns: dict[int, int] = {}  # configuration -> when the first of its replicas handled something
        self._oldest_slots: dict[Any, tuple[int, int, int]] = {}  # container -> (messages, oldest slot in flight, since when)

    def handled(self, container: Any, now_ns: int) -> None:
        """The replica in this container has handled a message."""
        state = container.process._state
        number = container.configuration
        # Before the first of them handles anything Olympus has waited for the keys of all, which may have been hindered.
        self._began_ns.setdefault(number, now_ns - self._bounds.enrolling_ns)
        bounds = self._bounds
        count, oldest, since_ns = self._oldest_slots.get(container, (0, -1, now_ns))
        first = next(iter(state.ledger.in_flight), -1)
        if first != oldest:
            oldest, since_ns = first, now_ns
        self._oldest_slots[container] = count + 1, oldest, since_ns
        length = len(state.ledger.history)
        if length > bounds.history:
            self._say(container, "memory", f"{length} slots in the history, more than {bounds.history}")
        if len(state.ledger.in_flight) > bounds.in_flight:
            self._say(container, "memory", f"{len(state.ledger.in_flight)} slots in flight, more than {bounds.in_flight}")
        if len(state.timers) > bounds.timers:
            self._say(container, "memory", f"{len(state.timers)} timers, more than {bounds.timers}")
        if len(state.queue) > bounds.in_progress:
            self._say(container, "memory", f"{len(state.queue)} requests in progress, more than {bounds.in_progress}")
        if state.mode == "active":
            if length > bounds.checkpoint_lag:
                self._unless_hindered(container, now_ns, "checkpoints", f"{length} slots behind the last completed checkpoint")
            if first >= 0 and now_ns - since_ns > bounds.path_ns:
                age = (now_ns - since_ns) / MILLISECOND_NS
                self._unless_hindered(container, now_ns, "memory", f"slot {first} in flight for {age:.1f} ms")
        if count % SWEEP == 0:
            self._sweep(container, state)

    def ended(self, container: Any, now_ns: int) -> None:
        """At the end of a run in which all is answered, for each correct replica of the last configuration."""
        state = container.process._state
        _, oldest, since_ns = self._oldest_slots.get(container, (0, -1, now_ns))
        self._sweep(container, state)
        if state.mode != "active" or now_ns - since_ns <= self._bounds.path_ns:
            return
        if oldest in state.ledger.in_flight:
            self._unless_hindered(container, now_ns, "memory", f"slot {oldest} is in flight at the end, and all is quiet")
        if state.queue:
            self._unless_hindered(container, now_ns, "memory", f"{len(state.queue)} requests in progress at the end")

    def ended_olympus(self, container: Any) -> None:
        """At the end of such a run, for Olympus: of the credentials that it has given it keeps the latest."""
        guests = container.process._state.guests
        if len(guests) > self._bounds.guests:
            self._tell("memory", f"{len(guests)} credentials at Olympus, more than {self._bounds.guests}")

    def _sweep(self, container: Any, state: Any) -> None:
        bounds = self._bounds
        sizes = {"outcomes": sum(map(len, state.ledger.state.outcomes.values()))}
        sizes |= {name: sum(1 for _ in value.items()) for name, value in vars(state.ledger).items() if isinstance(value, LatestRequests)}
        for name, size in sizes.items():
            if size > bounds.requests:
                self._say(container, "memory", f"{size} requests in {name}, more than {bounds.requests}")
        if len(state.arriving) > bounds.unfinished_payloads:
            self._say(container, "memory", f"{len(state.arriving)} payloads in pieces, more than {bounds.unfinished_payloads}")
        for name, value in (vars(state) | vars(state.ledger)).items():
            most = bounds.most_of.get(name, bounds.anything)
            if hasattr(value, "__len__") and len(value) > most and not isinstance(value, str | bytes):
                self._say(container, "memory", f"{len(value)} things in {name}, more than {most}")

    def _unless_hindered(self, container: Any, now_ns: int, name: str, what: str) -> None:
        number = container.configuration
        if self._bounds.is_late or self._interference.of_configuration(number, self._began_ns[number], now_ns):
            return
        self._say(container, name, what)

    def _say(self, container: Any, name: str, what: str) -> None:
        """Once for each replica and property."""
        key = (id(container), name)
        if key not in self._told_breaches:
            self._told_breaches.add(key)
            self._tell(name, f"{container.name} of configuration {container.configuration}: {what}")
