"""The service once more, from the specification and not from the replicas' code, for whoever checks them
(specification, 3.7, 8.1).

What is checked must not be what it is checked with: a wrong operation in `bcr.objects.dictionary`, or a request executed twice by
`bcr.state.running`, would be wrong in all replicas and in a replay of theirs alike.
"""

import re

from bcr.objects.dictionary import Operation
from bcr.objects.sizes import RESULTS_LIMIT_BYTES, VALUE_LIMIT_BYTES
from bcr.signed.statements import Outcome, Request
from bcr.state.running import RunningState, Snapshot

Place = tuple[int, int, int]  # configuration, slot, index in the slot
Executed = tuple[Place, tuple[str, ...]]  # where a request was executed, and what it returned


class Model:
    """The service as one process: the dictionary, and every request that was executed, with its place and results."""

    def __init__(self, client_window: int) -> None:
        self._client_window = client_window
        self.dictionary: dict[str, str] = {}
        self.executed: dict[tuple[int, int], Executed] = {}  # by client and request number
        self.latest: dict[int, int] = {}  # client -> its highest number

    def copy(self) -> "Model":
        other = Model(self._client_window)
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

    def _results(self, request: Request) -> tuple[str, ...]:
        results: list[str] = []
        got = 0  # bytes
        for operation in request.operations:
            result = self._result(operation)
            if operation.name == "get" and got + len(result.encode()) > RESULTS_LIMIT_BYTES:
                result = "too large"
            elif operation.name == "get":
                got += len(result.encode())
            results.append(result)
        return tuple(results)

    def _result(self, operation: Operation) -> str:
        key, argument = operation.key, operation.argument
        if operation.name == "get":
            return self.dictionary.get(key, "")
        if operation.name == "put":
            if len(argument.encode()) > VALUE_LIMIT_BYTES:
                return "fail"
            self.dictionary[key] = argument
        elif key not in self.dictionary:
            return "fail"
        elif operation.name == "append":
            if len((self.dictionary[key] + argument).encode()) > VALUE_LIMIT_BYTES:
                return "fail"
            self.dictionary[key] += argument
        else:
            bounds = re.fullmatch("([0-9]{1,18}):([0-9]{1,18})", argument)
            first, last = (int(bounds[1]), int(bounds[2])) if bounds else (1, 0)
            if not 0 <= first <= last <= len(self.dictionary[key]):
                return "fail"
            self.dictionary[key] = "".join(self.dictionary[key][index] for index in range(first, last))
        return "OK"

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
