"""A replica's slots: what is executed, in flight, kept and answered (specification, sections 3, 6 and 7).

Holds no clock, no keys and sends nothing.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from bcr.chain.configuration import Membership
from bcr.chain.history import HistoryEntry, LatestAnswer
from bcr.chain.limits import most_in_flight, most_settled, state_limits
from bcr.chain.messages import ResultShuttle, Shuttle
from bcr.chain.settings import Settings
from bcr.chain.slot_room import SlotRoom
from bcr.chain.slots import ExecutedSlot, SeenSlot, SettledSlot
from bcr.signed.merkle import Tree
from bcr.signed.statements import Request, SignedCheckpoint, SignedOrder, SignedRequest, SignedResult
from bcr.signed.violations import Equivocation, MalformedMessage, Overdue, OverLimit, SecondOrder
from bcr.state.cache import LatestRequests
from bcr.state.running import RunningState, Snapshot


class Ledger:
    """What a replica of one configuration has ordered and executed.

    `history` holds, by slot, what was ordered since the last completed checkpoint, whose proof is `checkpoint_proof`;
    `in_flight` the slots whose result shuttle is not back. Of each client's latest requests `executed` holds the slot in which
    it was executed, and `cache` the final answer. `suffix` is what is left to execute of a catch-up; None without one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._most_settled, self._most_in_flight = most_settled(settings), most_in_flight(settings)
        self.state = RunningState(settings.client_window, state_limits(settings), settings.object_name, settings.session_slots)
        self.next_slot = 0
        self.history: dict[int, HistoryEntry] = {}
        self.checkpoint_proof: tuple[SignedCheckpoint, ...] = ()
        self.in_flight: dict[int, SeenSlot] = {}
        self.executed = LatestRequests[ExecutedSlot](settings.client_window)
        self.cache = LatestRequests[SettledSlot](settings.client_window)
        self.suffix: deque[HistoryEntry] | None = None
        self._wedged: tuple[RunningState, LatestRequests[ExecutedSlot], int] | None = None  # once it has gone on from there

    def begin(self, snapshot: Snapshot) -> None:
        """Take the running state that the configuration begins with. Raises MalformedMessage where it is none."""
        settings, state = self._settings, self.state
        self.state = RunningState.restored(snapshot, settings.client_window, state.limits, state.replicated, settings.session_slots)

    # -- slots [3.3, 3.4]

    def execute(self, configuration: int, slot: int, requests: tuple[SignedRequest, ...], tree: Tree | None) -> ExecutedSlot:
        """Execute the requests as this slot, the last so far; `tree` is the one over them, where there is one already."""
        outcomes = self.state.execute(configuration, slot, tuple(request.statement for request in requests))
        executed_slot = ExecutedSlot(configuration, slot, requests, outcomes, tree)
        for request in requests:
            if not self.state.is_over(request.statement):  # another of the slot may have ended its session
                self.executed.put(request.statement.client, request.statement.number, executed_slot)
        for client in self.state.ended:
            self.executed.forget(client)
            self.cache.forget(client)
        self.next_slot = slot + 1
        return executed_slot

    def keep(self, executed_slot: ExecutedSlot, orders: tuple[SignedOrder, ...], results: tuple[SignedResult, ...]) -> None:
        """An executed slot is in flight, with both proofs up to the own statements."""
        self.history[executed_slot.slot] = HistoryEntry(executed_slot.slot, executed_slot.requests, orders)
        self.in_flight[executed_slot.slot] = SeenSlot(executed_slot, orders, results)

    def awaited(self, shuttle: ResultShuttle) -> SeenSlot | None:
        """The slot in flight whose result this is, or None where that is settled already.

        Raises MalformedMessage where it was not ordered here, or not so.
        """
        here = self.in_flight.get(shuttle.slot)
        if here is None and shuttle.slot < self.next_slot:
            return None
        if here is None or len(shuttle.outcomes) != len(here.done.outcomes):
            what = f"result shuttle of slot {shuttle.slot}, which was not ordered here so"
            raise MalformedMessage(what, evidence=(shuttle,))
        return here

    def settle(self, settled: SettledSlot) -> None:
        """The result of a slot is final: it is no longer in flight, and its requests have their answers."""
        for request in settled.slot.requests:
            if not self.state.is_over(request.statement):
                self.cache.put(request.statement.client, request.statement.number, settled)
        del self.in_flight[settled.slot.slot]

    # -- what may be ordered [6.5, 7a.5, 7a.7]

    def is_overdue(self) -> bool:
        """Whether two intervals of settled slots wait for a checkpoint."""
        return len(self.history) - len(self.in_flight) >= self._most_settled

    def is_beyond(self, request: Request, configuration: Membership) -> bool:
        """Whether its client may not yet have sent this.

        With acceptance = quorum a client may have an answer that was lost, and is not to wait for ever after that too.
        """
        return bool(configuration.needed) and self.state.is_beyond(request)

    def demand_same(self, shuttle: Shuttle, head: int) -> None:
        """Raises Equivocation where the slot, which is ordered here, holds other requests."""
        entry = self.history.get(shuttle.slot)
        if entry is not None and entry.order_proof[0].statement != shuttle.order_proof[0].statement:
            raise Equivocation(
                f"slot {shuttle.slot} is ordered here with other requests",
                position=head,
                evidence=(shuttle.order_proof[0], entry.order_proof[0]),
            )

    def demand_extendable(self, shuttle: Shuttle, configuration: Membership) -> None:
        """Raises a ProtocolViolation at what no correct head orders, nor any predecessor lets pass (specification, 6.5, 7a.5, 7a.7)."""
        head, first = configuration.head, shuttle.order_proof[:1]
        if self.is_overdue():
            raise Overdue("no checkpoint for two intervals")
        if len(shuttle.requests) > self._settings.batch_limit:
            raise OverLimit(f"slot {shuttle.slot} with {len(shuttle.requests)} requests", position=head)
        if len(self.in_flight) >= self._most_in_flight:
            raise OverLimit(f"slot {shuttle.slot} with {len(self.in_flight)} slots in flight")
        if not SlotRoom(self.state).takes_all(shuttle.requests, map(len, shuttle.encodings)):
            raise OverLimit(f"slot {shuttle.slot} holds more than fits", position=head, evidence=first)
        seen: set[tuple[int, int]] = set()
        for request in shuttle.requests:
            key = request.statement.client, request.statement.number
            if key in seen or self.executed.get(*key) is not None or self._is_outside(request.statement, configuration):
                what = f"request {key[1]} of client {key[0]}, which is not to be ordered any more, or not yet"
                raise SecondOrder(f"slot {shuttle.slot} orders {what}", position=head, evidence=first)
            seen.add(key)

    def _is_outside(self, request: Request, configuration: Membership) -> bool:
        return self.state.is_stale(request) or self.is_beyond(request, configuration)

    # -- checkpoints [6.3]

    def cut(self, slot: int, proof: tuple[SignedCheckpoint, ...]) -> None:
        """A checkpoint of this slot is complete: the history goes on behind it."""
        self.history = {each: entry for each, entry in self.history.items() if each > slot}
        self.checkpoint_proof = proof

    # -- catching up [7.4, 7a.9]

    def entries(self) -> tuple[HistoryEntry, ...]:
        """The history in the order of its slots."""
        return tuple(self.history[slot] for slot in sorted(self.history))

    def go_back(self) -> None:
        """To where it was when it was wedged.

        Olympus may have another longest history for another quorum, so each catch-up begins there.
        """
        self.suffix = None
        if self._wedged is not None:
            self.state, self.executed, self.next_slot = self._wedged
            self._wedged = None

    def begin_catch_up(self, suffix: Sequence[HistoryEntry]) -> None:
        """What is to be executed, from where it was wedged on."""
        if suffix:
            self._wedged = (self.state.copy(), self.executed.copy(), self.next_slot)
        self.suffix = deque(suffix)

    def some_of_suffix(self, requests: int) -> Iterator[HistoryEntry]:
        """The next slots of a catch-up with about so many requests, each to be executed before the next is asked for."""
        taken = 0
        while self.suffix and taken < requests:
            entry = self.suffix.popleft()
            if entry.slot == self.next_slot:
                taken += len(entry.requests)
                yield entry

    def latest_answers(self) -> tuple[LatestAnswer, ...]:
        """What each client's latest requests gave, for Olympus."""
        return tuple(executed_slot.latest_answer(client, number) for client, number, executed_slot in self.executed.items())
