"""The service once more, from the specification and not from the replicas' code, for whoever checks them
(specification, 3.7, 8.1).

What is checked must not be what it is checked with: a wrong operation in `bcr.objects.dictionary`, or a request executed twice by
`bcr.state.running`, would be wrong in all replicas and in a replay of theirs alike.
"""

import re

import msgspec

from bcr.objects.dictionary import Operation
from bcr.objects.sizes import DEFAULT_LIMITS, RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES, StateLimits
from bcr.signed.statements import Outcome, Request
from bcr.state.running import RunningState, Snapshot

Place = tuple[int, int, int]  # configuration, slot, index in the slot
Executed = tuple[Place, tuple[str, ...]]  # where a request was executed, and what it returned


def _encoded(text: str) -> int:
    return len(msgspec.msgpack.encode(text))


class Model:
    """The service as one process: the dictionary, and every request that was executed, with its place and results."""

    def __init__(self, client_window: int, limits: StateLimits = DEFAULT_LIMITS) -> None:
        self._client_window = client_window
        self._limits = limits
        self._bytes = 0  # of the dictionary's keys and values, as encoded
        self.dictionary: dict[str, str] = {}
        self.executed: dict[tuple[int, int], Executed] = {}  # by client and request number
        self.latest: dict[int, int] = {}  # client -> its highest number

    def copy(self) -> "Model":
        other = Model(self._client_window, self._limits)
        other._bytes = self._bytes
        other.dictionary, other.executed, other.latest = dict(self.dictionary), dict(self.executed), dict(self.latest)
        return other

    def execute(self, place: Place, request: Request) -> Executed:
        """Where the request was executed and what it returned: now, or before if it is none of the oldest."""
        key = request.client, request.number
        if request.number <= self.latest.get(request.client, -1) - self._client_window:
            return place, ()
        if key not in self.executed:
            self.executed[key] = place, self._results(request)
            self.latest[request.client] = max(self.latest.get(request.client, -1), request.number)
        return self.executed[key]

    def read(self, request: Request) -> tuple[str, ...]:
        """What a request that only reads returns here; nobody remembers that it was executed."""
        return self._results(msgspec.structs.replace(request, client=-1))

    def _results(self, request: Request) -> tuple[str, ...]:
        results: list[str] = []
        got = 0  # bytes
        most = min(RESULTS_LIMIT_BYTES, max(0, self._limits.results - self._remembered(request)))
        for operation in request.operations:
            result = self._result(operation)
            if operation.name == "get" and got + len(result.encode()) > most:
                result = "too large"
            elif operation.name == "get":
                got += len(result.encode())
            results.append(result)
        return tuple(results)

    def _remembered(self, request: Request) -> int:
        """Bytes of the results of the client's other requests that are remembered once this one is."""
        if not self._limits.may_bind(self._client_window):
            return 0
        newest = max(request.number, self.latest.get(request.client, -1))
        numbers = range(max(0, newest - self._client_window + 1), newest + 1)
        held = [self.executed.get((request.client, number), (None, ()))[1] for number in numbers]
        return sum(len(result.encode()) for results in held for result in results)

    def _fits(self, key: str, value: str) -> bool:
        """Whether the dictionary may have this value of the key; it has then."""
        if len(value.encode()) > VALUE_LIMIT_BYTES:
            return False
        before = self.dictionary.get(key)
        size = self._bytes + _encoded(value) - (-_encoded(key) if before is None else _encoded(before))
        if size > max(self._limits.dictionary, self._bytes):
            return False
        self._bytes = size
        self.dictionary[key] = value
        return True

    def _result(self, operation: Operation) -> str:
        key, argument = operation.key, operation.argument
        if operation.name == "get":
            return self.dictionary.get(key, "")
        value = self.dictionary.get(key)
        if operation.name == "put":
            value = argument
        elif value is None:
            return "fail"
        elif operation.name == "append":
            value += argument
        else:
            bounds = re.fullmatch("([0-9]{1,18}):([0-9]{1,18})", argument)
            first, last = (int(bounds[1]), int(bounds[2])) if bounds else (1, 0)
            if not 0 <= first <= last <= len(value):
                return "fail"
            value = "".join(value[index] for index in range(first, last))
        return "OK" if self._fits(key, value) else "fail"

    def difference(self, state: RunningState) -> str:
        """How a replica's running state differs; empty where it does not."""
        if state.dictionary != self.dictionary:
            return "another dictionary"
        expected = {
            (client, number)
            for (client, number) in self.executed
            if number > self.latest[client] - self._client_window
        }
        held = {(client, number) for client, latest in state.outcomes.items() for number in latest}
        if held != expected:
            return f"outcomes of {sorted(held)}, not of {sorted(expected)}"
        for client, number in held:
            outcome = state.outcomes[client][number]
            if (outcome.place, outcome.results) != self.executed[client, number]:
                return f"another outcome of request {number} of client {client}"
        return ""

    def snapshot(self) -> Snapshot:
        """The running state that a replica has which executed the same."""
        outcomes: dict[int, list[tuple[int, Outcome]]] = {}
        for (client, number), (place, results) in sorted(self.executed.items()):
            if number > self.latest[client] - self._client_window:
                outcomes.setdefault(client, []).append((number, Outcome(*place, results)))
        kept = tuple((client, tuple(latest)) for client, latest in sorted(outcomes.items()))
        return Snapshot.of(self.dictionary, kept)
