"""The running state that every replica holds: the object, and what was executed for whom."""

from collections.abc import Iterable

import msgspec

from bcr import object
from bcr.encoding import digest
from bcr.statements import Outcome, Request


class RunningState:
    """The dictionary, and for each client the outcomes of its latest requests.

    The outcomes are part of the replicated state, so that a request executes at most once, also across a
    reconfiguration. A client has at most `client_window` requests outstanding and numbers them in turn, so of each
    client the outcomes of its `client_window` highest numbers are enough to know any request that can still arrive.
    """

    def __init__(self, client_window: int) -> None:
        self.client_window = client_window
        self.dictionary: dict[str, str] = {}
        self.outcomes: dict[int, dict[int, Outcome]] = {}

    def is_stale(self, request: Request) -> bool:
        """Whether the request is so old that its client has accepted an answer to it, or is breaking its window."""
        latest = self.outcomes.get(request.client)
        return bool(latest) and request.number <= max(latest or ()) - self.client_window

    def execute(self, configuration: int, slot: int, requests: Iterable[Request]) -> tuple[Outcome, ...]:
        """Execute the requests of a slot in order and return their outcomes, in order.

        A request that was executed before gives its recorded outcome and has no effect; a stale one has neither.
        """
        return tuple(
            self.execute_at(configuration, slot, index, request) for index, request in enumerate(requests)
        )

    def execute_at(self, configuration: int, slot: int, index: int, request: Request) -> Outcome:
        """Execute one request, the one at place `index` of a slot; see `execute`."""
        latest = self.outcomes.setdefault(request.client, {})
        recorded = latest.get(request.number)
        if recorded is not None:
            return recorded
        if self.is_stale(request):
            return Outcome(configuration, slot, index, ())
        results = tuple(object.apply(self.dictionary, operation) for operation in request.operations)
        outcome = latest[request.number] = Outcome(configuration, slot, index, results)
        oldest_kept = max(latest) - self.client_window + 1
        for number in [number for number in latest if number < oldest_kept]:
            del latest[number]
        return outcome

    def snapshot(self) -> "Snapshot":
        return Snapshot(
            tuple(sorted(self.dictionary.items())),
            tuple((client, tuple(sorted(latest.items()))) for client, latest in sorted(self.outcomes.items())),
        )

    @classmethod
    def restored(cls, snapshot: "Snapshot", client_window: int) -> "RunningState":
        """The running state that the snapshot was taken of."""
        state = cls(client_window)
        state.dictionary = dict(snapshot.dictionary)
        state.outcomes = {client: dict(latest) for client, latest in snapshot.outcomes}
        return state

    def copy(self) -> "RunningState":
        """The same running state, which goes its own way from here."""
        other = RunningState(self.client_window)
        other.dictionary = dict(self.dictionary)
        other.outcomes = {client: dict(latest) for client, latest in self.outcomes.items()}
        return other

    def digest(self) -> bytes:
        """The digest of the running state: equal exactly where the states are equal."""
        return self.snapshot().digest()


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A running state as a value, in canonical order."""

    dictionary: tuple[tuple[str, str], ...]
    outcomes: tuple[tuple[int, tuple[tuple[int, Outcome], ...]], ...]

    def digest(self) -> bytes:
        return digest("running state", self)
