"""The running state that every replica holds: the object, and what was executed for whom (specification, 3.7, 8.2)."""

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from bcr.objects.finding import DEFAULT, found
from bcr.objects.operation import Operation
from bcr.objects.replicated import Place, ReplicatedObject
from bcr.objects.sizes import DEFAULT_LIMITS, RESULTS_LIMIT_BYTES, StateLimits, bytes_of
from bcr.signed.encoding import decode, digest, encode
from bcr.signed.statements import Outcome, Request
from bcr.signed.violations import MalformedMessage
from bcr.state.buckets import Buckets, bucket_of
from bcr.state.cache import HeldSizes, drop_fallen
from bcr.state.client_sessions import Sessions, SessionTable
from bcr.state.tree import BUCKETS, EMPTY_BUCKET, BucketTree, root_over

_Outcomes = tuple[tuple[int, tuple[tuple[int, Outcome], ...]], ...]  # by client, by number


class _Clients(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of clients, where they come and go: else it is their outcomes alone."""

    outcomes: _Outcomes
    sessions: SessionTable


class RunningState:
    """The object, and for each client the outcomes of its latest requests.

    The outcomes are part of the replicated state, so that a request executes at most once, also across a
    reconfiguration. A client has at most `client_window` requests outstanding and numbers them in turn, so of each
    client the outcomes of its `client_window` highest numbers are enough to know any request that can still arrive.
    How large both may become `limits` says. With `session_slots` clients come and go: of one that was not heard for so many
    slots nothing is remembered but that its session has ended. With 0 the clients of the first configuration stay for ever.
    """

    def __init__(
        self,
        client_window: int,
        limits: StateLimits = DEFAULT_LIMITS,
        replicated: ReplicatedObject[Any] | str = DEFAULT,
        session_slots: int = 0,
    ) -> None:
        self.client_window = client_window
        self.limits = limits
        self.replicated = found(replicated)
        self._buckets = Buckets(None, limits.dictionary, self.replicated)
        self._held_sizes: dict[int, HeldSizes] = {}  # of each client's outcomes, where these may come to too many bytes
        self.outcomes: dict[int, dict[int, Outcome]] = {}
        self._highest_numbers: dict[int, int] = {}  # number among the outcomes of each client that has some
        self.sessions = Sessions(session_slots) if session_slots else None
        self.ended: list[int] = []  # clients whose sessions have ended in the latest slot

    @property
    def values(self) -> Mapping[str, Any]:
        """What stands at each key of the object. Whoever looks at it changes nothing."""
        return self._buckets.values()

    @property
    def dictionary(self) -> Mapping[str, str]:
        """The values as they are shown: of a dictionary they themselves."""
        return shown(self.replicated, self.values)

    def is_stale(self, request: Request) -> bool:
        """Whether the request is so old that its client has accepted an answer to it, or is breaking its window.

        So is every request of a session that has ended.
        """
        return self.is_over(request) or self.is_stale_number(request.client, request.number)

    def is_over(self, request: Request) -> bool:
        """Whether the session in which the request was made has ended (specification, 15.4)."""
        return self.sessions is not None and self.sessions.is_over(request)

    def is_stale_number(self, client: int, number: int) -> bool:
        """Whether its number is one of the oldest, of a request of which only client and number are known."""
        return bool(self.outcomes.get(client)) and number <= self._highest_numbers[client] - self.client_window

    def is_past(self, holder: int, client: int, number: int) -> bool:
        """Whether nobody will execute such a request any more, of which no more is known than whose it is."""
        has_ended = self.sessions is not None and self.sessions.has_ended(holder, client)
        return has_ended or self.is_stale_number(client, number)

    def is_beyond(self, request: Request, windows: int = 1) -> bool:
        """Whether its client breaks its window, or so many of them, upwards: it cannot have an answer to what it sent so many before this.

        More than one where clients may be answered before the request is executed here.
        """
        highest = self._highest_numbers[request.client] if self.outcomes.get(request.client) else -1
        return request.number > highest + windows * self.client_window

    def execute(self, configuration: int, slot: int, requests: Iterable[Request]) -> tuple[Outcome, ...]:
        """Execute the requests of a slot in order and return their outcomes, in order.

        A request that was executed before gives its recorded outcome and has no effect; a stale one has neither.
        """
        self.ended = []
        outcomes = tuple(self.execute_at(configuration, slot, index, request) for index, request in enumerate(requests))
        if self.sessions is not None and any(outcome.place[:2] == (configuration, slot) and outcome.results for outcome in outcomes):
            self._end_sessions(self.sessions.pass_slot())
        return outcomes

    def _end_sessions(self, clients: Iterable[int]) -> None:
        for client in clients:
            self.ended.append(client)
            for table in (self.outcomes, self._highest_numbers, self._held_sizes):
                table.pop(client, None)

    def execute_at(self, configuration: int, slot: int, index: int, request: Request) -> Outcome:
        """Execute one request, the one at place `index` of a slot; see `execute`."""
        if self.is_over(request):
            return Outcome(configuration, slot, index, ())
        latest = self.outcomes.setdefault(request.client, {})
        recorded_outcome = latest.get(request.number)
        if recorded_outcome is not None:
            return recorded_outcome
        if self.is_stale_number(request.client, request.number):
            return Outcome(configuration, slot, index, ())
        if self.sessions is not None:
            self._end_sessions(self.sessions.use(request))
        results = self._buckets.execute(request.operations, self._results_left(request), (configuration, slot, index))
        outcome = Outcome(configuration, slot, index, results)
        before = self._highest_numbers[request.client] if latest else request.number
        latest[request.number] = outcome
        held = self._held_sizes.get(request.client)
        if held is not None:
            held.put(request.number, _bytes_of_results(outcome))
            held.drop_fallen(before, request.number, self.client_window)
        if request.number > before:
            self._highest_numbers[request.client] = request.number
            drop_fallen(latest, before, request.number, self.client_window)
        elif len(latest) == 1:
            self._highest_numbers[request.client] = request.number
        return outcome

    def read(self, request: Request) -> tuple[str, ...]:
        """The results of a request that only reads, which is not remembered."""
        return self._buckets.execute(request.operations)

    def _results_left(self, request: Request) -> int | None:
        """How many bytes the request may get beside those of its client that are remembered; None if no fewer than any."""
        if not self.limits.may_bind(self.client_window):
            return None
        latest = self.outcomes[request.client]
        held = self._held_sizes.get(request.client)
        if held is None:
            held = self._held_sizes[request.client] = HeldSizes({number: _bytes_of_results(each) for number, each in latest.items()})
        highest = self._highest_numbers[request.client] if latest else request.number
        return max(0, self.limits.results - held.without_fallen(highest, request.number, self.client_window))

    def size_of(self, key: str) -> int | None:
        """What the value of a key counts for (`ReplicatedObject.size`), or None where it has none."""
        return self._buckets.size_of(key)

    def bytes_of_values(self, keys: Iterable[str]) -> int:
        """How many bytes the values of these keys, which are strings, have together; of more than any request gets, so many only."""
        values = self._buckets.values_of(keys)
        characters = sum(map(len, values))
        return characters if characters > RESULTS_LIMIT_BYTES else bytes_of("".join(values))

    def shown(self, key: str) -> str:
        """The value of a key as it is shown; empty where it has none."""
        value = self._buckets.value_of(key)
        return "" if value is None else self.replicated.shown(value)

    def apply(self, operation: Operation, place: Place = (0, 0, 0)) -> str:
        """Execute an operation that nobody has ordered, as only a faulty replica does."""
        [result] = self._buckets.execute((operation,), place=place)
        return result

    def snapshot(self) -> "Snapshot":
        outcomes = self._encoded_outcomes()
        snapshot = Snapshot(self._buckets.pairs(), outcomes)
        snapshot.__dict__["_digest"] = _digest(self._buckets.root(), outcomes)  # which is known: nobody need hash all of it
        return snapshot

    @classmethod
    def restored(
        cls,
        snapshot: "Snapshot",
        client_window: int,
        limits: StateLimits = DEFAULT_LIMITS,
        replicated: ReplicatedObject[Any] | str = DEFAULT,
        session_slots: int = 0,
    ) -> "RunningState":
        """The running state that the snapshot was taken of. Raises MalformedMessage where its outcomes are none."""
        state = cls(client_window, limits, replicated, session_slots)
        state._buckets = Buckets(dict(snapshot.buckets), limits.dictionary, state.replicated, snapshot.tree())
        outcomes, table = _decoded_clients(snapshot.outcomes)
        if (table is None) != (state.sessions is None):
            raise MalformedMessage(f"a running state {'without' if table is None else 'with'} sessions")
        if table is not None:
            state.sessions = Sessions(session_slots, table)
        state.outcomes = {client: dict(latest) for client, latest in outcomes}
        state._highest_numbers = {client: max(latest) for client, latest in state.outcomes.items() if latest}
        return state

    def copy(self) -> "RunningState":
        """The same running state, which goes its own way from here."""
        copy = RunningState(self.client_window, self.limits, self.replicated)
        copy.sessions = None if self.sessions is None else self.sessions.copy()
        copy._buckets = self._buckets.copy()
        copy.outcomes = {client: dict(latest) for client, latest in self.outcomes.items()}
        copy._highest_numbers = dict(self._highest_numbers)
        return copy

    def digest(self) -> bytes:
        """The digest of the running state: equal exactly where the states are equal.

        Costs what was executed since the last one, and not the whole state.
        """
        return _digest(self._buckets.root(), self._encoded_outcomes())

    def witness(self, key: str) -> "Witness":
        """What shows the key's value to whoever has the digest of this state."""
        bucket, path = self._buckets.witness(key)
        return Witness(bucket, path, _digest_of_outcomes(self._encoded_outcomes()))

    def _encoded_outcomes(self) -> bytes:
        outcomes = tuple((client, tuple(sorted(latest.items()))) for client, latest in sorted(self.outcomes.items()))
        return encode_clients(outcomes, None if self.sessions is None else self.sessions.table())


class Snapshot(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """A running state as a value, and as it travels: encoded, so that whoever only passes it on never decodes it.

    `buckets` are index and encoding of those that are not empty, in order (bcr.state.buckets). Of a snapshot that has the
    digest which a correct replica signed, these are what that replica had.
    """

    buckets: tuple[tuple[int, bytes], ...]
    outcomes: bytes

    @classmethod
    def of(
        cls,
        values: Mapping[str, Any],
        outcomes: _Outcomes,
        replicated: ReplicatedObject[Any] | str = DEFAULT,
        sessions: SessionTable | None = None,
    ) -> "Snapshot":
        """The snapshot of a state with these values by key, these outcomes by client and number, in order, and these sessions."""
        return cls(Buckets.of(values, replicated).pairs(), encode_clients(outcomes, sessions))

    def witness(self, key: str) -> "Witness":
        """What shows the key's value to whoever has the digest of this state."""
        bucket, path = Buckets(dict(self.buckets)).witness(key)
        return Witness(bucket, path, _digest_of_outcomes(self.outcomes))

    def values(self, replicated: ReplicatedObject[Any] | str = DEFAULT) -> dict[str, Any]:
        """What stands at each key, in their order. Raises MalformedMessage where a bucket is none."""
        return dict(sorted(Buckets(dict(self.buckets), replicated=replicated).values().items()))

    @property
    def dictionary(self) -> dict[str, str]:
        """The values of a dictionary."""
        return self.values()

    def demand_readable(self, replicated: ReplicatedObject[Any] | str = DEFAULT) -> None:
        """Raises MalformedMessage unless this is a running state of such an object and no mere bytes."""
        self.values(replicated)
        _decoded_clients(self.outcomes)

    def with_sessions_of(self, clients: Collection[int]) -> "Snapshot":
        """The same, but nobody else's requests are remembered. Raises MalformedMessage where the outcomes are none."""
        outcomes = decode(_Outcomes, self.outcomes)
        kept = tuple(each for each in outcomes if each[0] in clients)
        if len(kept) == len(outcomes):
            return self
        snapshot = Snapshot(self.buckets, encode(kept))
        if "_tree" in self.__dict__:
            snapshot.__dict__["_tree"] = self.__dict__["_tree"]  # of the same buckets: nobody need hash them again
        return snapshot

    def digest(self) -> bytes:
        return self._digest

    @cached_property
    def _digest(self) -> bytes:
        # Of every bucket as a correct replica has it: one that stood there twice would go along unseen otherwise.
        indexes = [index for index, _ in self.buckets]
        is_in_order = indexes == sorted(set(indexes)) and all(0 <= index < BUCKETS for index in indexes)
        if not is_in_order or any(encoded == EMPTY_BUCKET for _, encoded in self.buckets):
            return digest("no running state", (self.buckets, self.outcomes))
        if "_tree" not in self.__dict__:
            self.__dict__["_tree"] = BucketTree.over(self.buckets)
        return _digest(self.__dict__["_tree"].root(), self.outcomes)

    def tree(self) -> BucketTree | None:
        """The tree over the buckets, for whoever goes on from them, where the digest was asked for."""
        known_tree: BucketTree | None = self.__dict__.get("_tree")
        return None if known_tree is None else known_tree.copy()


class Witness(msgspec.Struct, frozen=True, array_like=True):
    """A key's bucket of a running state, its path to the root over all buckets, and the digest of the outcomes.

    A few kB, however large the state is; but all of what stands in the bucket, which may be large values of other keys.
    """

    bucket: bytes
    path: tuple[bytes, ...]
    outcomes_digest: bytes

    def state_digest(self, key: str) -> bytes:
        """The digest of the only running states in which the key's bucket is this.

        Raises MalformedMessage where there are none.
        """
        return _digest_of(root_over(bucket_of(key), self.bucket, self.path), self.outcomes_digest)

    def value_of(self, key: str, replicated: ReplicatedObject[Any] | str = DEFAULT) -> Any:
        """What stands at the key, or None where nothing does. Raises MalformedMessage where the bucket is none."""
        return Buckets({bucket_of(key): self.bucket}, replicated=replicated).value_of(key)


def encode_clients(outcomes: _Outcomes, sessions: SessionTable | None) -> bytes:
    """What a snapshot says of clients."""
    return encode(outcomes if sessions is None else _Clients(outcomes, sessions))


def _decoded_clients(encoded: bytes) -> tuple[_Outcomes, SessionTable | None]:
    # Of what has sessions the second element is a table, whose first is a number; of outcomes it is a client's, with a list.
    try:
        return decode(_Outcomes, encoded), None
    except MalformedMessage:
        clients = decode(_Clients, encoded)
        return clients.outcomes, clients.sessions


def shown(replicated: ReplicatedObject[Any], values: Mapping[str, Any]) -> Mapping[str, str]:
    """An object's values as results and logs show them."""
    return {key: replicated.shown(value) for key, value in values.items()}


def _bytes_of_results(outcome: Outcome) -> int:
    return sum(map(bytes_of, outcome.results))


def _digest(root: bytes, outcomes: bytes) -> bytes:
    return _digest_of(root, _digest_of_outcomes(outcomes))


def _digest_of(root: bytes, outcomes_digest: bytes) -> bytes:
    return digest("running state", (root, outcomes_digest))


def _digest_of_outcomes(outcomes: bytes) -> bytes:
    return digest("outcomes of clients", outcomes)
