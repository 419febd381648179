"""The service once more, from the specification and not from the replicas' code, for whoever checks them
(specification, 3.7, 8.1).

What is checked must not be what it is checked with: a request executed twice by `bcr.state.running` would be wrong in all
replicas and in a replay of theirs alike. Of the object, `ReplicatedObject.model` is what it brings along for this.
"""

from collections.abc import Iterator
from typing import Any

from bcr.objects.finding import DEFAULT, found
from bcr.objects.replicated import Itself, LimitedModel, LimitedObject, Place, ReplicatedObject
from bcr.objects.sizes import DEFAULT_LIMITS, RESULTS_LIMIT_BYTES, StateLimits
from bcr.signed.encoding import encode
from bcr.signed.statements import Outcome, Request
from bcr.state.running import RunningState, Snapshot
from bcr.verdict.admission import Admission

Executed = tuple[Place, tuple[str, ...]]  # where a request was executed, and what it returned


class Model:
    """The service as one process: the object, and every request that was executed, with its place and results."""

    def __init__(
        self,
        client_window: int,
        limits: StateLimits = DEFAULT_LIMITS,
        replicated: ReplicatedObject[Any] | str = DEFAULT,
        session_slots: int = 0,
    ) -> None:
        self.client_window = client_window
        self.admission = Admission(session_slots) if session_slots else None
        self.limits = limits
        self._most_bytes = 0  # that the object may have come to, as encoded; of one that keeps to limits itself, nothing
        self.replicated = found(replicated)
        self._object = self.replicated.model()
        self.executed: dict[tuple[int, int], Executed] = {}  # by client and request number
        self.latest: dict[int, int] = {}  # client -> its highest number

    @property
    def values(self) -> dict[str, Any]:
        """What stands at each key of the object."""
        return self._object.values

    def begin_with(self, snapshot: Snapshot) -> None:
        """Go on with the object of this state; its clients are others, of whom nothing was executed.

        Raises MalformedMessage where it cannot be read.
        """
        if not hasattr(self._object, "begin_with"):  # a model of somebody's own, which cannot
            self._object = Itself(self.replicated)
        self._object.begin_with(snapshot.values(self.replicated))

    def copy(self) -> "Model":
        other = Model(self.client_window, self.limits, self.replicated)
        other.admission = None if self.admission is None else self.admission.copy()
        other._object, other._most_bytes = self._object.copy(), self._most_bytes
        other.executed, other.latest = dict(self.executed), dict(self.latest)
        return other

    def execute(self, place: Place, request: Request) -> Executed:
        """Where the request was executed and what it returned: now, or before if it is none of the oldest."""
        key = request.client, request.number
        if self.admission is not None and self.admission.refuses(place, request):
            return place, ()
        if request.number <= self.latest.get(request.client, -1) - self.client_window:
            return place, ()
        if key not in self.executed:
            self.executed[key] = place, self._results(request, place)
            if self.admission is not None:
                self.admission.took(request)
            self.latest[request.client] = max(self.latest.get(request.client, -1), request.number)
        return self.executed[key]

    def read(self, request: Request) -> tuple[str, ...]:
        """What a request that only reads returns here; nobody remembers that it was executed."""
        return self._results(Request(-1, request.number, request.operations), (0, 0, 0))

    def _results(self, request: Request, place: Place) -> tuple[str, ...]:
        operations = request.operations
        most = min(RESULTS_LIMIT_BYTES, max(0, self.limits.results - self._remembered(request)))
        if isinstance(self.replicated, LimitedObject):
            limited_model: LimitedModel = self._object  # type: ignore[assignment]
            return limited_model.execute_within(operations, place, self.limits.dictionary, most)
        growth = self.replicated.most_growth(operations)
        if growth and self._most_bytes + growth > self.limits.dictionary:
            self._most_bytes = sum(len(encode(key)) + len(encode(value)) for key, value in self.values.items())
        if self.replicated.is_refused(operations, self._size_of, self.limits.dictionary - self._most_bytes, most):
            return (self.replicated.refusal,) * len(operations)
        self._most_bytes += growth
        return self._object.execute(operations, place)

    def _size_of(self, key: str) -> int | None:
        value = self.values.get(key)
        return None if value is None else self.replicated.size(value)

    def _remembered(self, request: Request) -> int:
        """Bytes of the results of the client's other requests that are remembered once this one is."""
        if not self.limits.may_bind(self.client_window):
            return 0
        newest = max(request.number, self.latest.get(request.client, -1))
        numbers = range(max(0, newest - self.client_window + 1), newest + 1)
        results_by_request = [self.executed.get((request.client, number), (None, ()))[1] for number in numbers]
        return sum(len(result.encode()) for results in results_by_request for result in results)

    def difference(self, state: RunningState) -> str:
        """How a replica's running state differs; empty where it does not."""
        if state.values != self.values:
            return f"another {self.replicated.name}"
        expected = set(self._remembered_requests())
        requests = {(client, number) for client, latest in state.outcomes.items() for number in latest}
        if requests != expected:
            return f"outcomes of {sorted(requests)}, not of {sorted(expected)}"
        for client, number in requests:
            outcome = state.outcomes[client][number]
            if (outcome.place, outcome.results) != self.executed[client, number]:
                return f"another outcome of request {number} of client {client}"
        table = None if self.admission is None else self.admission.table()
        held_table = None if state.sessions is None else state.sessions.table()
        return "" if held_table == table else f"other sessions: {held_table}, not {table}"

    def _remembered_requests(self) -> Iterator[tuple[int, int]]:
        """Client and number of every request whose outcome the running state holds, in order."""
        absentees = set() if self.admission is None else self.executed_clients() - self.admission.present()
        for client, number in sorted(self.executed):
            if client not in absentees and number > self.latest[client] - self.client_window:
                yield client, number

    def executed_clients(self) -> set[int]:
        return set(self.latest)

    def snapshot(self) -> Snapshot:
        """The running state that a replica has which executed the same."""
        outcomes: dict[int, list[tuple[int, Outcome]]] = {}
        for client, number in self._remembered_requests():
            place, results = self.executed[client, number]
            outcomes.setdefault(client, []).append((number, Outcome(*place, results)))
        latest_outcomes = tuple((client, tuple(latest)) for client, latest in sorted(outcomes.items()))
        return Snapshot.of(self.values, latest_outcomes, self.replicated, None if self.admission is None else self.admission.table())
